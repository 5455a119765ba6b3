"""Sources: where a checkpoint can lie. Each gives a ``Tree``; what reads trees knows of no source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from attest.checkpoint.source.address import without_secrets
from attest.checkpoint.tree import Tree, read_tree
from attest.errors import InputError

__all__ = ["SOURCES", "Location", "at_revision", "is_remote", "open_tree", "shown"]

Location: TypeAlias = Path | str
"""A path on this machine, or the URI of a remote checkpoint."""


def _read_hub(uri: str) -> Tree:
    from attest.checkpoint.source.hub import read_hub  # noqa: PLC0415  # optional

    return read_hub(uri)


def _read_web(uri: str) -> Tree:
    from attest.checkpoint.source.web import read_web  # noqa: PLC0415  # optional

    return read_web(uri)


def _read_s3(uri: str) -> Tree:
    from attest.checkpoint.source.s3 import read_s3  # noqa: PLC0415  # optional

    return read_s3(uri)


SOURCES: Mapping[str, tuple[Callable[[str], Tree], str]] = {
    "hf": (_read_hub, "http"),
    "https": (_read_web, "http"),
    "http": (_read_web, "http"),
    "s3": (_read_s3, "s3"),
}
"""How to read what lies under a URI scheme, and the extra that it needs. A new source is a file and a line here."""


def is_remote(location: Location) -> bool:
    """Whether a location is a URI."""
    return isinstance(location, str) and "://" in location


def shown(location: Location) -> str:
    """A location as it may be printed and signed: a URI without what may be a secret."""
    return without_secrets(str(location)) if is_remote(location) else str(location)


def at_revision(location: Location, revision: str | None) -> Location:
    """A location on the Hub at a branch, tag or commit; as it is without one.

    Raises
    ------
    InputError
        The location has no revisions, or names another one itself.
    """
    if revision is None:
        return location
    if not (isinstance(location, str) and location.startswith("hf://")):
        raise InputError("no-revision", "has no revisions", fix="leave --revision out", where=shown(location)[:200])
    if "@" in location:
        raise InputError(
            "no-revision", "names a revision itself", fix="leave --revision out", where=shown(location)[:200]
        )
    return f"{location}@{revision}"


def open_tree(location: Location) -> Tree:
    """Files of a checkpoint, wherever it lies.

    Parameters
    ----------
    location : Path or str
        A path, or a URI of a scheme in ``SOURCES``.

    Raises
    ------
    InputError
        The scheme is not known, or its extra is not installed.
    CheckpointError, NetworkError
        The files cannot be listed.
    """
    if not is_remote(location):
        return read_tree(Path(location))
    uri = str(location)
    scheme = uri.partition("://")[0].lower()
    if scheme not in SOURCES:
        raise InputError(
            "unknown-scheme", f"{scheme[:40]!r} is no source", fix=f"give a path or one of {', '.join(SOURCES)}"
        )
    read, extra = SOURCES[scheme]
    try:
        return read(uri)
    except ModuleNotFoundError as error:
        raise InputError(
            "extra-missing",
            f"needs {error.name}, which is not installed",
            fix=f"pip install 'attest-checkpoints[{extra}]'",
            where=f"{scheme}://",
        ) from error
