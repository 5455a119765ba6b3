"""Measuring again: the same code, run on a reader's own copy, against what was signed.

Reproducing is ``measure`` run again, not a second implementation. Numbers of the exact class must be identical to the
bit; an activation profile must agree within its tolerance. No signature is checked here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from attest.activation import (
    DEFAULT_OPTIONS,
    PROMPT_SETS,
    PROMPTS_NAME,
    RUN_FINDINGS,
    ActivationComparison,
    Activations,
    Options,
    Prompts,
    compare_activations,
    parse_prompts,
    read_prompts,
)
from attest.checkpoint.arrays import unpack_arrays
from attest.checkpoint.source import Location
from attest.digest import sha256
from attest.document import decimal, dump, load, parse
from attest.errors import AttestError
from attest.evidence import (
    CHUNKS_NAME,
    TENSORS_NAME,
    ActivationSummary,
    CheckpointSummary,
    Detail,
    Evidence,
    TensorList,
)
from attest.evidence_directory import MAX_DETAIL, load_evidence, read_detail
from attest.fingerprint import DEEP_IDS
from attest.measure import Measurement, measure
from attest.provenance import PLACE_FINDINGS
from attest.reproduction import Outcome, Reproduction, Value
from attest.statement import Statement
from attest.terminal import amount

__all__ = ["Outcome", "Reproduction", "Value", "compare_records", "reproduce"]

_MAX_NAMED = 20
_OF_ONE_MEASUREMENT = PLACE_FINDINGS | {"run-resumed"}


def reproduce(  # noqa: PLR0913 - each is a choice of its own, given by name
    statement: Statement,
    path: Path,
    *,
    checkpoint: Location,
    base: Location | None = None,
    repository: Path | None = None,
    run_model: bool = True,
    run_options: Options = DEFAULT_OPTIONS,
    architecture: Path | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    run_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Reproduction:
    """Measure a checkpoint again and compare, value by value.

    Parameters
    ----------
    statement : Statement
        What was stated.
    path : Path
        The bundle or evidence directory that it was read from. Differences are told in detail only where the detail
        files are beside it.
    checkpoint : Path or str
        The reader's own copy, or a URI.
    base : Path or str, optional
        What an adapter was merged into, where the findings say that one was.
    repository : Path, optional
        The reader's own copy of the repository that was scanned.
    run_model : bool
        Whether to run the model again where the evidence holds activations.
    run_options : Options
        How to run it.
    architecture : Path, optional
        The file of families that was given, where the findings name one.
    threads : int, optional
    progress, run_progress : callable

    Raises
    ------
    InputError
        The statement is not evidence about one checkpoint.
    CheckpointError
        The checkpoint cannot be measured.
    DocumentError
        The predicate is malformed.
    """
    evidence = load_evidence(statement, path)
    directory = path if path.is_dir() else path.parent
    again = measure(
        checkpoint,
        base=base,
        repository=repository,
        prompts=_prompts(evidence, directory) if run_model else None,
        run_options=run_options,
        architecture=architecture,
        threads=threads,
        deep=any(one.id in DEEP_IDS for one in evidence.fingerprints),
        progress=progress,
        run_progress=run_progress,
    )
    return Reproduction(
        checkpoint=evidence.checkpoint.name,
        statement_sha256=statement.digest,
        values=tuple(_values(evidence, again, directory)),
        files=again.evidence.checkpoint.file_count,
        bytes=again.evidence.checkpoint.bytes,
        not_asked=tuple(_not_asked(evidence, has_repository=repository is not None, runs_model=run_model)),
        same_program=evidence.tool.source_sha256 == again.evidence.tool.source_sha256,
    )


def _not_asked(evidence: Evidence, *, has_repository: bool, runs_model: bool) -> Iterator[str]:
    details = {detail.name for detail in evidence.details}
    yield from (label for name, label in _labels(evidence).items() if name not in details)
    if not has_repository:
        yield from ("licenses", "license findings")
    if not runs_model:
        yield "activations"


def _prompts(evidence: Evidence, directory: Path) -> Prompts | None:
    """The prompts that the evidence names: shipped ones, or the user's own that lie beside it; else None."""
    signed = evidence.activations
    if signed is None:
        return None
    if PROMPT_SETS.get(signed.prompt_set) == signed.prompt_set_sha256:
        return read_prompts(signed.prompt_set)
    detail = next((one for one in evidence.details if one.name == PROMPTS_NAME), None)
    if detail is None or detail.sha256 != signed.prompt_set_sha256:
        return None
    try:
        return parse_prompts(read_detail(directory, detail), where=PROMPTS_NAME)
    except AttestError:
        return None


