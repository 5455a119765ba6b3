from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from git_repository import commit
from programs import program

from attest.cli import main
from attest.licenses.git import history_files
from attest.licenses.origin import Origins, compare_code, date_files
from attest.licenses.origin.corpus import program_of
from attest.licenses.scan import read_files
from attest.licenses.source import Source
from attest.repository_scan import IdenticalFile, Origin

OURS = "# Copyright 2024 Upstream Team\n"


def sources(files: dict[str, str]) -> Iterator[Source]:
    return (Source.of(path, text.encode()) for path, text in files.items())


def only(result: Origins) -> Origin:
    (origin,) = result.origins
    return origin


LIBRARY = {f"m{number}.py": program(*range(10 * number, 10 * number + 5)) for number in range(25)}


def test_a_copy_is_found_in_its_origin_and_not_in_strangers():
    origin = only(compare_code(sources({"x.py": LIBRARY["m3.py"]}), sources(LIBRARY)))
    assert (origin.path, origin.origin, origin.identical, origin.containment, origin.reverse) == (
        "x.py",
        "m3.py",
        True,
        "1",
        "1",
    )
    assert (origin.percentile, origin.nearest_percentile) == ("1", "1")
    assert float(origin.margin) > 0.9


def test_a_stranger_has_no_origin():
    assert compare_code(sources({"x.py": program(900, 901, 902)}), sources(LIBRARY)).origins == ()


def test_half_a_copy_is_contained_by_half():
    mixed = program(*range(30, 33)) + program(900, 901, 902)
    assert 0.4 < float(only(compare_code(sources({"x.py": mixed}), sources(LIBRARY))).containment) < 0.6


def test_renamed_code_is_seen_without_its_names():
    renamed = LIBRARY["m3.py"].replace("read_row", "load_line")
    origin = only(compare_code(sources({"x.py": renamed}), sources(LIBRARY)))
    assert float(origin.containment) < 1
    assert origin.blind_containment == "1"


@pytest.mark.parametrize(("seeds", "missing"), [((1, 2, 3), 1), ((1, 2), 0)])
def test_a_notice_far_down_may_be_of_a_part_that_is_not_here(seeds: tuple[int, ...], missing: int):
    parts = [program(1, 2, 3), program(4, 5, 6, 7, 8, 9), "# Copyright 2020 Author of a Part\n", program(10)]
    if missing:
        parts = [program(1, 2, 3), "\n" * 99, "# Copyright 2020 Author of a Part\n"]
    copy = {"x.py": program(*seeds)}
    assert len(only(compare_code(sources(copy), sources({"a.py": "\n".join(parts)}))).missing_notices) == missing


def test_a_holder_who_is_named_together_with_others_is_not_missing():
    reference = {"a.py": "# Copyright 2023 The Library Team\n" + program(1, 2, 3)}
    copy = {"x.py": "# Copyright 2023 Some Lab and The Library team. All rights reserved.\n" + program(1, 2, 3)}
    assert only(compare_code(sources(copy), sources(reference))).missing_notices == ()


def test_the_notice_of_the_origin_is_missing_or_kept():
    reference = {"m.py": OURS + program(1, 2, 3)}
    stripped = only(compare_code(sources({"x.py": program(1, 2, 3)}), sources(reference)))
    kept = only(
        compare_code(
            sources({"x.py": "# Copyright 2025 Me\n# (c) 2024 Upstream Team\n" + program(1, 2, 3)}), sources(reference)
        )
    )
    assert (stripped.missing_notices, kept.missing_notices) == ((OURS.strip(),), ())


def test_no_notice_is_asked_for_that_only_one_of_two_equal_origins_has():
    reference = {
        "a.py": "# Copyright 2020 One\n" + program(1, 2, 3),
        "b.py": "# Copyright 2020 Two\n" + program(1, 2, 3),
    }
    assert only(compare_code(sources({"x.py": program(1, 2, 3)}), sources(reference))).missing_notices == ()


def test_two_origins_alike_leave_no_margin():
    reference = LIBRARY | {"twin.py": LIBRARY["m3.py"]}
    assert only(compare_code(sources({"x.py": LIBRARY["m3.py"]}), sources(reference))).margin == "0"


