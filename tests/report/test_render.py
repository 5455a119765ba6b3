import base64
import dataclasses
import hashlib
import html
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from report import factory, spoiling

from attest.comparison import Comparison
from attest.document import decimal, dump
from attest.errors import InputError
from attest.evidence import Evidence
from attest.policy import conclude
from attest.policy_file import DEFAULT_POLICY, Policy
from attest.report import render as render_module
from attest.report.render import POLICY_MEDIA_TYPE, TEMPLATE_VERSION, render
from attest.report.rerender import embedded_bundles
from attest.report.source import read_sources
from attest.terminal import visible

GOLDEN = {1: "21327670d291ae1b6dd6470152cb12210e834a419cd490ae164d9eb66ad05b71"}
"""SHA-256 of the page of ``factory.trio()``, by template version."""

RENDER_IN_ANOTHER_PROCESS = """
import hashlib
from report import factory
from attest.report.render import render
print(hashlib.sha256(render(factory.trio())).hexdigest())
"""


class Reader(HTMLParser):
    """Elements, attributes and text of a page, as an HTML parser sees them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(page: bytes) -> Reader:
    reader = Reader()
    reader.feed(page.decode())
    reader.close()
    return reader


def text_of(page: bytes) -> str:
    return "".join(read(page).words)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def page() -> bytes:
    return render(factory.trio())


def test_the_page_of_a_template_version_never_changes(page: bytes):
    assert digest(page) == GOLDEN[TEMPLATE_VERSION], (
        "the page has changed: raise TEMPLATE_VERSION (once a release has been made), say so in the changelog, and"
        f' add {TEMPLATE_VERSION}: "{digest(page)}" to GOLDEN'
    )


@pytest.mark.parametrize("rung", ["exact-rejected", "matched-above-panel", "no-evidence"])
def test_a_rung_claims_no_more_than_the_policy_asked(rung: str):
    """A reader's policy may ask for little or for much: no fixed sentence says how rare a result is."""
    meaning = render_module.RUNGS[rung].meaning
    assert "the policy" in meaning
    assert not re.search(r"\b(very|hardly|never|seldom|far)\b", meaning)


