"""Training of the panel: small networks of four architectures whose ancestry is known because they were made here.

Notes
-----
Training repeats bit for bit on one machine, not across CPUs, and the texts are those of the running interpreter: tests
may rely on who descends from whom, never on digests. Digests of the texts stand in the manifest.
"""

from __future__ import annotations

import hashlib
import json
import math
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import tokenizers
import torch
import transformers
from numpy.typing import NDArray

from validity.network import Network, module, read, write

__all__ = [
    "PANEL",
    "PARENTS",
    "SHARED_START",
    "STRANGER",
    "Architecture",
    "Plan",
    "Preparation",
    "Recipe",
    "Text",
    "continued",
    "train_panel",
]

Architecture: TypeAlias = Literal["llama", "qwen2", "gpt_neox", "gpt2"]
Text: TypeAlias = Literal["source", "documentation"]
Preparation: TypeAlias = Callable[[torch.nn.Module], Callable[[], None]]

VOCABULARY = 1024
_LEFT_OUT = frozenset({"site-packages", "test", "tests", "idle_test", "pydoc_data", "__pycache__"})
_MANIFEST = "training.json"
_SAMPLE = 2_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a network is trained: AdamW, linear warm-up, half a cosine down to a tenth of the rate."""

    steps: int = 400
    rate: float = 3e-3
    batch: int = 8
    window: int = 128
    warmup: int = 25
    weight_decay: float = 0.1

    def at(self, step: int) -> float:
        """Learning rate of a step counted from 0."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.rate * (0.1 + 0.45 * (1.0 + math.cos(math.pi * progress)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One network to be trained from random weights.

    Parameters
    ----------
    seed : int
        Draws the initial weights.
    order : int or None
        Draws the batches; the seed where None.
    """

    name: str
    architecture: Architecture
    seed: int
    text: Text = "source"
    recipe: Recipe = field(default_factory=Recipe)
    width: int = 96
    layers: int = 4
    order: int | None = None


LONG = Recipe()
SHORT = Recipe(steps=250)


def _family(architecture: Architecture, first: int, usual: Recipe) -> tuple[Plan, ...]:
    """Plans of one architecture and shape: the first three alike but for their seeds, the rest with other text or recipe."""
    kinds: tuple[tuple[Text, Recipe], ...] = (
        ("source", usual),
        ("source", usual),
        ("source", usual),
        ("documentation", usual),
        ("documentation", replace(usual, rate=1.5e-3, batch=12, steps=usual.steps * 3 // 4)),
        ("source", replace(usual, rate=2e-3, batch=6, weight_decay=0.0)),
    )
    return tuple(
        Plan(name=f"{architecture}-{i + 1}", architecture=architecture, seed=first + i, text=text, recipe=recipe)
        for i, (text, recipe) in enumerate(kinds)
    )


PANEL: tuple[Plan, ...] = (
    *_family("qwen2", 100, LONG),
    *_family("llama", 200, SHORT),
    *_family("gpt_neox", 300, SHORT),
    *_family("gpt2", 400, SHORT),
    Plan(name="qwen2-deep", architecture="qwen2", seed=151, layers=6, recipe=SHORT),
    Plan(name="llama-wide", architecture="llama", seed=251, width=128, recipe=SHORT),
    Plan(name="llama-deep", architecture="llama", seed=252, layers=6, text="documentation", recipe=SHORT),
    Plan(name="gpt_neox-wide", architecture="gpt_neox", seed=351, width=128, recipe=SHORT),
)
"""Networks that are independent of each other by construction."""

PARENTS = ("qwen2-1", "qwen2-2", "qwen2-3")
"""Networks that are laundered."""

STRANGER = "qwen2-4"
"""The unrelated network that merges take in."""

SHARED_START: tuple[Plan, ...] = tuple(
    plan
    for i, name in enumerate(PARENTS)
    for plan in (
        Plan(name=f"{name}-initial", architecture="qwen2", seed=100 + i, recipe=Recipe(steps=0)),
        Plan(name=f"{name}-other-text", architecture="qwen2", seed=100 + i, text="documentation", order=900 + i),
    )
)
"""Networks that share the parents' initial weights: not independent, whoever trained them."""


@cache
def text(name: Text) -> bytes:
    """A training text: the standard library's source in order of its paths, or the language reference in pydoc."""
    if name == "documentation":
        from pydoc_data.topics import topics  # noqa: PLC0415 - 750 kB of text, wanted only here

        return "\n".join(topics[topic] for topic in sorted(topics)).encode()
    root = Path(sysconfig.get_path("stdlib"))
    relative = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    chosen = [
        path
        for path in relative
        if not _LEFT_OUT.intersection(Path(path).parts) and not path.startswith(("_sysconfigdata_", "config-"))
    ]
    return b"\n".join((root / path).read_bytes() for path in chosen)[:_SAMPLE]


