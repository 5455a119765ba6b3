"""Tests and tables out of an agreement between layers, whatever the neurons were told by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from attest.compare.controls import share_controls
from attest.compare.descriptive import descriptive
from attest.compare.digits import signed_digits
from attest.compare.matching.layer_agreement import NO_OTHER_LAYER, LayerAgreement
from attest.compare.matching.layer_alignment import AlignedLayer, align_layers
from attest.compare.outcome import Outcome, left_out
from attest.compare.strangers import strangers_gave
from attest.comparison import Found, LayerStatistic, Test
from attest.document import decimal
from attest.evidence import Table

__all__ = ["agreement_outcome", "aligned_outcome", "matched_test", "share_test"]


def matched_test(test_id: str, looks: str, agreement: LayerAgreement) -> Test:
    """Share of neurons whose partner is the same by both ``looks``, over the pairs of layers that agree most."""
    others = agreement.controls["other-layers"] or (0.0,)
    note = (
        f"mean share of neurons whose partner {looks} is the same, each layer of"
        f" {'a' if agreement.by_first else 'b'} with the layer that agrees most, layer 0 apart; layers that are not partners"
        f" agree on {decimal(sum(others) / len(others), 3)} at the mean and {decimal(max(others), 3)} at most"
        f"{strangers_gave(test_id)}"
    )
    return share_test(test_id, note, agreement)


def share_test(test_id: str, note: str, agreement: LayerAgreement) -> Test:
    """Mean share of the pairs of layers that agree most, layer 0 apart; with the share of every such pair."""
    layers = tuple(
        LayerStatistic(
            layer=one.first if agreement.by_first else one.second,
            n=one.sampled,
            statistic=signed_digits(one.share),
            z=None,
        )
        for one in agreement.partners
        if one.sampled > 1
    )
    deep = agreement.deep
    mean = sum(one.share for one in deep) / len(deep)
    return descriptive(test_id, mean, sum(one.sampled for one in deep), note, layers=layers)


def agreement_outcome(test_id: str, agreement: LayerAgreement, test: Callable[[], Test]) -> Outcome:
    """A test of an agreement and its controls; these and a reason, where there is no layer beside layer 0."""
    controls = share_controls(test_id, agreement.controls)
    if not agreement.deep:
        return Outcome(controls=controls, not_compared=left_out(test_id, NO_OTHER_LAYER))
    return Outcome(tests=(test(),), controls=controls)


def aligned_outcome(test_id: str, layers_id: str, looks: str, agreement: LayerAgreement) -> Outcome:
    """Both tests of an agreement, of neurons and of layers in order, with its controls and tables."""
    lines = align_layers(agreement.best_known(), tuple(agreement.first_widths), tuple(agreement.second_widths))
    matched = agreement_outcome(test_id, agreement, lambda: matched_test(test_id, looks, agreement))
    return replace(
        matched,
        tests=(*matched.tests, _alignment_test(layers_id, lines, agreement)),
        found=(_matrix_table(test_id, agreement), _lines_table(layers_id, lines)),
    )


def _alignment_test(test_id: str, lines: Sequence[AlignedLayer], agreement: LayerAgreement) -> Test:
    """Share of the shallower network's layers that are found in the other in one order."""
    in_order = [one for one in lines if one.relation == "in order"]
    alone = [one for one in lines if one.relation == "alone"]
    of_a = sum(1 for one in alone if one.second is None)
    repeated = sum(1 for one in lines if one.relation == "repeated")
    moved = sum(1 for one in lines if one.relation == "out of order")
    fewest = min(len(agreement.first_widths), len(agreement.second_widths))
    return descriptive(
        test_id,
        len(in_order) / fewest,
        len(in_order),
        f"{len(in_order)} of the {fewest} layers of the shallower network are found in the other in one order; besides"
        f" {moved} out of order, {repeated} repeated, {of_a} of a and {len(alone) - of_a} of b not found",
    )


def _matrix_table(test_id: str, agreement: LayerAgreement) -> Found:
    """Agreement of all layer pairs."""
    columns = ("layer of a", *(str(layer) for layer in agreement.second_widths))
    rows = tuple(
        (str(layer), *(decimal(share, 3) for share in shares.tolist()))
        for layer, shares in zip(agreement.first_widths, agreement.matrix, strict=True)
    )
    title = "Agreement of every layer of a with every layer of b, from a small sample"
    return Found(id=test_id, title=title, table=Table(columns=columns, rows=rows))


def _lines_table(test_id: str, lines: Sequence[AlignedLayer]) -> Found:
    """Which layer of one is which of the other."""

    def cell(layer: int | None) -> str:
        return "-" if layer is None else str(layer)

    rows = tuple((cell(one.first), cell(one.second), decimal(one.share, 3), one.relation) for one in lines)
    columns = ("layer of a", "layer of b", "agreement", "relation")
    return Found(id=test_id, title="Which layer is found in which", table=Table(columns=columns, rows=rows))
