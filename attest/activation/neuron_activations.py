"""``neuron-activations/v1``: what every MLP neuron does at the places of the prompts, in 32 numbers a look.

A neuron is looked at twice: by the input of its activation function, and by what that is multiplied with. Where an MLP
has no gate, both looks are at the input of the activation function, one on sequences of even number, one on odd. A look
is the vector of a neuron's activations over the places, less its mean, divided by its norm, on public random signs.

Neither a basis of the residual stream nor the order or the scale of the neurons changes it beyond the order of rows. It
does not show where weights come from by itself: networks trained apart hold some of the same neurons.

References
----------
Zhu, Ahmed, Kuditipudi, Liang, "Independence Tests for Language Models", ICML 2025, section 3.2 (gate and up
activations as two looks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.activation.observer import ActivationFingerprint, Arrays, Observed, Plan, Seen, public_signs
from attest.activation.places import table_of_places
from attest.evidence import Table

__all__ = ["LOOKS", "LOOK_WIDTH", "NEURON_ACTIVATIONS", "kept_layers"]

LOOK_WIDTH = 32
LOOKS = (("gate", "up"), ("even", "odd"))
"""Names of the two looks, of gated networks and of others."""

_MOST_BYTES = 12 * 1024 * 1024
_LEAST_PLACES = 16
_STEPS = 32.0
_AT_ONCE = 64
"""Places of a layer that are summed together."""
_SUMMED = ("values", "squares", "signs", "products", "places")
_WAITING = ("waiting", "waiting_signs")


def kept_layers(widths: Mapping[int, int]) -> tuple[int, ...]:
    """Layers whose neurons are kept: all, or every second, third … one, so that they take 12 MiB at most.

    Parameters
    ----------
    widths : mapping of int to int
        Neurons of each layer.
    """
    size = 2 * LOOK_WIDTH * sum(widths.values())
    stride = max(1, -(-size // _MOST_BYTES))
    return tuple(sorted(widths)[stride // 2 :: stride])


@dataclass(slots=True)
class _Sums:
    """Sums over places: of activations, of their squares, of signs, and of activations times signs.

    Places wait until there are enough of them for one product of matrices, which is most of the work.
    """

    values: NDArray[np.float64]
    squares: NDArray[np.float64]
    signs: NDArray[np.float64]
    products: NDArray[np.float64]
    places: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    waiting: list[tuple[NDArray[np.float32], NDArray[np.float64]]] = field(default_factory=list)

    @classmethod
    def of(cls, neurons: int) -> _Sums:
        zeros = (np.zeros(neurons), np.zeros(neurons), np.zeros(LOOK_WIDTH), np.zeros((neurons, LOOK_WIDTH)))
        return cls(*zeros)

    def add(self, values: NDArray[np.float32], signs: NDArray[np.float64]) -> None:
        self.places += len(values)
        self.waiting.append((values, signs))
        if sum(len(one) for one, _ in self.waiting) >= _AT_ONCE:
            self._sum()

    def held(self) -> Arrays:
        sums = {name: getattr(self, name) for name in _SUMMED}
        return sums | (dict(zip(_WAITING, self._of_all_waiting(), strict=True)) if self.waiting else {})

    @classmethod
    def from_held(cls, held: Arrays) -> _Sums:
        waiting = [(held[_WAITING[0]], held[_WAITING[1]])] if _WAITING[0] in held else []
        return cls(**{name: held[name].copy() for name in _SUMMED}, waiting=waiting)

    def _of_all_waiting(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        return np.concatenate([one for one, _ in self.waiting]), np.concatenate([one for _, one in self.waiting])

    def _sum(self) -> None:
        few, signs = self._of_all_waiting()
        self.waiting.clear()
        values = few.astype(np.float64)
        self.values += values.sum(axis=0)
        self.signs += signs.sum(axis=0)
        self.products += values.T @ signs
        self.squares += np.square(values, out=values).sum(axis=0)

    def sketch(self) -> NDArray[np.int8]:
        """In steps of 1/32, clipped at 127; 0 for a neuron whose activations do not vary."""
        if self.waiting:
            self._sum()
        centered = self.products - np.outer(self.values / self.places, self.signs)
        spread = self.squares - self.values**2 / self.places
        varies = np.isfinite(spread) & (spread > 1e-12 * self.squares)
        norms = np.sqrt(np.where(varies, spread, 1.0))[:, None]
        scaled = np.where(varies[:, None], centered, 0.0) / norms * _STEPS
        return np.clip(np.rint(scaled), -127, 127).astype(np.int8)


class _Neurons:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._positions = table_of_places(plan.places)
        self._signs = public_signs(NEURON_ACTIVATIONS.id, (len(self._positions), LOOK_WIDTH))
        self._kept = frozenset(kept_layers(plan.widths))
        self._sums: dict[tuple[int, str], _Sums] = {}

    def watch(self, seen: Seen) -> None:
        tokens = list(self._plan.places[seen.sequence].tokens)
        if seen.layer not in self._kept or not tokens:
            return
        look = seen.kind if self._plan.gated else LOOKS[1][seen.sequence % 2]
        signs = self._signs[self._positions[:, 0] == seen.sequence]
        if (seen.layer, look) not in self._sums:
            self._sums[seen.layer, look] = _Sums.of(seen.values.shape[1])
        self._sums[seen.layer, look].add(seen.values[tokens], signs)

    def held(self) -> Arrays:
        return {
            f"{layer}.{look}.{name}": array
            for (layer, look), one in self._sums.items()
            for name, array in one.held().items()
        }

    def take_up(self, held: Arrays) -> None:
        parts: dict[tuple[int, str], dict[str, NDArray[Any]]] = {}
        for name, array in held.items():
            layer, look, own = name.split(".")
            parts.setdefault((int(layer), look), {})[own] = array
        self._sums = {key: _Sums.from_held(one) for key, one in parts.items()}

    def result(self) -> Observed:
        looks = LOOKS[0] if self._plan.gated else LOOKS[1]
        if not self._kept or not self._sums:
            return Observed(arrays={}, not_measured="no layer has an MLP whose neurons are known by their names")
        if any(self._places(look) < _LEAST_PLACES for look in looks):
            return Observed(arrays={}, not_measured=f"the prompts have fewer than {_LEAST_PLACES} places a look")
        sketches = {f"layers.{layer}.{look}": one.sketch() for (layer, look), one in sorted(self._sums.items())}
        return Observed(arrays={"positions": self._positions, **sketches})

    def _places(self, look: str) -> int:
        held = [self._sums.get((layer, look)) for layer in self._kept]
        return min((int(one.places[0]) if one else 0 for one in held), default=0)


def _table(arrays: Arrays) -> Table | None:
    rows = tuple(
        (name.split(".")[1], str(len(array)))
        for name, array in arrays.items()
        if name.endswith((f".{LOOKS[0][0]}", f".{LOOKS[1][0]}"))
    )
    ordered = tuple(sorted(rows, key=lambda row: int(row[0])))
    return Table(columns=("layer", "neurons"), rows=ordered) if rows else None


NEURON_ACTIVATIONS = ActivationFingerprint(
    id="neuron-activations/v1", kinds=frozenset({"gate", "up"}), observe=_Neurons, table=_table
)
