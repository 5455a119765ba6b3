"""A second engine beside attest's own: what scancode-toolkit says of the same files, and where the two disagree.

Copies of the files lie under names of our own in a folder of our own, and scancode runs there: it sees no link, no
archive and no setting of the repository, and runs nothing of it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from attest.document import Count, parse, record
from attest.errors import DocumentError, InputError
from attest.licenses import spdx_tag
from attest.licenses.license_text import identify_file
from attest.licenses.program_output import output_of
from attest.licenses.readable import Skipped
from attest.licenses.source import Source, cut

__all__ = ["Disagreement", "SecondEngine", "compare_with_scancode", "find_scancode"]

_Own: TypeAlias = tuple[str, frozenset[str]]
"""Path of a file, and the license ids that attest says of it."""

_SPEAKING = re.compile(b"licen|redistribut|permission|copying|copyright|public domain")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")
_SYMBOL = re.compile(r"[A-Za-z0-9.+:-]+")
_OPERATORS = frozenset({"AND", "OR", "WITH"})
_ANY_VERSION = re.compile(r"-(?:only|or-later)$|\+$")
_MAX_FILES = 2_000
_MAX_ANSWER = 256 * 1024 * 1024
_START_SECONDS = 300
_SECONDS_A_FILE = 20


@record
class Disagreement:
    """A file of which the engines say different license ids; those that both say are left out."""

    path: str
    attest: tuple[str, ...]
    scancode: tuple[str, ...]


@record
class SecondEngine:
    """Both engines on the files that speak of licenses.

    ``agreeing`` counts files of which both say the same ids (``-only`` and ``-or-later`` are one), ``silent`` those
    of which neither names a license. Neither engine is right because the other agrees.
    """

    name: str
    version: str
    files: Count
    agreeing: Count
    silent: Count
    disagreements: tuple[Disagreement, ...]


def find_scancode() -> Path:
    """The program scancode, beside this Python or on the path.

    Raises
    ------
    InputError
        There is none.
    """
    beside = Path(sys.executable).with_name("scancode")
    found = str(beside) if beside.is_file() else shutil.which("scancode")
    if found is None:
        raise InputError(
            "engine-missing",
            "scancode is not installed",
            fix="pip install 'attest-checkpoints[scancode]' (0.7 GB)",
        )
    return Path(found).absolute()


def compare_with_scancode(items: Iterable[Source | Skipped]) -> SecondEngine:
    """What scancode says of the files that speak of licenses, beside what attest says.

    Raises
    ------
    InputError
        It is not installed, fails, takes too long or answers what cannot be read; or there are more than 2,000 files.
    """
    program = find_scancode()
    with tempfile.TemporaryDirectory(prefix="attest-scancode-") as place:
        files = Path(place, "files")
        home = Path(place, "home")
        files.mkdir()
        home.mkdir()
        own = _keep(items, files)
        answer = home / "answer.json"
        done = output_of(
            [str(program), "--license", "--processes", "0", "--quiet", "--json", str(answer), str(files)],
            environment=_environment(home),
            seconds=_START_SECONDS + _SECONDS_A_FILE * len(own),
            max_bytes=_MAX_ANSWER,
            folder=home,
        )
        try:
            return _compared(parse(_read(answer), where="scancode", max_bytes=_MAX_ANSWER), own)
        except (OSError, DocumentError, LookupError, TypeError, AttributeError) as error:
            raise InputError(
                "engine-failed",
                f"scancode gave no answer that can be read ({done.complaint or type(error).__name__})",
                fix="run scancode --version, and install it anew where that fails",
                where=str(program),
            ) from error


def _keep(items: Iterable[Source | Skipped], folder: Path) -> dict[str, _Own]:
    """Files that speak of licenses, as they were read, under names of ours; and what attest says of each."""
    own: dict[str, _Own] = {}
    for item in items:
        if isinstance(item, Skipped) or not _SPEAKING.search(item.lowered):
            continue
        if len(own) >= _MAX_FILES:
            raise InputError(
                "too-many-files",
                f"more than {_MAX_FILES} files speak of licenses, too many for scancode",
                fix="scan a part of the repository, or without --engine scancode",
            )
        suffix = _SUFFIX.search(item.name)
        name = f"{len(own):06}{suffix[0] if suffix else ''}"
        (folder / name).write_bytes(item.data)
        own[name] = (item.path, _ids(_own_expressions(item)))
    return own


def _read(answer: Path) -> bytes:
    return answer.read_bytes() if answer.stat().st_size <= _MAX_ANSWER else b""


def _compared(value: Any, own: Mapping[str, _Own]) -> SecondEngine:
    theirs = {
        str(file["path"]).rpartition("/")[2]: _ids([file["detected_license_expression_spdx"] or ""])
        for file in value["files"]
        if file["type"] == "file"
    }
    rows = sorted((path, ids, theirs[name]) for name, (path, ids) in own.items())
    return SecondEngine(
        name="scancode-toolkit",
        version=cut(str(value["headers"][0]["tool_version"])),
        files=len(rows),
        agreeing=sum(ids == other and bool(ids) for _, ids, other in rows),
        silent=sum(not ids and not other for _, ids, other in rows),
        disagreements=tuple(
            Disagreement(path=path, attest=tuple(sorted(ids - other)), scancode=tuple(sorted(other - ids)))
            for path, ids, other in rows
            if ids != other
        ),
    )


def _own_expressions(source: Source) -> list[str]:
    """Expressions of texts, notices and tags in a file; not of changed texts, nor of mere names."""
    file = identify_file(source)
    texts = file.texts if file else ()
    tags = [finding.text for finding in spdx_tag.detect(source) if finding.code == "spdx-license"]
    return [text.expression for text in texts if text.kind != "reference" and not text.change_count] + tags


def _ids(expressions: Iterable[str]) -> frozenset[str]:
    symbols = (symbol for expression in expressions for symbol in _SYMBOL.findall(expression))
    return frozenset(_ANY_VERSION.sub("", symbol) for symbol in symbols if symbol not in _OPERATORS)


def _environment(place: Path) -> dict[str, str]:
    """No setting of the user's, and a home that is empty."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(place),
        "SCANCODE_TEMP": str(place),
        "SCANCODE_CACHE": str(place),
        "PYTHONSAFEPATH": "1",
        "PYTHONNOUSERSITE": "1",
        "LC_ALL": "C.UTF-8",
    }
