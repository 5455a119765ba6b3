"""License texts and notices, identified: which license, in full or changed, and what else stands beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from attest.document import Count, record
from attest.finding import Finding
from attest.licenses.detect import Change, FoundText, Identification, identify, twins
from attest.licenses.license_file import code_of_name
from attest.licenses.lookalike import lookalike_lines, plain
from attest.licenses.source import Source, cut
from attest.terminal import amount

__all__ = ["Difference", "IdentifiedFile", "IdentifiedText", "findings_of", "identify_file"]

_WORDS = (b"licen", b"redistribut", b"permission", b"copying")
_MIN_NOTICE = 5
_LINES_BEFORE = 12
_LINES_AFTER = 30
_MAX_TEXTS = 100
_MAX_CHANGES = 5
_MAX_QUOTE = 200
_SHOWN_CHANGES = 4
_SHOWN_WORDS = 30


@record
class Difference:
    """Words of a known license, and what a file has in their place, at most 200 characters of each."""

    known: str
    here: str
    line: int


@record
class IdentifiedText:
    """A known text, notice, tag or reference in a file; see ``attest.licenses.detect.FoundText``.

    ``changes`` lists at most 5; ``change_count`` counts all. ``twins`` are licenses whose text hardly
    differs from one that stands here changed.
    """

    expression: str
    kind: Literal["text", "notice", "tag", "reference"]
    line: int
    last_line: int
    license_words: Count
    found_words: Count
    change_count: Count
    changes: tuple[Difference, ...]
    tolerated_count: Count
    twins: tuple[str, ...]


@record
class IdentifiedFile:
    """What license texts a file holds.

    ``words`` counts its normalized words, ``rest_words`` those that no known text explains, ``rest`` quotes them, at
    most 500 characters. ``texts`` lists at most 100.
    """

    path: str
    verdict: Literal["exact", "contained", "near", "reference-only", "unknown"]
    words: Count
    rest_words: Count
    rest_line: int | None
    rest: str
    texts: tuple[IdentifiedText, ...]


def identify_file(source: Source) -> IdentifiedFile | None:
    """What license texts and notices a file holds, or None where it is neither a license file nor speaks of one.

    Notes
    -----
    Files that are licenses, notices or policies by their names are read as a whole, and texts that were changed are
    looked for, also behind letters that cannot be seen or look like others: such a text is near, and never exact. In other files only what stands there word for word counts, without mere references.
    """
    whole = code_of_name(source.path) is not None
    if not whole and not any(word in source.lowered for word in _WORDS):
        return None
    data = source.data if whole else _around_words(source)
    text = data.decode("utf-8", "replace")
    found = _with_lookalikes(identify(plain(text)), lookalike_lines(text)) if whole else identify(text, whole=False)
    texts = [text for text in found.texts if whole or _is_notice(text)]
    if not whole and not texts:
        return None
    rest = found.rest if whole else ()
    return IdentifiedFile(
        path=source.path,
        verdict=found.verdict,
        words=found.words,
        rest_words=sum(len(part.words) for part in rest),
        rest_line=rest[0].line if rest else None,
        rest=cut(" … ".join(" ".join(part.words) for part in rest[:_SHOWN_WORDS])),
        texts=tuple(_text(text) for text in texts[:_MAX_TEXTS]),
    )


def _with_lookalikes(found: Identification, lines: Mapping[int, str]) -> Identification:
    """What was found in a text as it seems: each line whose words are others than they seem is a change."""
    if not lines:
        return found

    def changed(text: FoundText) -> FoundText:
        held = ((number, seems) for number, seems in lines.items() if text.line <= number <= text.last_line)
        changes = tuple(Change(known=seems, here="the same in other letters", line=number) for number, seems in held)
        return replace(text, changes=(*text.changes, *changes))

    return replace(found, texts=tuple(map(changed, found.texts)))


def _around_words(source: Source) -> bytes:
    """A program with the lines left empty that are far from any word of a license: most of a program is."""
    data = source.data
    newlines = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    bounds = [0, *(newlines + 1).tolist(), len(data)]
    hits = [place for word in _WORDS for place in source.places(word)]
    kept: list[bytes] = []
    end = 0
    for line in np.unique(np.searchsorted(newlines, hits)).tolist():
        begin, stop = max(line - _LINES_BEFORE, end), min(line + _LINES_AFTER, len(bounds) - 1)
        kept += [b"\n" * (begin - end), data[bounds[begin] : bounds[stop]]]
        end = stop
    return b"".join(kept)


def _is_notice(text: FoundText) -> bool:
    """Whether words in a program apply a license, and do not only name one."""
    return text.kind in ("text", "notice") and text.found_words >= _MIN_NOTICE


def _text(text: FoundText) -> IdentifiedText:
    return IdentifiedText(
        expression=text.expression,
        kind=text.kind,
        line=text.line,
        last_line=text.last_line,
        license_words=text.license_words,
        found_words=text.found_words,
        change_count=len(text.changes),
        changes=tuple(_difference(change) for change in text.changes[:_MAX_CHANGES]),
        tolerated_count=len(text.tolerated),
        twins=twins(text.expression) if text.changes else (),
    )


def _difference(change: Change) -> Difference:
    return Difference(known=cut(change.known)[:_MAX_QUOTE], here=cut(change.here)[:_MAX_QUOTE], line=change.line)


def findings_of(file: IdentifiedFile) -> Iterator[Finding]:
    """What people should know of an identified file."""
    if code_of_name(file.path) is None:
        for text in file.texts:
            yield Finding(code="license-notice", path=file.path, line=text.line, text=cut(text.expression))
        return
    texts = [text for text in file.texts if text.kind == "text"]
    for text in texts:
        yield _finding_of_text(file, text)
        if text.twins:
            words = f"nearest is {text.expression}, and hardly apart from it are {', '.join(text.twins)}"
            yield Finding(code="license-near-twin", path=file.path, line=text.line, text=cut(words))
    if texts and file.verdict == "contained":
        words = f"{file.rest_words} of {file.words} words belong to no known text: {file.rest}"
        yield Finding(code="license-text-and-more", path=file.path, line=file.rest_line, text=cut(words))
    if not texts:
        named = ", ".join(dict.fromkeys(text.expression for text in file.texts))
        words = f"no known license text; {f'it refers to {named}' if named else 'and no reference to one'}"
        yield Finding(code="license-text-unknown", path=file.path, line=None, text=cut(words))


def _finding_of_text(file: IdentifiedFile, text: IdentifiedText) -> Finding:
    if text.change_count:
        changes = "; ".join(_change_in_words(change) for change in text.changes[:_SHOWN_CHANGES])
        words = (
            f"nearest is {text.expression}, {text.found_words} of whose {text.license_words} words stand here; "
            f"{amount(text.change_count, 'difference')}: {changes}"
        )
        return Finding(code="license-text-changed", path=file.path, line=text.line, text=cut(words))
    later = text.expression.removesuffix("-only")
    same = "" if later == text.expression else f" ({later}-or-later has the same text)"
    words = f"{text.expression}{same}: all {text.license_words} words, lines {text.line} to {text.last_line}"
    return Finding(code="license-text", path=file.path, line=text.line, text=cut(words))


def _change_in_words(change: Difference) -> str:
    return f"line {change.line}: «{_short(change.known)}» stands as «{_short(change.here)}»"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
