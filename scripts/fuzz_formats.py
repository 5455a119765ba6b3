"""Fuzz the scanners of checkpoint formats, and print how long each ran and what was found.

With atheris installed the inputs are led by coverage; without it valid files are changed at random. A finding is
anything but a ``CheckpointError`` or a tensor outside of the file, and an input that takes more than ten seconds.

    python scripts/fuzz_formats.py --seconds 60
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib.util
import io
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

IS_LED = importlib.util.find_spec("atheris") is not None
if IS_LED:
    import atheris

with atheris.instrument_imports(include=["attest.checkpoint"]) if IS_LED else contextlib.nullcontext():
    from attest.checkpoint.archive import read_archive
    from attest.checkpoint.ctranslate2 import read_ctranslate2
    from attest.checkpoint.flax import read_flax
    from attest.checkpoint.format import Contents
    from attest.checkpoint.gguf import read_gguf
    from attest.checkpoint.onnx import read_onnx
    from attest.checkpoint.pickled import run_pickle
    from attest.checkpoint.safetensors import read_header
    from attest.checkpoint.use import SCOPES
    from attest.errors import CheckpointError

# these import attest too, and so they come after what must be instrumented
from other_containers import (  # noqa: E402
    Raw,
    ctranslate2_file,
    extension,
    field,
    gguf_file,
    gguf_pair,
    gguf_text,
    msgpack,
    onnx_external,
    onnx_model,
    onnx_tensor,
)
from small_checkpoint import entry, raw  # noqa: E402

MAX_LENGTH = 4096
MAX_SECONDS = 10
OTHER_FILE = "weights"
"""A second file that a model of ONNX may refer to."""

ONE = Raw(0, (2, 2), bytes(range(16)))
NUMBERS = b"\5\0\0\0" + (3).to_bytes(8, "little") + b"\1\0\0\0\2\0\0\0\3\0\0\0"
TEXTS = b"\10\0\0\0" + (2).to_bytes(8, "little") + 2 * (b"\1" + bytes(7) + b"a")


def _read_onnx(data: bytes) -> Contents:
    return read_onnx(io.BytesIO(data), file="f", size=len(data), sizes={"f": len(data), OTHER_FILE: 100})


TARGETS: Mapping[str, Callable[[bytes], Contents | object]] = {
    "safetensors": lambda data: read_header(io.BytesIO(data), file="f", size=len(data)),
    "gguf": lambda data: read_gguf(io.BytesIO(data), file="f", size=len(data)),
    "onnx": _read_onnx,
    "flax": lambda data: read_flax(io.BytesIO(data), file="f", size=len(data)),
    "ctranslate2": lambda data: read_ctranslate2(io.BytesIO(data), file="f", size=len(data)),
    "torch-archive": lambda data: read_archive(io.BytesIO(data), file="f", size=len(data)),
    "torch-pickle": lambda data: run_pickle(data, file="f"),
}


def seeds(name: str) -> list[bytes]:
    """Valid inputs."""
    if name == "gguf":
        pairs = [gguf_text("a", "b"), gguf_pair("n", 9, NUMBERS), gguf_pair("t", 9, TEXTS), gguf_pair("f", 7, b"\1")]
        return [gguf_file({"a": ONE, "b": Raw(2, (1, 32), bytes(18)), "c": Raw(42, (7,), bytes(32))}, pairs)]
    if name == "onnx":
        inside, outside = field(9, bytes(16)), onnx_external(OTHER_FILE, 4, 16)
        made = [
            onnx_tensor("a", 1, [2, 2], inside),
            onnx_tensor("b", 1, [4], outside),
            onnx_tensor("c", 7, [1], field(7, b"\1")),
            onnx_tensor("a_zero_point", 2, [2], field(5, b"\1\x81\1")),
        ]
        node = field(1, "x") + field(1, "a") + field(2, "y") + field(3, "/layers.0/up/MatMul") + field(4, "MatMul")
        node += field(5, field(1, "K") + field(3, 2)) + field(9, field(1, SCOPES) + field(2, "['', 'a.0.b', 'c']"))
        return [onnx_model(*made, graph=field(1, node), model=field(14, field(1, "k") + field(2, "v")))]
    if name == "flax":
        scalar = b"\x81\xa1s" + extension(3, msgpack([[], "int64", bytes(8)]))
        return [scalar, msgpack({"a": {"b": Raw("float32", (2, 2), ONE.data)}, "n": -5, "t": "x", "l": [True, None]})]
    if name == "ctranslate2":
        return [ctranslate2_file({"a": ONE, "b": Raw(1, (3,), b"abc")}, {"c": "a"})]
    if name == "safetensors":
        return [raw({"a": entry(), "b": entry("BF16", [2, 3], 4, 16), "__metadata__": {"k": "v"}}, bytes(16))]
    return _torch_seeds(name)


def _torch_seeds(name: str) -> list[bytes]:
    import pickle  # noqa: PLC0415 - writes, and never reads
    import zipfile  # noqa: PLC0415

    value = {"a": [1, 2.5, None, True], "b": ("x", b"y", {1, 2}), "c": {"d": 2**70}}
    pickles = [pickle.dumps(value, protocol=protocol) for protocol in (2, 4, 5)]
    if name == "torch-pickle":
        return pickles
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickles[0])
        archive.writestr("archive/data/0", ONE.data)
    return [stream.getvalue()]


def try_input(name: str, data: bytes) -> None:
    """Read an input; raises where that ends in anything but contents or a refusal."""
    try:
        contents = TARGETS[name](data)
    except CheckpointError:
        return
    if isinstance(contents, Contents):
        sizes = {"f": len(data), OTHER_FILE: 100}
        outside = [one for one in contents.tensors if not 0 <= one.begin <= one.end <= sizes[one.file]]
        if outside:
            raise AssertionError(f"outside of the file: {outside}")


def run_atheris(name: str, seconds: int) -> None:
    """Fuzz led by coverage; ends the process."""
    corpus = Path(tempfile.mkdtemp(prefix="corpus-"))
    for number, seed in enumerate(seeds(name)):
        (corpus / str(number)).write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-timeout={MAX_SECONDS}", f"-max_len={MAX_LENGTH}", "-rss_limit_mb=2000"]
    atheris.Setup(
        [sys.argv[0], *options, f"-artifact_prefix={tempfile.gettempdir()}/", str(corpus)],
        lambda data: try_input(name, data),
    )
    atheris.Fuzz()


def run_changes(name: str, seconds: int) -> None:
    """Change valid inputs at random."""
    rng = random.Random(name)  # noqa: S311 - repeatable, not secret
    kept, count, end = seeds(name), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = bytearray(rng.choice(kept))
        for _ in range(rng.randint(1, 8)):
            _change(data, rng)
        faulthandler.dump_traceback_later(MAX_SECONDS, exit=True)
        try:
            try_input(name, bytes(data[:MAX_LENGTH]))
        except BaseException:
            print(f"input: {bytes(data[:MAX_LENGTH])!r}")
            raise
        faulthandler.cancel_dump_traceback_later()
        count += 1
    print(f"Done {count} runs in {seconds} second(s)")


def _change(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(data) + 1)
    kind = rng.randrange(5)
    if kind == 0:
        del data[place : place + rng.randint(1, 16)]
    elif kind == 1:
        data[place:place] = rng.randbytes(rng.randint(1, 8))
    elif kind == 2:
        data[place : place + 8] = rng.choice([0, 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1]).to_bytes(8, "little")
    elif kind == 3:
        begin = rng.randrange(len(data) + 1)
        data[place:place] = data[begin : begin + rng.randint(1, 64)]
    else:
        data[place : place + 1] = rng.randbytes(1)


def main() -> int:
    """Fuzz every format in a process of its own; 1 where something was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=30, help="time for each format (default: 30)")
    parser.add_argument("--format", choices=TARGETS, help="only this one")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        (run_atheris if IS_LED else run_changes)(given.format, given.seconds)
        return 0
    print(f"led by {'coverage (atheris)' if IS_LED else 'chance'}; {given.seconds} s a format\n")
    print("| format | inputs | seconds | found |\n|---|---|---|---|")
    failed = 0
    for name in [given.format] if given.format else TARGETS:
        command = [sys.executable, __file__, "--format", name, "--seconds", str(given.seconds), "--here"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - itself
        output = done.stdout + done.stderr
        runs = re.search(r"Done (\d+) runs in (\d+) second", output)
        failed += done.returncode != 0
        print(
            f"| {name} | {runs[1] if runs else '?'} | {runs[2] if runs else '?'} | {'see below' if done.returncode else 'nothing'} |"
        )
        if done.returncode:
            print(output[-4000:], file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
