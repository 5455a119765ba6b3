"""A base with an adapter merged into it: the files that a merge would write, made while they are read.

Nothing is stored. Files are those of the base, of the same sizes, byte for byte but for the values that the adapter
changes; whatever reads a tree reads them.
"""

from __future__ import annotations

import hashlib
import io
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import BinaryIO, cast

import numpy as np

from attest.checkpoint.adapter import ADAPTER_CONFIG, Change, LowRank, read_changes
from attest.checkpoint.byte_range import read_range
from attest.checkpoint.changed_rows import ChangedRows
from attest.checkpoint.checkpoint import Checkpoint, open_checkpoint
from attest.checkpoint.source import Location
from attest.checkpoint.tensor import BITS, Tensor
from attest.checkpoint.tree import Tree, TreeFile
from attest.digest import sha256, tree_digest
from attest.errors import CheckpointError
from attest.finding import Finding

__all__ = ["MergedTree", "merge_adapter"]

_BAND = 1024 * 1024
"""Bytes of a changed tensor that are made at once, in whole rows."""

_BLOCK = 1024 * 1024
_CACHE = ".cache/"
"""Notes that a download left: they tell of the base's files, not of these."""


def merge_adapter(adapter: Location, base: Location) -> Checkpoint:
    """A base with an adapter merged into it.

    Raises
    ------
    CheckpointError
        One of the two cannot be used, the base is not of safetensors files, or the adapter does not fit it.
    """
    low_rank, whole = open_checkpoint(adapter), open_checkpoint(base)
    if whole.format != "safetensors":
        raise CheckpointError(
            "adapter-not-merged",
            f"the base is of {whole.format} files; adapters are merged into safetensors files only",
            fix="give the base as safetensors",
            where=whole.name,
        )
    if ADAPTER_CONFIG in whole.tree.sizes and ADAPTER_CONFIG not in low_rank.tree.sizes:
        fix = "give the adapter first, and with --base what it was made for"
        raise CheckpointError("adapter-not-merged", "is an adapter, given as the base", fix=fix, where=whole.name)
    tree = MergedTree.of(whole, low_rank, read_changes(low_rank, whole))
    return replace(
        whole,
        name=low_rank.name,
        tree=tree,
        layouts={file: layout for file, layout in whole.layouts.items() if file in tree.sizes},
        beside={},
        findings=tuple(one for one in whole.findings if one.path not in whole.layouts or one.path in tree.sizes),
    )


