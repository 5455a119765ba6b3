"""The kinds of predicate that this version knows. A new one is a record with a schema, and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from attest.comparison import COMPARISON_TYPE, Comparison
from attest.evidence import EVIDENCE_TYPE, Evidence
from attest.protocol import PROTOCOL_TYPE, Protocol
from attest.repository_scan import REPOSITORY_SCAN_TYPE, RepositoryScan

__all__ = ["PREDICATES", "Predicate"]

Predicate: TypeAlias = Evidence | Comparison | Protocol | RepositoryScan

PREDICATES: Mapping[str, type[Predicate]] = {
    EVIDENCE_TYPE: Evidence,
    COMPARISON_TYPE: Comparison,
    PROTOCOL_TYPE: Protocol,
    REPOSITORY_SCAN_TYPE: RepositoryScan,
}
