"""Write the examples in ``schemas/``: what attest measures of the fixture family, at a fixed time and place.

The numbers are measured; only what names the measuring machine and program is replaced by constants. Run it after a
change to a schema, to a fingerprint (under a new id) or to a sentence that is signed.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attest.compare import compare
from attest.compare.announcement import announce, find_deviations
from attest.compare.fingerprints import Fingerprints
from attest.digest import sha256
from attest.document import dump, load
from attest.evidence import CHUNKS_NAME, TENSORS_NAME, ChunkList, Environment, TensorList, Tool
from attest.licenses.summary import LICENSES_NAME, LicenseDetail
from attest.measure import Measurement, measure
from attest.panel import Panel, shipped_panel
from attest.policy_file import DEFAULT_POLICY
from attest.protocol import AnnouncedSide, protocol_statement
from attest.repository_scan import NOTICES_NAME, ORIGINS_NAME, NoticeDetail, OriginDetail
from attest.resource import resource
from attest.survey import Places, Survey, survey

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOOL = Tool(name="attest", version="0.1.0", source_sha256=sha256(b"the program's own Python files\n"))
ENVIRONMENT = Environment(
    python="3.11.7", system="Linux 6.8.0", machine="x86_64", packages={"numba": "0.68.1", "numpy": "2.4.6"}
)
REPOSITORY = {
    "LICENSE": "Apache License\nVersion 2.0, January 2004\nhttp://www.apache.org/licenses/\n",
    "README.md": "---\nlicense: apache-2.0\nbase_model: example/seed-0\n---\n# seed-1\n",
    "model.py": "# SPDX-License-Identifier: Apache-2.0\n# Copyright 2026 The seed-1 authors\n",
    "model.bin": "\0",
}
"""A repository to scan: files that each give a finding, and one that is not read."""

HEADER = "# Copyright 2025 The example library authors\n"
GIT = {
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"],
}  # fmt: skip

WIDTH = 180
DETAILS = {CHUNKS_NAME: ChunkList, TENSORS_NAME: TensorList, LICENSES_NAME: LicenseDetail}
SCAN_DETAILS = {NOTICES_NAME: NoticeDetail, ORIGINS_NAME: OriginDetail}


def examples() -> Mapping[str, Any]:
    """JSON value of every example, by file name."""
    family = resource("family", source_tree="tests/data/family")
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder, "repository")
        repository.mkdir()
        for name, text in REPOSITORY.items():
            (repository / name).write_text(text, encoding="utf-8")
        first = measured(family / "seed-1", repository)
        scanned = surveyed(Path(folder))
    second = measured(family / "seed-1-continued", None)
    panel = shipped_panel()
    sides = [fingerprints(first), fingerprints(second)]
    comparison = compare(*sides, tool=TOOL, environment=ENVIRONMENT, panel=panel, now=NOW)
    announced = [AnnouncedSide(name=one.side.name, tree_digest=one.side.tree_digest) for one in sides]
    protocol = announce(
        a=announced[0], b=announced[1], deep=False, weights=False, policy=DEFAULT_POLICY, panel_sha256=panel.sha256, tool=TOOL,
        now=NOW - timedelta(days=1),
    )  # fmt: skip
    kept = find_deviations(protocol_statement(protocol), protocol, comparison, deep=False)
    details = {name: dump(load(kind, json.loads(first.details[name]), where=name)) for name, kind in DETAILS.items()}
    details |= {
        name: dump(load(kind, json.loads(scanned.details[name]), where=name)) for name, kind in SCAN_DETAILS.items()
    }
    return {
        "evidence.v1.example.json": dump(first.evidence),
        "repository-scan.v1.example.json": dump(replace(scanned.evidence, tool=TOOL, environment=ENVIRONMENT)),
        "comparison.v1.example.json": dump(replace(comparison, protocol=kept)),
        "policy.v1.example.json": dump(DEFAULT_POLICY),
        "protocol.v1.example.json": dump(protocol),
        "detail.v1.example.json": details,
        "panel.v1.example.json": dump(cut(panel.panel)),
    }


def cut(panel: Panel) -> Panel:
    """The first two pairs of a panel that have a network in common, one independent and one derived."""
    members = {one.name: one for one in panel.models}
    derived = next(one for one in panel.pairs if members[one.a].relation(members[one.b]) == "derived")
    apart = next(one for one in panel.pairs if derived.a == one.a and one != derived)
    names = {derived.a, derived.b, apart.b}
    return replace(panel, models=tuple(one for one in panel.models if one.name in names), pairs=(apart, derived))


def measured(checkpoint: Path, repository: Path | None) -> Measurement:
    """Measurement of a checkpoint by the program, in the environment and at the time of the examples."""
    scanned = ("--repo", repository.name) if repository else ()
    command = ("attest", "measure", checkpoint.name, *scanned)
    measurement = measure(checkpoint, repository=repository, command=command, now=NOW)
    return replace(measurement, evidence=replace(measurement.evidence, tool=TOOL, environment=ENVIRONMENT))


def program(*blocks: int) -> str:
    """A program of as many functions, each unlike those of other numbers."""
    body = [
        f"    v{at} = w{number * 31 + at} * {number * 97 + at} + u{at}(x[{number + at}])\n"
        for number in blocks
        for at in range(9)
    ]
    return "".join((f"def f{blocks[0]}(x):\n", *body))


def surveyed(folder: Path) -> Survey:
    """Scan of a git repository that took a program over, and in a second commit its notice out; both use a third."""
    library = {f"part_{number}.py": HEADER + program(number, number + 40) for number in range(20)}
    library["rows.py"] = program(80, 81)
    copied = library["part_3.py"]
    trees = {"library-1.0": library | {"part_3.py": HEADER + program(3)}, "library-1.1": library}
    for name, files in {**trees, "older-library": {"rows.py": library["rows.py"]}}.items():
        for path, text in files.items():
            write(folder / name / path, text)
    repository = folder / "example-model"
    write(repository / "modeling_example.py", copied)
    write(repository / "rows.py", library["rows.py"])
    write(repository / "README.md", REPOSITORY["README.md"])
    git(repository, "init", "--quiet", "--initial-branch=main")
    for text in (copied, copied.removeprefix(HEADER)):
        write(repository / "modeling_example.py", text)
        git(repository, "add", "--all")
        git(repository, "commit", "--quiet", "--message=x")
    releases = tuple(folder / name for name in trees)
    places = Places(
        repository=repository, history="HEAD", revision="main", reference=releases[-1], releases=releases,
        common=(folder / "older-library",),
    )  # fmt: skip
    command = ("attest", "scan", "example-model", "--revision", "main", "--history", "--against", "library-1.1")
    command += ("--common", "older-library", "--releases", "library-1.0", "--releases", "library-1.1")
    return survey(places, command=command, now=NOW)


def write(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def git(folder: Path, *words: str) -> None:
    """Run git with none of the machine's settings and at a fixed time."""
    subprocess.run(("git", *words), cwd=folder, env=GIT, check=True)  # noqa: S603, S607 - the words stand in this file, git where the user has it


def fingerprints(measurement: Measurement) -> Fingerprints:
    """What a comparison reads in the evidence of a measurement."""
    statement = measurement.statement()
    return Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, statement.digest)


def layout(value: Any, *, indent: int = 0, before: int = 0) -> str:
    """JSON text: an array or object stands on one line where it fits, else one item a line.

    ``before`` counts the characters that stand before the value on its line.
    """
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or indent + before + len(flat) < WIDTH:
        return flat
    inner = indent + 2
    if isinstance(value, dict):
        keys = {key: f"{json.dumps(key, ensure_ascii=False)}: " for key in value}
        items = [key + layout(value[name], indent=inner, before=len(key)) for name, key in keys.items()]
        brackets = "{}"
    else:
        items = [layout(item, indent=inner) for item in value]
        brackets = "[]"
    separator = ",\n" + " " * inner
    return f"{brackets[0]}\n{' ' * inner}{separator.join(items)}\n{' ' * indent}{brackets[1]}"


def main() -> None:
    """Write every example."""
    folder = resource("schemas")
    for name, value in examples().items():
        (folder / name).write_text(layout(value) + "\n", encoding="utf-8")
        print(folder / name)


if __name__ == "__main__":
    main()
