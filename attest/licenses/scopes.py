"""Licenses by what they are found for: weights, code, data and documentation often have different ones."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias, get_args

from attest.license_summary import Basis, FoundExpression, Scope, ScopedLicenses
from attest.licenses.expression import expression_of, joined
from attest.licenses.license_file import code_of_name
from attest.licenses.license_name import licenses_named
from attest.licenses.origin.tokens import is_code
from attest.licenses.repository import Scan
from attest.licenses.source import MAX_TEXT

__all__ = ["MAX_FOUND", "scopes"]

_Places: TypeAlias = dict[tuple[Scope, str, Basis], list[tuple[str, int | None]]]

_WORDS: dict[str, Scope] = {
    "model": "weights", "models": "weights", "weights": "weights", "checkpoint": "weights", "checkpoints": "weights",
    "code": "code", "src": "code", "software": "code",
    "data": "data", "dataset": "data", "datasets": "data", "corpus": "data",
    "docs": "documentation", "documentation": "documentation",
}  # fmt: skip
"""Words of names of license files, and names of folders."""

_SUFFIXES: dict[str, Scope] = {
    **dict.fromkeys(("safetensors", "gguf", "bin", "pt", "pth", "ckpt", "onnx"), "weights"),
    **dict.fromkeys(("csv", "tsv", "jsonl", "parquet", "arrow"), "data"),
    **dict.fromkeys(("md", "rst", "html", "ipynb"), "documentation"),
}
_DECLARING: dict[str, Scope] = {
    **dict.fromkeys(("readme.md", "config.json"), "weights"),
    **dict.fromkeys(("pyproject.toml", "package.json", "metadata", "pkg-info", "citation.cff"), "code"),
}
_BASES: dict[str, Basis] = {"license-notice": "notice", "spdx-license": "tag", "declared-license": "declared"}
_SEPARATORS = re.compile(r"[\s._-]+")
MAX_FOUND = 100
"""Expressions that are listed for one scope."""


def scopes(scan: Scan) -> tuple[ScopedLicenses, ...]:
    """Licenses of a scan by scope, those of the whole repository last.

    Notes
    -----
    The scope follows from names alone. A model card, ``config.json`` and headers of weights speak for weights, the
    metadata of packages and programs for code; a license file for what its name or folder says, such as
    ``LICENSE-MODEL`` or ``data/LICENSE``, and else for the repository. A text that differs from the known one, and
    words beside a known text, are in no expression, nor is a value that was cut for its length.

    It does not show which license applies to what: that is for whoever published it to say.
    """
    places: _Places = defaultdict(list)
    unread: dict[Scope, int] = defaultdict(int)
    for file in scan.identified:
        is_license = code_of_name(file.path) == "license-file"
        unread[_scope_of(file.path)] += is_license and file.verdict in ("near", "unknown")
    for scope, value, basis, path, line in _said(scan):
        expression = expression_of(value) or _declared(value, basis) if len(value) < MAX_TEXT else None
        if expression is None:
            unread[scope] += 1
        else:
            places[scope, expression, basis].append((path, line))
    named = {scope for scope, _, _ in places} | {scope for scope, count in unread.items() if count}
    return tuple(_scope(scope, places, unread.get(scope, 0)) for scope in get_args(Scope) if scope in named)


def _scope(scope: Scope, places: _Places, unread: int) -> ScopedLicenses:
    found = [
        FoundExpression(expression=expression, basis=basis, path=at[0][0], line=at[0][1], files=len(dict(at)))
        for (of, expression, basis), at in sorted(places.items())
        if of == scope
    ][:MAX_FOUND]
    joint = joined(one.expression for one in found) if found else ""
    return ScopedLicenses(scope=scope, expression=joint, found=tuple(found), unread=unread)


def _said(scan: Scan) -> Iterator[tuple[Scope, str, Basis, str, int | None]]:
    """Scope, value, basis and place of each license text, notice, tag and declaration."""
    for file in scan.identified:
        for text in file.texts:
            if text.kind == "text" and not text.change_count:
                yield _scope_of(file.path), text.expression, "text", file.path, text.line
    for finding in scan.findings:
        basis = _BASES.get(finding.code)
        if basis == "declared":
            name = finding.path.rpartition("/")[2].casefold()
            yield _DECLARING.get(name) or _scope_of(finding.path), finding.text, basis, finding.path, finding.line
        elif basis is not None:
            value, _, paths = finding.text.partition(" (for ")
            for path in paths.removesuffix(")").split(", "):
                yield _scope_of(path or finding.path), value, basis, finding.path, finding.line


def _scope_of(path: str) -> Scope:
    """What a file belongs to, by its name and folders."""
    *folders, name = path.casefold().removesuffix(".license").split("/")
    above = [_WORDS[folder] for folder in reversed(folders) if folder in _WORDS]
    if code_of_name(path) is not None:
        own = [_WORDS[word] for word in _SEPARATORS.split(name) if word in _WORDS]
        return [*own, *above, "repository"][0]
    if is_code(name):
        return "code"
    return _SUFFIXES.get(name.rpartition(".")[2]) or [*above, "repository"][0]


def _declared(value: str, basis: Basis) -> str | None:
    """The one license that a name in words stands for, such as the Hub's."""
    named = licenses_named(value) if basis == "declared" else frozenset()
    return min(named) if len(named) == 1 else None
