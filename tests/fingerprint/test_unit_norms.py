"""unit-norms/v1 against norms that NumPy computes from the matrices."""

import numpy as np
import pytest
from measured import measured, values

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
