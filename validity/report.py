"""The report: README.md with tables and charts, and every number in results.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attest.document import decimal
from validity.charts import charts
from validity.coincidence import COINCIDENCES
from validity.summary import (
    ACCUSING,
    PUBLISHED,
    cells,
    conclusions,
    false_positives,
    highest,
    of_kind,
    seen_by,
    unrelated_pairs,
)

__all__ = ["write_report"]

Record = Mapping[str, Any]


def write_report(record: Record, folder: Path) -> None:
    """Write README.md, the charts and results.json to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in charts(record).items():
        (folder / name).write_text(chart + "\n")
    text = "\n\n".join(section for make in SECTIONS if (section := make(record)))
    (folder / "README.md").write_text(text + "\n")
    (folder / "results.json").write_text(json.dumps(_rounded(record), separators=(",", ":")) + "\n")


def _rounded(value: Any) -> Any:
    """Floats with six significant digits, as everywhere in attest."""
    if isinstance(value, float):
        return float(decimal(value, 6))
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, (list, tuple)) else value


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def number(value: float | None, digits: int = 3) -> str:
    """A number as it is printed; a dash for none."""
    return "-" if value is None else decimal(value, digits)


def _short(name: str) -> str:
    return name.removesuffix("/v1")


def _limits(record: Record) -> dict[str, float]:
    return highest(unrelated_pairs(record["pairs"]))


def _matrix(record: Record) -> dict[tuple[str, str], dict[str, Any]]:
    return cells(of_kind(record["pairs"], "derived"), _limits(record))


def _titles(record: Record) -> dict[str, str]:
    return {row["name"]: row["title"] for row in record["rows"]}


def _opening(record: Record) -> str:
    said = conclusions(record["pairs"])
    n_parents = len({one["label"][3] for one in of_kind(record["pairs"], "derived")})
    return (
        "# Validity: what the tests find, what they miss, and how often they accuse wrongly\n\n"
        f"Made by `python -m validity.run` with attest {record['tool']['version']} (source digest"
        f" `{record['tool']['source_sha256'][:16]}`). Small networks were trained from scratch, laundered in"
        f" {len(record['rows'])} ways from {n_parents} parents, alone and after continued training, and every pair was"
        " compared with every test. `results.json` has every number. How to read this: `docs/validity.md`.\n\n"
        f"- **Missed by every test:** {len(said['missed_by_every_test'])} of {said['cells']} cells of the matrix, on at"
        " least one seed.\n"
        f"- **Below the ladder's accusing rungs:** {len(said['below_the_ladder'])} of {said['cells']} cells, on at least"
        " one seed: some test may have seen them, but the default policy does not say so.\n"
        f"- **False accusations:** {len(said['false_accusations'])} in {said['unrelated_pairs']} pairs of unrelated"
        f" networks, laundered ones among them, and {said['coinciding_pairs']} to both of which the same was done."
    )


def _misses(record: Record) -> str:
    titles, matrix = _titles(record), _matrix(record)
    rows = []
    for (row, stage), cell in sorted(matrix.items(), key=lambda one: (one[1]["seen"], one[1]["accused"])):
        if cell["accused"] == cell["seeds"]:
            continue
        by = ", ".join(_short(name) for name, test in sorted(cell["tests"].items()) if test["saw"])
        rungs = ", ".join(f"{rung} {count}" for rung, count in sorted(cell["rungs"].items()))
        seen = f"{cell['seen']} of {cell['seeds']}"
        rows.append((titles[row], stage, f"**{seen}**" if cell["seen"] < cell["seeds"] else seen, by or "none", rungs))
    if not rows:
        return "## Misses\n\nNone."
    return (
        "## Misses\n\nCells in which the default policy stays below `matched-above-panel` on some seed; those that no"
        " test saw come first, in bold.\n\n" + table(("alteration", "stage", "seen on seeds", "seen by", "rungs"), rows)
    )


def _false_positives(record: Record) -> str:
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
        _short(name), str(one["pairs"]), number(one["distance"]), number(one["uniform_pvalue"]),
        number(one["spread"]),
        number(one["largest_z"]), *rejections,
    )  # fmt: skip


