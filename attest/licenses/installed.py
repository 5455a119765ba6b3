"""The text files of a Python package that is installed beside attest: ``pkg:pypi/transformers@4.44.2``.

Nothing of the package is imported.

References
----------
Package URL specification, type ``pypi``; PyPA specification, "Recording installed projects".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from attest.errors import InputError
from attest.licenses.readable import Skipped
from attest.licenses.source import Source
from attest.licenses.walk import read_chosen

__all__ = ["is_package", "read_package"]

_URL = re.compile(r"pkg:pypi/([A-Za-z0-9][\w.-]{0,99})(?:@([\w.+!-]{1,100}))?")


def is_package(location: str) -> bool:
    """Whether a location is the package URL of a Python package."""
    return location.startswith("pkg:")


def read_package(url: str) -> Iterator[Source | Skipped]:
    """Every text file of an installed package, by the paths that programs import it under.

    Raises
    ------
    InputError
        The URL is none, or no such package is installed, or another version of it.
    """
    named = _URL.fullmatch(url)
    if named is None:
        raise InputError("bad-package", f"{url[:200]!r} names no package", fix="give pkg:pypi/name@version")
    try:
        found = distribution(named[1])
    except PackageNotFoundError as error:
        raise _absent(named[1], "is not installed") from error
    if named[2] not in (None, found.version):
        raise _absent(named[1], f"is installed as {found.version}, not {named[2]}")
    paths = sorted(file.as_posix() for file in found.files or () if ".." not in file.parts)
    return read_chosen(Path(str(found.locate_file(""))), paths)


def _absent(name: str, words: str) -> InputError:
    return InputError("no-package", words, fix="install that version, or give its wheel", where=name)
