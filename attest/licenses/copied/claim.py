"""What a comment such as "Copied from a.b.c with X->Y" claims.

References
----------
transformers, ``utils/check_copies.py``: the grammar of these comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from attest.licenses import provenance_comment
from attest.licenses.copied.python_block import Block, PythonText
from attest.licenses.copied.whole_file import is_other_language
from attest.licenses.origin.tokens import Fingerprint, fingerprint
from attest.licenses.source import Source

__all__ = ["CopyClaim", "claims_of"]

_CLAIM = re.compile(
    r"\b(?P<kind>copied|modified|adapted|ported|forked) from:?\s+[`'\"(]?(?P<target>[\w./:@%#+~-]{3,300})"
    r"[`'\")]?(?:\s+with\s+(?P<changes>.{1,400}))?",
    re.IGNORECASE,
)
_CHANGE = re.compile(r"\s*(\S+?)->(\S+)(\s.*)?", re.DOTALL)
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_BLOB = re.compile(r"https?://[^/]+/[^/]+/[^/]+/(?:-/)?(?:blob|raw|tree)/[^/]+/([^#?]+\.\w+)")
_PATH = re.compile(r"(?:[\w.+-]+/)+[\w.+-]+\.\w+")
_MAX_CLAIMS = 1000
_SKIPPING = re.compile(r"#\s*Ignore copy\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyClaim:
    """One comment.

    Parameters
    ----------
    path, line : str, int
        Where it stands.
    target : str
        What it names, as it is written.
    is_copy : bool
        Whether it says *copied*: code that was adapted or modified is not expected to be equal.
    changes : tuple of (str, str)
        Words that were replaced by others.
    block : Block or None
        The function or class under the comment, where there is one; its lines count in the file.
    whole : Fingerprint or None
        The whole file, where it is in another language than Python.
    """

    path: str
    line: int
    target: str
    is_copy: bool
    changes: tuple[tuple[str, str], ...]
    block: Block | None
    whole: Fingerprint | None = None

    @property
    def places(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Paths that the target can stand for, the likeliest first, with the names inside; without names, the block's own.

        Examples
        --------
        >>> claim = CopyClaim(path="a.py", line=1, target="x.y.Z", is_copy=True, changes=(), block=None)
        >>> claim.places[1]
        ('x/y.py', ('Z',))
        """
        path = _BLOB.fullmatch(self.target.partition("#")[0]) or _PATH.fullmatch(self.target)
        if path:
            place = path[1] if path.re is _BLOB else path[0]
            fits = place.endswith(".py") if self.whole is None else is_other_language(place)
            return ((place, ()),) if fits else ()
        if self.whole is not None or not _DOTTED.fullmatch(self.target):
            return ()
        parts = tuple(self.target.split("."))
        return tuple(("/".join(parts[:end]) + ".py", parts[end:]) for end in range(len(parts), 0, -1))

    @property
    def is_comparable(self) -> bool:
        """Whether the whole block under the comment is claimed to be a copy."""
        return self.is_copy and self.block is not None and not _SKIPPING.search(self.block.text)


def claims_of(source: Source) -> Iterator[CopyClaim]:
    """Claims of a program that name a file, or in Python a module or a thing in one."""
    is_python = source.path.endswith(".py")
    if not is_python and not is_other_language(source.path):
        return
    python: PythonText | None = None
    whole: Fingerprint | None = None
    for finding in islice(provenance_comment.detect(source), _MAX_CLAIMS):
        found = _CLAIM.search(finding.text)
        if found is None or finding.line is None:
            continue
        if is_python:
            python = python or PythonText(source.text)
        else:
            whole = whole or fingerprint(source.path, source.text)
        claim = CopyClaim(
            path=source.path,
            line=finding.line,
            target=found["target"].rstrip(".,:"),
            is_copy=found["kind"].casefold() == "copied",
            changes=_changes(found["changes"] or ""),
            block=python.after(finding.line) if python else None,
            whole=whole,
        )
        if claim.places:
            yield claim


def _changes(words: str) -> tuple[tuple[str, str], ...]:
    """Replacements; where they are for every casing, also in lower and upper case."""
    changes: list[tuple[str, str]] = []
    for part in words.split(","):
        change = _CHANGE.fullmatch(part)
        if change:
            old, new = change[1], change[2]
            changes.append((old, new))
            if "all-casing" in (change[3] or ""):
                changes += [(old.lower(), new.lower()), (old.upper(), new.upper())]
    return tuple(changes)
