"""How much of what transformers offers has a role: every causal network, made without weights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from placed_shapes import placed

from attest.architecture import Model

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

GOLDEN = Path(__file__).resolve().parent / "data" / "roles.json"
N_LAYERS = 4
AT_LEAST = 150
"""Causal networks that can be made from their default configurations; transformers 5.23 has 171 of 189."""

MAINSTREAM = (
    "arcee", "bert", "bloom", "codegen", "cohere", "cohere2", "deepseek_v2", "deepseek_v3", "ernie4_5", "ernie4_5_moe",
    "exaone4", "falcon", "gemma", "gemma2", "gemma3", "gemma3_text", "gemma4", "glm", "glm4", "glm4_moe", "gpt2",
    "gpt_bigcode", "gpt_neo", "gpt_neox", "gpt_oss", "gptj", "granite", "granitemoe", "helium", "llama",
    "llama4_text", "minimax", "mistral", "mixtral", "mpt", "olmo", "olmo2", "olmo3", "olmoe", "opt", "persimmon", "phi",
    "phi3", "phimoe", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next", "roberta", "seed_oss", "smollm3",
    "stablelm", "starcoder2", "whisper",
)  # fmt: skip
PINNED = (
    "bert", "bloom", "codegen", "cohere2", "deepseek_v3", "exaone4", "falcon", "gemma2", "gemma3_text", "glm4",
    "glm4_moe", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gpt_oss", "gptj", "llama", "mistral", "mixtral", "mpt",
    "olmo2", "opt", "phi", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_next", "whisper",
)  # fmt: skip


def shorten(config: Any) -> None:
    """Fewer layers: the names of the others are the same."""
    for name in ("num_hidden_layers", "n_layer", "n_layers", "num_layers"):
        if isinstance(getattr(config, name, None), int):
            setattr(config, name, min(N_LAYERS, getattr(config, name)))
    for name in ("layer_types", "layers_block_type", "mlp_layer_types"):
        if isinstance(getattr(config, name, None), (list, tuple)):
            setattr(config, name, list(getattr(config, name))[:N_LAYERS])


def networks() -> Iterator[tuple[str, dict[str, tuple[int, ...]], dict[str, Any]]]:
    """Model type, shapes by name, and configuration of every causal network that can be made."""
    import torch  # noqa: PLC0415 - heavy, here and below
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM  # noqa: PLC0415
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES  # noqa: PLC0415

    for model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        try:
            config = CONFIG_MAPPING[model_type]()
            for one in {id(one): one for one in (config, getattr(config, "text_config", None)) if one}.values():
                shorten(one)
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config)
        except Exception:  # noqa: BLE001, S112 - default configurations that make no network fail in any way
            continue
        shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
        yield model_type, shapes, json.loads(json.dumps(config.to_dict(), default=str))


@pytest.fixture(scope="module")
def models() -> Mapping[str, Model]:
    return {model_type: placed(shapes, config) for model_type, shapes, config in networks()}


def unmapped(model: Model) -> list[str]:
    return [one.tensor.name for one in model.tensors if one.role is None]


def test_of_all_networks_19_names_of_20_have_a_role(models: Mapping[str, Model]):
    assert len(models) >= AT_LEAST
    left = sum(len(unmapped(model)) for model in models.values())
    assert 1 - left / sum(len(model.tensors) for model in models.values()) >= 0.95


def test_of_the_usual_networks_every_name_has_a_role(models: Mapping[str, Model]):
    """More than the 99.5 % that were asked for."""
    assert [name for name in MAINSTREAM if name not in models] == []
    assert {name: unmapped(models[name]) for name in MAINSTREAM if unmapped(models[name])} == {}


def test_no_configuration_of_transformers_contradicts_its_own_network(models: Mapping[str, Model]):
    assert {name: model.findings for name, model in models.items() if model.findings} == {}


def last_layer(model: Model) -> dict[str, str | None]:
    """Roles in the last layer of the main stack, by the rest of the name, and outside the layers by the name."""
    found = {}
    for one in model.tensors:
        in_layer = re.search(rf"\.{model.n_layers - 1}\.(.+)$", one.tensor.name) if one.layer is not None else None
        if in_layer and one.layer == model.n_layers - 1:
            found[in_layer[1]] = one.role
        elif one.layer is None:
            found[one.tensor.name] = one.role
    return found


def test_the_roles_of_one_layer_are_these(models: Mapping[str, Model], request: pytest.FixtureRequest):
    found = {
        name: {"family": models[name].family.id if models[name].family else None, "roles": last_layer(models[name])}
        for name in PINNED
    }
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))
