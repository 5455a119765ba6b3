"""PyTorch files: where tensors lie, what is left out and said, what is refused; and nothing of a pickle ever runs."""

import io
import pickle
import struct
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch_files import (
    Made,
    Name,
    Part,
    Raw,
    Stored,
    archive,
    ordered,
    parameter,
    pickled,
    rebuilt,
    storage,
    tensor_of,
    zipped,
)

from attest.checkpoint import Checkpoint, open_checkpoint, torch_tensors
from attest.errors import AttestError, CheckpointError, DocumentError, UnsafeFormatError
from attest.sweep import sweep

EIGHT = np.arange(8, dtype=np.float32)
F32 = storage("FloatStorage", "0", 8)
DATA = {"0": EIGHT.tobytes()}
SYSTEM = Name("posix", "system")


def opened(folder: Path, value: Any, storages: Mapping[str, bytes] = DATA, **others: bytes) -> Checkpoint:
    (folder / "model.pt").write_bytes(archive(value, storages, **others))
    return open_checkpoint(folder)


def refusal(folder: Path, value: Any, storages: Mapping[str, bytes] = DATA, **others: bytes) -> AttestError:
    with pytest.raises(AttestError) as caught:
        opened(folder, value, storages, **others)
    assert (caught.value.exit_code, caught.value.where) == (3, "model.pt")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500
    return caught.value


def values(checkpoint: Checkpoint) -> dict[str, list[Any]]:
    return {one.name: checkpoint.read_bits(one).tolist() for one in checkpoint.tensors}