@dataclass(frozen=True, kw_only=True)
class MergedTree(Tree):
    """Files of a base whose tensors are changed as they are read.

    Parameters
    ----------
    base, adapter : Checkpoint
    changes : mapping of str to Change
        By the name of a tensor of the base.
    adapter_digest : str
        Tree digest of the adapter.
    base_digests : dict of str to str
        SHA-256 of the base's own files, of those that were read from the beginning to the end.
    """

    base: Checkpoint
    adapter: Checkpoint
    changes: Mapping[str, Change]
    adapter_digest: str
    base_digests: dict[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, base: Checkpoint, adapter: Checkpoint, changes: Mapping[str, Change]) -> MergedTree:
        """The tree of a merge; the adapter is read once for its digest."""
        digest = _tree_digest(adapter.tree, {})
        files = _files(base.tree, adapter.tree, _left_out(base))
        return cls(
            name=adapter.name, files=files, ignored=base.tree.ignored, base=base, adapter=adapter, changes=changes,
            adapter_digest=digest,
        )  # fmt: skip

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Open a file of the base, changed where the adapter changes it."""
        changed = [one for one in self.base.tensors if one.file == path and one.name in self.changes and one.size]
        with self.base.tree.open(path) as stream:
            if not changed:
                yield stream
                return
            merged = _MergedStream(stream, self, path, changed)
            yield cast("BinaryIO", merged)
            if merged.is_whole:
                self.base_digests[path] = merged.sha256.hexdigest()

    def again(self) -> MergedTree:
        """Both places, looked at anew."""
        files = _files(self.base.tree.again(), self.adapter.tree.again(), _left_out(self.base))
        return replace(self, files=files)

    def describe(self) -> tuple[Finding, ...]:
        """What was merged into what, with the tree digests of both."""
        base_digest = _tree_digest(self.base.tree, self.base_digests)
        low_rank = [one for one in self.changes.values() if isinstance(one, LowRank)]
        replaced = len(self.changes) - len(low_rank)
        scaled = sum(one.magnitude is not None for one in low_rank)
        text = (
            f"tree {self.adapter_digest}: {len(low_rank)} weights are W + scale * B @ A"
            f" ({scaled} of them brought to a magnitude), {replaced} tensors are the adapter's own"
        )
        into = f"tree {base_digest}: was read for the merge; all else is as it is there"
        return (
            Finding(code="merged-adapter", path=".", line=None, text=text),
            Finding(code="merged-base", path=".", line=None, text=into),
        )


def _left_out(base: Checkpoint) -> frozenset[str]:
    """Weights of the base in other formats, which the merge would make wrong."""
    return frozenset(base.layouts) - {tensor.file for tensor in base.tensors}


def _files(base: Tree, adapter: Tree, left_out: frozenset[str]) -> tuple[TreeFile, ...]:
    """Files of the base; each is another when the adapter is."""
    state = sha256("\n".join(f"{file.path} {file.size} {file.identity}" for file in adapter.files).encode())
    kept = (file for file in base.files if file.path not in left_out and not file.path.startswith(_CACHE))
    return tuple(replace(file, identity=f"{file.identity} {state}") for file in kept)


def _tree_digest(tree: Tree, known: Mapping[str, str]) -> str:
    """Tree digest of all files, of which some were digested already."""
    return tree_digest((file.path, file.size, known.get(file.path) or _file_digest(tree, file)) for file in tree.files)


def _file_digest(tree: Tree, file: TreeFile) -> str:
    state, size = hashlib.sha256(), 0
    with tree.open(file.path) as stream:
        while data := stream.read(_BLOCK):
            state.update(data)
            size += len(data)
    if size != file.size:
        raise CheckpointError(
            "file-changed", "changed while it was read", fix="measure again when nothing writes to it", where=file.path
        )
    return state.hexdigest()


class _MergedStream(io.RawIOBase):
    """A file of the base with the values of some tensors changed; ``sha256`` is of the base's bytes."""

    def __init__(self, stream: BinaryIO, tree: MergedTree, path: str, changed: list[Tensor]) -> None:
        self._stream = stream
        self._tree = tree
        self._size = tree.base.tree.sizes[path]
        self._changed = sorted(changed, key=lambda one: one.begin)
        self._begins = [one.begin for one in self._changed]
        self._position = 0
        self._band = (0, b"")  # where the last band that was made begins, and its bytes
        self._rows: tuple[str, ChangedRows] | None = None
        self._hashed = 0
        self.sha256 = hashlib.sha256()

    @property
    def is_whole(self) -> bool:
        """Whether all bytes of the base's file were digested."""
        return self._hashed == self._size

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Offset of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to an offset."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # narrower: no other buffers are given
        """Read up to where a change begins or ends."""
        view = memoryview(buffer).cast("B")
        index = bisect_right(self._begins, self._position) - 1
        tensor = self._changed[index] if index >= 0 else None
        if tensor and tensor.begin <= self._position < tensor.end:
            begin, data = self._band_at(tensor)
            part = data[self._position - begin :][: len(view)]
            view[: len(part)] = part
        else:
            end = self._begins[index + 1] if index + 1 < len(self._begins) else self._size
            part = self._read_base(self._position, min(len(view), max(0, end - self._position)), whole=False)
            view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _read_base(self, offset: int, size: int, *, whole: bool) -> bytes:
        """Bytes of the base, digested where they are the next ones."""
        if whole:
            data = bytes(read_range(self._stream, offset, size, file=self._changed[0].file))
        else:
            self._stream.seek(offset)
            data = self._stream.read(size)
        if offset <= self._hashed < offset + len(data):
            self.sha256.update(data[self._hashed - offset :])
            self._hashed = offset + len(data)
        return data

    def _band_at(self, tensor: Tensor) -> tuple[int, bytes]:
        """Where the rows about the position begin, and their new bytes."""
        begin, data = self._band
        if not begin <= self._position < begin + len(data):
            n_columns = tensor.shape[-1] if len(tensor.shape) > 1 else 1
            row_bytes = n_columns * np.dtype(BITS[tensor.dtype]).itemsize
            band = max(1, _BAND // row_bytes)
            first = (self._position - tensor.begin) // row_bytes // band * band
            begin = tensor.begin + first * row_bytes
            data = self._read_base(begin, min(band * row_bytes, tensor.end - begin), whole=True)
            bits = np.frombuffer(data, BITS[tensor.dtype]).reshape(-1, n_columns)
            self._band = begin, self._rows_of(tensor).of(bits, first).tobytes()
        return self._band

    def _rows_of(self, tensor: Tensor) -> ChangedRows:
        if self._rows is None or self._rows[0] != tensor.name:
            self._rows = tensor.name, ChangedRows(self._tree.adapter, tensor, self._tree.changes[tensor.name])
        return self._rows[1]
