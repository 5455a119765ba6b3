"""``attest sign``: sign an evidence directory."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from attest.atomic import refuse_existing, write_atomically
from attest.bundle import BUNDLE_NAME, Bundle
from attest.cli.options import emit, format_option, output_option
from attest.document import load
from attest.errors import InputError, SigningError
from attest.evidence import EVIDENCE_TYPE, Evidence
from attest.evidence_directory import (
    SIGNER_KEY_NAME,
    STATEMENT_NAME,
    read_unsigned_statement,
    sign_with_key,
    write_bundle,
)
from attest.identity import CertifiedIdentity
from attest.keyless import Publication, sign_keyless
from attest.oms import MODEL_SIGNATURE_NAME, model_statement
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
@click.option("--model-sig", "with_model_sig", is_flag=True, help="Write model.sig too, for model_signing verify.")
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
    with_model_sig: bool,
    force: bool,
) -> None:
    """Sign the statement of an evidence directory, byte for byte.

    With --key: writes statement.sigstore.json (the bundle) and signer.pub.pem (a copy of the public key) into it.

    With --keyless: writes the bundle. Your identity, its issuer and the statement's digest go into public logs,
    where they stay for ever. The token is taken from ATTEST_IDENTITY_TOKEN, from the machine (CI), or from a
    browser. Whoever must not be named signs with --key, and --tsa for a trusted time.

    With --model-sig: writes model.sig too, a signature over the same files in the format of OpenSSF Model Signing
    1.0, which model_signing verify reads. It says nothing of what was measured.

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
    model = _model_statement(statement, signer, directory) if with_model_sig else None
    for name in (BUNDLE_NAME, *([MODEL_SIGNATURE_NAME] if model else [])):
        refuse_existing(directory / name, force=force)

    def sign(payload: bytes) -> Bundle:
        if signer is not None:
            made = sign_with_key(payload, signer)
        else:
            made = sign_keyless(
                payload, announce=_announce, token=identity_token, trust_config=trust_config, staging=staging
            )
        stamps = tuple(request_time_stamp(made.content.signature, url) for url in tsas)
        return replace(made, timestamps=(*made.timestamps, *stamps))

    bundle, model_bundle = sign(statement.payload), sign(model.payload) if model else None
    write_bundle(directory, bundle, signer.public_key.pem if signer else None, force=force)
    written = [directory / BUNDLE_NAME, *([directory / SIGNER_KEY_NAME] if signer else [])]
    if model_bundle is not None:
        written.append(directory / MODEL_SIGNATURE_NAME)
        write_atomically(written[-1], model_bundle.to_json(), force=force)
    whom = _whom(bundle, signer, key, directory)
    _report(statement, bundle, written, whom, style=style, output=output, force=force)


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


def _model_statement(statement: Statement, signer: Signer | None, directory: Path) -> Statement:
    """The statement of a model signature over the files that evidence lists."""
    if statement.predicate_type != EVIDENCE_TYPE:
        raise SigningError("no-model", "is not about one checkpoint", fix="leave out --model-sig", where=str(directory))
    checkpoint = load(Evidence, statement.predicate, where="predicate").checkpoint
    if checkpoint.file_count != len(checkpoint.files):
        reason = f"lists {len(checkpoint.files):,} of {checkpoint.file_count:,} files"
        raise SigningError("no-model", reason, fix="leave out --model-sig", where=str(directory))
    if signer is not None and signer.public_key.type == "ed25519":
        fix = "sign with a P-256 key, or leave out --model-sig"
        raise SigningError("no-model", "model signing knows no Ed25519", fix=fix, where=str(directory))
    return model_statement(checkpoint.name, {file.path: file.sha256 for file in checkpoint.files})


def _whom(bundle: Bundle, signer: Signer | None, key: str | None, directory: Path) -> list[str]:
    """What a reader says of whom to expect."""
    if signer is not None and key is not None:
        return ["--key", _readers_key(key, signer.public_key, str(directory / SIGNER_KEY_NAME))]
    certified = CertifiedIdentity.read(bundle.certificate or b"")
    return ["--identity", certified.names[0], "--issuer", certified.issuer]


_WRITTEN = {
    BUNDLE_NAME: "the bundle",
    SIGNER_KEY_NAME: "public key, for convenience: readers should get it from you, not from here",
    MODEL_SIGNATURE_NAME: "the files' digests alone, for model_signing verify",
}


def _report(
    statement: Statement,
    bundle: Bundle,
    written: Sequence[Path],
    whom: Sequence[str],
    *,
    style: str,
    output: Path | None,
    force: bool,
) -> None:
    verify = shlex.join(["attest", "verify", str(written[0]), *whom])
    signer = f"Key SHA-256 {bundle.key_hint}" if bundle.key_hint else f"Signed by {visible(whom[1])}"
    lines = [
        f"Signed {len(statement.payload):,} bytes of {STATEMENT_NAME}, SHA-256 {statement.digest}",
        *(f"Wrote {visible(str(file))} ({_WRITTEN[file.name]})" for file in written),
        signer,
        *([f"Time stamps: {len(bundle.timestamps)}"] if bundle.timestamps else []),
        f"Verify with: {visible(verify)}",
    ]
    value = {
        "schemaVersion": 1,
        "written": [str(file) for file in written],
        "payloadSha256": statement.digest,
        "keySha256": bundle.key_hint,
        "timeStamps": len(bundle.timestamps),
        "verifyCommand": verify,
    }
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
