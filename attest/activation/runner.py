"""Running a checkpoint's network in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attest.activation.job import JOB_NAME, MEAN_ABS_NAME, REFUSAL_NAME, RUN_NAME, Job, Refusal, Run
from attest.activation.prompts import PromptSet
from attest.activation.staging import floating_values, stage, stage_tokenizer
from attest.checkpoint import Checkpoint, open_checkpoint
from attest.checkpoint.source import Location
from attest.document import canonical, dump, load, parse
from attest.errors import CheckpointError, InputError
from attest.finding import Finding

__all__ = ["SEED", "Outcome", "run_checkpoint"]

SEED = 0
_NEEDED = ("torch", "transformers", "tokenizers")
_MAX_THREADS = 1024
_TIME_LIMIT = 3600
_MAX_RUN = 256 * 1024 * 1024
_BASE_MEMORY = 8 * 1024**3
_MEMORY_A_THREAD = 256 * 1024**2
_BYTES_A_VALUE = 12
_SHOWN_ERROR = 300
_SHOWN_TEXT = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A run, its array of shape (n_layers + 1, d_model) in float32, and what a reader should know about it."""

    run: Run
    mean_abs: NDArray[np.float32]
    findings: tuple[Finding, ...]


def run_checkpoint(path: Location, prompt_set: PromptSet, *, threads: int) -> Outcome:
    """Run a checkpoint's network on a prompt set, with transformers' own code and nobody else's.

    Parameters
    ----------
    path : Path or str
        Folder with ``config.json``, safetensors files, and ``tokenizer.json`` where the prompt set holds texts.
    prompt_set : PromptSet
    threads : int
        CPU threads of torch, 1 to 1,024.

    Raises
    ------
    InputError
        torch or transformers is not installed, or the number of threads is out of range.
    CheckpointError
        The checkpoint cannot be read, would need code of its own, does not fill its configuration, or fails to run.
    """
    _check_installed()
    if not 1 <= threads <= _MAX_THREADS:
        raise InputError("bad-threads", f"{threads} threads", fix=f"give a number from 1 to {_MAX_THREADS}")
    checkpoint = open_checkpoint(path)
    values = floating_values(checkpoint)
    job = Job(
        prompt_set=prompt_set,
        threads=threads,
        seed=SEED,
        floating_values=values,
        memory=_BASE_MEMORY + _MEMORY_A_THREAD * threads + _BYTES_A_VALUE * values,
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="attest-")))
        for file in checkpoint.layouts:
            stack.enter_context(checkpoint.tree.open(file))
        findings = stage(checkpoint, folder)
        if prompt_set.texts is not None:
            stage_tokenizer(checkpoint, folder)
        (folder / JOB_NAME).write_bytes(canonical(dump(job)))
        _start(folder, threads)
        run, mean_abs = _collect(folder)
    return Outcome(run=run, mean_abs=mean_abs, findings=findings + _unused(checkpoint, run, values))


def _check_installed() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            "torch-missing",
            f"running a model needs {' and '.join(missing)}, which is not installed",
            fix="pip install 'attest-checkpoints[torch]'",
        )


def _environment(folder: Path, threads: int) -> Mapping[str, str]:
    """Environment of the child: offline, no cache or remote code of the user's, full float32, and this attest."""
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
        "CUDA_VISIBLE_DEVICES": "",
        "DNNL_DEFAULT_FPMATH_MODE": "STRICT",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
    }


def _start(folder: Path, threads: int) -> None:
    """Run the child to its end; its messages are kept from the terminal and quoted only if it fails.

    ``-P`` keeps the working directory, which may be the checkpoint's, from being searched for modules.
    """
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter and module, an argument list and no shell
            [sys.executable, "-P", "-W", "ignore", "-m", "attest.activation.network", str(folder)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=folder,
            env=_environment(folder, threads),
            timeout=_TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CheckpointError(
            "model-too-slow",
            f"the network did not finish in {_TIME_LIMIT} seconds",
            fix="give more threads, or leave --activations out",
            where="config.json",
        ) from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        problem = lines[-1].strip() if done.returncode > 0 and lines else f"ended with status {done.returncode}"
        raise CheckpointError(
            "model-did-not-run",
            f"transformers could not run the network ({problem[:_SHOWN_ERROR]})",
            fix="check the checkpoint with transformers itself, or leave --activations out",
            where="config.json",
        )


def _collect(folder: Path) -> tuple[Run, NDArray[np.float32]]:
    if (folder / REFUSAL_NAME).exists():
        value = parse((folder / REFUSAL_NAME).read_bytes(), where=REFUSAL_NAME, max_bytes=_MAX_RUN)
        refusal = load(Refusal, value, where=REFUSAL_NAME)
        raise CheckpointError(refusal.code, refusal.message, fix=refusal.fix, where=refusal.where)
    value = parse((folder / RUN_NAME).read_bytes(), where=RUN_NAME, max_bytes=_MAX_RUN)
    return load(Run, value, where=RUN_NAME), np.load(folder / MEAN_ABS_NAME, allow_pickle=False)


def _unused(checkpoint: Checkpoint, run: Run, values: int) -> tuple[Finding, ...]:
    """Finding for tensors that were not run, such as heads; whole layers among them would be worth a question."""
    if not run.unused:
        return ()
    text = (
        f"{len(run.unused)} of {len(checkpoint.tensors)} tensors ({values - run.parameters} of {values} values) "
        f"have no place in the network that was run: {', '.join(run.unused)}"
    )
    return (Finding(code="tensors-not-run", path="config.json", line=None, text=text[:_SHOWN_TEXT]),)
