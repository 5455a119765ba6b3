"""Whom a reader trusts: the root of a Sigstore instance, and authorities that say what time it is.

Both come from the reader, never from the directory under test.

References
----------
sigstore/protobuf-specs, sigstore_trustroot.proto; RFC 3161, section 2.3 (certificates of time-stamp authorities).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from attest.digest import sha256
from attest.document import parse
from attest.errors import DocumentError, InputError

__all__ = ["TimeAuthority", "TrustedRoot", "read_time_authority"]

_MAX_ROOT = 4 * 1024 * 1024
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What looking for a value in JSON of another shape raises; a broken certificate is a ValueError too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeAuthority:
    """A time-stamp authority.

    Parameters
    ----------
    certificates : tuple of Certificate
        Its own, where it is known, then those above it; the last one is its root.
    begin, end : datetime or None
        When its time stamps are trusted, both inclusive.
    """

    certificates: tuple[x509.Certificate, ...]
    begin: datetime | None = None
    end: datetime | None = None

    @property
    def name(self) -> str:
        """Subject of the first certificate. Hostile input where the reader took it unseen."""
        return self.certificates[0].subject.rfc4514_string()

    def is_trusted_at(self, time: datetime) -> bool:
        """Whether its time stamps of that time are trusted."""
        return (self.begin is None or self.begin <= time) and (self.end is None or time <= self.end)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedRoot:
    """The root of trust of a Sigstore instance.

    Parameters
    ----------
    data : bytes
        The JSON file, byte for byte.
    source : str
        Where it came from.
    authorities : tuple of TimeAuthority
        Its time-stamp authorities.
    """

    data: bytes
    source: str
    authorities: tuple[TimeAuthority, ...]

    @property
    def sha256(self) -> str:
        """Digest of the file."""
        return sha256(self.data)

    @classmethod
    def parse(cls, data: bytes, *, source: str) -> TrustedRoot:
        """Root held by a file's bytes.

        Raises
        ------
        DocumentError
            Not JSON, or its time-stamp authorities are malformed.
        """
        value = parse(data, where=source, max_bytes=_MAX_ROOT)
        try:
            authorities = tuple(_time_authority(one) for one in value.get("timestampAuthorities") or ())
        except _MALFORMED as error:
            reason = f"not a trusted root ({type(error).__name__}: {error})"
            fix = "give the trusted_root.json of the Sigstore instance"
            raise DocumentError("not-a-trusted-root", reason, fix=fix, where=source) from error
        return cls(data=data, source=source, authorities=authorities)

    @classmethod
    def read(cls, path: Path) -> TrustedRoot:
        """Root in a file.

        Raises
        ------
        InputError
            The file cannot be read.
        DocumentError
            It is not a root.
        """
        return cls.parse(_read(path), source=str(path))


def read_time_authority(path: Path) -> TimeAuthority:
    """Time-stamp authority of a PEM file: its certificate and those above it, or its root alone.

    Raises
    ------
    InputError
        The file cannot be read, or holds no certificate.
    """
    try:
        certificates = tuple(x509.load_pem_x509_certificates(_read(path)))
    except ValueError as error:
        fix = "give the authority's certificates in PEM, its own first and its root last"
        raise InputError("no-certificate", "holds no certificates in PEM", fix=fix, where=str(path)) from error
    return TimeAuthority(certificates=certificates)


def _read(path: Path) -> bytes:
    try:
        if path.is_file():
            with path.open("rb") as stream:
                return stream.read(_MAX_ROOT + 1)
        reason = "there is no such file"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    raise InputError("no-trust-file", reason, fix="check the path", where=str(path))


def _time_authority(value: dict[str, Any]) -> TimeAuthority:
    certificates = value["certChain"]["certificates"]
    chain = tuple(x509.load_der_x509_certificate(base64.b64decode(one["rawBytes"])) for one in certificates)
    period = value.get("validFor") or {}
    begin, end = period.get("start"), period.get("end")
    return TimeAuthority(
        certificates=(chain[0], *chain[1:]),
        begin=datetime.fromisoformat(begin) if begin else None,
        end=datetime.fromisoformat(end) if end else None,
    )
