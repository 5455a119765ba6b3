"""The page in a real browser: what it holds, what it loads, how it reads."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from report import factory, scan_factory, spoiling

from attest.comparison import Comparison
from attest.document import decimal, dump
from attest.evidence import Evidence
from attest.report.render import POLICY_MEDIA_TYPE, STATUSES, render
from attest.report.source import read_sources
from attest.terminal import visible

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = {
    "script": "</script><img src=x onerror=alert(1)><script>alert(1)</script>",
    "attribute": '"><svg onload=alert(1)><iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "closing": "</title></style></svg></desc></pre></bdi></td></table></main><base href=http://127.0.0.1:9/>",
    "loading": "<link rel=stylesheet href=http://127.0.0.1:9/><meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "bidi": "\u202egnp.exe\u2066\u2069\u200f\u200b",
    "control": "\x1b[2J\x1b]0;x\x07\x00\x7f\x9b\r\n\t",
    "template": "{{7*7}}{% include '/etc/passwd' %}{#",
    "long": "x" * 1500,
}
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip("there is no Chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(render([*factory.trio(), factory.sign(scan_factory.scan())]))
    return path


@pytest.fixture(scope="module")
def short_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything once: the rules of accessibility take seconds for a thousand cells."""
    first, second = (factory.evidence(seed) for seed in (1, 2))
    first, second = (replace(one, fingerprints=one.fingerprints[-4:]) for one in (first, second))
    bundles = [factory.sign(first), factory.sign(second)]
    pair = factory.comparison(*(factory.side(*one) for one in zip((first, second), bundles, strict=True)))
    path = tmp_path_factory.mktemp("short") / "report.html"
    bundles.append(factory.sign(scan_factory.scan()))
    path.write_bytes(render([*bundles, factory.sign(replace(pair, tests=(*pair.tests[:2], pair.tests[-1])))]))
    return path


class Watched:
    """A page opened in the browser, and everything it should not do."""

    def __init__(self, browser: Any, path: Path, **settings: Any) -> None:
        self.events: list[str] = []
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.page.on("dialog", self._dialog)
        self.page.on("console", lambda message: self.events.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.events.append(f"error: {error}"))
        self.page.on("request", lambda request: self.events.append(f"request: {request.url}"))
        self.page.goto(path.as_uri())

    def _dialog(self, dialog: Any) -> None:
        self.events.append("dialog")
        dialog.dismiss()

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()


Watch: TypeAlias = Callable[..., Watched]


@pytest.fixture
def watch(browser: Any) -> Iterator[Watch]:
    opened: list[Watched] = []

    def start(path: Path, **settings: Any) -> Watched:
        opened.append(Watched(browser, path, **settings))
        return opened[-1]

    yield start
    for one in opened:
        one.context.close()


def test_the_clean_page_asks_for_nothing_and_breaks_no_rule(watch: Watch, report: Path):
    seen = watch(report)
    assert seen.events == [f"request: {report.as_uri()}"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_strings_in_every_field_stay_text(watch: Watch, tmp_path: Path, name: str):
    hostile = HOSTILE[name]
    first, second = factory.evidence(1), factory.evidence(2)
    sides = (factory.side(first, factory.sign(first)), factory.side(second, factory.sign(second)))
    records = [
        spoiling.spoiled(one, hostile, keep_charts=one is not second)
        for one in (
            first,
            second,
            factory.comparison(*sides),
            factory.protocol(*sides),
            scan_factory.scan(),
            factory.result(factory.sign(first), x="identical", y="differs", z="not-measured"),
        )
    ]
    path = tmp_path / "report.html"
    path.write_bytes(render([factory.sign(one) for one in records]))
    seen = watch(path)
    assert seen.events == [f"request: {path.as_uri()}"]
    assert seen.count("script, img, iframe, link, object, embed, base, form, foreignObject, image, use, animate") == 0
    assert (seen.count("meta"), seen.count("style"), seen.count("title:not(svg title)")) == (7, 1, 1)
    links = seen.page.eval_on_selector_all("a", "all => all.map(one => one.getAttribute('href').slice(0, 29))")
    holding = {"data:application/json;base64,", f"data:{POLICY_MEDIA_TYPE}"[:29]}
    assert all(link.startswith("#") or link in holding for link in links)
    words = seen.page.locator("body").text_content()
    for record in records:
        for leaf in spoiling.leaves(dump(record)):
            if isinstance(leaf, str):
                assert all(visible(line) in words for line in STATUSES.get(leaf, leaf).split("\n"))
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\x00-\x08\x0b-\x1f\x7f-\x9f]", words)


