"""What running a network for its activation fingerprints costs: time, memory, and overhead over the bare forward pass.

Usage: OPENBLAS_NUM_THREADS=1 python benchmarks/activations.py CHECKPOINT [SEQUENCES TOKENS THREADS]

Two things are measured. The whole of ``run_checkpoint``, with the start of the child process and of torch: wall and CPU
seconds, and the child's peak memory. And, within one process that has the network loaded, CPU seconds of the bare
forward pass against the pass with every fingerprint: both in turn, and the median of the quotients, since other work on
the machine slows both. numpy has one thread, as in the child process. The bare pass computes attention as the measured one does (``eager``: only it gives attention
probabilities); the one that transformers takes by itself (``sdpa``) is told beside it.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import transformers

from attest.activation.build import load_network, plan_network, read_configuration
from attest.activation.fingerprints import ACTIVATION_FINGERPRINTS
from attest.activation.inputs import read_inputs
from attest.activation.observer import Plan, Seen
from attest.activation.prompts import PromptSet
from attest.activation.runner import Options, run_checkpoint, watched_matrices
from attest.activation.staging import floating_values, stage
from attest.activation.whole import run_whole
from attest.checkpoint import open_checkpoint

REPEATS = 7


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of some work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def overhead(checkpoint: Path, prompts: PromptSet, threads: int) -> list[tuple[float, float, float]]:
    """CPU seconds of the bare forward pass, eager and as transformers would, and of the pass with all fingerprints."""
    import torch  # noqa: PLC0415 - heavy

    torch.set_num_threads(threads)
    opened = open_checkpoint(checkpoint)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage(opened, folder)
        config = read_configuration(folder)
        network = load_network(folder, config, plan_network(config, floating_values(opened)))
        inputs = read_inputs(folder, prompts, config)
    watched = watched_matrices(opened)
    plan = Plan(
        token_ids=inputs.token_ids,
        places=inputs.places,
        widths={one.layer: one.neurons for one in watched if one.kind == "up"},
        gated=any(one.kind == "gate" for one in watched),
        token_name=None,
    )

    def bare(attention: str) -> None:
        network.module.set_attn_implementation(attention)
        for ids in plan.token_ids:
            network.module(input_ids=torch.tensor([ids]))

    def observed() -> None:
        network.module.set_attn_implementation("eager")
        observers = [(one.kinds, one.observe(plan)) for one in ACTIVATION_FINGERPRINTS]

        def emit(seen: Seen) -> None:
            for kinds, observer in observers:
                if seen.kind in kinds:
                    observer.watch(seen)

        run_whole(network, plan, watched, emit, device="cpu", tell=lambda _: None)
        for _, observer in observers:
            observer.result()

    with torch.inference_mode():
        observed()
        return [
            (seconds(partial(bare, "eager")), seconds(partial(bare, "sdpa")), seconds(observed)) for _ in range(REPEATS)
        ]


def main() -> None:
    """Print the figures of one checkpoint."""
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    checkpoint = Path(sys.argv[1])
    sequences, tokens, threads = map(int, sys.argv[2:5]) if len(sys.argv) > 2 else (64, 64, 2)
    prompts = PromptSet(id="random-tokens", about="", sequences=sequences, tokens=tokens, texts=None)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    outcome = run_checkpoint(checkpoint, prompts, options=Options(threads=threads))
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = sum(map(len, outcome.arrays.values()))
    print(f"{sequences} sequences of {tokens} tokens, {threads} threads, load {os.getloadavg()[0]:.1f}")
    print(f"whole run: {wall:.1f} s, {cpu:.1f} CPU s, peak {outcome.run.peak_memory / 1e9:.2f} GB")
    print(f"fingerprints: {size / 1e6:.2f} MB")
    measured = overhead(checkpoint, prompts, threads)
    eager, sdpa, observed = map(min, zip(*measured, strict=True))
    print(f"forward pass: eager {eager:.2f}, sdpa {sdpa:.2f}, with fingerprints {observed:.2f} CPU s at least")
    print(f"with fingerprints over eager: {median(three / one for one, _, three in measured) - 1:+.0%}")
    print(f"with fingerprints over sdpa: {median(three / two for _, two, three in measured) - 1:+.0%}")


if __name__ == "__main__":
    main()
