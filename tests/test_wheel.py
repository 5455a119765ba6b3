"""The wheel carries what attest needs to run, the same bytes every time, and attest finds it there."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ("evidence", "comparison", "detail", "panel")
ENDS = ("schema.json", "md", "example.json")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheel, built twice."""
    built = []
    for number in (1, 2):
        folder = tmp_path_factory.mktemp(f"wheel-{number}")
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        built += folder.iterdir()
    return built


def test_two_builds_of_the_wheel_are_byte_identical(wheels: list[Path]):
    first, second = wheels
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_the_wheel_carries_what_attest_needs_to_run(wheels: list[Path]):
    homes = {"schemas": "schemas", "templates": "templates", "panels": "panels", "tests/data/family": "family"}
    with zipfile.ZipFile(wheels[0]) as wheel:
        for home, place in homes.items():
            for file in filter(Path.is_file, (ROOT / home).rglob("*")):
                name = f"attest/{place}/{file.relative_to(ROOT / home).as_posix()}"
                assert wheel.read(name) == file.read_bytes(), name
        names = set(wheel.namelist())
    package = {file.relative_to(ROOT).as_posix() for file in (ROOT / "attest").rglob("*") if file.is_file()}
    assert {name for name in package if "__pycache__" not in name} <= names
    assert "attest/py.typed" in names
    assert {f"attest/schemas/{name}.v1.{end}" for name in SCHEMAS for end in ENDS} <= names
    assert [name for name in names if "__pycache__" in name or name.startswith("tests/")] == []


def test_an_installed_wheel_finds_its_own_files(wheels: list[Path], tmp_path: Path):
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(tmp_path)
    names = ["schemas/evidence.v1.schema.json", "templates", "panels/small.json", "family"]
    code = f"from attest.resource import resource; print(*map(resource, {names!r}), sep='\\n')"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, check=True
    )
    assert ran.stdout.decode().splitlines() == [str(tmp_path / "attest" / name) for name in names]
