"""Every operation against a second, slow implementation that follows its definition value by value."""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from attest.compare.weights.replay.operation import Operation, operations

FLOATS = ("F64", "F32", "F16", "BF16")
VALUES = st.floats(-1e4, 1e4, width=32).map(lambda value: value if abs(value) > 1e-6 else 0.0)
ROWS = arrays(np.float32, (3, 64), elements=VALUES)


def made(values: NDArray[Any], operation: Operation, largest: NDArray[np.float32] | None = None) -> NDArray[Any]:
    codes = values.view(f"u{values.itemsize}")
    return operation.apply(codes, np.empty((0, 0), np.float32) if largest is None else largest)


def nearest_bf16(value: np.float32) -> int:
    """The nearest of two neighbors by exact arithmetic."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    low, high = bits >> 16, (bits >> 16) + 1

    def exact(code: int) -> Fraction:
        return Fraction(struct.unpack("<f", struct.pack("<I", code << 16))[0])

    if bits & 0xFFFF == 0:
        return low
    below, above = abs(Fraction(float(value)) - exact(low)), abs(exact(high) - Fraction(float(value)))
    return low if below < above or (below == above and low % 2 == 0) else high


@settings(max_examples=25)
@given(ROWS)
def test_bf16_is_the_nearest_value(values: NDArray[np.float32]) -> None:
    codes = made(values, Operation(reads="F32", writes="BF16"))
    assert codes.ravel().tolist() == [nearest_bf16(value) for value in values.ravel()]


@settings(max_examples=25)
@given(ROWS)
def test_int8_is_the_rounded_share_of_the_largest(values: NDArray[np.float32]) -> None:
    codes = made(values, Operation(reads="F32", writes="I8", scale="row")).view(np.int8)
    for row, its in zip(values, codes, strict=True):
        step = np.float32(max(abs(row))) / np.float32(127)
        expected = [round(float(np.float32(value) / step)) if step else 0 for value in row]
        assert its.tolist() == expected


@settings(max_examples=25)
@given(ROWS)
def test_q8_0_follows_its_definition(values: NDArray[np.float32]) -> None:
    codes = made(values, Operation(reads="F32", writes="Q8_0")).reshape(3, 2, 34)
    for row, blocks in zip(values.reshape(3, 2, 32), codes, strict=True):
        for block, its in zip(row, blocks, strict=True):
            d = np.float32(max(abs(block))) / np.float32(127)
            inverse = np.float32(1) / d if d else np.float32(0)
            steps = [float(np.float32(value) * inverse) for value in block]
            away = [int(math.copysign(math.floor(abs(step) + 0.5), step)) for step in steps]
            assert its[:2].view(np.float16)[0] == np.float16(d)
            assert its[2:].view(np.int8).tolist() == [max(-128, min(127, step)) for step in away]


@settings(max_examples=25)
@given(ROWS)
def test_q4_0_follows_its_definition(values: NDArray[np.float32]) -> None:
    codes = made(values, Operation(reads="F32", writes="Q4_0")).reshape(3, 2, 18)
    for row, blocks in zip(values.reshape(3, 2, 32), codes, strict=True):
        for block, its in zip(row, blocks, strict=True):
            extreme = next(value for value in block if abs(value) == max(abs(block)))
            d = np.float32(extreme) / np.float32(-8)
            inverse = np.float32(1) / d if d else np.float32(0)
            steps = [min(15, math.trunc(float(value) * float(inverse) + 8.5)) for value in block]
            assert [byte & 15 for byte in its[2:].tolist()] == steps[:16]
            assert [byte >> 4 for byte in its[2:].tolist()] == steps[16:]


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_blocks_are_read_as_they_are_written(kind: str) -> None:
    values = np.random.default_rng(1).standard_normal((5, 96)).astype(np.float32)
    blocks = made(values, Operation(reads="F32", writes=kind))
    again = made(blocks, Operation(reads=kind, writes="F32")).view(np.float32)
    assert np.abs(again - values).max() < (0.02 if kind == "Q8_0" else 0.4)
    assert np.array_equal(made(again, Operation(reads="F32", writes="F32")).view(np.float32), again)


@pytest.mark.parametrize("wide", FLOATS)
@pytest.mark.parametrize("narrow", ["F16", "BF16"])
def test_values_that_a_dtype_holds_come_back(wide: str, narrow: str) -> None:
    codes = np.random.default_rng(2).integers(0, 0x3F80, (4, 64)).astype(np.uint16)
    if wide == "F16" and narrow == "BF16":
        codes = (0x3F80 + codes % 8).astype(np.uint16)
    if wide == "BF16" and narrow == "F16":
        codes = ((codes % 30 << 10) + 0x400).astype(np.uint16)
    widened = made(codes, Operation(reads=narrow, writes=wide))
    assert np.array_equal(made(widened, Operation(reads=wide, writes=narrow)), codes)


def test_what_is_not_finite_breaks_nothing() -> None:
    values = np.zeros((2, 64), np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    for writes in (*FLOATS, "I8", "Q8_0", "Q4_0", "MXFP4", "NVFP4", "U8", "F4", "F8_E8M0", "F8_E4M3"):
        for operation in operations("F32", writes, 64):
            assert len(made(values, operation, np.ones((1, 1), np.float32))) == 2
    assert made(values, Operation(reads="F32", writes="BF16"))[0, 0] == 0x7FC0


def test_dtypes_without_an_operation_have_none() -> None:
    assert not list(operations("I64", "F32", 64))
    assert not list(operations("F32", "Q8_0", 48))
    assert not list(operations("I8", "F32", 64))
    assert [str(one) for one in operations("I64", "I64", 64)] == ["same values"]
