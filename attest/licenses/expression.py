"""License expressions: read, spelled as the SPDX list spells them, and joined.

References
----------
SPDX specification 2.3, annex D.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from license_expression import ExpressionError, LicenseSymbol, Licensing, combine_expressions

from attest.licenses.detect import index

__all__ = ["expression_of", "joined"]

_SYMBOL = re.compile(r"[A-Za-z0-9.+-]+")
_TOKEN = re.compile(r"[()]|[^\s()]+")
_EXCEPTION = re.compile(r" WITH ([A-Za-z0-9.+-]+)")
_OPERATORS = frozenset({"AND", "OR", "WITH"})
_OWN = re.compile(r"(?:DocumentRef-[A-Za-z0-9.-]{1,100}:)?LicenseRef-[A-Za-z0-9.-]{1,200}")


@cache
def _licensing() -> Licensing:
    """The ids that attest knows."""
    known = {symbol for expression in index().expressions for symbol in _SYMBOL.findall(expression)} - _OPERATORS
    exceptions = {symbol for expression in index().expressions for symbol in _EXCEPTION.findall(expression)}
    return Licensing([LicenseSymbol(symbol, is_exception=symbol in exceptions) for symbol in sorted(known)])


def expression_of(value: str) -> str | None:
    """A license expression in its usual spelling; None where it is none, or names what no list knows.

    Examples
    --------
    >>> expression_of("apache-2.0 or (mit)"), expression_of("LicenseRef-mine"), expression_of("MIT License")
    ('Apache-2.0 OR MIT', 'LicenseRef-mine', None)
    """
    if _OWN.fullmatch(value):
        return value
    if not _is_well_formed(value):
        return None
    try:
        parsed = _licensing().parse(value, validate=True)
    except ExpressionError:
        return None
    return None if parsed is None else str(parsed)


def _is_well_formed(value: str) -> bool:
    """Whether operators stand between operands and parentheses close: the library fails on what is not so."""
    depth = 0
    wants_operand = True
    for word in _TOKEN.findall(value):
        is_operator = word.upper() in _OPERATORS
        if wants_operand != (word == "(" or not (is_operator or word == ")")):
            return False
        depth += (word == "(") - (word == ")")
        wants_operand = word == "(" or is_operator
        if depth < 0:
            return False
    return depth == 0 and not wants_operand


def joined(expressions: Iterable[str]) -> str:
    """Expressions of which all were found, in one: each once, joined by AND."""
    return str(combine_expressions(sorted(set(expressions)), relation="AND", unique=True, licensing=Licensing()))
