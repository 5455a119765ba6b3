"""Trusted time: what a time-stamp authority says about a signature.

References
----------
RFC 3161 (Time-Stamp Protocol), sections 2.3 and 2.4; RFC 5816 (ESSCertIDv2).
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerifierBuilder,
    decode_timestamp_response,
)

from attest.errors import InputError, NetworkError, SignatureError
from attest.foreign import translated
from attest.trust import TrustedAuthority

__all__ = ["TimeStamp", "check_time_stamp", "request_time_stamp"]

_MAX_ANSWER = 64 * 1024
_TIMEOUT = 30.0
"""Seconds."""
_DIGESTS = {f"2.16.840.1.101.3.4.2.{number}": name for number, name in enumerate(("sha256", "sha384", "sha512"), 1)}
"""By object identifier (NIST CSOR)."""
_GIVE_INTACT = "ask the signer for an intact copy"


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeStamp:
    """A time stamp that was verified: the bytes existed at ``time``, says ``authority``."""

    time: datetime
    authority: TrustedAuthority


def request_time_stamp(data: bytes, url: str, *, digest: Literal["sha256", "sha512"] = "sha256") -> bytes:
    """Answer of a time-stamp authority over bytes, DER; only a digest of them is sent.

    Parameters
    ----------
    data : bytes
    url : str
        http or https; the answer is signed, so it needs no other protection.
    digest : {"sha256", "sha512"}
        What the authority is shown.

    Raises
    ------
    InputError
        The address is no web address.
    NetworkError
        The authority does not answer, refuses, or answers about something else.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError("bad-address", "not a web address", fix="give the authority's http(s) address", where=url)

    query = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm[digest.upper()]).nonce(nonce=True).build()
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    request = urllib.request.Request(url, query.as_bytes(), headers)  # noqa: S310 - the scheme was checked
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            token: bytes = answer.read(_MAX_ANSWER + 1)
    except (http.client.HTTPException, OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = f"the time-stamp authority did not answer ({error})"
        raise NetworkError("no-answer", reason, fix="try again later, or give another --tsa", where=url) from error
    with translated("bad-answer", NetworkError, f"{url} gave no time stamp", fix="give another --tsa"):
        response = decode_timestamp_response(token)
        if response.tst_info.nonce != query.nonce or not _is_about(response, data):
            raise ValueError("its time stamp is not about what was asked")
    return token


def check_time_stamp(token: bytes, data: bytes, authorities: Sequence[TrustedAuthority]) -> TimeStamp:
    """The time stamp that one of the authorities made over the data.

    Parameters
    ----------
    token : bytes
        DER of a ``TimeStampResp``.
    data : bytes
        What it must be about.
    authorities : sequence of TrustedAuthority
        Whom the reader trusts.

    Raises
    ------
    SignatureError
        It is about other bytes, malformed, or names one of the authorities that did not sign it within the time in
        which it is trusted (``time-stamp-wrong``); or it is of another authority (``time-stamp-untrusted``).

    Notes
    -----
    It shows that the bytes existed then. It does not show when they were made, nor who sent them.
    """
    with translated("time-stamp-wrong", SignatureError, "malformed", fix=_GIVE_INTACT):
        response = decode_timestamp_response(token)
        time = response.tst_info.gen_time.astimezone(UTC)
        if not _is_about(response, data):
            raise SignatureError("time-stamp-wrong", "it is about other bytes", fix=_GIVE_INTACT)
    reasons = []
    for authority in authorities:
        try:
            _verify(response, data, authority)
        except SignatureError as error:
            reasons.append(error.message)
            continue
        if authority.is_trusted_at(time):
            return TimeStamp(time=time, authority=authority)
        reasons.append(f"{authority.name} is not trusted at {time:%Y-%m-%dT%H:%M:%SZ}")
    code = "time-stamp-wrong" if _claims_one_of(response, authorities) else "time-stamp-untrusted"
    reason = "; ".join(reasons) or "no authority is trusted"
    raise SignatureError(code, reason, fix="give the authority's certificates with --tsa-certificate")


def _claims_one_of(response: TimeStampResponse, authorities: Sequence[TrustedAuthority]) -> bool:
    """Whether a time stamp names one of the authorities as its signer, rightly or not. Raises SignatureError."""
    with translated("time-stamp-wrong", SignatureError, "malformed", fix=_GIVE_INTACT):
        issuers = {signer.issuer for signer in response.signed_data.signer_infos}
        subjects = {certificate.subject for one in authorities for certificate in one.certificates}
        return bool(issuers & subjects)


def _verify(response: TimeStampResponse, data: bytes, authority: TrustedAuthority) -> None:
    *others, root = authority.certificates
    with translated("time-stamp-wrong", SignatureError, f"not by {authority.name}", fix=_GIVE_INTACT):
        builder = VerifierBuilder(tsa_certificate=others[0] if others else None, roots=[root], intermediates=others[1:])
        builder.build().verify_message(response, data)


def _is_about(response: TimeStampResponse, data: bytes) -> bool:
    """Whether the token's imprint is the digest of the data."""
    imprint = response.tst_info.message_imprint
    name = _DIGESTS[imprint.hash_algorithm.dotted_string]
    return hashlib.new(name, data).digest() == imprint.message
