"""Help, usage and exit codes of the command line as a whole."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from attest import __version__
from attest.cli import COMMANDS, main

HEAVY = ("axe_playwright_python", "cryptography", "jinja2", "llvmlite", "numba", "numpy", "pydantic", "rfc8785", "torch",
         "transformers")  # fmt: skip
PROGRAM = """
import sys
from attest.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print("exit", end.code)
print("heavy", sorted(set(%r) & set(sys.modules)))
"""


def attest(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], ["no-such-command"], []])
def test_help_imports_nothing_heavy(arguments: list[str]):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % (HEAVY,), *arguments], capture_output=True, text=True, check=True
    )
    assert "heavy []" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command(flag: str):
    result = attest(flag)
    assert result.exit_code == 0
    assert all(f"  {name} " in result.output for name in COMMANDS)
    assert "Exit codes: 0 good, 1 negative result, 2 usage, 3 could not decide" in result.output


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, flag: str):
    result = attest(name, flag)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.output.startswith(f"Usage: main {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_what_help_says_of_a_command_is_what_the_command_is(name: str):
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.help


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_a_usage_error(name: str):
    result = attest(name, "--no-such-option")
    assert result.exit_code == 2
    assert "No such option" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["--no-such-option"],
        ["measure"],
        ["measure", "x"],
        ["measure", "x", "-o", "y", "--threads", "0"],
        ["measure", "x", "-o", "y", "--threads", "1025"],
        ["measure", "x", "-o", "y", "--format", "xml"],
        ["reproduce", "x"],
        ["inspect"],
        ["inspect", "x", "y"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(arguments: list[str]):
    result = attest(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [(["mesure"], "measure"), (["attest-results"], "attest-result"), (["library", "bild"], "build"),
     (["report", "--polcy"], "--policy")],
    ids=str,
)  # fmt: skip
def test_a_slip_of_the_keyboard_is_answered_with_what_was_meant(arguments: list[str], suggestion: str):
    result = attest(*arguments)
    assert result.exit_code == 2
    assert f"Did you mean '{suggestion}'" in result.stderr


@pytest.mark.parametrize(("command", "option"), [("sign", "--key"), ("attest-result", "--sign-with")])
def test_who_does_not_say_how_to_sign_is_told_the_option(command: str, option: str):
    arguments = [command, "x", "--any-signer"] if command == "attest-result" else [command, "x"]
    assert f"{option} KEY, or --keyless" in attest(*arguments).stderr


def test_the_version():
    assert attest("--version").output == f"attest, version {__version__}\n"


def test_an_unknown_command_loads_no_module():
    assert main.get_command(click.Context(main), "os") is None
    assert main.get_command(click.Context(main), "progress") is None


ERRORS = {
    "missing": ("inspect", "missing"),
    "too long": ("inspect", "a" * 300),
    "hostile": ("inspect", "\x1b]0;title\x07\u202e"),
}


@pytest.mark.parametrize("arguments", ERRORS.values(), ids=ERRORS)
def test_an_error_is_one_line_that_cannot_move_the_cursor(arguments: tuple[str, ...]):
    result = attest(*arguments)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("error[")
    assert result.stderr.count("\n") == 1
    assert result.stderr.rstrip("\n").isprintable()


@pytest.mark.parametrize("option", ["-o", "--evidence"])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(option: str, tmp_path: Path):
    """Or else hours of measuring are lost at their end."""
    (tmp_path / "there").mkdir()
    taken = attest("compare", "missing", "missing", option, tmp_path / "there" if option == "--evidence" else __file__)
    assert taken.stderr.startswith("error[output-exists]: ")
    homeless = attest("compare", "missing", "missing", option, tmp_path / "no" / "c")
    assert homeless.stderr.endswith("lies in a folder that is not there; make the folder\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_in_a_folder_of_others_is_refused_before_any_work(tmp_path: Path):
    tmp_path.chmod(0o500)
    result = attest("measure", "missing", "-o", tmp_path / "e")
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert "lies in a folder that may not be written to" in result.stderr


def test_where_an_error_was_raised_is_shown_on_request(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ATTEST_DEBUG", "1")
    assert "Traceback" in attest("inspect", "missing").stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("arguments", [["--help"], ["inspect"]], ids=" ".join)
def test_an_output_that_is_full_is_one_line(arguments: list[str], family: Path):
    words = [*arguments, family / "seed-1"] if arguments == ["inspect"] else arguments
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "attest", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 3
    assert done.stderr.startswith("error[cannot-use]: a file or the output: ")
    assert done.stderr.count("\n") == 1


def test_without_an_output_the_exit_code_still_tells():
    """As in ``attest … >&- 2>&-``."""
    closed = "import os, sys; os.close(1); os.close(2); os.execv(sys.executable, [sys.executable, '-m', 'attest', 'inspect', 'no'])"
    assert subprocess.run([sys.executable, "-c", closed], check=False).returncode == 3


def test_a_reader_who_has_enough_is_no_error(family: Path):
    """As in ``attest inspect … | head -1``."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "attest", "inspect", family / "seed-1"],
        stdout=write, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error[" not in done.stderr
