"""``attest report``: bundles as one offline HTML page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from attest.atomic import refuse_output, write_atomically
from attest.attestation_result import ATTESTATION_RESULT_TYPE
from attest.bundle import Bundle, read_bundle
from attest.claims import CLAIMS_NAME, read_claims
from attest.cli.options import emit, format_option, policy_option
from attest.digest import sha256
from attest.errors import AttestError, InputError
from attest.policy_file import DEFAULT_POLICY, read_policy
from attest.terminal import amount, visible

__all__ = ["command"]


@click.command("report")
@click.argument(
    "bundles",
    metavar="BUNDLE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    help="Bundle files, or evidence directories that hold one; of a claims.jsonl its attestation results.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default=Path("report.html"),
    show_default=True,
    help="The page to write; - prints it, and nothing else.",
)
@policy_option
@click.option("--force", is_flag=True, help="Overwrite the output file.")
@format_option
def command(*, bundles: tuple[Path, ...], output: Path, policy_file: Path | None, force: bool, style: str) -> None:
    """Render bundles as one offline HTML page.

    The page depends on nothing but the bundles' bytes and the policy, which lies in it. Rendering verifies nothing: use attest verify.
    """
    from attest.report.render import render  # noqa: PLC0415 - keeps --help quick

    policy = DEFAULT_POLICY if policy_file is None else read_policy(policy_file)
    if str(output) != "-":
        refuse_output(output, force=force)
    page = render([data for path in bundles for data in _read(path)], policy)
    if str(output) == "-":
        click.echo(page, nl=False)
        return
    write_atomically(output, page, force=force)
    check = f"attest verify-report {shlex.quote(str(output))}"
    value = {"path": str(output), "sha256": sha256(page), "size": len(page), "check": check}
    text = "\n".join((visible(str(output)), f"sha256 {value['sha256']}", f"Check it with: {visible(check)}"))
    emit(text, value, style=style, output=None, force=False)


def _read(path: Path) -> Iterator[bytes]:
    """The bundle there; of a file that others may append to, the attestation results, and a word on what is left out."""
    if path.suffix != Path(CLAIMS_NAME).suffix or not path.is_file():
        yield read_bundle(path)[1]
        return
    claims = read_claims(path)
    results = [claim.data for claim in claims if claim.bundle and _is_result(claim.bundle)]
    if not results:
        raise InputError(
            "no-attestation-result",
            "holds no attestation result",
            fix="give what attest attest-result wrote",
            where=str(path),
        )
    if len(results) < len(claims):
        left = amount(len(claims) - len(results), "line")
        click.echo(f"{visible(str(path))}: {left} left out, which hold no attestation result", err=True)
    yield from results


def _is_result(bundle: Bundle) -> bool:
    try:
        return bundle.statement(where="claim").predicate_type == ATTESTATION_RESULT_TYPE
    except AttestError:
        return False
