"""What a weight file declares in its header: GGUF's metadata, and ``__metadata__`` of safetensors.

References
----------
GGUF specification, "General metadata"; Stability AI, "ModelSpec", ``modelspec.license``.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import BinaryIO

from attest.checkpoint.gguf import read_gguf
from attest.checkpoint.safetensors import read_header
from attest.errors import CheckpointError
from attest.finding import Finding
from attest.licenses.detect import identify
from attest.licenses.lookalike import plain
from attest.licenses.source import MAX_TEXT, cut

__all__ = ["declared_in_weights", "is_weight_file"]

_READERS = {"gguf": read_gguf, "safetensors": read_header}
_CODES = (
    (re.compile(r"(?:general\.|modelspec\.)?license"), "declared-license"),
    (re.compile(r"(?:general\.license\.|license_)name"), "declared-license-name"),
    (re.compile(r"(?:general\.license\.|license_)link"), "declared-license-link"),
    (re.compile(r"general\.base_model\.\d{1,4}\.(?:name|repo_url)|base_model|ss_sd_model_name"), "declared-base-model"),
)
_MAX_FINDINGS = 100
_MAX_NAMED = 5


def is_weight_file(path: str) -> bool:
    """Whether a file has the suffix of GGUF or of safetensors."""
    return path.rpartition(".")[2].casefold() in _READERS


def declared_in_weights(path: str, stream: BinaryIO, size: int) -> tuple[Finding, ...]:
    """What an open weight file declares; the header alone is read.

    Parameters
    ----------
    path : str
    stream : binary file
        At its beginning.
    size : int
        Bytes in the file.

    Raises
    ------
    OSError
        It cannot be read.
    """
    read = _READERS[path.rpartition(".")[2].casefold()]
    try:
        metadata = read(stream, file=path, size=size).metadata
    except CheckpointError as error:
        return (Finding(code="declaration-not-read", path=path, line=None, text=cut(error.message)),)
    declared = ((_code_of(key), value) for key, value in sorted(metadata.items()))
    found = (_finding(path, code, value) for code, value in declared if code and cut(value))
    return tuple(islice(found, _MAX_FINDINGS))


def _finding(path: str, code: str, value: str) -> Finding:
    """A declared value; where that is a whole text, which license it holds."""
    if code == "declared-license" and ("\n" in value.strip() or len(value) > MAX_TEXT):
        texts = [text for text in identify(plain(value)).texts if text.kind == "text"]
        held = ", ".join(f"{'near ' if text.changes else ''}{text.expression}" for text in texts[:_MAX_NAMED])
        words = f"{held or 'no known license text'} in {len(value)} characters that were read: {value}"
        return Finding(code="declared-license-text", path=path, line=None, text=cut(words))
    return Finding(code=code, path=path, line=None, text=cut(value))


def _code_of(key: str) -> str | None:
    return next((code for pattern, code in _CODES if pattern.fullmatch(key)), None)
