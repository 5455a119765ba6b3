"""No byte of anything that was signed can be altered unnoticed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_evidence import TinyEvidence
from verifying import ALL_STEPS, ANYBODY, check, exit_code, failed, mutations, rewriting, step

from attest.bundle import BUNDLE_NAME, read_bundle
from attest.evidence_directory import SIGNER_KEY_NAME
from attest.signer import KeyType
from attest.verify import verify

STRIDE = 7
"""Every so many characters of the payload are flipped in the bundle; each of its bytes is flipped in a test of its own,
and ``scripts/write_trust_report.py`` flips every byte of the bundle."""


def alone(tiny: TinyEvidence) -> Path:
    """A copy of the bundle in a folder of its own."""
    folder = tiny.root / "alone"
    folder.mkdir()
    return Path(shutil.copy(tiny.bundle, folder / BUNDLE_NAME))


def places_in(bundle: bytes) -> list[int]:
    """Every place outside of the payload, and some in it."""
    begin = bundle.index(b'"payload":"') + len(b'"payload":"')
    end = bundle.index(b'"', begin)
    return [*range(begin), *range(begin, end, STRIDE), *range(end, len(bundle))]


@pytest.mark.parametrize(("key_type", "others"), [("p256", b'A"0'), ("ed25519", b"")])
def test_no_byte_of_a_bundle_can_be_altered(tiny: TinyEvidence, key_type: KeyType, others: bytes):
    tiny.sign(key_type)
    expectation, good = tiny.expectation(key_type), tiny.bundle.read_bytes()
    lone = alone(tiny)
    assert exit_code(lone, expectation) == 0
    survivors = []
    with rewriting(lone) as write:
        for place, altered in mutations(good, others, places_in(good)):
            write(altered)
            if exit_code(lone, expectation) not in {1, 3, 4}:
                survivors.append((place, altered[place]))
    assert survivors == []


def test_no_byte_of_a_bundle_can_be_altered_where_any_signer_will_do(tiny: TinyEvidence):
    good = tiny.bundle.read_bytes()
    lone = alone(tiny)
    shutil.copy(tiny.directory / SIGNER_KEY_NAME, lone.parent)
    assert exit_code(lone, ANYBODY) == 0
    survivors = []
    with rewriting(lone) as write:
        for place, altered in mutations(good, b"", places_in(good)):
            write(altered)
            if exit_code(lone, ANYBODY) not in {1, 3}:
                survivors.append(place)
    assert survivors == []


def test_no_byte_of_the_payload_can_be_altered_and_all_steps_are_still_reported(tiny: TinyEvidence):
    bundle, _ = read_bundle(tiny.bundle)
    payload, lone, expectation = bundle.envelope.payload, alone(tiny), tiny.expectation()
    with rewriting(lone) as write:
        for _, altered in mutations(payload, b""):
            write(replace(bundle, content=replace(bundle.envelope, payload=altered)).to_json())
            result = verify(lone, expectation=expectation)
            assert [one.id for one in result.checks] == ALL_STEPS
            assert step(result, "signature").outcome == "FAILED"
            assert (result.integrity, result.identity, result.exit_code) == ("FAILED", "SKIPPED", 1)


def test_no_byte_of_a_signature_can_be_altered(tiny: TinyEvidence, key_type: KeyType):
    tiny.sign(key_type)
    bundle, _ = read_bundle(tiny.bundle)
    signature, lone, expectation = bundle.envelope.signature, alone(tiny), tiny.expectation(key_type)
    with rewriting(lone) as write:
        for _, altered in mutations(signature, bytes(range(0, 256, 32))):
            write(replace(bundle, content=replace(bundle.envelope, signature=altered)).to_json())
            assert failed(verify(lone, expectation=expectation)) == ["signature"]


def test_no_byte_of_a_detail_file_can_be_altered(tiny: TinyEvidence):
    for name in tiny.details():
        file = tiny.directory / name
        good = file.read_bytes()
        with rewriting(file) as write:
            for altered in [*(altered for _, altered in mutations(good, b"")), good + b"\x00", good[:-1] or b"x"]:
                write(altered)
                result = check(tiny, checkpoint=None)
                assert (failed(result), result.content, result.exit_code) == (["details"], "FAILED", 1)
                assert step(result, "details").problems[0].startswith(name)
        file.write_bytes(good)
    assert check(tiny).exit_code == 0


def test_no_byte_of_a_checkpoint_can_be_altered(tiny: TinyEvidence):
    for file in [path for path in tiny.checkpoint.rglob("*") if path.is_file()]:
        name, good = file.relative_to(tiny.checkpoint).as_posix(), file.read_bytes()
        with rewriting(file) as write:
            for place, altered in mutations(good, b""):
                write(altered)
                result = check(tiny)
                assert (failed(result), result.content, result.exit_code) == (["checkpoint"], "FAILED", 1)
                assert result.coverage is not None
                (differing,) = result.coverage.differing
                assert differing.path == name
                (chunk,) = differing.chunks or ()
                assert chunk.begin <= place < chunk.end
                assert result.coverage.files_covered == 2
        file.write_bytes(good)
