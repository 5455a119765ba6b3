"""A git repository that somebody else made, opened so that none of its settings is ever read.

The program ``git`` runs on an empty repository of our own; of the foreign one it sees the object store alone, through
``GIT_OBJECT_DIRECTORY``. So no configuration, hook, attribute, alias, pager, filter or remote of the foreign
repository can name a program to run. References are read here.

References
----------
git(1), "Environment variables"; gitrepository-layout(5).
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from attest.errors import InputError
from attest.licenses.program_output import output_of

__all__ = ["GitRepository", "damaged", "is_bare_repository", "is_git_repository", "open_repository"]

_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHORT_ID = re.compile(r"[0-9a-f]{7,64}")
_REFERENCE = re.compile(r"(?:refs/)?[A-Za-z0-9][\w./@+-]{0,200}")
_MAX_REFERENCE_FILE = 64 * 1024 * 1024
_TIME_LIMIT = 600
_MAX_OUTPUT = 512 * 1024 * 1024


def is_git_repository(path: Path) -> bool:
    """Whether a folder is a git directory, or holds one as ``.git``."""
    return _git_directory(path) is not None


def is_bare_repository(path: Path) -> bool:
    """Whether a folder is a git directory that has no files of its own beside it."""
    return is_git_repository(path) and not (path / ".git").exists()


def _git_directory(path: Path) -> Path | None:
    for folder in (path, path / ".git"):
        if all((folder / name).exists() for name in ("HEAD", "objects")) and not folder.is_symlink():
            return folder
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class GitRepository:
    """An opened repository: ``directory`` is the foreign git directory, ``own`` our empty one.

    ``boundary`` are the commits at which it says that its history is cut off (a shallow clone).
    """

    directory: Path
    own: Path
    boundary: tuple[str, ...] = ()

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Output of a git command on the foreign objects.

        Raises
        ------
        InputError
            Git is not installed, takes over ten minutes, says over 512 MiB, or finds an object damaged or missing.
        """
        command = ["git", "--no-pager", f"--git-dir={self.own}", *arguments]
        try:
            done = output_of(
                command, stdin=stdin, environment=self.environment(), seconds=_TIME_LIMIT, max_bytes=_MAX_OUTPUT
            )
        except FileNotFoundError as error:
            raise InputError("no-git", "the program git is not installed", fix="install git") from error
        if done.is_too_slow or done.is_too_large:
            raise InputError(
                "too-much-git",
                f"git took more than {_TIME_LIMIT} s, or listed more than {_MAX_OUTPUT} bytes",
                fix="scan a clone of less history, or a folder of it",
                where=str(self.directory),
            )
        if done.code:
            raise damaged(self.directory, done.complaint)
        return done.data

    def environment(self) -> dict[str, str]:
        """Variables for git: nothing of the user's or of the repository's own settings, and no network."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_OBJECT_DIRECTORY": str(self.directory / "objects"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_ALLOW_PROTOCOL": "",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
        }

    def commit(self, revision: str) -> str:
        """Id of the commit that a branch, a tag, ``HEAD`` or an id names.

        Raises
        ------
        InputError
        """
        target = revision if _SHORT_ID.fullmatch(revision) else self._references().get(revision)
        for prefix in ("refs/heads/", "refs/tags/", "refs/remotes/"):
            target = target or self._references().get(prefix + revision)
        if target is None:
            raise InputError(
                "unknown-revision",
                f"no branch or tag is called {revision[:100]!r}",
                fix="give a branch, a tag or a commit id",
                where=str(self.directory),
            )
        return self.run("rev-parse", "--verify", "--end-of-options", f"{target}^{{commit}}").decode().strip()

    def tips(self) -> tuple[str, ...]:
        """Ids that all references name, in order."""
        return tuple(sorted(set(self._references().values())))

    def _references(self) -> dict[str, str]:
        """Id of each reference, packed ones first, and of ``HEAD``."""
        found: dict[str, str] = {}
        for line in _text_of(self.directory / "packed-refs").split("\n"):
            id_, _, name = line.partition(" ")
            if _ID.fullmatch(id_) and _REFERENCE.fullmatch(name):
                found[name] = id_
        for folder, folders, names in os.walk(self.directory / "refs"):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                id_ = _text_of(path).strip()
                if _ID.fullmatch(id_):
                    found[path.relative_to(self.directory).as_posix()] = id_
        head = _text_of(self.directory / "HEAD").strip()
        target = found.get(head.removeprefix("ref: ")) if head.startswith("ref: ") else head
        return found | ({"HEAD": target} if target and _ID.fullmatch(target) else {})


def _text_of(path: Path) -> str:
    """Text of a small regular file that is no link; empty where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as stream:
        try:
            return stream.read(_MAX_REFERENCE_FILE).decode("utf-8", "replace")
        except OSError:
            return ""


def damaged(directory: Path, message: str) -> InputError:
    """The error for what git cannot read."""
    return InputError(
        "damaged-repository",
        f"git cannot read what it needs ({message or 'no reason given'})",
        fix="scan an intact and complete clone",
        where=str(directory),
    )


def _refuse_other_stores(directory: Path) -> None:
    """Refuse an object store that lies, or leads, elsewhere on this machine."""
    objects = directory / "objects"
    others = objects.is_symlink() or (objects / "info" / "alternates").exists() or (directory / "commondir").exists()
    if others or any(not stat.S_ISREG(mode) for mode in _modes(objects)):
        raise InputError(
            "objects-elsewhere",
            "takes its objects from another place on this machine, or from what is no file",
            fix="make a full clone with git clone --no-local, and scan that",
            where=str(directory),
        )


def _modes(objects: Path) -> Iterator[int]:
    """Kind of each entry below the object store that is no folder; git would wait for a pipe for ever."""
    for folder, folders, names in os.walk(objects):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        yield from (os.lstat(os.path.join(folder, name)).st_mode for name in (*names, *links))  # noqa: PTH118 - half a million of them


@contextmanager
def open_repository(path: Path) -> Iterator[GitRepository]:
    """A repository to read from, as long as the context lasts.

    Raises
    ------
    InputError
        It is no git repository, or its objects lie elsewhere.
    """
    directory = _git_directory(path)
    if directory is None:
        raise InputError("no-repository", "is no git repository", fix="give a git directory", where=str(path))
    _refuse_other_stores(directory)
    with tempfile.TemporaryDirectory(prefix="attest-git-") as folder:
        own = Path(folder)
        for name in ("objects", "refs"):
            (own / name).mkdir()
        (own / "HEAD").write_text("ref: refs/heads/none\n", encoding="utf-8")
        format_ = "1\n[extensions]\n\tobjectFormat = sha256\n" if _is_sha256(directory) else "0\n"
        (own / "config").write_text(f"[core]\n\tbare = true\n\trepositoryFormatVersion = {format_}", encoding="utf-8")
        boundary = [line for line in _text_of(directory / "shallow").split("\n") if _ID.fullmatch(line)]
        if boundary:
            (own / "shallow").write_text("".join(f"{line}\n" for line in boundary), encoding="utf-8")
        yield GitRepository(directory=directory.resolve(), own=own, boundary=tuple(boundary))


def _is_sha256(directory: Path) -> bool:
    """Whether ids are those of SHA-256, told by the length of any."""
    text = _text_of(directory / "packed-refs") + "".join(
        _text_of(path) for path in sorted((directory / "refs" / "heads").glob("*"))[:1]
    )
    return re.search(r"^[0-9a-f]{64}\b", text, re.MULTILINE) is not None
