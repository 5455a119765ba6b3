"""Measuring again against what was stated: the same numbers, or by how much they differ."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measured import FAMILY, measured
from reproduced import WEIGHTS, again, outcomes, value_of, write, write_false
from signed import sign_statement
from small_checkpoint import copy_with, read_tensors
from tiny_evidence import TinyEvidence

from attest.bundle import BUNDLE_NAME
from attest.checkpoint.arrays import pack_arrays
from attest.errors import AttestError, CheckpointError, DocumentError, InputError
from attest.evidence import (
    CHUNKS_NAME,
    EVIDENCE_TYPE,
    TENSORS_NAME,
    Evidence,
    FingerprintSummary,
    Table,
)
from attest.evidence_directory import describe_detail, read_statement, write_evidence
from attest.measure import measure
from attest.reproduce import reproduce
from attest.reproduction import Reproduction, Value
from attest.signer import open_signer, write_key_pair
from attest.statement import DigestSet, Statement, Subject

QUERY = "model.layers.2.self_attn.q_proj.weight"
NORMS = "detail/unit-norms.v1.safetensors"


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    return write(tmp_path / "evidence")


def test_the_same_checkpoint_gives_the_same_numbers(evidence: Path):
    result = again(evidence, checkpoint=WEIGHTS)
    assert result.reproduced
    assert set(outcomes(result).values()) == {"identical"}
    assert (result.checkpoint, result.statement_sha256) == ("seed-1", measured("seed-1").statement().digest)


def test_every_detail_file_and_every_fingerprint_is_a_value(evidence: Path):
    names = list(outcomes(again(evidence, checkpoint=WEIGHTS)))
    assert len(names) == len(set(names))
    for name in ("checkpoint files", "checkpoint summary", "chunk digests", "tensors and moments", "architecture"):
        assert name in names
    for one in measured("seed-1").evidence.fingerprints:
        assert f"fingerprint {one.id}, table" in names
        assert one.detail in {None, TENSORS_NAME} or f"fingerprint {one.id}" in names


def test_name_threads_and_version_control_folders_do_not_matter(evidence: Path, tmp_path: Path):
    copy = Path(shutil.copytree(WEIGHTS, tmp_path / "another name"))
    (copy / ".git").mkdir()
    result = again(evidence, checkpoint=copy, threads=3)
    assert set(outcomes(result).values()) == {"identical"}


def test_from_a_signed_bundle(evidence: Path, tmp_path: Path):
    write_key_pair(tmp_path / "key.pem", key_type="p256")
    sign_statement(evidence, measured("seed-1").statement(), open_signer(str(tmp_path / "key.pem")))
    for path in (evidence, evidence / BUNDLE_NAME):
        assert again(path, checkpoint=WEIGHTS).reproduced


def test_the_statement_counts_that_was_given_not_what_lies_there_by_now(evidence: Path, tmp_path: Path):
    statement = read_statement(evidence)
    other = write(tmp_path / "other", measured("seed-2"))
    result = reproduce(statement, other, checkpoint=WEIGHTS)
    assert result.reproduced
    assert result.statement_sha256 == statement.digest


def test_a_changed_weight_is_named(evidence: Path, tmp_path: Path):
    arrays = read_tensors(WEIGHTS)
    arrays[QUERY][3, 4] += 0x0100
    copy = copy_with(WEIGHTS, tmp_path / "copy", arrays)
    result = again(evidence, checkpoint=copy)
    assert not result.reproduced
    assert value_of(result, "checkpoint files") == Value(
        name="checkpoint files", outcome="differs", message="differ: model.safetensors"
    )
    tensors = value_of(result, "tensors and moments")
    assert tensors.outcome == "differs"
    assert tensors.message == f"tensors with other values: {QUERY}; moments: {QUERY}"
    norms = value_of(result, "fingerprint unit-norms/v1").message
    assert norms.startswith("2 of 56 arrays differ, most by ")
    rows = value_of(result, "fingerprint row-digests/v2").message
    assert rows == "1 of 29 arrays differ, first layers.2.q"
    assert value_of(result, "fingerprint neuron-sketch/v1").outcome == "identical"
    assert value_of(result, "architecture").outcome == "identical"


def test_a_value_that_is_no_number_has_no_distance(evidence: Path, tmp_path: Path):
    arrays = read_tensors(WEIGHTS)
    arrays["model.norm.weight"][5] = 0x7FC0
    result = again(evidence, checkpoint=copy_with(WEIGHTS, tmp_path / "copy", arrays))
    gains = value_of(result, "fingerprint norm-gain/v1").message
    assert gains == "1 of 9 arrays differ; a value of final_norm is finite in one only"


def test_a_changed_file_is_named(evidence: Path, tmp_path: Path):
    copy = Path(shutil.copytree(WEIGHTS, tmp_path / "copy"))
    (copy / "config.json").write_bytes((copy / "config.json").read_bytes() + b" ")
    (copy / "extra\u00e9.txt").touch()
    result = again(evidence, checkpoint=copy)
    files = value_of(result, "checkpoint files")
    assert files.message == "differ: config.json; not in the evidence: extra\u00e9.txt"
    assert not result.reproduced
    assert value_of(result, "tensors and moments").outcome == "identical"


def test_a_missing_file_is_named(tmp_path: Path):
    copy = Path(shutil.copytree(WEIGHTS, tmp_path / "copy"))
    (copy / "README.md").write_text("text")
    evidence = write(tmp_path / "evidence", measure(copy))
    assert value_of(again(evidence, checkpoint=WEIGHTS), "checkpoint files").message == "missing: README.md"


def test_of_many_names_twenty_are_told(tmp_path: Path):
    copy = Path(shutil.copytree(WEIGHTS, tmp_path / "copy"))
    for number in range(30):
        (copy / f"{number:02}").touch()
    message = value_of(again(write(tmp_path / "evidence"), checkpoint=copy), "checkpoint files").message
    assert message.endswith("18, 19 and 10 more")


def test_another_checkpoint_differs_in_every_array(evidence: Path):
    result = again(evidence, checkpoint=FAMILY / "seed-2")
    assert not result.reproduced
    assert value_of(result, "fingerprint norm-gain/v1").message.startswith("9 of 9 arrays differ, most by ")
    assert value_of(result, "architecture").outcome == "identical"
    assert value_of(result, "fingerprint attention-std/v1, table").outcome == "differs"


def test_a_checkpoint_of_another_shape_differs(evidence: Path, tmp_path: Path):
    arrays = {name: array for name, array in read_tensors(WEIGHTS).items() if "layers.3" not in name}
    result = again(evidence, checkpoint=copy_with(WEIGHTS, tmp_path / "copy", arrays))
    assert value_of(result, "architecture").message == "layers was 4, now 3"
    assert value_of(result, "tensors and moments").message.startswith("tensors missing: model.layers.3.")
    assert value_of(result, "fingerprint norm-gain/v1").message.endswith("is missing or has another shape")


def test_a_tensor_that_only_moved_is_told_so(evidence: Path, tmp_path: Path):
    copy = copy_with(WEIGHTS, tmp_path / "copy", read_tensors(WEIGHTS), shards=2)
    result = again(evidence, checkpoint=copy)
    assert value_of(result, "tensors and moments").message == "places in the files differ"
    assert value_of(result, "fingerprint unit-norms/v1").outcome == "identical"


@pytest.mark.parametrize("name", [CHUNKS_NAME, TENSORS_NAME, NORMS])
def test_without_a_detail_file_its_digest_still_tells(evidence: Path, name: str):
    (evidence / name).unlink()
    assert again(evidence, checkpoint=WEIGHTS).reproduced
    other = again(evidence, checkpoint=FAMILY / "seed-2")
    told = [value.message for value in other.values if "not at hand" in value.message]
    assert len(told) == 1
    assert not other.reproduced


def test_a_detail_file_that_was_changed_is_not_used(evidence: Path):
    data = bytearray((evidence / NORMS).read_bytes())
    data[-1] ^= 1
    (evidence / NORMS).write_bytes(data)
    assert again(evidence, checkpoint=WEIGHTS).reproduced
    message = value_of(again(evidence, checkpoint=FAMILY / "seed-2"), "fingerprint unit-norms/v1").message
    assert message == "the signed detail file is not at hand (is not the file that the statement names)"


def with_detail(name: str, data: bytes) -> tuple[Evidence, dict[str, bytes]]:
    """Evidence about the first checkpoint with one detail file of somebody's own making, bound by its digest."""
    signed = measured("seed-1")
    details = {**signed.details, name: data}
    return replace(
        signed.evidence,
        details=tuple(describe_detail(key, "application/x", value) for key, value in sorted(details.items())),
    ), details


