"""How much activation fingerprints change with threads, instruction sets and dtype: what the stated tolerance rests on.

Usage: python benchmarks/activation_tolerance.py CHECKPOINT PROMPT_SET [few]

Each variant runs in a process of its own. The first is the reference. Restrictions that a CPU does not know have no
effect, so the largest set shown is that of the machine. ``few`` leaves out combinations of restrictions. The last line
runs the network in bfloat16, in this process: what the tolerance must tell apart from float32.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

from attest.activation import Activations, Options, compare_activations, measure_activations, read_prompts
from attest.activation import build as building
from attest.activation.network import do_job

ATEN = ("", "default", "avx2", "avx512")
ONEDNN_AND_MKL = (
    {},
    {"ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"},
    {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
    {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_CBWR": "AVX512"},
)
VALUES = (
    "rms",
    "mean_abs",
    "mean_abs_by_dimension",
    "residual-sketch/v1 scale",
    "residual-sketch/v1 sketch",
    "neuron-activations/v1",
    "attention-entropy/v1 entropy",
    "predictions/v1 log_probability",
    "predictions/v1 token",
)


def variants(*, few: bool) -> list[tuple[int, dict[str, str]]]:
    """Threads and environment of every run, the plain one first."""
    everything = [
        (threads, ({"ATEN_CPU_CAPABILITY": aten} if aten else {}) | libraries)
        for threads, aten, libraries in itertools.product((1, 2), ATEN, ONEDNN_AND_MKL)
    ]
    alone = [one for one in everything if (one[0] == 2) + ("ATEN_CPU_CAPABILITY" in one[1]) + (len(one[1]) > 1) <= 1]
    return alone if few else everything


def in_bfloat16(folder: Path, _options: Options, _progress: Callable[[int, int], None]) -> None:
    """Do a job with every weight and every product in bfloat16."""
    loaded = building.load_network

    def rounded(*arguments: object) -> object:
        network = loaded(*arguments)  # type: ignore[arg-type]  # handed on as they are
        network.module.to(torch.bfloat16)
        return network

    import attest.activation.network as running  # noqa: PLC0415 - to put the rounded network in its place

    running.load_network = rounded  # type: ignore[assignment]
    try:
        do_job(folder)
    finally:
        running.load_network = loaded


def show(reference: Activations, measured: Activations, setting: str) -> float:
    """Print the largest difference of every value; the largest relative one is returned."""
    compared = compare_activations(reference, measured)
    sizes = [
        max(
            (
                one.size
                for one in compared.differences
                if one.value.startswith(value) and (value != "mean_abs" or one.value == value)
            ),
            default=0.0,
        )
        for value in VALUES
    ]
    print(" ".join(f"{size:9.2e}" for size in sizes), f" {setting}", flush=True)
    return max(
        size
        for size, value in zip(sizes, VALUES, strict=True)
        if "sketch/v1 sketch" not in value and value not in {"neuron-activations/v1", "predictions/v1 token"}
    )


def main() -> None:
    """Measure every variant against the first and print the largest differences."""
    checkpoint, prompts = Path(sys.argv[1]), read_prompts(sys.argv[2])
    plain = dict(os.environ)
    reference: Activations | None = None
    print(" ".join(f"{value.split('/')[0][-9:]:>9}" for value in VALUES), " threads, environment")
    overall = 0.0
    for threads, environment in variants(few="few" in sys.argv[3:]):
        os.environ.update(environment)
        measured = measure_activations(checkpoint, prompts, options=Options(threads=threads))
        os.environ.clear()
        os.environ.update(plain)
        reference = reference or measured
        setting = " ".join(f"{name}={value}" for name, value in environment.items()) or "no restriction"
        capability = measured.summary.versions["torch CPU capability"]
        overall = max(overall, show(reference, measured, f"{threads}, {setting} ({capability})"))
    print(f"largest: {overall:.2e}; stated tolerance: {reference.summary.tolerance if reference else '-'}", flush=True)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    if reference:
        show(reference, measure_activations(checkpoint, prompts, start=in_bfloat16), "bfloat16")


if __name__ == "__main__":
    main()
