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
from cryptography.exceptions import InvalidSignature

from attest.digest import sha256
from attest.document import parse
from attest.errors import DocumentError, InputError
from attest.foreign import translated

__all__ = ["TrustedAuthority", "TrustedLog", "TrustedRoot", "read_time_authority"]

_MAX_ROOT = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trusted:
    """Somebody whose signatures are trusted from ``begin`` to ``end``, both inclusive; None is no bound."""

    begin: datetime | None = None
    end: datetime | None = None

    def is_trusted_at(self, time: datetime) -> bool:
        """Whether what it signed at that time is trusted."""
        return (self.begin is None or self.begin <= time) and (self.end is None or time <= self.end)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedAuthority(_Trusted):
    """A time-stamp authority, or one that signs certificates.

    Parameters
    ----------
    certificates : tuple of Certificate
        Its own, where it is known, then those above it; the last one is its root.
    begin, end : datetime or None
        When what it signed is trusted, both inclusive.
    """

    certificates: tuple[x509.Certificate, ...]

    @property
    def name(self) -> str:
        """Subject of the first certificate. Hostile input where the reader took it unseen."""
        return self.certificates[0].subject.rfc4514_string()

    def signed(self, certificate: x509.Certificate, time: datetime) -> bool:
        """Whether it signed a certificate, while it was trusted and all of its own were valid.

        References
        ----------
        RFC 5280, section 6.1.3 (a) (2).
        """
        issuer = self.certificates[0]
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            return False
        are_valid = all(one.not_valid_before_utc <= time <= one.not_valid_after_utc for one in self.certificates)
        return are_valid and self.is_trusted_at(time)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedLog(_Trusted):
    """A transparency log: its id in base64, and when its key is trusted, both inclusive."""

    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedRoot:
    """The root of trust of a Sigstore instance.

    Parameters
    ----------
    data : bytes
        The JSON file, byte for byte.
    source : str
        Where it came from.
    authorities : tuple of TrustedAuthority
        Its time-stamp authorities.
    certificate_authorities : tuple of TrustedAuthority
    logs : tuple of TrustedLog
        Its transparency logs.
    """

    data: bytes
    source: str
    authorities: tuple[TrustedAuthority, ...]
    certificate_authorities: tuple[TrustedAuthority, ...]
    logs: tuple[TrustedLog, ...]

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
            Not JSON, or its authorities or logs are malformed.
        """
        value = parse(data, where=source, max_bytes=_MAX_ROOT)
        fix = "give the trusted_root.json of the Sigstore instance"
        with translated("not-a-trusted-root", DocumentError, "not a trusted root", fix=fix, where=source):
            authorities = tuple(_authority(one) for one in value.get("timestampAuthorities") or ())
            issuers = tuple(_authority(one) for one in value.get("certificateAuthorities") or ())
            logs = tuple(_log(one) for one in value.get("tlogs") or ())
        return cls(data=data, source=source, authorities=authorities, certificate_authorities=issuers, logs=logs)

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


def read_time_authority(path: Path) -> TrustedAuthority:
    """Time-stamp authority of a PEM file: its certificate and those above it, or its root alone.

    Raises
    ------
    InputError
        The file cannot be read, or holds no certificate.
    """
    pem, fix = _read(path), "give the authority's certificates in PEM, its own first and its root last"
    with translated("no-certificate", InputError, "holds no certificates in PEM", fix=fix, where=str(path)):
        return TrustedAuthority(certificates=tuple(_whole(one) for one in x509.load_pem_x509_certificates(pem)))


def _whole(certificate: x509.Certificate) -> x509.Certificate:
    """A certificate of which every part can be read: the libraries look at some of them late, and fail then."""
    certificate.subject.rfc4514_string()
    certificate.issuer.rfc4514_string()
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc, certificate.extensions
    return certificate


def _read(path: Path) -> bytes:
    try:
        if path.is_file():
            with path.open("rb") as stream:
                return stream.read(_MAX_ROOT + 1)
        reason = "there is no such file"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    raise InputError("no-trust-file", reason, fix="check the path", where=str(path))


def _authority(value: dict[str, Any]) -> TrustedAuthority:
    certificates = value["certChain"]["certificates"]
    chain = tuple(_whole(x509.load_der_x509_certificate(base64.b64decode(one["rawBytes"]))) for one in certificates)
    begin, end = _period(value)
    return TrustedAuthority(certificates=(chain[0], *chain[1:]), begin=begin, end=end)


def _log(value: dict[str, Any]) -> TrustedLog:
    begin, end = _period(value["publicKey"])
    return TrustedLog(id=str(value["logId"]["keyId"]), begin=begin, end=end)


def _period(value: dict[str, Any]) -> tuple[datetime | None, datetime | None]:
    period = value.get("validFor") or {}
    begin, end = (_time(period[name]) if period.get(name) else None for name in ("start", "end"))
    return begin, end


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} says no time zone")
    return time
