"""attest measure as its users call it."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapters import pair, write_adapter
from click.testing import CliRunner, Result
from small_checkpoint import entry, raw, write_tensors

from attest.cli import main
from attest.digest import sha256
from attest.evidence_directory import STATEMENT_NAME, read_statement
from attest.statement import Statement


def attest(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def refused(result: Result, code: str) -> str:
    """The one line on stderr."""
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"error[{code}]: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def copy(family: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(family / "seed-1", tmp_path / "copy"))


def test_the_page_for_people(family: Path, tmp_path: Path):
    result = attest("measure", family / "seed-1", "-o", tmp_path / "my evidence")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("measured    seed-1: 2 files, 869,413 bytes, all read once")
    assert "tensors     50 with 431,712 parameters (50 BF16)" in lines
    assert "layout      llama-like, 4 layers, d_model 96, d_ff 256, heads 4" in lines
    assert "unmapped    0 tensors without a role; 0 values not finite" in lines
    assert "fingerprint neuron-sketch/v1" in lines
    assert shlex.split(lines[-1])[1:] == ["attest", "sign", str(tmp_path / "my evidence"), "--key", "key.pem"]


def test_evidence_is_no_checkpoint(tmp_path: Path):
    (tmp_path / "e" / "detail").mkdir(parents=True)
    (tmp_path / "e" / STATEMENT_NAME).write_bytes(b"{}")
    write_tensors(tmp_path / "e" / "detail" / "x.safetensors", {"a": np.zeros(1, np.float32)})
    assert "attest compare takes evidence" in refused(
        attest("measure", tmp_path / "e", "-o", tmp_path / "o"), "no-weights"
    )
    write_tensors(tmp_path / "e" / "model.safetensors", {"a": np.zeros(1, np.float32)})
    assert attest("measure", tmp_path / "e", "-o", tmp_path / "o").exit_code == 0


def test_the_object_for_programs(family: Path, tmp_path: Path):
    result = attest("measure", family / "seed-1", "-o", tmp_path / "evidence", "--format", "json")
    value = json.loads(result.stdout)
    statement = read_statement(tmp_path / "evidence")
    assert value["statementSha256"] == statement.digest
    assert value["evidence"] == statement.predicate
    assert value["directory"] == str(tmp_path / "evidence")


def test_what_is_written_is_what_the_statement_names(family: Path, tmp_path: Path):
    attest("measure", family / "seed-1", "-o", tmp_path / "evidence")
    files = contents(tmp_path / "evidence")
    statement = Statement.parse(files.pop(STATEMENT_NAME), where="x")
    assert {one["name"]: one["sha256"] for one in statement.predicate["details"]} == {
        name: sha256(data) for name, data in files.items()
    }
    assert os.listdir(tmp_path) == ["evidence"]  # noqa: PTH208 - nothing hidden beside it either


def test_the_command_is_recorded_without_folders(family: Path, tmp_path: Path):
    repository = tmp_path / "secret" / "my repo"
    repository.mkdir(parents=True)
    (repository / "LICENSE").write_text("MIT License\n")
    result = attest(
        "measure", family / "seed-1" / ".", "--repo", repository, "--threads", "1", "-o", tmp_path / "evidence"
    )  # fmt: skip
    assert result.exit_code == 0
    statement = read_statement(tmp_path / "evidence")
    assert statement.predicate["command"] == ["attest", "measure", "seed-1", "--repo", "my repo"]
    assert b"secret" not in statement.payload
    assert "licenses    2 findings in 1 file" in result.stdout


def test_a_name_and_a_prompt_set_are_recorded(family: Path, tmp_path: Path):
    arguments = ["measure", family / "seed-1", "--name", "given", "-o", tmp_path / "evidence"]
    assert attest(*arguments).stdout.startswith("measured    given: ")
    predicate = read_statement(tmp_path / "evidence").predicate
    assert predicate["command"] == ["attest", "measure", "seed-1", "--name", "given"]
    result = attest(*arguments, "--force", "--activations", "no-such-set")
    assert "general-en" in refused(result, "unknown-prompt-set")


def test_an_adapter_merged_into_a_base(family: Path, tmp_path: Path):
    adapter = write_adapter(tmp_path / "adapter", pair("model.layers.0.self_attn.q_proj", 96, 96))
    result = attest("measure", adapter, "--base", family / "seed-1", "-o", tmp_path / "e", "--format", "json")
    assert result.exit_code == 0
    evidence = json.loads(result.stdout)["evidence"]
    assert evidence["command"] == ["attest", "measure", "adapter", "--base", "seed-1"]
    assert {"merged-adapter", "merged-base"} <= {one["code"] for one in evidence["checkpoint"]["findings"]}


def test_a_merge_is_not_run_and_not_written_into_its_base(copy: Path, tmp_path: Path):
    adapter = write_adapter(tmp_path / "adapter", pair("model.layers.0.self_attn.q_proj", 96, 96))
    run = attest("measure", adapter, "--base", copy, "--activations", "general-en", "-o", tmp_path / "e")
    refused(run, "merged-not-run")
    refused(attest("measure", adapter, "--base", copy, "-o", copy / "e"), "output-in-checkpoint")
    turned = attest("measure", copy, "--base", adapter, "-o", tmp_path / "e")
    assert "give the adapter first" in refused(turned, "adapter-not-merged")


def test_a_repository_whose_name_is_no_text(family: Path, tmp_path: Path):
    repository = tmp_path / os.fsdecode(b"repo\xff")
    repository.mkdir()
    assert attest("measure", family / "seed-1", "--repo", repository, "-o", tmp_path / "evidence").exit_code == 0
    assert read_statement(tmp_path / "evidence").predicate["command"][-1] == "repo\\udcff"


def test_hostile_names_cannot_move_the_cursor(copy: Path, tmp_path: Path):
    write_tensors(copy / "other.safetensors", {"a": np.ones(1, np.float32)}, {"\x1b[2J": "\u202e"})
    (copy / "model.safetensors").unlink()
    (copy / "config.json").write_bytes(b'{"\x1b[2J\xff')
    (copy / "\u3164.bin").touch()
    result = attest("measure", copy, "-o", tmp_path / "evidence")
    assert result.exit_code == 0
    assert "finding     unsafe-file: \\u3164.bin: " in result.stdout
    assert result.stdout.replace("\n", "").isprintable()
    assert "\u3164" not in result.stdout


BAD = {
    "truncated": (lambda data: data[:-1], "truncated-file"),
    "cut in the header": (lambda data: data[:100], "truncated-file"),
    "a byte more": (lambda data: data + b"\0", "trailing-bytes"),
    "length of the header": (lambda data: b"\xff" * 8 + data[8:], "header-too-long"),
    "dtype": (lambda data: data.replace(b'"BF16"', b'"BF17"', 1), "unknown-dtype"),
    "tensor twice": (lambda data: data.replace(b".k_proj.", b".q_proj.", 1), "duplicate-key"),
    "empty": (lambda _: b"", "truncated-file"),
    "text": (lambda _: b"<!DOCTYPE html>", "header-too-long"),
}


@pytest.mark.parametrize(("spoil", "code"), BAD.values(), ids=BAD)
def test_bad_weights_are_one_coded_line_and_nothing_is_written(copy: Path, tmp_path: Path, spoil: Any, code: str):
    (copy / "model.safetensors").write_bytes(spoil((copy / "model.safetensors").read_bytes()))
    refused(attest("measure", copy, "-o", tmp_path / "evidence"), code)
    assert os.listdir(tmp_path) == ["copy"]  # noqa: PTH208 - nothing hidden beside it either


def test_bad_folders_are_one_coded_line(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "pickle").mkdir()
    (tmp_path / "pickle" / "pytorch_model.bin").touch()
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "model.safetensors").symlink_to("/etc/passwd")
    (tmp_path / "loop").symlink_to("loop")
    for name, code in {
        "missing": "no-checkpoint", "empty": "empty-checkpoint", "pickle": "unsafe-format", "link": "link-out-of-tree",
        "loop": "no-checkpoint", "a" * 300: "cannot-read",
    }.items():  # fmt: skip
        refused(attest("measure", tmp_path / name, "-o", tmp_path / "evidence"), code)
    assert not (tmp_path / "evidence").exists()


def test_a_failure_late_in_the_read_leaves_nothing(copy: Path, tmp_path: Path):
    """The header is right; a file behind it cannot be opened any more when its turn comes."""
    (copy / "zz").symlink_to("model.safetensors")
    before = attest("measure", copy, "-o", tmp_path / "evidence")
    assert before.exit_code == 0
    kept = contents(tmp_path / "evidence")
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:-2])
    refused(attest("measure", copy, "-o", tmp_path / "evidence", "--force"), "truncated-file")
    assert contents(tmp_path / "evidence") == kept
    assert sorted(os.listdir(tmp_path)) == ["copy", "evidence"]  # noqa: PTH208 - nothing hidden beside it either


@pytest.mark.parametrize("place", ["", "evidence", "sub/../evidence", "sub"])
def test_an_output_inside_the_checkpoint_is_refused(copy: Path, place: str):
    (copy / "sub").mkdir()
    before = contents(copy)
    for force in ([], ["--force"]):
        refused(attest("measure", copy, "-o", copy / place, *force), "output-in-checkpoint")
    assert contents(copy) == before


def test_an_output_inside_the_checkpoint_through_a_link_is_refused(copy: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(copy)
    refused(attest("measure", copy, "-o", tmp_path / "link" / "evidence"), "output-in-checkpoint")


def test_evidence_inside_the_repository_is_refused(family: Path, copy: Path):
    """The next scan would find it, and no two be alike."""
    refused(attest("measure", family / "seed-2", "--repo", copy, "-o", copy / "evidence"), "output-in-repository")
    assert not (copy / "evidence").exists()


def test_an_output_that_holds_the_checkpoint_is_never_replaced(family: Path, tmp_path: Path):
    """Not even where it holds evidence, and --force asks for it."""
    attest("measure", family / "seed-1", "-o", tmp_path / "evidence")
    copy = Path(shutil.copytree(family / "seed-1", tmp_path / "evidence" / "copy"))
    for subject in (copy, copy / "model.safetensors"):
        refused(attest("measure", subject, "-o", tmp_path / "evidence", "--force"), "checkpoint-in-output")
    refused(
        attest("measure", family / "seed-2", "--repo", copy, "-o", tmp_path / "evidence", "--force"),
        "checkpoint-in-output",
    )
    assert contents(copy) == contents(family / "seed-1")


def test_existing_output_is_refused_without_force_and_replaced_with_it(family: Path, tmp_path: Path):
    assert attest("measure", family / "seed-1", "-o", tmp_path / "evidence").exit_code == 0
    before = contents(tmp_path / "evidence")
    assert "--force" in refused(attest("measure", family / "seed-2", "-o", tmp_path / "evidence"), "output-exists")
    assert contents(tmp_path / "evidence") == before
    (tmp_path / "evidence" / "detail" / "old.json").touch()
    assert attest("measure", family / "seed-2", "-o", tmp_path / "evidence", "--force").exit_code == 0
    assert read_statement(tmp_path / "evidence").predicate["checkpoint"]["name"] == "seed-2"
    assert not (tmp_path / "evidence" / "detail" / "old.json").exists()


def test_force_replaces_evidence_only(family: Path, tmp_path: Path):
    """A slip such as ``-o ~ --force`` costs nothing."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("precious", "file"):
        refused(attest("measure", family / "seed-1", "-o", tmp_path / name, "--force"), "output-not-evidence")
    refused(attest("measure", family / "seed-1", "-o", tmp_path / "dangling"), "output-exists")
    assert (tmp_path / "precious" / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / "file").read_text() == "a file"


