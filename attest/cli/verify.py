"""``attest verify``: verify a bundle."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from attest.checkpoint.source import Location, is_remote
from attest.cli.expecting import expecting_options, read_expectation, read_trust
from attest.cli.options import LOCATION, emit, format_option, output_option
from attest.cli.progress import Progress
from attest.document import dump
from attest.errors import InputError
from attest.evidence_directory import directory_of
from attest.terminal import visible
from attest.trust_policy import ReadPolicy, read_trust_policy
from attest.verify import Check, Expectation, Files, Outcome, Verification, verify

__all__ = ["command"]

_MAX_PROBLEMS = 20
_PATH = click.Path(path_type=Path)

_INTEGRITY: dict[Outcome, str] = {
    "PASSED": "the statement is byte for byte what was signed, and agrees with itself",
    "FAILED": "the statement is not what was signed, or contradicts itself",
    "SKIPPED": "not all of it could be checked",
}
_IDENTITY: dict[Outcome, str] = {
    "PASSED": "the key or the identity that you expect signed it",
    "FAILED": "not signed by the key or the identity that you expect",
    "SKIPPED": "nobody's identity was checked",
}
_TIME: dict[Outcome, str] = {
    "PASSED": "somebody besides the signer says when it was signed at the latest",
    "FAILED": "a time stamp does not hold, or is missing",
    "SKIPPED": "when it was signed, the signer alone says",
}
_CONTENT: dict[Outcome, str] = {
    "PASSED": "all detail files and all checkpoint files are those that the statement names",
    "FAILED": "files are not those that the statement names",
    "SKIPPED": "not all files were looked at",
}
_CONCLUSION = "yours to draw: the steps show what was signed, not that it is true"


@click.command("verify")
@click.argument("bundle", type=_PATH)
@expecting_options
@click.option("--policy", type=_PATH, help="Your trust policy, instead of a signer (schemas/trust-policy.v1.md).")
@click.option("--checkpoint", type=LOCATION, help="Compare these files, every byte of them, too; a path or a URI.")
@click.option("--ignore", "left_out", multiple=True, metavar="PATH", help="Leave this out of --checkpoint (model.sig).")
@click.option("--artifact", type=_PATH, help="Compare this one file: what was signed, or a subject.")
@click.option("--offline", is_flag=True, help="Refuse a checkpoint that lies elsewhere; all else is offline anyway.")
@output_option
@format_option
def command(
    bundle: Path,
    key: Path | None,
    identity: str | None,
    issuer: str | None,
    policy: Path | None,
    checkpoint: Location | None,
    left_out: tuple[str, ...],
    artifact: Path | None,
    trusted_root: Path | None,
    tsa_certificates: tuple[Path, ...],
    style: str,
    output: Path | None,
    *,
    any_signer: bool,
    offline: bool,
    force: bool,
) -> None:
    """Verify BUNDLE: an evidence directory, its statement.sigstore.json, or any other Sigstore bundle.

    Bundles that others made are checked as far as can be: a model.sig against --checkpoint, a statement or the
    signature of a file against --artifact.

    Say whom you expect to have signed: --key PUBLIC_KEY, or --identity WHO with --issuer URL, or --any-signer if it
    does not matter to you. Or give a --policy, which says whom you believe, how many of them must have signed (also
    in claims.jsonl), and what else must hold.

    No step asks the network or writes anything: the root of trust for keyless signatures and logs is the file you
    name, or the one inside the installed sigstore package.

    Exit codes: 0 all that you asked for was checked and held; 1 something did not; 3 could not decide; 4 not signed
    by whom you expect.
    """
    if policy is None:
        expectation: Expectation | ReadPolicy = read_expectation(key, identity, issuer, any_signer=any_signer)
    elif key or identity or issuer or any_signer:
        raise click.UsageError("A --policy says whom you expect; name no signer besides.")
    else:
        _refuse_under_test(policy, bundle, checkpoint)
        expectation = read_trust_policy(policy)
    if offline and checkpoint is not None and is_remote(checkpoint):
        raise click.UsageError("--offline and a --checkpoint that lies elsewhere exclude each other.")
    if artifact is not None and checkpoint is not None:
        raise click.UsageError("--artifact and --checkpoint exclude each other.")
    if left_out and checkpoint is None:
        raise click.UsageError("--ignore leaves something out of a --checkpoint; give that too.")
    files = Files(checkpoint=checkpoint, left_out=left_out, artifact=artifact)
    trust = read_trust(trusted_root, tsa_certificates)
    with closing(Progress()) as progress:
        verification = verify(bundle, expectation=expectation, files=files, trust=trust, progress=progress)
    emit(_text(verification), _value(verification), style=style, output=output, force=force)
    click.get_current_context().exit(verification.exit_code)


def _refuse_under_test(policy: Path, bundle: Path, checkpoint: Location | None) -> None:
    """Refuse a policy that lies where the accused may have written it."""
    real = Path(os.path.realpath(policy))
    tested = [directory_of(bundle)]
    tested += [] if checkpoint is None or is_remote(checkpoint) else [Path(checkpoint)]
    if any(real.is_relative_to(os.path.realpath(folder)) for folder in tested if folder):
        raise InputError(
            "policy-under-test", "lies among the files that are to be verified", fix="keep it apart", where=str(policy)
        )


def _text(verification: Verification) -> str:
    lines = [line for check in verification.checks for line in _check_lines(check)]
    lines += [
        "",
        f"integrity   {verification.integrity:<8} {_INTEGRITY[verification.integrity]}",
        f"identity    {verification.identity:<8} {_IDENTITY[verification.identity]}",
        f"time        {verification.time:<8} {_TIME[verification.time]}",
        f"content     {verification.content:<8} {_CONTENT[verification.content]}",
        f"coverage    {verification.compared.text}",
        f"conclusion  {_CONCLUSION}",
    ]
    return "\n".join(lines)


def _check_lines(check: Check) -> list[str]:
    lines = [f"{check.step} {check.id:<10} {check.outcome:<8} {visible(check.message)}"]
    lines += [f"    - {visible(problem)}" for problem in check.problems[:_MAX_PROBLEMS]]
    if len(check.problems) > _MAX_PROBLEMS:
        lines.append(f"    - and {len(check.problems) - _MAX_PROBLEMS} more; --format json has them all")
    return lines


def _value(verification: Verification) -> dict[str, Any]:
    return {
        "schemaVersion": 1,
        "steps": [dump(check) for check in verification.checks],
        "integrity": verification.integrity,
        "identity": verification.identity,
        "time": verification.time,
        "content": verification.content,
        "compared": dump(verification.compared),
        "coverage": dump(verification.coverage) if verification.coverage else None,
    }
