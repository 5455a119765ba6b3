"""Quantized tensors: codes and scales are counted, and values summed, exactly as plain fractions say."""

import struct
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from other_containers import GGUF_TYPES, Raw, gguf_file

from attest.checkpoint import open_checkpoint
from attest.checkpoint.tensor import BLOCKS, item_type
from attest.measure import measure
from attest.sweep import QuantizedAccumulator, QuantizedSums, ScalesAccumulator, sweep

SIMPLE = sorted(QuantizedAccumulator.DTYPES)


def levels_of(block: bytes, dtype: str) -> list[int]:
    """Levels of one block, as the reference in C has them."""
    if dtype == "Q8_0":
        return list(struct.unpack("32b", block[2:]))
    start = {"Q4_0": 2, "Q4_1": 4, "Q5_0": 6, "Q5_1": 8}[dtype]
    packed = block[start:]
    codes = [byte & 15 for byte in packed] + [byte >> 4 for byte in packed]
    if dtype.startswith("Q5"):
        high = int.from_bytes(block[start - 4 : start], "little")
        codes = [code | (high >> place & 1) << 4 for place, code in enumerate(codes)]
    return [code - {"Q4_0": 8, "Q5_0": 16}.get(dtype, 0) for code in codes]


def parts_of(block: bytes, dtype: str) -> tuple[float, float, list[int]]:
    """Scale, minimum and levels of one block."""
    scale, minimum = np.frombuffer(block[:4], "<f2").astype(float)
    return scale, minimum if dtype.endswith("_1") else 0.0, levels_of(block, dtype)


def cut(data: bytes, dtype: str) -> list[bytes]:
    size = BLOCKS[dtype][1]
    return [data[begin : begin + size] for begin in range(0, len(data), size)]


def collect(data: bytes, dtype: str, *, at_once: int = 10**6) -> QuantizedSums:
    accumulator = QuantizedAccumulator(dtype)
    blocks = np.frombuffer(data, item_type(dtype)).reshape(-1, 1)
    for begin in range(0, len(blocks), at_once):
        accumulator.update(blocks[begin : begin + at_once], begin)
    return accumulator.result()


def check(data: bytes, dtype: str) -> None:
    """What is collected is what fractions say of every value."""
    found = collect(data, dtype)
    values: list[Fraction] = []
    special: Counter[str] = Counter()
    counts: Counter[int] = Counter()
    for block in cut(data, dtype):
        scale, minimum, levels = parts_of(block, dtype)
        counts.update(levels)
        for level in levels:
            if np.isfinite(scale) and np.isfinite(minimum):
                values.append(Fraction(scale) * level + Fraction(minimum))
            else:
                with np.errstate(invalid="ignore"):
                    special["nan" if np.isnan(np.float64(scale) * level + minimum) else "infinity"] += 1
    low = {"Q4_0": -8, "Q5_0": -16, "Q8_0": -128}.get(dtype, 0)
    assert found.codes == tuple(counts[low + place] for place in range(len(found.codes)))
    assert (found.n, found.nans, found.infinities) == (len(values), special["nan"], special["infinity"])
    assert found.zeros == values.count(Fraction(0))
    assert Fraction(found.powers[0], 2**24) == sum(values)
    assert Fraction(found.powers[1], 2**48) == sum(value * value for value in values)
    assert found.minimum == (min(values) if values else None)
    assert found.maximum == (max(values) if values else None)


@pytest.mark.parametrize("dtype", SIMPLE)
def test_any_bytes_are_summed_exactly(dtype: str):
    """Random bytes hold scales and minima of every size, and some that are not finite."""
    random = np.random.Generator(np.random.Philox(5))
    check(random.bytes(BLOCKS[dtype][1] * 400), dtype)


EXTREME = st.sampled_from([0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF, 0x7C00,
                           0xFC00, 0x7E00])  # fmt: skip


@given(st.sampled_from(SIMPLE), st.lists(st.tuples(EXTREME, EXTREME, st.binary(min_size=32, max_size=32)), max_size=4))
def test_extreme_scales_are_summed_exactly(dtype: str, blocks: list[tuple[int, int, bytes]]):
    size = BLOCKS[dtype][1]
    check(b"".join((struct.pack("<HH", *block[:2]) + block[2])[:size] for block in blocks if size < 37), dtype)


@pytest.mark.parametrize("dtype", SIMPLE)
def test_the_largest_sums_have_room(dtype: str):
    """All values the largest there are, in more blocks than the partial sums of one block hint at."""
    size = BLOCKS[dtype][1]
    block = (struct.pack("<HH", 0x7BFF, 0x7BFF) + b"\xff" * 40)[:size] if dtype.endswith("1") else (
        struct.pack("<H", 0x7BFF) + (b"\x80" if dtype == "Q8_0" else b"\0") * 40)[:size]  # fmt: skip
    scale, minimum, levels = parts_of(block, dtype)
    value = Fraction(scale) * levels[0] + Fraction(minimum)
    found = collect(block * 30_000, dtype)
    assert Fraction(found.powers[0], 2**24) == value * 32 * 30_000
    assert Fraction(found.powers[1], 2**48) == value * value * 32 * 30_000
    assert not found.std()


@pytest.mark.parametrize("dtype", SIMPLE)
def test_nothing_depends_on_where_blocks_are_cut(dtype: str):
    data = np.random.Generator(np.random.Philox(6)).bytes(BLOCKS[dtype][1] * 97)
    assert collect(data, dtype) == collect(data, dtype, at_once=1) == collect(data, dtype, at_once=13)


