"""Pickles, read as what they are: programs for a small machine.

Nothing is called and nothing is imported. Where a pickle would call a function the machine writes down that it would,
as a ``Call`` in the place of its result; what that means is for the reader of one format to say.

References
----------
Python, Lib/pickletools.py, which describes the opcodes; PEP 307, PEP 3154, PEP 574.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn, TypeAlias

from attest.errors import CheckpointError
from attest.terminal import visible

__all__ = ["MAX_PICKLE", "MAX_STEPS", "Call", "Global", "Pairs", "Program", "Reference", "list_globals", "run_pickle"]

MAX_PICKLE = 64 * 1024 * 1024
"""Largest pickle in bytes."""

MAX_STEPS = 4_000_000
"""Most steps of one pickle: enough for 150,000 tensors."""


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A function or class by name; it was not looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return visible(f"{self.module}.{self.name}"[:200])


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Something that lies outside of the pickle, by its persistent id."""

    id: Any


class Pairs(list[tuple[Any, Any]]):
    """Keys and values of a dictionary, in the order in which they were set; a key can occur twice."""

    __slots__ = ()


@dataclass(slots=True, eq=False)
class Call:
    """The result of a call that was not made.

    Parameters
    ----------
    function : Any
        A ``Global`` or, where the pickle is odd, anything else.
    arguments : tuple
    pairs : Pairs
        What would be set on the result by key.
    changes : list
        What else would be done to it: items that are appended, states that are given to it.
    """

    function: Any
    arguments: tuple[Any, ...]
    pairs: Pairs = field(default_factory=Pairs)
    changes: list[Any] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """What a pickle would make.

    Parameters
    ----------
    value : Any
        None, bool, int, float, str, bytes, list, tuple, ``Pairs``, ``Global``, ``Reference``, ``Call`` and nested.
        A value can hold itself.
    globals : tuple of Global
        All that it names, in order.
    calls : tuple of Call
        All that it would call, in order.
    """

    value: Any
    globals: tuple[Global, ...]
    calls: tuple[Call, ...]


def run_pickle(data: bytes, *, file: str) -> Program:
    """What a pickle would make, without making it.

    Raises
    ------
    CheckpointError
        It is too long, malformed, or uses what is not in the protocols 2 to 5; bytes follow it.
    """
    machine = _Machine(data, file)
    if machine.run(0) < len(data):
        machine.reject("goes on after its end")
    return Program(value=machine.value, globals=tuple(machine.globals), calls=tuple(machine.calls))


def list_globals(data: bytes) -> Iterator[Global]:
    """Functions and classes that pickles name, one pickle behind the other, up to the first odd byte."""
    position = 0
    for _ in range(8):
        machine, before = _Machine(data, ""), position
        with suppress(CheckpointError):
            position = machine.run(position)
        yield from machine.globals
        if position == before:
            return


_SET, _FROZEN_SET = Global("builtins", "set"), Global("builtins", "frozenset")
_STOP = ord(".")