def test_the_page_is_the_same_in_every_process(page: bytes):
    tests = Path(__file__).parents[1]
    for settings in (
        {"TZ": "Asia/Tokyo", "LANG": "C", "LC_ALL": "C", "PYTHONHASHSEED": "1"},
        {"TZ": "America/Lima", "LANG": "de_DE.UTF-8", "PYTHONHASHSEED": "4242", "PYTHONUTF8": "0"},
    ):
        environment = {**os.environ, **settings, "PYTHONPATH": os.pathsep.join((str(tests), str(tests.parent)))}
        done = subprocess.run(
            [sys.executable, "-c", RENDER_IN_ANOTHER_PROCESS],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == digest(page)


def test_the_page_does_not_depend_on_the_order_of_bundles(page: bytes):
    assert render(factory.trio()[::-1]) == page


def test_the_policy_comes_first_and_names_the_style_sheet(page: bytes):
    reader = read(page)
    metas = [attributes for tag, attributes in reader.elements if tag == "meta"]
    style = re.search(rb"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    source = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    assert metas[0] == {
        "http-equiv": "Content-Security-Policy",
        "content": f"default-src 'none'; style-src 'sha256-{source}'; img-src data:; base-uri 'none'; form-action 'none'",
    }
    assert {"name": "referrer", "content": "no-referrer"} in metas
    assert {"name": "generator", "content": f"attest report template {TEMPLATE_VERSION}"} in metas
    assert page.index(b"<meta charset") < 1024


def test_nothing_runs_and_nothing_is_loaded(page: bytes):
    for tag, attributes in read(page).elements:
        assert tag not in {"script", "img", "link", "iframe", "object", "embed", "base", "form", "video", "audio"}
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src", "action", "srcset"):
            value = attributes.get(name) or ""
            allowed = ("#", "data:application/json;base64,", f"data:{POLICY_MEDIA_TYPE};base64,")
            assert value == "" or value.startswith(allowed)


def test_links_inside_the_page_lead_somewhere_and_identifiers_are_unique(page: bytes):
    reader = read(page)
    idents = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(set(idents)) == len(idents)
    for _, attributes in reader.elements:
        target = attributes.get("href") or ""
        assert not target.startswith("#") or target[1:] in idents
        for name in (attributes.get("aria-labelledby") or "").split():
            assert name in idents


def test_bundles_lie_in_the_page_byte_for_byte(page: bytes):
    first, second, pair = factory.trio()
    assert embedded_bundles(page) == (first, second, pair)


@pytest.mark.parametrize("z", [357.214568123, 1.25, -48.1])
def test_everything_that_was_signed_is_shown(z: float):
    bundles = factory.trio(z=z, pvalue=0.0001 if abs(z) > 5 else 0.21)
    words = text_of(render(bundles))
    for source in render_module.read_sources(bundles):
        for leaf in spoiling.leaves(dump(source.predicate)):
            if isinstance(leaf, str):
                leaf = render_module.STATUSES.get(leaf, leaf)  # noqa: PLW2901 - as the page words it
                assert all(visible(line) in words for line in leaf.split("\n")), leaf
            elif isinstance(leaf, int):
                assert str(leaf) in words or f"{leaf:,}" in words, leaf
            else:
                assert decimal(leaf) in words, leaf
        for shown in (source.sha256, source.statement.digest, source.bundle.key_hint, source.file_name):
            assert shown in words


def test_the_banner_the_propositions_and_the_limits_are_there(page: bytes):
    words = text_of(page)
    for sentence in (
        "This page has verified nothing.",
        "One of the two derives from the weights of the other, or both derive from those of a third",
        "The two were trained independently of each other",
        "nothing about a deed",
        "The policy that this page reads by",
        "Descriptive: no p-value",
        "What this does not show",
        "Not compared, and why",
        "Open points",
    ):
        assert sentence in words


@pytest.mark.parametrize("z", [357.2, 0.1])
def test_the_first_screen_says_what_bounds_each_conclusion(z: float):
    bundles = factory.trio(z=z, pvalue=1e-4 if z > 1 else 0.9)
    first, _, _ = text_of(render(bundles)).partition("All tests")
    (comparison,) = (one.predicate for one in read_sources(bundles) if isinstance(one.predicate, Comparison))
    cautions = conclude(comparison).cautions
    assert cautions
    assert all(sentence in first for sentence in cautions)


def test_one_rung_is_marked_as_reached(page: bytes):
    marked = [attributes for tag, attributes in read(page).elements if attributes.get("aria-current")]
    assert len(marked) == 1
    assert re.search(r'class="reached".*?<em>reached</em>', page.decode(), re.DOTALL)


def test_a_descriptive_number_never_shows_a_p_value_as_its_own():
    measured = factory.evidence()
    side = factory.side(measured, factory.sign(measured))
    pair = factory.comparison(side, side)
    liar = replace(pair.tests[-1], pvalue=1e-9, z=40.5)
    words = text_of(render([factory.sign(replace(pair, tests=(*pair.tests[:-1], liar)))]))
    assert "the bundle gives p 1e-09 without a calibration for it" in words
    assert "the bundle gives z 40.5 without a calibration for it" in words


@pytest.mark.parametrize("kind", ["evidence", "comparison"])
def test_a_page_of_one_bundle_is_whole(kind: str):
    bundle = factory.trio()[0 if kind == "evidence" else 2]
    words = text_of(render([bundle]))
    assert ("Nothing was compared on this page." in words) == (kind == "evidence")
    assert ("no evidence about A is on this page" in words) == (kind == "comparison")


def test_a_page_of_what_is_empty_is_whole():
    measured = factory.evidence()
    empty = replace(
        measured,
        command=(),
        checkpoint=replace(measured.checkpoint, ignored=(), findings=()),
        tensors=replace(measured.tensors, dtypes={}, unmapped_count=0, unmapped=()),
        architecture=replace(measured.architecture, family=None, d_model=None, d_ff=None, heads=None),
        fingerprints=(),
        activations=None,
        licenses=None,
        details=(),
        does_not_show=(),
    )
    words = text_of(render([factory.sign(empty)]))
    for sentence in (
        "No repository was scanned.",
        "The network was not run.",
        "No limit is named.",
        "None was measured.",
    ):
        assert sentence in words


def test_a_very_long_name_does_not_flood_the_title():
    measured = factory.evidence(name="n" * 3000)
    page = render([factory.sign(measured)]).decode()
    heading = re.search(r"<h1>(.*?)</h1>", page)
    assert heading
    assert len(heading[1]) < 200
    assert "n" * 3000 in page


def test_a_page_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(render_module, "MAX_REPORT", 10_000)
    with pytest.raises(InputError) as caught:
        render([factory.sign(factory.evidence())])
    assert caught.value.code == "report-too-large"


@pytest.mark.parametrize("hostile", ["</script><script>alert(1)</script>", '"><svg onload=alert(1)>', "{{7*7}}{%raw%}"])
@pytest.mark.parametrize("keep_charts", [True, False])
def test_hostile_strings_add_no_markup(hostile: str, *, keep_charts: bool):
    clean, spoiled = (
        [(tag, tuple(attributes)) for tag, attributes in read(one).elements]
        for one in (
            render_of("plain", keep_charts=keep_charts),
            render_of(hostile, keep_charts=keep_charts),
        )
    )
    assert spoiled == clean


def render_of(text: str, *, keep_charts: bool) -> bytes:
    records: list[Evidence | Comparison] = [factory.evidence(1), factory.evidence(2)]
    sides = [factory.side(one, factory.sign(one)) for one in records if isinstance(one, Evidence)]
    records.append(factory.comparison(*sides))
    return render([factory.sign(spoiling.spoiled(one, text, keep_charts=keep_charts)) for one in records])


def commands(page: bytes) -> list[str]:
    found = re.findall(r'<pre class="command"[^>]*><code>(.*?)</code></pre>', page.decode(), re.DOTALL)
    return [html.unescape(one) for one in found]


@pytest.mark.skipif(not shutil.which("openssl") or not shutil.which("bash"), reason="needs openssl and bash")
@pytest.mark.parametrize(
    ("key", "check", "answer"),
    [
        (factory.P256, "dgst -sha256 -verify", "Verified OK"),
        (factory.ED25519, "pkeyutl -verify", "Signature Verified Successfully"),
    ],
)
def test_the_openssl_commands_on_the_page_check_a_bundle(
    tmp_path: Path, key: EllipticCurvePrivateKey | Ed25519PrivateKey, check: str, answer: str
):
    bundle = factory.sign(factory.evidence(), key=key)
    page = render([bundle])
    (source,) = render_module.read_sources([bundle])
    (tmp_path / "KEY.pub.pem").write_bytes(factory.public_pem(key))
    unpack = next(one for one in commands(page) if one.startswith("BUNDLE="))
    verify = next(one for one in commands(page) if check in one)
    print_digests = next(one for one in commands(page) if "openssl dgst -sha256 statement.json" in one)

    def run(data: bytes) -> subprocess.CompletedProcess[str]:
        (tmp_path / source.file_name).write_bytes(data)
        script = f"set -o pipefail\n{unpack}\n{print_digests}\n{verify}"
        return subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S607

    done = run(bundle)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, answer), done.stderr
    assert source.statement.digest in done.stdout
    assert source.bundle.key_hint in done.stdout
    spread = bundle.replace(b'":"', b'": "').replace(b',"', b',\n  "')
    assert run(spread).stdout.splitlines()[-1] == answer
    payload = base64.b64encode(source.statement.payload)
    changed = base64.b64encode(source.statement.payload.replace(b"4967215360", b"4967215361"))
    assert payload in bundle
    assert changed != payload
    tampered = run(bundle.replace(payload, changed))
    assert tampered.returncode != 0
    assert answer not in tampered.stdout


