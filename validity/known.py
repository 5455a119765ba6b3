"""Known cases without weights: published permutation data, and the lesson of the norm gains."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from attest.compare.correspondence.features import normal_scores
from attest.compare.correspondence.permutation import Pairing, permutation_test
from attest.compare.resampling import normal_pvalue

__all__ = ["norm_lesson", "published_permutations"]

LAYERS, WIDTH = 46, 4096
"""Layers and width of the two networks of the dispute of 2025/26."""


def published_permutations(file: Path) -> list[dict[str, Any]]:
    """For each published pair of Llama-7B models: our two-sided p-value and z beside the published p-value.

    Notes
    -----
    The file has the L2 distance of a pair and of 99 random relabelings of one of the two.

    References
    ----------
    Zhu, Ahmed, Kuditipudi, Liang, "Independence Tests for Language Models", ICML 2025; data of their repository.
    """
    with file.open(newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    cases = []
    for pair, published, observed, *resampled in rows:
        null = [float(value) for value in resampled]
        mean, spread = statistics.fmean(null), statistics.stdev(null)
        distance = abs(float(observed) - mean)
        extreme = sum(abs(value - mean) >= distance for value in null)
        z = (mean - float(observed)) / spread
        below = sum(value <= float(observed) for value in null)
        cases.append(
            {
                "pair": pair,
                "published": float(published),
                "one_sided": (below + 1) / (len(null) + 1),
                "pvalue": (extreme + 1) / (len(null) + 1),
                "z": z,
                "normal_pvalue": normal_pvalue(z),
            }
        )
    return cases


def norm_lesson() -> list[dict[str, Any]]:
    """Raw cosine and exact test of synthetic norm gains: independent, derived, and independent with a common profile.

    Notes
    -----
    Gains are positive and all near one value, so their raw cosine is near 1 whatever they are. The third pair shares a
    profile over depth, as networks of one recipe do: centering by layer takes it out.
    """
    rng = np.random.Generator(np.random.Philox(key=20260101))
    depth = np.linspace(0.3, 1.2, LAYERS)[:, None]

    def gains(base: Any) -> Any:
        return np.abs(base + 0.15 * rng.standard_normal((LAYERS, WIDTH)))

    origin = gains(0.8)
    derived = origin + 0.01 * rng.standard_normal(origin.shape)
    cases = (
        ("independent", gains(0.8), gains(0.8)),
        ("independent, one profile over depth", gains(depth), gains(depth)),
        ("derived, 1 % changed", origin, derived),
    )
    return [_lesson(title, x, y) for title, x, y in cases]


def _lesson(title: str, x: Any, y: Any) -> dict[str, Any]:
    raw = float(np.sum(x * y) / np.sqrt(np.sum(x * x) * np.sum(y * y)))
    u, v = (one - one.mean(axis=1, keepdims=True) for one in (x, y))
    centered = float(np.sum(u * v) / np.sqrt(np.sum(u * u) * np.sum(v * v)))
    left, right = (np.stack([normal_scores(layer) for layer in one], axis=1) for one in (x, y))
    pairing = Pairing(layer=-1, x=left, y=right)
    result = permutation_test(title, [pairing], seed=title, method="residual dimensions", note="", max_resamples=999)
    return {
        "case": title,
        "raw_cosine": raw,
        "centered_correlation": centered,
        "z": result.z if result else None,
        "pvalue": result.pvalue if result else None,
    }
