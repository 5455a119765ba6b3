"""How far activations that were measured again are from signed ones, layer by layer.

The same machine with the same versions repeats every bit. Another one does not, and then the difference that was
achieved is shown beside the tolerance, which was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attest.activation.activations import TOLERANCE, Activations
from attest.checkpoint.arrays import unpack_arrays
from attest.errors import DocumentError, IncomparableError
from attest.evidence import ActivationSummary

__all__ = ["ActivationComparison", "LayerDifference", "compare_activations"]

_COLUMNS = ("layer", "rms", "mean_abs")
_STEP = 1.0
"""Steps by which an entry of a sketch may differ: what stands near the middle of two is rounded to either."""

Outcomes: TypeAlias = Literal["identical", "within-tolerance", "differs"]
Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerDifference:
    """How far one measured value of a layer is from the signed one.

    Parameters
    ----------
    layer : int
        0 is the embedding output; -1 where a value is of no layer.
    value : str
        ``rms`` and ``mean_abs`` are the table's; ``mean_abs_by_dimension`` is the farthest of d_model values; others are
        named by their fingerprint and array.
    size : float
        |again - signed| / |signed|, infinite where only the signed value is 0; of other floating-point arrays over the
        layer's largest magnitude; of sketches in steps; of names and places how many differ.
    tolerance : float
        Of ``size``.
    """

    layer: int
    value: str
    size: float
    tolerance: float

    @property
    def outcome(self) -> Outcomes:
        """What that comes to."""
        if self.size == 0:
            return "identical"
        return "within-tolerance" if self.size <= self.tolerance else "differs"


@dataclass(frozen=True, kw_only=True, slots=True)
class ActivationComparison:
    """All differences, and the relative tolerance that those of floating-point values are held against."""

    tolerance: float
    differences: tuple[LayerDifference, ...]

    @property
    def largest(self) -> float:
        """Largest difference of the profile's values, relative."""
        return max(one.size for one in self.differences if "/" not in one.value)

    @property
    def outcome(self) -> Outcomes:
        """The worst outcome of all values."""
        found = {one.outcome for one in self.differences}
        return "differs" if "differs" in found else "within-tolerance" if "within-tolerance" in found else "identical"


def compare_activations(signed: Activations, again: Activations) -> ActivationComparison:
    """How far activations measured again are from signed ones, layer by layer and value by value.

    Parameters
    ----------
    signed : Activations
        Read from evidence; may be hostile.
    again : Activations
        Measured now.

    Returns
    -------
    ActivationComparison
        Held against the signed tolerance, or this version's where that is narrower: a signer cannot widen it.

    Raises
    ------
    IncomparableError
        The two are of different profiles, prompt sets or token ids, or of networks of different size.
    DocumentError, CheckpointError
        The signed table or a detail file is malformed.
    """
    for name in ("id", "prompt_set_sha256", "token_ids_sha256"):
        if getattr(signed.summary, name) != getattr(again.summary, name):
            raise IncomparableError(
                "other-activations",
                f"the two activation profiles differ in {name}, so they are of different inputs",
                fix="measure with the versions that the evidence names",
            )
    tables = _table(signed.summary), _table(again.summary)
    arrays = _mean_abs(signed), _mean_abs(again)
    if tables[0].shape != tables[1].shape or arrays[0].shape != arrays[1].shape:
        raise IncomparableError(
            "other-activations",
            f"the two activation profiles are of {arrays[0].shape} and {arrays[1].shape} layers and dimensions",
            fix="give the checkpoint that the evidence is about",
        )
    tolerance = min(_number(signed.summary.tolerance, "tolerance"), TOLERANCE)
    differences = (*_of_profile(tables, arrays, tolerance), *_of_fingerprints(signed, again, tolerance))
    return ActivationComparison(tolerance=tolerance, differences=differences)


def _of_profile(
    tables: tuple[Array, Array], arrays: tuple[Array, Array], tolerance: float
) -> Iterator[LayerDifference]:
    dimensions = _relative(*arrays).max(axis=1)
    for layer, (rms, mean_abs) in enumerate(_relative(*tables).tolist()):
        sizes = {"rms": rms, "mean_abs": mean_abs, "mean_abs_by_dimension": float(dimensions[layer])}
        for value, size in sizes.items():
            yield LayerDifference(layer=layer, value=value, size=size, tolerance=tolerance)


def _relative(signed: NDArray[np.float64], again: NDArray[np.float64]) -> NDArray[np.float64]:
    difference = np.abs(again - signed)
    relative = np.full_like(difference, math.inf)
    np.divide(difference, np.abs(signed), out=relative, where=signed != 0)
    relative[difference == 0] = 0
    return relative


