"""Write docs/commands.md from the live help of every command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from attest.cli import COMMANDS, main

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"
WIDTH = 100


def _help(name: str, command: click.Command, parent: click.Context, settings: dict[str, Any]) -> list[str]:
    """A command's help, and that of the commands in it."""
    with click.Context(command, info_name=name, parent=parent, **settings) as context:
        path = context.command_path.removeprefix("attest ")
        parts = ["", f"## {path}", "```console", command.get_help(context), "```"]
        inner = command.commands.items() if isinstance(command, click.Group) else ()
        return parts + [line for name, one in inner for line in _help(name, one, context, settings)]


def commands_page() -> str:
    """Page with the help text of attest and each of its commands."""
    parts = [
        "# Commands",
        "The help of every command, as `attest COMMAND --help` prints it (a test compares them).",
        "",
    ]
    settings = {**main.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    with click.Context(main, info_name="attest", **settings) as root:
        parts += ["```console", main.get_help(root), "```"]
        for name in COMMANDS:
            command = main.get_command(root, name)
            if command is None:
                raise SystemExit(f"no command {name}")
            parts += _help(name, command, root, settings)
    return "\n".join(line.rstrip() for line in "\n".join(parts).splitlines()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(commands_page(), encoding="utf-8")
    print(f"wrote {PAGE}")
