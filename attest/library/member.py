"""One checkpoint of a library as a Parquet file: a row for each array of its fingerprints.

A row group holds one fingerprint, so that a question reads what it needs. Columns: ``tree_digest``, ``fingerprint``,
``array``, ``layer`` (null outside the layers), ``part``, ``dtype``, ``shape``, and ``data``, the values in little-endian
row-major order. What is said of the checkpoint as a whole stands in the file's metadata under ``attest``.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, BinaryIO, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from attest.compare.fingerprints import Fingerprints, checked_arrays
from attest.compare.ranks import shape_of
from attest.comparison import Side
from attest.document import canonical, load, parse, record
from attest.errors import DocumentError
from attest.evidence import TENSORS_NAME, Architecture, Evidence, TensorList, TensorRow
from attest.panel import Member, Name, Shape
from attest.statement import Sha256

__all__ = ["LibraryMember", "pack_member", "read_fingerprints_of", "read_member"]

_METADATA = b"attest"
_TENSORS = TENSORS_NAME
"""The table of tensors is kept in a row of its own, as JSON."""

_DTYPES = {"int8": "<i1", "uint64": "<u8", "float32": "<f4", "float64": "<f8"}
_LAYER = re.compile(r"layers\.([0-9]{1,3})(?:\.(.+))?")
_DIGEST = re.compile(rb'"([0-9a-f]{64})"')
_MAX_NAME = 120
_MAX_METADATA = 1024 * 1024
_MAX_TENSORS = 512 * 1024 * 1024
_MAX_ROWS = 200_000
_MAX_GROUPS = 64
_MAX_DATA = 1024 * 1024 * 1024

_SCHEMA = pa.schema(
    [
        pa.field("tree_digest", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("array", pa.string(), nullable=False),
        pa.field("layer", pa.int32()),
        pa.field("part", pa.string(), nullable=False),
        pa.field("dtype", pa.string(), nullable=False),
        pa.field("shape", pa.list_(pa.int64()), nullable=False),
        pa.field("data", pa.binary(), nullable=False),
    ]
)


@record
class LibraryMember:
    """What is said of one checkpoint as a whole.

    ``lineages`` are its origins as whoever added it states them; empty where nobody does, and then it is found by a query
    and held out of panels.
    """

    side: Side
    architecture: Architecture
    shape: Shape | None
    tokenizer_sha256: Sha256 | None
    lineages: Annotated[tuple[Name, ...], Field(max_length=64)]

    @classmethod
    def of(cls, fingerprints: Fingerprints, evidence: Evidence, lineages: tuple[str, ...]) -> LibraryMember:
        """A checkpoint's entry by its evidence."""
        tokenizer = (file.sha256 for file in evidence.checkpoint.files if file.path == "tokenizer.json")
        return cls(
            side=fingerprints.side,
            architecture=fingerprints.architecture,
            shape=shape_of(fingerprints),
            tokenizer_sha256=next(tokenizer, None),
            lineages=lineages,
        )

    def in_panel(self) -> Member:
        """The same as a panel says it; names may occur twice in a library, so part of the digest is added."""
        return Member(
            name=f"{self.side.name[:_MAX_NAME]} {self.side.tree_digest[:16]}",
            tree_digest=self.side.tree_digest,
            lineages=self.lineages,
            family=self.architecture.family,
            shape=self.shape,
            parameters=self.side.parameters,
            tokenizer_sha256=self.tokenizer_sha256,
        )


def pack_member(member: LibraryMember, fingerprints: Fingerprints) -> bytes:
    """Bytes of a member's file."""
    schema = _SCHEMA.with_metadata({_METADATA: canonical(member)})
    stream = io.BytesIO()
    tensors = canonical(TensorList(tensors=fingerprints.tensors))
    tables = {_TENSORS: {_TENSORS: np.frombuffer(tensors, np.int8)}, **fingerprints.arrays}
    with pq.ParquetWriter(stream, schema, compression="none", use_dictionary=False) as writer:
        for fingerprint, arrays in tables.items():
            rows = [_row(member.side.tree_digest, fingerprint, name, array) for name, array in arrays.items()]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema), row_group_size=max(1, len(rows)))
    return stream.getvalue()


def _row(tree_digest: str, fingerprint: str, name: str, array: NDArray[Any]) -> dict[str, Any]:
    layer = _LAYER.fullmatch(name)
    return {
        "tree_digest": tree_digest,
        "fingerprint": fingerprint,
        "array": name,
        "layer": int(layer[1]) if layer else None,
        "part": (layer[2] or "") if layer else name,
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "data": np.ascontiguousarray(array, _DTYPES[str(array.dtype)]).tobytes(),
    }


