"""LoRA adapters as PEFT writes them, and what PEFT makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from small_checkpoint import write_tensors

PREFIX = "base_model.model."
CONFIG = {
    "peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none", "fan_in_fan_out": False, "init_lora_weights": True,
    "use_rslora": False, "use_dora": False, "rank_pattern": {}, "alpha_pattern": {}, "layer_replication": None,
}  # fmt: skip


def write_adapter(folder: Path, tensors: dict[str, NDArray[Any]], **settings: Any) -> Path:
    """An adapter folder; names are without PEFT's prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "adapter_model.safetensors", {PREFIX + name: one for name, one in tensors.items()})
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | settings))
    return folder


def pair(module: str, n_outputs: int, n_inputs: int, *, rank: int = 4, seed: int = 0) -> dict[str, NDArray[Any]]:
    """A low-rank pair of normal values, float32."""
    rng = np.random.default_rng(seed)
    return {
        f"{module}.lora_A.weight": rng.normal(size=(rank, n_inputs)).astype(np.float32),
        f"{module}.lora_B.weight": (0.05 * rng.normal(size=(n_outputs, rank))).astype(np.float32),
    }
