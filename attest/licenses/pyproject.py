"""What ``pyproject.toml`` declares as the license.

References
----------
PEP 639; PyPA specification, "pyproject.toml", field ``license``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from attest.finding import Finding
from attest.licenses.source import Source

__all__ = ["detect"]

_MAX_BYTES = 128 * 1024
_MAX_DOTS = 64  # the standard library's parser takes quadratic time in the parts of a dotted key
_FIELD = re.compile(rb"^license[ \t]*=", re.MULTILINE)


def _fault(data: bytes) -> str | None:
    """Why a file is not given to the parser."""
    if len(data) > _MAX_BYTES:
        return f"larger than the {_MAX_BYTES} bytes that are parsed"
    if max(line.count(b".") for line in data.split(b"\n")) > _MAX_DOTS:
        return f"a line holds more than {_MAX_DOTS} dots and is not parsed"
    return None


def _table(value: Any, *names: str) -> Any:
    """What lies under nested names, or None."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _line(data: bytes) -> int | None:
    """Line of the field ``license`` where exactly one line begins with it."""
    places = [field.start() for field in _FIELD.finditer(data)]
    return data.count(b"\n", 0, places[0]) + 1 if len(places) == 1 else None


def detect(source: Source) -> Iterator[Finding]:
    """The value of ``project.license`` (a string or its ``text``) and of ``tool.poetry.license``."""
    if source.name != "pyproject.toml" or b"license" not in source.data:
        return
    fault = _fault(source.data)
    value: dict[str, Any] = {}
    if fault is None:
        try:
            value = tomllib.loads(source.data.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            fault = f"not TOML ({error})"
    if fault:
        yield source.finding("declaration-not-read", None, fault)
    for names in (("project", "license"), ("project", "license", "text"), ("tool", "poetry", "license")):
        license_ = _table(value, *names)
        if isinstance(license_, str) and license_.strip():
            code = "declared-license-text" if "\n" in license_.strip() else "declared-license"
            yield source.finding(code, _line(source.data), license_)
