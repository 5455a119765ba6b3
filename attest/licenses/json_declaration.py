"""What JSON files of models and packages declare: ``config.json``, ``adapter_config.json``, ``package.json``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attest.document import parse
from attest.errors import DocumentError
from attest.finding import Finding
from attest.licenses.source import Source

__all__ = ["detect"]

_FIELDS = {
    "config.json": {
        "license": "declared-license",
        "license_name": "declared-license-name",
        "license_link": "declared-license-link",
        "_name_or_path": "config-name-or-path",
    },
    "adapter_config.json": {"base_model_name_or_path": "declared-base-model"},
    "package.json": {"license": "declared-license", "licenses": "declared-license"},
}
_MAX_BYTES = 1024 * 1024


def _words(value: Any) -> str:
    """A declared value as text: a string, npm's older ``{"type": …}``, or a list of either."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_words, value)))
    if isinstance(value, dict):
        value = value.get("type")
    return value if isinstance(value, str) else ""


def detect(source: Source) -> Iterator[Finding]:
    """Each declared value; its line is given where the field's name occurs once in the file."""
    fields = _FIELDS.get(source.name, {})
    if not any(f'"{field}"'.encode() in source.data for field in fields):
        return
    try:
        value = parse(source.data, where=source.name, max_bytes=_MAX_BYTES)
    except DocumentError as error:
        yield source.finding("declaration-not-read", None, error.message)
        return
    for field, code in fields.items():
        words = _words(value.get(field)) if isinstance(value, dict) else ""
        if words.strip():
            yield source.finding(code, source.line_of(f'"{field}"'.encode()), words)