def read_member(stream: BinaryIO, where: str) -> LibraryMember:
    """What a file says of its checkpoint as a whole.

    Raises
    ------
    DocumentError
        It is not a member's file.
    """
    with _opened(stream, where) as file:
        return _member(file, where)


def read_fingerprints_of(
    stream: BinaryIO, where: str, wanted: Collection[str] | None = None, sharing: Collection[bytes] | None = None
) -> tuple[LibraryMember, Fingerprints]:
    """A member and its fingerprints, those that are ``wanted``; all where None.

    Where it is given, a table of tensors that holds none of the digests ``sharing`` is passed over as if it were empty,
    since reading it takes longer than all else.

    Raises
    ------
    DocumentError
        The file is not a member's, or an array is not of its fingerprint's form.
    """
    with _opened(stream, where) as file:
        member = _member(file, where)
        held = dict(_groups(file, wanted, where))
        tensors = held.pop(_TENSORS, {}).get(_TENSORS)
        if tensors is None:
            _refuse("names no tensors", where)
        return member, Fingerprints(
            side=member.side,
            architecture=member.architecture,
            tensors=_listed(tensors.tobytes(), sharing, where),
            arrays={name: checked_arrays(name, arrays) for name, arrays in held.items()},
        )


def _listed(table: bytes, sharing: Collection[bytes] | None, where: str) -> tuple[TensorRow, ...]:
    """Tensors of a table; none where it shares nothing, as its strings show, which are plain without a backslash."""
    if sharing is not None and b"\\" not in table:
        digests = (found[1] for found in _DIGEST.finditer(table))
        if frozenset(sharing).isdisjoint(digests):
            return ()
    return load(TensorList, parse(table, where=where, max_bytes=_MAX_TENSORS), where=where).tensors


@contextmanager
def _opened(stream: BinaryIO, where: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file of the right columns and of bounded size; whatever pyarrow says against it is one error."""
    try:
        file = pq.ParquetFile(stream, thrift_string_size_limit=2 * _MAX_METADATA, thrift_container_size_limit=_MAX_ROWS)
        found = file.metadata
        if not file.schema_arrow.remove_metadata().equals(_SCHEMA):
            _refuse("has other columns than a member of a library", where)
        if found.num_rows > _MAX_ROWS or found.num_row_groups > _MAX_GROUPS:
            _refuse("has more rows than a member of a library", where)
        yield file
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        message = f"is not a Parquet file that can be read ({str(error)[:200]})"
        raise DocumentError("bad-library", message, fix="add its evidence again", where=where) from error


def _member(file: pq.ParquetFile, where: str) -> LibraryMember:
    metadata = (file.schema_arrow.metadata or {}).get(_METADATA, b"")
    return load(LibraryMember, parse(metadata, where=where, max_bytes=_MAX_METADATA), where=where)


def _groups(
    file: pq.ParquetFile, wanted: Collection[str] | None, where: str
) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
    """Arrays of each row group, by name."""
    for group in range(file.metadata.num_row_groups):
        if sum(_sizes(file, group)) > _MAX_DATA:
            _refuse(f"has a fingerprint of more than {_MAX_DATA} bytes", where)
        names = set(_read(file, group, ["fingerprint"])["fingerprint"].to_pylist())
        if len(names) != 1:
            _refuse("has several fingerprints in one row group", where)
        (fingerprint,) = names
        if wanted is None or fingerprint in {*wanted, _TENSORS}:
            yield fingerprint, dict(_arrays(_read(file, group), where))


def _read(file: pq.ParquetFile, group: int, columns: list[str] | None = None) -> pa.Table:
    """A row group, by the thread that asks for it: many members are read at once."""
    return file.read_row_group(group, columns=columns, use_threads=False)


def _sizes(file: pq.ParquetFile, group: int) -> Iterator[int]:
    columns = file.metadata.row_group(group)
    return (columns.column(i).total_uncompressed_size for i in range(columns.num_columns))


def _arrays(table: pa.Table, where: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Arrays of a row group; they lie in the table's own memory."""
    columns = (table[name].to_pylist() for name in ("array", "dtype", "shape"))
    for name, dtype, shape, data in zip(*columns, table["data"], strict=True):
        if dtype not in _DTYPES or any(size < 0 for size in shape):
            _refuse("has an array of unknown form", where)
        buffer = data.as_buffer()
        if math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize != buffer.size:
            _refuse("has an array of another size than it says", where)
        yield name, np.frombuffer(buffer, _DTYPES[dtype]).reshape(shape)


def _refuse(message: str, where: str) -> NoReturn:
    raise DocumentError("bad-library", message, fix="add its evidence again", where=where)
