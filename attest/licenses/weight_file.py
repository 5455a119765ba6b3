"""What a weight file declares in its header: GGUF's metadata, and ``__metadata__`` of safetensors.

References
----------
GGUF specification, "General metadata"; Stability AI, "ModelSpec", ``modelspec.license``.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from attest.checkpoint.gguf import read_gguf
from attest.checkpoint.safetensors import read_header
from attest.errors import CheckpointError
from attest.finding import Finding
from attest.licenses.source import cut

__all__ = ["declared_in_weights", "is_weight_file"]

_READERS = {"gguf": read_gguf, "safetensors": read_header}
_CODES = (
    (re.compile(r"(?:general\.|modelspec\.)?license"), "declared-license"),
    (re.compile(r"(?:general\.license\.|license_)name"), "declared-license-name"),
    (re.compile(r"(?:general\.license\.|license_)link"), "declared-license-link"),
    (re.compile(r"general\.base_model\.\d{1,4}\.(?:name|repo_url)|base_model|ss_sd_model_name"), "declared-base-model"),
)
_MAX_FINDINGS = 100


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
    found = [
        Finding(code=code, path=path, line=None, text=cut(value)) for code, value in declared if code and cut(value)
    ]
    return tuple(found[:_MAX_FINDINGS])


def _code_of(key: str) -> str | None:
    return next((code for pattern, code in _CODES if pattern.fullmatch(key)), None)
