"""Measuring a checkpoint: what the statement says, and what it must not say."""

import getpass
import json
import os
import platform
import shutil
import socket
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from measured import FAMILY, measured
from small_checkpoint import entry, raw, write_tensors

import attest
from attest.digest import sha256, tree_digest
from attest.document import dump, load
from attest.errors import CheckpointError, InputError
from attest.evidence import CHUNKS_NAME, EVIDENCE_TYPE, TENSORS_NAME, Evidence
from attest.fingerprint import MOMENTS_ID
from attest.licenses.scan import scan
from attest.licenses.summary import summarize
from attest.measure import DOES_NOT_SHOW, measure
from attest.program import environment, this_tool
from attest.statement import Statement

MIB = 1024 * 1024


def test_subjects_are_all_files_and_the_tree():
    statement = measured("seed-1").statement()
    expected = {
        path.name: sha256(path.read_bytes()) for path in (FAMILY / "seed-1").iterdir()
    }  # fmt: skip
    found = {subject.name: subject.digest.sha256 for subject in statement.subjects}
    assert found == expected | {".": measured("seed-1").evidence.checkpoint.tree_digest}
    assert statement.predicate_type == EVIDENCE_TYPE
    assert Statement.parse(statement.payload, where="x") == statement


def test_the_predicate_comes_back_as_it_was():
    measurement = measured("seed-1")
    assert load(Evidence, measurement.statement().predicate, where="x") == measurement.evidence
    assert measurement.statement().predicate == dump(measurement.evidence)


def test_the_tree_digest_binds_path_size_and_bytes():
    files = [(path.name, path.stat().st_size, sha256(path.read_bytes())) for path in (FAMILY / "seed-1").iterdir()]
    checkpoint = measured("seed-1").evidence.checkpoint
    assert checkpoint.tree_digest == tree_digest(files)
    assert (checkpoint.name, checkpoint.format, checkpoint.file_count) == ("seed-1", "safetensors", 2)
    assert checkpoint.bytes == sum(size for _, size, _ in files)
    assert checkpoint.tree_digest != tree_digest([(f"{name}x", size, digest) for name, size, digest in files])
    assert checkpoint.tree_digest != tree_digest([(name, size + 1, digest) for name, size, digest in files])


def test_details_are_named_by_size_and_digest():
    measurement = measured("seed-1")
    assert {one.name: (one.size, one.sha256) for one in measurement.evidence.details} == {
        name: (len(data), sha256(data)) for name, data in measurement.details.items()
    }
    assert [one.name for one in measurement.evidence.details] == sorted(measurement.details)
    assert {one.media_type for one in measurement.evidence.details} == {
        "application/json", "application/vnd.safetensors",
    }  # fmt: skip


def test_no_path_and_no_name_of_user_or_host_is_told(tmp_path: Path):
    folder = Path(shutil.copytree(FAMILY / "seed-1", tmp_path / "secret-folder" / "model"))
    measurement = measure(folder, repository=folder, command=("attest", "measure", "model"))
    for text in (measurement.statement().payload, *measurement.details.values()):
        assert b"secret-folder" not in text
        assert str(tmp_path).encode() not in text
        assert str(Path.home()).encode() not in text
    predicate = json.dumps(measurement.statement().predicate)
    words = set(predicate.replace('"', " ").replace(",", " ").split())
    assert not {getpass.getuser(), socket.gethostname(), platform.node()} & words


def test_the_environment_is_what_it_says():
    found = measured("seed-1").evidence.environment
    assert found == environment("numba", "numpy")
    assert (found.python, found.machine) == (platform.python_version(), platform.machine())
    assert found.packages["numpy"] == np.__version__
    assert environment("no-such-package").packages == {"no-such-package": "not installed"}


def test_the_tool_is_bound_by_its_source():
    package = Path(attest.__file__).parent
    paths = [*package.rglob("*.py"), *package.rglob("*.toml")]
    files = [(path.relative_to(package).as_posix(), path.read_bytes()) for path in paths]
    found = this_tool()
    assert (found.name, found.version) == ("attest", attest.__version__)
    assert found.source_sha256 == tree_digest((name, len(data), sha256(data)) for name, data in files)


