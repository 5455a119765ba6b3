"""Comparisons of the fixture family that were written, and how each of their values came out again."""

from functools import cache
from pathlib import Path
from typing import Any

from compare.pairs import against_the_panel
from measured import FAMILY, measured

from attest.compare import compare, comparison_statement
from attest.compare.fingerprints import Fingerprints
from attest.compare.weights.merge import Parent
from attest.comparison import Comparison
from attest.evidence_directory import read_statement, write_evidence
from attest.program import environment, this_tool
from attest.recompare import Pair, recompare
from attest.reproduction import Reproduction
from attest.sides import read_weights

CHILD, PARENT, STRANGER = (FAMILY / name for name in ("seed-1-continued", "seed-1", "seed-2"))


def side(name: str) -> Fingerprints:
    found = measured(name)
    return Fingerprints.of(found.evidence, found.tensors, found.profiles, found.statement().digest)


def write_side(folder: Path, name: str) -> Path:
    """Evidence about a member of the family."""
    write_evidence(folder, measured(name).statement(), measured(name).details)
    return folder


@cache
def of_evidence() -> Comparison:
    """The first of the family and its continuation, by their fingerprints, held against the shipped panel."""
    return against_the_panel(side("seed-1"), side("seed-1-continued"))


@cache
def of_weights() -> Comparison:
    """The same pair with the tests on weights, and another candidate."""
    return compare(
        side("seed-1"),
        side("seed-1-continued"),
        tool=this_tool(),
        environment=environment("numpy"),
        weights=(read_weights(PARENT), read_weights(CHILD)),
        assignments=False,
        parents=[Parent(weights=read_weights(STRANGER).checkpoint, fingerprints=side("seed-2"))],
    )


def again(folder: Path, comparison: Comparison, **pair: Any) -> Reproduction:
    """A comparison written, read and run again."""
    write_evidence(folder, comparison_statement(comparison), {})
    return recompare(read_statement(folder), folder, Pair(**pair))
