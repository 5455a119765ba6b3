"""Anchors: tokens that most tokenizers have, told by their text, whose embeddings give a network axes of its own.

Two networks have no common axes where one was rotated, or is wider. But both place the same words in their residual
stream, and what is measured against those words can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, Part
from attest.checkpoint import Checkpoint, Tensor
from attest.checkpoint.byte_range import read_range, read_up_to
from attest.checkpoint.packed import Packed, open_packed
from attest.checkpoint.tensor import BITS, item_type
from attest.digest import sha256
from attest.document import parse
from attest.errors import DocumentError, InputError
from attest.fingerprint.unpacked import can_be_unpacked
from attest.resource import resource
from attest.sweep import as_float32

__all__ = [
    "ANCHORS_SHA256",
    "TOKENIZER",
    "Anchors",
    "anchor_strings",
    "read_anchors",
    "read_rows",
    "read_tokens",
    "token_texts",
]

TOKENIZER = "tokenizer.json"
ANCHORS_SHA256 = "a41d73608349b267929746e418109d70c72014bc7577e3f364532e210a585aec"
"""SHA-256 of ``anchor_strings.json``; another list is another fingerprint."""

LEAST_ANCHORS = 64
_MAX_TOKENIZER = 128 * 1024 * 1024
_DTYPES = frozenset({"BF16", "F16", "F32"})
_GAP = 256 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchors:
    """The anchors that a tokenizer has, and their embeddings.

    Parameters
    ----------
    strings : tuple of str
        In the order of the shipped list.
    rows : ndarray of shape (n_anchors,), int64
        Their rows in the embedding.
    bits : ndarray of shape (n_anchors, d_model)
        The rows as they are stored, or the values of their codes.
    embed : Part
        The embedding.
    tokenizer_sha256 : str
        Of the file that was read.
    """

    strings: tuple[str, ...]
    rows: NDArray[np.int64]
    bits: NDArray[Any]
    embed: Part
    tokenizer_sha256: str

    def unit_rows(self) -> NDArray[np.float64]:
        """Embeddings less their mean at length 1, shape (n_anchors, d_model); rows that are not finite or have no norm are 0."""
        values = as_float32(self.bits, self.embed.tensor.dtype).astype(np.float64)
        finite = np.asarray(np.isfinite(values).all(axis=1))
        values = np.where(finite[:, None], values, 0.0)
        values[finite] -= values[finite].mean(axis=0) if finite.any() else 0.0
        norms = np.sqrt(np.sum(values * values, axis=1))[:, None]
        unit: NDArray[np.float64] = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
        return unit


@cache
def anchor_strings() -> tuple[str, ...]:
    """The shipped list.

    Raises
    ------
    InputError
        It is not the file that this version shipped.
    """
    data = resource("fingerprint/anchor_strings.json").read_bytes()
    if sha256(data) != ANCHORS_SHA256:
        raise InputError(
            "anchors-changed",
            "is not the file that this version of attest shipped",
            fix="install attest again",
            where="anchor_strings.json",
        )
    return tuple(json.loads(data))


def read_anchors(model: Model) -> Anchors | str:
    """Anchors of a checkpoint, read ahead of the one read; or why it has none.

    Notes
    -----
    The caller checks afterwards that the one read saw the same tokenizer and the same rows.
    """
    embed = model.index.get(("embed", None))
    if embed is None or not _can_be_read(embed):
        return "no embedding of floating-point values was recognized"
    try:
        texts, digest = read_tokens(model.checkpoint)
    except DocumentError as error:
        return f"{TOKENIZER} cannot be read: {error.message}"[:500]
    places = {text: row for text, row in texts.items() if row < embed.tensor.shape[0]}
    strings = tuple(text for text in anchor_strings() if text in places)
    if len(strings) < LEAST_ANCHORS:
        return f"there is no {TOKENIZER} with at least {LEAST_ANCHORS} of the anchor strings"
    rows = np.array([places[text] for text in strings], np.int64)
    bits = read_rows(model.checkpoint, embed, rows)
    return Anchors(strings=strings, rows=rows, bits=bits, embed=embed, tokenizer_sha256=digest)


def _can_be_read(embed: Part) -> bool:
    known = len(embed.tensor.shape) == 2 and embed.tensor.dtype in _DTYPES
    return known and (embed.packed is None or (can_be_unpacked(embed.packed) and not embed.transposed))


def read_tokens(checkpoint: Checkpoint) -> tuple[Mapping[str, int], str]:
    """Text of every token of the checkpoint's tokenizer, and the file's SHA-256; nothing where there is none.

    Raises
    ------
    DocumentError
        The file is too large, or not JSON.
    """
    if TOKENIZER not in checkpoint.tree.sizes:
        return {}, ""
    with checkpoint.tree.open(TOKENIZER) as stream:
        data = read_up_to(stream, _MAX_TOKENIZER + 1)
    return token_texts(parse(data, where=TOKENIZER, max_bytes=_MAX_TOKENIZER)), sha256(data)


def token_texts(tokenizer: Any) -> Mapping[str, int]:
    """Text of every token of a ``tokenizer.json``, by the least id: a space before a word stands as a space.

    Notes
    -----
    WordPiece marks what continues a word, the others what begins one: byte-level vocabularies with ``Ġ`` (and write
    line feed and tab as ``Ċ`` and ``ĉ``), SentencePiece's with ``▁``. Other bytes beyond ASCII stay as they are.
    """
    model = tokenizer.get("model") if isinstance(tokenizer, dict) else None
    if not isinstance(model, dict):
        return {}
    tokens = dict(_tokens(model.get("vocab")))
    prefix = model.get("continuing_subword_prefix")
    if isinstance(prefix, str) and prefix:
        named = (
            (token[len(prefix) :] if token.startswith(prefix) else f" {token}", row) for token, row in tokens.items()
        )
    else:
        byte_level = sum(token.startswith("Ġ") for token in tokens) > sum(token.startswith("▁") for token in tokens)
        table = str.maketrans({"Ġ": " ", "Ċ": "\n", "ĉ": "\t"} if byte_level else {"▁": " "})
        named = ((token.translate(table), row) for token, row in tokens.items())
    found: dict[str, int] = {}
    for text, row in named:
        found[text] = min(row, found.get(text, row))
    return found


def _tokens(vocabulary: Any) -> Iterator[tuple[str, int]]:
    """Tokens and their ids: an object, or a list of tokens with a number each."""
    if isinstance(vocabulary, dict):
        yield from ((token, row) for token, row in vocabulary.items() if type(row) is int and row >= 0)
    elif isinstance(vocabulary, list):
        for row, entry in enumerate(vocabulary):
            if isinstance(entry, list) and entry and isinstance(entry[0], str):
                yield entry[0], row


def read_rows(checkpoint: Checkpoint, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Some rows of a matrix, in that order, shape (n_rows, n_columns): as they are stored, or the float32 values of their codes."""
    if part.packed is None:
        return _read_stored(checkpoint, part.tensor, rows)
    return _read_packed(checkpoint, part.packed, rows)