def _coincidences(record: Record) -> str:
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


def _with_panel(record: Record) -> str:
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


def _published(record: Record) -> str:
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
        rows.append((_short(name), "independent, alike", *spread(alike, statistic(name))))
        rows.append((_short(name), "derived", *spread(derived, statistic(name))))
    return (
        "### The published statistics on the same pairs, for contrast\n\n"
        + table(("statistic", "pairs are", "n", "least", "median", "greatest"), rows)
        + f"\n\nThe value that was published as proof is 0.927: {above(alike)} of {len(alike)} independent pairs lie above it, and"
        f" {len(derived) - above(derived)} of {len(derived)} derived ones do not. Where the two ranges overlap, a value says nothing.\n\n"
        "![Histogram of the published statistic over independent pairs](published.svg)"
    )


def _power(record: Record) -> str:
    titles, matrix, limits = _titles(record), _matrix(record), _limits(record)
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
        f"{_short(name)} {number(limits[name])}" for name in names if name in limits and not _exact(record, name)
    )
    return (
        "## Power\n\nEach cell: the least absolute z over the seeds, or the least statistic where a test has no z; bold"
        " where the test saw it on every seed (an exact test at p ≤ 0.001, identity by any telling tensor or row, others"
        " above every unrelated pair); a dash where the test could not run. *Accused* counts seeds on which the default"
        f" policy reached {', '.join(f'`{rung}`' for rung in ACCUSING)}. Highest values over unrelated pairs:"
        f" {bounds or 'none'}.\n\n" + table(("alteration", "stage", "accused", *map(_short, names)), rows)
    )


def _exact(record: Record, name: str) -> bool:
    return any(one["tests"][name]["calibration"] == "exact" for one in record["pairs"] if name in one["tests"])


def _cell_text(test: Record | None, seeds: int) -> str:
    if test is None:
        return "-"
    text = number(test["least"])
    return f"**{text}**" if test["saw"] == seeds else f"{text} ({test['saw']}/{seeds})" if test["saw"] else text


def _shared(record: Record) -> str:
    limits = _limits(record)
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


def _localization(record: Record) -> str:
    titles = _titles(record)
    wanted = [row for row in titles if row.startswith(("layers-", "widened", "neurons-split", "experts-", "grown"))]
    rows = []
    for row in wanted:
        for stage in ("alone", "trained"):
            group = [one for one in of_kind(record["pairs"], "derived") if one["label"][1:3] == [row, stage]]
            shares: dict[str, list[float]] = {}
            for one in group:
                for name, share in one.get("localization", {}).items():
                    shares.setdefault(name, []).append(share)
            said = "; ".join(f"{_short(name)} {number(sum(held) / len(held))}" for name, held in sorted(shares.items()))
            rows.append((titles[row], stage, said or "no test tells"))
    return (
        "## Localization\n\nShare of the derived network's layers whose origin a test has right (new layers count, too),"
        " and share of the neurons with an ancestor whose gate rows were found; means over seeds. *By index* is what a"
        " test that only pairs equal indices can say: which layers still are where they were.\n\n"
        + table(("alteration", "stage", "share right"), rows)
    )


def _known(record: Record) -> str:
    parts = ["## Known cases without weights"]
    if record["published_permutations"]:
        rows = [
            (
                one["pair"].replace(" vs ", " - "),
                number(one["published"]),
                number(one["one_sided"]),
                number(one["pvalue"]),
                number(one["z"], 4),
            )
            for one in record["published_permutations"]
        ]
        turned = sum(abs(one["published"] - one["one_sided"]) > 0.02 for one in record["published_permutations"])
        parts.append(
            "### Published permutation data (Zhu, Ahmed, Kuditipudi, Liang, 2025)\n\nL2 distances of Llama-7B pairs and of"
            " 100 relabelings of each, through our estimator.\n\n"
            + table(("pair", "published p", "our p, one-sided", "our p, two-sided", "z"), rows)
            + f"\n\nThe published column counts from the other end for {turned} pairs, which gives 1 - p; ours counts from"
            " the same end for all. It changes no conclusion."
        )
    rows = [
        (
            one["case"],
            number(one["raw_cosine"], 4),
            number(one["centered_correlation"]),
            number(one["z"]),
            number(one["pvalue"]),
        )
        for one in record["norm_lesson"]
    ]
    parts.append(
        "### The lesson of the norm gains\n\nIn the dispute about Solar-Open-100B a raw cosine of 0.95 and more was offered"
        " as proof. Synthetic gains of 46 layers of 4,096 show why it is none: all gains are positive.\n\n"
        + table(("pair", "raw cosine", "centered correlation", "z of the exact test", "p"), rows)
    )
    return "\n\n".join(parts)


