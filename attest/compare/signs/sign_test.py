"""The exact test of signs: whether what matched neurons write points the same way in both networks.

A gated neuron writes act(g·x) (u·x) d. With u and d both negated it writes the same, so training treats both forms alike,
and an initialization that is symmetric around zero draws both as often. In a network trained apart, the sign of every
neuron's d is therefore a fair coin, whatever else is known of the neuron. Neurons may be matched by whatever has no sign:
then each product <d of one, d of its partner> is as likely positive as negative, each by itself.

References
----------
Fisher, "The Design of Experiments", 1935, section 21 (the randomization of signs). Hemerik and Goeman, "Exact testing with
random permutations", TEST 27, 2018 (any group of transformations). Phipson and Smyth, "Permutation P-values Should
Never Be Zero", 2010 (the estimator). Godfrey, Brown, Emerson and Kvinge, "On the Symmetries of Deep Learning Models and
their Internal Representations", NeurIPS 2022 (what leaves a layer's function as it is).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.compare.digits import signed_digits
from attest.compare.resampling import MAX_RESAMPLES, MIN_RESAMPLES, WORK, public_source, resampled_test
from attest.comparison import LayerStatistic, Test

__all__ = ["Coins", "sign_test"]

_BATCH = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Coins:
    """Products of matched neurons of one layer, whose signs are fair coins under the null.

    Parameters
    ----------
    layer : int
    values : ndarray of shape (n_pairs,), float64
        Not 0.
    """

    layer: int
    values: NDArray[np.float64]

    @property
    def z(self) -> float:
        """The sum in standard deviations of the null; 0 where there is no pair."""
        spread = math.sqrt(float(self.values @ self.values))
        return float(self.values.sum()) / spread if spread > 0 else 0.0

    def redrawn(self, seed: str) -> Coins:
        """The same products with public random signs."""
        signs = public_source(f"{seed} {self.layer}").random_raw(self.values.size) >> np.uint64(63)
        return Coins(layer=self.layer, values=np.where(signs, -self.values, self.values))


def sign_test(test_id: str, layers: Sequence[Coins], *, seed: str, unsigned: bool, note: str) -> Test | None:
    """Test whether matched neurons agree in sign.

    Parameters
    ----------
    test_id : str
    layers : sequence of Coins
    seed : str
        Public text that fixes the resamples.
    unsigned : bool
        Whether the axes of one network are known up to one sign for all of them: then z is a magnitude.
    note : str

    Returns
    -------
    Test or None
        None where no layer has a pair.

    Notes
    -----
    Under the null the sum of a layer's products has mean 0 and variance sum_i t_i^2; z is Stouffer's sum of the layers'.
    Resamples draw all signs anew, from Philox-4x64 keyed by SHA-256 of the seed.
    """
    used = [one for one in layers if one.values.size]
    if not used:
        return None
    scale = math.sqrt(len(used))
    weights = np.concatenate([one.values / (math.sqrt(float(one.values @ one.values)) * scale) for one in used])
    observed = float(weights.sum())
    resamples = max(MIN_RESAMPLES, min(MAX_RESAMPLES, WORK // weights.size))
    null = _redraw(weights, resamples, seed)
    turn = -1.0 if unsigned and observed < 0 else 1.0
    return resampled_test(
        test_id,
        turn * observed,
        null,
        least=math.ldexp(1.0, 1 - weights.size),
        n=weights.size,
        layers=tuple(
            LayerStatistic(
                layer=one.layer,
                n=one.values.size,
                statistic=signed_digits(turn * float(one.values.sum())),
                z=signed_digits(turn * one.z),
            )
            for one in used
        ),
        method="the signs of matched neurons, each by itself",
        seed=seed,
        note=note,
    )


def _redraw(weights: NDArray[np.float64], resamples: int, seed: str) -> NDArray[np.float64]:
    """Sum of the weights with random signs, shape (resamples,)."""
    source, words = public_source(seed), -(-weights.size // 64)
    null = np.empty(resamples)
    for begin in range(0, resamples, _BATCH):
        here = null[begin : begin + _BATCH]
        drawn = source.random_raw(here.size * words).astype("<u8").view(np.uint8).reshape(here.size, -1)
        bits = np.unpackbits(drawn, axis=1, count=weights.size, bitorder="little")
        here[:] = 2 * (bits.astype(np.float64) @ weights) - weights.sum()
    return null
