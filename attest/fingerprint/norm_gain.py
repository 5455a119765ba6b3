"""``norm-gain/v1``: the gains of all norms on the residual stream.

Raw cosines of gains are high between any two networks, since gains are positive and near one; only their centered
correspondence says something.
"""

from __future__ import annotations

from attest.architecture import Model, PlacedTensor
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results, layer_table, mean
from attest.fingerprint.vectors import collect_values, kept_vectors

__all__ = ["NORM_GAIN", "NORM_ROLES"]

_IN_LAYER = ("attention_norm", "attention_output_norm", "mlp_norm", "output_norm")
NORM_ROLES = (*_IN_LAYER, "embed_norm", "final_norm")


def _collect(_: Model, placed: PlacedTensor) -> Makers:
    return collect_values(placed, NORM_ROLES)


def _profile(model: Model, results: Results) -> Profile:
    """Arrays of shape (d_model,), float32: ``layers.<layer>.<role>``, ``embed_norm``, ``final_norm``."""
    vectors = kept_vectors(model, results, NORM_ROLES)
    if not vectors:
        return Profile(arrays={}, table=None, not_measured="no norm gains were recognized")
    roles = [role for role in _IN_LAYER if any(name.endswith(f".{role}") for name in vectors)]
    means = {name: mean(vector) for name, vector in vectors.items()}
    rows = ((layer, [means.get(f"layers.{layer}.{role}") for role in roles]) for layer in range(model.n_layers))
    return Profile(arrays=vectors, table=layer_table([f"mean {role}" for role in roles], rows), not_measured=None)


NORM_GAIN = Fingerprint(id="norm-gain/v1", collect=_collect, profile=_profile)
