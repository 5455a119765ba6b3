r"""SARIF 2.1.0: findings and origins of code as results that a person is asked to review, none as a failure.

References
----------
OASIS, SARIF 2.1.0 plus errata 01: 3.27.9 (a ``kind`` other than ``fail``) and 3.27.10 (then ``level`` is ``none``);
3.11.5 and 3.11.6 (braces are doubled in a message, brackets and backslashes escaped); 3.27.17 (partial fingerprints).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from attest.digest import sha256
from attest.finding import Finding
from attest.licenses.export.content import Content, as_json
from attest.licenses.kind import KINDS, RANK
from attest.licenses.meaning import Meaning, meanings
from attest.licenses.whole import WHOLE
from attest.repository_scan import HolderNotice, Origin
from attest.terminal import amount

__all__ = ["to_sarif"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_FOR_REVIEW = frozenset(kind.code for kind in KINDS if RANK[kind.code] < RANK["license-text"]) | {
    "origin-notice-missing"
}
_ESCAPED = str.maketrans({"{": "{{", "}": "}}", "[": "\\[", "]": "\\]", "\\": "\\\\"})
_TITLES = {kind.code: kind.title for kind in KINDS} | {
    "code-origin": "Code that stands in another repository, too",
    "origin-notice-missing": "Notices of such code that are not here",
}


def to_sarif(content: Content) -> str:
    """One run with a rule for each kind of finding, whether or not it was found."""
    rules = [_rule(code, meanings()[code]) for code in _TITLES]
    places = {code: place for place, code in enumerate(_TITLES)}
    artifacts = {file.path: place for place, file in enumerate(content.scan.files)}
    results = [
        _result(one, artifacts, places)
        for one in (*content.scan.findings, *_of_origins(content.origins), *_of_holders(content.notices))
    ]
    driver = {"name": content.tool.name, "version": content.tool.version, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "artifacts": [
            {"location": {"uri": quote(file.path)}, "hashes": {"sha-256": file.sha256}} for file in content.scan.files
        ],
        "results": results,
        "properties": {"repository": content.name, "treeDigest": content.tree_digest},
    }
    return as_json({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(code: str, meaning: Meaning) -> dict[str, Any]:
    return {
        "id": code,
        "shortDescription": {"text": _message(_TITLES[code])},
        "fullDescription": {"text": _message(f"Means: {meaning.means}")},
        "help": {"text": _message(f"Means: {meaning.means} Does not mean: {meaning.does_not_mean}")},
        "defaultConfiguration": {"level": "none"},
    }


def _of_origins(origins: tuple[Origin, ...]) -> Iterator[Finding]:
    for one in origins:
        rank = (
            "no null"
            if one.both_percentile is None
            else f"{one.reading}, above {one.nearest_percentile} of nearest pairs"
        )
        left_out = f" (without the {one.common} that is common)" if float(one.common) else ""
        text = f"{one.origin} holds {one.containment} of it{left_out}, {one.margin} more than the next; {rank}"
        yield Finding(code="code-origin", path=one.path, line=None, text=text)
        for line in one.missing_notices:
            yield Finding(code="origin-notice-missing", path=one.path, line=None, text=f"{one.origin}: {line}")


def _of_holders(notices: tuple[HolderNotice, ...]) -> Iterator[Finding]:
    for one in notices:
        if not one.named:
            text = f"{one.notice.path}, over {amount(one.alike, 'file')} alike: {one.notice.text}"
            yield Finding(code="origin-notice-missing", path=WHOLE, line=None, text=text)


def _result(finding: Finding, artifacts: Mapping[str, int], places: Mapping[str, int]) -> dict[str, Any]:
    known = f"{finding.code}\n{finding.path}\n{finding.text}"
    result = {
        "ruleId": finding.code,
        "ruleIndex": places[finding.code],
        "kind": "review" if finding.code in _FOR_REVIEW else "informational",
        "level": "none",
        "message": {"text": _message(f"{_TITLES[finding.code]}: {finding.text}")},
        "partialFingerprints": {"attestFinding/v1": sha256(known.encode("utf-8", "replace"))},
    }
    if finding.path == WHOLE:
        return result
    location: dict[str, Any] = {"uri": quote(finding.path)}
    if finding.path in artifacts:
        location["index"] = artifacts[finding.path]
    region = {} if finding.line is None else {"region": {"startLine": finding.line}}
    return {**result, "locations": [{"physicalLocation": {"artifactLocation": location, **region}}]}


def _message(text: str) -> str:
    return text.translate(_ESCAPED)
