"""How much an activation profile changes with threads and instruction sets: what the stated tolerance rests on.

Usage: python benchmarks/activation_tolerance.py CHECKPOINT PROMPT_SET

Each variant runs in a process of its own. The first is the reference. Restrictions that a CPU does not know have no
effect, so the largest set shown is that of the machine.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from attest.activation import Activations, compare_activations, measure_activations

ATEN = ("", "default", "avx2", "avx512")
ONEDNN_AND_MKL = (
    {},
    {"ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"},
    {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
    {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_CBWR": "AVX512"},
)


def variants() -> list[tuple[int, dict[str, str]]]:
    """Threads and environment of every run, the plain one first."""
    return [
        (threads, ({"ATEN_CPU_CAPABILITY": aten} if aten else {}) | libraries)
        for threads, aten, libraries in itertools.product((1, 2), ATEN, ONEDNN_AND_MKL)
    ]


def main() -> None:
    """Measure every variant against the first and print the largest relative differences."""
    checkpoint, prompt_set = Path(sys.argv[1]), sys.argv[2]
    plain = dict(os.environ)
    reference: Activations | None = None
    print(f"{'rms':>9} {'mean_abs':>9} {'dimension':>9}  threads, environment")
    overall = 0.0
    for threads, environment in variants():
        os.environ.update(environment)
        measured = measure_activations(checkpoint, prompt_set, threads=threads)
        os.environ.clear()
        os.environ.update(plain)
        reference = reference or measured
        found = compare_activations(reference, measured)
        overall = max(overall, found.largest)
        largest = [
            max(difference.relative for difference in found.differences if difference.value == value)
            for value in ("rms", "mean_abs", "mean_abs_by_dimension")
        ]
        setting = " ".join(f"{name}={value}" for name, value in environment.items()) or "no restriction"
        capability = measured.summary.versions["torch CPU capability"]
        print(" ".join(f"{value:9.2e}" for value in largest), f" {threads}, {setting} ({capability})", flush=True)
    print(f"largest: {overall:.2e}; stated tolerance: {found.tolerance:g}")


if __name__ == "__main__":
    main()
