"""Addresses on the web: which are spoken to at all, and which a redirect may lead to."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urljoin, urlsplit

from attest.errors import InputError, NetworkError

__all__ = ["Address", "without_secrets"]

_MAX_URL = 8192
_PLAIN = re.compile(r"[!-~]+")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_PORTS = {"https": 443, "http": 80}


def without_secrets(uri: str) -> str:
    """A URI, valid or not, without what may be a secret: name and password before its host, its query and fragment."""
    scheme, _, rest = uri.partition("://")
    host, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    before, _, behind = host.rpartition("@")
    is_revision = scheme == "hf" and ":" not in before
    return f"{scheme}://{host if is_revision else behind}{slash}{path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """An https address, or an http address of this machine.

    Parameters
    ----------
    origin : str
        Scheme, host and port: what a secret or an entity tag belongs to.
    path : str
        From the first slash, percent-encoded.
    query : str
        With its question mark, or empty.
    """

    origin: str
    path: str
    query: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Address in a URL; its fragment is left out.

        Raises
        ------
        InputError
            It is neither https nor http to this machine, or it carries a name or a password.
        """
        if len(url) > _MAX_URL or not _PLAIN.fullmatch(url):
            _refuse("has characters that a URL has not, or is too long", url)
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            _refuse("is not a URL", url)
        scheme, host = parts.scheme.lower(), parts.netloc.rpartition("@")[2].removesuffix(f":{port}").lower()
        if "@" in parts.netloc:
            _refuse("carries a user name or password", f"{scheme}://{host}")
        if scheme not in _PORTS or not _HOST.fullmatch(host) or "\\" in url:
            _refuse("is not an https address", url)
        if scheme == "http" and not _is_loopback(host):
            _refuse("is not https, and leads to another machine", url)
        return cls(
            origin=f"{scheme}://{host}:{port or _PORTS[scheme]}",
            path=parts.path or "/",
            query=f"?{parts.query}" if parts.query else "",
        )

    @property
    def url(self) -> str:
        """The whole address, as it is asked for."""
        return self.shown + self.query

    @property
    def shown(self) -> str:
        """The address without its query, which may hold a secret."""
        scheme = self.origin.partition(":")[0]
        return self.origin.removesuffix(f":{_PORTS[scheme]}") + self.path

    @property
    def is_http(self) -> bool:
        """Whether it is spoken to without encryption, which only this machine is."""
        return self.origin.startswith("http:")

    @property
    def host(self) -> str:
        """Name or number of the host; that of IP version 6 in brackets."""
        return self.origin.partition("://")[2].rpartition(":")[0]

    def follow(self, location: str) -> Address:
        """Where a redirect from here leads.

        Raises
        ------
        NetworkError
            From https to http, from another machine to this one or to a private network, or to no address at all.
        """
        try:
            there = Address.parse(urljoin(self.url, location))
        except (InputError, ValueError) as error:
            raise self._unsafe("leads to no https address") from error
        if there.is_http and not self.is_http:
            raise self._unsafe("leads from https to http")
        if _is_private(there.host) and not _is_private(self.host):
            raise self._unsafe("leads into a private network")
        return there

    def _unsafe(self, why: str) -> NetworkError:
        return NetworkError(
            "unsafe-redirect",
            f"answered with a redirect that {why}",
            fix="check the address, or download the checkpoint and measure the copy",
            where=self.shown,
        )


def _refuse(why: str, url: str) -> NoReturn:
    raise InputError(
        "bad-address", f"{without_secrets(url)[:200]!r} {why}", fix="give an https:// address without a password"
    )


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _ip(host)
    return host == "localhost" if address is None else address.is_loopback


def _is_private(host: str) -> bool:
    """Whether a host is named by an address that is not of the public Internet; names are not looked up."""
    address = _ip(host)
    return host == "localhost" if address is None else not address.is_global
