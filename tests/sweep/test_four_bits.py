"""Exact sums of 4-bit floats, against the values that gguf and ml_dtypes make of the same bytes."""

from __future__ import annotations

from fractions import Fraction
from itertools import starmap

import gguf
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.checkpoint.tensor import BLOCKS, item_type
from attest.fingerprint.moments import describe_quantization
from attest.sweep import FourBitAccumulator, FourBitBlocksAccumulator, ScalesAccumulator


@given(data=st.binary(min_size=1, max_size=40), cut=st.integers(0, 40))
def test_floats_of_four_bits_alone(data: bytes, cut: int):
    codes = np.frombuffer(data, np.uint8)
    accumulator = FourBitAccumulator()
    for part in (codes[:cut], codes[cut:]):
        accumulator.update(part.view("V1"), 0)
    found = accumulator.result()
    both = np.stack([codes & 15, codes >> 4]).astype(np.uint8).view(ml_dtypes.float4_e2m1fn)
    values = list(map(Fraction, both.astype(float).ravel().tolist()))
    assert (found.n, found.zeros, found.distinct) == (len(values), values.count(Fraction(0)), len(set(values)))
    assert (found.minimum, found.maximum) == (min(values), max(values))
    assert found.powers == tuple(sum(value**k for value in values) * 2 ** (found.scale * k) for k in (1, 2, 3, 4))


@pytest.mark.parametrize("dtype", ["MXFP4", "NVFP4"])
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 5), cut=st.integers(0, 5))
def test_blocks_of_any_bytes(dtype: str, seed: int, rows: int, cut: int):
    size = BLOCKS[dtype][1]
    blocks = np.random.default_rng(seed).integers(0, 256, (rows, size), dtype=np.uint8)
    accumulator = FourBitBlocksAccumulator(dtype)
    for part in (blocks[:cut], blocks[cut:]):
        accumulator.update(part.reshape(-1).view(item_type(dtype)), 0)
    found = accumulator.result()
    with np.errstate(over="ignore", invalid="ignore"):
        made = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[dtype])
    values = list(starmap(Fraction, (one.as_integer_ratio() for one in made.ravel().tolist() if np.isfinite(one))))
    if len(values) == made.size:  # binary32 has no room for six times the greatest scale
        assert (found.n, found.zeros) == (len(values), values.count(Fraction(0)))
        assert (found.minimum, found.maximum) == (min(values), max(values))
        assert found.powers == tuple(sum(value**k for value in values) * 2 ** (found.scale * k) for k in (1, 2, 3, 4))
    assert sum(found.codes) == made.size


def test_codes_are_counted_from_the_least_value_on_and_scales_as_they_are_written():
    block = np.array([[120, *(16 * code | code for code in range(16))]], np.uint8)
    accumulator, scales = FourBitBlocksAccumulator("MXFP4"), ScalesAccumulator("MXFP4")
    for one in (accumulator, scales):
        one.update(block.reshape(-1).view(item_type("MXFP4")), 0)
    sums = accumulator.result()
    assert sums.codes == (2,) * 16
    assert (sums.minimum, sums.maximum, sums.zeros) == (-6 / 128, 6 / 128, 4)
    described = describe_quantization(scales.result(), sums)
    assert (described.scales.n, float(described.scales.mean), described.minima) == (1, 1 / 128, None)
    four = np.array([[1, 0x38, 0x40, 0x7E, *range(32)]], np.uint8)
    scales = ScalesAccumulator("NVFP4")
    scales.update(four.reshape(-1).view(item_type("NVFP4")), 0)
    assert scales.result().scales.mean() == (Fraction(1, 512) + 1 + 2 + 448) / 4
    lopsided = FourBitBlocksAccumulator("NVFP4")
    lopsided.update(np.array([[0x38] * 4 + [0xF1] * 32], np.uint8).reshape(-1).view(item_type("NVFP4")), 0)
    assert lopsided.result().codes == (32, *(0,) * 8, 32, *(0,) * 6)
