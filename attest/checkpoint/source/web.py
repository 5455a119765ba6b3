"""``https://``: one weight file, or the index of a sharded checkpoint and the shards beside it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from urllib.parse import quote, unquote

from attest.checkpoint.source.address import Address
from attest.checkpoint.source.client import Client, RangeBody
from attest.checkpoint.source.listing import check_listing, check_relative
from attest.checkpoint.source.range_stream import Interrupted
from attest.checkpoint.source.remote import Place, RemoteTree
from attest.checkpoint.tree import Origin, TreeFile
from attest.errors import CheckpointError, InputError, NetworkError

__all__ = ["read_web"]

_INDEX = ".index.json"
_CONFIG = "config.json"
_MAX_INDEX = 32 * 1024 * 1024


def read_web(uri: str, *, client: Client | None = None) -> RemoteTree:
    """A weight file; or an index (``….index.json``), the shards that it names, and ``config.json`` beside it.

    Raises
    ------
    InputError
        The address is none.
    NetworkError, CheckpointError
        The server does not answer as it must, or the index names what is not below its own folder.
    """
    address = Address.parse(uri)
    client = client or Client()
    name = unquote(address.path.rpartition("/")[2])
    if not name:
        fix = "give the address of a weight file, or of the index (….index.json) of a sharded checkpoint"
        raise InputError(
            "bad-address",
            "is the address of a folder, whose files a web server need not list",
            fix=fix,
            where=address.shown,
        )
    check_relative(name, where=address.shown)
    places = {path: Place(address=one) for path, one in _addresses(client, address, name)}
    files = [file for path, place in places.items() if (file := _look(client, place, path)) is not None]
    return RemoteTree(
        name=name,
        files=check_listing(files, where=address.shown),
        origin=Origin(uri=address.shown, revision=None, commit=None),
        client=client,
        places=places,
        look_again=partial(read_web, uri, client=client),
    )


def _addresses(client: Client, address: Address, name: str) -> Iterator[tuple[str, Address]]:
    """Paths and addresses of all files."""
    yield name, address
    if not name.endswith(_INDEX):
        return
    index, _ = client.document(address, max_bytes=_MAX_INDEX)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict):
        raise CheckpointError("bad-index", "holds no weight_map of file names", fix="ask its author", where=name)
    shards = {check_relative(shard, where=name) for shard in weight_map.values()}
    folder = address.shown.removesuffix(address.path) + address.path.rpartition("/")[0]
    for path in sorted({*shards, _CONFIG} - {name}):
        yield path, Address.parse(f"{folder}/{quote(path)}")


def _look(client: Client, place: Place, path: str) -> TreeFile | None:
    """Size and version of a file, from its first byte; None for a configuration that is not there."""
    patience = client.patience(place.address)
    while True:
        try:
            body = client.range(place.address, 0, 1)
            break
        except Interrupted as trouble:
            patience.bear(trouble)
        except NetworkError as error:
            if (path, error.code) == (_CONFIG, "not-found"):
                return None
            raise
    body.close()
    return TreeFile(path=path, size=body.size, identity=_version(body, place, path))


def _version(body: RangeBody, place: Place, path: str) -> str:
    if body.size and not (body.entity_tag or body.last_modified):
        raise NetworkError(
            "no-version",
            "gives neither an entity tag nor a time of change, so that a change could not be noticed",
            fix="download the checkpoint and measure the copy",
            where=path,
        )
    place.versions[body.origin] = (body.entity_tag, body.last_modified)
    return f"{body.entity_tag} {body.last_modified}"
