from pathlib import Path

import pytest
from known_license import license_words

from attest.licenses.detect import sketches
from attest.licenses.detect.index import KINDS, index
from attest.licenses.detect.sketch import draw
from attest.licenses.detect.words import words_of
from attest.licenses.obligations import clauses, obligations
from attest.licenses.scan import scan


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
