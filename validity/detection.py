"""The report on what is found of derived networks: misses, power, the smallest share, and where it is found."""

from __future__ import annotations

from collections import Counter

from validity.summary import ACCUSING, PUBLISHED, of_kind, seen_by
from validity.tables import Record, limits_of, matrix_of, number, short, table, titles_of

__all__ = ["localization", "misses", "power", "shared_beginnings"]


def misses(record: Record) -> str:
    """Alterations that stay below the accusing rungs on some seed."""
    titles, matrix = titles_of(record), matrix_of(record)
    rows = []
    for (row, stage), cell in sorted(matrix.items(), key=lambda one: (one[1]["seen"], one[1]["accused"])):
        if cell["accused"] == cell["seeds"]:
            continue
        by = ", ".join(short(name) for name, test in sorted(cell["tests"].items()) if test["saw"])
        rungs = ", ".join(f"{rung} {count}" for rung, count in sorted(cell["rungs"].items()))
        seen = f"{cell['seen']} of {cell['seeds']}"
        rows.append((titles[row], stage, f"**{seen}**" if cell["seen"] < cell["seeds"] else seen, by or "none", rungs))
    if not rows:
        return "## Misses\n\nNone."
    return (
        "## Misses\n\nCells in which the default policy stays below `matched-above-panel` on some seed; those that no"
        " test saw come first, in bold.\n\n" + table(("alteration", "stage", "seen on seeds", "seen by", "rungs"), rows)
    )


def power(record: Record) -> str:
    """What every test gave of every alteration."""
    titles, matrix, limits = titles_of(record), matrix_of(record), limits_of(record)
    names = sorted({name for cell in matrix.values() for name in cell["tests"] if name not in PUBLISHED})
    rows = []
    for row in titles:
        for stage in ("alone", "trained"):
            cell = matrix.get((row, stage))
            if cell is None:
                continue
            shown = [_cell_text(cell["tests"].get(name), cell["seeds"]) for name in names]
            rows.append((titles[row], stage, f"{cell['accused']}/{cell['seeds']}", *shown))
    bounds = ", ".join(
        f"{short(name)} {number(limits[name])}" for name in names if name in limits and not _exact(record, name)
    )
    return (
        "## Power\n\nEach cell: the least absolute z over the seeds, or the least statistic where a test has no z; bold"
        " where the test saw it on every seed (an exact test at p ≤ 0.001, identity by any telling tensor or row, others"
        " above every unrelated pair); a dash where the test could not run. *Accused* counts seeds on which the default"
        f" policy reached {', '.join(f'`{rung}`' for rung in ACCUSING)}. Highest values over unrelated pairs:"
        f" {bounds or 'none'}.\n\n" + table(("alteration", "stage", "accused", *map(short, names)), rows)
    )


def _exact(record: Record, name: str) -> bool:
    return any(one["tests"][name]["calibration"] == "exact" for one in record["pairs"] if name in one["tests"])


def _cell_text(test: Record | None, seeds: int) -> str:
    if test is None:
        return "-"
    text = number(test["least"])
    return f"**{text}**" if test["saw"] == seeds else f"{text} ({test['saw']}/{seeds})" if test["saw"] else text


def shared_beginnings(record: Record) -> str:
    """The smallest share of the parent that is seen, and networks with a shared start."""
    limits = limits_of(record)
    rows = []
    for kind, title in (("slerp", "share of the stranger"), ("shared-start", "network")):
        for variant in dict.fromkeys(one["label"][1] for one in of_kind(record["pairs"], kind)):
            group = [one for one in of_kind(record["pairs"], kind) if one["label"][1] == variant]
            least = min((abs(one["tests"]["neuron-alignment/v1"]["z"]) for one in group), default=None)
            seen = sum(bool(seen_by(one, limits)) for one in group)
            rungs = Counter(one["rung"] for one in group)
            counted = ", ".join(f"{rung} {n}" for rung, n in rungs.items())
            rows.append((f"{title}: {variant}", number(least), f"{seen}/{len(group)}", counted))
    return (
        "### The smallest share that is still seen, and shared beginnings\n\nSLERP moves the parent towards a stranger."
        " Networks with a shared start were never copied from each other: they began from the same random numbers. The"
        " tests see that, rightly: the two are not independent; it is not evidence of copied training.\n\n"
        + table(("pair", "least neuron-alignment z", "seen", "rungs"), rows)
        + "\n\n![z by the share of the parent](slerp.svg)"
    )


def localization(record: Record) -> str:
    """How much of a derived network a test finds where it came from."""
    titles = titles_of(record)
    wanted = [row for row in titles if row.startswith(("layers-", "widened", "neurons-split", "experts-", "grown"))]
    rows = []
    for row in wanted:
        for stage in ("alone", "trained"):
            group = [one for one in of_kind(record["pairs"], "derived") if one["label"][1:3] == [row, stage]]
            shares: dict[str, list[float]] = {}
            for one in group:
                for name, share in one.get("localization", {}).items():
                    shares.setdefault(name, []).append(share)
            said = "; ".join(f"{short(name)} {number(sum(held) / len(held))}" for name, held in sorted(shares.items()))
            rows.append((titles[row], stage, said or "no test tells"))
    return (
        "## Localization\n\nShare of the derived network's layers whose origin a test has right (new layers count, too),"
        " and share of the neurons with an ancestor whose gate rows were found; means over seeds. *By index* is what a"
        " test that only pairs equal indices can say: which layers still are where they were.\n\n"
        + table(("alteration", "stage", "share right"), rows)
    )
