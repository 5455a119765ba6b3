"""``attest sign``: sign an evidence directory."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from attest.bundle import BUNDLE_NAME
from attest.cli.options import emit, format_option, output_option
from attest.errors import InputError, SigningError
from attest.evidence_directory import SIGNER_KEY_NAME, STATEMENT_NAME, read_unsigned_statement, sign_statement
from attest.signer import PublicKey, open_signer, public_path
from attest.statement import Statement
from attest.terminal import visible
from attest.verify import check_content

__all__ = ["command"]


@click.command("sign")
@click.argument("directory", metavar="EVIDENCE_DIR", type=click.Path(path_type=Path))
@click.option("--key", required=True, metavar="KEY", help="Private key: a PEM file, or a URI such as file:key.pem.")
@output_option
@format_option
def command(directory: Path, key: str, style: str, output: Path | None, *, force: bool) -> None:
    """Sign the statement of an evidence directory, byte for byte.

    Writes statement.sigstore.json (the bundle) and signer.pub.pem (a copy of the public key) into it. Refused when
    a detail file is missing or altered, or the statement contradicts itself. --force replaces an earlier signature.
    """
    signer = open_signer(key)
    statement = read_unsigned_statement(directory)
    _refuse_unverifiable(statement, directory)
    for caution in signer.cautions:
        click.echo(f"warning: {visible(caution)}", err=True)
    bundle = sign_statement(directory, statement, signer, force=force)
    written = [str(directory / BUNDLE_NAME), str(directory / SIGNER_KEY_NAME)]
    verify = shlex.join(["attest", "verify", written[0], "--key", _readers_key(key, signer.public_key, written[1])])
    text = (
        f"Signed {len(statement.payload):,} bytes of {STATEMENT_NAME}, SHA-256 {statement.digest}\n"
        f"Wrote {visible(written[0])} (the bundle)\n"
        f"Wrote {visible(written[1])} (public key, for convenience: readers should get it from you, not from here)\n"
        f"Key SHA-256 {bundle.key_hint}\n"
        f"Verify with: {visible(verify)}"
    )
    value = {
        "schemaVersion": 1,
        "written": written,
        "payloadSha256": statement.digest,
        "keySha256": bundle.key_hint,
        "verifyCommand": verify,
    }
    emit(text, value, style=style, output=output, force=force)


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
