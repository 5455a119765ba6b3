"""Comparing two checkpoints: every test, what each gave, and what could not be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from attest.architecture import Model
from attest.compare.activations.activation_matching import activation_matching
from attest.compare.activations.prediction_agreement import prediction_agreement
from attest.compare.activations.representation_similarity import representation_similarity
from attest.compare.activations.residual_activations import residual_activation_correspondence
from attest.compare.correspondence.anchored_alignment import anchored_alignment
from attest.compare.correspondence.expert_alignment import expert_alignment
from attest.compare.correspondence.neuron_alignment import neuron_alignment
from attest.compare.correspondence.norms import (
    expert_norm_correspondence,
    head_norm_correspondence,
    key_latent_correspondence,
    neuron_norm_correspondence,
    norm_gain_correspondence,
    qkv_bias_correspondence,
    query_latent_correspondence,
    residual_norm_correspondence,
)
from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.anchored_agreement import anchored_agreement
from attest.compare.matching.expert_ancestry import expert_ancestry
from attest.compare.matching.neuron_matching import neuron_matching
from attest.compare.outcome import PairTest, WeightTest
from attest.compare.published.attention_std import attention_std_correlation
from attest.compare.published.norm_gain_cosine import norm_gain_cosine
from attest.compare.ranks import hold_against, placed
from attest.compare.signs.matched_signs import anchored_signs, matched_signs
from attest.compare.tensors.component_identity import component_identity
from attest.compare.tensors.direction_signs import direction_signs
from attest.compare.tensors.multiset_identity import multiset_identity
from attest.compare.tensors.row_containment import row_containment
from attest.compare.tensors.tensor_identity import tensor_identity
from attest.compare.weights.embedding_anchors import embedding_anchors
from attest.compare.weights.full_matching import ASSIGNED_TEST, full_matching
from attest.compare.weights.head_alignment import head_alignment
from attest.compare.weights.invariant_terms import invariant_terms
from attest.compare.weights.matrix_alignment import matrix_alignment
from attest.compare.weights.merge import Parent, merge_coefficients
from attest.compare.weights.projection_spectra import projection_spectra
from attest.compare.weights.recovered_alignment import recovered_alignment
from attest.compare.weights.recovered_matching import recovered_matching
from attest.compare.weights.replay import exact_replay
from attest.compare.weights.token_rows import token_rows
from attest.compare.weights.vocabulary_lens import vocabulary_lens
from attest.compare.weights.weight_delta import weight_delta
from attest.comparison import COMPARISON_TYPE, Comparison, Side
from attest.document import dump, timestamp
from attest.evidence import Environment, Tool
from attest.panel import ReferencePanel
from attest.statement import DigestSet, Statement, Subject

__all__ = [
    "DEEP_TESTS", "DOES_NOT_SHOW", "PANEL_TESTS", "TESTS", "WEIGHT_TESTS", "compare", "comparison_statement",
]  # fmt: skip

TESTS: Mapping[PairTest, tuple[str, ...]] = {
    tensor_identity: ("tensor-identity/v1", "tensor-places/v1"),
    multiset_identity: ("multiset-identity/v1",),
    row_containment: ("row-containment/v1",),
    component_identity: ("component-identity/v1",),
    neuron_alignment: ("neuron-alignment/v1",),
    expert_alignment: ("expert-alignment/v1",),
    anchored_alignment: ("anchored-alignment/v1",),
    matched_signs: ("matched-signs/v1",),
    anchored_signs: ("anchored-signs/v1",),
    neuron_norm_correspondence: ("neuron-norm-correspondence/v1",),
    residual_norm_correspondence: ("residual-norm-correspondence/v1",),
    norm_gain_correspondence: ("norm-gain-correspondence/v1",),
    qkv_bias_correspondence: ("qkv-bias-correspondence/v1",),
    head_norm_correspondence: ("head-norm-correspondence/v1",),
    query_latent_correspondence: ("query-latent-correspondence/v1",),
    key_latent_correspondence: ("key-latent-correspondence/v1",),
    expert_norm_correspondence: ("expert-norm-correspondence/v1",),
    residual_activation_correspondence: ("residual-activation-correspondence/v1",),
    neuron_matching: (
        "matched-agreement/v1",
        "layer-alignment/v1",
        "width-alignment/v1",
        "matched-rank-correlation/v1",
    ),
    anchored_agreement: ("anchored-agreement/v1",),
    activation_matching: ("activation-matching/v1", "activation-matching-halves/v1", "activation-layer-alignment/v1"),
    expert_ancestry: ("expert-ancestry/v1",),
    attention_std_correlation: ("attention-std-correlation/v1",),
    norm_gain_cosine: ("norm-gain-cosine/v1", "norm-gain-correlation/v1"),
    representation_similarity: ("debiased-cka/v1", "linear-cka/v1"),
    prediction_agreement: ("prediction-agreement/v1",),
    direction_signs: ("direction-signs/v1",),
}
"""All tests, and the ids of what each gives. A new one is a file beside these and a line here."""

DEEP_TESTS: tuple[PairTest, ...] = (anchored_alignment, anchored_signs, anchored_agreement)
"""Tests that need sketches on axes of words of both, which are made only where they are asked for."""

PANEL_TESTS: tuple[PairTest, ...] = (
    neuron_matching,
    anchored_agreement,
    expert_ancestry,
    attention_std_correlation,
    norm_gain_cosine,
)
"""Tests that say little without a reference panel; a panel that is made of a library holds what they give."""

WEIGHT_TESTS: Mapping[WeightTest, tuple[str, ...]] = {
    recovered_alignment: ("recovered-alignment/v1",),
    recovered_matching: ("recovered-signs/v1", "recovered-agreement/v1"),
    exact_replay: ("exact-replay/v1",),
    weight_delta: ("weight-delta/v1",),
    full_matching: ("full-row-agreement/v1", ASSIGNED_TEST),
    vocabulary_lens: ("vocabulary-lens-agreement/v1",),
    head_alignment: ("head-alignment/v1",),
    token_rows: ("token-rows/v1",),
    embedding_anchors: ("embedding-anchors-correlation/v1",),
    matrix_alignment: ("awm/v1",),
    invariant_terms: ("huref-invariants/v1",),
    projection_spectra: ("spectrum-correlation/v1",),
}
"""Tests that need the weights of both, and the ids of what each gives. A new one is a file in ``weights`` and a line here."""

DOES_NOT_SHOW = (
    "Which of the two came first, or who took what from whom.",
    "Whether a license permits it.",
    "Why, where an exact test rejects H2: the weights, or the initialization, may come from a third.",
    "Independence: neurons in another order, with other signs or no gates, in a rotated residual stream leave exact tests nothing.",
    "Anything about code, data or licenses: code reuse is not weight reuse.",
)


def compare(  # noqa: PLR0913 - each is a choice of its own, given by name
    a: Fingerprints,
    b: Fingerprints,
    *,
    tool: Tool,
    environment: Environment,
    weights: tuple[Model, Model] | None = None,
    assignments: bool = True,
    parents: Sequence[Parent] = (),
    panel: ReferencePanel | None = None,
    now: datetime | None = None,
) -> Comparison:
    """Run every test on a pair.

    Parameters
    ----------
    a, b : Fingerprints
    weights : tuple of Model, optional
        The checkpoints that these are of, opened before they were measured, with their tensors in place: runs
        ``WEIGHT_TESTS`` too.
    assignments : bool
        With weights: whether neurons are matched by linear sum assignments too.
    parents : sequence of Parent
        With weights: further candidates that b may have been merged from, beside a.
    panel : ReferencePanel, optional
        What the tests gave on pairs whose relation is known: calibrates those that ``EMPIRICAL`` names.
    tool, environment
        What is running, for the record.
    now : datetime, optional
        This machine's clock by default.

    Returns
    -------
    Comparison
        All tests, also the null ones; exchanging a and b changes no statistic.

    Raises
    ------
    CheckpointError
        A file of the weights has changed since it was opened.
    """
    outcomes = [test(a, b) for test in TESTS]
    if weights is not None:
        briefly: dict[WeightTest, WeightTest] = (
            {} if assignments else {full_matching: partial(full_matching, assignment=False)}
        )
        outcomes += [briefly.get(test, test)(a, b, weights) for test in WEIGHT_TESTS]
        if parents:
            candidates = (Parent(fingerprints=a, weights=weights[0].checkpoint), *parents)
            outcomes.append(merge_coefficients(weights[1].checkpoint, candidates))
        for one in (*(model.checkpoint for model in weights), *(parent.weights for parent in parents)):
            one.tree.check_unchanged()
    tests = tuple(test for outcome in outcomes for test in outcome.tests)
    ranked = hold_against(panel, (placed(a), placed(b)), tests) if panel is not None else None
    return Comparison(
        measured_at=timestamp(now),
        tool=tool,
        environment=environment,
        a=a.side,
        b=b.side,
        protocol=None,
        tests=ranked.tests if ranked else tests,
        controls=tuple(one for outcome in outcomes for one in outcome.controls),
        found=tuple(one for outcome in outcomes for one in outcome.found),
        panel=ranked.panel if ranked else None,
        not_compared=(
            *(item for outcome in outcomes for item in outcome.not_compared),
            *(ranked.not_compared if ranked else ()),
        ),
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
