"""``attention-std/v1``: the published statistic, per layer the standard deviation of W_Q, W_K, W_V and W_O.

It follows depth in most networks, so two that were trained apart with one recipe agree on it (0.85 to 0.97 was
measured). It is here because the field quotes it; comparing it is descriptive and never evidence by itself.

References
----------
HonestAGI, "Intrinsic Fingerprint of LLMs: Continue Training is NOT All You Need to Steal A Model!", 2025, section 3.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attest.architecture import Model, Part, PlacedTensor
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results, layer_table
from attest.fingerprint.moments import collect_exact
from attest.fingerprint.part import collect_part, collected
from attest.sweep import Accumulator, QuantizedAccumulator

__all__ = ["ATTENTION_STD"]

_ROLES = ("q", "k", "v", "o")


def _collect(_: Model, placed: PlacedTensor) -> Makers:
    makers: dict[str, Callable[[], Accumulator]] = {}
    for part in placed.parts:
        if part.role in _ROLES and not _is_exact_as_stored(part):
            for name, make in collect_exact(part.tensor).items():
                makers |= collect_part(name, part, make)
    return makers


def _is_exact_as_stored(part: Part) -> bool:
    """Whether ``moments/v1`` has exact sums of the values that codes stand for."""
    return part.packed is not None and part.rows is None and part.packed.tensor.dtype in QuantizedAccumulator.DTYPES


def _profile(model: Model, results: Results) -> Profile:
    """Arrays ``q``, ``k``, ``v``, ``o`` of shape (n_layers,), float64, unit of the weights; NaN where absent."""
    arrays = {role: np.full(model.n_layers, np.nan) for role in _ROLES}
    for (role, layer), part in model.index.items():
        stored = _is_exact_as_stored(part)
        exact = results[part.tensor.name].collected.get("exact") if stored else collected("exact", part, results)
        if role in arrays and layer is not None and exact is not None:
            arrays[role][layer] = exact.std()
    measured = {role: array for role, array in arrays.items() if not np.isnan(array).all()}
    if not measured:
        return Profile(arrays={}, table=None, not_measured="no attention matrices were recognized")
    rows = ((layer, [arrays[role][layer] for role in _ROLES]) for layer in range(model.n_layers))
    return Profile(arrays=measured, table=layer_table(_ROLES, rows), not_measured=None)


ATTENTION_STD = Fingerprint(id="attention-std/v1", collect=_collect, profile=_profile)
