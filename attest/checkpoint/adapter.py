"""Adapters: which weights of a base a LoRA adapter changes, and how; what else PEFT knows is refused with a reason.

Weight W becomes W + scale * B @ A with the low-rank pair (A, B), or with DoRA each row of that by its own magnitude;
biases and whole modules may be replaced.

References
----------
Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021, section 4.1. Kalajdzievski, "A Rank Stabilization
Scaling Factor for Fine-Tuning with LoRA", 2023 (``use_rslora``). Liu et al., "DoRA", 2024, section 4. PEFT 0.21,
"Checkpoint format" and ``LoraConfig``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeAlias

from attest.checkpoint.checkpoint import Checkpoint
from attest.checkpoint.shards import Beside
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.values import FLOATS
from attest.errors import CheckpointError

__all__ = ["ADAPTER_CONFIG", "Change", "LowRank", "Replaced", "read_changes"]

ADAPTER_CONFIG = "adapter_config.json"
_CONFIG_BYTES = 1024 * 1024
_PREFIX = "base_model.model."
_PARTS = {
    ".lora_A.weight": "A",
    ".lora_B.weight": "B",
    ".lora_embedding_A": "embedding A",
    ".lora_embedding_B": "embedding B",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
}
_WHOLE = (".base_layer", ".modules_to_save")
"""Words that stand in names of tensors that replace one of the base."""

_CHANGING = (
    "alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "lora_bias", "monteclora_config",
    "target_parameters", "trainable_token_indices", "use_bdlora", "use_qalora", "velora_config",
)  # fmt: skip
"""Settings after which a weight is not W + scale * B @ A; refused where they are set."""

_KEEPING_INITS = frozenset({True, False, None, "gaussian", "orthogonal", "eva"})
"""Ways to begin that leave the base as it is; others, such as PiSSA, take a part out of it first."""

_LARGEST = 1e9
"""Of a rank or a scale."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LowRank:
    """W + scale * B @ A, or its transpose.

    Parameters
    ----------
    a, b : Tensor
        Shapes (rank, n_inputs) and (n_outputs, rank).
    scale : float
    turned : bool
        Whether W is stored as inputs by outputs, as embeddings and GPT-2's matrices are.
    magnitude : Tensor or None
        DoRA: the norm that each output of the sum is brought to.
    own : Tensor or None
        The adapter's own W, in place of the base's.
    """

    a: Tensor
    b: Tensor
    scale: float
    turned: bool
    magnitude: Tensor | None
    own: Tensor | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Replaced:
    """The adapter's own values in place of the base's."""

    own: Tensor


Change: TypeAlias = LowRank | Replaced


def read_changes(adapter: Checkpoint, base: Checkpoint) -> dict[str, Change]:
    """What an adapter does to the tensors of a base, by their names.

    Raises
    ------
    CheckpointError
        It is no LoRA adapter, or one of a kind whose arithmetic is not known here; a tensor has no place in the base,
        or does not fit there.
    DocumentError
        Its configuration is not JSON.
    """
    config = _read_config(adapter)
    pairs: dict[str, dict[str, Tensor]] = defaultdict(dict)
    targets = {tensor.name: tensor for tensor in base.tensors}
    changes: dict[str, Change] = {}
    for tensor in adapter.tensors:
        module, part = _split(tensor.name)
        if part:
            pairs[module][part] = tensor
        else:
            _add(changes, Replaced(own=tensor), _find(targets, module, tensor), tensor)
    made: dict[str, Change] = {}
    for module, parts in pairs.items():
        first = next(iter(parts.values()))
        target, change = _find(targets, f"{module}.weight", first), _low_rank(module, parts, config, adapter)
        _add(made, replace(change, own=changes[target.name].own if target.name in changes else None), target, first)
    if not pairs:
        _refuse("holds no low-rank matrices", adapter.name)
    return {**changes, **made}


def _read_config(adapter: Checkpoint) -> Mapping[str, Any]:
    """Settings of an adapter whose arithmetic is known."""
    if ADAPTER_CONFIG not in adapter.tree.sizes:
        _refuse(f"has no {ADAPTER_CONFIG}", adapter.name)
    config = Beside(adapter.tree).read(ADAPTER_CONFIG, _CONFIG_BYTES)
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        _refuse("is of another kind than LORA", ADAPTER_CONFIG)
    for name in _CHANGING:
        if config.get(name):
            _refuse(f"sets {name}, which is not known here", ADAPTER_CONFIG)
    begun = config.get("init_lora_weights")
    if not isinstance(begun, (str, bool, type(None))) or begun not in _KEEPING_INITS:
        _refuse(f"begins with {str(begun)[:40]!r}, which changes the base", ADAPTER_CONFIG)
    return config


