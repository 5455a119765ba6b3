"""What a checkpoint format is: which files hold its weights, and where in them the tensors lie.

A format is one file, and one entry in ``FORMATS``. Its reader finds tensors and reads none of their values: those pass
by once, in the sweep, whatever the format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module

from attest.checkpoint.tensor import Tensor
from attest.checkpoint.tree import Tree
from attest.checkpoint.use import Use
from attest.digest import CHUNK_SIZE
from attest.finding import Finding

__all__ = ["Contents", "Format", "ParsedRange"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedRange:
    """Bytes that a reader took the places of tensors from: the sweep must see the same.

    Parameters
    ----------
    file : str
        POSIX path relative to the checkpoint.
    begin : int
        Offset of the first byte.
    size : int
        Number of bytes, at least 1; none of them is a tensor's or of another range.
    chunks : tuple of bytes
        SHA-256 of these bytes, cut every ``CHUNK_SIZE``.
    """

    file: str
    begin: int
    size: int
    chunks: tuple[bytes, ...]

    @staticmethod
    def of(file: str, begin: int, data: bytes) -> ParsedRange:
        """Range that holds ``data``."""
        chunks = (data[start : start + CHUNK_SIZE] for start in range(0, len(data), CHUNK_SIZE))
        digests = tuple(hashlib.sha256(chunk).digest() for chunk in chunks)
        return ParsedRange(file=file, begin=begin, size=len(data), chunks=digests)

    @property
    def end(self) -> int:
        """Offset behind the last byte."""
        return self.begin + self.size


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What a reader found in one file of weights, and in the files that it refers to.

    Parameters
    ----------
    tensors : tuple of Tensor
        Two share no bytes, or all, and then dtype and shape too.
    metadata : mapping of str to str
        As the file claims.
    config : mapping of str to int
        What the file claims of the network, in the words of ``config.json``; taken where there is no such file.
    names : mapping of str to str
        Where a format has a notation of its own: what tensors are called in the notation of the others.
    uses : mapping of str to Use
        How a graph multiplies with matrices, by their names; of several uses the first.
    zeros : mapping of str to tuple of int
        Zeros of quantized matrices that are written as integers of varying length, which are no tensor, by their names.
    parsed : tuple of ParsedRange
    findings : tuple of Finding
        What a reader of the evidence should know.
    """

    tensors: tuple[Tensor, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    uses: Mapping[str, Use] = field(default_factory=dict)
    zeros: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    parsed: tuple[ParsedRange, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """One way to keep tensors in files.

    Parameters
    ----------
    id : str
        Name in the evidence.
    suffixes : tuple of str
        Lower-case ends of the names of its files.
    one_file : str or None
        Name of the file that programs take alone where it is there.
    index : str or None
        End of the name of the index of a sharded checkpoint, a JSON object with ``weight_map``.
    reader : str
        Module beside this one that has ``read(tree, file)``; imported when there is such a file.
    magic : bytes
        What a file of such a name begins with; one that does not is of another format.
    companions : tuple of str
        Lower-case beginnings of the names of files that programs write beside the weights, with the same suffixes.
    """

    id: str
    suffixes: tuple[str, ...]
    one_file: str | None
    index: str | None
    reader: str
    magic: bytes = b""
    companions: tuple[str, ...] = ()

    def read(self, tree: Tree, file: str) -> Contents:
        """Contents of one file, by its path."""
        contents: Contents = import_module(f"attest.checkpoint.{self.reader}").read(tree, file)
        return contents
