"""Keys and values of latent attention in two tensors, as GGUF and MLX have them: the heads of the one that they were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from compare.pairs import measured_at
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray
from packing import mlx
from safetensors.torch import save_file
from small_checkpoint import write_tensors

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.correspondence.norms import head_norm_correspondence, key_latent_correspondence
from attest.fingerprint.part import TurnedAccumulator

HEADS, D_MODEL, LATENT, Q_LATENT, D_KEY, D_ROTARY, D_VALUE = 8, 64, 96, 32, 32, 8, 48
ROLES = {"q_a_proj": "attn_q_a", "q_b_proj": "attn_q_b", "kv_a_proj_with_mqa": "attn_kv_a_mqa", "o_proj": "attn_output"}
Arrays = dict[str, NDArray[np.float32]]


def network(seed: int) -> Arrays:
    """Two layers of latent attention, whose heads and latent dimensions differ in scale."""
    rng = np.random.default_rng(seed)
    made: Arrays = {"model.embed_tokens.weight": rng.standard_normal((32, D_MODEL))}
    for layer in range(2):
        prefix = f"model.layers.{layer}.self_attn."
        scales = np.exp(rng.standard_normal((HEADS, 2)) / 5).repeat((D_KEY, D_VALUE), axis=1).ravel()
        made |= {
            f"{prefix}q_a_proj.weight": rng.standard_normal((Q_LATENT, D_MODEL)),
            f"{prefix}q_b_proj.weight": rng.standard_normal((HEADS * (D_KEY + D_ROTARY), Q_LATENT)),
            f"{prefix}kv_a_proj_with_mqa.weight": rng.standard_normal((LATENT + D_ROTARY, D_MODEL)),
            f"{prefix}kv_b_proj.weight": rng.standard_normal((HEADS * (D_KEY + D_VALUE), LATENT)) * scales[:, None],
            f"{prefix}o_proj.weight": rng.standard_normal((D_MODEL, HEADS * D_VALUE)),
        }  # fmt: skip
    return {name: one.astype(np.float16).astype(np.float32) for name, one in made.items()}


def halves(kv_b: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Keys of each head as inputs by outputs, and values, as converters cut them."""
    heads = kv_b.reshape(HEADS, D_KEY + D_VALUE, LATENT)
    return np.ascontiguousarray(heads[:, :D_KEY].transpose(0, 2, 1)), np.ascontiguousarray(heads[:, D_KEY:])


