"""Git repositories, read without obeying them: a tree at a revision, all blobs, and how notices changed."""

from __future__ import annotations

from attest.licenses.git.history import history_files, notice_changes
from attest.licenses.git.repository import (
    GitRepository,
    is_bare_repository,
    is_git_repository,
    open_repository,
)
from attest.licenses.git.tree import read_revision

__all__ = [
    "GitRepository",
    "history_files",
    "is_bare_repository",
    "is_git_repository",
    "notice_changes",
    "open_repository",
    "read_revision",
]
