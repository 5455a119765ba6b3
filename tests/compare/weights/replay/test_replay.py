"""Tensors made again out of a parent, bit for bit; and what must not be taken for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare.derived import LAYERS, Values, bf16, layer_name, random_model, read_family, write
from compare.pairs import measured_at
from numpy.typing import NDArray
from other_containers import GGUF_TYPES, Raw, gguf_file

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.outcome import Outcome
from attest.compare.weights import replay
from attest.compare.weights.replay import exact_replay, matrix
from attest.compare.weights.replay.operation import Operation
from attest.demo.weights import family

UP = layer_name(1, "mlp.up_proj")  # 256 x 96


def replayed(a: Path, b: Path) -> Outcome:
    return exact_replay(
        measured_at(a), measured_at(b), (place_tensors(open_checkpoint(a)), place_tensors(open_checkpoint(b)))
    )


def lines(outcome: Outcome) -> dict[str, dict[str, str]]:
    """Lines of the table of tensors, by name of the child's tensor."""
    table = next(one.table for one in outcome.found if one.title.startswith("Tensors of"))
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the family's shapes in F32."""
    return write(tmp_path_factory.mktemp("parent") / "f32", random_model(11))


def child_of(parent: Path, tmp_path: Path, tensors: Values) -> dict[str, dict[str, str]]:
    """What is found of one child, which has other names."""
    return lines(replayed(parent, write(tmp_path / "child", tensors, config=False)))


def int8(values: NDArray[np.float32], axis: int | None) -> NDArray[np.int8]:
    largest = np.abs(values).max(axis=axis, keepdims=True)
    return np.rint(values / (largest / np.float32(127))).astype(np.int8)


CASTS: dict[str, tuple[Callable[[NDArray[Any]], NDArray[Any]], str]] = {
    "copy": (lambda values: values, "same values"),
    "bf16": (bf16, "BF16 of F32"),
    "f16": (lambda values: values.astype(np.float16), "F16 of F32"),
    "f64": (lambda values: values.astype(np.float64), "F64 of F32"),
    "int8-row": (lambda values: int8(values, 1), "int8 by row of F32"),
    "int8-column": (lambda values: int8(values, 0), "int8 by column of F32"),
    "int8-tensor": (lambda values: int8(values, None), "int8 by tensor of F32"),
}


def test_every_cast_and_quantization_is_found_without_names(parent: Path, tmp_path: Path) -> None:
    values = random_model(11)[UP]
    found = child_of(parent, tmp_path, {name: cast(values) for name, (cast, _) in CASTS.items()})
    for name, (_, operation) in CASTS.items():
        line = found[name]
        assert (line["made of"], line["operation"], line["lines"]) == (UP, operation, "all"), name
        assert (line["values"], line["of"], line["telling"]) == ("24576", "24576", "yes"), name


ORDER = np.random.default_rng(3).permutation(256)
COLUMNS = np.random.default_rng(4).permutation(96)
SELECTIONS: dict[str, tuple[Callable[[NDArray[Any]], NDArray[Any]], str, str]] = {
    "slice": (lambda values: values[40:240], "200 of its 256 rows", ""),
    "subset": (lambda values: values[::3], "86 of its 256 rows, in order", ""),
    "permuted": (lambda values: values[ORDER], "all rows, reordered", ""),
    "column slice": (lambda values: values[:, :80], "80 of its 96 columns", ""),
    "columns permuted": (lambda values: values[:, COLUMNS], "all columns, reordered", ""),
    "both permuted": (lambda values: values[ORDER][:, COLUMNS], "rows and columns reordered", ""),
    "transposed": (lambda values: values.T, "all", ", transposed"),
    "transposed subset": (lambda values: values[40:240].T, "200 of its 256 rows", ", transposed"),
    "transposed, both permuted": (
        lambda values: values[ORDER][:, COLUMNS].T, "rows and columns reordered", ", transposed",
    ),
    "twice": (lambda values: values[np.repeat(np.arange(256), 2)], "512 of its 256 rows, reordered", ""),
}  # fmt: skip


@pytest.mark.parametrize("cast", ["copy", "bf16", "int8-row"])
def test_every_selection_is_found_without_names(parent: Path, tmp_path: Path, cast: str) -> None:
    values = CASTS[cast][0](random_model(11)[UP])
    found = child_of(
        parent, tmp_path, {name: np.ascontiguousarray(select(values)) for name, (select, *_) in SELECTIONS.items()}
    )
    for name, (_, words, transposed) in SELECTIONS.items():
        line = found[name]
        assert (line["made of"], line["operation"]) == (UP, CASTS[cast][1] + transposed), name
        assert line["values"] == line["of"], name
        if name != "transposed subset":
            assert line["lines"] == words, name
        assert line["telling"] == "yes", name


