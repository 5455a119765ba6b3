"""How fast ``attest measure`` is, as ratios against what a user would run instead, all in one run.

Every scenario makes a checkpoint with the shapes of a Llama-like model and times, in turn and in several rounds:
``openssl dgst -sha256`` on its files; ``attest measure`` (digests, exact moments, all fingerprints);
``model_signing sign key`` from a virtual environment of its own; and a script that loads every tensor and takes
``torch.std`` of it; and, where ``--provenancekit`` names the Python of an environment that has it, the extraction of
weight signals by Cisco's provenancekit 1.0.0. Cold scenarios drop the files from the page cache before every run and time
``cat`` besides, which gives the disk's rate; one of them holds the disk to 200 MB a second, which needs root, and is left
out with a word where that cannot be done. Python keeps bytecode, as it does for users. Data are removed behind the last scenario that needs them, unless ``--work`` keeps them; the
largest take 4 GB. Prints medians, ratios and peak memory, and where the time goes; writes them with ``--report``.

    .venv/bin/python benchmarks/measure.py --report reports/performance/zen4.md
    .venv/bin/python benchmarks/measure.py --scenario bf16 --rounds 9
    .venv/bin/python benchmarks/measure.py --provenancekit /path/to/its/bin/python
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from limited_disk import limited
from numpy.typing import NDArray

from attest.checkpoint.safetensors_writer import PendingTensor, write_safetensors

D_MODEL, D_FF, D_KV, VOCABULARY, HEADS, KV_HEADS = 2048, 5632, 512, 32000, 16, 4
SMALL_FILE = 4096
PEERS = ("model-signing==1.1.1", "pyOpenSSL")
MEASURE, SIGN, STD, HASH, PEER = (
    "attest measure",
    "model_signing sign key",
    "torch.std of every tensor",
    "openssl dgst -sha256",
    "provenancekit, weight signals",
)
TORCH_STD = """
import sys
from safetensors import safe_open
import torch
for path in sys.argv[1:]:
    with safe_open(path, framework="pt") as file:
        for name in file.keys():
            torch.std(file.get_tensor(name).float())
"""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
PROVENANCEKIT = """
import sys
from provenancekit.core.signals.weight_signals import extract_signals
from provenancekit.services.model_loader import load_state_dict
loaded = load_state_dict(sys.argv[1])
extract_signals(loaded.state_dict, loaded.config, tokenizer=None, vocab=None)
"""
"""What it does to one checkpoint, without its tokenizer; below 20 GB it loads all tensors at once."""

STAGES = """
import sys, threading, time
from collections import defaultdict
from pathlib import Path
from attest.measure import measure
from attest.sweep import accumulator, segment
reader, spent, lock = sys.modules["attest.sweep.sweep"], defaultdict(float), threading.Lock()
def clock(owner, name, stage):
    plain = getattr(owner, name)
    def timed(*arguments, **named):
        began = time.thread_time()
        result = plain(*arguments, **named)
        with lock:
            spent[stage] += time.thread_time() - began
        return result
    setattr(owner, name, timed)
clock(reader._FileReader, "_read", "read")
clock(reader._FileReader, "_hash", "SHA-256 of files")
clock(segment.Segment, "hash", "SHA-256 of chunks")
clock(accumulator, "count_codes", "exact counts")
clock(accumulator, "sum_exponents", "exact sums by exponent")
clock(accumulator, "sum_rows", "norms and sketches")
clock(accumulator, "digest_rows", "digests of rows")
measure(Path(sys.argv[1]))
began = time.process_time()
spent.clear()
measure(Path(sys.argv[1]))
spent["all else"] = time.process_time() - began - sum(spent.values())
for stage, seconds in spent.items():
    print(stage, seconds, sep="\\t")
