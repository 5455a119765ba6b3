"""Holders whom license and notice files of the other side name, and whether this side names them."""

import pytest
from programs import program

from attest.licenses.origin import compare_code, origin_text
from attest.licenses.origin.holders import notices_of
from attest.licenses.source import Source
from attest.repository_scan import HolderNotice

LINE = "Copyright (c) 2024 Upstream Robotics, Inc.\n"
LIBRARY = {f"src/m{number}.py": program(*range(10 * number, 10 * number + 5)) for number in range(25)}
TAKEN = {"x.py": LIBRARY["src/m3.py"]}


def sources(files: dict[str, str]) -> list[Source]:
    return [Source.of(path, text.encode()) for path, text in files.items()]


def found(files: dict[str, str], reference: dict[str, str]) -> tuple[HolderNotice, ...]:
    return compare_code(sources(files), sources(reference)).notices


@pytest.mark.parametrize("paper", ["LICENSE", "NOTICE.txt", "LICENSES/MIT.txt", "src/COPYING"])
def test_a_license_file_with_another_holder_only_does_not_keep_the_notice(paper: str):
    (one,) = found(TAKEN | {"LICENSE": "Copyright (c) 2025 Fork Labs\n"}, LIBRARY | {paper: LINE})
    assert (one.notice.path, one.notice.line, one.notice.text) == (paper, 1, LINE.strip())
    assert (one.alike, one.named, one.mentioned) == (1, (), ())


def test_a_holder_who_is_named_under_another_form_of_the_name_is_found_where_they_are_named():
    kept = TAKEN | {"b.py": "# (c) 2024 upstream robotics\n", "LICENSE": "(c) 2025 Fork Labs\nCopyright 2024 UPSTREAM ROBOTICS LLC\n"}  # fmt: skip
    (one,) = found(kept, LIBRARY | {"LICENSE": LINE})
    assert [(line.path, line.line) for line in one.named] == [("LICENSE", 2), ("b.py", 1)]


def test_a_holder_who_is_only_thanked_is_not_named():
    thanked = TAKEN | {"README.md": "Built on the work of Upstream Robotics.\n", "a.py": "# see upstream robotics\n"}
    (one,) = found(thanked, LIBRARY | {"LICENSE": LINE})
    assert (one.named, one.mentioned) == ((), ("README.md",))


def test_of_vendored_code_the_paper_beside_it_counts():
    vendored = {"src/LICENSE": "Copyright 2020 Vendor\n", "LICENSE": LINE}
    (one,) = found(TAKEN, LIBRARY | vendored)
    assert one.notice.path == "src/LICENSE"


def test_what_lies_beside_a_license_file_without_a_holder_is_not_under_the_one_above():
    vendored = {"src/LICENSE": "Apache License, Version 2.0\n", "LICENSE": LINE}
    assert found(TAKEN, LIBRARY | vendored) == ()


@pytest.mark.parametrize(
    "line",
    [
        "Copyright \u00a9 2018 MongoDB, Inc.\n\nEveryone is permitted to copy and distribute verbatim copies of it",
        "EUPL \u00a9 the European Union 2007, 2016",
    ],
)
def test_who_holds_the_words_of_a_license_is_no_holder_of_the_code(line: str):
    assert found(TAKEN, LIBRARY | {"LICENSE": line}) == ()


@pytest.mark.parametrize(("paper", "missing"), [("LICENSE", 0), ("lib/NOTICE", 0), ("other/LICENSE", 1)])
def test_a_notice_in_the_license_file_over_a_file_is_kept(paper: str, missing: int):
    taken = {"lib/x.py": LIBRARY["src/m3.py"], paper: LINE}
    reference = LIBRARY | {"src/m3.py": f"# {LINE}{LIBRARY['src/m3.py']}"}
    (one,) = compare_code(sources(taken), sources(reference)).origins
    assert len(one.missing_notices) == missing


def test_papers_of_a_wheel_are_of_the_whole_wheel():
    (one,) = found(TAKEN, LIBRARY | {"up-1.0.dist-info/licenses/LICENSE": LINE})
    assert one.notice.path.endswith("licenses/LICENSE")


@pytest.mark.parametrize(
    "files",
    [{"x.py": program(900, 901, 902)}, {"x.py": LIBRARY["src/m3.py"][:600]}, {"LICENSE": "MIT"}],
    ids=["a stranger", "a short piece", "no program"],
)
def test_without_telling_code_no_notice_is_asked_for(files: dict[str, str]):
    assert found(files, LIBRARY | {"LICENSE": LINE}) == ()


@pytest.mark.parametrize(
    "words",
    [
        " Copyright (C) 2007 Free Software Foundation, Inc. <https://fsf.org/>\n Everyone is permitted to copy and distribute verbatim copies\n",
        "    Copyright (C) <year>  <name of author>\n",
        "   Copyright [yyyy] [name of copyright owner]\n",
        "Copyright (c) <year> <owner>. All rights reserved.\n",
        "Copyright (c) <dates>, <Copyright Holder> (<URL|email>),\nwith Reserved Font Name <Reserved Font Name>.\n",
    ],
)
def test_the_words_of_a_license_name_no_holder_of_the_code(words: str):
    assert [one for one in notices_of(Source.of("LICENSE", words.encode())) if one.key] == []


def test_the_free_software_foundation_is_named_where_it_holds_code():
    assert len(list(notices_of(Source.of("NOTICE", b"Copyright (C) 2007 Free Software Foundation, Inc.\n")))) == 1


def test_the_page_says_where_a_holder_is_named_and_where_not():
    reference = sources(LIBRARY | {"LICENSE": LINE + "Copyright 2023 \x1b[31mHostile Ltd\n"})
    text = origin_text(compare_code(sources(TAKEN | {"NOTICE": LINE}), reference), None)
    assert f"LICENSE:1, over 1 file alike: {LINE.strip()}\n    named here: NOTICE:1 {LINE.strip()}" in text
    assert "not found: no copyright line that was read here names this holder" in text
    assert "\x1b" not in text


def test_many_notices_are_no_reason_to_stop():
    many = "".join(f"Copyright 2020 Holder {number} Works\n" for number in range(2000))
    assert len(found(TAKEN, LIBRARY | {"LICENSE": many})) == 200
