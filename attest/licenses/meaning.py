"""What each kind of finding means and what it does not mean, in the words of ``docs/findings.md``.

``scripts/update_meanings.py`` takes them from there, so that people read the same words wherever a finding is shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from attest.resource import resource

__all__ = ["Meaning", "meanings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """Two paragraphs of plain text."""

    means: str
    does_not_mean: str


@cache
def meanings() -> Mapping[str, Meaning]:
    """Meanings by code."""
    rows = json.loads(resource("licenses/meanings.json").read_text("utf-8"))
    return {code: Meaning(means=means, does_not_mean=does_not_mean) for code, (means, does_not_mean) in rows.items()}