def findings(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    return [(one.code, one.text) for one in checkpoint.findings]


ONE = rebuilt(F32, (8,))

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


def _armed(marker: Path) -> Mapping[str, Any]:
    """Values whose pickles make a file when they are loaded."""
    call = Made(Name("pathlib", "Path.touch"), (Made(Name("pathlib", "PosixPath"), (str(marker),)),))
    emitted = pickled(call)[2:-1]
    return {
        "instead of a tensor": call,
        "beside a tensor": {"a": ONE, "evil": call},
        "as a state": {"a": ONE, "evil": Made(Name("argparse", "Namespace"), (), {}, {"x": call})},
        "as an argument": {"a": ONE, "evil": Made(Name("builtins", "list"), ([call],))},
        "as a key": Raw(b"}" + emitted + b"Ns"),
        "thrown away": Raw(emitted + b"0" + pickled({"a": ONE})[2:-1]),
        "in a name of the state_dict": Made(Name("collections", "OrderedDict"), (), {"a": ONE}, {"_metadata": call}),
    }


@pytest.mark.parametrize("case", _armed(Path()))
def test_nothing_of_a_malicious_pickle_runs(tmp_path: Path, case: str):
    marker = tmp_path / "marker"
    value = _armed(marker)[case]
    error = refusal(tmp_path, value)
    assert (type(error), error.code) == (UnsafeFormatError, "unsafe-global")
    assert "pathlib.Path.touch" in error.message
    assert not marker.exists()


def test_the_malicious_pickles_are_armed(tmp_path: Path):
    marker = tmp_path / "marker"
    loaded = pickle.loads(pickled(Made(Name("pathlib", "PosixPath"), (str(marker),))))  # noqa: S301 - made here
    assert loaded == marker
    code = b"\x80\x04\x8c\x07pathlib\x8c\x0aPath.touch\x93" + pickled(loaded and Made(Name("pathlib", "PosixPath"), (str(marker),)))[2:-1]  # fmt: skip
    pickle.loads(code + b"\x85R.")  # noqa: S301 - made here
    assert marker.exists()


HANDED_ON: dict[str, Any] = {
    "a function to a rebuilder": Made(Name("torch._tensor", "_rebuild_from_type_v2"), (SYSTEM, Name("torch", "Tensor"), ("x",), None)),
    "a class to a rebuilder": Made(
        Name("torch._tensor", "_rebuild_from_type_v2"),
        (Name("torch._utils", "_rebuild_tensor_v2"), Name("evil", "Tensor"), ONE.arguments, None),
    ),
    "a rebuilder to a rebuilder": Made(
        Name("torch._tensor", "_rebuild_from_type_v2"),
        (Name("torch._tensor", "_rebuild_from_type_v2"), Name("torch", "Tensor"), (SYSTEM, SYSTEM, ("x",), None), None),
    ),
    "no argument to a rebuilder": Made(Name("torch._tensor", "_rebuild_from_type_v2"), ()),
    "a default factory": Made(Name("collections", "defaultdict"), (SYSTEM,)),
    "a class to a reconstructor": Made(Name("copyreg", "_reconstructor"), (Name("evil", "Class"), Name("builtins", "object"), None)),
    "a class to numpy": Made(Name("numpy.core.multiarray", "_reconstruct"), (Name("evil", "Array"), (0,), b"b")),
    "what was made": Made(Made(Name("collections", "OrderedDict"), ()), ("x",)),
    "a number": Made(7, ("x",)),
    "a look-up": Made(Name("builtins", "getattr"), (Name("os", "path"), "join")),
    "an import": Made(Name("builtins", "__import__"), ("os",)),
    "Python 2's name": Made(Name("__builtin__", "eval"), ("1",)),
    "a function of torch": Made(Name("torch", "load"), ("x",)),
    "a function of torch's that runs others": Made(Name("torch._utils", "_rebuild_wrapper_subclass"), (SYSTEM,)),
}  # fmt: skip


@pytest.mark.parametrize("value", HANDED_ON.values(), ids=HANDED_ON)
def test_calls_by_detours_are_refused(tmp_path: Path, value: Any):
    error = refusal(tmp_path, {"a": ONE, "evil": value})
    assert (type(error), error.code) == (UnsafeFormatError, "unsafe-global")


def test_many_unknown_calls_are_counted(tmp_path: Path):
    value = [Made(Name("evil\x1b[2J", f"call{number}"), ()) for number in range(1000)]
    error = refusal(tmp_path, value)
    assert "evil\\x1b[2J.call0" in error.message
    assert "and 995 more" in error.message


MALFORMED: dict[str, Any] = {
    "a tensor that is changed by a state": Made(Name("torch._utils", "_rebuild_tensor_v2"), ONE.arguments, {}, (F32, 0, (8,), (1,))),
    "a tensor that is changed by an item": Made(Name("torch._utils", "_rebuild_tensor_v2"), ONE.arguments, {0: 1.0}),
    "a parameter that is changed": Made(Name("torch._utils", "_rebuild_parameter"), (ONE, True, None), {}, {"data": 1}),
    "a parameter of a number": Made(Name("torch._utils", "_rebuild_parameter"), (7, True, None)),
    "a parameter of a dictionary": parameter(ordered({})),
    "a parameter of nothing": Made(Name("torch._utils", "_rebuild_parameter"), ()),
    "parameters in parameters": parameter(parameter(parameter(parameter(parameter(parameter(ONE)))))),
    "no arguments": Made(Name("torch._utils", "_rebuild_tensor_v2"), ()),
    "no storage": rebuilt(None, (8,)),
    "a storage that is not there": rebuilt(storage("FloatStorage", "1", 8), (8,)),
    "a storage that leads out": rebuilt(storage("FloatStorage", "../data.pkl", 8), (8,)),
    "a storage of another size": rebuilt(storage("FloatStorage", "0", 9), (8,)),
    "a storage of another type": rebuilt(storage("DoubleStorage", "0", 8), (4,)),
    "a storage of bytes of another size": rebuilt(storage("storage.UntypedStorage", "0", 8), (8,), dtype="float32"),
    "a storage of true": rebuilt(Stored(("storage", Name("torch", "FloatStorage"), "0", "cpu", True)), (8,)),
    "a storage by a number": rebuilt(Stored(7), (8,)),
    "a storage of something else": rebuilt(Stored(("module", Name("torch", "FloatStorage"), "0", "cpu", 8)), (8,)),
    "a view of a storage": rebuilt(
        Stored(("storage", Name("torch", "FloatStorage"), "0", "cpu", 8, ("view", 0, 4))), (4,)
    ),
    "more values than the storage": rebuilt(F32, (9,)),
    "values behind the end": rebuilt(F32, (1,), offset=8),
    "values far behind the end": rebuilt(F32, (1,), offset=2**52),
    "strides behind the end": rebuilt(F32, (2, 4), stride=(5, 1)),
    "sizes of 2**104": rebuilt(F32, (2**52, 2**52), stride=(1, 1)),
    "negative offset": rebuilt(F32, (1,), offset=-1),
    "negative size": rebuilt(F32, (-1,), stride=(1,)),
    "negative stride": rebuilt(F32, (8,), stride=(-1,)),
    "size of 2**53": rebuilt(F32, (2**53,), stride=(0,)),
    "size true": rebuilt(F32, (True,), stride=(1,)),
    "size a float": rebuilt(F32, (8.0,), stride=(1,)),
    "offset a text": rebuilt(F32, (8,), offset="0"),
    "65 dimensions": rebuilt(F32, (1,) * 65),
    "fewer strides than sizes": rebuilt(F32, (8,), stride=()),
    "a dictionary of numbers": Made(Name("collections", "OrderedDict"), ([7],)),
    "a key twice": Raw(b"}(X\x01\0\0\0aNX\x01\0\0\0aNu"),
    "a number and its text as keys": {1: None, "1": None},
    "itself": Raw(b"]q\x63h\x63a"),
    "itself twice, and again": Raw(b"]q\x63(h\x63h\x63e"),
    "deep nesting": Raw(b"]" * 100 + b"a" * 99),
}  # fmt: skip


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_what_contradicts_itself_is_refused(tmp_path: Path, value: Any):
    error = refusal(tmp_path, {"a": value})
    assert (type(error), error.code) == (CheckpointError, "bad-pickle")


def test_a_bomb_of_lists_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Thirty lists, each of which holds the one before twice: 2**30 values in a few hundred bytes."""
    code = b"]q\x00" + b"".join(
        b"]q" + bytes([n]) + b"(h" + bytes([n - 1]) + b"h" + bytes([n - 1]) + b"e" for n in range(1, 31)
    )
    monkeypatch.setattr(torch_tensors, "_MAX_VALUES", 100_000)
    value = Raw(code + b"\x86" * 29 + b"\x86")
    assert refusal(tmp_path, {"a": value}).code == "bad-pickle"


@pytest.mark.parametrize(
    ("name", "code"),
    [("", "unsafe-name"), ("a\nb", "unsafe-name"), ("\x1b[2J", "unsafe-name"), ("\u202e", "unsafe-name"),
     ("\ud800", "unsafe-name"), ("x" * 1025, "unsafe-name"), ("x" * 2_000_000, "unsafe-name")],
    ids=["empty", "newline", "escape", "direction", "surrogate", "long", "very long"],
)  # fmt: skip
def test_names_that_cannot_be_signed_are_refused(tmp_path: Path, name: str, code: str):
    assert refusal(tmp_path, {name: ONE}).code == code
    assert set(values(opened(tmp_path, {"a": ONE, name: [None]}))) == {"a"}


def test_two_ways_to_one_name_are_refused(tmp_path: Path):
    error = refusal(
        tmp_path, {"a": {"b": ONE}, "a.b": rebuilt(storage("FloatStorage", "1", 8), (8,))}, DATA | {"1": DATA["0"]}
    )
    assert error.code == "duplicate-tensor"


def test_a_very_long_way_stays_short(tmp_path: Path):
    """Names of ways of 4 MB would fill the memory; a tensor at the end of one is refused or counted."""
    value: Any = ONE
    for _ in range(40):
        value = {"k" * 100_000: value}
    checkpoint = opened(tmp_path, value)
    assert values(checkpoint) == {}
    assert [code for code, _ in findings(checkpoint)] == ["tensor-not-read"]


def test_other_entries_do_not_matter(tmp_path: Path):
    others = {".format_version": b"1", ".data/serialization_id": b"7" * 40, "data/unused": b"abc"}
    assert set(values(opened(tmp_path, {"a": ONE}, **others))) == {"a"}


def test_big_endian_values_are_refused(tmp_path: Path):
    assert refusal(tmp_path, {"a": ONE}, byteorder=b"big").code == "big-endian"
    assert refusal(tmp_path, {"a": ONE}, byteorder=b"").code == "bad-archive"


ARCHIVES: dict[str, tuple[list[Part], str]] = {
    "TorchScript": ([Part(name="m/data.pkl", data=b"N."), Part(name="m/constants.pkl", data=b")."), Part(name="m/code/a.py", data=b"")], "unsafe-format"),
    "TorchScript without constants": ([Part(name="m/data.pkl", data=b"N."), Part(name="m/code/__torch__.py", data=b"")], "unsafe-format"),
    "two roots": ([Part(name="m/data.pkl", data=b"N."), Part(name="n/data.pkl", data=b"N.")], "not-pytorch"),
    "no root": ([Part(name="data.pkl", data=b"N.")], "not-pytorch"),
    "no pickle": ([Part(name="m/data/0", data=b"1234")], "not-pytorch"),
    "an empty pickle": ([Part(name="m/data.pkl", data=b"")], "bad-archive"),
    "a pickle with another CRC": ([Part(name="m/data.pkl", data=b"N.", crc=1)], "bad-archive"),
    "compressed": ([Part(name="m/data.pkl", data=b"N."), Part(name="m/data/0", data=b"\x03\0", method=8)], "bad-archive"),
    "TorchScript with compressed code": ([Part(name="m/data.pkl", data=b"N."), Part(name="m/code/a.py", data=b"\x03\0", method=8)], "unsafe-format"),
    "NumPy arrays": ([Part(name="a.npy", data=b"\x93NUMPY"), Part(name="b.npy", data=b"\x93NUMPY")], "not-pytorch"),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "code"), ARCHIVES.values(), ids=ARCHIVES)
def test_other_archives_are_refused(tmp_path: Path, parts: list[Part], code: str):
    (tmp_path / "model.pt").write_bytes(zipped(parts))
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path)
    assert (caught.value.code, caught.value.where) == (code, "model.pt")


def test_an_archive_with_something_in_front_is_refused(tmp_path: Path):
    """Which of two files it is depends on who reads it."""
    data = archive({"a": ONE}, DATA)
    header = struct.pack("<Q", 2) + b"{}"
    for front in (b"PK\3\4" + bytes(60), header):
        (tmp_path / "model.pt").write_bytes(front + data)
        with pytest.raises(CheckpointError) as caught:
            open_checkpoint(tmp_path)
        assert caught.value.code in {"bad-archive", "unsafe-format"}


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as written:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            written.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


UNREAD: dict[str, tuple[str, bytes, str]] = {
    "legacy": ("model.pt", pickled(0x1950A86A20F9469CFC6C) + pickled(1001) + pickled({"a": Made(SYSTEM, ("x",))}), "posix.system"),
    "legacy, of protocol 0": ("model.pth", b"cposix\nsystem\n(S'true'\ntR.", "posix.system"),
    "legacy, in the usual place": ("pytorch_model.bin", pickled(Name("evil", "x")), "evil.x"),
    "tar": ("model.pt", _tar(), "tar archive"),
    "joblib": ("model.joblib", pickled(Name("sklearn.svm", "SVC")), "sklearn.svm.SVC"),
    "pickle": ("model.pkl", pickled(Name("evil", "x\x1b[2J")), "evil.x\\x1b[2J"),
    "pickle of many names": ("model.pickle", pickled([Name("m", f"n{n}") for n in range(50)]), "m.n4 and 45 more"),
    "NeMo": ("model.nemo", _tar(), "tar archive of pickles"),
    "TorchServe": ("model.mar", b"PK\3\4", "TorchServe"),
    "Keras": ("model.keras", b"PK\3\4", "Keras"),
    "HDF5": ("model.h5", b"\x89HDF\r\n", "Keras"),
    "distributed": (".metadata", pickled(Name("torch.distributed.checkpoint.metadata", "Metadata")), "distributed checkpoint"),
    "distributed, one part": ("__0_0.distcp", b"PK\3\4", "distributed checkpoint"),
    "text": ("model.pt", b"version https://git-lfs.github.com/spec/v1\n", "is not a zip archive"),
    "nothing": ("model.pt", b"", ""),
}  # fmt: skip


@pytest.mark.parametrize(("name", "data", "words"), UNREAD.values(), ids=UNREAD)
def test_formats_that_are_not_loaded(tmp_path: Path, name: str, data: bytes, words: str):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnsafeFormatError) as caught:
        open_checkpoint(tmp_path)
    assert (caught.value.code, caught.value.where) == ("unsafe-format", name)
    assert words in caught.value.message
    assert "safetensors" in caught.value.fix


def test_names_that_only_look_like_one_that_is_refused(tmp_path: Path):
    (tmp_path / "model.safetensors.metadata").write_text("downloaded")
    with pytest.raises(AttestError) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.code == "unknown-format"


def test_what_lies_beside_weights_in_the_same_format(tmp_path: Path):
    """A trainer's folder: the network, and what goes on training it."""
    (tmp_path / "model.pt").write_bytes(archive({"a": ONE}, DATA))
    for name in ("optimizer.pt", "training_args.bin", "rng_state.pth", "scheduler.pt"):
        (tmp_path / name).write_bytes(archive({"b": ONE}, DATA))
    checkpoint = open_checkpoint(tmp_path)
    assert set(values(checkpoint)) == {"a"}
    assert {(one.code, one.path) for one in checkpoint.findings} == {
        ("unsafe-file", name) for name in ("optimizer.pt", "training_args.bin", "rng_state.pth", "scheduler.pt")
    }
    assert set(values(open_checkpoint(tmp_path / "optimizer.pt"))) == {"b"}


def test_shards_need_what_their_index_names(tmp_path: Path):
    (tmp_path / "x-1.bin").write_bytes(archive({"a": ONE}, DATA))
    (tmp_path / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "x-1.bin", "b": "x-1.bin"}}')
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.code == "missing-tensor"
    (tmp_path / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "x-1.bin", "a": "x-1.bin"}}')
    with pytest.raises(DocumentError):
        open_checkpoint(tmp_path)


