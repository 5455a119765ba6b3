"""The one read: what comes out depends on the bytes alone."""

import hashlib
import os
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_checkpoint import bfloat16, entry, raw, write_shards, write_tensors

from attest import digest
from attest.checkpoint import Checkpoint, Tensor, open_checkpoint
from attest.checkpoint import format as container_format
from attest.digest import tensor_digest
from attest.sweep import (
    Accumulator,
    ExactAccumulator,
    RowSums,
    RowSumsAccumulator,
    Sweep,
    ValuesAccumulator,
    row_shape,
    segment,
    sweep,
)


def random(*shape: int, seed: int = 1) -> NDArray[np.float32]:
    return np.random.Generator(np.random.Philox(seed)).normal(size=shape).astype(np.float32)


ARRAYS: dict[str, NDArray[Any]] = {
    "a.matrix": random(130, 70),
    "b.matrix": bfloat16(random(257, 33, seed=2)),
    "c.matrix": random(31, 65, seed=3).astype(np.float16),
    "d.stack": random(3, 5, 7, seed=4),
    "e.vector": bfloat16(random(4001, seed=5)),
    "f.scalar": np.array(1.5, np.float32),
    "g.empty": np.empty((0, 5), np.float32),
    "h.bytes": np.arange(251, dtype=np.uint8),
    "i.indices": np.arange(100, dtype=np.int64),
    "j.column": random(50, 1, seed=6),
    "k.special": np.array([[np.nan, np.inf], [-np.inf, -0.0]], np.float32),
}
FLOATS = ExactAccumulator.DTYPES


def accumulators(tensor: Tensor) -> dict[str, Accumulator]:
    """All there are, with both sketches of matrices."""
    if tensor.dtype not in FLOATS:
        return {}
    made: dict[str, Accumulator] = {"exact": ExactAccumulator(tensor.dtype), "values": ValuesAccumulator(tensor.dtype)}
    if len(tensor.shape) == 2 and row_shape(tensor) == tensor.shape:
        n_rows, n_columns = tensor.shape
        made["rows"] = RowSumsAccumulator(tensor.shape, tensor.dtype, weights=random(n_columns, seed=7).astype(float))
        made["columns"] = RowSumsAccumulator(
            tensor.shape, tensor.dtype, signs=np.sign(random(n_rows, seed=8)).astype(float),
            buckets=np.arange(n_rows) % 8,
        )  # fmt: skip
    return made


def frozen(result: Any) -> Any:
    """A result in a form that compares to the bit."""
    if isinstance(result, np.ndarray):
        return (result.shape, result.tobytes())
    if isinstance(result, RowSums):
        return {name: frozen(getattr(result, name)) for name in RowSums.__slots__}
    return result


def tensors_of(found: Sweep) -> dict[str, Any]:
    return {
        name: (result.digest, {key: frozen(value) for key, value in result.collected.items()})
        for name, result in found.tensors.items()
    }


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    write_tensors(folder / "model.safetensors", ARRAYS)
    (folder / "README.md").write_bytes(b"x" * 1000)
    (folder / "empty").touch()
    return folder


@pytest.fixture(scope="module")
def reference(one_file: Path) -> Sweep:
    return sweep(open_checkpoint(one_file), accumulators, threads=1)


def test_digests_are_those_of_the_bytes(one_file: Path, reference: Sweep):
    assert [file.path for file in reference.files] == ["README.md", "empty", "model.safetensors"]
    for file in reference.files:
        data = (one_file / file.path).read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    for name, array in ARRAYS.items():
        dtype = next(tensor.dtype for tensor in open_checkpoint(one_file).tensors if tensor.name == name)
        chunks = [hashlib.sha256(array.tobytes()).digest()] if array.size else []
        assert reference.tensors[name].digest == tensor_digest(dtype, array.shape, chunks)


