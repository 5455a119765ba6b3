"""``direction-signs/v1``: weak signs of which side was made from the other, where they are related at all.

A quantization, a cast to fewer bits and pruning lose what cannot be had back, so the side that lost it is more probably
the later one. Anybody can make them look otherwise, and further training hides them: never more than a hint.
"""

from __future__ import annotations

from collections.abc import Iterator

from attest.compare.descriptive import descriptive
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.tensors.telling import has_many_values, in_main_stack
from attest.comparison import Found
from attest.evidence import Moments, Table, TensorRow

__all__ = ["direction_signs"]

_ID = "direction-signs/v1"
_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16}
_FEWER = 4
"""How many times fewer different values count as a coarser grid."""
_PRUNED, _UNPRUNED = 0.05, 0.01
"""Share of zeros from which on a matrix counts as pruned, and up to which as not."""

_COARSER = (
    "written in fewer bits",
    "a quarter of the other's different values or fewer",
    "pruned, and the other is not",
)


def direction_signs(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Share of the matrices of one place and shape in both in which one side alone shows that something was lost.

    Notes
    -----
    Descriptive, and no evidence of a relation: strangers differ in these, too. Kurtosis is counted beside and not in
    the share, since it only tends to grow with training.
    """
    pairs = [(one, other) for one, other in _pairs(a, b) if one.digest != other.digest]
    if not pairs:
        return not_run("no matrices of one place and shape differ between the two", _ID)
    signs = [(_signs(one, other), _signs(other, one)) for one, other in pairs]
    sided = sum(1 for mine, theirs in signs if any(mine) != any(theirs))
    kurtosis = [_kurtosis(one.moments, other.moments) for one, other in pairs]
    known = [difference for difference in kurtosis if difference is not None]
    rows = [
        (words, str(sum(mine[at] for mine, _ in signs)), str(sum(theirs[at] for _, theirs in signs)), str(len(pairs)))
        for at, words in enumerate(_COARSER)
    ]
    rows.append(
        ("greater kurtosis", str(sum(one > 0 for one in known)), str(sum(one < 0 for one in known)), str(len(known)))
    )
    table = Table(columns=("weak sign of being the later one", "a", "b", "of"), rows=tuple(rows))
    test = descriptive(
        _ID,
        sided / len(pairs),
        len(pairs),
        "share of the matrices in which one side alone is pruned or on a coarser grid: a weak sign of which came later,"
        " where the two are related, and no sign that they are",
    )
    return Outcome(
        tests=(test,),
        found=(
            Found(
                id=_ID, title="Weak signs of which came later, if either came from the other, by matrices", table=table
            ),
        ),
    )


def _pairs(a: Fingerprints, b: Fingerprints) -> Iterator[tuple[TensorRow, TensorRow]]:
    """Matrices that training fills, of one role, layer, expert and shape, where each side has one of these."""
    places = [{(row.role, row.layer, row.expert): row for row in side.tensors if _is_compared(row)} for side in (a, b)]
    for place, row in places[0].items():
        other = places[1].get(place)
        if other is not None and other.shape == row.shape:
            yield row, other


def _is_compared(row: TensorRow) -> bool:
    return row.dtype in _BITS and len(row.shape) > 1 and in_main_stack(row) and has_many_values(row)


def _signs(one: TensorRow, other: TensorRow) -> tuple[bool, ...]:
    """Whether one side shows each loss and the other does not."""
    mine, theirs = one.moments, other.moments
    if mine is None or theirs is None:
        return (False,) * len(_COARSER)
    same = one.dtype == other.dtype and mine.distinct is not None and theirs.distinct is not None
    return (
        _BITS[one.dtype] < _BITS[other.dtype],
        same and (mine.distinct or 0) * _FEWER <= (theirs.distinct or 0),
        mine.zeros >= _PRUNED * mine.n and theirs.zeros <= _UNPRUNED * theirs.n,
    )


def _kurtosis(mine: Moments | None, theirs: Moments | None) -> float | None:
    """Excess kurtosis of one less that of the other; None where one is not known."""
    if mine is None or theirs is None or mine.excess_kurtosis is None or theirs.excess_kurtosis is None:
        return None
    return float(mine.excess_kurtosis) - float(theirs.excess_kurtosis)
