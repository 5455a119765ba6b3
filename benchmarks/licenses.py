"""Measure what the license scan is right about, and how fast it is; writes ``reports/licences/results.json``.

Usage: ``licenses.py --models DIR --spdx DIR --scancode DIR --keys DIR --trees DIR… [--histories REPO …] [--copies A@REV=B …] [--origins COPY=PACKAGE …]``. All corpora
are other people's texts, and none of them is kept here; ``reports/licences/README.md`` says which they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import resource
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from attest.licenses import spdx_tag
from attest.licenses.copyright_line import detect as copyrights
from attest.licenses.detect import identify, index, twins
from attest.licenses.detect.found import FoundText
from attest.licenses.git import notice_changes
from attest.licenses.readable import Skipped, source_of
from attest.licenses.source import Source

TARGET = Path(__file__).resolve().parent.parent / "reports" / "licences" / "results.json"
SEED = 7


def merged(expression: str) -> str:
    """A license id without what one text cannot tell: only this version, or later ones too."""
    return re.sub(
        r"-or-later|-only|\+$", "", expression.lower().removeprefix("deprecated_").removeprefix("depreciate_")
    )


def largest(texts: list[FoundText]) -> FoundText | None:
    """The found text with most words."""
    return max(texts, key=lambda text: text.found_words, default=None)


def models(folder: Path) -> dict[str, Any]:
    """Verdict and licenses of each model license; ``truth.json`` in the folder gives the licenses that are right."""
    truth = json.loads((folder / "truth.json").read_text("utf-8"))
    rows, counts = [], Counter[str]()
    for name, right in sorted(truth.items()):
        found = identify((folder / name).read_text("utf-8", "replace"))
        best = largest([text for text in found.texts if text.kind == "text"])
        if best is None:
            outcome = "unknown"
        elif best.changes:
            outcome = "near"
        else:
            outcome = found.verdict if best.expression in right else "wrong"
        counts[outcome] += 1
        rows.append([name, outcome, None if best is None else best.expression])
    return {"counts": counts, "rows": rows}


def spdx(folder: Path) -> dict[str, Any]:
    """Texts of the SPDX list by id, where the id is the name of the file."""
    counts, seconds = Counter[str](), 0.0
    files = sorted(folder.glob("*.txt"))
    for path in files:
        begin = time.process_time()
        found = identify(path.read_text("utf-8", "replace"))
        seconds += time.process_time() - begin
        best = largest([text for text in found.texts if text.kind == "text"])
        id_ = merged(path.stem)
        if best is None:
            counts["unknown"] += 1
        else:
            near = "near" if best.changes else "whole"
            twin = id_ in map(merged, twins(best.expression))
            counts[f"{near}: {'id' if id_ == merged(best.expression) else 'twin' if twin else 'other'}"] += 1
    return {"files": len(files), "counts": counts, "milliseconds": round(1000 * seconds / max(len(files), 1), 2)}


def scancode_cases(folder: Path, keys: dict[str, str]) -> Iterator[tuple[Path, str]]:
    """Files of scancode's own tests with exactly one expected license."""
    for description in sorted(folder.rglob("*.yml")):
        listed = re.search(
            r"^license_expressions:\s*\n((?:\s*-\s.*\n?)+)", description.read_text("utf-8"), re.MULTILINE
        )
        expected = {row.strip()[2:].strip("'\" ") for row in listed[1].strip().split("\n")} if listed else set()
        path = description.with_suffix("")
        if len(expected) == 1 and path.is_file() and re.fullmatch(r"[\w.+-]+", *expected):
            (key,) = expected
            yield path, merged(keys.get(key, key))


def scancode(folder: Path, keys: dict[str, str], count: int) -> dict[str, Any]:
    """A sample of scancode's own cases; what is only named counts as right where it is, and never as sure."""
    cases = sorted(scancode_cases(folder, keys))
    sample = random.Random(SEED).sample(cases, min(count, len(cases)))  # noqa: S311 - a sample for a report
    counts = Counter[str]()
    known = set(map(merged, index().expressions))
    for path, expected in sample:
        data = path.read_bytes()
        source = Source.of(path.name, data)
        tags = [finding.text for finding in spdx_tag.detect(source) if finding.code == "spdx-license"]
        found = identify(source.data.decode("utf-8", "replace"))
        best = largest([text for text in found.texts if not text.changes])
        if tags or best:
            named = tags[0] if tags else best.expression if best else ""
            kind = "tag" if tags else best.kind if best else ""
            counts[f"{'right' if merged(named) == expected else 'wrong'}: {kind}"] += 1
        else:
            counts["near" if found.texts else "unknown"] += 1
        counts["(license not in the index)"] += expected not in known
    return {"cases": len(cases), "sample": len(sample), "seed": SEED, "counts": counts}


def copyright_lines(folder: Path) -> dict[str, Counter[str]]:
    """Recall of the statements that scancode's copyright tests expect, and lines that none of them expects.

    In two halves by the digest of the file's name: the rules were made while looking at the odd half of ``copyrights``
    alone. What lies in
    a folder ``to_improve`` scancode itself wishes not to find, and is counted apart.
    """
    rows = defaultdict[str, Counter[str]](Counter)
    for description in sorted(folder.rglob("*.yml")):
        path = description.with_suffix("")
        if not path.is_file():
            continue
        half = "odd" if hashlib.sha256(path.name.encode()).digest()[0] % 2 else "even"
        row = rows["to_improve" if "to_improve" in path.parts else half]
        listed = yaml.safe_load(description.read_text("utf-8")) or {}
        wanted = [words(str(one)) for one in listed.get("copyrights") or []]
        source = source_of("a", path.read_bytes())
        texts = [] if isinstance(source, Skipped) else [words(text) for text in statements(source)]
        row["cases"] += 1
        row["expected"] += len(wanted)
        row["lines"] += len(texts)
        row["found"] += sum(any(alike(one, text) for text in texts) for one in wanted)
        row["unexpected"] += sum(not any(alike(one, text) for one in wanted) for text in texts)
    return rows


