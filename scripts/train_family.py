"""Train the fixture family: four tiny Qwen2 checkpoints whose ancestry is known because it was made here.

Run it as ``python scripts/train_family.py`` in an environment that has torch and transformers. One core is enough and
takes about ten minutes. The result goes to ``tests/data/family`` (see the README.md written there).

Notes
-----
``seed-1``, ``seed-2`` and ``seed-3`` differ in the seed alone, which draws both the initial weights and the order of
the batches. ``seed-1-continued`` starts from the stored BF16 weights of ``seed-1`` and goes on with other text. Training
repeats bit for bit on one machine, not across CPUs: tests may rely on who descends from whom, never on digests.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import platform
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import transformers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

DEFAULT_DESTINATION = Path(__file__).resolve().parents[1] / "tests" / "data" / "family"
BASE_SEEDS = (1, 2, 3)
CONTINUED_SEED = 101
HELD_OUT_SHARE = 20
LEFT_OUT_FOLDERS = frozenset({"site-packages", "test", "tests", "idle_test", "pydoc_data", "__pycache__"})
LEFT_OUT_PREFIXES = ("_sysconfigdata_", "config-")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a checkpoint is trained; one recipe serves the whole family."""

    base_steps: int = 1000
    continued_steps: int = 400
    warmup_steps: int = 50
    batch_size: int = 16
    window: int = 128
    peak_rate: float = 3e-3
    final_rate_share: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    gradient_norm: float = 1.0

    def rate(self, step: int, n_steps: int) -> float:
        """Learning rate of a step counted from 0: linear warm-up, then half a cosine down to the final share."""
        if step < self.warmup_steps:
            return self.peak_rate * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, n_steps - self.warmup_steps)
        cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
        return self.peak_rate * (self.final_rate_share + (1.0 - self.final_rate_share) * cosine)


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """A training text as bytes; its last twentieth is held out."""

    title: str
    n_documents: int
    text: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the whole text, 64 hexadecimal digits."""
        return hashlib.sha256(self.text).hexdigest()

    def training_tokens(self) -> NDArray[np.uint8]:
        """The byte ids before the held-out part."""
        tokens = np.frombuffer(self.text, dtype=np.uint8)
        return tokens[: len(tokens) - len(tokens) // HELD_OUT_SHARE]

    def held_out_tokens(self) -> NDArray[np.uint8]:
        """The byte ids of the held-out part."""
        tokens = np.frombuffer(self.text, dtype=np.uint8)
        return tokens[len(tokens) - len(tokens) // HELD_OUT_SHARE :]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One training to be done; without an ancestor it starts from random weights."""

    folder: Path
    seed: int
    n_steps: int
    corpus: Corpus
    ancestor: Path | None = None

    def starting_model(self) -> transformers.Qwen2ForCausalLM:
        """The float32 model before its first step, in training mode."""
        torch.manual_seed(self.seed)
        if self.ancestor is None:
            model = transformers.Qwen2ForCausalLM(family_config())
        else:
            model = transformers.Qwen2ForCausalLM.from_pretrained(self.ancestor, dtype=torch.float32)
        model.train()
        return model


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What is reported about one finished checkpoint; losses in nats a byte."""

    name: str
    seed: int
    n_steps: int
    corpus: str
    first_loss: float
    final_loss: float
    held_out_losses: tuple[float, ...]
    largest_bias: float
    median_bias: float
    seconds: float


def source_corpus() -> Corpus:
    """Read the Python source files of the running interpreter's standard library, in sorted order of their paths.

    Notes
    -----
    Left out are installed packages, tests, ``pydoc_data`` (the other corpus) and the build records
    ``_sysconfigdata_*`` and ``config-*``, which differ from machine to machine.
    """
    root = Path(sysconfig.get_path("stdlib"))
    relative = (path.relative_to(root) for path in root.rglob("*.py"))
    chosen = sorted(
        path.as_posix()
        for path in relative
        if not LEFT_OUT_FOLDERS.intersection(path.parts) and not path.as_posix().startswith(LEFT_OUT_PREFIXES)
    )
    text = b"\n".join((root / name).read_bytes() for name in chosen)
    return Corpus(title="standard library source", n_documents=len(chosen), text=text)


def documentation_corpus() -> Corpus:
    """Read the English language reference that ``pydoc_data.topics`` carries, in sorted order of its topics."""
    from pydoc_data.topics import topics  # noqa: PLC0415 - 750 kB of text, wanted only here

    text = "\n".join(topics[name] for name in sorted(topics)).encode()
    return Corpus(title="pydoc_data.topics", n_documents=len(topics), text=text)


def family_config() -> transformers.Qwen2Config:
    """The one configuration of the family: bytes as tokens, 4 layers of width 96, 4 heads over 2 key-value heads."""
    return transformers.Qwen2Config(
        vocab_size=256,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def batches(run: Run, recipe: Recipe) -> Iterator[torch.Tensor]:
    """Yield an int64 tensor of shape (batch_size, window + 1) a step, cut at places that the run's seed draws."""
    tokens = run.corpus.training_tokens()
    rng = np.random.Generator(np.random.Philox(key=run.seed))
    span = np.arange(recipe.window + 1)
    for _ in range(run.n_steps):
        starts = rng.integers(0, len(tokens) - len(span), size=recipe.batch_size)
        yield torch.from_numpy(tokens[starts[:, None] + span].astype(np.int64))


