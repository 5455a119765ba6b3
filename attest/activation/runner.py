"""Running a checkpoint's network in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias

from attest.activation.job import (
    JOB_NAME,
    REFUSAL_NAME,
    RUN_NAME,
    Device,
    Job,
    Refusal,
    Run,
    Watched,
    arrays_name,
)
from attest.activation.prompts import PromptSet
from attest.activation.staging import floating_values, stage, stage_tokenizer
from attest.architecture import place_tensors
from attest.checkpoint import Checkpoint, open_checkpoint
from attest.checkpoint.source import Location
from attest.document import canonical, load, parse
from attest.errors import CheckpointError, InputError
from attest.finding import Finding

__all__ = ["DEFAULT_OPTIONS", "SEED", "Options", "Outcome", "Start", "run_checkpoint", "watched_matrices"]

SEED = 0

Start: TypeAlias = "Callable[[Path, Options, Callable[[int, int], None]], None]"

_NEEDED = ("torch", "transformers", "tokenizers")
_MAX_THREADS = 1024
_TIME_LIMIT = 3600
_MAX_RUN = 256 * 1024 * 1024
_BASE_MEMORY = 8 * 1024**3
_MEMORY_A_THREAD = 256 * 1024**2
_BYTES_A_VALUE = 12
_KEEP_SECONDS = 20
_SHOWN_ERROR = 300
_SHOWN_TEXT = 500
_GIVEN_BACK = str(256 * 1024)
"""Bytes from which glibc gives memory back at once: else what a block leaves behind stays as fragments."""

_ERRORS_NAME = "errors.txt"
_MAX_ERRORS = 64 * 1024
_OUT_OF_MEMORY = ("MemoryError", "allocate memory", "out of memory")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How a network is run.

    Parameters
    ----------
    threads : int
        CPU threads of torch, 1 to 1,024. One repeats best.
    device : Device
    stream : bool
        Whether to hold one block in memory at a time.
    """

    threads: int = 1
    device: Device = "cpu"
    stream: bool = False


DEFAULT_OPTIONS = Options()


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A run, the arrays of each fingerprint as safetensors files, and what a reader should know about it."""

    run: Run
    arrays: Mapping[str, bytes]
    findings: tuple[Finding, ...]


def run_checkpoint(
    path: Location,
    prompt_set: PromptSet,
    *,
    options: Options = DEFAULT_OPTIONS,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    start: Start | None = None,
    snapshot: Path | None = None,
) -> Outcome:
    """Run a checkpoint's network on a prompt set, with transformers' own code and nobody else's.

    Parameters
    ----------
    path : Path or str
        Folder with ``config.json``, safetensors files, and ``tokenizer.json`` where the prompt set holds texts.
    prompt_set : PromptSet
    options : Options
    progress : callable
        Told the steps done and the steps there are.
    start : callable, optional
        Does the job in a folder; a child process by default. A caller that trusts its checkpoints may do many in one.
    snapshot : Path, optional
        A file of this checkpoint alone, in a folder of the user's own, for what the run had got to: a run that was
        killed goes on from there.

    Raises
    ------
    InputError
        torch or transformers is not installed, or the number of threads is out of range.
    CheckpointError
        The checkpoint cannot be read, would need code of its own, does not fill its configuration, or fails to run.
    """
    _check_installed()
    if not 1 <= options.threads <= _MAX_THREADS:
        raise InputError("bad-threads", f"{options.threads} threads", fix=f"give a number from 1 to {_MAX_THREADS}")
    if options.stream and options.device != "cpu":
        raise InputError("stream-on-cpu", "blocks are run on the CPU", fix="leave --device or --stream out")
    checkpoint = open_checkpoint(path)
    values = floating_values(checkpoint)
    job = Job(
        prompt_set=prompt_set,
        watched=watched_matrices(checkpoint),
        threads=options.threads,
        seed=SEED,
        device=options.device,
        stream=options.stream,
        floating_values=values,
        memory=_BASE_MEMORY + _MEMORY_A_THREAD * options.threads + _BYTES_A_VALUE * values,
        snapshot=str(snapshot.resolve()) if snapshot else None,
        keep_seconds=_KEEP_SECONDS,
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="attest-")))
        for file in checkpoint.layouts:
            stack.enter_context(checkpoint.tree.open(file))
        findings = stage(checkpoint, folder)
        if prompt_set.texts is not None:
            stage_tokenizer(checkpoint, folder)
        (folder / JOB_NAME).write_bytes(canonical(job))
        (start or _start)(folder, options, progress)
        run, arrays = _collect(folder)
    found = (*findings, *_cut(prompt_set, run), *_unused(checkpoint, run, values), *_resumed(options, run))
    return Outcome(run=run, arrays=arrays, findings=found)


def watched_matrices(checkpoint: Checkpoint) -> tuple[Watched, ...]:
    """Matrices that feed the neurons of the main stack's dense MLPs."""
    watched = []
    for (role, layer), part in place_tensors(checkpoint).index.items():
        if layer is not None and role in {"gate", "up"} and len(part.stored_shape) == 2:
            neurons, rows = part.stored_shape[part.axis], part.rows
            watched.append(
                Watched(
                    layer=layer,
                    kind="gate" if role == "gate" else "up",
                    tensor=part.tensor.name,
                    neurons=neurons,
                    begin=rows.begin if rows else 0,
                    length=rows.length if rows else neurons,
                    period=rows.period if rows else neurons,
                )
            )
    return tuple(sorted(watched, key=lambda one: (one.layer, one.kind)))


