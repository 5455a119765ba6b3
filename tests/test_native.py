"""Machine code that is made once: kept, loaded again without the compiler, and made anew where it was damaged."""

import os
import shutil
import subprocess
import sys
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

def _twice(value):
    return 2 * value

def _double(values, n):
    for position in range(n):
        values[position] = _twice(values[position])

numbers = np.arange(5)
Kernel(_double, "int64*", "int64")(numbers, 5)
print(numbers.tolist(), "numba" in sys.modules)
'''


def _fail(values: Any, n: int) -> None:
    for position in range(n):
        values[position] = 1 // (values[position] - 1)


def start(folder: Path) -> str:
    """Runs the program in a process of its own, with a home of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    environment |= {"HOME": str(folder), "PYTHONPATH": str(Path(attest.native.__file__).parents[1])}
    command = [sys.executable, "-W", "error", str(folder / "program.py")]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def kept(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.native"))


@pytest.fixture(scope="module")
def after_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    (folder / "program.py").write_text(PROGRAM)
    assert start(folder) == "[0, 2, 4, 6, 8] True"
    return folder


@pytest.fixture
def folder(after_a_run: Path, tmp_path: Path) -> Path:
    """The program, and what its first run kept."""
    return shutil.copytree(after_a_run, tmp_path / "run")


def test_the_second_process_does_without_the_compiler(folder: Path):
    (file,) = kept(folder)
    assert file.parent == folder / "__pycache__"
    assert start(folder) == "[0, 2, 4, 6, 8] False"


@pytest.mark.parametrize("keep", [31, -1])
def test_damaged_code_is_made_anew(folder: Path, keep: int):
    (file,) = kept(folder)
    whole = file.read_bytes()
    file.write_bytes(whole[:keep])
    assert start(folder) == "[0, 2, 4, 6, 8] True"
    assert file.read_bytes() == whole


def test_changed_source_is_compiled_anew(folder: Path):
    (folder / "program.py").write_text(PROGRAM.replace("2 * value", "3 * value"))
    assert start(folder) == "[0, 3, 6, 9, 12] True"


def test_where_nothing_can_be_kept_it_runs_all_the_same(tmp_path: Path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "__pycache__").touch()
    assert start(tmp_path) == "[0, 2, 4, 6, 8] True"
    (file,) = kept(tmp_path)
    assert file.parent == tmp_path / ".cache" / "attest"
    shutil.rmtree(tmp_path / ".cache")
    (tmp_path / ".cache").touch()
    assert start(tmp_path) == "[0, 2, 4, 6, 8] True"
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
