"""Options that say whom to expect and whom to trust, shared by the commands that verify."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from attest.identity import Identity
from attest.signer import PublicKey
from attest.trust import TrustedRoot, read_time_authority
from attest.verify import Expectation, Trust

__all__ = ["expecting_options", "read_expectation", "read_trust"]

F = TypeVar("F", bound=Callable[..., Any])
_PATH = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--key", type=_PATH, help="Public key of the signer you expect."),
    click.option("--identity", help="E-mail address or URI of the signer you expect; needs --issuer too."),
    click.option("--issuer", help="URL of the issuer that says who the signer is."),
    click.option("--any-signer", is_flag=True, help="Check integrity only, whoever signed."),
    click.option("--trusted-root", type=_PATH, help="Root of the Sigstore instance; the public one's by default."),
    click.option(
        "--tsa-certificate",
        "tsa_certificates",
        type=_PATH,
        multiple=True,
        help="Certificates of a time-stamp authority, PEM; makes a time stamp a must. Repeatable.",
    ),
)


def expecting_options(function: F) -> F:
    """Stack the options."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def read_expectation(key: Path | None, identity: str | None, issuer: str | None, *, any_signer: bool) -> Expectation:
    """Whom the options expect; exactly one way of saying it is right."""
    if (identity is None) != (issuer is None):
        raise click.UsageError("--identity and --issuer belong together: anybody may issue any identity.")
    if [key is not None, identity is not None, any_signer].count(True) != 1:
        raise click.UsageError(
            "Say whom you expect to have signed: --key PUBLIC_KEY, or --identity WHO --issuer URL, or --any-signer;"
            " one of them."
        )
    if identity is not None and issuer is not None:
        return Expectation(identity=Identity(identity=identity, issuer=issuer))
    return Expectation(key=None if key is None else PublicKey.read(key))


def read_trust(trusted_root: Path | None, tsa_certificates: tuple[Path, ...]) -> Trust:
    """Whom the options trust besides the signer."""
    return Trust(
        root=None if trusted_root is None else TrustedRoot.read(trusted_root),
        authorities=tuple(read_time_authority(path) for path in tsa_certificates),
    )
