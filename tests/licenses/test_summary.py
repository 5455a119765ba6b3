from dataclasses import replace
from pathlib import Path

from attest.document import canonical, dump, load, parse
from attest.evidence_directory import MAX_DETAIL
from attest.finding import Finding
from attest.license_summary import ScannedFile
from attest.licenses.kind import KINDS
from attest.licenses.license_text import Difference, IdentifiedFile, IdentifiedText
from attest.licenses.repository import MAX_IDENTIFIED, MAX_PER_CODE, Scan
from attest.licenses.scan import scan
from attest.licenses.summary import MAX_SUMMARY, LicenseDetail, summarize
from attest.statement import MAX_STATEMENT

MOST = 4 * 1024 * 1024


def made_of(*findings: Finding) -> Scan:
    return Scan(files_scanned=1, files_skipped={"binary": 2, "link": 3}, findings=findings, files=(), identified=())


def finding(code: str, path: str = "a", line: int | None = 1, text: str = "x") -> Finding:
    return Finding(code=code, path=path, line=line, text=text)


def test_the_detail_file_holds_everything(tmp_path: Path):
    (tmp_path / "LICENSE").write_text("MIT License\nCopyright (c) 2024 A\n")
    (tmp_path / "blob").write_bytes(b"\0")
    result = scan(tmp_path)
    summary, data = summarize(result)
    detail = load(LicenseDetail, parse(data, where="detail", max_bytes=MOST), where="detail")
    assert canonical(dump(detail)) == data
    assert (detail.findings, detail.files) == (result.findings, result.files)
    assert (detail.files_scanned, detail.files_skipped) == (1, {"binary": 1})
    assert detail.identified == result.identified
    assert (summary.files_scanned, summary.files_skipped, summary.finding_count) == (1, 1, 3)
    assert summary.detail == "detail/licenses.json"
    assert [item.code for item in summary.findings] == ["license-text-unknown", "license-file", "copyright"]


def test_skipped_files_are_summed():
    assert summarize(made_of())[0].files_skipped == 5


def test_the_most_telling_kinds_come_first():
    codes = ["copyright", "spdx-license", "license-file", "declared-license", "declared-licenses-differ"]
    summary, _ = summarize(made_of(*map(finding, codes)))
    assert [item.code for item in summary.findings] == [
        "declared-licenses-differ",
        "license-file",
        "declared-license",
        "copyright",
        "spdx-license",
    ]


def test_a_flood_of_one_kind_hides_no_other():
    flood = [finding("license-file", path=f"{number:04}", text=str(number)) for number in range(1000)]
    rare = [finding("copyright", text="Copyright 2024 Foreign"), finding("spdx-license", text="MIT")]
    summary, _ = summarize(made_of(*flood, *rare))
    assert len(summary.findings) == MAX_SUMMARY
    assert summary.finding_count == 1002
    assert [item for item in summary.findings if item.code != "license-file"] == rare


def test_a_line_in_a_thousand_files_hides_no_rare_line():
    own = [finding("copyright", path=f"{number:04}", text="Copyright 2024 Own") for number in range(1000)]
    foreign = finding("copyright", path="zzz", text="Copyright 2019 Foreign")
    summary, _ = summarize(made_of(*own, foreign))
    assert summary.findings[1] == foreign


def test_the_largest_detail_file_can_be_read_again():
    """As many findings as the caps allow, with the longest paths and texts, fit ``MAX_DETAIL``."""
    widest = "\N{MUSICAL SYMBOL G CLEF}"
    path = widest * 128
    one = made_of(finding("findings-cut", path=path, line=10**6, text=widest * 500))
    file = ScannedFile(path=path, sha256="0" * 64, blob="0" * 40)
    _, data = summarize(
        Scan(files_scanned=1, files_skipped={}, findings=one.findings, files=(file,), identified=()),
    )
    identified = len(canonical(dump(widest_file(path, widest))))
    assert len(data) * MAX_PER_CODE * len(KINDS) + identified * MAX_IDENTIFIED < MAX_DETAIL


def widest_file(path: str, widest: str) -> IdentifiedFile:
    """More than a license file can give: a dozen changed texts, and complete ones up to the limit."""
    change = Difference(known="x" * 200, here=widest * 200, line=10**6)
    text = IdentifiedText(
        expression="LicenseRef-" + "x" * 50,
        kind="reference",
        line=10**6,
        last_line=10**6,
        license_words=10**6,
        found_words=10**6,
        change_count=0,
        changes=(),
        tolerated_count=10**6,
        twins=(),
    )
    changed = replace(text, change_count=5, changes=(change,) * 5, twins=("LicenseRef-" + "x" * 50,) * 20)
    return IdentifiedFile(
        path=path,
        verdict="reference-only",
        words=10**6,
        rest_words=10**6,
        rest_line=10**6,
        rest=widest * 500,
        texts=(changed,) * 12 + (text,) * 88,
    )


def test_the_largest_summary_leaves_room_in_a_statement():
    widest = "\N{MUSICAL SYMBOL G CLEF}"
    flood = [
        finding(kind.code, path=widest * 128, text=f"{number:04}" + widest * 496)
        for kind in KINDS
        for number in range(MAX_SUMMARY)
    ]
    summary, _ = summarize(made_of(*flood))
    assert len(canonical(dump(summary))) < MAX_STATEMENT / 4