def test_what_was_collected_is_of_the_right_values(reference: Sweep):
    for name in ("a.matrix", "d.stack", "f.scalar", "j.column"):
        values = ARRAYS[name]
        collected = reference.tensors[name].collected
        assert collected["values"].tobytes() == values.tobytes()
        assert (collected["exact"].n, collected["exact"].minimum) == (values.size, float(values.min()))
    np.testing.assert_allclose(
        reference.tensors["a.matrix"].collected["rows"].rows, (ARRAYS["a.matrix"].astype(float) ** 2).sum(axis=1)
    )
    special = reference.tensors["k.special"].collected["exact"]
    assert (special.nans, special.infinities, special.zeros, special.n) == (1, 2, 1, 1)
    assert reference.tensors["g.empty"].collected == {}
    assert reference.tensors["i.indices"].collected == {}


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("block_size", [64, 1000, 65536, 4 * 1024 * 1024])
def test_neither_threads_nor_blocks_matter(one_file: Path, reference: Sweep, threads: int, block_size: int):
    found = sweep(open_checkpoint(one_file), accumulators, threads=threads, block_size=block_size)
    assert found.files == reference.files
    assert tensors_of(found) == tensors_of(reference)


@pytest.mark.parametrize("n_shards", [1, 2, 5, len(ARRAYS)])
def test_neither_shards_nor_the_order_in_files_matter(tmp_path: Path, reference: Sweep, n_shards: int):
    names = sorted(ARRAYS, key=lambda name: hashlib.sha256(name.encode()).digest())
    write_shards(
        tmp_path,
        {f"x-{part}.safetensors": {name: ARRAYS[name] for name in names[part::n_shards]} for part in range(n_shards)},
    )
    found = sweep(open_checkpoint(tmp_path), accumulators, threads=2, block_size=500)
    assert tensors_of(found) == tensors_of(reference)


def test_the_order_of_offsets_in_a_file_does_not_matter(tmp_path: Path, reference: Sweep):
    """Tensors laid by another writer: by name backwards, the header's keys in yet another order."""
    held = {name: ARRAYS[name] for name in ("a.matrix", "d.stack", "f.scalar", "j.column")}
    header, data = {}, b""
    for name in sorted(held, reverse=True):
        n_bytes = held[name].nbytes
        header[name] = entry("F32", held[name].shape, len(data), len(data) + n_bytes)
        data += held[name].tobytes()
    header = {name: header[name] for name in ("d.stack", "a.matrix", "j.column", "f.scalar")}
    (tmp_path / "model.safetensors").write_bytes(raw(header, data))
    found, expected = tensors_of(sweep(open_checkpoint(tmp_path), accumulators)), tensors_of(reference)
    assert found == {name: expected[name] for name in held}


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> int:
    """Chunks of 1,000 bytes, so that small tensors are longer than one."""
    for module in (segment, container_format, digest):
        monkeypatch.setattr(module, "CHUNK_SIZE", 1000)
    return 1000


@pytest.mark.parametrize("block_size", [64, 999, 1000, 1001, 2000, 100_000])
def test_chunks_cover_files_and_start_at_tensors(one_file: Path, small_chunks: int, block_size: int):
    checkpoint = open_checkpoint(one_file)
    found = sweep(checkpoint, lambda _: {}, threads=2, block_size=block_size)
    for file in found.files:
        data = (one_file / file.path).read_bytes()
        assert file.sha256 == hashlib.sha256(data).hexdigest()
        assert [chunk.begin for chunk in file.chunks[:1]] == [0] * bool(data)
        assert all(before.begin + before.size == after.begin for before, after in pairwise(file.chunks))
        assert sum(chunk.size for chunk in file.chunks) == len(data)
        for chunk in file.chunks:
            assert 0 < chunk.size <= small_chunks
            assert chunk.digest == hashlib.sha256(data[chunk.begin : chunk.begin + chunk.size]).digest()
    check_tensors(checkpoint, found, small_chunks)


def check_tensors(checkpoint: Checkpoint, found: Sweep, chunk_size: int) -> None:
    chunks = next(file.chunks for file in found.files if file.path == "model.safetensors")
    layout = checkpoint.layouts["model.safetensors"]
    first = layout.tensors[0].begin
    assert [chunk.tensor for chunk in chunks if chunk.begin < first] == [None] * len(layout.parsed[0].chunks)
    for tensor in checkpoint.tensors:
        own = [chunk for chunk in chunks if chunk.tensor == tensor.name]
        assert [chunk.begin for chunk in own] == list(range(tensor.begin, tensor.end, chunk_size))
        digests = [chunk.digest for chunk in own]
        assert found.tensors[tensor.name].digest == tensor_digest(tensor.dtype, tensor.shape, digests)


