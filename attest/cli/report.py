"""``attest report``: bundles as one offline HTML page."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from attest.atomic import refuse_output, write_atomically
from attest.bundle import read_bundle
from attest.cli.options import emit, format_option, policy_option
from attest.digest import sha256
from attest.policy_file import DEFAULT_POLICY, read_policy
from attest.terminal import visible

__all__ = ["command"]


@click.command("report")
@click.argument(
    "bundles",
    metavar="BUNDLE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    help="Bundle files, or evidence directories that hold one.",
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
    page = render([read_bundle(path)[1] for path in bundles], policy)
    if str(output) == "-":
        click.echo(page, nl=False)
        return
    write_atomically(output, page, force=force)
    check = f"attest verify-report {shlex.quote(str(output))}"
    value = {"path": str(output), "sha256": sha256(page), "size": len(page), "check": check}
    text = "\n".join((visible(str(output)), f"sha256 {value['sha256']}", f"Check it with: {visible(check)}"))
    emit(text, value, style=style, output=None, force=False)
