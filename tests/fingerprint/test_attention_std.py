"""attention-std/v1 against the standard deviations that NumPy and torch compute."""

import numpy as np
import pytest
from measured import measured, values
from small_checkpoint import write_tensors

from attest.measure import measure

ID = "attention-std/v1"
ROLES = ("q", "k", "v", "o")


@pytest.mark.parametrize("name", ["seed-1", "seed-2", "seed-1-continued"])
def test_the_standard_deviation_of_every_matrix(name: str):
    arrays = measured(name).profiles[ID]
    assert set(arrays) == set(ROLES)
    for role in ROLES:
        expected = [values(name)[f"layers.{layer}.self_attn.{role}_proj.weight"].std(ddof=1) for layer in range(4)]
        np.testing.assert_allclose(arrays[role], expected, rtol=1e-14)


@pytest.mark.torch
def test_it_is_the_standard_deviation_that_torch_has():
    torch = pytest.importorskip("torch")
    for role in ROLES:
        for layer in range(4):
            matrix = values("seed-1")[f"layers.{layer}.self_attn.{role}_proj.weight"]
            found = measured("seed-1").profiles[ID][role][layer]
            assert found == pytest.approx(torch.std(torch.from_numpy(matrix)).item(), rel=1e-12)


def test_the_table_shows_the_arrays():
    table = next(one.table for one in measured("seed-1").evidence.fingerprints if one.id == ID)
    assert table is not None
    assert table.columns == ("layer", *ROLES)
    for layer, row in enumerate(table.rows):
        found = [measured("seed-1").profiles[ID][role][layer] for role in ROLES]
        assert row == (str(layer), *(format(value, ".9g") for value in found))


def test_a_layer_without_a_matrix_is_a_gap(tmp_path):  # noqa: ANN001 - pytest's own
    names = ("model.layers.0.self_attn.q_proj.weight", "model.layers.2.self_attn.q_proj.weight")
    write_tensors(tmp_path / "model.safetensors", {name: np.eye(3, dtype=np.float32) for name in names})
    measurement = measure(tmp_path)
    (array,) = measurement.profiles[ID].values()
    assert np.isnan(array).tolist() == [False, True, False]
    table = next(one.table for one in measurement.evidence.fingerprints if one.id == ID)
    assert table is not None
    assert [row[1:] for row in table.rows] == [("0.5", "-", "-", "-"), ("-",) * 4, ("0.5", "-", "-", "-")]
