from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_evidence import WEIGHTS, TinyEvidence, state
from verifying import check, failed, step

from attest.coverage import MAX_LISTED
from attest.digest import sha256
from attest.document import canonical, dump
from attest.errors import InputError
from attest.evidence import CHUNKS_NAME, Chunk
from attest.evidence_directory import write_evidence


def test_a_differing_byte_is_named_by_file_chunk_range_and_tensor(tiny: TinyEvidence):
    file = tiny.checkpoint / WEIGHTS
    good = file.read_bytes()
    file.write_bytes(good[:-41] + b"\xff" + good[-40:])  # the last byte of the first tensor
    begin = len(good) - 64
    assert step(check(tiny), "checkpoint").problems == (
        f"differs: {WEIGHTS}",
        f"differs: {WEIGHTS}, chunk 1, bytes {begin} to {begin + 23}, tensor layer.0.weight",
    )


def test_added_and_cut_bytes_are_named(tiny: TinyEvidence):
    file = tiny.checkpoint / WEIGHTS
    good = file.read_bytes()
    size = len(good)
    file.write_bytes(good + b"more")
    assert step(check(tiny), "checkpoint").problems == (f"differs: {WEIGHTS}, {size + 4} bytes instead of {size}",)
    file.write_bytes(good[:-1])
    assert step(check(tiny), "checkpoint").problems == (
        f"differs: {WEIGHTS}, {size - 1} bytes instead of {size}",
        f"differs: {WEIGHTS}, chunk 2, bytes {size - 40} to {size - 1}, tensor layer.1.weight",
    )


def test_missing_and_added_files_are_named(tiny: TinyEvidence):
    (tiny.checkpoint / "NOTICE.txt").rename(tiny.checkpoint / "sub" / "NOTICE.txt")
    (tiny.checkpoint / ".git").mkdir()
    (tiny.checkpoint / ".git" / "hook").touch()
    result = check(tiny)
    assert step(result, "checkpoint").problems == ("missing: NOTICE.txt", "not named: sub/NOTICE.txt")
    assert result.coverage is not None
    assert (result.coverage.missing, result.coverage.extra) == (("NOTICE.txt",), ("sub/NOTICE.txt",))
    assert result.coverage.ignored == (".git",)
    assert (result.coverage.files_covered, result.coverage.files_present) == (2, 3)


def test_an_added_file_alone_fails(tiny: TinyEvidence):
    (tiny.checkpoint / "modeling_evil.py").touch()
    result = check(tiny)
    assert (failed(result), result.exit_code) == (["checkpoint"], 1)
    assert step(result, "checkpoint").problems == ("not named: modeling_evil.py",)


# Checkpoints that cannot be read as they must.


def link_out(tiny: TinyEvidence) -> None:
    (tiny.checkpoint / "config.json").rename(tiny.root / "config.json")
    (tiny.checkpoint / "config.json").symlink_to(tiny.root / "config.json")


def folder_link(tiny: TinyEvidence) -> None:
    (tiny.checkpoint / "more").symlink_to(tiny.root)


def fifo(tiny: TinyEvidence) -> None:
    os.mkfifo(tiny.checkpoint / "pipe")


def control_character(tiny: TinyEvidence) -> None:
    (tiny.checkpoint / "a\x1b[2Jb").touch()


def not_utf_8(tiny: TinyEvidence) -> None:
    Path(os.fsdecode(os.fsencode(tiny.checkpoint) + b"/\xff")).touch()


def empty(tiny: TinyEvidence) -> None:
    shutil.rmtree(tiny.checkpoint)
    tiny.checkpoint.mkdir()


@pytest.mark.parametrize(
    "spoil",
    [link_out, folder_link, fifo, control_character, not_utf_8, empty],
    ids=lambda spoil: spoil.__name__,
)
def test_a_spoiled_checkpoint_fails(tiny: TinyEvidence, spoil: Callable[[TinyEvidence], None]):
    spoil(tiny)
    result = check(tiny)
    assert (failed(result), result.exit_code) == (["checkpoint"], 1)
    assert len(step(result, "checkpoint").problems) == 1


def test_a_tree_deeper_than_the_stack_fails(tiny: TinyEvidence):
    folder = tiny.checkpoint
    for _ in range(1500):
        folder /= "d"
        folder.mkdir()
    (folder / "f").touch()
    try:
        result = check(tiny)
    finally:
        subprocess.run(["rm", "-r", tiny.checkpoint / "d"], check=True)  # noqa: S607 - shutil.rmtree recurses
    assert (failed(result), result.exit_code) == (["checkpoint"], 1)


def test_no_checkpoint_at_all_could_not_be_decided(tiny: TinyEvidence):
    with pytest.raises(InputError) as caught:
        check(tiny, checkpoint=tiny.root / "none")
    assert caught.value.code == "no-checkpoint"


def test_a_link_inside_the_checkpoint_is_followed(tiny: TinyEvidence):
    (tiny.checkpoint / "blob").write_bytes((tiny.checkpoint / "config.json").read_bytes())
    tiny.write()
    tiny.sign()
    (tiny.checkpoint / "config.json").unlink()
    (tiny.checkpoint / "config.json").symlink_to("blob")
    assert check(tiny).exit_code == 0


def test_a_file_of_another_size_is_not_hashed(tiny: TinyEvidence):
    with (tiny.checkpoint / "extra.bin").open("wb") as stream:
        stream.truncate(2**43)  # 8 TiB without a byte on disk: reading it would never end
    with (tiny.checkpoint / "NOTICE.txt").open("wb") as stream:
        stream.truncate(2**43)
    result = check(tiny)
    assert failed(result) == ["checkpoint"]
    assert result.coverage is not None
    assert (result.coverage.extra, result.coverage.files_covered) == (("extra.bin",), 2)


