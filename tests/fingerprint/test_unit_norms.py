"""unit-norms/v1 against norms that NumPy computes from the matrices."""

from pathlib import Path

import numpy as np
import pytest
from measured import measured, values

from attest.fingerprint import RANGES, norms_of, unit_norms
from attest.measure import measure

ID = "unit-norms/v1"
D_HEAD = 24


def matrix(name: str, layer: int, role: str) -> np.ndarray:
    block = "self_attn" if role in {"q", "k", "v", "o"} else "mlp"
    return values(name)[f"layers.{layer}.{block}.{role}_proj.weight"]


def expected(name: str) -> dict[str, np.ndarray]:
    """Norms of neurons and heads along the axis that their order follows, of residual dimensions along the other."""
    found = {}
    for layer in range(4):
        for role in ("q", "k", "v", "o", "gate", "up", "down"):
            weights = matrix(name, layer, role)
            units = weights.T if role in {"o", "down"} else weights  # one row a neuron or a head's dimension
            found[f"layers.{layer}.residual.{role}"] = np.linalg.norm(units, axis=0)
            if role in {"gate", "up", "down"}:
                found[f"layers.{layer}.neuron.{role}"] = np.linalg.norm(units, axis=1)
            else:
                heads = units.reshape(-1, D_HEAD * units.shape[1])
                found[f"layers.{layer}.head.{role}"] = np.linalg.norm(heads, axis=1)
    return found


@pytest.mark.parametrize("name", ["seed-1", "seed-3"])
def test_norms_of_neurons_heads_and_dimensions(name: str):
    arrays = measured(name).profiles[ID]
    assert set(arrays) == set(expected(name))
    for key, norms in expected(name).items():
        assert arrays[key].dtype == np.float32
        np.testing.assert_allclose(arrays[key], norms, rtol=1e-7)


def test_shapes():
    arrays = measured("seed-1").profiles[ID]
    shapes = {
        key.removeprefix("layers.2."): array.shape for key, array in arrays.items() if key.startswith("layers.2.")
    }
    assert {key: shape for key, shape in shapes.items() if key.startswith("neuron")} == {
        "neuron.gate": (256,), "neuron.up": (256,), "neuron.down": (256,),
    }  # fmt: skip
    assert {key: shape for key, shape in shapes.items() if key.startswith("head")} == {
        "head.q": (4,), "head.k": (2,), "head.v": (2,), "head.o": (4,),
    }  # fmt: skip
    assert {shape for key, shape in shapes.items() if key.startswith("residual")} == {(96,)}


def test_the_table_shows_their_means():
    table = next(one.table for one in measured("seed-1").evidence.fingerprints if one.id == ID)
    assert table is not None
    norms = expected("seed-1")
    for layer, row in enumerate(table.rows):
        for cell, column in zip(row[1:], table.columns[1:], strict=True):
            assert float(cell) == pytest.approx(
                norms[f"layers.{layer}.{column.removeprefix('mean ')}"].mean(), rel=1e-6
            )


def test_many_norms_are_kept_in_16_bits(family: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("attest.fingerprint.unit_norms._MAX_NORMS", 0)
    arrays = measure(family / "seed-1").profiles[ID]
    plain = measured("seed-1").profiles[ID]
    assert {key for key in arrays if not key.startswith(RANGES)} == set(plain)
    for key, norms in norms_of(arrays).items():
        assert arrays[key].dtype == np.uint16
        least, greatest = arrays[RANGES + key]
        assert (least, greatest) == (plain[key].min(), plain[key].max())
        np.testing.assert_allclose(norms, plain[key], atol=0.51 * (greatest - least) / 65534 + 1e-7)


def test_norms_that_are_not_finite_stay_so_in_16_bits():
    norms = {
        "a": np.array([1, np.inf, 3, np.nan], np.float32),
        "b": np.full(3, np.nan, np.float32),
        "c": np.ones(2, np.float32),
    }
    decoded = norms_of(unit_norms._coded(norms))
    assert decoded["a"].tolist() == [1, np.inf, 3, np.inf]
    assert decoded["b"].tolist() == [np.inf] * 3
    assert decoded["c"].tolist() == [1, 1]
