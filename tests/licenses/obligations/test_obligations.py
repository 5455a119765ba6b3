from pathlib import Path

import pytest
from known_license import license_words

from attest.licenses.detect import sketches
from attest.licenses.detect.index import KINDS, index
from attest.licenses.detect.sketch import draw
from attest.licenses.detect.words import words_of
from attest.licenses.obligations import UNTOLD_REASONS, clauses, obligations, untold
from attest.licenses.scan import scan

GEMMA = "https://ai.google.dev/gemma/terms"
LINK = "https://github.com/meta-llama/llama-models/blob/main/models/llama3_1/LICENSE"


def held(root: Path, files: dict[str, str]) -> dict[tuple[str, str], tuple[str, str | None]]:
    for path, text in files.items():
        (root / path).write_text(text)
    found = obligations(scan(root))
    return {(one.license.removeprefix("LicenseRef-scancode-"), one.kind): (one.status, one.evidence) for one in found}


@pytest.mark.parametrize("clause", clauses(), ids=lambda clause: f"{clause.license}-{clause.section}")
def test_every_quotation_stands_in_its_license(clause):  # noqa: ANN001 - a Clause
    known = index()
    quote = f" {' '.join(words_of(clause.quote).words)} "
    texts = [
        f" {' '.join(known.vocabulary[word] for word in known.words(entry))} "
        for entry in range(len(known.kinds))
        if known.expressions[entry] == clause.license and KINDS[known.kinds[entry]] == "text"
    ]
    if texts:
        assert any(quote in text for text in texts)
    else:
        grams = draw(words_of(clause.quote).words)[1]
        assert any(grams <= sketch.grams for sketch in sketches() if sketch.expression == clause.license)


def test_the_whole_text_meets_the_clause_that_asks_for_it(tmp_path: Path):
    found = held(tmp_path, {"LICENSE": license_words("Apache-2.0")})
    assert found["Apache-2.0", "license text"] == ("met", "LICENSE:1")
    assert found["Apache-2.0", "notice file"] == ("not-applicable", None)
    assert found["Apache-2.0", "keep notices"] == ("cannot-be-seen-from-files", None)


def test_a_display_clause_is_met_by_a_line_outside_the_license(tmp_path: Path):
    files = {"LICENSE": license_words("LicenseRef-scancode-qwen-2024") + "\nBuilt with Qwen\n"}
    assert held(tmp_path, files)["qwen-2024", "display"] == ("not-found", None)
    files["README.md"] = "# Model\n\nBuilt with Qwen.\n"
    assert held(tmp_path, files)["qwen-2024", "display"] == ("met", "README.md:3")


def test_a_notice_and_a_policy_are_found_by_their_files(tmp_path: Path):
    text = license_words("LicenseRef-scancode-llama-3.1-license-2024")
    before = held(tmp_path, {"LICENSE": text})
    after = held(tmp_path, {"Notice": "Llama 3.1 is licensed", "USE_POLICY.md": "You agree"})
    for kind in ("notice file", "use policy"):
        assert before["llama-3.1-license-2024", kind][0] == "not-found"
        assert after["llama-3.1-license-2024", kind][0] == "met"


@pytest.mark.parametrize("text", ["MIT", license_words("MIT").replace("publish", "")])
def test_a_license_that_is_only_named_or_changed_gives_no_clause(tmp_path: Path, text: str):
    assert held(tmp_path, {"LICENSE": text}) == {}


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ("license: llama3.1", "README.md:2"),
        ("license: other\nlicense_name: llama3.1", "README.md:3"),
        (f"license: other\nlicense_name: mine\nlicense_link: {LINK}", "README.md:4"),
    ],
)
def test_a_declared_license_gives_its_clauses_and_never_its_text(tmp_path: Path, fields: str, source: str):
    (tmp_path / "README.md").write_text(f"---\n{fields}\n---\nBuilt with Llama\n")
    found = obligations(scan(tmp_path))
    assert {one.license for one in found} == {"LicenseRef-scancode-llama-3.1-license-2024"}
    assert {(one.source, one.declaration is None) for one in found} == {(source, False)}
    assert {one.kind: one.status for one in found} == {
        "display": "met",
        "name": "cannot-be-seen-from-files",
        "notice file": "not-found",
        "use policy": "not-found",
        "user cap": "cannot-be-seen-from-files",
    }


def test_the_text_of_a_declared_license_is_not_found_where_a_changed_one_stands(tmp_path: Path):
    files = {"README.md": "---\nlicense: mit\n---\n", "LICENSE": license_words("MIT").replace("publish", "")}
    assert held(tmp_path, files) == {("MIT", "license text and notice"): ("not-found", None)}
    (found,) = (one for one in obligations(scan(tmp_path)) if one.license == "MIT")
    assert (found.source, found.declaration) == ("README.md:2", "mit")


def test_a_license_that_is_declared_and_found_counts_as_found(tmp_path: Path):
    held(tmp_path, {"README.md": "---\nlicense: mit\n---\n", "LICENSE": license_words("MIT")})
    assert [(one.source, one.declaration) for one in obligations(scan(tmp_path))] == [("LICENSE:1", None)]


@pytest.mark.parametrize(
    ("fields", "license_", "reason"),
    [
        ("license: bsd", "bsd", "family"),
        ("license: gemma", "gemma", "several-versions"),
        (f"license: other\nlicense_link: {GEMMA}", GEMMA, "several-versions"),
        ("license: cc-by-nc-4.0", "CC-BY-NC-4.0", "no-clauses"),
        ("license: other", "other", "not-known"),
        ("license: other\nlicense_name: my-own", "my-own", "not-known"),
        ("license: other\nlicense_name: modified-mit", "modified-mit", "not-known"),
    ],
)
def test_what_is_not_told_is_said(tmp_path: Path, fields: str, license_: str, reason: str):
    (tmp_path / "README.md").write_text(f"---\n{fields}\n---\n")
    result = scan(tmp_path)
    assert obligations(result) == ()
    assert [(one.license, one.reason) for one in untold(result)] == [(license_, reason)]
    assert reason in UNTOLD_REASONS


def test_a_changed_text_is_said_to_be_untold(tmp_path: Path):
    (tmp_path / "LICENSE").write_text("\n" + license_words("MIT").replace("publish", ""))
    (one,) = untold(scan(tmp_path))
    assert (one.license, one.source, one.reason) == ("MIT", "LICENSE:2", "changed-text")


def test_a_link_to_a_license_file_that_was_read_leaves_no_doubt(tmp_path: Path):
    (tmp_path / "LICENSE-CODE").write_text(license_words("MIT"))
    (tmp_path / "pyproject.toml").write_text('[project]\nlicense = {file = "LICENSE-CODE"}\n')
    result = scan(tmp_path)
    assert [finding.text for finding in result.findings if finding.code == "declared-license-link"] == ["LICENSE-CODE"]
    assert untold(result) == ()


def test_the_list_of_what_is_not_told_is_bounded(tmp_path: Path):
    for number in range(150):
        (tmp_path / f"p{number}").mkdir()
        (tmp_path / f"p{number}" / "package.json").write_text(f'{{"license": "mine-{number}"}}')
    assert len(untold(scan(tmp_path))) == 100
