"""Alterations that keep the function: what an editor may do to weights without anybody's noticing in the output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from validity.anatomy import heads, layer_names, mlps, residual_side
from validity.network import Network

__all__ = [
    "change_signs",
    "fold_gains",
    "fuse",
    "permute_heads",
    "permute_neurons",
    "permute_residual",
    "permute_vocabulary",
    "rename",
    "rescale",
    "rotate_residual",
    "with_signs",
]


def permute_neurons(network: Network, rng: torch.Generator) -> Network:
    """Hidden neurons of every MLP in another order."""
    changed: dict[str, torch.Tensor] = {}
    origin = dict(network.neuron_origin)
    for mlp in mlps(network):
        gate, up, down = (f"{mlp}.{part}_proj.weight" for part in ("gate", "up", "down"))
        order = torch.randperm(network.weights[gate].shape[0], generator=rng)
        changed |= {gate: network.weights[gate][order], up: network.weights[up][order]}
        changed[down] = network.weights[down][:, order]
        if mlp in origin:
            origin[mlp] = tuple(origin[mlp][i] for i in order.tolist())
    return replace(network.with_weights(changed), neuron_origin=origin)


def change_signs(network: Network, rng: torch.Generator) -> Network:
    """Up and down of half of the neurons of every MLP with the other sign."""
    return with_signs(network, lambda _gate, up: torch.randint(2, up.shape[:1], generator=rng) * 2.0 - 1.0)


def with_signs(network: Network, signs_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Network:
    """Up and down of every neuron times a sign, which is told by the gate and the up matrix of its MLP."""
    changed: dict[str, torch.Tensor] = {}
    for mlp in mlps(network):
        gate, up, down = (f"{mlp}.{part}_proj.weight" for part in ("gate", "up", "down"))
        signs = signs_of(network.weights[gate], network.weights[up])
        changed |= {up: network.weights[up] * signs[:, None], down: network.weights[down] * signs}
    return network.with_weights(changed)


def permute_heads(network: Network, rng: torch.Generator) -> Network:
    """Groups of attention heads in another order, and the queries of every group."""
    shape = heads(network)

    def reorder(names: dict[str, str]) -> dict[str, torch.Tensor]:
        groups = torch.randperm(shape.groups, generator=rng)
        inside = torch.stack([torch.randperm(shape.queries, generator=rng) for _ in range(shape.groups)])
        queries = (groups[:, None] * shape.queries + inside).flatten()
        changed = {}
        for rest, name in names.items():
            value = network.weights[name]
            if rest.startswith("self_attn.q_proj"):
                changed[name] = value.unflatten(0, (-1, shape.size))[queries].flatten(0, 1)
            elif rest.startswith(("self_attn.k_proj", "self_attn.v_proj")):
                changed[name] = value.unflatten(0, (-1, shape.size))[groups].flatten(0, 1)
            elif rest == "self_attn.o_proj.weight":
                changed[name] = value.unflatten(1, (-1, shape.size))[:, queries].flatten(1)
        return changed

    return _in_every_layer(network, reorder)


def rescale(network: Network, rng: torch.Generator) -> Network:
    """Neurons, and heads, made larger on one side and smaller on the other, each by a factor of its own."""
    shape = heads(network)

    def factors(size: int) -> torch.Tensor:
        return torch.exp(0.5 * torch.randn(size, generator=rng))

    changed: dict[str, torch.Tensor] = {}
    for mlp in mlps(network):
        up, down = network.weights[f"{mlp}.up_proj.weight"], network.weights[f"{mlp}.down_proj.weight"]
        by = factors(up.shape[0])
        changed |= {f"{mlp}.up_proj.weight": up * by[:, None], f"{mlp}.down_proj.weight": down / by}

    def scale(names: dict[str, str]) -> dict[str, torch.Tensor]:
        keys = factors(shape.groups).repeat_interleave(shape.size)
        values = factors(shape.groups).repeat_interleave(shape.size)
        by_query = (one.unflatten(0, (shape.groups, 1, shape.size)) for one in (keys, values))
        queries, outputs = (one.expand(-1, shape.queries, -1).flatten() for one in by_query)
        by = {"q_proj": 1 / queries, "k_proj": keys, "v_proj": values}
        scaled = {}
        for rest, name in names.items():
            part = rest.removeprefix("self_attn.").partition(".")[0]
            if part in by:
                value = network.weights[name]
                scaled[name] = value * by[part].reshape(-1, *(1,) * (value.ndim - 1))
        output = names["self_attn.o_proj.weight"]
        return {**scaled, output: network.weights[output] / outputs}

    return _in_every_layer(network.with_weights(changed), scale)


def permute_residual(network: Network, rng: torch.Generator) -> Network:
    """Residual dimensions in another order, some with the other sign."""
    size = int(network.config["hidden_size"])
    order = torch.randperm(size, generator=rng)
    signs = torch.randint(2, (size,), generator=rng) * 2.0 - 1.0
    turn = torch.zeros(size, size)
    turn[order, torch.arange(size)] = signs
    return _turn(network, turn).mapped(lambda name, value: value[order] if residual_side(name) == "gain" else value)


def fold_gains(network: Network) -> Network:
    """Gains of norms multiplied into the matrices behind them; the output matrix no longer shares the embedding."""
    weights = dict(network.weights)
    weights.setdefault("lm_head.weight", weights["model.embed_tokens.weight"])
    for name, value in weights.items():
        if residual_side(name) == "reads":
            weights[name] = value * weights[_norm_before(name)]
    ones = {name: torch.ones_like(value) for name, value in weights.items() if residual_side(name) == "gain"}
    return network.with_weights({**weights, **ones}, tie_word_embeddings=False)


def rotate_residual(network: Network, rng: torch.Generator) -> Network:
    """The residual stream in another orthonormal basis, after the gains were folded."""
    size = int(network.config["hidden_size"])
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=rng, dtype=torch.float64))
    return _turn(fold_gains(network), basis.float())


def fuse(network: Network) -> Network:
    """Query, key and value in one matrix, gate and up in another."""
    weights = dict(network.weights)
    for layer in range(int(network.config["num_hidden_layers"])):
        start = f"model.layers.{layer}."
        for parts, whole in ((("q", "k", "v"), "self_attn.qkv_proj"), (("gate", "up"), "mlp.gate_up_proj")):
            room = whole.partition(".")[0]
            for kind in ("weight", "bias"):
                names = [f"{start}{room}.{part}_proj.{kind}" for part in parts]
                if names[0] in weights:
                    weights[f"{start}{whole}.{kind}"] = torch.cat([weights.pop(name) for name in names])
    return replace(network, weights=weights)


def rename(network: Network) -> Network:
    """Every tensor under a longer name, as in a model that also sees images."""
    return replace(network, weights={f"language_model.{name}": value for name, value in network.weights.items()})


def permute_vocabulary(network: Network, rng: torch.Generator) -> Network:
    """Tokens numbered anew."""
    size = int(network.config["vocab_size"])
    order = torch.randperm(size, generator=rng)
    tables = ("embed_tokens.weight", "lm_head.weight")
    held = network.vocabulary or tuple(range(size))
    moved = network.mapped(lambda name, value: value[order] if name.endswith(tables) else value)
    return replace(moved, vocabulary=tuple(held[i] for i in order.tolist()))


def _in_every_layer(network: Network, change: Callable[[dict[str, str]], dict[str, torch.Tensor]]) -> Network:
    changed: dict[str, torch.Tensor] = {}
    for layer in range(int(network.config["num_hidden_layers"])):
        changed |= change(layer_names(network, layer))
    return network.with_weights(changed)


def _turn(network: Network, basis: torch.Tensor) -> Network:
    """The residual stream x as x @ basis; gains are left to the caller."""

    def turned(name: str, value: torch.Tensor) -> torch.Tensor:
        side = residual_side(name)
        if side == "writes":
            return basis.T @ value
        return value @ basis if side in {"embedding", "reads"} else value

    return network.mapped(turned)


def _norm_before(name: str) -> str:
    if name == "lm_head.weight":
        return "model.norm.weight"
    start = ".".join(name.split(".")[:3])
    return f"{start}.input_layernorm.weight" if "self_attn" in name else f"{start}.post_attention_layernorm.weight"
