"""Results of finished stretches of files, kept in a folder while a checkpoint is measured: a killed run goes on.

An entry is bound to all that its numbers follow from: the files as they were found, where tensors lie and what they
are for, the program and its libraries. Whoever can write to the folder can put numbers in it, as they could write to
the unsigned evidence; so the folder must be the user's own, evidence says which files were resumed, and verifying and
reproducing never read it. Nothing in it is executed: arrays are safetensors, the rest is JSON.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model
from attest.atomic import refuse_stdout
from attest.checkpoint.sealed import read_sealed, write_sealed
from attest.errors import InputError
from attest.evidence import Environment, Tool
from attest.sweep import StretchResult

__all__ = ["MIN_SIZE", "Journal", "binding"]

MIN_SIZE = 1024 * 1024
"""Bytes of a file from which on its results are kept; smaller files are read again sooner than written."""

_COLLECTING = ("attest.sweep.", "attest.fingerprint.")
_SUFFIX = ".attest-journal"
_MAX_ENTRY = 2 * 1024**3
_RESULT = "result"


def binding(model: Model, tool: Tool, environment: Environment, fingerprints: Sequence[str]) -> str:
    """Digest of all that the results of files follow from; ``fingerprints`` are the ids of those that collect."""
    tree = model.checkpoint.tree
    value = {
        "tool": asdict(tool),
        "environment": asdict(environment),
        "fingerprints": list(fingerprints),
        "origin": asdict(tree.origin) if tree.origin else None,
        "files": [asdict(file) for file in tree.files],
        "family": asdict(model.family) if model.family else None,
        "tensors": [asdict(one) for one in model.tensors],
        "sizes": [model.n_layers, model.d_model, model.d_ff, model.n_heads, model.n_kv_heads, model.d_head],
    }
    return sha256(json.dumps(value, sort_keys=True, default=sorted).encode()).hexdigest()


class Journal:
    """A folder of results.

    Parameters
    ----------
    folder : Path
        Made where it is not there.
    bound_to : str
        As ``binding`` gives it: entries of other measurements are not seen.

    Raises
    ------
    InputError
        It is no folder of the user's own that nobody else can write to.
    """

    def __init__(self, folder: Path, bound_to: str) -> None:
        refuse_stdout(folder)
        self._folder = folder
        self._binding = bound_to
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            status = folder.lstat()
        except OSError as error:
            raise InputError(
                "cannot-write", f"cannot be made ({error.strerror})", fix="choose another place", where=str(folder)
            ) from error
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise InputError(
                "open-journal",
                "is a link, belongs to somebody else, or others can write to it",
                fix="give a folder that is yours alone",
                where=str(folder),
            )

    def place(self, *what: str) -> Path:
        """File of this measurement for what is kept under these words."""
        return self._folder / (sha256("\n".join((self._binding, *what)).encode()).hexdigest() + _SUFFIX)

    def find(self, path: str, number: int) -> StretchResult | None:
        """What was kept of a stretch of a file; None where nothing was, or it is damaged."""
        arrays = read_sealed(self.place(str(number), path), max_bytes=_MAX_ENTRY)
        if arrays is None:
            return None
        result = _decode(json.loads(arrays[_RESULT].tobytes()), arrays)
        same = isinstance(result, StretchResult) and (result.path, result.number) == (path, number)
        return result if same else None

    def keep(self, result: StretchResult) -> None:
        """Write what a stretch gave, whole or not at all; nothing of a file that ends before ``MIN_SIZE``."""
        if result.end < MIN_SIZE:
            return
        arrays: dict[str, NDArray[Any]] = {}
        text = json.dumps(_encode(result, arrays)).encode()
        arrays[_RESULT] = np.frombuffer(text, np.int8)
        write_sealed(self.place(str(result.number), result.path), arrays, max_bytes=_MAX_ENTRY)

    @staticmethod
    def clear(folder: Path) -> None:
        """Remove all entries, and the folder where nothing else is in it: the measurement is written.

        Entries that a killed run had begun to write go too.
        """
        for pattern in (f"*{_SUFFIX}", f".*{_SUFFIX}.*"):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()


def _encode(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """JSON value of a result, its arrays put aside: all but null, truth and text is a list that begins with a tag."""
    coded: Any
    match value:
        case None | bool() | str():
            coded = value
        case int():
            coded = ["int", hex(value)]
        case float():
            coded = ["float", value.hex()]
        case bytes():
            coded = ["bytes", value.hex()]
        case np.ndarray():
            turned = value.flags.f_contiguous and not value.flags.c_contiguous  # sums may depend on the order in memory
            name = str(len(arrays))
            arrays[name] = value.T if turned else np.ascontiguousarray(value)
            coded = ["turned" if turned else "array", name]
        case tuple():
            coded = ["tuple", [_encode(item, arrays) for item in value]]
        case Mapping():
            coded = ["mapping", [[key, _encode(item, arrays)] for key, item in value.items()]]
        case _:
            kind = type(value)
            content = {one.name: _encode(getattr(value, one.name), arrays) for one in fields(value)}
            coded = ["record", kind.__module__, kind.__qualname__, content]
    return coded


def _decode(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Result that ``_encode`` made a JSON value of."""
    decoded: Any
    match value:
        case ["int", digits]:
            decoded = int(digits, 16)
        case ["float", digits]:
            decoded = float.fromhex(digits)
        case ["bytes", digits]:
            decoded = bytes.fromhex(digits)
        case ["array", name]:
            decoded = arrays[name].copy()
        case ["turned", name]:
            decoded = arrays[name].copy().T
        case ["tuple", items]:
            decoded = tuple(_decode(item, arrays) for item in items)
        case ["mapping", items]:
            decoded = {key: _decode(item, arrays) for key, item in items}
        case ["record", module, name, content]:
            decoded = _record(module, name)(**{key: _decode(item, arrays) for key, item in content.items()})
        case _:
            decoded = value
    return decoded


def _record(module: str, name: str) -> Any:
    """Class of a result: a dataclass of the packages that collect, and nothing else."""
    kind = getattr(sys.modules.get(module), name, None) if module.startswith(_COLLECTING) else None
    if not is_dataclass(kind):
        raise TypeError(f"{module}.{name} is no record of a result")
    return kind
