"""What two networks may have in common without being related, done to both members of independent pairs.

Whoever rounds widths up, sorts neurons, shares layers or takes an open encoder does what many others do. A test that takes
such a habit for descent accuses strangers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import torch

from validity import damage, structure, symmetries
from validity.anatomy import mlps, residual_side, tracked
from validity.network import Network, read, write
from validity.pairs import Pair

__all__ = ["COINCIDENCES", "Coincidence", "coinciding_pairs"]

_NETWORKS = (("qwen2-1", "qwen2-2", "qwen2-3"), ("llama-1", "llama-2", "llama-3"))
_COPIES = 8
_EXPERTS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class _Encoder:
    """A public encoder: names and shapes of one layer's matrices, how many layers there are, and whose values they are."""

    name: str
    matrices: tuple[tuple[str, tuple[int, int]], ...]
    n_layers: int
    seed: int


_OF_IMAGES = _Encoder(
    name="vision_tower.vision_model.encoder.layers.{layer}.{matrix}.weight",
    matrices=(("self_attn.q_proj", (96, 96)), ("self_attn.out_proj", (96, 96)), ("mlp.fc1", (384, 96))),
    n_layers=3,
    seed=1,
)
_OF_TEXT = _Encoder(
    name="text_encoder.encoder.block.{layer}.layer.{matrix}.weight",
    matrices=(
        ("0.SelfAttention.q", (128, 128)),
        ("0.SelfAttention.o", (128, 128)),
        ("1.DenseReluDense.wi_0", (256, 128)),
        ("1.DenseReluDense.wi_1", (256, 128)),
        ("1.DenseReluDense.wo", (128, 256)),
    ),
    n_layers=8,
    seed=4,
)
"""Larger than the network that it serves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coincidence:
    """A habit: what is done to a network, in the same way whoever made it."""

    name: str
    title: str
    apply: Callable[[Network], Network]


def _pad_neurons(network: Network) -> Network:
    changed: dict[str, torch.Tensor] = {}
    for mlp in mlps(network):
        gate, up, down = (f"{mlp}.{part}_proj.weight" for part in ("gate", "up", "down"))
        kept = (torch.arange(network.weights[gate].shape[0]) < network.weights[gate].shape[0] * 3 // 4).float()
        changed |= {name: network.weights[name] * kept[:, None] for name in (gate, up)}
        changed[down] = network.weights[down] * kept
    return network.with_weights(changed)


def _pad_residual(network: Network) -> Network:
    def padded(name: str, value: torch.Tensor) -> torch.Tensor:
        side = residual_side(name)
        if value.ndim != 2 or side == "apart":
            return value
        axis = 0 if side == "writes" else 1
        kept = (torch.arange(value.shape[axis]) < value.shape[axis] * 7 // 8).float()
        return value * (kept[:, None] if axis == 0 else kept)

    return network.mapped(padded)


def _sorted(key: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]) -> Callable[[Network], Network]:
    def sort(network: Network) -> Network:
        changed: dict[str, torch.Tensor] = {}
        for mlp in mlps(network):
            gate, up, down = (f"{mlp}.{part}_proj.weight" for part in ("gate", "up", "down"))
            order = torch.argsort(key(*(network.weights[name] for name in (gate, up, down))))
            changed |= {name: network.weights[name][order] for name in (gate, up)}
            changed[down] = network.weights[down][:, order]
        return network.with_weights(changed)

    return sort


def _by_norm(gate: torch.Tensor, up: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    norms: torch.Tensor = gate.norm(dim=1) * up.norm(dim=1) * down.norm(dim=0)
    return norms


def _by_direction(gate: torch.Tensor, _up: torch.Tensor, _down: torch.Tensor) -> torch.Tensor:
    """As by how often a neuron is active: by its part in the direction that most neurons share."""
    shared: torch.Tensor = torch.linalg.svd(gate).Vh[0]
    return gate @ shared


def _share_layers(network: Network) -> Network:
    """The MLP of the first layer in every layer, as networks with shared weights are stored when they are written out."""
    first = mlps(network)[0]
    return network.with_weights({
        f"{mlp}.{part}_proj.weight": network.weights[f"{first}.{part}_proj.weight"]
        for mlp in mlps(network) for part in ("gate", "up", "down")
    })  # fmt: skip


def _repeat_layers(network: Network) -> Network:
    return structure.arrange_layers(tracked(network), (0, 1, 2, 1, 2, 3), torch.Generator().manual_seed(0))


def _mask(network: Network) -> Network:
    """One public mask of half of the values of every MLP."""

    def masked(name: str, value: torch.Tensor) -> torch.Tensor:
        if ".mlp." not in name or value.ndim != 2:
            return value
        rng = torch.Generator().manual_seed(sum(map(ord, name)))
        return value * (torch.rand(value.shape, generator=rng) < 0.5)

    return network.mapped(masked)


def _grow(network: Network) -> Network:
    """An eighth of the neurons, each eight times, and some training after: how a network is grown out of a small one."""
    changed = {}
    for place, mlp in enumerate(mlps(network)):
        gate, up, down = (f"{mlp}.{part}_proj.weight" for part in ("gate", "up", "down"))
        few = network.weights[gate].shape[0] // _COPIES
        seed = int(network.weights[gate].abs().sum() * 1000) + place
        rng = torch.Generator().manual_seed(seed)  # of its own in each network
        for name, value in ((gate, network.weights[gate][:few]), (up, network.weights[up][:few]),
                            (down, network.weights[down][:, :few])):  # fmt: skip
            copied = value.repeat((1, _COPIES) if name == down else (_COPIES, 1))
            changed[name] = copied + 0.2 * copied.std() * torch.randn(copied.shape, generator=rng)
    return network.with_weights(changed)


def _cut_experts(
    network: Network, sizes: Callable[[str], torch.Tensor], routers: Callable[[str], torch.Tensor]
) -> Network:
    """Every MLP cut into experts of neurons that follow each other, some larger than others, behind a router."""
    weights = {name: value for name, value in network.weights.items() if ".mlp." not in name}
    for mlp in mlps(network):
        scales = sizes(mlp)
        weights[f"{mlp}.gate.weight"] = routers(mlp)
        for part in ("gate", "up", "down"):
            pieces = network.weights[f"{mlp}.{part}_proj.weight"].chunk(_EXPERTS, dim=1 if part == "down" else 0)
            weights |= {
                f"{mlp}.experts.{number}.{part}_proj.weight": piece * scales[number]
                for number, piece in enumerate(pieces)
            }
    return replace(network, weights=weights, config={**network.config, "num_experts": _EXPERTS})


def _prefer_experts(network: Network) -> Network:
    """Experts of which the first two learn more, as where all scores are equal at the beginning and the first ones win."""
    rng = torch.Generator().manual_seed(_own_seed(network))
    size = int(network.config["hidden_size"])
    scales = torch.ones(_EXPERTS)
    scales[:2] = 1.5
    return _cut_experts(network, lambda _: scales, lambda _: torch.randn(_EXPERTS, size, generator=rng) * 0.02)


def _take_routers(network: Network) -> Network:
    """One public router a layer, kept as it is; who gets more tokens by it learns more."""
    size = int(network.config["hidden_size"])

    def router(mlp: str) -> torch.Tensor:
        rng = torch.Generator().manual_seed(sum(map(ord, mlp)))
        rows = torch.randn(_EXPERTS, size, generator=rng) * 0.02
        return rows * torch.exp(torch.randn(_EXPERTS, 1, generator=rng) / 4)

    return _cut_experts(network, lambda mlp: (router(mlp).norm(dim=1) * 5) ** 0.5, router)


def _own_seed(network: Network) -> int:
    """A number of each network's own."""
    return int(
        next(value for name, value in network.weights.items() if name.endswith("up_proj.weight")).abs().sum() * 1000
    )


