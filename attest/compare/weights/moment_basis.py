"""A common basis of two residual streams, recovered from the neurons' second moments alone.

Let U be a matrix of neurons' unit rows, one of gate, up or down of a layer. U'U is the same whatever the order of the
neurons, their scale and their signs; a rotation R of the residual stream turns it into R'(U'U)R, in all layers by the same
R. So R is what turns all of one network's moments into the other's at once. No embedding is needed for it.

First axes are the eigenvectors of the sum over all layers. Those are known up to their signs, which the moments' other
entries tell; alternating projections then turn the axes for good. Nothing here sees a neuron's sign, so a test of signs
stays exact in the basis that is found, whether or not it is right.

References
----------
Umeyama, "An eigendecomposition approach to weighted graph matching problems", IEEE PAMI 10, 1988 (eigenvectors with unknown
signs). Singer, "Angular synchronization by eigenvectors and semidefinite programming", ACHA 30, 2011 (signs out of
products of pairs). Schönemann, "A generalized solution of the orthogonal Procrustes problem", Psychometrika 31, 1966.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Basis", "Matrix", "common_basis", "principal_axes"]

_TRIES = 6
_FIRST_STEPS, _STEPS = 8, 60
_ENOUGH = 1e-5
"""Gain of the fit from one step to the next at which the steps end."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Basis:
    """What turns the axes of one network into those of the other.

    Parameters
    ----------
    turn : ndarray of shape (n_axes, n_axes), float64
        Orthogonal.
    fit : float
        Mean cosine between the turned moments of one and those of the other, in [-1, 1]; strangers reach 0.5 to 0.97.
    """

    turn: NDArray[np.float64]
    fit: float


def principal_axes(moments: Iterable[Matrix], n_axes: int) -> Matrix:
    """Directions in the residual stream that neurons use most, shape (d_model, n_axes).

    Parameters
    ----------
    moments : iterable of ndarray of shape (d_model, d_model), float32
        Each is let go before the next is made.
    """
    total: Matrix | None = None
    for moment in moments:
        total = moment if total is None else total + moment
    if total is None:
        raise ValueError("no moments have no axes")
    _, vectors = np.linalg.eigh(total)
    return np.ascontiguousarray(vectors[:, ::-1][:, :n_axes])


def common_basis(first: NDArray[np.float64], second: NDArray[np.float64], bits: np.random.BitGenerator) -> Basis:
    """Turn the axes of one network into those of another.

    Parameters
    ----------
    first, second : ndarray of shape (n_matrices, n_axes, n_axes), float64
        Moments of both on their own principal axes; those at one place are of one layer and part.
    bits : numpy.random.BitGenerator
        Public: fixes the weights of all attempts but the first.
    """
    x, y = _centered(first), _centered(second)
    random = np.random.Generator(bits)
    weights = [np.ones(len(x)), *(random.standard_normal(len(x)) for _ in range(_TRIES - 1))]
    begun = [_improved(x, y, _by_eigenvectors(x, y, one), _FIRST_STEPS) for one in weights]
    best = max(begun, key=lambda one: one.fit)
    return _improved(x, y, best.turn, _STEPS)


def _centered(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moments without their trace, at Frobenius norm 1."""
    n_axes = moments.shape[1]
    traces = np.trace(moments, axis1=1, axis2=2) / n_axes
    rest = moments - traces[:, None, None] * np.eye(n_axes)
    norms = np.linalg.norm(rest, axis=(1, 2))
    centered: NDArray[np.float64] = rest / np.where(norms > 0, norms, 1.0)[:, None, None]
    return centered


def _by_eigenvectors(
    x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Eigenvectors of one onto those of the other, in order, with the signs that fit the most."""
    axes = [np.linalg.eigh(np.tensordot(weights, one, 1))[1] for one in (x, y)]
    mine, theirs = (turn.T @ one @ turn for turn, one in zip(axes, (x, y), strict=True))
    agree = np.einsum("kij,kij->ij", mine, theirs)
    np.fill_diagonal(agree, 0.0)
    signs = np.where(np.linalg.eigh(agree)[1][:, -1] < 0, -1.0, 1.0)
    turn: NDArray[np.float64] = (axes[0] * signs) @ axes[1].T
    return turn


def _improved(x: NDArray[np.float64], y: NDArray[np.float64], turn: NDArray[np.float64], steps: int) -> Basis:
    """Alternating projections: each step takes the rotation nearest to what all moments ask for."""
    fit = -1.0
    for _ in range(steps):
        left = x @ turn
        before, fit = fit, float(np.sum(left * (turn @ y))) / len(x)
        if fit - before < _ENOUGH:
            break
        u, _, v = np.linalg.svd(np.einsum("kij,kjl->il", left, y, optimize=True))
        turn = u @ v
    return Basis(turn=turn, fit=fit)
