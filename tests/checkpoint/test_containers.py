"""The contract of formats: equal tensors give equal digests, sums and fingerprints, whatever they are kept in.

A new format is one row in ``CONTAINERS``: how to write tensors in it, and which of them it can hold.
"""

import json
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from measured import FAMILY, measured
from numpy.typing import NDArray
from other_containers import (
    CTRANSLATE2_TYPES,
    FLAX_TYPES,
    GGUF_TYPES,
    ONNX_TYPES,
    ctranslate2_file,
    flax_file,
    gguf_file,
    gguf_pair,
    onnx_external,
    onnx_file,
    onnx_model,
    onnx_tensor,
    raw_tensors,
)
from torch_files import write_torch

from attest.checkpoint import BITS, FORMATS, open_checkpoint
from attest.checkpoint.safetensors_writer import PendingTensor, write_safetensors
from attest.measure import measure
from attest.sweep import ExactAccumulator, Sweep, sweep

Tensors: TypeAlias = Mapping[str, tuple[str, NDArray[Any]]]
"""Name to dtype, spelled as in safetensors, and bits, in the NumPy dtype of ``BITS``."""


def _any(dtype: str, shape: tuple[int, ...]) -> bool:  # noqa: ARG001 - the form that all rows have
    return True


def _same(name: str) -> str:
    return name


@dataclass(frozen=True, kw_only=True)
class Container:
    """One way to keep tensors.

    Parameters
    ----------
    format : str
        Id that attest must give.
    write : callable
        Writes tensors into a folder that exists.
    holds : callable
        Whether it can keep a tensor of this dtype and shape as it is.
    rename : callable
        What a tensor of this name is called when it is read back.
    keeps_model : bool
        Whether the fixture model can be kept without changing names or values, so that fingerprints must be equal.
    """

    format: str
    write: Callable[[Path, Tensors], None]
    holds: Callable[[str, tuple[int, ...]], bool] = _any
    rename: Callable[[str], str] = _same
    keeps_model: bool = True


def write_one_safetensors(folder: Path, tensors: Tensors, name: str = "model.safetensors") -> None:
    write_safetensors(
        folder / name,
        [
            PendingTensor(name=name, dtype=dtype, shape=bits.shape, pieces=lambda bits=bits: (bits,))
            for name, (dtype, bits) in tensors.items()
        ],
    )


def write_safetensors_shards(folder: Path, tensors: Tensors) -> None:
    names = list(tensors)
    for part in range(3):
        held = {name: tensors[name] for name in names[part::3]}
        write_one_safetensors(folder, held, f"model-{part + 1:05}-of-00003.safetensors")


def write_gguf(folder: Path, tensors: Tensors) -> None:
    (folder / "model.gguf").write_bytes(gguf_file(raw_tensors(tensors, GGUF_TYPES)))


def write_gguf_parts(folder: Path, tensors: Tensors) -> None:
    names = list(tensors)
    for part in range(3):
        held = {name: tensors[name] for name in names[part::3]}
        pairs = [gguf_pair("split.no", 2, struct.pack("<H", part)), gguf_pair("split.count", 2, struct.pack("<H", 3))]
        data = gguf_file(raw_tensors(held, GGUF_TYPES), pairs)
        (folder / f"model-{part + 1:05}-of-00003.gguf").write_bytes(data)


def write_onnx(folder: Path, tensors: Tensors) -> None:
    (folder / "model.onnx").write_bytes(onnx_file(raw_tensors(tensors, ONNX_TYPES)))


def write_onnx_external(folder: Path, tensors: Tensors) -> None:
    data, initializers = b"", []
    for name, (kind, shape, values) in raw_tensors(tensors, ONNX_TYPES).items():
        initializers.append(onnx_tensor(name, kind, shape, onnx_external("model.onnx.data", len(data), len(values))))
        data += values
    (folder / "model.onnx.data").write_bytes(data)
    (folder / "model.onnx").write_bytes(onnx_model(*initializers))


def write_flax(folder: Path, tensors: Tensors) -> None:
    (folder / "flax_model.msgpack").write_bytes(flax_file(raw_tensors(tensors, FLAX_TYPES)))


def write_ctranslate2(folder: Path, tensors: Tensors) -> None:
    (folder / "model.bin").write_bytes(ctranslate2_file(raw_tensors(tensors, CTRANSLATE2_TYPES)))


def _only(kinds: Mapping[str, object], max_dimensions: int = 32) -> Callable[[str, tuple[int, ...]], bool]:
    return lambda dtype, shape: dtype in kinds and len(shape) <= max_dimensions


def write_torch_one(folder: Path, tensors: Tensors) -> None:
    write_torch(folder / "pytorch_model.bin", tensors)


