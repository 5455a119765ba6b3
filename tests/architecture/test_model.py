"""Names and shapes of tensors: what is recognized, and what a hostile author cannot make of them."""

import faulthandler
import re
from pathlib import Path

import numpy as np
import pytest
from small_checkpoint import copy_with, entry, raw, read_tensors, write_tensors

from attest.architecture import Model, place_tensors
from attest.architecture.stack import MAX_STACKS
from attest.checkpoint import open_checkpoint

D, FF, KV = 12, 20, 6

LLAMA = {
    "self_attn.q_proj.weight": (D, D), "self_attn.k_proj.weight": (KV, D), "self_attn.v_proj.weight": (KV, D),
    "self_attn.o_proj.weight": (D, D), "mlp.gate_proj.weight": (FF, D), "mlp.up_proj.weight": (FF, D),
    "mlp.down_proj.weight": (D, FF), "input_layernorm.weight": (D,), "post_attention_layernorm.weight": (D,),
}  # fmt: skip
LLAMA_ROLES = ("q", "k", "v", "o", "gate", "up", "down", "attention_norm", "mlp_norm")
QWEN_BIASES = {
    "self_attn.q_proj.bias": (D,), "self_attn.k_proj.bias": (KV,), "self_attn.v_proj.bias": (KV,),
}  # fmt: skip
BERT = {
    "attention.self.query.weight": (D, D), "attention.self.key.weight": (D, D), "attention.self.value.weight": (D, D),
    "attention.output.dense.weight": (D, D), "attention.output.LayerNorm.weight": (D,),
    "intermediate.dense.weight": (FF, D), "output.dense.weight": (D, FF), "output.LayerNorm.weight": (D,),
}  # fmt: skip
BERT_ROLES = ("q", "k", "v", "o", "mlp_norm", "up", "down", "output_norm")


def layers(
    shapes: dict[str, tuple[int, ...]], *, n: int = 2, prefix: str = "model.layers."
) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}{layer}.{name}": shape for layer in range(n) for name, shape in shapes.items()}


def model_of(folder: Path, shapes: dict[str, tuple[int, ...]], config: str = "{}") -> Model:
    """Model of a checkpoint whose tensors have these shapes and no other meaning."""
    folder.mkdir(exist_ok=True)
    write_tensors(folder / "model.safetensors", {name: np.ones(shape, np.float32) for name, shape in shapes.items()})
    (folder / "config.json").write_text(config)
    return place_tensors(open_checkpoint(folder))


def name_of(model: Model) -> str | None:
    return model.family.id if model.family else None


def roles(model: Model, layer: int | None) -> dict[str, str | None]:
    """Role by the part of the name behind the layer."""
    return {
        re.sub(r".*\b(layers|layer)\.[0-9]+\.", "", one.tensor.name): one.role
        for one in model.tensors
        if one.layer == layer
    }


def test_llama(tmp_path: Path):
    outside = {"model.embed_tokens.weight": (30, D), "model.norm.weight": (D,), "lm_head.weight": (30, D)}
    model = model_of(tmp_path, layers(LLAMA) | outside, '{"num_attention_heads": 4, "num_key_value_heads": 2}')
    assert (name_of(model), model.n_layers, model.d_model, model.d_ff) == ("llama-like", 2, D, FF)
    assert (model.n_heads, model.n_kv_heads, model.d_head) == (4, 2, 3)
    for layer in range(2):
        assert roles(model, layer) == dict(zip(LLAMA, LLAMA_ROLES, strict=True))
    assert roles(model, None) == {
        "model.embed_tokens.weight": "embed", "model.norm.weight": "final_norm", "lm_head.weight": "lm_head",
    }  # fmt: skip
    found = model.index.get(("q", 1))
    assert found
    assert found.tensor.name == "model.layers.1.self_attn.q_proj.weight"
    assert (model.index.get(("q", 2)), model.index.get(("router", 0))) == (None, None)


