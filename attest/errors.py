"""Errors that attest raises on purpose.

::

    AttestError                    70  base; reaching the user as itself is a bug
    ├── InputError                  3  a file or argument is unusable
    │   ├── DocumentError           3  a JSON document is not what it should be; ``where`` is a JSON Pointer
    │   └── CheckpointError         3  a checkpoint is not what it should be; ``where`` is a path
    │       ├── UnknownFormatError  3  no reader knows the file
    │       └── UnsafeFormatError   3  it could run code; it was not opened
    ├── IncomparableError           3  the two have no statistic in common
    ├── SigningError                3  nothing was signed
    ├── NetworkError                3  a remote source did not answer as it must
    └── VerificationError           1  the thing is not what it says
        ├── SignatureError          1  the signature does not hold
        └── DigestMismatchError     1  the bytes are not those that were measured

Every error is one line: ``error[code]: where: what is wrong; what to do``. The codes are listed in ``docs/errors.md``.
"""

from __future__ import annotations

__all__ = [
    "AttestError",
    "CheckpointError",
    "DigestMismatchError",
    "DocumentError",
    "IncomparableError",
    "InputError",
    "NetworkError",
    "SignatureError",
    "SigningError",
    "UnknownFormatError",
    "UnsafeFormatError",
    "VerificationError",
]


class AttestError(Exception):
    """What went wrong, where, and what to do about it.

    Parameters
    ----------
    code : str
        Stable kebab-case name of the fault, such as ``truncated-file``.
    message : str
        What is wrong, in plain words. May quote hostile input: it is escaped where it is printed.
    fix : str
        What the reader can do next.
    where : str, optional
        A path, or a JSON Pointer for documents.
    """

    exit_code = 70

    def __init__(self, code: str, message: str, *, fix: str, where: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}; {self.fix}"


class InputError(AttestError):
    """Raised when a file or an argument cannot be used."""

    exit_code = 3


class DocumentError(InputError):
    """Raised when a JSON document is malformed, too large, too deep, or not of its schema."""


class CheckpointError(InputError):
    """Raised when a checkpoint's files contradict themselves or their format."""


class UnknownFormatError(CheckpointError):
    """Raised when no reader knows a checkpoint file."""


class UnsafeFormatError(CheckpointError):
    """Raised when opening a file could run code; it was not opened."""


class IncomparableError(AttestError):
    """Raised when two checkpoints have no statistic in common."""

    exit_code = 3


class SigningError(AttestError):
    """Raised when a key cannot sign; nothing was written."""

    exit_code = 3


class NetworkError(AttestError):
    """Raised when a remote source does not answer as it must."""

    exit_code = 3


class VerificationError(AttestError):
    """Raised when a thing is not what it says it is."""

    exit_code = 1


class SignatureError(VerificationError):
    """Raised when a signature does not hold over the bytes it came with."""


class DigestMismatchError(VerificationError):
    """Raised when bytes are not those that were measured."""