def write_torch_shards(folder: Path, tensors: Tensors) -> None:
    names, weight_map = list(tensors), {}
    for part in range(3):
        file = f"pytorch_model-{part + 1:05}-of-00003.bin"
        write_torch(folder / file, {name: tensors[name] for name in names[part::3]})
        weight_map |= dict.fromkeys(names[part::3], file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))


CONTAINERS = {
    "safetensors": Container(format="safetensors", write=write_one_safetensors),
    "safetensors in shards": Container(format="safetensors", write=write_safetensors_shards),
    "PyTorch": Container(format="pytorch", write=write_torch_one),
    "PyTorch in shards": Container(format="pytorch", write=write_torch_shards),
    "GGUF": Container(format="gguf", write=write_gguf, holds=_only(GGUF_TYPES, 4)),
    "GGUF in parts": Container(format="gguf", write=write_gguf_parts, holds=_only(GGUF_TYPES, 4)),
    "ONNX": Container(format="onnx", write=write_onnx, holds=_only(ONNX_TYPES)),
    "ONNX with external data": Container(format="onnx", write=write_onnx_external, holds=_only(ONNX_TYPES)),
    "Flax": Container(format="flax", write=write_flax, holds=_only(FLAX_TYPES)),
    "CTranslate2": Container(format="ctranslate2", write=write_ctranslate2, holds=_only(CTRANSLATE2_TYPES)),
}


def _tensors() -> dict[str, tuple[str, NDArray[Any]]]:
    """A matrix of every dtype, and awkward shapes of a few; all bits are random, so floats hold NaN and infinities."""
    random = np.random.Generator(np.random.Philox(3))

    def bits(dtype: str, *shape: int) -> tuple[str, NDArray[Any]]:
        code = np.dtype(BITS[dtype])
        count = int(np.prod(shape))
        if dtype == "BOOL":
            return dtype, random.integers(0, 2, size=shape, dtype=np.uint8)
        return dtype, np.frombuffer(random.bytes(count * code.itemsize), dtype=code).reshape(shape)

    matrices = {f"matrix.{dtype.lower()}": bits(dtype, 5, 32) for dtype in BITS}
    return matrices | {
        "vector": bits("F32", 96),
        "stack": bits("BF16", 3, 4, 32),
        "scalar": ("F32", np.array(1.5, np.float32)),
        "long": ("I64", np.array(-7, np.int64)),
        "empty": bits("F32", 0, 32),
        "usual": ("F32", random.normal(size=(64, 64)).astype(np.float32)),
    }


TENSORS = _tensors()


def read(folder: Path) -> Sweep:
    return sweep(
        open_checkpoint(folder),
        lambda tensor: {"exact": ExactAccumulator(tensor.dtype)} if tensor.dtype in ExactAccumulator.DTYPES else {},
    )


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    folder = tmp_path_factory.mktemp("expected")
    write_one_safetensors(folder, TENSORS)
    return read(folder)


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_equal_tensors_have_equal_digests_and_sums(container: Container, expected: Sweep, tmp_path: Path):
    held = {name: one for name, one in TENSORS.items() if container.holds(one[0], one[1].shape)}
    container.write(tmp_path, held)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.format == container.format
    found = {tensor.name: tensor for tensor in checkpoint.tensors}
    assert sorted(found) == sorted(container.rename(name) for name in held)
    results = read(tmp_path).tensors
    for name, (dtype, bits) in held.items():
        tensor = found[container.rename(name)]
        assert (tensor.dtype, tensor.shape) == (dtype, bits.shape)
        assert checkpoint.read_bits(tensor).tobytes() == bits.tobytes()
        assert results[tensor.name] == expected.tensors[name]


@pytest.mark.parametrize(
    "container",
    [one for one in CONTAINERS.values() if one.keeps_model],
    ids=[name for name, one in CONTAINERS.items() if one.keeps_model],
)
def test_a_model_has_the_same_fingerprints_in_every_container(container: Container, tmp_path: Path):
    source = open_checkpoint(FAMILY / "seed-1")
    container.write(tmp_path, {one.name: (one.dtype, source.read_bits(one)) for one in source.tensors})
    shutil.copyfile(FAMILY / "seed-1" / "config.json", tmp_path / "config.json")
    found, reference = measure(tmp_path), measured("seed-1")
    rows = {row.name: row for row in found.tensors.tensors}
    for row in reference.tensors.tensors:
        same = rows[container.rename(row.name)]
        assert (same.digest, same.moments, same.role, same.layer) == (row.digest, row.moments, row.role, row.layer)
    assert found.profiles.keys() == reference.profiles.keys()
    for name, arrays in reference.profiles.items():
        assert arrays.keys() == found.profiles[name].keys()
        assert all(np.array_equal(array, found.profiles[name][key]) for key, array in arrays.items())
    assert found.evidence.architecture == reference.evidence.architecture


def test_every_format_is_held_to_the_contract():
    assert {container.format for container in CONTAINERS.values()} == {one.id for one in FORMATS}
