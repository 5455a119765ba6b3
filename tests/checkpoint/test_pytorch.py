"""PyTorch files: where tensors lie, what is left out and said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opened_torch import DATA, EIGHT, F32, ONE, SYSTEM, findings, opened, values
from torch_files import (
    Made,
    Name,
    Raw,
    archive,
    ordered,
    parameter,
    pickled,
    rebuilt,
    storage,
    tensor_of,
)

from attest.checkpoint import open_checkpoint
from attest.sweep import sweep

PLACES: dict[str, tuple[Any, dict[str, list[Any]]]] = {
    "a state_dict": (ordered({"a.weight": ONE}), {"a.weight": EIGHT.tolist()}),
    "a dictionary": ({"a": ONE}, {"a": EIGHT.tolist()}),
    "a parameter": ({"a": parameter(ONE)}, {"a": EIGHT.tolist()}),
    "a wrapper keeps its name": ({"model": ordered({"a": ONE}), "epoch": 3}, {"model.a": EIGHT.tolist()}),
    "lists and tuples": ({"a": [None, (ONE,)]}, {"a.1.0": EIGHT.tolist()}),
    "a list": ([ONE], {"0": EIGHT.tolist()}),
    "keys that are numbers": ({"state": {7: {"exp_avg": ONE}}}, {"state.7.exp_avg": EIGHT.tolist()}),
    "a part of a storage": ({"a": rebuilt(F32, (2, 2), offset=3)}, {"a": [[3.0, 4.0], [5.0, 6.0]]}),
    "a scalar": ({"a": rebuilt(F32, (), offset=7)}, {"a": 7.0}),
    "no values": ({"a": rebuilt(F32, (0, 3))}, {"a": []}),
    "no values, any strides": ({"a": rebuilt(F32, (0, 3), stride=(9, 9))}, {"a": []}),
    "sizes of one, any strides": ({"a": rebuilt(F32, (1, 8, 1), stride=(5, 1, 3))}, {"a": [[[v] for v in EIGHT.tolist()]]}),
    "torch.Size": (
        {"a": Made(Name("torch._utils", "_rebuild_tensor_v2"), (F32, 0, Made(Name("torch", "Size"), ((8,),)), (1,), True, None))},
        {"a": EIGHT.tolist()},
    ),
    "the first form": ({"a": Made(Name("torch._utils", "_rebuild_tensor"), (F32, 0, (8,), (1,)))}, {"a": EIGHT.tolist()}),
    "a subclass": (
        {
            "a": Made(
                Name("torch._tensor", "_rebuild_from_type_v2"),
                (Name("torch._utils", "_rebuild_tensor_v2"), Name("torch.nn.parameter", "Parameter"), ONE.arguments, {"dim": 0}),
            )
        },
        {"a": EIGHT.tolist()},
    ),
    "a dictionary of pairs": (
        {"d": Made(Name("collections", "OrderedDict"), ([("a", ONE)],))}, {"d.a": EIGHT.tolist()},
    ),
    "a dictionary with a default": (
        {"d": Made(Name("collections", "defaultdict"), (Name("builtins", "dict"),), {"a": ONE})}, {"d.a": EIGHT.tolist()},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), PLACES.values(), ids=PLACES)
def test_tensors_are_named_by_their_way(tmp_path: Path, value: Any, expected: dict[str, list[Any]]):
    checkpoint = opened(tmp_path, value)
    assert (checkpoint.format, values(checkpoint), findings(checkpoint)) == ("pytorch", expected, [])


def test_the_name_of_the_file_changes_nothing_but_the_file(tmp_path: Path):
    found = []
    for stem in ("first", "second"):
        folder = tmp_path / stem
        folder.mkdir()
        (folder / f"{stem}.pt").write_bytes(archive({"a": ONE}, DATA, root=stem))
        found.append(sweep(open_checkpoint(folder), lambda _: {}))
    assert found[0].tensors == found[1].tensors
    assert found[0].files[0].sha256 != found[1].files[0].sha256


def test_tied_weights_are_two_tensors_of_the_same_bytes(tmp_path: Path):
    checkpoint = opened(tmp_path, ordered({"embed": ONE, "head": rebuilt(F32, (8,)), "again": parameter(ONE)}))
    assert len({(one.begin, one.end, one.dtype, one.shape) for one in checkpoint.tensors}) == 1
    results = sweep(checkpoint, lambda _: {}).tensors
    assert set(results) == {"embed", "head", "again"}
    assert len({one.digest for one in results.values()}) == 1


def test_a_storage_that_no_tensor_uses_is_hashed_and_no_tensor(tmp_path: Path):
    checkpoint = opened(tmp_path, {"a": ONE}, DATA | {"1": b"unused"})
    read = sweep(checkpoint, lambda _: {})
    assert list(read.tensors) == ["a"]
    assert sum(chunk.size for chunk in read.files[0].chunks) == (tmp_path / "model.pt").stat().st_size


LEFT_OUT: dict[str, tuple[Any, str]] = {
    "transposed": (rebuilt(F32, (2, 4), stride=(1, 2)), "a: its values do not lie in a row (shape (2, 4), strides (1, 2))"),
    "every second": (rebuilt(F32, (4,), stride=(2,)), "a: its values do not lie in a row (shape (4,), strides (2,))"),
    "stride 0": (
        rebuilt(F32, (1_000_000_000,), stride=(0,)),
        "a: its values do not lie in a row (shape (1000000000,), strides (0,))",
    ),
    "sparse": (Made(Name("torch._utils", "_rebuild_sparse_tensor"), (1, 2)), "a: is made by torch._utils._rebuild_sparse_tensor"),
    "quantized": (Made(Name("torch._utils", "_rebuild_qtensor"), (1,)), "a: is made by torch._utils._rebuild_qtensor"),
    "complex of 128 bits": (
        rebuilt(storage("ComplexDoubleStorage", "0", 2), (2,)), "a: its dtype is not known (torch.ComplexDoubleStorage)",
    ),
    "packed 4-bit floats": (
        rebuilt(storage("storage.UntypedStorage", "0", 32), (32,), dtype="float4_e2m1fn_x2"),
        "a: its dtype is not known (torch.float4_e2m1fn_x2)",
    ),
    "conjugated": (
        Made(Name("torch._utils", "_rebuild_tensor_v2"), (*ONE.arguments, {"conj": True})), "a: has metadata that can change its values",
    ),
    "a subclass with a tensor as state": (
        Made(
            Name("torch._tensor", "_rebuild_from_type_v2"),
            (Name("torch._utils", "_rebuild_tensor_v2"), Name("torch", "Tensor"), ONE.arguments, {"data": ONE}),
        ),
        "a: has a state",
    ),
    "in an object": (
        Made(Name("argparse", "Namespace"), (), {}, {"weight": ONE}),
        "1 tensors lie in other objects than dictionaries, lists and tuples, or in none",
    ),
    "thrown away": (
        Raw(pickled(ONE)[2:-1] + b"0N"), "1 tensors lie in other objects than dictionaries, lists and tuples, or in none",
    ),
    "under a key that is no word": ({1.5: ONE}, "1 tensors lie in other objects than dictionaries, lists and tuples, or in none"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "text"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_is_no_row_of_values_is_left_out_and_said(tmp_path: Path, value: Any, text: str):
    other = rebuilt(storage("FloatStorage", "1", 8), (8,))
    checkpoint = opened(tmp_path, {"a": value, "b": other}, DATA | {"1": DATA["0"]})
    assert values(checkpoint) == {"b": EIGHT.tolist()}
    assert findings(checkpoint)[0] == ("tensor-not-read", text)
    assert {code for code, _ in findings(checkpoint)} == {"tensor-not-read"}


def test_views_that_share_a_part_of_their_values(tmp_path: Path):
    checkpoint = opened(
        tmp_path,
        {
            "all": rebuilt(F32, (8,)),
            "flat": rebuilt(F32, (2, 4)),
            "inside": rebuilt(F32, (2,), offset=2),
            "none": rebuilt(F32, (0,), offset=4),
        },
    )
    assert [one.name for one in checkpoint.tensors] == ["all", "none"]
    assert findings(checkpoint) == [
        ("tensor-not-read", "flat: shares a part of its values with all"),
        ("tensor-not-read", "inside: shares a part of its values with all"),
    ]
    parts = {"q": rebuilt(F32, (4,)), "k": rebuilt(F32, (2,), offset=4), "v": rebuilt(F32, (2,), offset=6)}
    assert set(values(opened(tmp_path, parts))) == {"q", "k", "v"}


def test_globals_that_are_only_named_are_findings(tmp_path: Path):
    value = {
        "a": ONE,
        "loss": Name("torch.nn", "MSELoss"),
        "dtype": Name("torch", "bfloat16"),
        "evil": [SYSTEM, SYSTEM],
    }
    checkpoint = opened(tmp_path, value)
    assert set(values(checkpoint)) == {"a"}
    assert findings(checkpoint) == [("foreign-global", "torch.nn.MSELoss"), ("foreign-global", "posix.system")]


def test_what_trainers_keep_beside_weights_does_not_matter(tmp_path: Path):
    scalar = Made(
        Name("numpy._core.multiarray", "scalar"),
        (Made(Name("numpy", "dtype"), ("f8", False, True), {}, (3, "<", None, None, None, -1, -1, 0)), b"\0" * 8),
    )
    value = {
        "model": ordered({"a": ONE}),
        "args": Made(Name("argparse", "Namespace"), (), {}, {"lr": 0.1}),
        "best": scalar,
        "out": Made(Name("pathlib", "PosixPath"), ("/", "home")),
        "rng": (3, (1, 2, 3), None),
        "started": Made(Name("datetime", "datetime"), (b"\x07\xea\x01\x01\0\0\0\0\0\0",)),
    }
    checkpoint = opened(tmp_path, value)
    assert (set(values(checkpoint)), findings(checkpoint)) == ({"model.a"}, [])


WRITERS: dict[str, Callable[[Any], Any]] = {"as it is": lambda made: made, "as a parameter": parameter}


@pytest.mark.parametrize("wrap", WRITERS.values(), ids=WRITERS)
def test_the_writer_of_these_tests_writes_every_dtype(tmp_path: Path, wrap: Callable[[Any], Any]):
    made = {"f8": wrap(tensor_of("F8_E4M3", np.arange(4, dtype=np.uint8), "0"))}
    checkpoint = opened(tmp_path, made, {"0": bytes(range(4))})
    assert (checkpoint.tensors[0].dtype, values(checkpoint)) == ("F8_E4M3", {"f8": [0, 1, 2, 3]})