ARRAYS = measured("seed-1").profiles["unit-norms/v1"]
FALSE_ARRAYS: dict[str, Mapping[str, Any]] = {
    "NaN": {**ARRAYS, "layers.0.neuron.up": ARRAYS["layers.0.neuron.up"] * np.float32(np.nan)},
    "infinite": {**ARRAYS, "layers.0.neuron.up": ARRAYS["layers.0.neuron.up"] * np.float32(np.inf)},
    "overflowing": {**ARRAYS, "layers.0.neuron.up": np.full(256, -1.7e308)},
    "integers": {**ARRAYS, "layers.0.neuron.up": np.full(256, -(2**63))},
    "of another shape": {**ARRAYS, "layers.0.neuron.up": np.zeros((0, 7), np.float32)},
    "one more": {**ARRAYS, "more": np.zeros(3, np.float32)},
    "one less": {name: array for name, array in ARRAYS.items() if name != "layers.0.neuron.up"},
    "none": {},
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("arrays", FALSE_ARRAYS.values(), ids=FALSE_ARRAYS)
def test_false_arrays_differ_and_crash_nothing(tmp_path: Path, arrays: Mapping[str, Any]):
    folder = write_false(tmp_path / "evidence", *with_detail(NORMS, pack_arrays(arrays, {})))
    value = value_of(again(folder, checkpoint=WEIGHTS), "fingerprint unit-norms/v1")
    assert value.outcome == "differs"
    assert "inf" not in value.message
    assert "nan" not in value.message
    assert not value.message.startswith("0 of")


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b'{"tensors": 1}', b"[" * 1000], ids=repr)
@pytest.mark.parametrize("name", [TENSORS_NAME, NORMS])
def test_false_detail_files_differ_and_crash_nothing(tmp_path: Path, name: str, data: bytes):
    folder = write_false(tmp_path / "evidence", *with_detail(name, data))
    result = again(folder, checkpoint=WEIGHTS)
    assert not result.reproduced
    assert [value.outcome for value in result.values].count("differs") == 1


