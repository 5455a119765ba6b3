"""``qkv-bias/v1``: the biases of the query, key and value projections."""

from __future__ import annotations

from attest.architecture import Model, PlacedTensor
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results, layer_table, root_mean_square
from attest.fingerprint.vectors import collect_values, kept_vectors

__all__ = ["QKV_BIAS"]

_ROLES = ("q.bias", "k.bias", "v.bias")


def _collect(_: Model, placed: PlacedTensor) -> Makers:
    return collect_values(placed, _ROLES)


def _profile(model: Model, results: Results) -> Profile:
    """Arrays ``layers.<layer>.<q|k|v>.bias`` of shape (n_heads * d_head,) for q and (n_kv_heads * d_head,) for k and v, float32."""
    vectors = kept_vectors(model, results, _ROLES)
    if not vectors:
        return Profile(arrays={}, table=None, not_measured="the query, key and value projections have no biases")
    sizes = {name: root_mean_square(vector) for name, vector in vectors.items()}
    rows = ((layer, [sizes.get(f"layers.{layer}.{role}") for role in _ROLES]) for layer in range(model.n_layers))
    return Profile(arrays=vectors, table=layer_table([f"RMS {role}" for role in _ROLES], rows), not_measured=None)


QKV_BIAS = Fingerprint(id="qkv-bias/v1", collect=_collect, profile=_profile)
