"""Tests held against a reference panel: what was descriptive may become empirical, and gets a rank p-value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from attest.compare.digits import signed_digits
from attest.compare.fingerprints import Fingerprints
from attest.comparison import EMPIRICAL, NotCompared, PanelRanks, Rank, Test
from attest.panel import MIN_PAIRS, Placed, ReferencePanel, Shape, Statistic

__all__ = ["Ranked", "hold_against", "placed", "shape_of"]

_GATES = frozenset({"gate", "gate_up", "experts.gate", "experts.gate_up"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """Tests with what a panel says of them; ``not_compared`` names those that it could calibrate and does not."""

    tests: tuple[Test, ...]
    panel: PanelRanks
    not_compared: tuple[NotCompared, ...]


def hold_against(panel: ReferencePanel, pair: tuple[Placed, Placed], tests: Sequence[Test]) -> Ranked:
    """Ranks of all tests that are not exact, and p-values for those that a panel may calibrate.

    Notes
    -----
    Only ``EMPIRICAL`` tests become empirical, one-sided: large values speak for a common origin. The published
    statistics are ranked beside them for context, and stay descriptive.
    """
    measured = {
        one.id: Statistic(statistic=one.statistic, n=one.n) for one in tests if one.calibration == "descriptive"
    }
    said = panel.ranks(pair, measured)
    ranks = {one.id: one for one in said.ranks}
    missing = sorted(EMPIRICAL & measured.keys() - ranks.keys())
    reason = (
        f"not held against the reference panel {said.name}: it has fewer than {MIN_PAIRS} comparable pairs of networks"
        " trained apart, so the number stays descriptive"
    )
    return Ranked(
        tests=tuple(_calibrated(one, ranks[one.id]) if one.id in EMPIRICAL & ranks.keys() else one for one in tests),
        panel=said,
        not_compared=tuple(NotCompared(id=name, reason=reason) for name in missing),
    )


def _calibrated(test: Test, rank: Rank) -> Test:
    return replace(
        test,
        calibration="empirical",
        pvalue=signed_digits(rank.pvalue),
        smallest_pvalue=signed_digits(1 / (rank.independent.n + 1)),
    )


def placed(one: Fingerprints) -> Placed:
    """A checkpoint as a panel sees it."""
    return Placed(tree_digest=one.side.tree_digest, shape=shape_of(one))


def shape_of(one: Fingerprints) -> Shape | None:
    """Sizes that a panel compares; None where one of them is not known."""
    sizes = one.architecture
    if sizes.d_model is None or sizes.d_ff is None:
        return None
    gated = any(row.role in _GATES for row in one.tensors)
    return Shape(layers=one.side.layers, d_model=sizes.d_model, d_ff=sizes.d_ff, gated=gated)
