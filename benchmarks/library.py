"""How long one suspect against a library takes, by the size of its members.

Members are synthetic: random sketches, gains and tables of tensors of the shapes that real checkpoints have, so the
numbers read and multiplied are as many as those of real ones; what they say is noise. CPU seconds are counted, since
other programs may run. Prints a table; writes it with ``--report``.

    python benchmarks/library.py --report reports/performance/library.md
    python benchmarks/library.py --only 7B --members 1000 --folder DIR    # a run of 1,000, in 10 GB that are deleted after
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.compare.fingerprints import Fingerprints
from attest.comparison import Side
from attest.digest import sha256
from attest.evidence import Architecture, Moments, TensorRow
from attest.library import LibraryMember, create_library, query
from attest.library.member import pack_member
from attest.panel import Shape

ROLES = ("q", "k", "v", "o", "gate", "up", "down", "attention_norm", "mlp_norm")
MOMENTS = Moments(
    n=1, mean="0", std="1", skewness="0", excess_kurtosis="0", minimum="-1", maximum="1", zeros=0, nans=0, infinities=0,
    quantiles=("0",) * 7, distinct=60_000,
)  # fmt: skip
GOAL = 60.0


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Members of one size; ``deep`` with anchored sketches."""

    title: str
    layers: int
    d_model: int
    d_ff: int
    parts: int
    members: int
    deep: bool


KINDS = (
    Kind(title="MiniLM-like: 6 layers, 1,536 neurons", layers=6, d_model=384, d_ff=1536, parts=2, members=1000, deep=False),
    Kind(title="1B-like: 16 layers, 8,192 neurons", layers=16, d_model=2048, d_ff=8192, parts=3, members=200, deep=False),
    Kind(title="the same, --deep", layers=16, d_model=2048, d_ff=8192, parts=3, members=200, deep=True),
    Kind(title="7B-like: 32 layers, 11,008 neurons", layers=32, d_model=4096, d_ff=11008, parts=3, members=100, deep=False),
    Kind(title="the same, --deep", layers=32, d_model=4096, d_ff=11008, parts=3, members=100, deep=True),
)  # fmt: skip


def arrays(kind: Kind, rng: np.random.Generator) -> dict[str, dict[str, NDArray[Any]]]:
    """Fingerprints that a query reads."""

    def sketch(layers: int, width: int) -> dict[str, NDArray[Any]]:
        shape = (kind.d_ff, width * kind.parts)
        return {f"layers.{layer}": rng.integers(-90, 91, shape, np.int8) for layer in range(layers)}

    names = [f"layers.{layer}.{part}" for layer in range(kind.layers) for part in ("attention_norm", "mlp_norm")]
    held: dict[str, dict[str, NDArray[Any]]] = {
        "norm-gain/v1": {name: rng.normal(1, 0.1, kind.d_model).astype(np.float32) for name in names},
        "neuron-sketch/v1": sketch(kind.layers, 8),
    }
    return held | ({"anchored-sketch/v1": sketch(min(8, kind.layers), 16)} if kind.deep else {})


def fingerprints(kind: Kind, number: int) -> Fingerprints:
    """One synthetic member."""
    digest = sha256(f"{kind} {number}".encode())
    rows = tuple(
        TensorRow(
            name=f"model.layers.{layer}.{role}", file="model.safetensors", begin=0, end=0, dtype="BF16",
            shape=(kind.d_ff, kind.d_model), digest=sha256(f"{digest} {layer} {role}".encode()), role=role, layer=layer,
            expert=None, multiset=sha256(f"{layer} {role} {digest}".encode()), moments=MOMENTS, quantization=None,
        )
        for layer in range(kind.layers)
        for role in ROLES
    )  # fmt: skip
    return Fingerprints(
        side=Side(name=f"m{number}", tree_digest=digest, statement_sha256=None, parameters=1, layers=kind.layers),
        architecture=Architecture(
            family="llama-like", layers=kind.layers, d_model=kind.d_model, d_ff=kind.d_ff, heads=32, kv_heads=32,
            d_head=128, positions="rotary",
        ),
        tensors=rows,
        arrays=arrays(kind, np.random.default_rng(number)),
    )  # fmt: skip


def measure(kind: Kind, folder: Path) -> tuple[str, ...]:
    """One row of the table."""
    library = create_library(folder)
    for number in range(kind.members):
        made = fingerprints(kind, number)
        shape = Shape(layers=kind.layers, d_model=kind.d_model, d_ff=kind.d_ff, gated=kind.parts == 3)
        entry = LibraryMember(
            side=made.side, architecture=made.architecture, shape=shape, tokenizer_sha256=None, lineages=()
        )
        (folder / "members" / f"{made.side.tree_digest}.parquet").write_bytes(pack_member(entry, made))
    suspect = fingerprints(kind, kind.members)
    began, wall = time.process_time(), time.perf_counter()
    answer = query(library, suspect, threads=2)
    spent, passed = time.process_time() - began, time.perf_counter() - wall
    size = sum(one.stat().st_size for one in (folder / "members").iterdir()) / kind.members
    largest = max(abs(test.z) for one in answer.candidates for test in one.tests)
    thousand = spent / kind.members * 1000
    return (
        kind.title, str(kind.members), f"{size / 1e6:.2f}", f"{spent / kind.members * 1000:.1f}", f"{passed:.1f}",
        f"{thousand:.0f}", f"{thousand / 2:.0f}", f"{largest:.1f}",
    )  # fmt: skip


def lines(kinds: Sequence[Kind], place: Path | None) -> Iterator[str]:
    """The report; libraries are made in a folder that is deleted after."""
    columns = (
        "members", "looked at", "MB a member", "CPU ms a member", "wall s here", "CPU s for 1,000",
        "s for 1,000 on 2 free cores", "largest z",
    )  # fmt: skip
    yield "# Speed of a query\n"
    yield "Made by `benchmarks/library.py`: one suspect against every member of a library, two threads, members in the page cache."
    yield f"The goal is {GOAL:.0f} s for 1,000 members on two cores; the last but one column is CPU time over two, not a run.\n"
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for kind in kinds:
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            yield "| " + " | ".join(measure(kind, Path(scratch, "library"))) + " |"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    yield f"\nPeak memory {peak:.0f} MB. Members are synthetic, so every z is chance: the largest of some thousand is near 4."
    yield "A library that is not in the page cache takes the disk's time besides: its size over the disk's rate."


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, help="file to write")
    parser.add_argument("--only", metavar="TEXT", default="", help="kinds of members whose title begins so")
    parser.add_argument("--members", type=int, help="members of each kind, instead of as many as are quick to make")
    parser.add_argument("--folder", type=Path, help="where libraries are made")
    arguments = parser.parse_args()
    kinds = [
        replace(kind, members=arguments.members or kind.members)
        for kind in KINDS
        if kind.title.startswith(arguments.only)
    ]
    text = ""
    for line in lines(kinds, arguments.folder):
        print(line, flush=True)
        text += line + "\n"
    if arguments.report:
        arguments.report.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