def _read_packed(checkpoint: Checkpoint, packed: Packed, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Values of some rows; of a scheme that stores each as one row, those are read alone."""
    unpacker = open_packed(packed, checkpoint.read_bits)
    values = np.empty((rows.size, packed.unpacked.shape[1]), np.float32)
    if (unpacker.stored, unpacker.made, packed.turned) != (1, 1, False):
        values[:] = checkpoint.read_values(packed)[rows]
        return values
    tensor, n_rows = packed.tensor, packed.shape[0]
    as_bytes = replace(tensor, dtype="U8", shape=(n_rows, (tensor.end - tensor.begin) // n_rows))
    codes = _read_stored(checkpoint, as_bytes, rows).view(np.dtype(item_type(tensor.dtype)))
    begins = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
    for begin, end in zip(begins, [*begins[1:], rows.size], strict=True):
        values[begin:end] = unpacker.unpack(codes[begin:end], int(rows[begin]))
    return values


def _read_stored(checkpoint: Checkpoint, tensor: Tensor, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Some rows as they are stored; those that lie near each other are read at once."""
    size = (tensor.end - tensor.begin) // tensor.shape[0]
    found: NDArray[Any] = np.empty((rows.size, tensor.shape[1]), BITS[tensor.dtype])
    order = np.argsort(rows, kind="stable")
    jumps = np.flatnonzero(np.diff(rows[order]) * size > _GAP) + 1
    with checkpoint.tree.open(tensor.file) as stream:
        for run in np.split(order, jumps):
            first, last = int(rows[run[0]]), int(rows[run[-1]])
            data = read_range(stream, tensor.begin + first * size, (last + 1 - first) * size, file=tensor.file)
            found[run] = np.frombuffer(data, BITS[tensor.dtype]).reshape(-1, tensor.shape[1])[rows[run] - first]
    return found
