"""``component-identity/v1``: whether stacks beside the main one, such as encoders of images, hold the same values."""

from __future__ import annotations

import math
from collections.abc import Iterator

from attest.compare.descriptive import descriptive
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.tensors.telling import beside_main_stack, has_varied_values, is_trained
from attest.comparison import Found
from attest.evidence import Table, TensorRow

__all__ = ["COMPONENT_ID", "component_identity"]

COMPONENT_ID = "component-identity/v1"

_COLUMNS = ("stack", "tensors of a", "tensors of b", "tensors of a found in b", "share of their values")


def component_identity(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Share of the values in stacks beside the main one that stand in such a stack of the other, in some order.

    Notes
    -----
    Networks for images or speech are often put together of an open encoder and a language model. Two that use the
    same encoder share its values, whatever their language models are: so nothing of it counts in the tests of
    identity, which are of the main stack, and no rung follows from it but "inconclusive". ``n`` counts the telling
    tensors of a that were found. One cannot be told from a multiset where values were not counted: there the digest
    of the whole tensor stands for it.
    """
    mine, theirs = list(_components(a)), list(_components(b))
    if not mine or not theirs:
        return not_run("not both have a stack beside the main one", COMPONENT_ID)
    held = [{_values(row) for row in side} for side in (mine, theirs)]
    found = [[row for row in side if _values(row) in other] for side, other in ((mine, held[1]), (theirs, held[0]))]
    test = descriptive(
        COMPONENT_ID,
        sum(map(_size, found[0] + found[1])) / sum(map(_size, mine + theirs)),
        len(found[0]),
        "share of the values in stacks beside the main one that the other has in such a stack too; a part that both took"
        " from a third gives it, and it says nothing of the main stack",
    )
    if not found[0]:
        return Outcome(tests=(test,))
    rows = tuple(_line(label, mine, theirs, found[0]) for label in sorted({_label(row) for row in found[0]}))
    title = "Stacks beside the main one that hold the same values"
    return Outcome(
        tests=(test,), found=(Found(id=COMPONENT_ID, title=title, table=Table(columns=_COLUMNS, rows=rows)),)
    )


def _components(one: Fingerprints) -> Iterator[TensorRow]:
    """Trained and varied tensors of stacks beside the main one."""
    return (row for row in one.tensors if _label(row) and is_trained(row) and has_varied_values(row))


def _label(row: TensorRow) -> str:
    return beside_main_stack(row.role or "")[0]


def _values(row: TensorRow) -> str:
    return row.multiset or row.digest


def _size(row: TensorRow) -> int:
    return math.prod(row.shape)


def _line(label: str, mine: list[TensorRow], theirs: list[TensorRow], found: list[TensorRow]) -> tuple[str, ...]:
    own, other, again = ([row for row in side if _label(row) == label] for side in (mine, theirs, found))
    share = 100 * sum(map(_size, again)) / sum(map(_size, own))
    return label, str(len(own)), str(len(other)), str(len(again)), f"{share:.1f} %"