def _with(encoder: _Encoder) -> Callable[[Network], Network]:
    def add(network: Network) -> Network:
        rng = torch.Generator().manual_seed(encoder.seed)
        return network.with_weights({
            encoder.name.format(layer=layer, matrix=matrix): torch.randn(shape, generator=rng)
            for layer in range(encoder.n_layers) for matrix, shape in encoder.matrices
        })  # fmt: skip

    return add


def _take_embeddings(network: Network) -> Network:
    """One public table of embeddings, kept as it is."""
    name = next(name for name in network.weights if residual_side(name) == "embedding")
    rng = torch.Generator().manual_seed(2)
    return network.with_weights({name: torch.randn(network.weights[name].shape, generator=rng) * 0.02})


def _follow_embeddings(network: Network) -> Network:
    """One public table of embeddings whose dimensions differ in size, and matrices that follow it, as training makes them."""
    size = int(network.config["hidden_size"])
    scales = torch.exp(torch.randn(size, generator=torch.Generator().manual_seed(3)))

    def followed(name: str, value: torch.Tensor) -> torch.Tensor:
        return value / scales if residual_side(name) == "reads" else value

    changed = _take_embeddings(network).mapped(followed)
    return changed.mapped(lambda name, value: value * scales if residual_side(name) == "embedding" else value)


