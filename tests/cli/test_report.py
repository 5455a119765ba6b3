import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from report import factory

from attest.cli import main
from attest.report.render import render


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture
def bundles(tmp_path: Path) -> list[Path]:
    """An evidence directory, a bundle file, and a comparison."""
    first, second, pair = factory.trio()
    directory = tmp_path / "evidence"
    directory.mkdir()
    paths = [directory / "statement.sigstore.json", tmp_path / "second.json", tmp_path / "pair.json"]
    for path, data in zip(paths, (first, second, pair), strict=True):
        path.write_bytes(data)
    return [directory, *paths[1:]]


@pytest.fixture
def report(tmp_path: Path, bundles: list[Path]) -> Path:
    output = tmp_path / "report.html"
    assert run("report", *bundles, "-o", output).exit_code == 0
    return output


def test_report_writes_the_page_and_says_how_to_check_it(tmp_path: Path, bundles: list[Path]):
    output = tmp_path / "a report.html"
    result = run("report", *bundles, "-o", output)
    page = output.read_bytes()
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        str(output),
        f"sha256 {hashlib.sha256(page).hexdigest()}",
        f"Check it with: attest verify-report '{output}'",
    ]
    assert page == render(factory.trio())


def test_report_speaks_json(tmp_path: Path, bundles: list[Path]):
    output = tmp_path / "r.html"
    value = json.loads(run("report", *bundles, "-o", output, "--format", "json").stdout)
    assert value == {
        "path": str(output),
        "sha256": hashlib.sha256(output.read_bytes()).hexdigest(),
        "size": output.stat().st_size,
        "check": f"attest verify-report {output}",
    }


def test_report_keeps_what_is_there_unless_forced(bundles: list[Path], report: Path):
    report.write_bytes(b"mine")
    refused = run("report", *bundles, "-o", report)
    assert (refused.exit_code, report.read_bytes()) == (3, b"mine")
    assert "error[output-exists]" in refused.stderr
    assert run("report", *bundles, "-o", report, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("data", "code"), [(b"{}", "not-a-bundle"), (b"[" * 100, "too-deep"), (b"", "not-json"), (None, "no-bundle")]
)
def test_report_refuses_what_is_no_bundle_in_one_line(tmp_path: Path, data: bytes | None, code: str):
    path, output = tmp_path / "x.json", tmp_path / "r.html"
    if data is not None:
        path.write_bytes(data)
    result = run("report", path, "-o", output)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error[{code}]: ")
    assert result.stderr.count("\n") == 1
    assert not output.exists()


def test_a_report_that_is_printed_is_the_page_and_nothing_else(bundles: list[Path], report: Path):
    assert run("report", *bundles, "-o", "-").stdout_bytes == report.read_bytes()


def test_a_report_into_a_folder_that_is_not_there(bundles: list[Path], tmp_path: Path):
    result = run("report", *bundles, "-o", tmp_path / "no" / "r.html")
    assert result.exit_code == 3
    assert result.stderr.endswith("r.html: lies in a folder that is not there; make the folder\n")


def test_what_is_no_report_is_named(tmp_path: Path):
    (tmp_path / "page.html").write_bytes(b"<html></html>")
    result = run("verify-report", tmp_path / "page.html")
    assert result.stderr.startswith(f"error[not-a-report]: {tmp_path / 'page.html'}: ")


def test_report_needs_a_bundle():
    assert run("report").exit_code == 2


def test_verify_report_of_an_untouched_page(report: Path):
    result = run("verify-report", report)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    compared = f"(all {report.stat().st_size:,} bytes of it and {len(lines) - 2} bundles)"
    assert lines[0] == f"identical: {report} is, byte for byte, what its bundles give {compared}"
    assert lines[1].startswith("No signature was checked.")
    assert [line.split()[:2] for line in lines[2:]] == [["attest", "verify"]] * 3


def test_verify_report_names_the_first_line_that_differs(report: Path):
    page = report.read_bytes()
    line = page[: page.index(b"<td>357.214568</td>")].count(b"\n") + 1
    report.write_bytes(page.replace(b"<td>357.214568</td>", b"<td>0.31\x1b[2J</td>"))
    result = run("verify-report", report)
    assert result.exit_code == 1
    assert f"first at line {line}" in result.stdout
    assert "0.31\\x1b[2J" in result.stdout
    assert "\x1b" not in result.stdout


def test_verify_report_speaks_json(tmp_path: Path, report: Path):
    value = json.loads(run("verify-report", report, "--format", "json").stdout)
    assert (value["outcome"], value["firstDifference"], value["signatures"]) == ("identical", None, "not checked")
    assert len(value["bundles"]) == len(value["next"]) == 3
    report.write_bytes(report.read_bytes() + b"x")
    output = tmp_path / "result.json"
    assert run("verify-report", report, "--format", "json", "-o", output).exit_code == 1
    value = json.loads(output.read_text())
    assert value["outcome"] == "different"
    assert set(value["firstDifference"]) == {"line", "found", "expected"}


@pytest.mark.parametrize(
    ("page", "code"),
    [(b"<html></html>", "not-a-report"), (None, "no-report"), (b"template", "other-template")],
)
def test_verify_report_that_cannot_decide_exits_3(report: Path, page: bytes | None, code: str):
    if page is None:
        report.unlink()
    else:
        other = report.read_bytes().replace(b"report template 1", b"report template 2")
        report.write_bytes(other if code == "other-template" else page)
    result = run("verify-report", report)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error[{code}]: ")


def test_the_commands_run_as_programs(tmp_path: Path, bundles: list[Path]):
    output = tmp_path / "report.html"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for arguments in (["report", *bundles, "-o", output], ["verify-report", output]):
        program = "from attest.cli import main; main()"
        command = [sys.executable, "-c", program, *map(str, arguments)]
        assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def test_a_file_of_claims_gives_its_results_and_says_what_it_leaves_out(tmp_path: Path):
    measured = factory.sign(factory.evidence())
    claims = [factory.sign(factory.result(measured, files="identical"), key=factory.P256), measured, b"no bundle"]
    (tmp_path / "measured.json").write_bytes(measured)
    (tmp_path / "claims.jsonl").write_bytes(b"\n".join(claims))
    result = run("report", tmp_path / "measured.json", tmp_path / "claims.jsonl", "-o", tmp_path / "page.html")
    assert result.exit_code == 0
    assert result.stderr == f"{tmp_path / 'claims.jsonl'}: 2 lines left out, which hold no attestation result\n"
    assert "says that it was made again" in (tmp_path / "page.html").read_text()
    assert run("verify-report", tmp_path / "page.html").exit_code == 0


def test_a_file_of_claims_without_a_result_is_refused(tmp_path: Path):
    (tmp_path / "claims.jsonl").write_bytes(factory.sign(factory.evidence()))
    result = run("report", tmp_path / "claims.jsonl", "-o", tmp_path / "page.html")
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert result.stderr.startswith("error[no-attestation-result]: ")
    missing = run("report", tmp_path / "missing.jsonl", "-o", tmp_path / "page.html")
    assert missing.stderr.startswith("error[no-bundle]: ")
    assert not (tmp_path / "page.html").exists()
