"""What networks that have nothing in common gave, beside statistics on activations that have no null of their own."""

from __future__ import annotations

from collections.abc import Mapping

from attest.document import decimal

__all__ = ["STRANGERS", "strangers_gave"]

STRANGERS: Mapping[str, tuple[int, float, float]] = {
    "activation-matching/v1": (150, 0.0, 0.00586),
    "activation-matching-halves/v1": (78, 0.0013, 0.0278),
    "debiased-cka/v1": (264, 0.179, 0.881),
    "linear-cka/v1": (264, 0.213, 0.883),
    "prediction-agreement/v1": (264, 0.0, 0.756),
}
"""Pairs, least and greatest, as ``reports/validity/activations.json`` has them."""


def strangers_gave(test_id: str) -> str:
    """Words for what a statistic was on unrelated pairs; empty where none were measured.

    Notes
    -----
    Of small networks on ``general-en``: what larger ones give on other prompts may be more, so it ranks nothing.
    """
    if test_id not in STRANGERS:
        return ""
    pairs, least, greatest = STRANGERS[test_id]
    return f"; {pairs} unrelated pairs of small networks gave {decimal(least, 3)} to {decimal(greatest, 3)}"