@pytest.mark.parametrize(
    ("now", "text"),
    [
        ("2026-01-02T03:04:05.999+00:00", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05+09:00", "2026-01-01T18:04:05Z"),
    ],
)
def test_time_is_an_argument(now: str, text: str):
    assert measure(FAMILY / "seed-1", now=datetime.fromisoformat(now)).evidence.measured_at == text


def test_by_default_time_is_this_machines():
    before = datetime.now(UTC).replace(microsecond=0)
    found = datetime.fromisoformat(measure(FAMILY / "seed-1").evidence.measured_at)
    assert before <= found <= datetime.now(UTC)


def test_all_but_the_time_is_the_same_again():
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    one, two = (measure(FAMILY / "seed-1", now=moment, threads=threads) for threads in (1, 3))
    assert one.statement().payload == two.statement().payload
    assert one.details == two.details
    assert one.evidence.does_not_show == DOES_NOT_SHOW


def test_a_single_file_is_measured_without_its_configuration():
    found = measure(FAMILY / "seed-1" / "model.safetensors").evidence
    assert [file.path for file in found.checkpoint.files] == ["model.safetensors"]
    assert (found.checkpoint.name, found.architecture.heads) == ("model.safetensors", None)


def test_progress_ends_at_the_whole():
    told: list[tuple[int, int]] = []
    measure(FAMILY / "seed-1", progress=lambda done, total: told.append((done, total)))
    size = sum(path.stat().st_size for path in (FAMILY / "seed-1").iterdir())
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_the_most_layers_and_the_longest_names_make_a_statement(tmp_path: Path):
    """A hostile checkpoint can make the statement large, but not too large to be read."""
    ones = np.ones((2, 2), np.float32)
    layers = {
        f"model.layers.{layer}.{name}": array
        for layer in (0, 999)
        for name, array in (
            ("self_attn.q_proj.weight", ones), ("self_attn.q_proj.bias", ones[0]), ("mlp.up_proj.weight", ones),
            ("mlp.down_proj.weight", ones), ("input_layernorm.weight", ones[0]),
            ("post_attention_layernorm.weight", ones[0]),
        )
    }  # fmt: skip
    wide = "\U0001d54f" * 1000
    unknown = {f"{number:03}{wide}": ones for number in range(120)}
    write_tensors(tmp_path / "model.safetensors", layers | unknown)
    folder = tmp_path.joinpath(*["d" * 200] * 4)
    folder.mkdir(parents=True)
    for number in range(990):
        (folder / f"{number:03}{'n' * 200}.bin").touch()
    measurement = measure(tmp_path)
    assert measurement.evidence.architecture.layers == 1000
    assert len(measurement.evidence.checkpoint.files) == 991
    assert Statement.parse(measurement.statement().payload, where="x")


def test_licenses_are_scanned_where_a_repository_is_given(tmp_path: Path):
    (tmp_path / "LICENSE").write_text("MIT License\n\nCopyright (c) 2024 A\n")
    summary, data = summarize(scan(tmp_path))
    measurement = measure(FAMILY / "seed-1", repository=tmp_path)
    assert measurement.evidence.licenses == summary
    assert measurement.details[summary.detail] == data
    assert measured("seed-1").evidence.licenses is None


def test_a_name_may_be_given():
    measurement = measure(FAMILY / "seed-1", name="Somebody's 模型")
    assert measurement.evidence.checkpoint.name == "Somebody's 模型"


@pytest.mark.parametrize("name", ["", "a" * 201, "a\nb", "\x1b[2J", "\u202e", "\u3164", "\ud800"])
def test_a_name_that_cannot_be_shown_is_refused(name: str):
    with pytest.raises(InputError) as caught:
        measure(FAMILY / "seed-1", name=name)
    assert caught.value.code == "unsafe-name"


@pytest.mark.parametrize("change", ["add", "remove", "touch"])
def test_a_folder_that_changes_while_it_is_measured_is_noticed(tmp_path: Path, change: str):
    """Though each file that was read stayed as it was while it was read."""
    folder = Path(shutil.copytree(FAMILY / "seed-1", tmp_path / "copy"))
    changes = {
        "add": (folder / "new").touch,
        "remove": (folder / "config.json").unlink,
        "touch": partial(os.utime, folder / "config.json", ns=(1, 1)),
    }
    left = iter([changes[change]])

    def meddle(done: int, _all: int) -> None:
        if done > 100_000:
            for act in left:
                act()

    with pytest.raises(CheckpointError) as caught:
        measure(folder, progress=meddle)
    assert caught.value.code == "file-changed"


def test_what_is_wrong_besides_the_checkpoint_is_told_before_the_long_read(tmp_path: Path):
    told: list[int] = []
    with pytest.raises(InputError):
        measure(FAMILY / "seed-1", repository=tmp_path / "missing", progress=lambda done, _: told.append(done))
    assert told == []


def test_a_checkpoint_without_tensors_is_measured(tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(raw({"__metadata__": {"format": "pt"}}))
    measurement = measure(tmp_path)
    assert (measurement.evidence.tensors.count, measurement.evidence.architecture.layers) == (0, 0)
    assert all(one.not_measured for one in measurement.evidence.fingerprints if one.id != MOMENTS_ID)
    assert sorted(measurement.details) == [CHUNKS_NAME, TENSORS_NAME]
    assert measurement.statement().payload


def test_sizes_up_to_the_greatest_are_written(tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(raw({"a": entry("F32", [0, 2**53 - 1], 0, 0)}))
    measurement = measure(tmp_path)
    assert measurement.tensors.tensors[0].shape == (0, 2**53 - 1)
    assert measurement.statement().payload


@pytest.mark.parametrize("spoil", ["truncate", "extend", "flip"])
def test_a_damaged_checkpoint_is_refused_or_has_another_digest(tmp_path: Path, spoil: str):
    folder = Path(shutil.copytree(FAMILY / "seed-1", tmp_path / "copy"))
    data = (folder / "model.safetensors").read_bytes()
    damaged = {"truncate": data[:-1], "extend": data + b"\0", "flip": data[:-1] + bytes([data[-1] ^ 1])}[spoil]
    (folder / "model.safetensors").write_bytes(damaged)
    if spoil == "flip":
        other, before = measure(folder), measured("seed-1")
        differing = [
            row.name
            for row, old in zip(other.tensors.tensors, before.tensors.tensors, strict=True)
            if row.digest != old.digest
        ]
        assert len(differing) == 1
        assert other.evidence.checkpoint.tree_digest != before.evidence.checkpoint.tree_digest
    else:
        with pytest.raises(CheckpointError) as caught:
            measure(folder)
        assert caught.value.where == "model.safetensors"
