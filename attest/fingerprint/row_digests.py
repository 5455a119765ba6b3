"""``row-digests/v2``: 64 bits for every row of every matrix, or for a sample of the rows that copies agree on.

Rows that two checkpoints share are found wherever they went: in a renamed or re-sharded copy, in moved layers, in
copied experts, in permuted neurons, in an extended or pruned vocabulary. Values are rounded to BF16 first, so that a
cast to BF16 changes nothing.

Of a network with more than half a million rows those are kept whose digest is a multiple of a power of two: what stands
for a row depends on its values alone, so that two networks keep the same of the rows that they share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, PlacedTensor
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results, layer_table
from attest.sweep import RowDigestAccumulator, row_shape

__all__ = ["NUMBERS", "ROW_DIGESTS", "sampling_shift"]

_LEAST_COLUMNS = 16
"""Shorter rows are often equal by chance."""

_MAX_ROWS = 1 << 19
"""Rows above which some are left out; 12 bytes each."""

NUMBERS = "rows:"
"""Stands before a matrix's name in that of the array of row numbers."""


def _collect(model: Model, placed: PlacedTensor) -> Makers:  # noqa: ARG001 - what a tensor is for does not matter
    tensor = placed.tensor
    if len(tensor.shape) < 2 or tensor.dtype not in RowDigestAccumulator.DTYPES:
        return {}
    n_rows, n_columns = row_shape(tensor)
    if not n_rows or n_columns < _LEAST_COLUMNS:
        return {}
    return {"row-digests": partial(RowDigestAccumulator, n_rows, tensor.dtype)}


def _profile(model: Model, results: Results) -> Profile:
    """Arrays of uint64, shape (n_kept,), and of int32 for their numbers where some rows are left out.

    Notes
    -----
    Named ``layers.<l>.<role>``, ``layers.<l>.experts.<e>.<role>`` or ``<role>``, and ``other.<k>`` for the k-th
    matrix without a role, in order of name; row numbers with ``rows:`` in front.

    XXH64 is no cryptographic digest: equal digests are strong evidence between files that were measured honestly, and
    rows that share one can be made on purpose. Where both weights are at hand, compare the rows themselves.
    """
    found: dict[str, NDArray[np.uint64]] = {}
    by_layer: dict[int, list[NDArray[np.uint64]]] = {}
    unnamed = count()
    for placed in model.tensors:
        digests = results[placed.tensor.name].collected.get("row-digests")
        if isinstance(digests, np.ndarray):
            found[_name(placed) or f"other.{next(unnamed)}"] = digests
            by_layer.setdefault(-1 if placed.layer is None else placed.layer, []).append(digests)
    if not found:
        return Profile(arrays={}, table=None, not_measured="no matrices of floating-point values")
    rows = ((layer, _counts(by_layer[layer])) for layer in sorted(by_layer) if layer >= 0)
    table = layer_table(("matrices", "rows", "distinct rows"), rows)
    return Profile(arrays=_sample(found), table=table, not_measured=None)


def sampling_shift(n_rows: int) -> int:
    """How many low bits of a digest are 0 in the rows that are kept of so many.

    Examples
    --------
    >>> [sampling_shift(n_rows) for n_rows in (0, 524_288, 524_289, 2_500_000)]
    [0, 0, 1, 3]
    """
    return max(0, -(-n_rows // _MAX_ROWS) - 1).bit_length()


def _sample(found: Mapping[str, NDArray[np.uint64]]) -> dict[str, NDArray[Any]]:
    shift = sampling_shift(sum(digests.size for digests in found.values()))
    if not shift:
        return dict(found)
    arrays: dict[str, NDArray[Any]] = {}
    for name, digests in found.items():
        kept = np.flatnonzero(digests & np.uint64((1 << shift) - 1) == 0)
        arrays[name] = digests[kept]
        arrays[NUMBERS + name] = kept.astype(np.int32 if digests.size < 1 << 31 else np.int64)
    return arrays


def _name(placed: PlacedTensor) -> str | None:
    if placed.role is None:
        return None
    expert = "" if placed.expert is None else f"experts.{placed.expert}."
    return f"{'' if placed.layer is None else f'layers.{placed.layer}.'}{expert}{placed.role}"


def _counts(digests: Sequence[NDArray[np.uint64]]) -> tuple[int, int, int]:
    every = np.sort(np.concatenate(digests))
    repeated = np.count_nonzero(every[1:] == every[:-1])
    return len(digests), every.size, every.size - int(repeated)


ROW_DIGESTS = Fingerprint(id="row-digests/v2", collect=_collect, profile=_profile)
