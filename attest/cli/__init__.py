"""The command line: one thin file a command, loaded when it is called.

Exit codes: 0 good, 1 negative result, 2 usage, 3 could not decide, 4 intact but signer not trusted, 130 interrupted.
stdout carries data, stderr the rest.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import sys
import traceback
from contextlib import suppress
from typing import Any, NoReturn

import click

from attest import __version__
from attest.errors import AttestError, InputError
from attest.terminal import is_terminal, visible

__all__ = ["main"]

COMMANDS = {
    "measure": "Measure a checkpoint: digests, fingerprints, licenses, activations.",
    "keygen": "Make a signing key.",
    "sign": "Sign an evidence directory.",
    "timestamp": "Add or renew the trusted time of a bundle.",
    "verify": "Verify a bundle: signature, detail files, checkpoint files.",
    "attest-result": "Sign what you verified and measured again.",
    "reproduce": "Measure, scan or compare again, against what was signed.",
    "protocol": "Announce a comparison before it is made.",
    "compare": "Test two checkpoints for weights in common.",
    "library": "Keep the fingerprints of many checkpoints, and search them.",
    "scan": "Scan a repository for licenses, notices and copyright lines.",
    "report": "Render bundles as one offline HTML page.",
    "verify-report": "Render a report again and compare every byte.",
    "inspect": "Show what a checkpoint or a bundle holds.",
    "demo": "Walk the whole path on a real checkpoint.",
}


_OBJECTS_A_LOOK = 50_000
"""Python looks for garbage after so many new objects. What is said of ten thousand tensors stays, and 700 is for less."""


class _Commands(click.Group):
    """Commands whose modules are imported when they run, so that ``--help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"attest.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may know fewer characters than attest writes
        try:
            return super().main(*args, **kwargs)
        except AttestError as error:
            _fail(error)
        except OSError as error:  # click has ended quietly where whoever read the output had enough
            _drop_output()
            where = str(error.filename or "a file or the output")
            fix = "check the path, its permissions and the disk"
            _fail(InputError("cannot-use", f"cannot be used ({error.strerror})", fix=fix, where=where))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted; no result was left half-written", err=True)
            ctx.exit(130)


def _drop_output() -> None:
    """Let go of what could not be written: at its end Python tries once more, and says in its own words that it failed."""
    with suppress(OSError, ValueError, AttributeError):  # ValueError, AttributeError: closed, or none
        sys.stdout.flush()
        return
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: AttestError) -> NoReturn:
    if os.environ.get("ATTEST_DEBUG"):
        traceback.print_exc()
    click.echo(f"error[{error.code}]: {visible(str(error))}", err=True)
    sys.exit(error.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="attest")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Make claims about AI model checkpoints that a stranger can check.

    Exit codes: 0 good, 1 negative result, 2 usage, 3 could not decide, 4 intact but signer not trusted,
    130 interrupted. Set ATTEST_DEBUG=1 to see where an error was raised.
    """
    gc.set_threshold(_OBJECTS_A_LOOK)
    atexit.register(gc.freeze)  # a look for garbage at the end costs a tenth of a second, and the memory goes anyway
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not is_terminal(sys.stdout):
        ctx.color = False