def test_a_detail_file_of_an_unknown_kind_is_not_measured(tmp_path: Path):
    folder = write_false(tmp_path / "evidence", *with_detail("detail/future.json", b"{}"))
    result = again(folder, checkpoint=WEIGHTS)
    assert value_of(result, "detail/future.json").outcome == "not-measured"
    assert result.reproduced


def test_detail_files_that_are_not_named_are_told(tmp_path: Path):
    folder = write_false(tmp_path / "evidence", replace(measured("seed-1").evidence, details=()), {})
    result = again(folder, checkpoint=WEIGHTS)
    found = outcomes(result)
    assert (
        found["chunk digests"] == found["tensors and moments"] == found["fingerprint unit-norms/v1"] == "not-measured"
    )
    assert found["fingerprint unit-norms/v1, table"] == "identical"


def test_a_fingerprint_that_this_version_does_not_know_is_not_measured(tmp_path: Path):
    signed = measured("seed-1").evidence
    future = FingerprintSummary(id="future/v9", detail=None, not_measured=None, table=Table(columns=(), rows=()))
    folder = write_false(tmp_path / "evidence", replace(signed, fingerprints=(*signed.fingerprints, future)))
    result = again(folder, checkpoint=WEIGHTS)
    assert outcomes(result)["fingerprint future/v9, table"] == "not-measured"
    assert result.reproduced


FALSE: dict[str, tuple[dict[str, Any], str]] = {
    "file count": ({"file_count": 7}, "fileCount was 7, now 2"),
    "bytes": ({"bytes": 1}, "bytes was 1, now "),
    "list of files": ({"files": ()}, "files was [], now "),
    "findings": ({"findings": ()}, "findings was [], now "),
    "format": ({"format": "other"}, "format was other, now safetensors"),
}


@pytest.mark.parametrize(("changes", "message"), FALSE.values(), ids=FALSE)
def test_a_false_summary_of_the_files_differs(tmp_path: Path, changes: dict[str, Any], message: str):
    """Though the tree digest holds."""
    signed = measured("seed-1").evidence
    folder = write_false(tmp_path / "evidence", replace(signed, checkpoint=replace(signed.checkpoint, **changes)))
    result = again(folder, checkpoint=WEIGHTS)
    value = value_of(result, "checkpoint summary")
    assert value.outcome == "differs"
    assert message in value.message
    assert not result.reproduced


