"""The whole history of a git repository: every version of its files, and when copyright lines came and went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from attest.digest import sha256
from attest.errors import InputError
from attest.finding import Finding
from attest.licenses.git.objects import blobs
from attest.licenses.git.repository import GitRepository, open_repository
from attest.licenses.origin.tokens import MIN_TOKENS, fingerprint, is_code
from attest.licenses.readable import Skipped, limit_of, source_of
from attest.licenses.source import Source, cut
from attest.licenses.whole.gathered import WHOLE
from attest.licenses.whole.holders import holder_key, holder_lines, statement_of
from attest.repository_scan import NoticeChange

__all__ = ["history_files", "notice_changes"]

_HEAD = 4096
_MAX_PATH = 512
_RENAMED = 90
"""Percent of a file that git must find again under another name. Files of one library are more than half alike."""

_LEAST_KEPT = 0.1
"""Share of a program's code that must stay, so that its notice is missed."""
_BINARY = (".png", ".jpg", ".jpeg", ".gif", ".pdf", ".zip", ".gz", ".bin", ".safetensors", ".gguf", ".ipynb", ".svg")


def history_files(path: Path) -> Iterator[Source | Skipped]:
    """Every version of every text file in the history of all references, each blob once, under a path it had.

    Raises
    ------
    InputError

    Notes
    -----
    Shallow and partial clones lack objects. What there is of them is read; that something lacks comes first, as a
    finding of its own. With git before 2.44 a commit that lacks where nothing says that the history is cut is an error.
    """
    with open_repository(path) as repository:
        tips = repository.tips()
        listed = ("rev-list", "--objects", "--missing=print", "--ignore-missing", "--stdin")
        rows = repository.run(*listed, stdin=_lines(tips)).decode("utf-8", "replace").split("\n")
        names: dict[str, str] = {}
        seen = set()
        for row in rows:
            id_, _, name = row.partition(" ")
            seen.add(id_)
            if name and name.isprintable() and len(name.encode()) <= _MAX_PATH:
                names.setdefault(id_, name)
        missing = sum(id_.startswith("?") for id_ in seen) + len(set(tips) - _objects(repository, tips).keys())
        for finding in _incomplete(missing, len(seen.intersection(repository.boundary))):
            yield Skipped(path=None, reason="unreadable", findings=(finding,))
        kept = [id_ for id_, size in _sizes(repository, list(names)).items() if size <= limit_of(names[id_])]
        for id_, data in blobs(repository, kept):
            found = source_of(names[id_], data)
            if not isinstance(found, Skipped):
                yield found


def _incomplete(missing: int, cut: int) -> Iterator[Finding]:
    """What is known of a history that is not all there."""
    if missing or cut:
        text = (
            f"objects that the history names and the repository lacks: {missing}; commits at which it is cut off: {cut}"
        )
        yield Finding(code="history-incomplete", path=WHOLE, line=None, text=text)


def _sizes(repository: GitRepository, ids: Sequence[str]) -> dict[str, int]:
    """Size of each of these objects that is a blob."""
    return {id_: size for id_, (kind, size) in _objects(repository, ids).items() if kind == "blob"}


