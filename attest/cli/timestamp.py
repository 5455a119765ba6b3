"""``attest timestamp``: trusted time for a bundle that is signed already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from attest.atomic import write_atomically
from attest.bundle import BUNDLE_NAME, MAX_TIMESTAMPS, read_bundle
from attest.cli.options import emit, format_option
from attest.errors import InputError
from attest.renewal import read_renewals, renew, renewals_path
from attest.terminal import visible
from attest.timestamp import request_time_stamp

__all__ = ["command"]

_BUNDLE = click.argument("bundle", type=click.Path(path_type=Path))
_TSA = click.option("--tsa", metavar="URL", required=True, help="Time-stamp authority (RFC 3161).")


@click.group("timestamp")
def command() -> None:
    """Add or renew the trusted time of a bundle.

    A time-stamp authority is shown a digest and nothing else. What it says holds for as long as its key and the
    digest can be trusted; renew before that ends.
    """


@command.command("add")
@_BUNDLE
@_TSA
@format_option
def add(bundle: Path, tsa: str, style: str) -> None:
    """Add a time stamp over the signature of BUNDLE to it; the signature stays as it is.

    Refused once the bundle has renewals, since they cover every byte of it.
    """
    held, _ = read_bundle(bundle)
    file = bundle / BUNDLE_NAME if bundle.is_dir() else bundle
    if read_renewals(file):
        fix = "renew it instead: attest timestamp renew"
        raise InputError("has-renewals", "its renewals would no longer hold", fix=fix, where=str(renewals_path(file)))
    if len(held.timestamps) == MAX_TIMESTAMPS:
        raise InputError("too-many-renewals", f"holds {MAX_TIMESTAMPS} time stamps", fix="keep it", where=str(bundle))
    token = request_time_stamp(held.content.signature, tsa)
    write_atomically(file, replace(held, timestamps=(*held.timestamps, token)).to_json(), force=True)
    _report(file, len(held.timestamps) + 1, "time stamps", style)


@command.command("renew")
@_BUNDLE
@_TSA
@format_option
def renew_command(bundle: Path, tsa: str, style: str) -> None:
    """Put a new time stamp over BUNDLE and all its earlier ones, into BUNDLE.renewals.json beside it."""
    _, data = read_bundle(bundle)
    file = bundle / BUNDLE_NAME if bundle.is_dir() else bundle
    written = renew(file, data, tsa)
    _report(written, len(read_renewals(file)), "renewals", style)


def _report(file: Path, count: int, what: str, style: str) -> None:
    value = {"schemaVersion": 1, "written": [str(file)], "count": count}
    emit(f"Wrote {visible(str(file))}: {count} {what}", value, style=style, output=None, force=False)