"""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A checkpoint to measure, and how."""

    name: str
    says: str
    gigabytes: float = 1.0
    dtype: str = "BF16"
    shards: int = 1
    tensors: int = 0
    small_files: int = 0
    cold: bool = False
    disk_rate: int = 0

    @property
    def data(self) -> str:
        """Name of the folder: scenarios that differ in nothing else share their data."""
        return f"{self.gigabytes:g}-{self.dtype}-{self.shards}-{self.tensors}-{self.small_files}".lower()


SCENARIOS = (
    Scenario(name="bf16", says="1 GB BF16 in one file"),
    Scenario(name="f32", says="1 GB F32 in one file", dtype="F32"),
    Scenario(name="shards", says="1 GB BF16 in eight files", shards=8),
    Scenario(name="4gb", says="4 GB BF16 in one file", gigabytes=4.0),
    Scenario(name="tensors", says="1 GB BF16 in 10,000 tensors", tensors=10_000),
    Scenario(name="files", says="1 GB BF16 beside 1,000 small files", small_files=1000),
    Scenario(name="cold", says="1 GB BF16 in one file, not in the page cache", cold=True),
    Scenario(
        name="slow-disk",
        says="1 GB BF16 in one file, not in the page cache, on a disk held to 200 MB a second",
        cold=True,
        disk_rate=200_000_000,
    ),
)


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
        with subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT
        ) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            message = process.stderr.read().decode() if process.stderr else ""
        if process.returncode:
            raise SystemExit(f"{self.name} failed: {message}")
        self.walls.append(time.perf_counter() - began)
        self.cpus.append(usage.ru_utime + usage.ru_stime)
        self.peak = max(self.peak, usage.ru_maxrss * 1024)


def shapes(scenario: Scenario) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a Llama-like model of about that size, or of many matrices."""
    item = 4 if scenario.dtype == "F32" else 2
    if scenario.tensors:
        rows = max(1, int(scenario.gigabytes * 1e9) // (scenario.tensors * item * 256))
        yield from ((f"blocks.{number}.weight", (rows, 256)) for number in range(scenario.tensors))
        return
    layer = {
        "self_attn.q_proj": (D_MODEL, D_MODEL), "self_attn.k_proj": (D_KV, D_MODEL),
        "self_attn.v_proj": (D_KV, D_MODEL), "self_attn.o_proj": (D_MODEL, D_MODEL),
        "mlp.gate_proj": (D_FF, D_MODEL), "mlp.up_proj": (D_FF, D_MODEL), "mlp.down_proj": (D_MODEL, D_FF),
        "input_layernorm": (D_MODEL,), "post_attention_layernorm": (D_MODEL,),
    }  # fmt: skip
    each = sum(int(np.prod(shape)) for shape in layer.values()) * item
    outside = 2 * VOCABULARY * D_MODEL * item
    yield "model.embed_tokens.weight", (VOCABULARY, D_MODEL)
    for number in range(max(1, round((scenario.gigabytes * 1e9 - outside) / each))):
        for name, shape in layer.items():
            yield f"model.layers.{number}.{name}.weight", shape
    yield "model.norm.weight", (D_MODEL,)
    yield "lm_head.weight", (VOCABULARY, D_MODEL)


def values(shape: tuple[int, ...], seed: int, dtype: str) -> Iterator[NDArray[Any]]:
    """Normal values, in bands of rows, as binary32 or as BF16 codes."""
    rng = np.random.default_rng(seed)
    rows = shape[0] if len(shape) > 1 else 1
    for begin in range(0, rows, 1024):
        band = (min(1024, rows - begin), *shape[1:]) if len(shape) > 1 else shape
        normal = rng.standard_normal(band, dtype=np.float32) * np.float32(0.02)
        wide = normal if len(shape) > 1 else 1 + normal
        yield wide if dtype == "F32" else (wide.view(np.uint32) >> 16).astype(np.uint16)


def make_checkpoint(folder: Path, scenario: Scenario) -> None:
    """Write the checkpoint once; a folder that is there is whole but for its configuration, which may be of before."""
    if folder.exists():
        write_config(folder, scenario)
        return
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    pending = [
        PendingTensor(name=name, dtype=scenario.dtype, shape=shape, pieces=partial(values, shape, seed, scenario.dtype))
        for seed, (name, shape) in enumerate(shapes(scenario))
    ]
    for shard in range(scenario.shards):
        name = "model" if scenario.shards == 1 else f"model-{shard + 1:05}-of-{scenario.shards:05}"
        write_safetensors(temporary / f"{name}.safetensors", pending[shard :: scenario.shards], {"format": "pt"})
    for number in range(scenario.small_files):
        (temporary / f"file-{number:04}.txt").write_bytes(os.urandom(SMALL_FILE))
    write_config(temporary, scenario)
    temporary.rename(folder)


def write_config(folder: Path, scenario: Scenario) -> None:
    """Write the configuration of the network."""
    layers = sum(name.endswith("q_proj.weight") for name, _ in shapes(scenario))
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "hidden_size": D_MODEL, "intermediate_size": D_FF, "num_hidden_layers": layers,
        "vocab_size": VOCABULARY,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))


def make_peer(work: Path) -> tuple[Path, Path]:
    """The peer's program in an environment of its own, and a key for it."""
    peer, key = work / "peer", work / "key.pem"
    if not (peer / "bin" / "model_signing").exists():
        subprocess.run([sys.executable, "-m", "venv", str(peer)], check=True)
        subprocess.run([str(peer / "bin" / "pip"), "install", "--quiet", *PEERS], check=True)
    if not key.exists():
        curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        subprocess.run(["openssl", "genpkey", *curve, "-out", str(key)], check=True)
    return peer / "bin" / "model_signing", key