def _of_fingerprints(signed: Activations, again: Activations, tolerance: float) -> Iterator[LayerDifference]:
    fresh = {one.id: one.detail for one in again.summary.fingerprints}
    for one in signed.summary.fingerprints:
        if one.id not in fresh:
            continue  # of another version of attest
        files = _file(signed, one.detail), _file(again, fresh[one.id])
        if files[0].keys() != files[1].keys():
            yield LayerDifference(layer=-1, value=f"{one.id} arrays", size=math.inf, tolerance=tolerance)
            continue
        for name in files[0]:
            yield from _of_array(f"{one.id} {name}", name, *files, tolerance)


def _file(activations: Activations, name: str | None) -> Mapping[str, Array]:
    if name is None:
        return {}
    if name not in activations.details:
        raise _malformed(f"it names no {name}")
    return unpack_arrays(activations.details[name], where=name)


def _of_array(
    value: str, name: str, signed: Mapping[str, Array], again: Mapping[str, Array], tolerance: float
) -> Iterator[LayerDifference]:
    before, after = signed[name], again[name]
    if before.shape != after.shape or before.dtype != after.dtype:
        yield LayerDifference(layer=-1, value=value, size=math.inf, tolerance=tolerance)
    elif not before.size:
        yield LayerDifference(layer=-1, value=value, size=0.0, tolerance=0.0)
    elif before.dtype == np.int8:
        steps = np.abs(before.astype(np.int64) - after.astype(np.int64))
        for layer, size in _by_layer(name, steps):
            yield LayerDifference(layer=layer, value=value, size=float(size.max()), tolerance=_STEP)
    elif before.dtype == np.float32 and before.ndim == 2:
        for layer, size in _by_layer(name, _over_largest(before, after)):
            yield LayerDifference(layer=layer, value=value, size=float(size.max()), tolerance=tolerance)
    else:
        others = (before != after) & ~_tied(name, before, signed.get("log_probability"), tolerance)
        yield LayerDifference(layer=-1, value=value, size=float(np.count_nonzero(others)), tolerance=0.0)


def _by_layer(name: str, sizes: Array) -> Iterator[tuple[int, Array]]:
    """Sizes of every layer; an array's first axis counts them, or its name says which, or it is of none."""
    if name.startswith("layers."):
        yield int(name.split(".")[1]), sizes
    elif name == "log_probability":
        yield -1, sizes
    else:
        yield from enumerate(sizes)


def _over_largest(before: Array, after: Array) -> NDArray[np.float64]:
    largest = np.abs(before.astype(np.float64)).max(axis=1, keepdims=True)
    if not np.isfinite(largest).all():
        raise _malformed("a detail file holds numbers that are not finite")
    difference = np.abs(before.astype(np.float64) - after)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0, 0.0, difference / largest)


def _tied(name: str, ids: Array, log_probability: Array | None, tolerance: float) -> NDArray[np.bool_]:
    """Places of predictions where the next is as likely within the tolerance, so that either may come first.

    The last of the most likely may change places with one that is not among them.
    """
    tied = np.zeros(ids.shape, dtype=np.bool_)
    if not name.startswith("token_") or log_probability is None or log_probability.shape != ids.shape:
        return tied
    values = log_probability.astype(np.float64)
    close = np.abs(np.diff(values, axis=1)) <= 2 * tolerance * np.abs(values).max(axis=1, keepdims=True)
    tied[:, :-1] |= close
    tied[:, 1:] |= close
    tied[:, -1] = True
    return tied


def _table(summary: ActivationSummary) -> NDArray[np.float64]:
    """The table's numbers, shape (n_layers + 1, 2)."""
    rows = summary.table.rows
    well_formed = summary.table.columns == _COLUMNS and all(
        len(row) == len(_COLUMNS) and row[0] == str(layer) for layer, row in enumerate(rows)
    )
    if not well_formed or not rows:
        raise _malformed("its table does not hold a layer, an rms and a mean_abs a row, in order of layer")
    return np.array([[_number(cell, "table") for cell in row[1:]] for row in rows])


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise _malformed(f"its {where} holds {text[:40]!r}, which is not a finite number of at least 0")
    return value


def _mean_abs(activations: Activations) -> NDArray[np.float64]:
    """``mean_abs`` of a detail file, finite, shape (n_layers + 1, d_model)."""
    values = _file(activations, activations.summary.detail).get("mean_abs")
    if values is None or values.dtype != np.float32 or values.ndim != 2 or not values.size:
        raise _malformed("its detail file holds no mean_abs of dtype F32 and two dimensions")
    if not np.isfinite(values).all():
        raise _malformed("its detail file holds numbers that are not finite")
    if len(values) != len(activations.summary.table.rows):
        raise _malformed("its detail file and its table are of different depth")
    return values.astype(np.float64)


def _malformed(problem: str) -> DocumentError:
    return DocumentError(
        "bad-activations", f"the activation profile is malformed: {problem}", fix="ask for an intact copy"
    )
