"""Writing safetensors files: the reference writer's own bytes, and nothing half-written."""

import io
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from attest.checkpoint import BITS
from attest.checkpoint.safetensors import read_header
from attest.checkpoint.safetensors_writer import PendingTensor, write_safetensors, write_stream
from attest.checkpoint.tensor import DTYPE_BITS
from attest.errors import CheckpointError

REFERENCE_NAMES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "F16": "float16", "BF16": "bfloat16",
    "I32": "int32", "U32": "uint32", "F32": "float32", "C64": "complex64", "I64": "int64", "U64": "uint64",
    "F64": "float64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
}  # fmt: skip


def pending(name: str, dtype: str, shape: tuple[int, ...], *pieces: NDArray[Any]) -> PendingTensor:
    return PendingTensor(name=name, dtype=dtype, shape=shape, pieces=lambda: pieces)


def whole(name: str, dtype: str, shape: tuple[int, ...], data: bytes) -> PendingTensor:
    return pending(name, dtype, shape, np.frombuffer(data, BITS[dtype]))


def written(tensors: Iterable[PendingTensor], metadata: dict[str, str] | None = None) -> bytes:
    stream = io.BytesIO()
    write_stream(stream, tensors, metadata, where="w")
    return stream.getvalue()


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    made = {}
    for name in draw(st.lists(st.text('ab.é"\\\n', min_size=1, max_size=4), max_size=5, unique=True)):
        dtype = draw(st.sampled_from(sorted(REFERENCE_NAMES)))
        shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
        n_bytes = int(np.prod(shape, dtype=int)) * DTYPE_BITS[dtype] // 8
        made[name] = (dtype, shape, draw(st.binary(min_size=n_bytes, max_size=n_bytes)))
    return made


@given(
    tensors(),
    st.none() | st.dictionaries(st.text(max_size=3), st.text(max_size=3), min_size=1, max_size=1),
    st.randoms(),
)
def test_the_bytes_are_those_of_the_reference_writer(
    made: dict[str, tuple[str, tuple[int, ...], bytes]], metadata: dict[str, str] | None, rng: Any
):  # fmt: skip
    held = {name: np.frombuffer(data, np.uint8) for name, (_, _, data) in made.items()}
    specs = {
        name: safetensors.TensorSpec(
            dtype=REFERENCE_NAMES[dtype],
            shape=shape,
            data_ptr=held[name].ctypes.data,
            data_len=held[name].nbytes,
        )
        for name, (dtype, shape, _) in made.items()
    }
    ours = [whole(name, *rest) for name, rest in made.items()]
    rng.shuffle(ours)
    assert written(ours, metadata) == safetensors.serialize(specs, metadata)


def test_the_bytes_are_those_of_the_numpy_writer():
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(2, np.float16), "c": np.array(3)}
    ours = [
        pending("a", "F16", (2,), arrays["a"]),
        pending("c", "I64", (), arrays["c"]),
        pending("b", "F32", (2, 3), arrays["b"]),
    ]
    assert written(ours) == safetensors.numpy.save(arrays)


@pytest.mark.parametrize("dtype", BITS)
def test_every_dtype_is_written_and_read(dtype: str):
    data = bytes(range(2 * DTYPE_BITS[dtype] // 8))
    file = written([whole("a", dtype, (2,), data)])
    tensor = read_header(io.BytesIO(file), file="w", size=len(file)).tensors[0]
    assert (tensor.dtype, tensor.shape, file[tensor.begin : tensor.end]) == (dtype, (2,), data)


def test_metadata_is_sorted_and_left_out_when_there_is_none():
    assert written([], {"b": "1", "a": "2"})[8:] == b'{"__metadata__":{"a":"2","b":"1"}}      '
    assert written([])[8:] == b"{}      "


def test_a_tensor_in_pieces_is_that_tensor_in_one():
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    bands = (array[:1], array[1:3], array[3:])
    assert written([pending("a", "F32", (4, 3), *bands)]) == written([pending("a", "F32", (4, 3), array)])


def test_strided_arrays_are_written_in_row_major_order():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert written([pending("a", "F32", (4, 3), array.T)]) == written([pending("a", "F32", (4, 3), array.T.copy())])


def test_every_tensor_is_produced_once_when_its_turn_comes():
    calls = []

    def produce(name: str) -> tuple[NDArray[Any]]:
        calls.append(name)
        return (np.ones(1, np.float32),)

    written([PendingTensor(name=name, dtype="F32", shape=(1,), pieces=partial(produce, name)) for name in "cab"])
    assert calls == ["a", "b", "c"]


F32 = np.ones(2, np.float32)
BAD = {
    "name twice": [pending("a", "F32", (2,), F32), pending("a", "F32", (2,), F32)],
    "reserved name": [pending("__metadata__", "F32", (2,), F32)],
    "name that is no text": [pending("\ud800", "F32", (2,), F32)],
    "unknown dtype": [pending("a", "F31", (2,), F32)],
    "dtype without whole bytes": [pending("a", "F4", (2,), F32)],
    "negative size": [pending("a", "F32", (-2,), F32)],
    "another type": [pending("a", "F32", (2,), F32.astype(np.float64))],
    "big-endian": [pending("a", "F32", (2,), F32.astype(">f4"))],
    "too few values": [pending("a", "F32", (3,), F32)],
    "too many values": [pending("a", "F32", (1,), F32)],
    "no pieces": [pending("a", "F32", (2,))],
    "too many pieces": [pending("a", "F32", (2,), F32, F32)],
    "header over 100 MB": [pending(f"{number:0>1000000}", "F32", (0,)) for number in range(101)],
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path, bad: list[PendingTensor]):
    path = tmp_path / "out.safetensors"
    path.write_bytes(b"what stood there")
    with pytest.raises(CheckpointError) as caught:
        write_safetensors(path, bad)
    assert (caught.value.code, caught.value.where) == ("bad-tensor", str(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.safetensors"]
    assert path.read_bytes() == b"what stood there"


def test_an_interruption_leaves_nothing(tmp_path: Path):
    def interrupted() -> Iterable[NDArray[Any]]:
        yield F32
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_safetensors(
            tmp_path / "out", [PendingTensor(name="a", dtype="F32", shape=(4,), pieces=interrupted)]
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole(tmp_path: Path):
    path = tmp_path / "new" / "out.safetensors"
    write_safetensors(path, [pending("a", "F32", (2,), F32)])
    write_safetensors(path, [pending("b", "F32", (2,), F32)])
    assert path.read_bytes() == written([pending("b", "F32", (2,), F32)])
    assert [entry.name for entry in path.parent.iterdir()] == ["out.safetensors"]


@pytest.mark.parametrize("place", ["file/below", "folder", "/proc/nowhere", "a" * 300])
def test_a_place_that_cannot_be_written(tmp_path: Path, place: str):
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(CheckpointError) as caught:
        write_safetensors(tmp_path / place, [pending("a", "F32", (2,), F32)])
    assert caught.value.code == "cannot-write"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]
