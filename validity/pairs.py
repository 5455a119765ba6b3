"""Comparing pairs: every test of attest on two checkpoints, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare import compare
from attest.compare.fingerprints import Fingerprints
from attest.compare.ranks import shape_of
from attest.comparison import Comparison, Test
from attest.digest import sha256
from attest.document import dump
from attest.measure import measure
from attest.policy import conclude
from attest.program import environment, this_tool

__all__ = ["EXACT_LEVEL", "Pair", "Result", "compare_pair", "describe_network", "fingerprints", "sees"]

EXACT_LEVEL = 1e-3
"""Level at which an exact test counts as having seen an alteration."""

_DISTANCE = "weight-delta/v1"
"""Great where nothing is seen, so it sees nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two checkpoints to compare, ``a`` the parent where one is; ``label`` says which pair it is."""

    label: tuple[str, ...]
    a: Path
    b: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a comparison gave.

    Parameters
    ----------
    label : tuple of str
        Of the pair.
    rung : str
        What the default policy makes of all of them.
    tests : mapping of str to mapping
        By test: calibration, statistic, z, pvalue, n, and z by layer.
    found : sequence of mapping
        Tables of what was found where: id, title, columns, rows.
    not_compared : mapping of str to str
        Reasons by test.
    networks : tuple of mapping
        What a reference panel says of each of the two.
    comparison : mapping
        The predicate without its null distributions, to conclude from again with a panel.
    """

    label: tuple[str, ...]
    rung: str
    tests: Mapping[str, Mapping[str, Any]]
    found: tuple[Mapping[str, Any], ...]
    not_compared: Mapping[str, str]
    networks: tuple[Mapping[str, Any], Mapping[str, Any]]
    comparison: Mapping[str, Any]


@cache
def fingerprints(folder: Path) -> Fingerprints:
    """All fingerprints of a checkpoint, the deep ones too, measured on one thread."""
    measured = measure(folder, threads=1, deep=True)
    return Fingerprints.of(measured.evidence, measured.tensors, measured.profiles, None)


def compare_pair(pair: Pair) -> Result:
    """Run every test on a pair, those on fingerprints and those on weights."""
    a, b = fingerprints(pair.a), fingerprints(pair.b)
    weights = (place_tensors(open_checkpoint(pair.a)), place_tensors(open_checkpoint(pair.b)))
    comparison = compare(a, b, tool=this_tool(), environment=environment(), weights=weights)
    return Result(
        label=pair.label,
        rung=conclude(comparison).rung,
        tests={test.id: _numbers(test) for test in comparison.tests if test.id != _DISTANCE},
        found=_tables(comparison),
        not_compared={one.id: one.reason for one in comparison.not_compared},
        networks=(describe_network(pair.a), describe_network(pair.b)),
        comparison=dump(
            replace(comparison, tests=tuple(replace(one, null_distribution=None) for one in comparison.tests))
        ),
    )


def describe_network(folder: Path) -> dict[str, Any]:
    """Digest, sizes and tokenizer of a checkpoint, as ``attest.panel.Member`` has them."""
    measured = fingerprints(folder)
    tokenizer = folder / "tokenizer.json"
    shape = shape_of(measured)
    return {
        "treeDigest": measured.side.tree_digest,
        "family": measured.architecture.family,
        "shape": None if shape is None else dump(shape),
        "parameters": measured.side.parameters,
        "tokenizerSha256": sha256(tokenizer.read_bytes()) if tokenizer.is_file() else None,
    }


def sees(test: Mapping[str, Any], highest_unrelated: float) -> bool:
    """Whether a test saw that two checkpoints are not independent.

    Notes
    -----
    An exact test with a p-value sees at ``EXACT_LEVEL``; one without, by any telling tensor or row; every other
    statistic above all unrelated pairs of this panel.
    """
    if test["calibration"] == "exact":
        return bool(test["n"] and test["statistic"]) if test["pvalue"] is None else test["pvalue"] <= EXACT_LEVEL
    return bool(test["statistic"] > highest_unrelated)


def _numbers(test: Test) -> dict[str, Any]:
    return {
        "calibration": test.calibration,
        "statistic": test.statistic,
        "z": test.z,
        "pvalue": test.pvalue,
        "n": test.n,
        "layers": {str(one.layer): one.z for one in test.layers},
    }


def _tables(comparison: Comparison) -> tuple[dict[str, Any], ...]:
    """What was found where; versions of attest without such tables have none."""
    return tuple(
        {
            "id": one.id,
            "title": one.title,
            "columns": list(one.table.columns),
            "rows": [list(row) for row in one.table.rows],
        }
        for one in getattr(comparison, "found", ())
    )
