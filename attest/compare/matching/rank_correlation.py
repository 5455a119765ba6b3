"""``matched-rank-correlation/v1``: the published form of matching, Spearman's correlation of two matchings.

Each neuron is sought in the other network by its gate, and again by the rest of it; the statistic is the rank correlation
of the places that the two searches lead to. Its authors read it as if it had a p-value, taking the two matchings of
networks trained apart for independent. Nothing says that they are: the gate and the rest of one neuron were trained
together, and a permutation of one network's neurons permutes both matchings at once, so it gives no null distribution.
Hence no p-value here, only what a panel of pairs trained apart may say.

References
----------
Zhu, Ahmed, Kuditipudi, Liang, "Independence Tests for Language Models", ICML 2025, section 3.2 (the statistic MATCH, there
on activations and with linear sum assignments; ``assigned-rank-correlation/v1`` has the assignments).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from attest.compare.descriptive import descriptive
from attest.compare.matching.layer_agreement import LayerPair, sample_size
from attest.compare.matching.nearest import nearest
from attest.compare.matching.partners import Neurons, Sample
from attest.comparison import Test
from attest.cores import on_all_cores

__all__ = ["matched_rank_correlation", "rank_correlation"]

_ID = "matched-rank-correlation/v1"
_WORK = 20_000_000
"""Pairs of neurons that are looked at."""


def matched_rank_correlation(
    partners: Sequence[LayerPair], mine: Mapping[int, Neurons], theirs: Mapping[int, Neurons], digests: tuple[str, str]
) -> Test:
    """Mean rank correlation of the two matchings over layers that belong together, from sketches.

    Parameters
    ----------
    partners : sequence of LayerPair
        Not empty.
    mine, theirs : mapping of int to Neurons
        Of a and of b.
    digests : tuple of str
        Tree digests of a and b: neurons of the lesser are sought, so that exchanging the two changes no number.
    """
    forth = digests[0] <= digests[1]
    pairs = [(one.first, one.second) if forth else (one.second, one.first) for one in partners]
    sought, searched = (mine, theirs) if forth else (theirs, mine)
    size = sample_size([searched[j] for _, j in pairs], _WORK)
    seed = f"{_ID} {min(digests)} {max(digests)}"
    samples = [Sample.draw(sought[i], size, f"{seed} {i} {j}") for i, j in pairs]
    values = on_all_cores(lambda at: _correlate(samples[at], searched[pairs[at][1]]), range(len(pairs)))
    return descriptive(
        _ID,
        sum(values) / len(values),
        sum(sample.rows.size for sample in samples),
        "mean rank correlation of the places that neurons' gates and the rest of them lead to, each layer with the layer"
        " that agrees most, layer 0 apart; the published form of matching, no evidence without a panel of pairs trained"
        " apart",
    )


def _correlate(sample: Sample, target: Neurons) -> float:
    first, second = sample.neurons.first[sample.rows], sample.neurons.second[sample.rows]
    by_first = nearest(first, target.looks[0], absolute=False)
    by_second = nearest(second, target.looks[1], absolute=target.gated)
    both = (by_first >= 0) & (by_second >= 0)
    return rank_correlation(by_first[both], by_second[both])


def rank_correlation(x: NDArray[np.int64], y: NDArray[np.int64]) -> float:
    """Spearman's correlation of two sequences; equal values share their mean rank. 0 where one is constant.

    Examples
    --------
    >>> rank_correlation(np.array([1, 2, 3, 4]), np.array([1, 2, 4, 3]))
    0.8
    """
    ranks = [_mean_ranks(one) for one in (x, y)]
    u, v = (one - one.mean() if one.size else one for one in ranks)
    scale = float(np.sqrt(np.sum(u * u) * np.sum(v * v)))
    return float(np.sum(u * v)) / scale if scale > 0 else 0.0


def _mean_ranks(values: NDArray[np.int64]) -> NDArray[np.float64]:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return ranks
