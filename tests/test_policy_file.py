"""A reader's policy as a file: read strictly, within bounds, and heard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.document import dump
from attest.errors import AttestError, DocumentError, InputError
from attest.policy_file import DEFAULT_POLICY, MAX_POLICY, parse_policy, policy_digest, read_policy

VALUE: dict[str, Any] = dump(DEFAULT_POLICY)


def parsed(**changed: Any) -> Any:
    return parse_policy(json.dumps(VALUE | changed).encode(), where="policy.json")


def scale(*bounds: float) -> dict[str, Any]:
    return VALUE["scale"] | {"grades": [{"above": bound, "words": f"above {bound}"} for bound in bounds]}


def test_the_default_policy_is_a_file_that_reads_back_to_itself() -> None:
    assert parsed() == DEFAULT_POLICY
    assert parsed(minimumZ=6) == DEFAULT_POLICY
    assert policy_digest(parsed()) == policy_digest(DEFAULT_POLICY)
    assert policy_digest(parsed(alpha=0.001)) != policy_digest(DEFAULT_POLICY)


@pytest.mark.parametrize(
    ("bounds", "pvalue", "words"),
    [
        ((0, 0.01), 0.01, "above 0"),
        ((0, 0.01), 0.011, "above 0.01"),
        ((0, 0.01), 1.0, "above 0.01"),
        ((0,), 1e-9, "above 0"),
        ((0, 0.01), 0.0, "above 0"),
        ((0, 0.01), -3.0, "above 0"),
    ],
)
def test_the_words_of_the_highest_bound_that_is_exceeded_count(
    bounds: tuple[float, ...], pvalue: float, words: str
) -> None:
    assert parsed(scale=scale(*bounds)).scale.words(pvalue) == words


@pytest.mark.parametrize("bounds", [(0.1,), (0, 0.1, 0.1), (0, 0.5, 0.2)])
def test_grades_that_do_not_ascend_from_0_are_refused(bounds: tuple[float, ...]) -> None:
    with pytest.raises(DocumentError) as refused:
        parsed(scale=scale(*bounds))
    assert (refused.value.code, refused.value.where) == ("bad-policy", "policy.json#/scale")


def test_a_level_for_inconclusive_below_the_one_for_a_rejection_is_refused() -> None:
    with pytest.raises(DocumentError) as refused:
        parsed(alpha=0.05)
    assert refused.value.code == "bad-policy"


@pytest.mark.parametrize(
    "changed",
    [
        {"policyType": "https://attest/trust-policy/v1"},
        {"alpha": 0},
        {"panels": []},
        {"panels": ["0" * 63]},
        {"alpha": "0.01"},
        {"minimumZ": 0.5},
        {"controlZ": None},
        {"minimumTensors": 0},
        {"id": ""},
        {"id": "x" * 101},
        {"scale": VALUE["scale"] | {"measure": "likelihood-ratio"}},
        {"scale": VALUE["scale"] | {"grades": []}},
        {"scale": scale(*(number / 100 for number in range(21)))},
        {"verdict": "guilty"},
    ],
)
def test_what_the_schema_does_not_allow_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(DocumentError) as refused:
        parsed(**changed)
    assert refused.value.code == "not-of-schema"


def test_a_file_that_is_too_large_or_not_there_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    large.write_bytes(json.dumps(VALUE).encode() + b" " * MAX_POLICY)
    with pytest.raises(DocumentError) as too_large:
        read_policy(large)
    assert too_large.value.code == "document-too-large"
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError) as missing:
            read_policy(place)
        assert missing.value.code == "no-policy"


@given(st.binary(max_size=300) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(repr).map(str.encode))
def test_any_bytes_are_a_policy_or_one_coded_error(data: bytes) -> None:
    with pytest.raises(AttestError):
        parse_policy(data, where="policy.json")