def _values(evidence: Evidence, again: Measurement, directory: Path) -> Iterator[Value]:
    signed, fresh = evidence.checkpoint, again.evidence.checkpoint
    yield _files(signed, fresh)
    if again.evidence.activations is None:
        signed = replace(signed, findings=tuple(one for one in signed.findings if one.code not in RUN_FINDINGS))
    fresh = _without_place(fresh)
    signed = replace(_without_place(signed), name=fresh.name, ignored=fresh.ignored)
    yield compare_records("checkpoint summary", signed, fresh)
    details = {detail.name: detail for detail in evidence.details}
    labels = _labels(evidence)
    for name, label in labels.items():
        if name not in details:
            yield Value(name=label, outcome="not-measured", message="the evidence names no such detail file")
    of_the_run = _details_of(evidence.activations)
    for name, detail in details.items():
        if name not in of_the_run:
            yield _detail(labels.get(name, name), detail, again, directory)
    yield compare_records("architecture", evidence.architecture, again.evidence.architecture)
    yield compare_records("tensor totals", evidence.tensors, again.evidence.tensors)
    summaries = {one.id: one for one in again.evidence.fingerprints}
    for one in evidence.fingerprints:
        yield compare_records(f"fingerprint {one.id}, table", one, summaries.get(one.id))
    if evidence.licenses:
        yield _licenses(evidence, again)
    if evidence.activations:
        yield from _activations(evidence, again, details, directory)


def _without_place(summary: CheckpointSummary) -> CheckpointSummary:
    """A summary without what depends on where the files lay, or on whether their measurement was resumed."""
    return replace(
        summary,
        source=None,
        files=tuple(replace(file, basis="computed", server_sha256=None) for file in summary.files),
        findings=tuple(one for one in summary.findings if one.code not in _OF_ONE_MEASUREMENT),
    )


def _labels(evidence: Evidence) -> dict[str, str]:
    """What the detail files are called, by name."""
    labels = {CHUNKS_NAME: "chunk digests", TENSORS_NAME: "tensors and moments"}
    for one in evidence.fingerprints:
        if one.detail is not None:
            labels.setdefault(one.detail, f"fingerprint {one.id}")
    if evidence.licenses:
        labels[evidence.licenses.detail] = "license findings"
    return labels


def _files(signed: CheckpointSummary, fresh: CheckpointSummary) -> Value:
    if signed.tree_digest == fresh.tree_digest:
        message = f"{amount(fresh.file_count, 'file')}, {amount(fresh.bytes, 'byte')}, tree {fresh.tree_digest}"
        return Value(name="checkpoint files", outcome="identical", message=message)
    theirs, mine = ({file.path: file.sha256 for file in one.files} for one in (signed, fresh))
    kinds = (
        ("differ", [path for path in theirs if path in mine and theirs[path] != mine[path]]),
        ("missing", [path for path in theirs if path not in mine]),
        ("not in the evidence", [path for path in mine if path not in theirs]),
    )
    message = "; ".join(f"{kind}: {_some(paths)}" for kind, paths in kinds if paths)
    return Value(name="checkpoint files", outcome="differs", message=message or "only files that are not listed differ")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more


def compare_records(name: str, signed: object, fresh: object) -> Value:
    """Outcome for a record that must come out the same, with the fields that did not."""
    if signed == fresh:
        return Value(name=name, outcome="identical", message="")
    if signed is None or fresh is None:
        return Value(name=name, outcome="not-measured", message="was not measured this time")
    before, after = dump(signed), dump(fresh)
    changed = [f"{key} was {_short(before[key])}, now {_short(after.get(key))}"
               for key in before if before[key] != after.get(key)]  # fmt: skip
    return Value(name=name, outcome="differs", message="; ".join(changed))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _detail(label: str, signed: Detail, again: Measurement, directory: Path) -> Value:
    """A detail file: identical by its digest alone, explained where the signed one is at hand."""
    fresh = again.details.get(signed.name)
    if fresh is None:
        return Value(name=label, outcome="not-measured", message="was not measured this time")
    if sha256(fresh) == signed.sha256:
        return Value(name=label, outcome="identical", message=f"{len(fresh)} bytes, sha256 {signed.sha256}")
    try:
        data = read_detail(directory, signed)
        message = _explain(signed.name, data, fresh)
        if label.removeprefix("fingerprint ") in DEEP_IDS and _within_a_step(data, fresh):
            return Value(name=label, outcome="within-tolerance", message=f"{message}; one step is the tolerance")
    except AttestError as error:
        message = f"the signed detail file is not at hand ({error.message})"
    return Value(name=label, outcome="differs", message=message)


def _explain(name: str, signed: bytes, fresh: bytes) -> str:
    if name == TENSORS_NAME:
        return _explain_tensors(signed, fresh)
    if name.endswith(".safetensors"):
        return _explain_arrays(signed, fresh)
    if name == CHUNKS_NAME:
        return "the files differ; attest verify --checkpoint names file, chunk and tensor"
    return f"{len(signed)} bytes were signed, {len(fresh)} came out now"