def test_qwen2_has_biases(tmp_path: Path):
    model = model_of(tmp_path, layers(LLAMA | QWEN_BIASES))
    assert {name: role for name, role in roles(model, 0).items() if name.endswith(".bias")} == {
        "self_attn.q_proj.bias": "q.bias", "self_attn.k_proj.bias": "k.bias", "self_attn.v_proj.bias": "v.bias",
    }  # fmt: skip


def test_qwen3_has_norms_of_queries_and_keys(tmp_path: Path):
    norms = {"self_attn.q_norm.weight": (3,), "self_attn.k_norm.weight": (3,)}
    assert roles(model_of(tmp_path, layers(LLAMA | norms)), 0).items() >= {
        ("self_attn.q_norm.weight", "q_norm"), ("self_attn.k_norm.weight", "k_norm"),
    }  # fmt: skip


def test_a_few_odd_tensors_change_no_family(tmp_path: Path):
    odd = {"model.layers.0.pre_feedforward_layernorm.weight": (D,), "model.layers.700.self_attn.odd.weight": (D,)}
    model = model_of(tmp_path, layers(LLAMA, n=3) | odd)
    assert name_of(model) == "llama-like"
    assert model.index["mlp_norm", 0].tensor.name == "model.layers.0.post_attention_layernorm.weight"
    assert {one.tensor.name for one in model.tensors if one.role is None} == set(odd)


def test_gemma2_norms(tmp_path: Path):
    norms = {"pre_feedforward_layernorm.weight": (D,), "post_feedforward_layernorm.weight": (D,)}
    model = model_of(tmp_path, layers(LLAMA | norms))
    assert name_of(model) == "gemma2-like"
    found = roles(model, 1)
    assert {name: found[name] for name in found if "layernorm" in name} == {
        "input_layernorm.weight": "attention_norm",
        "post_attention_layernorm.weight": "attention_output_norm",
        "pre_feedforward_layernorm.weight": "mlp_norm",
        "post_feedforward_layernorm.weight": "output_norm",
    }


def test_norms_behind_only_are_not_taken_for_norms_in_front(tmp_path: Path):
    """As OLMo2 has them: the table of Llama would call them norms in front of the MLP."""
    norms = {"post_feedforward_layernorm.weight": (D,)}
    model = model_of(tmp_path, layers(LLAMA | norms))
    assert name_of(model) == "olmo2-like"
    assert roles(model, 0)["post_attention_layernorm.weight"] == "attention_output_norm"
    assert ("mlp_norm", 0) not in model.index


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_bert(tmp_path: Path, prefix: str):
    outside = {
        f"{prefix}embeddings.word_embeddings.weight": (30, D),
        f"{prefix}embeddings.position_embeddings.weight": (30, D),
        f"{prefix}embeddings.token_type_embeddings.weight": (2, D),
        f"{prefix}embeddings.LayerNorm.weight": (D,),
        f"{prefix}embeddings.LayerNorm.bias": (D,),
        f"{prefix}pooler.dense.weight": (D, D),
    }
    model = model_of(
        tmp_path, layers(BERT, prefix=f"{prefix}encoder.layer.") | outside, '{"num_attention_heads": 3}'
    )  # fmt: skip
    assert (name_of(model), model.n_layers, model.d_model, model.d_ff) == ("bert", 2, D, FF)
    assert (model.n_heads, model.n_kv_heads, model.d_head) == (3, 3, 4)
    assert roles(model, 1) == dict(zip(BERT, BERT_ROLES, strict=True))
    assert list(roles(model, None).values()) == [
        "embed_norm.bias", "embed_norm", "positions", "token_types", "embed", "pooler",
    ]  # fmt: skip


EXPERTS = {
    "qwen2-moe": ("mlp.experts.{}.gate_proj", "mlp.experts.{}.up_proj", "mlp.experts.{}.down_proj", "mlp.gate"),
    "mixtral": (
        "block_sparse_moe.experts.{}.w1", "block_sparse_moe.experts.{}.w3", "block_sparse_moe.experts.{}.w2",
        "block_sparse_moe.gate",
    ),
}  # fmt: skip


