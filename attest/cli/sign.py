"""``attest sign``: sign an evidence directory."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import click

from attest.atomic import refuse_existing
from attest.bundle import BUNDLE_NAME, Bundle
from attest.cli.options import emit, format_option, output_option
from attest.errors import InputError, SigningError
from attest.evidence_directory import (
    SIGNER_KEY_NAME,
    STATEMENT_NAME,
    read_unsigned_statement,
    sign_with_key,
    write_bundle,
)
from attest.identity import CertifiedIdentity
from attest.keyless import Publication, sign_keyless
from attest.signer import PublicKey, Signer, open_signer, public_path
from attest.statement import Statement
from attest.terminal import visible
from attest.timestamp import request_time_stamp
from attest.verify import check_content

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.command("sign")
@click.argument("directory", metavar="EVIDENCE_DIR", type=_PATH)
@click.option("--key", metavar="KEY", help="Private key: a PEM file, or a URI such as file:key.pem.")
@click.option("--keyless", is_flag=True, help="Sign as somebody, through Sigstore; publishes who you are for ever.")
@click.option("--trust-config", type=_PATH, help="Keyless: client trust configuration of another Sigstore instance.")
@click.option("--identity-token", metavar="TOKEN", envvar="ATTEST_IDENTITY_TOKEN", help="Keyless: OpenID token.")
@click.option("--staging", is_flag=True, help="Keyless: Sigstore's public instance for tests.")
@click.option("--tsa", "tsas", multiple=True, metavar="URL", help="Time-stamp authority (RFC 3161); repeatable.")
@output_option
@format_option
def command(
    directory: Path,
    key: str | None,
    trust_config: Path | None,
    identity_token: str | None,
    tsas: tuple[str, ...],
    style: str,
    output: Path | None,
    *,
    keyless: bool,
    staging: bool,
    force: bool,
) -> None:
    """Sign the statement of an evidence directory, byte for byte.

    With --key: writes statement.sigstore.json (the bundle) and signer.pub.pem (a copy of the public key) into it.

    With --keyless: writes the bundle. Your identity, its issuer and the statement's digest go into public logs,
    where they stay for ever. The token is taken from ATTEST_IDENTITY_TOKEN, from the machine (CI), or from a
    browser. Whoever must not be named signs with --key, and --tsa for a trusted time.

    Refused when a detail file is missing or altered, or the statement contradicts itself. --force replaces an
    earlier signature.
    """
    if keyless == (key is not None):
        raise click.UsageError("Say how to sign: either --key KEY or --keyless.")
    if not keyless and (trust_config or staging):
        raise click.UsageError("--trust-config and --staging belong to --keyless.")
    signer = None if key is None else _open(key)
    statement = read_unsigned_statement(directory)
    _refuse_unverifiable(statement, directory)
    refuse_existing(directory / BUNDLE_NAME, force=force)
    if signer is not None:
        bundle = sign_with_key(statement.payload, signer)
    else:
        bundle = sign_keyless(
            statement.payload,
            announce=_announce,
            token=identity_token,
            trust_config=trust_config,
            staging=staging,
        )
    stamps = tuple(request_time_stamp(bundle.content.signature, url) for url in tsas)
    bundle = replace(bundle, timestamps=(*bundle.timestamps, *stamps))
    write_bundle(directory, bundle, signer.public_key.pem if signer else None, force=force)
    _report(directory, statement, bundle, signer, key, style=style, output=output, force=force)


def _open(key: str) -> Signer:
    signer = open_signer(key)
    for caution in signer.cautions:
        click.echo(f"warning: {visible(caution)}", err=True)
    return signer


def _announce(publication: Publication) -> None:
    who = publication.identity
    click.echo(
        f"warning: signing publishes {visible(who.identity)} (as {visible(who.issuer)} says), the time and the digest "
        "of the statement in public logs, for ever",
        err=True,
    )


def _report(
    directory: Path,
    statement: Statement,
    bundle: Bundle,
    signer: Signer | None,
    key: str | None,
    *,
    style: str,
    output: Path | None,
    force: bool,
) -> None:
    written = [str(directory / BUNDLE_NAME), *([str(directory / SIGNER_KEY_NAME)] if signer else [])]
    lines = [
        f"Signed {len(statement.payload):,} bytes of {STATEMENT_NAME}, SHA-256 {statement.digest}",
        f"Wrote {visible(written[0])} (the bundle)",
    ]
    if signer is not None and key is not None:
        whom = ["--key", _readers_key(key, signer.public_key, written[1])]
        copy = "public key, for convenience: readers should get it from you, not from here"
        lines += [f"Wrote {visible(written[1])} ({copy})", f"Key SHA-256 {bundle.key_hint}"]
    else:
        certified = CertifiedIdentity.read(bundle.certificate or b"")
        whom = ["--identity", certified.names[0], "--issuer", certified.issuer]
        lines.append(f"Signed by {visible(certified.text)}")
    if bundle.timestamps:
        lines.append(f"Time stamps: {len(bundle.timestamps)}")
    verify = shlex.join(["attest", "verify", written[0], *whom])
    value = {
        "schemaVersion": 1,
        "written": written,
        "payloadSha256": statement.digest,
        "keySha256": bundle.key_hint,
        "timeStamps": len(bundle.timestamps),
        "verifyCommand": verify,
    }
    lines.append(f"Verify with: {visible(verify)}")
    emit("\n".join(lines), value, style=style, output=output, force=force)


def _refuse_unverifiable(statement: Statement, directory: Path) -> None:
    """Refuse what a reader's ``attest verify`` would refuse."""
    for check in check_content(statement.payload, directory).checks:
        if check.outcome != "PASSED":
            raise SigningError(
                "would-not-verify",
                " ".join((check.message, *check.problems[:1])),
                fix="measure again; nothing was signed",
                where=str(directory),
            )


def _readers_key(uri: str, public_key: PublicKey, copy: str) -> str:
    """The public key file that the signer hands out: the one beside the private key, else the copy."""
    beside = public_path(Path(uri.removeprefix("file:")))
    try:
        return str(beside) if PublicKey.read(beside) == public_key else copy
    except InputError:
        return copy
