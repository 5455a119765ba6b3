"""What tests ask of two networks before anything else: public text for their draws, and axes in common."""

from __future__ import annotations

from attest.compare.fingerprints import Fingerprints

__all__ = ["public_seed", "unlike_widths"]


def public_seed(test_id: str, a: Fingerprints, b: Fingerprints) -> str:
    """Text that fixes what a test draws: its id and both tree digests, in order, so that neither side comes first."""
    return " ".join((test_id, *sorted((a.side.tree_digest, b.side.tree_digest))))


def unlike_widths(a: Fingerprints, b: Fingerprints) -> str | None:
    """Why sketches on axes of the residual stream cannot be compared; None where the streams are as wide as each other."""
    if a.architecture.d_model == b.architecture.d_model:
        return None
    return f"hidden sizes differ ({a.architecture.d_model} and {b.architecture.d_model}): sketches have no common axes"
