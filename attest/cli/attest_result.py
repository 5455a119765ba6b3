"""``attest attest-result``: sign what one has verified and measured again."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click

from attest.atomic import refuse_output
from attest.attestation_result import ReproducedValue
from attest.checkpoint.source import Location
from attest.claims import CLAIMS_NAME, append_claim
from attest.cli.expecting import expecting_options, read_expectation, read_trust
from attest.cli.options import LOCATION, emit, format_option
from attest.cli.progress import Progress
from attest.cli.signing import open_signing, signing_options
from attest.evidence_directory import directory_of
from attest.repository_scan import REPOSITORY_SCAN_TYPE
from attest.reproduction import Reproduction
from attest.statement import Statement
from attest.terminal import visible
from attest.verify import Files, Verification, state_result, verify

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Copies:
    """The verifier's own copies, of what was measured or scanned."""

    checkpoint: Location | None
    repository: Location | None
    copied_from: tuple[Location, ...]
    reference: Location | None
    common: tuple[Location, ...]
    releases: tuple[Path, ...]


@click.command("attest-result")
@click.argument("bundle", type=_PATH)
@expecting_options
@click.option("--checkpoint", type=LOCATION, help="Your own copy of the checkpoint; a path or a URI.")
@click.option("--reproduce", "with_reproduction", is_flag=True, help="Measure again, or scan again, value by value.")
@click.option("--repo", type=LOCATION, help="With --reproduce: your own copy of the repository that was scanned.")
@click.option("--against", type=LOCATION, help="For a scan: your own copy of what code was looked for in.")
@click.option(
    "--reference", "references", type=LOCATION, multiple=True, help="For a scan: what it was given as --reference."
)
@click.option("--common", type=LOCATION, multiple=True, help="For a scan: what it was given as --common.")
@click.option("--releases", type=_PATH, multiple=True, help="For a scan: your own copy of a release; once for each.")
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
    checkpoint: Location | None,
    repo: Location | None,
    against: Location | None,
    references: tuple[Location, ...],
    common: tuple[Location, ...],
    releases: tuple[Path, ...],
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
    if with_reproduction and checkpoint is None and repo is None:
        raise click.UsageError("--reproduce needs your own copy: --checkpoint, or --repo for a scan.")
    if claims is not None:
        refuse_output(claims, force=True)
    trust = read_trust(trusted_root, tsa_certificates)
    with closing(Progress()) as progress:
        verification = verify(
            bundle, expectation=expectation, files=Files(checkpoint=checkpoint), trust=trust, progress=progress
        )
    copies = _Copies(
        checkpoint=checkpoint,
        repository=repo,
        copied_from=references,
        reference=against,
        common=common,
        releases=releases,
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


def _measure_again(statement: Statement, bundle: Path, copies: _Copies) -> tuple[ReproducedValue, ...]:
    if statement.predicate_type == REPOSITORY_SCAN_TYPE:
        again = _scan_again(statement, bundle, copies)
    elif copies.checkpoint is None:
        raise click.UsageError("Evidence about a checkpoint needs --checkpoint.")
    else:
        from attest.reproduce import reproduce  # noqa: PLC0415 - numerics, which verifying alone does without

        repository = None if copies.repository is None else Path(copies.repository)
        with closing(Progress()) as progress:
            again = reproduce(statement, bundle, checkpoint=copies.checkpoint, repository=repository, progress=progress)
    return tuple(ReproducedValue(name=value.name[:500], outcome=value.outcome) for value in again.values)


def _scan_again(statement: Statement, bundle: Path, copies: _Copies) -> Reproduction:
    from attest.resurvey import resurvey  # noqa: PLC0415 - as above
    from attest.survey import Places  # noqa: PLC0415 - as above

    if copies.repository is None:
        raise click.UsageError("Evidence about a repository needs --repo.")
    places = Places(
        repository=copies.repository,
        copied_from=copies.copied_from,
        reference=copies.reference,
        common=copies.common,
        releases=copies.releases,
    )
    return resurvey(statement, bundle, places)
