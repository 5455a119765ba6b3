"""Weights packed by every scheme as its own tools write them: codes, scales and zeros, and the values they stand for.

Written from the published layouts and not from attest: what is packed here value by value is unpacked there in bulk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import ml_dtypes
import numpy as np
import torch
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray
from safetensors.torch import save_file

from attest.checkpoint import open_checkpoint
from attest.checkpoint.values import as_float32

Values = NDArray[np.float32]


class Packing(NamedTuple):
    """Parts of one weight by the end of their names, and the values that they stand for, outputs by inputs."""

    parts: Mapping[str, Any]
    values: Values


def words_of(codes: NDArray[Any], bits: int) -> NDArray[np.int32]:
    """Codes of each row, one bit string after the other, as 32-bit words."""
    rows = []
    for row in codes.tolist():
        text = sum(code << (bits * place) for place, code in enumerate(row))
        rows.append(np.frombuffer(text.to_bytes(-(-len(row) * bits // 32) * 4, "little"), np.int32))
    return np.stack(rows)


def grouped(weight: Values, bits: int, size: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float16]]:
    """Codes (n_outputs, n_inputs), zeros and scales (n_outputs, n_groups) of a rounding with an offset."""
    groups = weight.reshape(len(weight), -1, size)
    low, high = np.minimum(groups.min(axis=2), 0), np.maximum(groups.max(axis=2), 0)
    top = (1 << bits) - 1
    scales = np.maximum((high - low) / top, 1e-6).astype(np.float16)
    zeros = np.clip(np.rint(-low / scales.astype(np.float32)), 1, top).astype(int)
    codes = np.clip(np.rint(groups / scales.astype(np.float32)[:, :, None]) + zeros[:, :, None], 0, top).astype(int)
    return codes.reshape(weight.shape), zeros, scales


def meant(codes: NDArray[Any], zeros: NDArray[Any], scales: NDArray[np.float16], groups: NDArray[Any]) -> Values:
    return (codes - zeros[:, groups]).astype(np.float32) * scales.astype(np.float32)[:, groups]


def gptq(weight: Values, *, bits: int = 4, less: int = 1, by_activation: bool = False) -> Packing:
    size = 32
    groups = np.arange(weight.shape[1]) // size
    order = np.random.default_rng(0).permutation(weight.shape[1]) if by_activation else np.arange(weight.shape[1])
    codes, zeros, scales = grouped(weight[:, order], bits, size)
    back = np.argsort(order)
    codes, groups = codes[:, back], groups[back]
    parts = {
        "qweight": words_of(codes, bits).T.copy(),
        "qzeros": words_of((zeros.T - less) % (1 << bits), bits),
        "scales": scales.T.copy(),
        "g_idx": groups.astype(np.int32),
    }
    return Packing(parts, meant(codes, zeros, scales, groups))


def awq(weight: Values) -> Packing:
    codes, zeros, scales = grouped(weight, 4, 32)

    def words(rows: NDArray[Any]) -> NDArray[np.int32]:
        eights = rows.reshape(len(rows), -1, 8)[:, :, [0, 2, 4, 6, 1, 3, 5, 7]]
        return words_of(eights.reshape(len(rows), -1), 4)

    parts = {"qweight": words(codes.T), "qzeros": words(zeros.T), "scales": scales.T.copy()}
    return Packing(parts, meant(codes, zeros, scales, np.arange(weight.shape[1]) // 32))


NF4 = np.array([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0], np.float32)  # fmt: skip
FP4 = np.array([0, 0.0052083334885537624, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4], np.float32)
FP4 = np.concatenate([FP4, -FP4])


def four_bits(weight: Values, *, kind: str = "nf4", nested: bool = False) -> Packing:
    table, size = {"nf4": NF4, "fp4": FP4}[kind], 64
    blocks = weight.reshape(-1, size)
    absmax = np.abs(blocks).max(axis=1)
    state: dict[str, Any] = {"quant_type": kind, "blocksize": size, "dtype": "bfloat16", "shape": list(weight.shape)}
    extra = {}
    if nested:
        offset, around = np.float32(absmax.mean()), np.linspace(-1, 1, 256, dtype=np.float32)
        runs = [absmax[at : at + 256] - offset for at in range(0, len(absmax), 256)]
        tops = np.array([np.abs(run).max() for run in runs], np.float32)
        codes = np.concatenate(
            [np.abs(run[:, None] / top - around).argmin(axis=1) for run, top in zip(runs, tops, strict=True)]
        )
        absmax = around[codes] * np.repeat(tops, 256)[: len(codes)] + offset
        extra = {
            "weight.absmax": codes.astype(np.uint8),
            "weight.nested_absmax": tops,
            "weight.nested_quant_map": around,
        }
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": float(offset)}
    codes = np.abs(blocks[:, :, None] / absmax[:, None, None] - table).argmin(axis=2).ravel()
    data = np.frombuffer(json.dumps(state).encode(), np.uint8).copy()
    parts = {
        "weight": (codes[::2] << 4 | codes[1::2]).astype(np.uint8).reshape(-1, 1),
        "weight.absmax": absmax,
        "weight.quant_map": table,
        f"weight.quant_state.bitsandbytes__{kind}": data,
    }
    return Packing(parts | extra, (table[codes].reshape(-1, size) * absmax[:, None]).reshape(weight.shape))


def int8_rows(weight: Values) -> Packing:
    absmax = np.abs(weight).max(axis=1)
    codes = np.rint(weight * (127 / absmax)[:, None]).astype(np.int8)
    return Packing({"weight": codes, "SCB": absmax}, codes.astype(np.float32) * absmax[:, None] * np.float32(1 / 127))


def int8_scaled(weight: Values) -> Packing:
    scales = (np.abs(weight).max(axis=1, keepdims=True) / 127).astype(np.float32)
    codes = np.rint(weight / scales).astype(np.int8)
    return Packing({"weight": codes, "weight_scale": scales}, codes.astype(np.float32) * scales)


def float8(weight: Values, *, rows: int = 128, columns: int = 128, name: str = "weight_scale_inv") -> Packing:
    shape = -(-weight.shape[0] // rows), -(-weight.shape[1] // columns)
    scales = np.empty(shape, np.float32)
    for i, j in np.ndindex(*shape):
        scales[i, j] = np.abs(weight[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]).max() / 448 or 1
    wide = np.repeat(np.repeat(scales, rows, 0), columns, 1)[: weight.shape[0], : weight.shape[1]]
    codes = torch.from_numpy(weight / wide).to(torch.float8_e4m3fn)
    parts = {"weight": codes, name: scales if scales.size > 1 else scales.reshape(())}
    return Packing(parts, codes.float().numpy() * wide)


def torchao(weight: Values, *, size: int = 32) -> Packing:
    """Codes of 4 bits in bytes of their own, with zeros below them."""
    codes, zeros, scales = grouped(weight, 4, size)
    parts = {
        "_weight_qdata": (codes - 8).astype(np.int8),
        "_weight_scale": scales,
        "_weight_zero_point": (zeros - 8).astype(np.int8),
    }
    return Packing(parts, meant(codes, zeros, scales, np.arange(weight.shape[1]) // size))


def named(packing: Packing, **names: str) -> Packing:
    """The same parts under the names that another tool gives them."""
    return Packing({names[end]: part for end, part in packing.parts.items()}, packing.values)


def compressed(weight: Values, *, bits: int = 4, with_zeros: bool = False) -> Packing:
    codes, zeros, scales = grouped(weight, bits, 32)
    if not with_zeros:
        half = 1 << (bits - 1)
        tops = np.abs(weight.reshape(len(weight), -1, 32)).max(axis=2) / (half - 1)
        scales, zeros = tops.astype(np.float16), np.full(tops.shape, half)
        wide = np.repeat(scales.astype(np.float32), 32, axis=1)
        codes = np.clip(np.rint(weight / wide) + half, 0, 2 * half - 1).astype(int)
    parts = {
        "weight_packed": words_of(codes, bits),
        "weight_scale": scales,
        "weight_shape": np.array(weight.shape, np.int64),
    }
    if with_zeros:
        parts["weight_zero_point"] = words_of(zeros.T, bits).T.copy()
    return Packing(parts, meant(codes, zeros, scales, np.arange(weight.shape[1]) // 32))


def fp4_codes(values: Values) -> NDArray[np.uint8]:
    """Codes of the nearest 4-bit floats, two to a byte, the first in the lower bits."""
    codes = np.clip(values, -6, 6).astype(ml_dtypes.float4_e2m1fn).view(np.uint8)
    return codes[..., ::2] | codes[..., 1::2] << 4


def powers(groups: Values) -> NDArray[np.uint8]:
    """E8M0 codes of scales: the greatest power of two in the greatest value, over that in 6."""
    tops = np.maximum(np.abs(groups).max(axis=-1), np.float32(2) ** -125)
    scales: NDArray[np.uint8] = (2.0 ** (np.floor(np.log2(tops)) - 2)).astype(ml_dtypes.float8_e8m0fnu).view(np.uint8)
    return scales


def mxfp4(weight: Values, *, name: str = "weight_packed") -> Packing:
    groups = weight.reshape(len(weight), -1, 32)
    scales = powers(groups)
    wide = scales.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)[..., None]
    codes = fp4_codes(groups / wide).reshape(len(weight), -1)
    parts = {name: codes, "weight_scale": scales}
    return Packing(parts, (four_bit_floats(codes).reshape(groups.shape) * wide).reshape(weight.shape))


def mxfp4_blocks(stack: Values) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Blocks and scales of a stack of outputs by inputs, as gpt-oss has them."""
    parts = mxfp4(np.ascontiguousarray(stack).reshape(-1, stack.shape[2])).parts
    groups = stack.shape[2] // 32
    blocks = parts["weight_packed"].reshape(*stack.shape[:2], groups, 16)
    return blocks, parts["weight_scale"].reshape(*stack.shape[:2], groups)


