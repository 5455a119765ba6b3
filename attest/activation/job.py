"""What attest asks of the child process that runs a network, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attest.activation.prompts import PromptSet
from attest.document import record

__all__ = [
    "DEVICES",
    "JOB_NAME",
    "REFUSAL_NAME",
    "RUN_NAME",
    "Device",
    "Job",
    "Refusal",
    "Run",
    "Watched",
    "arrays_name",
]

JOB_NAME, RUN_NAME, REFUSAL_NAME = "job.json", "run.json", "refusal.json"

Device = Literal["cpu", "cuda", "mps"]
DEVICES: tuple[Device, ...] = ("cpu", "cuda", "mps")


def arrays_name(fingerprint: str) -> str:
    """File of a fingerprint's arrays in the child's folder."""
    return f"{fingerprint.replace('/', '.')}.safetensors"


@record
class Watched:
    """A matrix whose outputs are what goes into an MLP's neurons.

    ``tensor`` is the matrix's name in the files. Of every ``period`` outputs those from ``begin`` on, ``length`` of
    them, are meant: of a matrix that is not fused, all.
    """

    layer: int
    kind: Literal["gate", "up"]
    tensor: str
    neurons: int
    begin: int
    length: int
    period: int


@record
class Job:
    """What to run.

    Parameters
    ----------
    prompt_set : PromptSet
    watched : tuple of Watched
    threads : int
    seed : int
        Given to torch; nothing in an evaluated network draws from it.
    device : str
    stream : bool
        Whether to hold one block of the network in memory at a time.
    floating_values : int
        Values in the weight files; a network of many more parameters is not built.
    memory : int
        Most bytes of address space.
    snapshot : str or None
        Path of a file for what the run had got to; null keeps nothing.
    keep_seconds : int
        Least time between two snapshots.
    """

    prompt_set: PromptSet
    watched: tuple[Watched, ...]
    threads: int
    seed: int
    device: Device
    stream: bool
    floating_values: int
    memory: int
    snapshot: str | None
    keep_seconds: int


@record
class Run:
    """What came out, beside a file of arrays for each fingerprint.

    Parameters
    ----------
    token_ids : tuple of tuple of int
        As fed, one inner tuple a sequence.
    cut : int
        Texts that were longer than what was fed of them.
    parameters : int
        Parameters of the network that was run.
    unused : tuple of str
        Tensors of the files that it has no place for.
    not_measured : mapping of str to (str or null)
        For every fingerprint, why there is nothing.
    resumed : int
        Steps that an earlier run had done: sequences, or of a streamed run blocks.
    peak_memory : int
        Most bytes that the process held in memory.
    versions : mapping of str to str
    """

    token_ids: tuple[tuple[int, ...], ...]
    cut: int
    parameters: int
    unused: tuple[str, ...]
    not_measured: Mapping[str, str | None]
    resumed: int
    peak_memory: int
    versions: Mapping[str, str]


@record
class Refusal:
    """Why nothing was run: the fields of an error."""

    code: str
    message: str
    fix: str
    where: str
