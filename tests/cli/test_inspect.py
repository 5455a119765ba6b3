"""attest inspect as its users call it."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from measured import measured
from small_checkpoint import write_tensors
from tiny_evidence import TinyEvidence

from attest.cli import main
from attest.evidence_directory import write_evidence
from attest.signer import PublicKey


def attest(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def test_a_checkpoint_for_people(family: Path):
    result = attest("inspect", family / "seed-1")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "checkpoint  seed-1  2 files, format safetensors"
    assert lines[1] == "layout      llama-like, 4 layers, 50 tensors, 0 without a role"
    assert "model.layers.0.mlp.gate_proj.weight             BF16          256x96  layer   0  gate" in lines
    assert lines[-1].split() == ["model.norm.weight", "BF16", "96", "layer", "-", "final_norm"]


def test_a_checkpoint_for_programs(family: Path):
    value = json.loads(attest("inspect", family / "seed-1", "--format", "json").stdout)
    assert list(value) == ["name", "format", "family", "layers", "findings", "tensors"]
    assert len(value["tensors"]) == 50
    first = value["tensors"][0]
    assert first["name"] == "model.embed_tokens.weight"
    assert first["end"] - first["begin"] == 2 * first["shape"][0] * first["shape"][1]


def test_values_are_not_read(family: Path, tmp_path: Path):
    """Headers only: what the values are does not matter, and nothing is measured."""
    folder = Path(shutil.copytree(family / "seed-1", tmp_path / "copy"))
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-800_000:] = bytes(800_000)
    (folder / "model.safetensors").write_bytes(data)
    assert attest("inspect", folder / "model.safetensors").exit_code == 0


def test_hostile_names_cannot_move_the_cursor(tmp_path: Path):
    write_tensors(tmp_path / "model.safetensors", {"x" * 1000: np.ones((1, 1), np.float32), "y": np.array(1.0)})
    (tmp_path / "\u3164\u2800.bin").touch()
    (tmp_path / "config.json").write_bytes(b'{"\x1b[2J')
    result = attest("inspect", tmp_path)
    assert result.stdout.replace("\n", "").isprintable()
    assert "finding     unsafe-file: \\u3164\\u2800.bin: " in result.stdout
    assert result.stdout.splitlines()[-1] == f"{'y':80}  F64           scalar  layer   -  -"


def test_evidence_that_is_not_signed(tmp_path: Path):
    write_evidence(tmp_path / "my evidence", measured("seed-1").statement(), measured("seed-1").details)
    result = attest("inspect", tmp_path / "my evidence")
    lines = result.stdout.splitlines()
    assert lines[0] == f"statement   {measured('seed-1').statement().digest}"
    assert lines[2] == "signed by   nobody: not signed"
    command = lines[3].partition("run: ")[2]
    assert shlex.split(command) == ["attest", "verify", str(tmp_path / "my evidence"), "--key", "PUBLIC_KEY"]
    assert [line.split()[-1] for line in lines[4:]] == ["config.json", "model.safetensors", "."]


def test_a_bundle(tiny: TinyEvidence):
    hint = PublicKey.read(tiny.key().with_suffix(".pub.pem")).hint
    for path in (tiny.directory, tiny.bundle):
        assert f"signed by   {hint}" in attest("inspect", path).stdout
        value = json.loads(attest("inspect", path, "--format", "json").stdout)
        assert value["signerKeySha256"] == hint
        assert value["predicate"]["checkpoint"]["name"] == "tiny"


def test_output_to_a_file(family: Path, tmp_path: Path):
    result = attest("inspect", family / "seed-1", "--format", "json", "-o", tmp_path / "out.json")
    assert (result.exit_code, result.stdout) == (0, "")
    before = (tmp_path / "out.json").read_bytes()
    assert json.loads(before)["name"] == "seed-1"
    again = attest("inspect", family / "seed-2", "-o", tmp_path / "out.json")
    assert again.exit_code == 3
    assert again.stderr.startswith("error[output-exists]")
    assert (tmp_path / "out.json").read_bytes() == before
    assert attest("inspect", family / "seed-2", "-o", tmp_path / "out.json", "--force").exit_code == 0
    assert (tmp_path / "out.json").read_text().startswith("checkpoint  seed-2")


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("x.json", b"{}", "not-a-bundle"),
        ("x.json", b"[" * 1000, "too-deep"),
        ("x.json", b'{"a":1,"a":2}', "duplicate-key"),
        ("x.safetensors", b"\0" * 9, "not-safetensors"),
        ("x.bin", b"", "unsafe-format"),
        ("x.txt", b"", "unknown-format"),
    ],
)
def test_what_cannot_be_inspected_is_one_coded_line(tmp_path: Path, name: str, data: bytes, code: str):
    (tmp_path / name).write_bytes(data)
    result = attest("inspect", tmp_path / name)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"error[{code}]: ")
    assert result.stderr.count("\n") == 1
