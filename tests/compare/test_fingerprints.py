"""Fingerprints out of evidence directories: the same tests without weights, and nothing that was tampered with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare.pairs import compared, measured

from attest.checkpoint.arrays import pack_arrays
from attest.compare import comparison_statement
from attest.compare.fingerprints import holds_evidence, read_fingerprints
from attest.demo.weights import family
from attest.errors import AttestError, DigestMismatchError, DocumentError, InputError
from attest.evidence_directory import describe_detail, write_evidence
from attest.measure import measure


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    measurement = measure(family() / "seed-1")
    write_evidence(tmp_path / "evidence", measurement.statement(), measurement.details)
    return tmp_path / "evidence"


def test_evidence_gives_the_same_tests_as_the_checkpoint(evidence: Path) -> None:
    from_evidence = compared(read_fingerprints(evidence), measured("seed-1-continued"))
    from_weights = compared(measured("seed-1"), measured("seed-1-continued"))
    assert from_evidence.tests == from_weights.tests
    assert from_evidence.a.statement_sha256
    assert from_weights.a.statement_sha256 is None


def test_evidence_is_told_from_checkpoints(evidence: Path) -> None:
    assert holds_evidence(evidence)
    assert not holds_evidence(family() / "seed-1")
    assert not holds_evidence(family() / "seed-1" / "model.safetensors")


@pytest.mark.parametrize("name", ["neuron-sketch.v1.safetensors", "unit-norms.v1.safetensors", "tensors.json"])
def test_a_changed_fingerprint_is_refused(evidence: Path, name: str) -> None:
    file = evidence / "detail" / name
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(DigestMismatchError):
        read_fingerprints(evidence)


def test_a_comparison_is_not_evidence_about_one_checkpoint(tmp_path: Path) -> None:
    comparison = compared(measured("seed-1"), measured("seed-2"))
    write_evidence(tmp_path / "c", comparison_statement(comparison), {})
    with pytest.raises(InputError) as caught:
        read_fingerprints(tmp_path / "c")
    assert caught.value.code == "not-evidence"


def test_a_statement_that_is_no_evidence_is_refused(evidence: Path) -> None:
    value = json.loads((evidence / "statement.json").read_bytes())
    value["predicate"]["tensors"]["count"] = "many"
    (evidence / "statement.json").write_text(json.dumps(value))
    with pytest.raises(AttestError) as caught:
        read_fingerprints(evidence)
    assert caught.value.code == "not-of-schema"
    assert "/tensors/count" in caught.value.where


@pytest.mark.parametrize(
    ("fingerprint", "name", "array"),
    [
        ("attention-std.v1", "q", np.zeros((2, 2))),
        ("unit-norms.v1", "range:layers.0.neuron.up", np.zeros(3, np.float32)),
        ("unit-norms.v1", "range:layers.0.neuron.up", np.zeros(2, np.uint16)),
        ("unit-norms.v1", "layers.0.neuron.up", np.zeros((2, 2), np.uint16)),
        ("row-digests.v2", "rows:embed", np.zeros(2, np.uint64)),
        ("row-digests.v2", "embed", np.zeros(2, np.int32)),
    ],
)
def test_arrays_of_another_form_are_refused(tmp_path: Path, fingerprint: str, name: str, array: Any) -> None:
    measurement = measure(family() / "seed-1")
    detail = f"detail/{fingerprint}.safetensors"
    details = {**measurement.details, detail: pack_arrays({name: array}, {})}
    described = tuple(
        describe_detail(one.name, one.media_type, details[one.name]) for one in measurement.evidence.details
    )
    changed = dataclasses.replace(measurement, evidence=dataclasses.replace(measurement.evidence, details=described))
    write_evidence(tmp_path / "evidence", changed.statement(), details)
    with pytest.raises(DocumentError) as caught:
        read_fingerprints(tmp_path / "evidence")
    assert caught.value.code == "bad-fingerprint"
