"""``debiased-cka/v1`` and ``linear-cka/v1``: how alike two networks arrange the same words, layer by layer.

Published reports read such a number as a sign of descent. Networks trained apart on one language arrange words alike,
too: 0.44 to 0.68 was measured for independent seeds. So it is descriptive, and layers that do not belong together and
words that were shuffled stand beside it.

References
----------
Kornblith, Norouzi, Lee, Hinton, "Similarity of Neural Network Representations Revisited", ICML 2019. Song, Smola,
Gretton, Bedo, Borgwardt, "Feature Selection via Dependence Maximization", JMLR 13, 2012, equation 5 (the estimator
without bias). Nguyen, Raghu, Kornblith, "Do Wide and Deep Networks Learn the Same Things?", ICLR 2021 (both together).
Zhang et al., "REEF", ICLR 2025 (as evidence of descent).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.compare.activations.common_places import common_places
from attest.compare.controls import share_controls
from attest.compare.descriptive import descriptive
from attest.compare.digits import signed_digits
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.resampling import public_order, public_seed
from attest.compare.strangers import strangers_gave
from attest.comparison import Control, ControlKind, Found, LayerStatistic, Test
from attest.document import decimal
from attest.evidence import Table

__all__ = ["debiased_cka", "linear_cka", "representation_similarity"]

_DEBIASED = "debiased-cka/v1"
_LINEAR = "linear-cka/v1"
_SKETCH = "residual-sketch/v1"
_LEAST_PLACES = 16
_MOST_PLACES = 512
_MOST_LAYERS = 256

Matrix = NDArray[np.float64]


def representation_similarity(a: Fingerprints, b: Fingerprints) -> Outcome:
    """CKA of every layer of a with every layer of b at the places that both have.

    Notes
    -----
    Of sketches of 128 numbers a place: an estimate, and between networks of other width or basis a little lower than
    that of the states themselves. Layers are paired by their depth; 0 is the embedding output.
    """
    mine, theirs, reason = common_places(a, b, _SKETCH)
    if not reason and mine.size < _LEAST_PLACES:
        reason = f"only {mine.size} words end at the same places of the prompts; {_LEAST_PLACES} are needed"
    x, y = (_states(one.arrays.get(_SKETCH, {}), rows) for one, rows in ((a, mine), (b, theirs)))
    if not reason and (x is None or y is None):
        reason = "the sketches of one of the two are not of a form that is compared"
    if reason or x is None or y is None:
        return not_run(reason, _DEBIASED, _LINEAR)
    order = public_order(mine.size, public_seed(_DEBIASED, a, b))
    return _outcome(x, y, order, alone=mine.size)


def _states(arrays: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> Matrix | None:
    """Sketches of the chosen places, shape (n_layers + 1, n_places, 128); None of another form."""
    sketch, scale = arrays.get("sketch"), arrays.get("scale")
    if sketch is None or scale is None or sketch.dtype != np.int8 or scale.shape != sketch.shape[:2]:
        return None
    if len(sketch) > _MOST_LAYERS or rows.size > _MOST_PLACES or not sketch.shape[2]:
        return None
    states: Matrix = sketch[:, rows].astype(np.float64) * scale[:, rows, None]
    return states


def _outcome(x: Matrix, y: Matrix, order: NDArray[np.int64], *, alone: int) -> Outcome:
    tests: list[Test] = []
    controls: list[Control] = []
    found: list[Found] = []
    for test_id, measure, words in ((_DEBIASED, debiased_cka, "without bias"), (_LINEAR, linear_cka, "as published")):
        matrix = measure(x, y)
        partners = _partners(*matrix.shape)
        shares = [float(matrix[place]) for place in partners]
        known = _known(matrix, measure(x, y[:, order]), partners)
        statistics = tuple(
            LayerStatistic(layer=max(place), n=alone, statistic=signed_digits(share), z=None)
            for place, share in zip(partners, shares, strict=True)
        )
        note = f"{_note(words, known)}{strangers_gave(test_id)}"
        tests.append(descriptive(test_id, sum(shares) / len(shares), alone, note, layers=statistics))
        controls += share_controls(test_id, known)
        found.append(_matrix_table(test_id, matrix))
    return Outcome(tests=tuple(tests), controls=tuple(controls), found=tuple(found))


def _known(matrix: Matrix, shuffled: Matrix, partners: Sequence[tuple[int, int]]) -> dict[ControlKind, Sequence[float]]:
    """What layers of other depths give, and layers of one depth whose words are shuffled."""
    others = [float(matrix[i, j]) for i, j in np.ndindex(*matrix.shape) if (i, j) not in partners]
    return {"shuffled": [float(shuffled[place]) for place in partners], "other-layers": others}


def _note(words: str, known: Mapping[ControlKind, Sequence[float]]) -> str:
    others, shuffled = (known[kind] or (0.0,) for kind in ("other-layers", "shuffled"))
    return (
        f"mean linear CKA {words} over layers of one depth, at words that both read; layers of other depth reach"
        f" {decimal(sum(others) / len(others), 3)} at the mean, shuffled words"
        f" {decimal(sum(shuffled) / len(shuffled), 3)}; networks trained apart on one language reach high values, so it"
        " is no evidence by itself"
    )


def _partners(rows: int, columns: int) -> list[tuple[int, int]]:
    """For each layer of the shallower network the one of the same relative depth."""
    fewest, most = sorted((rows, columns))
    far = [round(place * (most - 1) / max(1, fewest - 1)) for place in range(fewest)]
    return [(near, at) if rows <= columns else (at, near) for near, at in enumerate(far)]


def _matrix_table(test_id: str, matrix: Matrix) -> Found:
    columns = ("layer of a", *map(str, range(matrix.shape[1])))
    rows = tuple((str(layer), *(decimal(value, 3) for value in row)) for layer, row in enumerate(matrix.tolist()))
    title = "Linear CKA of every layer of a with every layer of b"
    return Found(id=test_id, title=title, table=Table(columns=columns, rows=rows))


def _grams(states: Matrix) -> Matrix:
    """Inner products of all places in every layer, scaled so that no product overflows."""
    largest = np.abs(states).max(axis=(1, 2), keepdims=True)
    scaled = states / np.where(largest > 0, largest, 1.0)
    return scaled @ scaled.transpose(0, 2, 1)


def linear_cka(x: Matrix, y: Matrix) -> Matrix:
    """Linear centered kernel alignment of all layer pairs, in [0, 1].

    Parameters
    ----------
    x, y : ndarray of shape (n_layers, n_places, n_features), float64
        Places in one order; layers and features may differ in number.
    """
    centered = [_grams(one - one.mean(axis=1, keepdims=True)).reshape(len(one), -1) for one in (x, y)]
    return _normalized(*centered)


def debiased_cka(x: Matrix, y: Matrix) -> Matrix:
    """The same with the estimator of Song et al., which is 0 at the mean for unrelated states, and may be negative."""
    return _normalized(*(_u_centered(_grams(one)).reshape(len(one), -1) for one in (x, y)))


def _u_centered(grams: Matrix) -> Matrix:
    """Grams with zero diagonals, centered so that inner products of two are the estimator without bias times n(n-3).

    References
    ----------
    Szekely and Rizzo, "Partial Distance Correlation with Methods for Dissimilarities", 2014, section 2.
    """
    n = grams.shape[1]
    grams = grams * (1 - np.eye(n))
    rows = grams.sum(axis=2, keepdims=True) / (n - 2)
    total = grams.sum(axis=(1, 2), keepdims=True) / ((n - 1) * (n - 2))
    centered: Matrix = (grams - rows - rows.transpose(0, 2, 1) + total) * (1 - np.eye(n))
    return centered


def _normalized(x: Matrix, y: Matrix) -> Matrix:
    sizes = [np.sqrt(np.einsum("ij,ij->i", one, one)) for one in (x, y)]
    scale = np.outer(*sizes)
    products: Matrix = np.divide(x @ y.T, scale, out=np.zeros_like(scale), where=scale > 0)
    return products
