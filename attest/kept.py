"""What takes long to make and is always made alike: kept on disk, beside the module or in the user's cache.

Whoever can write there can run code as this user already; a digest in the file finds what was cut or damaged.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from attest.atomic import write_atomically
from attest.errors import InputError

__all__ = ["kept"]

_DIGEST = 32


def kept(name: str, source: Path, made_from: Iterable[str], make: Callable[[], bytes]) -> bytes:
    """Bytes that were made before, or else are made now and kept.

    Parameters
    ----------
    name : str
        Name of the file, with a suffix; a digest of ``made_from`` is put in front of the suffix.
    source : Path
        The module that makes them.
    made_from : iterable of str
        All that the bytes depend on.
    make : callable
        Makes the bytes.
    """
    key = hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:32]
    stem, _, suffix = name.rpartition(".")
    places = [folder / f"{stem}.{key}.{suffix}" for folder in _folders(source)]
    for place in places:
        with contextlib.suppress(OSError):
            found = place.read_bytes()
            if hashlib.sha256(found[_DIGEST:]).digest() == found[:_DIGEST]:
                return found[_DIGEST:]
    made = make()
    for place in places:
        with contextlib.suppress(InputError, OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, hashlib.sha256(made).digest() + made, force=True)
            break
    return made


def _folders(source: Path) -> Iterator[Path]:
    """Folders that may keep what was made: the one where Python keeps its own, or else the user's."""
    yield source.parent / "__pycache__"
    with contextlib.suppress(RuntimeError):  # no home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attest"
