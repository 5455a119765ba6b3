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
    "Announcement",
    "Calibration",
    "Comparison",
    "Control",
    "ControlKind",
    "Found",
    "LayerStatistic",
    "NotCompared",
    "NullDistribution",
    "Side",
    "Test",
]

COMPARISON_TYPE = "https://attest/comparison/v1"
"""Identifier of the predicate; it names a meaning and is never fetched."""

Calibration = Literal["exact", "empirical", "descriptive"]
ControlKind = Literal["itself", "shuffled", "other-layers"]


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
    not_compared: tuple[NotCompared, ...]
    does_not_show: tuple[str, ...]
