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
    files = {f"{space}file-{number}": file for number, file in enumerate(content.files(), start=1)}
    declared = {expression for value in content.declared() if (expression := expression_of(value))}
    parts = {one.scope: {each.expression for each in one.found} for one in content.scopes}
    declared |= parts.pop("repository", set())
    expressions = declared.union(*parts.values(), *(file.licenses for file in files.values()))
    ids = {one: f"{space}license-{number}" for number, one in enumerate(sorted(expressions), start=1)}
    package = f"{space}package"
    licensed = {
        package: sorted(declared),
        **{f"{space}{scope}": sorted(found) for scope, found in parts.items()},
        **{id_: file.licenses for id_, file in files.items()},
    }
    elements = [
        {"type": "SoftwareAgent", "spdxId": f"{space}tool", "name": f"{content.tool.name} {content.tool.version}"},
        _package(content, package),
        *(_part(content.name, scope, f"{space}{scope}") for scope in parts),
        *(_file(file, id_) for id_, file in files.items()),
        *(_expression(one, id_) for one, id_ in ids.items()),
        *_relations(
            space,
            [
                ("contains", package, [id_ for id_ in licensed if id_ != package]),
                *(("hasDeclaredLicense", id_, [ids[one] for one in found]) for id_, found in licensed.items()),
            ],
        ),
    ]
    return as_json(
        {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": _graph(content, space, elements)}
    )


def _package(content: Content, id_: str) -> dict[str, Any]:
    return {
        "type": "software_Package",
        "spdxId": id_,
        "name": content.name,
        "comment": f"Tree digest of the files that were read: {content.tree_digest}",
    }


def _expression(expression: str, id_: str) -> dict[str, Any]:
    return {
        "type": "simplelicensing_LicenseExpression",
        "spdxId": id_,
        "simplelicensing_licenseExpression": expression,
    }


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
