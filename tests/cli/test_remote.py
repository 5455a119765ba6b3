"""Commands on a checkpoint that lies elsewhere."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from servers.hub import COMMIT, Hub
from servers.web import Web

from attest.cli import main

URI = "hf://org/seed-1"


def attest(*words: object, expect: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == expect, result.output
    return result


def test_measured_signed_verified_and_reproduced(hub: Hub, family: Path, tmp_path: Path):
    """Measured at the hub, verified and reproduced there and on a local copy."""
    evidence, key = tmp_path / "evidence", tmp_path / "key.pem"
    text = attest("measure", URI, "--revision", "main", "-o", evidence).output
    assert f"source      {hub.url}/org/seed-1 at commit {COMMIT}\n" in text
    attest("keygen", "-o", key)
    attest("sign", evidence, "--key", key)
    for copy in (URI, f"{URI}@{COMMIT}", family / "seed-1"):
        attest("verify", evidence, "--key", key.with_suffix(".pub.pem"), "--checkpoint", copy)
        attest("reproduce", evidence, "--checkpoint", copy)
    data = bytearray(hub.repositories["org/seed-1"]["model.safetensors"])
    data[-1] ^= 1
    hub.repositories["org/seed-1"]["model.safetensors"] = bytes(data)
    told = attest("verify", evidence, "--key", key.with_suffix(".pub.pem"), "--checkpoint", URI, expect=1)
    assert "differs: model.safetensors, chunk" in told.output
    assert "differs" in attest("reproduce", evidence, "--checkpoint", URI, expect=1).output


def test_the_recorded_command_names_no_secret(hub: Hub, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.token = "hf_secret"  # noqa: S105 - of the hub in these tests
    attest("measure", f"{URI}@main", "-o", tmp_path / "hub")
    web.files["/x.safetensors"] = hub.repositories["org/seed-1"]["model.safetensors"]
    attest("measure", f"{web.url}/x.safetensors?signature=hf_secret#part", "-o", tmp_path / "web")
    statements = [(tmp_path / name / "statement.json").read_bytes() for name in ("hub", "web")]
    assert [b"hf_secret" in statement for statement in statements] == [False, False]
    commands = [json.loads(statement)["predicate"]["command"] for statement in statements]
    assert commands == [["attest", "measure", f"{URI}@main"], ["attest", "measure", f"{web.url}/x.safetensors"]]


def test_compared_where_they_lie(hub: Hub, family: Path, tmp_path: Path):
    """A comparison at the hub has the numbers of one on local copies, weights and all."""
    hub.repositories["org/child"] = {one.name: one.read_bytes() for one in (family / "seed-1-continued").iterdir()}
    words = ("--weights", "--format", "json")
    remote = json.loads(attest("compare", URI, "hf://org/child", *words).output)
    local = json.loads(attest("compare", family / "seed-1", family / "seed-1-continued", *words).output)
    assert remote["tests"] == local["tests"]
    assert {one["id"] for one in remote["tests"]} >= {"neuron-alignment/v1", "exact-replay/v1"}
    attest("measure", URI, "-o", tmp_path / "e")
    assert "neuron-alignment/v1" in attest("compare", tmp_path / "e", "hf://org/child").output
    assert "error[no-weights]" in attest("compare", tmp_path / "e", URI, "--weights", expect=3).output


def test_inspect_reads_headers_only(hub: Hub):
    value = json.loads(attest("inspect", URI, "--format", "json").output)
    assert len(value["tensors"]) > 10
    asked = [request.range for request in hub.log if request.range]
    assert sum(last - first + 1 for first, last in asked) < 70_000


ERRORS = {
    "no such model": (["measure", "hf://org/none", "-o", "x"], "not-found"),
    "no such scheme": (["inspect", "ftp://a/b"], "unknown-scheme"),
    "revision of a folder": (["inspect", ".", "--revision", "v1"], "no-revision"),
    "run from afar": (["measure", URI, "-o", "x", "--activations", "random-tokens"], "not-local"),
}


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(("words", "code"), ERRORS.values(), ids=ERRORS)
def test_errors_are_one_coded_line(words: list[str], code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if "--activations" in words:
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    told = attest(*words, expect=3).stderr
    assert told.startswith(f"error[{code}]: ")
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
