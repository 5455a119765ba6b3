"""A web server of files in memory, with ranges and entity tags, on the loopback interface; faults spoil answers."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from threading import Thread
from typing import Any, TypeAlias
from urllib.parse import unquote

Fault: TypeAlias = "Callable[[Handler], None]"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client asked for; names of headers in lower case."""

    path: str
    query: str
    headers: Mapping[str, str]

    @property
    def range(self) -> tuple[int, int] | None:
        """First and last byte."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        return (int(found[1]), int(found[2])) if found else None


@dataclass(kw_only=True)
class Web:
    """What a server holds and what it was asked for.

    ``faults`` answer the next requests in its place, one each; None answers as usual. ``always`` answers all.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    log: list[Request] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    always: Fault | None = None
    url: str = ""

    def route(self, handler: Handler) -> None:
        """Answer one request: a range of a file, or the whole."""
        path = handler.request_now.path
        if path not in self.files:
            handler.give(404)
            return
        data = self.files[path]
        headers = {"ETag": f'"{sha256(data).hexdigest()[:16]}"', "Accept-Ranges": "bytes", **self.headers.get(path, {})}
        wanted = handler.request_now.headers.get("if-match")
        if wanted is not None and wanted != headers["ETag"]:
            handler.give(412)
        elif handler.request_now.range is None:
            handler.give(200, data, headers)
        elif handler.request_now.range[0] >= len(data):
            handler.give(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        else:
            handler.give_range(data, headers)


class Handler(BaseHTTPRequestHandler):
    """Hands requests to a ``Web``."""

    protocol_version = "HTTP/1.1"
    web: Web
    request_now: Request

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.request_now = Request(path=unquote(path), query=query, headers=headers)
        self.web.log.append(self.request_now)
        fault = self.web.always or (self.web.faults.pop(0) if self.web.faults else None)
        (fault or self.web.route)(self)

    def do_HEAD(self) -> None:
        self.do_GET()

    def give(self, status: int, data: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send one whole answer."""
        self.begin(status, {"Content-Length": str(len(data)), **(headers or {})})
        self.send(data)

    def give_range(self, data: bytes, headers: Mapping[str, str]) -> None:
        """Send the range that was asked for."""
        begin, last = self.request_now.range or (0, 0)
        part = data[begin : last + 1]
        self.give(206, part, {"Content-Range": f"bytes {begin}-{begin + len(part) - 1}/{len(data)}", **headers})

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, data: bytes) -> bool:
        """Send bytes; whether the client still listens."""
        if self.command == "HEAD":
            return False
        try:
            self.wfile.write(data)
        except OSError:
            self.close_connection = True
            return False
        return True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
        """Keep quiet."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet where a client went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(web: Web, *, tls: SSLContext | None = None) -> Iterator[Web]:
    """Serve on a free port of the loopback interface, as long as the block runs."""
    with _Server(("127.0.0.1", 0), type("_Handler", (Handler,), {"web": web})) as server:
        web.url = f"http://127.0.0.1:{server.server_port}"
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            web.url = f"https://localhost:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()


def status(code: int, headers: Mapping[str, str] | None = None) -> Fault:
    """An answer of this status without a body."""
    return lambda handler: handler.give(code, b"", headers)


def page(handler: Handler) -> None:
    """The form that a proxy shows whoever has not logged in."""
    handler.give(200, b"<html>", {"Content-Type": "text/html; charset=utf-8"})


def redirect(url: str) -> Fault:
    """An answer that leads elsewhere."""
    return status(302, {"Location": url})


def cut_after(size: int) -> Fault:
    """The usual answer, and the end of the connection after a few bytes of it."""

    def fault(handler: Handler) -> None:
        send, left = handler.send, size

        def cut(data: bytes) -> bool:
            nonlocal left
            part, left = data[:left], max(0, left - len(data))
            handler.close_connection = True
            return send(part)

        handler.send = cut  # type: ignore[method-assign]
        handler.web.route(handler)

    return fault


def changed_to(path: str, data: bytes) -> Fault:
    """The usual answer, after a file was replaced."""

    def fault(handler: Handler) -> None:
        handler.web.files[path] = data
        handler.web.route(handler)

    return fault


def whole(handler: Handler) -> None:
    """The whole file, whatever was asked for."""
    handler.give(200, handler.web.files[handler.request_now.path], {"ETag": '"1"'})


def endless(handler: Handler) -> None:
    """Bytes without end, as if they were the range that was asked for."""
    first, last = handler.request_now.range or (0, 0)
    size = len(handler.web.files.get(handler.request_now.path, b"")) or 2**40
    handler.begin(
        206 if handler.request_now.range else 200,
        {"Content-Range": f"bytes {first}-{min(last, size - 1)}/{size}", "ETag": '"1"', "Connection": "close"},
    )
    handler.close_connection = True
    while handler.send(bytes(65536)):
        pass


def other_range(handler: Handler) -> None:
    """The range behind the one that was asked for."""
    data = handler.web.files[handler.request_now.path]
    first, last = handler.request_now.range or (0, 0)
    part = data[first + 1 : last + 2]
    handler.give(206, part, {"Content-Range": f"bytes {first + 1}-{first + len(part)}/{len(data)}", "ETag": '"1"'})