def nvfp4(
    weight: Values,
    *,
    name: str = "weight",
    whole: str = "weight_scale_2",
    divides: bool = False,
    largest: np.float32 | None = None,
) -> Packing:
    """Scales of blocks over that of the tensor, which ModelOpt stores as it is and compressed-tensors turned round."""
    groups = weight.reshape(len(weight), -1, 16)
    top = (np.abs(weight).max() if largest is None else largest) / np.float32(6 * 448)
    stored = np.float32(1) / top if divides else top
    scales = torch.from_numpy(np.abs(groups).max(axis=2) / (6 * top)).to(torch.float8_e4m3fn)
    wide = (scales.float().numpy() / stored if divides else scales.float().numpy() * stored)[..., None]
    codes = fp4_codes(groups / np.maximum(wide, np.float32(1e-30))).reshape(len(weight), -1)
    parts = {name: codes, "weight_scale": scales, whole: np.array([stored]) if divides else stored}
    return Packing(parts, (four_bit_floats(codes).reshape(groups.shape) * wide).reshape(weight.shape))


def four_bit_floats(codes: NDArray[np.uint8]) -> Values:
    """Values of codes, two to a byte."""
    both = np.stack([codes & 15, codes >> 4], axis=-1).astype(np.uint8)
    return both.view(ml_dtypes.float4_e2m1fn).astype(np.float32).reshape(*codes.shape[:-1], -1)


