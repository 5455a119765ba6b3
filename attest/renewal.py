"""Renewals: time stamps over a bundle and the time stamps before, for evidence that must outlive an authority's key.

Each one covers the bundle's bytes and every renewal before it with SHA-512. While the newest can be checked, it shows
that the older ones existed when their keys and digests could still be trusted.

References
----------
RFC 4998 (Evidence Record Syntax), section 5.2, whose idea this follows in JSON; ETSI EN 319 102-1, section 5.6.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from attest.atomic import write_atomically
from attest.checkpoint.tree import open_file
from attest.document import canonical, load, parse, record
from attest.envelope import b64decode, b64encode
from attest.errors import CheckpointError, InputError, SignatureError
from attest.timestamp import TimeStamp, check_time_stamp, request_time_stamp
from attest.trust import TrustedAuthority

__all__ = ["RENEWALS_SUFFIX", "check_renewals", "covered_by_renewal", "read_renewals", "renew", "renewals_path"]

RENEWALS_SUFFIX = ".renewals.json"
_MAX_RENEWALS = 256
_MAX_FILE = 8 * 1024 * 1024


@record
class _Renewals:
    schema_version: Literal[1]
    time_stamps: Annotated[tuple[str, ...], Field(max_length=_MAX_RENEWALS)]


def renewals_path(bundle: Path) -> Path:
    """Where the renewals of a bundle lie: beside it."""
    return bundle.with_name(bundle.name + RENEWALS_SUFFIX)


def covered_by_renewal(bundle: bytes, earlier: Sequence[bytes]) -> bytes:
    r"""Bytes that the next renewal covers.

    ``"attest renewal v1\n"``, then the bundle's file and each earlier renewal (DER), each behind its length in
    decimal and a newline.
    """
    return b"attest renewal v1\n" + b"".join(b"%d\n%b" % (len(part), part) for part in (bundle, *earlier))


def read_renewals(bundle: Path) -> tuple[bytes, ...]:
    """Renewals of a bundle, DER, oldest first; none where the file is missing.

    Raises
    ------
    DocumentError
        The file is malformed, or holds more than 256.
    InputError
        It is there and cannot be read.
    """
    path = renewals_path(bundle)
    if not path.is_symlink() and not path.exists():
        return ()
    try:
        with open_file(path.parent, path.name) as stream:
            data = stream.read(_MAX_FILE + 1)
    except CheckpointError as error:
        raise InputError("no-renewals", error.message, fix="check the file", where=str(path)) from error
    held = load(_Renewals, parse(data, where=path.name, max_bytes=_MAX_FILE), where=path.name)
    return tuple(b64decode(one, where=path.name) for one in held.time_stamps)


def renew(bundle: Path, data: bytes, url: str) -> Path:
    """Add a renewal from an authority; the file that holds it.

    Parameters
    ----------
    bundle : Path
        The bundle's file.
    data : bytes
        Its bytes.
    url : str
        Time-stamp authority.

    Raises
    ------
    InputError
        There are 256 already, or the file cannot be written.
    NetworkError
        The authority gave no time stamp.
    """
    earlier = read_renewals(bundle)
    path = renewals_path(bundle)
    if len(earlier) == _MAX_RENEWALS:
        raise InputError("too-many-renewals", f"holds {_MAX_RENEWALS} renewals", fix="keep it", where=str(path))
    token = request_time_stamp(covered_by_renewal(data, earlier), url, digest="sha512")
    held = _Renewals(schema_version=1, time_stamps=tuple(b64encode(one) for one in (*earlier, token)))
    write_atomically(path, canonical(held), force=True)
    return path


def check_renewals(data: bytes, renewals: Sequence[bytes], authorities: Sequence[TrustedAuthority]) -> list[TimeStamp]:
    """What the authorities say of each renewal, oldest first.

    Raises
    ------
    SignatureError
        One does not hold, or is older than the one before it.
    """
    stamps = [
        check_time_stamp(token, covered_by_renewal(data, renewals[:number]), authorities)
        for number, token in enumerate(renewals)
    ]
    for one, next_one in pairwise(stamps):
        if next_one.time < one.time:
            raise SignatureError("renewal-order", "a renewal is older than the one before", fix="ask for another copy")
    return stamps
