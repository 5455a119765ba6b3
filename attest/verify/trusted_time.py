"""Step 4: when it was signed, as somebody else than the signer says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from attest.bundle import Bundle
from attest.errors import SignatureError
from attest.keyless import Verified
from attest.renewal import check_renewals
from attest.timestamp import check_time_stamp
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
    authorities: Sequence[TrustedAuthority],
    keyless: Verified | None,
    *,
    is_asked: bool,
) -> tuple[Check, tuple[TrustedTime, ...]]:
    """Step 4, and every time that can be trusted.

    Parameters
    ----------
    bundle : Bundle
    data : bytes
        The bundle's file.
    renewals : sequence of bytes
        Time stamps over that file, oldest first.
    authorities : sequence of TrustedAuthority
        Whom the reader trusts.
    keyless : Verified or None
        The log entry, where steps 2 and 3 verified one.
    is_asked : bool
        Whether the reader named an authority, so that a time stamp which is missing is noticed.
    """
    times, problems = _log_times(keyless), []
    if len(set(bundle.timestamps)) != len(bundle.timestamps):
        problems.append("a time stamp is there twice")
    for number, token in enumerate(bundle.timestamps, start=1):
        if not authorities:
            break
        try:
            stamp = check_time_stamp(token, bundle.content.signature, authorities)
            times.append(TrustedTime(time=stamp.time, source="time-stamp-authority", by=stamp.authority))
        except SignatureError as error:
            problems.append(f"time stamp {number}: {error.message}")
    if is_asked and not bundle.timestamps:
        problems.append("it holds no time stamp, and you named an authority")
    renewed = _check_renewals(data, renewals, authorities, problems)
    facts = [{"time": one.text, "source": one.source, "by": one.by} for one in times]
    if problems:
        return checked(
            "time", "FAILED", "A time stamp does not hold.", problems, times=facts, renewedAt=renewed
        ), tuple(times)
    if times:
        first = min(times, key=lambda one: one.time)
        message = f"Signed at or before {first.text}, says {first.by}."
        message += f" Renewed {len(renewed)} times, last at {renewed[-1]}." if renewed else ""
        return checked("time", "PASSED", message, times=facts, renewedAt=renewed), tuple(times)
    return _untold(len(bundle.timestamps)), ()


def _check_renewals(
    data: bytes, renewals: Sequence[bytes], authorities: Sequence[TrustedAuthority], problems: list[str]
) -> list[str]:
    """When the time stamps were renewed; what is wrong goes to the problems."""
    if not authorities:
        return []
    try:
        return [_text(stamp.time) for stamp in check_renewals(data, renewals, authorities)]
    except SignatureError as error:
        problems.append(f"renewals: {error.message}")
        return []


def _text(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _log_times(keyless: Verified | None) -> list[TrustedTime]:
    if keyless is None or keyless.log.time is None:
        return []
    return [TrustedTime(time=keyless.log.time, source="transparency-log", by=f"the log (entry {keyless.log.index})")]


def _untold(count: int) -> Check:
    if not count:
        return skipped("time", "It holds no time stamp: when it was signed, the signer alone says.")
    return skipped("time", f"Its {count} time stamps were not checked; name their authority with --tsa-certificate.")
