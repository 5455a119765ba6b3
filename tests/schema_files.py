"""The schemas and their examples, as they stand in the repository."""

from collections.abc import Iterator
from typing import Any

from attest import document
from attest.resource import resource

NAMES = (
    "evidence", "comparison", "detail", "panel", "policy", "protocol", "attestation-result", "trust-policy", "repository-scan",
)  # fmt: skip


def read(name: str, end: str) -> Any:
    """A JSON file of the schemas; a key that occurs twice in an object is an error."""
    file = resource(f"schemas/{name}.v1.{end}.json")
    return document.parse(file.read_bytes(), where=file.name, max_bytes=1024 * 1024)


SCHEMAS = {name: read(name, "schema") for name in NAMES}
EXAMPLES = {name: read(name, "example") for name in NAMES}


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from objects(child)
