from pathlib import Path

import pytest
from known_license import license_words

from attest.finding import Finding
from attest.licenses.copied import claims_of
from attest.licenses.scan import scan
from attest.licenses.source import Source

LLAMA = '''
class LlamaNorm(nn.Module):
    """What Llama uses."""

    def __init__(self, size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))  # ones

    def forward(self, x):
        return self.weight * x


def rotate(x):
    return torch.cat((-x[1], x[0]))
'''


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def compared(
    root: Path, own: str, reference: str = LLAMA, path: str = "lib/models/llama.py"
) -> tuple[list[Finding], str]:
    """Findings of mismatches, and the sentence that counts, of a file beside a package."""
    package = write(root / "package", {path: reference})
    repository = write(root / "repository", {"model.py": own, "LICENSE": license_words("MIT")})
    found = scan(repository, references=(package,)).findings
    (counted,) = (finding.text for finding in found if finding.code == "copied-from-compared")
    return [finding for finding in found if finding.code == "copied-from-mismatch"], counted


COPY = LLAMA.replace("Llama", "Pangu").replace("llama", "pangu")
NORM = "# Copied from lib.models.llama.LlamaNorm with Llama->Pangu\n"


@pytest.mark.parametrize(
    "own",
    [
        NORM + COPY.lstrip(),
        NORM + "@decorated\n" + COPY.lstrip().replace("ones(size))  # ones", "ones(\n            size,\n        ))"),
        NORM + COPY.lstrip().replace('    """What Pangu uses."""\n\n', ""),
        "# Copied from lib.models.llama.LlamaNorm with LLAMA->PANGU, Llama->Pangu all-casing\n" + COPY.lstrip(),
        "class A:\n    # Copied from lib.models.llama.LlamaNorm.forward\n    def forward(self, x):\n        return self.weight * x\n",
        "# Copied from `lib.models.llama.rotate`.\ndef rotate(x):\n    return torch.cat((-x[1], x[0]))\n",
        "# Copied from https://example.org/o/r/blob/v1/lib/models/llama.py#L12\ndef rotate(x):\n    return torch.cat((-x[1], x[0]))\n",
        "# Copied from lib/models/llama.py\ndef rotate(x):\n    return torch.cat((-x[1], x[0]))\n",
    ],
)  # fmt: skip
def test_a_copy_that_is_equal(tmp_path: Path, own: str):
    mismatches, counted = compared(tmp_path, own)
    assert mismatches == []
    assert counted == "comments that name a place in code: 1; over code that is equal there: 1"


def test_a_copy_that_differs_is_quoted_with_both_lines(tmp_path: Path):
    ((finding,), counted) = compared(tmp_path, NORM + COPY.lstrip().replace("self.weight * x", "x * self.weight"))
    assert (finding.path, finding.line) == ("model.py", 1)
    assert finding.text == (
        "says it is from lib.models.llama.LlamaNorm; line 2 of lib/models/llama.py begins what has "
        "«: return self . weight * x» where line 10 here has «: return x * self . weight»"
    )
    assert "over code that differs: 1" in counted


def test_a_replacement_that_the_comment_does_not_state_is_a_difference(tmp_path: Path):
    own = "# Copied from lib.models.llama.rotate\ndef rotate(y):\n    return torch.cat((-y[1], y[0]))\n"
    assert len(compared(tmp_path, own)[0]) == 1


