"""Measuring again against what was stated: the same numbers, or by how much they differ."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measured import FAMILY, measured
from small_checkpoint import copy_with, read_tensors
from tiny_evidence import TinyEvidence

from attest.activation import PROMPT_SETS, PROMPTS_NAME, read_prompts
from attest.bundle import BUNDLE_NAME
from attest.checkpoint.arrays import pack_arrays, unpack_arrays
from attest.document import canonical, dump
from attest.errors import AttestError, CheckpointError, DocumentError, InputError
from attest.evidence import (
    CHUNKS_NAME,
    EVIDENCE_TYPE,
    TENSORS_NAME,
    ActivationSummary,
    Evidence,
    FingerprintSummary,
    Table,
)
from attest.evidence_directory import describe_detail, sign_statement, write_evidence
from attest.finding import Finding
from attest.measure import Measurement, measure
from attest.reproduce import Reproduction, Value, _activations, _prompts, reproduce
from attest.signer import open_signer, write_key_pair
from attest.statement import DigestSet, Statement, Subject

WEIGHTS = FAMILY / "seed-1"
QUERY = "model.layers.2.self_attn.q_proj.weight"
NORMS = "detail/unit-norms.v1.safetensors"


def write(folder: Path, measurement: Measurement | None = None) -> Path:
    """Evidence directory about a checkpoint of the family."""
    measurement = measurement or measured("seed-1")
    write_evidence(folder, measurement.statement(), measurement.details)
    return folder


def write_false(
    folder: Path, evidence: Evidence, details: Mapping[str, bytes] | None = None, *, subject: str = "."
) -> Path:
    """Evidence directory with a predicate that nobody measured."""
    statement = Statement.build(
        subjects=(Subject(name=subject, digest=DigestSet(sha256=evidence.checkpoint.tree_digest)),),
        predicate_type=EVIDENCE_TYPE,
        predicate=dump(evidence),
    )
    write_evidence(folder, statement, measured("seed-1").details if details is None else details)
    return folder


def outcomes(result: Reproduction) -> dict[str, str]:
    return {value.name: value.outcome for value in result.values}


def value_of(result: Reproduction, name: str) -> Value:
    return next(value for value in result.values if value.name == name)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    return write(tmp_path / "evidence")


def test_the_same_checkpoint_gives_the_same_numbers(evidence: Path):
    result = reproduce(evidence, checkpoint=WEIGHTS)
    assert result.reproduced
    assert set(outcomes(result).values()) == {"identical"}
    assert (result.checkpoint, result.statement_sha256) == ("seed-1", measured("seed-1").statement().digest)


def test_every_detail_file_and_every_fingerprint_is_a_value(evidence: Path):
    names = list(outcomes(reproduce(evidence, checkpoint=WEIGHTS)))
    assert len(names) == len(set(names))
    for name in ("checkpoint files", "checkpoint summary", "chunk digests", "tensors and moments", "architecture"):
        assert name in names
    for one in measured("seed-1").evidence.fingerprints:
        assert f"fingerprint {one.id}, table" in names
        assert one.detail in {None, TENSORS_NAME} or f"fingerprint {one.id}" in names


def test_name_threads_and_version_control_folders_do_not_matter(evidence: Path, tmp_path: Path):
    copy = Path(shutil.copytree(WEIGHTS, tmp_path / "another name"))
    (copy / ".git").mkdir()
    result = reproduce(evidence, checkpoint=copy, threads=3)
    assert set(outcomes(result).values()) == {"identical"}


def test_from_a_signed_bundle(evidence: Path, tmp_path: Path):
    write_key_pair(tmp_path / "key.pem", key_type="p256")
    sign_statement(evidence, measured("seed-1").statement(), open_signer(str(tmp_path / "key.pem")))
    for path in (evidence, evidence / BUNDLE_NAME):
        assert reproduce(path, checkpoint=WEIGHTS).reproduced


def test_a_changed_weight_is_named(evidence: Path, tmp_path: Path):
    arrays = read_tensors(WEIGHTS)
    arrays[QUERY][3, 4] += 0x0100
    copy = copy_with(WEIGHTS, tmp_path / "copy", arrays)
    result = reproduce(evidence, checkpoint=copy)
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
    result = reproduce(evidence, checkpoint=copy_with(WEIGHTS, tmp_path / "copy", arrays))
    gains = value_of(result, "fingerprint norm-gain/v1").message
    assert gains == "1 of 9 arrays differ; a value of final_norm is finite in one only"


def test_a_changed_file_is_named(evidence: Path, tmp_path: Path):
    copy = Path(shutil.copytree(WEIGHTS, tmp_path / "copy"))
    (copy / "config.json").write_bytes((copy / "config.json").read_bytes() + b" ")
    (copy / "extra\u00e9.txt").touch()
    result = reproduce(evidence, checkpoint=copy)
    files = value_of(result, "checkpoint files")
    assert files.message == "differ: config.json; not in the evidence: extra\u00e9.txt"
    assert not result.reproduced
    assert value_of(result, "tensors and moments").outcome == "identical"


def test_a_missing_file_is_named(tmp_path: Path):
    copy = Path(shutil.copytree(WEIGHTS, tmp_path / "copy"))
    (copy / "README.md").write_text("text")
    evidence = write(tmp_path / "evidence", measure(copy))
    assert value_of(reproduce(evidence, checkpoint=WEIGHTS), "checkpoint files").message == "missing: README.md"


def test_of_many_names_twenty_are_told(tmp_path: Path):
    copy = Path(shutil.copytree(WEIGHTS, tmp_path / "copy"))
    for number in range(30):
        (copy / f"{number:02}").touch()
    message = value_of(reproduce(write(tmp_path / "evidence"), checkpoint=copy), "checkpoint files").message
    assert message.endswith("18, 19 and 10 more")


def test_another_checkpoint_differs_in_every_array(evidence: Path):
    result = reproduce(evidence, checkpoint=FAMILY / "seed-2")
    assert not result.reproduced
    assert value_of(result, "fingerprint norm-gain/v1").message.startswith("9 of 9 arrays differ, most by ")
    assert value_of(result, "architecture").outcome == "identical"
    assert value_of(result, "fingerprint attention-std/v1, table").outcome == "differs"


def test_a_checkpoint_of_another_shape_differs(evidence: Path, tmp_path: Path):
    arrays = {name: array for name, array in read_tensors(WEIGHTS).items() if "layers.3" not in name}
    result = reproduce(evidence, checkpoint=copy_with(WEIGHTS, tmp_path / "copy", arrays))
    assert value_of(result, "architecture").message == "layers was 4, now 3"
    assert value_of(result, "tensors and moments").message.startswith("tensors missing: model.layers.3.")
    assert value_of(result, "fingerprint norm-gain/v1").message.endswith("is missing or has another shape")


def test_a_tensor_that_only_moved_is_told_so(evidence: Path, tmp_path: Path):
    copy = copy_with(WEIGHTS, tmp_path / "copy", read_tensors(WEIGHTS), shards=2)
    result = reproduce(evidence, checkpoint=copy)
    assert value_of(result, "tensors and moments").message == "places in the files differ"
    assert value_of(result, "fingerprint unit-norms/v1").outcome == "identical"


@pytest.mark.parametrize("name", [CHUNKS_NAME, TENSORS_NAME, NORMS])
def test_without_a_detail_file_its_digest_still_tells(evidence: Path, name: str):
    (evidence / name).unlink()
    assert reproduce(evidence, checkpoint=WEIGHTS).reproduced
    other = reproduce(evidence, checkpoint=FAMILY / "seed-2")
    told = [value.message for value in other.values if "not at hand" in value.message]
    assert len(told) == 1
    assert not other.reproduced


def test_a_detail_file_that_was_changed_is_not_used(evidence: Path):
    data = bytearray((evidence / NORMS).read_bytes())
    data[-1] ^= 1
    (evidence / NORMS).write_bytes(data)
    assert reproduce(evidence, checkpoint=WEIGHTS).reproduced
    message = value_of(reproduce(evidence, checkpoint=FAMILY / "seed-2"), "fingerprint unit-norms/v1").message
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
    value = value_of(reproduce(folder, checkpoint=WEIGHTS), "fingerprint unit-norms/v1")
    assert value.outcome == "differs"
    assert "inf" not in value.message
    assert "nan" not in value.message
    assert not value.message.startswith("0 of")


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b'{"tensors": 1}', b"[" * 1000], ids=repr)
@pytest.mark.parametrize("name", [TENSORS_NAME, NORMS])
def test_false_detail_files_differ_and_crash_nothing(tmp_path: Path, name: str, data: bytes):
    folder = write_false(tmp_path / "evidence", *with_detail(name, data))
    result = reproduce(folder, checkpoint=WEIGHTS)
    assert not result.reproduced
    assert [value.outcome for value in result.values].count("differs") == 1


def test_a_detail_file_of_an_unknown_kind_is_not_measured(tmp_path: Path):
    folder = write_false(tmp_path / "evidence", *with_detail("detail/future.json", b"{}"))
    result = reproduce(folder, checkpoint=WEIGHTS)
    assert value_of(result, "detail/future.json").outcome == "not-measured"
    assert result.reproduced


def test_detail_files_that_are_not_named_are_told(tmp_path: Path):
    folder = write_false(tmp_path / "evidence", replace(measured("seed-1").evidence, details=()), {})
    result = reproduce(folder, checkpoint=WEIGHTS)
    found = outcomes(result)
    assert (
        found["chunk digests"] == found["tensors and moments"] == found["fingerprint unit-norms/v1"] == "not-measured"
    )
    assert found["fingerprint unit-norms/v1, table"] == "identical"


def test_a_fingerprint_that_this_version_does_not_know_is_not_measured(tmp_path: Path):
    signed = measured("seed-1").evidence
    future = FingerprintSummary(id="future/v9", detail=None, not_measured=None, table=Table(columns=(), rows=()))
    folder = write_false(tmp_path / "evidence", replace(signed, fingerprints=(*signed.fingerprints, future)))
    result = reproduce(folder, checkpoint=WEIGHTS)
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
    result = reproduce(folder, checkpoint=WEIGHTS)
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
    value = value_of(reproduce(folder, checkpoint=WEIGHTS), f"fingerprint {one.id}, table")
    assert value.outcome == "differs"
    assert len(value.message) < 200


def test_licenses_are_scanned_again_where_the_repository_is_given(tmp_path: Path):
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "LICENSE").write_text("MIT License\n")
    folder = write(tmp_path / "evidence", measure(WEIGHTS, repository=repository))
    without = reproduce(folder, checkpoint=WEIGHTS)
    assert value_of(without, "licenses") == Value(
        name="licenses", outcome="not-measured", message="give --repo to scan it again"
    )
    assert value_of(without, "license findings").outcome == "not-measured"
    assert without.reproduced
    same = reproduce(folder, checkpoint=WEIGHTS, repository=repository)
    assert set(outcomes(same).values()) == {"identical"}
    (repository / "LICENSE").write_text("All rights reserved\n")
    other = reproduce(folder, checkpoint=WEIGHTS, repository=repository)
    assert {name for name, outcome in outcomes(other).items() if outcome == "differs"} >= {"license findings"}
    assert not other.reproduced


def activations(prompt_set: str) -> ActivationSummary:
    return ActivationSummary(
        id="x/v1", prompt_set=prompt_set, prompt_set_sha256="0" * 64, sequences=1, tokens=1,
        token_ids_sha256="0" * 64, dtype="float32", device="cpu", threads=1, seed=0, versions={}, tolerance="0.1",
        table=Table(columns=(), rows=()), detail="detail/x.safetensors",
        fingerprints=(),
    )  # fmt: skip


@pytest.mark.parametrize("prompt_set", ["of-the-future/v1", "../../etc/passwd", ""])
def test_a_prompt_set_that_this_version_does_not_know_is_not_run(tmp_path: Path, prompt_set: str):
    assert prompt_set not in PROMPT_SETS
    evidence = replace(measured("seed-1").evidence, activations=activations(prompt_set))
    result = reproduce(write_false(tmp_path / "evidence", evidence), checkpoint=WEIGHTS)
    assert outcomes(result)["activations"] == "not-measured"
    assert result.reproduced


def test_what_running_the_network_found_is_not_missed_where_it_does_not_run(tmp_path: Path):
    signed = measured("seed-1").evidence
    found = (*signed.checkpoint.findings, Finding(code="tensors-not-run", path=".", line=None, text="1: lm_head"))
    evidence = replace(
        signed,
        activations=activations(next(iter(PROMPT_SETS))),
        checkpoint=replace(signed.checkpoint, findings=found),
    )
    assert reproduce(write_false(tmp_path / "evidence", evidence), checkpoint=WEIGHTS, run_model=False).reproduced


def test_the_model_is_not_run_where_that_is_not_wanted(tmp_path: Path):
    evidence = replace(measured("seed-1").evidence, activations=activations(next(iter(PROMPT_SETS))))
    result = reproduce(write_false(tmp_path / "evidence", evidence), checkpoint=WEIGHTS, run_model=False)
    assert value_of(result, "activations").message == "the model was not run again"


@pytest.fixture(scope="module")
def ran() -> Measurement:
    """A checkpoint whose network was run."""
    return measure(WEIGHTS, prompts=read_prompts("random-tokens"))


def summary_of(measurement: Measurement) -> ActivationSummary:
    assert measurement.evidence.activations is not None
    return measurement.evidence.activations


@pytest.mark.torch
def test_the_network_is_run_again(ran: Measurement, tmp_path: Path):
    result = reproduce(write(tmp_path / "evidence", ran), checkpoint=WEIGHTS)
    assert outcomes(result)["activations"] in {"identical", "within-tolerance"}
    assert result.reproduced
    assert summary_of(ran).detail in ran.details
    without = reproduce(tmp_path / "evidence", checkpoint=WEIGHTS, run_model=False)
    assert [value.name for value in without.values if value.outcome == "not-measured"] == ["activations"]
    assert without.reproduced


def altered(ran: Measurement, change: str) -> tuple[Evidence, dict[str, bytes]]:
    """Evidence whose activations somebody altered, and its detail files."""
    summary, details = summary_of(ran), dict(ran.details)
    if change == "table of zeros":
        rows = tuple((row[0], *("0" for _ in row[1:])) for row in summary.table.rows)
        summary = replace(summary, table=replace(summary.table, rows=rows))
    if change == "other inputs":
        summary = replace(summary, token_ids_sha256="0" * 64)
    if change == "not named":
        summary = replace(summary, detail="detail/other.safetensors")
    if change == "changed on disk":
        details[summary.detail] = b"other bytes"
    if change == "not on disk":
        del details[summary.detail]
    return replace(ran.evidence, activations=summary), details


@pytest.mark.torch
@pytest.mark.parametrize(
    ("change", "outcome", "message"),
    [
        ("nothing", "identical", "largest relative difference 0, tolerance 5e-05"),
        ("table of zeros", "differs", "largest relative difference infinite, tolerance 5e-05"),
        ("other inputs", "differs", "the two activation profiles differ in token_ids_sha256"),
        ("not named", "not-measured", "the model was not run again"),
        ("changed on disk", "not-measured", "the signed detail file is not at hand (is not the file"),
        ("not on disk", "not-measured", "the signed detail file is not at hand ("),
    ],
)
def test_activations_that_somebody_altered(ran: Measurement, tmp_path: Path, change: str, outcome: str, message: str):
    """The network is not run anew for each: what it gave is compared."""
    evidence, details = altered(ran, change)
    write_false(tmp_path / "evidence", evidence, details)
    named = {detail.name: detail for detail in evidence.details}
    value, *layers = _activations(evidence, ran, named, tmp_path / "evidence")
    assert value.outcome == outcome
    assert value.message.startswith(message)
    assert len(layers) == (10 if change == "table of zeros" else 0)
    assert all(one.name.startswith("activations ") and ", layer " in one.name for one in layers)


@pytest.mark.torch
def test_another_sketch_is_told_by_layer_and_other_versions_are_named(ran: Measurement, tmp_path: Path):
    summary, details = summary_of(ran), dict(ran.details)
    name = "detail/residual-sketch.v1.safetensors"
    arrays = dict(unpack_arrays(details[name], where=name))
    arrays["sketch"] = arrays["sketch"].copy()
    arrays["sketch"][2, 0, 0] ^= 64
    details[name] = pack_arrays(arrays, {"fingerprint": "residual-sketch/v1"})
    summary = replace(summary, versions={**summary.versions, "torch": "1.0"})
    listed = tuple(describe_detail(one.name, one.media_type, details[one.name]) for one in ran.evidence.details)
    write_false(tmp_path / "evidence", replace(ran.evidence, activations=summary, details=listed), details)
    named = {detail.name: detail for detail in listed}
    value, *layers = _activations(replace(ran.evidence, activations=summary), ran, named, tmp_path / "evidence")
    assert value.message.endswith("run with another torch")
    assert [(one.name, one.outcome) for one in layers] == [
        ("activations residual-sketch/v1 sketch, layer 2", "differs")
    ]


def test_prompts_are_the_shipped_ones_or_those_that_the_statement_names(tmp_path: Path):
    shipped = replace(activations("code"), prompt_set_sha256=PROMPT_SETS["code"])
    evidence = replace(measured("seed-1").evidence, activations=shipped)
    assert _prompts(evidence, tmp_path).inputs.id == "code"
    data = canonical({"id": "own", "about": "", "sequences": 1, "tokens": 4, "texts": ["a b"]})
    (tmp_path / "detail").mkdir()
    (tmp_path / PROMPTS_NAME).write_bytes(data)
    detail = describe_detail(PROMPTS_NAME, "application/json", data)
    own = replace(activations("own"), prompt_set_sha256=detail.sha256)
    evidence = replace(evidence, activations=own, details=(*evidence.details, detail))
    assert _prompts(evidence, tmp_path).inputs.texts == ("a b",)
    assert _prompts(replace(evidence, activations=activations("own")), tmp_path) is None
    (tmp_path / PROMPTS_NAME).write_bytes(b"{}")
    assert _prompts(evidence, tmp_path) is None


def test_nothing_measured_is_nothing_reproduced():
    nothing = Value(name="x", outcome="not-measured", message="")
    result = Reproduction(checkpoint="x", statement_sha256="0" * 64, values=(nothing,), files=0, bytes=0, not_asked=())
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
        reproduce(tmp_path / "evidence", checkpoint=WEIGHTS)
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
        reproduce(tmp_path / "evidence", checkpoint=WEIGHTS)
    assert caught.value.code == "not-of-schema"


def test_what_is_missing_is_told_before_anything_is_read(tmp_path: Path, evidence: Path):
    told: list[int] = []
    for path, checkpoint in ((tmp_path / "no", WEIGHTS), (evidence, tmp_path / "no"), (WEIGHTS, WEIGHTS)):
        with pytest.raises(AttestError) as caught:
            reproduce(path, checkpoint=checkpoint, progress=lambda done, _: told.append(done))
        assert caught.value.exit_code == 3
    assert told == []


def test_evidence_that_another_program_made(tiny: TinyEvidence):
    """Three detail files, two of them unknown; the tensors have no role."""
    result = reproduce(tiny.bundle, checkpoint=tiny.checkpoint)
    found = outcomes(result)
    assert found["checkpoint files"] == found["chunk digests"] == "identical"
    assert found["detail/bytes.bin"] == "not-measured"


def test_a_checkpoint_that_cannot_be_measured_is_no_negative_result(evidence: Path, tmp_path: Path):
    copy = Path(shutil.copytree(WEIGHTS, tmp_path / "copy"))
    (copy / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        reproduce(evidence, checkpoint=copy)
    assert caught.value.exit_code == 3
