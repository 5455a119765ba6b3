"""Files that are text, but in an encoding whose bytes are not those of ASCII, or hold more than ASCII and UTF-8."""

from __future__ import annotations

import codecs

__all__ = ["is_utf16", "readable"]

_HEAD = 8192
_HAN = range(0x3400, 0xA000)


def is_utf16(data: bytes) -> bool:
    """Whether a file begins with the byte order mark of UTF-16."""
    return data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def readable(raw: bytes) -> bytes:
    """A file in UTF-8 where it is UTF-16 with a byte order mark, or GB18030 with mostly Chinese; else as it is.

    Notes
    -----
    GB18030 gives a meaning to almost any bytes. It is assumed only where the bytes are not UTF-8, all of them decode,
    and nine tenths of the characters beyond ASCII are Han or full-width: Latin-1 would be read wrongly otherwise.
    """
    if is_utf16(raw):
        return raw.decode("utf-16", "replace").encode("utf-8", "replace")
    if raw.isascii() or _decodes(raw, "utf-8") is not None:
        return raw
    text = _decodes(raw, "gb18030")
    beyond = [character for character in text[:_HEAD] if character > "\x7f"] if text else []
    han = sum(ord(character) in _HAN or "\u3000" <= character <= "\u303f" or character > "\uff00" for character in beyond)
    return text.encode("utf-8") if text and beyond and han >= 0.9 * len(beyond) else raw


def _decodes(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None
