"""``hf://org/name@revision``: a model on the Hugging Face Hub, or on a server that speaks as it does.

``hf://org/name/path@revision`` is one file of it, or the files below a folder.

The revision is resolved to a commit first, and everything is listed and read at that commit.

References
----------
Hub API endpoints, https://huggingface.co/docs/hub/api: ``/api/models/<id>/revision/<revision>``,
``/api/models/<id>/tree/<commit>``, ``/<id>/resolve/<commit>/<path>``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from attest.checkpoint.source.address import Address, without_secrets
from attest.checkpoint.source.client import Client
from attest.checkpoint.source.listing import check_listing
from attest.checkpoint.source.remote import Place, RemoteTree
from attest.checkpoint.tree import DigestClaim, Origin, TreeFile
from attest.errors import CheckpointError, InputError, NetworkError

__all__ = ["hub_client", "hub_endpoint", "read_hub"]

_ENDPOINT = "https://huggingface.co"
_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_URI = re.compile(
    rf"hf://(?:(?P<name>{_NAME}/{_NAME})(?P<inner>(?:/[^/@?#%]{{1,255}})*)|(?P<short>{_NAME}))"
    r"(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9._/-]{0,199}))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NEXT = re.compile(r'<([^<>]{1,8192})>\s*;\s*rel="?next"?')
_TOKEN = re.compile(r"[!-~]{1,1000}")
_MAX_ANSWER = 32 * 1024 * 1024
_MAX_PAGES = 1000


def hub_endpoint() -> Address:
    """The Hub, or the server that ``HF_ENDPOINT`` names."""
    return Address.parse(os.environ.get("HF_ENDPOINT") or _ENDPOINT)


def hub_client(endpoint: Address) -> Client:
    """Client that sends the user's token to the Hub's own host: from ``HF_TOKEN`` or the file of ``hf auth login``."""
    token = _token()
    return Client(secret=None if token is None else (endpoint, f"Bearer {token}"))


def _token() -> str | None:
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return None
    token = (os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or "").strip()
    if not token:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        home = Path(os.environ.get("HF_HOME") or cache / "huggingface")
        try:
            token = Path(os.environ.get("HF_TOKEN_PATH") or home / "token").expanduser().read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
    return token if _TOKEN.fullmatch(token) else None


def read_hub(uri: str, *, client: Client | None = None) -> RemoteTree:
    """Files of a model at one commit.

    Parameters
    ----------
    uri : str
        ``hf://org/name``, which means the branch ``main``, or ``hf://org/name@revision``; behind the name the path of
        a file or folder of it.

    Raises
    ------
    InputError
        The URI is none.
    NetworkError, CheckpointError
        The server does not answer as it must, or lists what no checkpoint can hold.
    """
    name, inner, wanted = _take_apart(uri)
    endpoint = hub_endpoint()
    client = client or hub_client(endpoint)
    base = endpoint.shown.rstrip("/")
    commit = _resolve(
        client, Address.parse(f"{base}/api/models/{name}/revision/{quote(wanted or 'main', safe='')}"), wanted
    )
    items = list(_list(client, Address.parse(f"{base}/api/models/{name}/tree/{commit}?recursive=true")))
    listed = check_listing((_file(item) for item in items), where=uri)
    files, folder = _choose(listed, inner, where=uri)
    oids = {item["path"]: item["lfs"]["oid"] for item in items if _is_lfs(item)}
    claims = {file.path: oids[folder + file.path] for file in files if folder + file.path in oids}
    place = f"{name}/{inner}" if inner else name
    return RemoteTree(
        name=place.rpartition("/")[2],
        files=files,
        origin=Origin(uri=f"hf://{place}" if base == _ENDPOINT else f"{base}/{place}", revision=wanted, commit=commit),
        claims=tuple(DigestClaim(path=path, sha256=claims[path], by="the server") for path in sorted(claims)),
        client=client,
        places={file.path: _place(base, name, commit, folder + file.path, claims.get(file.path)) for file in files},
        look_again=partial(read_hub, f"hf://{place}@{commit}", client=client),
    )


def _choose(files: tuple[TreeFile, ...], inner: str, *, where: str) -> tuple[tuple[TreeFile, ...], str]:
    """The file of a path, or all below it, and what their paths leave out."""
    only = next((file for file in files if file.path == inner), None)
    folder = inner.rpartition("/")[0] if only else inner
    folder = f"{folder}/" if folder else ""
    chosen = (only,) if only else [file for file in files if file.path.startswith(folder)]
    if not chosen:
        raise CheckpointError(
            "no-checkpoint", "there is no such file or folder", fix="check the path behind the name", where=where
        )
    return tuple(replace(file, path=file.path.removeprefix(folder)) for file in chosen), folder


def _take_apart(uri: str) -> tuple[str, str, str | None]:
    """Name, path and revision in a URI; the path may be empty."""
    found = _URI.fullmatch(uri)
    if found is None or ".." in uri:
        raise InputError(
            "bad-address",
            f"{without_secrets(uri)[:200]!r} names no model",
            fix="give hf://org/name or hf://org/name@revision",
        )
    return found["name"] or found["short"], (found["inner"] or "").removeprefix("/"), found["revision"]


def _resolve(client: Client, address: Address, wanted: str | None) -> str:
    value, _ = client.document(address, max_bytes=_MAX_ANSWER)
    commit = value.get("sha") if isinstance(value, dict) else None
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        _refuse("without the commit of the revision", address)
    if wanted and _COMMIT.fullmatch(wanted) and wanted != commit:
        _refuse(f"with the commit {commit} instead of {wanted}", address)
    return commit


def _list(client: Client, address: Address) -> Iterator[Any]:
    """Entries of all pages that are files."""
    first = address
    for _ in range(_MAX_PAGES):
        value, headers = client.document(address, max_bytes=_MAX_ANSWER)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            _refuse("with something else than a list of files", address)
        yield from (item for item in value if item.get("type") != "directory")
        link = _NEXT.search(headers.get("Link", ""))
        if link is None:
            return
        address = address.follow(link[1])
        if address.origin != first.origin:
            _refuse("with a list that goes on at another host", first)
    _refuse(f"with more than {_MAX_PAGES} pages", first)


def _is_lfs(item: Any) -> bool:
    lfs = item.get("lfs")
    return isinstance(lfs, dict) and isinstance(lfs.get("oid"), str) and bool(_SHA256.fullmatch(lfs["oid"]))


def _file(item: Any) -> TreeFile:
    size = item["lfs"].get("size") if _is_lfs(item) else item.get("size")
    return TreeFile(path=item.get("path"), size=size, identity=str(item.get("oid"))[:100])


def _place(base: str, name: str, commit: str, path: str, sha256: str | None) -> Place:
    expected = {"X-Repo-Commit": commit}
    if sha256 is not None:
        expected["X-Linked-ETag"] = sha256
    return Place(address=Address.parse(f"{base}/{name}/resolve/{commit}/{quote(path)}"), expected=expected)


def _refuse(what: str, address: Address) -> NoReturn:
    raise NetworkError(
        "bad-answer", f"answered {what}", fix="check the address, or try again later", where=address.shown
    )