def test_a_comment_that_names_what_is_not_there(tmp_path: Path):
    ((finding,), counted) = compared(tmp_path, "# Copied from lib.models.llama.Gone\ndef gone():\n    pass\n")
    assert finding.text == "says it is from lib.models.llama.Gone; lib/models/llama.py holds no function or class Gone"
    assert "naming what is not there: 1" in counted


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("# Modified from lib.models.llama.rotate\ndef rotate(x):\n    return x\n", "claiming no equal"),
        ("# Adapted from lib.models.llama\nx = 1\n", "claiming no equal"),
        (NORM + COPY.lstrip().replace("    def forward", "    # Ignore copy\n    def forward"), "claiming no equal"),
        ("# Copied from other.models.thing.rotate\ndef rotate(x):\n    pass\n", "naming a file that is not at hand: 1"),
    ],
)
def test_what_claims_no_equal_code_or_is_not_at_hand_is_no_mismatch(tmp_path: Path, own: str, words: str):
    mismatches, counted = compared(tmp_path, own)
    assert mismatches == []
    assert words in counted


def test_the_tree_itself_is_a_reference(tmp_path: Path):
    write(
        tmp_path, {"src/lib/models/llama.py": LLAMA, "src/lib/other.py": NORM + COPY.lstrip().replace("x[0]", "x[2]")}
    )
    assert not any(finding.code == "copied-from-mismatch" for finding in scan(tmp_path).findings)
    write(tmp_path, {"src/lib/other.py": NORM + COPY.lstrip().replace("ones", "zeros")})
    assert any(finding.code == "copied-from-mismatch" for finding in scan(tmp_path).findings)


def test_of_two_files_that_a_comment_could_mean_none_is_taken(tmp_path: Path):
    files = {f"{name}/lib/models/llama.py": f"def rotate(x):\n    return {name}\n" for name in "ab"}
    package = write(tmp_path / "package", files)
    own = write(tmp_path / "own", {"m.py": "# Copied from lib.models.llama.rotate\ndef rotate(x):\n    return 1\n"})
    assert {finding.code for finding in scan(own, references=(package,)).findings} >= {"copied-from-compared"}
    assert not any(finding.code == "copied-from-mismatch" for finding in scan(own, references=(package,)).findings)


def test_a_name_that_is_assigned_or_defined_under_a_condition_is_not_called_absent(tmp_path: Path):
    own = "# Copied from lib.models.llama.rotate\ndef rotate(x):\n    return 1\n"
    for reference in (
        "rotate = torch.rotate\n",
        "try:\n    import x\nexcept ImportError:\n    def rotate(x):\n        pass\n",
    ):
        mismatches, counted = compared(tmp_path, own, reference)
        assert mismatches == []
        assert "claiming no equal" in counted


def test_the_file_at_the_very_path_counts_before_others_that_end_like_it(tmp_path: Path):
    files = {
        f"{name}lib/models/llama.py": f"def rotate(x):\n    return {number}\n"
        for number, name in enumerate(("", "a/", "b/"))
    }
    package = write(tmp_path / "package", files)
    own = write(tmp_path / "own", {"m.py": "# Copied from lib.models.llama.rotate\ndef rotate(x):\n    return 0\n"})
    assert not any(finding.code == "copied-from-mismatch" for finding in scan(own, references=(package,)).findings)


def test_a_package_whose_init_takes_a_name_from_elsewhere_is_not_at_hand(tmp_path: Path):
    own = "# Copied from lib.models.rotate\ndef rotate(x):\n    return 1\n"
    mismatches, counted = compared(tmp_path, own, "from .llama import rotate\n", "lib/models/__init__.py")
    assert mismatches == []
    assert "naming a file that is not at hand: 1" in counted


def test_hostile_claims_take_bounded_time_and_space(tmp_path: Path):
    many = "# Copied from lib.models.llama.rotate with x->" + "x" * 300 + "".join(",x->xxxxxxx" for _ in range(10))
    nested = "".join(
        f"{' ' * depth}# Copied from lib.models.llama.rotate\n{' ' * depth}def f():\n" for depth in range(900)
    )
    for own in (f"{many}\ndef rotate(x):\n    return x\n", nested):
        compared(tmp_path, own)
    long = Source.of("a.py", ("# Copied from a.b\n" * 40_000 + "def f():\n    pass\n").encode())
    assert sum(1 for _ in claims_of(long)) == 1000
