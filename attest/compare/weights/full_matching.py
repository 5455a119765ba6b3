"""``full-row-agreement/v1`` and ``assigned-rank-correlation/v1``: neurons matched on their whole rows, not on sketches.

What ``matched-agreement/v1`` and ``matched-rank-correlation/v1`` estimate from a few numbers a neuron, on all of them:
mutual nearest neighbors by gate and by the rest, and the rank correlation of the two linear sum assignments. It needs the
weights of both. A rotation or permutation of the residual stream defeats it; ``vocabulary-lens-agreement/v1`` is there for
that.

References
----------
Zhu, Ahmed, Kuditipudi, Liang, "Independence Tests for Language Models", ICML 2025, section 3.2. There neurons are told by
what they do on text; here by their weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model
from attest.compare.descriptive import descriptive
from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.layer_agreement import LayerAgreement, agreement_of_sides
from attest.compare.matching.layer_alignment import FOUND
from attest.compare.matching.rank_correlation import rank_correlation
from attest.compare.matching.sketches import sketched_layers
from attest.compare.outcome import Outcome, left_out, not_run
from attest.compare.weights.assignment import MOST_ROWS, assign
from attest.compare.weights.role_weights import RoleWeights, in_both
from attest.cores import on_all_cores
from attest.document import decimal
from attest.fingerprint.unit_sums import N_BUCKETS

__all__ = ["ASSIGNED_TEST", "NOT_ASKED_FOR", "LayerMatch", "full_matching", "match_layers"]

ASSIGNED_TEST = "assigned-rank-correlation/v1"
NOT_ASKED_FOR = "linear sum assignments were not asked for (attest compare --weights --assignments)"
"""Why ``ASSIGNED_TEST`` was left out where nobody wanted to wait for it."""

_AGREEMENT = "full-row-agreement/v1"
_SKETCH = "neuron-sketch/v1"
_BLOCK = 1024
_WORK = 3_000_000_000_000
"""Multiplications: two pairs of layers of 11,008 neurons in 4,096 dimensions; of small networks all pairs."""

_MAX_PAIRS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerMatch:
    """A pair of layers matched on whole rows.

    Parameters
    ----------
    neurons : int
        Of the narrower layer.
    share : float
        Those of them whose partner by gate and by the rest is the same.
    correlation : float or None
        Spearman's, of the two linear sum assignments; None where they were not asked for or not found.
    """

    neurons: int
    share: float
    correlation: float | None


@dataclass(frozen=True, slots=True)
class _Matched:
    """For each neuron of the narrower layer the nearest of the other, for each of that the nearest here; similarities."""

    there: NDArray[np.int64]
    back: NDArray[np.int64]
    similarities: NDArray[np.float32] | None


def full_matching(
    a: Fingerprints, b: Fingerprints, weights: tuple[Model, Model], *, assignment: bool = True
) -> Outcome:
    """Match whole neurons of layers that belong together by their sketches, layer 0 apart.

    ``assignment`` asks for the linear sum assignments besides, which of networks trained apart take as long again.

    Notes
    -----
    Work is bounded: of the pairs of layers evenly spaced ones are taken, at least one. Descriptive, for the reasons that
    ``matched-rank-correlation/v1`` gives.
    """
    if a.architecture.d_model != b.architecture.d_model:
        return _nothing("hidden sizes differ: rows have no common axes")
    mine, theirs = (sketched_layers(one, _SKETCH, N_BUCKETS) for one in (a, b))
    if not mine or not theirs or len({one.gated for one in (*mine.values(), *theirs.values())}) > 1:
        return _nothing("not both have a neuron sketch, or only one has gates")
    first, second = in_both(weights)
    partners = _partners(agreement_of_sides(_AGREEMENT, a, b, mine, theirs))
    work = {(i, j): _work(first, second, i, j) for i, j in partners if i and j}
    deep = [pair for pair, multiplications in work.items() if multiplications]
    if not deep:
        return _nothing("layer 0 is reported apart, and no other pair has matrices that are read and not too wide")
    count = max(1, min(len(deep), _MAX_PAIRS, _WORK // max(work.values())))
    chosen = [deep[place * len(deep) // count] for place in range(count)]
    if b.side.tree_digest < a.side.tree_digest:
        matches = [match_layers(second, first, j, i, assignment=assignment) for i, j in chosen]
    else:
        matches = [match_layers(first, second, i, j, assignment=assignment) for i, j in chosen]
    return _outcome(chosen, matches, "neurons are too much alike to be assigned" if assignment else NOT_ASKED_FOR)


def _nothing(reason: str) -> Outcome:
    return not_run(reason, _AGREEMENT, ASSIGNED_TEST)


def _partners(agreement: LayerAgreement) -> list[tuple[int, int]]:
    """For each layer of the network with fewer the one that its sketches are found in, or else that lies as deep."""
    mine, theirs = list(agreement.first_widths), list(agreement.second_widths)
    fewer, more = (mine, theirs) if agreement.by_first else (theirs, mine)
    pairs = []
    for place, one in enumerate(agreement.partners):
        known = (one.first, one.second) if agreement.by_first else (one.second, one.first)
        depth = round(place * (len(more) - 1) / max(1, len(fewer) - 1))
        layer, partner = known if one.share >= FOUND else (known[0], more[depth])
        pairs.append((layer, partner) if agreement.by_first else (partner, layer))
    return pairs


def _work(first: RoleWeights, second: RoleWeights, i: int, j: int) -> int:
    """Multiplications of a pair; 0 where it cannot be matched."""
    roles, sizes = _roles(first, i), (_size(first, i), _size(second, j))
    if roles != _roles(second, j) or 0 in {*sizes[0], *sizes[1]} or sizes[0][1] != sizes[1][1]:
        return 0
    return sizes[0][0] * sizes[1][0] * sizes[0][1] * len(roles) if max(sizes[0][0], sizes[1][0]) <= MOST_ROWS else 0


def _roles(one: RoleWeights, layer: int) -> tuple[str, ...]:
    return ("gate", "up", "down") if one.shape("gate", layer) else ("up", "down")


def _size(one: RoleWeights, layer: int) -> tuple[int, int]:
    """Neurons of a layer and their dimensions; zeros where a matrix is missing or they contradict each other."""
    shapes = {role: one.shape(role, layer) or (0, 0) for role in _roles(one, layer)}
    sizes = {shape[::-1] if role == "down" else shape for role, shape in shapes.items()}
    return (sizes.pop()[0], shapes["up"][1]) if len(sizes) == 1 else (0, 0)


def match_layers(first: RoleWeights, second: RoleWeights, i: int, j: int, *, assignment: bool = True) -> LayerMatch:
    """Match all neurons of layer ``i`` of the one with those of layer ``j`` of the other.

    Parameters
    ----------
    first, second : RoleWeights
        Whose layers have the matrices up and down, and either both a gate or neither.
    i, j : int
    assignment : bool
        Whether to solve the two linear sum assignments besides; without, similarities are forgotten block by block.

    Notes
    -----
    Rows are scaled to unit length; gains of the norm in front are folded in. Memory is that of two matrices of each
    network, and with assignments twice n by n similarities, in float32. Products pass through BLAS.
    """
    roles = _roles(first, i)
    looks = (roles[:1], roles[1:])
    gated = len(roles) == 3
    if _size(second, j) < _size(first, i):
        first, second, i, j = second, first, j, i
    found = [
        _match(
            [_units(first, role, i) for role in look],
            [_units(second, role, j) for role in look],
            absolute=gated and at == 1,
            assignment=assignment,
        )
        for at, look in enumerate(looks)
    ]
    by_gate, by_rest = found
    agree = (by_gate.there == by_rest.there) & (by_gate.back[by_gate.there] == np.arange(by_gate.there.size))
    agree &= by_rest.back[by_rest.there] == np.arange(by_rest.there.size)
    assigned = on_all_cores(assign, [one.similarities for one in found if one.similarities is not None])
    places = [one for one in assigned if one is not None]
    correlation = rank_correlation(*places) if len(places) == 2 else None
    share = float(np.count_nonzero(agree)) / agree.size
    return LayerMatch(neurons=agree.size, share=share, correlation=correlation)


def _units(one: RoleWeights, role: str, layer: int) -> NDArray[np.float32]:
    """One part of all neurons of a layer, of shape (n_neurons, d_model), each of unit length."""
    matrix = one.matrix(role, layer, folded=True)
    if matrix is None:
        raise ValueError(f"layer {layer} has no {role}")
    rows = np.ascontiguousarray(matrix.T if role == "down" else matrix)
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    units: NDArray[np.float32] = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return units


def _match(
    x: Sequence[NDArray[np.float32]], y: Sequence[NDArray[np.float32]], *, absolute: bool, assignment: bool
) -> _Matched:
    """Nearest neighbors both ways by the sum of the parts' cosines, in blocks of rows, some at once."""
    n_x, n_y = len(x[0]), len(y[0])
    kept = np.empty((n_x, n_y), np.float32) if assignment else None
    there, back = np.empty(n_x, np.int64), np.zeros(n_y, np.int64)
    best = np.full(n_y, -np.inf, np.float32)

    def look(begin: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Of each of the others the nearest of a block of rows, and how near it is."""
        rows = slice(begin, begin + _BLOCK)
        similar = sum((one[rows] @ other.T for one, other in zip(x[1:], y[1:], strict=True)), x[0][rows] @ y[0].T)
        if absolute:
            np.abs(similar, out=similar)
        there[rows] = similar.argmax(axis=1)
        if kept is not None:
            kept[rows] = similar
        nearest = similar.argmax(axis=0)
        return nearest + begin, similar[nearest, np.arange(n_y)]

    for nearest, values in on_all_cores(look, range(0, n_x, _BLOCK)):
        better = values > best
        back[better], best[better] = nearest[better], values[better]
    return _Matched(there, back, kept)


def _outcome(chosen: Sequence[tuple[int, int]], matches: Sequence[LayerMatch], reason: str) -> Outcome:
    names = ", ".join(f"{i} with {j}" for i, j in chosen)
    n = sum(one.neurons for one in matches)
    shares = [one.share for one in matches]
    ranks = [one.correlation for one in matches if one.correlation is not None]
    agreement = descriptive(
        _AGREEMENT,
        float(decimal(sum(shares) / len(shares), 4)),
        n,
        "mean share of neurons whose partner by the whole gate and by the whole rest is the same, in layers of a and b"
        f" that belong together ({names}); networks trained apart may share some",
    )
    if not ranks:
        return Outcome(tests=(agreement,), not_compared=left_out(ASSIGNED_TEST, reason))
    assigned = descriptive(
        ASSIGNED_TEST,
        float(decimal(sum(ranks) / len(ranks), 4)),
        n,
        "mean rank correlation of two linear sum assignments of the same neurons, one by the whole gate, one by the"
        f" whole rest ({names}); the published form, no evidence without a panel of pairs trained apart",
    )
    return Outcome(tests=(agreement, assigned))
