"""What ``pyproject.toml`` declares as the license.

References
----------
PEP 639; PyPA specification, "pyproject.toml", field ``license``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from attest.finding import Finding
from attest.licenses.source import Source
from attest.licenses.toml_table import BadTomlError, parse_toml

__all__ = ["detect"]

_FIELD = re.compile(rb"^license[ \t]*=", re.MULTILINE)
_VALUES = (("project", "license"), ("project", "license", "text"), ("tool", "poetry", "license"))


def _value(table: Any, *names: str) -> Any:
    """What lies under nested names, or None."""
    for name in names:
        table = table.get(name) if isinstance(table, dict) else None
    return table


def _line(data: bytes) -> int | None:
    """Line of the field ``license`` where exactly one line begins with it."""
    places = [field.start() for field in _FIELD.finditer(data)]
    return data.count(b"\n", 0, places[0]) + 1 if len(places) == 1 else None


def detect(source: Source) -> Iterator[Finding]:
    """The value of ``project.license`` (a string, its ``text`` or ``file``) and of ``tool.poetry.license``."""
    if source.name != "pyproject.toml" or b"license" not in source.data:
        return
    try:
        table = parse_toml(source.data)
    except BadTomlError as error:
        yield source.finding("declaration-not-read", None, str(error))
        return
    for names in _VALUES:
        license_ = _value(table, *names)
        if isinstance(license_, str) and license_.strip():
            code = "declared-license-text" if "\n" in license_.strip() else "declared-license"
            yield source.finding(code, _line(source.data), license_)
    file = _value(table, "project", "license", "file")
    if isinstance(file, str) and file.strip():
        yield source.finding("declared-license-link", _line(source.data), file)