@cache
def make_tokenizer(file: Path) -> tokenizers.Tokenizer:
    """The byte-level tokenizer of the whole panel, trained on both texts and kept in a file."""
    if not file.exists():
        made = tokenizers.ByteLevelBPETokenizer()
        halves = (text("source"), text("documentation"))
        made.train_from_iterator([half.decode(errors="replace") for half in halves], vocab_size=VOCABULARY)
        made.save(str(file))
    return tokenizers.Tokenizer.from_file(str(file))


@cache
def tokens(name: Text, tokenizer: Path) -> NDArray[np.int64]:
    """Token ids of a text."""
    lines = text(name).decode(errors="replace").splitlines(keepends=True)
    encoded = make_tokenizer(tokenizer).encode_batch(["".join(lines[i : i + 200]) for i in range(0, len(lines), 200)])
    return np.concatenate([np.array(one.ids, dtype=np.int64) for one in encoded])


def config(plan: Plan, vocabulary: int = VOCABULARY) -> transformers.PretrainedConfig:
    """The configuration of a plan: 8 heads, over 4 key-value heads where they are shared."""
    shape: dict[str, Any] = {"vocab_size": vocabulary, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if plan.architecture == "gpt2":
        sizes: dict[str, Any] = {"n_embd": plan.width, "n_layer": plan.layers, "n_head": 8, "n_positions": 256}
        return transformers.GPT2Config(**shape, **sizes, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    shape |= {"hidden_size": plan.width, "num_hidden_layers": plan.layers, "num_attention_heads": 8}
    shape |= {"max_position_embeddings": 256}
    if plan.architecture == "gpt_neox":
        return transformers.GPTNeoXConfig(**shape, intermediate_size=4 * plan.width)
    shape |= {"intermediate_size": plan.width * 8 // 3, "num_key_value_heads": 4}
    if plan.architecture == "llama":
        return transformers.LlamaConfig(**shape, tie_word_embeddings=False)
    return transformers.Qwen2Config(**shape, tie_word_embeddings=True)


def batches(ids: NDArray[np.int64], recipe: Recipe, order: int) -> Iterator[torch.Tensor]:
    """Yield token windows of shape (batch, window + 1), cut at places that ``order`` draws."""
    rng = np.random.Generator(np.random.Philox(key=order))
    span = np.arange(recipe.window + 1)
    for _ in range(recipe.steps):
        starts = rng.integers(0, len(ids) - len(span), size=recipe.batch)
        yield torch.from_numpy(ids[starts[:, None] + span])


def optimize(model: torch.nn.Module, ids: NDArray[np.int64], recipe: Recipe, order: int) -> list[float]:
    """Train in place every parameter that asks for it; the loss of every step, in nats a token."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [one for one in trained if one.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [one for one in trained if one.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.95))
    losses = []
    model.train()
    for step, windows in enumerate(batches(ids, recipe, order)):
        for group in optimizer.param_groups:
            group["lr"] = recipe.at(step)
        logits = model(input_ids=windows[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def continued(
    network: Network, recipe: Recipe, *, of: Text, order: int, tokenizer: Path, prepare: Preparation | None = None
) -> Network:
    """A network trained further, its storage and vocabulary unchanged.

    Parameters
    ----------
    prepare : callable, optional
        Changes the module before training and gives what undoes that; every parameter is trained where None.
    """
    ids = tokens(of, tokenizer)
    if network.vocabulary is not None:
        rows = np.empty(max(network.vocabulary) + 1, dtype=np.int64)
        rows[np.array(network.vocabulary)] = np.arange(len(network.vocabulary))
        ids = rows[ids]
    with tempfile.TemporaryDirectory() as folder:
        model = module(network, Path(folder, "before"))
        finish = prepare(model) if prepare else None
        optimize(model, ids, recipe, order)
        if finish:
            finish()
        model.save_pretrained(Path(folder, "after"))
        trained = read(Path(folder, "after"))
    return network.with_weights(trained.weights)


def train(plan: Plan, folder: Path, tokenizer: Path) -> None:
    """Train one network of the panel into a folder, unless it stands there already."""
    if (folder / _MANIFEST).exists():
        return
    began = time.process_time()
    torch.manual_seed(plan.seed)
    model = transformers.AutoModelForCausalLM.from_config(config(plan), dtype=torch.float32)
    order = plan.seed if plan.order is None else plan.order
    losses = optimize(model, tokens(plan.text, tokenizer), plan.recipe, order)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        write(read(Path(scratch)), folder, tokenizer=tokenizer)
    manifest = {
        "plan": asdict(plan),
        "text_sha256": hashlib.sha256(text(plan.text)).hexdigest(),
        "parameters": sum(one.numel() for one in model.parameters()),
        "first_loss": losses[0] if losses else None,
        "final_loss": float(np.mean(losses[-25:])) if losses else None,
        "cpu_seconds": time.process_time() - began,
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def train_panel(root: Path) -> None:
    """Train every network of the panel that is not there yet, on one thread."""
    torch.set_num_threads(1)
    root.mkdir(parents=True, exist_ok=True)
    tokenizer = root / "tokenizer.json"
    for plan in (*PANEL, *SHARED_START):
        train(plan, root / plan.name, tokenizer)