def _split(name: str) -> tuple[str, str]:
    """Module and part of a low-rank pair; the name of a whole tensor and nothing."""
    bare = name.removeprefix(_PREFIX)
    for suffix, part in _PARTS.items():
        if bare.endswith(suffix):
            return bare.removesuffix(suffix), part
    for word in _WHOLE:
        bare = bare.replace(f"{word}.", ".")
    return bare, ""


def _find(targets: Mapping[str, Tensor], name: str, tensor: Tensor) -> Tensor:
    """The base's tensor of a name; or without the first word, which files of some networks leave out."""
    found = targets.get(name) or targets.get(name.partition(".")[2])
    if found is None:
        _refuse(f"{tensor.name[:200]!r} changes {name[:200]!r}, which the base does not hold", tensor.file)
    return found


def _add(changes: dict[str, Change], change: Change, target: Tensor, tensor: Tensor) -> None:
    """Note a change of a tensor that it fits."""
    if target.name in changes:
        _refuse(f"changes {target.name[:200]!r} twice", tensor.file)
    parts = (change.own,) if isinstance(change, Replaced) else (change.a, change.b, change.magnitude, change.own)
    for one in (target, *parts):
        if one and one.dtype not in FLOATS:
            _refuse(f"{one.name[:200]!r} is {one.dtype}, not BF16, F16 or F32", one.file)
    if _shape(change) != target.shape:
        _refuse(
            f"makes {target.name[:200]!r} of shape {_shape(change)}, the base has it as {target.shape}", tensor.file
        )
    changes[target.name] = change


def _shape(change: Change) -> tuple[int, ...] | None:
    """Shape of the weight that a change is for; None where its parts do not fit each other."""
    if isinstance(change, Replaced):
        return change.own.shape
    a, b = change.a.shape, change.b.shape
    if len(a) != 2 or len(b) != 2 or a[0] != b[1] or (change.magnitude and change.magnitude.shape != b[:1]):
        return None
    return (a[1], b[0]) if change.turned else (b[0], a[1])


def _low_rank(module: str, parts: Mapping[str, Tensor], config: Mapping[str, Any], adapter: Checkpoint) -> LowRank:
    kind = "embedding " if "embedding A" in parts else ""
    turned = bool(kind) or config.get("fan_in_fan_out") is True
    a, b, magnitude = parts.get(f"{kind}A"), parts.get(f"{kind}B"), parts.get("magnitude")
    if a is None or b is None or len(parts) != 2 + (magnitude is not None) or not a.shape or not a.shape[0]:
        _refuse(f"{module[:200]!r} is no pair of low-rank matrices", adapter.name)
    if (magnitude is not None) != (config.get("use_dora") is True) or (magnitude is not None and turned):
        _refuse(f"{module[:200]!r}: magnitudes (DoRA) and use_dora disagree, or it is no plain matrix", adapter.name)
    rank = a.shape[0]
    if _setting("r", "rank_pattern", module, config) != rank:
        _refuse(f"{module[:200]!r} has rank {rank}, and its configuration says another", ADAPTER_CONFIG)
    divisor = math.sqrt(rank) if config.get("use_rslora") is True else rank
    scale = _setting("lora_alpha", "alpha_pattern", module, config) / divisor
    return LowRank(a=a, b=b, scale=scale, turned=turned, magnitude=magnitude)


def _setting(name: str, pattern: str, module: str, config: Mapping[str, Any]) -> float:
    """A number for all modules, or for those whose name ends with one that the pattern has."""
    numbers = config.get(pattern) or {}
    if not isinstance(numbers, dict):
        _refuse(f"{pattern} is no object", ADAPTER_CONFIG)
    for key in numbers:
        if not key.replace(".", "").replace("_", "").isalnum():
            _refuse(f"{pattern} has {key[:60]!r}, a regular expression, which is not followed", ADAPTER_CONFIG)
    value = next((value for key, value in numbers.items() if f".{module}".endswith(f".{key}")), config.get(name))
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _LARGEST:
        _refuse(f"{name} is no number", ADAPTER_CONFIG)
    return float(value)


def _refuse(problem: str, where: str) -> NoReturn:
    raise CheckpointError(
        "adapter-not-merged",
        problem,
        fix="merge it with PEFT and measure the result, or leave --base out",
        where=where,
    )
