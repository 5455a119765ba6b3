"""Pickles as programs: what they would make is written down, and nothing of it is made."""

import collections
import faulthandler
import pickle
import pickletools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from torch_files import Made, Name, Raw, Stored, pickled

from attest.checkpoint import pickled as pickled_module
from attest.checkpoint.pickled import Call, Global, Pairs, Program, Reference, list_globals, run_pickle
from attest.errors import CheckpointError


def run(data: bytes) -> Program:
    return run_pickle(data, file="f.pt")


def refusal(data: bytes) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        run(data)
    assert (caught.value.code, caught.value.where) == ("bad-pickle", "f.pt")
    return caught.value


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """End the process where something hangs."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def plain(value: Any) -> Any:
    """A value of the machine as Python would have made it."""
    if isinstance(value, Pairs):
        return {plain(key): plain(item) for key, item in value}
    if isinstance(value, list | tuple):
        return type(value)(plain(item) for item in value)
    if isinstance(value, Call) and str(value.function) in {"builtins.set", "builtins.frozenset"}:
        kind = frozenset if str(value.function) == "builtins.frozenset" else set
        return kind(plain(item) for item in (value.changes or (value.arguments or ((),))[0]))
    if isinstance(value, Call) and str(value.function) == "collections.OrderedDict":
        return collections.OrderedDict(plain(value.pairs))
    return value


SIMPLE = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text() | st.binary()
KEYS = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
VALUES = st.recursive(
    SIMPLE | st.sets(KEYS) | st.frozensets(KEYS),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner)
        | st.dictionaries(st.text(), inner).map(collections.OrderedDict)
    ),
    max_leaves=20,
)


@given(VALUES, st.integers(3, 5))
def test_data_is_what_pickle_makes_of_it(value: Any, protocol: int):
    assert plain(run(pickle.dumps(value, protocol)).value) == value


@given(st.lists(st.text()), st.dictionaries(st.text(), st.floats(allow_nan=False)))
def test_data_of_protocol_2(texts: list[str], numbers: dict[str, float]):
    value = (texts, numbers, texts)
    found = run(pickle.dumps(value, 2)).value
    assert plain(found) == value
    assert found[0] is found[2]


def test_a_call_is_written_down():
    program = run(
        pickled([Made(Name("posix", "system"), ("true",), {"key": 1}, {"state": 2}), Stored(("storage", "0"))])
    )
    call, reference = program.value
    assert (str(call.function), call.arguments, call.pairs) == ("posix.system", ("true",), [("key", 1)])
    assert call.changes == [[("state", 2)]]
    assert isinstance(reference, Reference)
    assert reference.id == ("storage", "0")
    assert list(map(str, program.globals)) == ["posix.system"]
    assert program.calls == (call,)


class Touch:
    """A pickle of it makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


WAYS: dict[str, Callable[[str], bytes]] = {
    "REDUCE": lambda path: b"cbuiltins\nopen\n(X" + text(path) + b"X" + text("w") + b"tR.",
    "REDUCE of a name on the stack": lambda path: (
        b"\x8c\x08builtins\x8c\x04open\x93(X" + text(path) + b"X" + text("w") + b"tR."
    ),
    "OBJ": lambda path: b"(cbuiltins\nopen\nX" + text(path) + b"X" + text("w") + b"o.",
    "INST": lambda path: b"(X" + text(path) + b"X" + text("w") + b"ibuiltins\nopen\n.",
    "a path to the function": lambda path: (
        b"\x80\x04\x8c\x02os\x8c\x0epath.os.system\x93X" + text(f"touch '{path}'") + b"\x85R."
    ),
    "thrown away": lambda path: b"cbuiltins\nopen\n(X" + text(path) + b"X" + text("w") + b"tR0N.",
    "in a memo only": lambda path: b"cbuiltins\nopen\nq\x00(X" + text(path) + b"X" + text("w") + b"tRq\x010N.",
}


def text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(4, "little") + raw


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_runs(way: Callable[[str], bytes], tmp_path: Path):
    marker = tmp_path / "marker"
    data = way(str(marker))
    loaded = set(sys.modules)
    program = run(data)
    assert program.calls
    assert {str(one) for one in program.globals} <= {"builtins.open", "os.path.os.system"}
    assert not marker.exists()
    assert set(sys.modules) == loaded
    pickle.loads(data)  # noqa: S301 - shows that the pickle is armed
    assert marker.exists()


def test_nothing_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "armed_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    data = b"carmed_module\nanything\n."
    assert str(run(data).value) == "armed_module.anything"
    with pytest.raises(SystemExit):
        pickle.loads(data)  # noqa: S301 - shows that the pickle is armed


