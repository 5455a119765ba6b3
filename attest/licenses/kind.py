"""The kinds of findings a scan can make, the most telling first."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "RANK", "Kind"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A finding's code and the heading under which people read it; ``docs/findings.md`` says what it means."""

    code: str
    title: str


KINDS = (
    Kind(code="declared-licenses-differ", title="Declared licenses that differ"),
    Kind(code="no-license-file", title="No license file"),
    Kind(code="license-file", title="License files"),
    Kind(code="license-file-not-read", title="License and notice files that were not read"),
    Kind(code="use-policy-file", title="Use policies"),
    Kind(code="notice-file", title="Notice files"),
    Kind(code="declared-license", title="Declared licenses"),
    Kind(code="declared-license-name", title="Declared license names"),
    Kind(code="declared-license-link", title="Declared license links"),
    Kind(code="declared-license-text", title="License fields that hold a text"),
    Kind(code="declaration-not-read", title="Declarations that could not be read"),
    Kind(code="declared-base-model", title="Declared base models"),
    Kind(code="config-name-or-path", title="Names or paths left in model configurations"),
    Kind(code="copyright", title="Copyright lines"),
    Kind(code="provenance-comment", title='Comments such as "Copied from"'),
    Kind(code="spdx-license", title="SPDX license tags"),
    Kind(code="spdx-copyright", title="SPDX copyright tags"),
    Kind(code="findings-cut", title="Lists that were cut"),
)

RANK = {kind.code: rank for rank, kind in enumerate(KINDS)}
"""Place of each code in ``KINDS``."""
