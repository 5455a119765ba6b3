import base64
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report import factory, spoiling

from attest.bundle import Bundle
from attest.document import canonical, dump
from attest.errors import AttestError, DocumentError, InputError
from attest.policy_file import DEFAULT_POLICY
from attest.report import rerender as rerender_module
from attest.report.render import MAX_REPORT, TEMPLATE_VERSION, render
from attest.report.rerender import embedded_bundles, rerender
from attest.report.source import MAX_SOURCES

PAGE = render(factory.trio())


def changed(old: bytes, new: bytes) -> bytes:
    assert PAGE.count(old) >= 1
    return PAGE.replace(old, new, 1)


def section(ident: str) -> bytes:
    start = PAGE.index(b'<section aria-labelledby="%b">' % ident.encode())
    return PAGE[start : PAGE.index(b"\n</section>\n", start)]


def test_an_untouched_page_is_identical():
    result = rerender(PAGE)
    assert result.difference is None
    assert [source.label for source in result.sources] == ["E1", "E2", "C1"]


@pytest.mark.parametrize(
    ("page", "found", "expected"),
    [
        (changed(b"<td>357.214568</td>", b"<td>0.31</td>"), "0.31", "357.214568"),
        (changed(b"</main>", b"<p>VERIFIED</p>\n</main>"), "<p>VERIFIED</p>", "</main>"),
        (changed(b"--two: #a8320a", b"--two: #00a832"), "#00a832", "#a8320a"),
        (changed(b"default-src 'none'", b"default-src *"), "default-src *", "default-src 'none'"),
        (changed(b' points="2,', b' points="3,'), 'points="3,', 'points="2,'),
        (changed(section("limits"), b""), "", '<section aria-labelledby="limits">'),
        (PAGE + b"<script>alert(1)</script>", "<script>alert(1)</script>", ""),
        (PAGE[:-1], "", ""),
        (PAGE.replace(b"\n", b"\r\n"), "<!DOCTYPE html>\r", "<!DOCTYPE html>"),
        (b"\xef\xbb\xbf" + PAGE, "\ufeff<!DOCTYPE html>", "<!DOCTYPE html>"),
    ],
    ids=["number", "added", "style", "policy", "chart", "removed", "appended", "cut", "line-ends", "mark"],
)
def test_a_changed_page_differs_and_the_place_is_named(page: bytes, found: str, expected: str):
    difference = rerender(page).difference
    assert difference is not None
    same = page.split(b"\n")[: difference.line - 1]
    assert PAGE.split(b"\n")[: difference.line - 1] == same
    assert found in difference.found
    assert expected in difference.expected


def test_a_page_whose_bundle_was_exchanged_differs():
    other = factory.sign(factory.evidence(7, "other"))
    page = changed(base64.b64encode(factory.trio()[0]), base64.b64encode(other))
    assert rerender(page).difference is not None


def test_a_bundle_that_was_removed_from_the_page_is_missed():
    first = base64.b64encode(factory.trio()[0])
    assert rerender(changed(b'href="data:application/json;base64,' + first, b'href="#')).difference is not None


def test_a_bundle_that_was_damaged_is_no_verdict():
    with pytest.raises(DocumentError):
        rerender(changed(b"data:application/json;base64,eyJk", b"data:application/json;base64,fyJk"))


def test_a_page_of_another_template_says_which():
    with pytest.raises(InputError) as caught:
        rerender(changed(b"report template %d" % TEMPLATE_VERSION, b"report template 99"))
    assert caught.value.code == "other-template"
    assert "template 99" in caught.value.message


@pytest.mark.parametrize("page", [b"", b"<html></html>", b"\xff\x00" * 100, factory.trio()[0]])
def test_what_is_no_report_is_refused(page: bytes):
    with pytest.raises(DocumentError) as caught:
        rerender(page)
    assert (caught.value.code, caught.value.exit_code) == ("not-a-report", 3)


def test_a_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rerender_module, "MAX_REPORT", len(PAGE) - 1)
    assert len(PAGE) < MAX_REPORT
    with pytest.raises(DocumentError):
        rerender(PAGE)


def test_too_many_bundles_are_refused():
    link = b'<a href="data:application/json;base64,e30=">'
    assert embedded_bundles(link * MAX_SOURCES) == (b"{}",) * MAX_SOURCES
    with pytest.raises(DocumentError):
        embedded_bundles(link * (MAX_SOURCES + 1))


def test_a_link_in_a_hostile_string_is_not_taken_for_a_bundle():
    hostile = '<a href="data:application/json;base64,e30=">'
    bundle = factory.sign(spoiling.spoiled(factory.evidence(), hostile, keep_charts=True))
    page = render([bundle])
    assert embedded_bundles(page) == (bundle,)
    assert rerender(page).difference is None


def test_a_bundle_that_is_not_canonical_is_kept_as_it_is():
    first, *rest = factory.trio()
    spread = first.replace(b'":"', b'" : "')
    assert Bundle.from_json(spread, where="bundle") == Bundle.from_json(first, where="bundle")
    page = render([spread, *rest])
    assert embedded_bundles(page)[0] == spread
    assert rerender(page).difference is None


SMALL = render([factory.sign(factory.evidence())])


def outcome(page: bytes) -> str:
    try:
        return "identical" if rerender(page).difference is None else "different"
    except AttestError as error:
        return f"exit {error.exit_code}"


@settings(deadline=None)
@given(st.integers(0, len(SMALL) - 1), st.integers(1, 255))
def test_no_changed_byte_is_called_identical(place: int, mask: int):
    page = bytearray(SMALL)
    page[place] ^= mask
    assert outcome(bytes(page)) in {"different", "exit 3"}


def test_the_policy_of_a_page_lies_in_it_and_reads_it_again():
    mine = dataclasses.replace(DEFAULT_POLICY, id="mine/v1", minimum_z=1000.0)
    page = render(factory.trio(), mine)
    assert b"mine/v1" in page
    result = rerender(page)
    assert result.difference is None
    assert result.policy == mine
    assert rerender(PAGE).policy == DEFAULT_POLICY


def test_a_page_whose_policy_was_exchanged_differs():
    other = canonical(dump(dataclasses.replace(DEFAULT_POLICY, alpha=0.001)))
    mine = canonical(dump(DEFAULT_POLICY))
    result = rerender(changed(base64.b64encode(mine), base64.b64encode(other)))
    assert result.difference is not None


def test_two_policies_and_what_is_none_are_refused():
    link = next(line for line in PAGE.split(b"\n") if b"comparison-policy+json" in line)
    with pytest.raises(DocumentError) as twice:
        rerender(PAGE + link)
    assert twice.value.code == "not-a-report"
    with pytest.raises(DocumentError) as none:
        rerender(changed(base64.b64encode(canonical(dump(DEFAULT_POLICY))), base64.b64encode(b"{}")))
    assert none.value.code == "not-of-schema"