def test_a_false_table_differs(tmp_path: Path):
    signed = measured("seed-1").evidence
    one = signed.fingerprints[1]
    table = Table(columns=("layer",), rows=(("9" * 100,),))
    fingerprints = (signed.fingerprints[0], replace(one, table=table), *signed.fingerprints[2:])
    folder = write_false(tmp_path / "evidence", replace(signed, fingerprints=fingerprints))
    value = value_of(again(folder, checkpoint=WEIGHTS), f"fingerprint {one.id}, table")
    assert value.outcome == "differs"
    assert len(value.message) < 200


def test_licenses_are_scanned_again_where_the_repository_is_given(tmp_path: Path):
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "LICENSE").write_text("MIT License\n")
    folder = write(tmp_path / "evidence", measure(WEIGHTS, repository=repository))
    without = again(folder, checkpoint=WEIGHTS)
    assert value_of(without, "licenses") == Value(
        name="licenses", outcome="not-measured", message="give --repo to scan it again"
    )
    assert value_of(without, "license findings").outcome == "not-measured"
    assert without.reproduced
    same = again(folder, checkpoint=WEIGHTS, repository=repository)
    assert set(outcomes(same).values()) == {"identical"}
    (repository / "LICENSE").write_text("All rights reserved\n")
    other = again(folder, checkpoint=WEIGHTS, repository=repository)
    assert {name for name, outcome in outcomes(other).items() if outcome == "differs"} >= {"license findings"}
    assert not other.reproduced


def test_nothing_measured_is_nothing_reproduced():
    nothing = Value(name="x", outcome="not-measured", message="")
    result = Reproduction(
        checkpoint="x", statement_sha256="0" * 64, values=(nothing,), files=0, bytes=0, not_asked=(), same_program=True
    )
    assert not result.reproduced
    same = replace(result, values=(nothing, replace(nothing, outcome="identical")))
    assert same.reproduced
    assert not replace(same, values=(*same.values, replace(nothing, outcome="differs"))).reproduced
    assert replace(result, values=(replace(nothing, outcome="within-tolerance"),)).reproduced


def test_a_statement_about_something_else_is_refused(tmp_path: Path):
    statement = Statement.build(
        subjects=(Subject(name="x", digest=DigestSet(sha256="0" * 64)),), predicate_type="https://x/v1", predicate={}
    )
    write_evidence(tmp_path / "evidence", statement, {})
    with pytest.raises(InputError) as caught:
        again(tmp_path / "evidence", checkpoint=WEIGHTS)
    assert caught.value.code == "not-evidence"


@pytest.mark.parametrize("predicate", [{}, {"checkpoint": None}, {"x": "\ud7ff" * 10}])
def test_a_predicate_of_another_shape_is_refused(tmp_path: Path, predicate: dict[str, Any]):
    statement = Statement.build(
        subjects=(Subject(name="x", digest=DigestSet(sha256="0" * 64)),),
        predicate_type=EVIDENCE_TYPE,
        predicate=predicate,
    )
    write_evidence(tmp_path / "evidence", statement, {})
    with pytest.raises(DocumentError) as caught:
        again(tmp_path / "evidence", checkpoint=WEIGHTS)
    assert caught.value.code == "not-of-schema"


def test_what_is_missing_is_told_before_anything_is_read(tmp_path: Path, evidence: Path):
    told: list[int] = []
    for path, checkpoint in ((tmp_path / "no", WEIGHTS), (evidence, tmp_path / "no"), (WEIGHTS, WEIGHTS)):
        with pytest.raises(AttestError) as caught:
            again(path, checkpoint=checkpoint, progress=lambda done, _: told.append(done))
        assert caught.value.exit_code == 3
    assert told == []


def test_evidence_that_another_program_made(tiny: TinyEvidence):
    """Three detail files, two of them unknown; the tensors have no role."""
    result = again(tiny.bundle, checkpoint=tiny.checkpoint)
    found = outcomes(result)
    assert found["checkpoint files"] == found["chunk digests"] == "identical"
    assert found["detail/bytes.bin"] == "not-measured"


def test_a_checkpoint_that_cannot_be_measured_is_no_negative_result(evidence: Path, tmp_path: Path):
    copy = Path(shutil.copytree(WEIGHTS, tmp_path / "copy"))
    (copy / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        again(evidence, checkpoint=copy)
    assert caught.value.exit_code == 3
