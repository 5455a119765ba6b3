"""A whole file beside the file that its comment names: for languages whose functions are not taken apart here."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from attest.document import decimal
from attest.licenses.origin.tokens import GRAM, MIN_TOKENS, WINDOW, Fingerprint, is_code

__all__ = ["compare_files", "is_other_language"]

Outcome: TypeAlias = tuple[bool | None, str]
"""Whether anything of the one stands in the other, None where either is too short to tell; and what a reader should know."""


def is_other_language(path: str) -> bool:
    """Whether a file is a program in another language than Python."""
    return is_code(path) and path.rpartition(".")[2].lower() not in ("py", "pyi")


def compare_files(own: Fingerprint, named: Fingerprint, path: str) -> Outcome:
    """How much of a file stands in the file that it names, and of that here.

    Notes
    -----
    Winnowed runs of twelve tokens, comments left out: of each run of nineteen equal tokens at least one counts. A few
    lines taken over into a large file give a small share, so a small share contradicts nothing.
    """
    if min(own.tokens, named.tokens) < MIN_TOKENS:
        return None, ""
    shared = len(np.intersect1d(own.named, named.named, assume_unique=True))
    if not shared:
        return False, f"compared as whole files: no run of {GRAM + WINDOW - 1} tokens of {path} stands here"
    here, there = decimal(shared / len(own.named), 4), decimal(shared / len(named.named), 4)
    return True, f"compared as whole files: {here} of this file's code stands in {path}, {there} of that file's here"
