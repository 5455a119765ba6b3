"""SPDX tags in files: the license expression and the copyright text, verbatim.

References
----------
SPDX specification 2.3, annex E; REUSE specification 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses.source import Source

__all__ = ["detect"]

_TAG = re.compile(r"SPDX-(License-Identifier|FileCopyrightText|SnippetCopyrightText):(.*)", re.IGNORECASE)
_STRING_END = re.compile(r'["\\]')
_CLOSERS = ("*/", "-->", "#}", "*)", "?>", "%>", "#", "'", "`", ",", ";")


def _value(text: str) -> str:
    """Text of a tag without what closes the comment or string that it stands in."""
    value = _STRING_END.split(text, maxsplit=1)[0].strip()
    while closer := next((closer for closer in _CLOSERS if value.endswith(closer)), None):
        value = value.removesuffix(closer).rstrip()
    return value


def detect(source: Source) -> Iterator[Finding]:
    """Each SPDX tag with a value; placeholders such as ``<license>`` are left out."""
    words = (b"spdx-license-identifier:", b"spdx-filecopyrighttext:", b"spdx-snippetcopyrighttext:")
    for excerpt in source.excerpts(*words):
        tag = _TAG.search(excerpt.text)
        value = _value(tag[2]) if tag else ""
        if tag is None or not value or not (value[0].isalnum() or value[0] in "(©"):
            continue
        code = "spdx-license" if tag[1].casefold() == "license-identifier" else "spdx-copyright"
        yield source.finding(code, excerpt.line, value)
