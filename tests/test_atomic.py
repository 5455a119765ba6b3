"""A folder that is replaced is there whole, the old one or the new one, whatever goes wrong."""

import os
from pathlib import Path

import pytest

from attest.atomic import write_directory_atomically
from attest.errors import InputError

OLD, NEW = {"statement.json": b"old", "detail/a": b"a"}, {"statement.json": b"new"}


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    write_directory_atomically(tmp_path / "evidence", OLD)
    return tmp_path / "evidence"


def test_a_folder_is_replaced(evidence: Path):
    write_directory_atomically(evidence, NEW, force=True)
    assert contents(evidence) == NEW
    assert (evidence.stat().st_mode & 0o777, [*evidence.parent.iterdir()]) == (0o755, [evidence])


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("at", ["evidence", "old"])
def test_the_old_folder_stays_where_the_new_one_cannot_take_its_place(
    evidence: Path, at: str, fault: BaseException, monkeypatch: pytest.MonkeyPatch
):
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if self.name in {"made", "evidence"} and target.name == at:
            raise fault
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises((InputError, KeyboardInterrupt)):
        write_directory_atomically(evidence, NEW, force=True)
    assert contents(evidence) == OLD
    assert [*evidence.parent.iterdir()] == [evidence]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_stays(evidence: Path):
    evidence.chmod(0o555)
    with pytest.raises(InputError, match="cannot be written"):
        write_directory_atomically(evidence, NEW, force=True)
    assert contents(evidence) == OLD
