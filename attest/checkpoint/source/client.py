"""HTTP as attest speaks it: ranges and small documents, from hosts that it was told of.

A server may be hostile, and so may whoever it redirects to: a secret goes to its own host only, no redirect leads from
https to http or from the network into this machine, every answer has a limit, and an answer that is not the range that
was asked for is an error.

References
----------
RFC 9110, sections 8.8.3 (ETag), 13.1.1 (If-Match), 14 (range requests), 15.4 (redirects).
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.util import make_headers, parse_url

from attest.checkpoint.source.address import Address
from attest.checkpoint.source.range_stream import MAX_PIECE, Interrupted, Patience
from attest.document import parse
from attest.errors import CheckpointError, NetworkError

__all__ = ["Client", "Headers"]

Headers: TypeAlias = Mapping[str, str]

_MAX_REDIRECTS = 5
_MAX_CONNECTIONS = 16
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SHORT_BODY = 16 * 1024
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,16})-(\d{1,16})|\*)/(\d{1,16})")
_COPY = "download the checkpoint and measure the copy"
_PAGE = "a web page, as a login or a proxy gives it"

_IN_WORDS = {
    "ConnectTimeoutError": "no connection",
    "IncompleteRead": "it broke off",
    "NameResolutionError": "the name of its host could not be looked up",
    "NewConnectionError": "no connection",
    "ProtocolError": "the connection broke",
    "ProxyError": "the proxy of the environment does not let it through",
    "ReadTimeoutError": "no byte for a minute",
}
"""What troubles of urllib3 mean, by the names of their classes."""


class Client:
    """Asks servers for ranges and documents.

    Parameters
    ----------
    secret : tuple of (Address, str), optional
        An address, and the value of ``Authorization`` that its host, and no other, is sent.
    sleep : callable
        Waits some seconds.
    """

    def __init__(
        self, *, secret: tuple[Address, str] | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._secret = secret
        self._sleep = sleep
        self._direct = urllib3.PoolManager(num_pools=8, maxsize=_MAX_CONNECTIONS, timeout=_TIMEOUT, retries=False)
        proxy = getproxies().get("https")
        self._by_proxy = _proxy_manager(proxy) if proxy else self._direct

    def patience(self, address: Address) -> Patience:
        """Patience for one request, or for the requests of one stream."""
        return Patience(address.shown, self._sleep)

    def document(self, address: Address, *, max_bytes: int) -> tuple[Any, Headers]:
        """JSON value at an address, and the headers of the answer.

        Raises
        ------
        NetworkError
        DocumentError
            It is too large, or no strict JSON.
        """
        patience = self.patience(address)
        while True:
            try:
                return self._document(address, max_bytes)
            except Interrupted as trouble:
                patience.bear(trouble)

    def _document(self, address: Address, max_bytes: int) -> tuple[Any, Headers]:
        _, response = self._answer(address, {}, expected={}, entity_tags={})
        try:
            if response.status != 200:
                raise _refusal(response, address)
            if _is_page(response.headers):
                raise _bad_answer(_PAGE, address)
            data = response.read(max_bytes + 1)
        except urllib3.exceptions.HTTPError as error:
            raise _interrupted(error) from error
        finally:
            response.close()
        return parse(data, where=address.shown, max_bytes=max_bytes), response.headers

    def range(
        self,
        address: Address,
        begin: int,
        end: int,
        *,
        expected: Headers | None = None,
        entity_tags: Headers | None = None,
    ) -> RangeBody:
        """Bytes from ``begin`` up to, not including, ``end`` of a file that is longer than ``begin``.

        Parameters
        ----------
        expected : mapping of str to str, optional
            Headers that the address's own host must give so where it gives them.
        entity_tags : mapping of str to str, optional
            Strong entity tag of the file by origin: what ``If-Match`` asks for.

        Raises
        ------
        Interrupted
            Asking again may help.
        NetworkError
            The server refused, or its answer is not this range.
        CheckpointError
            The file is not the one any more.
        """
        headers = {"Range": f"bytes={begin}-{end - 1}"}
        here, response = self._answer(address, headers, expected=expected or {}, entity_tags=entity_tags or {})
        try:
            return RangeBody(response, here, begin, end, asked=address)
        except BaseException:
            response.close()
            raise

    def _answer(
        self, address: Address, headers: Headers, *, expected: Headers, entity_tags: Headers
    ) -> tuple[Address, urllib3.BaseHTTPResponse]:
        """The answer to a GET, redirects followed, and where it came from."""
        here = address
        for _ in range(_MAX_REDIRECTS + 1):
            sent = {**headers, "Accept-Encoding": "identity", "User-Agent": "attest"}
            if self._secret is not None and self._secret[0].origin == here.origin:
                sent["Authorization"] = self._secret[1]
            if here.origin in entity_tags:
                sent["If-Match"] = entity_tags[here.origin]
            response = self._get(here, sent)
            if here.origin == address.origin:
                _compare(response, expected, address)
            if response.status in _TRY_AGAIN:
                _end(response)
                reason = f"status {response.status}, {HTTPStatus(response.status).phrase.lower()}"
                raise Interrupted(reason, retry_after=response.headers.get("Retry-After"))
            if response.status not in _REDIRECTS:
                return here, response
            _end(response)
            here = here.follow(response.headers.get("Location", ""))
        raise NetworkError(
            "too-many-redirects", f"redirects more than {_MAX_REDIRECTS} times", fix=_COPY, where=address.shown
        )

    def _get(self, address: Address, headers: Headers) -> urllib3.BaseHTTPResponse:
        pool = self._direct if address.is_http or proxy_bypass(address.host) else self._by_proxy
        try:
            return pool.request(
                "GET", address.url, headers=headers, redirect=False, preload_content=False, decode_content=False
            )
        except (urllib3.exceptions.SSLError, urllib3.exceptions.LocationValueError) as error:
            said = str(error).replace(address.query, "") if address.query else str(error)
            raise NetworkError(
                "not-trusted",
                f"cannot be spoken to safely ({said[:200]})",
                fix="check the address and the certificates of this machine",
                where=address.shown,
            ) from error
        except urllib3.exceptions.HTTPError as error:
            if isinstance(error.__cause__, socket.gaierror) and error.__cause__.errno == socket.EAI_NONAME:
                raise NetworkError(
                    "not-found",
                    "has a host whose name is not found",
                    fix="check the address and the network",
                    where=address.shown,
                ) from error
            raise _interrupted(error) from error


def _interrupted(error: urllib3.exceptions.HTTPError) -> Interrupted:
    name = type(error).__name__
    return Interrupted(_IN_WORDS.get(name, name))


def _proxy_manager(url: str) -> urllib3.ProxyManager:
    """Connections through the proxy that the environment names; https goes through it as a tunnel."""
    auth = parse_url(url).auth
    headers = make_headers(proxy_basic_auth=auth) if auth else None
    return urllib3.ProxyManager(
        url, num_pools=8, maxsize=_MAX_CONNECTIONS, timeout=_TIMEOUT, retries=False, proxy_headers=headers
    )


class RangeBody:
    """Bytes of one answer: the range that was asked for, and not a byte more.

    Attributes
    ----------
    origin : str
        Of the host that sent it.
    size : int
        Bytes of the whole file.
    entity_tag, last_modified : str
        As the host gives them; empty where it gives none.
    """

    def __init__(
        self, response: urllib3.BaseHTTPResponse, here: Address, begin: int, end: int, *, asked: Address
    ) -> None:
        self.origin = here.origin
        self.entity_tag = response.headers.get("ETag", "")[:500]
        self.last_modified = response.headers.get("Last-Modified", "")[:100]
        self._response = response
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if begin == 0 and _is_empty(response.status, response.headers):
            self.size, self._left = 0, 0
            return
        if begin == 0 and response.status == 416:
            raise _bad_answer("status 416, as if the file had no beginning", asked)
        if response.status != 206:
            raise _refusal(response, asked)
        if found is None or not found[1] or response.headers.get("Content-Encoding", "identity") != "identity":
            raise _bad_answer("a part of the file without saying which, or compressed", asked)
        first, last, self.size = int(found[1]), int(found[2]), int(found[3])
        if (first, last) != (begin, min(end, self.size) - 1):
            raise _bad_answer(f"bytes {first} to {last} instead of {begin} to {end - 1}", asked)
        self._left = last - first + 1

    def readinto(self, buffer: memoryview) -> int:
        """Fill a part of the buffer; 0 at the end of the range."""
        try:
            data = self._response.read(min(len(buffer), self._left, MAX_PIECE))
        except urllib3.exceptions.HTTPError as error:
            raise _interrupted(error) from error
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        """Give the connection back where all was read, and end it where not."""
        if self._left:
            self._response.close()
        else:
            self._response.release_conn()


def _end(response: urllib3.BaseHTTPResponse) -> None:
    """End an answer that says enough without its body; a short one is read, so that its connection serves again."""
    with suppress(urllib3.exceptions.HTTPError):
        response.read(_SHORT_BODY)
    response.close()


def _is_empty(status: int, headers: Headers) -> bool:
    """Whether the file has no bytes, so that a server has no range to give: some answer 200, others 416."""
    return (status == 200 and headers.get("Content-Length") == "0") or (
        status == 416 and headers.get("Content-Range") == "bytes */0"
    )


def _compare(response: urllib3.BaseHTTPResponse, expected: Headers, address: Address) -> None:
    """Hold what a server says of a file against what it said before."""
    for name, value in expected.items():
        if response.headers.get(name, value).strip('"') != value:
            response.close()
            raise _bad_answer(f"another {name} than it listed", address)


def _bad_answer(what: str, address: Address) -> NetworkError:
    return NetworkError("bad-answer", f"answered with {what}", fix=_COPY, where=address.shown)


def _is_page(headers: Headers) -> bool:
    return headers.get("Content-Type", "").lower().startswith("text/html")


def _said_by_the_hub(code: str, where: str) -> NetworkError | None:
    """What a code of the Hub means: the status alone does not tell a gated model from a misspelled one."""
    if code == "GatedRepo":
        fix = "ask for access on its page, and give a token of that account in HF_TOKEN"
        return NetworkError("access-denied", "is gated: its owners choose who may read it", fix=fix, where=where)
    if code == "RepoNotFound":
        message = "is no model, or a private one that cannot be read with this token or without one"
        fix = "check the name, and give a token that may read it in HF_TOKEN"
        return NetworkError("not-found", message, fix=fix, where=where)
    if code == "RevisionNotFound":
        return NetworkError(
            "not-found", "is no branch, tag or commit of the model", fix="check the revision", where=where
        )
    return None


def _refusal(response: urllib3.BaseHTTPResponse, address: Address) -> NetworkError | CheckpointError:
    """What an answer means, where a range (206) or a document (200) was asked for."""
    where, status = address.shown, response.status
    said = _said_by_the_hub(response.headers.get("X-Error-Code", ""), where) if status in {401, 403, 404} else None
    if said is not None:
        return said
    if status == 200 and not _is_page(response.headers):
        return NetworkError("no-ranges", "answers with whole files where a part was asked for", fix=_COPY, where=where)
    if status in {401, 403}:
        return NetworkError(
            "access-denied",
            f"refuses access (status {status})",
            fix="give a token, for the Hub in HF_TOKEN, or a signed address, that may read it and has not expired",
            where=where,
        )
    if status in {404, 410}:
        return NetworkError("not-found", "is not there", fix="check the address and the revision", where=where)
    if status in {412, 416}:
        return CheckpointError(
            "file-changed", "changed while it was read", fix="measure again when nothing writes to it", where=where
        )
    return _bad_answer(_PAGE if status == 200 else f"status {status}", address)
