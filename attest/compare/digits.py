"""The digits that are signed."""

from __future__ import annotations

from attest.document import decimal

__all__ = ["share_digits", "signed_digits"]


def signed_digits(value: float) -> float:
    """The value with the 6 significant digits that are signed and shown.

    Sums of floats may differ in the last bits between machines; 6 digits do not.
    """
    return float(decimal(value, 6))


def share_digits(part: int, whole: int) -> float:
    """A share of a whole in the digits that are signed: 0 only for nothing, 1 only for all of it.

    Examples
    --------
    >>> share_digits(6_999_999_999, 7_000_000_000)
    0.999999
    """
    if part in {0, whole}:
        return float(part > 0)
    return min(signed_digits(part / whole), 1 - 1e-6)
