"""Heads of latent attention out of shapes: those of known networks, and shapes that do not tell."""

from __future__ import annotations

from typing import Any

import pytest
from placed_shapes import placed

from attest.architecture.latent import LatentHeads

KNOWN = {
    "DeepSeek-V3": (24576, 576, 32768, 512, 16384, LatentHeads(count=128, d_key=128, d_rotary=64, d_value=128)),
    "MiniCPM3": (3840, 288, 5120, 256, 2560, LatentHeads(count=40, d_key=64, d_rotary=32, d_value=64)),
    "GLM-4.7-Flash": (5120, 576, 8960, 512, 5120, LatentHeads(count=20, d_key=192, d_rotary=64, d_value=256)),
}


def heads(
    q_b: int, kv_a: int, kv_b: int, latent: int, o: int, *, query: str = "q_b", **config: Any
) -> LatentHeads | None:
    """What is read of one layer with such numbers of outputs, and inputs of ``kv_b`` and ``o``."""
    shapes = {
        f"{query}_proj": (q_b, 96 if query == "q_b" else 64),
        "kv_a_proj_with_mqa": (kv_a, 64),
        "kv_b_proj": (kv_b, latent),
        "o_proj": (64, o),
    }
    model = placed({f"model.layers.0.self_attn.{name}.weight": shape for name, shape in shapes.items()}, config)
    expected = model.latent_heads.count if model.latent_heads else None
    assert (model.n_heads, model.n_kv_heads, model.d_head) == (expected, expected, None)
    return model.latent_heads


@pytest.mark.parametrize("name", KNOWN)
def test_known_networks(name: str):
    *sizes, expected = KNOWN[name]
    assert heads(*sizes) == expected
    assert heads(*sizes, num_attention_heads=expected.count) == expected
    assert heads(*sizes, query="q") == expected, "as in DeepSeek-V2-Lite, whose queries pass no latent dimensions"


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((24576, 512, 32768, 512, 16384), id="no rotary keys"),
        pytest.param((24576, 575, 32768, 512, 16384), id="a number of heads that is not whole"),
        pytest.param((24576, 576, 32769, 512, 16385), id="keys and values that cannot be divided among them"),
        pytest.param((8192, 576, 16384, 512, 16384), id="no keys but rotary ones"),
        pytest.param((24576, 576, 24512, 512, 0), id="no values"),
        pytest.param((100, 576, 32768, 512, 100), id="fewer queries than rotary keys"),
    ],
)
def test_shapes_that_do_not_tell(sizes: tuple[int, int, int, int, int]):
    assert heads(*sizes) is None


def test_another_number_of_heads_is_claimed():
    *sizes, _ = KNOWN["DeepSeek-V3"]
    assert heads(*sizes, num_attention_heads=64) is None
