"""``activation-profile/v1``: how large the residual stream is, layer by layer, on fixed prompts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attest.activation.prompts import PROMPT_SETS, load_prompt_set
from attest.activation.runner import SEED, Outcome, run_checkpoint
from attest.checkpoint.arrays import pack_arrays, unpack_arrays
from attest.checkpoint.source import Location
from attest.digest import sha256
from attest.document import canonical, decimal
from attest.errors import DocumentError, IncomparableError
from attest.evidence import ActivationSummary, Table
from attest.finding import Finding

__all__ = [
    "DETAIL_NAME",
    "PROFILE_ID",
    "RUN_FINDINGS",
    "TOLERANCE",
    "ActivationComparison",
    "Activations",
    "LayerDifference",
    "compare_activations",
    "measure_activations",
]

PROFILE_ID = "activation-profile/v1"
DETAIL_NAME = "detail/activations.safetensors"
RUN_FINDINGS = frozenset({"remote-code-not-run", "tensors-not-run"})
"""Codes of what only a run of the model finds."""

TOLERANCE = 1e-5
"""Relative; ``docs/activations.md`` says what was measured and with which margin."""

_COLUMNS = ("layer", "rms", "mean_abs")
_DEFAULT_THREADS = 1

Outcomes = Literal["identical", "within-tolerance", "differs"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Activations:
    """An activation profile: the summary that is signed, and the detail file that it names.

    Parameters
    ----------
    summary : ActivationSummary
    detail : bytes
        Safetensors file of ``mean_abs`` (F32, n_layers + 1, d_model), ``token_ids`` (I64, n_tokens) and
        ``sequence_lengths`` (I64, n_sequences).
    findings : tuple of Finding
        What a reader should know about the run; empty when the profile was read and not measured.
    """

    summary: ActivationSummary
    detail: bytes
    findings: tuple[Finding, ...] = ()

    @property
    def detail_name(self) -> str:
        """Name of the detail file in an evidence directory."""
        return self.summary.detail


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerDifference:
    """How far one measured value of a layer is from the signed one.

    Parameters
    ----------
    layer : int
        0 is the embedding output.
    value : str
        ``rms`` and ``mean_abs`` are the table's; ``mean_abs_by_dimension`` is the farthest of d_model values.
    relative : float
        |again - signed| / |signed|; infinite where only the signed value is 0.
    """

    layer: int
    value: Literal["rms", "mean_abs", "mean_abs_by_dimension"]
    relative: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ActivationComparison:
    """All differences, and the tolerance that they are held against."""

    tolerance: float
    differences: tuple[LayerDifference, ...]

    @property
    def largest(self) -> float:
        """Largest relative difference."""
        return max(difference.relative for difference in self.differences)

    def outcome(self, difference: LayerDifference | None = None) -> Outcomes:
        """Outcome of one value, or of all of them."""
        relative = self.largest if difference is None else difference.relative
        if relative == 0:
            return "identical"
        return "within-tolerance" if relative <= self.tolerance else "differs"


def measure_activations(checkpoint: Location, prompt_set: str, *, threads: int | None = None) -> Activations:
    """Activation profile of a checkpoint on a shipped prompt set.

    Parameters
    ----------
    checkpoint : Path or str
        Folder with ``config.json``, safetensors files, and ``tokenizer.json`` where the prompt set holds texts.
    prompt_set : str
        A name in ``PROMPT_SETS``.
    threads : int, optional
        CPU threads; 1 if not given, which repeats best.

    Returns
    -------
    Activations
        Table columns ``layer``, ``rms`` and ``mean_abs``, in the unit of the residual stream, at least 0.

    Raises
    ------
    InputError
        Unknown prompt set; torch or transformers is not installed.
    CheckpointError
        The network cannot be run, or not without code of its own.

    Notes
    -----
    For layer l, token t and dimension d of the hidden state h: rms = sqrt(mean over t, d of h**2), mean_abs = mean over
    t, d of |h|, accumulated in float64 over all tokens of all sequences. The network runs in float32 on the CPU,
    one sequence at a time, without padding, dropout or a pooling head, with eager attention. Layer 0 is the embedding
    output; in most causal models the last entry comes after the final norm, as transformers returns it.

    It does not show where weights come from: profiles of unrelated networks of one kind look alike, so they are not
    compared between checkpoints here. It shows that the named weights did this on the named inputs.
    """
    prompts = load_prompt_set(prompt_set)
    threads = _DEFAULT_THREADS if threads is None else threads
    outcome = run_checkpoint(checkpoint, prompts, threads=threads)
    run = outcome.run
    rows = tuple(
        (str(layer), decimal(rms, 9), decimal(mean_abs, 9))
        for layer, (rms, mean_abs) in enumerate(zip(run.rms, run.mean_abs, strict=True))
    )
    summary = ActivationSummary(
        id=PROFILE_ID,
        prompt_set=prompts.id,
        prompt_set_sha256=PROMPT_SETS[prompts.id],
        sequences=len(run.token_ids),
        tokens=sum(map(len, run.token_ids)),
        token_ids_sha256=sha256(canonical(run.token_ids)),
        dtype="float32",
        device="cpu",
        threads=threads,
        seed=SEED,
        versions=run.versions,
        tolerance=decimal(TOLERANCE),
        table=Table(columns=_COLUMNS, rows=rows),
        detail=DETAIL_NAME,
    )
    return Activations(summary=summary, detail=_detail(outcome, prompts.id), findings=outcome.findings)


def _detail(outcome: Outcome, prompt_set: str) -> bytes:
    token_ids = outcome.run.token_ids
    arrays = {
        "mean_abs": outcome.mean_abs,
        "token_ids": np.array([token for sequence in token_ids for token in sequence], dtype="<i8"),
        "sequence_lengths": np.array([len(sequence) for sequence in token_ids], dtype="<i8"),
    }
    metadata = {"id": PROFILE_ID, "prompt_set": prompt_set, "prompt_set_sha256": PROMPT_SETS[prompt_set]}
    return pack_arrays(arrays, metadata)


def compare_activations(signed: Activations, again: Activations) -> ActivationComparison:
    """How far a profile measured again is from a signed one, layer by layer and value by value.

    Parameters
    ----------
    signed : Activations
        Read from evidence; may be hostile.
    again : Activations
        Measured now.

    Returns
    -------
    ActivationComparison
        Held against the signed tolerance, or this version's where that is narrower: a signer cannot widen it.

    Raises
    ------
    IncomparableError
        The two are of different profiles, prompt sets or token ids, or of networks of different size.
    DocumentError, CheckpointError
        The signed table or detail file is malformed.
    """
    for name in ("id", "prompt_set_sha256", "token_ids_sha256"):
        if getattr(signed.summary, name) != getattr(again.summary, name):
            raise IncomparableError(
                "other-activations",
                f"the two activation profiles differ in {name}, so they are of different inputs",
                fix="measure with the versions that the evidence names",
            )
    tables = _table(signed.summary), _table(again.summary)
    arrays = _mean_abs(signed), _mean_abs(again)
    if tables[0].shape != tables[1].shape or arrays[0].shape != arrays[1].shape:
        raise IncomparableError(
            "other-activations",
            f"the two activation profiles are of {arrays[0].shape} and {arrays[1].shape} layers and dimensions",
            fix="give the checkpoint that the evidence is about",
        )
    tolerance = min(_number(signed.summary.tolerance, "tolerance"), TOLERANCE)
    return ActivationComparison(tolerance=tolerance, differences=tuple(_differences(tables, arrays)))


def _differences(
    tables: tuple[NDArray[np.float64], NDArray[np.float64]], arrays: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> Iterator[LayerDifference]:
    rms_and_mean = _relative(*tables)
    dimensions = _relative(*arrays).max(axis=1)
    for layer, (rms, mean_abs) in enumerate(rms_and_mean.tolist()):
        yield LayerDifference(layer=layer, value="rms", relative=rms)
        yield LayerDifference(layer=layer, value="mean_abs", relative=mean_abs)
        yield LayerDifference(layer=layer, value="mean_abs_by_dimension", relative=float(dimensions[layer]))


def _relative(signed: NDArray[np.float64], again: NDArray[np.float64]) -> NDArray[np.float64]:
    difference = np.abs(again - signed)
    relative = np.full_like(difference, math.inf)
    np.divide(difference, np.abs(signed), out=relative, where=signed != 0)
    relative[difference == 0] = 0
    return relative


def _table(summary: ActivationSummary) -> NDArray[np.float64]:
    """The table's numbers, shape (n_layers + 1, 2)."""
    rows = summary.table.rows
    well_formed = summary.table.columns == _COLUMNS and all(
        len(row) == len(_COLUMNS) and row[0] == str(layer) for layer, row in enumerate(rows)
    )
    if not well_formed or not rows:
        raise _malformed("its table does not hold a layer, an rms and a mean_abs a row, in order of layer")
    return np.array([[_number(cell, "table") for cell in row[1:]] for row in rows])


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise _malformed(f"its {where} holds {text[:40]!r}, which is not a finite number of at least 0")
    return value


def _mean_abs(activations: Activations) -> NDArray[np.float64]:
    """``mean_abs`` of a detail file, finite, shape (n_layers + 1, d_model)."""
    values = unpack_arrays(activations.detail, where=activations.detail_name).get("mean_abs")
    if values is None or values.dtype != np.float32 or values.ndim != 2 or not values.size:
        raise _malformed("its detail file holds no mean_abs of dtype F32 and two dimensions")
    if not np.isfinite(values).all():
        raise _malformed("its detail file holds numbers that are not finite")
    if len(values) != len(activations.summary.table.rows):
        raise _malformed("its detail file and its table are of different depth")
    return values.astype(np.float64)


def _malformed(problem: str) -> DocumentError:
    return DocumentError(
        "bad-activations", f"the activation profile is malformed: {problem}", fix="ask for an intact copy"
    )
