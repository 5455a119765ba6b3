"""Claims of having been copied, beside the code that they name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Literal, TypeAlias

from attest.finding import Finding
from attest.licenses.copied.claim import CopyClaim
from attest.licenses.copied.python_block import Block, PythonText, words_of
from attest.licenses.copied.whole_file import compare_files
from attest.licenses.origin.tokens import Fingerprint, fingerprint, is_code
from attest.licenses.readable import Skipped
from attest.licenses.source import Source, cut
from attest.licenses.whole import WHOLE

__all__ = ["Reader", "compare_copies"]

Outcome: TypeAlias = Literal["equal", "differs", "named nothing", "whole file", "not compared", "not at hand"]
Reader: TypeAlias = Callable[[], Iterable[Source | Skipped]]

_WORDS: dict[Outcome, str] = {
    "equal": "over code that is equal there",
    "differs": "over code that differs",
    "named nothing": "naming what is not there",
    "whole file": "naming a file of which something stands in the whole file",
    "not compared": "claiming no equal function or class, or in files too short to be compared",
    "not at hand": "naming a file that is not at hand",
}
_CONTEXT = 5
_MAX_TEXT = 400_000


class _Module:
    """A file that some claim names; it is taken apart when the first claim is compared with it."""

    def __init__(self, source: Source) -> None:
        self.path = source.path
        self._source = source
        self._python: PythonText | None = None

    def named(self, names: tuple[str, ...]) -> tuple[Block, ...] | None:
        """Functions and classes of this name; None where there is one, but too long to be read."""
        if self._python is None:
            self._python = PythonText(self._source.text)
        return self._python.named(names)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Of the whole file."""
        return fingerprint(self._source.path, self._source.text)

    def mentions(self, name: str) -> bool:
        """Whether the name stands anywhere in it: it may be assigned, imported, or defined under a condition."""
        return re.search(rf"\b{re.escape(name)}\b".encode(), self._source.data) is not None


def compare_copies(claims: Sequence[CopyClaim], references: Sequence[Reader]) -> Iterator[Finding]:
    """Each claim that what it names does not bear out, and one finding that counts all.

    Parameters
    ----------
    claims : sequence of CopyClaim
    references : sequence of callable
        Give the files of repositories or packages that may hold what is named; the first that holds it counts. The last
        gives those of the claims themselves.

    Yields
    ------
    Finding
        ``copied-from-mismatch``, ``copied-from-whole-file`` and ``copied-from-compared``.

    Notes
    -----
    Words and marks are compared after the replacements that the comment states, without comments, docstrings, layout,
    kinds of quotes and the name of the function or class itself. Files in other languages than Python are compared as
    wholes.
    """
    counts: Counter[Outcome] = Counter()
    modules = [_modules(read(), claims) for read in references] if claims else []
    for claim in claims:
        outcome, words = _outcome(claim, modules)
        counts[outcome] += 1
        if outcome in ("differs", "named nothing"):
            text = f"says it is from {claim.target}; {words}"
            yield Finding(code="copied-from-mismatch", path=claim.path, line=claim.line, text=cut(text))
        elif outcome == "whole file":
            text = f"says it is from {claim.target}; {words}"
            yield Finding(code="copied-from-whole-file", path=claim.path, line=claim.line, text=cut(text))
    if claims:
        told = [f"{words}: {counts[outcome]}" for outcome, words in _WORDS.items() if counts[outcome]]
        text = f"comments that name a place in code: {len(claims)}; {', '.join(told)}"
        yield Finding(code="copied-from-compared", path=WHOLE, line=None, text=text)


def _modules(files: Iterable[Source | Skipped], claims: Sequence[CopyClaim]) -> dict[str, _Module | None]:
    """Files that claims name, by every end of their paths that a claim may mean; None where several have that end."""
    wanted = {path for claim in claims for path, _ in claim.places}
    whole: dict[str, _Module | None] = {}
    ending: dict[str, _Module | None] = {}
    for file in files:
        if not isinstance(file, Source) or not is_code(file.path):
            continue
        suffix = ".py" if file.path.endswith(".py") else ""
        parts = file.path.removesuffix("/__init__.py").removesuffix(suffix).split("/")
        ends = ["/".join(parts[start:]) + suffix for start in range(len(parts))]
        module = None
        for end in wanted.intersection(ends):
            module = module or _Module(file)
            if end == ends[0]:
                whole[end] = module
            else:
                ending[end] = None if end in ending else module
    return ending | whole


def _outcome(claim: CopyClaim, references: Sequence[dict[str, _Module | None]]) -> tuple[Outcome, str]:
    """What comes of a claim, and what a reader of a finding should know of it."""
    found = next(
        (
            (module, names)
            for modules in references
            for path, names in claim.places
            if (module := modules.get(path)) and not (modules is references[-1] and _is_itself(claim, module, names))
        ),
        None,
    )
    if found is None or _is_elsewhere(*found):
        return "not at hand", ""
    module, names = found
    if claim.whole is not None:
        return _whole_file(claim, claim.whole, module)
    own = claim.block
    blocks = module.named(names or (own.name,)) if own else ()
    if own and names and blocks == () and not module.mentions(names[-1]):
        return "named nothing", f"{module.path} holds no function or class {'.'.join(names)}"
    texts = [_changed(block.text, claim.changes) for block in blocks or ()] if claim.is_comparable else []
    if own is None or not blocks or not texts or None in texts:
        return "not compared", ""
    differences = [_difference(own, text) for text in texts if text is not None]
    if None in differences:
        return "equal", ""
    return "differs", f"line {blocks[0].number} of {module.path} begins what has {differences[0]}"


def _is_itself(claim: CopyClaim, module: _Module, names: tuple[str, ...]) -> bool:
    """Whether what a claim names is what it stands over, as in a file that was copied to the same path."""
    block = claim.block
    return module.path == claim.path and (not block or names[-1:] in ((), (block.name,)))


def _whole_file(claim: CopyClaim, own: Fingerprint, module: _Module) -> tuple[Outcome, str]:
    """What comes of a claim in a file that is compared as a whole; only *copied* promises that something is the same."""
    found, words = compare_files(own, module.fingerprint, module.path)
    if found is None or not (found or claim.is_copy):
        return "not compared", ""
    return "whole file" if found else "differs", words


def _is_elsewhere(module: _Module, names: tuple[str, ...]) -> bool:
    """Whether a package has a thing by that name from one of its other files, if at all."""
    return bool(names) and module.path.endswith("__init__.py") and module.named(names) == ()


def _changed(text: str, changes: Sequence[tuple[str, str]]) -> str | None:
    """A text after replacements; None where they make it too long."""
    for old, new in changes:
        if len(text) + text.count(old) * (len(new) - len(old)) > _MAX_TEXT:
            return None
        text = text.replace(old, new)
    return text


def _difference(here: Block, there: str) -> str | None:
    """The first words that differ, or None."""
    if here.text == there:
        return None
    own, other = words_of(here.text), words_of(there)
    pairs = zip(own, other, strict=False)
    place = next((place for place, (one, two) in enumerate(pairs) if one[0] != two[0]), min(len(own), len(other)))
    if place == len(own) == len(other):
        return None
    line = own[min(place, len(own) - 1)][1] + here.number
    return f"«{_around(other, place)}» where line {line} here has «{_around(own, place)}»"


def _around(words: Sequence[tuple[str, int]], place: int) -> str:
    return " ".join(word for word, _ in words[max(place - 2, 0) : place + _CONTEXT])
