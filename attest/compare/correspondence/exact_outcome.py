"""Exact tests by index as they are run: which units may be exchanged, the test on these, and its controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attest.compare.correspondence.cloned_units import find_copies
from attest.compare.correspondence.exact_controls import exact_controls
from attest.compare.correspondence.order import IN_ORDER, REACH, is_in_order
from attest.compare.correspondence.permutation import Pairing, layer_statistics, permutation_test, tells_apart
from attest.compare.correspondence.shifted import agree_when_shifted
from attest.compare.correspondence.tied_layers import of_their_own, tied_layers
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, left_out
from attest.compare.resampling import public_seed

__all__ = ["Exchangeable", "exact_outcome", "exchangeable"]

_TIED = "both have layers that list their units in one order, as shared, repeated or stacked layers do:"
_OWN = "without what they have in common, as far as each has something of its own"
_WORTH_A_SHIFT = 3.0
_CLONED = (
    "both repeat their units, as networks grown out of smaller ones do: in {layers} groups of units the {many} copies of"
    " each were exchanged together"
)
_SHIFTED = "units of both follow one pattern along the index: they agree as well where one network's are shifted"
_IN_ORDER = "both list their units in an order of their own, as sorted or nested networks do"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchangeable:
    """Pairings whose units may be exchanged, each by itself; none where no unit may.

    ``given`` are the pairings as they came, tied layers without what they have in common. ``tells`` says which units of
    each given pairing tell, ``masks`` which of each that may be exchanged, and ``tied`` whether some of the given are
    exchanged together.
    """

    pairings: tuple[Pairing, ...]
    given: tuple[Pairing, ...]
    masks: tuple[NDArray[np.bool_], ...]
    tells: tuple[NDArray[np.bool_], ...]
    tied: bool
    reasons: tuple[str, ...]


def exchangeable(pairings: Sequence[Pairing], *, directions: bool, order: float = IN_ORDER) -> Exchangeable:
    """What of some pairings may be exchanged, and what is left out of them: see ``exact_outcome``."""
    tells = tuple(tells_apart(one.x) & tells_apart(one.y) for one in pairings)
    alike = sum(int(np.count_nonzero(~mask)) for mask in tells)
    reasons: tuple[str, ...] = ()
    if alike:
        reasons = (f"{alike} units of which one of the two has several that are the same, such as padding",)
    tied = tied_layers(pairings)
    if len(tied) < len(pairings):
        reasons = (*reasons, f"{_TIED} layers {_named(pairings, tied)} were exchanged together, {_OWN}")
    given = of_their_own(pairings, tied)
    masks = tuple(np.all([tells[place] for place in places], axis=0) for places in tied)
    free, raw = (_together(each, tied, masks) for each in (given, pairings))
    if _both_in_order(raw, order):
        if directions:
            reasons = (*reasons, f"{_IN_ORDER}: what a unit shares with the {2 * REACH} next to it")
            free = tuple(one.among_neighbors() for one in free)
        else:
            reasons = (*reasons, f"{_IN_ORDER}: agreement by index shows nothing")
            free, masks = (), ()
    copies = tuple(find_copies(one) for one in free)
    if any(copies):
        many = ", ".join(sorted({str(one.count) for one in copies if one}))
        reasons = (*reasons, _CLONED.format(layers=sum(map(bool, copies)), many=many))
        free = tuple(one.joined(pairing) if one else pairing for one, pairing in zip(copies, free, strict=True))
    return Exchangeable(
        pairings=free, given=tuple(given), masks=masks, tells=tells, tied=len(tied) < len(pairings), reasons=reasons
    )


def _together(
    pairings: Sequence[Pairing], tied: Sequence[Sequence[int]], masks: Sequence[NDArray[np.bool_]]
) -> tuple[Pairing, ...]:
    return tuple(
        Pairing.beside([pairings[place] for place in places]).only(mask)
        for places, mask in zip(tied, masks, strict=True)
    )


def _both_in_order(pairings: Sequence[Pairing], order: float) -> bool:
    return all(is_in_order(side, order) for side in ([one.x for one in pairings], [one.y for one in pairings]))


def _named(pairings: Sequence[Pairing], tied: Sequence[Sequence[int]]) -> str:
    groups = [[str(pairings[place].layer) for place in places] for places in tied if len(places) > 1]
    return "; ".join(", ".join(group) for group in groups)


def exact_outcome(  # noqa: PLR0913 - what a test is, in words and in numbers
    test_id: str, a: Fingerprints, b: Fingerprints, pairings: Sequence[Pairing], *, method: str, note: str,
    reasons: Sequence[str] = (), layers: Sequence[Pairing] | None = None, directions: bool = False,
    order: float = IN_ORDER,
) -> Outcome:  # fmt: skip
    """Run an exact test on pairings that are permuted independently of each other.

    ``layers`` gives one pairing a layer where ``pairings`` has them all on one axis, for the table of layers.
    ``directions`` says that features are directions, to which neighbors in any order owe little. ``order`` is from where on
    many units count as listed in an order.

    Notes
    -----
    Units of which a network has several that are the same are left out: padding and pruned units stand at the end, or
    at the same places, in networks that have nothing else in common. What is left out depends on each network's own
    units and not on their order, so the rest is exchangeable as before.

    Where both networks list their units in an order, neither side is exchangeable. Of directions each unit's own part is
    then compared, without what it shares with its neighbors; sizes, such as norms, follow the order itself, and the test
    is left out. So it is where units agree as well when those of one network are shifted along the index; a z that says
    nothing is not asked for that.

    The seed is public text made of the test and both tree digests, in order, and the side with the greater digest is
    the one that is permuted: A against B and B against A give the same numbers.
    """
    free = exchangeable(pairings, directions=directions, order=order)
    reasons = (*reasons, *free.reasons)
    if layers is not None:
        layers = [one.only(free.tells[0]) for one in layers]
    if free.tied:
        layers = [one.only(mask) for one, mask in zip(free.given, free.tells, strict=True)]
    controls = exact_controls(
        test_id, free.pairings, free.masks, tree_digests={"a": a.side.tree_digest, "b": b.side.tree_digest}
    )
    test = permutation_test(
        test_id,
        free.pairings,
        seed=public_seed(test_id, a, b),
        method=method,
        note=note,
        exchanged=a.side.tree_digest > b.side.tree_digest,
    )
    if test is None:
        return Outcome(not_compared=left_out(test_id, *(reasons or ("nothing varies between the units",))))
    if abs(test.z or 0.0) >= _WORTH_A_SHIFT and agree_when_shifted(free.pairings):
        return Outcome(not_compared=left_out(test_id, *reasons, _SHIFTED))
    if layers is not None:
        test = replace(test, layers=layer_statistics(layers))
    return Outcome(tests=(test,), controls=controls, not_compared=left_out(test_id, *reasons))
