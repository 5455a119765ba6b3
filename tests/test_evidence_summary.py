"""What evidence says of a checkpoint: rows and chunks in detail files, totals and lists in the statement."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from measured import FAMILY, measured
from small_checkpoint import read_tensors, write_shards, write_tensors

from attest.checkpoint.arrays import unpack_arrays
from attest.digest import sha256, tree_digest
from attest.document import load, parse
from attest.evidence import CHUNKS_NAME, MAX_LISTED_FILES, TENSORS_NAME, ChunkList, TensorList
from attest.fingerprint import FINGERPRINTS, MOMENTS_ID
from attest.measure import measure
from attest.sweep import sweep

MIB = 1024 * 1024


def test_every_fingerprint_is_summarized():
    measurement = measured("seed-1")
    summaries = {one.id: one for one in measurement.evidence.fingerprints}
    assert list(summaries) == [MOMENTS_ID, *(one.id for one in FINGERPRINTS)]
    assert summaries[MOMENTS_ID].detail == TENSORS_NAME
    assert all(one.detail in measurement.details if one.detail else one.not_measured for one in summaries.values())


NOT_NUMBERS = np.array([0x7FC0, 0xFFC0, 0x7F81, 0xFF81, 0x7FFF, 0xFFFF, 0x7FA5, 0xFFE3], "<u2")
"""BF16 NaN, quiet and signaling, of both signs."""


def with_not_numbers(folder: Path, order: int) -> Path:
    """A network of BF16 and F32 with several NaN in rows, columns and gains, forwards or backwards."""
    folder.mkdir()
    tensors = {name: bits.copy() for name, bits in read_tensors(FAMILY / "seed-1").items()}
    for name, bits in tensors.items():
        if bits.ndim == 2 and ("layers.0" in name or "layers.1" in name):
            bits[0, 1::5][:8] = bits[1::5, 2][:8] = NOT_NUMBERS[::order]
    tensors["model.layers.2.input_layernorm.weight"][:8] = NOT_NUMBERS[::order]
    wide = {name: (bits.astype("<u4") << 16).view("<f4") for name, bits in tensors.items() if "layers.1" in name}
    write_tensors(folder / "model.safetensors", {**tensors, **wide})
    shutil.copy(FAMILY / "seed-1" / "config.json", folder)
    return folder


def test_no_array_depends_on_which_nan_came_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = []
    for number, (threads, block_size) in enumerate([(1, 1 << 20), (2, 4096), (2, 100_000)]):
        monkeypatch.setattr("attest.measure.sweep", partial(sweep, block_size=block_size))
        folder = with_not_numbers(tmp_path / str(number), 1 - 2 * (number % 2))
        details = measure(folder, threads=threads).details
        found.append(
            {name: data for name, data in details.items() if name.endswith(".v1.safetensors")}
        )  # no row digests
    assert found[0] == found[1] == found[2]
    arrays = {key: one for name, data in found[0].items() for key, one in unpack_arrays(data, where=name).items()}
    for layer, name in ((0, "gate"), (0, "up"), (1, "gate"), (1, "down")):
        assert np.isnan(arrays[f"layers.{layer}.neuron.{name}"]).any()
    for key in ("layers.0.residual.q", "layers.1.residual.down", "layers.2.attention_norm"):
        bits = arrays[key].view("<u4")[np.isnan(arrays[key])]
        assert bits.tolist() == [0x7FC00000] * bits.size != []


def test_chunks_cover_every_byte_of_every_file():
    chunks = load(ChunkList, parse(measured("seed-1").details[CHUNKS_NAME], where="c", max_bytes=MIB), where="c")
    for file in chunks.files:
        data = (FAMILY / "seed-1" / file.path).read_bytes()
        position = 0
        for chunk in file.chunks:
            assert chunk.begin == position
            assert chunk.sha256 == sha256(data[position : position + chunk.size])
            position += chunk.size
        assert position == len(data)


def test_tensors_are_listed_with_their_places():
    rows = load(
        TensorList, parse(measured("seed-1").details[TENSORS_NAME], where="t", max_bytes=MIB), where="t"
    ).tensors
    assert rows == measured("seed-1").tensors.tensors
    assert len(rows) == measured("seed-1").evidence.tensors.count == 50
    row = next(row for row in rows if row.name == "model.layers.2.mlp.up_proj.weight")
    assert (row.dtype, row.shape, row.role, row.layer, row.expert) == ("BF16", (256, 96), "up", 2, None)
    assert row.end - row.begin == 256 * 96 * 2


def test_totals_of_tensors():
    found = measured("seed-1").evidence.tensors
    assert (found.parameters, found.dtypes, found.unmapped_count, found.unmapped) == (431_712, {"BF16": 50}, 0, ())
    sizes = measured("seed-1").evidence.architecture
    assert (sizes.family, sizes.layers, sizes.d_model, sizes.d_ff) == ("llama-like", 4, 96, 256)
    assert (sizes.heads, sizes.kv_heads, sizes.d_head) == (4, 2, 24)


def test_tensors_without_a_role_are_named_up_to_a_hundred(tmp_path: Path):
    write_tensors(tmp_path / "model.safetensors", {f"x{number:03}": np.ones(1, np.float32) for number in range(150)})
    found = measure(tmp_path).evidence.tensors
    assert (found.unmapped_count, found.unmapped) == (150, tuple(f"x{number:03}" for number in range(100)))


def test_of_very_many_files_the_weights_are_listed_and_the_tree_binds_all(tmp_path: Path):
    folder = Path(shutil.copytree(FAMILY / "seed-1", tmp_path / "many"))
    for number in range(2000):
        (folder / f"{number:04}-{'n' * 200}.bin").write_bytes(b"x")
    measurement = measure(folder)
    checkpoint = measurement.evidence.checkpoint
    assert [file.path for file in checkpoint.files] == ["model.safetensors"]
    assert checkpoint.file_count == 2002
    assert checkpoint.tree_digest == tree_digest(
        (path.name, path.stat().st_size, sha256(path.read_bytes())) for path in folder.iterdir()
    )
    assert len(checkpoint.findings) < 50
    assert checkpoint.findings[-1].text == "1980 more of unsafe-file"
    assert len(measurement.statement().payload) < MIB
    assert len(measurement.statement().subjects) == 2


def test_a_thousand_files_are_all_listed(tmp_path: Path):
    folder = Path(shutil.copytree(FAMILY / "seed-1", tmp_path / "many"))
    for number in range(MAX_LISTED_FILES - 2):
        (folder / f"{number:04}").write_bytes(b"x")
    measurement = measure(folder)
    assert len(measurement.evidence.checkpoint.files) == MAX_LISTED_FILES
    assert len(measurement.statement().payload) < MIB


def test_very_many_weight_files_are_listed_up_to_a_thousand(tmp_path: Path):
    one = np.ones(1, np.float32)
    write_shards(tmp_path, {f"{n:04}.safetensors": {f"{n}": one} for n in range(MAX_LISTED_FILES + 5)}, index=False)
    found = measure(tmp_path).evidence.checkpoint
    assert [file.path for file in found.files] == [f"{number:04}.safetensors" for number in range(MAX_LISTED_FILES)]
    assert found.file_count == MAX_LISTED_FILES + 5
