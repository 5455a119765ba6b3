"""The whole history of a git repository: every version of its files, and when copyright lines came and went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from attest.digest import sha256
from attest.finding import Finding
from attest.licenses import copyright_line
from attest.licenses.git.objects import blobs
from attest.licenses.git.repository import GitRepository, open_repository
from attest.licenses.readable import Skipped, limit_of, source_of
from attest.licenses.source import Source, cut
from attest.licenses.whole.gathered import WHOLE
from attest.licenses.whole.holders import holder_key, statement_of
from attest.repository_scan import NoticeChange

__all__ = ["history_files", "notice_changes"]

_HEAD = 4096
_MAX_PATH = 512
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
    A file that was deleted removes no notice, and one that was added adds none. Merges are left out.
    """
    with open_repository(path) as repository:
        rows = list(_changes(repository, repository.commit(revision)))
        ids = sorted({id_ for _, _, old, new, _ in rows for id_ in (old, new)})
        sizes = _sizes(repository, ids)
        small = [id_ for id_, size in sizes.items() if size <= limit_of("")]
        heads: dict[str, dict[str, str]] = {}
        holders = {id_: _holders(data[:_HEAD], heads) for id_, data in blobs(repository, small)}
        incomplete = tuple(_incomplete(len(ids) - len(sizes), len(repository.boundary)))
    changes = tuple(_notice_changes(rows, holders))
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


def _removed(change: NoticeChange) -> Iterator[Finding]:
    for line in change.removed:
        words = (
            f"{change.time[:10]}, commit {change.commit[:12]}, blob {change.before[:12]} to {change.after[:12]}: "
            f"no longer there: {line}"
        )
        yield Finding(code="notice-removed", path=change.path, line=None, text=cut(words))


def _holders(head: bytes, known: dict[str, dict[str, str]]) -> dict[str, str]:
    """Copyright lines at the head of a file, by holder; versions of a file mostly have one head, read once."""
    if b"\0" in head:
        return {}
    digest = sha256(head)
    if digest not in known:
        found: dict[str, str] = {}
        for finding in copyright_line.detect(Source.of("", head)):
            key = holder_key(statement_of(finding.text).holder)
            if key:
                found.setdefault(key, cut(finding.text))
        known[digest] = found
    return known[digest]


def _changes(repository: GitRepository, commit: str) -> Iterator[tuple[str, int, str, str, str]]:
    """Commit, time, old and new blob, and path, of each change of a file's content."""
    raw = repository.run(
        "log",
        "--raw",
        "-z",
        "-M",
        "--no-abbrev",
        "--reverse",
        "--no-ext-diff",
        "--no-textconv",
        "--format=%x01%H %ct",
        commit,
    )
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
            wanted = status[0] in "MR" and shown.isprintable() and len(path) <= _MAX_PATH
            if wanted and not shown.lower().endswith(_BINARY):
                yield id_, time, old, new, shown
