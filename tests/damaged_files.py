"""Files with changed bytes, and files cut short: a reader of a format reads them, or refuses them with its own error."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from attest.checkpoint.format import Contents
from attest.errors import CheckpointError


@st.composite
def damaged(draw: st.DrawFn, *originals: bytes) -> tuple[bytes, bytes]:
    """One of the files with a few bytes changed, and the beginning of that."""
    original = draw(st.sampled_from(originals))
    changed = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        changed[draw(st.integers(0, len(original) - 1))] = draw(st.integers(0, 255))
    return bytes(changed), bytes(changed[: draw(st.integers(0, len(original)))])


def read_or_refuse(read: Callable[[bytes], Contents], data: bytes) -> None:
    """Read a file that refers to no other; every tensor lies inside of it."""
    try:
        contents = read(data)
    except CheckpointError:
        return
    assert all(0 <= one.begin <= one.end <= len(data) for one in contents.tensors)
