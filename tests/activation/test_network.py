"""The child's work, done in this process, where it is quicker; ``test_runner.py`` starts the child itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from activation.staged import refusal, run

from attest.activation.prompts import PromptSet, load_prompt_set
from attest.checkpoint.arrays import pack_arrays, unpack_arrays

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("unchanged_torch")]

Altered = Callable[..., Path]


def change_tensors(checkpoint: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    path = checkpoint / "model.safetensors"
    tensors = {name: values.copy() for name, values in unpack_arrays(path.read_bytes(), where="test").items()}
    change(tensors)
    path.write_bytes(pack_arrays(tensors, {"format": "pt"}))


def test_heads_have_no_place_and_no_pooler_is_invented(bert: Path, tmp_path: Path):
    result, observed = run(bert, tmp_path / "stage")
    assert all(name.startswith("cls.") for name in result.unused)
    assert "cls.predictions.transform.dense.weight" in result.unused
    profile = observed["activation-profile/v1"].arrays
    assert profile["mean_abs"].shape == (4, 32)
    assert profile["layer_rms"].shape == profile["layer_mean_abs"].shape == (4,)


def test_every_tokens_own_position_bounds_the_length(bert: Path, tmp_path: Path):
    result, _ = run(bert, tmp_path / "stage")
    assert {len(sequence) for sequence in result.token_ids} == {24}


@pytest.mark.parametrize("kind", ["evil", "vit", "clip", "", None, 7])
def test_an_architecture_that_is_not_a_text_model_of_transformers_is_refused(
    qwen2: Path, altered: Altered, tmp_path: Path, kind: object
):
    error = refusal(altered(qwen2, model_type=kind, auto_map={"AutoModel": "evil.Model"}), tmp_path / "stage")
    assert error.code == "unknown-model-type"
    assert "never run" in error.message


def test_weights_that_are_missing_are_named(qwen2: Path, altered: Altered, tmp_path: Path):
    checkpoint = altered(qwen2)
    change_tensors(checkpoint, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
    error = refusal(checkpoint, tmp_path / "stage")
    assert error.code == "weights-do-not-fit"
    assert "lack 1 of the weights" in error.message
    assert "layers.1.mlp.up_proj.weight" in error.message


def test_weights_of_another_shape_are_named(qwen2: Path, altered: Altered, tmp_path: Path):
    error = refusal(altered(qwen2, intermediate_size=65), tmp_path / "stage")
    assert error.code == "weights-do-not-fit"
    assert "layers.0.mlp.down_proj.weight" in error.message


def test_a_deeper_network_than_the_weights_is_refused(qwen2: Path, altered: Altered, tmp_path: Path):
    assert (
        refusal(altered(qwen2, num_hidden_layers=3, layer_types=None), tmp_path / "stage").code == "weights-do-not-fit"
    )


def test_a_shallower_network_than_the_weights_lists_what_was_left_out(qwen2: Path, altered: Altered, tmp_path: Path):
    result, observed = run(altered(qwen2, num_hidden_layers=1, layer_types=None), tmp_path / "stage")
    assert {name.split(".mlp")[0].split(".self_attn")[0] for name in result.unused} >= {"model.layers.1"}
    assert len(observed["activation-profile/v1"].arrays["layer_rms"]) == 2


def test_a_plan_of_more_than_the_files_hold_is_refused_before_it_is_built(
    qwen2: Path, altered: Altered, tmp_path: Path
):
    checkpoint = altered(qwen2, vocab_size=2**20, hidden_size=2**19)
    error = refusal(checkpoint, tmp_path / "stage")
    assert error.code == "config-too-large"
    assert int(error.message.split()[2]) > 2**39


def test_a_tokenizer_beyond_the_vocabulary_is_refused(small_vocabulary: Path, tmp_path: Path):
    error = refusal(small_vocabulary, tmp_path / "stage", load_prompt_set("general-en"))
    assert (error.code, error.where) == ("tokenizer-does-not-fit", "tokenizer.json")


def test_activations_that_are_not_finite_are_refused_with_their_layer(qwen2: Path, altered: Altered, tmp_path: Path):
    checkpoint = altered(qwen2)
    change_tensors(checkpoint, lambda tensors: tensors["model.layers.0.mlp.up_proj.weight"].fill(np.nan))
    error = refusal(checkpoint, tmp_path / "stage")
    assert error.code == "not-finite"
    assert "layer 1" in error.message


def test_a_set_without_sequences_is_refused(qwen2: Path, tmp_path: Path):
    empty = PromptSet(id="empty", about="", sequences=0, tokens=8, texts=None)
    assert refusal(qwen2, tmp_path / "stage", empty).code == "no-input"