def contenders(work: Path, folder: Path, scenario: Scenario, kit: Path | None) -> list[Contender]:
    """Commands to time, the base of all ratios first."""
    files = [str(file) for file in sorted(folder.iterdir())]
    weights = [file for file in files if file.endswith(".safetensors")]
    measured = [sys.executable, "-m", "attest", "measure", str(folder), "-o", str(work / "out"), "--force"]
    hashed = Contender(name=HASH, command=["openssl", "dgst", "-sha256", *files])
    if scenario.cold:
        return [hashed, Contender(name="cat", command=["cat", *files]), Contender(name=MEASURE, command=measured)]
    program, key = make_peer(work)
    signed = [program, "sign", "key", "--private_key", key, "--signature", work / "model.sig", folder]
    found = [
        hashed,
        Contender(name=MEASURE, command=measured),
        Contender(name=SIGN, command=list(map(str, signed))),
        Contender(name=STD, command=[sys.executable, "-c", TORCH_STD, *weights]),
    ]
    if kit is not None and not scenario.tensors:
        found.append(Contender(name=PEER, command=[str(kit), "-c", PROVENANCEKIT, str(folder)]))
    return found


def forget(folder: Path) -> None:
    """Drop the files from the page cache."""
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(scenario: Scenario, work: Path, rounds: int, kit: Path | None) -> str:
    """Run a scenario; its section of the report."""
    folder = work / scenario.data
    make_checkpoint(folder, scenario)
    before: Callable[[], None] = partial(forget, folder) if scenario.cold else lambda: None
    runs = contenders(work, folder, scenario, kit)
    with ExitStack() as stack:
        if scenario.disk_rate:
            try:
                enter = stack.enter_context(limited(folder, scenario.disk_rate))
            except OSError as error:
                return f"## {scenario.says}\nNot run: the disk cannot be held to a rate here ({error.strerror}).\n"
            for one in runs:
                one.command = [*enter, *one.command]
        _run_in_turn(runs, rounds, before)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return "\n".join([f"## {scenario.says}", *table(runs, size)])


def _run_in_turn(runs: Sequence[Contender], rounds: int, before: Callable[[], None]) -> None:
    """Run all, round after round; the first is not counted."""
    for number in range(rounds + 1):
        for one in runs:
            before()
            one.run()
            if number == 0:
                one.walls.clear()
                one.cpus.clear()


