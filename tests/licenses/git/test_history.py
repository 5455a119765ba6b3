from pathlib import Path

from git_repository import commit, git
from programs import program

from attest.licenses.git import history_files, notice_changes
from attest.licenses.scan import scan

A = "# Copyright 2024 Somebody\n"
B = "# Copyright 2025 Another\n"
BODY = "".join(f"x{number} = {number}\n" for number in range(40))


def test_a_notice_that_was_taken_out_and_one_that_was_put_in(tmp_path: Path):
    commit(tmp_path, {"a.py": A + BODY, "b.py": BODY})
    second = commit(tmp_path, {"a.py": B + BODY})
    (change,) = notice_changes(tmp_path, "main")[0]
    assert (change.commit, change.path, change.time) == (second, "a.py", "2026-01-02T03:04:05Z")
    assert (change.removed, change.added) == ((A.strip(),), (B.strip(),))


def test_a_renamed_file_is_followed_and_a_move_is_no_removal(tmp_path: Path):
    commit(tmp_path, {"a.py": A + BODY})
    commit(tmp_path, {"a.py": None, "lib/b.py": A + BODY})
    assert notice_changes(tmp_path, "main")[0] == ()
    commit(tmp_path, {"lib/b.py": None, "lib/c.py": BODY})
    (change,) = notice_changes(tmp_path, "main")[0]
    assert (change.path, change.removed) == ("lib/c.py", (A.strip(),))


def test_another_year_or_a_deleted_file_removes_no_notice(tmp_path: Path):
    commit(tmp_path, {"a.py": A + BODY, "b.py": A + BODY})
    commit(tmp_path, {"a.py": A.replace("2024", "2023-2026") + BODY, "b.py": None})
    assert notice_changes(tmp_path, "main")[0] == ()


def test_the_scan_tells_of_it(tmp_path: Path):
    first = commit(tmp_path, {"a.py": A + BODY})
    second = commit(tmp_path, {"a.py": BODY})
    before, after = (git(tmp_path, "rev-parse", f"{one}:a.py") for one in (first, second))
    found = [finding for finding in scan(tmp_path, history=True).findings if finding.code == "notice-removed"]
    assert [finding.text for finding in found] == [
        f"2026-01-02, commit {second[:12]}, blob {before[:12]} to {after[:12]}: no longer there: {A.strip()}"
    ]
    (change,) = notice_changes(tmp_path, "main")[0]
    assert (change.before, change.after) == (before, after)


def test_every_version_of_every_file_on_every_branch(tmp_path: Path):
    commit(tmp_path, {"a.py": "1"})
    git(tmp_path, "checkout", "--quiet", "-b", "side")
    commit(tmp_path, {"a.py": "2"})
    git(tmp_path, "checkout", "--quiet", "main")
    commit(tmp_path, {"a.py": None, "b.py": "3"})
    assert sorted((file.path, file.data) for file in history_files(tmp_path)) == [
        ("a.py", b"1"),
        ("a.py", b"2"),
        ("b.py", b"3"),
    ]


def test_names_that_cannot_be_printed_are_left_out(tmp_path: Path):
    commit(tmp_path, {"a\x1b[2J.py": "1", "b c\u00e9.py": "2"})
    assert [file.path for file in history_files(tmp_path)] == ["b c\u00e9.py"]


def test_a_notice_of_which_only_blanks_change_is_no_change(tmp_path: Path):
    for text in (
        "Copyright 2024 Alpha Corp\n",
        "  Copyright   2024\tAlpha   Corp \r\n\r\n",
        "Copyright (c) 2024 Alpha Corp.",
    ):
        commit(tmp_path, {"NOTICE": text})
    assert notice_changes(tmp_path, "main") == ((), ())


def test_a_header_that_becomes_a_tag_is_not_removed(tmp_path: Path):
    commit(tmp_path, {"a.py": A + BODY})
    commit(tmp_path, {"a.py": "# SPDX-FileCopyrightText: 2024 Somebody\n" + BODY})
    assert notice_changes(tmp_path, "main") == ((), ())


def test_another_file_of_one_library_is_no_new_name_of_the_one_that_went(tmp_path: Path):
    commit(tmp_path, {"modeling_a.py": A + program(1, 2, 3, 4, 5)})
    commit(tmp_path, {"modeling_a.py": None, "modeling_b.py": B + program(1, 2, 3, 4, 6)})
    assert notice_changes(tmp_path, "main") == ((), ())


def test_a_notice_that_went_together_with_the_code_is_not_missed(tmp_path: Path):
    commit(tmp_path, {"a.py": A + program(1, 2), "kept.py": A + program(1, 2), "__init__.py": A})
    commit(tmp_path, {"a.py": B + program(3, 4), "kept.py": B + program(1, 4), "__init__.py": "\n"})
    assert [change.path for change in notice_changes(tmp_path, "main")[0]] == ["kept.py"]


def test_a_line_that_moves_over_the_end_of_the_head_is_not_removed(tmp_path: Path):
    text = "words of many a kind\n" * 193 + "Copyright 2024 Somebody Else Entirely"
    commit(tmp_path, {"README.md": text})
    commit(tmp_path, {"README.md": "more\n" * 3 + text})
    commit(tmp_path, {"README.md": "more\n" * 9 + text})
    assert notice_changes(tmp_path, "main") == ((), ())


def test_another_license_text_removes_no_notice_of_who_holds_its_words(tmp_path: Path):
    fsf = "Copyright (C) 2007 Free Software Foundation, Inc.\n Everyone is permitted to copy and distribute verbatim copies\n"
    commit(tmp_path, {"COPYING": fsf, "a.c": "/* Copyright 2007 Free Software Foundation, Inc. */\n"})
    commit(tmp_path, {"COPYING": "MIT License\n", "a.c": "/* */\n"})
    assert [change.path for change in notice_changes(tmp_path, "main")[0]] == ["a.c"]
