"""The reference panel: pairs of networks whose relation is known, and what the tests gave on each.

It is data with a digest, made by whoever made it: this module reads it and says where a statistic stands among the pairs
that are comparable. The schema is ``schemas/panel.v1.schema.json``; its page, ``schemas/panel.v1.md``, defines comparable.

References
----------
Phipson and Smyth, "Permutation P-values Should Never Be Zero", 2010 (the estimator). ENFSI, "Guideline for Evaluative
Reporting in Forensic Science", 2015 (relevant populations).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from attest.comparison import EMPIRICAL, PanelRanks, Population, Rank
from attest.digest import sha256
from attest.document import Count, decimal, dump, load, parse, record
from attest.errors import DocumentError, InputError
from attest.resource import resource
from attest.statement import Sha256

__all__ = [
    "MAX_PANEL",
    "MIN_PAIRS",
    "Member",
    "Name",
    "Panel",
    "PanelPair",
    "Placed",
    "ReferencePanel",
    "Relation",
    "Shape",
    "Statistic",
    "pack_panel",
    "read_panel",
    "shipped_panel",
]

Relation: TypeAlias = Literal["independent", "derived"]

MAX_PANEL = 32 * 1024 * 1024
"""Most bytes of a panel that are read."""

MIN_PAIRS = 19
"""Fewest comparable pairs that a rank is taken among: with 19 the least p is 0.05."""

_FACTOR = 2
_BY_WORDS = frozenset({"anchored-agreement/v1"})
"""Tests on axes of words: networks with different tokenizers share fewer of these axes, so also fewer neurons by luck."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
"""A name that somebody gave. Hostile input."""


@record
class Shape:
    """What a statistic depends on besides ancestry: ``d_ff`` neurons a layer, with gates or without."""

    layers: Count
    d_model: Count
    d_ff: Count
    gated: bool


@record
class Member:
    """One network of a panel.

    Parameters
    ----------
    name : str
        Unique in the panel.
    tree_digest : str
        Of the files that were measured.
    lineages : tuple of str
        Origins, as whoever made the panel states them; a merged network has several.
    family : str or None
        Family by which its tensors were recognized.
    shape : Shape or None
        None where a size is not known: then no pair with it is comparable.
    parameters : int
    tokenizer_sha256 : str or None
        Of its ``tokenizer.json``.
    """

    name: Name
    tree_digest: Sha256
    lineages: Annotated[tuple[Name, ...], Field(min_length=1, max_length=64)]
    family: str | None
    shape: Shape | None
    parameters: Count
    tokenizer_sha256: Sha256 | None

    def relation(self, other: Member) -> Relation:
        """``derived`` where the two have an origin in common."""
        return "independent" if set(self.lineages).isdisjoint(other.lineages) else "derived"


@record
class Statistic:
    """What a test gave on a pair, and over how many units."""

    statistic: float
    n: Count


@record
class PanelPair:
    """Two members by name, and what the tests gave on them, by test."""

    a: Name
    b: Name
    statistics: Mapping[str, Statistic]


