"""What attest asks of the child process that runs a network, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping

from attest.activation.prompts import PromptSet
from attest.document import record

__all__ = ["JOB_NAME", "MEAN_ABS_NAME", "REFUSAL_NAME", "RUN_NAME", "Job", "Refusal", "Run"]

JOB_NAME, RUN_NAME, REFUSAL_NAME, MEAN_ABS_NAME = "job.json", "run.json", "refusal.json", "mean_abs.npy"


@record
class Job:
    """What to run.

    Parameters
    ----------
    prompt_set : PromptSet
    threads : int
    seed : int
        Given to torch; nothing in an evaluated network draws from it.
    floating_values : int
        Values in the weight files; a network of many more parameters is not built.
    memory : int
        Most bytes of address space.
    """

    prompt_set: PromptSet
    threads: int
    seed: int
    floating_values: int
    memory: int


@record
class Run:
    """What came out, beside the array in ``mean_abs.npy``.

    Parameters
    ----------
    token_ids : tuple of tuple of int
        As fed, one inner tuple a sequence.
    rms, mean_abs : tuple of float
        One value a layer.
    parameters : int
        Parameters of the network that was run.
    unused : tuple of str
        Tensors of the files that it has no place for.
    versions : mapping of str to str
    """

    token_ids: tuple[tuple[int, ...], ...]
    rms: tuple[float, ...]
    mean_abs: tuple[float, ...]
    parameters: int
    unused: tuple[str, ...]
    versions: Mapping[str, str]


@record
class Refusal:
    """Why nothing was run: the fields of an error."""

    code: str
    message: str
    fix: str
    where: str
