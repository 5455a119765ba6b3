"""Comparing again: the same tests, run on a reader's own copies, against what was signed.

Tests on evidence give the same digits on every machine. Those that take weights, or sketches on axes of words, pass through
LAPACK and may differ in the last ones, within a tolerance that is stated. No signature is checked here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from attest.architecture import read_family_file
from attest.checkpoint.source import Location
from attest.compare import compare
from attest.compare.announcement import DEEP_METHODS, WEIGHT_METHODS, find_deviations, read_protocol
from attest.compare.fingerprints import Fingerprints, holds_evidence
from attest.compare.weights.full_matching import ASSIGNED_TEST, NOT_ASKED_FOR
from attest.compare.weights.merge import MERGE_TEST, Parent
from attest.comparison import COMPARISON_TYPE, EMPIRICAL, Comparison, Control, Found, NotCompared, Rank, Side, Test
from attest.document import decimal, dump, load
from attest.errors import InputError
from attest.fingerprint.anchored_sketch import ANCHORED_SKETCH_ID
from attest.measure import Steps
from attest.panel import ReferencePanel, read_panel, shipped_panel
from attest.program import environment, this_tool
from attest.reproduce import compare_records
from attest.reproduction import Reproduction, Value
from attest.same_digits import AXES, LAST_DIGIT, Differences
from attest.sides import read_side, read_weights
from attest.statement import Statement

__all__ = ["Pair", "recompare"]

_PANEL, _PROTOCOL = "reference panel", "announcement"
_BY_LAPACK = frozenset({*DEEP_METHODS, *WEIGHT_METHODS, MERGE_TEST})
"""Tests that diagonalize something, which no two kinds of processor do with the same last bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A reader's own copies of what was compared.

    Parameters
    ----------
    a, b : Path or str
        Checkpoints or evidence. The comparison says which is which, where their files are those compared.
    parents : tuple of (Path or str)
        Further candidates that b was said to be merged from.
    panel : Path, optional
        The reference panel, where another than the shipped one was used.
    protocol : Path, optional
        What announced the comparison.
    architecture : Path, optional
        A file of families that name tensors.
    """

    a: Location
    b: Location
    parents: tuple[Location, ...] = ()
    panel: Path | None = None
    protocol: Path | None = None
    architecture: Path | None = None

    @property
    def are_checkpoints(self) -> bool:
        """Whether both are there with their weights."""
        return not holds_evidence(self.a) and not holds_evidence(self.b)


def recompare(
    statement: Statement,
    path: Path,
    pair: Pair,
    *,
    threads: int | None = None,
    progress: Steps = lambda _done, _all: None,
) -> Reproduction:
    """Run a comparison again and hold it against the signed one, test by test.

    Parameters
    ----------
    statement : Statement
        What was stated.
    path : Path
        The bundle or evidence directory that it was read from.
    pair : Pair
        What the statement has no use for is not read.
    threads : int, optional
        For measuring; no number depends on it.
    progress : callable
        Told of each measurement.

    Returns
    -------
    Reproduction
        A value for each side, for each test with its controls and tables, for the panel and for the protocol. A test that was
        left out then and gives a number now differs: leaving it out could have changed what a reader concludes.

    Raises
    ------
    InputError
        The statement is no comparison, or a copy cannot be read.
    CheckpointError
        A checkpoint cannot be measured.
    DocumentError
        The predicate is malformed.
    """
    signed = _signed(statement, path)
    panel = _panel(signed, pair.panel)
    has_weights = pair.are_checkpoints and not _ids(signed).isdisjoint(WEIGHT_METHODS)
    names = {one.tree_digest: one.name for one in (signed.a, signed.b)}
    names |= _candidates(signed)

    def measured(location: Location) -> Fingerprints:
        one = read_side(
            location,
            deep=any(test.id in DEEP_METHODS for test in signed.tests),
            architecture=pair.architecture,
            threads=threads,
            progress=progress,
        )
        return replace(one, side=replace(one.side, name=names.get(one.side.tree_digest, one.side.name)))

    families = read_family_file(pair.architecture) if pair.architecture else None
    weights = (read_weights(pair.a, families), read_weights(pair.b, families)) if has_weights else None
    a, b = measured(pair.a), measured(pair.b)
    if (a.side.tree_digest, b.side.tree_digest) == (signed.b.tree_digest, signed.a.tree_digest):
        a, b, weights = b, a, weights and (weights[1], weights[0])
    parents = [
        Parent(weights=read_weights(place, families).checkpoint, fingerprints=measured(place))
        for place in (pair.parents if has_weights else ())
    ]
    places = list(names)
    again = compare(
        a,
        b,
        tool=this_tool(),
        environment=environment("numba", "numpy"),
        weights=weights,
        assignments=NotCompared(id=ASSIGNED_TEST, reason=NOT_ASKED_FOR) not in signed.not_compared,
        parents=sorted(parents, key=lambda one: _place(one.fingerprints.side, places)),
        panel=panel,
    )
    if pair.protocol is not None:
        is_deep = all(ANCHORED_SKETCH_ID in side.arrays for side in (a, b))
        as_signed = replace(again, tool=signed.tool)
        again = replace(again, protocol=find_deviations(*read_protocol(pair.protocol), as_signed, deep=is_deep))
    not_asked = dict(_not_asked(signed, again))
    return Reproduction(
        checkpoint=f"{signed.a.name} and {signed.b.name}",
        statement_sha256=statement.digest,
        values=tuple(_values(signed, again, not_asked)),
        files=0,
        bytes=0,
        not_asked=tuple(not_asked),
        same_program=signed.tool.source_sha256 == again.tool.source_sha256,
    )


def _signed(statement: Statement, path: Path) -> Comparison:
    if statement.predicate_type != COMPARISON_TYPE:
        raise InputError(
            "not-a-comparison", "is no comparison", fix="give what attest compare --evidence wrote", where=str(path)
        )
    return load(Comparison, statement.predicate, where=f"{path.name}#/predicate")


def _panel(signed: Comparison, given: Path | None) -> ReferencePanel | None:
    """The panel that was used, where it is at hand."""
    if signed.panel is None:
        return None
    panel = shipped_panel() if given is None else read_panel(given)
    return panel if panel.sha256 == signed.panel.sha256 else None


def _candidates(signed: Comparison) -> dict[str, str]:
    """Names of the candidates of a merge by their tree digests, in their order: its table holds both side by side."""
    tables = (one.table for one in signed.found if one.id == MERGE_TEST)
    return {row[1]: row[0] for table in tables if "tree digest" in table.columns for row in table.rows if len(row) > 1}


def _place(side: Side, digests: Sequence[str]) -> int:
    return digests.index(side.tree_digest) if side.tree_digest in digests else len(digests)


def _not_asked(signed: Comparison, again: Comparison) -> Iterator[tuple[str, str]]:
    """Tests that the reader's copies do not suffice for, and what would."""
    stated = _ids(signed)
    for name in sorted(stated.intersection(WEIGHT_METHODS) - _ids(again)):
        yield name, "reads weights: give both checkpoints"
    if MERGE_TEST in stated and _candidates(signed).keys() != _candidates(again).keys():
        yield MERGE_TEST, "give the same candidates as --parent, and both checkpoints"
    if signed.panel and not again.panel:
        asked = f"give the reference panel of SHA-256 {signed.panel.sha256} as --panel"
        yield from ((name, asked) for name in (*sorted(EMPIRICAL & stated), _PANEL))
    if signed.protocol and not again.protocol:
        yield _PROTOCOL, "give what announced it as --protocol"


