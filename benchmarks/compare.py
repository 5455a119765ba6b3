"""What comparing costs: CPU seconds, seconds and peak memory of each scenario, each in a process of its own.

    python benchmarks/compare.py
    python benchmarks/compare.py --scenario full-matching --neurons 11008 --width 4096    # the goal is 60 s on 2 cores

``full-matching`` matches one layer of a Llama-like network with the same layer of its descendant (10 % of the deviation
added as noise, neurons in another order) and of a stranger, on whole rows: mutual nearest neighbors alone, and with the two
linear sum assignments besides. A scenario is a function in ``SCENARIOS`` that prints lines of its own and returns nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint import open_checkpoint
from attest.checkpoint.safetensors_writer import PendingTensor, write_safetensors
from attest.compare.weights.full_matching import match_layers
from attest.compare.weights.role_weights import RoleWeights


def _layer(neurons: int, width: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """One MLP and what tells its family, with Gaussian weights."""
    rng = np.random.Generator(np.random.Philox(key=seed))

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        return rng.standard_normal((rows, columns), np.float32) * np.float32(0.02)

    start = "model.layers.0."
    return {
        "model.embed_tokens.weight": matrix(256, width),
        f"{start}input_layernorm.weight": np.ones(width, np.float32),
        f"{start}post_attention_layernorm.weight": np.ones(width, np.float32),
        **{f"{start}self_attn.{role}_proj.weight": matrix(width, width) for role in "qkvo"},
        f"{start}mlp.gate_proj.weight": matrix(neurons, width),
        f"{start}mlp.up_proj.weight": matrix(neurons, width),
        f"{start}mlp.down_proj.weight": matrix(width, neurons),
    }


def _descendant(parent: Mapping[str, NDArray[np.float32]], seed: int) -> dict[str, NDArray[np.float32]]:
    """The same with noise, its neurons in another order."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    order = rng.permutation(len(parent["model.layers.0.mlp.up_proj.weight"]))
    made = {}
    for name, values in parent.items():
        noisy = values + rng.standard_normal(values.shape, np.float32) * np.float32(0.002)
        if "mlp" in name:
            noisy = noisy[:, order] if "down" in name else noisy[order]
        made[name] = noisy
    return made


def _cut_off(values: NDArray[np.float32]) -> list[NDArray[np.uint16]]:
    """BF16 codes."""
    return [(np.ascontiguousarray(values).view(np.uint32) >> np.uint32(16)).astype(np.uint16)]


def _write(weights: Mapping[str, NDArray[np.float32]], place: Path) -> None:
    """Write as BF16, cut off."""
    pending = [
        PendingTensor(name=key, dtype="BF16", shape=values.shape, pieces=partial(_cut_off, values))
        for key, values in weights.items()
    ]
    write_safetensors(place / "model.safetensors", pending)


def _make(folder: Path, neurons: int, width: int) -> None:
    parent = _layer(neurons, width, 1)
    _write(parent, folder / "parent")
    _write(_descendant(parent, 2), folder / "descendant")
    _write(_layer(neurons, width, 3), folder / "stranger")


def full_matching(arguments: argparse.Namespace) -> None:
    """One pair of layers on whole rows."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        _in_another_process(_make, folder, arguments.neurons, arguments.width)
        parent, *others = (
            RoleWeights.of(open_checkpoint(folder / one)) for one in ("parent", "descendant", "stranger")
        )
        for other in others:
            for assignment in (False, True):
                began, cpu = time.perf_counter(), time.process_time()
                found = match_layers(parent, other, 0, 0, assignment=assignment)
                spent, cpu = time.perf_counter() - began, time.process_time() - cpu
                what = "with assignments" if assignment else "nearest neighbors"
                rank = "" if found.correlation is None else f", rank correlation {found.correlation:.4f}"
                title = other.model.checkpoint.name
                print(f"{title}, {what}: share {found.share:.4f}{rank}; {spent:.1f} s, {cpu:.1f} CPU s", flush=True)


SCENARIOS: Mapping[str, Callable[[argparse.Namespace], None]] = {"full-matching": full_matching}


def _run(name: str, arguments: argparse.Namespace) -> None:
    SCENARIOS[name](arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"{name}: peak memory {peak / 2**20:.0f} MiB")


def _in_another_process(function: Callable[..., None], *arguments: Any) -> None:
    """Run it where its memory is not counted."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)


def main() -> None:
    """Run the scenarios, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="all by default")
    parser.add_argument("--neurons", type=int, default=11008)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--folder", type=Path, help="where checkpoints are made, about 1 GB")
    arguments = parser.parse_args()
    for name in arguments.scenario or SCENARIOS:
        _in_another_process(_run, name, arguments)


if __name__ == "__main__":
    main()