def mlx(weight: Values, *, bits: int = 4, size: int = 32, dtype: Any = ml_dtypes.bfloat16) -> Packing:
    """As MLX quantizes on a CPU: the value of largest magnitude is met, and 0 where it lies in the range."""
    groups = weight.astype(dtype).astype(np.float32).reshape(len(weight), -1, size)
    low, high, top = groups.min(axis=2), groups.max(axis=2), np.float32((1 << bits) - 1)
    sign = np.where(np.abs(low) > np.abs(high), np.float32(1), np.float32(-1))
    scales, edges = sign * np.maximum((high - low) / top, np.float32(1e-7)), np.where(sign > 0, low, high)
    steps = np.rint(edges / scales)
    scales = np.where(steps == 0, scales, edges / np.where(steps == 0, np.float32(1), steps))
    biases = np.where(steps == 0, np.float32(0), edges)
    codes = np.clip(np.rint((groups - biases[:, :, None]) / scales[:, :, None]), 0, top).astype(int)
    kept = [part.astype(dtype) for part in (scales, biases)]
    values = codes * kept[0].astype(np.float32)[:, :, None] + kept[1].astype(np.float32)[:, :, None]
    words = words_of(codes.reshape(weight.shape), bits).view(np.uint32)
    parts = {"weight": words, "scales": as_torch(kept[0]), "biases": as_torch(kept[1])}
    return Packing(parts, values.astype(np.float32).reshape(weight.shape))


def as_torch(values: NDArray[Any]) -> torch.Tensor:
    """An array as a tensor, of bfloat16 too."""
    if values.dtype != ml_dtypes.bfloat16:
        return torch.from_numpy(values)
    return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)


