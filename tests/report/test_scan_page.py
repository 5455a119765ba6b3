"""Licenses, notices and the origin of code as the page shows them."""

import dataclasses
import re

import pytest
from report import factory, scan_factory, spoiling
from report.test_render import read, text_of

from attest.document import dump
from attest.licenses.kind import KINDS
from attest.licenses.meaning import meanings
from attest.report.render import STATUSES, render
from attest.report.rerender import rerender
from attest.report.source import read_sources
from attest.repository_scan import DatedFile, RepositoryScan
from attest.terminal import visible


@pytest.fixture(scope="module")
def page() -> bytes:
    return render([factory.sign(scan_factory.scan()), factory.sign(factory.evidence())])


def words_of(scan: RepositoryScan) -> str:
    return text_of(render([factory.sign(scan)]))


def test_everything_that_was_signed_is_shown(page: bytes):
    words = text_of(page)
    for leaf in spoiling.leaves(dump(scan_factory.scan())):
        text = STATUSES.get(leaf, leaf) if isinstance(leaf, str) else leaf
        shown = all(visible(line) in words for line in str(text).split("\n"))
        assert shown or (isinstance(leaf, int) and f"{leaf:,}" in words), leaf


def test_the_page_is_rendered_again_byte_for_byte(page: bytes):
    assert rerender(page).difference is None
    assert {source.label for source in rerender(page).sources} == {"E1", "R1"}


def test_every_kind_of_finding_stands_with_what_it_means_and_what_it_does_not(page: bytes):
    words = text_of(page)
    for finding in scan_factory.scan().licenses.findings:
        assert meanings()[finding.code].means in words
        assert meanings()[finding.code].does_not_mean in words
    assert {kind.code for kind in KINDS} < meanings().keys()


def test_a_finding_leads_to_the_digests_of_its_file(page: bytes):
    assert re.search(r'<a href="#R1-file-1"><bdi>LICENSE</bdi></a>, line 1', page.decode())
    assert re.search(
        r'id="R1-file-1"><bdi>LICENSE</bdi></th><td><code class="digest">[0-9a-f]{64}</code>', page.decode()
    )


def test_only_found_and_not_found_are_said_of_a_clause(page: bytes):
    words = text_of(page)
    assert '<td>found<br><span class="place"><bdi>LICENSE:1</bdi></span></td>' in page.decode()
    assert "<td>not found</td>" in page.decode()
    for accusing in ("violat", "infring", "plagiar", "stolen", "guilty", "breach"):
        assert accusing not in words.casefold()


def test_a_peak_is_marked_and_a_flat_curve_is_not(page: bytes):
    assert "most 0.9664: 4.44.0" in text_of(page)
    assert "0.7533 in every release" in text_of(page)
    curves = re.findall(r'<svg.*?id="R1-curve-\d-t".*?</svg>', page.decode())
    assert [curve.count('class="dot c2"') for curve in curves] == [1, 0]


def test_readings_are_by_rank_among_nearest_files(page: bytes):
    rows = re.findall(r"<tr><th scope=\"row\"><bdi>(\w+)\.py</bdi>.*?</tr>", page.decode())
    assert rows[:3] == ["configuration_example", "modeling_example", "tokenization_example"]
    readings = re.findall(r"<td>(not distinctive|distinctive|no null: too few files)</td>", page.decode())
    assert readings == ["not distinctive", "distinctive", "no null: too few files"]


def test_notices_that_were_kept_are_said_too():
    origins = scan_factory.origins()
    kept = dataclasses.replace(origins, missing_notice_count=0, origins=origins.origins[:1])
    scan = dataclasses.replace(scan_factory.scan(), origins=kept)
    assert "None was found missing: where a file is alike, it names the holders whom the other one names." in words_of(
        scan
    )


def test_a_page_of_little_is_whole():
    little = dataclasses.replace(scan_factory.scan(), notices=None, origins=None, details=())
    little = dataclasses.replace(
        little, licenses=dataclasses.replace(little.licenses, findings=(), files=(), obligations=())
    )
    words = words_of(little)
    for sentence in (
        "Scan of example-moe",
        "Nothing was found by the patterns that were looked for.",
        "No license was found in full, or clearly declared, whose clauses attest knows.",
        "no history was searched for notices",
        "its code was held against nothing",
    ):
        assert sentence in words
    assert "Code in common" not in words


def test_a_curve_without_one_share_a_release_is_not_drawn():
    origins = scan_factory.origins()
    assert origins.dating is not None
    short = DatedFile(path="modeling_example.py", origin="a.py", containments=("1",))
    dating = dataclasses.replace(origins.dating, files=(short,))
    page = render(
        [factory.sign(dataclasses.replace(scan_factory.scan(), origins=dataclasses.replace(origins, dating=dating)))]
    )
    assert b"R1-curve-1-t" not in page
    assert text_of(page).count("—") > 1


@pytest.mark.parametrize("hostile", ["</script><script>alert(1)</script>", '"><svg onload=alert(1)>', "{{7*7}}{%raw%}"])
def test_hostile_strings_add_no_markup(hostile: str):
    spoiled, clean = (
        [
            (tag, tuple(attributes))
            for tag, attributes in read(
                render([factory.sign(spoiling.spoiled(scan_factory.scan(), text, keep_charts=True))])
            ).elements
        ]
        for text in (hostile, "plain")
    )
    assert spoiled == clean


def test_links_inside_the_page_lead_somewhere_and_identifiers_are_unique(page: bytes):
    elements = read(page).elements
    idents = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(set(idents)) == len(idents)
    targets = [attributes.get("href") or "" for _, attributes in elements]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(idents)


def test_scans_are_labeled_and_named_by_their_digest():
    (source,) = read_sources([factory.sign(scan_factory.scan())])
    assert (source.label, source.kind) == ("R1", "repository-scan")
    assert source.file_name == f"repository-scan-{source.statement.digest[:12]}.sigstore.json"


def test_holders_whom_papers_of_the_other_side_name_stand_with_where_they_are_named():
    words = " ".join(words_of(scan_factory.scan()).split())
    assert "Not found: no copyright line that was read here names this holder.The name stands in README.md." in words
    assert "Named here:" in words
    assert "name a holder over such code: 2, of which no line here names the same: 1." in words
