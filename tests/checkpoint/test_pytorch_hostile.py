"""Hostile PyTorch files: nothing of a pickle ever runs, and what contradicts itself is refused."""

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opened_torch import DATA, F32, ONE, SYSTEM, findings, opened, refusal, values
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
    zipped,
)

from attest.checkpoint import open_checkpoint, torch_tensors
from attest.errors import CheckpointError, UnsafeFormatError
from attest.sweep import sweep


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
