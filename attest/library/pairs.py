"""A reference panel made from a library: every pair of members whose origins are stated, and what the tests gave."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache, partial
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import TypeAlias

from attest.compare import PANEL_TESTS
from attest.compare.fingerprints import Fingerprints
from attest.compare.resampling import public_order
from attest.document import dump, load, parse, record
from attest.errors import DocumentError, InputError
from attest.library.folder import Library
from attest.library.member import LibraryMember
from attest.panel import Member, Panel, PanelPair, Relation, Statistic
from attest.program import this_tool
from attest.statement import Sha256

__all__ = ["MAX_PAIRS", "make_panel"]

MAX_PAIRS = 50_000
"""Most pairs of each relation."""

_MAX_LINE = 64 * 1024
_Pair: TypeAlias = tuple[str, str]


@record
class _Done:
    """What was computed of two members, by tree digest."""

    a: Sha256
    b: Sha256
    statistics: Mapping[str, Statistic]


def make_panel(
    library: Library, *, name: str, version: str, made: str, most: int, jobs: int = 1,
    advance: Callable[[int, int], None] | None = None,
) -> Panel:  # fmt: skip
    """Statistics of all pairs of members with stated origins.

    Parameters
    ----------
    library : Library
    name, version, made : str
        What the panel says of itself.
    most : int
        Pairs of each relation; where there are more, a public random choice of them.
    jobs : int
        Processes. No number depends on it.
    advance : callable, optional
        Is told how many pairs are done, and of how many.

    Raises
    ------
    InputError
        Fewer than two members have a stated origin.
    DocumentError
        A member's file is malformed, or what is kept of pairs lies behind a link.

    Notes
    -----
    What was computed is kept in the library by the digest of attest's own sources, so a run that was killed goes on.
    """
    members = {member.side.tree_digest: member.in_panel() for member in _with_origin(library)}
    if len(members) < 2:
        message = f"has {len(members)} members with a stated origin; a panel needs two"
        raise InputError("no-lineages", message, fix="attest library add --lineage", where=str(library.path))
    chosen = _choose(members, most, f"{name} {version}")
    kept = library.path / f"pairs-{this_tool().source_sha256[:16]}.jsonl"
    done = _recall(kept)
    missing = [pair for pair in chosen if pair not in done]
    with kept.open("a", encoding="utf-8") as stream, _pool(jobs) as pool:
        work = partial(_measure, library.path)
        results = (pool.map if pool else map)(work, missing)
        for number, (pair, statistics) in enumerate(zip(missing, results, strict=True), start=1):
            done[pair] = statistics
            stream.write(json.dumps(dump(_Done(a=pair[0], b=pair[1], statistics=statistics))) + "\n")
            stream.flush()
            if advance is not None:
                advance(number, len(missing))
    return Panel(
        name=name,
        version=version,
        made=made,
        models=tuple(members.values()),
        pairs=tuple(PanelPair(a=members[a].name, b=members[b].name, statistics=done[a, b]) for a, b in chosen),
    )


def _with_origin(library: Library) -> Iterator[LibraryMember]:
    return (member for digest in library.digests() if (member := library.member(digest)).lineages)


def _choose(members: Mapping[str, Member], most: int, seed: str) -> list[_Pair]:
    """Up to ``most`` pairs of each relation, in a public random order where there are more, else in order."""
    found: dict[Relation, list[_Pair]] = {"independent": [], "derived": []}
    for a, b in combinations(members, 2):
        found[members[a].relation(members[b])].append((a, b))
    chosen: list[_Pair] = []
    for relation, pairs in found.items():
        order = public_order(len(pairs), f"{seed} {relation}")[: min(most, MAX_PAIRS)] if len(pairs) > most else ()
        chosen += [pairs[place] for place in order] if len(order) else pairs
    return chosen


def _recall(kept: Path) -> dict[_Pair, Mapping[str, Statistic]]:
    """What an earlier run kept; a last line that was not finished is passed over."""
    done: dict[_Pair, Mapping[str, Statistic]] = {}
    if kept.is_symlink():
        message = "keeps the statistics of its pairs behind a link"
        raise DocumentError("bad-library", message, fix="remove the link", where=kept.name)
    if not kept.is_file():
        return done
    with kept.open("rb") as stream:
        while line := stream.readline(_MAX_LINE):
            try:
                one = load(_Done, parse(line, where=kept.name, max_bytes=_MAX_LINE), where=kept.name)
            except DocumentError:
                continue
            done[one.a, one.b] = one.statistics
    return done


def _pool(jobs: int) -> AbstractContextManager[ProcessPoolExecutor | None]:
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) if jobs > 1 else nullcontext()


def _measure(path: Path, pair: _Pair) -> dict[str, Statistic]:
    """What the descriptive tests give on two members."""
    a, b = (_fingerprints(path, digest) for digest in pair)
    tests = (test for run in PANEL_TESTS for test in run(a, b).tests)
    return {
        test.id: Statistic(statistic=test.statistic, n=test.n) for test in tests if test.calibration == "descriptive"
    }


@lru_cache(maxsize=2)
def _fingerprints(path: Path, digest: str) -> Fingerprints:
    return Library(path=path).fingerprints(digest)[1]
