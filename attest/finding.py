"""A finding: something seen in a file that a reader should know, with its place."""

from __future__ import annotations

from typing import Annotated

from attest.document import Limits, record

__all__ = ["Finding"]


@record
class Finding:
    """Something seen, where, and in the file's own words.

    Parameters
    ----------
    code : str
        Stable kebab-case name, listed in ``docs/findings.md``.
    path : str
        POSIX path relative to what was scanned.
    line : int or None
        Counted from 1, where the finding has a line.
    text : str
        The words of the file, verbatim where ``code`` says so, cut at 500 characters. Hostile input.
    """

    code: str
    path: str
    line: int | None
    text: Annotated[str, Limits(max_length=500)]