def test_joined_tensors_are_taken_apart(parent: Path, tmp_path: Path) -> None:
    values = random_model(11)
    parts = {part: values[layer_name(2, f"self_attn.{part}_proj")] for part in "qkv"}
    gates = [values[layer_name(0, f"mlp.{part}_proj")] for part in ("gate", "up")]
    interleaved = np.stack(gates, axis=1).reshape(-1, 96)
    joined = {
        "qkv": np.concatenate(list(parts.values())),
        "qkv transposed": np.concatenate(list(parts.values())).T,
        "gate_up": interleaved,
        "experts": np.stack([values[layer_name(layer, "mlp.up_proj")] for layer in range(LAYERS)]),
        "flat": gates[0].reshape(64, -1),
    }
    found = child_of(parent, tmp_path, {name: bf16(np.ascontiguousarray(array)) for name, array in joined.items()})
    names = ", ".join(sorted(layer_name(2, f"self_attn.{part}_proj") for part in "qkv"))
    for name in ("qkv", "qkv transposed"):
        assert sorted(found[name]["made of"].split(", ")) == sorted(names.split(", "))
        assert found[name]["values"] == found[name]["of"]
    assert found["qkv"]["lines"] == "rows of 3 joined"
    assert found["gate_up"]["lines"] == "rows of 2 joined, in order"
    assert found["experts"]["lines"] == "rows of 4 joined"
    assert "flat" not in found, "another shape with other lines is not looked for"


def test_an_extended_vocabulary_is_told_from_what_was_added(parent: Path, tmp_path: Path) -> None:
    table = random_model(11)["model.embed_tokens.weight"]
    more = np.random.default_rng(1).standard_normal((44, 96)).astype(np.float32)
    line = child_of(parent, tmp_path, {"t": np.concatenate([table, more])})["t"]
    assert (line["lines"], line["values"], line["of"]) == ("256 of 300 rows", "24576", "28800")


def test_one_changed_bit_leaves_the_other_rows(parent: Path, tmp_path: Path) -> None:
    codes = bf16(random_model(11)[UP])
    codes[100, 5] ^= 1
    line = child_of(parent, tmp_path, {"t": codes})["t"]
    assert (line["lines"], line["values"]) == ("255 of 256 rows", str(255 * 96))


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "MXFP4"])
def test_blocks_of_ggml_are_made_again_and_read_again(parent: Path, tmp_path: Path, kind: str) -> None:
    """Rows of queries reordered, as converters do for rotary positions; then dequantized."""
    values = random_model(11)
    order = np.arange(96).reshape(2, 48).T.ravel()
    tensors = {"blk.0.attn_q.weight": values[layer_name(0, "self_attn.q_proj")][order], "up": values[UP]}
    operation = Operation(reads="F32", writes=kind)
    blocks = {name: operation.apply(one.view(np.uint32), np.empty((0, 0), np.float32)) for name, one in tensors.items()}
    raw = {name: Raw(GGUF_TYPES[kind], tensors[name].shape, one.tobytes()) for name, one in blocks.items()}
    file = tmp_path / "child.gguf"
    file.write_bytes(gguf_file(raw))
    found = lines(replayed(parent, file))
    assert found["up"]["operation"] == f"{kind} of F32"
    assert found["blk.0.attn_q.weight"]["lines"] == "all rows, reordered"
    assert {line["telling"] for line in found.values()} == {"yes"}
    again = {f"{name} again": Operation(reads=kind, writes="F16").apply(one, np.empty((0, 0), np.float32))
             for name, one in blocks.items()}  # fmt: skip
    write(tmp_path / "again", {name: one.view(np.float16) for name, one in again.items()}, config=False)
    found = lines(replayed(file, tmp_path / "again"))
    assert {line["operation"] for line in found.values()} == {f"{kind} as F16"}


@pytest.mark.parametrize("band", [4000, 20_000])
def test_bands_change_nothing(parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, band: int) -> None:
    values = bf16(random_model(11)[UP])
    write(tmp_path / "c", {name: np.ascontiguousarray(select(values)) for name, (select, *_) in SELECTIONS.items()})
    whole = replayed(parent, tmp_path / "c")
    monkeypatch.setattr(matrix, "BAND", band)
    monkeypatch.setattr(replay.remake, "BAND", band)
    assert replayed(parent, tmp_path / "c") == whole


