"""Options that say how to sign, and the signing itself: with a key or keyless, with time stamps."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from attest.bundle import Bundle
from attest.errors import InputError
from attest.evidence_directory import sign_with_key
from attest.keyless import Publication, log_signature, sign_keyless
from attest.signer import AskPassword, Signer, no_password, open_signer
from attest.terminal import is_terminal, visible
from attest.timestamp import request_time_stamp

__all__ = ["Signing", "ask_password", "open_signing", "signing_options"]

_MAX_PASSWORD = 1024
_PUBLISHES_KEY = "--log publishes the public key, the time and the digest of the statement in public logs, for ever"
F = TypeVar("F", bound=Callable[..., Any])
_PATH = click.Path(path_type=Path)


def signing_options(key_option: str) -> Callable[[F], F]:
    """Stack the options; ``key_option`` names the one for a private key, which arrives as ``sign_with``."""
    key_help = "Private key: a PEM file, or a URI: file:key.pem, awskms:alias/name, pkcs11:token=LABEL;object=LABEL."
    options = (
        click.option(key_option, "sign_with", metavar="KEY", help=key_help),
        click.option(
            "--password-file",
            type=_PATH,
            help="File with the password of an encrypted key or a token's PIN; else ATTEST_PASSWORD, else it is asked.",
        ),
        click.option("--keyless", is_flag=True, help="Sign as somebody, through Sigstore; publishes who for ever."),
        click.option(
            "--log", is_flag=True, help="With a key: log the signature in public; publishes the key for ever."
        ),
        click.option(
            "--trust-config", type=_PATH, help="Keyless, --log: client trust configuration of another instance."
        ),
        click.option(
            "--identity-token", metavar="TOKEN", envvar="ATTEST_IDENTITY_TOKEN", help="Keyless: OpenID token."
        ),
        click.option("--staging", is_flag=True, help="Keyless, --log: Sigstore's public instance for tests."),
        click.option(
            "--tsa", "tsas", multiple=True, metavar="URL", help="Time-stamp authority (RFC 3161); repeatable."
        ),
    )

    def stack(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return stack


@dataclass(frozen=True, kw_only=True, slots=True)
class Signing:
    """How to sign.

    Parameters
    ----------
    signer : Signer or None
        Holder of the key; None is keyless.
    uri : str
        Where the key is, as the user wrote it.
    """

    signer: Signer | None
    uri: str
    token: str | None
    trust_config: Path | None
    staging: bool
    tsas: tuple[str, ...]
    is_logged: bool

    def sign(self, payload: bytes) -> Bundle:
        """Bundle around a statement's bytes."""
        if self.signer is not None:
            made = sign_with_key(payload, self.signer)
            if self.is_logged:
                key = self.signer.public_key
                entry = log_signature(made.envelope, key, trust_config=self.trust_config, staging=self.staging)
                made = replace(made, log_entries=(entry,))
        else:
            made = sign_keyless(
                payload,
                announce=_announce,
                token=self.token,
                trust_config=self.trust_config,
                staging=self.staging,
            )
        stamps = tuple(request_time_stamp(made.content.signature, url) for url in self.tsas)
        return replace(made, timestamps=(*made.timestamps, *stamps))


def open_signing(
    sign_with: str | None,
    password_file: Path | None,
    trust_config: Path | None,
    identity_token: str | None,
    tsas: tuple[str, ...],
    *,
    keyless: bool,
    staging: bool,
    log: bool,
) -> Signing:
    """What the options say; warns of what the user should hear first."""
    if keyless == (sign_with is not None):
        key_option = next(one.opts[0] for one in click.get_current_context().command.params if one.name == "sign_with")
        raise click.UsageError(f"Say how to sign: {key_option} KEY, or --keyless; one of them.")
    if keyless and log:
        raise click.UsageError("--log belongs to a key: what is signed keyless is always logged.")
    if trust_config and staging:
        raise click.UsageError("--trust-config and --staging name two instances.")
    if not (keyless or log) and (trust_config or staging):
        raise click.UsageError("--trust-config and --staging belong to --keyless or --log.")
    signer = None if sign_with is None else open_signer(sign_with, ask_password=ask_password(password_file))
    for caution in signer.cautions if signer else ():
        click.echo(f"warning: {visible(caution)}", err=True)
    if log:
        click.echo(f"warning: {_PUBLISHES_KEY}", err=True)
    return Signing(
        signer=signer,
        uri=sign_with or "",
        token=identity_token,
        trust_config=trust_config,
        staging=staging,
        tsas=tsas,
        is_logged=log,
    )


def ask_password(file: Path | None, *, twice: bool = False) -> AskPassword:
    """Who is asked for a password or PIN: a file, else the environment, else whoever sits at the terminal, a new one twice."""

    def ask(location: str) -> bytes:
        if file is not None:
            return read_password(file)
        if password := os.environb.get(b"ATTEST_PASSWORD"):
            return password
        if not is_terminal(sys.stdin):
            return no_password(location)
        answer: str = click.prompt(
            f"Password of {visible(location)}", hide_input=True, confirmation_prompt=twice, err=True
        )
        return answer.encode()

    return ask


def read_password(file: Path) -> bytes:
    """First line of a file. Raises InputError."""
    try:
        with file.open("rb") as stream:
            password = stream.readline(_MAX_PASSWORD).rstrip(b"\r\n")
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise InputError("no-password", reason, fix="check the path", where=str(file)) from error
    if not password:
        raise InputError("no-password", "its first line is empty", fix="write the password there", where=str(file))
    return password


def _announce(publication: Publication) -> None:
    who = publication.identity
    click.echo(
        f"warning: signing publishes {visible(who.identity)} (as {visible(who.issuer)} says), the time and the digest "
        "of the statement in public logs, for ever",
        err=True,
    )