def table(runs: Sequence[Contender], size: int) -> Iterator[str]:
    """Medians and ratios."""
    medians = {one.name: statistics.median(one.walls) for one in runs}
    yield f"{size / 1e9:.2f} GB, {len(runs[0].walls)} rounds in turn after one that is not counted."
    yield ""
    yield "| command | wall s, median | range | CPU s | times openssl | peak MB |"
    yield "|---|---|---|---|---|---|"
    for one in runs:
        yield (
            f"| `{one.name}` | {medians[one.name]:.2f} | {min(one.walls):.2f} to {max(one.walls):.2f}"
            f" | {statistics.median(one.cpus):.2f} | {medians[one.name] / medians[HASH]:.2f} | {one.peak / 1e6:.0f} |"
        )
    yield ""
    if SIGN in medians:
        ratio = (medians[SIGN] + medians[STD]) / medians[MEASURE]
        yield f"`{MEASURE}` is {ratio:.2f} times as fast as `{SIGN}` and then `torch.std`."
        if PEER in medians:
            yield f"It is {medians[PEER] / medians[MEASURE]:.2f} times as fast as provenancekit, which digests nothing."
    else:
        yield f"`{MEASURE}` takes {medians[MEASURE] / medians['cat']:.2f} times as long as `cat`, which is the disk's rate."
    yield ""


def stages(work: Path) -> str:
    """CPU seconds of every stage, by dtype."""
    lines = ["## Where the time goes", "CPU time in ns a byte of one warm run, all threads together.", ""]
    lines += ["| stage | 1 GB BF16 | 1 GB F32 |", "|---|---|---|"]
    columns: list[dict[str, float]] = []
    for scenario in SCENARIOS[:2]:
        folder = work / scenario.data
        make_checkpoint(folder, scenario)
        size = sum(file.stat().st_size for file in folder.iterdir())
        done = subprocess.run([sys.executable, "-c", STAGES, str(folder)], check=True, capture_output=True, text=True)
        rows = (line.split("\t") for line in done.stdout.splitlines())
        columns.append({stage: float(seconds) * 1e9 / size for stage, seconds in rows})
    for stage in dict.fromkeys(stage for column in columns for stage in column):
        lines.append(f"| {stage} | " + " | ".join(f"{column.get(stage, 0):.2f}" for column in columns) + " |")
    return "\n".join([*lines, ""])


def processor() -> str:
    """What the processor calls itself, with family and model where Linux says them: ratios depend on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    words = [facts[key] if key == "model name" else f"{key} {facts[key]}"
             for key in ("model name", "cpu family", "model") if key in facts]  # fmt: skip
    return ", ".join([platform.machine(), *words])


def main() -> None:
    """Make the data, time everything, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", action="append", choices=[one.name for one in SCENARIOS], help="all by default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=Path, help="folder to keep data and peer in between runs")
    parser.add_argument("--report", type=Path, help="file to write the result to")
    parser.add_argument("--provenancekit", type=Path, help="Python of an environment that has provenancekit 1.0.0")
    options: Any = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="attest-benchmark-"))
    chosen = [one for one in SCENARIOS if not options.scenario or one.name in options.scenario]
    machine = f"{len(os.sched_getaffinity(0))} cores ({processor()}), Python {platform.python_version()}."
    sections = [f"# Speed of measuring\nMade by `benchmarks/measure.py --rounds {options.rounds}`. {machine}\n"]
    try:
        for place, scenario in enumerate(chosen):
            sections.append(timed(scenario, work, options.rounds, options.provenancekit))
            print(sections[-1], flush=True)
            still_needed = {one.data for one in (*chosen[place + 1 :], *SCENARIOS[:2])}
            if options.work is None and scenario.data not in still_needed:
                shutil.rmtree(work / scenario.data)
        sections.append(stages(work))
        print(sections[-1])
    finally:
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text("\n".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
