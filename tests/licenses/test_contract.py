"""What every detector must keep, and what every kind of finding needs."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_license import license_words

from attest.digest import sha256
from attest.document import canonical, dump
from attest.licenses import acknowledgment, copyright_line, generated_file, provenance_comment, spdx_tag
from attest.licenses.kind import KINDS
from attest.licenses.scan import DETECTORS, scan
from attest.licenses.source import MAX_TEXT, Detector, Source

NAMES = ("model.py", "LICENSE", "README.md", "config.json", "adapter_config.json", "package.json", "pyproject.toml")
NAMES += ("METADATA", "NOTICE", "USE_POLICY.md", "CITATION.cff", "REUSE.toml")
WORDS = (
    b"copyright ", b"Copyright (c) ", b"(c) 20", b"\xc2\xa9", b"&copy;", b"2024 ", b"the ", b"Holder", b"copied from ",
    b"this code is based on ", b"SPDX-License-Identifier: ", b"SPDX-FileCopyrightText:", b"MIT*/", b"---\n", b"- a\n",
    b"license: ", b"license_name:", b"License: ", b"[project]\n", b"license = ", b'{"license": ', b'"_name_or_path"',
    b'"', b"'", b"\\", b"[", b"]", b"{", b"}", b"a.", b"\n", b"\r", b"\t", b" ", b"\xff", b"\xc2", b"\0", b"\x1b[2J",
    b"\xe2\x80\xae", b"\xef\xbb\xbf", b"/*", b"#",
)  # fmt: skip
PREFIXES = (b"", b"---\nlicense: ", b'{"license": "', b"license = '", b"License: ")
OF_ANY_FILE = {copyright_line.detect, provenance_comment.detect, spdx_tag.detect, acknowledgment.detect}
OF_ANY_FILE |= {generated_file.detect}
"""Detectors to whom a file's name is nothing."""

MEBIBYTE = 1024 * 1024

each_detector = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.__module__.split(".")[-1])


def codes() -> set[str]:
    return {kind.code for kind in KINDS}


def test_kinds_have_unique_kebab_case_codes_and_titles():
    assert len(codes()) == len({kind.title for kind in KINDS}) == len(KINDS)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code) for kind in KINDS)


def test_no_detector_is_listed_twice():
    assert len(set(DETECTORS)) == len(DETECTORS)


@each_detector
@settings(max_examples=50)
@given(
    name=st.sampled_from(NAMES),
    data=st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(WORDS), max_size=30).map(b"".join)),
)
def test_no_bytes_raise_and_each_finding_can_be_signed(detector: Detector, name: str, data: bytes):
    source = Source.of(f"folder/{name}", data)
    found = list(detector(source))
    assert found == list(detector(source))
    for finding in found:
        assert finding.code in codes()
        assert finding.path == source.path
        assert finding.line is None or 1 <= finding.line <= source.data.count(b"\n") + 1
        assert len(finding.text) <= MAX_TEXT
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", finding.text)
        canonical(dump(finding))


@each_detector
def test_one_endless_line_of_any_words_is_read_to_its_end(detector: Detector):
    names = NAMES[:1] if detector in OF_ANY_FILE else NAMES
    for source in endless_sources():
        for name in names:
            assert len(list(islice(detector(replace(source, path=name)), 20))) <= 20


@cache
def endless_sources() -> tuple[Source, ...]:
    return tuple(Source.of("a", line) for line in endless_lines())


