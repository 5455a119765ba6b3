"""Where things lie in a network that bears the names of Llama and Qwen2."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from validity.network import Network

__all__ = ["Heads", "Side", "heads", "layer_names", "mlps", "residual_side", "tracked"]

Side: TypeAlias = Literal["embedding", "reads", "writes", "gain", "apart"]

_LAYER = re.compile(r"model\.layers\.(\d+)\.(.*)")
_READS = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "gate_proj.weight", "up_proj.weight", "lm_head.weight")
_READS_TOO = ("mlp.gate.weight", "shared_expert_gate.weight")


@dataclass(frozen=True, kw_only=True, slots=True)
class Heads:
    """Sizes of attention: ``groups`` key-value heads, each with ``queries`` query heads of ``size`` dimensions."""

    groups: int
    queries: int
    size: int


def heads(network: Network) -> Heads:
    """Sizes of attention by the configuration."""
    n_heads, groups = int(network.config["num_attention_heads"]), int(network.config["num_key_value_heads"])
    return Heads(groups=groups, queries=n_heads // groups, size=int(network.config["hidden_size"]) // n_heads)


def layer_names(network: Network, layer: int) -> dict[str, str]:
    """Names of a layer's tensors by what follows the layer's number."""
    found = ((name, _LAYER.fullmatch(name)) for name in network.weights)
    return {match[2]: name for name, match in found if match and int(match[1]) == layer}


def mlps(network: Network) -> list[str]:
    """Names of all gated MLPs and experts, in order."""
    return sorted(name.removesuffix(".gate_proj.weight") for name in network.weights if "gate_proj.weight" in name)


def residual_side(name: str) -> Side:
    """What a tensor has to do with the residual stream."""
    if name.endswith("embed_tokens.weight"):
        return "embedding"
    if name.endswith((*_READS, *_READS_TOO)):
        return "reads"
    if name.endswith(("o_proj.weight", "down_proj.weight")):
        return "writes"
    return "gain" if name.endswith("norm.weight") else "apart"


def tracked(network: Network) -> Network:
    """The network with every layer and neuron as its own origin."""
    neurons = {one: tuple(range(network.weights[f"{one}.gate_proj.weight"].shape[0])) for one in mlps(network)}
    layers = tuple(range(int(network.config["num_hidden_layers"])))
    return replace(network, layer_origin=layers, neuron_origin=neurons)
