"""The child's work, done in this process, where it is quicker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from attest.activation import Activations, Device, Options, measure_activations, read_prompts
from attest.activation.job import Job, Run
from attest.activation.network import do_job, run_network
from attest.activation.observer import Observed
from attest.activation.prompts import PromptSet, load_prompt_set
from attest.activation.runner import watched_matrices
from attest.activation.staging import floating_values, stage, stage_tokenizer
from attest.checkpoint import open_checkpoint
from attest.errors import CheckpointError

RANDOM = load_prompt_set("random-tokens")


def run(
    checkpoint: Path,
    folder: Path,
    prompt_set: PromptSet = RANDOM,
    *,
    stream: bool = False,
    device: Device = "cpu",
    snapshot: Path | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> tuple[Run, Mapping[str, Observed]]:
    folder.mkdir()
    opened = open_checkpoint(checkpoint)
    stage(opened, folder)
    if prompt_set.texts:
        stage_tokenizer(opened, folder)
    values = floating_values(opened)
    job = Job(
        prompt_set=prompt_set, watched=watched_matrices(opened), threads=1, seed=0, device=device, stream=stream,
        floating_values=values, memory=0, snapshot=str(snapshot) if snapshot else None, keep_seconds=0,
    )  # fmt: skip
    return run_network(folder, job, tell)


def refusal(
    checkpoint: Path, folder: Path, prompt_set: PromptSet = RANDOM, *, stream: bool = False, device: Device = "cpu"
) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        run(checkpoint, folder, prompt_set, stream=stream, device=device)
    return caught.value


def _here(folder: Path, _options: Options, _progress: Callable[[int, int], None]) -> None:
    do_job(folder)


@cache
def activations_of(checkpoint: Path, prompts: str) -> Activations:
    """What a checkpoint did on a prompt set, run in this process once."""
    return measure_activations(checkpoint, read_prompts(prompts), start=_here)
