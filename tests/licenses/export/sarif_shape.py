"""What SARIF 2.1.0 demands of the objects that attest writes, as a JSON schema of our own.

It is closed: a property that is not listed here is an error, so that a new one is looked up in the standard first.

References
----------
OASIS, SARIF 2.1.0 plus errata 01. The sections stand beside the objects.
"""

from __future__ import annotations

from typing import Any

__all__ = ["SARIF"]

TEXT = {"type": "string", "minLength": 1}
URI_REFERENCE = {"type": "string", "pattern": r"^(?:[A-Za-z0-9._~!$&'()*+,;=:@/?#\[\]-]|%[0-9A-F]{2})+$"}
DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
INDEX = {"type": "integer", "minimum": 0}


def closed(required: str, optional: str = "", **properties: Any) -> dict[str, Any]:
    """An object with these properties and no other."""
    assert set(properties) == {*required.split(), *optional.split()}
    return {
        "type": "object",
        "required": required.split(),
        "additionalProperties": False,
        "properties": properties,
    }


def several(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


MESSAGE = closed("text", text=TEXT)  # 3.11 and 3.12: text is demanded where there is no id
LEVEL = {"const": "none"}  # 3.27.10: of every kind but fail
RULE = closed(  # 3.49; its configuration is 3.50
    "id shortDescription fullDescription help defaultConfiguration",
    id=TEXT,
    shortDescription=MESSAGE,
    fullDescription=MESSAGE,
    help=MESSAGE,
    defaultConfiguration=closed("level", level=LEVEL),
)
TOOL = closed(  # 3.18: driver is demanded; 3.19: so is its name
    "driver",
    driver=closed("name version rules", name=TEXT, version=TEXT, rules=several(RULE) | {"uniqueItems": True}),
)
ARTIFACT = closed(  # 3.24; 3.4 is a location's
    "location hashes",
    location=closed("uri", uri=URI_REFERENCE),
    hashes=closed("sha-256", **{"sha-256": DIGEST}),
)
REGION = closed("startLine", startLine={"type": "integer", "minimum": 1})  # 3.30: lines count from 1
LOCATION = closed(  # 3.28 and 3.29: a physical location has an artifact or an address
    "physicalLocation",
    physicalLocation=closed(
        "artifactLocation",
        "region",
        artifactLocation=closed("uri", "index", uri=URI_REFERENCE, index=INDEX),
        region=REGION,
    ),
)
RESULT = closed(  # 3.27: only the message is demanded by the standard
    "ruleId ruleIndex kind level message partialFingerprints",
    "locations",
    ruleId=TEXT,
    ruleIndex=INDEX,
    kind={"enum": ["review", "informational"]},
    level=LEVEL,
    message=MESSAGE,
    partialFingerprints={"type": "object", "additionalProperties": {"type": "string"}},
    locations=several(LOCATION),
)
RUN = closed(  # 3.14: tool is demanded; properties is a property bag, 3.8
    "tool columnKind artifacts results properties",
    tool=TOOL,
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    artifacts=several(ARTIFACT) | {"uniqueItems": True},
    results=several(RESULT),
    properties={"type": "object"},
)
SARIF = closed(  # 3.13: version and runs are demanded
    "$schema version runs",
    **{"$schema": {"type": "string", "format": "uri"}, "version": {"const": "2.1.0"}, "runs": several(RUN)},
)
