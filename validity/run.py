"""Everything: train, launder, compare, and write the report.

Usage: python -m validity.run --root FOLDER [--report reports/validity] [--jobs 2]

``--root`` keeps networks and comparisons; what stands there already is not made again. Comparisons are kept by the
digest of attest's own sources, so that a changed test is run anew.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from attest.compare.announcement import WEIGHT_METHODS
from attest.comparison import Comparison
from attest.document import load
from attest.panel import ReferencePanel, pack_panel
from attest.program import this_tool
from validity.activations import report as report_activations
from validity.coincidence import coinciding_pairs
from validity.derive import SLERP_SHARES, Derived, derive, derive_slerp
from validity.known import norm_lesson, published_permutations
from validity.launder import ROWS
from validity.localize import localization
from validity.pairs import Pair, compare_pair
from validity.panel import BYSTANDER, SHIPPED, names_of, panel_of, rung_with
from validity.report import write_report
from validity.summary import conclusions
from validity.train import PANEL, PARENTS, SHARED_START, train_panel

REPRESENTATIVES = ("-1", "-2", "-deep", "-wide")
"""Ends of the names of networks that are compared across gates."""

GATED = frozenset({"qwen2", "llama"})
"""Architectures whose neurons have gates: a panel holds pairs with gates and pairs without apart."""


def _derive(cell: tuple[Path, str, str, bool]) -> Derived:
    root, parent, name, trained = cell
    row = next(row for row in ROWS if row.name == name)
    return derive(root, parent, row, trained=trained)


def derive_all(root: Path, *, jobs: int) -> list[Derived]:
    """Every cell of the matrix, made or found made."""
    cells = [(root, parent, row.name, trained) for trained in (False, True) for parent in PARENTS for row in ROWS]
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(_derive, cells))


def all_pairs(root: Path, made: Sequence[Derived]) -> list[Pair]:
    """Independent pairs, and those that share something."""
    return [*independent_pairs(root), *coinciding_pairs(root), *related_pairs(root, made)]


def independent_pairs(root: Path) -> Iterator[Pair]:
    """All pairs with gates and all without, those of one architecture, width and depth labeled alike; across gates, pairs of representatives."""
    for left, right in combinations(PANEL, 2):
        alike = (left.architecture, left.width, left.layers) == (right.architecture, right.width, right.layers)
        one_kind = (left.architecture in GATED) == (right.architecture in GATED)
        if not one_kind and not all(one.name.endswith(REPRESENTATIVES) for one in (left, right)):
            continue
        kind = "alike" if alike else "across"
        label = ("independent", kind, left.name, right.name)
        yield Pair(label=label, a=root / left.name, b=root / right.name)


def related_pairs(root: Path, made: Iterable[Derived]) -> Iterator[Pair]:
    """Derived networks with their parents and with the bystander; the sweep; networks with a shared start."""
    for one in made:
        names = (one.row, "trained" if one.trained else "alone", one.parent)
        yield Pair(label=("derived", *names), a=root / one.parent, b=one.folder)
        if one.parent == PARENTS[0] and not one.trained:
            yield Pair(label=("laundered-unrelated", *names), a=root / BYSTANDER, b=one.folder)
    for parent in PARENTS:
        for share in SLERP_SHARES:
            sweep = derive_slerp(root, parent, share)
            yield Pair(label=("slerp", f"{share:g}", parent), a=root / parent, b=sweep.folder)
    for plan in SHARED_START:
        parent = "-".join(plan.name.split("-")[:2])
        yield Pair(
            label=("shared-start", plan.name.removeprefix(f"{parent}-"), parent), a=root / parent, b=root / plan.name
        )


def compare_all(pairs: Sequence[Pair], kept: Path, jobs: int) -> list[dict[str, Any]]:
    """Results of all pairs, in order; what an earlier run kept is taken from the file."""
    done: dict[tuple[str, ...], dict[str, Any]] = {}
    if kept.exists():
        for line in kept.read_text().splitlines():
            result = json.loads(line)
            done[tuple(result["label"])] = result
    missing = [pair for pair in pairs if pair.label not in done]
    say(f"{len(pairs)} pairs, {len(missing)} to compare")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool, kept.open("a") as stream:
        for result in pool.map(compare_pair, missing, chunksize=8):
            record = json.loads(json.dumps(asdict(result)))
            done[result.label] = record
            stream.write(json.dumps(record) + "\n")
            stream.flush()
    return [done[pair.label] for pair in pairs]


def ask_peer(python: Path, pairs: Sequence[Pair], root: Path) -> list[dict[str, Any]]:
    """Answers of the nearest peer, run in its own environment, on independent and on derived pairs."""
    asked = [pair for pair in pairs if _for_peer(pair)]
    questions, answers = root / "peer-questions.json", root / "peer-answers.json"
    questions.write_text(json.dumps([{"label": pair.label, "a": str(pair.a), "b": str(pair.b)} for pair in asked]))
    script = Path(__file__).with_name("peer.py")
    subprocess.run(  # noqa: S603 - the interpreter is the one that the user names
        [str(python), str(script), str(questions), str(answers)],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    said: list[dict[str, Any]] = json.loads(answers.read_text())
    return said


def _for_peer(pair: Pair) -> bool:
    kind, *rest = pair.label
    return (kind == "independent" and rest[0] == "alike") or (kind == "derived" and rest[2] == PARENTS[0])


def models_of(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a panel says of the networks that it holds, taken out of the results, by name."""
    models: dict[str, Any] = {}
    for result in results:
        networks, names = result["networks"], names_of(result["label"])
        models |= dict(zip(names, networks, strict=True)) if names else {}
    return models


