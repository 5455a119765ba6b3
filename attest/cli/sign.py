"""``attest sign``: sign an evidence directory."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from attest.atomic import refuse_existing, write_atomically
from attest.bundle import BUNDLE_NAME, Bundle
from attest.claims import CLAIMS_NAME, append_claim
from attest.cli.options import emit, format_option, output_option
from attest.cli.signing import Signing, open_signing, signing_options
from attest.document import load
from attest.errors import InputError, SigningError
from attest.evidence import EVIDENCE_TYPE, Evidence
from attest.evidence_directory import (
    SIGNER_KEY_NAME,
    STATEMENT_NAME,
    read_unsigned_statement,
    write_bundle,
)
from attest.identity import CertifiedIdentity
from attest.oms import MODEL_SIGNATURE_NAME, model_statement
from attest.signer import PublicKey, Signer, public_path
from attest.statement import Statement
from attest.terminal import visible
from attest.verify import check_content

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.command("sign")
@click.argument("directory", metavar="EVIDENCE_DIR", type=_PATH)
@signing_options("--key")
@click.option("--cosign", is_flag=True, help="Add to claims.jsonl, beside the signature that is there.")
@click.option("--model-sig", "with_model_sig", is_flag=True, help="Write model.sig too, for model_signing verify.")
@output_option
@format_option
def command(
    directory: Path,
    sign_with: str | None,
    password_file: Path | None,
    trust_config: Path | None,
    identity_token: str | None,
    tsas: tuple[str, ...],
    style: str,
    output: Path | None,
    *,
    keyless: bool,
    staging: bool,
    log: bool,
    cosign: bool,
    with_model_sig: bool,
    force: bool,
) -> None:
    """Sign the statement of an evidence directory, byte for byte.

    With --key: writes statement.sigstore.json (the bundle) and signer.pub.pem (a copy of the public key) into it.

    With --keyless: writes the bundle. Your identity, its issuer and the statement's digest go into public logs,
    where they stay for ever. The token is taken from ATTEST_IDENTITY_TOKEN, from the machine (CI), or from a
    browser. Whoever must not be named signs with --key, and --tsa for a trusted time.

    With --key and --log: has a public log take up the signature, too. The key, the time and the statement's digest
    stay there for ever.

    With --cosign: adds a signature over the same bytes to claims.jsonl, one bundle a line, whoever signed before.

    With --model-sig: writes model.sig too, a signature over the same files in the format of OpenSSF Model Signing
    1.0, which model_signing verify reads. It says nothing of what was measured.

    Refused when a detail file is missing or altered, or the statement contradicts itself. --force replaces an
    earlier signature.
    """
    signing = open_signing(
        sign_with, password_file, trust_config, identity_token, tsas, keyless=keyless, staging=staging, log=log
    )
    if cosign and with_model_sig:
        raise click.UsageError("--cosign and --model-sig exclude each other.")
    statement = read_unsigned_statement(directory)
    _refuse_unverifiable(statement, directory)
    if cosign:
        bundle, written = signing.sign(statement.payload), [directory / CLAIMS_NAME]
        append_claim(written[0], bundle)
    else:
        model = _model_statement(statement, signing.signer, directory) if with_model_sig else None
        bundle, written = _write_signatures(directory, statement, model, signing, force=force)
    _report(statement, bundle, written, _whom(bundle, signing, directory), style=style, output=output, force=force)


def _write_signatures(
    directory: Path, statement: Statement, model: Statement | None, signing: Signing, *, force: bool
) -> tuple[Bundle, list[Path]]:
    """Sign, and then write everything; the statement's bundle and the files that were written."""
    for name in (BUNDLE_NAME, *([MODEL_SIGNATURE_NAME] if model else [])):
        _refuse_signed(directory / name, force=force)
    bundle, model_bundle = signing.sign(statement.payload), signing.sign(model.payload) if model else None
    write_bundle(directory, bundle, signing.signer.public_key.pem if signing.signer else None, force=force)
    written = [directory / BUNDLE_NAME, *([directory / SIGNER_KEY_NAME] if signing.signer else [])]
    if model_bundle is not None:
        written.append(directory / MODEL_SIGNATURE_NAME)
        write_atomically(written[-1], model_bundle.to_json(), force=force)
    return bundle, written


def _refuse_signed(file: Path, *, force: bool) -> None:
    if file.is_file() and not force:
        fix = "--cosign adds a signature beside it, --force replaces it"
        raise InputError("output-exists", "is there already", fix=fix, where=str(file))
    refuse_existing(file, force=force)


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


def _whom(bundle: Bundle, signing: Signing, directory: Path) -> list[str]:
    """What a reader says of whom to expect."""
    if signing.signer is not None:
        copy = str(directory / SIGNER_KEY_NAME)
        return ["--key", _readers_key(signing.uri, signing.signer.public_key, copy)]
    certified = CertifiedIdentity.read(bundle.certificate or b"")
    return ["--identity", certified.names[0], "--issuer", certified.issuer]


_WRITTEN = {
    BUNDLE_NAME: "the bundle",
    SIGNER_KEY_NAME: "public key, for convenience: readers should get it from you, not from here",
    CLAIMS_NAME: "your signature beside the others; a reader's trust policy counts it",
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
    is_claim = written[0].name == CLAIMS_NAME
    place = str(written[0].parent if is_claim else written[0])
    verify = shlex.join(["attest", "verify", place, *(["--policy", "POLICY.json"] if is_claim else whom)])
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