def test_a_missing_parent_is_told_before_the_long_read(family: Path, tmp_path: Path):
    refused(attest("measure", family / "seed-1", "-o", tmp_path / "missing" / "evidence"), "cannot-write")
    refused(attest("measure", tmp_path / "nothing", "-o", tmp_path / "missing" / "evidence"), "cannot-write")
    refused(attest("measure", family / "seed-1", "-o", tmp_path / ("a" * 300)), "cannot-use")


def test_values_that_are_not_finite_are_counted(tmp_path: Path):
    values = np.array([[np.nan, np.inf], [-np.inf, 1.0]], np.float32)
    write_tensors(tmp_path / "model.safetensors", {"model.layers.0.self_attn.q_proj.weight": values})
    result = attest("measure", tmp_path / "model.safetensors", "-o", tmp_path / "evidence")
    assert result.exit_code == 0
    assert "unmapped    0 tensors without a role; 3 values not finite" in result.stdout


def test_as_a_program(family: Path, tmp_path: Path):
    words = [sys.executable, "-W", "error", "-m", "attest", "measure", family / "seed-1", "-o", tmp_path / "evidence"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("measured    seed-1: ")
    again = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (3, "")
    assert again.stderr.startswith("error[output-exists]: ")


INTERRUPTIBLE = """
import signal
from attest.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has it ignored
main()
"""


def test_an_interruption_is_130_and_leaves_nothing(tmp_path: Path):
    """A sparse file of 64 GiB takes long enough to be interrupted."""
    size = 2**36
    weights = tmp_path / "c" / "model.safetensors"
    weights.parent.mkdir()
    with weights.open("wb") as stream:
        head = raw({"a": entry("U8", [size], 0, size)})
        stream.write(head)
        stream.truncate(len(head) + size)
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "measure", weights.parent, "-o", tmp_path / "evidence"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        while running.poll() is None and not is_reading(running.pid, weights):
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=60)
    assert (running.returncode, out, errors) == (130, "", "interrupted; no result was left half-written\n")
    assert os.listdir(tmp_path) == ["c"]  # noqa: PTH208 - nothing hidden beside it either


def is_reading(pid: int, path: Path) -> bool:
    """Whether a process has read at least a megabyte of a file."""
    with suppress(FileNotFoundError):
        for number in Path(f"/proc/{pid}/fd").iterdir():
            if os.path.realpath(number) == str(path):
                position = Path(f"/proc/{pid}/fdinfo/{number.name}").read_text().split()[1]
                return int(position) > 1_000_000
    return False
