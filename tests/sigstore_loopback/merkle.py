"""The Merkle tree of RFC 6962, sections 2.1 and 2.1.1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def _split(count: int) -> int:
    """The largest power of two that is smaller than a count of at least two."""
    return 1 << (count - 1).bit_length() - 1


@dataclass(frozen=True)
class MerkleTree:
    """Leaves in order; roots and paths are computed when they are asked for."""

    leaves: list[bytes] = field(default_factory=list)

    def append(self, entry: bytes) -> int:
        """Add an entry; its index."""
        self.leaves.append(sha256(b"\0" + entry).digest())
        return len(self.leaves) - 1

    def root(self) -> bytes:
        """The root over all leaves."""
        return _root(self.leaves)

    def path(self, index: int) -> list[bytes]:
        """The audit path of a leaf, the nearest node first."""
        return _path(self.leaves, index)


def climb(entry: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that an audit path leads to (RFC 9162, section 2.1.3.2), which shares nothing with how paths are made."""
    node, place, last = sha256(b"\0" + entry).digest(), index, size - 1
    for other in path:
        if place % 2 or place == last:
            node = _node(other, node)
            while not place % 2 and place:
                place, last = place >> 1, last >> 1
        else:
            node = _node(node, other)
        place, last = place >> 1, last >> 1
    return node


def _root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    middle = _split(len(leaves))
    return _node(_root(leaves[:middle]), _root(leaves[middle:]))


def _path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    if len(leaves) == 1:
        return []
    middle = _split(len(leaves))
    if index < middle:
        return [*_path(leaves[:middle], index), _root(leaves[middle:])]
    return [*_path(leaves[middle:], index - middle), _root(leaves[:middle])]
