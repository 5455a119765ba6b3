"""What comparing two fingerprints costs, without anybody's weights: seconds and CPU seconds of every test.

Makes fingerprints with the shapes of a Llama-like network, of a descendant (a little noise, and one row in a hundred
as it was) and of a stranger, compares the pairs, and prints the size of what is shared. No checkpoint is made. Then the
fingerprints are written as evidence, and ``attest compare`` is run on it, as somebody would: with its start and its reading.

    .venv/bin/python benchmarks/compare_fingerprints.py
    .venv/bin/python benchmarks/compare_fingerprints.py --layers 40 --width 5120 --neurons 17408 --vocabulary 151936
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.arrays import pack_arrays
from attest.compare import TESTS
from attest.compare.fingerprints import Fingerprints
from attest.comparison import Side
from attest.digest import sha256
from attest.document import canonical
from attest.evidence import TENSORS_NAME, Architecture, FingerprintSummary, Moments, TensorList, TensorRow
from attest.evidence_directory import describe_detail, write_evidence
from attest.fingerprint import NUMBERS, sampling_shift
from attest.measure import Measurement, measure

Arrays = dict[str, dict[str, NDArray[Any]]]

_TEMPLATE = Path(__file__).parent.parent / "tests" / "data" / "family" / "seed-1"
"""A checkpoint whose evidence gives the rest of what evidence holds."""

GOAL = 5.0

_MOMENTS = Moments(
    n=16_777_216, mean="0", std="0.02", skewness="0", excess_kurtosis="0", minimum="-0.1", maximum="0.1", zeros=0, nans=0,
    infinities=0, quantiles=("-0.06", "-0.05", "-0.01", "0", "0.01", "0.05", "0.06"), distinct=10_000,
)  # fmt: skip


def tensors(options: argparse.Namespace) -> Iterator[TensorRow]:
    """The matrices and norms of the network."""
    width, neurons = options.width, options.neurons
    in_layer = {
        "q": (width, width), "k": (options.keys, width), "v": (options.keys, width), "o": (width, width),
        "gate": (neurons, width), "up": (neurons, width), "down": (width, neurons),
        "attention_norm": (width,), "mlp_norm": (width,),
    }  # fmt: skip
    places: list[tuple[int | None, str, tuple[int, ...]]] = [
        (layer, role, shape) for layer in range(options.layers) for role, shape in in_layer.items()
    ]
    places += [(None, role, (options.vocabulary, width)) for role in ("embed", "lm_head")]
    for layer, role, shape in places:
        name = f"layers.{layer}.{role}" if layer is not None else role
        yield TensorRow(
            name=name, file="model.safetensors", begin=0, end=0, dtype="BF16", shape=shape, digest="0" * 64, role=role,
            layer=layer, expert=None, multiset=None, moments=_MOMENTS, quantization=None,
        )  # fmt: skip


def make(options: argparse.Namespace, rows: Sequence[TensorRow], seed: int) -> Arrays:
    """Fingerprints of a network drawn at random."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    arrays: Arrays = {"neuron-sketch/v1": {}, "unit-norms/v1": {}, "norm-gain/v1": {}, "attention-std/v1": {}}
    for layer in range(options.layers):
        sketch = rng.standard_normal((options.neurons, 24), np.float32) * 32
        arrays["neuron-sketch/v1"][f"layers.{layer}"] = np.clip(np.rint(sketch), -127, 127).astype(np.int8)
        sizes = {f"neuron.{role}": options.neurons for role in ("gate", "up", "down")}
        sizes |= {f"residual.{role}": options.width for role in ("q", "k", "v", "o", "gate", "up", "down")}
        sizes |= {"head.q": 32, "head.k": 32, "head.v": 32, "head.o": 32}
        for part, size in sizes.items():
            arrays["unit-norms/v1"][f"layers.{layer}.{part}"] = noisy_ones(rng, size)
        for role in ("attention_norm", "mlp_norm"):
            arrays["norm-gain/v1"][f"layers.{layer}.{role}"] = noisy_ones(rng, options.width)
    for role in "qkvo":
        arrays["attention-std/v1"][role] = rng.normal(0.02, 0.002, options.layers)
    arrays["row-digests/v2"] = {}
    matrices = [row for row in rows if len(row.shape) == 2]
    step = 1 << sampling_shift(sum(row.shape[0] for row in matrices))
    for row in matrices:
        kept = np.flatnonzero(rng.random(row.shape[0]) * step < 1)
        arrays["row-digests/v2"][row.name] = rng.integers(0, 2**64 // step, kept.size, np.uint64) * np.uint64(step)
        if step > 1:
            arrays["row-digests/v2"][NUMBERS + row.name] = kept.astype(np.int32)
    return arrays


def noisy_ones(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Positive numbers about one."""
    return 1 + rng.standard_normal(size, np.float32) * np.float32(0.05)


def descendant(parent: Arrays, seed: int) -> Arrays:
    """Fingerprints of a network trained on from the parent."""
    rng = np.random.Generator(np.random.Philox(key=seed))

    def altered(values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype == np.int32:
            return values
        if values.dtype == np.uint64:
            return np.where(rng.random(values.size) < 0.01, values, rng.permutation(values ^ np.uint64(1 << 63)))
        if values.dtype == np.int8:
            return np.clip(values + rng.integers(-3, 4, values.shape), -127, 127).astype(np.int8)
        return (values * (1 + 0.01 * rng.standard_normal(values.shape))).astype(values.dtype)

    return {one: {name: altered(values) for name, values in arrays.items()} for one, arrays in parent.items()}


def fingerprints(options: argparse.Namespace, rows: Sequence[TensorRow], name: str, arrays: Arrays) -> Fingerprints:
    """What a comparison needs."""
    side = Side(
        name=name, tree_digest=sha256(name.encode()), statement_sha256=None, parameters=0, layers=options.layers
    )
    architecture = Architecture(
        family="llama-like", layers=options.layers, d_model=options.width, d_ff=options.neurons, heads=32, kv_heads=32,
        d_head=options.width // 32, positions="rotary",
    )  # fmt: skip
    digits = "0123456789abcdef"
    named = tuple(dataclasses.replace(row, digest=digits[len(name)] * 64) for row in rows)
    return Fingerprints(side=side, architecture=architecture, tensors=named, arrays=arrays)


def timed(a: Fingerprints, b: Fingerprints) -> None:
    """Run every test on a pair and print what it took."""
    total = [0.0, 0.0]
    for test in TESTS:
        began, cpu = time.perf_counter(), time.process_time()
        outcome = test(a, b)
        spent = time.perf_counter() - began, time.process_time() - cpu
        total = [one + more for one, more in zip(total, spent, strict=True)]
        said = ", ".join(f"z {one.z} p {one.pvalue}" for one in outcome.tests) or "-"
        print(f"  {test.__name__:28} {spent[0]:6.2f} s {spent[1]:6.2f} CPU s   {said}")
    print(f"  {'all':28} {total[0]:6.2f} s {total[1]:6.2f} CPU s", flush=True)


def write(one: Fingerprints, template: Measurement, folder: Path) -> Path:
    """Evidence that holds these fingerprints."""
    details = {TENSORS_NAME: canonical(TensorList(tensors=one.tensors))}
    summaries = []
    for name, arrays in one.arrays.items():
        detail = f"detail/{name.replace('/', '.')}.safetensors"
        details[detail] = pack_arrays(arrays, {"fingerprint": name})
        summaries.append(FingerprintSummary(id=name, detail=detail, not_measured=None, table=None))
    evidence = template.evidence
    written = dataclasses.replace(
        template,
        evidence=dataclasses.replace(
            evidence,
            checkpoint=dataclasses.replace(evidence.checkpoint, name=one.side.name, tree_digest=one.side.tree_digest),
            architecture=one.architecture,
            fingerprints=tuple(summaries),
            details=tuple(describe_detail(name, "application/octet-stream", data) for name, data in details.items()),
        ),
    )
    write_evidence(folder / one.side.name, written.statement(), details)
    return folder / one.side.name


def whole_command(one: Path, other: Path) -> None:
    """Run the command on two evidence directories, twice: the first run may compile."""
    for run in ("first run", "again"):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "attest", "compare", one, other, "--format", "json"], check=True, capture_output=True
        )
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rung = json.loads(done.stdout)["conclusion"]["rung"]
        print(
            f"  attest compare, {run:16} {wall:6.2f} s {cpu:6.2f} CPU s   {rung} (goal {GOAL:.0f} s on 2 quiet cores)",
            flush=True,
        )


def sizes(arrays: Mapping[str, Mapping[str, NDArray[Any]]]) -> None:
    """Print what each file of a fingerprint takes."""
    packed = {name: len(pack_arrays(one, {})) for name, one in arrays.items()}
    for name, size in packed.items():
        print(f"  {name:28} {size / 1e6:6.1f} MB")
    print(f"  {'all':28} {sum(packed.values()) / 1e6:6.1f} MB", flush=True)


def main() -> None:
    """Make the fingerprints, compare them, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--keys", type=int, default=4096, help="rows of the matrices of keys and values")
    parser.add_argument("--neurons", type=int, default=11008)
    parser.add_argument("--vocabulary", type=int, default=32000)
    options = parser.parse_args()
    rows = list(tensors(options))
    parent = make(options, rows, 1)
    one = fingerprints(options, rows, "a", parent)
    sizes(parent)
    template = measure(_TEMPLATE)
    for name, arrays in (("descendant", descendant(parent, 2)), ("stranger", make(options, rows, 3))):
        print(name)
        other = fingerprints(options, rows, name, arrays)
        timed(one, other)
        with tempfile.TemporaryDirectory() as folder:
            whole_command(*(write(side, template, Path(folder)) for side in (one, other)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"peak memory {peak / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
