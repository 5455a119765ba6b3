"""GPTQ moves its errors to later inputs, so two strangers that it quantized hard share a trend: it must be seen."""

import numpy as np
from numpy.typing import NDArray

from attest.compare.correspondence.order import IN_ORDER, order_z

Matrix = NDArray[np.float64]


def quantized(weight: Matrix, hessian: Matrix, *, bits: int, group: int = 128) -> Matrix:
    """Rounded input by input, each error taken to the inputs that follow.

    References
    ----------
    Frantar et al., "GPTQ", 2022, section 3, algorithm 1; scales from the least and greatest of a group.
    """
    rest, found, top = weight.copy(), np.zeros_like(weight), (1 << bits) - 1
    damped = hessian + np.eye(len(hessian)) * 0.01 * np.mean(np.diag(hessian))
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    for i in range(weight.shape[1]):
        if i % group == 0:
            values = rest[:, i : i + group]
            low, high = np.minimum(values.min(axis=1), 0), np.maximum(values.max(axis=1), 0)
            scale = (high - low) / top
            zero = np.rint(-low / scale)
        found[:, i] = (np.clip(np.rint(rest[:, i] / scale) + zero, 0, top) - zero) * scale
        rest[:, i + 1 :] -= np.outer((rest[:, i] - found[:, i]) / factor[i, i], factor[i, i + 1 :])
    return found


def norms_of_neurons(rng: np.random.Generator, *, bits: int | None, n: int = 512) -> NDArray[np.float64]:
    """Norms of the inputs of a random matrix, quantized with the second moments of random activations."""
    weight = rng.normal(size=(n // 2, n)) * np.exp(0.1 * rng.normal(size=n))
    if bits is not None:
        turn, sizes = np.linalg.qr(rng.normal(size=(n, n)))[0], np.exp(0.5 * rng.normal(size=n))
        weight = quantized(weight, (turn / np.arange(1, n + 1)) @ turn.T * np.outer(sizes, sizes), bits=bits)
    return np.linalg.norm(weight, axis=0)


def agreement(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(np.corrcoef(x, y)[0, 1] * np.sqrt(len(x) - 1))


def test_strangers_of_two_bits_agree_by_index_and_show_an_order():
    rng = np.random.default_rng(3)
    first, second = (norms_of_neurons(rng, bits=2) for _ in range(2))
    assert agreement(first, second) > 3
    assert min(order_z([one[:, None]]) for one in (first, second)) > IN_ORDER


def test_strangers_of_four_bits_and_of_none_do_not():
    rng = np.random.default_rng(3)
    for bits in (4, None):
        first, second = (norms_of_neurons(rng, bits=bits) for _ in range(2))
        assert abs(agreement(first, second)) < 3
        assert max(order_z([one[:, None]]) for one in (first, second)) < IN_ORDER
