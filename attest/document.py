"""JSON as attest reads and writes it: strict in, canonical out.

Reading refuses what the standard library lets through: duplicate keys, NaN and infinities, numbers beyond
binary64, lone surrogates, great depth, trailing bytes. Writing is the JSON Canonicalization Scheme (RFC 8785), so
equal values give equal bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from json.encoder import encode_basestring
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeAlias, TypeVar, dataclass_transform

import rfc8785

from attest.errors import DocumentError

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

__all__ = [
    "JSON",
    "MAX_DEPTH",
    "Count",
    "Limits",
    "Timestamp",
    "adapter",
    "canonical",
    "decimal",
    "dump",
    "load",
    "parse",
    "record",
    "timestamp",
]

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
T = TypeVar("T")


class Limits:
    """What pydantic's ``Field`` takes, for use in ``Annotated``; pydantic is imported when something is read."""

    def __init__(self, **limits: Any) -> None:
        self._limits = limits

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """The limits, as pydantic asks for them."""
        from pydantic import Field  # noqa: PLC0415 - a tenth of a second, which writing does not need

        return handler.generate_schema(Annotated[source, Field(**self._limits)])


Count = Annotated[int, Limits(ge=0, le=2**53 - 1)]
"""An integer from 0 that every JSON reader keeps exactly."""

