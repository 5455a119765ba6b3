"""The reference panel: what is comparable, what is left out, and what a hostile file can do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.comparison import EMPIRICAL
from attest.digest import sha256
from attest.errors import DocumentError, InputError
from attest.panel import (
    MAX_PANEL,
    MIN_PAIRS,
    Member,
    Panel,
    PanelPair,
    Placed,
    ReferencePanel,
    Shape,
    Statistic,
    pack_panel,
    read_panel,
    shipped_panel,
)
from attest.policy_file import DEFAULT_POLICY

SHAPE = Shape(layers=4, d_model=96, d_ff=256, gated=True)
MATCHED, WORDS, PUBLISHED = "matched-agreement/v1", "anchored-agreement/v1", "attention-std-correlation/v1"


def member(name: str, *lineages: str, shape: Shape | None = SHAPE, tokenizer: str | None = "t") -> Member:
    return Member(
        name=name,
        tree_digest=sha256(name.encode()),
        lineages=lineages or (name,),
        family="llama-like",
        shape=shape,
        parameters=1000,
        tokenizer_sha256=None if tokenizer is None else sha256(tokenizer.encode()),
    )


def pair(a: Member, b: Member, statistic: float, n: int = 768, test: str = MATCHED) -> PanelPair:
    return PanelPair(a=a.name, b=b.name, statistics={test: Statistic(statistic=statistic, n=n)})


def reference(models: list[Member], pairs: list[PanelPair]) -> ReferencePanel:
    made = Panel(name="p", version="1", made="for this test", models=tuple(models), pairs=tuple(pairs))
    return ReferencePanel.of(pack_panel(made), where="panel")


def apart(count: int = 20, *, test: str = MATCHED, **how: object) -> tuple[list[Member], list[PanelPair]]:
    """``count`` pairs of strangers, whose statistics are 0.001, 0.002 and so on."""
    models = [member(f"m{i}", **how) for i in range(2 * count)]  # type: ignore[arg-type]
    return models, [pair(models[2 * i], models[2 * i + 1], (i + 1) / 1000, test=test) for i in range(count)]


def at_hand(a: str = "a", b: str = "b", shape: Shape | None = SHAPE) -> tuple[Placed, Placed]:
    return tuple(Placed(tree_digest=sha256(name.encode()), shape=shape) for name in (a, b))  # type: ignore[return-value]


def ranked(panel: ReferencePanel, statistic: float, *, test: str = MATCHED, n: int = 768, **hand: object) -> object:
    said = panel.ranks(at_hand(**hand), {test: Statistic(statistic=statistic, n=n)})  # type: ignore[arg-type]
    return said.ranks[0] if said.ranks else None


def test_a_rank_counts_what_is_at_least_as_large_ties_among_it():
    panel = reference(*apart())
    rank = ranked(panel, 0.018)
    assert (rank.independent.n, rank.independent.at_least) == (20, 3)
    assert rank.pvalue == 4 / 21
    assert (rank.independent.median, rank.independent.greatest) == (0.0105, 0.02)
    assert rank.derived is None
    assert rank.likelihood_ratio is None


def test_fewer_than_19_pairs_give_no_rank():
    assert ranked(reference(*apart(MIN_PAIRS)), 0.5).pvalue == 0.05
    assert ranked(reference(*apart(MIN_PAIRS - 1)), 0.5) is None


def test_a_pair_with_either_tree_or_with_a_relative_of_it_is_left_out():
    models, pairs = apart(22)
    child, stranger = member("child", "m0"), member("stranger")
    panel = reference([*models, child, stranger], [*pairs, pair(child, stranger, 0.9)])
    assert ranked(panel, 0.5).independent.n == 23
    said = panel.ranks(at_hand(a="m0", b="m2"), {MATCHED: Statistic(statistic=0.5, n=768)})
    assert (said.pairs, said.left_out, said.ranks[0].independent.n) == (23, 3, 20)
    assert said.ranks[0].independent.at_least == 0


def test_pairs_with_an_origin_in_common_are_derived():
    models, pairs = apart()
    children = [member(f"c{i}", "m0", "m1") for i in range(19)]
    panel = reference([*models, *children], [*pairs, *(pair(models[0], child, 0.3) for child in children)])
    rank = ranked(panel, 0.3)
    assert (rank.derived.n, rank.derived.at_least) == (19, 19)
    assert rank.likelihood_ratio == pytest.approx(21)


def test_a_published_statistic_has_no_likelihood_ratio():
    models, pairs = apart(test=PUBLISHED)
    children = [member(f"c{i}", "m0") for i in range(19)]
    derived = [pair(models[0], child, 0.9, test=PUBLISHED) for child in children]
    rank = ranked(reference([*models, *children], [*pairs, *derived]), 0.9, test=PUBLISHED)
    assert rank.derived.n == 19
    assert rank.likelihood_ratio is None


@pytest.mark.parametrize(
    ("change", "comparable"),
    [
        ({"layers": 8}, True),
        ({"layers": 9}, False),
        ({"layers": 2}, True),
        ({"layers": 1}, False),
        ({"d_model": 192}, True),
        ({"d_model": 193}, False),
        ({"d_ff": 128}, True),
        ({"d_ff": 127}, False),
        ({"gated": False}, False),
    ],
)
def test_sizes_are_comparable_within_a_factor_of_two(change: dict[str, int], comparable: bool):  # noqa: FBT001 - a column
    panel = reference(*apart())
    assert (ranked(panel, 0.5, shape=replace(SHAPE, **change)) is not None) is comparable


def test_sizes_are_compared_in_either_order():
    wide = replace(SHAPE, d_ff=1024)
    models = [member(f"m{i}", shape=wide if i % 2 else SHAPE) for i in range(40)]
    panel = reference(models, [pair(models[i], models[i + 1], 0.001) for i in range(0, 40, 2)])
    first, second = Placed(tree_digest="0" * 64, shape=SHAPE), Placed(tree_digest="1" * 64, shape=wide)
    measured = {MATCHED: Statistic(statistic=0.5, n=768)}
    assert panel.ranks((first, second), measured).ranks == panel.ranks((second, first), measured).ranks
    assert panel.ranks((first, second), measured).ranks[0].independent.n == 20
    assert not panel.ranks((first, first), measured).ranks


def test_nothing_is_comparable_where_a_size_is_not_known():
    assert ranked(reference(*apart()), 0.5, shape=None) is None
    assert ranked(reference(*apart(shape=None)), 0.5) is None


def test_shares_of_many_fewer_neurons_are_not_comparable():
    panel = reference(*apart())
    assert ranked(panel, 0.5, n=384) is not None
    assert ranked(panel, 0.5, n=383) is None


def test_axes_of_words_ask_for_one_tokenizer_in_the_panel():
    for tokenizer, comparable in (("t", True), (None, False)):
        models, pairs = apart(test=WORDS, tokenizer=tokenizer)
        assert (ranked(reference(models, pairs), 0.5, test=WORDS) is not None) is comparable
    models, pairs = apart(test=WORDS)
    models = [member(one.name, tokenizer=f"t{i}") for i, one in enumerate(models)]
    assert ranked(reference(models, pairs), 0.5, test=WORDS) is None


def test_the_shipped_panel_is_small_and_of_both_kinds():
    panel = shipped_panel()
    assert len(pack_panel(panel.panel)) < 450_000
    members = {one.name: one for one in panel.panel.models}
    relations = [members[one.a].relation(members[one.b]) for one in panel.panel.pairs]
    assert relations.count("independent") > 100
    assert relations.count("derived") > 200


@pytest.mark.parametrize("gated", [True, False], ids=["gates", "no gates"])
def test_the_shipped_panel_suffices_for_as_many_tests_as_can_be_ranked(*, gated: bool):
    """After Holm the least p is the number of ranked tests over the number of pairs and one."""
    shape = Shape(layers=4, d_model=96, d_ff=256 if gated else 384, gated=gated)
    pair = (Placed(tree_digest="a" * 64, shape=shape), Placed(tree_digest="b" * 64, shape=shape))
    ranks = shipped_panel().ranks(pair, {test: Statistic(statistic=1.0, n=768) for test in EMPIRICAL}).ranks
    assert {one.id for one in ranks} == EMPIRICAL
    assert min(one.independent.n for one in ranks) >= len(EMPIRICAL) / DEFAULT_POLICY.panel_alpha - 1


def test_the_shipped_panel_is_what_the_validity_report_gives():
    pytest.importorskip("torch")
    from validity.panel import SHIPPED, panel_of  # noqa: PLC0415 - needs torch

    results = json.loads((Path(__file__).parents[1] / "reports/validity/results.json").read_text(encoding="utf-8"))
    assert SHIPPED.read_bytes() == pack_panel(panel_of(results))


STRANGERS = (member("x"), member("y"))


@pytest.mark.parametrize(
    ("models", "pairs"),
    [
        ([STRANGERS[0], STRANGERS[0]], []),
        ([STRANGERS[0], replace(STRANGERS[0], name="z")], []),
        (list(STRANGERS), [pair(*STRANGERS, 0.1), pair(*STRANGERS[::-1], 0.2)]),
        (list(STRANGERS), [pair(STRANGERS[0], STRANGERS[0], 0.1)]),
        ([STRANGERS[0]], [pair(*STRANGERS, 0.1)]),
    ],
    ids=["name twice", "tree twice", "pair twice", "pair of one", "unknown member"],
)
def test_a_contradictory_panel_is_refused(models: list[Member], pairs: list[PanelPair]):
    with pytest.raises(DocumentError) as refused:
        reference(models, pairs)
    assert refused.value.code == "bad-panel"


def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be read"):
        read_panel(tmp_path / "none.json")
    large = tmp_path / "large.json"
    large.write_bytes(b" " * (MAX_PANEL + 1))
    with pytest.raises(DocumentError) as refused:
        read_panel(large)
    assert refused.value.code == "document-too-large"


@given(st.binary(max_size=60) | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_any_bytes_are_a_panel_or_one_error(data: bytes):
    with pytest.raises(DocumentError):
        ReferencePanel.of(data, where="panel")
