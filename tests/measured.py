"""Checkpoints of the fixture family, measured once a process, and their values in float64."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from small_checkpoint import read_tensors

from attest.measure import Measurement, measure

FAMILY = Path(__file__).resolve().parent / "data" / "family"


@cache
def measured(name: str) -> Measurement:
    """One checkpoint of the family, measured."""
    return measure(FAMILY / name)


@cache
def values(name: str) -> dict[str, NDArray[np.float64]]:
    """All tensors of one checkpoint of the family, by name without ``model.``."""
    return {
        key.removeprefix("model."): (codes.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        for key, codes in read_tensors(FAMILY / name).items()
    }
