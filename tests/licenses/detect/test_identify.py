import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_license import license_words

from attest.licenses.detect import identify, index, twins
from attest.licenses.detect.align import differences
from attest.licenses.detect.index import KINDS
from attest.licenses.detect.runs import exact_runs

MIT = license_words("MIT")


def texts(text: str) -> list[str]:
    return [found.expression for found in identify(text).texts if found.kind == "text"]


@pytest.mark.parametrize("license_", ["MIT", "Apache-2.0", "ISC", "MPL-2.0", "Zlib", "BSL-1.0", "OFL-1.1", "Unlicense"])
@pytest.mark.parametrize(
    "shape",
    [
        str,
        str.upper,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: re.sub("^", "// ", text, flags=re.MULTILINE),
    ],
)
def test_a_license_in_any_dress_is_that_license(license_: str, shape: Callable[[str], str]):
    found = identify(shape(license_words(license_)))
    assert (found.verdict, found.rest_words) == ("exact", 0)
    assert {part.expression for part in found.texts if part.kind == "text"} == {license_}


def test_every_known_text_is_found_in_itself():
    """And in no case as a license that is not among those with the very same words."""
    known = index()
    for entry in range(0, int(np.count_nonzero(known.kinds == KINDS.index("text"))), 11):
        runs = exact_runs(known, known.words(entry))
        assert sum(run.length for run in runs) >= known.lengths[entry] * 0.9


def test_further_terms_are_named_and_are_no_part_of_the_license():
    found = identify(MIT + "\nIf you earn more than a million you must display our name.\n")
    assert found.verdict == "contained"
    assert [" ".join(rest.words) for rest in found.rest] == [
        "if you earn more than a million you must display our name"
    ]
    assert found.rest[0].line == len(MIT.splitlines()) + 2


def test_one_changed_word_gives_no_license_but_the_change():
    found = identify(MIT.replace("without restriction", "with restriction"))
    assert found.verdict == "near"
    (near,) = (text for text in found.texts if text.changes)
    assert (near.expression, near.found_words) == ("MIT", near.license_words - 1)
    assert [(change.known, change.here) for change in near.changes] == [("without", "with")]


def test_a_word_that_is_left_out_is_named():
    found = identify(MIT.replace("publish", "", 1))
    assert [(change.known, change.here) for text in found.texts for change in text.changes] == [("publish", "")]


def test_another_party_makes_no_other_license():
    text = " ".join(license_words("BSD-3-Clause").split())
    other = text.replace("name s of the above listed copyright holder s", "name of Foo Bar GmbH")
    assert other != text
    found = identify(other)
    assert [text.expression for text in found.texts if text.kind == "text"] == ["BSD-3-Clause"]
    assert not any(text.changes for text in found.texts)


def test_a_condition_is_no_party():
    """Where a license names the copyright holders, a text puts a condition: that is a change."""
    text = license_words("BSD-3-Clause")
    other = text.replace("the copyright\nholder", "those who may use it").replace(
        "the copyright holder", "those who may use it"
    )
    assert other != text
    assert identify(other).verdict == "near"


def test_two_licenses_in_one_file():
    found = identify(MIT + "\n\n" + license_words("ISC"))
    assert (found.verdict, sorted({text.expression for text in found.texts})) == ("exact", ["ISC", "MIT"])


def test_a_name_alone_is_a_reference():
    found = identify("Licensed under the MIT license.")
    assert found.verdict == "reference-only"
    assert {text.expression for text in found.texts} == {"MIT"}


@pytest.mark.parametrize("text", ["", "All is well.", "x" * 10_000, "\n" * 1000, "the the the the " * 500])
def test_what_is_no_license_is_unknown(text: str):
    assert identify(text).verdict == "unknown"


def test_in_a_program_only_whole_texts_count():
    changed = MIT.replace("publish", "", 1)
    assert not any(text.changes for text in identify(changed, whole=False).texts)


def test_licenses_that_hardly_differ_are_twins():
    assert "MIT-0" not in twins("Apache-2.0")
    assert "Apache-2.0 WITH LLVM-exception" in twins("Apache-2.0")
    assert "Apache-2.0" not in twins("Apache-2.0")


def test_a_hostile_text_takes_bounded_time():
    """The words with which most notices begin, over and over, and one gram of a license repeated."""
    identify("licensed under the apache license version 2.0 the license you may not use " * 4_000)
    identify("permission is hereby granted free of charge to any person " * 4_000)
    assert identify("of the " * 50_000).verdict == "unknown"


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_alignment_accounts_for_every_word(data: st.DataObject):
    known = data.draw(st.lists(st.integers(0, 5), max_size=60))
    here = data.draw(st.lists(st.integers(0, 5), max_size=60))
    made = []
    at = 0
    for difference in differences(np.array(known, np.uint16), np.array(here, np.uint16)):
        made += known[at : difference.begin] + here[difference.here_begin : difference.here_end]
        at = difference.end
    assert made + known[at:] == here


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=300))
def test_no_text_raises(text: str):
    found = identify(text)
    assert sum(len(rest.words) for rest in found.rest) <= found.words
