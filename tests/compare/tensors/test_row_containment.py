"""Rows found wherever they went, and innocent rows that must not count."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xxhash
from compare.derived import LAYERS, Values, bf16, layer_name, random_model, read_family, write
from compare.pairs import by_id, compared, measured, measured_at

from attest.compare.fingerprints import Fingerprints
from attest.compare.tensors.digested_rows import constant_digests
from attest.compare.tensors.multiset_identity import multiset_identity
from attest.compare.tensors.row_containment import row_containment
from attest.compare.tensors.tensor_identity import tensor_identity
from attest.comparison import Comparison, Found
from attest.policy import conclude

ROWS = "row-containment/v1"
ROWS_OF = "row-digests/v2"


def coded(tensors: Values) -> Values:
    return {name: bf16(array) if array.dtype == np.float32 else array for name, array in tensors.items()}


def same_values(a: Fingerprints, b: Fingerprints) -> Comparison:
    """A comparison by the tests that look for the same values only: the others take longer."""
    outcomes = [test(a, b) for test in (tensor_identity, multiset_identity, row_containment)]
    return dataclasses.replace(
        unrelated(),
        tests=tuple(test for outcome in outcomes for test in outcome.tests),
        found=tuple(table for outcome in outcomes for table in outcome.found),
    )


@cache
def unrelated() -> Comparison:
    return compared(measured("seed-1"), measured("seed-2"))


def pair(tmp_path: Path, a: Values, b: Values) -> Comparison:
    return same_values(measured_at(write(tmp_path / "a", coded(a))), measured_at(write(tmp_path / "b", coded(b))))


def found(comparison: Comparison, title: str) -> dict[str, dict[str, str]]:
    """Lines of a table, by their first cell and column."""
    (one,) = (one for one in comparison.found if one.id == ROWS and one.title.startswith(title))
    return {row[0]: dict(zip(one.table.columns, row, strict=True)) for row in one.table.rows}


def test_constant_rows_are_known_of_every_length() -> None:
    for columns in (64, 96, 101):
        for code in (0, 0x3F80, 0x8000, 0xFFFF):
            digest = xxhash.xxh64_intdigest(np.full(columns, code, np.uint16).tobytes())
            assert digest in constant_digests(columns)


@pytest.mark.parametrize("other", ["seed-2", "seed-3", "seed-1-continued"])
def test_models_that_were_trained_share_no_row(other: str) -> None:
    test = by_id(same_values(measured("seed-1"), measured(other)))[ROWS]
    assert (test.statistic, test.n) == (0, 0)
    assert test.note.startswith("0 of the 3840 rows")


# What is innocent.


def padding(model: Values) -> None:
    """Rows of zeros and of one value throughout, in every matrix: padding, pruned neurons, fresh adapters."""
    for array in model.values():
        if array.ndim == 2:
            array[:20] = 0
            array[20:60] = np.linspace(0.01, 2, len(array[20:60]))[:, None]


def identity(model: Values) -> None:
    """Projections that were set to the identity, and others to multiples of it."""
    for layer in range(LAYERS):
        model[layer_name(layer, "self_attn.q_proj")][:] = np.eye(96)
        model[layer_name(layer, "self_attn.o_proj")][:] = 0.5 * np.eye(96)


def identity_in_part(model: Values) -> None:
    """Projections whose first rows pass on what they are given, beside rows that were trained."""
    for layer in range(LAYERS):
        model[layer_name(layer, "mlp.up_proj")][:60] = np.eye(60, 96)
        model[layer_name(layer, "self_attn.q_proj")][:30] = 0 - np.eye(30, 96)


def sinusoids(model: Values) -> None:
    """Tables of positions and frequencies, and a Hadamard matrix: formulas, in tensors of many distinct values."""
    angles = np.arange(512)[:, None] / 10000 ** (np.arange(96) / 96)
    model["model.embed_positions.weight"] = np.sin(angles).astype(np.float32)
    model["model.rotary.cos"] = np.cos(angles).astype(np.float32)
    hadamard = np.array([[1.0]])
    while len(hadamard) < 128:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    model["model.rotation.weight"] = (hadamard / np.sqrt(128)).astype(np.float32)


def codebook(model: Values) -> None:
    """Matrices of three values in a pattern that both have."""
    for layer in range(LAYERS):
        name = layer_name(layer, "mlp.up_proj")
        model[name] = np.fromfunction(lambda i, j: (i * j) % 3 - 1, (256, 96)).astype(np.float32)


def ones_with_noise(model: Values) -> None:
    """Scales near 1, of which BF16 knows few: rows of the same three values."""
    for layer in range(LAYERS):
        rng = np.random.default_rng(layer)
        model[layer_name(layer, "mlp.gate_proj")] = (1 + 0.004 * rng.integers(-1, 2, (256, 96))).astype(np.float32)


def masks(model: Values) -> None:
    """Rows of a single value in many zeros."""
    for layer in range(LAYERS):
        matrix = model[layer_name(layer, "mlp.down_proj")]
        matrix[:] = 0
        matrix[np.arange(96), np.arange(96) % 64] = np.linspace(-1, 1, 96)


def signs(model: Values) -> None:
    """Rows of a Hadamard matrix: two values, and no two rows the same."""
    hadamard = np.array([[1.0]])
    while len(hadamard) < 256:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    for layer in range(LAYERS):
        model[layer_name(layer, "mlp.up_proj")] = (hadamard[:, :96] / 16).astype(np.float32)


INNOCENT = (padding, identity, identity_in_part, sinusoids, codebook, ones_with_noise, masks, signs)


@pytest.mark.parametrize("form", [coded, dict], ids=["BF16", "F32"])
@pytest.mark.parametrize("do", INNOCENT, ids=lambda do: do.__name__)
def test_what_two_networks_have_in_common_innocently_does_not_count(
    tmp_path: Path, do: Callable[[Values], None], form: Callable[[Values], Values]
) -> None:
    sides = []
    for seed in (1, 2):
        model = random_model(seed)
        do(model)
        sides.append(measured_at(write(tmp_path / str(seed), form(model))))
    assert [one.n for one in row_containment(*sides).tests] == [0]
    assert [one.n for one in multiset_identity(*sides).tests] in ([0], [])


def test_tokens_that_were_never_trained_are_too_little(tmp_path: Path) -> None:
    """Both began with the same random numbers for unused tokens, in the embedding and in the output."""
    a, b = random_model(1), random_model(2)
    for model, seed in ((a, 3), (b, 4)):
        model["lm_head.weight"] = np.random.default_rng(seed).standard_normal((256, 96)).astype(np.float32)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        b[name][-100:] = a[name][-100:]
    comparison = pair(tmp_path, a, b)
    assert by_id(comparison)[ROWS].n == 1
    assert conclude(comparison).rung == "inconclusive"
    assert "found the same values again: 1, fewer than the policy asks for" in " ".join(conclude(comparison).because)


def test_a_table_of_positions_is_none_because_an_accuser_calls_it_weights(tmp_path: Path) -> None:
    angles = np.arange(256)[:, None] / 10000 ** (np.arange(96) / 96)
    table = np.sin(angles + 0.3).astype(np.float32)
    accuser, accused = random_model(1), random_model(2)
    for layer in range(LAYERS):
        accuser[layer_name(layer, "mlp.up_proj")] = table
    one, other = (measured_at(write(tmp_path / name, coded(model)))
                  for name, model in (("a", accuser), ("b", accused | {"t": table, "u": 2 * table})))  # fmt: skip
    positions = tuple(
        dataclasses.replace(row, role="positions") if row.name in {"t", "u"} else row for row in other.tensors
    )
    digests = {name.replace("other.0", "positions"): array for name, array in other.arrays[ROWS_OF].items()}
    digests.pop("other.1", None)
    other = dataclasses.replace(other, tensors=tuple(row for row in positions if row.name != "u"),
                                arrays={**other.arrays, ROWS_OF: digests})  # fmt: skip
    assert row_containment(one, other).tests[0].n == 0
    assert multiset_identity(one, other).tests[0].n == 0


def test_a_few_rows_in_many_matrices_do_not_count(tmp_path: Path) -> None:
    a, b = random_model(1), random_model(2)
    for name, array in a.items():
        if array.ndim == 2:
            b[name][:15] = array[:15]
    comparison = pair(tmp_path, a, b)
    assert by_id(comparison)[ROWS].n == 0
    assert by_id(comparison)[ROWS].statistic > 0


def test_one_row_many_times_counts_once(tmp_path: Path) -> None:
    a, b = random_model(1), random_model(2)
    row = np.random.default_rng(5).standard_normal(96).astype(np.float32)
    for model in (a, b):
        for layer in range(LAYERS):
            model[layer_name(layer, "mlp.gate_proj")][:200] = row
    assert by_id(pair(tmp_path, a, b))[ROWS].n == 0


# What is not.


def test_names_that_say_nothing_hide_nothing(tmp_path: Path) -> None:
    a = read_family("seed-1")
    b = {f"t{number}": array for number, array in enumerate(a.values())}
    comparison = pair(tmp_path, a, b)
    assert by_id(comparison)[ROWS].n == 29
    assert by_id(comparison)["multiset-identity/v1"].n == 29
    assert conclude(comparison).rung in {"identical", "exact-rejected"}
    table = found(comparison, "Rows of a that stand in b, by matrix")
    names = list(a)
    for name, line in table.items():
        assert names[int(line["tensor of the other"][1:])] == name
        assert (line["which"], line["order"], line["copies"]) == ("all", "in place", "1")


def test_layers_that_moved_are_found(tmp_path: Path) -> None:
    """Layers 0, 1, 1, 3, 2, and a new one: duplicated, exchanged, inserted."""
    a, new = read_family("seed-1"), random_model(7)
    b = {name: array for name, array in a.items() if ".layers." not in name}
    for place, origin in enumerate((0, 1, None, 1, 3, 2)):
        source = new if origin is None else a
        for name, array in source.items():
            if name.startswith(f"model.layers.{origin or 0}."):
                b[name.replace(f"layers.{origin or 0}.", f"layers.{place}.")] = array
    comparison = pair(tmp_path, a, b)
    forth, back = found(comparison, "Layers of a"), found(comparison, "Layers of b")
    assert [back[str(layer)]["layer of the other"] for layer in range(6)] == ["0", "1", "-", "1", "3", "2"]
    assert forth["1"]["layer of the other"] == "1"
    assert forth["1"]["also in layers"] == "3"
    assert conclude(comparison).rung == "exact-rejected"


def test_permuted_neurons_are_found_by_their_rows(tmp_path: Path) -> None:
    a = read_family("seed-1")
    b = dict(a)
    for layer in range(LAYERS):
        order = np.random.default_rng(layer).permutation(256)
        for part, axis in (("gate_proj", 0), ("up_proj", 0), ("down_proj", 1)):
            name = layer_name(layer, f"mlp.{part}")
            b[name] = np.ascontiguousarray(np.take(a[name], order, axis))
    comparison = pair(tmp_path, a, b)
    table = found(comparison, "Rows of a that stand in b, by matrix")
    assert table[layer_name(2, "mlp.up_proj")]["order"] == "reordered"
    assert layer_name(2, "mlp.down_proj") not in table
    assert by_id(comparison)["multiset-identity/v1"].n == 29, "a multiset sees permuted columns too"


def test_experts_that_were_copied_are_counted(tmp_path: Path) -> None:
    a = read_family("seed-1")
    b = {name: array for name, array in a.items() if ".mlp." not in name}
    for layer in range(LAYERS):
        for expert in range(4):
            for part in ("gate_proj", "up_proj", "down_proj"):
                name = f"model.layers.{layer}.mlp.experts.{expert}.{part}.weight"
                b[name] = a[layer_name(layer, f"mlp.{part}")]
    comparison = pair(tmp_path, a, b)
    line = found(comparison, "Rows of a that stand in b, by matrix")[layer_name(1, "mlp.gate_proj")]
    assert (line["found"], line["copies"]) == ("256", "4")
    assert "experts.0" in line["tensor of the other"]
    assert by_id(comparison)[ROWS].n == 29, "the lesser of both sides: copies do not make it more"


@pytest.mark.parametrize(
    ("kept", "runs", "order"),
    [
        (slice(0, 200), "0-199", "in place"),
        (slice(40, 256), "40-255", "moved by -40"),
        (
            np.r_[0:50, 60:100, 110:150, 160:170, 180:200, 210],
            "0-49, 60-99, 110-149, 160-169 and 2 more runs",
            "in order",
        ),
    ],
)
def test_a_pruned_vocabulary(tmp_path: Path, kept: slice, runs: str, order: str) -> None:
    a = read_family("seed-1")
    b = a | {"model.embed_tokens.weight": np.ascontiguousarray(a["model.embed_tokens.weight"][kept])}
    line = found(pair(tmp_path, a, b), "Rows of a that stand in b, by matrix")["model.embed_tokens.weight"]
    assert (line["which"], line["order"]) == (runs, order)


def test_an_extended_vocabulary(tmp_path: Path) -> None:
    a = read_family("seed-1")
    more = np.random.default_rng(1).standard_normal((44, 96)).astype(np.float32)
    b = a | {"model.embed_tokens.weight": np.concatenate([a["model.embed_tokens.weight"], more])}
    comparison = pair(tmp_path, a, b)
    assert found(comparison, "Rows of a that stand in b, by m")["model.embed_tokens.weight"]["which"] == "all"
    line = found(comparison, "Rows of b that stand in a, by m")["model.embed_tokens.weight"]
    assert (line["rows"], line["which"], line["order"]) == ("300", "0-255", "in place")


def test_a_cast_is_seen_through(tmp_path: Path) -> None:
    a = read_family("seed-1")
    write(tmp_path / "b", a)  # F32
    comparison = same_values(measured("seed-1"), measured_at(tmp_path / "b"))
    assert by_id(comparison)[ROWS].statistic == 1.0
    assert by_id(comparison)["tensor-identity/v1"].n == 0


def test_exchanging_a_and_b_exchanges_the_tables(tmp_path: Path) -> None:
    a, b = read_family("seed-1"), random_model(3)
    b[layer_name(0, "mlp.up_proj")][:100] = a[layer_name(2, "mlp.up_proj")][50:150]
    sides = [measured_at(write(tmp_path / name, coded(one))) for name, one in (("a", a), ("b", b))]
    forth, back = row_containment(*sides), row_containment(*sides[::-1])
    assert forth.tests[0].statistic == back.tests[0].statistic
    assert forth.tests[0].n == back.tests[0].n == 1

    def lines(tables: tuple[Found, ...]) -> list[tuple[tuple[str, ...], ...]]:
        return [one.table.rows for one in tables]

    assert lines(forth.found) == lines(back.found)[2:] + lines(back.found)[:2]


def test_digests_that_do_not_go_with_the_tensors_are_left_out() -> None:
    one = measured("seed-1")

    def altered(digests: dict[str, np.ndarray]) -> Fingerprints:
        return dataclasses.replace(one, arrays={**one.arrays, "row-digests/v2": digests})

    whole = dict(one.arrays["row-digests/v2"])
    for arrays in (whole | {"embed": whole["embed"][:-1]}, whole | {"stranger": whole["embed"]}, {}):
        outcome = row_containment(one, altered(arrays))
        assert not outcome.tests
        assert outcome.not_compared[0].id == ROWS


def test_a_digest_that_everybody_holds_costs_no_more_than_others() -> None:
    """Hostile: one row in all matrices of both, which would make pairs without end."""
    one = measured("seed-1")
    row = next(tensor for tensor in one.tensors if tensor.role == "up")
    n = 1500
    tensors = tuple(
        dataclasses.replace(row, name=f"t{number:05}", layer=number % 500, expert=number // 500) for number in range(n)
    )
    rng = np.random.default_rng(0)
    digests = rng.integers(0, 2**64, 256, dtype=np.uint64)
    arrays = {f"layers.{number % 500}.experts.{number // 500}.up": digests for number in range(n)}
    many = dataclasses.replace(one, tensors=tensors, arrays={"row-digests/v2": arrays})
    outcome = row_containment(many, many)
    assert outcome.tests[0].n == n
    assert all(len(table.table.rows) <= 1500 for table in outcome.found)


def test_layer_numbers_are_only_claims() -> None:
    one = measured("seed-1")
    tensors = tuple(dataclasses.replace(row, layer=row.layer and 10**15 * row.layer) for row in one.tensors)
    arrays = {_far(name): digests for name, digests in one.arrays["row-digests/v2"].items()}
    far = dataclasses.replace(one, tensors=tensors, arrays={"row-digests/v2": arrays})
    assert row_containment(far, one).tests[0].n == 29


def _far(name: str) -> str:
    if not name.startswith("layers."):
        return name
    _, layer, rest = name.split(".", 2)
    return f"layers.{10**15 * int(layer)}.{rest}"
