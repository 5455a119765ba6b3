"""``attest verify``: verify a bundle."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from attest.checkpoint.source import Location
from attest.cli.options import LOCATION, emit, format_option, output_option
from attest.cli.progress import Progress
from attest.document import dump
from attest.signer import PublicKey
from attest.terminal import visible
from attest.verify import Check, Expectation, Outcome, Verification, verify

__all__ = ["command"]

_MAX_PROBLEMS = 20

_INTEGRITY: dict[Outcome, str] = {
    "PASSED": "the statement is byte for byte what was signed, and agrees with itself",
    "FAILED": "the statement is not what was signed, or contradicts itself",
    "SKIPPED": "not all of it could be checked",
}
_IDENTITY: dict[Outcome, str] = {
    "PASSED": "the key that you expect signed it",
    "FAILED": "not signed with the key that you expect",
    "SKIPPED": "nobody's identity was checked",
}
_CONTENT: dict[Outcome, str] = {
    "PASSED": "all detail files and all checkpoint files are those that the statement names",
    "FAILED": "files are not those that the statement names",
    "SKIPPED": "not all files were looked at",
}
_CONCLUSION = "yours to draw: the steps show what was signed, not that it is true"


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), help="Public key of the signer you expect.")
@click.option("--any-signer", is_flag=True, help="Check integrity only, whoever signed.")
@click.option("--checkpoint", type=LOCATION, help="Compare these files, every byte of them, too; a path or a URI.")
@output_option
@format_option
def command(
    bundle: Path,
    key: Path | None,
    checkpoint: Location | None,
    style: str,
    output: Path | None,
    *,
    any_signer: bool,
    force: bool,
) -> None:
    """Verify BUNDLE: a statement.sigstore.json, or the evidence directory that holds it.

    Say whom you expect to have signed: --key PUBLIC_KEY, or --any-signer if it does not matter to you.

    Exit codes: 0 all that was checked held; 1 something did not; 3 could not decide; 4 not signed by whom you
    expect.
    """
    if (key is None) != any_signer:
        raise click.UsageError("Say whom you expect to have signed: either --key PUBLIC_KEY or --any-signer.")
    expectation = Expectation(key=None if key is None else PublicKey.read(key))
    with closing(Progress()) as progress:
        verification = verify(bundle, expectation=expectation, checkpoint=checkpoint, progress=progress)
    emit(_text(verification), _value(verification), style=style, output=output, force=force)
    click.get_current_context().exit(verification.exit_code)


def _text(verification: Verification) -> str:
    lines = [line for check in verification.checks for line in _check_lines(check)]
    lines += [
        "",
        f"integrity   {verification.integrity:<8} {_INTEGRITY[verification.integrity]}",
        f"identity    {verification.identity:<8} {_IDENTITY[verification.identity]}",
        f"content     {verification.content:<8} {_CONTENT[verification.content]}",
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
        "content": verification.content,
        "coverage": dump(verification.coverage) if verification.coverage else None,
    }