def next_byte_loss(model: torch.nn.Module, windows: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of the next byte, in nats a byte, for windows of shape (n, window + 1)."""
    logits = model(input_ids=windows[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


def held_out_loss(model: torch.nn.Module, corpus: Corpus, recipe: Recipe) -> float:
    """Mean loss in nats a byte over 128 windows spread evenly over the held-out part of a corpus."""
    tokens = corpus.held_out_tokens()
    span = np.arange(recipe.window + 1)
    starts = np.linspace(0, len(tokens) - len(span), num=128).astype(np.int64)
    windows = torch.from_numpy(tokens[starts[:, None] + span].astype(np.int64))
    with torch.no_grad():
        return float(next_byte_loss(model, windows))


def make_optimizer(model: torch.nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW that decays matrices and leaves gains and biases alone."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=recipe.betas)


def optimize(model: torch.nn.Module, run: Run, recipe: Recipe) -> list[float]:
    """Train in place and return the loss of every step, in nats a byte."""
    optimizer = make_optimizer(model, recipe)
    losses: list[float] = []
    for step, windows in enumerate(batches(run, recipe)):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step, run.n_steps)
        loss = next_byte_loss(model, windows)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_norm)
        optimizer.step()
        losses.append(float(loss.detach()))
        if (step + 1) % 100 == 0:
            mean = np.mean(losses[-50:])
            print(f"{run.folder.name} step {step + 1}/{run.n_steps} loss {mean:.4f}", file=sys.stderr, flush=True)
    return losses


def store(model: transformers.Qwen2ForCausalLM, folder: Path) -> None:
    """Write `model.safetensors` in BF16 and `config.json` to a folder, and nothing else."""
    model.bfloat16().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)


def biases(model: torch.nn.Module) -> NDArray[np.float32]:
    """The absolute values of all query, key and value biases, float32, one dimension."""
    chosen = [value.detach().float().flatten() for name, value in model.named_parameters() if name.endswith(".bias")]
    return torch.cat(chosen).abs().numpy()


def train_one(run: Run, recipe: Recipe, corpora: tuple[Corpus, Corpus]) -> Trained:
    """Train one checkpoint, store it, and measure what was stored.

    Returns
    -------
    Trained
        The losses: of the first step, the mean of the last 50 steps, and of the stored BF16 weights on the held-out
        part of each corpus.
    """
    begun = time.perf_counter()
    model = run.starting_model()
    losses = optimize(model, run, recipe)
    store(model, run.folder)
    stored = transformers.Qwen2ForCausalLM.from_pretrained(run.folder, dtype=torch.float32)
    return Trained(
        name=run.folder.name,
        seed=run.seed,
        n_steps=run.n_steps,
        corpus=run.corpus.title,
        first_loss=losses[0],
        final_loss=float(np.mean(losses[-50:])),
        held_out_losses=tuple(held_out_loss(stored, text, recipe) for text in corpora),
        largest_bias=float(biases(stored).max()),
        median_bias=float(np.median(biases(stored))),
        seconds=time.perf_counter() - begun,
    )


README = """\
# The fixture family

Four checkpoints of one configuration whose ancestry is known, because they were made for this purpose:

- `seed-1`, `seed-2`, `seed-3`: trained apart from different seeds, on the same text with the same recipe.
  Independent of each other by construction, and alike in everything that is not lineage.
- `seed-1-continued`: `seed-1` trained further on other text, at the full learning rate. A true descendant.

Shape: `Qwen2ForCausalLM`, bytes as tokens (256 ids, no tokenizer), d_model 96, 4 layers, 4 heads of 24 over 2 key-value
heads, d_ff 256, tied embeddings, biases on query, key and value, {n_parameters:,} parameters, stored in BF16.

## How it was made

    python scripts/train_family.py

AdamW (betas {recipe.betas[0]}, {recipe.betas[1]}; weight decay {recipe.weight_decay} on matrices only), gradient norm \
clipped at {recipe.gradient_norm}, batches of {recipe.batch_size} windows
of {recipe.window} bytes, {recipe.warmup_steps} warm-up steps to a rate of {recipe.peak_rate}, then a cosine down to \
{recipe.final_rate_share:.0%} of it. The continuation starts from the stored BF16
weights with a new optimizer and runs the same schedule again.

| checkpoint | seed | steps | text | first loss | final loss | held-out, source | held-out, documentation | absolute bias: \
median, largest |
|---|---|---|---|---|---|---|---|---|
{checkpoints}

Losses are in nats a byte; ln 256 is 5.545. The final loss is the mean of the last 50 steps; the held-out losses are of
the stored BF16 weights on the last twentieth of each text. Biases start at zero.

| text | documents | bytes | sha256 |
|---|---|---|---|
{corpora}

The first text is the `.py` files of CPython {python}'s standard library in sorted order of their paths, joined by a
newline, without tests, `pydoc_data`, `_sysconfigdata_*` and `config-*`; the second is the strings of `pydoc_data.topics` in sorted
order of their keys, joined by a newline. The initial weights come from `torch.manual_seed(seed)`, the places of the
windows from NumPy's `Philox(key=seed)`. Made with CPython {python}, torch {torch}, transformers {transformers},
NumPy {numpy}, on one thread, in {minutes:.0f} minutes.

## What tests may rely on

On the relations, never on the digests: training is not bit-reproducible across CPUs, so a family made anew has other
bytes and the same ancestry. The digests below only name the files that were committed.

| file | sha256 |
|---|---|
{digests}

## License

Apache-2.0, as the rest of the project; the weights are its own work. The texts trained on are not reproduced here.
"""


def write_readme(
    destination: Path, recipe: Recipe, corpora: tuple[Corpus, Corpus], family: tuple[Trained, ...]
) -> None:
    """Write README.md of the family from what was measured while it was made."""
    rows = [
        f"| `{one.name}` | {one.seed} | {one.n_steps} | {one.corpus} | {one.first_loss:.4f} | {one.final_loss:.4f} | "
        f"{one.held_out_losses[0]:.4f} | {one.held_out_losses[1]:.4f} | {one.median_bias:.3f}, {one.largest_bias:.3f} |"
        for one in family
    ]
    files = sorted(path for one in family for path in (destination / one.name).iterdir())
    digests = [
        f"| `{path.relative_to(destination).as_posix()}` | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |"
        for path in files
    ]
    texts = [f"| {text.title} | {text.n_documents} | {len(text.text):,} | `{text.digest}` |" for text in corpora]
    n_parameters = sum(parameter.numel() for parameter in transformers.Qwen2ForCausalLM(family_config()).parameters())
    filled = README.format(
        recipe=recipe,
        n_parameters=n_parameters,
        checkpoints="\n".join(rows),
        corpora="\n".join(texts),
        digests="\n".join(digests),
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        numpy=np.__version__,
        minutes=sum(one.seconds for one in family) / 60,
    )
    (destination / "README.md").write_text(filled, encoding="utf-8")


def train_family(destination: Path, recipe: Recipe) -> tuple[Trained, ...]:
    """Train all four checkpoints into sub-folders of a destination and write its README.md."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    corpora = (source_corpus(), documentation_corpus())
    for corpus in corpora:
        print(f"{corpus.title}: {corpus.n_documents} documents, {len(corpus.text)} bytes, sha256 {corpus.digest}")
    runs = [
        Run(folder=destination / f"seed-{seed}", seed=seed, n_steps=recipe.base_steps, corpus=corpora[0])
        for seed in BASE_SEEDS
    ]
    runs.append(
        Run(
            folder=destination / "seed-1-continued",
            seed=CONTINUED_SEED,
            n_steps=recipe.continued_steps,
            corpus=corpora[1],
            ancestor=destination / "seed-1",
        )
    )
    family: list[Trained] = []
    for run in runs:
        family.append(train_one(run, recipe, corpora))
        print(family[-1], flush=True)
    write_readme(destination, recipe, corpora, tuple(family))
    return tuple(family)


def main() -> None:
    """Read the command line and train the family."""
    parser = argparse.ArgumentParser(description="Train the fixture family of tests/data/family.")
    parser.add_argument("--destination", type=Path, default=DEFAULT_DESTINATION, help="folder to write to")
    parser.add_argument("--steps", type=int, default=Recipe().base_steps, help="steps of a base checkpoint")
    parser.add_argument(
        "--continued-steps", type=int, default=Recipe().continued_steps, help="steps of the continuation"
    )
    arguments = parser.parse_args()
    recipe = Recipe(base_steps=arguments.steps, continued_steps=arguments.continued_steps)
    train_family(arguments.destination, recipe)


if __name__ == "__main__":
    main()
