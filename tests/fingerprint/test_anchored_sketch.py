"""anchored-sketch/v1, made again from the words of its page, and what must not change it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from measured import values
from relabeled import Weights, basis, rotated, weights, write
from reproduced import again
from small_checkpoint import read_tensors, write_tensors

from attest.checkpoint.arrays import pack_arrays
from attest.errors import CheckpointError
from attest.evidence_directory import describe_detail, write_evidence
from attest.fingerprint import FINGERPRINTS
from attest.fingerprint.anchored_sketch import sketched_layer_numbers
from attest.fingerprint.anchors import anchor_strings
from attest.measure import Measurement, measure

ID = "anchored-sketch/v1"
DETAIL = "detail/anchored-sketch.v1.safetensors"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(weights("seed-1"), tmp_path_factory.mktemp("anchored") / "plain")


@pytest.fixture(scope="module")
def measured(plain: Path) -> Measurement:
    return measure(plain, deep=True)


def by_the_page(name: str, layer: int) -> np.ndarray:
    """The whole sketch of a layer, in the other order of its formula: C = E'E, not EE'."""
    tokens = [text for text in anchor_strings() if len(text) == 1 and ord(text) < 256]
    embeddings = values(name)["embed_tokens.weight"][[ord(text) for text in tokens]]
    unit = embeddings - embeddings.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    second = unit.T @ unit
    found, vectors = np.linalg.eigh(second)
    root = vectors @ np.diag((found + found[-1] / 1000) ** -0.5) @ vectors.T
    gain = values(name)[f"layers.{layer}.post_attention_layernorm.weight"]
    parts = []
    for place, part in enumerate(("gate", "up", "down")):
        matrix = values(name)[f"layers.{layer}.mlp.{part}_proj.weight"]
        neurons = matrix.T if part == "down" else matrix * gain
        signs = np.array([
            [1 - 2 * (hashlib.shake_256(f"attest anchored-sketch/v1 {text}".encode()).digest(6)[bit // 8] >> bit % 8 & 1)
             for bit in range(16 * place, 16 * place + 16)]
            for text in tokens
        ])  # fmt: skip
        entries = neurons @ root @ unit.T @ signs / np.linalg.norm(neurons, axis=1, keepdims=True)
        parts.append(np.clip(np.rint(entries * 32), -127, 127))
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("layer", range(4))
def test_it_is_what_its_page_says(measured: Measurement, layer: int):
    found = measured.profiles[ID][f"layers.{layer}"]
    assert (found.dtype, found.shape) == (np.int8, (256, 48))
    difference = np.abs(found - by_the_page("seed-1", layer))
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.001


def test_it_is_made_only_where_it_is_asked_for(plain: Path):
    assert ID not in measure(plain).profiles
    assert ID not in {one.id for one in FINGERPRINTS}


def test_threads_do_not_matter(plain: Path, measured: Measurement):
    assert measure(plain, deep=True, threads=1).details[DETAIL] == measured.details[DETAIL]


RELABELED = {
    "rotated, gains folded": partial(rotated, basis=basis(96, 96, 1)),
    "permuted": partial(rotated, basis=np.eye(96)[np.random.default_rng(1).permutation(96)]),
    "signs changed": partial(rotated, basis=np.diag(np.random.default_rng(1).choice([-1.0, 1.0], 96))),
    "wider": partial(rotated, basis=basis(96, 128, 2)),
}


@pytest.mark.parametrize("change", RELABELED.values(), ids=RELABELED)
def test_another_basis_of_the_residual_stream_changes_next_to_nothing(
    tmp_path: Path, measured: Measurement, change: partial[Weights]
):
    again = measure(write(change(weights("seed-1")), tmp_path / "other"), deep=True).profiles[ID]
    for name, rows in measured.profiles[ID].items():
        difference = np.abs(rows.astype(int) - again[name])
        assert difference.mean() < 0.3, "BF16 rounds the rotated weights anew"
        assert difference.max() <= 6


def test_at_most_eight_layers_are_sketched():
    assert sketched_layer_numbers(4) == [0, 1, 2, 3]
    assert sketched_layer_numbers(32) == [0, 1, 8, 9, 16, 17, 24, 25]
    assert sketched_layer_numbers(0) == []
    assert all(sum(layer % 2 for layer in sketched_layer_numbers(n)) == 4 for n in range(8, 200))
    assert all(len(set(sketched_layer_numbers(n))) == 8 for n in range(8, 200))


def test_without_a_tokenizer_it_is_said(tmp_path: Path):
    measurement = measure(write(weights("seed-1"), tmp_path / "one", tokenizer=False), deep=True)
    summary = next(one for one in measurement.evidence.fingerprints if one.id == ID)
    assert summary.detail is None
    assert "there is no tokenizer.json" in (summary.not_measured or "")


def test_neurons_without_values_are_zero(tmp_path: Path):
    model = weights("seed-1")
    model["layers.1.mlp.gate_proj.weight"][3] = 0
    model["layers.1.mlp.up_proj.weight"][4, 0] = np.inf
    found = measure(write(model, tmp_path / "one"), deep=True).profiles[ID]["layers.1"]
    assert not found[3, :16].any()
    assert not found[4, 16:32].any()
    assert found[3, 16:].any()


@pytest.mark.parametrize("changed", ["model.embed_tokens.weight", "model.layers.1.post_attention_layernorm.weight"])
def test_what_changes_between_the_two_reads_is_noticed(tmp_path: Path, changed: str):
    folder = write(weights("seed-1"), tmp_path / "one")
    arrays = read_tensors(folder)
    (folder / "model.safetensors").unlink()
    write_tensors(folder / "a.safetensors", {name: array for name, array in arrays.items() if name != changed})
    last = write_tensors(folder / "b.safetensors", {changed: arrays[changed]})
    done = False

    def change(_: int, __: int) -> None:
        nonlocal done
        if not done:
            data = bytearray(last.read_bytes())
            first = len(data) - arrays[changed].nbytes
            for place in range(first + 1, len(data), 2):
                data[place] ^= 0x40
            with last.open("r+b") as stream:
                stream.write(data)
            done = True

    with pytest.raises(CheckpointError) as caught:
        measure(folder, threads=1, deep=True, progress=change)
    assert caught.value.code == "file-changed"


def test_a_tokenizer_that_changes_between_the_two_reads_is_noticed(tmp_path: Path):
    folder = write(weights("seed-1"), tmp_path / "one")
    tokenizer = folder / "tokenizer.json"
    done = False

    def change(_: int, __: int) -> None:
        nonlocal done
        if not done:
            with tokenizer.open("r+b") as stream:
                stream.write(tokenizer.read_bytes().replace(b'": 97', b'": 98'))
            done = True

    with pytest.raises(CheckpointError) as caught:
        measure(folder, threads=1, deep=True, progress=change)
    assert caught.value.code == "file-changed"


def evidence_with(folder: Path, measured: Measurement, step: int) -> Path:
    """Evidence whose sketch differs by a step in one entry, as another machine may round it."""
    arrays = {name: rows.copy() for name, rows in measured.profiles[ID].items()}
    place = np.unravel_index(np.abs(arrays["layers.2"].astype(int)).argmin(), arrays["layers.2"].shape)
    arrays["layers.2"][place] += step
    data = pack_arrays(arrays, {"fingerprint": ID}) if step else measured.details[DETAIL]
    details = {**measured.details, DETAIL: data}
    described = tuple(describe_detail(one.name, one.media_type, details[one.name]) for one in measured.evidence.details)
    changed = replace(measured, evidence=replace(measured.evidence, details=described))
    write_evidence(folder, changed.statement(), details)
    return folder


@pytest.mark.parametrize(("step", "outcome"), [(0, "identical"), (1, "within-tolerance"), (2, "differs")])
def test_reproducing_allows_one_step(plain: Path, tmp_path: Path, measured: Measurement, step: int, outcome: str):
    result = again(evidence_with(tmp_path / "evidence", measured, step), checkpoint=plain)
    assert {one.name: one.outcome for one in result.values}[f"fingerprint {ID}"] == outcome
    assert result.reproduced == (outcome != "differs")
