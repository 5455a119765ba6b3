"""CTranslate2: the variables of a converted model, ``model.bin``.

References
----------
CTranslate2, ``python/ctranslate2/specs/model_spec.py`` (``ModelSpec._serialize``) and ``src/models/model.cc``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import BinaryIO, Final

from attest.checkpoint.cursor import Cursor, refuse
from attest.checkpoint.format import Contents
from attest.checkpoint.tensor import DTYPE_BITS, Tensor, check_tensor_name
from attest.checkpoint.tree import Tree

__all__ = ["read", "read_ctranslate2"]

_DTYPES = ("F32", "I8", "I16", "I32", "F16", "BF16")
_MAGIC: Final = b"\6\0\0\0"
"""Version of the form, the one that CTranslate2 writes today."""

_NUMBERED = re.compile(r"(?<![^/])(layer)_([0-9]{1,3})(?![^/])")
_OF_NORMS = {"gamma": "weight", "beta": "bias"}
_MAX_VARIABLES = 1_000_000
_MAX_RANK = 32
_SIZE_LIMIT = 2**53


def read_ctranslate2(stream: BinaryIO, *, file: str, size: int) -> Contents:
    """Variables of an open ``model.bin``.

    Parameters
    ----------
    stream : binary file
        At its beginning.
    file : str
        Path for errors and for the tensors.
    size : int
        Bytes in the file.

    Raises
    ------
    CheckpointError
        The file is of no version that is known, is truncated, has bytes that belong to nothing, or lies about
        names, dtypes, shapes or sizes.

    Notes
    -----
    Names are those of CTranslate2's layers, such as ``decoder/layer_0/self_attention/linear_0/weight`` (the fused
    Q, K and V); it has a role as ``decoder.layer.0.self_attention.linear_0.weight``. An alias is a tensor of its own with the same bytes.
    """
    cursor = Cursor(stream, file=file, size=size)
    if cursor.read(min(len(_MAGIC), size)) != _MAGIC:
        refuse("not-ctranslate2", "does not begin as a model of CTranslate2, version 6", file, "convert it again")
    metadata = {"spec": _read_text(cursor), "revision": str(cursor.integer(4))}
    count = cursor.integer(4)
    if count > _MAX_VARIABLES:
        refuse("truncated-file", f"promises {count} variables", file)
    tensors: dict[str, Tensor] = {}
    for _ in range(count):
        tensor = _read_variable(cursor)
        if tensor.name in tensors:
            refuse("duplicate-tensor", f"holds {tensor.name!r} twice", file)
        tensors[tensor.name] = tensor
    _read_aliases(cursor, tensors)
    if cursor.left():
        refuse("trailing-bytes", f"{cursor.left()} bytes follow what it promises", file)
    return Contents(
        tensors=tuple(tensors.values()),
        metadata=metadata,
        names=_usual_names(tensors),
        parsed=cursor.parsed(),
    )


def _usual_names(names: Iterable[str]) -> dict[str, str]:
    """What variables are called in the notation of PyTorch; none where two would be called the same."""
    usual = {name: _usual_name(name) for name in names}
    counts = Counter(usual.values())
    return {name: other for name, other in usual.items() if counts[other] == 1}


def _usual_name(name: str) -> str:
    """A name with points, numbers that stand alone, and the words of PyTorch for gains and biases of norms."""
    words = _NUMBERED.sub(r"\1.\2", name).replace("/", ".")
    stem, _, last = words.rpartition(".")
    return f"{stem}.{_OF_NORMS[last]}" if last in _OF_NORMS else words


def _read_text(cursor: Cursor) -> str:
    """A string: its length in two bytes, its bytes, and a zero."""
    data = cursor.read(cursor.integer(2))
    if not data.endswith(b"\0") or b"\0" in data[:-1]:
        refuse("not-ctranslate2", f"the string before byte {cursor.position} does not end in one zero", cursor.file)
    return data[:-1].decode(errors="replace")


def _read_name(cursor: Cursor) -> str:
    name = _read_text(cursor)
    check_tensor_name(name, file=cursor.file)
    return name


def _read_variable(cursor: Cursor) -> Tensor:
    name = _read_name(cursor)
    rank = cursor.integer(1)
    if rank > _MAX_RANK:
        refuse("bad-shape", f"{name!r} has {rank} dimensions, more than {_MAX_RANK}", cursor.file)
    shape = tuple(cursor.integer(4) for _ in range(rank))
    if math.prod(one or 1 for one in shape) >= _SIZE_LIMIT:
        refuse("bad-shape", f"the sizes of {name!r} multiply to more than 2**53", cursor.file)
    kind, size = cursor.integer(1), cursor.integer(4)
    if kind >= len(_DTYPES):
        refuse("unknown-dtype", f"the dtype {kind} of {name!r} is not known", cursor.file, "update attest")
    dtype = _DTYPES[kind]
    needed = math.prod(shape) * DTYPE_BITS[dtype] // 8
    if size != needed:
        refuse("size-mismatch", f"{name!r} has {size} bytes where dtype and shape need {needed}", cursor.file)
    begin = cursor.position
    cursor.skip(size)
    return Tensor(name=name, dtype=dtype, shape=shape, file=cursor.file, begin=begin, end=cursor.position)


def _read_aliases(cursor: Cursor, tensors: dict[str, Tensor]) -> None:
    """Add every second name of a variable as a tensor with the same bytes."""
    variables = dict(tensors)
    for _ in range(cursor.integer(4)):
        alias, name = _read_name(cursor), _read_name(cursor)
        if alias in tensors:
            refuse("duplicate-tensor", f"holds {alias!r} twice", cursor.file)
        if name not in variables:
            refuse("missing-tensor", f"calls {name!r} also {alias!r}, and does not hold it", cursor.file)
        one = variables[name]
        tensors[alias] = Tensor(
            name=alias, dtype=one.dtype, shape=one.shape, file=one.file, begin=one.begin, end=one.end
        )


def read(tree: Tree, file: str) -> Contents:
    """Contents of one file; raises what ``read_ctranslate2`` does."""
    with tree.open(file) as stream:
        return read_ctranslate2(stream, file=file, size=tree.sizes[file])
