"""Fused matrices are split as the networks that hold them split them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from placed_shapes import placed

from attest.architecture import Part
from attest.architecture.layout import FUSED, Rows, split


def rows_of(parts: dict[str, Rows], n_rows: int) -> dict[str, list[int]]:
    return {part: rows.positions(0, n_rows).tolist() for part, rows in parts.items()}


HAND_MADE = {
    "joined, 2 heads of 2, 1 key head": (
        ("qkv", "joined", 8, 4, 1), {"q": [0, 1, 2, 3], "k": [4, 5], "v": [6, 7]}
    ),
    "by group, every head its own": (
        ("qkv", "by-group", 12, 4, 2), {"q": [0, 1, 6, 7], "k": [2, 3, 8, 9], "v": [4, 5, 10, 11]}
    ),
    "by group, 4 heads of 1, 2 key heads": (
        ("qkv", "by-group", 8, 4, 2), {"q": [0, 1, 4, 5], "k": [2, 6], "v": [3, 7]}
    ),
    "by group, one key head for all": (("qkv", "by-group", 6, 4, 1), {"q": [0, 1, 2, 3], "k": [4], "v": [5]}),
    "four blocks of query, value, key": (
        ("qkv", "four-blocks", 12, 4, 4), {"q": [0, 3, 6, 9], "k": [2, 5, 8, 11], "v": [1, 4, 7, 10]}
    ),
    "gate and up": (("gate_up", "joined", 6, None, None), {"gate": [0, 1, 2], "up": [3, 4, 5]}),
    "gate and up in turn": (("gate_up", "in-turn", 6, None, None), {"gate": [0, 2, 4], "up": [1, 3, 5]}),
    "key and value": (("kv", "joined", 4, None, None), {"k": [0, 1], "v": [2, 3]}),
    "sizes that do not fit": (("qkv", "joined", 9, 4, 1), {}),
    "more queries than rows": (("qkv", "joined", 8, 8, 1), {}),
    "groups that do not fit": (("qkv", "by-group", 12, 4, 3), {}),
    "groups that are not known": (("qkv", "by-group", 12, 4, None), {}),
    "queries that are not known": (("qkv", "joined", 12, None, None), {}),
    "an odd number of rows": (("gate_up", "joined", 7, None, None), {}),
    "an odd number of rows in turn": (("gate_up", "in-turn", 7, None, None), {}),
    "no rows": (("gate_up", "joined", 0, None, None), {}),
    "no rows in turn": (("gate_up", "in-turn", 0, None, None), {}),
}  # fmt: skip


@pytest.mark.parametrize(("case", "expected"), HAND_MADE.values(), ids=HAND_MADE)
def test_by_hand(case: tuple[Any, ...], expected: dict[str, list[int]]):
    role, layout, n_rows, d_q, n_kv_heads = case
    assert rows_of(split(role, layout, n_rows, d_q=d_q, n_kv_heads=n_kv_heads), n_rows) == expected


@given(
    role=st.sampled_from(sorted(FUSED)),
    layout=st.sampled_from(["joined", "by-group", "four-blocks", "in-turn"]),
    n_rows=st.integers(0, 200),
    d_q=st.one_of(st.none(), st.integers(-3, 200)),
    n_kv_heads=st.one_of(st.none(), st.integers(0, 9)),
)
def test_every_row_is_of_one_part_or_nothing_is_split(role: str, layout: Any, n_rows: int, d_q: Any, n_kv_heads: Any):
    parts = split(role, layout, n_rows, d_q=d_q, n_kv_heads=n_kv_heads)
    found = rows_of(parts, n_rows)
    if parts:
        assert sorted(parts) == sorted(FUSED[role])
        assert sorted(row for rows in found.values() for row in rows) == list(range(n_rows))
    for part, rows in parts.items():
        assert (len(found[part]), rows.before(n_rows)) == (rows.count, rows.count)
        assert [rows.before(row) for row in found[part]] == list(range(rows.count))


def outputs_by_inputs(part: Part, state: dict[str, np.ndarray]) -> np.ndarray:
    values = state[part.tensor.name]
    if part.rows is not None:
        values = np.take(values, part.rows.positions(0, values.shape[part.axis]), axis=part.axis)
    return values.T if part.transposed else values


Captured = dict[str, np.ndarray]


def capture(seen: Captured, query: Any, key: Any, value: Any) -> None:
    """Keep query, key and value of one token, each as an array of shape (heads, d_head)."""
    for role, one in zip("qkv", (query, key, value), strict=True):
        seen[role] = one.detach().reshape(-1, one.shape[-1]).numpy()


def capture_in_interface(seen: Captured) -> None:
    """Let the networks that ask transformers for an attention function have one that captures."""
    from transformers import AttentionInterface  # noqa: PLC0415 - heavy

    def interface(_: Any, query: Any, key: Any, value: Any, *_more: Any, **_options: Any) -> Any:
        capture(seen, query, key, value)
        return value.repeat_interleave(query.shape[1] // value.shape[1], dim=1).transpose(1, 2), None

    AttentionInterface.register("capture", interface)


def capture_in_method(seen: Captured, attention: Any, method: str) -> None:
    """Capture what a method of an attention module takes (``_attn``) or gives."""
    original: Callable[..., Any] = getattr(attention, method)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        capture(seen, *(arguments[:3] if method == "_attn" else result))
        return result

    setattr(attention, method, wrapped)


NETWORKS: dict[str, tuple[str, dict[str, Any], str, str, str | None]] = {
    "GPT-2": ("gpt2", {"n_embd": 24, "n_layer": 1, "n_head": 4}, "transformer.h.0.attn", "c_attn", None),
    "StarCoder, one key head": (
        "gpt_bigcode", {"n_embd": 24, "n_layer": 1, "n_head": 4, "n_inner": 48}, "transformer.h.0.attn", "c_attn", None
    ),
    "GPT-NeoX": (
        "gpt_neox", {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48},
        "gpt_neox.layers.0.attention", "query_key_value", None,
    ),
    "Phi-3": (
        "phi3", {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
                 "intermediate_size": 48, "pad_token_id": 0},
        "model.layers.0.self_attn", "qkv_proj", None,
    ),
    "Persimmon": (
        "persimmon", {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48,
                      "qk_layernorm": False},
        "model.layers.0.self_attn", "query_key_value", None,
    ),
    "Falcon 7B": (
        "falcon", {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 4, "multi_query": True},
        "transformer.h.0.self_attention", "query_key_value", "_split_heads",
    ),
    "Falcon 40B": (
        "falcon", {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 4, "num_kv_heads": 2,
                   "new_decoder_architecture": True},
        "transformer.h.0.self_attention", "query_key_value", "_split_heads",
    ),
    "Falcon RW": (
        "falcon", {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 4, "multi_query": False,
                   "alibi": True, "bias": True, "parallel_attn": False},
        "transformer.h.0.self_attention", "query_key_value", "_split_heads",
    ),
    "CodeGen": (
        "codegen", {"n_embd": 32, "n_layer": 1, "n_head": 4, "rotary_dim": 4},
        "transformer.h.0.attn", "qkv_proj", "_attn",
    ),
    "BLOOM": (
        "bloom", {"hidden_size": 24, "n_layer": 1, "n_head": 4}, "transformer.h.0.self_attention", "query_key_value",
        "_reshape",
    ),
}  # fmt: skip


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_as_the_networks_of_transformers_split_them(network: tuple[str, dict[str, Any], str, str, str | None]):
    """The projections of one token, at position 0 where rotary embeddings turn nothing, from our parts and theirs."""
    import torch  # noqa: PLC0415 - heavy, here and below
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415

    model_type, options, attention_name, fused_name, method = network
    config = AutoConfig.for_model(model_type, vocab_size=11, **options)
    torch.manual_seed(1)
    seen: Captured = {}
    inputs: list[np.ndarray] = []
    capture_in_interface(seen)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager" if method else "capture").eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    attention = model.get_submodule(attention_name)
    if method:
        capture_in_method(seen, attention, method)
    fused = attention.get_submodule(fused_name)
    fused.register_forward_pre_hook(lambda _, given: inputs.append(given[0].detach().numpy().ravel()))
    with torch.inference_mode():
        model(torch.tensor([[3]]), use_cache=False)
    state = {name: value.detach().numpy() for name, value in model.named_parameters()}
    found = placed({name: value.shape for name, value in state.items()}, config.to_dict())
    for role in "qkv":
        projected = outputs_by_inputs(found.index[role, 0], state) @ inputs[0]
        if (f"{role}.bias", 0) in found.index:
            projected = projected + outputs_by_inputs(found.index[f"{role}.bias", 0], state)
        theirs = seen[role]
        copies = theirs.size // projected.size  # Falcon 40B repeats the key of a group for each of its queries
        np.testing.assert_allclose(projected, theirs[::copies].ravel(), rtol=1e-4, atol=1e-5)
