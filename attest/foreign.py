"""The border to libraries that check signatures: whatever they leak becomes an error with a code."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from attest.errors import AttestError

__all__ = ["translated"]

_MAX_REASON = 500


@contextmanager
def translated(code: str, kind: type[AttestError], message: str, *, fix: str, where: str = "") -> Iterator[None]:
    """Turn whatever exception leaves the block into an error of attest, with the library's own words.

    Parameters
    ----------
    code, kind, message, fix, where
        The error that is raised instead. One of attest's own passes as it is.

    Raises
    ------
    AttestError
        Of ``kind``, with ``code``.

    Notes
    -----
    Verifiers leak exceptions that no documentation lists (``AttributeError``, ``KeyError``, errors of ASN.1 parsers)
    where hostile input leads them astray. One that escapes would be a traceback; one that is guessed wrong would
    be a check that did not run. So everything is caught, here and nowhere else (decision 0031); also the panics of
    libraries in Rust, which are no ``Exception``. Only the user ends the program.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library thinks of hostile input is no line on the user's terminal
            yield
    except (AttestError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # decision 0031
        words = " ".join(f"{type(error).__name__}: {error}".split())[:_MAX_REASON]
        raise kind(code, f"{message} ({words})", fix=fix, where=where) from error