def test_parts_of_a_model_keep_their_parts(tmp_path: Path):
    for part in ("00", "01"):
        (tmp_path / f"consolidated.{part}.pth").write_bytes(archive({"layers.0.wq": ONE}, DATA))
    checkpoint = open_checkpoint(tmp_path)
    assert set(values(checkpoint)) == {"consolidated.00.layers.0.wq", "consolidated.01.layers.0.wq"}
    assert [code for code, _ in findings(checkpoint)] == ["tensor-parts", "tensor-parts"]
    (tmp_path / "consolidated.01.pth").unlink()
    assert set(values(open_checkpoint(tmp_path))) == {"layers.0.wq"}


def test_a_file_that_changes_is_noticed(tmp_path: Path):
    """What was parsed must be what the sweep sees, wherever in the file it is."""
    checkpoint = opened(tmp_path, {"a": ONE})
    path, before = tmp_path / "model.pt", (tmp_path / "model.pt").read_bytes()
    status = path.stat()
    tensor = checkpoint.tensors[0]
    for position in (10, before.index(b"FloatStorage"), tensor.begin - 1, tensor.end + 1, len(before) - 30):
        altered = bytearray(before)
        altered[position] ^= 1
        path.write_bytes(altered)
        with pytest.raises(CheckpointError) as caught:
            sweep(checkpoint, lambda _: {})
        assert caught.value.code == "file-changed"
    assert status.st_size == len(before)


