"""The reference panel that attest ships: the pairs of the validity run, with what every test gave on them.

Usage: python -m validity.panel reports/validity/results.json -o panels/small.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from attest.compare.ranks import hold_against
from attest.comparison import EMPIRICAL, Comparison
from attest.document import load
from attest.panel import Member, Panel, PanelPair, Placed, ReferencePanel, Shape, Statistic, pack_panel
from attest.policy import conclude
from validity.summary import PUBLISHED
from validity.train import STRANGER

__all__ = ["BYSTANDER", "SHIPPED", "names_of", "panel_of", "rung_with"]

SHIPPED = Path(__file__).resolve().parents[1] / "panels" / "small.json"

BYSTANDER = "qwen2-5"
"""An unrelated network that every laundered one is held against: laundering must not look like descent from it."""

_KINDS = ("independent", "derived", "laundered-unrelated")
_MIXED = ("averaged-", "slerp-", "merged-")
"""Beginnings of the names of alterations that take the stranger in: what they give descends from it, too."""

_MADE = (
    "Small language models that attest's own validity run trained from random numbers ({networks} networks of four"
    " architectures, half a million to a million parameters, a million tokens each) and altered ({altered} more), so"
    " that their ancestry is known. All share one recipe's family and one tokenizer. Networks of this size and age say"
    " nothing about large ones: only pairs of about their size are held against them. Made by python -m validity.run;"
    " mixtures that keep little of the parent and networks with a shared start are in the report and not in here."
)

Result = Mapping[str, Any]


def names_of(label: Sequence[str]) -> tuple[str, str] | None:
    """Names of the two networks of a pair; None for pairs whose relation is neither plain descent nor independence."""
    kind, *rest = label
    if kind not in _KINDS:
        return None
    if kind == "independent":
        return rest[1], rest[2]
    row, stage, parent = rest
    altered = f"{parent}/{row}{'-trained' if stage == 'trained' else ''}"
    return (parent if kind == "derived" else BYSTANDER), altered


def lineages_of(name: str) -> tuple[str, ...]:
    """Networks that were trained from random numbers and are in this one."""
    parent, _, row = name.partition("/")
    return (parent, STRANGER) if row.startswith(_MIXED) else (parent,)


def panel_of(record: Mapping[str, Any]) -> Panel:
    """Panel of all pairs of a run that are independent or derived, with what a panel may calibrate and what was published."""
    held = [(pair, one) for one in record["pairs"] if (pair := names_of(one["label"])) is not None]
    names = sorted({name for pair, _ in held for name in pair})
    models = tuple(
        load(Member, {**record["models"][name], "name": name, "lineages": lineages_of(name)}, where=name)
        for name in names
    )
    altered = sum("/" in name for name in names)
    return Panel(
        name="attest-small",
        version=record["tool"]["version"],
        made=_MADE.format(networks=len(names) - altered, altered=altered),
        models=models,
        pairs=tuple(PanelPair(a=a, b=b, statistics=_statistics(one["tests"])) for (a, b), one in held),
    )


def _statistics(tests: Mapping[str, Mapping[str, Any]]) -> dict[str, Statistic]:
    return {
        name: Statistic(statistic=float(test["statistic"]), n=test["n"])
        for name, test in sorted(tests.items())
        if name in EMPIRICAL | PUBLISHED
    }


def rung_with(panel: ReferencePanel, networks: Sequence[Mapping[str, Any]], comparison: Comparison) -> str:
    """Rung of a comparison that is held against a panel, less every pair with a relative of the two."""
    a, b = (
        Placed(
            tree_digest=one["treeDigest"],
            shape=None if one["shape"] is None else load(Shape, one["shape"], where="shape"),
        )
        for one in networks
    )
    ranked = hold_against(panel, (a, b), comparison.tests)
    return conclude(replace(comparison, tests=ranked.tests, panel=ranked.panel)).rung


def main() -> None:
    """Build the panel of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    arguments.output.write_bytes(pack_panel(panel_of(json.loads(arguments.results.read_text()))))


if __name__ == "__main__":
    main()
