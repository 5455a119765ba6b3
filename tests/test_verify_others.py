"""Bundles that others made: statements of any kind, signatures over a file, model signatures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tiny_evidence import TinyEvidence, sign_payload
from verifying import failed, outcomes, step

from attest.bundle import Bundle, MessageSignature, read_bundle
from attest.document import canonical
from attest.errors import DocumentError, InputError
from attest.oms import OMS_TYPE, ModelManifest, model_statement, root_digest
from attest.signer import PublicKey, open_signer
from attest.verify import Files, Verification, verify

STATEMENT = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "other", "digest": {"sha256": "0" * 64}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {},
}


def check(tiny: TinyEvidence, bundle: Path | None = None, **files: Any) -> Verification:
    return verify(bundle or tiny.bundle, expectation=tiny.expectation(), files=Files(**files))


def alone(tiny: TinyEvidence, bundle: Bundle) -> Path:
    """A bundle in a folder of its own."""
    folder = tiny.root / "alone"
    folder.mkdir(exist_ok=True)
    (folder / "bundle.json").write_bytes(bundle.to_json())
    return folder / "bundle.json"


# A single file.


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "artifact.bin"
    path.write_bytes(b"artifact")
    return path


@pytest.fixture
def of_file(tiny: TinyEvidence, artifact: Path) -> Path:
    """A bundle with a signature over the artifact."""
    digest = sha256(artifact.read_bytes()).digest()
    signer = open_signer(str(tiny.key()))
    content = MessageSignature(signature=signer.sign(artifact.read_bytes()), digest=digest, algorithm="SHA2_256")
    return alone(tiny, Bundle(content=content, key_hint=signer.public_key.hint))


def test_the_signature_of_a_file_is_verified(tiny: TinyEvidence, of_file: Path, artifact: Path):
    result = check(tiny, of_file, artifact=artifact)
    assert outcomes(result) == {
        "bundle": "PASSED",
        "signature": "PASSED",
        "signer": "PASSED",
        "time": "SKIPPED",
        "statement": "SKIPPED",
        "subjects": "SKIPPED",
        "details": "SKIPPED",
        "checkpoint": "PASSED",
        "policy": "SKIPPED",
    }
    assert "all 8 bytes" in step(result, "checkpoint").message
    assert result.exit_code == 0


def test_another_file_than_the_signed_one_fails(tiny: TinyEvidence, of_file: Path, artifact: Path):
    artifact.write_bytes(b"artifacT")
    result = check(tiny, of_file, artifact=artifact)
    assert (failed(result), step(result, "checkpoint").outcome, result.exit_code) == (["signature"], "SKIPPED", 1)


def test_a_claimed_digest_of_another_file_fails_though_the_signature_holds(
    tiny: TinyEvidence, of_file: Path, artifact: Path
):
    bundle, _ = read_bundle(of_file)
    assert isinstance(bundle.content, MessageSignature)
    spoiled = replace(bundle, content=replace(bundle.content, digest=bytes(32)))
    assert failed(check(tiny, alone(tiny, spoiled), artifact=artifact)) == ["signature"]


def test_the_signature_of_a_file_needs_the_file(tiny: TinyEvidence, of_file: Path):
    for files in (Files(), Files(checkpoint=tiny.checkpoint)):
        with pytest.raises(InputError) as caught:
            verify(of_file, expectation=tiny.expectation(), files=files)
        assert (caught.value.code, caught.value.exit_code) == ("no-artifact", 3)


def test_a_file_that_is_none_is_a_coded_error(tiny: TinyEvidence, of_file: Path, tmp_path: Path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError) as caught:
            check(tiny, of_file, artifact=path)
        assert caught.value.code == "no-artifact"


def test_a_file_of_evidence_is_a_subject_and_says_nothing_of_the_others(tiny: TinyEvidence):
    result = check(tiny, artifact=tiny.checkpoint / "config.json")
    assert (failed(result), result.exit_code) == ([], 0)
    assert "'config.json'; nothing was read of the 3 others" in step(result, "checkpoint").message
    (tiny.checkpoint / "config.json").write_bytes(b"{}")
    result = check(tiny, artifact=tiny.checkpoint / "config.json")
    assert (failed(result), result.exit_code) == (["checkpoint"], 1)


def test_a_key_is_named_as_cosign_names_it(tiny: TinyEvidence):
    bundle, _ = read_bundle(tiny.bundle)
    key = PublicKey.read(tiny.key().with_suffix(".pub.pem"))
    (other,) = key.names - {key.hint}
    assert check(tiny, alone(tiny, replace(bundle, key_hint=other))).exit_code == 0
    assert check(tiny, alone(tiny, replace(bundle, key_hint=other[::-1][1:] + "="))).exit_code == 1


# Statements of any kind.


def statement(**changes: Any) -> bytes:
    return canonical(STATEMENT | changes)


def subject(digest: dict[str, str]) -> dict[str, Any]:
    return {"subject": [{"name": "a", "digest": digest}]}


def test_a_statement_of_an_unknown_kind_is_decided_by_the_file_alone(tiny: TinyEvidence, artifact: Path):
    sign_payload(tiny, statement(**subject({"sha256": sha256(b"artifact").hexdigest()})))
    assert check(tiny).exit_code == 3
    result = check(tiny, artifact=artifact)
    assert (failed(result), result.exit_code) == ([], 0)
    assert step(result, "statement").outcome == "SKIPPED"
    artifact.write_bytes(b"another")
    assert check(tiny, artifact=artifact).exit_code == 1


@pytest.mark.parametrize(
    ("digest", "code"),
    [
        ({"sha512": "{sha512}"}, 0),
        ({"sha512": "{sha512}", "sha256": "{sha256}", "gitCommit": "abc"}, 0),
        ({"sha512": "{sha512}", "sha256": "0" * 64}, 1),
        ({"gitCommit": "abc"}, 1),
        ({}, 1),
    ],
    ids=str,
)
def test_every_digest_that_can_be_computed_must_be_the_files(
    tiny: TinyEvidence, artifact: Path, digest: dict[str, str], code: int
):
    data = artifact.read_bytes()
    real = {name: hashlib.new(name, data).hexdigest() for name in ("sha256", "sha512")}
    named = {name: text.format(**real) for name, text in digest.items()}
    sign_payload(tiny, statement(_type="https://in-toto.io/Statement/v0.1", **subject(named)))
    assert check(tiny, artifact=artifact).exit_code == code


@pytest.mark.parametrize("subjects", [[], None, [1], [{"digest": 1}], {"a": 1}], ids=str)
def test_a_statement_about_nothing_is_about_no_file(tiny: TinyEvidence, artifact: Path, subjects: Any):
    sign_payload(tiny, statement(subject=subjects))
    assert check(tiny, artifact=artifact).exit_code == 1


# Model signatures.


def of_model(tiny: TinyEvidence, change: Callable[[dict[str, Any]], None] = lambda _value: None) -> Path:
    """A model signature over the tiny checkpoint, with something changed before it was signed."""
    files = {
        path.relative_to(tiny.checkpoint).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in tiny.checkpoint.rglob("*")
        if path.is_file()
    }
    value = json.loads(model_statement("tiny", files).payload)
    change(value)
    sign_payload(tiny, canonical(value))
    return alone(tiny, read_bundle(tiny.bundle)[0])


def test_a_model_signature_covers_every_file(tiny: TinyEvidence):
    bundle = of_model(tiny)
    result = check(tiny, bundle, checkpoint=tiny.checkpoint)
    assert (failed(result), result.exit_code) == ([], 0)
    assert result.coverage is not None
    assert result.coverage.is_complete
    assert (result.coverage.files_named, result.coverage.files_present) == (3, 3)
    (tiny.checkpoint / "more").touch()
    assert failed(check(tiny, bundle, checkpoint=tiny.checkpoint)) == ["checkpoint"]
    assert check(tiny, bundle, checkpoint=tiny.checkpoint, left_out=("more",)).exit_code == 0


def test_renamed_files_have_the_same_root_digest_and_still_fail(tiny: TinyEvidence):
    bundle = of_model(tiny)
    (tiny.checkpoint / "config.json").rename(tiny.checkpoint / "config.jso")
    assert failed(check(tiny, bundle, checkpoint=tiny.checkpoint)) == ["checkpoint"]
    digest = "ab" * 32
    assert root_digest({"a": digest}) == root_digest({"b": digest})


def resources(value: dict[str, Any]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = value["predicate"]["resources"]
    return made


def no_files(value: dict[str, Any]) -> None:
    resources(value).clear()


def twice(value: dict[str, Any]) -> None:
    resources(value).append(resources(value)[0])


def another_root(value: dict[str, Any]) -> None:
    value["subject"][0]["digest"]["sha256"] = "0" * 64


def two_subjects(value: dict[str, Any]) -> None:
    value["subject"] *= 2


def no_digest(value: dict[str, Any]) -> None:
    resources(value)[0]["digest"] = "abc"


def shards(value: dict[str, Any]) -> None:
    value["predicate"]["serialization"]["method"] = "shards"


def one_by_another_digest(value: dict[str, Any]) -> None:
    resources(value)[0]["algorithm"] = "blake3"


def no_serialization(value: dict[str, Any]) -> None:
    del value["predicate"]["serialization"]


def numbers(value: dict[str, Any]) -> None:
    resources(value)[0]["name"] = 1


def unnamed(value: dict[str, Any]) -> None:
    resources(value)[0] = {}


CONTRADICTIONS = (
    no_files, twice, another_root, two_subjects, no_digest, shards, one_by_another_digest, no_serialization, numbers, unnamed
)  # fmt: skip


@pytest.mark.parametrize("change", CONTRADICTIONS, ids=lambda change: change.__name__)
def test_a_model_signature_that_contradicts_itself_fails(tiny: TinyEvidence, change: Callable[[dict[str, Any]], None]):
    result = check(tiny, of_model(tiny, change), checkpoint=tiny.checkpoint)
    assert result.exit_code == 1
    assert set(failed(result)) & {"statement", "subjects"}


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/hostname",
        "/etc/hostname",
        "..",
        "a/../../b",
        "a\\..\\b",
        "C:\\x",
        "C:x",
        "a:0:10",
        "a\0b",
        "",
        "a//b",
        "./a",
        "a\nb",
        "a\u202eb",
        "x" * 1025,
    ],
    ids=repr,
)
def test_a_name_that_leads_out_is_refused_before_any_file_is_read(tiny: TinyEvidence, name: str):
    def change(value: dict[str, Any]) -> None:
        value["predicate"]["resources"] = [{"name": name, "algorithm": "sha256", "digest": "ab" * 32}]
        value["subject"][0]["digest"]["sha256"] = root_digest({name: "ab" * 32})

    result = check(tiny, of_model(tiny, change), checkpoint=tiny.checkpoint)
    assert (failed(result), result.coverage, result.exit_code) == (["statement"], None, 1)
    assert step(result, "statement").details["code"] == "unsafe-path"


def test_an_ignore_list_that_the_signer_wrote_hides_nothing(tiny: TinyEvidence):
    def change(value: dict[str, Any]) -> None:
        value["predicate"]["serialization"]["ignore_paths"] = ["sub", ".", "", "/", "config.json"]
        kept = [one for one in resources(value) if one["name"] == "NOTICE.txt"]
        value["predicate"]["resources"] = kept
        value["subject"][0]["digest"]["sha256"] = root_digest({one["name"]: one["digest"] for one in kept})

    result = check(tiny, of_model(tiny, change), checkpoint=tiny.checkpoint)
    assert (failed(result), result.exit_code) == (["checkpoint"], 1)
    assert result.coverage is not None
    assert (result.coverage.files_covered, result.coverage.files_present) == (1, 3)


def test_unknown_keys_are_no_fault_as_the_specification_asks(tiny: TinyEvidence):
    def change(value: dict[str, Any]) -> None:
        value["predicate"]["more"] = {"a": 1}
        resources(value)[0]["size"] = 1

    assert check(tiny, of_model(tiny, change), checkpoint=tiny.checkpoint).exit_code == 0


@pytest.mark.parametrize(
    "predicate", [{}, {"serialization": [], "resources": {}}, {"serialization": {}, "resources": 1}]
)
def test_a_predicate_of_another_shape_is_a_coded_error(predicate: dict[str, Any]):
    with pytest.raises(DocumentError):
        ModelManifest.read(predicate, where="x")


def test_a_model_signature_is_known(tiny: TinyEvidence):
    result = check(tiny, of_model(tiny))
    assert OMS_TYPE in step(result, "statement").message
    assert (step(result, "checkpoint").outcome, result.exit_code) == ("SKIPPED", 0)