def _check_installed() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            "torch-missing",
            f"running a model needs {' and '.join(missing)}, which is not installed",
            fix="pip install 'attest-checkpoints[torch]'",
        )


def _environment(folder: Path, options: Options) -> Mapping[str, str]:
    """Environment of the child: offline, no cache or remote code of the user's, full float32, and this attest.

    numpy's own products are small: a second pool of threads that waits for them would only take from torch's.
    """
    package_root = str(Path(__file__).resolve().parents[2])
    source_tree = [] if package_root == sysconfig.get_path("purelib") else [package_root]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([*source_tree, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "HF_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "USE_HUB_KERNELS": "0",
        "TOKENIZERS_PARALLELISM": "false",
        **({"CUDA_VISIBLE_DEVICES": ""} if options.device == "cpu" else {}),
        **({"MALLOC_MMAP_THRESHOLD_": _GIVEN_BACK} if options.stream else {}),
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "DNNL_DEFAULT_FPMATH_MODE": "STRICT",
        "OMP_NUM_THREADS": str(options.threads),
        "MKL_NUM_THREADS": str(options.threads),
        "OPENBLAS_NUM_THREADS": "1",
    }


def _start(folder: Path, options: Options, progress: Callable[[int, int], None]) -> None:
    """Run the child to its end; its messages are kept from the terminal and quoted only if it fails.

    ``-P`` keeps the working directory, which may be the checkpoint's, from being searched for modules.
    """
    with (folder / _ERRORS_NAME).open("wb") as errors:
        child = subprocess.Popen(  # noqa: S603  # our own interpreter and module, an argument list and no shell
            [sys.executable, "-P", "-W", "ignore", "-m", "attest.activation.network", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=_environment(folder, options),
        )
        late = threading.Event()

        def stop() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(_TIME_LIMIT, stop)
        timer.start()
        try:
            _follow(child, progress)
        finally:
            timer.cancel()
            child.kill()
            status = child.wait()
    if late.is_set():
        raise CheckpointError(
            "model-too-slow",
            f"the network did not finish in {_TIME_LIMIT} seconds",
            fix="give fewer prompts, or --resume to go on from where it stopped",
            where="config.json",
        )
    if status:
        _explain(status, (folder / _ERRORS_NAME).read_bytes()[-_MAX_ERRORS:])


def _follow(child: subprocess.Popen[bytes], progress: Callable[[int, int], None]) -> None:
    """Pass on the child's lines of progress until it closes its output and ends."""
    with child:
        for line in child.stdout or ():
            words = line.split()
            if len(words) == 2 and all(word.isdigit() and len(word) < 10 for word in words):
                progress(int(words[0]), int(words[1]))


def _explain(status: int, errors: bytes) -> NoReturn:
    """Refuse with what the child said last."""
    lines = errors.decode(errors="replace").strip().splitlines()
    problem = lines[-1].strip() if status > 0 and lines else f"ended with status {status}"
    if status == -signal.SIGKILL or any(word in problem for word in _OUT_OF_MEMORY):
        raise CheckpointError(
            "out-of-memory",
            f"there is too little memory for the network ({problem[:_SHOWN_ERROR]})",
            fix="give --stream, which holds one block at a time, or leave --activations out",
            where="config.json",
        )
    raise CheckpointError(
        "model-did-not-run",
        f"transformers could not run the network ({problem[:_SHOWN_ERROR]})",
        fix="check the checkpoint with transformers itself, or leave --activations out",
        where="config.json",
    )


def _collect(folder: Path) -> tuple[Run, Mapping[str, bytes]]:
    if (folder / REFUSAL_NAME).exists():
        value = parse((folder / REFUSAL_NAME).read_bytes(), where=REFUSAL_NAME, max_bytes=_MAX_RUN)
        refusal = load(Refusal, value, where=REFUSAL_NAME)
        raise CheckpointError(refusal.code, refusal.message, fix=refusal.fix, where=refusal.where)
    value = parse((folder / RUN_NAME).read_bytes(), where=RUN_NAME, max_bytes=_MAX_RUN)
    run = load(Run, value, where=RUN_NAME)
    return run, {name: (folder / arrays_name(name)).read_bytes() for name in run.not_measured}


def _resumed(options: Options, run: Run) -> tuple[Finding, ...]:
    """Finding for a run whose beginning was done by an earlier one, which was stopped."""
    if not run.resumed:
        return ()
    kind = "blocks" if options.stream else "sequences"
    text = f"what the first {run.resumed} {kind} gave was kept by an earlier run that was interrupted"
    return (Finding(code="run-resumed", path="config.json", line=None, text=text),)


def _cut(prompt_set: PromptSet, run: Run) -> tuple[Finding, ...]:
    """Finding for texts of which the network was fed the beginning only."""
    if not run.cut:
        return ()
    longest = max(map(len, run.token_ids))
    text = (
        f"{run.cut} of {prompt_set.sequences} texts were cut after {longest} tokens, which is all that was fed of them"
    )
    return (Finding(code="prompts-cut", path="config.json", line=None, text=text),)


def _unused(checkpoint: Checkpoint, run: Run, values: int) -> tuple[Finding, ...]:
    """Finding for tensors that were not run, such as heads; whole layers among them would be worth a question."""
    if not run.unused:
        return ()
    text = (
        f"{len(run.unused)} of {len(checkpoint.tensors)} tensors ({values - run.parameters} of {values} values) "
        f"have no place in the network that was run: {', '.join(run.unused)}"
    )
    return (Finding(code="tensors-not-run", path="config.json", line=None, text=text[:_SHOWN_TEXT]),)
