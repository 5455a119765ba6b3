"""A disk that reads no faster than it is told: commands run in a control group of their own, which needs root."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["limited"]

_GROUPS = Path("/sys/fs/cgroup")
_NAME = "attest-benchmark"
_ENTER = 'echo $$ > "$0" && exec "$@"'


@contextmanager
def limited(folder: Path, rate: int) -> Iterator[Sequence[str]]:
    """Words to put before a command, so that it reads from the disk of a folder at most ``rate`` bytes a second.

    Raises
    ------
    OSError
        The system has no such groups, or does not let this user make one.
    """
    disk = _disk_of(folder)
    if (_GROUPS / "cgroup.controllers").exists():
        (_GROUPS / "cgroup.subtree_control").write_text("+io")
        group, setting, value = _GROUPS / _NAME, "io.max", f"{disk} rbps={rate}"
    else:
        group, setting, value = _GROUPS / "blkio" / _NAME, "blkio.throttle.read_bps_device", f"{disk} {rate}"
    group.mkdir()
    try:
        (group / setting).write_text(value)
        yield ("sh", "-c", _ENTER, str(group / "cgroup.procs"))
    finally:
        group.rmdir()


def _disk_of(folder: Path) -> str:
    """Numbers of the whole disk that a folder lies on."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    place = Path("/sys/dev/block", number).resolve()
    return (place.parent / "dev").read_text().strip() if (place / "partition").exists() else number