def _objects(repository: GitRepository, ids: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Kind and size of each of these objects that is there."""
    rows = repository.run("cat-file", "--batch-check", "--buffer", stdin=_lines(ids)).decode().split("\n")
    parts = (row.split() for row in rows)
    return {part[0]: (part[1], int(part[2])) for part in parts if len(part) == 3}


def _lines(ids: Sequence[str]) -> bytes:
    return "".join(f"{id_}\n" for id_ in ids).encode()


def notice_changes(path: Path, revision: str) -> tuple[tuple[NoticeChange, ...], tuple[Finding, ...]]:
    """Changes of the holders that the first 4 KiB of files name, oldest first, renames followed; and findings on them.

    Returns
    -------
    changes : tuple of NoticeChange
    findings : tuple of Finding
        ``history-incomplete`` where objects of these changes lack or the history is cut off, and ``notice-removed``.

    Raises
    ------
    InputError

    Notes
    -----
    A file that was deleted or emptied removes no notice, and one that was added adds none; nor is a notice missed that
    still stands further down, or that of a program of which less than a tenth stayed: its code went, too. Merges are
    left out. Where objects lack, files are followed under another name only if nothing else changed.
    """
    with open_repository(path) as repository:
        every = list(_changes(repository, repository.commit(revision)))
        ids = sorted({id_ for _, _, *both, _, _ in every for id_ in both if id_.strip("0")})
        sizes = _sizes(repository, ids)
        rows = [(commit, time, old, new, path) for commit, time, old, new, path, status in every if status in "MR"]
        changed = dict.fromkeys(id_ for _, _, *both, _ in rows for id_ in both)
        small = [id_ for id_ in changed if sizes.get(id_, limit_of("") + 1) <= limit_of("")]
        heads: dict[str, dict[str, str]] = {}
        holders = {id_: _holders(_head_of(data), heads) for id_, data in blobs(repository, small)}
        incomplete = tuple(_incomplete(len(ids) - len(sizes), len(repository.boundary)))
        changes = tuple(_in_whole_files(repository, list(_notice_changes(rows, holders))))
    return changes, (*incomplete, *(finding for change in changes for finding in _removed(change)))


def _notice_changes(
    rows: Sequence[tuple[str, int, str, str, str]], holders: Mapping[str, dict[str, str]]
) -> Iterator[NoticeChange]:
    for commit, time, old, new, name in rows:
        before, after = holders.get(old, {}), holders.get(new, {})
        if before.keys() != after.keys() and old in holders and new in holders:
            yield NoticeChange(
                commit=commit,
                time=datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                path=name,
                before=old,
                after=new,
                removed=tuple(before[key] for key in sorted(before.keys() - after.keys())),
                added=tuple(after[key] for key in sorted(after.keys() - before.keys())),
            )


def _in_whole_files(repository: GitRepository, changes: Sequence[NoticeChange]) -> Iterator[NoticeChange]:
    """The changes without lines that only moved over the end of a head, or went together with the code."""
    versions = blobs(repository, [id_ for change in changes for id_ in (change.before, change.after)])
    for change, (_, before), (_, after) in zip(changes, versions, versions, strict=True):
        old, new = Source.of(change.path, before), Source.of(change.path, after)
        removed, added = _not_named(change.removed, new), _not_named(change.added, old)
        if (removed or added) and (not removed or _stayed(old, new)):
            yield replace(change, removed=removed, added=added)


def _not_named(lines: tuple[str, ...], source: Source) -> tuple[str, ...]:
    """Lines whose holder no line of a file names."""
    named = {key for key, _ in holder_lines(source)} if lines else set()
    return tuple(line for line in lines if holder_key(statement_of(line).holder) not in named)


def _stayed(before: Source, after: Source) -> bool:
    """Whether a file is not empty now and, of programs that are long enough, some of their code is still there."""
    if not after.data.strip() or not is_code(before.path):
        return bool(after.data.strip())
    old, new = (fingerprint(version.path, version.text) for version in (before, after))
    return old.tokens < MIN_TOKENS or len(np.intersect1d(old.named, new.named)) >= _LEAST_KEPT * len(old.named)


def _removed(change: NoticeChange) -> Iterator[Finding]:
    for line in change.removed:
        words = (
            f"{change.time[:10]}, commit {change.commit[:12]}, blob {change.before[:12]} to {change.after[:12]}: "
            f"no longer there: {line}"
        )
        yield Finding(code="notice-removed", path=change.path, line=None, text=cut(words))


def _head_of(data: bytes) -> bytes:
    """The whole lines of a file's first 4 KiB."""
    return data if len(data) <= _HEAD else data[: data.rfind(b"\n", 0, _HEAD) + 1 or _HEAD]


def _holders(head: bytes, known: dict[str, dict[str, str]]) -> dict[str, str]:
    """Copyright lines at the head of a file, by holder; versions of a file mostly have one head, read once."""
    if b"\0" in head:
        return {}
    digest = sha256(head)
    if digest not in known:
        found: dict[str, str] = {}
        for key, finding in holder_lines(Source.of("", head)):
            found.setdefault(key, cut(finding.text))
        known[digest] = found
    return known[digest]


def _changes(repository: GitRepository, commit: str) -> Iterator[tuple[str, int, str, str, str, str]]:
    """Commit, time, old and new blob, path, and git's letter for its kind, of each change of a file."""
    raw = _log(repository, commit)
    id_, time = "", 0
    fields = iter(raw.split(b"\0"))
    for field in fields:
        text = field.strip(b"\n")
        if text.startswith(b"\x01"):
            head, _, text = text.partition(b"\n")
            name, _, seconds = head[1:].decode().partition(" ")
            id_, time = name, int(seconds)
            text = text.strip(b"\n")
        if text.startswith(b":"):
            _, _, old, new, status = text.decode().split(" ")
            path = next(fields)
            if status[0] in "RC":
                path = next(fields)
            shown = path.decode("utf-8", "replace")
            wanted = status[0] in "ADMR" and shown.isprintable() and len(path) <= _MAX_PATH
            if wanted and not shown.lower().endswith(_BINARY):
                yield id_, time, old, new, shown, status[0]


def _log(repository: GitRepository, commit: str) -> bytes:
    """All changes up to a commit; where files lack that git would compare, moves without a change alone are followed."""
    words = ("--raw", "-z", "--no-abbrev", "--reverse", "--no-ext-diff", "--no-textconv", "--format=%x01%H %ct", commit)
    try:
        return repository.run("log", f"--find-renames={_RENAMED}%", *words)
    except InputError as error:
        if error.code != "damaged-repository":
            raise
        return repository.run("log", "--find-renames=100%", *words)