def _peer(record: Record) -> str:
    if not record["peer"]:
        return "## Nearest peer\n\nNot run: no environment with provenancekit was given."
    ours = {tuple(one["label"]): one["rung"] for one in record["pairs"]}
    parts = []
    for kind, title in (("independent", "independent pairs, alike"), ("derived", "derived pairs of one parent")):
        answers = [one for one in record["peer"] if one["label"][0] == kind]
        heard = [one for one in answers if "error" not in one]
        identity = sorted(one["identity"] for one in heard if one["identity"] is not None)
        verdicts = Counter(one["decision"] for one in heard)
        weights = Counter(
            "above 0.75" if value > 0.75 else "0.65 to 0.75" if value >= 0.65 else "below 0.65" for value in identity
        )
        accused = sum(ours[tuple(one["label"])] in ACCUSING for one in answers)
        parts.append((
            title, len(answers), len(answers) - len(heard),
            ", ".join(f"{name} {n}" for name, n in verdicts.most_common()),
            ", ".join(f"{name} {n}" for name, n in weights.most_common()),
            f"{number(identity[0])} … {number(identity[-1])}" if identity else "-", f"{accused} accused",
        ))  # fmt: skip
    columns = ("pairs", "n", "errors", "its verdict", "its weights alone", "range", "attest")
    return (
        "## Nearest peer\n\nCisco's provenancekit 1.0.0, the released package itself, on the same checkpoints. Its verdict"
        " trusts the configuration first; *weights alone* is its identity score, for which it names 0.75 as high and 0.65 as"
        " weak.\n\n" + table(columns, parts)
    )


def _method(record: Record) -> str:
    seconds = sum(one["cpu_seconds"] for one in record["panel"])
    differences = record["differences"].values()
    usual, longer = (pick(row["steps"] for row in record["rows"]) for pick in (min, max))
    names = [f"*{row['title']}*" for row in record["rows"] if row["steps"] == longer]
    rows = [
        (one["plan"]["name"], one["plan"]["text"], one["plan"]["recipe"]["steps"], number(one["plan"]["recipe"]["rate"]),
         one["plan"]["recipe"]["batch"], f"{one['plan']['width']} by {one['plan']['layers']}", f"{one['parameters']:,}", number(one["final_loss"]))
        for one in record["panel"]
    ]  # fmt: skip
    return (
        "## What was trained\n\n"
        f"{len(rows)} networks from scratch, {seconds / 60:.0f} CPU minutes. Alterations that keep the function were checked"
        f" by running both networks: logits differ by at most {number(max(differences, default=None))} standard deviations"
        " before they were rounded to BF16. *Trained* is continued training on other text at the full rate of the first:"
        f" {usual} steps of 4 windows of 128 tokens, but {longer} steps of 8 for {', '.join(names)}. Losses in nats a token; a uniform guess gives 6.93.\n\n"
        + table(("network", "text", "steps", "rate", "batch", "width by layers", "parameters", "final loss"), rows)
        + "\n\n## What this does not show\n\nThe networks are small and young. z grows with the number of neurons, so"
        " absolute values do not carry over to large networks; training of trillions of tokens was not imitated, nor"
        " distillation, which leaves no weights to compare. What is calibrated by symmetry carries over; what is above a panel"
        " of small networks must be measured again on large ones."
    )


SECTIONS = (
    _opening,
    _misses,
    _false_positives,
    _coincidences,
    _with_panel,
    _published,
    _power,
    _shared,
    _localization,
    _known,
    _peer,
    _method,
)