@pytest.mark.parametrize("names", EXPERTS.values(), ids=EXPERTS)
def test_experts(tmp_path: Path, names: tuple[str, str, str, str]):
    attention = {name: shape for name, shape in LLAMA.items() if not name.startswith("mlp")}
    gate, up, down, router = names
    experts = {
        f"{part.format(expert)}.weight": shape
        for expert in range(3)
        for part, shape in ((gate, (7, D)), (up, (7, D)), (down, (D, 7)))
    }
    model = model_of(tmp_path, layers(attention | experts | {f"{router}.weight": (3, D)}))
    placed = {(one.layer, one.expert, one.role) for one in model.tensors}
    assert {(1, expert, role) for expert in range(3) for role in ("gate", "up", "down")} <= placed
    assert (1, None, "router") in placed
    assert all(one.role for one in model.tensors)
    assert (model.index.get(("gate", 1)), model.d_ff) == (None, None)


def test_a_shared_expert_is_the_dense_mlp_beside_the_experts(tmp_path: Path):
    attention = {name: shape for name, shape in LLAMA.items() if not name.startswith("mlp")}
    shared = {
        "mlp.shared_expert.gate_proj.weight": (FF, D), "mlp.shared_expert.up_proj.weight": (FF, D),
        "mlp.shared_expert.down_proj.weight": (D, FF), "mlp.shared_expert_gate.weight": (1, D),
    }  # fmt: skip
    model = model_of(tmp_path, layers(attention | shared | {"mlp.experts.0.up_proj.weight": (7, D)}))
    assert [roles(model, 0)[name] for name in shared] == ["gate", "up", "down", "shared_router"]
    assert model.d_ff == FF


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("self_attn.q_proj.weight", (D,)),
        ("self_attn.q_proj.weight", (D, D, 1)),
        ("self_attn.q_proj.weight", (D, D + 1)),
        ("self_attn.k_proj.weight", (KV + 1, D)),
        ("self_attn.v_proj.weight", (D, KV)),
        ("self_attn.o_proj.weight", (D, D + 1)),
        ("mlp.gate_proj.weight", (FF, D + 1)),
        ("mlp.up_proj.weight", (D, FF)),
        ("mlp.down_proj.weight", (FF, D)),
        ("mlp.down_proj.weight", (0, FF)),
        ("input_layernorm.weight", (D, 1)),
        ("post_attention_layernorm.weight", ()),
        ("post_attention_layernorm.weight", (0,)),
        ("self_attn.q_proj.bias", (D + 1,)),
        ("self_attn.k_proj.bias", (KV, 1)),
    ],
)
def test_a_tensor_of_the_wrong_shape_loses_its_role(tmp_path: Path, name: str, shape: tuple[int, ...]):
    shapes = layers(LLAMA | QWEN_BIASES, n=3) | {f"model.layers.1.{name}": shape}
    model = model_of(tmp_path, shapes)
    unmapped = [one.tensor.name for one in model.tensors if one.role is None]
    assert unmapped == [f"model.layers.1.{name}"]
    assert (model.d_model, model.d_ff, model.n_layers) == (D, FF, 3)


def test_two_tensors_with_one_place_both_lose_it(tmp_path: Path):
    twice = {"model.layers.1.attn.q_proj.weight": (D, D), "model.layers.01.mlp.up_proj.weight": (FF, D)}
    model = model_of(tmp_path, layers(LLAMA, n=3) | twice)
    assert {one.tensor.name for one in model.tensors if one.role is None} == {
        *twice, "model.layers.1.self_attn.q_proj.weight", "model.layers.1.mlp.up_proj.weight",
    }  # fmt: skip
    assert (model.index.get(("q", 1)), model.index.get(("up", 1))) == (None, None)
    assert model.index.get(("q", 0))


