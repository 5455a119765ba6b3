"""What is made once: taken from disk after that, made again where it was damaged or where it depends on more."""

from pathlib import Path

import pytest

from attest.kept import kept


@pytest.fixture
def calls() -> list[bytes]:
    return []


def get(folder: Path, calls: list[bytes], *made_from: str) -> bytes:
    def make() -> bytes:
        calls.append(b"made")
        return b"what takes long"

    return kept("thing.json", folder / "module.py", made_from, make)


def test_the_second_time_nothing_is_made(tmp_path: Path, calls: list[bytes]) -> None:
    assert get(tmp_path, calls, "a") == get(tmp_path, calls, "a") == b"what takes long"
    assert len(calls) == 1
    (file,) = (tmp_path / "__pycache__").iterdir()
    assert file.name.startswith("thing.")
    assert file.suffix == ".json"


def test_other_sources_give_another_file(tmp_path: Path, calls: list[bytes]) -> None:
    for made_from in (("a", "b"), ("ab",), ("a",)):
        get(tmp_path, calls, *made_from)
    assert len(calls) == len(list((tmp_path / "__pycache__").iterdir())) == 3


def test_a_damaged_file_is_made_again(tmp_path: Path, calls: list[bytes]) -> None:
    get(tmp_path, calls, "a")
    (file,) = (tmp_path / "__pycache__").iterdir()
    for damaged in (b"", file.read_bytes()[:-1], file.read_bytes() + b" "):
        file.write_bytes(damaged)
        assert get(tmp_path, calls, "a") == b"what takes long"
    assert len(calls) == 4


def test_where_nothing_can_be_written_it_is_made_each_time(
    tmp_path: Path, calls: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "__pycache__").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "__pycache__"))
    assert get(tmp_path, calls, "a") == get(tmp_path, calls, "a")
    assert len(calls) == 2
