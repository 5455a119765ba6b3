"""The child process that builds a network of transformers' own and runs it: ``python -m attest.activation.network``.

Its folder holds ``job.json`` and what ``attest.activation.staging`` allows; it leaves ``run.json`` and a file of arrays
for each fingerprint there, or ``refusal.json``. A process of its own bounds the memory that a hostile checkpoint can
take, keeps torch's global settings and messages away from the caller, and fixes the number of threads before torch
is loaded.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attest.activation.build import Network, load_network, plan_network, read_configuration
from attest.activation.fingerprints import ACTIVATION_FINGERPRINTS
from attest.activation.inputs import Inputs, read_inputs
from attest.activation.job import JOB_NAME, REFUSAL_NAME, RUN_NAME, Job, Refusal, Run, arrays_name
from attest.activation.observer import Observed, Plan, Seen
from attest.activation.snapshot import Snapshot, Snapshots
from attest.activation.stream import run_streamed
from attest.activation.whole import run_whole
from attest.checkpoint.arrays import pack_arrays
from attest.digest import sha256
from attest.document import canonical, dump, load, parse
from attest.errors import CheckpointError

__all__ = ["do_job", "main", "run_network"]

_MAX_JOB = 16 * 1024 * 1024


def run_network(
    folder: Path, job: Job, tell: Callable[[str], object] = lambda _: None
) -> tuple[Run, Mapping[str, Observed]]:
    """Run the staged network on every input of a prompt set, one sequence at a time.

    Parameters
    ----------
    folder : Path
    job : Job
    tell : callable
        Told a line of progress now and then: steps done, and steps in all.

    Returns
    -------
    Run
    mapping of str to Observed
        What each fingerprint saw, by id.

    Raises
    ------
    CheckpointError
        The architecture is not transformers' own, the weights do not fill it, or it gives no finite hidden states.
    """
    config = read_configuration(folder)

    import torch  # noqa: PLC0415  # heavy, and optional

    _check_device(job.device)
    _settle(job)
    planned = plan_network(config, job.floating_values)
    inputs = read_inputs(folder, job.prompt_set, config)
    plan = _plan(job, inputs)
    observers = {one.id: (one.kinds, one.observe(plan)) for one in ACTIVATION_FINGERPRINTS}

    def emit(seen: Seen) -> None:
        for kinds, observer in observers.values():
            if seen.kind in kinds:
                observer.watch(seen)

    snapshots = Snapshots(Path(job.snapshot) if job.snapshot else None, _binding(job, plan), job.keep_seconds)
    begin = snapshots.last()
    if begin:
        for name, (_, observer) in observers.items():
            observer.take_up(begin.held.get(name, {}))

    def keep(steps: int, states: Sequence[NDArray[np.float32]] = ()) -> None:
        snapshots.keep(
            lambda: Snapshot(
                steps=steps, held={name: one.held() for name, (_, one) in observers.items()}, states=states
            )
        )

    with torch.inference_mode():
        if job.stream:
            network = run_streamed(folder, planned, plan, job.watched, emit, tell=tell, begin=begin, keep=keep)
        else:
            network = load_network(folder, config, planned)
            steps = begin.steps if begin else 0
            run_whole(network, plan, job.watched, emit, device=job.device, tell=tell, begin=steps, keep=keep)
    observed = {name: observer.result() for name, (_, observer) in observers.items()}
    versions = _versions(job.device)
    return _run(inputs, network, observed, versions=versions, resumed=begin.steps if begin else 0), observed


def _settle(job: Job) -> None:
    """Set torch so that a run repeats."""
    import torch  # noqa: PLC0415  # heavy, and optional

    torch.manual_seed(job.seed)
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("highest")
    torch.set_num_threads(job.threads)


def _binding(job: Job, plan: Plan) -> str:
    """Digest of what a run's numbers follow from besides the weights: the job, what is fed, versions."""
    return sha256(canonical({"job": dump(job), "tokenIds": plan.token_ids, "versions": _versions(job.device)}))


def _plan(job: Job, inputs: Inputs) -> Plan:
    return Plan(
        token_ids=inputs.token_ids,
        places=inputs.places,
        widths={one.layer: one.neurons for one in job.watched if one.kind == "up"},
        gated=any(one.kind == "gate" for one in job.watched),
        token_name=inputs.token_name,
    )


def _peak_memory() -> int:
    """Most bytes that this process had in memory.

    ``getrusage`` counts what the process that started it held until then, too; Linux also tells it alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peaks = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(next(peaks))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _run(
    inputs: Inputs, network: Network, observed: Mapping[str, Observed], *, versions: Mapping[str, str], resumed: int
) -> Run:
    return Run(
        token_ids=inputs.token_ids,
        cut=inputs.cut,
        parameters=network.parameters,
        unused=network.unused,
        not_measured={name: one.not_measured for name, one in observed.items()},
        resumed=resumed,
        peak_memory=_peak_memory(),
        versions=versions,
    )


def _versions(device: str) -> dict[str, str]:
    """What the numbers pass through, by name."""
    import tokenizers  # noqa: PLC0415  # heavy, and optional
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    return {
        "numpy": np.__version__,
        "tokenizers": tokenizers.__version__,
        "torch": torch.__version__,
        "torch CPU capability": torch.backends.cpu.get_cpu_capability(),
        "transformers": transformers.__version__,
    } | ({"CUDA": str(torch.version.cuda), "GPU": torch.cuda.get_device_name()} if device == "cuda" else {})


def _check_device(device: str) -> None:
    import torch  # noqa: PLC0415  # heavy, and optional

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[device]:
        raise CheckpointError(
            "no-device",
            f"torch finds no device {device!r} on this machine",
            fix="leave --device out; the CPU suffices",
            where="config.json",
        )


def _limit(memory: int) -> None:
    """Bound the address space, so that what a checkpoint asks for cannot exhaust the machine."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def do_job(folder: Path, tell: Callable[[str], object] = lambda _: None) -> None:
    """Do the job that lies in a folder, and leave what came out there."""
    job = _job(folder)
    try:
        run, observed = run_network(folder, job, tell)
    except CheckpointError as error:
        refusal = Refusal(code=error.code, message=error.message, fix=error.fix, where=error.where)
        (folder / REFUSAL_NAME).write_bytes(canonical(refusal))
        return
    for name, one in observed.items():
        (folder / arrays_name(name)).write_bytes(pack_arrays(one.arrays, {"fingerprint": name}))
    (folder / RUN_NAME).write_bytes(canonical(run))


def _job(folder: Path) -> Job:
    return load(Job, parse((folder / JOB_NAME).read_bytes(), where=JOB_NAME, max_bytes=_MAX_JOB), where=JOB_NAME)


def main() -> None:
    """Do the job in the folder that the command line names, within its bound on memory."""
    folder = Path(sys.argv[1])
    job = _job(folder)
    if job.device == "cpu":
        _limit(job.memory)
    do_job(folder, _tell)


if __name__ == "__main__":
    main()
