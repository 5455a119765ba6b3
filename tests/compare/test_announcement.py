"""What was announced, what was run, and every difference between the two."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from compare.pairs import compared, measured
from signed import sign_statement
from verifying import ANYBODY

from attest.compare.announcement import DEEP_METHODS, METHODS, WEIGHT_METHODS, announce, find_deviations, read_protocol
from attest.comparison import NotCompared
from attest.errors import InputError
from attest.evidence_directory import write_evidence
from attest.policy_file import DEFAULT_POLICY
from attest.program import this_tool
from attest.protocol import AnnouncedSide, Protocol, protocol_statement
from attest.signer import open_signer
from attest.signer.key import write_key_pair
from attest.statement import Statement
from attest.verify import check_content, verify


def side(name: str) -> AnnouncedSide:
    return AnnouncedSide(name=name, tree_digest=measured(name).side.tree_digest)


def announced(**changed: Any) -> Protocol:
    options: dict[str, Any] = {
        "a": side("seed-1"), "b": side("seed-2"), "deep": False, "weights": False, "policy": DEFAULT_POLICY,
        "panel_sha256": None, "tool": this_tool(),
    }  # fmt: skip
    return announce(**(options | changed))


def deviations(protocol: Protocol, a: str = "seed-1", b: str = "seed-2", *, deep: bool = False) -> tuple[str, ...]:
    comparison = compared(measured(a), measured(b))
    return find_deviations(protocol_statement(protocol), protocol, comparison, deep=deep).deviations


def test_what_is_run_as_announced_deviates_in_nothing() -> None:
    protocol = announced()
    assert deviations(protocol) == ()
    assert deviations(protocol, "seed-2", "seed-1") == ()
    assert deviations(announced(a=None, b=None)) == ()
    named = find_deviations(
        protocol_statement(protocol), protocol, compared(measured("seed-1"), measured("seed-2")), deep=False
    )
    assert named.statement_sha256 == protocol_statement(protocol).digest


def test_the_methods_are_those_that_a_comparison_runs() -> None:
    comparison = compared(measured("seed-1"), measured("seed-2"))
    run = {one.id for one in (*comparison.tests, *comparison.not_compared)}
    assert run - set(DEEP_METHODS) == set(METHODS)
    assert run >= set(DEEP_METHODS)
    assert not run & set(WEIGHT_METHODS)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"a": side("seed-3")}, "is neither of the two"),
        ({"tool": dataclasses.replace(this_tool(), source_sha256="0" * 64)}, "and another was run"),
        ({"panel_sha256": "1" * 64}, "was announced and none was used"),
        ({"deep": True}, "sketches on axes of words were announced"),
        ({"weights": True}, "exact-replay/v1 was announced and not run"),
    ],
)
def test_each_difference_is_named(changed: dict[str, Any], words: str) -> None:
    assert any(words in one for one in deviations(announced(**changed)))


def test_another_rule_and_a_test_that_was_not_announced_are_named() -> None:
    protocol = announced()
    fewer = dataclasses.replace(protocol, resampling=dataclasses.replace(protocol.resampling, least=9))
    assert deviations(fewer) == ("null distributions were announced to be drawn by another rule",)
    without = dataclasses.replace(protocol, methods=protocol.methods[1:])
    assert deviations(without) == ("tensor-identity/v1 was run and not announced",)


def test_a_test_that_was_announced_and_gave_a_reason_was_run() -> None:
    comparison = compared(measured("seed-1"), measured("seed-2"))
    assert NotCompared(id="width-alignment/v1", reason="layers that belong together are equally wide") in (
        comparison.not_compared
    )
    assert not any("width" in one for one in deviations(announced()))


@pytest.mark.parametrize("named", [True, False])
def test_a_protocol_is_signed_and_verified_like_evidence(tmp_path: Path, *, named: bool) -> None:
    protocol = announced() if named else announced(a=None, b=None)
    statement = protocol_statement(protocol)
    assert [one.name for one in statement.subjects] == ["policy", *(["a:seed-1", "b:seed-2"] if named else [])]
    write_evidence(tmp_path / "protocol", statement, {})
    write_key_pair(tmp_path / "key.pem")
    sign_statement(tmp_path / "protocol", statement, open_signer(str(tmp_path / "key.pem")))
    result = verify(tmp_path / "protocol", expectation=ANYBODY)
    assert (result.integrity, result.exit_code) == ("PASSED", 0)
    assert read_protocol(tmp_path / "protocol")[1] == protocol


def test_subjects_that_are_not_the_policy_and_the_sides_fail() -> None:
    statement = protocol_statement(announced())
    fewer = Statement.build(
        subjects=statement.subjects[1:], predicate_type=statement.predicate_type, predicate=statement.predicate
    )
    outcomes = {one.id: one.outcome for one in check_content(fewer.payload, None).checks}
    assert outcomes["subjects"] == "FAILED"


def test_evidence_is_no_protocol(tmp_path: Path) -> None:
    write_evidence(
        tmp_path / "other",
        Statement.build(subjects=protocol_statement(announced()).subjects, predicate_type="x", predicate={}),
        {},
    )
    with pytest.raises(InputError) as refused:
        read_protocol(tmp_path / "other")
    assert refused.value.code == "not-a-protocol"
