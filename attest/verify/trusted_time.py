"""Step 4: when it was signed, as somebody else than the signer says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from attest.bundle import Bundle
from attest.errors import SignatureError
from attest.keyless import LogTime
from attest.renewal import check_renewals
from attest.timestamp import TimeStamp, check_time_stamp
from attest.trust import TrustedAuthority
from attest.verify.check import Check, checked, skipped

__all__ = ["TimeSource", "TrustedTime", "check_time"]

TimeSource = Literal["time-stamp-authority", "transparency-log"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedTime:
    """A time at which the signature existed already, and who says so."""

    time: datetime
    source: TimeSource
    by: str

    @property
    def text(self) -> str:
        """The time as it is printed, RFC 3339 in UTC."""
        return _text(self.time)


def check_time(
    bundle: Bundle,
    data: bytes,
    renewals: Sequence[bytes],
    logs: Sequence[LogTime],
    *,
    named: Sequence[TrustedAuthority],
    of_root: Sequence[TrustedAuthority],
) -> tuple[Check, tuple[TrustedTime, ...]]:
    """Step 4, and every time that can be trusted.

    Parameters
    ----------
    bundle : Bundle
    data : bytes
        The bundle's file.
    renewals : sequence of bytes
        Time stamps over that file, oldest first.
    logs : sequence of LogTime
        Log entries that steps 2 and 3 verified.
    named : sequence of TrustedAuthority
        Authorities that the reader named: a time stamp of one of them is a must then.
    of_root : sequence of TrustedAuthority
        Those of the trusted root.
    """
    authorities = (*named, *of_root)
    stamps, problems, unknown = _check_stamps(bundle, authorities)
    if named and not any(stamp.authority in named for stamp in stamps):
        problems += unknown or ["it holds no time stamp of an authority that you named"]
    renewed = _check_renewals(data, renewals, authorities, problems) if named else []
    times = _log_times(logs)
    times += [TrustedTime(time=one.time, source="time-stamp-authority", by=one.authority.name) for one in stamps]
    facts: dict[str, Any] = {
        "times": [{"time": one.text, "source": one.source, "by": one.by} for one in times],
        "renewedAt": renewed,
    }
    if problems:
        return checked("time", "FAILED", "A time stamp does not hold, or is missing.", problems, **facts), tuple(times)
    if not times:
        return _untold(len(bundle.timestamps) + (0 if named else len(renewals))), ()
    first = min(times, key=lambda one: one.time)
    message = f"Signed at or before {first.text}, says {first.by}."
    message += f" Renewed {len(renewed)} times, last at {renewed[-1]}." if renewed else ""
    unread = len(unknown) + (len(renewals) if not named else 0)
    message += f" {unread} more time stamps are of authorities that you did not name." if unread else ""
    return checked("time", "PASSED", message, **facts), tuple(times)


def _check_stamps(
    bundle: Bundle, authorities: Sequence[TrustedAuthority]
) -> tuple[list[TimeStamp], list[str], list[str]]:
    """The time stamps that hold, what is wrong, and those of authorities that nobody knows."""
    stamps: list[TimeStamp] = []
    problems = ["a time stamp is there twice"] if len(set(bundle.timestamps)) != len(bundle.timestamps) else []
    unknown: list[str] = []
    for number, token in enumerate(bundle.timestamps if authorities else (), start=1):
        try:
            stamps.append(check_time_stamp(token, bundle.content.signature, authorities))
        except SignatureError as error:
            place = unknown if error.code == "time-stamp-untrusted" else problems
            place.append(f"time stamp {number}: {error.message}")
    return stamps, problems, unknown


def _check_renewals(
    data: bytes, renewals: Sequence[bytes], authorities: Sequence[TrustedAuthority], problems: list[str]
) -> list[str]:
    """When the time stamps were renewed; what is wrong goes to the problems."""
    try:
        return [_text(stamp.time) for stamp in check_renewals(data, renewals, authorities)]
    except SignatureError as error:
        problems.append(f"renewals: {error.message}")
        return []


def _text(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _log_times(logs: Sequence[LogTime]) -> list[TrustedTime]:
    return [
        TrustedTime(time=log.time, source="transparency-log", by=f"the log (entry {log.index})")
        for log in logs
        if log.time is not None
    ]


def _untold(count: int) -> Check:
    if not count:
        return skipped("time", "It holds no time stamp: when it was signed, the signer alone says.")
    return skipped("time", f"Its {count} time stamps were not checked; name their authority with --tsa-certificate.")
