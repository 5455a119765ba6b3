"""Write docs/commands.md from the live help of every command."""

from __future__ import annotations

from pathlib import Path

import click

from attest.cli import COMMANDS, main

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"
WIDTH = 100


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
            with click.Context(command, info_name=name, parent=root, **settings) as context:
                parts += ["", f"## {name}", "```console", command.get_help(context), "```"]
                for part, one in (command.commands if isinstance(command, click.Group) else {}).items():
                    with click.Context(one, info_name=part, parent=context, **settings) as inner:
                        parts += ["", f"### {name} {part}", "```console", one.get_help(inner), "```"]
    return "\n".join(line.rstrip() for line in "\n".join(parts).splitlines()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(commands_page(), encoding="utf-8")
    print(f"wrote {PAGE}")
