"""``row-digests/v1``: 64 bits for every row of every matrix.

Rows that two checkpoints share are found wherever they went: in a renamed or re-sharded copy, in moved layers, in
copied experts, in permuted neurons, in an extended or pruned vocabulary. Values are rounded to BF16 first, so that a
cast to BF16 changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, PlacedTensor
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results, layer_table
from attest.sweep import RowDigestAccumulator, row_shape

__all__ = ["ROW_DIGESTS"]

_LEAST_COLUMNS = 16
"""Shorter rows are often equal by chance."""


def _collect(model: Model, placed: PlacedTensor) -> Makers:  # noqa: ARG001 - what a tensor is for does not matter
    tensor = placed.tensor
    if len(tensor.shape) < 2 or tensor.dtype not in RowDigestAccumulator.DTYPES:
        return {}
    n_rows, n_columns = row_shape(tensor)
    if not n_rows or n_columns < _LEAST_COLUMNS:
        return {}
    return {"row-digests": partial(RowDigestAccumulator, n_rows, tensor.dtype)}


def _profile(model: Model, results: Results) -> Profile:
    """Arrays of uint64, shape (n_rows,).

    Notes
    -----
    Named ``layers.<l>.<role>``, ``layers.<l>.experts.<e>.<role>`` or ``<role>``, and ``other.<k>`` for the k-th
    matrix without a role, in order of name.

    XXH64 is no cryptographic digest: equal digests are strong evidence between files that were measured honestly, and
    rows that share one can be made on purpose. Where both weights are at hand, compare the rows themselves.
    """
    arrays: dict[str, NDArray[np.uint64]] = {}
    by_layer: dict[int, list[NDArray[np.uint64]]] = {}
    unnamed = count()
    for placed in model.tensors:
        digests = results[placed.tensor.name].collected.get("row-digests")
        if isinstance(digests, np.ndarray):
            arrays[_name(placed) or f"other.{next(unnamed)}"] = digests
            by_layer.setdefault(-1 if placed.layer is None else placed.layer, []).append(digests)
    if not arrays:
        return Profile(arrays={}, table=None, not_measured="no matrices of floating-point values")
    rows = ((layer, _counts(by_layer[layer])) for layer in sorted(by_layer) if layer >= 0)
    return Profile(arrays=arrays, table=layer_table(("matrices", "rows", "distinct rows"), rows), not_measured=None)


def _name(placed: PlacedTensor) -> str | None:
    if placed.role is None:
        return None
    expert = "" if placed.expert is None else f"experts.{placed.expert}."
    return f"{'' if placed.layer is None else f'layers.{placed.layer}.'}{expert}{placed.role}"


def _counts(digests: Sequence[NDArray[np.uint64]]) -> tuple[int, int, int]:
    every = np.concatenate(digests)
    return len(digests), every.size, np.unique(every).size


ROW_DIGESTS = Fingerprint(id="row-digests/v1", collect=_collect, profile=_profile)
