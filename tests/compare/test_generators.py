"""Generators of images are put together of a public encoder of text and a network of their own: only the latter accuses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compare.pairs import by_id, compared, measured_at
from numpy.typing import NDArray
from small_checkpoint import bfloat16, write_tensors

from attest.compare.fingerprints import Fingerprints
from attest.compare.tensors.component_identity import COMPONENT_ID
from attest.policy import conclude

Tensors = dict[str, NDArray[np.uint16]]
Files = dict[str, Tensors]

T5 = (("layer.0.SelfAttention.q", (64, 64)), ("layer.0.SelfAttention.o", (64, 64)), ("layer.1.DenseReluDense.wi_0", (128, 64)),
      ("layer.1.DenseReluDense.wi_1", (128, 64)), ("layer.1.DenseReluDense.wo", (64, 128)))  # fmt: skip
CLIP = (("self_attn.q_proj", (64, 64)), ("self_attn.k_proj", (64, 64)), ("mlp.fc1", (128, 64)), ("mlp.fc2", (64, 128)))
BERT = (("attention.self.query", (64, 64)), ("attention.output.dense", (64, 64)), ("intermediate.dense", (128, 64)),
        ("output.dense", (64, 128)))  # fmt: skip
SWIN = (("attention.self.query", (64, 64)), ("attention.output.dense", (64, 64)), ("intermediate.dense", (128, 64)))
UNET = (("attn1.to_q", (64, 64)), ("attn1.to_k", (64, 64)), ("ff.net.2", (64, 128)))
DIT = (("attn.qkv", (192, 64)), ("attn.proj", (64, 64)), ("mlp.fc1", (128, 64)))


def layers(
    prefix: str, parts: tuple[tuple[str, tuple[int, int]], ...], n_layers: int, seed: int, behind: str = ""
) -> Tensors:
    rng = np.random.default_rng(seed)
    return {
        f"{prefix}.{layer}.{behind}{part}.weight": bfloat16(rng.standard_normal(shape).astype(np.float32))
        for layer in range(n_layers)
        for part, shape in parts
    }


def flux(seed: int) -> Files:
    return {
        "model.safetensors": {
            **layers("text_encoders.t5xxl.transformer.encoder.block", T5, 6, 1),
            **layers("model.diffusion_model.double_blocks", DIT, 3, seed),
        }
    }


def stable_diffusion(seed: int) -> Files:
    return {
        "model.safetensors": {
            **layers("cond_stage_model.transformer.text_model.encoder.layers", CLIP, 4, 1),
            **layers("model.diffusion_model.input_blocks", UNET, 3, seed, "1.transformer_blocks.0."),
        }
    }


def pixart(seed: int) -> Files:
    """As diffusers keeps it, the encoder larger than the network, and only its folder says that it serves it."""
    return {
        "text_encoder/model.safetensors": layers("encoder.block", T5, 6, 1),
        "transformer/model.safetensors": layers("transformer_blocks", UNET, 2, seed),
    }


def voice(seed: int) -> Files:
    """A network that speaks, smaller than the frozen BERT under its own name beside it, and without layers that a table knows."""
    rng = np.random.default_rng(seed)
    own = {
        f"dec.ups.{number}.weight": bfloat16(rng.standard_normal((8, 16)).astype(np.float32)) for number in range(70)
    }
    return {"model.safetensors": {**layers("bert.encoder.layer", BERT, 6, 1), **own}}


def detector(seed: int) -> Files:
    """Boxes for words: Swin frozen, as its authors trained it, and a network of its own beside it."""
    return {
        "model.safetensors": {
            **layers("pixel_level_module.encoder.model.encoder.layers.2.blocks", SWIN, 6, 1),
            **layers("transformer_module.decoder.layers", CLIP, 2, seed),
        }
    }


@pytest.fixture
def generator(tmp_path: Path) -> Callable[[str, Files], Fingerprints]:
    def made(name: str, files: Files) -> Fingerprints:
        for file, tensors in files.items():
            place = tmp_path / name / file
            place.parent.mkdir(parents=True, exist_ok=True)
            write_tensors(place, tensors)
        return measured_at(tmp_path / name)

    return made


@pytest.mark.parametrize(
    ("made", "label"),
    [(flux, "conditioner"), (stable_diffusion, "conditioner"), (pixart, "conditioner"), (voice, "conditioner"), (detector, "vision")],
)  # fmt: skip
def test_one_encoder_in_two_independent_networks_accuses_nobody(
    generator: Callable[[str, Files], Fingerprints], made: Callable[[int], Files], label: str
):
    comparison = compared(generator("a", made(2)), generator("b", made(3)))
    conclusion = conclude(comparison)
    assert conclusion.rung == "inconclusive"
    assert any("says nothing of the main stack" in sentence for sentence in conclusion.because)
    assert by_id(comparison)[COMPONENT_ID].n > 10
    assert [one.table.rows[0][0] for one in comparison.found if one.id == COMPONENT_ID] == [label]


def test_an_encoder_with_a_head_of_its_own_is_a_main_stack(generator: Callable[[str, Files], Fingerprints]):
    """As BERT with a classifier: the same layers under two heads are one network's."""
    few = {name: dict(list(voice(seed)["model.safetensors"].items())[:40]) for name, seed in (("a", 2), ("b", 3))}
    sides = [generator(name, {"model.safetensors": tensors}) for name, tensors in few.items()]
    assert conclude(compared(*sides)).rung == "exact-rejected"


def test_a_generator_that_was_copied_is_the_same_whatever_its_tensors_are_called(
    generator: Callable[[str, Files], Fingerprints],
):
    """No table knows the names of its layers, and none is needed to see the same bytes."""
    copy = {**stable_diffusion(2), "vae.safetensors": {}}
    comparison = compared(generator("a", stable_diffusion(2)), generator("b", copy))
    assert conclude(comparison).rung == "identical"


def test_an_encoder_of_text_by_itself_is_a_main_stack(generator: Callable[[str, Files], Fingerprints]):
    files = {"model.safetensors": layers("text_encoder.encoder.block", T5, 4, 1)}
    other = {"model.safetensors": {**files["model.safetensors"], **layers("text_encoder.encoder.block", T5[:1], 1, 9)}}
    assert conclude(compared(generator("a", files), generator("b", other))).rung == "exact-rejected"