def test_a_family_of_alike_files_makes_a_copy_less_distinctive():
    """Where each file of a library is half another, half a copy is nothing special."""
    family = {
        f"f{number}.py": program(*range(10 * number, 10 * number + 4), 500, 501, 502, 503) for number in range(25)
    }
    origin = only(compare_code(sources({"x.py": program(900, 901, 902, 903, 500, 501, 502, 503)}), sources(family)))
    assert float(origin.containment) > 0.4
    assert float(origin.nearest_percentile or 1) < 0.95


def test_few_files_give_no_null():
    origin = only(compare_code(sources({"x.py": program(1, 2, 3)}), sources({"a.py": program(1, 2, 3)})))
    assert (origin.percentile, origin.nearest_percentile, origin.runner_up) == (None, None, None)


def test_files_that_are_no_programs_are_compared_by_their_bytes():
    result = compare_code(
        sources({"x/tokenizer.json": "{}", "e.txt": ""}), sources({"tokenizer.json": "{}", "f.txt": ""})
    )
    assert result.identical_files == (IdenticalFile(path="x/tokenizer.json", origin="tokenizer.json"),)


def test_nothing_against_nothing():
    assert compare_code([], []).origins == ()
    assert compare_code(sources({"x.py": program(1, 2)}), []).origins == ()


def test_the_release_that_holds_most_is_the_peak():
    versions = {"1.0": program(1, 2), "2.0": program(1, 2, 3), "3.0": program(3, 4, 5)}
    copy = program_of(Source.of("x.py", program(1, 2, 3).encode()))
    assert copy is not None
    (found,) = date_files([(copy, "m.py")], [sources({"m.py": text}) for text in versions.values()])
    assert [list(versions)[place] for place in found.peaks] == ["2.0"]
    assert date_files([(copy, "m.py")], [[]])[0].peaks == ()


def test_a_version_in_the_history_is_an_origin(tmp_path: Path):
    commit(tmp_path, {"a.py": OURS + program(1, 2, 3)})
    commit(tmp_path, {"a.py": program(4, 5, 6)})
    copy = {"x.py": program(1, 2, 3)}
    assert compare_code(sources(copy), read_files(tmp_path, "main")).origins == ()
    assert only(compare_code(sources(copy), history_files(tmp_path))).missing_notices == (OURS.strip(),)


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder, files in (
        (ours, {"m.py": OURS + program(1, 2, 3)}),
        (theirs, {"x\u202e.py": program(1, 2, 3), "y.py": program(1, 2, 3)}),
    ):
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    return theirs, ours


def test_a_notice_that_a_version_as_good_did_not_have_yet_may_be_younger(tmp_path: Path):
    first, renamed = "# Copyright 2014 First Owner\n", "# Copyright 2014, 2026 Next Owner\n"
    commit(tmp_path, {"a.py": first + program(1, 2, 3)})
    commit(tmp_path, {"a.py": renamed + program(1, 2, 3)})
    fork = {"x.py": first + program(1, 2, 3)}
    assert only(compare_code(sources(fork), history_files(tmp_path))).missing_notices == ()
    assert only(compare_code(sources(fork), read_files(tmp_path, "main"))).missing_notices == (renamed.strip(),)


def test_the_command_says_what_is_missing_and_what_it_does_not_show(both: tuple[Path, Path]):
    theirs, ours = both
    result = CliRunner().invoke(main, ["scan", str(theirs), "--against", str(ours), "--releases", str(ours)])
    assert result.exit_code == 0
    assert (
        "programs that hold at least three tenths of one of the other side: 1, of these distinctively: 0, "
        "and without a notice that it has in the version that was read: 1" in result.output
    )
    assert "a notice of that one that this one does not have: # Copyright 2024 Upstream Team" in result.output
    assert "code reuse is\nnot weight reuse" in result.output
    assert "<- peak" in result.output
    assert "\u202e" not in result.output


def test_the_command_for_programs(both: tuple[Path, Path]):
    theirs, ours = both
    result = CliRunner().invoke(main, ["scan", str(theirs), "--against", str(ours), "--format", "json"])
    assert '"containment": "1"' in result.output
    assert '"missingNotices": [' in result.output
