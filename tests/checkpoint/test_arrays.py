"""Arrays as bytes: how fingerprints are kept, shared, and read from strangers."""

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray
from small_checkpoint import entry, raw

from attest.checkpoint.arrays import pack_arrays, unpack_arrays
from attest.errors import CheckpointError, DocumentError

DTYPES = [np.dtype(code) for code in ("i1", "<i4", "<i8", "<f4", "<f8")]
ARRAYS = st.dictionaries(
    st.text("abc.1", min_size=1, max_size=5),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0, max_side=3))
    ),
    max_size=4,
)


@given(ARRAYS)
def test_arrays_come_back_as_they_were(arrays: dict[str, NDArray[Any]]):
    found = unpack_arrays(pack_arrays(arrays, {"fingerprint": "x/v1"}), where="x")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


@given(ARRAYS)
def test_any_reader_of_safetensors_reads_them(arrays: dict[str, NDArray[Any]]):
    theirs = safetensors.numpy.load(pack_arrays(arrays, {}))
    assert theirs.keys() == arrays.keys()
    for name, array in arrays.items():
        assert theirs[name].tobytes() == array.tobytes()


def test_equal_arrays_give_equal_bytes():
    a, b = np.arange(3, dtype=np.float32), np.arange(4, dtype=np.int8)
    assert pack_arrays({"a": a, "b": b}, {"x": "1", "y": "2"}) == pack_arrays({"b": b, "a": a}, {"y": "2", "x": "1"})


def test_special_values_are_kept_to_the_bit():
    codes = np.array([0x7FC00001, 0xFF800000, 0x80000000, 0x00000001, 0x7F800001], np.uint32)
    found = unpack_arrays(pack_arrays({"a": codes.view(np.float32)}, {}), where="x")["a"]
    assert found.view(np.uint32).tolist() == codes.tolist()


def test_a_dtype_that_no_fingerprint_uses_is_refused():
    with pytest.raises(DocumentError) as caught:
        unpack_arrays(raw({"a": entry("F16", [2])}, bytes(4)), where="detail/x.safetensors")
    assert (caught.value.code, caught.value.where) == ("unknown-dtype", "detail/x.safetensors")


@pytest.mark.parametrize("shape", [[0, 2**40, 2**40], [2**52, 2**52, 0], [0] * 33])
def test_shapes_that_numpy_cannot_make_are_refused(shape: list[int]):
    with pytest.raises(CheckpointError) as caught:
        unpack_arrays(raw({"a": entry("F64", shape, 0, 0)}), where="x")
    assert caught.value.code == "bad-shape"


@given(st.binary(max_size=200))
def test_any_bytes_are_arrays_or_refused(data: bytes):
    with suppress(CheckpointError, DocumentError):
        assert isinstance(unpack_arrays(data, where="x"), dict)
