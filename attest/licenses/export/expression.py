"""License expressions as files write them, in the spelling of SPDX, or nothing where they are none."""

from __future__ import annotations

import re
from functools import cache

from attest.licenses.detect import index

__all__ = ["expression_of"]

_TOKEN = re.compile(r"[()]|[A-Za-z0-9.+-]+|\S")
_REFERENCE = re.compile(r"(?:LicenseRef|AdditionRef)-[A-Za-z0-9.-]+")
_OPERATORS = ("AND", "OR", "WITH")
_MAX_TOKENS = 100


def expression_of(text: str) -> str | None:
    """A value as an SPDX license expression, its ids spelled as on the list.

    Notes
    -----
    None where an id is not known here, or the value is no expression: nothing is guessed.

    References
    ----------
    SPDX specification 3.0.1, annex B (license expressions).

    Examples
    --------
    >>> expression_of("apache-2.0 or (mit AND LicenseRef-mine)"), expression_of("Apache 2"), expression_of("MIT AND")
    ('Apache-2.0 OR (MIT AND LicenseRef-mine)', None, None)
    """
    found = _TOKEN.findall(text)
    if len(found) > _MAX_TOKENS:
        return None
    words: list[str] = []
    depth, wants_license = 0, True
    for part in found:
        word = part if part in "()" else _word(part, wants_license=wants_license)
        depth += (part == "(") - (part == ")")
        if word is None or depth < 0 or (part == "(" and not wants_license) or (part == ")" and wants_license):
            return None
        wants_license = wants_license if part == "(" else word in _OPERATORS
        words.append(word)
    return None if wants_license or depth else " ".join(words).replace("( ", "(").replace(" )", ")")


def _word(part: str, *, wants_license: bool) -> str | None:
    """An id or an operator in its own spelling; None where it is neither, or not the one that must stand here."""
    operator = part.upper()
    if operator in _OPERATORS:
        return None if wants_license else operator
    if not wants_license:
        return None
    if _REFERENCE.fullmatch(part):
        return part
    return _ids().get(part.casefold())


@cache
def _ids() -> dict[str, str]:
    """Known ids, with a plus sign too, by their spelling in lower case."""
    ids = {part for expression in index().expressions for part in _TOKEN.findall(expression)}
    ids -= {*_OPERATORS, "(", ")"}
    return {name.casefold(): name for one in sorted(ids) for name in (one, f"{one}+")}
