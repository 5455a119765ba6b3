"""The report: README.md with tables and charts, and every number in results.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attest.document import decimal
from validity.accusations import calibration, habits, published_statistics, with_panel
from validity.charts import charts
from validity.detection import localization, misses, power, shared_beginnings
from validity.published_cases import known_cases, nearest_peer
from validity.summary import conclusions, of_kind
from validity.tables import Record, number, table

__all__ = ["write_report"]


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
        f"- **Accused only where the weights of both are given** (`--weights`): {len(said['need_the_weights'])} cells.\n"
        f"- **False accusations:** {len(said['false_accusations'])} in {said['unrelated_pairs']} pairs of unrelated"
        f" networks, laundered ones among them, and {said['coinciding_pairs']} to both of which the same was done."
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
    misses,
    calibration,
    habits,
    with_panel,
    published_statistics,
    power,
    shared_beginnings,
    localization,
    known_cases,
    nearest_peer,
    _method,
)