def test_everything_is_there_without_scripts(watch: Watch, report: Path):
    words = watch(report, java_script_enabled=False).page.locator("body").text_content()
    for source in read_sources(factory.trio()):
        for leaf in spoiling.leaves(dump(source.predicate)):
            shown = decimal(leaf) if isinstance(leaf, float) else STATUSES.get(leaf, str(leaf))
            assert visible(shown.split("\n")[0]) in words or f"{leaf:,}" in words


def test_a_bundle_is_saved_byte_for_byte(watch: Watch, report: Path, tmp_path: Path):
    seen = watch(report, java_script_enabled=False)
    for source in read_sources(factory.trio()):
        with seen.page.expect_download() as waiting:
            seen.page.get_by_role("link", name=f"Save {source.file_name}").click()
        assert waiting.value.suggested_filename == source.file_name
        waiting.value.save_as(tmp_path / "saved")
        assert (tmp_path / "saved").read_bytes() == source.data


def test_a_bundle_as_large_as_attest_writes_is_saved(watch: Watch, tmp_path: Path):
    measured = factory.evidence()
    large = spoiling.spoiled(measured, "x" * 3600, keep_charts=False)
    assert isinstance(large, Evidence)
    bundle = factory.sign(large, subjects=factory.subjects_of(measured))
    assert 900_000 < len(read_sources([bundle])[0].statement.payload) < 1_048_576
    path = tmp_path / "report.html"
    path.write_bytes(render([bundle]))
    seen = watch(path, java_script_enabled=False)
    with seen.page.expect_download() as waiting:
        seen.page.locator("a.save").click()
    waiting.value.save_as(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == bundle


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("opened", [False, True], ids=["closed", "open"])
def test_no_accessibility_rule_is_broken(watch: Watch, short_report: Path, scheme: str, opened: bool):  # noqa: FBT001 - a parameter
    seen = watch(short_report, color_scheme=scheme, bypass_csp=True)
    state = "true" if opened else "false"
    seen.page.evaluate(f"document.querySelectorAll('details').forEach(one => one.open = {state})")
    found = axe.Axe().run(seen.page, options=RULES).response["violations"]
    assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found] == []


THIN_CELLS = """
[...document.querySelectorAll("td, tbody th")]
    .filter(cell => {
        const em = parseFloat(getComputedStyle(cell).fontSize);
        const box = cell.getBoundingClientRect();
        return cell.textContent.trim() && box.width && box.width < 4 * em && box.height > 5 * em;
    })
    .map(cell => cell.textContent.trim())
"""
"""Cells in which a word or a number stands one or two characters a line."""


@pytest.mark.parametrize("width", [320, 360, 768])
def test_narrow_windows_reflow(watch: Watch, report: Path, width: int):
    seen = watch(report, viewport={"width": width, "height": 800})
    seen.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.evaluate(THIN_CELLS) == []
    assert seen.page.evaluate("[...document.querySelectorAll('caption')].every(one => one.offsetWidth <= innerWidth)")


def test_the_keyboard_reaches_the_content_first(watch: Watch, report: Path):
    seen = watch(report)
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    seen.page.keyboard.press("Enter")
    assert seen.page.evaluate("document.activeElement.id") == "main"


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs pdftotext")
def test_paper_holds_what_is_folded_on_the_screen(watch: Watch, report: Path, tmp_path: Path):
    seen = watch(report)
    assert seen.page.locator("details:not([open])").count() > 10
    path = tmp_path / "report.pdf"
    seen.page.pdf(path=str(path), format="A4")
    done = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True)  # noqa: S607
    words = set(done.stdout.split())
    first, _, pair = (source.predicate for source in read_sources(factory.trio()))
    assert isinstance(first, Evidence)
    assert isinstance(pair, Comparison)
    folded = {
        cell
        for one in first.fingerprints
        if one.table and one.table.columns[0] == "layer"
        for row in one.table.rows
        for cell in row
    }
    folded |= {decimal(layer.z) for test in pair.tests for layer in test.layers if layer.z is not None}
    folded |= {str(n) for test in pair.tests if test.null_distribution for n in test.null_distribution.counts}
    assert len(folded) > 100
    assert folded - words == set()
