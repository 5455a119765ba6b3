"""What networks do, on the pairs of the panel: how often unrelated ones look related, and what laundering hides.

Usage: python -m validity.activations --root FOLDER [--report reports/validity]

Networks run in this process, one after the other, on ``general-en``: some minutes of one core for all pairs. It writes
``activations.md`` and ``activations.json`` beside the report of ``validity.run``, which calls it, too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from attest.activation import Options, measure_activations, read_prompts
from attest.activation.network import do_job
from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.activation_arrays import activation_arrays
from attest.compare.activations.activation_matching import activation_matching
from attest.compare.activations.prediction_agreement import prediction_agreement
from attest.compare.activations.representation_similarity import representation_similarity
from attest.compare.activations.residual_activations import residual_activation_correspondence
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import PairTest
from attest.comparison import Side, Test
from attest.digest import sha256
from attest.document import decimal
from attest.errors import CheckpointError
from attest.evidence_summary import summarize_architecture
from validity.pairs import Pair, sees
from validity.summary import PUBLISHED, cells, false_positives, highest, of_kind, unrelated_pairs

__all__ = ["activation_results", "main", "write_activations"]

PROMPTS = "general-en"
TESTS: tuple[PairTest, ...] = (
    residual_activation_correspondence,
    activation_matching,
    representation_similarity,
    prediction_agreement,
)
COLUMNS = (
    "residual-activation-correspondence/v1",
    "activation-matching/v1",
    "activation-matching-halves/v1",
    "activation-layer-alignment/v1",
    "debiased-cka/v1",
    "linear-cka/v1",
    "prediction-agreement/v1",
)

Result: TypeAlias = Mapping[str, Any]


def activation_results(pairs: Iterable[Pair], say: Callable[[str], object]) -> Iterator[dict[str, Any]]:
    """Every activation test on every pair; networks that are not run are named once."""
    ran: dict[Path, Fingerprints | None] = {}
    for pair in pairs:
        for folder in (pair.a, pair.b):
            if folder not in ran:
                try:
                    ran[folder] = _run(folder)
                except CheckpointError as error:
                    ran[folder] = None
                    say(f"{folder.parent.name if folder.name == 'checkpoint' else folder.name}: {error.code}")
        a, b = ran[pair.a], ran[pair.b]
        tests = [] if a is None or b is None else [one for test in TESTS for one in test(a, b).tests]
        yield {"label": list(pair.label), "rung": "", "tests": {one.id: _numbers(one) for one in tests}}


def _run(folder: Path) -> Fingerprints:
    """Activation fingerprints of a network, without those of its weights."""

    def here(job: Path, _options: Options, _progress: Callable[[int, int], None]) -> None:
        do_job(job)

    checkpoint = open_checkpoint(folder)
    model = place_tensors(checkpoint)
    activations = measure_activations(folder, read_prompts(PROMPTS), start=here)
    side = Side(
        name=folder.name,
        tree_digest=sha256((folder / checkpoint.tensors[0].file).read_bytes()),
        statement_sha256=None,
        parameters=0,
        layers=model.n_layers,
    )
    return Fingerprints(
        side=side,
        architecture=summarize_architecture(model),
        tensors=(),
        arrays=activation_arrays(activations.summary, activations.details),
        activations=activations.summary,
    )


def _numbers(test: Test) -> dict[str, Any]:
    return {
        "calibration": test.calibration,
        "statistic": test.statistic,
        "z": test.z,
        "pvalue": test.pvalue,
        "n": test.n,
    }


def write_activations(results: Sequence[Result], weights: Sequence[Result], seconds: float, folder: Path) -> None:
    """Write the page and the numbers; ``weights`` are the results of the tests on weights of the same pairs."""
    opening = (
        f"# Activations on the pairs of the panel\n\nMade by `python -m validity.activations`: {len(results)} pairs on the"
        f" prompt set `{PROMPTS}`, {seconds:.0f} CPU seconds. The networks and the alterations are those of"
        " [README.md](README.md). How to read it: `docs/activations.md`."
    )
    sections = (opening, _unrelated(results), _power(results), _contrast(results, weights))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "activations.md").write_text("\n\n".join(sections) + "\n")
    (folder / "activations.json").write_text(json.dumps(results, separators=(",", ":")) + "\n")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *rows))


def _short(name: str) -> str:
    return name.removesuffix("/v1")


def _unrelated(results: Sequence[Result]) -> str:
    """What networks give that have nothing in common."""
    exact = [
        (
            title,
            str(one["pairs"]),
            decimal(one["spread"], 3),
            decimal(one["largest_z"], 3),
            *(f"{held['observed']} ({held['bound']})" for held in one["rejections"].values()),
        )
        for title, group in _groups(results)
        for name, one in false_positives(group).items()
    ]
    rows = []
    for name in COLUMNS[1:]:
        for title, group in _groups(results):
            values = sorted(one["tests"][name]["statistic"] for one in group if name in one["tests"])
            if values:
                shown = [decimal(values[at], 3) for at in (0, len(values) // 2, -1)]
                rows.append((_short(name), title, str(len(values)), *shown))
    return (
        "## Unrelated networks\n\nThe exact test, residual-activation-correspondence; the bound is what independent tests"
        " would not exceed with 99 % confidence:\n\n"
        + _table(("pairs are", "n", "z, rms", "largest z", "p ≤ 0.01 (bound)", "p ≤ 0.001 (bound)"), exact)
        + "\n\nThe others, which have no p-value:\n\n"
        + _table(("statistic", "pairs are", "n", "least", "median", "greatest"), rows)
    )


def _groups(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    independent = of_kind(results, "independent")
    return [
        ("trained apart, alike", [one for one in independent if one["label"][1] == "alike"]),
        ("trained apart, across", [one for one in independent if one["label"][1] == "across"]),
        ("laundered, against a stranger", of_kind(results, "laundered-unrelated")),
    ]


def _power(results: Sequence[Result]) -> str:
    matrix = cells(of_kind(results, "derived"), highest(unrelated_pairs(results)))
    names = [name for name in COLUMNS if any(name in cell["tests"] for cell in matrix.values())]
    rows = [
        (row, stage, *(_cell(cell["tests"].get(name), cell["seeds"]) for name in names))
        for (row, stage), cell in matrix.items()
    ]
    return (
        "## Altered networks against their parents\n\nEach cell: the least absolute z over the seeds, or the least statistic"
        " where there is no z; bold where the test saw it on every seed (the exact test at p ≤ 0.001, matching above every"
        " unrelated pair). CKA and predictions are shown and never count as having seen anything.\n\n"
        + _table(("alteration", "stage", *map(_short, names)), rows)
    )


def _cell(test: Mapping[str, Any] | None, seeds: int) -> str:
    if test is None or not test["ran"]:
        return "-"
    text = decimal(test["least"], 3)
    return f"**{text}**" if test["saw"] == test["ran"] == seeds else text


def _contrast(results: Sequence[Result], weights: Sequence[Result]) -> str:
    """Cells that one kind of test sees on every seed and the other does not."""
    activations, others = _seen(results), _seen(weights)
    both = sorted(activations.keys() & others.keys())

    def named(pick: Callable[[tuple[str, str]], bool]) -> str:
        return ", ".join(f"{row} ({stage})" for row, stage in both if pick((row, stage))) or "none"

    return (
        "## What one sees and the other misses\n\n"
        f"Of {len(both)} cells, on every seed:\n\n"
        f"- by activations and by no exact test on weights: {named(lambda key: activations[key] and not others[key])}\n"
        f"- by an exact test on weights and not by activations: {named(lambda key: others[key] and not activations[key])}\n"
        f"- by neither: {named(lambda key: not others[key] and not activations[key])}"
    )


def _seen(results: Sequence[Result]) -> dict[tuple[str, str], bool]:
    """Whether an alteration was seen on every seed: on weights by an exact test, by activations by any that counts."""
    limits = highest(unrelated_pairs(results))
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for one in of_kind(results, "derived"):
        tests = {name: test for name, test in one["tests"].items() if name not in PUBLISHED}
        mine = {name: test for name, test in tests.items() if name in COLUMNS or test["calibration"] == "exact"}
        saw = [sees(test, limits.get(name, float("inf"))) for name, test in mine.items()]
        found[one["label"][1], one["label"][2]].append(any(saw))
    return {key: all(seeds) for key, seeds in found.items()}


def main() -> None:
    """Run the activations of the panel alone, beside a report that stands."""
    from validity.run import all_pairs, derive_all, say  # noqa: PLC0415 - run imports this module

    here = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of the networks that validity.run made")
    parser.add_argument("--report", type=Path, default=here / "reports" / "validity")
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    report(all_pairs(root, derive_all(root, jobs=1)), arguments.report, say)


def report(pairs: Sequence[Pair], folder: Path, say: Callable[[str], object]) -> None:
    """Run, compare and write, all but pairs with a habit in common; results on weights are those in the folder."""
    import torch  # noqa: PLC0415 - heavy
    import transformers  # noqa: PLC0415 - heavy

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    began = time.process_time()
    results = list(activation_results((one for one in pairs if one.label[0] != "coincidence"), say))
    kept = folder / "results.json"
    weights = json.loads(kept.read_text())["pairs"] if kept.exists() else []
    write_activations(results, weights, time.process_time() - began, folder)


if __name__ == "__main__":
    main()
