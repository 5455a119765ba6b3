"""The protocol predicate: what somebody announces to measure and by what rule to read it, before it is measured.

It is signed like evidence. A comparison names the digest of the statement that announced it, and in what it was not kept.
The schema is ``schemas/protocol.v1.schema.json``; its page is ``schemas/protocol.v1.md``.
"""

from __future__ import annotations

from attest.document import Count, Timestamp, dump, record
from attest.evidence import Tool
from attest.policy_file import Policy, policy_digest
from attest.statement import DigestSet, Sha256, Statement, Subject

__all__ = ["PROTOCOL_TYPE", "AnnouncedSide", "Protocol", "Resampling", "protocol_statement"]

PROTOCOL_TYPE = "https://attest/protocol/v1"
"""Identifier of the predicate; it names a meaning and is never fetched."""


@record
class AnnouncedSide:
    """A checkpoint that is to be compared."""

    name: str
    tree_digest: Sha256


@record
class Resampling:
    """How null distributions are drawn.

    A test draws ``most``, and may not be given fewer than ``least``; where ``most`` times its features is beyond
    ``work``, they are shifts along a random order. ``seed`` is the rule by which the public text follows from the test
    and the two checkpoints, so that nobody chooses it.
    """

    least: Count
    most: Count
    work: Count
    seed: str


@record
class Protocol:
    """A comparison that is announced.

    Parameters
    ----------
    announced_at : str
        By the announcing machine's own clock: a claim, not a trusted time.
    tool : Tool
        The program that is to run; its digest fixes every method.
    a, b : AnnouncedSide or None
        None where it is not yet known or not at hand.
    deep, weights : bool
        Whether sketches on axes of words, and tests on the weights of both, are part of it.
    methods : tuple of str
        Ids of all tests that are to be run.
    resampling : Resampling
    policy : Policy
        By which the result is to be read.
    panel_sha256 : str or None
        The reference panel's file, where there is one.
    does_not_show : tuple of str
    """

    announced_at: Timestamp
    tool: Tool
    a: AnnouncedSide | None
    b: AnnouncedSide | None
    deep: bool
    weights: bool
    methods: tuple[str, ...]
    resampling: Resampling
    policy: Policy
    panel_sha256: Sha256 | None
    does_not_show: tuple[str, ...]


def protocol_statement(protocol: Protocol) -> Statement:
    """Statement over the policy, by SHA-256 of its canonical JSON, and the checkpoints that are known."""
    sides = (("a", protocol.a), ("b", protocol.b))
    digests = [("policy", policy_digest(protocol.policy))]
    digests += [(f"{label}:{side.name}", side.tree_digest) for label, side in sides if side]
    return Statement.build(
        subjects=tuple(Subject(name=name, digest=DigestSet(sha256=digest)) for name, digest in digests),
        predicate_type=PROTOCOL_TYPE,
        predicate=dump(protocol),
    )