REFUSED = {
    "empty": b"",
    "no end": b"N",
    "nothing on the stack": b".",
    "two values": b"NN.",
    "an open mark": b"(N.",
    "bytes behind": b"N.N.",
    "pop from nothing": b"0.",
    "pop below a mark": b"N(0.",
    "tuple without a mark": b"Nt.",
    "memo that was not set": b"h\x00.",
    "long memo that was not set": b"j\xff\xff\xff\xff.",
    "call without arguments": b"cos\nsystem\nR.",
    "call of no tuple": b"cos\nsystem\n]R.",
    "instance of nothing": b"(o.",
    "item of a number": b"K\x01K\x02K\x03s.",
    "item of a tuple": b")K\x02K\x03s.",
    "append to a number": b"K\x01K\x02a.",
    "append to a dictionary": b"}K\x02a.",
    "odd number of items": b"}(K\x01u.",
    "state of a class": b"ccollections\nOrderedDict\n}b.",
    "state of a list": b"]}b.",
    "name of numbers": b"K\x01K\x02\x93.",
    "name without an end": b"cos\nsystem",
    "name that is not UTF-8": b"c\xff\nsystem\n.",
    "text that is not UTF-8": b"X\x01\x00\x00\x00\xff.",
    "text longer than the pickle": b"X\xff\xff\xff\xffa.",
    "text of 2**64 - 1 bytes": b"\x8d" + b"\xff" * 8 + b".",
    "bytes of 2**63 bytes": b"\x8e" + b"\x00" * 7 + b"\x80.",
    "byte array of 2**40 bytes": b"\x96" + b"\x00" * 5 + b"\x01\x00\x00.",
    "number cut short": b"J\x01.",
    "long integer of 2**31 bytes": b"\x8b\xff\xff\xff\x7f.",
    "extension": b"\x82\x01.",
    "buffer": b"\x97.",
    "text opcodes": b"I1\n.",
    "text of protocol 0": b"S'a'\n.",
    "Python expression": b"Vos.system\n.",
    "persistent id as text": b"P0\n.",
    "unknown opcode": b"\xff.",
    "zip archive": b"PK\3\4",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_malformed_pickles_are_refused(data: bytes):
    error = refusal(data)
    assert "\n" not in str(error)
    assert len(str(error)) < 500


def test_values_hold_themselves():
    found = run(b"]q\x00h\x00a.").value
    assert found[0] is found


def test_a_pickle_of_many_steps_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pickled_module, "MAX_STEPS", 10)
    run(b"N0" * 4 + b"N.")
    assert "10 steps" in refusal(b"N0" * 5 + b"N.").message


def test_a_long_pickle_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pickled_module, "MAX_PICKLE", 10)
    refusal(b"N" * 9 + b"00")


def test_deep_nesting_costs_nothing():
    with at_most(60):
        depth = 300_000
        found = run(b"]" * 1 + b"\x85" * depth + b".").value
        while found:
            (found,) = found
            depth -= 1
        assert depth == 0
        run(b"]" * depth + b"]" + b"a" * depth + b".")


def test_a_global_is_shown_as_it_is_and_not_obeyed():
    assert str(Global("a\x1b[2J", "b\u202ec" + "x" * 1000)).startswith("a\\x1b[2J.b\\u202ecxxx")
    assert len(str(Global("a" * 10_000, "b"))) == 200


LEGACY = {
    "several pickles and then data": (
        pickled(1) + pickled(Made(Name("posix", "system"), ("true",))) + pickled(Name("os", "x")) + b"\x00data",
        ["posix.system", "os.x"],
    ),
    "cut short": (b"\x80\x02cposix\nsystem\nX\xff\xff", ["posix.system"]),
    "protocol 0": (b"cposix\nsystem\n(S'true'\ntR.", ["posix.system"]),
    "no pickle": (b"GGUF", []),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("data", "names"), LEGACY.values(), ids=LEGACY)
def test_globals_of_what_is_not_read_further(data: bytes, names: list[str]):
    assert list(map(str, list_globals(data))) == names


def test_many_tiny_pickles_are_not_all_looked_at():
    with at_most(60):
        assert list(list_globals(b"N." * 500_000)) == []


OPCODES = st.sampled_from([one.code.encode("latin-1") for one in pickletools.opcodes])
PIECES = st.one_of(
    OPCODES,
    st.binary(max_size=6),
    st.sampled_from([b"cos\nsystem\n", b"X\x01\x00\x00\x00a", b"q\x00", b"h\x00", b"K\x01", b"(", b")", b"]", b"}"]),
    st.builds(lambda code: pickled(Raw(code)), st.binary(max_size=4)),
)


@example([b"\x80\x05", b"\x95", b"\xff" * 8, b"N", b"."])
@given(st.lists(PIECES, max_size=40))
def test_any_bytes_give_a_program_or_one_error(pieces: list[bytes]):
    data = b"".join(pieces)
    try:
        program = run(data)
    except CheckpointError as error:
        assert error.code == "bad-pickle"  # noqa: PT017 - both outcomes are good
    else:
        assert len(program.calls) + len(program.globals) <= len(data)
    assert len(list(list_globals(data))) <= len(data)