def statements(source: Source) -> list[str]:
    """Copyright lines and tags of a file."""
    found = (*copyrights(source), *spdx_tag.detect(source))
    return [finding.text for finding in found if finding.code in ("copyright", "spdx-copyright")]


def words(text: str) -> set[str]:
    """Words of a line, without its sign."""
    return set(re.findall(r"\w+", text.lower())) - {"copyright", "c", "copr", "all", "rights", "reserved"}


def alike(wanted: set[str], text: set[str]) -> bool:
    """Whether a line gives half of the words that are expected; statements that go on are given by their first line."""
    return len(wanted & text) * 2 >= min(len(wanted), len(text)) > 0


def trees(folders: list[Path]) -> list[dict[str, Any]]:
    """CPU seconds and memory of ``attest scan`` on each folder, as a process of its own."""
    rows = []
    for folder in folders:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "attest", "scan", str(folder), "--format", "json"], capture_output=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rows.append(
            {
                "tree": folder.name,
                "files": json.loads(done.stdout)["filesScanned"],
                "seconds": round(seconds, 2),
                "peakMiB": after.ru_maxrss // 1024,
            }
        )
    return rows


def copies(pairs: list[str]) -> list[dict[str, Any]]:
    """Alike programs, and how many lack a notice, for each ``COPY@REVISION=UPSTREAM``, against its whole history."""
    rows = []
    for pair in pairs:
        copy, _, upstream = pair.partition("=")
        path, _, revision = copy.rpartition("@")
        command = ["scan", path, "--revision", revision, "--against", upstream, "--against-history", "--format", "json"]
        done = subprocess.run([sys.executable, "-m", "attest", *command], capture_output=True, check=True)
        found = json.loads(done.stdout)["origins"]
        rows.append(
            {
                "revision": revision,
                "alike": len(found),
                "lacking": sum(bool(origin["missingNotices"]) for origin in found),
            }
        )
    return rows


def origins(rows: list[str]) -> list[dict[str, Any]]:
    """Best origin of a program, and its peak, for each ``COPY=PACKAGE``; all packages are beside it as releases."""
    found = []
    for row in rows:
        copy, _, package = row.partition("=")
        releases = sorted(str(path) for path in Path(package).parent.glob("*.whl"))
        command = ["scan", copy, "--against", package, "--format", "json", *(f"--releases={path}" for path in releases)]
        done = subprocess.run([sys.executable, "-m", "attest", *command], capture_output=True, check=True)
        value = json.loads(done.stdout)
        names = [release["name"] for release in value["dating"]["releases"]]
        curve = dict(zip(names, value["dating"]["files"][0]["containments"], strict=True))
        peaks = [name for name in names if float(curve[name]) == max(map(float, curve.values()))]
        found += [
            origin | {"against": Path(package).name, "peaks": peaks, "curve": curve} for origin in value["origins"]
        ]
    return found


def histories(repositories: list[Path]) -> list[dict[str, Any]]:
    """CPU seconds of the timeline of notices of whole repositories, git's own included."""
    rows = []
    for repository in repositories:
        before, own = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
        changes = len(notice_changes(repository, "HEAD")[0])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        git = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rows.append({"changes": changes, "seconds": round(time.process_time() - own, 2), "gitSeconds": round(git, 2)})
    return rows


def main() -> None:
    """Measure what was given, and keep the rest of the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("models", "spdx", "scancode", "keys"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--copyrights", type=Path, nargs="*", default=[])
    parser.add_argument("--trees", type=Path, nargs="*", default=[])
    parser.add_argument("--histories", type=Path, nargs="*", default=[])
    parser.add_argument("--copies", nargs="*", default=[])
    parser.add_argument("--origins", nargs="*", default=[])
    parser.add_argument("--sample", type=int, default=600)
    given = parser.parse_args()
    begin = time.process_time()
    index()
    results: dict[str, Any] = json.loads(TARGET.read_text("utf-8")) if TARGET.exists() else {}
    results["index"] = {
        "sha256": index().sha256,
        "entries": len(index().kinds),
        "loadSeconds": round(time.process_time() - begin, 2),
    }
    if given.models:
        results["models"] = models(given.models)
    if given.spdx:
        results["spdx"] = spdx(given.spdx)
    if given.scancode and given.keys:
        pairs = (
            (re.search(r"^key: (.*)$", text, re.MULTILINE), re.search(r"^spdx_license_key: (.*)$", text, re.MULTILINE))
            for text in (path.read_text("utf-8").split("---", 2)[1] for path in given.keys.glob("*.LICENSE"))
        )
        results["scancode"] = scancode(
            given.scancode, {key[1]: id_[1] for key, id_ in pairs if key and id_}, given.sample
        )
    if given.copyrights:
        results["copyrights"] = {folder.name: copyright_lines(folder) for folder in given.copyrights}
    if given.trees:
        results["trees"] = trees(given.trees)
    if given.histories:
        results["histories"] = histories(given.histories)
    if given.origins:
        results["origins"] = origins(given.origins)
    if given.copies:
        results["copies"] = copies(given.copies)
    TARGET.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
