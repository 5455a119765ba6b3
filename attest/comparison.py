"""The comparison predicate: which tests were run on two checkpoints, and what they gave.

It holds measurements and methods, never a verdict: a reader's policy turns it into words (``attest.policy``). The schema
is ``schemas/comparison.v1.schema.json``; its page is ``schemas/comparison.v1.md``.
"""

from __future__ import annotations

from typing import Literal

from attest.document import Count, Timestamp, record
from attest.evidence import Environment, Table, Tool
from attest.statement import Sha256

__all__ = [
    "COMPARISON_TYPE",
    "EMPIRICAL",
    "NO_EXPERTS",
    "SIGN_TESTS",
    "Announcement",
    "Calibration",
    "Comparison",
    "Control",
    "ControlKind",
    "Found",
    "LayerStatistic",
    "NotCompared",
    "NullDistribution",
    "PanelRanks",
    "Population",
    "Rank",
    "Side",
    "Test",
]

COMPARISON_TYPE = "https://attest/comparison/v1"
"""Identifier of the predicate; it names a meaning and is never fetched."""

Calibration = Literal["exact", "empirical", "descriptive"]
ControlKind = Literal["itself", "shuffled", "other-layers"]

EMPIRICAL = frozenset({"matched-agreement/v1", "anchored-agreement/v1", "recovered-agreement/v1"})
"""Tests that a reference panel may calibrate. All others keep their calibration, whatever a panel says of them."""

SIGN_TESTS = frozenset({"matched-signs/v1", "anchored-signs/v1", "recovered-signs/v1"})
"""Exact tests in which matched neurons agree by sign, and not units by index."""


@record
class Side:
    """One of the two: what it was called, and the digests that say exactly what it was.

    ``statement_sha256`` is null where files were measured in the same run.
    """

    name: str
    tree_digest: Sha256
    statement_sha256: Sha256 | None
    parameters: Count
    layers: Count


@record
class NullDistribution:
    """What the statistic would be if the two had nothing in common.

    ``method`` says what was permuted. ``edges`` (one more than ``counts``) and ``counts`` are a histogram of the
    standardized statistic over ``resamples`` draws; ``seed`` repeats them.
    """

    method: str
    resamples: Count
    seed: str
    mean: float
    sd: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@record
class LayerStatistic:
    """One layer's share: ``n`` units were free to be exchanged, ``z`` in standard deviations of the null."""

    layer: Count
    n: Count
    statistic: float
    z: float | None


@record
class Test:
    """One test on the pair.

    Parameters
    ----------
    id : str
        Permanent name, such as ``neuron-alignment/v1``.
    calibration : {"exact", "empirical", "descriptive"}
        Only the first two may carry a p-value.
    statistic : float
        In the test's own unit, see its page.
    z : float or None
        Standard deviations of the null, signed.
    pvalue : float or None
        Two-sided, (C + 1) / (n_resamples + 1).
    smallest_pvalue : float or None
        The least that this test could have given here.
    normal_pvalue : float or None
        Two-sided normal tail of ``z``, never below 1e-6 and never without the label.
    n : int
        Units that were free to be exchanged, in all layers (layers for a descriptive profile).
    layers : tuple of LayerStatistic
    null_distribution : NullDistribution or None
    note : str
        What the number is, in one sentence.
    """

    __test__ = False

    id: str
    calibration: Calibration
    statistic: float
    z: float | None
    pvalue: float | None
    smallest_pvalue: float | None
    normal_pvalue: float | None
    n: Count
    layers: tuple[LayerStatistic, ...]
    null_distribution: NullDistribution | None
    note: str


@record
class Control:
    """A test's statistic where the answer is known.

    Parameters
    ----------
    test : str
        Id of the test.
    kind : {"itself", "shuffled", "other-layers"}
        Against itself it must find a correspondence; with units in a random order, or against the next layer, none.
    of : {"a", "b", "a-b"}
        Within one side alone, or between the two.
    n : int
        Pairs of layers, or 1 for an axis that all layers share.
    statistic : float
        As the test combines its layers: Stouffer's z, or a mean share.
    median, greatest : float
        Of single pairs; the greatest in magnitude.
    """

    test: str
    kind: ControlKind
    of: Literal["a", "b", "a-b"]
    n: Count
    statistic: float
    median: float
    greatest: float


@record
class NotCompared:
    """A test that was not run, or a part left out of one, and why."""

    id: str
    reason: str


NO_EXPERTS = NotCompared(id="expert-alignment/v1", reason="neither has sketched experts")
"""What a comparison of two networks without experts holds, word for word: policies look for it."""


@record
class Found:
    """What one test found where, as a table for people: ``id`` is the test's. A test may give several, or none."""

    id: str
    title: str
    table: Table


@record
class Announcement:
    """The protocol that announced a comparison, by its statement, and in what it was not kept, a sentence each."""

    statement_sha256: Sha256
    deviations: tuple[str, ...]


@record
class Population:
    """Comparable pairs of one relation in a reference panel: ``at_least`` of ``n`` have no smaller statistic."""

    n: Count
    at_least: Count
    median: float
    greatest: float


@record
class Rank:
    """Where a test's statistic stands among the comparable pairs of a reference panel.

    ``derived`` is null where the panel has too few comparable pairs with a common origin.
    """

    id: str
    independent: Population
    derived: Population | None

    @property
    def pvalue(self) -> float:
        """(C + 1) / (n + 1): how often a pair trained apart would stand as high, were it drawn as the panel's were."""
        return (self.independent.at_least + 1) / (self.independent.n + 1)

    @property
    def likelihood_ratio(self) -> float | None:
        """How many times more frequent a statistic as large is among derived pairs than among those trained apart.

        Notes
        -----
        None for tests that are not ``EMPIRICAL``: recipes move the published statistics as much as descent does.
        Both shares are (C + 1) / (n + 1), so it lies between 1 / (n + 1) and n + 1 of the pairs. The pairs of a panel
        share networks, so they count for fewer than they are; and the derived ones were altered as its maker chose.
        """
        if self.derived is None or self.id not in EMPIRICAL:
            return None
        return (self.derived.at_least + 1) / (self.derived.n + 1) / self.pvalue


@record
class PanelRanks:
    """A reference panel, and where the statistics of this pair stand in it.

    ``left_out`` of its ``pairs`` hold one of the two trees, or a network of one origin with either.
    """

    name: str
    version: str
    sha256: Sha256
    pairs: Count
    left_out: Count
    ranks: tuple[Rank, ...]


@record
class Comparison:
    """Every test that was run on a pair, also the null ones, with its controls, and every test that was not run."""

    measured_at: Timestamp
    tool: Tool
    environment: Environment
    a: Side
    b: Side
    protocol: Announcement | None
    tests: tuple[Test, ...]
    controls: tuple[Control, ...]
    found: tuple[Found, ...]
    panel: PanelRanks | None
    not_compared: tuple[NotCompared, ...]
    does_not_show: tuple[str, ...]