def test_buffers_may_share_a_place(tmp_path: Path):
    buffers = {"model.rotary_emb.inv_freq": (3,), "rotary_emb.inv_freq": (3,)}
    model = model_of(tmp_path, layers(LLAMA) | buffers)
    assert [one.role for one in model.tensors if one.layer is None] == ["buffer", "buffer"]


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.99999999999.self_attn.q_proj.weight",
        "model.layers.1000.self_attn.q_proj.weight",
        "model.layers.-1.self_attn.q_proj.weight",
        "model.layers.1.5.self_attn.q_proj.weight",
        "model.layers.٣.self_attn.q_proj.weight",
        "model.layers.².self_attn.q_proj.weight",
        "model.layers.0x1.self_attn.q_proj.weight",
        "model.layers..self_attn.q_proj.weight",
        "model.layers.1.self_attn.q_proj.weight.weight",
        "model.layers.1.xself_attn.q_proj.weight",
        "model.layers.1.SELF_ATTN.Q_PROJ.WEIGHT",
        "model.layers.1.mlp.experts.999999.up_proj.weight",
        "layers",
        ".",
    ],
)
def test_names_that_only_resemble_a_role_have_none(tmp_path: Path, name: str):
    model = model_of(tmp_path, layers(LLAMA) | {name: (D, D)})
    assert [one.tensor.name for one in model.tensors if one.role is None] == [name]
    assert model.n_layers == 2


def test_at_most_a_thousand_layers(tmp_path: Path):
    model = model_of(tmp_path, {"model.layers.999.self_attn.q_proj.weight": (D, D)})
    assert model.n_layers == 1000


def test_a_layer_without_a_known_tensor_does_not_count(tmp_path: Path):
    assert model_of(tmp_path, layers(LLAMA) | {"model.layers.7.unknown": (D,)}).n_layers == 2


TORTURE = {
    "dots": "." * 1000,
    "layers": "layers.1." * 111,
    "layers without an end": "model.layers." + "1" * 980,
    "experts": "model.layers.1." + "experts.1." * 98,
    "prefixes of an embedding": "a." * 480 + "embed_tokens.weigh",
    "norms": "norm." * 199 + "x",
    "one letter": "a" * 1000,
    "mlp": "model.layers.1." + "mlp." * 240,
    "shared experts": "model.layers.1.mlp." + "shared_experts." * 60,
}


@pytest.mark.parametrize("name", TORTURE.values(), ids=TORTURE)
def test_names_made_to_hold_up_patterns_do_not(tmp_path: Path, name: str):
    faulthandler.dump_traceback_later(100, exit=True)
    try:
        hostile = {f"{name}{number}": (1,) for number in range(500)}
        model = model_of(tmp_path, layers(LLAMA) | hostile)
    finally:
        faulthandler.cancel_dump_traceback_later()
    assert {one.tensor.name for one in model.tensors if one.role is None} == set(hostile)
    assert model.n_layers == 2


def test_of_very_many_stacks_the_smallest_are_left_out(tmp_path: Path):
    stacks = {f"{stack}.layers.0.self_attn.q_proj.weight": (stack, 1) for stack in range(1, 3 * MAX_STACKS)}
    model = model_of(tmp_path, stacks)
    assert sum(one.role is not None for one in model.tensors) == MAX_STACKS
    assert model.index["q", 0].tensor.shape == (3 * MAX_STACKS - 1, 1)


@pytest.mark.parametrize(
    "config",
    [
        "{}",
        "[]",
        '{"num_attention_heads": 0}',
        '{"num_attention_heads": -4}',
        '{"num_attention_heads": true, "num_key_value_heads": true}',
        '{"num_attention_heads": 4.0, "num_key_value_heads": 2}',
        '{"num_attention_heads": "4", "num_key_value_heads": 2}',
        '{"num_attention_heads": [4]}',
        '{"num_attention_heads": 4}',
        '{"num_attention_heads": 4, "num_key_value_heads": 4}',
        '{"num_attention_heads": 4, "num_key_value_heads": 0}',
        '{"num_attention_heads": 4, "num_key_value_heads": null}',
        '{"num_attention_heads": 5, "num_key_value_heads": 5}',
        '{"num_attention_heads": 12, "num_key_value_heads": 2}',
        '{"num_attention_heads": 1' + "0" * 400 + "}",
    ],
)
def test_heads_that_the_shapes_contradict_are_not_taken(tmp_path: Path, config: str):
    model = model_of(tmp_path, layers(LLAMA), config)
    assert (model.n_heads, model.n_kv_heads, model.d_head) == (None, None, None)
    assert model.d_model == D