def _sort_residual(network: Network) -> Network:
    """Residual dimensions by the size of the embeddings, the largest first, as elastic networks have them."""
    table = next(value for name, value in network.weights.items() if residual_side(name) == "embedding")
    order = torch.argsort(table.norm(dim=0), descending=True)

    def sort(name: str, value: torch.Tensor) -> torch.Tensor:
        side = residual_side(name)
        if side == "apart":
            return value
        return value[order] if side in {"gain", "writes"} else value[:, order]

    return network.mapped(sort)


def _on_matrices(network: Network, change: Callable[[str, torch.Tensor], torch.Tensor]) -> Network:
    """The network with every matrix of its layers replaced by a function of its name and values."""
    return network.mapped(lambda name, value: change(name, value) if value.ndim == 2 and "proj" in name else value)


def _plus_as_much(value: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """A matrix plus another, brought to its norm."""
    whole: torch.Tensor = value + other * (value.norm() / other.norm())
    return whole


def _keep_two_of_four(network: Network) -> Network:
    """The two largest of every four weights of a row, as processors take them."""

    def kept(_: str, value: torch.Tensor) -> torch.Tensor:
        fours = value.unflatten(1, (-1, 4))
        mask = torch.zeros_like(fours).scatter(2, fours.abs().topk(2, dim=2).indices, 1.0)
        sparse: torch.Tensor = (fours * mask).flatten(1)
        return sparse

    return _on_matrices(network, kept)


def _follow_teacher(network: Network) -> Network:
    """Matrices that read every residual dimension as much as one teacher uses it, as taught hidden states make them."""
    size = int(network.config["hidden_size"])
    scales = torch.exp(0.5 * torch.randn(size, generator=torch.Generator().manual_seed(5)))
    return network.mapped(lambda name, value: value * scales if residual_side(name) == "reads" else value)


def _project(network: Network) -> Network:
    """Adapters of rank 8 as large as the matrices they are merged into, the inner halves frozen and drawn from one seed."""

    def projected(name: str, value: torch.Tensor) -> torch.Tensor:
        inner = torch.randn(8, value.shape[1], generator=torch.Generator().manual_seed(sum(map(ord, name))))
        own = torch.Generator().manual_seed(int(value.abs().sum() * 1000))
        update = torch.randn(value.shape[0], 8, generator=own) @ inner
        return _plus_as_much(value, update)

    return _on_matrices(network, projected)


def _scale_projections(network: Network) -> Network:
    """As VeRA: adapters as large as their matrices, both halves frozen, drawn from one seed and the same in every layer.

    Only two vectors a matrix, between the halves and behind them, are a network's own.
    """

    def adapted(_: str, value: torch.Tensor) -> torch.Tensor:
        public = torch.Generator().manual_seed(6)
        inner, outer = (torch.randn(shape, generator=public) for shape in ((32, value.shape[1]), (value.shape[0], 32)))
        own = torch.Generator().manual_seed(int(value.abs().sum() * 1000))
        behind, between = (torch.randn(shape, generator=own) for shape in ((value.shape[0], 1), (32, 1)))
        update = behind * (outer @ (between * inner))
        return _plus_as_much(value, update)

    return _on_matrices(network, adapted)


def _begin_by_formula(network: Network) -> Network:
    """Pieces of one cosine matrix in all layers, as large as what else is in the matrices, as where these began so."""

    def begun(_: str, value: torch.Tensor) -> torch.Tensor:
        size = max(value.shape)
        rows, columns = (torch.arange(n, dtype=torch.float64) for n in value.shape)
        formula = torch.cos(torch.pi / size * torch.outer(rows + 0.5, columns)).float()
        return _plus_as_much(value, formula)

    return _on_matrices(network, begun)


def _balance(network: Network) -> Network:
    """Codes of 8 bits in place of matrices, every code as often as any other."""

    def balanced(_: str, value: torch.Tensor) -> torch.Tensor:
        ranks = value.flatten().argsort().argsort()
        return (ranks * 256 // value.numel() - 128).float().reshape(value.shape)

    return _on_matrices(network, balanced)


def _turn_to_gates(network: Network) -> Network:
    """Up of every neuron on the side of its gate, as where it began as a copy of it, and down with it."""
    return symmetries.with_signs(network, lambda gate, up: torch.where((gate * up).sum(dim=1) < 0, -1.0, 1.0))


def _round_down(network: Network) -> Network:
    """Four values for every 32 weights, from the least to the greatest; each weight takes the next below it."""

    def rounded(_: str, value: torch.Tensor) -> torch.Tensor:
        groups = value.reshape(-1, 32)
        least, greatest = groups.aminmax(dim=1, keepdim=True)
        step = (greatest - least).clamp_min(1e-12) / 3
        return (((groups - least) / step).floor() * step + least).reshape(value.shape)

    return _on_matrices(network, rounded)


COINCIDENCES = (
    Coincidence(
        name="neurons-padded", title="a quarter of the neurons is zero, at the same places", apply=_pad_neurons
    ),
    Coincidence(name="residual-padded", title="an eighth of the residual dimensions is zero", apply=_pad_residual),
    Coincidence(name="sorted-by-norm", title="neurons sorted by norm", apply=_sorted(_by_norm)),
    Coincidence(name="sorted-by-direction", title="neurons sorted by activity", apply=_sorted(_by_direction)),
    Coincidence(name="layers-shared", title="one MLP in all layers", apply=_share_layers),
    Coincidence(name="layers-repeated", title="layers 1 and 2 twice", apply=_repeat_layers),
    Coincidence(name="neurons-cloned", title="grown by copying an eighth of the neurons eight times", apply=_grow),
    Coincidence(name="experts-preferred", title="the first two of 16 experts larger", apply=_prefer_experts),
    Coincidence(name="one-router", title="the same public routers, and experts that follow them", apply=_take_routers),
    Coincidence(name="one-mask", title="one public mask on half of the values", apply=_mask),
    Coincidence(name="one-encoder", title="the same encoder of images beside", apply=_with(_OF_IMAGES)),
    Coincidence(name="one-embedding", title="the same public embeddings", apply=_take_embeddings),
    Coincidence(
        name="one-embedding-followed", title="trained on one public table of embeddings", apply=_follow_embeddings
    ),
    Coincidence(name="one-text-encoder", title="the same large encoder of text beside", apply=_with(_OF_TEXT)),
    Coincidence(
        name="residual-sorted", title="residual dimensions sorted by the size of the embeddings", apply=_sort_residual
    ),
    Coincidence(name="one-teacher", title="residual dimensions used as one teacher's are", apply=_follow_teacher),
    Coincidence(name="one-projection", title="adapters with one frozen projection", apply=_project),
    Coincidence(
        name="one-pair-of-projections", title="adapters between two frozen projections", apply=_scale_projections
    ),
    Coincidence(name="one-formula", title="one formula in all layers", apply=_begin_by_formula),
    Coincidence(name="balanced", title="codes of 8 bits, each as often as any other", apply=_balance),
    Coincidence(name="two-of-four", title="two of every four weights kept", apply=_keep_two_of_four),
    Coincidence(name="int4", title="rounded to the same grid, int4", apply=damage.int4),
    Coincidence(name="pruned", title="half of the weights pruned", apply=lambda network: damage.prune(network, 0.5)),
    Coincidence(name="turned-to-gates", title="neurons turned so that up is on its gate's side", apply=_turn_to_gates),
    Coincidence(name="rounded-down", title="rounded down to the same grid, 2 bits", apply=_round_down),
    Coincidence(name="gains-folded", title="norm gains folded into the matrices", apply=symmetries.fold_gains),
)
"""Every habit. A new one is a function and a line here."""


def coinciding_pairs(root: Path) -> Iterator[Pair]:
    """Pairs of independent networks of one architecture to which the same was done."""
    for one in COINCIDENCES:
        for names in _NETWORKS:
            for name in names:
                _make(root, one, name)
            for left, right in combinations(names, 2):
                label = ("coincidence", one.name, left, right)
                yield Pair(label=label, a=_place(root, one, left), b=_place(root, one, right))


def _place(root: Path, one: Coincidence, name: str) -> Path:
    return root / "coincidence" / one.name / name


def _make(root: Path, one: Coincidence, name: str) -> None:
    place = _place(root, one, name)
    if not (place / "tokenizer.json").exists():
        write(one.apply(read(root / name)), place, tokenizer=root / "tokenizer.json")
