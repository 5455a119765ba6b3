"""``matched-agreement/v1``, ``layer-alignment/v1``, ``width-alignment/v1``: neurons found by what they are.

A permutation of the hidden neurons, moved, inserted, dropped layers, and a widened MLP defeat every test by index. These
three do not use the index. They are descriptive: networks trained apart may hold some of the same neurons, and only a
reference panel of such pairs can tell how many; until there is one, controls stand beside the number.

References
----------
Zhu, Ahmed, Kuditipudi, Liang, "Independence Tests for Language Models", ICML 2025, section 3.2 (two matchings of one
layer, whose agreement is the statistic).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from attest.compare.controls import share_controls
from attest.compare.descriptive import descriptive
from attest.compare.fingerprints import Fingerprints
from attest.compare.layer_agreement import LayerAgreement, LayerPair, agreement_of_sides, sketched_layers
from attest.compare.layer_alignment import AlignedLayer, align_layers
from attest.compare.outcome import Outcome, left_out
from attest.compare.permutation import signed_digits
from attest.compare.rank_correlation import matched_rank_correlation
from attest.comparison import Found, LayerStatistic, NotCompared, Test
from attest.document import decimal
from attest.evidence import Table
from attest.fingerprint.unit_sums import N_BUCKETS

__all__ = ["neuron_matching"]

_AGREEMENT = "matched-agreement/v1"
_LAYERS = "layer-alignment/v1"
_WIDTH = "width-alignment/v1"
_SKETCH = "neuron-sketch/v1"


def neuron_matching(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Match the neurons of every layer of a with those of every layer of b.

    Notes
    -----
    Survives what ``neuron-alignment/v1`` survives, and besides a permutation of the hidden neurons, their rescaling,
    and layers or neurons that were added or left out. A rotation or permutation of the residual stream defeats it. It
    does not show descent by itself: no p-value can be given without a panel of unrelated pairs.
    """
    if a.architecture.d_model != b.architecture.d_model:
        sizes = f"{a.architecture.d_model} and {b.architecture.d_model}"
        return _nothing(f"hidden sizes differ ({sizes}): sketches have no common axes")
    mine, theirs = sketched_layers(a, _SKETCH, N_BUCKETS), sketched_layers(b, _SKETCH, N_BUCKETS)
    if not mine or not theirs:
        return _nothing("one of the two has no neuron sketch")
    if len({neurons.gated for neurons in (*mine.values(), *theirs.values())}) > 1:
        return _nothing("only one of the two has gates, or only some layers have")
    agreement = agreement_of_sides(_AGREEMENT, a, b, mine, theirs)
    outcome, deep = _outcome(agreement), [one for one in agreement.partners if one.first and one.second]
    if not deep:
        return outcome
    ranked = matched_rank_correlation(deep, mine, theirs, (a.side.tree_digest, b.side.tree_digest))
    return replace(outcome, tests=(*outcome.tests, ranked))


def _nothing(reason: str) -> Outcome:
    return Outcome(not_compared=tuple(one for name in (_AGREEMENT, _LAYERS, _WIDTH) for one in left_out(name, reason)))


def _outcome(agreement: LayerAgreement) -> Outcome:
    deep = [one for one in agreement.partners if one.first and one.second]
    lines = align_layers(agreement.best_known(), tuple(agreement.first_widths), tuple(agreement.second_widths))
    tests = [_alignment(lines, agreement)]
    missing: list[NotCompared] = []
    if deep:
        tests.insert(0, _matched(deep, agreement))
    else:
        missing += left_out(_AGREEMENT, "layer 0 is reported apart, and there is no other")
    width = _width(deep, agreement)
    if width is None:
        missing += left_out(_WIDTH, "layers that belong together are equally wide")
    return Outcome(
        tests=(*tests, *((width,) if width else ())),
        controls=share_controls(_AGREEMENT, agreement.controls),
        found=(_matrix_table(agreement), _lines_table(lines)),
        not_compared=tuple(missing),
    )


def _matched(deep: Sequence[LayerPair], agreement: LayerAgreement) -> Test:
    by_first = agreement.by_first
    statistics = tuple(
        LayerStatistic(
            layer=one.first if by_first else one.second, n=one.sampled, statistic=signed_digits(one.share), z=None
        )
        for one in agreement.partners
        if one.sampled > 1
    )
    others = agreement.controls["other-layers"] or (0.0,)
    return descriptive(
        _AGREEMENT,
        sum(one.share for one in deep) / len(deep),
        sum(one.sampled for one in deep),
        f"mean share of neurons whose partner by gate and by the rest is the same, each layer of"
        f" {'a' if by_first else 'b'} with the layer that agrees most, layer 0 apart; layers that are not partners"
        f" agree on {decimal(sum(others) / len(others), 3)} at the mean and {decimal(max(others), 3)} at most",
        layers=statistics,
    )


def _alignment(lines: Sequence[AlignedLayer], agreement: LayerAgreement) -> Test:
    in_order = [one for one in lines if one.relation == "in order"]
    alone = [one for one in lines if one.relation == "alone"]
    of_a = sum(1 for one in alone if one.second is None)
    repeated = sum(1 for one in lines if one.relation == "repeated")
    moved = sum(1 for one in lines if one.relation == "out of order")
    fewest = min(len(agreement.first_widths), len(agreement.second_widths))
    return descriptive(
        _LAYERS,
        len(in_order) / fewest,
        len(in_order),
        f"{len(in_order)} of the {fewest} layers of the shallower network are found in the other in one order; besides"
        f" {moved} out of order, {repeated} repeated, {of_a} of a and {len(alone) - of_a} of b not found",
    )


def _width(deep: Sequence[LayerPair], agreement: LayerAgreement) -> Test | None:
    """Share of the narrower layers' neurons that are found in the wider ones."""
    sizes = [(agreement.first_widths[one.first], agreement.second_widths[one.second], one) for one in deep]
    unequal = [(first, second, one) for first, second, one in sizes if first != second]
    if not unequal:
        return None
    widths = sorted({f"{first} in a and {second} in b" for first, second, _ in unequal})
    return descriptive(
        _WIDTH,
        sum(one.share for *_, one in unequal) / len(unequal),
        sum(one.sampled for *_, one in unequal),
        f"mean share of the neurons of the narrower layer that are found in the wider one, over {len(unequal)} layers"
        f" that agree most ({', '.join(widths[:4])} neurons), layer 0 apart",
    )


def _matrix_table(agreement: LayerAgreement) -> Found:
    columns = ("layer of a", *(str(layer) for layer in agreement.second_widths))
    rows = tuple(
        (str(layer), *(decimal(share, 3) for share in shares.tolist()))
        for layer, shares in zip(agreement.first_widths, agreement.matrix, strict=True)
    )
    title = "Agreement of every layer of a with every layer of b, from a small sample"
    return Found(id=_AGREEMENT, title=title, table=Table(columns=columns, rows=rows))


def _lines_table(lines: Sequence[AlignedLayer]) -> Found:
    def cell(layer: int | None) -> str:
        return "-" if layer is None else str(layer)

    rows = tuple((cell(one.first), cell(one.second), decimal(one.share, 3), one.relation) for one in lines)
    columns = ("layer of a", "layer of b", "agreement", "relation")
    return Found(id=_LAYERS, title="Which layer is found in which", table=Table(columns=columns, rows=rows))
