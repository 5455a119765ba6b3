"""What a comparison announces beforehand, and in what one that was run differs from what was announced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from attest.compare import DEEP_TESTS, TESTS, WEIGHT_TESTS
from attest.compare.resampling import MAX_RESAMPLES, MIN_RESAMPLES, WORK
from attest.compare.tensors.component_identity import component_identity
from attest.compare.tensors.multiset_identity import multiset_identity
from attest.compare.tensors.tensor_identity import tensor_identity
from attest.comparison import Announcement, Comparison
from attest.document import load, timestamp
from attest.errors import InputError
from attest.evidence import Tool
from attest.evidence_directory import read_statement
from attest.policy_file import Policy, check_policy
from attest.protocol import PROTOCOL_TYPE, AnnouncedSide, Protocol, Resampling
from attest.statement import Statement

__all__ = ["DEEP_METHODS", "METHODS", "WEIGHT_METHODS", "announce", "find_deviations", "read_protocol"]

_LISTED_FIRST = (tensor_identity, multiset_identity, component_identity)
"""Tests of whole tensors: protocols list them before those of rows."""

METHODS = tuple(
    name
    for test in sorted(TESTS, key=lambda test: test not in _LISTED_FIRST)
    if test not in DEEP_TESTS
    for name in TESTS[test]
)
"""What every comparison gives, by id: a value, or the reason why there is none."""

DEEP_METHODS = tuple(name for test in DEEP_TESTS for name in TESTS[test])
WEIGHT_METHODS = tuple(name for names in WEIGHT_TESTS.values() for name in names)

_RESAMPLING = Resampling(
    least=MIN_RESAMPLES, most=MAX_RESAMPLES, work=WORK, seed="<test id> <lesser tree digest> <greater tree digest>"
)
_DOES_NOT_SHOW = (
    "When it was announced: the time is the announcing machine's own, and a signature carries none.",
    "That no other comparison was run before it, or beside it.",
    "Anything about the checkpoints: nothing was measured.",
)


def announce(
    *,
    a: AnnouncedSide | None,
    b: AnnouncedSide | None,
    deep: bool,
    weights: bool,
    policy: Policy,
    panel_sha256: str | None,
    tool: Tool,
    now: datetime | None = None,
) -> Protocol:
    """Protocol of a comparison that this version of the program is to run."""
    methods = (*METHODS, *(DEEP_METHODS if deep else ()), *(WEIGHT_METHODS if weights else ()))
    return Protocol(
        announced_at=timestamp(now),
        tool=tool,
        a=a,
        b=b,
        deep=deep,
        weights=weights,
        methods=methods,
        resampling=_RESAMPLING,
        policy=policy,
        panel_sha256=panel_sha256,
        does_not_show=_DOES_NOT_SHOW,
    )


def read_protocol(path: Path) -> tuple[Statement, Protocol]:
    """Statement and predicate of a protocol, signed or not; no signature is checked.

    Raises
    ------
    InputError
        There is no statement, or it announces no comparison.
    DocumentError
        It is malformed, or its policy contradicts itself.
    """
    statement = read_statement(path)
    if statement.predicate_type != PROTOCOL_TYPE:
        raise InputError(
            "not-a-protocol", "announces no comparison", fix="give what attest protocol wrote", where=str(path)
        )
    protocol = load(Protocol, statement.predicate, where=f"{path.name}#/predicate")
    check_policy(protocol.policy, where=f"{path.name}#/predicate/policy")
    return statement, protocol


def find_deviations(statement: Statement, protocol: Protocol, comparison: Comparison, *, deep: bool) -> Announcement:
    """The digest of a protocol's statement, and everything in which a comparison differs from it.

    Parameters
    ----------
    statement, protocol
        What was announced.
    comparison : Comparison
        What was run; its policy is not part of it.
    deep : bool
        Whether both sides had sketches on axes of words.
    """
    return Announcement(
        statement_sha256=statement.digest, deviations=tuple(_deviations(protocol, comparison, deep=deep))
    )


def _deviations(protocol: Protocol, comparison: Comparison, *, deep: bool) -> Iterator[str]:
    compared = {comparison.a.tree_digest, comparison.b.tree_digest}
    for side in (protocol.a, protocol.b):
        if side is not None and side.tree_digest not in compared:
            yield f"a checkpoint of tree digest {side.tree_digest} was announced and is neither of the two"
    if protocol.tool.source_sha256 != comparison.tool.source_sha256:
        yield f"the program of source digest {protocol.tool.source_sha256} was announced, and another was run"
    if protocol.resampling != _RESAMPLING:
        yield "null distributions were announced to be drawn by another rule"
    used = comparison.panel.sha256 if comparison.panel else None
    if protocol.panel_sha256 != used:
        announced = (
            f"a reference panel of SHA-256 {protocol.panel_sha256}" if protocol.panel_sha256 else "no reference panel"
        )
        yield f"{announced} was announced and {used or 'none'} was used"
    if protocol.deep and not deep:
        yield "sketches on axes of words were announced, and one of the two has none"
    valued = [one.id for one in comparison.tests]
    run = {*valued, *(one.id for one in comparison.not_compared)}
    yield from (f"{one} was announced and not run" for one in protocol.methods if one not in run)
    yield from (f"{one} was run and not announced" for one in valued if one not in protocol.methods)
