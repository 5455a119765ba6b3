"""SPDX 3.0.1 as JSON-LD: a package, its files with digests and copyright lines, and the licenses found and declared.

References
----------
SPDX specification 3.0.1, Core ``RelationshipType``: ``hasDeclaredLicense`` is a license that was discovered in what it
is about, for example by automated tooling; ``hasConcludedLicense`` is a conclusion, and is never written. Software
``ContentIdentifierType``: ``gitoid``. Software ``SoftwarePurpose``: what a package is for, here the scope of licenses. Simple licensing ``LicenseExpression``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attest.license_summary import Scope
from attest.licenses.export.content import Content, FileContent, as_json
from attest.licenses.expression import expression_of

__all__ = ["to_spdx"]

_CREATION = "_:creation"
_PURPOSES: dict[Scope, str] = {"weights": "model", "code": "source", "data": "data", "documentation": "documentation"}


def to_spdx(content: Content) -> str:
    """One document; its ids are made from the tree digest and from the order of files."""
    space = f"https://attest/repository-scan/{content.tree_digest}#"
    files = tuple(content.files())
    declared = {expression for value in content.declared() if (expression := expression_of(value))}
    found = {expression for file in files for expression in file.licenses}
    parts = {one.scope: {each.expression for each in one.found} for one in content.scopes}
    declared |= parts.pop("repository", set())
    ids = {
        expression: f"{space}license-{number}"
        for number, expression in enumerate(sorted(declared.union(found, *parts.values())), start=1)
    }
    package = f"{space}package"
    elements = [
        {"type": "SoftwareAgent", "spdxId": f"{space}tool", "name": f"{content.tool.name} {content.tool.version}"},
        {
            "type": "software_Package",
            "spdxId": package,
            "name": content.name,
            "comment": f"Tree digest of the files that were read: {content.tree_digest}",
        },
        *(_part(content.name, scope, f"{space}{scope}") for scope in parts),
        *(_file(file, f"{space}file-{number}") for number, file in enumerate(files, start=1)),
        *(
            {
                "type": "simplelicensing_LicenseExpression",
                "spdxId": id_,
                "simplelicensing_licenseExpression": expression,
            }
            for expression, id_ in ids.items()
        ),
    ]
    inside = [f"{space}{scope}" for scope in parts] + [f"{space}file-{number}" for number in range(1, len(files) + 1)]
    relations = [("contains", package, inside), ("hasDeclaredLicense", package, [ids[one] for one in sorted(declared)])]
    relations += [
        ("hasDeclaredLicense", f"{space}{scope}", [ids[one] for one in sorted(expressions)])
        for scope, expressions in parts.items()
    ]
    relations += [
        ("hasDeclaredLicense", f"{space}file-{number}", [ids[one] for one in file.licenses])
        for number, file in enumerate(files, start=1)
    ]
    elements += _relations(space, relations)
    return as_json(
        {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": _graph(content, space, elements)}
    )


def _part(name: str, scope: Scope, id_: str) -> dict[str, Any]:
    """What of the repository a license was found for, as far as names of files and folders tell."""
    return {
        "type": "software_Package",
        "spdxId": id_,
        "name": f"{name}: {scope}",
        "software_primaryPurpose": _PURPOSES[scope],
    }


def _file(content: FileContent, id_: str) -> dict[str, Any]:
    blob = {
        "type": "software_ContentIdentifier",
        "software_contentIdentifierType": "gitoid",
        "software_contentIdentifierValue": f"gitoid:blob:sha1:{content.file.blob}",
    }
    return {
        "type": "software_File",
        "spdxId": id_,
        "name": content.file.path,
        "verifiedUsing": [{"type": "Hash", "algorithm": "sha256", "hashValue": content.file.sha256}],
        "software_contentIdentifier": [blob],
        **({"software_copyrightText": "\n".join(content.copyrights)} if content.copyrights else {}),
    }


def _relations(space: str, relations: Iterable[tuple[str, str, list[str]]]) -> list[dict[str, Any]]:
    """Relationships that lead somewhere."""
    pairs = [(kind, source, targets) for kind, source, targets in relations if targets]
    return [
        {
            "type": "Relationship",
            "spdxId": f"{space}relation-{number}",
            "relationshipType": kind,
            "from": source,
            "to": targets,
        }
        for number, (kind, source, targets) in enumerate(pairs, start=1)
    ]


def _graph(content: Content, space: str, elements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Elements with who made them and when, and the document that holds them."""
    creation = {
        "type": "CreationInfo",
        "@id": _CREATION,
        "specVersion": "3.0.1",
        "created": content.created,
        "createdBy": [f"{space}tool"],
    }
    document = {
        "type": "SpdxDocument",
        "spdxId": f"{space}document",
        "creationInfo": _CREATION,
        "name": f"Scan of {content.name}",
        "profileConformance": ["core", "software", "simpleLicensing"],
        "rootElement": [f"{space}package"],
        "element": [element["spdxId"] for element in elements],
    }
    return [creation, document, *({**element, "creationInfo": _CREATION} for element in elements)]