def _values(signed: Comparison, again: Comparison, not_asked: Mapping[str, str]) -> Iterator[Value]:
    for label, stated, copy in (("a", signed.a, again.a), ("b", signed.b, again.b)):
        yield _side(f"checkpoint {label}", stated, copy)
    is_ranked = _PANEL not in not_asked
    before, after = (_parts(one, ranked=is_ranked) for one in (signed, again))
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name, _Part()), after.get(name, _Part())
        if name not in not_asked:
            yield from _test(name, was, now)
        elif was.says_more:
            yield Value(name=name, outcome="not-measured", message=not_asked[name])
    panels = [one and replace(one, ranks=()) for one in (signed.panel, again.panel)]
    for name, both in ((_PANEL, panels), (_PROTOCOL, [signed.protocol, again.protocol])):
        if name in not_asked:
            yield Value(name=name, outcome="not-measured", message=not_asked[name])
        elif any(both):
            yield compare_records(name, *both)
    if signed.tool.source_sha256 == again.tool.source_sha256 and signed.does_not_show != again.does_not_show:
        yield Value(name="what it does not show", outcome="differs", message="the program says otherwise")


def _side(name: str, stated: Side, copy: Side) -> Value:
    if replace(copy, statement_sha256=stated.statement_sha256) == stated:
        return Value(name=name, outcome="identical", message=f"{stated.name}, tree {stated.tree_digest}")
    if copy.tree_digest == stated.tree_digest:
        message = "has the same files, but another number of parameters or layers was found in them"
    else:
        message = f"tree {stated.tree_digest} was compared, this is tree {copy.tree_digest}"
    return Value(name=name, outcome="differs", message=message)


