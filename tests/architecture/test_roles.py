"""Names as they stand in published files, which differ from those in memory; and checkpoints of several stacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from placed_shapes import placed

from attest.architecture import Model

CASES = json.loads((Path(__file__).resolve().parent / "data" / "files.json").read_text(encoding="utf-8"))
"""By network: the configuration, and for each name its shape and the role that it must get."""


def roles(model: Model) -> dict[str, str | None]:
    return {one.tensor.name: one.role for one in model.tensors}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_names_of_published_files(case: dict):
    model = placed({name: tuple(shape) for name, (shape, _) in case["tensors"].items()}, case["config"])
    assert roles(model) == {name: role for name, (_, role) in case["tensors"].items()}
    assert (model.family.id if model.family else None) == case["family"]
    assert model.findings == ()


def test_the_language_model_is_the_main_stack_even_of_a_larger_tower():
    shapes = {
        "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight": (64, 64),
        "vision_tower.vision_model.encoder.layers.0.layer_norm1.weight": (64,),
        "vision_tower.vision_model.embeddings.patch_embedding.weight": (64, 3, 2, 2),
        "multi_modal_projector.linear_1.weight": (8, 64),
        "language_model.model.layers.0.self_attn.q_proj.weight": (8, 8),
        "language_model.model.embed_tokens.weight": (9, 8),
        "language_model.model.norm.weight": (8,),
        "language_model.lm_head.weight": (9, 8),
    }
    model = placed(shapes)
    assert roles(model) == dict(
        zip(sorted(shapes), ["lm_head", "embed", "q", "final_norm", "projector", "vision.patches",
                             "vision.attention_norm", "vision.q"], strict=True)
    )  # fmt: skip
    assert (model.n_layers, model.d_model, set(model.index)) == (
        1, 8, {("lm_head", None), ("embed", None), ("q", 0), ("final_norm", None), ("projector", None)},
    )  # fmt: skip


def test_a_stray_tensor_elsewhere_takes_nothing_from_the_main_stack():
    shapes = {f"model.layers.{layer}.self_attn.q_proj.weight": (8, 8) for layer in range(3)}
    model = placed({**shapes, "other.model.layers.1.self_attn.q_proj.weight": (8, 8)})
    assert set(model.index) == {("q", 0), ("q", 1), ("q", 2)}
    assert roles(model)["other.model.layers.1.self_attn.q_proj.weight"] == "other.q"


def test_a_claimed_model_type_decides_between_equal_names():
    shapes = {
        "layers.0.self_attention.query_key_value.weight": (36, 12),
        "layers.0.self_attention.dense.weight": (12, 12),
    }
    for model_type, expected in (("bloom", "by-group"), ("chatglm", "joined")):
        family = placed(shapes, {"model_type": model_type}).family
        assert family
        assert family.layouts.get("qkv", "joined") == expected


def test_dense_layers_and_shared_experts_may_have_different_sizes():
    """As in DeepSeek-V3, whose first layers have no experts."""
    shapes = {}
    for layer, d_ff in ((0, 40), (1, 16), (2, 16)):
        module = "mlp" if layer == 0 else "mlp.shared_experts"
        shapes |= {f"model.layers.{layer}.{module}.{name}_proj.weight": (d_ff, 8) for name in ("gate", "up")}
        shapes[f"model.layers.{layer}.{module}.down_proj.weight"] = (8, d_ff)
    model = placed(shapes)
    assert None not in roles(model).values()
    assert model.d_ff == 16
    shapes["model.layers.0.mlp.down_proj.weight"] = (8, 39)
    assert [name for name, role in roles(placed(shapes)).items() if role is None] == [
        "model.layers.0.mlp.down_proj.weight"
    ]
