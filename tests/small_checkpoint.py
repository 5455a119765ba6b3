"""Small safetensors checkpoints: well-formed ones from arrays, and malformed ones from raw headers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint import open_checkpoint
from attest.checkpoint.safetensors_writer import PendingTensor, write_safetensors

Arrays = Mapping[str, NDArray[Any]]

_DTYPES = {
    "|b1": "BOOL", "|u1": "U8", "|i1": "I8", "<u2": "BF16", "<f2": "F16", "<i4": "I32", "<f4": "F32", "<i8": "I64",
    "<f8": "F64", "<i2": "I16", "<u4": "U32",
}  # fmt: skip


def bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """BF16 codes of float32 values, rounded to nearest, ties to even; not for NaN."""
    bits = values.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_tensors(path: Path, arrays: Arrays, metadata: Mapping[str, str] | None = None) -> Path:
    """Write arrays as one safetensors file; uint16 arrays are BF16 codes."""
    pending = [
        PendingTensor(
            name=name,
            dtype=_DTYPES[array.dtype.str],
            shape=array.shape,
            pieces=lambda array=array: (array.view("u1") if array.dtype == bool else array,),
        )
        for name, array in arrays.items()
    ]
    write_safetensors(path, pending, metadata)
    return path


def write_shards(folder: Path, shards: Mapping[str, Arrays], *, index: bool = True) -> Path:
    """Write several safetensors files and the index that names their tensors."""
    for name, arrays in shards.items():
        write_tensors(folder / name, arrays)
    if index:
        weight_map = {tensor: name for name, arrays in shards.items() for tensor in arrays}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of a checkpoint as ``write_tensors`` takes them."""
    checkpoint = open_checkpoint(path)
    return {tensor.name: checkpoint.read_bits(tensor) for tensor in checkpoint.tensors}


def copy_with(source: Path, folder: Path, arrays: Arrays, *, shards: int = 1) -> Path:
    """Checkpoint with the configuration of another and these tensors, in one file or dealt to several."""
    folder.mkdir()
    shutil.copyfile(source / "config.json", folder / "config.json")
    if shards == 1:
        write_tensors(folder / "model.safetensors", arrays)
        return folder
    names = list(arrays)
    return write_shards(
        folder, {f"model-{part}.safetensors": {name: arrays[name] for name in names[part::shards]} for part in range(shards)}
    )  # fmt: skip


def raw(header: object, data: bytes = b"") -> bytes:
    """A safetensors file with this header, well-formed or not: an object becomes JSON, bytes stay as they are."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: Any = "F32", shape: Any = (1,), begin: Any = 0, end: Any = 4) -> dict[str, Any]:
    """One entry of a header, by default a single binary32 at the beginning."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
