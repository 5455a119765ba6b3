"""How much activation fingerprints change with threads, instruction sets and dtype: what the stated tolerance rests on.

Usage: python benchmarks/activation_tolerance.py REPORT NAME=CHECKPOINT=PROMPT_SET[=few] ...

Every setting of the environment runs in a process of its own, with all networks, on one thread and on two; ``few``
leaves out settings that restrict more than one thing. The reference of a network is its unrestricted run on one thread.
Restrictions that a CPU does not know have no effect, so the largest set shown is that of the machine. Last each network
runs in bfloat16: what the tolerance must tell apart from float32. REPORT is written anew.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
import transformers

import attest.activation.network as running
from attest.activation import Activations, Options, compare_activations, measure_activations, read_prompts
from attest.activation.build import load_network
from attest.activation.network import do_job

ATEN = ("", "default", "avx2", "avx512")
LIBRARIES: tuple[dict[str, str], ...] = (
    {},
    {"ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE", "OPENBLAS_CORETYPE": "Nehalem"},
    {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2", "OPENBLAS_CORETYPE": "Haswell"},
    {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_CBWR": "AVX512", "OPENBLAS_CORETYPE": "SkylakeX"},
)
VALUES = {
    "rms": "`rms`",
    "mean_abs": "`mean_abs`",
    "mean_abs_by_dimension": "one dimension",
    "residual-sketch/v1 scale": "sketch scale",
    "attention-entropy/v1 entropy": "entropy",
    "predictions/v1 log_probability": "log probability",
    "residual-sketch/v1 sketch": "sketch steps",
    "neuron-activations/v1": "neuron steps",
    "predictions/v1 token": "tokens",
}
RELATIVE = 6
"""Of these, how many are held against the tolerance; others are counted in steps, or in places."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A checkpoint to run, on which prompts, and whether in few settings only."""

    name: str
    checkpoint: Path
    prompts: str
    few: bool


def environments() -> list[tuple[dict[str, str], int]]:
    """Every environment and the number of things that it restricts, the plain one first."""
    return [
        (({"ATEN_CPU_CAPABILITY": aten} if aten else {}) | libraries, bool(aten) + bool(libraries))
        for aten, libraries in itertools.product(ATEN, LIBRARIES)
    ]


def here(folder: Path, _options: Options, _progress: Callable[[int, int], None]) -> None:
    """Do a job in this process."""
    do_job(folder)


def in_bfloat16(folder: Path, _options: Options, _progress: Callable[[int, int], None]) -> None:
    """Do a job with every weight and every product in bfloat16."""

    def rounded(*arguments: object) -> object:
        network = load_network(*arguments)  # type: ignore[arg-type]  # handed on as they are
        network.module.to(torch.bfloat16)
        return network

    with patch.object(running, "load_network", rounded):
        do_job(folder)


def run(networks: Sequence[Network], restricted: int) -> dict[tuple[str, str], Activations]:
    """What networks did, by name and setting; where nothing is restricted, in bfloat16 too."""
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    done = {}
    for one in networks:
        prompts = read_prompts(one.prompts)
        for threads in (1, 2):
            if not one.few or restricted + (threads > 1) <= 1:
                options = Options(threads=threads)
                done[one.name, str(threads)] = measure_activations(one.checkpoint, prompts, options=options, start=here)
        if not restricted:
            done[one.name, "bfloat16"] = measure_activations(one.checkpoint, prompts, start=in_bfloat16)
    return done


def run_in(
    environment: Mapping[str, str], networks: Sequence[Network], restricted: int
) -> dict[tuple[str, str], Activations]:
    """The same in a new process with that environment."""
    with patch.dict(os.environ, environment), multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(run, (networks, restricted))


def differences(reference: Activations, measured: Activations) -> list[float]:
    """Largest difference of every value."""
    compared = compare_activations(reference, measured)
    return [
        max(
            (one.size for one in compared.differences if one.value == value or one.value.startswith(f"{value} ")
             or (value.endswith("token") and one.value.startswith(value))),
            default=0.0,
        )
        for value in VALUES
    ]  # fmt: skip


def cells(sizes: Sequence[float]) -> str:
    """Table cells: relative differences, then counts."""
    return " | ".join([*(f"{size:.1e}" for size in sizes[:RELATIVE]), *(f"{size:.0f}" for size in sizes[RELATIVE:])])


def section(one: Network, found: Mapping[tuple[str, str, str], Activations]) -> tuple[list[str], float]:
    """Table of a network, and its largest relative difference in float32."""
    reference = found[one.name, "no restriction", "1"]
    lines = [f"## {one.name}, `{one.prompts}`", ""]
    lines += [f"| threads | environment | {' | '.join(VALUES.values())} |", f"|---|---|{'---|' * len(VALUES)}"]
    largest = 0.0
    for (name, setting, threads), measured in found.items():
        if name == one.name and measured is not reference:
            sizes = differences(reference, measured)
            lines.append(f"| {threads} | {setting} | {cells(sizes)} |")
            largest = largest if threads == "bfloat16" else max(largest, *sizes[:RELATIVE])
    return [*lines, ""], largest


def main() -> None:
    """Run everything and write the report."""
    report = Path(sys.argv[1])
    networks = []
    for argument in sys.argv[2:]:
        name, checkpoint, prompts, *few = argument.split("=")
        networks.append(Network(name=name, checkpoint=Path(checkpoint), prompts=prompts, few=bool(few)))
    found: dict[tuple[str, str, str], Activations] = {}
    for environment, restricted in environments():
        setting = " ".join(f"{name}={value}" for name, value in environment.items()) or "no restriction"
        print(setting, flush=True)
        asked = [one for one in networks if not one.few or restricted <= 1]
        for (name, threads), measured in run_in(environment, asked, restricted).items():
            found[name, setting, threads] = measured
    sections = [section(one, found) for one in networks]
    summary = next(iter(found.values())).summary
    largest = max(size for _, size in sections)
    made = (
        f"Made by `python benchmarks/activation_tolerance.py`: torch {torch.__version__}, transformers"
        f" {transformers.__version__}, {platform.machine()} with {summary.versions['torch CPU capability']}. Each line is"
        " the largest difference from the unrestricted run on one thread: relative, or of sketches in steps, or of tokens"
        " in number."
    )
    lines = [
        "# How much activations differ between settings",
        "",
        made,
        "",
        f"Largest relative difference in float32: **{largest:.1e}**; the tolerance is made from it (decision 54).",
        "",
    ]
    for text, _ in sections:
        lines += text
    report.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
