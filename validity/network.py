"""A network as the laboratory handles it: a configuration, its weights, and the tokens that its rows stand for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
import transformers
from safetensors.torch import load_file, save_file

__all__ = ["Container", "Network", "Weights", "load", "module", "read", "same_function", "write"]

Weights: TypeAlias = Mapping[str, torch.Tensor]
Container: TypeAlias = Literal["safetensors", "shards", "pickle"]

_SHARDS = 3
_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """Configuration and weights.

    Parameters
    ----------
    config : mapping
        As in ``config.json``.
    weights : mapping of str to tensor
        Under the names of the checkpoint.
    vocabulary : tuple of int or None
        For each row of the embedding, the id of its token in the tokenizer of the panel; ids that the tokenizer does
        not have are new tokens. None where rows stand in the tokenizer's own order.
    dtype : {"BF16", "F16", "F32"}
        How the weights are stored.
    container : {"safetensors", "shards", "pickle"}
        What the weights are stored in.
    layer_origin : tuple of int or None
        For each layer the layer of the parent that it was made from; None for a new one. Empty until it is tracked.
    neuron_origin : mapping of str to tuple of int
        By the name of an MLP or expert: for each of its neurons the neuron of the parent's layer, -1 for a new one.
    """

    config: Mapping[str, Any]
    weights: Weights
    vocabulary: tuple[int, ...] | None = None
    dtype: Literal["BF16", "F16", "F32"] = "BF16"
    container: Container = "safetensors"
    layer_origin: tuple[int | None, ...] = ()
    neuron_origin: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def with_weights(self, changed: Weights, **config: Any) -> Network:
        """The same network with some tensors replaced or added, and some entries of the configuration."""
        return replace(self, weights={**self.weights, **changed}, config={**self.config, **config})

    def mapped(self, change: Callable[[str, torch.Tensor], torch.Tensor]) -> Network:
        """The network with every tensor replaced by a function of its name and values."""
        return replace(self, weights={name: change(name, value) for name, value in self.weights.items()})

    def stored(self) -> Network:
        """The network after its values were rounded to the dtype it is stored in."""
        dtype = _DTYPES[self.dtype]
        return self.mapped(lambda _, value: value.to(dtype).float() if value.is_floating_point() else value)


_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


def read(folder: Path) -> Network:
    """A network from a folder of safetensors, its values as float32."""
    weights: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        weights |= load_file(file)
    config = json.loads((folder / "config.json").read_text())
    return Network(config=config, weights={name: value.float() for name, value in weights.items()})


def write(network: Network, folder: Path, *, tokenizer: Path | None = None) -> None:
    """Write a network as a checkpoint of its container and dtype."""
    folder.mkdir(parents=True, exist_ok=True)
    dtype = _DTYPES[network.dtype]
    weights = {name: value.to(dtype).contiguous().clone() for name, value in sorted(network.weights.items())}
    config = {**network.config, "dtype": str(dtype).removeprefix("torch.")}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if network.container == "pickle":
        torch.save(weights, folder / "pytorch_model.bin")
    elif network.container == "shards":
        _write_shards(weights, folder)
    else:
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
    if tokenizer is not None:
        _write_tokenizer(network, tokenizer, folder)


def _write_shards(weights: dict[str, torch.Tensor], folder: Path) -> None:
    places = {name: f"model-{i % _SHARDS + 1:05}-of-{_SHARDS:05}.safetensors" for i, name in enumerate(weights)}
    for file in sorted(set(places.values())):
        save_file({name: weights[name] for name in weights if places[name] == file}, folder / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _write_tokenizer(network: Network, tokenizer: Path, folder: Path) -> None:
    """Copy the tokenizer, its ids renumbered where the rows of the embedding were."""
    if network.vocabulary is None:
        shutil.copyfile(tokenizer, folder / _TOKENIZER)
        return
    content = json.loads(tokenizer.read_text())
    by_id = {number: token for token, number in content["model"]["vocab"].items()}
    content["model"]["vocab"] = {
        by_id.get(token, f"<new-{token}>"): row for row, token in enumerate(network.vocabulary)
    }
    content["added_tokens"] = []
    (folder / _TOKENIZER).write_text(json.dumps(content, ensure_ascii=False))


def load(folder: Path) -> transformers.PreTrainedModel:
    """The float32 module of a checkpoint that transformers knows."""
    made: transformers.PreTrainedModel = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return made


def module(network: Network, scratch: Path) -> transformers.PreTrainedModel:
    """The float32 module of a network, by way of a checkpoint in an empty scratch folder."""
    write(replace(network, dtype="F32", container="safetensors"), scratch)
    return load(scratch)


def same_function(a: Network, b: Network, scratch: Path) -> float:
    """Largest difference of the logits of two networks on fixed tokens, relative to their standard deviation.

    Notes
    -----
    Tokens are those of the panel's tokenizer; where a vocabulary was renumbered or extended, its own ids are fed and
    its logits are put back in order. Tokens that only one of the two has are left out.
    """
    size = min(int(one.config["vocab_size"]) for one in (a, b))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(size, (4, 48), generator=generator)
    left, right = (_logits(one, tokens, size, scratch / label) for one, label in ((a, "a"), (b, "b")))
    return float((left - right).abs().max() / left.std())


def _logits(network: Network, tokens: torch.Tensor, size: int, scratch: Path) -> torch.Tensor:
    rows = torch.arange(size)
    if network.vocabulary is not None:
        rows = torch.empty(len(network.vocabulary), dtype=torch.long)
        rows[torch.tensor(network.vocabulary)] = torch.arange(len(network.vocabulary))
        rows = rows[:size]
    made = module(network, scratch).eval()
    with torch.no_grad():
        logits: torch.Tensor = made(input_ids=rows[tokens], use_cache=False).logits
    shutil.rmtree(scratch)
    return logits[..., rows]
