"""From results to conclusions: pure functions of what the comparisons gave."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from validity.calibration import binomial_bound, kolmogorov
from validity.pairs import sees

__all__ = [
    "ACCUSING",
    "PUBLISHED",
    "cells",
    "conclusions",
    "false_positives",
    "highest",
    "of_kind",
    "seen_by",
    "unrelated_pairs",
]

Result: TypeAlias = Mapping[str, Any]

ACCUSING = ("identical", "exact-rejected", "matched-above-panel")
"""Rungs that say that two networks are not independent."""

PUBLISHED = frozenset(
    {"attention-std-correlation/v1", "norm-gain-cosine/v1", "norm-gain-correlation/v1", "embedding-anchors-correlation/v1",
     "awm/v1", "huref-invariants/v1", "spectrum-correlation/v1", "debiased-cka/v1", "linear-cka/v1",
     "prediction-agreement/v1"}
)  # fmt: skip
"""Statistics that are shown since the field quotes them; they never count as having seen anything."""

LEVELS = (1e-2, 1e-3)


def of_kind(results: Iterable[Result], kind: str) -> list[Result]:
    """Results whose label begins with a kind."""
    return [one for one in results if one["label"][0] == kind]


def unrelated_pairs(results: Sequence[Result]) -> list[Result]:
    """Pairs of independent networks, as they were trained and laundered."""
    return [*of_kind(results, "independent"), *of_kind(results, "laundered-unrelated")]


def highest(unrelated: Sequence[Result]) -> dict[str, float]:
    """The highest statistic of each test over unrelated pairs."""
    found: dict[str, float] = {}
    for result in unrelated:
        for name, test in result["tests"].items():
            found[name] = max(found.get(name, test["statistic"]), test["statistic"])
    return found


def false_positives(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """For each exact test with p-values: how they are distributed over pairs that are independent."""
    tables = {}
    for name in sorted({name for one in results for name in one["tests"]}):
        ran = [one["tests"][name] for one in results if name in one["tests"]]
        pvalues = [test["pvalue"] for test in ran if test["pvalue"] is not None]
        if not pvalues or ran[0]["calibration"] != "exact":
            continue
        distance, pvalue = kolmogorov(pvalues)
        tables[name] = {
            "pairs": len(pvalues),
            "distance": distance,
            "uniform_pvalue": pvalue,
            "spread": (sum(test["z"] ** 2 for test in ran) / len(ran)) ** 0.5,
            "largest_z": max((test["z"] for test in ran), key=abs),
            "rejections": {
                f"{level:g}": {
                    "observed": sum(p <= level for p in pvalues),
                    "bound": binomial_bound(len(pvalues), level),
                }
                for level in LEVELS
            },
        }
    return tables


def seen_by(result: Result, limits: Mapping[str, float]) -> list[str]:
    """Tests that saw a relation, published statistics left out."""
    return [
        name
        for name, test in result["tests"].items()
        if name not in PUBLISHED and sees(test, limits.get(name, float("inf")))
    ]


def cells(derived: Sequence[Result], limits: Mapping[str, float]) -> dict[tuple[str, str], dict[str, Any]]:
    """The matrix: for each row and stage, what the seeds have in common.

    Returns
    -------
    dict
        By (row, stage): ``seeds``; ``seen``, on how many some test saw it; ``rungs``, counted; ``tests``, for each test
        the seeds on which it ran and saw, and its least absolute z or statistic.
    """
    grouped: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in derived:
        grouped[result["label"][1], result["label"][2]].append(result)
    return {key: _cell(group, limits) for key, group in grouped.items()}


def _cell(group: Sequence[Result], limits: Mapping[str, float]) -> dict[str, Any]:
    saw = [seen_by(one, limits) for one in group]
    tests = {}
    for name in {name for one in group for name in one["tests"]}:
        ran = [one["tests"][name] for one in group if name in one["tests"]]
        sizes = [abs(test["z"]) if test["z"] is not None else test["statistic"] for test in ran]
        tests[name] = {"ran": len(ran), "saw": sum(name in names for names in saw), "least": min(sizes)}
    return {
        "seeds": len(group),
        "seen": sum(bool(names) for names in saw),
        "accused": sum(one["rung"] in ACCUSING for one in group),
        "rungs": dict(Counter(one["rung"] for one in group)),
        "tests": tests,
    }


def conclusions(results: Sequence[Result]) -> dict[str, Any]:
    """What the report stands for: false accusations, and the cells of the matrix that were missed."""
    unrelated = unrelated_pairs(results)
    alike = of_kind(results, "coincidence")
    accused = [list(one["label"]) for one in (*unrelated, *alike) if one["rung"] in ACCUSING]
    derived = of_kind(results, "derived")
    matrix = cells(derived, highest(unrelated))
    by_weights = [one for one in derived if one["rung"] in ACCUSING and one["rung_without_weights"] not in ACCUSING]
    return {
        "unrelated_pairs": len(unrelated),
        "coinciding_pairs": len(alike),
        "false_accusations": accused,
        "cells": len(matrix),
        "missed_by_every_test": sorted(list(key) for key, cell in matrix.items() if cell["seen"] < cell["seeds"]),
        "need_the_weights": sorted(map(list, {(one["label"][1], one["label"][2]) for one in by_weights})),
        "below_the_ladder": sorted(list(key) for key, cell in matrix.items() if cell["accused"] < cell["seeds"]),
    }
