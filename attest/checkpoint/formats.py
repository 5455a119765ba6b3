"""The formats that are known: a new one is an entry here and a module that reads it."""

from __future__ import annotations

from attest.checkpoint.format import Format

__all__ = ["FORMATS", "SAFETENSORS"]

SAFETENSORS = Format(
    id="safetensors",
    suffixes=(".safetensors",),
    one_file="model.safetensors",
    index=".safetensors.index.json",
    reader="safetensors",
)

FORMATS: tuple[Format, ...] = (
    SAFETENSORS,
    Format(
        id="pytorch",
        suffixes=(".bin", ".pt", ".pth", ".ckpt"),
        one_file="pytorch_model.bin",
        index=".bin.index.json",
        reader="pytorch",
        magic=b"PK\3\4",
        companions=("optimizer", "training_args", "scheduler", "rng_state", "scaler", "random_states"),
    ),
    Format(id="gguf", suffixes=(".gguf",), one_file=None, index=None, reader="gguf"),
    Format(id="onnx", suffixes=(".onnx",), one_file="model.onnx", index=None, reader="onnx"),
    Format(
        id="flax", suffixes=(".msgpack",), one_file="flax_model.msgpack", index=".msgpack.index.json", reader="flax"
    ),
    Format(
        id="ctranslate2",
        suffixes=("model.bin",),
        one_file=None,
        index=None,
        reader="ctranslate2",
        magic=b"\6\0\0\0",
    ),
)
"""All formats, the preferred first."""
