"""``attest attest-result``: sign what one has verified and measured again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from attest.atomic import refuse_output
from attest.attestation_result import ReproducedValue
from attest.claims import CLAIMS_NAME, append_claim
from attest.cli.copies import OwnCopies, copies_options, measure_again
from attest.cli.expecting import expecting_options, read_expectation, read_trust
from attest.cli.options import emit, format_option
from attest.cli.progress import Progress
from attest.cli.signing import open_signing, signing_options
from attest.evidence_directory import directory_of
from attest.statement import Statement
from attest.terminal import visible
from attest.verify import Files, Verification, state_result, verify

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.command("attest-result")
@click.argument("bundle", type=_PATH)
@expecting_options
@copies_options
@click.option("--reproduce", "with_reproduction", is_flag=True, help="Measure, scan or compare again, value by value.")
@signing_options("--sign-with")
@click.option("--claims", type=_PATH, help="File to append to; claims.jsonl beside the bundle by default.")
@format_option
def command(
    bundle: Path,
    key: Path | None,
    identity: str | None,
    issuer: str | None,
    trusted_root: Path | None,
    tsa_certificates: tuple[Path, ...],
    copies: OwnCopies,
    sign_with: str | None,
    password_file: Path | None,
    trust_config: Path | None,
    identity_token: str | None,
    tsas: tuple[str, ...],
    claims: Path | None,
    style: str,
    *,
    any_signer: bool,
    with_reproduction: bool,
    keyless: bool,
    staging: bool,
    log: bool,
) -> None:
    """Verify BUNDLE, and sign what was found: which steps held, which files were there, which numbers came out again.

    The result is signed whatever it says, and appended to claims.jsonl, where a reader's trust policy counts it.
    Others may append to that file too; nobody can change a line that somebody has signed.

    Exit codes: those of verify, or 1 where a number came out differently.
    """
    expectation = read_expectation(key, identity, issuer, any_signer=any_signer)
    signing = open_signing(
        sign_with, password_file, trust_config, identity_token, tsas, keyless=keyless, staging=staging, log=log
    )
    if with_reproduction and copies.is_empty:
        raise click.UsageError(
            "--reproduce needs your own copy: --checkpoint, or --repo for a scan, or --a and --b for a comparison."
        )
    if claims is not None:
        refuse_output(claims, force=True)
    trust = read_trust(trusted_root, tsa_certificates)
    with closing(Progress()) as progress:
        verification = verify(
            bundle, expectation=expectation, files=Files(checkpoint=copies.checkpoint), trust=trust, progress=progress
        )
    stated = verification.statement
    values = _measure_again(stated, bundle, copies) if with_reproduction and stated else None
    statement = state_result(verification, values)
    file = claims or (directory_of(bundle) or bundle.parent) / CLAIMS_NAME
    append_claim(file, signing.sign(statement.payload))
    differing = [value.name for value in values or () if value.outcome == "differs"]
    _report(file, verification, values, differing, style)
    click.get_current_context().exit(verification.exit_code or int(bool(differing)))


def _report(
    file: Path,
    verification: Verification,
    values: tuple[ReproducedValue, ...] | None,
    differing: list[str],
    style: str,
) -> None:
    outcomes = {check.id: check.outcome for check in verification.checks}
    left = sum(value.outcome == "not-measured" for value in values or ())
    text = (
        f"Signed the result of {len(outcomes)} steps"
        + (f" and {len(values) - left} values measured again, {len(differing)} of them different" if values else "")
        + (f"; {left} could not be" if left else "")
        + f"\nAppended to {visible(str(file))}"
    )
    value = {"schemaVersion": 1, "written": [str(file)], "steps": outcomes, "differing": differing}
    emit(text, value, style=style, output=None, force=False)


def _measure_again(statement: Statement, bundle: Path, copies: OwnCopies) -> tuple[ReproducedValue, ...]:
    again = measure_again(statement, bundle, copies)
    return tuple(ReproducedValue(name=value.name[:500], outcome=value.outcome) for value in again.values)
