"""Attestation results on a page: who says to have verified or repeated which of its statements, and what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attest.attestation_result import AttestationResult, ReproducedValue
from attest.report.source import Source

__all__ = ["ResultView", "result_view"]

_SAME = frozenset({"identical", "within-tolerance"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultView:
    """One attestation result.

    Parameters
    ----------
    source : Source
        Its bundle.
    result : AttestationResult
    about : Source or None
        The bundle on the page whose statement it is about, by digest.
    same_key : bool
        Whether that and the result name one key, or one certificate's identity: nobody else has repeated anything.
    same, differing, missing : tuple of ReproducedValue
        Values that came out the same, within their tolerance or to the bit; otherwise; and not at all.
    """

    source: Source
    result: AttestationResult
    about: Source | None
    same_key: bool
    same: tuple[ReproducedValue, ...]
    differing: tuple[ReproducedValue, ...]
    missing: tuple[ReproducedValue, ...]


def result_view(source: Source, result: AttestationResult, sources: Sequence[Source]) -> ResultView:
    """A result beside the statement that it is about."""
    values = result.reproduction or ()
    about = next((one for one in sources if one.statement.digest == result.statement_sha256), None)
    return ResultView(
        source=source,
        result=result,
        about=about,
        same_key=about is not None and about.named_signer == source.named_signer,
        same=tuple(one for one in values if one.outcome in _SAME),
        differing=tuple(one for one in values if one.outcome == "differs"),
        missing=tuple(one for one in values if one.outcome == "not-measured"),
    )