def joined(keys: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([keys.transpose(0, 2, 1), values], axis=1).reshape(-1, LATENT)


def write_whole(folder: Path, arrays: Mapping[str, Any]) -> Path:
    folder.mkdir()
    write_tensors(folder / "model.safetensors", dict(arrays))
    return folder


def write_gguf(file: Path, arrays: Arrays, kind: str = "F32") -> Path:
    """As llama.cpp's converter names and cuts it, with the halves of one type."""
    writer = gguf.GGUFWriter(str(file), "deepseek2")
    writer.add_block_count(2)
    writer.add_embedding_length(D_MODEL)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    quant = gguf.GGMLQuantizationType[kind]
    for name, array in arrays.items():
        parts = name.split(".")
        if parts[-2] == "kv_b_proj":
            for half, one in zip(("k", "v"), halves(array), strict=True):
                coded = one if kind == "F32" else quantize(one, quant)
                writer.add_tensor(f"blk.{parts[2]}.attn_{half}_b.weight", coded, raw_dtype=quant)
        else:
            writer.add_tensor(
                f"blk.{parts[2]}.{ROLES[parts[-2]]}.weight" if len(parts) > 3 else "token_embd.weight", array
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def write_mlx(folder: Path, arrays: Arrays) -> Path:
    """As mlx-lm names and cuts it, the halves quantized."""
    folder.mkdir()
    tensors = {name: torch.from_numpy(one) for name, one in arrays.items() if "kv_b_proj" not in name}
    for name, array in arrays.items():
        if "kv_b_proj" in name:
            for half, one in zip(("embed_q", "unembed_out"), halves(array), strict=True):
                packings = [mlx(matrix, bits=8) for matrix in one]
                for end in ("weight", "scales", "biases"):
                    stacked = torch.stack([torch.as_tensor(packing.parts[end]) for packing in packings])
                    tensors[name.replace("kv_b_proj.weight", f"{half}.{end}")] = stacked
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text('{"quantization": {"bits": 8, "group_size": 32}, "model_type": "deepseek_v3"}')
    return folder


def norms(path: Path) -> dict[str, NDArray[np.float32]]:
    return dict(measured_at(path).arrays["unit-norms/v1"])


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """All to the bit, but sums over latent dimensions, which are added in another order."""
    assert found.keys() == expected.keys()
    assert {f"layers.0.head.{part}" for part in "qkvo"} <= found.keys()
    for name, array in found.items():
        if name.endswith("latent.kv_b"):
            np.testing.assert_allclose(array, expected[name], rtol=1e-6)
        else:
            assert np.array_equal(array, expected[name]), name


def test_norms_are_those_of_the_whole(tmp_path: Path):
    whole = norms(write_whole(tmp_path / "whole", network(0)))
    assert_same(norms(write_gguf(tmp_path / "model.gguf", network(0))), whole)


def test_quantized_halves_have_the_norms_of_their_values(tmp_path: Path):
    arrays, meant = network(1), network(1)
    for name, array in arrays.items():
        if "kv_b_proj" in name:
            q8_0 = gguf.GGMLQuantizationType.Q8_0
            meant[name] = joined(*(dequantize(quantize(one, q8_0), q8_0) for one in halves(array)))
    whole = norms(write_whole(tmp_path / "whole", meant))
    assert_same(norms(write_gguf(tmp_path / "model.gguf", arrays, "Q8_0")), whole)


def test_halves_as_mlx_has_them(tmp_path: Path):
    arrays, meant = network(2), network(2)
    for name, array in arrays.items():
        if "kv_b_proj" in name:
            meant[name] = joined(*(np.stack([mlx(one, bits=8).values for one in half]) for half in halves(array)))
    copy = write_mlx(tmp_path / "mlx", arrays)
    assert_same(norms(copy), norms(write_whole(tmp_path / "whole", meant)))
    model = place_tensors(open_checkpoint(copy))
    assert not any(one.code == "architecture-contradicted" for one in model.findings)
    assert (model.n_heads, model.d_head) == (HEADS, None)


def test_a_converted_copy_is_found_and_a_stranger_is_not(tmp_path: Path):
    parent, stranger = (measured_at(write_whole(tmp_path / str(seed), network(seed))) for seed in (3, 4))
    copy = measured_at(write_gguf(tmp_path / "model.gguf", network(3), "Q8_0"))
    for correspondence in (head_norm_correspondence, key_latent_correspondence):
        (related,), (apart,) = (correspondence(one, copy).tests for one in (parent, stranger))
        assert related.pvalue is not None
        assert apart.pvalue is not None
        assert related.pvalue < 0.01 < apart.pvalue


SHAPES = {
    "keys alone": {"k_b": (8, 96, 32)},
    "values alone": {"v_b": (8, 48, 96)},
    "keys of other latent dimensions": {"k_b": (8, 95, 32), "v_b": (8, 48, 96)},
    "keys of other heads": {"k_b": (4, 96, 32), "v_b": (8, 48, 96)},
    "keys in one matrix": {"k_b": (768, 32), "v_b": (8, 48, 96)},
    "no keys": {"k_b": (8, 96, 0), "v_b": (8, 48, 96)},
    "keys that are too large to be turned": {"k_b": (1, 2**13, 2**12), "v_b": (1, 48, 2**13)},
}


@pytest.mark.parametrize("case", SHAPES)
def test_halves_that_do_not_fit_have_no_heads(case: str, tmp_path: Path):
    arrays: dict[str, Any] = {name: one for name, one in network(5).items() if "kv_b" not in name}
    for half, shape in SHAPES[case].items():
        name = {"k_b": "embed_q", "v_b": "unembed_out"}[half]
        arrays[f"model.layers.0.self_attn.{name}.weight"] = np.zeros(shape, np.float16)
    found = norms(write_whole(tmp_path / "whole", arrays))
    assert not any("head" in name or "latent.kv_b" in name for name in found)


def test_a_layer_that_does_not_fit_has_none(tmp_path: Path):
    arrays: dict[str, Any] = {}
    for name, one in network(8).items():
        if "kv_b_proj" not in name:
            arrays |= {
                name.replace("layers.1", f"layers.{layer}"): one
                for layer in ((1, 2, 3) if "layers.1" in name else (0,))
            }
    keys, values = halves(network(8)["model.layers.1.self_attn.kv_b_proj.weight"])
    for layer in range(4):
        prefix = f"model.layers.{layer}.self_attn."
        arrays[f"{prefix}embed_q.weight"] = keys[:, :-1] if layer == 2 else keys
        arrays[f"{prefix}unembed_out.weight"] = values
    found = norms(write_whole(tmp_path / "whole", arrays))
    assert {name for name in found if name.endswith("latent.kv_b")} == {
        f"layers.{layer}.latent.kv_b" for layer in (0, 1, 3)
    }
    assert "layers.2.head.k" not in found


def test_the_whole_comes_before_its_halves(tmp_path: Path):
    whole = network(6)
    both: dict[str, Any] = dict(whole)
    for name, array in network(7).items():
        if "kv_b_proj" in name:
            keys, values = halves(array)
            both |= {name.replace("kv_b_proj", "embed_q"): keys, name.replace("kv_b_proj", "unembed_out"): values}
    expected = norms(write_whole(tmp_path / "whole", whole))
    found = norms(write_whole(tmp_path / "both", both))
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


class Seen:
    def __init__(self) -> None:
        self.rows: list[NDArray[Any]] = []

    def update(self, rows: NDArray[Any], first_row: int) -> None:
        assert first_row == sum(map(len, self.rows))
        self.rows.append(rows)

    def result(self) -> NDArray[Any]:
        return np.concatenate(self.rows)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 100])
def test_blocks_may_be_cut_anywhere(size: int):
    stack = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    turned = TurnedAccumulator(4, Seen())
    rows = stack.reshape(-1, 5)
    for begin in range(0, len(rows), size):
        turned.update(rows[begin : begin + size], begin)
    assert np.array_equal(turned.result(), stack.transpose(0, 2, 1).reshape(-1, 4))
