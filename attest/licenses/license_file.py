"""Files that are license texts, notices or use policies by their names; their texts are not identified."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses.source import Source

__all__ = ["code_of_name", "detect"]

_LICENSE = frozenset({"license", "licence", "licenses", "licences", "unlicense", "copying", "agreement", "eula"})
_NOTICE = frozenset({"notice", "notices", "thirdpartynotice", "thirdpartynotices"})
_THIRD_PARTY = ("third party", "thirdparty")
_POLICY = ("use policy", "usage policy", "acceptable use", "prohibited use")
_FOLDERS = frozenset({"license", "licence", "licenses", "licences", "model licenses", "legal"})
_TERMS = (
    "terms of use",
    "terms of service",
    "terms and conditions",
    "\u8bb8\u53ef",
    "\u8a31\u53ef",
    "\u4f7f\u7528\u534f\u8bae",
)
"""The last are Chinese: license, in both scripts, and agreement of use."""

_STATEMENT = (
    "\u7248\u6743\u58f0\u660e",
    "\u7248\u6b0a\u8072\u660e",
    "\u5f00\u6e90\u58f0\u660e",
    "\u5f00\u6e90\u8f6f\u4ef6\u58f0\u660e",
)
"""Chinese: statement of copyright, in both scripts, and of open source (software)."""

_ALONE = frozenset({"copyright", "copyrights", "patents", "legal"})
"""Names that count only where no other word stands beside them."""

_COMPANION = re.compile(r".*\.[a-z]\w{0,15}\.license")
"""``model.bin.license`` holds the REUSE tags of ``model.bin``."""

_TEXT_SUFFIXES = frozenset({"", "txt", "md", "rst", "html"})
_OTHER_SUFFIX = re.compile(
    "py[cix]?|ipynb|[cm]?js|tsx?|jsx|vue|java|kt|scala|[ch]|cc|[ch]pp|cuh?|go|rs|rb|php|pl|sh|bat|ps1|swift|cs|m|r|lua"
    "|sql|s?css|jsonl?|ya?ml|toml|xml|[ct]sv|ini|cfg|svg|png|jpe?g|gif|ico|so|dll|dylib|zip|gz|whl|safetensors|bin|gguf"
)
"""Programs, data and archives, whatever their stem."""

_SEPARATORS = re.compile(r"[\s._-]+")
_WORD = re.compile(r"[^\W_]")
_TITLE_LINES = 3
_HEAD = 4096


def code_of_name(path: str) -> str | None:
    """Code of the finding that a file's name makes it, or None.

    Examples
    --------
    >>> code_of_name("LICENSE-MIT.txt"), code_of_name("Open Source Software Notice"), code_of_name("license.py")
    ('license-file', 'notice-file', None)
    """
    *folders, name = path.casefold().split("/")
    suffix = name.rpartition(".")[2] if "." in name else ""
    if _OTHER_SUFFIX.fullmatch(suffix) or _COMPANION.fullmatch(name):
        return None
    words = " ".join(_SEPARATORS.split(name))
    stem = words.removesuffix(suffix).strip() if suffix in _TEXT_SUFFIXES else words
    code = "license-file" if stem in _ALONE else _code_of_words(words)
    in_folder = bool(folders) and _SEPARATORS.sub(" ", folders[-1]) in _FOLDERS
    return "license-file" if code is None and in_folder and suffix in _TEXT_SUFFIXES else code


def _code_of_words(words: str) -> str | None:
    apart = frozenset(words.split())
    if _holds(words, _THIRD_PARTY) and apart & (_LICENSE | _NOTICE):
        return "notice-file"
    if apart & _LICENSE or _holds(words, _TERMS):
        return "license-file"
    if _holds(words, _POLICY):
        return "use-policy-file"
    return "notice-file" if apart & _NOTICE or _holds(words, _STATEMENT) else None


def _holds(words: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in words for phrase in phrases)


def detect(source: Source) -> Iterator[Finding]:
    """The file itself, with its first three lines that hold a letter or digit, joined by `` / ``."""
    code = code_of_name(source.path)
    if code is None:
        return
    lines = source.data[:_HEAD].decode("utf-8", "replace").split("\n")
    titles = [(number, text.strip()) for number, text in enumerate(lines, start=1) if _WORD.search(text)]
    line = titles[0][0] if titles else None
    yield source.finding(code, line, " / ".join(text for _, text in titles[:_TITLE_LINES]))
