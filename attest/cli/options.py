"""Options that several commands share, and the one way results leave a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from attest.atomic import refuse_output, write_atomically

__all__ = [
    "LOCATION",
    "architecture_option",
    "base_option",
    "device_option",
    "emit",
    "format_option",
    "output_option",
    "policy_option",
    "revision_option",
    "stream_option",
]

F = TypeVar("F", bound=Callable[..., Any])


class _Location(click.ParamType[Path | str]):
    """A path, or a URI, which no path would keep as it is."""

    name = "path or URI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:  # noqa: ARG002 - click's own
        """Value as a command takes it."""
        return value if isinstance(value, Path) or "://" in value else Path(value)


LOCATION = _Location()
"""Type of an argument that names a checkpoint."""


def revision_option(function: F) -> F:
    """``--revision REVISION``."""
    help_text = "Branch, tag or commit of a checkpoint on the Hub; main by default."
    return click.option("--revision", metavar="REVISION", help=help_text)(function)


def base_option(function: F) -> F:
    """``--base LOCATION``."""
    return click.option(
        "--base",
        type=LOCATION,
        metavar="CHECKPOINT",
        help="CHECKPOINT is a LoRA adapter: measure the weights that it and this base give together.",
    )(function)


def architecture_option(function: F) -> F:
    """``--architecture FILE.toml``."""
    return click.option(
        "--architecture",
        type=click.Path(path_type=Path),
        metavar="FILE.toml",
        help="Families that say which tensor has which role, beside those of attest (docs/architectures.md).",
    )(function)


def policy_option(function: F) -> F:
    """``--policy FILE``."""
    help_text = "Read the numbers by this policy; the one that attest compare --show-policy prints by default."
    return click.option("--policy", "policy_file", type=click.Path(path_type=Path), metavar="FILE", help=help_text)(
        function
    )


def device_option(function: F) -> F:
    """``--device cpu|cuda|mps``."""
    return click.option(
        "--device",
        type=click.Choice(["cpu", "cuda", "mps"]),
        default="cpu",
        show_default=True,
        help="What to run the model on; the stated tolerance was measured on CPUs.",
    )(function)


def stream_option(function: F) -> F:
    """``--stream``."""
    help_text = "Run the model one block at a time, where it is larger than memory."
    return click.option("--stream", is_flag=True, help=help_text)(function)


def format_option(function: F) -> F:
    """``--format text|json``."""
    return click.option(
        "--format",
        "style",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Print for people, or one JSON object for programs.",
    )(function)


def output_option(function: F) -> F:
    """``-o FILE``, refused before any work where it could not be written; overwritten only with ``--force``."""

    @wraps(function)
    def command(*args: Any, output: Path | None, force: bool, **options: Any) -> Any:
        if output is not None and str(output) != "-":
            refuse_output(output, force=force)
        return function(*args, output=output, force=force, **options)

    forced = click.option("--force", is_flag=True, help="Overwrite the output file.")(cast("F", command))
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
        default=None,
        help="Write the result to a file instead of stdout.",
    )(forced)


def emit(text: str, value: Any, *, style: str, output: Path | None, force: bool) -> None:
    """Print a result as text or JSON, or write it to a file.

    ``text`` must already be free of control characters other than newlines (``attest.terminal.visible``).
    """
    body = json.dumps(value, indent=2, ensure_ascii=True) if style == "json" else text
    if output is None or str(output) == "-":
        click.echo(body)
    else:
        write_atomically(output, f"{body}\n".encode(), force=force)
