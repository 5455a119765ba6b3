"""Text for terminals and pages: whatever a file says, it cannot move the cursor, hide itself or change direction."""

from __future__ import annotations

import re
from typing import TextIO

__all__ = ["amount", "is_terminal", "visible"]

_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5"
    "\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ud800-\uf8ff\ufdd0-\ufdef\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)
"""Control, format, private and default-ignorable characters, and spaces other than U+0020.

A fixed list, not ``unicodedata``: a report must have the same bytes under every version of Python.
"""


def visible(text: str) -> str:
    r"""Text whose control, format, private and invisible characters are written as escapes.

    Examples
    --------
    >>> visible("weights\x1b[2J\u202etxt.\nok")
    'weights\\x1b[2J\\u202etxt.\\nok'
    """
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape", "backslashreplace").decode("ascii"), text)


def amount(number: int, noun: str) -> str:
    """A number and its noun, which gets an s in the plural.

    Examples
    --------
    >>> amount(1, "file"), amount(1204, "file")
    ('1 file', '1,204 files')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody may look at a stream; nobody looks at one that was closed before the program began."""
    return stream is not None and stream.isatty()
