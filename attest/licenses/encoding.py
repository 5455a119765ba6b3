"""Files that are text, but in an encoding whose bytes are not those of ASCII, or hold more than ASCII and UTF-8."""

from __future__ import annotations

import codecs
import re

__all__ = ["readable", "utf16_of"]

_HAN = range(0x3400, 0xA000)
_PUNCTUATION = frozenset(
    "\u3000\u3001\u3002\u300a\u300b\u300c\u300d\u3010\u3011\u2014\u2018\u2019\u201c\u201d\u2026\u00b7"
)
_HIGH = re.compile(rb"[\x80-\xff]+")
_ALONE = re.compile(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])")
_MIN_HIGH = 8
_HEAD = 8192
_MIN_UNITS = 16
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f\ufffd]")


def utf16_of(data: bytes) -> str | None:
    """The name of the codec where a file is UTF-16, else None.

    Notes
    -----
    It is where the file begins with the byte order mark. Without one it is where, of the first 8 KiB, half the bytes at
    even or at odd places are zero and hardly any of the others, and nothing in it is a control character: numbers of 16
    bits that are small hold such characters. A text in UTF-16 that is mostly Chinese, without a mark, counts as binary.
    """
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    head = data[: min(len(data), _HEAD) // 2 * 2]
    count = len(head) // 2
    zeros = (head[::2].count(0), head[1::2].count(0))
    if count < _MIN_UNITS or max(zeros) < count / 2 or min(zeros) > count / 50:
        return None
    codec = "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    return None if _CONTROL.search(head.decode(codec, "replace")) else codec


def readable(raw: bytes) -> bytes:
    """A file in UTF-8 where it is UTF-16, or GB18030 with mostly Chinese; else as it is.

    Notes
    -----
    GB18030 gives a meaning to almost any bytes. It is assumed only where the bytes are not UTF-8, all of them decode,
    and nine tenths of the characters beyond ASCII are Han or full-width; and where bytes beyond ASCII rarely stand
    alone, as they do in Latin-1, which would be read wrongly otherwise.
    """
    utf16 = utf16_of(raw) if b"\0" in raw else None
    if utf16:
        return raw.decode(utf16, "replace").encode("utf-8", "replace")
    if raw.isascii() or _decodes(raw, "utf-8") is not None:
        return raw
    high = sum(len(run) for run in _HIGH.findall(raw))
    text = _decodes(raw, "gb18030") if high >= _MIN_HIGH and len(_ALONE.findall(raw)) <= high / 10 else None
    if text is None:
        return raw
    beyond = [character for character in text if character > "\x7f"]
    han = sum(ord(character) in _HAN or character in _PUNCTUATION or character > "\uff00" for character in beyond)
    return text.encode("utf-8") if han >= 0.9 * len(beyond) else raw


def _decodes(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None
