"""A comparison run again: the same digits for honest ones, and every lie about a test named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from measured import measured
from recompared import CHILD, PARENT, STRANGER, again, of_evidence, of_weights, side, write_side

from attest.compare.announcement import announce, find_deviations
from attest.comparison import Comparison, NotCompared
from attest.errors import InputError
from attest.evidence_directory import read_statement, write_evidence
from attest.panel import shipped_panel
from attest.policy_file import DEFAULT_POLICY
from attest.program import this_tool
from attest.protocol import protocol_statement
from attest.recompare import Pair, recompare
from attest.reproduction import Reproduction, Value


def outcomes(result: Reproduction) -> set[str]:
    return {value.outcome for value in result.values}


def differing(result: Reproduction) -> dict[str, str]:
    return {value.name: value.message for value in result.values if value.outcome == "differs"}


def value_of(result: Reproduction, name: str) -> Value:
    return next(value for value in result.values if value.name == name)


@pytest.fixture
def sides(tmp_path: Path) -> dict[str, Path]:
    return {"a": write_side(tmp_path / "a", "seed-1"), "b": write_side(tmp_path / "b", "seed-1-continued")}


def test_from_evidence_every_digit_comes_out_again(sides: dict[str, Path], tmp_path: Path):
    result = again(tmp_path / "comparison", of_evidence(), **sides)
    assert outcomes(result) == {"identical"}
    assert result.reproduced
    assert result.same_program
    assert not result.not_measured
    assert {test.id for test in of_evidence().tests} < {value.name for value in result.values}
    assert value_of(result, "neuron-alignment/v1").message == "statistic 128.389, z 128.4"


def test_from_checkpoints_under_other_names_in_either_order(tmp_path: Path):
    mine = tmp_path / "mine"
    mine.symlink_to(PARENT)
    result = again(tmp_path / "comparison", of_evidence(), a=CHILD, b=mine)
    assert outcomes(result) == {"identical"}


def test_weights_and_candidates_are_read_again(tmp_path: Path):
    result = again(tmp_path / "comparison", of_weights(), a=PARENT, b=CHILD, parents=(STRANGER,))
    assert outcomes(result) <= {"identical", "within-tolerance"}
    assert {"recovered-signs/v1", "merge-coefficients/v1"} <= {value.name for value in result.values}
    assert "assigned-rank-correlation/v1" not in {value.name for value in result.values}, "left out both times"


def test_what_the_copies_do_not_suffice_for_is_left_out_and_said(sides: dict[str, Path], tmp_path: Path):
    result = again(tmp_path / "comparison", of_weights(), **sides)
    assert result.reproduced
    left = {value.name: value.message for value in result.values if value.outcome == "not-measured"}
    assert left["weight-delta/v1"] == "reads weights: give both checkpoints"
    assert left["merge-coefficients/v1"] == "give the same candidates as --parent, and both checkpoints"
    assert set(left) <= set(result.not_asked)
    assert not result.not_measured


def test_another_network_differs(tmp_path: Path):
    result = again(tmp_path / "comparison", of_evidence(), a=STRANGER, b=CHILD)
    found = differing(result)
    assert not result.reproduced
    assert found["checkpoint a"].endswith(f"this is tree {measured('seed-2').evidence.checkpoint.tree_digest}")
    assert found["neuron-alignment/v1"].startswith("tests 1 statistic was 128.389, now 0.3596")


def raised(comparison: Comparison) -> Comparison:
    first, *others = (test for test in comparison.tests if test.id == "norm-gain-cosine/v1")
    assert not others
    tests = tuple(replace(test, statistic=0.9999) if test is first else test for test in comparison.tests)
    return replace(comparison, tests=tests)


def left_out(comparison: Comparison) -> Comparison:
    tests = tuple(test for test in comparison.tests if test.id != "norm-gain-cosine/v1")
    reason = NotCompared(id="norm-gain-cosine/v1", reason="the gains were not at hand")
    return replace(comparison, tests=tests, not_compared=(*comparison.not_compared, reason))


def not_named(comparison: Comparison) -> Comparison:
    return replace(comparison, tests=tuple(one for one in comparison.tests if one.id != "norm-gain-cosine/v1"))


def twice(comparison: Comparison) -> Comparison:
    return replace(comparison, tests=(*raised(comparison).tests, *comparison.tests))


def without_controls(comparison: Comparison) -> Comparison:
    return replace(comparison, controls=tuple(one for one in comparison.controls if one.test != "neuron-alignment/v1"))


def with_another_table(comparison: Comparison) -> Comparison:
    return replace(comparison, found=tuple(one for one in comparison.found if one.id != "direction-signs/v1"))


def with_a_table_of_its_own(comparison: Comparison) -> Comparison:
    table = replace(comparison.found[0], id="component-identity/v1")
    return replace(comparison, found=(*comparison.found, table))


def without_limits(comparison: Comparison) -> Comparison:
    return replace(comparison, does_not_show=comparison.does_not_show[1:])


def with_a_better_rank(comparison: Comparison) -> Comparison:
    assert comparison.panel
    ranks = tuple(
        replace(one, independent=replace(one.independent, at_least=one.independent.at_least + 1))
        if one.id == "attention-std-correlation/v1"
        else one
        for one in comparison.panel.ranks
    )
    return replace(comparison, panel=replace(comparison.panel, ranks=ranks))


@pytest.mark.parametrize(
    ("lie", "name", "message"),
    [
        (raised, "norm-gain-cosine/v1", "tests 1 statistic was 0.9999, now 0.99932"),
        (left_out, "norm-gain-cosine/v1", "the gains were not at hand; now statistic 0.999325"),
        (not_named, "norm-gain-cosine/v1", "it is not in the comparison; now statistic 0.999325"),
        (without_controls, "neuron-alignment/v1", "controls was [], now "),
        (with_another_table, "direction-signs/v1", "found was [], now "),
        (with_a_table_of_its_own, "component-identity/v1", "found was ["),
        (without_limits, "what it does not show", "the program says otherwise"),
        (with_a_better_rank, "attention-std-correlation/v1", "ranks 1 independent atLeast was "),
    ],
)
def test_whoever_alters_or_hides_one_test_is_found(
    lie: Callable[[Comparison], Comparison], name: str, message: str, sides: dict[str, Path], tmp_path: Path
):
    found = differing(again(tmp_path / "comparison", lie(of_evidence()), **sides))
    assert list(found) == [name]
    assert found[name].startswith(message)


def test_a_test_that_stands_there_twice_differs(sides: dict[str, Path], tmp_path: Path):
    found = differing(again(tmp_path / "comparison", twice(of_evidence()), **sides))
    assert set(found) == {test.id for test in of_evidence().tests}


def test_a_test_that_nobody_has_is_not_decided(sides: dict[str, Path], tmp_path: Path):
    made_up = replace(of_evidence().tests[0], id="proof-of-theft/v1")
    result = again(tmp_path / "comparison", replace(of_evidence(), tests=(*of_evidence().tests, made_up)), **sides)
    assert value_of(result, "proof-of-theft/v1").message == "this program has no such test"
    assert result.not_measured == ("proof-of-theft/v1",)


def test_without_the_panel_nothing_is_said_of_ranks(sides: dict[str, Path], tmp_path: Path):
    signed = of_evidence()
    assert signed.panel
    other = replace(signed, panel=replace(signed.panel, sha256="0" * 64))
    result = again(tmp_path / "comparison", other, **sides)
    assert result.reproduced
    missing = {value.name for value in result.values if value.outcome == "not-measured"}
    assert missing == {"matched-agreement/v1", "reference panel"}
    assert value_of(result, "reference panel").message == f"give the reference panel of SHA-256 {'0' * 64} as --panel"


def test_the_announcement_is_held_against_the_comparison(sides: dict[str, Path], tmp_path: Path):
    protocol = announce(
        a=None,
        b=None,
        deep=False,
        weights=True,
        policy=DEFAULT_POLICY,
        panel_sha256=shipped_panel().sha256,
        tool=this_tool(),
    )
    statement = protocol_statement(protocol)
    write_evidence(tmp_path / "protocol", statement, {})
    kept = find_deviations(statement, protocol, of_evidence(), deep=False)
    assert kept.deviations, "weights were announced, and not compared"
    honest = again(tmp_path / "honest", replace(of_evidence(), protocol=kept), **sides, protocol=tmp_path / "protocol")
    assert value_of(honest, "announcement").outcome == "identical"
    newer = replace(of_evidence(), tool=replace(of_evidence().tool, source_sha256="0" * 64))
    kept_by_another = find_deviations(statement, protocol, newer, deep=False)
    assert len(kept_by_another.deviations) == len(kept.deviations) + 1
    said = again(tmp_path / "newer", replace(newer, protocol=kept_by_another), **sides, protocol=tmp_path / "protocol")
    assert value_of(said, "announcement").outcome == "identical", "of the program that was run, not of this one"
    silent = replace(of_evidence(), protocol=replace(kept, deviations=()))
    lie = again(tmp_path / "lie", silent, **sides, protocol=tmp_path / "protocol")
    assert list(differing(lie)) == ["announcement"]
    unasked = again(tmp_path / "unasked", replace(of_evidence(), protocol=kept), **sides)
    assert value_of(unasked, "announcement").outcome == "not-measured"
    assert unasked.reproduced


def test_code_that_is_not_the_same_is_said(sides: dict[str, Path], tmp_path: Path):
    older = replace(of_evidence(), tool=replace(of_evidence().tool, source_sha256="0" * 64))
    assert not again(tmp_path / "comparison", older, **sides).same_program


def test_another_kind_of_statement_is_refused(sides: dict[str, Path]):
    with pytest.raises(InputError) as refused:
        recompare(read_statement(sides["a"]), sides["a"], Pair(**sides))
    assert refused.value.code == "not-a-comparison"


def test_the_side_is_what_was_signed(sides: dict[str, Path], tmp_path: Path):
    wide = replace(of_evidence(), a=replace(side("seed-1").side, parameters=7))
    found = differing(again(tmp_path / "comparison", wide, **sides))
    assert found == {"checkpoint a": "has the same files, but another number of parameters or layers was found in them"}
