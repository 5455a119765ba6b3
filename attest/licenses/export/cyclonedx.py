"""CycloneDX 1.7 as JSON: the repository as a component, its files with the licenses and copyrights found in them.

References
----------
ECMA-424, CycloneDX 1.7: ``component.licenses`` with the acknowledgement ``declared``, ``component.evidence`` for what
was found by analysis, ``component.components`` for the parts of the whole. It has no time and no serial number: both may be left out, and neither is found in the files.
"""

from __future__ import annotations

from typing import Any

from attest.license_summary import Scope, ScopedLicenses
from attest.licenses.export.content import Content, FileContent, as_json
from attest.licenses.expression import expression_of
from attest.licenses.kind import RANK

__all__ = ["to_cyclonedx"]

_TYPES: dict[Scope, str] = {
    "weights": "machine-learning-model",
    "code": "library",
    "data": "data",
    "documentation": "data",
    "repository": "library",
}
_LISTED = RANK["license-text"]


def to_cyclonedx(content: Content) -> str:
    """A bill of materials of the repository."""
    files = [_file(file, number) for number, file in enumerate(content.files(), start=1)]
    return as_json(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.7",
            "version": 1,
            "metadata": {
                "tools": {
                    "components": [{"type": "application", "name": content.tool.name, "version": content.tool.version}]
                },
                "component": _repository(content),
            },
            "components": files,
            "dependencies": [{"ref": "repository"}],
        }
    )


def _repository(content: Content) -> dict[str, Any]:
    """The whole; ``library`` is what the standard recommends where the kind of component is not known."""
    told = [
        {"name": f"attest:{finding.code}", "value": f"{finding.path}: {finding.text}"}
        for finding in content.scan.findings
        if RANK[finding.code] < _LISTED
    ]
    licenses = [_declared(value) for value in content.declared()]
    parts = [_part(content.name, one) for one in content.scopes]
    return {
        "type": "library",
        "bom-ref": "repository",
        "name": content.name,
        **({"licenses": licenses} if licenses else {}),
        **({"components": parts} if parts else {}),
        "properties": [{"name": "attest:tree-digest", "value": content.tree_digest}, *told],
    }


def _part(name: str, one: ScopedLicenses) -> dict[str, Any]:
    """What a license was found for, as far as names of files and folders tell; the rest of the repository, too."""
    declared = sorted({each.expression for each in one.found if each.basis == "declared"})
    found = sorted({each.expression for each in one.found if each.basis != "declared"})
    licenses = [{"expression": expression, "acknowledgement": "declared"} for expression in declared]
    return {
        "type": _TYPES[one.scope],
        "bom-ref": f"part-{one.scope}",
        "name": f"{name}: {one.scope}",
        **({"licenses": licenses} if licenses else {}),
        **({"evidence": {"licenses": [{"expression": expression} for expression in found]}} if found else {}),
    }


def _declared(value: str) -> dict[str, Any]:
    expression = expression_of(value)
    if expression:
        return {"expression": expression, "acknowledgement": "declared"}
    return {"license": {"name": value, "acknowledgement": "declared"}}


def _file(content: FileContent, number: int) -> dict[str, Any]:
    evidence = {
        "licenses": [{"expression": expression} for expression in content.licenses],
        "copyright": [{"text": line} for line in content.copyrights],
    }
    held = {name: rows for name, rows in evidence.items() if rows}
    return {
        "type": "file",
        "bom-ref": f"file-{number}",
        "name": content.file.path,
        "hashes": [{"alg": "SHA-256", "content": content.file.sha256}],
        **({"evidence": held} if held else {}),
        "properties": [{"name": "attest:git-blob", "value": content.file.blob}],
    }
