"""Weights by role: the values that the files hold, whatever they are fused into and however they are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compare.opened import opened
from relabeled import weights, write
from small_checkpoint import write_tensors

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.weights.role_weights import RoleWeights

RNG = np.random.default_rng(5)


@pytest.fixture
def plain() -> RoleWeights:
    return RoleWeights(model=opened("seed-1")[1])


def test_a_matrix_is_outputs_by_inputs_and_takes_the_gain_in_front(plain: RoleWeights):
    model = weights("seed-1")
    gate = model["layers.1.mlp.gate_proj.weight"]
    assert plain.shape("gate", 1) == gate.shape
    assert np.array_equal(plain.matrix("gate", 1), gate)
    folded = gate * model["layers.1.post_attention_layernorm.weight"]
    assert np.allclose(plain.matrix("gate", 1, folded=True), folded, rtol=1e-6)
    assert np.array_equal(plain.matrix("down", 1, folded=True), model["layers.1.mlp.down_proj.weight"])


def test_rows_are_read_alone_and_in_the_order_asked_for(plain: RoleWeights):
    rows = np.array([200, 3, 4, 255])
    assert np.array_equal(plain.rows("embed", None, rows), weights("seed-1")["embed_tokens.weight"][rows])


def test_what_is_not_there_is_none(plain: RoleWeights):
    assert plain.matrix("gate", 9) is None
    assert plain.rows("lm_head", None, np.array([0])) is None
    assert plain.gain(None, 0) is None
    assert plain.gain("mlp_norm", 9) is None


def test_parts_of_fused_matrices_are_read_as_if_they_stood_alone(tmp_path: Path, plain: RoleWeights):
    model = weights("seed-1")
    for layer in range(4):
        room = f"layers.{layer}.self_attn."
        parts = [model.pop(f"{room}{role}_proj.weight") for role in "qkv"]
        model[f"{room}qkv_proj.weight"] = np.concatenate(parts)
        model = {name: value for name, value in model.items() if not (name.startswith(room) and "bias" in name)}
        halves = [model.pop(f"layers.{layer}.mlp.{role}_proj.weight") for role in ("gate", "up")]
        model[f"layers.{layer}.mlp.gate_up_proj.weight"] = np.concatenate(halves)
    fused = RoleWeights(model=place_tensors(open_checkpoint(write(model, tmp_path / "fused"))))
    for role in ("q", "k", "v", "gate", "up"):
        assert np.array_equal(fused.matrix(role, 2), plain.matrix(role, 2)), role


def test_matrices_stored_as_inputs_by_outputs_are_turned(tmp_path: Path):
    d = 32
    c_attn, c_fc = RNG.standard_normal((d, 3 * d)), RNG.standard_normal((d, 4 * d))
    tensors = {
        "wte.weight": RNG.standard_normal((80, d)),
        "wpe.weight": RNG.standard_normal((16, d)),
        "h.0.ln_1.weight": np.full(d, 2.0),
        "h.0.ln_2.weight": np.ones(d),
        "h.0.attn.c_attn.weight": c_attn,
        "h.0.attn.c_proj.weight": RNG.standard_normal((d, d)),
        "h.0.mlp.c_fc.weight": c_fc,
        "h.0.mlp.c_proj.weight": RNG.standard_normal((4 * d, d)),
        "ln_f.weight": np.ones(d),
    }
    path = tmp_path / "gpt2"
    path.mkdir()
    write_tensors(path / "model.safetensors", {name: value.astype(np.float32) for name, value in tensors.items()})
    (path / "config.json").write_text('{"model_type": "gpt2", "n_head": 4}')
    read = RoleWeights(model=place_tensors(open_checkpoint(path)))
    assert np.array_equal(read.matrix("k", 0), c_attn[:, d : 2 * d].T.astype(np.float32))
    assert np.array_equal(read.matrix("k", 0, folded=True), 2 * c_attn[:, d : 2 * d].T.astype(np.float32))
    assert read.shape("up", 0) == (4 * d, d)
    assert np.array_equal(read.matrix("up", 0), c_fc.T.astype(np.float32))


def test_values_that_are_not_finite_become_zero(tmp_path: Path):
    model = weights("seed-1")
    model["embed_tokens.weight"][3] = np.inf
    read = RoleWeights(model=place_tensors(open_checkpoint(write(model, tmp_path / "infinite"))))
    assert not np.any(read.rows("embed", None, np.array([3])))
