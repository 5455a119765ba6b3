"""Comparing pairs: every test of attest on two checkpoints, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from attest.compare import compare
from attest.compare.fingerprints import Fingerprints
from attest.comparison import Comparison, Test
from attest.measure import measure
from attest.policy import conclude
from attest.program import environment, this_tool

__all__ = ["EXACT_LEVEL", "Pair", "Result", "compare_pair", "fingerprints", "sees"]

EXACT_LEVEL = 1e-3
"""Level at which an exact test counts as having seen an alteration."""

_GAINS = "norm-gain/v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two checkpoints to compare, ``a`` the parent where one is; ``label`` says which pair it is."""

    label: tuple[str, ...]
    a: Path
    b: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a comparison gave.

    Parameters
    ----------
    label : tuple of str
        Of the pair.
    rung : str
        What the default policy makes of it.
    tests : mapping of str to mapping
        By test: calibration, statistic, z, pvalue, n, and z by layer.
    found : sequence of mapping
        Tables of what was found where: id, title, columns, rows.
    not_compared : mapping of str to str
        Reasons by test.
    gain_cosine : float or None
        Raw cosine of all norm gains, as the dispute about Solar-Open-100B had it; no test of attest.
    """

    label: tuple[str, ...]
    rung: str
    tests: Mapping[str, Mapping[str, Any]]
    found: tuple[Mapping[str, Any], ...]
    not_compared: Mapping[str, str]
    gain_cosine: float | None


@cache
def fingerprints(folder: Path) -> Fingerprints:
    """All fingerprints of a checkpoint, the deep ones too, measured on one thread."""
    measured = measure(folder, threads=1, deep=True)
    return Fingerprints.of(measured.evidence, measured.tensors, measured.profiles, None)


def compare_pair(pair: Pair) -> Result:
    """Run every test of ``attest.compare.TESTS`` on a pair."""
    a, b = fingerprints(pair.a), fingerprints(pair.b)
    comparison = compare(a, b, tool=this_tool(), environment=environment())
    return Result(
        label=pair.label,
        rung=conclude(comparison).rung,
        tests={test.id: _numbers(test) for test in comparison.tests},
        found=_tables(comparison),
        not_compared={one.id: one.reason for one in comparison.not_compared},
        gain_cosine=_gain_cosine(a, b),
    )


def sees(test: Mapping[str, Any], highest_unrelated: float) -> bool:
    """Whether a test saw that two checkpoints are not independent.

    Notes
    -----
    An exact test with a p-value sees at ``EXACT_LEVEL``; one without, by any telling tensor or row; every other
    statistic above all unrelated pairs of this panel.
    """
    if test["calibration"] == "exact":
        return bool(test["n"] and test["statistic"]) if test["pvalue"] is None else test["pvalue"] <= EXACT_LEVEL
    return bool(test["statistic"] > highest_unrelated)


def _numbers(test: Test) -> dict[str, Any]:
    return {
        "calibration": test.calibration,
        "statistic": test.statistic,
        "z": test.z,
        "pvalue": test.pvalue,
        "n": test.n,
        "layers": {str(one.layer): one.z for one in test.layers},
    }


def _tables(comparison: Comparison) -> tuple[dict[str, Any], ...]:
    """What was found where; versions of attest without such tables have none."""
    return tuple(
        {
            "id": one.id,
            "title": one.title,
            "columns": list(one.table.columns),
            "rows": [list(row) for row in one.table.rows],
        }
        for one in getattr(comparison, "found", ())
    )


def _gain_cosine(a: Fingerprints, b: Fingerprints) -> float | None:
    mine, theirs = a.arrays.get(_GAINS, {}), b.arrays.get(_GAINS, {})
    names = [name for name in mine if name in theirs and mine[name].shape == theirs[name].shape]
    if not names:
        return None
    x, y = (np.concatenate([side[name] for name in names]).astype(np.float64) for side in (mine, theirs))
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))
