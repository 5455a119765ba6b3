"""A member's file: what is written is read again, and what is hostile is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attest.compare.fingerprints import read_fingerprints
from attest.errors import DocumentError
from attest.library import Library, create_library
from attest.library.member import read_fingerprints_of, read_member

GAINS = "norm-gain/v1"


def data_of(library: Library) -> bytes:
    return (library.path / "members" / f"{library.digests()[0]}.parquet").read_bytes()


def test_fingerprints_come_back_as_they_were(library: Library, evidence: Path):
    for name in ("seed-1", "seed-2"):
        original = read_fingerprints(evidence / name)
        member, found = library.fingerprints(original.side.tree_digest)
        assert member.lineages == (name,)
        assert (found.side, found.architecture, found.tensors) == (
            original.side,
            original.architecture,
            original.tensors,
        )
        assert found.arrays.keys() == {key for key, arrays in original.arrays.items() if arrays}
        for fingerprint, arrays in found.arrays.items():
            for array_name, array in arrays.items():
                assert np.array_equal(array, original.arrays[fingerprint][array_name], equal_nan=True)
                assert array.dtype == original.arrays[fingerprint][array_name].dtype


def test_only_what_is_wanted_is_read(library: Library):
    _, found = library.fingerprints(library.digests()[0], {GAINS})
    assert found.arrays.keys() == {GAINS}
    assert found.tensors


def test_a_table_of_tensors_that_shares_nothing_is_passed_over(library: Library):
    digest = library.digests()[0]
    row = next(row for row in library.fingerprints(digest)[1].tensors if row.multiset)
    for known in (row.digest, str(row.multiset)):
        _, found = library.fingerprints(digest, {GAINS}, {known.encode()})
        assert row in found.tensors
    member, found = library.fingerprints(digest, {GAINS}, {b"0" * 64})
    assert found.tensors == ()
    assert (member, found.arrays.keys()) == (library.member(digest), {GAINS})


def test_a_table_that_hides_its_digests_behind_escapes_is_read(library: Library):
    digest = library.digests()[0]
    row = library.fingerprints(digest)[1].tensors[0]
    hidden = f"\\u{ord(row.digest[0]):04x}{row.digest[1:]}".encode()

    def hide(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        table = rows[0]["data"].replace(row.digest.encode(), hidden)
        return [rows[0] | {"data": table, "shape": [len(table)]}]

    _, found = read_fingerprints_of(altered(data_of(library), hide), "member", sharing={row.digest.encode()})
    assert row in found.tensors


def test_a_row_says_model_layer_and_part(library: Library):
    table = pq.read_table(io.BytesIO(data_of(library)))
    rows = {(row["fingerprint"], row["array"]): row for row in table.drop_columns("data").to_pylist()}
    row = rows["unit-norms/v1", "layers.2.neuron.gate"]
    assert (row["layer"], row["part"], row["dtype"], row["shape"]) == (2, "neuron.gate", "float32", [256])
    assert {row["tree_digest"] for row in rows.values()} == {library.digests()[0]}


Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def altered(data: bytes, change: Change, *, metadata: dict[bytes, bytes] | None = None) -> io.BytesIO:
    """The file with other rows, each in a group of its own."""
    table = pq.read_table(io.BytesIO(data))
    schema = table.schema if metadata is None else table.schema.with_metadata(metadata)
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), schema=schema), stream, row_group_size=1)
    stream.seek(0)
    return stream


def with_last(**changes: Any) -> Change:
    return lambda rows: [rows[0], rows[-1] | changes]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_last(dtype="object"), "unknown form"),
        (with_last(shape=[-1, -1]), "unknown form"),
        (with_last(shape=[2**40, 2**40]), "another size"),
        (with_last(fingerprint="neuron-sketch/v1", dtype="int8", shape=[1], data=b"x"), "dimensions"),
        (lambda rows: rows[1:2], "names no tensors"),
        (lambda rows: [*rows[:1], *rows[1:2] * 70], "more rows"),
    ],
)
def test_rows_that_lie_are_refused(library: Library, change: Change, message: str):
    with pytest.raises(DocumentError, match=message):
        read_fingerprints_of(altered(data_of(library), change), "member")


def test_other_columns_and_missing_metadata_are_refused(library: Library):
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), stream)
    with pytest.raises(DocumentError, match="other columns"):
        read_member(stream, "member")
    with pytest.raises(DocumentError):
        read_member(altered(data_of(library), lambda rows: rows[:1], metadata={b"attest": b"{}"}), "member")


@pytest.fixture(scope="module")
def damaged(evidence: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    library = create_library(tmp_path_factory.mktemp("one") / "library")
    library.add(evidence / "seed-1")
    return data_of(library)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**20), st.integers(0, 255), st.integers(0, 2**20))
def test_damaged_bytes_are_read_or_are_one_error(damaged: bytes, at: int, value: int, cut: int):
    data = bytearray(damaged)
    data[at % len(data)] ^= value
    for candidate in (bytes(data), bytes(data[: cut % len(data)])):
        try:
            read_fingerprints_of(io.BytesIO(candidate), "member")
        except DocumentError:
            continue
