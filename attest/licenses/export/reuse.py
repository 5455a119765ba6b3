"""REUSE.toml: for each file the holders and licenses that were found in it.

References
----------
REUSE specification 3.3, "REUSE.toml": paths are globs, in which a backslash takes its meaning from an asterisk. The
precedence ``closest`` leaves what a file says of itself as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from attest.licenses.export.content import Content

__all__ = ["to_reuse"]

_HEAD = """\
# What attest found in these files. It is a listing for review, not a statement of who holds what: read it, correct it,
# and add what the files do not say before it is used as a REUSE.toml.
version = 1
"""


def to_reuse(content: Content) -> str:
    """A listing in which every file stands that names a holder or a license."""
    parts = [f"{_HEAD}SPDX-PackageName = {_text(content.name)}\n"]
    for one in content.files():
        if one.licenses or one.copyrights:
            path = one.file.path.replace("\\", "\\\\").replace("*", "\\*")
            rows = [f'[[annotations]]\npath = {_text(path)}\nprecedence = "closest"']
            rows += [f"SPDX-FileCopyrightText = {_list(one.copyrights)}"] if one.copyrights else []
            rows += [f"SPDX-License-Identifier = {_list(one.licenses)}"] if one.licenses else []
            parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def _list(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _text(value: str) -> str:
    """A basic string of TOML 1.0, in which nothing stands that cannot be printed."""
    return f'"{"".join(map(_character, value))}"'


def _character(one: str) -> str:
    if one in '"\\':
        return f"\\{one}"
    if 0xD800 <= ord(one) <= 0xDFFF:
        return "\ufffd"
    return one if one.isprintable() else f"\\U{ord(one):08X}"
