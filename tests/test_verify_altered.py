"""No byte of anything that was signed can be altered unnoticed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import chain

import pytest
from tiny_evidence import TinyEvidence
from verifying import ALL_STEPS, ANYBODY, check, exit_code, failed, mutations, overwrite, step

from attest.bundle import BUNDLE_NAME, read_bundle
from attest.evidence_directory import SIGNER_KEY_NAME
from attest.signer import KeyType


def places(bundle: bytes, stride: int = 13) -> list[int]:
    """Every place outside the payload, and every so many within, whose bytes are all the same to a verifier."""
    begin = bundle.index(b'"payload":"') + 11
    end = bundle.index(b'"', begin)
    return [*range(begin), *range(begin, end, stride), *range(end, len(bundle))]


@pytest.mark.parametrize(("key_type", "stride"), [("p256", 1), ("ed25519", 13)])
def test_no_byte_of_a_bundle_can_be_altered(tiny: TinyEvidence, key_type: KeyType, stride: int):
    tiny.sign(key_type)
    expectation, good = tiny.expectation(key_type), tiny.bundle.read_bytes()
    folder = tiny.root / "alone"
    folder.mkdir()
    lone = folder / BUNDLE_NAME
    lone.write_bytes(good)
    assert exit_code(lone, expectation) == 0
    survivors = []
    for place, altered in chain(
        mutations(good, b"", places(good, stride)),
        mutations(good, b"A", places(good)),
        mutations(good[-500:], b' "\x00,0{'),
    ):
        overwrite(lone, good[: len(good) - len(altered)] + altered)
        if exit_code(lone, expectation) not in {1, 3, 4}:
            survivors.append((place, altered[place]))
    assert survivors == []


def test_no_byte_of_a_bundle_can_be_altered_where_any_signer_will_do(tiny: TinyEvidence):
    good = tiny.bundle.read_bytes()
    folder = tiny.root / "alone"
    folder.mkdir()
    lone = folder / BUNDLE_NAME
    shutil.copy(tiny.directory / SIGNER_KEY_NAME, folder)
    lone.write_bytes(good)
    assert exit_code(lone, ANYBODY) == 0
    survivors = []
    for place, altered in mutations(good, b"", places(good)):
        overwrite(lone, altered)
        if exit_code(lone, ANYBODY) not in {1, 3}:
            survivors.append(place)
    assert survivors == []


def test_where_the_payload_is_altered_all_steps_are_still_reported(tiny: TinyEvidence):
    bundle, _ = read_bundle(tiny.bundle)
    payload = bundle.envelope.payload
    for _, altered in mutations(payload, b"", range(0, len(payload), 7)):
        overwrite(tiny.bundle, replace(bundle, content=replace(bundle.envelope, payload=altered)).to_json())
        result = check(tiny, checkpoint=None)
        assert [one.id for one in result.checks] == ALL_STEPS
        assert step(result, "signature").outcome == "FAILED"
        assert (result.integrity, result.identity, result.exit_code) == ("FAILED", "SKIPPED", 1)


def test_no_byte_of_a_signature_can_be_altered(tiny: TinyEvidence, key_type: KeyType):
    tiny.sign(key_type)
    bundle, _ = read_bundle(tiny.bundle)
    signature = bundle.envelope.signature
    for _, altered in mutations(signature, b"\x00\xff"):
        overwrite(tiny.bundle, replace(bundle, content=replace(bundle.envelope, signature=altered)).to_json())
        assert failed(check(tiny, expectation=tiny.expectation(key_type), checkpoint=None)) == ["signature"]


def test_no_byte_of_a_detail_file_can_be_altered(tiny: TinyEvidence):
    for name in tiny.details():
        file = tiny.directory / name
        good = file.read_bytes()
        for altered in [*(altered for _, altered in mutations(good, b"")), good + b"\x00", good[:-1] or b"x"]:
            overwrite(file, altered)
            result = check(tiny, checkpoint=None)
            assert (failed(result), result.content, result.exit_code) == (["details"], "FAILED", 1)
            assert step(result, "details").problems[0].startswith(name)
        file.write_bytes(good)
    assert check(tiny).exit_code == 0


def test_no_byte_of_a_checkpoint_can_be_altered(tiny: TinyEvidence):
    for file in [path for path in tiny.checkpoint.rglob("*") if path.is_file()]:
        name, good = file.relative_to(tiny.checkpoint).as_posix(), file.read_bytes()
        for place, altered in mutations(good, b""):
            overwrite(file, altered)
            result = check(tiny)
            assert (failed(result), result.content, result.exit_code) == (["checkpoint"], "FAILED", 1)
            assert result.coverage is not None
            (differing,) = result.coverage.differing
            assert differing.path == name
            (chunk,) = differing.chunks or ()
            assert chunk.begin <= place < chunk.end
            assert result.coverage.files_covered == 2
        file.write_bytes(good)
