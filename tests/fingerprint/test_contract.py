"""What every fingerprint must keep, and the values of each that are for ever."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_checkpoint import copy_with, entry, raw, read_tensors, write_tensors

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.checkpoint.arrays import pack_arrays, unpack_arrays
from attest.document import dump, load
from attest.evidence import Table
from attest.fingerprint import FINGERPRINTS, MOMENTS_ID, Fingerprint, Profile
from attest.measure import measure
from attest.sweep import sweep

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "fingerprints.json"
NUMBER = re.compile(r"-|-?[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?")
DENSE = [one for one in FINGERPRINTS if not one.id.startswith("expert-")]
each = pytest.mark.parametrize("fingerprint", DENSE, ids=lambda one: one.id)
"""Fingerprints of which a network without experts has arrays."""


def profiles(path: Path, **options: int) -> dict[str, Profile]:
    """All fingerprints of a checkpoint, each measured in the same read."""
    model = place_tensors(open_checkpoint(path))
    placed = {one.tensor.name: one for one in model.tensors}
    read = sweep(
        model.checkpoint,
        lambda tensor: {
            name: make() for one in FINGERPRINTS for name, make in one.collect(model, placed[tensor.name]).items()
        },
        **options,
    )
    return {one.id: one.profile(model, read.tensors) for one in FINGERPRINTS}


def bits(found: dict[str, Profile]) -> dict[str, Any]:
    return {
        name: ({key: (array.dtype.str, array.shape, array.tobytes()) for key, array in profile.arrays.items()},
               profile.table, profile.not_measured)
        for name, profile in found.items()
    }  # fmt: skip


@pytest.fixture(scope="module")
def seed_1(family: Path) -> dict[str, Profile]:
    return profiles(family / "seed-1")


def test_ids_are_names_with_versions_and_differ():
    ids = [one.id for one in FINGERPRINTS]
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*/v[1-9][0-9]*", name) for name in [*ids, MOMENTS_ID])
    assert len({*ids, MOMENTS_ID}) == len(ids) + 1


@each
def test_arrays_can_be_kept(fingerprint: Fingerprint, seed_1: dict[str, Profile]):
    arrays = seed_1[fingerprint.id].arrays
    assert arrays
    assert {array.dtype.str for array in arrays.values()} <= {"|i1", "<u8", "<f4", "<f8"}
    found = unpack_arrays(pack_arrays(arrays, {"fingerprint": fingerprint.id}), where="x")
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in arrays.items()
    }


@each
def test_the_table_has_a_row_a_layer_of_numbers(fingerprint: Fingerprint, seed_1: dict[str, Profile]):
    table = seed_1[fingerprint.id].table
    assert table is not None
    assert table.columns[0] == "layer"
    assert [row[0] for row in table.rows] == ["0", "1", "2", "3"]
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert all(NUMBER.fullmatch(cell) for row in table.rows for cell in row)
    assert load(Table, dump(table), where="table") == table


def test_neither_threads_nor_blocks_matter(family: Path, seed_1: dict[str, Profile]):
    for threads, block_size in ((1, 1000), (2, 64), (3, 4 * 1024 * 1024)):
        assert bits(profiles(family / "seed-1", threads=threads, block_size=block_size)) == bits(seed_1)


@pytest.mark.parametrize("shards", [1, 5])
def test_a_renamed_and_sharded_copy_has_the_same_fingerprints(
    family: Path, tmp_path: Path, seed_1: dict[str, Profile], shards: int
):  # fmt: skip
    arrays = {f"base.{name}": array for name, array in sorted(read_tensors(family / "seed-1").items(), reverse=True)}
    copy = copy_with(family / "seed-1", tmp_path / "copy", arrays, shards=shards)
    assert bits(profiles(copy)) == bits(seed_1)


def test_a_copy_in_another_dtype_that_loses_nothing_has_the_same_fingerprints(
    family: Path, tmp_path: Path, seed_1: dict[str, Profile]
):  # fmt: skip
    arrays = {
        name: (codes.astype(np.uint32) << 16).view(np.float32)
        for name, codes in read_tensors(family / "seed-1").items()
    }
    assert bits(profiles(copy_with(family / "seed-1", tmp_path / "wide", arrays))) == bits(seed_1)


EMPTY = {
    "no tensors": {},
    "unknown names": {"a.weight": np.ones((3, 4), np.float32)},
    "embeddings only": {"model.embed_tokens.weight": np.ones((3, 4), np.float32)},
    "known names without values": {
        "model.layers.0.self_attn.q_proj.weight": np.ones((0, 4), np.float32),
        "model.layers.0.mlp.up_proj.weight": np.ones((4, 0), np.float32),
        "model.layers.0.mlp.down_proj.weight": np.ones((0, 4), np.float32),
        "model.layers.0.post_attention_layernorm.weight": np.ones(0, np.float32),
    },
    "integers": {
        "model.layers.0.self_attn.q_proj.weight": np.ones((4, 4), np.int64),
        "model.layers.0.self_attn.q_proj.bias": np.ones(4, np.int64),
        "model.layers.0.input_layernorm.weight": np.ones(4, np.int64),
        "model.layers.0.mlp.up_proj.weight": np.ones((6, 4), np.int64),
        "model.layers.0.mlp.down_proj.weight": np.ones((4, 6), np.int64),
    },
}  # fmt: skip


@pytest.mark.parametrize("arrays", EMPTY.values(), ids=EMPTY)
def test_where_there_is_nothing_to_measure_it_is_said(tmp_path: Path, arrays: dict[str, NDArray[Any]]):
    write_tensors(tmp_path / "model.safetensors", arrays)
    for profile in profiles(tmp_path).values():
        assert (profile.arrays, profile.table) == ({}, None)
        assert profile.not_measured


def test_floats_of_half_a_byte_have_moments_alone_as_those_of_a_byte_have(tmp_path: Path):
    header = {"model.layers.0.self_attn.q_proj.weight": entry("F4", [4, 4], 0, 8)}
    (tmp_path / "model.safetensors").write_bytes(raw(header, bytes(8)))
    assert {name for name, profile in profiles(tmp_path).items() if profile.arrays} == {"attention-std/v1"}
    assert measure(tmp_path).evidence.tensors.dtypes == {"F4": 1}


def f32(codes: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (codes.astype(np.uint32) << 16).view(np.float32)


DTYPES: dict[str, Callable[[NDArray[np.float32]], NDArray[Any]]] = {
    "BF16": lambda values: (values.view(np.uint32) >> 16).astype(np.uint16),
    "F32": lambda values: values,
    "F16": lambda values: values.astype(np.float16),
}
VALUES = {"NaN": np.nan, "infinity": np.inf, "negative infinity": -np.inf}


def spoiled(
    family: Path, folder: Path, value: float, convert: Callable[..., NDArray[Any]], part: str
) -> tuple[Path, int]:
    """Copy with a value in the first row of every tensor whose name holds ``part``, and how often."""
    arrays, n_spoiled = {}, 0
    for name, codes in read_tensors(family / "seed-1").items():
        values = f32(codes)
        if part in name:
            first = values[:1]
            first[:] = value
            n_spoiled += first.size
        arrays[name] = convert(values)
    return copy_with(family / "seed-1", folder, arrays), n_spoiled


@pytest.mark.parametrize("convert", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_that_are_not_finite_are_counted_and_crash_nothing(
    family: Path, tmp_path: Path, value: float, convert: Callable[..., NDArray[Any]]
):  # fmt: skip
    copy, n_spoiled = spoiled(family, tmp_path / "spoiled", value, convert, "proj")
    measurement = measure(copy)
    assert measurement.evidence.tensors.non_finite == n_spoiled > 0
    assert measurement.statement().payload
    found = measurement.profiles
    assert all(np.isfinite(array).all() for array in found["attention-std/v1"].values())
    assert not np.isfinite(found["unit-norms/v1"]["layers.0.neuron.up"][0])
    assert np.isfinite(found["unit-norms/v1"]["layers.0.neuron.up"][1:]).all()
    assert not np.isfinite(found["qkv-bias/v1"]["layers.0.q.bias"][0])
    sketch = found["neuron-sketch/v1"]["layers.0"]
    assert not sketch[0].any()
    assert sketch[1:, :16].any(axis=1).all()
    assert not sketch[:, 16:].any()


@pytest.mark.parametrize("convert", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_gains_that_are_not_finite_leave_a_sketch_of_what_they_do_not_touch(
    family: Path, tmp_path: Path, value: float, convert: Callable[..., NDArray[Any]]
):  # fmt: skip
    copy, _ = spoiled(family, tmp_path / "spoiled", value, convert, "post_attention_layernorm")
    sketch = measure(copy).profiles["neuron-sketch/v1"]["layers.0"]
    assert not sketch[:, :16].any()
    assert sketch[:, 16:].any(axis=1).all()


def test_the_greatest_values_overflow_to_infinite_norms_and_crash_nothing(family: Path, tmp_path: Path):
    copy, _ = spoiled(family, tmp_path / "spoiled", 3.3e38, DTYPES["F32"], "proj.weight")
    measurement = measure(copy)
    assert measurement.evidence.tensors.non_finite == 0
    norms = measurement.profiles["unit-norms/v1"]["layers.0.neuron.up"]
    assert np.isinf(norms).tolist() == [row == 0 for row in range(len(norms))]
    assert measurement.profiles["neuron-sketch/v1"]["layers.0"].any(axis=1).all()
    table = next(one.table for one in measurement.evidence.fingerprints if one.id == "unit-norms/v1")
    assert table
    assert table.rows[0][table.columns.index("mean neuron.up")] == "-"


def test_the_values_of_the_first_release_are_for_ever(family: Path, seed_1: dict[str, Profile], request: Any):
    """SHA-256 of the arrays of every fingerprint, as they are kept. Other numbers mean a new id, not a new value."""
    weights = (family / "seed-1" / "model.safetensors").read_bytes()
    found = {
        "weights": hashlib.sha256(weights).hexdigest(),
        "fingerprints": {
            name: hashlib.sha256(pack_arrays(profile.arrays, {"fingerprint": name})).hexdigest()
            for name, profile in seed_1.items()
            if profile.arrays
        },
    }
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))