class _Machine:
    """A stack, marks and a memo, as in ``pickle.Unpickler``."""

    def __init__(self, data: bytes, file: str) -> None:
        self.globals: list[Global] = []
        self.calls: list[Call] = []
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._data = data
        self._file = file

    def reject(self, how: str) -> NoReturn:
        """Raise the error of a pickle that is not read."""
        raise CheckpointError(
            "bad-pickle", f"its pickle {how}", fix="download the file again, or ask its author", where=self._file
        )

    def run(self, position: int) -> int:
        """Take all steps from an offset; returns the offset behind the last."""
        if len(self._data) > MAX_PICKLE:
            self.reject(f"has more than {MAX_PICKLE} bytes")
        try:
            for _ in range(MAX_STEPS):
                operation = self._data[position]
                argument, position = _ARGUMENTS[operation](self._data, position + 1)
                if operation == _STOP:
                    return position
                _STEPS[operation](self, argument)
        except (IndexError, KeyError, ValueError, struct.error):
            self.reject(f"is malformed, or not as torch writes it, around byte {position}")
        return self.reject(f"has more than {MAX_STEPS} steps")

    @property
    def value(self) -> Any:
        """What is left at the end."""
        if len(self._stack) != 1 or self._below:
            self.reject("does not end in one value")
        return self._stack[0]

    def push(self, value: Any) -> None:
        """A constant."""
        self._stack.append(value)

    def mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _above_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def pop(self, _: Any) -> None:
        self._stack.pop()

    def pop_mark(self, _: Any) -> None:
        self._above_mark()

    def duplicate(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def put(self, key: int) -> None:
        self._memo[key] = self._stack[-1]

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, key: int) -> None:
        self._stack.append(self._memo[key])

    def tuple_of(self, count: int) -> None:
        items = [self._stack.pop() for _ in range(count)]
        self._stack.append(tuple(reversed(items)))

    def tuple_above(self, _: Any) -> None:
        items = tuple(self._above_mark())
        self._stack.append(items)

    def list_above(self, _: Any) -> None:
        items = self._above_mark()
        self._stack.append(items)

    def frozen_set_above(self, _: Any) -> None:
        items = self._above_mark()
        self._stack.append(Call(_FROZEN_SET, (items,)))

    def dict_above(self, _: Any) -> None:
        items = self._above_mark()
        self._stack.append(Pairs())
        self._set(items)

    def append(self, _: Any) -> None:
        self._add([self._stack.pop()])

    def append_above(self, _: Any) -> None:
        self._add(self._above_mark())

    def _add(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is list:
            target += items
        elif isinstance(target, Call):
            target.changes += items
        else:
            raise ValueError(target)

    def set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def set_above(self, _: Any) -> None:
        self._set(self._above_mark())

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        pairs = target.pairs if isinstance(target, Call) else target
        if not isinstance(pairs, Pairs) or len(items) % 2:
            raise ValueError(items)
        pairs += zip(items[::2], items[1::2], strict=True)

    def name_global(self, words: tuple[Any, Any]) -> None:
        module, name = words
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError(words)  # noqa: TRY004 - a malformed pickle
        self.globals.append(Global(module, name))
        self._stack.append(self.globals[-1])

    def name_from_stack(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self.name_global((module, name))

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(arguments, tuple):
            raise ValueError(arguments)  # noqa: TRY004 - a malformed pickle
        self.calls.append(Call(function, arguments))
        self._stack.append(self.calls[-1])

    def call(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._call(function, arguments)

    def call_with_keywords(self, _: Any) -> None:
        keywords, arguments, function = self._stack.pop(), self._stack.pop(), self._stack.pop()
        self._call(function, (arguments, keywords))

    def call_above(self, _: Any) -> None:
        function, *arguments = self._above_mark()
        self._call(function, tuple(arguments))

    def call_named(self, words: tuple[str, str]) -> None:
        arguments = tuple(self._above_mark())
        self.name_global(words)
        self._call(self._stack.pop(), arguments)

    def build(self, _: Any) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if not isinstance(target, Call):
            raise ValueError(target)  # noqa: TRY004 - a malformed pickle
        target.changes.append(state)

    def refer(self, _: Any) -> None:
        self._stack.append(Reference(self._stack.pop()))

    def ignore(self, _: Any) -> None:
        """Nothing, for the number of the protocol and the lengths of frames."""


_Reader: TypeAlias = Callable[[bytes, int], tuple[Any, int]]
_Step: TypeAlias = Callable[[_Machine, Any], None]


def _no_argument(_: bytes, position: int) -> tuple[None, int]:
    return None, position


def _number(code: str, data: bytes, position: int) -> tuple[Any, int]:
    return struct.unpack_from(code, data, position)[0], position + struct.calcsize(code)


def _counted(code: str, data: bytes, position: int) -> tuple[bytes, int]:
    """Bytes behind their number."""
    length, position = _number(code, data, position)
    if length > len(data) - position:
        raise ValueError(length)
    return data[position : position + length], position + length


def _text(code: str, data: bytes, position: int) -> tuple[str, int]:
    raw, position = _counted(code, data, position)
    return raw.decode("utf-8", "surrogatepass"), position


def _integer(data: bytes, position: int) -> tuple[int, int]:
    raw, position = _counted("<B", data, position)
    return int.from_bytes(raw, "little", signed=True), position


def _two_lines(data: bytes, position: int) -> tuple[tuple[str, str], int]:
    first = data.index(b"\n", position)
    second = data.index(b"\n", first + 1)
    return (data[position:first].decode(), data[first + 1 : second].decode()), second + 1


def _constant(value: Any) -> _Step:
    return lambda machine, _: machine.push(value)


def _new(kind: Callable[[], Any]) -> _Step:
    return lambda machine, _: machine.push(kind())


def _tuple_of(count: int) -> _Step:
    return lambda machine, _: machine.tuple_of(count)


_OPERATIONS: dict[bytes, tuple[_Reader, _Step]] = {
    b"\x80": (partial(_number, "<B"), _Machine.ignore),
    b"\x95": (partial(_number, "<Q"), _Machine.ignore),
    b".": (_no_argument, _Machine.ignore),
    b"(": (_no_argument, _Machine.mark),
    b"0": (_no_argument, _Machine.pop),
    b"1": (_no_argument, _Machine.pop_mark),
    b"2": (_no_argument, _Machine.duplicate),
    b"N": (_no_argument, _constant(None)),
    b"\x88": (_no_argument, _constant(True)),
    b"\x89": (_no_argument, _constant(False)),
    b"J": (partial(_number, "<i"), _Machine.push),
    b"K": (partial(_number, "<B"), _Machine.push),
    b"M": (partial(_number, "<H"), _Machine.push),
    b"G": (partial(_number, ">d"), _Machine.push),
    b"\x8a": (_integer, _Machine.push),
    b"X": (partial(_text, "<I"), _Machine.push),
    b"\x8c": (partial(_text, "<B"), _Machine.push),
    b"\x8d": (partial(_text, "<Q"), _Machine.push),
    b"U": (partial(_text, "<B"), _Machine.push),
    b"C": (partial(_counted, "<B"), _Machine.push),
    b"B": (partial(_counted, "<I"), _Machine.push),
    b"\x8e": (partial(_counted, "<Q"), _Machine.push),
    b"\x96": (partial(_counted, "<Q"), _Machine.push),
    b")": (_no_argument, _constant(())),
    b"t": (_no_argument, _Machine.tuple_above),
    b"\x85": (_no_argument, _tuple_of(1)),
    b"\x86": (_no_argument, _tuple_of(2)),
    b"\x87": (_no_argument, _tuple_of(3)),
    b"]": (_no_argument, _new(list)),
    b"}": (_no_argument, _new(Pairs)),
    b"\x8f": (_no_argument, _new(partial(Call, _SET, ()))),
    b"l": (_no_argument, _Machine.list_above),
    b"d": (_no_argument, _Machine.dict_above),
    b"\x91": (_no_argument, _Machine.frozen_set_above),
    b"a": (_no_argument, _Machine.append),
    b"e": (_no_argument, _Machine.append_above),
    b"\x90": (_no_argument, _Machine.append_above),
    b"s": (_no_argument, _Machine.set_item),
    b"u": (_no_argument, _Machine.set_above),
    b"h": (partial(_number, "<B"), _Machine.get),
    b"j": (partial(_number, "<I"), _Machine.get),
    b"q": (partial(_number, "<B"), _Machine.put),
    b"r": (partial(_number, "<I"), _Machine.put),
    b"\x94": (_no_argument, _Machine.memoize),
    b"c": (_two_lines, _Machine.name_global),
    b"\x93": (_no_argument, _Machine.name_from_stack),
    b"R": (_no_argument, _Machine.call),
    b"\x81": (_no_argument, _Machine.call),
    b"\x92": (_no_argument, _Machine.call_with_keywords),
    b"o": (_no_argument, _Machine.call_above),
    b"i": (_two_lines, _Machine.call_named),
    b"b": (_no_argument, _Machine.build),
    b"Q": (_no_argument, _Machine.refer),
}
"""Opcodes of the binary protocols with their arguments; those of text, of extensions and of buffers are not there."""

_ARGUMENTS = {code[0]: reader for code, (reader, _) in _OPERATIONS.items()}
_STEPS = {code[0]: step for code, (_, step) in _OPERATIONS.items()}
