"""A model hub on the loopback interface: the routes of the Hugging Face Hub that attest and huggingface_hub call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from typing import Any

from servers.web import Handler, Web

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_API = re.compile(r"/api/models/([^/]+/[^/]+)/(revision|tree)/(.+)")
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass(kw_only=True)
class Hub(Web):
    """Repositories by name, each with one commit.

    Parameters
    ----------
    repositories : dict
        Files by path, by name of the repository.
    revisions : dict
        Commit by branch or tag.
    large : frozenset of str
        Paths that are kept as large files: listed with their SHA-256 and, with ``storage``, answered by a redirect.
    storage : Web, optional
        Another host that large files are read from.
    token : str, optional
        What every request to this host must carry.
    page_size : int
        Files on one page of a list.
    listed : dict
        What the list says of a file instead of the truth, by path.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    large: frozenset[str] = frozenset({"model.safetensors"})
    storage: Web | None = None
    token: str | None = None
    page_size: int = 1000
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)
    next_page: str | None = None

    def route(self, handler: Handler) -> None:
        """Answer one request."""
        request = handler.request_now
        if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
            handler.give(401, b"", {"X-Error-Code": "GatedRepo"})
        elif found := _API.fullmatch(request.path):
            self._describe(handler, *found.groups())
        elif found := _RESOLVE.fullmatch(request.path):
            self._resolve(handler, *found.groups())
        else:
            handler.give(404)

    def _describe(self, handler: Handler, name: str, kind: str, revision: str) -> None:
        commit = self.revisions.get(revision, revision)
        if name not in self.repositories or commit not in self.revisions.values():
            code = "RevisionNotFound" if name in self.repositories else "RepoNotFound"
            handler.give(404, b'{"error": "not found"}', {"X-Error-Code": code})
        elif kind == "revision":
            _give_json(handler, {"id": name, "sha": commit})
        else:
            paths = sorted(self.repositories[name])
            start = int(dict(part.split("=") for part in handler.request_now.query.split("&")).get("cursor", 0))
            page = [self._entry(name, path) for path in paths[start : start + self.page_size]]
            more = {}
            if start + self.page_size < len(paths):
                base = self.next_page or self.url
                url = f"{base}/api/models/{name}/tree/{revision}?recursive=true&cursor={start + self.page_size}"
                more = {"Link": f'<{url}>; rel="next"'}
            _give_json(handler, page, more)

    def _entry(self, name: str, path: str) -> dict[str, Any]:
        data = self.repositories[name][path]
        entry = {"type": "file", "path": path, "size": len(data), "oid": git_oid(data)}
        if path in self.large:
            entry["lfs"] = {"oid": sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return entry | self.listed.get(path, {})

    def _resolve(self, handler: Handler, name: str, revision: str, path: str) -> None:
        data = self.repositories.get(name, {}).get(path)
        commit = self.revisions.get(revision, revision)
        if data is None or commit not in self.revisions.values():
            handler.give(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"X-Repo-Commit": commit, "ETag": f'"{git_oid(data)}"'}
        if path in self.large:
            digest = sha256(data).hexdigest()
            headers |= {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(data))}
            if self.storage is not None:
                self.storage.files[f"/blobs/{digest}"] = data
                handler.give(302, b"", {**headers, "Location": f"{self.storage.url}/blobs/{digest}?signature=s"})
                return
        if handler.request_now.range is None:
            handler.give(200, data, headers)
        else:
            handler.give_range(data, headers)


def git_oid(data: bytes) -> str:
    """Object id that Git gives a file."""
    return sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _give_json(handler: Handler, value: Any, headers: Mapping[str, str] | None = None) -> None:
    handler.give(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})
