"""What a network did on fixed prompts: the summary that is signed, and the detail files that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attest.activation.fingerprints import ACTIVATION_FINGERPRINTS
from attest.activation.prompts import Prompts
from attest.activation.residual_profile import ACTIVATION_PROFILE
from attest.activation.runner import DEFAULT_OPTIONS, SEED, Options, Outcome, Start, run_checkpoint
from attest.checkpoint.arrays import pack_arrays, unpack_arrays
from attest.checkpoint.source import Location
from attest.digest import sha256
from attest.document import canonical, decimal
from attest.evidence import ActivationSummary, FingerprintSummary, Table
from attest.finding import Finding

__all__ = [
    "DETAIL_NAME",
    "PROFILE_ID",
    "PROMPTS_NAME",
    "RUN_FINDINGS",
    "TOLERANCE",
    "Activations",
    "measure_activations",
]

PROFILE_ID = ACTIVATION_PROFILE.id
DETAIL_NAME = "detail/activations.safetensors"
PROMPTS_NAME = "detail/prompts.json"
"""A user's own prompt set goes with the evidence; what attest ships does not."""

RUN_FINDINGS = frozenset({"prompts-cut", "remote-code-not-run", "run-resumed", "tensors-not-run"})
"""Codes of what only a run of the model finds."""

TOLERANCE = 5e-5
"""Relative; eight times the largest difference in ``reports/activations/tolerance.md`` (decision 54)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Activations:
    """Activation fingerprints of a checkpoint.

    Parameters
    ----------
    summary : ActivationSummary
    details : mapping of str to bytes
        Detail files by name.
    findings : tuple of Finding
        What a reader should know about the run; empty when the fingerprints were read and not measured.
    peak_memory : int
        Most bytes that the run held in memory; 0 where it was not run.
    """

    summary: ActivationSummary
    details: Mapping[str, bytes]
    findings: tuple[Finding, ...] = ()
    peak_memory: int = 0


def measure_activations(
    checkpoint: Location,
    prompts: Prompts,
    *,
    options: Options = DEFAULT_OPTIONS,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    start: Start | None = None,
    snapshot: Path | None = None,
) -> Activations:
    """Activation fingerprints of a checkpoint on a prompt set.

    Parameters
    ----------
    checkpoint : Path or str
        Folder with ``config.json``, safetensors files, and ``tokenizer.json`` where the prompt set holds texts.
    prompts : Prompts
    options : Options
    progress : callable
        Told the steps done and the steps there are.
    start, snapshot : callable and Path, optional
        As in ``run_checkpoint``.

    Returns
    -------
    Activations
        The summary's own table has ``layer``, ``rms`` and ``mean_abs``, in the unit of the residual stream, at least 0.

    Raises
    ------
    InputError
        torch or transformers is not installed.
    CheckpointError
        The network cannot be run, or not without code of its own.

    Notes
    -----
    The network runs in float32, one sequence at a time, without padding, dropout or a pooling head, with eager
    attention. Layer 0 is the embedding output; in most causal models the last entry comes after the final norm, as
    transformers returns it.

    It does not show where weights come from: it shows that the named weights did this on the named inputs.
    """
    outcome = run_checkpoint(
        checkpoint, prompts.inputs, options=options, progress=progress, start=start, snapshot=snapshot
    )
    run, details, fingerprints = outcome.run, {}, []
    for one in ACTIVATION_FINGERPRINTS[1:]:
        reason = run.not_measured[one.id]
        if reason is None:
            details[one.detail] = outcome.arrays[one.id]
        table = one.table(unpack_arrays(outcome.arrays[one.id], where=one.id))
        detail = one.detail if reason is None else None
        fingerprints.append(FingerprintSummary(id=one.id, detail=detail, not_measured=reason, table=table))
    details[DETAIL_NAME], table = _profile(outcome, prompts)
    if not prompts.shipped:
        details[PROMPTS_NAME] = prompts.data
    summary = ActivationSummary(
        id=PROFILE_ID,
        prompt_set=prompts.inputs.id,
        prompt_set_sha256=prompts.sha256,
        sequences=len(run.token_ids),
        tokens=sum(map(len, run.token_ids)),
        token_ids_sha256=sha256(canonical(run.token_ids)),
        dtype="float32",
        device=options.device,
        threads=options.threads,
        seed=SEED,
        versions=run.versions,
        tolerance=decimal(TOLERANCE),
        table=table,
        detail=DETAIL_NAME,
        fingerprints=tuple(fingerprints),
    )
    return Activations(summary=summary, details=details, findings=outcome.findings, peak_memory=outcome.run.peak_memory)


def _profile(outcome: Outcome, prompts: Prompts) -> tuple[bytes, Table]:
    """Detail file of the profile, with the token ids that were fed, and its table."""
    arrays = unpack_arrays(outcome.arrays[PROFILE_ID], where=PROFILE_ID)
    table = ACTIVATION_PROFILE.table(arrays)
    token_ids = outcome.run.token_ids
    held = {
        "mean_abs": arrays["mean_abs"],
        "token_ids": np.array([token for sequence in token_ids for token in sequence], dtype="<i8"),
        "sequence_lengths": np.array([len(sequence) for sequence in token_ids], dtype="<i8"),
    }
    metadata = {"id": PROFILE_ID, "prompt_set": prompts.inputs.id, "prompt_set_sha256": prompts.sha256}
    return pack_arrays(held, metadata), table or Table(columns=(), rows=())
