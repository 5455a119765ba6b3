"""What a plain measurement loads: reading a gigabyte takes a second, and so could modules that it does not need."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from small_checkpoint import write_tensors

from attest.measure import measure

NOT_NEEDED = frozenset((
    "attest.activation", "attest.bundle", "attest.checkpoint.merged", "attest.compare", "attest.licenses.scan", "attest.signer",
    "attest.verify", "boto3", "concurrent.futures", "cryptography", "jinja2", "logging", "numba", "numpy.fft", "numpy.ma",
    "numpy.random", "numpy.testing", "pydantic", "scipy", "sigstore", "ssl", "tokenizers", "torch", "transformers",
    "urllib3", "yaml",
))  # fmt: skip
FIRST = frozenset({"importlib.metadata", "llvmlite"})
"""Loaded while other threads hash, and so not before the first byte is read."""

PROGRAM = """
import sys
from attest.cli import main
import attest.cli.measure
print(*sys.modules)
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0, end.code
print(*sys.modules)
"""


def test_a_plain_measurement_loads_what_it_needs_and_that_in_time(tmp_path: Path):
    matrix = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
    name = "model.layers.0.self_attn.q_proj.weight"
    (tmp_path / "checkpoint").mkdir()
    write_tensors(tmp_path / "checkpoint" / "model.safetensors", {name: matrix})
    measure(tmp_path / "checkpoint")  # loops are compiled, and kept
    measured = ["measure", tmp_path / "checkpoint", "-o", tmp_path / "evidence"]
    program = [sys.executable, "-c", PROGRAM, *map(str, measured)]
    lines = subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()
    before, after = set(lines[0].split()), set(lines[-1].split())
    assert (sorted(before & FIRST), sorted(after & FIRST)) == ([], sorted(FIRST))
    assert sorted(after & NOT_NEEDED) == []