@record
class Panel:
    """The document. ``made`` says in words what the networks are, how they were made and who says so."""

    name: Name
    version: Name
    made: Annotated[str, Field(max_length=4000)]
    models: Annotated[tuple[Member, ...], Field(max_length=10_000)]
    pairs: Annotated[tuple[PanelPair, ...], Field(max_length=100_000)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """One network of the pair at hand, as a panel sees it."""

    tree_digest: str
    shape: Shape | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferencePanel:
    """A panel as it was read, with the SHA-256 of its bytes."""

    panel: Panel
    sha256: str

    @classmethod
    def of(cls, data: bytes, *, where: str) -> ReferencePanel:
        """Panel that these bytes hold.

        Raises
        ------
        DocumentError
            It is not of the schema, names a network or a pair twice, or pairs a network that it does not have.
        """
        panel = load(Panel, parse(data, where=where, max_bytes=MAX_PANEL), where=where)
        names = {one.name for one in panel.models}
        pairs = {frozenset((one.a, one.b)) for one in panel.pairs}
        if len(names) != len(panel.models) or len({one.tree_digest for one in panel.models}) != len(panel.models):
            _refuse("two networks of one name or of one tree digest", where)
        if len(pairs) != len(panel.pairs) or any(len(pair) != 2 or not pair <= names for pair in pairs):
            _refuse("a pair twice, of one network alone, or of a network that it does not have", where)
        return cls(panel=panel, sha256=sha256(data))

    def ranks(self, pair: tuple[Placed, Placed], measured: Mapping[str, Statistic]) -> PanelRanks:
        """Where the statistics of a pair stand.

        Parameters
        ----------
        pair : tuple of Placed
        measured : mapping of str to Statistic
            What the tests gave on it, by test.

        Notes
        -----
        Left out are the pairs with a network that has one of the two tree digests or an origin in common with such a
        network: a pair is never held against itself, its relatives or the same networks in another disguise.
        """
        members = {one.name: one for one in self.panel.models}
        digests = {one.tree_digest for one in pair}
        origins = {name for one in self.panel.models if one.tree_digest in digests for name in one.lineages}
        held = [
            _Held(first=members[one.a], second=members[one.b], statistics=one.statistics) for one in self.panel.pairs
        ]
        kept = [one for one in held if origins.isdisjoint((*one.first.lineages, *one.second.lineages))]
        alike = [one for one in kept if one.has_shapes(pair[0].shape, pair[1].shape)]
        found = (_rank(test, one, list(_comparable(test, one.n, alike))) for test, one in measured.items())
        return PanelRanks(
            name=self.panel.name,
            version=self.panel.version,
            sha256=self.sha256,
            pairs=len(held),
            left_out=len(held) - len(kept),
            ranks=tuple(one for one in found if one is not None),
        )


def read_panel(path: Path) -> ReferencePanel:
    """Panel in a file.

    Raises
    ------
    InputError
        It cannot be read.
    DocumentError
        It is malformed.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_PANEL + 1)
    except OSError as error:
        raise InputError(
            "no-panel", f"cannot be read ({error.strerror})", fix="give a file", where=str(path)
        ) from error
    return ReferencePanel.of(data, where=path.name)


def pack_panel(panel: Panel) -> bytes:
    """Bytes of a panel's file: one network and one pair a line.

    Raises
    ------
    DocumentError
        It is larger than what is read.
    """
    value = dump(panel)
    head = (f"{json.dumps(name)}: {json.dumps(value[name])}" for name in ("name", "version", "made"))
    lists = (
        f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(one, separators=(",", ":")) for one in value[name]) + "\n]"
        for name in ("models", "pairs")
    )
    data = ("{\n" + ",\n".join((*head, *lists)) + "\n}\n").encode()
    if len(data) > MAX_PANEL:
        message = f"{len(data)} bytes, more than the {MAX_PANEL} that are read"
        raise DocumentError("document-too-large", message, fix="take fewer pairs", where=panel.name)
    return data


def shipped_panel() -> ReferencePanel:
    """The panel that lies in the package: small networks that ``validity`` trained and altered."""
    return read_panel(resource("panels/small.json"))


def _refuse(message: str, where: str) -> None:
    raise DocumentError("bad-panel", f"has {message}", fix="ask its author for an intact panel", where=where)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Held:
    """A pair of the panel with its members in place of their names."""

    first: Member
    second: Member
    statistics: Mapping[str, Statistic]

    def has_shapes(self, one: Shape | None, other: Shape | None) -> bool:
        """Whether the members have about these shapes, in either order."""
        mine, theirs = self.first.shape, self.second.shape
        return (_alike(mine, one) and _alike(theirs, other)) or (_alike(mine, other) and _alike(theirs, one))

    @property
    def one_tokenizer(self) -> bool:
        return self.first.tokenizer_sha256 is not None and self.first.tokenizer_sha256 == self.second.tokenizer_sha256


def _comparable(test: str, n: int, alike: Iterable[_Held]) -> Iterator[tuple[Relation, float]]:
    """Relation and statistic of the pairs that are comparable in what is the test's own, too."""
    for one in alike:
        held = one.statistics.get(test)
        if (
            held is None
            or (test in EMPIRICAL and not _near(n, held.n))
            or (test in _BY_WORDS and not one.one_tokenizer)
        ):
            continue
        yield one.first.relation(one.second), held.statistic


def _alike(one: Shape | None, other: Shape | None) -> bool:
    if one is None or other is None or one.gated != other.gated:
        return False
    return _near(one.layers, other.layers) and _near(one.d_model, other.d_model) and _near(one.d_ff, other.d_ff)


def _near(one: int, other: int) -> bool:
    """Whether two sizes are within a factor of 2."""
    return one <= _FACTOR * other and other <= _FACTOR * one


def _rank(test: str, measured: Statistic, comparable: Sequence[tuple[Relation, float]]) -> Rank | None:
    def population(relation: Relation) -> Population | None:
        values = [value for held, value in comparable if held == relation]
        if len(values) < MIN_PAIRS:
            return None
        return Population(
            n=len(values),
            at_least=sum(value >= measured.statistic for value in values),
            median=float(decimal(statistics.median(values), 6)),
            greatest=float(decimal(max(values), 6)),
        )

    independent = population("independent")
    if independent is None:
        return None
    return Rank(id=test, independent=independent, derived=population("derived"))