PACKINGS: Mapping[str, Callable[[Values], Packing]] = {
    "GPTQ": gptq,
    "GPTQ of 8 bits": lambda weight: gptq(weight, bits=8),
    "GPTQ of 3 bits": lambda weight: gptq(weight, bits=3),
    "GPTQ of 2 bits": lambda weight: gptq(weight, bits=2),
    "GPTQ in the order of activations": lambda weight: gptq(weight, by_activation=True),
    "AWQ": awq,
    "bitsandbytes NF4": four_bits,
    "bitsandbytes FP4": lambda weight: four_bits(weight, kind="fp4"),
    "bitsandbytes NF4, nested": lambda weight: four_bits(weight, nested=True),
    "bitsandbytes INT8": int8_rows,
    "INT8 with scales": int8_scaled,
    "FP8 with scales": float8,
    "FP8 with scales of rows": lambda weight: float8(weight, rows=1, columns=weight.shape[1], name="weight_scale"),
    "FP8 with scales of tensors": lambda weight: float8(
        weight, rows=len(weight), columns=weight.shape[1], name="weight_scale"
    ),
    "compressed-tensors": compressed,
    "compressed-tensors of 8 bits": lambda weight: compressed(weight, bits=8),
    "compressed-tensors with zeros": lambda weight: compressed(weight, with_zeros=True),
    "torchao": torchao,
    "torchao with two scales": lambda weight: named(
        float8(weight, rows=len(weight), columns=weight.shape[1] // 2),
        weight="_weight_qdata",
        weight_scale_inv="_weight_scale",
    ),
    "Quanto": lambda weight: named(int8_scaled(weight), weight="weight._data", weight_scale="weight._scale"),
    "MXFP4": mxfp4,
    "NVFP4 of ModelOpt": nvfp4,
    "NVFP4 of compressed-tensors": lambda weight: nvfp4(
        weight, name="weight_packed", whole="weight_global_scale", divides=True
    ),
}


def matrices(checkpoint: Path) -> tuple[dict[str, Any], dict[str, Values]]:
    """Tensors of a checkpoint as torch has them, and the values of the matrices in its layers."""
    opened = open_checkpoint(checkpoint)
    plain, packed = {}, {}
    for tensor in opened.tensors:
        values = as_float32(opened.read_bits(tensor), tensor.dtype)
        if "layers." in tensor.name and len(tensor.shape) == 2:
            packed[tensor.name] = values
        else:
            plain[tensor.name] = torch.from_numpy(values.copy()).to(torch.bfloat16)
    return plain, packed


def write_packed(folder: Path, checkpoint: Path, pack: Callable[[Values], Packing], **claims: Any) -> Path:
    """A copy of a checkpoint with the matrices in its layers packed."""
    folder.mkdir(parents=True)
    tensors, weights = matrices(checkpoint)
    for name, values in weights.items():
        stem = name.removesuffix("weight")
        for end, part in pack(values).parts.items():
            tensors[stem + end] = (
                part if isinstance(part, torch.Tensor) else torch.from_numpy(np.array(part, order="C"))
            )
    save_file(tensors, folder / "model.safetensors")
    config = json.loads((checkpoint / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"bits": 4, **claims}}))
    return folder


def write_mlx(folder: Path, checkpoint: Path, *, bits: int = 4, size: int = 32, **modules: Mapping[str, int]) -> Path:
    """A copy as mlx-lm converts it: all matrices, the table of tokens too; modules, named with __ for a dot, have their own settings."""
    folder.mkdir(parents=True)
    plain, weights = matrices(checkpoint)
    tables = {name: one.float().numpy() for name, one in plain.items() if one.dim() == 2}
    tensors = {name: one for name, one in plain.items() if name not in tables}
    own = {name.replace("__", "."): settings for name, settings in modules.items()}
    for name, values in (weights | tables).items():
        stem = name.removesuffix(".weight")
        settings = own.get(stem, {"bits": bits, "group_size": size})
        parts = mlx(values, bits=settings["bits"], size=settings["group_size"]).parts
        tensors |= {f"{stem}.{end}": torch.as_tensor(part) for end, part in parts.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "mlx"})
    config = json.loads((checkpoint / "config.json").read_text())
    config["quantization"] = {"group_size": size, "bits": bits, "mode": "affine", **own}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


_ROLES = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate",
          "up_proj": "ffn_up", "down_proj": "ffn_down", "input_layernorm": "attn_norm",
          "post_attention_layernorm": "ffn_norm"}  # fmt: skip


def write_gguf(file: Path, checkpoint: Path, kind: str) -> Path:
    """A checkpoint of the fixture family as GGUF, its matrices of one type wherever their rows allow it."""
    writer = gguf.GGUFWriter(str(file), "qwen2")
    writer.add_block_count(4)
    writer.add_embedding_length(96)
    writer.add_feed_forward_length(256)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    quant = gguf.GGMLQuantizationType[kind]
    plain, packed = matrices(checkpoint)
    for name, tensor in (plain | packed).items():
        values = tensor.float().numpy() if isinstance(tensor, torch.Tensor) else tensor
        parts = name.split(".")
        renamed = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}.get(
            name
        )
        renamed = renamed or f"blk.{parts[2]}.{_ROLES[parts[-2]]}.{parts[-1]}"
        if name in packed and values.shape[1] % gguf.GGML_QUANT_SIZES[quant][0] == 0:
            writer.add_tensor(renamed, quantize(values, quant), raw_dtype=quant)
        else:
            writer.add_tensor(renamed, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def ggml_values(blocks: NDArray[np.uint8], kind: str) -> Values:
    """Values of blocks as the gguf package computes them."""
    with np.errstate(over="ignore", invalid="ignore"):
        found: Values = dequantize(blocks, gguf.GGMLQuantizationType[kind])
    return found