def test_the_direction_that_explains_more_is_given(tmp_path: Path) -> None:
    write(tmp_path / "b", {name: bf16(one) for name, one in random_model(11).items()})
    write(tmp_path / "a", random_model(11))
    forth, back = replayed(tmp_path / "a", tmp_path / "b"), replayed(tmp_path / "b", tmp_path / "a")
    assert forth.tests[0].statistic == back.tests[0].statistic == 1.0
    assert forth.tests[0].n == back.tests[0].n == 29
    assert "tensors of b were made again out of a" in forth.tests[0].note
    assert "tensors of a were made again out of b" in back.tests[0].note


# What must not be taken for it.


@pytest.mark.parametrize("other", ["seed-2", "seed-3", "seed-1-continued"])
def test_models_that_were_trained_give_nothing(other: str) -> None:
    (test,) = replayed(family() / "seed-1", family() / other).tests
    assert (test.statistic, test.n) == (0, 0)


def test_formulas_and_constants_are_made_again_and_tell_nothing(tmp_path: Path) -> None:
    angles = np.arange(512)[:, None] / 10000 ** (np.arange(96) / 96)
    same: Values = {
        "model.embed_positions.weight": np.sin(angles).astype(np.float32),
        "model.rotary.ids": np.arange(8192),
        layer_name(0, "self_attn.q_proj"): np.eye(96, dtype=np.float32),
        layer_name(1, "mlp.up_proj"): np.ones((256, 96), np.float32),
        layer_name(2, "mlp.down_proj"): np.zeros((96, 256), np.float32),
    }
    for seed in (1, 2):
        write(tmp_path / str(seed), random_model(seed) | same)
    outcome = replayed(tmp_path / "1", tmp_path / "2")
    assert len(lines(outcome)) >= len(same)
    assert outcome.tests[0].n == 0


def test_tokens_that_were_never_trained_count_as_one(tmp_path: Path) -> None:
    a, b = random_model(1), random_model(2)
    for model, seed in ((a, 3), (b, 4)):
        model["lm_head.weight"] = np.random.default_rng(seed).standard_normal((256, 96)).astype(np.float32)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        b[name][-100:] = a[name][-100:]
    outcome = replayed(write(tmp_path / "a", a), write(tmp_path / "b", b))
    assert {line["telling"] for line in lines(outcome).values()} == {"yes"}
    assert len(lines(outcome)) == 2
    assert outcome.tests[0].n == 1


def test_long_names_are_cut(tmp_path: Path) -> None:
    name = "x" * 1000
    write(tmp_path / "a", {name: random_model(1)[UP]})
    (line,) = lines(replayed(tmp_path / "a", tmp_path / "a")).values()
    assert line["tensor"] == line["made of"] == "x" * 119 + "…"


def test_a_vector_in_another_order_tells_nothing(tmp_path: Path) -> None:
    """Of some thousand values of few codes, two networks may well have the same in some order."""
    many = {"x": np.sort(random_model(11)[UP].ravel())}
    write(tmp_path / "a", many)
    write(tmp_path / "b", {"y": many["x"][::-1].copy()})
    outcome = replayed(tmp_path / "a", tmp_path / "b")
    assert lines(outcome)["y"]["lines"] == "rows and columns reordered"
    assert outcome.tests[0].n == 0


def test_checkpoints_without_values_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a", {"x": np.zeros((0, 4), np.float32)})
    outcome = replayed(tmp_path / "a", family() / "seed-1")
    assert not outcome.tests
    assert outcome.not_compared[0].id == "exact-replay/v1"


def test_names_in_order_are_recovered_of_the_whole_family_in_int8(tmp_path: Path) -> None:
    names = {f"val_{number}_q": name for number, name in enumerate(read_family("seed-1"))}
    write(tmp_path / "a", read_family("seed-1"))
    write(
        tmp_path / "b",
        {
            alias: int8(values, -1).T.copy()
            for alias, name in names.items()
            if (values := read_family("seed-1")[name]).ndim > 1
        },
        config=False,
    )
    outcome = replayed(tmp_path / "a", tmp_path / "b")
    assert {alias: line["made of"] for alias, line in lines(outcome).items()}.items() <= names.items()
    assert outcome.tests[0].n == 29
    assert outcome.tests[0].statistic == 1.0
