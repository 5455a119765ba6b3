"""Comments in other languages than Python: the whole files are compared."""

from pathlib import Path

import pytest

from attest.finding import Finding
from attest.licenses.copied import claims_of
from attest.licenses.scan import scan
from attest.licenses.source import Source

KERNEL = "\n".join(
    f"__device__ float step_{n}(const float *row, int head) {{ return row[head + {n}] * {n}.5f + scale_{n % 3}(row); }}"
    for n in range(12)
)
OTHER = "\n".join(
    f"static int other_{n}(struct ring *q) {{ q->tail -= {n}; wake(q, {n}); return -1; }}" for n in range(12)
)
URL = "https://github.com/maker/kernels/blob/main/csrc/step.cu"
GO = "\n".join(
    f"func step{n}(row []float64) float64 {{ s := row[{n}]; row[{n}] += s / {n + 2}; return s }}" for n in range(12)
)
RUST = "\n".join(
    f"fn step_{n}<'a>(row: &'a mut [f32]) -> f32 {{ row[{n}] += {n}.0; row[{n}] * 2.0 }}" for n in range(12)
)
SHELL = "\n".join(
    f'build_{n}() {{ cd "$ROOT/{n}" && make -j {n} all && install -m 644 out.{n} "$DEST"; }}' for n in range(12)
)


def found(root: Path, own: dict[str, str], reference: dict[str, str]) -> list[Finding]:
    for side, files in (("own", own), ("reference", reference)):
        for name, text in files.items():
            (root / side / name).parent.mkdir(parents=True, exist_ok=True)
            (root / side / name).write_text(text)
    result = scan(root / "own", references=[root / "reference"])
    return [finding for finding in result.findings if finding.code.startswith("copied-from-")]


@pytest.mark.parametrize(
    ("own", "reference", "target", "comment", "text"),
    [
        ("a.cu", "csrc/step.cu", URL, "// Copied from {}", KERNEL),
        ("a.hpp", "deep/csrc/step.cuh", "csrc/step.cuh", "/* Adapted from {} */", KERNEL),
        ("a.ts", "src/step.js", "src/step.js", " * Modified from {}", KERNEL),
        ("a.go", "pkg/step.go", "pkg/step.go", "// Ported from {}", GO),
        ("a.rs", "src/step.rs", "src/step.rs", "//! Copied from {}", RUST),
        ("a.sh", "tools/build.sh", "tools/build.sh", "# Copied from {}", SHELL),
    ],
)
def test_what_stands_in_the_named_file_is_given_as_shares(
    tmp_path: Path, own: str, reference: str, target: str, comment: str, text: str
):
    half = "\n".join(text.split("\n")[:6])
    share, count = found(tmp_path, {own: f"{comment.format(target)}\n{half}\n"}, {reference: text})[::-1]
    assert (share.code, share.path, share.line) == ("copied-from-whole-file", own, 1)
    assert share.text.startswith(f"says it is from {target}; compared as whole files: ")
    here, there = (float(word) for word in share.text.split() if word.startswith(("0.", "1")))
    assert here > 0.9
    assert 0.6 > there > 0.3
    assert "naming a file of which something stands in the whole file: 1" in count.text


@pytest.mark.parametrize(("word", "mismatches"), [("Copied", 1), ("Adapted", 0)])
def test_only_a_claimed_copy_of_which_nothing_stands_here_is_a_mismatch(tmp_path: Path, word: str, mismatches: int):
    codes = [one.code for one in found(tmp_path, {"a.c": f"// {word} from {URL}\n{OTHER}"}, {"csrc/step.cu": KERNEL})]
    assert codes.count("copied-from-mismatch") == mismatches
    assert "copied-from-whole-file" not in codes


def test_a_file_is_not_held_against_itself_but_against_a_copy_elsewhere(tmp_path: Path):
    own = {"csrc/step.cu": f"// Copied from {URL}\n{KERNEL}"}
    (count,) = found(tmp_path / "alone", own, {"b.c": OTHER})
    assert "naming a file that is not at hand: 1" in count.text
    assert [one.code for one in found(tmp_path, own, own)] == ["copied-from-compared", "copied-from-whole-file"]


@pytest.mark.parametrize(
    ("own", "reference"),
    [
        ({"a.cu": f"// Copied from {URL}\nint a;\n"}, {"csrc/step.cu": KERNEL}),
        ({"a.cu": f"// Copied from {URL}\n{KERNEL}"}, {"csrc/step.cu": "int a;\n"}),
    ],
)
def test_short_files_are_not_compared(tmp_path: Path, own: dict[str, str], reference: dict[str, str]):
    (count,) = found(tmp_path, own, reference)
    assert "claiming no equal function or class, or in files too short to be compared: 1" in count.text


@pytest.mark.parametrize(
    ("path", "target"),
    [("a.cu", "csrc/step.py"), ("a.cu", "torch.nn.Linear"), ("a.py", URL), ("a.cu", "notes/step.txt"), ("a.txt", URL)],
)
def test_other_kinds_of_files_and_names_of_things_are_no_claims(path: str, target: str):
    assert list(claims_of(Source.of(path, f"// # Copied from {target}\n{KERNEL}".encode()))) == []
