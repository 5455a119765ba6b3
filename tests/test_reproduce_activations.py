"""Running a network again against what was stated of it."""

from dataclasses import replace
from pathlib import Path

import pytest
from measured import measured
from reproduced import WEIGHTS, again, outcomes, value_of, write, write_false

from attest.activation import PROMPT_SETS, PROMPTS_NAME, read_prompts
from attest.checkpoint.arrays import pack_arrays, unpack_arrays
from attest.document import canonical
from attest.evidence import ActivationSummary, Evidence, Table
from attest.evidence_directory import describe_detail
from attest.finding import Finding
from attest.measure import Measurement, measure
from attest.reproduce import _activations, _prompts


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
    result = again(write_false(tmp_path / "evidence", evidence), checkpoint=WEIGHTS)
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
    assert again(write_false(tmp_path / "evidence", evidence), checkpoint=WEIGHTS, run_model=False).reproduced


def test_the_model_is_not_run_where_that_is_not_wanted(tmp_path: Path):
    evidence = replace(measured("seed-1").evidence, activations=activations(next(iter(PROMPT_SETS))))
    result = again(write_false(tmp_path / "evidence", evidence), checkpoint=WEIGHTS, run_model=False)
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
    result = again(write(tmp_path / "evidence", ran), checkpoint=WEIGHTS)
    assert outcomes(result)["activations"] in {"identical", "within-tolerance"}
    assert result.reproduced
    assert summary_of(ran).detail in ran.details
    without = again(tmp_path / "evidence", checkpoint=WEIGHTS, run_model=False)
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
