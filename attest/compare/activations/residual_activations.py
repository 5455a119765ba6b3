"""``residual-activation-correspondence/v1``: whether dimension i of A is as active as dimension i of B."""

from __future__ import annotations

from attest.activation import PROFILE_ID
from attest.compare.activation_arrays import EMBEDDING
from attest.compare.activations.common_places import other_inputs
from attest.compare.correspondence.norms import on_residual_axis
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run

__all__ = ["residual_activation_correspondence"]

_ID = "residual-activation-correspondence/v1"


def residual_activation_correspondence(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Exact test on the mean magnitude of every residual dimension, one order for all layers.

    Notes
    -----
    Which dimension of a network is active is up to its initialization, whatever it is fed; so tokenizers may differ.
    Survives what ``residual-norm-correspondence/v1`` survives, and every change of weights that leaves the function as
    it was, but for a rotation or permutation of the residual stream: these defeat it.
    """
    reason = other_inputs(a, b)
    if reason:
        return not_run(reason, _ID)
    return on_residual_axis(_ID, PROFILE_ID, a, b, ["mean_abs"], outside=(EMBEDDING,))
