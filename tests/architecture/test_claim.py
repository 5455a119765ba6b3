"""Configurations that contradict the names and shapes beside them."""

from __future__ import annotations

from typing import Any

import pytest
from placed_shapes import placed

D, FF = 12, 20
Shapes = dict[str, tuple[int, ...]]


def layer(*more: str, without: tuple[str, ...] = ()) -> Shapes:
    names = ["self_attn.q_proj.weight", "self_attn.o_proj.weight", "input_layernorm.weight", *more]
    shapes: Shapes = {}
    for name in names:
        if name not in without:
            vector = name.endswith((".bias", "norm.weight"))
            shapes[f"model.layers.0.{name}"] = (D,) if vector else (D, D)
    return shapes


BIAS, NORM, ROUTER = "self_attn.q_proj.bias", "self_attn.q_norm.weight", "mlp.gate.weight"
GPT2: Shapes = {"h.0.attn.c_attn.weight": (D, 3 * D), "h.0.attn.c_proj.weight": (D, D), "h.0.ln_1.weight": (D,)}

SAID: dict[str, tuple[Shapes, dict[str, Any], str]] = {
    "Llama": (layer(), {"model_type": "llama"}, ""),
    "Llama with biases": (layer(BIAS), {"model_type": "llama"}, ""),
    "Qwen2": (layer(BIAS), {"model_type": "qwen2"}, ""),
    "Qwen3": (layer(NORM), {"model_type": "qwen3"}, ""),
    "Qwen-MoE": (layer(BIAS, ROUTER), {"model_type": "qwen2_moe"}, ""),
    "a model type that no table lists": (layer(NORM), {"model_type": "mine"}, ""),
    "no model type": (layer(NORM), {}, ""),
    "a model type that is no text": (layer(NORM), {"model_type": ["llama"]}, ""),
    "names that nobody knows": ({"val_49_q": (D, D)}, {"model_type": "llama"}, ""),
    "the language model of a larger one": (
        layer(), {"model_type": "mine", "text_config": {"model_type": "llama"}}, ""
    ),
    "Qwen3 that is said to be Llama": (
        layer(NORM), {"model_type": "llama"},
        "model_type 'llama': other than its networks, this one has tensors of the role q_norm",
    ),
    "Qwen2 without biases": (
        layer(), {"model_type": "qwen2"},
        "model_type 'qwen2': other than its networks, this one has no tensor of the role q.bias",
    ),
    "experts that are said to be dense": (
        layer(BIAS, ROUTER), {"text_config": {"model_type": "qwen2"}},
        "model_type 'qwen2': other than its networks, this one has tensors of the role router",
    ),
    "GPT-2 that is said to be Llama": (
        GPT2, {"model_type": "llama"},
        "model_type 'llama' is named as in the family llama-like; these tensors are named as in gpt2",
    ),
    "GPT-2 stored as StarCoder is": (
        {"h.0.attn.c_attn.weight": (3 * D, D), "h.0.attn.c_proj.weight": (D, D), "h.0.mlp.c_fc.weight": (4 * D, D)},
        {"model_type": "gpt2"},
        "model_type 'gpt2' is named as in the family gpt2; these tensors are named as in gpt-bigcode",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("shapes", "config", "expected"), SAID.values(), ids=SAID)
def test_what_is_said_of_a_model_type(shapes: Shapes, config: dict[str, Any], expected: str):
    findings = placed(shapes, config).findings
    assert [one.text for one in findings] == ([expected] if expected else [])
    assert {(one.code, one.path) for one in findings} <= {("model-type-differs", "config.json")}


HEADS: dict[str, tuple[dict[str, Any], int, tuple[int | None, int | None, int | None]]] = {
    "every head its own keys": ({"n_head": 4}, 36, (4, 4, 3)),
    "one key head": ({"n_head": 4}, 18, (4, 1, 3)),
    "two key heads, as claimed": ({"num_attention_heads": 4, "num_key_value_heads": 2}, 24, (4, 2, 3)),
    "other than claimed": ({"num_attention_heads": 4, "num_key_value_heads": 1}, 24, (None, None, None)),
    "groups that do not fit": ({"n_head": 4}, 30, (None, None, None)),
    "a head count that does not fit": ({"n_head": 5}, 36, (None, None, None)),
    "no head count": ({}, 36, (None, None, None)),
    "a head count of the language model": ({"text_config": {"num_attention_heads": 4}}, 36, (4, 4, 3)),
    "queries alone": ({"n_head": 4}, 12, (None, None, None)),
}


@pytest.mark.parametrize(("config", "rows", "expected"), HEADS.values(), ids=HEADS)
def test_heads_of_a_fused_matrix(config: dict[str, Any], rows: int, expected: tuple[int | None, ...]):
    found = placed(
        {"layers.0.attention.query_key_value.weight": (rows, D), "layers.0.attention.dense.weight": (D, D)}, config
    )
    assert (found.n_heads, found.n_kv_heads, found.d_head) == expected
