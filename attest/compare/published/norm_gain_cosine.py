"""``norm-gain-cosine/v1`` and ``norm-gain-correlation/v1``: a refuted statistic beside the one that refuted it.

Gains of norms are positive and near one value, so the cosine of any two vectors of them is near 1. In the dispute about
Solar-Open-100B and GLM-4.5-Air (2025/26) cosines of 0.95 to 0.99 were offered as proof; less their means the gains of the
same two correlate at 0.01, and the accusation was withdrawn. ``norm-gain-correspondence/v1`` is the exact test on gains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attest.compare.descriptive import descriptive
from attest.compare.digits import signed_digits
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, left_out, not_run
from attest.comparison import LayerStatistic

__all__ = ["norm_gain_cosine"]

_COSINE = "norm-gain-cosine/v1"
_CORRELATION = "norm-gain-correlation/v1"
_GAINS = "norm-gain/v1"

Vectors = Sequence[NDArray[np.float64]]


def norm_gain_cosine(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Raw cosine of all norm gains, and their correlation, each vector less its own mean.

    Notes
    -----
    Gains of one name and size in both are taken, and laid one behind the other. Descriptive: the first is near 1 for any
    two networks whose gains are positive; the second has no p-value here, since a few dimensions may outweigh the rest.
    """
    mine, theirs = a.arrays.get(_GAINS, {}), b.arrays.get(_GAINS, {})
    names = [name for name in sorted(mine) if name in theirs and mine[name].shape == theirs[name].shape]
    both = [tuple(side[name].astype(np.float64) for side in (mine, theirs)) for name in names]
    usable = [
        (name, x, y) for name, (x, y) in zip(names, both, strict=True) if np.isfinite(x).all() and np.isfinite(y).all()
    ]
    raw = _cosine([x for _, x, _ in usable], [y for _, _, y in usable])
    if raw is None:
        reason = "no norm gains of one name and size in both"
        return not_run(reason, _COSINE, _CORRELATION)
    n = sum(x.size for _, x, _ in usable)
    centered = _cosine([x - x.mean() for _, x, _ in usable], [y - y.mean() for _, _, y in usable])
    cosine = descriptive(
        _COSINE,
        raw,
        n,
        "cosine of all norm gains as they are; near 1 for networks that have nothing in common, since gains are positive:"
        f" less their means the same gains correlate at {'-' if centered is None else f'{centered:.3g}'}",
    )
    if centered is None:
        return Outcome(tests=(cosine,), not_compared=left_out(_CORRELATION, "the gains do not vary"))
    correlation = descriptive(
        _CORRELATION,
        centered,
        n,
        f"correlation of all norm gains, each vector less its mean; their raw cosine is {raw:.3g}; no evidence by itself,"
        " the exact test on gains is norm-gain-correspondence/v1",
        layers=_by_layer(usable),
    )
    return Outcome(tests=(cosine, correlation))


def _by_layer(usable: Sequence[tuple[str, NDArray[np.float64], NDArray[np.float64]]]) -> tuple[LayerStatistic, ...]:
    layers: dict[int, list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for name, x, y in usable:
        number = name.removeprefix("layers.").partition(".")[0]
        if number.isdecimal() and len(number) <= 4:
            layers.setdefault(int(number), []).append((x - x.mean(), y - y.mean()))
    found = [
        (layer, sum(x.size for x, _ in its), _cosine([x for x, _ in its], [y for _, y in its]))
        for layer, its in sorted(layers.items())
    ]
    return tuple(
        LayerStatistic(layer=layer, n=n, statistic=signed_digits(value), z=None)
        for layer, n, value in found
        if value is not None
    )


def _cosine(x: Vectors, y: Vectors) -> float | None:
    """Cosine of vectors laid one behind the other; None where one side is zero."""
    product = sum(float(np.sum(u * v)) for u, v in zip(x, y, strict=True))
    squares = [sum(float(np.sum(u * u)) for u in side) for side in (x, y)]
    scale = float(np.sqrt(squares[0]) * np.sqrt(squares[1]))
    return product / scale if scale > 0 else None
