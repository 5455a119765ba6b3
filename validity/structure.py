"""Alterations of shape: layers, width, experts and vocabulary, each with a record of what came from where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import torch

from validity.anatomy import layer_names
from validity.network import Network

__all__ = ["arrange_layers", "extend_vocabulary", "split_neurons", "upcycle", "upcycle_slices", "widen"]

_PARTS = ("gate", "up", "down")
_EXPERTS = 4

Mlp: TypeAlias = Mapping[str, torch.Tensor]
Experts: TypeAlias = Callable[[Mlp], list[tuple[Mlp, torch.Tensor]]]
"""From an MLP to its experts, the shared one last, each with the neurons of the MLP that it has, -1 for new ones."""


def arrange_layers(network: Network, plan: Sequence[int | None], rng: torch.Generator) -> Network:
    """Layers in another order, some more than once or not at all; None is a new one that passes its input on.

    Notes
    -----
    A new layer has random matrices but for those that write to the residual stream, which are 0, so it keeps the
    function until it is trained.
    """
    outside = {name: value for name, value in network.weights.items() if ".layers." not in name}
    weights, neurons = dict(outside), {}
    for place, source in enumerate(plan):
        for rest, name in layer_names(network, 0 if source is None else source).items():
            value = network.weights[name]
            weights[f"model.layers.{place}.{rest}"] = _fresh(rest, value, rng) if source is None else value
        width = len(network.neuron_origin["model.layers.0.mlp"])
        held = network.neuron_origin[f"model.layers.{source or 0}.mlp"]
        neurons[f"model.layers.{place}.mlp"] = (-1,) * width if source is None else held
    config = {**network.config, "num_hidden_layers": len(plan), "max_window_layers": len(plan)}
    if "layer_types" in config:
        config["layer_types"] = [config["layer_types"][0]] * len(plan)
    origin = tuple(None if source is None else network.layer_origin[source] for source in plan)
    return replace(network, weights=weights, config=config, layer_origin=origin, neuron_origin=neurons)


def _fresh(rest: str, value: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    if rest.endswith(("o_proj.weight", "down_proj.weight", "bias")):
        return torch.zeros_like(value)
    return torch.ones_like(value) if value.ndim == 1 else torch.randn(value.shape, generator=rng) * value.std()


def _mlp(network: Network, layer: int) -> dict[str, torch.Tensor]:
    return {part: network.weights[f"model.layers.{layer}.mlp.{part}_proj.weight"] for part in _PARTS}


def _named(prefix: str, mlp: Mlp) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{part}_proj.weight": mlp[part] for part in _PARTS}


def _chosen(mlp: Mlp, neurons: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"gate": mlp["gate"][neurons], "up": mlp["up"][neurons], "down": mlp["down"][:, neurons]}


def _layers(network: Network) -> range:
    return range(int(network.config["num_hidden_layers"]))


def widen(network: Network, added: int, rng: torch.Generator) -> Network:
    """Every MLP with new random neurons among the old ones; they write nothing until they are trained."""
    changed: dict[str, torch.Tensor] = {}
    origin = {}
    for layer in _layers(network):
        mlp, name = _mlp(network, layer), f"model.layers.{layer}.mlp"
        new = {part: torch.randn(added, mlp[part].shape[1], generator=rng) * mlp[part].std() for part in _PARTS[:2]}
        whole = {part: torch.cat([mlp[part], new[part]]) for part in new}
        whole["down"] = torch.cat([mlp["down"], torch.zeros(mlp["down"].shape[0], added)], dim=1)
        order = torch.randperm(whole["gate"].shape[0], generator=rng)
        changed |= _named(name, _chosen(whole, order))
        held = (*network.neuron_origin[name], *(-1,) * added)
        origin[name] = tuple(held[i] for i in order.tolist())
    size = int(network.config["intermediate_size"]) + added
    return replace(network.with_weights(changed, intermediate_size=size), neuron_origin=origin)


def split_neurons(network: Network, rng: torch.Generator) -> Network:
    """Every neuron twice, each copy with a part of what the neuron wrote."""
    changed: dict[str, torch.Tensor] = {}
    origin = {}
    for layer in _layers(network):
        name = f"model.layers.{layer}.mlp"
        mlp = _mlp(network, layer)
        part = 0.25 + 0.5 * torch.rand(mlp["gate"].shape[0], generator=rng)
        twice = {one: torch.cat([mlp[one], mlp[one]]) for one in _PARTS[:2]}
        twice["down"] = torch.cat([mlp["down"] * part, mlp["down"] * (1 - part)], dim=1)
        changed |= _named(name, twice)
        origin[name] = network.neuron_origin[name] * 2
    size = 2 * int(network.config["intermediate_size"])
    return replace(network.with_weights(changed, intermediate_size=size), neuron_origin=origin)


def upcycle(
    network: Network, rng: torch.Generator, *, noise: float = 0.0, forgotten: float = 0.0, permuted: bool = False
) -> Network:
    """Every MLP as a shared expert and four routed ones, all copies of it.

    Parameters
    ----------
    noise : float
        Deviation of what is added to the experts, as a share of each matrix's own.
    forgotten : float
        Share of the experts' neurons that are drawn anew.
    permuted : bool
        Whether every expert lists its neurons in an order of its own.
    """

    def expert(mlp: Mlp, factor: float) -> tuple[Mlp, torch.Tensor]:
        size = mlp["gate"].shape[0]
        order = torch.randperm(size, generator=rng) if permuted else torch.arange(size)
        is_new = torch.zeros(size, dtype=torch.bool)
        is_new[torch.randperm(size, generator=rng)[: int(forgotten * size)]] = True
        made = {}
        for part, value in _chosen(mlp, order).items():
            fresh = torch.randn(value.shape, generator=rng) * value.std()
            made[part] = torch.where(is_new if part == "down" else is_new[:, None], fresh, value + noise * fresh)
        return _writing(made, factor), torch.where(is_new, -1, order)

    def experts(mlp: Mlp) -> list[tuple[Mlp, torch.Tensor]]:
        return [*(expert(mlp, 0.5) for _ in range(_EXPERTS)), expert(mlp, 1.0)]

    return _as_experts(network, experts, rng, chosen=2)


def upcycle_slices(network: Network, rng: torch.Generator) -> Network:
    """Every MLP cut up: each neuron goes to one of four routed experts or to the shared one; all are chosen."""

    def experts(mlp: Mlp) -> list[tuple[Mlp, torch.Tensor]]:
        size = mlp["gate"].shape[0]
        order = torch.randperm(size, generator=rng)
        routed = size // (_EXPERTS + 1) // 16 * 16
        bounds = [routed] * _EXPERTS + [size - routed * _EXPERTS]
        factors = [float(_EXPERTS)] * _EXPERTS + [2.0]
        return [
            (_writing(_chosen(mlp, part), factor), part)
            for part, factor in zip(order.split(bounds), factors, strict=True)
        ]

    return _as_experts(network, experts, rng, chosen=_EXPERTS)


def _writing(mlp: Mlp, factor: float) -> Mlp:
    """The MLP writing so many times as much; routers then weigh it."""
    return {**mlp, "down": mlp["down"] * factor}


def _as_experts(network: Network, experts: Experts, rng: torch.Generator, *, chosen: int) -> Network:
    """A Qwen2-MoE whose last expert is the shared one; the routers start at 0 or close to it."""
    size = int(network.config["hidden_size"])
    dense = {name for layer in _layers(network) for name in _named(f"model.layers.{layer}.mlp", _mlp(network, layer))}
    weights = {name: value for name, value in network.weights.items() if name not in dense}
    origin: dict[str, tuple[int, ...]] = {}
    widths: list[int] = []
    for layer in _layers(network):
        start = f"model.layers.{layer}.mlp"
        made = experts(_mlp(network, layer))
        names = [*(f"{start}.experts.{i}" for i in range(_EXPERTS)), f"{start}.shared_expert"]
        for name, (mlp, held) in zip(names, made, strict=True):
            weights |= _named(name, mlp)
            origin[name] = tuple(network.neuron_origin[start][i] if i >= 0 else -1 for i in held.tolist())
            widths.append(len(held))
        spread = 0.02 if chosen < _EXPERTS else 0.0
        weights[f"{start}.gate.weight"] = torch.randn(_EXPERTS, size, generator=rng) * spread
        weights[f"{start}.shared_expert_gate.weight"] = torch.zeros(1, size)
    config = {
        **network.config,
        "model_type": "qwen2_moe",
        "architectures": ["Qwen2MoeForCausalLM"],
        "num_experts": _EXPERTS,
        "num_experts_per_tok": chosen,
        "norm_topk_prob": True,
        "moe_intermediate_size": widths[0],
        "shared_expert_intermediate_size": widths[_EXPERTS],
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "qkv_bias": True,
    }
    return replace(network, weights=weights, config=config, neuron_origin=origin)


def extend_vocabulary(network: Network, added: int, rng: torch.Generator) -> Network:
    """New tokens behind the old ones."""
    tables = ("embed_tokens.weight", "lm_head.weight")
    size = int(network.config["vocab_size"])
    held = network.vocabulary or tuple(range(size))
    extended = network.mapped(
        lambda name, value: (
            torch.cat([value, torch.randn(added, value.shape[1], generator=rng) * value.std()])
            if name.endswith(tables)
            else value
        )
    )
    new = tuple(range(max(held) + 1, max(held) + 1 + added))
    return replace(extended.with_weights({}, vocab_size=size + added), vocabulary=(*held, *new))