def _ids(comparison: Comparison) -> frozenset[str]:
    """Ids of all tests, run or not."""
    return frozenset(_parts(comparison, ranked=False))


@dataclass(kw_only=True, slots=True)
class _Part:
    """All that a comparison says by one test; a true one runs it once at most."""

    tests: list[Test] = field(default_factory=list)
    ranks: list[Rank] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def says_more(self) -> bool:
        """Whether there is more than reasons why a test was left out."""
        return bool(self.tests or self.ranks or self.controls or self.found)


def _parts(comparison: Comparison, *, ranked: bool) -> dict[str, _Part]:
    """What each test gave, in the order of the comparison; ``ranked`` with its place in the panel."""
    parts: dict[str, _Part] = defaultdict(_Part)
    for test in comparison.tests:
        parts[test.id].tests.append(test)
    for rank in comparison.panel.ranks if comparison.panel and ranked else ():
        parts[rank.id].ranks.append(rank)
    for control in comparison.controls:
        parts[control.test].controls.append(control)
    for found in comparison.found:
        parts[found.id].found.append(found)
    for one in comparison.not_compared:
        parts[one.id].left_out.append(one.reason)
    return dict(parts)


def _test(name: str, signed: _Part, fresh: _Part) -> Iterator[Value]:
    """How a test came out again; nothing where it was left out both times, for the same reason."""
    was, now = "; ".join(signed.left_out), "; ".join(fresh.left_out) or "this program has no such test"
    if signed == fresh and not signed.tests:
        return
    if signed.tests and not fresh.tests:
        yield Value(name=name, outcome="not-measured", message=now)
    elif not (signed.says_more or fresh.tests):
        yield Value(name=name, outcome="not-measured", message=f"left out then: {was}; now: {now}")
    elif fresh.tests and not signed.tests:
        gave = f"now {_number(fresh.tests[0])}"
        yield Value(name=name, outcome="differs", message=f"{was or 'it is not in the comparison'}; {gave}")
    else:
        found = Differences.of(dump(signed), dump(fresh), AXES if name in _BY_LAPACK else LAST_DIGIT)
        number = _number(fresh.tests[0]) if fresh.tests else ""
        yield Value(name=name, outcome=found.outcome, message=found.message or number)


def _number(test: Test) -> str:
    number = f"statistic {decimal(test.statistic, 6)}"
    return number if test.z is None else f"{number}, z {decimal(test.z, 4)}"
