"""How fast ``attest measure`` is, as ratios against what a user would run instead, all in one run.

Makes a BF16 checkpoint of the asked size with the shapes of a Llama-like model, then times, in turn and in several
rounds: ``openssl dgst -sha256`` on the file; ``attest measure`` (digests, exact moments, all fingerprints);
``model_signing sign key`` from a virtual environment of its own (made once, beside the data); and a script that loads
every tensor and takes ``torch.std`` of it. Prints medians, ratios and peak memory, and writes them with ``--report``.

    .venv/bin/python benchmarks/measure.py --report reports/performance.md
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.safetensors_writer import PendingTensor, write_safetensors

D_MODEL, D_FF, D_KV, VOCABULARY, HEADS, KV_HEADS = 2048, 5632, 512, 32000, 16, 4
PEERS = ("model-signing==1.1.1", "pyOpenSSL")
TORCH_STD = """
import sys
from safetensors import safe_open
import torch
with safe_open(sys.argv[1], framework="pt") as file:
    for name in file.keys():
        torch.std(file.get_tensor(name).float())
"""


@dataclass(kw_only=True)
class Contender:
    """A command, and what its rounds took: wall and CPU seconds, peak resident bytes."""

    name: str
    command: Sequence[str]
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    peak: int = 0

    def run(self) -> None:
        """Run once and remember."""
        began = time.perf_counter()
        with subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            message = process.stderr.read().decode() if process.stderr else ""
        if process.returncode:
            raise SystemExit(f"{self.name} failed: {message}")
        self.walls.append(time.perf_counter() - began)
        self.cpus.append(usage.ru_utime + usage.ru_stime)
        self.peak = max(self.peak, usage.ru_maxrss * 1024)


def shapes(gigabytes: float) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a Llama-like model of about that size."""
    layer = {
        "self_attn.q_proj": (D_MODEL, D_MODEL), "self_attn.k_proj": (D_KV, D_MODEL),
        "self_attn.v_proj": (D_KV, D_MODEL), "self_attn.o_proj": (D_MODEL, D_MODEL),
        "mlp.gate_proj": (D_FF, D_MODEL), "mlp.up_proj": (D_FF, D_MODEL), "mlp.down_proj": (D_MODEL, D_FF),
        "input_layernorm": (D_MODEL,), "post_attention_layernorm": (D_MODEL,),
    }  # fmt: skip
    each = sum(int(np.prod(shape)) for shape in layer.values()) * 2
    outside = 2 * VOCABULARY * D_MODEL * 2
    yield "model.embed_tokens.weight", (VOCABULARY, D_MODEL)
    for number in range(max(1, round((gigabytes * 1e9 - outside) / each))):
        for name, shape in layer.items():
            yield f"model.layers.{number}.{name}.weight", shape
    yield "model.norm.weight", (D_MODEL,)
    yield "lm_head.weight", (VOCABULARY, D_MODEL)


def values(shape: tuple[int, ...], seed: int) -> Iterator[NDArray[np.uint16]]:
    """BF16 codes of normal values, in bands of rows."""
    rng = np.random.default_rng(seed)
    rows = shape[0] if len(shape) > 1 else 1
    for begin in range(0, rows, 1024):
        band = (min(1024, rows - begin), *shape[1:]) if len(shape) > 1 else shape
        normal = rng.standard_normal(band, dtype=np.float32) * np.float32(0.02)
        yield ((normal if len(shape) > 1 else 1 + normal).view(np.uint32) >> 16).astype(np.uint16)


def make_checkpoint(folder: Path, gigabytes: float) -> Path:
    """Write the checkpoint once."""
    pending = [
        PendingTensor(name=name, dtype="BF16", shape=shape, pieces=partial(values, shape, seed))
        for seed, (name, shape) in enumerate(shapes(gigabytes))
    ]
    write_safetensors(folder / "model.safetensors", pending, {"format": "pt"})
    config = {"num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "hidden_size": D_MODEL}
    (folder / "config.json").write_text(json.dumps(config))
    return folder / "model.safetensors"


def contenders(work: Path, checkpoint: Path, file: Path) -> list[Contender]:
    """Commands to time; the peer signs with a key made by openssl."""
    peer = work / "peer"
    if not (peer / "bin" / "model_signing").exists():
        subprocess.run([sys.executable, "-m", "venv", str(peer)], check=True)
        subprocess.run([str(peer / "bin" / "pip"), "install", "--quiet", *PEERS], check=True)
    key = work / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(key)], check=True
    )
    return [
        Contender(name="openssl dgst -sha256", command=["openssl", "dgst", "-sha256", str(file)]),
        Contender(
            name="attest measure",
            command=[sys.executable, "-m", "attest", "measure", str(checkpoint), "-o", str(work / "out"), "--force"],
        ),
        Contender(
            name="model_signing sign key",
            command=[
                str(peer / "bin" / "model_signing"),
                "sign",
                "key",
                "--private_key",
                str(key),
                "--signature",
                str(work / "model.sig"),
                str(checkpoint),
            ],
        ),
        Contender(name="torch.std of every tensor", command=[sys.executable, "-c", TORCH_STD, str(file)]),
    ]


def table(timed: Sequence[Contender], size: int, rounds: int) -> str:
    """Medians and ratios as a Markdown table."""
    base = statistics.median(timed[0].walls)
    lines = [
        f"{size / 1e9:.2f} GB BF16, one file, warm cache, {rounds} rounds in turn.",
        f"{len(os.sched_getaffinity(0))} cores ({platform.machine()}), Python {platform.python_version()}.",
        "",
        "| command | wall s, median | range | CPU s | times openssl | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    for one in timed:
        wall = statistics.median(one.walls)
        lines.append(
            f"| `{one.name}` | {wall:.2f} | {min(one.walls):.2f} to {max(one.walls):.2f} | {statistics.median(one.cpus):.2f}"
            f" | {wall / base:.2f} | {one.peak / 1e6:.0f} |"
        )
    medians = {one.name: statistics.median(one.walls) for one in timed}
    both = medians["model_signing sign key"] + medians["torch.std of every tensor"]
    lines += [
        "",
        f"`attest measure` against `model_signing sign key` and then `torch.std`: {both / medians['attest measure']:.2f} times as fast.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Make the data, time everything, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=Path, help="folder to keep data and peer in between runs")
    parser.add_argument("--report", type=Path, help="file to write the result to")
    options: Any = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="attest-benchmark-"))
    checkpoint = work / f"checkpoint-{options.gigabytes:g}"
    try:
        file = checkpoint / "model.safetensors"
        if not file.exists():
            make_checkpoint(checkpoint, options.gigabytes)
        timed = contenders(work, checkpoint, file)
        for one in timed:
            one.run()
            one.walls.clear()
            one.cpus.clear()
        for _ in range(options.rounds):
            for one in timed:
                one.run()
        result = table(timed, file.stat().st_size, options.rounds)
        print(result)
        if options.report:
            command = (
                f"`.venv/bin/python benchmarks/measure.py --gigabytes {options.gigabytes:g} --rounds {options.rounds}`"
            )
            options.report.write_text(f"# Speed of measuring\nMade by {command}.\n\n{result}\n", encoding="utf-8")
    finally:
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
