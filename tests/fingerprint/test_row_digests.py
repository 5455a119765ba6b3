"""row-digests/v2: made again by the reference XXH64, and what it finds in copies that moved."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import xxhash
from numpy.typing import NDArray
from small_checkpoint import copy_with, read_tensors, write_tensors

from attest.measure import measure

ID = "row-digests/v2"
UP = "model.layers.1.mlp.up_proj.weight"


def digests(path: Path) -> dict[str, NDArray[np.uint64]]:
    return dict(measure(path).profiles[ID])


def test_every_matrix_row_by_row(family: Path):
    found = digests(family / "seed-1")
    codes = read_tensors(family / "seed-1")
    assert len(found) == sum(array.ndim == 2 for array in codes.values())
    for name, tensor in (
        ("layers.1.up", UP),
        ("layers.3.q", "model.layers.3.self_attn.q_proj.weight"),
        ("embed", "model.embed_tokens.weight"),
    ):
        assert found[name].tolist() == [xxhash.xxh64_intdigest(row.tobytes()) for row in codes[tensor]]


def test_rows_are_found_in_another_layer_and_order(family: Path, tmp_path: Path):
    arrays = read_tensors(family / "seed-1")
    order = np.random.Generator(np.random.Philox(1)).permutation(len(arrays[UP]))
    moved = arrays | {"model.layers.2.mlp.up_proj.weight": arrays[UP][order]}
    found, before = (digests(copy_with(family / "seed-1", tmp_path / "copy", moved)), digests(family / "seed-1"))
    assert found["layers.2.up"].tolist() == before["layers.1.up"][order].tolist()
    assert set(before["layers.2.up"].tolist()).isdisjoint(found["layers.2.up"].tolist())


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_experts_and_tensors_without_a_role_are_named_apart(tmp_path: Path, dtype: type):
    rng = np.random.Generator(np.random.Philox(1))
    arrays = {
        "model.layers.0.self_attn.q_proj.weight": rng.normal(size=(16, 16)).astype(dtype),
        "model.layers.0.mlp.experts.3.up_proj.weight": rng.normal(size=(8, 16)).astype(dtype),
        "zz.stack": rng.normal(size=(2, 3, 32)).astype(dtype),
        "aa": rng.normal(size=(4, 16)).astype(dtype),
        "narrow": rng.normal(size=(4, 15)).astype(dtype),
        "vector": rng.normal(size=64).astype(dtype),
    }
    write_tensors(tmp_path / "model.safetensors", arrays)
    found = digests(tmp_path)
    assert set(found) == {"layers.0.q", "layers.0.experts.3.up", "other.0", "other.1"}
    rounded = arrays["zz.stack"].astype(np.float32).astype(ml_dtypes.bfloat16).reshape(6, 32)
    assert found["other.1"].tolist() == [xxhash.xxh64_intdigest(row.tobytes()) for row in rounded]
