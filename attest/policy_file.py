"""A reader's appraisal policy as a JSON file: how far numbers must reach, and the words for how rare they are.

The schema is ``schemas/policy.v1.schema.json``; its page is ``schemas/policy.v1.md``.

References
----------
RFC 9334, section 8.5 (appraisal policy). ENFSI, "Guideline for Evaluative Reporting in Forensic Science", 2015 (words on
a stated scale, applied to the findings given a proposition and never to the proposition).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from attest.digest import sha256
from attest.document import Count, canonical, load, parse, record
from attest.errors import DocumentError, InputError
from attest.statement import Sha256

__all__ = [
    "DEFAULT_POLICY",
    "MAX_POLICY",
    "POLICY_TYPE",
    "Grade",
    "Policy",
    "Scale",
    "check_policy",
    "parse_policy",
    "policy_digest",
    "read_policy",
]

POLICY_TYPE: Literal["https://attest/comparison-policy/v1"] = "https://attest/comparison-policy/v1"
"""Identifier of the kind of document: tells it from policies on other things than comparisons."""

MAX_POLICY = 64 * 1024
"""Largest policy that is read, in bytes."""

Level = Annotated[float, Field(gt=0, le=1)]
Deviations = Annotated[float, Field(ge=1, le=1000)]
Name = Annotated[str, Field(min_length=1, max_length=100)]


@record
class Grade:
    """Words for p-values greater than ``above``, up to the next grade's or to 1.

    They go on from "where H2 holds, a result that far out is seen …".
    """

    above: Annotated[float, Field(ge=0, lt=1)]
    words: Annotated[str, Field(min_length=1, max_length=200)]


@record
class Scale:
    """Words for how often a result is seen where the two networks were trained apart (H2).

    ``grades`` ascend from 0, so that every p-value has its words. They speak of the measurement, never of a deed.
    """

    id: Name
    measure: Literal["p-value"]
    grades: Annotated[tuple[Grade, ...], Field(min_length=1, max_length=20)]

    def words(self, pvalue: float) -> str:
        """Words of the highest grade that a p-value exceeds; of the first for what a hostile bundle calls one."""
        return next((grade.words for grade in reversed(self.grades) if pvalue > grade.above), self.grades[0].words)


@record
class Policy:
    """How numbers become a rung and words.

    Parameters
    ----------
    policy_type : str
        ``POLICY_TYPE``.
    id : str
        Name and version of the policy.
    alpha : float
        Level at which an exact test counts as rejected, after Holm's correction over the exact tests that ran.
    minimum_z : float
        Standard deviations that the test must reach besides, since resampled p-values end at 1 / (n + 1).
    half_z : float
        Standard deviations that the even and the odd layers must each reach.
    control_z : float
        Standard deviations up to which a control may stray in which nothing is to be found.
    inconclusive_alpha : float
        Level below which a result is too small to be called no evidence.
    minimum_tensors : int
        Telling tensors or matrices in which the same values must be found again for a rejection; fewer are
        inconclusive. Tensors that are the same byte for byte count from one.
    minimum_pairs : int
        Comparable pairs trained apart that a panel must hold against an empirical test.
    panel_alpha : float
        Level at which an empirical test counts as above the panel, after Holm's correction over those that were ranked.
    panel_ratio, panel_distance : float
        How many times the panel's greatest statistic, and how far above it, the statistic must besides be.
    panels : tuple of str, or None
        SHA-256 of the reference panels whose ranks are heard; of any where None.
    scale : Scale
    """

    policy_type: Literal["https://attest/comparison-policy/v1"]
    id: Name
    alpha: Level
    minimum_z: Deviations
    half_z: Deviations
    control_z: Deviations
    inconclusive_alpha: Level
    minimum_tensors: Annotated[Count, Field(ge=1)]
    minimum_pairs: Annotated[Count, Field(ge=19)]
    panel_alpha: Level
    panel_ratio: Annotated[float, Field(ge=1, le=1000)]
    panel_distance: Annotated[float, Field(ge=0, le=1)]
    panels: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=64)] | None
    scale: Scale


DEFAULT_POLICY = Policy(
    policy_type=POLICY_TYPE,
    id="attest-default/v1",
    alpha=0.005,
    minimum_z=6.0,
    half_z=4.0,
    control_z=5.0,
    inconclusive_alpha=0.01,
    minimum_tensors=2,
    minimum_pairs=19,
    panel_alpha=0.05,
    panel_ratio=3.0,
    panel_distance=0.05,
    panels=None,
    scale=Scale(
        id="attest-rarity/v1",
        measure="p-value",
        grades=(
            Grade(above=0.0, words="hardly ever: at most once in 1,000 times"),
            Grade(above=0.001, words="seldom: at most once in 100 times"),
            Grade(above=0.01, words="now and then: at most once in 10 times"),
            Grade(above=0.1, words="often"),
        ),
    ),
)


def parse_policy(data: bytes, *, where: str) -> Policy:
    """Policy that a JSON document holds.

    Raises
    ------
    DocumentError
        Not JSON, too large, not of the schema, grades that do not ascend from 0, or a level for "inconclusive" below
        the one for a rejection.
    """
    policy = load(Policy, parse(data, where=where, max_bytes=MAX_POLICY), where=where)
    check_policy(policy, where=where)
    return policy


def check_policy(policy: Policy, *, where: str) -> None:
    """Refuse a policy that contradicts itself, as ``parse_policy`` does."""
    bounds = [grade.above for grade in policy.scale.grades]
    if bounds[0] != 0 or any(low >= high for low, high in pairwise(bounds)):
        raise _bad("the grades do not ascend from above 0", "begin with 0, and let each be greater", f"{where}#/scale")
    if policy.inconclusive_alpha < policy.alpha:
        raise _bad("inconclusiveAlpha is less than alpha", "make it at least alpha", f"{where}#/inconclusiveAlpha")


def _bad(message: str, fix: str, where: str) -> DocumentError:
    return DocumentError("bad-policy", message, fix=fix, where=where)


def read_policy(path: Path) -> Policy:
    """Policy in a file.

    Raises
    ------
    InputError
        There is no such file, or it cannot be read.
    DocumentError
        It is no policy on comparisons.
    """
    if not path.is_file():
        raise InputError("no-policy", "is no file", fix="write one with attest compare --show-policy", where=str(path))
    with path.open("rb") as stream:
        return parse_policy(stream.read(MAX_POLICY + 1), where=path.name)


def policy_digest(policy: Policy) -> str:
    """SHA-256 of a policy's canonical JSON (RFC 8785)."""
    return sha256(canonical(policy))