POSITIONS = {
    "gated decoder": (LLAMA, {}, "{}", "rotary"),
    "its claim agrees": (LLAMA, {}, '{"position_embedding_type": "rotary", "alibi": false}', "rotary"),
    "gated decoder with ALiBi": (LLAMA, {}, '{"alibi": true}', "unknown"),
    "ALiBi by another name": (LLAMA, {}, '{"position_embedding_type": "alibi"}', "unknown"),
    "sinusoids": (LLAMA, {}, '{"position_embedding_type": "sinusoidal"}', "unknown"),
    "claim of any kind": (LLAMA, {}, '{"alibi": {"deep": [true]}}', "unknown"),
    "BERT": (BERT, {"embeddings.position_embeddings.weight": (9, D)}, "{}", "learned"),
    "BERT without a table": (BERT, {}, "{}", "unknown"),
    "Baichuan, of which some have ALiBi": (
        LLAMA,
        {"model.layers.0.self_attn.W_pack.weight": (24, D), "model.layers.1.self_attn.W_pack.weight": (24, D)},
        "{}",
        "unknown",
    ),
    "sinusoids or a learned table": (
        {"self_attn.q_proj.weight": (D, D), "fc1.weight": (FF, D), "fc2.weight": (D, FF)},
        {"model.decoder.embed_positions.weight": (9, D)},
        "{}",
        "unknown",
    ),
    "nothing known": ({}, {"a": (3,)}, "{}", "unknown"),
}


@pytest.mark.parametrize(("shapes", "outside", "config", "expected"), POSITIONS.values(), ids=POSITIONS)
def test_how_the_order_of_tokens_is_known(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], outside: dict[str, tuple[int, ...]], config: str, expected: str
):  # fmt: skip
    assert model_of(tmp_path, layers(shapes) | outside, config).positions == expected


def test_without_any_known_name_there_is_nothing(tmp_path: Path):
    model = model_of(tmp_path, {"a": (3,), "b": (3, 4)})
    assert (name_of(model), model.n_layers, model.d_model, model.d_ff, model.index) == (None, 0, None, None, {})
    assert [one.role for one in model.tensors] == [None, None]


def test_without_tensors_there_is_nothing(tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(raw({"__metadata__": {}}))
    model = place_tensors(open_checkpoint(tmp_path))
    assert (name_of(model), model.tensors, model.n_layers) == (None, (), 0)


def test_every_tensor_is_kept_whatever_its_dtype(tmp_path: Path):
    header = {"model.layers.0.self_attn.q_proj.weight": entry("F4", [4, 4], 0, 8)}
    (tmp_path / "model.safetensors").write_bytes(raw(header, bytes(8)))
    model = place_tensors(open_checkpoint(tmp_path))
    assert [one.role for one in model.tensors] == ["q"]


def test_the_fixture_family_is_mapped_whole(family: Path):
    model = place_tensors(open_checkpoint(family / "seed-1"))
    assert all(one.role for one in model.tensors)
    assert (model.n_layers, model.d_model, model.d_ff, model.n_heads, model.n_kv_heads, model.d_head) == (
        4, 96, 256, 4, 2, 24,
    )  # fmt: skip


def test_another_prefix_changes_nothing(family: Path, tmp_path: Path):
    arrays = {f"module.{name}": array for name, array in read_tensors(family / "seed-1").items()}
    model = place_tensors(open_checkpoint(copy_with(family / "seed-1", tmp_path / "renamed", arrays)))
    assert all(one.role for one in model.tensors)
    assert model.n_layers == 4