def test_what_was_found_where_is_shown(page: bytes):
    words = text_of(page)
    assert "What was found where" in words
    assert "Rows of a that stand in b, by matrix" in words


def announced(policy: Policy) -> tuple[bytes, bytes]:
    """A protocol, and a comparison that names it."""
    measured = factory.evidence()
    side = factory.side(measured, factory.sign(measured))
    protocol = factory.sign(factory.protocol(side, None, policy))
    return protocol, factory.sign(factory.comparison(side, side, announced=factory.statement_digest(protocol)))


def test_a_protocol_is_shown_whole_and_beside_the_comparison_that_names_it():
    bundles = announced(DEFAULT_POLICY)
    page = render(bundles)
    assert re.search(r'Announced <a href="#C1">C1</a>', page.decode())
    assert re.search(r'<a href="#P1">P1</a>', page.decode())
    words = text_of(page)
    for leaf in spoiling.leaves(dump(factory.protocol())):
        assert str(leaf) in words or (isinstance(leaf, float | int) and f"{leaf:,}" in words) or decimal(leaf) in words
    assert "by another policy than was announced" not in words


def test_another_policy_than_was_announced_is_said():
    announced_policy = dataclasses.replace(DEFAULT_POLICY, id="theirs/v1")
    bundles = announced(announced_policy)
    assert "This page reads by another policy than was announced." in text_of(render(bundles))
    assert "by another policy than was announced" not in text_of(render(bundles, announced_policy))


def test_a_protocol_alone_makes_a_page():
    page = render([factory.sign(factory.protocol())])
    words = text_of(page)
    assert "Announcement of a comparison" in words
    assert "A comparison that is announced" in words
    assert "not named" in words
    assert "P1" in words


def test_a_test_that_is_left_out_is_said_beside_its_words():
    deaf = dataclasses.replace(DEFAULT_POLICY, minimum_z=1000.0)
    words = text_of(render(factory.trio(), deaf))
    assert "left out: it has too few units" in words
    assert "It is not the default policy of attest" in words
    assert "By the default one: Chance is rejected by an exact test." in words
    clean = text_of(render(factory.trio()))
    assert "left out: it has too few units" not in clean
    assert "It is not the default policy of attest" not in clean
    assert "By the default one" not in clean
