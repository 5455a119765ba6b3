"""TOML of a repository, parsed where the standard library's parser cannot be made to hang."""

from __future__ import annotations

import tomllib
from typing import Any

__all__ = ["BadTomlError", "parse_toml"]

_MAX_BYTES = 128 * 1024
_MAX_DOTS = 64  # the standard library's parser takes quadratic time in the parts of a dotted key


class BadTomlError(Exception):
    """A text is no TOML, or too much of it to be parsed; the message says which."""


def parse_toml(data: bytes) -> dict[str, Any]:
    """Table of a file.

    Raises
    ------
    BadTomlError
    """
    if len(data) > _MAX_BYTES:
        raise BadTomlError(f"larger than the {_MAX_BYTES} bytes that are parsed")
    if max(line.count(b".") for line in data.split(b"\n")) > _MAX_DOTS:
        raise BadTomlError(f"a line holds more than {_MAX_DOTS} dots and is not parsed")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadTomlError(f"not TOML ({error})") from error