def test_a_tensor_of_several_chunks_has_one_digest_in_any_file(one_file: Path, tmp_path: Path, small_chunks: int):
    write_shards(tmp_path, {f"{name}.safetensors": {name: array} for name, array in ARRAYS.items()})
    assert small_chunks < ARRAYS["a.matrix"].nbytes
    one, many = (sweep(open_checkpoint(path), lambda _: {}).tensors for path in (one_file, tmp_path))
    assert {name: result.digest for name, result in one.items()} == {
        name: result.digest for name, result in many.items()
    }


@pytest.mark.parametrize("block_size", [64, 100, 1000, 1_000_000])
def test_long_rows_are_seen_as_columns(
    one_file: Path, reference: Sweep, monkeypatch: pytest.MonkeyPatch, block_size: int
):  # fmt: skip
    monkeypatch.setattr(segment, "MAX_ROW", 200)
    shapes: dict[str, set[int]] = {}

    class Watched(ValuesAccumulator):
        def __init__(self, tensor: Tensor) -> None:
            super().__init__(tensor.dtype)
            self._name = tensor.name

        def update(self, rows: NDArray[Any], first_row: int) -> None:
            shapes.setdefault(self._name, set()).add(rows.shape[1])
            super().update(rows, first_row)

    found = sweep(
        open_checkpoint(one_file),
        lambda tensor: {"values": Watched(tensor)} if tensor.dtype in FLOATS else {},
        threads=2,
        block_size=block_size,
    )
    assert shapes["a.matrix"] == {1}  # 280 bytes a row
    assert shapes["b.matrix"] == {33}
    assert shapes["e.vector"] == {1}
    for name, result in found.tensors.items():
        collected = reference.tensors[name].collected
        assert frozen(result.collected.get("values")) == frozen(collected.get("values"))


@pytest.mark.parametrize(
    ("dtype", "shape", "expected"),
    [
        ("F32", (), (1, 1)),
        ("F32", (7,), (1, 7)),
        ("F32", (3, 7), (3, 7)),
        ("F32", (2, 3, 7), (6, 7)),
        ("F32", (0, 7), (0, 1)),
        ("F32", (7, 0), (0, 1)),
        ("BF16", (2, 2**23), (2, 2**23)),
        ("BF16", (2, 2**23 + 1), (2**24 + 2, 1)),
    ],
)
def test_rows_and_columns(dtype: str, shape: tuple[int, ...], expected: tuple[int, int]):
    assert row_shape(Tensor(name="a", dtype=dtype, shape=shape, file="f", begin=0, end=0)) == expected


def test_accumulators_are_asked_for_once_a_tensor(one_file: Path):
    asked: list[str] = []

    def ask(tensor: Tensor) -> dict[str, Accumulator]:
        asked.append(tensor.name)
        return {}

    sweep(open_checkpoint(one_file), ask, threads=3, block_size=100)
    assert sorted(asked) == sorted(name for name, array in ARRAYS.items() if array.size)


def test_progress_adds_up(one_file: Path):
    sizes: list[int] = []
    sweep(open_checkpoint(one_file), lambda _: {}, block_size=1000, progress=sizes.append)
    assert sum(sizes) == sum(path.stat().st_size for path in one_file.iterdir())
    assert max(sizes) == ARRAYS["e.vector"].nbytes  # a row is never cut


def test_many_small_files_do_not_hold_a_block_each(tmp_path: Path):
    write_tensors(tmp_path / "model.safetensors", {"a": random(1000, 1000)})
    for number in range(300):
        (tmp_path / f"{number}.txt").write_text("small")
    checkpoint = open_checkpoint(tmp_path)
    tracemalloc.start()
    sweep(checkpoint, lambda _: {}, threads=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


def test_cores_are_counted_where_the_system_does_not_tell_which_may_be_used(
    one_file: Path, reference: Sweep, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert sweep(open_checkpoint(one_file), lambda _: {}).files == reference.files
