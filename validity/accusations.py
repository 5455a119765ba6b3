"""The report on wrong accusations: strangers, habits that are no descent, the panel, and the published statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from validity.coincidence import COINCIDENCES
from validity.summary import ACCUSING, PUBLISHED, false_positives, of_kind
from validity.tables import Record, number, short, table

__all__ = ["calibration", "habits", "published_statistics", "with_panel"]


def calibration(record: Record) -> str:
    """P-values of unrelated networks held against the uniform law."""
    groups = {
        "alike: one architecture and shape": [
            one for one in of_kind(record["pairs"], "independent") if one["label"][1] == "alike"
        ],
        "across architectures, widths and depths": [
            one for one in of_kind(record["pairs"], "independent") if one["label"][1] == "across"
        ],
        "laundered, against an unrelated network": of_kind(record["pairs"], "laundered-unrelated"),
    }
    parts = ["## False positives"]
    for title, results in groups.items():
        rungs = Counter(one["rung"] for one in results)
        counted = ", ".join(f"{rung} {count}" for rung, count in rungs.most_common())
        rows = [_calibration_row(name, one) for name, one in false_positives(results).items()]
        columns = (
            "test",
            "pairs",
            "KS distance",
            "KS p",
            "z, rms",
            "largest z",
            "p ≤ 0.01 (bound)",
            "p ≤ 0.001 (bound)",
        )
        parts.append(f"### {title}\n\n{len(results)} pairs; rungs: {counted}.\n\n{table(columns, rows)}")
    parts.append(
        "KS: Kolmogorov's test of the p-values against the uniform law. Bounds: what independent tests would not exceed"
        " with 99 % confidence. Both assume that pairs are independent of each other. They share networks, so this holds"
        " only roughly in the first two groups, and not at all in the third, where one network in many guises meets one"
        " other: there KS says nothing, and only rungs and the largest z count.\n\n"
        "QQ plots of the p-values over all independent pairs, the uniform law dashed: neuron-alignment,"
        " anchored-alignment, all exact tests.\n\n"
        "![QQ plot of neuron-alignment](qq-neuron-alignment.svg)"
        " ![QQ plot of anchored-alignment](qq-anchored-alignment.svg)"
        " ![QQ plot of all exact tests](qq-all.svg)"
    )
    return "\n\n".join(parts)


def _calibration_row(name: str, one: Record) -> tuple[str, ...]:
    held = one["rejections"].values()
    rejections = [f"{item['observed']} ({item['bound']})" for item in held]
    return (
        short(name), str(one["pairs"]), number(one["distance"]), number(one["uniform_pvalue"]),
        number(one["spread"]),
        number(one["largest_z"]), *rejections,
    )  # fmt: skip


def habits(record: Record) -> str:
    """Unrelated networks to both of which the same was done."""
    titles, rows = {one.name: one.title for one in COINCIDENCES}, []
    for name, title in titles.items():
        group = [one for one in of_kind(record["pairs"], "coincidence") if one["label"][1] == name]
        rungs = Counter(one["rung"] for one in group)
        zs = [test["z"] for one in group for test in one["tests"].values() if test["z"] is not None]
        counted = ", ".join(f"{rung} {n}" for rung, n in rungs.items())
        rows.append((title, len(group), number(max(zs, key=abs, default=None)), counted))
    return (
        "### Habits that are no descent\n\nIndependent pairs to both of which the same was done, as many do to their"
        " networks. None of it may look like a relation.\n\n"
        + table(("done to both", "pairs", "largest z", "rungs"), rows)
    )


def with_panel(record: Record) -> str:
    """Rungs with the reference panel and without it."""
    kinds = {
        "independent": "independent",
        "laundered-unrelated": "laundered, against an unrelated network",
        "derived": "derived",
        "slerp": "SLERP sweep",
        "shared-start": "shared start",
    }
    rows = []
    for kind, title in kinds.items():
        results = of_kind(record["pairs"], kind)
        alone, held = (Counter(one[name] for one in results) for name in ("rung_alone", "rung"))
        counts = [sum(rungs[rung] for rung in ACCUSING) for rungs in (alone, held)]
        rows.append(
            (title, len(results), *counts, held["matched-above-panel"], alone["inconclusive"], held["inconclusive"])
        )
    return (
        "## What the reference panel adds\n\nThe independent and derived pairs of this run are the panel that attest ships"
        f" ({len(record['models'])} networks). Here every pair was held against the rest of it: all pairs with one of the"
        " two networks, or with a relative of either, were left out. A pair counts as accused from the rung"
        " `matched-above-panel` on.\n\n"
        + table(("pairs", "n", "accused without it", "accused with it", "by it alone", "inconclusive without it",
                 "inconclusive with it"), rows)
    )  # fmt: skip


def published_statistics(record: Record) -> str:
    """The published statistics of independent and of derived pairs."""
    alike = [one for one in of_kind(record["pairs"], "independent") if one["label"][1] == "alike"]
    derived = of_kind(record["pairs"], "derived")

    def spread(results: Sequence[Record], pick: Any) -> tuple[str, ...]:
        values = sorted(value for one in results if (value := pick(one)) is not None)
        if not values:
            return ("0", "-", "-", "-")
        return (str(len(values)), *(number(values[at]) for at in (0, len(values) // 2, -1)))

    def statistic(name: str) -> Any:
        return lambda one: float(one["tests"][name]["statistic"]) if name in one["tests"] else None

    def above(results: Sequence[Record]) -> int:
        return sum((statistic("attention-std-correlation/v1")(one) or 0.0) > 0.927 for one in results)

    rows = []
    for name in sorted(PUBLISHED):
        rows.append((short(name), "independent, alike", *spread(alike, statistic(name))))
        rows.append((short(name), "derived", *spread(derived, statistic(name))))
    return (
        "### The published statistics on the same pairs, for contrast\n\n"
        + table(("statistic", "pairs are", "n", "least", "median", "greatest"), rows)
        + f"\n\nThe value that was published as proof is 0.927: {above(alike)} of {len(alike)} independent pairs lie above it, and"
        f" {len(derived) - above(derived)} of {len(derived)} derived ones do not. Where the two ranges overlap, a value says nothing.\n\n"
        "![Histogram of the published statistic over independent pairs](published.svg)"
    )
