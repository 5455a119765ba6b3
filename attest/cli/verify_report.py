"""``attest verify-report``: a report rendered again and compared byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from attest.cli.options import emit, format_option, output_option
from attest.digest import sha256
from attest.errors import InputError
from attest.policy_file import DEFAULT_POLICY, policy_digest
from attest.terminal import amount, visible

__all__ = ["command"]


def _read(path: Path) -> bytes:
    from attest.report.render import MAX_REPORT  # noqa: PLC0415 - keeps --help quick

    try:
        with path.open("rb") as stream:
            return stream.read(MAX_REPORT + 1)
    except OSError as error:
        raise InputError(
            "no-report",
            f"cannot be read ({error.strerror})",
            fix="give a page that attest report wrote",
            where=str(path),
        ) from error


@click.command("verify-report")
@click.argument("report", type=click.Path(path_type=Path), help="The page.")
@format_option
@output_option
@click.pass_context
def command(ctx: click.Context, *, report: Path, style: str, output: Path | None, force: bool) -> None:
    """Render a report again from the bundles in it and compare every byte.

    Exit 0: identical. Exit 1: it differs, and the first differing line is named. Exit 3: not a report, or made by
    another version of the template. It checks no signature: attest verify does.
    """
    from attest.report.rerender import rerender  # noqa: PLC0415 - keeps --help quick

    page = _read(report)
    result = rerender(page, where=str(report))
    checks = [source.verify_command for source in result.sources]
    compared = f"all {len(page):,} bytes of it and {amount(len(result.sources), 'bundle')}"
    difference = result.difference
    value: dict[str, Any] = {
        "path": str(report),
        "sha256": sha256(page),
        "bytes": len(page),
        "template": result.template,
        "policy": {"id": result.policy.id, "sha256": policy_digest(result.policy)},
        "outcome": "identical" if difference is None else "different",
        "firstDifference": None,
        "bundles": [
            {"name": source.file_name, "sha256": source.sha256, "statementSha256": source.statement.digest}
            for source in result.sources
        ],
        "signatures": "not checked",
        "next": checks,
    }
    if difference is None:
        lines = [f"identical: {visible(str(report))} is, byte for byte, what its bundles give ({compared})"]
        if result.policy != DEFAULT_POLICY:
            lines.append(
                f"It reads by the policy {visible(result.policy.id)}, which lies in it and is not the default one."
            )
    else:
        value["firstDifference"] = {"line": difference.line, "found": difference.found, "expected": difference.expected}
        lines = [
            f"different: {visible(str(report))} is not what its bundles give; first at line {difference.line}",
            f"  found:    {visible(difference.found)}",
            f"  expected: {visible(difference.expected)}",
        ]
    lines += ["No signature was checked. Save the bundles from the page, then:", *(f"  {check}" for check in checks)]
    emit("\n".join(lines), value, style=style, output=output, force=force)
    ctx.exit(0 if difference is None else 1)
