"""The laundering matrix: every alteration a release is measured on, as a function from a network to a network.

References
----------
Llama Pro (inserted layers that pass on their input), SOLAR (duplicated layers), Net2Net (widened layers), QuaRot and
SliceGPT (rotations with folded gains), sparse upcycling (experts made of one dense MLP).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch.nn.utils import parametrize

from validity import damage, structure, symmetries
from validity.network import Network
from validity.train import Preparation, Recipe

__all__ = ["ROWS", "Keeps", "Row", "Workshop"]

Keeps: TypeAlias = Literal["bytes", "function", "values", "lineage"]
"""What an alteration keeps: every value; what the network computes; the values to within rounding; only the lineage."""

FINE_TUNING = Recipe(steps=60, rate=3e-4, batch=4, warmup=5)
LORA = Recipe(steps=60, rate=3e-3, batch=4, warmup=5, weight_decay=0.0)
CONTINUATION = Recipe(steps=300, rate=3e-3, warmup=10)
AFTERWARDS = Recipe(steps=64, rate=3e-3, batch=4, warmup=5)
"""The continued training that follows an alteration: other text, at the full rate of the first training."""

Trainer: TypeAlias = Callable[[Network, Recipe, Preparation | None], Network]


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """What an alteration may use.

    Parameters
    ----------
    rng : torch.Generator
    stranger : Network
        An unrelated network of the same shape.
    train : callable
        Trains a network further on other text, by a recipe; the third argument prepares the module.
    """

    rng: torch.Generator
    stranger: Network
    train: Trainer


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of the matrix.

    Parameters
    ----------
    name, title : str
    keeps : Keeps
    apply : callable
        From a network whose origins are tracked to the altered one.
    training : {"after", "before"}
        Where continued training comes: after the alteration, or before it for one that only changes how weights are
        stored.
    afterwards : Recipe
        What that training is.
    """

    name: str
    title: str
    keeps: Keeps
    apply: Callable[[Network, Workshop], Network]
    training: Literal["after", "before"] = "after"
    afterwards: Recipe = AFTERWARDS