def test_no_blocks():
    found = collect(b"", "Q4_0")
    assert (found.n, found.minimum, found.maximum, found.codes) == (0, None, None, (0,) * 16)


def reference_bytes(dtype: str) -> tuple[bytes, NDArray[np.float32]]:
    """Bytes that the reference quantizes normal values to, and what it makes of them again."""
    gguf = pytest.importorskip("gguf")
    kind = gguf.GGMLQuantizationType[dtype]
    values = np.random.Generator(np.random.Philox(7)).normal(size=(64, 256)).astype(np.float32) / 50
    packed = gguf.quants.quantize(values, kind)
    return packed.tobytes(), gguf.quants.dequantize(packed, kind)


@pytest.mark.parametrize("dtype", SIMPLE)
def test_values_are_those_of_the_reference(dtype: str):
    """Exact where there is no minimum; else the reference rounds each sum to binary32."""
    data, values = reference_bytes(dtype)
    found = collect(data, dtype)
    exact = values.astype(np.float64)
    if dtype.endswith("_0"):
        assert Fraction(found.powers[0], 2**24) == sum(map(Fraction, exact.ravel().tolist()))
        assert (found.minimum, found.maximum) == (exact.min(), exact.max())
    assert found.mean() == pytest.approx(exact.mean(), rel=1e-7)
    assert found.std() == pytest.approx(exact.std(ddof=1), rel=1e-7)
    assert found.zeros == np.count_nonzero(exact == 0)


@pytest.mark.parametrize(
    ("dtype", "scale", "minimum"),
    [("Q4_K", 0, 2), ("Q5_K", 0, 2), ("Q6_K", 208, None), ("Q2_K", 80, 82), ("Q3_K", 108, None), ("IQ4_NL", 0, None)],
)
def test_scales_of_types_whose_codes_are_not_counted(dtype: str, scale: int, minimum: int | None):
    gguf = pytest.importorskip("gguf")
    values, size = BLOCKS[dtype]
    random = np.random.Generator(np.random.Philox(8))
    blocks = np.frombuffer(random.bytes(size * 50), np.uint8).reshape(50, size).copy()
    scales = np.abs(random.normal(size=50)).astype("<f2")
    blocks[:, scale : scale + 2] = scales.view(np.uint8).reshape(50, 2)
    if minimum is not None:
        blocks[:, minimum : minimum + 2] = 0
    accumulator = ScalesAccumulator(dtype)
    accumulator.update(blocks.view(item_type(dtype)), 0)
    found = accumulator.result()
    assert found.scales.mean() == float(sum(map(Fraction, scales.astype(float).tolist())) / 50)
    assert (found.minima is None) == (minimum is None)
    twice = blocks.copy()
    twice[:, scale : scale + 2] = (2 * scales).view(np.uint8).reshape(50, 2)
    kind = gguf.GGMLQuantizationType[dtype]
    once = gguf.quants.dequantize(blocks, kind)
    assert once.shape == (50, values)
    assert np.allclose(gguf.quants.dequantize(twice, kind), 2 * once)


def write(folder: Path, *, rows: int = 6) -> Path:
    random = np.random.Generator(np.random.Philox(9))
    tensors = {}
    for dtype in (*SIMPLE, "Q4_K"):
        values, size = BLOCKS[dtype]
        blocks = np.frombuffer(random.bytes(rows * 2 * size), np.uint8).reshape(-1, size).copy()
        blocks[:, 1] &= 0x3F
        blocks[:, 3] &= 0x3F
        tensors[f"w.{dtype.lower()}"] = Raw(GGUF_TYPES[dtype], (rows, 2 * values), blocks.tobytes())
    tensors["unknown"] = Raw(99, (7,), b"1234567" + bytes(25))
    path = folder / "model.gguf"
    path.write_bytes(gguf_file(tensors))
    return path


def test_results_do_not_depend_on_threads_or_blocks(tmp_path: Path):
    checkpoint = open_checkpoint(write(tmp_path))

    def accumulators(tensor: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if tensor.dtype in QuantizedAccumulator.DTYPES:
            made["exact"] = QuantizedAccumulator(tensor.dtype)
        return made

    reference = sweep(checkpoint, accumulators, threads=1)
    for threads, block_size in ((1, 1), (2, 100), (2, 4096)):
        assert sweep(checkpoint, accumulators, threads=threads, block_size=block_size) == reference


def test_the_evidence_tells_codes_and_scales(tmp_path: Path):
    found = measure(write(tmp_path))
    rows = {row.name: row for row in found.tensors.tensors}
    assert (rows["unknown"].dtype, rows["unknown"].moments, rows["unknown"].quantization) == ("GGML_99", None, None)
    assert rows["w.q4_k"].moments is None
    assert rows["w.q4_k"].quantization is not None
    assert rows["w.q4_k"].quantization.codes is None
    for dtype in SIMPLE:
        row = rows[f"w.{dtype.lower()}"]
        assert row.dtype == dtype
        assert row.moments is not None
        assert row.moments.n + row.moments.nans + row.moments.infinities == 6 * 64
        assert row.quantization is not None
        assert row.quantization.codes is not None
        assert sum(row.quantization.codes) == 6 * 64
        assert row.quantization.scales.n == 12
        assert (row.quantization.minima is None) == dtype.endswith("_0")
    assert found.evidence.tensors.dtypes["Q4_0"] == 1
