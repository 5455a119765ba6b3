"""Real small networks, made from transformers' configurations with a fixed seed and saved as safetensors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attest.activation.prompts import load_prompt_set

BERT_POSITIONS = 24


def save_network(network: Any, folder: Path) -> Path:
    """Save without transformers' progress bar, as a checkpoint of one safetensors file."""
    from transformers.utils import logging  # noqa: PLC0415 - heavy, here and below

    logging.disable_progress_bar()
    network.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return folder


def save_tokenizer(folder: Path) -> int:
    """Save a word-level tokenizer that pads and truncates, as hostile or careless ones do; returns its size."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers  # noqa: PLC0415

    folder.mkdir(exist_ok=True)
    words = sorted({word for text in load_prompt_set("general-en").texts for word in text.lower().split()})[:60]
    vocabulary = {word: number for number, word in enumerate(["[UNK]", "[PAD]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_padding(length=100, pad_id=1, pad_token="[PAD]")  # noqa: S106 - the same
    tokenizer.enable_truncation(max_length=3)
    tokenizer.save(str(folder / "tokenizer.json"))
    return len(vocabulary)


def save_bert(folder: Path, *, vocabulary: float) -> Path:
    """BERT whose embeddings hold that share of the tokenizer's words."""
    import torch  # noqa: PLC0415
    from transformers import BertConfig, BertForMaskedLM  # noqa: PLC0415

    config = BertConfig(
        vocab_size=int(vocabulary * save_tokenizer(folder)),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=BERT_POSITIONS,
    )
    torch.manual_seed(1)
    return save_network(BertForMaskedLM(config), folder)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BERT with a language model head and no pooler, 3 layers of 32, and a tokenizer."""
    return save_bert(tmp_path_factory.mktemp("bert"), vocabulary=1)


@pytest.fixture
def small_vocabulary(tmp_path: Path) -> Path:
    """The same with a tokenizer that knows more words than the embeddings."""
    return save_bert(tmp_path / "checkpoint", vocabulary=0.5)


@pytest.fixture(scope="session")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen2, 2 layers of 32, without a tokenizer."""
    import torch  # noqa: PLC0415
    from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: PLC0415

    config = Qwen2Config(
        vocab_size=256,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_window_layers=2,
    )
    torch.manual_seed(2)
    return save_network(Qwen2ForCausalLM(config), tmp_path_factory.mktemp("qwen2"))


CAUSAL = ("llama", "mistral", "qwen2", "qwen3", "gpt2")


def save_causal(kind: str, folder: Path) -> Path:
    """A causal model of 3 layers of 32 whose head is the embedding table in two kinds, and a tokenizer."""
    import torch  # noqa: PLC0415
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415

    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "head_dim": 8,
        "max_window_layers": 3,
        "sliding_window": 6 if kind == "mistral" else None,
        "tie_word_embeddings": kind in {"qwen2", "gpt2"},
    }
    if kind == "gpt2":
        sizes = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
    config = AutoConfig.for_model(kind, vocab_size=save_tokenizer(folder), **sizes)
    torch.manual_seed(3)
    return save_network(AutoModelForCausalLM.from_config(config), folder)


@pytest.fixture(scope="session")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A causal model by its kind, made once."""
    made: dict[str, Path] = {}

    def of(kind: str) -> Path:
        if kind not in made:
            made[kind] = save_causal(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return of


@pytest.fixture(scope="session")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """T5, 2 and 2 layers of 32, and a tokenizer."""
    import torch  # noqa: PLC0415
    from transformers import T5Config, T5ForConditionalGeneration  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("t5")
    config = T5Config(
        vocab_size=save_tokenizer(folder), d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
        decoder_start_token_id=0,
    )  # fmt: skip
    torch.manual_seed(4)
    return save_network(T5ForConditionalGeneration(config), folder)


@pytest.fixture
def altered(tmp_path: Path) -> Callable[..., Path]:
    """A copy of a checkpoint whose configuration is changed: ``altered(folder, key=value)``; None removes a key."""

    def alter(folder: Path, **changes: object) -> Path:
        copy = tmp_path / "checkpoint"
        shutil.copytree(folder, copy)
        config = json.loads((copy / "config.json").read_text()) | changes
        (copy / "config.json").write_text(
            json.dumps({key: value for key, value in config.items() if value is not None})
        )
        return copy

    return alter
