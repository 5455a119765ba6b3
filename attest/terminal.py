"""Text for terminals: whatever a file says, it cannot move the cursor, hide itself or change direction."""

from __future__ import annotations

import unicodedata

__all__ = ["visible"]


def visible(text: str) -> str:
    r"""Text whose control, format and unassigned characters are written as escapes.

    Examples
    --------
    >>> visible("weights\x1b[2J\u202etxt.\nok")
    'weights\\x1b[2J\\u202etxt.\\nok'
    """
    return "".join(
        character
        if character == " " or unicodedata.category(character)[0] not in "CZ"
        else character.encode("unicode_escape", "backslashreplace").decode("ascii")
        for character in text
    )
