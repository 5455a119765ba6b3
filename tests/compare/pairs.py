"""Measured members of the fixture family, measured once a process."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from attest.compare import compare
from attest.compare.fingerprints import Fingerprints
from attest.comparison import Comparison, Test
from attest.demo.weights import family
from attest.measure import measure
from attest.panel import shipped_panel
from attest.program import environment, this_tool

__all__ = ["against_the_panel", "by_id", "compared", "measured", "measured_at"]


@cache
def measured_at(path: Path) -> Fingerprints:
    measurement = measure(path)
    return Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None)


def measured(name: str) -> Fingerprints:
    return measured_at(family() / name)


def compared(a: Fingerprints, b: Fingerprints) -> Comparison:
    return compare(a, b, tool=this_tool(), environment=environment("numpy"))


def against_the_panel(a: Fingerprints, b: Fingerprints) -> Comparison:
    """A comparison that is held against the shipped panel, as the command does."""
    return compare(a, b, tool=this_tool(), environment=environment("numpy"), panel=shipped_panel())


def by_id(comparison: Comparison) -> dict[str, Test]:
    return {test.id: test for test in comparison.tests}
