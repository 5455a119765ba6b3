"""Files that are well-formed and made to mislead: two formats at once, names that look like paths, values that are none."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from small_checkpoint import entry, raw, write_tensors
from time_limit import no_longer_than

from attest.checkpoint import open_checkpoint
from attest.errors import UnsafeFormatError
from attest.evidence_directory import write_evidence
from attest.measure import measure

SPELLED = int.from_bytes(b"K\0.\0\0\0\0\0", "little")
"""Length of a header whose eight bytes are a pickle of the number 0."""


def test_a_safetensors_file_that_is_a_pickle_too(tmp_path: Path):
    header = json.dumps({"a": entry()}).encode()
    data = SPELLED.to_bytes(8, "little") + header + b" " * (SPELLED - len(header)) + bytes(4)
    assert pickle.loads(data) == 0  # noqa: S301 - made here
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "model.safetensors").write_bytes(data)
    assert [tensor.name for tensor in open_checkpoint(tmp_path / "one").tensors] == ["a"]
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "pytorch_model.bin").write_bytes(data)
    with pytest.raises(UnsafeFormatError):
        open_checkpoint(tmp_path / "two")


def test_a_header_of_100_megabytes_is_read_and_not_kept(tmp_path: Path):
    header = json.dumps({"a": entry()}).encode()
    (tmp_path / "model.safetensors").write_bytes(raw(header + b" " * (99_000_000 - len(header)), bytes(4)))
    with no_longer_than(100):
        assert [tensor.begin for tensor in open_checkpoint(tmp_path).tensors] == [99_000_008]


def test_a_name_that_looks_like_a_path_is_a_name(tmp_path: Path):
    (tmp_path / "model").mkdir()
    names = ["../../etc/passwd", "/etc/passwd", "C:evil", "~root", "%2e%2e/x", "model.layers.0.mlp.up_proj.weight/../x"]
    write_tensors(tmp_path / "model" / "model.safetensors", {name: np.ones((32, 32), np.float32) for name in names})
    measurement = measure(tmp_path / "model")
    assert [row.name for row in measurement.tensors.tensors] == sorted(names)
    write_evidence(tmp_path / "evidence", measurement.statement(), measurement.details)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evidence", "model"]


def test_truth_values_of_other_bytes_are_counted_as_they_are(tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(raw({"a": entry("BOOL", [4], 0, 4)}, b"\0\1\7\xff"))
    (row,) = measure(tmp_path).tensors.tensors
    assert row.moments is not None
    assert (row.moments.maximum, row.moments.distinct) == ("255", 4)


def test_a_hundred_thousand_tensors_take_seconds(tmp_path: Path):
    header = {f"t{number}": entry("U8", [1], number, number + 1) for number in range(100_000)}
    (tmp_path / "model.safetensors").write_bytes(raw(header, bytes(100_000)))
    with no_longer_than(100):
        assert len(open_checkpoint(tmp_path).tensors) == 100_000