class LowRank(torch.nn.Module):
    """A matrix plus the product of two thin ones, of which only these are trained."""

    def __init__(self, shape: torch.Size, rank: int) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.randn(rank, shape[1]) / shape[1] ** 0.5)
        self.b = torch.nn.Parameter(torch.zeros(shape[0], rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The sum; the update is twice the product, as with alpha = 2 * rank."""
        return weight + 2.0 * (self.b @ self.a)


def _fine_tune(network: Network, workshop: Workshop) -> Network:
    return workshop.train(network, FINE_TUNING, None)


def _continue(network: Network, workshop: Workshop) -> Network:
    return workshop.train(network, CONTINUATION, None)


def _lora(network: Network, workshop: Workshop) -> Network:
    """LoRA of rank 8 on every matrix of every layer, merged."""

    def prepare(model: torch.nn.Module) -> Callable[[], None]:
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=workshop.rng)))
        model.requires_grad_(False)
        adapted = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and ".layers." in name]
        for one in adapted:
            parametrize.register_parametrization(one, "weight", LowRank(one.weight.shape, 8))
            one.get_parameter("parametrizations.weight.original").requires_grad_(False)

        def merge() -> None:
            for one in adapted:
                parametrize.remove_parametrizations(one, "weight", leave_parametrized=True)

        return merge

    return workshop.train(network, LORA, prepare)


def _disguise(network: Network, workshop: Workshop) -> Network:
    """Everything that keeps the function: neurons, heads, scales and the basis of the residual stream."""
    rng = workshop.rng
    altered = symmetries.rescale(symmetries.permute_heads(symmetries.permute_neurons(network, rng), rng), rng)
    return symmetries.rotate_residual(altered, rng)


def _grown(network: Network, workshop: Workshop) -> Network:
    """Layers twice, neurons added, and then all neurons in another order."""
    deeper = structure.arrange_layers(network, (0, 1, 2, 1, 2, 3), workshop.rng)
    return symmetries.permute_neurons(structure.widen(deeper, 128, workshop.rng), workshop.rng)


def _hidden_merge(network: Network, workshop: Workshop) -> Network:
    merged = damage.average(network, workshop.stranger, 0.5)
    return symmetries.permute_neurons(merged, workshop.rng)


def _unrecognizable(network: Network, workshop: Workshop) -> Network:
    return damage.forget_embeddings(_disguise(network, workshop), workshop.rng)


def _hidden_experts(network: Network, workshop: Workshop) -> Network:
    return _unrecognizable(structure.upcycle_slices(network, workshop.rng), workshop)


def _hidden_growth(network: Network, workshop: Workshop) -> Network:
    return _unrecognizable(_grown(network, workshop), workshop)


def _unsigned(network: Network, workshop: Workshop) -> Network:
    return symmetries.change_signs(_unrecognizable(network, workshop), workshop.rng)


def _plain(change: Callable[[Network], Network]) -> Callable[[Network, Workshop], Network]:
    return lambda network, _: change(network)


def _drawn(change: Callable[[Network, torch.Generator], Network]) -> Callable[[Network, Workshop], Network]:
    return lambda network, workshop: change(network, workshop.rng)


def _mixed(
    change: Callable[[Network, Network, float], Network], share: float
) -> Callable[[Network, Workshop], Network]:
    return lambda network, workshop: change(network, workshop.stranger, share)


def _arranged(*plan: int | None) -> Callable[[Network, Workshop], Network]:
    return lambda network, workshop: structure.arrange_layers(network, plan, workshop.rng)


ROWS: tuple[Row, ...] = (
    Row(name="fine-tuned", title="fine-tuned, 60 steps at a tenth of the rate", keeps="lineage", apply=_fine_tune),
    Row(name="lora", title="LoRA of rank 8 on every matrix, merged", keeps="lineage", apply=_lora),
    Row(name="continued", title="continued pretraining, 300 steps at the full rate", keeps="lineage", apply=_continue),
    Row(name="pruned-20", title="magnitude pruning, 20 %", keeps="lineage", apply=_plain(lambda n: damage.prune(n, 0.2))),
    Row(name="pruned-50", title="magnitude pruning, 50 %", keeps="lineage", apply=_plain(lambda n: damage.prune(n, 0.5))),
    Row(name="int8", title="int8 by row, round trip", keeps="values", apply=_plain(damage.int8)),
    Row(name="int4", title="int4 by blocks of 32, round trip", keeps="lineage", apply=_plain(damage.int4)),
    Row(name="q8-0", title="GGUF Q8_0, round trip", keeps="values", apply=_plain(damage.q8_0)),
    Row(name="q4-0", title="GGUF Q4_0, round trip", keeps="lineage", apply=_plain(damage.q4_0)),
    Row(name="f16", title="cast to F16", keeps="values", apply=_plain(lambda n: replace(n, dtype="F16")), training="before"),
    Row(name="f32", title="cast to F32", keeps="values", apply=_plain(lambda n: replace(n, dtype="F32")), training="before"),
    Row(name="noise-30", title="noise of 30 % of the deviation", keeps="lineage", apply=_drawn(lambda n, r: damage.noise(n, 0.3, r))),
    Row(name="averaged-30", title="average with 30 % of a stranger", keeps="lineage", apply=_mixed(damage.average, 0.3)),
    Row(name="averaged-50", title="average with 50 % of a stranger", keeps="lineage", apply=_mixed(damage.average, 0.5)),
    Row(name="slerp-50", title="SLERP, half way to a stranger", keeps="lineage", apply=_mixed(damage.slerp, 0.5)),
    Row(name="neurons-permuted", title="hidden neurons permuted", keeps="function", apply=_drawn(symmetries.permute_neurons)),
    Row(name="heads-permuted", title="attention heads permuted", keeps="function", apply=_drawn(symmetries.permute_heads)),
    Row(name="residual-permuted", title="residual dimensions permuted, signs changed", keeps="function", apply=_drawn(symmetries.permute_residual)),
    Row(name="residual-rotated", title="residual stream rotated, gains folded", keeps="function", apply=_drawn(symmetries.rotate_residual)),
    Row(name="rescaled", title="neurons and heads rescaled one by one", keeps="function", apply=_drawn(symmetries.rescale)),
    Row(name="gains-folded", title="norm gains folded into the matrices", keeps="function", apply=_plain(symmetries.fold_gains)),
    Row(name="fused", title="query, key, value fused; gate and up fused", keeps="bytes", apply=_plain(symmetries.fuse), training="before"),
    Row(name="biases-dropped", title="query, key and value biases dropped", keeps="lineage", apply=_plain(damage.drop_biases)),
    Row(name="layers-inserted", title="a layer inserted after the second", keeps="function", apply=_arranged(0, 1, None, 2, 3)),
    Row(name="layers-duplicated", title="layers 1 and 2 twice (0 1 2 1 2 3)", keeps="lineage", apply=_arranged(0, 1, 2, 1, 2, 3)),
    Row(name="layers-dropped", title="layer 1 dropped", keeps="lineage", apply=_arranged(0, 2, 3)),
    Row(name="widened", title="128 neurons added to each MLP, all shuffled", keeps="function", apply=_drawn(lambda n, r: structure.widen(n, 128, r))),
    Row(name="neurons-split", title="every neuron split in two", keeps="function", apply=_drawn(structure.split_neurons)),
    Row(name="experts-copied", title="upcycled: 4 + 1 experts, copies", keeps="function", apply=_drawn(structure.upcycle)),
    Row(name="experts-perturbed", title="upcycled: experts permuted, 30 % noise", keeps="lineage", apply=_drawn(lambda n, r: structure.upcycle(n, r, noise=0.3, permuted=True))),
    Row(name="experts-half-new", title="upcycled: experts permuted, half of their neurons new", keeps="lineage", apply=_drawn(lambda n, r: structure.upcycle(n, r, forgotten=0.5, permuted=True))),
    Row(name="experts-sliced", title="upcycled: each neuron in one of 4 + 1 experts", keeps="function", apply=_drawn(structure.upcycle_slices)),
    Row(name="vocabulary-extended", title="64 tokens added", keeps="function", apply=_drawn(lambda n, r: structure.extend_vocabulary(n, 64, r))),
    Row(name="vocabulary-permuted", title="tokens numbered anew", keeps="function", apply=_drawn(symmetries.permute_vocabulary)),
    Row(name="embeddings-new", title="embeddings drawn anew", keeps="lineage", apply=_drawn(damage.forget_embeddings)),
    Row(name="resharded", title="three shards instead of one file", keeps="bytes", apply=_plain(lambda n: replace(n, container="shards")), training="before"),
    Row(name="renamed", title="every tensor renamed", keeps="bytes", apply=_plain(symmetries.rename), training="before"),
    Row(name="pickled", title="a pickle instead of safetensors", keeps="bytes", apply=_plain(lambda n: replace(n, container="pickle")), training="before"),
    Row(name="disguised", title="neurons, heads, scales and basis changed at once", keeps="function", apply=_disguise, afterwards=CONTINUATION),
    Row(name="disguised-int4", title="the same, then int4", keeps="lineage", apply=lambda n, w: damage.int4(_disguise(n, w))),
    Row(name="grown", title="layers twice, 128 neurons added, all permuted", keeps="lineage", apply=_grown),
    Row(name="merged-permuted", title="averaged with 50 % of a stranger, neurons permuted", keeps="lineage", apply=_hidden_merge),
    Row(name="unrecognizable", title="disguised, and embeddings drawn anew", keeps="lineage", apply=_unrecognizable, afterwards=CONTINUATION),
    Row(name="experts-unrecognizable", title="each neuron in one of 4 + 1 experts, disguised, and embeddings drawn anew", keeps="lineage", apply=_hidden_experts, afterwards=CONTINUATION),
    Row(name="grown-unrecognizable", title="layers twice, 128 neurons added, disguised, and embeddings drawn anew", keeps="lineage", apply=_hidden_growth, afterwards=CONTINUATION),
    Row(name="signs-changed", title="neurons' signs changed", keeps="function", apply=_drawn(symmetries.change_signs)),
    Row(name="disguised-signs", title="disguised, and neurons' signs changed", keeps="function", apply=lambda n, w: symmetries.change_signs(_disguise(n, w), w.rng), afterwards=CONTINUATION),
    Row(name="unsigned", title="disguised, embeddings drawn anew, neurons' signs changed (the known miss of exact tests)", keeps="lineage", apply=_unsigned, afterwards=CONTINUATION),
)  # fmt: skip
"""Every row of the matrix."""
