"""``attest demo``."""

from __future__ import annotations

from pathlib import Path

import click

from attest.atomic import refuse_existing
from attest.demo.tour import Tour

__all__ = ["command"]


@click.command("demo")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for everything the demo writes.",
)
@click.option("--force", is_flag=True, help="Write into the folder even if it is there already.")
def command(output: Path, force: bool) -> None:  # fmt: skip
    """Walk the whole path: measure, sign, verify, reproduce, compare, report.

    Uses the real weights of packages where they are installed (scripts/demo installs them), and a small family of
    models that comes with attest. Every step is a command that you can repeat; nothing leaves this machine.
    """
    refuse_existing(output, force=force)
    Tour(output.resolve(), click.echo).walk()