def endless_lines() -> Iterator[bytes]:
    """Each word repeated; a pattern that backtracks would not finish within hours."""
    size = MEBIBYTE // 8
    for word in WORDS:
        yield word * (size // len(word))
    for prefix in PREFIXES:
        yield prefix + b" " * size
        yield prefix + b"[" * size
        yield prefix + b"a." * (size // 2)


def test_a_pattern_that_backtracks_is_what_the_endless_lines_are_for():
    """The longest excerpt that a pattern ever sees stays under 1,100 characters, on a line of a mebibyte."""
    excerpts = list(Source.of("a", b"copyright (c) " * (MEBIBYTE // 14)).excerpts(b"copyright", b"(c)"))
    assert max(len(excerpt.text) for excerpt in excerpts) < 1100
    assert sum(len(excerpt.text) for excerpt in excerpts) <= MEBIBYTE


PROVOKED: dict[str, Callable[[], Source]] = {
    "license-file": lambda: Source.of("LICENSE", b"MIT License"),
    "unsearchable-words": lambda: Source.of("a.py", "# Copy\u200bright 2024 A".encode()),
    "use-policy-file": lambda: Source.of("USE_POLICY.md", b"# Acceptable use"),
    "notice-file": lambda: Source.of("NOTICE", b"This product includes"),
    "declared-license": lambda: Source.of("README.md", b"---\nlicense: mit\n---\n"),
    "declared-license-name": lambda: Source.of("README.md", b"---\nlicense_name: kimi\n---\n"),
    "declared-license-link": lambda: Source.of("README.md", b"---\nlicense_link: LICENSE\n---\n"),
    "declared-license-text": lambda: Source.of("METADATA", b"License: Permission is\n  granted\n\n"),
    "declaration-not-read": lambda: Source.of("config.json", b'{"license": '),
    "declared-base-model": lambda: Source.of("adapter_config.json", b'{"base_model_name_or_path": "org/base"}'),
    "config-name-or-path": lambda: Source.of("config.json", b'{"_name_or_path": "org/base"}'),
    "copyright": lambda: Source.of("a.py", b"# Copyright 2024 Somebody"),
    "provenance-comment": lambda: Source.of("a.py", b"# Copied from somewhere"),
    "spdx-license": lambda: Source.of("a.py", b"# SPDX-License-Identifier: MIT"),
    "spdx-copyright": lambda: Source.of("a.py", b"# SPDX-FileCopyrightText: 2024 Somebody"),
}
PROVOKED |= {
    "acknowledgment": lambda: Source.of("README.md", b"Built with Llama"),
    "generated-without-header": lambda: Source.of("a.py", b"# This file was automatically generated from b.py\n"),
    "vendor-checksum": lambda: Source.of("SHA256SUMS", b"0" * 64 + b"  a.py\n"),
}
BY_MANY = {"notice-removed", "history-incomplete", "declared-licenses-differ", "license-file-not-read", "findings-cut"}
"""Kinds that take more than one plain file; test_repository.py provokes them."""

LINES = "\n".join(f"int f{number}(int a) {{ return a * {number}; }}" for number in range(9))
WHOLES = {
    "copied-from-compared": {"a/b.py": "", "c.py": "# Copied from a.b\nx = 1\n"},
    "copied-from-mismatch": {
        "a/b.py": "def f():\n    return 1\n",
        "c.py": "# Copied from a.b.f\ndef f():\n    return 2\n",
    },
    "copied-from-whole-file": {"a/b.c": LINES, "c.c": f"// Copied from a/b.c\n{LINES}"},
    "base-model-license-differs": {"README.md": "---\nlicense: mit\nbase_model: meta-llama/Llama-3.1-8B\n---\n"},
    "declared-and-found-differ": {"README.md": "---\nlicense: mit\n---\n", "LICENSE": license_words("ISC")},
    "foreign-copyright": {"LICENSE": "Copyright 2024 A", "b.py": "# Copyright 2024 B"},
    "license-family-only": {"README.md": "---\nlicense: bsd\n---\n"},
    "license-near-twin": {
        "LICENSE": license_words("BSD-3-Clause").replace("conditions are met", "conditions are not met")
    },
    "license-notice": {"a.py": '# Licensed under the Apache License, Version 2.0 (the "License");'},
    "license-text": {"LICENSE": license_words("MIT")},
    "license-text-and-more": {"LICENSE": license_words("MIT") + "\nNot on Sundays.\n"},
    "license-text-changed": {"LICENSE": license_words("MIT").replace("without restriction", "with restriction")},
    "license-text-unknown": {"LICENSE": "All is well."},
    "no-license-file": {"a.py": ""},
    "notice-incomplete": {"NOTICE": "Made by A", "a.py": "# Copyright 2024 A", "b.py": "# Copyright 2024 B"},
    "notice-missing": {"a.py": "# Copyright 2024 A", "b.py": "# Copyright 2024 B"},
    "other-license-without-link": {"README.md": "---\nlicense: other\n---\n"},
    "vendor-checksums-agree": {"a.py": "", "SHA256SUMS": f"{sha256(b'')}  a.py\n"},
    "vendor-checksums-differ": {"a.py": "", "SHA256SUMS": f"{sha256(b'x')}  a.py\n"},
}


def test_every_kind_is_provoked():
    assert codes() == PROVOKED.keys() | WHOLES.keys() | BY_MANY


@pytest.mark.parametrize("code", sorted(WHOLES))
def test_every_kind_of_the_whole_is_made_by_a_scan(code: str, tmp_path: Path):
    for name, text in WHOLES[code].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert code in {finding.code for finding in scan(tmp_path).findings}


@pytest.mark.parametrize("code", sorted(PROVOKED))
def test_every_kind_is_made_by_a_detector(code: str):
    source = PROVOKED[code]()
    assert code in {finding.code for detector in DETECTORS for finding in detector(source)}
