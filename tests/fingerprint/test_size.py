"""What a fingerprint of a large network takes: computed from its shapes, with numbers in place of weights."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attest.architecture import Model, place_tensors
from attest.checkpoint import open_checkpoint
from attest.checkpoint.arrays import pack_arrays
from attest.fingerprint import FINGERPRINTS
from attest.sweep import TensorResult

MOST = 32_000_000

SHAPES = {
    # layers, d_model, d_ff, rows of q, rows of k and v, vocabulary, vectors of attention
    "Qwen2.5-14B": (48, 5120, 13824, 5120, 1024, 152064, ("q_proj.bias", "k_proj.bias", "v_proj.bias")),
    "Qwen3-14B": (40, 5120, 17408, 5120, 1024, 151936, ("q_norm.weight", "k_norm.weight")),
    "Llama-2-13B": (40, 5120, 13824, 5120, 5120, 32000, ()),
}


def tensors(
    layers: int, d_model: int, d_ff: int, queries: int, keys: int, vocabulary: int, vectors: tuple[str, ...]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    for layer in range(layers):
        start = f"model.layers.{layer}."
        for role, rows in (("q", queries), ("k", keys), ("v", keys)):
            yield f"{start}self_attn.{role}_proj.weight", (rows, d_model)
            for vector in (one for one in vectors if one.startswith(role)):
                yield f"{start}self_attn.{vector}", (128 if "norm" in vector else rows,)
        yield f"{start}self_attn.o_proj.weight", (d_model, queries)
        yield f"{start}mlp.gate_proj.weight", (d_ff, d_model)
        yield f"{start}mlp.up_proj.weight", (d_ff, d_model)
        yield f"{start}mlp.down_proj.weight", (d_model, d_ff)
        yield f"{start}input_layernorm.weight", (d_model,)
        yield f"{start}post_attention_layernorm.weight", (d_model,)
    yield "model.norm.weight", (d_model,)
    yield "model.embed_tokens.weight", (vocabulary, d_model)
    yield "lm_head.weight", (vocabulary, d_model)


def write_hole(folder: Path, shapes: dict[str, tuple[int, ...]], d_model: int, queries: int, keys: int) -> None:
    """A checkpoint of such tensors, which takes no room: its values are a hole in the file."""
    header, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + end)
    heads = {"num_attention_heads": queries // 128, "num_key_value_heads": keys // 128, "hidden_size": d_model}
    (folder / "config.json").write_text(json.dumps(heads))


def results(model: Model) -> dict[str, TensorResult]:
    """What would be collected, with digests as they fall."""
    rng = np.random.default_rng(0)
    found: dict[str, TensorResult] = {}
    for placed in model.tensors:
        makers: dict[str, Any] = {}
        for one in FINGERPRINTS:
            makers |= one.collect(model, placed)
        accumulators = {name: make() for name, make in makers.items()}
        if len(placed.tensor.shape) == 1:
            values = model.checkpoint.read_bits(placed.tensor).reshape(1, -1)
            for accumulator in accumulators.values():
                accumulator.update(values, 0)
        collected = {name: one.result() for name, one in accumulators.items()}
        if "row-digests" in collected:
            collected["row-digests"] = rng.integers(0, 2**64, collected["row-digests"].size, np.uint64)
        found[placed.tensor.name] = TensorResult(digest="", collected=collected)
    return found


@pytest.mark.parametrize("name", SHAPES)
def test_a_fingerprint_of_14_billion_parameters_takes_32_megabytes(name: str, tmp_path: Path) -> None:
    layers, d_model, d_ff, queries, keys, *others = SHAPES[name]
    shapes = dict(tensors(layers, d_model, d_ff, queries, keys, *others))
    write_hole(tmp_path, shapes, d_model, queries, keys)
    checkpoint = open_checkpoint(tmp_path)
    model = place_tensors(checkpoint)
    assert 12e9 < sum(tensor.size for tensor in checkpoint.tensors) < 16e9
    seen = results(model)
    sizes = {
        one.id: len(pack_arrays(profile.arrays, {"fingerprint": one.id}))
        for one in FINGERPRINTS
        if (profile := one.profile(model, seen)).arrays
    }
    assert {"unit-norms/v1", "neuron-sketch/v1", "row-digests/v2", "norm-gain/v1"} <= sizes.keys()
    assert sum(sizes.values()) <= MOST, sizes