def _explain_tensors(signed: bytes, fresh: bytes) -> str:
    before, after = (
        {
            row.name: row
            for row in load(TensorList, parse(data, where=TENSORS_NAME, max_bytes=MAX_DETAIL), where="").tensors
        }
        for data in (signed, fresh)
    )
    kinds = (
        (
            "tensors with other values",
            [name for name in before if name in after and before[name].digest != after[name].digest],
        ),
        ("tensors missing", [name for name in before if name not in after]),
        ("tensors added", [name for name in after if name not in before]),
        ("moments", [name for name in before if name in after and before[name].moments != after[name].moments]),
    )
    return "; ".join(f"{kind}: {_some(names)}" for kind, names in kinds if names) or "places in the files differ"


def _explain_arrays(signed: bytes, fresh: bytes) -> str:
    before, after = (unpack_arrays(data, where="detail") for data in (signed, fresh))
    largest, where, changed = 0.0, "", 0
    for name in before:
        if name not in after or before[name].shape != after[name].shape:
            return f"{name} is missing or has another shape"
        difference = _largest_difference(before[name], after[name])
        changed += difference > 0
        if difference > largest:
            largest, where = difference, name
    if len(after) > len(before):
        return f"{len(after) - len(before)} arrays are missing in the evidence"
    words = f"{changed} of {len(before)} arrays differ"
    if not where:
        return words
    if before[where].dtype.kind == "u":  # digests: how far apart two of them are means nothing
        return f"{words}, first {where}"
    if largest == math.inf:
        return f"{words}; a value of {where} is finite in one only"
    return f"{words}, most by {decimal(largest, 3)} in {where}"


def _within_a_step(signed: bytes, fresh: bytes) -> bool:
    """Whether integers that passed through LAPACK differ by one at most, as another machine may round them."""
    before, after = (unpack_arrays(data, where="detail") for data in (signed, fresh))
    return before.keys() == after.keys() and all(
        before[name].shape == after[name].shape and _largest_difference(before[name], after[name]) <= 1
        for name in before
    )


def _largest_difference(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> float:
    if not before.size:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(before.astype(np.float64) - after.astype(np.float64))
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    return float(np.max(np.where(same, 0.0, np.nan_to_num(difference, nan=math.inf, posinf=math.inf))))


def _licenses(evidence: Evidence, again: Measurement) -> Value:
    if again.evidence.licenses is None:
        return Value(name="licenses", outcome="not-measured", message="give --repo to scan it again")
    return compare_records("licenses", evidence.licenses, again.evidence.licenses)


def _activations(
    evidence: Evidence, again: Measurement, details: Mapping[str, Detail], directory: Path
) -> Iterator[Value]:
    """Every activation fingerprint with its largest difference; of the profile, where bits differ, every layer too."""
    signed, fresh = evidence.activations, again.evidence.activations
    if signed is None or fresh is None or signed.detail not in details:
        yield Value(name="activations", outcome="not-measured", message="the model was not run again")
        return
    try:
        held = {name: read_detail(directory, details[name]) for name in _details_of(signed) if name in details}
    except AttestError as error:
        message = f"the signed detail file is not at hand ({error.message})"
        yield Value(name="activations", outcome="not-measured", message=message)
        return
    after = Activations(
        summary=fresh, details={name: data for name, data in again.details.items() if name in _details_of(fresh)}
    )
    try:
        compared = compare_activations(Activations(summary=signed, details=held), after)
    except AttestError as error:
        yield Value(name="activations", outcome="differs", message=error.message)
        return
    yield Value(name="activations", outcome=compared.outcome, message=_largest(compared, signed, fresh))
    for one in compared.differences:
        if one.outcome != "identical":
            message = f"difference {_size(one.size)}, tolerance {decimal(one.tolerance, 3)}"
            place = "" if one.layer < 0 else f", layer {one.layer}"
            yield Value(name=f"activations {one.value}{place}", outcome=one.outcome, message=message)


def _largest(compared: ActivationComparison, signed: ActivationSummary, fresh: ActivationSummary) -> str:
    """The achieved difference, the tolerance, and whether equal bits were to be expected."""
    changed = [name for name in signed.versions if signed.versions[name] != fresh.versions.get(name)]
    changed += [name for name in ("device", "threads") if getattr(signed, name) != getattr(fresh, name)]
    expected = f"run with another {_some(sorted(changed))}" if changed else "run with the same versions"
    return (
        f"largest relative difference {_size(compared.largest)}, tolerance {decimal(compared.tolerance, 3)}, {expected}"
    )


def _size(size: float) -> str:
    return decimal(size, 3) if math.isfinite(size) else "infinite"


def _details_of(summary: ActivationSummary | None) -> tuple[str, ...]:
    """Detail files of a run: arrays, and the user's own prompts."""
    if summary is None:
        return ()
    return (summary.detail, PROMPTS_NAME, *(one.detail for one in summary.fingerprints if one.detail))
