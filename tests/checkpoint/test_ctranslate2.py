"""The scanner of CTranslate2's ``model.bin``."""

import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from damaged_files import damaged, read_or_refuse
from hypothesis import given
from hypothesis import strategies as st
from other_containers import Raw, ctranslate2_file, ctranslate2_string

from attest.checkpoint import open_checkpoint
from attest.checkpoint.ctranslate2 import read_ctranslate2
from attest.checkpoint.format import Contents
from attest.errors import CheckpointError, UnsafeFormatError

ONE = Raw(0, (2, 2), struct.pack("<4f", 1, 2, 3, 4))
VALID = ctranslate2_file(
    {"decoder/weight": ONE, "decoder/codes": Raw(1, (3,), b"abc")}, {"encoder/weight": "decoder/weight"}
)


def read(data: bytes) -> Contents:
    return read_ctranslate2(io.BytesIO(data), file="model.bin", size=len(data))


def with_name(data: bytes) -> bytes:
    return ctranslate2_file({"a": ONE}).replace(ctranslate2_string("a"), data)


REFUSED = {
    "empty file": (b"", "not-ctranslate2"),
    "a pickle": (pickle.dumps({}), "not-ctranslate2"),
    "version 5": (ctranslate2_file({"a": ONE}, version=5), "not-ctranslate2"),
    "ends in the name of its form": (VALID[:8], "truncated-file"),
    "ends in the data": (VALID[:80], "truncated-file"),
    "2**32 - 1 variables": (ctranslate2_file({}, count=2**32 - 1), "truncated-file"),
    "a variable more": (ctranslate2_file({"a": ONE}, count=2), "not-ctranslate2"),
    "a name without an end": (with_name(b"\1\0a"), "not-ctranslate2"),
    "a name with a zero inside": (with_name(b"\4\0a\0b\0"), "not-ctranslate2"),
    "a name that is empty": (with_name(b"\1\0\0"), "unsafe-name"),
    "a name that moves the cursor": (with_name(b"\2\0\x1b\0"), "unsafe-name"),
    "33 dimensions": (ctranslate2_file({"a": Raw(1, (1,) * 33, b"x")}), "bad-shape"),
    "sizes that wrap": (ctranslate2_file({"a": Raw(1, (2**31, 2**31, 4), b"x")}), "bad-shape"),
    "dtype 6": (ctranslate2_file({"a": Raw(6, (1,), b"x")}), "unknown-dtype"),
    "more values than bytes": (ctranslate2_file({"a": Raw(1, (2,), b"x")}), "size-mismatch"),
    "fewer values than bytes": (ctranslate2_file({"a": Raw(1, (1,), b"xy")}), "size-mismatch"),
    "alias of nothing": (ctranslate2_file({"a": ONE}, {"b": "c"}), "missing-tensor"),
    "alias of an alias": (ctranslate2_file({"a": ONE}, {"b": "a", "c": "b"}), "missing-tensor"),
    "alias with a name that is taken": (ctranslate2_file({"a": ONE}, {"a": "a"}), "duplicate-tensor"),
    "trailing byte": (VALID + b"x", "trailing-bytes"),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED)
def test_what_contradicts_itself_is_refused(data: bytes, code: str):
    with pytest.raises(CheckpointError) as caught:
        read(data)
    assert (caught.value.code, caught.value.where) == (code, "model.bin")
    assert len(str(caught.value)) < 1600


def test_a_variable_twice():
    both = ctranslate2_file({"a": ONE, "b": ONE})
    with pytest.raises(CheckpointError) as caught:
        read(both.replace(ctranslate2_string("b"), ctranslate2_string("a")))
    assert caught.value.code == "duplicate-tensor"


def test_a_valid_file():
    contents = read(VALID)
    assert contents.metadata == {"spec": "TransformerSpec", "revision": "7"}
    found = {one.name: (one.dtype, one.shape, VALID[one.begin : one.end]) for one in contents.tensors}
    assert found == {
        "decoder/weight": ("F32", (2, 2), ONE.data),
        "decoder/codes": ("I8", (3,), b"abc"),
        "encoder/weight": ("F32", (2, 2), ONE.data),
    }


def test_a_model_of_torch_with_that_name_is_not_taken_for_one(tmp_path: Path):
    (tmp_path / "model.bin").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UnsafeFormatError):
        open_checkpoint(tmp_path)


def test_what_the_library_writes_is_read(tmp_path: Path):
    specs = pytest.importorskip("ctranslate2.specs")
    values = np.random.Generator(np.random.Philox(1)).normal(size=(16, 8)).astype(np.float32)

    class Spec(specs.ModelSpec):
        def __init__(self) -> None:
            super().__init__()
            self.linear = specs.common_spec.LinearSpec()
            self.other = specs.common_spec.LinearSpec()

        @property
        def name(self) -> str:
            return "Spec"

        @property
        def revision(self) -> int:
            return 3

    spec = Spec()
    for layer in (spec.linear, spec.other):
        layer.weight, layer.bias = values, values[0]
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(tmp_path))
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.format == "ctranslate2"
    assert checkpoint.metadata["model.bin"] == {"spec": "Spec", "revision": "3"}
    found = {one.name: checkpoint.read_bits(one) for one in checkpoint.tensors}
    scales = 127 / np.abs(values).max(axis=1)
    assert np.array_equal(found["linear/weight"], np.rint(values * scales[:, None]).astype(np.int8))
    assert np.array_equal(found["other/weight"], found["linear/weight"])
    assert np.array_equal(found["linear/bias"], values[0])


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(data: bytes):
    read_or_refuse(read, data)
    read_or_refuse(read, VALID[:26] + data)


@given(damaged(VALID))
def test_a_changed_byte_is_read_or_refused(files: tuple[bytes, bytes]):
    for data in files:
        read_or_refuse(read, data)
