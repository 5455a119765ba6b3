"""Letters that cannot be seen, or that look like others: words that speak of licenses, and that a search does not find.

References
----------
Unicode Technical Standard 39, "Unicode Security Mechanisms", section 4 (confusable detection); of its table only the
letters that are drawn as a Latin letter is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice

from attest.finding import Finding
from attest.licenses.detect.words import words_of
from attest.licenses.source import Source

__all__ = ["detect", "lookalike_lines", "plain"]

_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0000-\U000e0fff]"
)
_VARIANTS = re.compile(
    "[\u2100-\u214f\u24b6-\u24e9\ufb00-\ufb06\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\U0001d400-\U0001d7ff]+"
)
_CYRILLIC = (
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u04bb\u04cf\u051b\u051d\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0423\u0406\u0408\u0405",
    "aeopcyxijsdhlqwABEKMHOPCTXYIJS",
)
_GREEK = (
    "\u03bf\u03b1\u03bd\u03b9\u03c1\u03ba\u03c5\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
    "oavipkuABEZHIKMNOPTYX",
)
_OTHER = "\u0251\u0261\u0131", "agi"
_ALIKE = str.maketrans(
    "".join(letters for letters, _ in (_CYRILLIC, _GREEK, _OTHER)),
    "".join(latin for _, latin in (_CYRILLIC, _GREEK, _OTHER)),
)
_ANY_ALIKE = f"[{''.join(map(chr, _ALIKE))}]"
_MIXED = re.compile(rf"[A-Za-z]{_ANY_ALIKE}|{_ANY_ALIKE}[A-Za-z]")
_WORD = re.compile(r"\w+")
_SPEAKING = re.compile(
    r"copyright|licen[cs]e|apache|gnu general|permission|redistribut|warrant|(?:copied|adapted|modified|ported|forked) from|\(c\) ?\d{4}",
    re.IGNORECASE,
)
_MAX_NAMED = 10
_MAX_LINES = 2000
_BEFORE = 60


def plain(text: str) -> str:
    r"""Text without what cannot be seen, and with the letter for each that is a variant of it or looks like it.

    Examples
    --------
    >>> plain("Per\u200bmission is hereby gr\u0430nted \uff34\uff2f use")
    'Permission is hereby granted TO use'

    Notes
    -----
    A letter of another script counts as the one that it looks like only in a word that also holds a Latin letter. Lines
    stay where they are. Takes time linear in the length of the text.
    """
    if text.isascii():
        return text
    seen = _VARIANTS.sub(lambda found: unicodedata.normalize("NFKC", found[0]), _HIDDEN.sub("", text))
    return _WORD.sub(lambda found: _in_latin(found[0]), seen) if _MIXED.search(seen) else seen


def _in_latin(word: str) -> str:
    return word.translate(_ALIKE) if not word.isascii() and _MIXED.search(word) else word


def lookalike_lines(text: str) -> dict[int, str]:
    """The first 2,000 lines, counted from 1, whose words are others than they seem; each as it seems."""
    shown = plain(text)
    if shown == text:
        return {}
    rows = enumerate(zip(text.split("\n"), shown.split("\n"), strict=True), start=1)
    other = (
        (number, seems)
        for number, (line, seems) in rows
        if line != seems and words_of(line).words != words_of(seems).words
    )
    return dict(islice(other, _MAX_LINES))


def detect(source: Source) -> Iterator[Finding]:
    """Each line in which a word that speaks of licenses or holders stands only as it seems, and not as it is written."""
    if source.data.isascii():
        return
    text = source.text
    lines = text.split("\n")
    for number, seems in lookalike_lines(text).items():
        line = lines[number - 1]
        spoken = list(_SPEAKING.finditer(seems))
        if len(spoken) > len(_SPEAKING.findall(line)):
            odd = sorted({one for one in line if not one.isascii() and plain(f"a{one}a") != f"a{one}a"})
            names = ", ".join(f"U+{ord(one):04X}" for one in odd[:_MAX_NAMED])
            shown = seems[max(spoken[0].start() - _BEFORE, 0) :]
            yield source.finding("unsearchable-words", number, f"{names} in what seems to be: {shown}")
