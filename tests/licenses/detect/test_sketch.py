import pytest

from attest.licenses.detect import identify, sketch, sketches
from attest.licenses.detect.sketch import Sketch, draw, nearest_sketch

WORDS = tuple(f"word{number % 37}" if number % 3 else f"term{number}" for number in range(400))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Sketch:
    digest, grams = draw(WORDS)
    made = Sketch(expression="LicenseRef-made", name="Made", citation="here", words=400, sha256=digest, grams=grams)
    monkeypatch.setattr(sketch, "sketches", lambda: (made,))
    return made


def test_equal_words_are_that_license(known: Sketch):
    found = identify(" ".join(WORDS))
    assert (found.verdict, [text.expression for text in found.texts]) == ("exact", [known.expression])


def test_one_other_word_is_near_and_says_what_is_not_known(known: Sketch):
    found = identify(" ".join(WORDS[:-1]) + " other")
    assert found.verdict == "near"
    assert found.texts[0].expression == known.expression
    assert "of the sampled word groups of Made" in found.texts[0].changes[0].known


def test_a_stranger_is_near_nothing(known: Sketch):
    assert known.words == 400
    assert nearest_sketch([f"x{number}" for number in range(400)]) is None
    assert nearest_sketch([]) is None


def test_the_sketches_that_are_shipped_can_be_read_and_cite_their_source():
    assert len(sketches()) >= 49
    assert all("@" in sketch.citation and sketch.grams and sketch.words > 100 for sketch in sketches())
    assert all(sketch.expression.startswith("LicenseRef-") for sketch in sketches())


def test_licenses_of_models_that_disputes_turn_on_are_among_them():
    known = {sketch.expression for sketch in sketches()}
    for name in ("openpangu-1.0", "openpangu-2.0", "mistral-research-0.1", "mistral-non-production-0.1", "glm-4-9b"):
        assert f"LicenseRef-{name}" in known
