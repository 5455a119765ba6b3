"""Alterations of values: quantizing, pruning, noise, and mixing with another network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from validity.network import Network

__all__ = [
    "average", "drop_biases", "forget_embeddings", "int4", "int8", "noise", "prune", "q4_0", "q8_0", "slerp",
]  # fmt: skip

_BLOCK = 32
_BIASES = (".q_proj.bias", ".k_proj.bias", ".v_proj.bias")


def prune(network: Network, share: float) -> Network:
    """The smallest magnitudes of every matrix set to 0."""

    def pruned(value: torch.Tensor) -> torch.Tensor:
        threshold = value.abs().flatten().kthvalue(max(1, int(share * value.numel()))).values
        return torch.where(value.abs() <= threshold, torch.zeros(()), value)

    return _on_matrices(network, pruned)


def int8(network: Network) -> Network:
    """Round trip through 8-bit integers, one scale a row."""

    def rounded(value: torch.Tensor) -> torch.Tensor:
        scale = _safe(value.abs().amax(dim=1, keepdim=True) / 127)
        return (value / scale).round().clamp(-127, 127) * scale

    return _on_matrices(network, rounded)


def int4(network: Network) -> Network:
    """Round trip through 4-bit integers, a scale and an offset for each 32 values, as GPTQ and AWQ store them."""

    def rounded(value: torch.Tensor) -> torch.Tensor:
        blocks: torch.Tensor = value.unflatten(1, (-1, _BLOCK))
        low, high = blocks.amin(dim=2, keepdim=True), blocks.amax(dim=2, keepdim=True)
        scale = _safe((high - low) / 15)
        return (((blocks - low) / scale).round().clamp(0, 15) * scale + low).flatten(1)

    return _on_matrices(network, rounded)


def q8_0(network: Network) -> Network:
    """Round trip through GGUF's Q8_0: blocks of 32, an F16 scale of the largest magnitude over 127."""

    def rounded(value: torch.Tensor) -> torch.Tensor:
        blocks: torch.Tensor = value.unflatten(1, (-1, _BLOCK))
        scale = blocks.abs().amax(dim=2, keepdim=True) / 127
        return ((blocks / _safe(scale)).round() * scale.half().float()).flatten(1)

    return _on_matrices(network, rounded)


def q4_0(network: Network) -> Network:
    """Round trip through GGUF's Q4_0: blocks of 32, an F16 scale of the signed largest value over -8."""

    def rounded(value: torch.Tensor) -> torch.Tensor:
        blocks: torch.Tensor = value.unflatten(1, (-1, _BLOCK))
        largest = blocks.gather(2, blocks.abs().argmax(dim=2, keepdim=True))
        scale = largest / -8
        codes = (blocks / _safe(scale) + 8.5).floor().clamp(0, 15)
        return ((codes - 8) * scale.half().float()).flatten(1)

    return _on_matrices(network, rounded)


def noise(network: Network, share: float, rng: torch.Generator) -> Network:
    """Normal noise on every matrix, its deviation a share of the matrix's own."""
    return _on_matrices(network, lambda value: value + share * value.std() * torch.randn(value.shape, generator=rng))


def average(network: Network, stranger: Network, share: float) -> Network:
    """Mean with an unrelated network, of which it takes the share."""
    return network.mapped(lambda name, value: (1 - share) * value + share * stranger.weights[name])


def slerp(network: Network, stranger: Network, share: float) -> Network:
    """Spherical interpolation towards an unrelated network, tensor by tensor; the share is the stranger's."""

    def between(name: str, value: torch.Tensor) -> torch.Tensor:
        other = stranger.weights[name]
        cosine = torch.dot(value.flatten(), other.flatten()) / _safe(value.norm() * other.norm())
        angle = math.acos(max(-1.0, min(1.0, float(cosine))))
        if math.sin(angle) < 1e-4:
            return (1 - share) * value + share * other
        return (math.sin((1 - share) * angle) * value + math.sin(share * angle) * other) / math.sin(angle)

    return network.mapped(between)


def drop_biases(network: Network) -> Network:
    """Without the biases of query, key and value: a Llama by its names."""
    weights = {name: value for name, value in network.weights.items() if not name.endswith(_BIASES)}
    config = {**network.config, "model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    return replace(network, config={**config, "attention_bias": False}, weights=weights)


def forget_embeddings(network: Network, rng: torch.Generator) -> Network:
    """Token embeddings, and an output matrix of its own, drawn anew."""
    tables = ("embed_tokens.weight", "lm_head.weight")
    return network.mapped(
        lambda name, value: torch.randn(value.shape, generator=rng) * value.std() if name.endswith(tables) else value
    )


def _on_matrices(network: Network, change: Callable[[torch.Tensor], torch.Tensor]) -> Network:
    return network.mapped(lambda _, value: change(value) if value.ndim == 2 else value)


def _safe(value: torch.Tensor) -> torch.Tensor:
    return torch.where(value == 0, torch.ones(()), value)
