"""MLPs of every layer whose values are read: the dense one or that of shared experts, and every expert."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Part
from attest.compare.weights.role_weights import RoleWeights, is_readable, shape_of
from attest.fingerprint.anchored_sketch import PARTS

__all__ = ["LayerMlps", "NeuronWeights"]

_BARE = PARTS[1:]

_Mlp = Mapping[str, Part]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerMlps:
    """MLPs of one layer, which all have gates, or have none.

    Parameters
    ----------
    mlps : tuple of mapping of str to Part
        Gate, where there is one, up and down; experts come last, in order of their numbers.
    n_alone : int
        Neurons of the dense MLP, or of shared experts.
    n_neurons : int
        Of all.
    """

    mlps: tuple[_Mlp, ...]
    n_alone: int
    n_neurons: int

    @property
    def gated(self) -> bool:
        """Whether neurons have gates."""
        return len(self.mlps[0]) == len(PARTS)

    @property
    def pooled(self) -> bool:
        """Whether there are several."""
        return len(self.mlps) > 1

    @classmethod
    def of(cls, alone: _Mlp | None, experts: Sequence[_Mlp]) -> LayerMlps | None:
        """These; experts that have gates where the first MLP has none, or the other way round, are left out."""
        every = ([] if alone is None else [alone]) + [*experts]
        alike = tuple(one for one in every if len(one) == len(every[0]))
        sizes = [shape_of(one["up"])[0] for one in alike]
        return cls(mlps=alike, n_alone=0 if alone is None else sizes[0], n_neurons=sum(sizes)) if alike else None

    def without_experts(self) -> LayerMlps | None:
        """The dense MLP, or that of shared experts; None where there is none."""
        return LayerMlps.of(self.mlps[0], ()) if self.n_alone else None


@dataclass(frozen=True, kw_only=True, slots=True)
class NeuronWeights:
    """Neurons of one network as unit rows, read when they are asked for.

    Parameters
    ----------
    weights : RoleWeights
    parts : tuple of str
        Gate, up and down; without gate where no layer has any.
    layers : mapping of int to LayerMlps
        In order; where some have gates, only those.
    """

    weights: RoleWeights
    parts: tuple[str, ...]
    layers: Mapping[int, LayerMlps]

    @classmethod
    def of(cls, weights: RoleWeights, most_neurons: int) -> NeuronWeights:
        """Those of a checkpoint; without the experts of layers that so have more neurons than these."""
        experts = _experts(weights)
        found = {
            layer: mlps
            for layer in range(weights.layers)
            if (mlps := _of_layer(weights, layer, experts.get(layer, ()), most_neurons))
        }
        gated = {layer: one for layer, one in found.items() if one.gated}
        return cls(weights=weights, parts=PARTS if gated else _BARE, layers=gated or found)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.weights.model.d_model or 0

    def unit_rows(self, role: str, layer: int) -> Iterator[NDArray[np.float32]]:
        """A part of every neuron at length 1, shape (n_neurons, d_model) for one MLP at a time; gains of norms are folded in."""
        for mlp in self.layers[layer].mlps:
            matrix = self.weights.values(mlp[role], folded=role != "down")
            rows = np.ascontiguousarray(matrix.T if role == "down" else matrix)
            norms = np.linalg.norm(rows, axis=1, keepdims=True)
            yield (rows / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)


def _of_layer(weights: RoleWeights, layer: int, experts: Sequence[_Mlp], most_neurons: int) -> LayerMlps | None:
    alone = {role: part for role in PARTS if (part := weights.part(role, layer)) is not None}
    has_gate = ("gate", layer) in weights.model.index
    known = _fits(alone, weights.model.d_model) and has_gate == ("gate" in alone)
    found = LayerMlps.of(alone if known else None, [one for one in experts if _fits(one, weights.model.d_model)])
    return found if found is None or found.n_neurons <= most_neurons else found.without_experts()


def _fits(mlp: _Mlp, d_model: int | None) -> bool:
    """Whether up and down, and the gate where there is one, have shapes that fit."""
    if not set(_BARE) <= mlp.keys():
        return False
    up, down = (shape_of(mlp[role]) for role in _BARE)
    return down == up[::-1] and up[1] == d_model and ("gate" not in mlp or shape_of(mlp["gate"]) == up)


def _experts(weights: RoleWeights) -> dict[int, tuple[_Mlp, ...]]:
    """Experts of every layer, in order of their numbers, with the parts that are read."""
    found: dict[int, dict[int, dict[str, Part]]] = defaultdict(lambda: defaultdict(dict))
    for placed in weights.model.tensors:
        experts = placed.experts
        if experts is None or placed.layer is None:
            continue
        readable = [part for part in experts.parts if is_readable(part)]
        for number in range(experts.count if readable else 0):
            alone = {part.role: _alone(part, number, experts.count) for part in readable}
            found[placed.layer][experts.first + number].update(alone)
    return {layer: tuple(one for _, one in sorted(experts.items())) for layer, experts in found.items()}


def _alone(part: Part, number: int, count: int) -> Part:
    """A part of one of so many experts, as if that were stored by itself."""
    if part.packed is not None:
        return replace(part, packed=part.packed.matrix(number))
    tensor = part.tensor
    size = (tensor.end - tensor.begin) // count
    begin = tensor.begin + number * size
    return replace(part, tensor=replace(tensor, begin=begin, end=begin + size))
