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
    Kind(code="declared-and-found-differ", title="Declared licenses beside other license texts"),
    Kind(code="base-model-license-differs", title="Licenses that differ from the base model's"),
    Kind(code="license-family-only", title="Declarations of a family of licenses"),
    Kind(code="other-license-without-link", title="Other licenses that are neither named nor linked"),
    Kind(code="vendor-checksums-differ", title="Files that differ from the publisher's list"),
    Kind(code="copied-from-mismatch", title="Comments that the place they name does not bear out"),
    Kind(code="notice-removed", title="Copyright lines that the history took out"),
    Kind(code="unsearchable-words", title="Words about licenses that a search does not find"),
    Kind(code="history-incomplete", title="A history that is not all there"),
    Kind(code="foreign-copyright", title="Holders beside the main one"),
    Kind(code="notice-missing", title="Holders without a notice file"),
    Kind(code="notice-incomplete", title="Holders whom no notice names"),
    Kind(code="license-text-changed", title="License texts that differ from known ones"),
    Kind(code="license-near-twin", title="License texts near several licenses"),
    Kind(code="license-text-and-more", title="License texts with further words"),
    Kind(code="license-text-unknown", title="License files without a known text"),
    Kind(code="license-text", title="License texts"),
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
    Kind(code="license-notice", title="License notices in files"),
    Kind(code="copyright", title="Copyright lines"),
    Kind(code="provenance-comment", title='Comments such as "Copied from"'),
    Kind(code="copied-from-whole-file", title="Comments held against the whole file they name"),
    Kind(code="copied-from-compared", title="Comments held against the places they name"),
    Kind(code="spdx-license", title="SPDX license tags"),
    Kind(code="spdx-copyright", title="SPDX copyright tags"),
    Kind(code="acknowledgment", title="Acknowledgments that model licenses ask for"),
    Kind(code="generated-without-header", title="Generated files without a copyright line"),
    Kind(code="vendor-checksums-agree", title="Publisher's lists that hold"),
    Kind(code="vendor-checksum", title="Digests that a publisher lists"),
    Kind(code="findings-cut", title="Lists that were cut"),
)

RANK = {kind.code: rank for rank, kind in enumerate(KINDS)}
"""Place of each code in ``KINDS``."""
