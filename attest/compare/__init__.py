"""Comparing two checkpoints: every test, what each gave, and what could not be compared."""

from __future__ import annotations

from datetime import datetime

from attest.compare.attention_std import attention_std_correlation
from attest.compare.correspondence import (
    head_norm_correspondence,
    neuron_norm_correspondence,
    norm_gain_correspondence,
    qkv_bias_correspondence,
    residual_norm_correspondence,
)
from attest.compare.fingerprints import Fingerprints
from attest.compare.neuron_alignment import neuron_alignment
from attest.compare.outcome import PairTest
from attest.compare.tensor_identity import tensor_identity
from attest.comparison import COMPARISON_TYPE, Comparison, Side
from attest.document import dump, timestamp
from attest.evidence import Environment, Tool
from attest.statement import DigestSet, Statement, Subject

__all__ = ["DOES_NOT_SHOW", "TESTS", "compare", "comparison_statement"]

TESTS: tuple[PairTest, ...] = (
    tensor_identity,
    neuron_alignment,
    neuron_norm_correspondence,
    residual_norm_correspondence,
    norm_gain_correspondence,
    qkv_bias_correspondence,
    head_norm_correspondence,
    attention_std_correlation,
)
"""All tests. A new one is a file beside these and a line here."""

DOES_NOT_SHOW = (
    "Which of the two came first, or who took what from whom.",
    "Whether a license permits it.",
    "Why the two are not independent, where a test is rejected: the weights, or the initialization, may come from a third.",
    "Independence: permuted neurons together with a rotated residual stream leave these tests nothing to see.",
    "Anything about code, data or licenses: code reuse is not weight reuse.",
)


def compare(
    a: Fingerprints, b: Fingerprints, *, tool: Tool, environment: Environment, now: datetime | None = None
) -> Comparison:
    """Run every test on a pair.

    Parameters
    ----------
    a, b : Fingerprints
    tool, environment
        What is running, for the record.
    now : datetime, optional
        This machine's clock by default.

    Returns
    -------
    Comparison
        All tests, also the null ones; exchanging a and b changes no statistic.
    """
    outcomes = [test(a, b) for test in TESTS]
    return Comparison(
        measured_at=timestamp(now),
        tool=tool,
        environment=environment,
        a=a.side,
        b=b.side,
        tests=tuple(test for outcome in outcomes for test in outcome.tests),
        not_compared=tuple(item for outcome in outcomes for item in outcome.not_compared),
        does_not_show=DOES_NOT_SHOW,
    )


def comparison_statement(comparison: Comparison) -> Statement:
    """Statement over the trees of both checkpoints."""

    def subject(label: str, side: Side) -> Subject:
        return Subject(name=f"{label}:{side.name}", digest=DigestSet(sha256=side.tree_digest))

    return Statement.build(
        subjects=(subject("a", comparison.a), subject("b", comparison.b)),
        predicate_type=COMPARISON_TYPE,
        predicate=dump(comparison),
    )