# Chunk digests that cannot be used: the file is named, the chunk is not.


def shifted(chunk: Chunk) -> list[Chunk]:
    return [replace(chunk, begin=1, size=chunk.size - 1)]


def misplaced(chunk: Chunk) -> list[Chunk]:
    return [replace(chunk, begin=5)]


def overlapping(chunk: Chunk) -> list[Chunk]:
    return [chunk] * 50


def negative(chunk: Chunk) -> list[Chunk]:
    return [replace(chunk, size=-1), replace(chunk, begin=-1, size=chunk.size + 1)]


def short(chunk: Chunk) -> list[Chunk]:
    return [replace(chunk, size=chunk.size - 1)]


def endless(chunk: Chunk) -> list[Chunk]:
    return [replace(chunk, size=2**53 - 1)]


def nothing(_chunk: Chunk) -> list[Chunk]:
    return []


@pytest.mark.parametrize(
    "change",
    [shifted, misplaced, overlapping, negative, short, endless, nothing],
    ids=lambda change: change.__name__,
)
def test_chunks_that_do_not_cover_the_file_are_not_used(tiny: TinyEvidence, change: Callable[[Chunk], list[Chunk]]):
    value = json.loads(tiny.details()[CHUNKS_NAME])
    for file in value["files"]:
        if file["path"] == "NOTICE.txt":
            (chunk,) = file["chunks"]
            file["chunks"] = [dump(one) for one in change(Chunk(**chunk))]
    details = tiny.details() | {CHUNKS_NAME: canonical(value)}
    write_evidence(tiny.directory, state(tiny.measure(details)), details, force=True)
    tiny.sign()
    assert check(tiny).exit_code == 0
    (tiny.checkpoint / "NOTICE.txt").write_bytes(b"made for a test.\n")
    result = check(tiny)
    assert step(result, "checkpoint").problems == ("differs: NOTICE.txt",)
    assert result.coverage is not None
    assert result.coverage.differing[0].chunks is None


def test_only_the_first_differing_chunks_are_listed_but_all_are_counted(tiny: TinyEvidence):
    count = 3 * MAX_LISTED
    (tiny.checkpoint / "many.bin").write_bytes(bytes(count))
    value = json.loads(tiny.details()[CHUNKS_NAME])
    for file in value["files"]:
        if file["path"] == "many.bin":
            file["chunks"] = [
                {"begin": begin, "size": 1, "sha256": sha256(b"\x00"), "tensor": None} for begin in range(count)
            ]
    details = tiny.details() | {CHUNKS_NAME: canonical(value)}
    write_evidence(tiny.directory, state(tiny.measure(details)), details, force=True)
    tiny.sign()
    (tiny.checkpoint / "many.bin").write_bytes(b"\x01" * count)
    coverage = check(tiny).coverage
    assert coverage is not None
    (differing,) = coverage.differing
    assert differing.chunk_count == count
    assert [chunk.index for chunk in differing.chunks or ()] == list(range(MAX_LISTED))


def test_a_spoiled_chunk_list_is_not_used(tiny: TinyEvidence):
    (tiny.directory / CHUNKS_NAME).write_bytes(b"{}")
    (tiny.checkpoint / "NOTICE.txt").write_bytes(b"made for a test.\n")
    result = check(tiny)
    assert failed(result) == ["details", "checkpoint"]
    assert step(result, "checkpoint").problems == ("differs: NOTICE.txt",)


# Statements that list weight files only, above 1,000 files.


@pytest.fixture
def many(tiny: TinyEvidence) -> TinyEvidence:
    """Evidence about 1,003 files that lists one of them."""
    for number in range(1000):
        (tiny.checkpoint / f"{number}.txt").write_bytes(b"%d" % number)
    evidence = tiny.measure()
    listed = tuple(file for file in evidence.checkpoint.files if file.path == WEIGHTS)
    tiny.write(state(replace(evidence, checkpoint=replace(evidence.checkpoint, files=listed))))
    tiny.sign()
    return tiny


def test_files_beyond_the_list_are_covered_by_the_tree_digest(many: TinyEvidence):
    result = check(many)
    assert result.exit_code == 0
    assert result.coverage is not None
    assert result.coverage.files_covered == 1003


def alter(folder: Path) -> None:
    (folder / "7.txt").write_bytes(b"8")


def grow(folder: Path) -> None:
    (folder / "7.txt").write_bytes(b"77")


def remove(folder: Path) -> None:
    (folder / "7.txt").unlink()


def put(folder: Path) -> None:
    (folder / "new.txt").touch()


def rename(folder: Path) -> None:
    (folder / "7.txt").rename(folder / "new.txt")


@pytest.mark.parametrize("change", [alter, grow, remove, put, rename], ids=lambda change: change.__name__)
def test_a_change_beyond_the_list_is_found(many: TinyEvidence, change: Callable[[Path], None]):
    change(many.checkpoint)
    result = check(many)
    assert failed(result) == ["checkpoint"]
    assert result.coverage is not None
    assert result.coverage.files_covered == 1
    assert result.coverage.unlisted > 0


def test_a_change_of_a_listed_file_is_named(many: TinyEvidence):
    (many.checkpoint / WEIGHTS).unlink()
    result = check(many)
    assert failed(result) == ["checkpoint"]
    assert result.coverage is not None
    assert result.coverage.missing == (WEIGHTS,)
