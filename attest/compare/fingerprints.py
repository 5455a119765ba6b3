"""What a comparison needs of one checkpoint: its fingerprints, measured now or taken from evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.bundle import BUNDLE_NAME
from attest.checkpoint.arrays import unpack_arrays
from attest.checkpoint.source import Location
from attest.compare.activation_arrays import activation_arrays
from attest.comparison import Side
from attest.document import load, parse
from attest.errors import DocumentError, InputError
from attest.evidence import TENSORS_NAME, ActivationSummary, Architecture, Evidence, TensorList, TensorRow
from attest.evidence_directory import MAX_DETAIL, STATEMENT_NAME, read_detail, read_evidence
from attest.fingerprint import NUMBERS, RANGES, norms_of

__all__ = ["Fingerprints", "checked_arrays", "holds_evidence", "read_fingerprints"]

_ARRAYS = ".safetensors"
_FORMS = {
    "attention-std/v1": (1, "float64"),
    "norm-gain/v1": (1, "float32"),
    "qkv-bias/v1": (1, "float32"),
    "unit-norms/v1": (1, "float32"),
    "neuron-sketch/v1": (2, "int8"),
    "expert-sketch/v1": (2, "int8"),
    "expert-norms/v1": (1, "float32"),
    "anchored-sketch/v1": (2, "int8"),
    "row-digests/v2": (1, "uint64"),
}
"""Dimensions and dtype of the arrays that the tests take, by fingerprint."""
_ROWS, _NORMS = "row-digests/v2", "unit-norms/v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprints:
    """Fingerprints of one checkpoint.

    Parameters
    ----------
    side : Side
        What it is called, and its digests.
    architecture : Architecture
    tensors : tuple of TensorRow
    arrays : mapping of str to mapping
        Arrays by fingerprint id and name.
    activations : ActivationSummary or None
        How the network was run, where it was.
    is_adapter : bool
        Whether the weights are the low-rank matrices of an adapter, measured as they are.
    """

    side: Side
    architecture: Architecture
    tensors: tuple[TensorRow, ...]
    arrays: Mapping[str, Mapping[str, NDArray[Any]]]
    activations: ActivationSummary | None = None
    is_adapter: bool = False

    @classmethod
    def of(
        cls,
        evidence: Evidence,
        tensors: TensorList,
        arrays: Mapping[str, Mapping[str, NDArray[Any]]],
        statement_sha256: str | None,
        details: Mapping[str, bytes] = MappingProxyType({}),
    ) -> Fingerprints:
        """Fingerprints that an evidence predicate and its details hold; ``details`` are those of the activations."""
        side = Side(
            name=evidence.checkpoint.name,
            tree_digest=evidence.checkpoint.tree_digest,
            statement_sha256=statement_sha256,
            parameters=evidence.tensors.parameters,
            layers=evidence.architecture.layers,
        )
        if _NORMS in arrays:
            arrays = {**arrays, _NORMS: norms_of(arrays[_NORMS])}
        return cls(
            side=side,
            architecture=evidence.architecture,
            tensors=tensors.tensors,
            arrays={**arrays, **(activation_arrays(evidence.activations, details) if evidence.activations else {})},
            activations=evidence.activations,
            is_adapter=any(finding.code == "adapter-weights" for finding in evidence.checkpoint.findings),
        )


def holds_evidence(location: Location) -> bool:
    """Whether an evidence directory or a bundle lies there, and not a checkpoint."""
    if not isinstance(location, Path):
        return False
    if location.is_dir():
        return (location / STATEMENT_NAME).is_file() or (location / BUNDLE_NAME).is_file()
    return location.name.endswith(".json")


def read_fingerprints(path: Path) -> Fingerprints:
    """Fingerprints of an evidence directory, every detail file checked against the statement.

    Raises
    ------
    InputError
        The statement is not evidence about a checkpoint.
    DigestMismatchError
        A detail file is not the one that the statement names.

    Notes
    -----
    No signature is checked here: ``attest verify`` does that.
    """
    directory = path if path.is_dir() else path.parent
    statement, evidence = read_evidence(path)
    held = {detail.name: detail for detail in evidence.details}
    if TENSORS_NAME not in held:
        raise InputError("no-detail", f"names no {TENSORS_NAME}", fix="measure again", where=str(path))
    rows = parse(read_detail(directory, held[TENSORS_NAME]), where=TENSORS_NAME, max_bytes=MAX_DETAIL)
    arrays = {
        summary.id: checked_arrays(
            summary.id, unpack_arrays(read_detail(directory, held[summary.detail]), where=summary.detail)
        )
        for summary in evidence.fingerprints
        if summary.detail and summary.detail.endswith(_ARRAYS) and summary.detail in held
    }
    tensors = load(TensorList, rows, where=TENSORS_NAME)
    run = [name for name in _details_of(evidence.activations) if name in held]
    details = {name: read_detail(directory, held[name]) for name in run}
    return Fingerprints.of(evidence, tensors, arrays, statement.digest, details)


def _details_of(activations: ActivationSummary | None) -> tuple[str, ...]:
    if activations is None:
        return ()
    return (activations.detail, *(one.detail for one in activations.fingerprints if one.detail))


def checked_arrays(fingerprint: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays of a fingerprint, refused where they have another form than that fingerprint's.

    Raises
    ------
    DocumentError
        They have.
    """
    for name, array in arrays.items():
        if fingerprint in _FORMS and not _has_form(fingerprint, name, array):
            raise DocumentError(
                "bad-fingerprint",
                f"the array {name!r} has {array.ndim} dimensions of {array.dtype}",
                fix="ask for an intact copy",
                where=fingerprint,
            )
    return arrays


def _has_form(fingerprint: str, name: str, array: NDArray[Any]) -> bool:
    """Whether an array has a form of that fingerprint; two have others for large networks."""
    if fingerprint == _ROWS and name.startswith(NUMBERS):
        return array.ndim == 1 and array.dtype in {np.dtype(np.int32), np.dtype(np.int64)}
    if fingerprint == _NORMS and name.startswith(RANGES):
        return array.shape == (2,) and array.dtype == np.float32
    if fingerprint == _NORMS and array.dtype == np.uint16:
        return array.ndim == 1
    return (array.ndim, str(array.dtype)) == _FORMS[fingerprint]
