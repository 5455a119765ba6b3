"""A tree of files on web servers: each a few ranges, all of one version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from attest.checkpoint.source.address import Address
from attest.checkpoint.source.client import Client, Headers, RangeBody
from attest.checkpoint.source.range_stream import RangeStream
from attest.checkpoint.tree import Tree
from attest.errors import CheckpointError

__all__ = ["Place", "RemoteTree"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a file lies, and what its server must keep saying about it.

    Parameters
    ----------
    address : Address
    expected : mapping of str to str
        Headers that the server listed the file with, without quotes.
    versions : dict of str to tuple of (str, str)
        Entity tag and time of change that a host first gave, by origin.
    """

    address: Address
    expected: Headers = field(default_factory=dict)
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RemoteTree(Tree):
    """Files on web servers.

    Parameters
    ----------
    client : Client
    places : mapping of str to Place
        By path.
    look_again : callable
        Gives the tree anew.
    """

    client: Client = field(compare=False)
    places: Mapping[str, Place] = field(compare=False)
    look_again: Callable[[], Tree] = field(compare=False)

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Open one of the files as a stream over ranges."""
        if path not in self.places:
            raise CheckpointError("unsafe-path", "is not one of its files", fix="ask for an intact copy", where=path)
        place = self.places[path]

        def ask(begin: int, end: int) -> RangeBody:
            return self._ask(path, begin, end)

        patience = self.client.patience(place.address)
        with RangeStream(ask, size=self.sizes[path], patience=patience) as stream:
            yield cast("BinaryIO", stream)

    def _ask(self, path: str, begin: int, end: int) -> RangeBody:
        place = self.places[path]
        tags = {origin: tag for origin, (tag, _) in place.versions.items() if tag.startswith('"')}
        body = self.client.range(place.address, begin, end, expected=place.expected, entity_tags=tags)
        version = (body.entity_tag, body.last_modified)
        if body.size != self.sizes[path] or place.versions.setdefault(body.origin, version) != version:
            body.close()
            raise CheckpointError(
                "file-changed",
                "changed on its server while it was read",
                fix="measure again when nothing writes to it",
                where=path,
            )
        return body

    def again(self) -> Tree:
        """The same place, asked for anew."""
        return self.look_again()
