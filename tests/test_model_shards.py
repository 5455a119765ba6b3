"""Model signatures by shards, and by other digests than SHA-256."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from keyless_evidence import attest
from tiny_evidence import WEIGHTS, TinyEvidence, sign_payload
from verifying import failed, step

from attest.document import canonical
from attest.errors import DocumentError
from attest.oms import OMS_TYPE, ModelManifest, root_digest
from attest.verify import Files, Verification, verify

SHARD = 50
Change = Callable[[dict[str, Any]], None]
HASHES = {"sha256": hashlib.sha256, "blake2b": hashlib.blake2b}


def intact(_value: dict[str, Any]) -> None:
    """Nothing is changed."""


def sign(tiny: TinyEvidence, kind: str = "sha256", *, method: str = "shards", change: Change = intact) -> Path:
    """A model signature as model_signing writes it, with something changed before it was signed."""
    size = SHARD if method == "shards" else 2**40
    resources = []
    for path in sorted(tiny.checkpoint.rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        for begin in range(0, len(data), size):
            part, name = data[begin : begin + size], path.relative_to(tiny.checkpoint).as_posix()
            shard = f":{begin}:{begin + len(part)}" if method == "shards" else ""
            algorithm = f"{kind}-sharded-{size}" if shard else kind
            resources.append({"name": name + shard, "algorithm": algorithm, "digest": HASHES[kind](part).hexdigest()})
    serialization = {"method": method, "hash_type": kind, "allow_symlinks": False, "ignore_paths": []}
    serialization |= {"shard_size": size} if method == "shards" else {}
    value = {"_type": "https://in-toto.io/Statement/v1", "predicateType": OMS_TYPE, "subject": []}
    value["predicate"] = {"serialization": serialization, "resources": resources}
    change(value)
    digest = root_digest({one["name"]: one["digest"] for one in value["predicate"]["resources"]})
    value["subject"] = [{"name": "model", "digest": {"sha256": digest}}]
    sign_payload(tiny, canonical(value))
    folder = tiny.root / "alone"
    folder.mkdir(exist_ok=True)
    return Path(shutil.copy(tiny.bundle, folder / "model.sig"))


def check(tiny: TinyEvidence, bundle: Path) -> Verification:
    return verify(bundle, expectation=tiny.expectation(), files=Files(checkpoint=tiny.checkpoint))


@pytest.mark.parametrize("kind", HASHES)
@pytest.mark.parametrize("method", ["files", "shards"])
def test_every_byte_is_held_against_its_shard(tiny: TinyEvidence, kind: str, method: str):
    bundle = sign(tiny, kind, method=method)
    result = check(tiny, bundle)
    assert (failed(result), result.exit_code) == ([], 0)
    assert (result.compared.files_covered, result.compared.bytes_covered) == (3, 254)
    weights = tiny.checkpoint / WEIGHTS
    good = weights.read_bytes()
    spoiled = [
        good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :] for place in (0, SHARD - 1, SHARD, -1 % len(good))
    ]
    for data in (*spoiled, good + b"x", good[:-1], good[:SHARD], good + good, b""):
        weights.write_bytes(data)
        result = check(tiny, bundle)
        assert (failed(result), result.exit_code) == (["checkpoint"], 1)
    weights.write_bytes(good)
    (tiny.checkpoint / "config.json").rename(tiny.checkpoint / "other.json")
    assert step(check(tiny, bundle), "checkpoint").problems == ("missing: config.json", "not named: other.json")


def resources(value: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = value["predicate"]["resources"]
    return found


def gap(value: dict[str, Any]) -> None:
    weights = [one for one in resources(value) if one["name"].startswith(WEIGHTS)]
    resources(value).remove(weights[1])


def no_first_shard(value: dict[str, Any]) -> None:
    resources(value).remove(next(one for one in resources(value) if one["name"].startswith(f"{WEIGHTS}:0:")))


def overlap(value: dict[str, Any]) -> None:
    one = next(one for one in resources(value) if one["name"].startswith(f"{WEIGHTS}:{SHARD}:"))
    one["name"] = f"{WEIGHTS}:{SHARD - 1}:{2 * SHARD - 1}"


def twice(value: dict[str, Any]) -> None:
    resources(value).append(resources(value)[0])


def leading_zero(value: dict[str, Any]) -> None:
    resources(value)[0]["name"] = resources(value)[0]["name"].replace(":0:", ":00:")


def backwards(value: dict[str, Any]) -> None:
    resources(value)[0]["name"] = "config.json:14:0"


def no_numbers(value: dict[str, Any]) -> None:
    resources(value)[0]["name"] = "config.json"


def another_size(value: dict[str, Any]) -> None:
    value["predicate"]["serialization"]["shard_size"] = SHARD + 1


def no_size(value: dict[str, Any]) -> None:
    del value["predicate"]["serialization"]["shard_size"]


def size_that_is_none(value: dict[str, Any]) -> None:
    value["predicate"]["serialization"]["shard_size"] = "50"


def leads_out(value: dict[str, Any]) -> None:
    resources(value)[0]["name"] = "../config.json:0:14"


CHANGES = (gap, no_first_shard, overlap, twice, leading_zero, backwards, no_numbers, another_size, no_size,
           size_that_is_none, leads_out)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_shards_that_are_not_the_whole_of_a_file_fail(tiny: TinyEvidence, change: Change):
    result = check(tiny, sign(tiny, change=change))
    assert (failed(result), result.coverage, result.exit_code) == (["statement"], None, 1)


def by_blake3(value: dict[str, Any]) -> None:
    value["predicate"]["serialization"]["hash_type"] = "blake3"
    for one in resources(value):
        one["algorithm"] = f"blake3-sharded-{SHARD}"


def by_another_method(value: dict[str, Any]) -> None:
    value["predicate"]["serialization"]["method"] = "tensors"


@pytest.mark.parametrize("change", [by_blake3, by_another_method], ids=lambda change: change.__name__)
def test_what_attest_does_not_compute_is_undecided_with_the_reason(tiny: TinyEvidence, change: Change):
    result = check(tiny, sign(tiny, change=change))
    assert (failed(result), step(result, "checkpoint").outcome, result.exit_code) == ([], "SKIPPED", 3)
    assert "attest checks files and shards by 'sha256' or 'blake2b'" in step(result, "statement").message


def test_the_root_is_over_the_digests_as_they_are_listed(tiny: TinyEvidence):
    """model_signing sorts by the parts of a path: ``sub/x`` before ``sub-x``, where texts are the other way round."""
    (tiny.checkpoint / "sub-x").write_bytes(b"1")

    def by_parts(value: dict[str, Any]) -> None:
        resources(value).sort(key=lambda one: Path(one["name"]))
        names = [one["name"] for one in resources(value)]
        assert names != sorted(names)

    result = check(tiny, sign(tiny, method="files", change=by_parts))
    assert (failed(result), result.exit_code) == ([], 0)


def test_a_path_may_hold_a_colon_behind_its_first_part():
    digest = {"algorithm": "sha256-sharded-9", "digest": "0" * 64}
    serialization = {"method": "shards", "hash_type": "sha256", "shard_size": 9}
    read = ModelManifest.read(
        {"serialization": serialization, "resources": [{"name": "a/b:c:0:9", **digest}]}, where="x"
    )
    assert (list(read.files), read.size) == (["a/b:c"], 9)
    with pytest.raises(DocumentError):
        ModelManifest.read({"serialization": serialization, "resources": [{"name": "a:c:0:9", **digest}]}, where="x")


@pytest.mark.interop
@pytest.mark.skipif(
    not find_spec("model_signing") or not find_spec("OpenSSL"), reason="model-signing and pyOpenSSL are not installed"
)
@pytest.mark.parametrize(("method", "kind"), [("shards", "sha256"), ("shards", "blake2"), ("files", "blake2")])
def test_what_model_signing_signs_is_verified(tiny: TinyEvidence, method: str, kind: Any):
    from model_signing import hashing, signing  # noqa: PLC0415 - not installed everywhere

    (tiny.checkpoint / "sub-x").write_bytes(b"1")
    config = hashing.Config()
    if method == "shards":
        config.use_shard_serialization(hashing_algorithm=kind, shard_size=SHARD)
    else:
        config.use_file_serialization(hashing_algorithm=kind)
    signature = tiny.root / "model.sig"
    signing.Config().use_elliptic_key_signer(private_key=tiny.key()).set_hashing_config(config).sign(
        tiny.checkpoint, signature
    )
    public = tiny.key().with_suffix(".pub.pem")
    done = attest("verify", signature, "--key", public, "--checkpoint", tiny.checkpoint)
    assert (done.exit_code, "4 of 4 files and 255 of 255 bytes" in done.stdout) == (0, True), done.output
    assert json.loads(signature.read_bytes())["verificationMaterial"]
