"""Where schemas, templates and the fixture family lie: in the package, or beside it in a source tree."""

from __future__ import annotations

from pathlib import Path

__all__ = ["resource"]

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str, *, source_tree: str | None = None) -> Path:
    """Path of a file or folder that is shipped with attest.

    Parameters
    ----------
    name : str
        Path inside the installed package, such as ``schemas/evidence.v1.schema.json``.
    source_tree : str, optional
        Path inside a source tree, where it differs.
    """
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / (source_tree or name)