SMALL = st.integers(-1, 9)
NUMBERS = st.lists(SMALL, max_size=3).map(tuple)
TENSORS = st.builds(
    lambda shape, stride, offset, key, count: rebuilt(storage("FloatStorage", key, count), shape, stride=stride, offset=offset),
    NUMBERS, NUMBERS, SMALL, st.sampled_from(["0", "1", "2"]), st.sampled_from([8, 4]),
)  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(TENSORS, st.none(), st.integers(), st.text(max_size=3), st.just(F32), st.just(Name("torch", "Size"))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=3) | st.integers(0, 3), inner, max_size=4),
        st.builds(
            Made,
            st.sampled_from(
                [Name("torch._utils", "_rebuild_tensor_v2"), Name("torch._utils", "_rebuild_parameter"),
                 Name("collections", "OrderedDict"), Name("torch", "Size"), Name("argparse", "Namespace"),
                 Name("torch._tensor", "_rebuild_from_type_v2")]
            ),
            st.lists(inner, max_size=5).map(tuple),
        ),
    ),
    max_leaves=12,
)  # fmt: skip


@given(ANYTHING)
def test_any_program_gives_tensors_or_one_error(tmp_path_factory: pytest.TempPathFactory, value: Any):
    folder = tmp_path_factory.mktemp("drawn", numbered=True)
    try:
        checkpoint = opened(folder, value, {"0": bytes(32), "1": bytes(16)})
        read = sweep(checkpoint, lambda _: {})
    except CheckpointError:
        return
    assert set(read.tensors) == {one.name for one in checkpoint.tensors}
    for tensor in checkpoint.tensors:
        assert tensor.end - tensor.begin == 4 * tensor.size