Timestamp = Annotated[str, Limits(pattern=r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\dZ$")]
"""RFC 3339 in UTC, to the second."""

MAX_DEPTH = 64
_MAX_INTEGER = 2**53 - 1
_SCALARS = (str, int, float, type(None))
_PLAIN_KINDS = frozenset({*_SCALARS, bool})
_MAX_FAULTS = 1000
_MAX_QUOTE = 200
_PLAIN = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
_RARE_NUMBER = re.compile(r"[\[:,]-?\d+(?:[.e]|(?<=\d{16}))")
"""A number inside of something that ``json`` may write otherwise than RFC 8785: a float, or 16 digits and more."""
_RARE_TEXT = re.compile("[^\x00-\uffff]")
"""Characters that keys, which are in the order of UTF-16, may have in another place than ``str`` has."""
_NOT_BRACKETS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^\[\]{}"]++', re.DOTALL)
"""Strings, also an unterminated last one, and the rest; possessive, so that hostile bytes cost linear time."""


def _refuse(code: str, message: str, where: str) -> NoReturn:
    raise DocumentError(code, message, fix="ask its author for an intact copy", where=where)


def _check_depth(data: bytes, where: str) -> None:
    depth = 0
    for bracket in _NOT_BRACKETS.sub(b"", data):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            _refuse("too-deep", f"nested deeper than {MAX_DEPTH} levels", where)


def parse(data: bytes, *, where: str, max_bytes: int) -> Any:
    """Value of a JSON document.

    Parameters
    ----------
    data : bytes
        UTF-8, no byte order mark.
    where : str
        Name of the document, for errors.
    max_bytes : int
        Largest size that is read.

    Returns
    -------
    dict, list, str, int, float, bool or None

    Raises
    ------
    DocumentError
        Too large, too deep, not UTF-8, not JSON, a key twice, NaN or an infinity, a lone surrogate.

    References
    ----------
    RFC 8259, section 4 (names should be unique); RFC 7493 (I-JSON), section 2.
    """
    if len(data) > max_bytes:
        _refuse("document-too-large", f"{len(data)} bytes, more than the {max_bytes} that are read", where)
    _check_depth(data, where)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in pairs:
            if key in found:
                _refuse("duplicate-key", f"the key {key[:_MAX_QUOTE]!r} occurs twice in one object", where)
            found[key] = item
        return found

    def finite(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            _refuse("not-finite", f"the number {text[:40]} is beyond binary64", where)
        return value

    def constant(text: str) -> NoReturn:
        _refuse("not-finite", f"{text} is not a JSON number", where)

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant, parse_float=finite)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        _refuse("not-utf-8", "not valid UTF-8 text", where)
    except (ValueError, RecursionError) as error:
        _refuse("not-json", f"not JSON ({error})", where)
    return value


def canonical(value: Any) -> bytes:
    """Bytes of a JSON value, or of a record, in the JSON Canonicalization Scheme.

    Raises
    ------
    DocumentError
        A float is not finite, an integer is beyond 2**53 - 1, or a string is not Unicode text.

    Notes
    -----
    Where the standard library gives the same bytes it is taken: it is several times as fast. A record is written as it
    is, without what ``dump`` makes of it.

    References
    ----------
    RFC 8785.
    """
    try:
        return _text(value).encode() if is_dataclass(value) else _plain(value) or rfc8785.dumps(value)
    except ValueError as error:
        raise DocumentError("not-canonical", f"cannot be written as JSON ({error})", fix="report this") from error


def _text(value: Any) -> str:
    """Canonical text of a record, or of what a record holds."""
    if isinstance(value, tuple):
        return "[" + ",".join(_texts(value)) + "]"
    if is_dataclass(value):
        kind: Any = type(value)
        template, values_of = _template(kind)
        return template % tuple(_texts(values_of(value)))
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        texts = _texts(value[key] for key in keys)
        return "{" + ",".join(f"{encode_basestring(key)}:{text}" for key, text in zip(keys, texts, strict=True)) + "}"
    return rfc8785.dumps(value if isinstance(value, _SCALARS) else dump(value)).decode()


def _texts(values: Iterable[Any]) -> list[str]:
    return [write(one) if (write := _WRITERS.get(type(one))) else _text(one) for one in values]


def _integer(value: int) -> str:
    return str(value) if -_MAX_INTEGER <= value <= _MAX_INTEGER else rfc8785.dumps(value).decode()


_WRITERS: Mapping[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: _integer,
    type(None): lambda _: "null",
}


@cache
def _template(kind: Any) -> tuple[str, Callable[[Any], tuple[Any, ...]]]:
    """Text of a record with ``%s`` for each value, in the order of the keys, and what takes the values in that order."""
    keys = sorted((key, name) for name, key in _keys(kind))
    text = "{" + ",".join(f'"{key}":%s' for key, _ in keys) + "}"
    if len(keys) == 1:
        return text, lambda one: (getattr(one, keys[0][1]),)
    return text, attrgetter(*(name for _, name in keys))


def _plain(value: JSON) -> bytes | None:
    """Canonical bytes of an object or array, by the standard library; None where they may differ from its own."""
    if not isinstance(value, dict | list):
        return None
    try:
        text = _PLAIN.encode(value)
    except TypeError:  # of a kind that is refused
        return None
    return None if _RARE_NUMBER.search(text) or _RARE_TEXT.search(text) else text.encode()


@lru_cache(maxsize=4096)
def decimal(value: float, digits: int = 9) -> str:
    """A finite float as the string that attest signs and shows.

    Parameters
    ----------
    value : float
        Finite.
    digits : int, default 9
        Significant digits; 17 read back to the same binary64.

    Returns
    -------
    str
        Shortest of fixed and exponent notation (C's ``%g``), ``-0`` written as ``0``.

    Raises
    ------
    DocumentError
        The value is not finite.
    """
    if not math.isfinite(value):
        raise DocumentError("not-finite", f"{value} is not a number that can be signed", fix="report this")
    return f"{value + 0.0:.{digits}g}"


def timestamp(now: datetime | None) -> str:
    """A time as it is signed, ``Timestamp``; this machine's clock without one."""
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(one.capitalize() for one in others)


_CONFIG = {
    "strict": True,
    "extra": "forbid",
    "alias_generator": _camel,
    "validate_by_alias": True,
    "serialize_by_alias": True,
    "allow_inf_nan": False,
}
"""For pydantic, of every record."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(kind: type[T]) -> type[T]:
    """Make a class a frozen dataclass that reads and writes JSON objects.

    Fields are ``snake_case`` in Python and ``camelCase`` on the wire. All fields are required there, unknown ones
    are refused, and no value is converted from one type to another.
    """
    made = dataclass(frozen=True, kw_only=True, slots=True)(kind)
    made.__pydantic_config__ = _CONFIG  # type: ignore[attr-defined]
    return made


@cache
def _adapter_of(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # noqa: PLC0415 - see Limits

    return TypeAdapter(kind)


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """The pydantic adapter of a record, made once."""
    return _adapter_of(kind)  # type: ignore[arg-type]  # a class is hashable


def load(kind: type[T], value: JSON, *, where: str) -> T:
    """Record held by a parsed JSON value.

    Raises
    ------
    DocumentError
        The value is not of that shape; ``where`` ends in the JSON Pointer of the first fault, and the message
        counts the others.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - see Limits

    try:
        return adapter(kind).validate_json(json.dumps(value))
    except ValidationError as error:
        pointer, fault = _first_fault(error)
        raise DocumentError(
            "not-of-schema",
            fault,
            fix="see the schema in schemas/, and the version of attest that wrote it",
            where=f"{where}#{pointer}",
        ) from error


def _first_fault(error: ValidationError) -> tuple[str, str]:
    """JSON Pointer and words of the first fault; very many are only counted, since listing them costs memory."""
    count = error.error_count()
    if count > _MAX_FAULTS:
        return "", f"{count} faults"
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    pointer = "".join("/" + str(part)[:_MAX_QUOTE].replace("~", "~0").replace("/", "~1") for part in first["loc"])
    return pointer, first["msg"] + (f" (and {count - 1} more)" if count > 1 else "")


def dump(value: Any) -> Any:
    """JSON value of a record, or of what a record holds."""
    if isinstance(value, _SCALARS):
        return value
    if keys := _keys(type(value)):  # type: ignore[arg-type]  # as above
        items: Iterable[tuple[str, Any]] = ((key, getattr(value, name)) for name, key in keys)
    elif isinstance(value, Mapping):
        items = value.items()
    else:
        return [item if type(item) in _PLAIN_KINDS else dump(item) for item in value]
    return {key: item if type(item) in _PLAIN_KINDS else dump(item) for key, item in items}


@cache
def _keys(kind: Any) -> tuple[tuple[str, str], ...]:
    """Names of a record's fields, and their keys on the wire; nothing of what is no record."""
    return tuple((one.name, _camel(one.name)) for one in fields(kind)) if is_dataclass(kind) else ()
