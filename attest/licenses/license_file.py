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
    if _OTHER_SUFFIX.fullmatch(suffix):
        return None
    words = " ".join(_SEPARATORS.split(name))
    apart = frozenset(words.split())
    if any(phrase in words for phrase in _THIRD_PARTY) and apart & (_LICENSE | _NOTICE):
        return "notice-file"
    if apart & _LICENSE:
        return "license-file"
    if any(phrase in words for phrase in _POLICY):
        return "use-policy-file"
    if apart & _NOTICE:
        return "notice-file"
    in_folder = bool(folders) and _SEPARATORS.sub(" ", folders[-1]) in _FOLDERS
    return "license-file" if in_folder and suffix in _TEXT_SUFFIXES else None


def detect(source: Source) -> Iterator[Finding]:
    """The file itself, with its first three lines that hold a letter or digit, joined by `` / ``."""
    code = code_of_name(source.path)
    if code is None:
        return
    lines = source.data[:_HEAD].decode("utf-8", "replace").split("\n")
    titles = [(number, text.strip()) for number, text in enumerate(lines, start=1) if _WORD.search(text)]
    line = titles[0][0] if titles else None
    yield source.finding(code, line, " / ".join(text for _, text in titles[:_TITLE_LINES]))