@given(st.data())
def test_an_altered_pickle_gives_tensors_or_one_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    folder = tmp_path_factory.mktemp("altered", numbered=True)
    code = bytearray(pickled({"a": ONE, "b": parameter(rebuilt(F32, (2, 4)))}))
    for _ in range(data.draw(st.integers(1, 3))):
        code[data.draw(st.integers(0, len(code) - 1))] = data.draw(st.integers(0, 255))
    try:
        checkpoint = opened(folder, bytes(code))
    except CheckpointError:
        return
    assert all(tensor.end - tensor.begin <= 32 for tensor in checkpoint.tensors if tensor.dtype == "F32")


WRITERS: dict[str, Callable[[Any], Any]] = {"as it is": lambda made: made, "as a parameter": parameter}


@pytest.mark.parametrize("wrap", WRITERS.values(), ids=WRITERS)
def test_the_writer_of_these_tests_writes_every_dtype(tmp_path: Path, wrap: Callable[[Any], Any]):
    made = {"f8": wrap(tensor_of("F8_E4M3", np.arange(4, dtype=np.uint8), "0"))}
    checkpoint = opened(tmp_path, made, {"0": bytes(range(4))})
    assert (checkpoint.tensors[0].dtype, values(checkpoint)) == ("F8_E4M3", {"f8": [0, 1, 2, 3]})
