"""The worked case of reports/case: its signatures, its numbers and its page, as a stranger would check them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CASE = Path(__file__).resolve().parents[1] / "reports" / "case"
README = (CASE / "README.md").read_text(encoding="utf-8")
SIGNERS = {
    "announcement": "expert", "accuser": "accuser", "accused": "accused",
    "continuation": "expert", "comparison": "expert", "control": "expert",
}  # fmt: skip


def attest(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "attest", *words], cwd=CASE, capture_output=True, text=True, check=False, env=os.environ
    )


@pytest.mark.parametrize(("statement", "signer"), SIGNERS.items())
def test_every_statement_is_signed_by_whom_the_page_says(statement: str, signer: str):
    assert attest("verify", statement, "--key", f"keys/{signer}.pub.pem").returncode == 0
    others = {"accuser", "accused", "expert"} - {signer}
    assert all(attest("verify", statement, "--key", f"keys/{other}.pub.pem").returncode == 4 for other in others)


def test_the_page_is_rendered_again_byte_for_byte():
    done = attest("verify-report", "report.html")
    assert done.returncode == 0, f"templates changed: run scripts/make_case --page\n{done.stderr}"


def test_the_commands_of_the_page_give_what_it_shows():
    (console,) = re.findall(r"^```console\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    shown: list[tuple[list[str], list[str]]] = []
    for line in console.splitlines():
        if line.startswith("$ attest "):
            shown.append((line.split()[2:], []))
        else:
            shown[-1][1].append(line)
    assert len(shown) == 4
    for words, lines in shown:
        done = attest(*words)
        assert done.returncode == 0, words
        assert all(line in done.stdout for line in lines), done.stdout


def test_the_known_descendant_is_found_and_the_accused_is_not():
    done = attest("reproduce", "control", "--a", "accuser", "--b", "continuation")
    assert re.search(r"neuron-alignment/v1 +identical +statistic 128\.389", done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    rungs = [
        re.search(r"conclusion +(\S+)", attest("compare", "accuser", other).stdout)
        for other in ("accused", "continuation")
    ]
    assert [found and found[1] for found in rungs] == ["no-evidence", "exact-rejected"]
