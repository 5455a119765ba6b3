"""Machine code that is made once: kept, loaded again without the compiler, and made anew where it was damaged."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attest.native
from attest.native import Kernel

PROGRAM = '''"""Doubles five numbers."""
import sys
import numpy as np
from attest.native import Kernel

def _double(values, n):
    for position in range(n):
        values[position] *= 2

numbers = np.arange(5)
Kernel(_double, "int64*", "int64")(numbers, 5)
print(numbers.tolist(), "numba" in sys.modules)
'''


def _fail(values: Any, n: int) -> None:
    for position in range(n):
        values[position] = 1 // (values[position] - 1)


@pytest.fixture
def run(tmp_path: Path) -> Callable[[], str]:
    """Runs the program in a process of its own, with a home of its own."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(Path(attest.native.__file__).parents[1])}

    def start() -> str:
        command = [sys.executable, "-W", "error", str(program)]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    return start


def kept(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.rglob("*.native"))


def test_the_second_process_does_without_the_compiler(run: Callable[[], str], tmp_path: Path):
    assert run() == "[0, 2, 4, 6, 8] True"
    (file,) = kept(tmp_path)
    assert file.parent == tmp_path / "__pycache__"
    assert run() == "[0, 2, 4, 6, 8] False"


@pytest.mark.parametrize("keep", [31, -1])
def test_damaged_code_is_made_anew(run: Callable[[], str], tmp_path: Path, keep: int):
    run()
    (file,) = kept(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:keep])
    assert run() == "[0, 2, 4, 6, 8] True"
    assert run() == "[0, 2, 4, 6, 8] False"


def test_changed_source_is_compiled_anew(run: Callable[[], str], tmp_path: Path):
    run()
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("*= 2", "*= 3"))
    assert run() == "[0, 3, 6, 9, 12] True"


def test_where_nothing_can_be_kept_it_runs_all_the_same(run: Callable[[], str], tmp_path: Path):
    (tmp_path / "__pycache__").touch()
    assert run() == "[0, 2, 4, 6, 8] True"
    (file,) = kept(tmp_path)
    assert file.parent == tmp_path / ".cache" / "attest"
    shutil.rmtree(tmp_path / ".cache")
    (tmp_path / ".cache").touch()
    assert run() == "[0, 2, 4, 6, 8] True"
    assert kept(tmp_path) == []


def test_what_is_not_as_promised_never_reaches_the_loop():
    kernel = Kernel(_fail, "int64*", "int64")
    for wrong in (np.zeros(4), np.zeros(4, np.int32), np.zeros((4, 2), np.int64)[:, 0]):
        with pytest.raises(TypeError, match="contiguous"):
            kernel(wrong, 4)
    with pytest.raises(ValueError, match="argument"):
        kernel(np.zeros(4, np.int64))


def test_a_loop_that_raises_says_so():
    with pytest.raises(RuntimeError, match="_fail failed"):
        Kernel(_fail, "int64*", "int64")(np.ones(4, np.int64), 4)
