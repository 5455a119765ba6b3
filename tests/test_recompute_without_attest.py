"""The page on recomputing a comparison, run as it stands, where attest cannot be imported."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from compare.pairs import compared
from measured import FAMILY
from recompared import side, write_side

from attest.compare import comparison_statement
from attest.evidence_directory import write_evidence

PAGE = Path(__file__).resolve().parents[1] / "docs" / "recompute-without-attest.md"
_WITHOUT_ATTEST = "import sys\nsys.modules['attest'] = None\n"


def recomputed(folder: Path, *sides: str) -> dict[str, list[float]]:
    """The numbers that the page prints of two members of the family, by what stands before them."""
    for label, name in zip("ab", sides, strict=True):
        write_side(folder / label, name)
        (folder / f"weights-{label}").symlink_to(FAMILY / name)
    write_evidence(folder / "comparison", comparison_statement(compared(*map(side, sides))), {})
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    program = _WITHOUT_ATTEST + "".join(blocks)
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = (line.split(": ") for line in done.stdout.splitlines())
    return {what: [float(number) for number in numbers.split(", signed ")] for what, numbers in lines}


@pytest.mark.parametrize(("other", "is_descendant"), [("seed-1-continued", True), ("seed-2", False), ("seed-3", False)])
def test_the_page_gives_the_numbers_of_the_comparison(tmp_path: Path, other: str, *, is_descendant: bool):
    numbers = recomputed(tmp_path, "seed-1", other)
    z, signed = numbers["z of the neurons"]
    assert z == signed
    p, signed = numbers["p of the neurons"]
    assert p == (0.001 if is_descendant else pytest.approx(signed, abs=0.08))
    correlation, signed = numbers["published correlation"]
    assert correlation == signed
    assert numbers["the same from the weights"] == [pytest.approx(signed, rel=1e-5)]
    assert signed > 0.8, "of networks that were trained apart, too"
    (whole,) = numbers["z of whole gate rows"]
    assert whole > 50 if is_descendant else abs(whole) < 4
