"""Documents that can be checked are."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from attest.cli import main

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("schemas/*.md"), *ROOT.glob("reports/**/*.md")]
)


def console_blocks(page: Path) -> list[list[str]]:
    found = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [block.splitlines() for block in found]


def run(line: str, expect: int = 0) -> str:
    words = shlex.split(line, comments=True)
    assert words[:2] == ["$", "attest"]
    result = CliRunner().invoke(main, words[2:])
    assert result.exit_code == expect, result.output
    return result.stdout


@pytest.fixture
def in_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the paths of the documents lead to the repository's own data."""
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def follow(block: list[str]) -> None:
    """Run the commands of a block; each other line must be one of those that the command before it printed."""
    output: list[str] = []
    for line in block:
        if line.startswith("$"):
            output = run(line).splitlines()
        else:
            assert line in output


@pytest.mark.usefixtures("in_copy")
def test_readme_shows_real_output() -> None:
    follow(console_blocks(ROOT / "README.md")[0])


def test_readme_shows_a_run_within_its_first_lines() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("$ attest") for line in lines[:12])


@pytest.mark.usefixtures("in_copy")
@pytest.mark.parametrize("page", ["tutorial.md", "for-the-accused.md"])
def test_every_command_of_a_walk_runs_and_prints_what_it_shows(page: str) -> None:
    blocks = console_blocks(ROOT / "docs" / page)
    assert len(blocks) >= 7
    for block in blocks:
        follow(block)


def test_commands_page_is_the_live_help() -> None:
    spec = importlib.util.spec_from_file_location("update_commands_page", ROOT / "scripts" / "update_commands_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page: Callable[[], str] = module.commands_page
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == page(), "run scripts/update_commands_page.py"


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            linked = page.parent / target if target else page
            assert linked.exists(), target
            assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


def test_the_demo_explains_itself_before_it_installs_anything(tmp_path: Path) -> None:
    alone = shutil.copy(ROOT / "scripts" / "demo", tmp_path)
    shown = subprocess.run([alone, "--help"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("usage: scripts/demo")


def test_contributing_draws_the_layers_that_are_checked() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"layers = \[\n(.*?)\n\]", project, flags=re.DOTALL)
    assert listed
    layers = [line.strip().strip('",') for line in listed[1].splitlines()]
    drawn = re.search(
        r"```\n(__main__ > .*?)\n```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    assert drawn
    assert re.split(r"\s+>\s+", drawn[1]) == layers