def hold_against_panel(record: dict[str, Any], file: Path) -> None:
    """Write the panel of a run, and conclude again of every pair with the rest of it.

    ``rung_alone`` keeps what the policy says without a panel; ``rung_without_weights`` is what it says with the panel of
    the fingerprints alone.
    """
    made = pack_panel(panel_of(record))
    file.write_bytes(made)
    panel = ReferencePanel.of(made, where=file.name)
    for result in record["pairs"]:
        comparison = load(Comparison, result.pop("comparison"), where="comparison")
        on_fingerprints = tuple(test for test in comparison.tests if test.id not in WEIGHT_METHODS)
        networks = result.pop("networks")
        result["rung_alone"] = result["rung"]
        result["rung_without_weights"] = rung_with(panel, networks, replace(comparison, tests=on_fingerprints))
        result["rung"] = rung_with(panel, networks, comparison)


def say(text: str) -> None:
    """Tell how far the run is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _arguments() -> argparse.Namespace:
    here = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder for networks and comparisons, about 1 GB")
    parser.add_argument("--report", type=Path, default=here / "reports" / "validity")
    parser.add_argument("--panel", type=Path, default=SHIPPED, help="where the reference panel is written")
    parser.add_argument("--jobs", type=int, default=2, help="processes; no number depends on it")
    parser.add_argument("--vectors", type=Path, help="l2perm.csv of the independence tests")
    parser.add_argument("--peer-python", type=Path, help="python of an environment that has provenancekit 1.0.0")
    return parser.parse_args()


def main() -> None:
    """Run every part that is not done yet and write the report."""
    arguments = _arguments()
    root = arguments.root.resolve()
    train_panel(root)
    made = derive_all(root, jobs=arguments.jobs)
    pairs = all_pairs(root, made)
    tool = this_tool()
    results = compare_all(pairs, root / f"compared-{tool.source_sha256[:12]}.jsonl", arguments.jobs)
    by_label = {("derived", one.row, "trained" if one.trained else "alone", one.parent): one for one in made}
    for result in results:
        if tuple(result["label"]) in by_label:
            result["localization"] = localization(result, by_label[tuple(result["label"])])
        del result["found"]
    record: dict[str, Any] = {
        "tool": {"version": tool.version, "source_sha256": tool.source_sha256},
        "panel": [json.loads((root / plan.name / "training.json").read_text()) for plan in (*PANEL, *SHARED_START)],
        "rows": [{"name": row.name, "title": row.title, "keeps": row.keeps, "training": row.training,
                  "steps": row.afterwards.steps} for row in ROWS],
        "differences": {f"{one.parent} {one.row}": one.difference for one in made if one.difference is not None},
        "models": models_of(results),
        "pairs": results,
        "published_permutations": published_permutations(arguments.vectors) if arguments.vectors else None,
        "norm_lesson": norm_lesson(),
        "peer": ask_peer(arguments.peer_python, pairs, root) if arguments.peer_python else None,
    }  # fmt: skip
    hold_against_panel(record, arguments.panel)
    record["conclusions"] = conclusions(results)
    write_report(record, arguments.report)
    report_activations(pairs, arguments.report, say)
    say(json.dumps(record["conclusions"], indent=1))


if __name__ == "__main__":
    main()
