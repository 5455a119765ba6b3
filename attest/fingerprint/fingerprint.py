"""What a fingerprint is: what it collects during the one read, and what it makes of it.

A fingerprint is one file, and one line in ``FINGERPRINTS``. Its id is for ever: changed numbers are a new id.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from numpy.typing import NDArray

from attest.architecture import Model, PlacedTensor
from attest.document import decimal
from attest.evidence import Table
from attest.sweep import Accumulator, TensorResult

__all__ = ["Fingerprint", "Makers", "Profile", "Results", "layer_table", "mean", "root_mean_square"]

Makers: TypeAlias = Mapping[str, Callable[[], Accumulator]]
"""What to collect from a tensor, by name. Fingerprints that ask for one name share what it collects."""

Results: TypeAlias = Mapping[str, TensorResult]
"""What was collected, by tensor name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """What a fingerprint yields for one checkpoint.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Named as ``layers.<layer>.<part>``; int8, float32 or float64.
    table : Table or None
        The arrays in a few numbers a layer, for people.
    not_measured : str or None
        Why there is nothing, or what was left out.
    """

    arrays: Mapping[str, NDArray[Any]]
    table: Table | None
    not_measured: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """One way to describe a checkpoint by numbers.

    Parameters
    ----------
    id : str
        Permanent name and version, such as ``attention-std/v1``.
    collect : callable
        Gives the makers of the accumulators that a tensor needs; empty for tensors it ignores.
    profile : callable
        Gives the profile, once all bytes have passed.
    documents : mapping of str to str
        SHA-256 of the files that were read ahead, by path: the one read must see the same.
    """

    id: str
    collect: Callable[[Model, PlacedTensor], Makers]
    profile: Callable[[Model, Results], Profile]
    documents: Mapping[str, str] = field(default_factory=dict)


def layer_table(columns: Sequence[str], values: Iterable[tuple[int, Sequence[float | None]]]) -> Table:
    """Table with one row a layer; values that are missing or not finite are written as a dash."""
    return Table(
        columns=("layer", *columns),
        rows=tuple(
            (str(layer), *("-" if value is None or not math.isfinite(value) else decimal(value) for value in row))
            for layer, row in values
        ),
    )


def mean(values: NDArray[Any]) -> float:
    """Arithmetic mean with one rounding; NaN without values or with values that are not finite."""
    return _exact_sum(values.ravel().tolist()) / values.size if values.size else math.nan


def root_mean_square(values: NDArray[Any]) -> float:
    """Square root of the mean square; the sum is rounded once. Of float32 values the squares are exact."""
    squares = [value * value for value in values.ravel().tolist()]
    return math.sqrt(_exact_sum(squares) / len(squares)) if squares else math.nan


def _exact_sum(values: list[float]) -> float:
    return math.fsum(values) if all(map(math.isfinite, values)) else math.nan
