"""``attest measure``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attest.checkpoint.source import Location, at_revision, is_remote, shown
from attest.cli.options import (
    LOCATION,
    architecture_option,
    base_option,
    device_option,
    emit,
    format_option,
    revision_option,
    stream_option,
)
from attest.cli.progress import Progress
from attest.document import dump
from attest.errors import InputError
from attest.evidence import RemoteSource
from attest.evidence_directory import is_evidence_alone, refuse_among, refuse_around, refuse_place, write_evidence
from attest.journal import Journal
from attest.measure import Measurement, measure
from attest.terminal import amount, visible

if TYPE_CHECKING:
    from attest.activation import Device, Options, Prompts

__all__ = ["command"]


@click.command("measure")
@click.argument("checkpoint", type=LOCATION)
@revision_option
@base_option
@click.option("--name", help="What to call the checkpoint in the evidence; its own name by default.")
@click.option("--repo", type=click.Path(path_type=Path), help="Folder to scan for licenses and notices.")
@click.option(
    "--activations",
    metavar="PROMPTSET",
    help="Also run the model on a shipped prompt set, or on a .json file of your own (needs torch).",
)
@device_option
@stream_option
@architecture_option
@click.option(
    "--deep",
    is_flag=True,
    help="Also sketch the neurons of at most 8 layers on axes of common words (needs tokenizer.json; half a minute more for 7 billion parameters).",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads for the read; no number depends on it.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="EVIDENCE_DIR", help="Folder to make."
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep what was measured so far in DIR until the evidence is written; go on from there after a stop.",
)
@click.option("--force", is_flag=True, help="Replace EVIDENCE_DIR if it holds earlier evidence.")
@format_option
def command(
    checkpoint: Location, revision: str | None, base: Location | None, name: str | None, repo: Path | None,
    activations: str | None, device: Device, stream: bool, architecture: Path | None, threads: int | None, output: Path,
    resume: Path | None, deep: bool, force: bool, style: str,
) -> None:  # fmt: skip
    """Measure CHECKPOINT: a folder or file, or hf://ORG/NAME, https://…, s3://BUCKET/PREFIX, which is not stored.

    Every byte is read once: SHA-256 of files and chunks, exact moments of every tensor, and fingerprints that can be
    shared without the weights. Nothing in the checkpoint is ever executed.
    """
    checkpoint = at_revision(checkpoint, revision)
    _refuse_evidence(checkpoint)
    _refuse_overlap(output, resume, [checkpoint] if base is None else [checkpoint, base], repo)
    refuse_place(output, force=force)
    prompts, run_options = _read_run(activations, device, stream=stream)
    with closing(Progress()) as progress:
        measurement = measure(
            checkpoint,
            base=base,
            name=name,
            repository=repo,
            prompts=prompts,
            run_options=run_options,
            architecture=architecture,
            threads=threads,
            resume=resume,
            deep=deep,
            command=_recorded_command(checkpoint, base, name, repo, activations, prompts, architecture, deep=deep),
            progress=progress,
            run_progress=progress.ran,
        )
    statement = measurement.statement()
    write_evidence(output, statement, measurement.details, force=force)
    if resume is not None:
        Journal.clear(resume)
    value = {"directory": str(output), "statementSha256": statement.digest, "evidence": dump(measurement.evidence)}
    emit(_describe(measurement, output), value, style=style, output=None, force=False)


def _refuse_evidence(checkpoint: Location) -> None:
    if isinstance(checkpoint, Path) and is_evidence_alone(checkpoint):
        raise InputError(
            "no-weights",
            "is evidence: it holds fingerprints, and there are no weights to measure",
            fix="give the checkpoint; attest compare takes evidence as it is",
            where=str(checkpoint),
        )


def _read_run(activations: str | None, device: Device, *, stream: bool) -> tuple[Prompts | None, Options | None]:
    if activations is None:
        return None, None
    from attest.activation import Options, read_prompts  # noqa: PLC0415 - imported only to run a model

    return read_prompts(activations), Options(device=device, stream=stream)


def _refuse_overlap(output: Path, resume: Path | None, measured: Sequence[Location], repo: Path | None) -> None:
    """Refuse to write into the checkpoint, and to replace a folder that holds what is measured."""
    local = [one for one in measured if not is_remote(one)]
    for written, read in product((output, resume), local):
        if written and Path(os.path.realpath(written)).is_relative_to(os.path.realpath(read)):
            raise InputError(
                "output-in-checkpoint",
                "lies inside the checkpoint, which would change it",
                fix="choose a folder beside it",
                where=str(written),
            )
    refuse_around(output, [Path(one) for one in (*local, repo) if one is not None])
    refuse_among(output, [] if repo is None else [repo])


def _recorded_command(
    checkpoint: Location,
    base: Location | None,
    name: str | None,
    repo: Path | None,
    activations: str | None,
    prompts: Prompts | None,
    architecture: Path | None,
    *,
    deep: bool,
) -> tuple[str, ...]:
    """Command line as it is signed: the last part of each path only, URIs without what may be a secret."""
    words = ["attest", "measure", _last_part(checkpoint)]
    if base is not None:
        words += ["--base", _last_part(base)]
    if name is not None:
        words += ["--name", name]
    if repo is not None:
        words += ["--repo", _last_part(repo)]
    if activations is not None and prompts is not None:
        words += ["--activations", prompts.inputs.id if prompts.shipped else _last_part(Path(activations))]
    if architecture is not None:
        words += ["--architecture", _last_part(architecture)]
    if deep:
        words.append("--deep")
    return tuple(words)


def _last_part(location: Location) -> str:
    if is_remote(location):
        return visible(shown(location))
    return visible(Path(os.path.realpath(location)).name)


def _describe(measurement: Measurement, output: Path) -> str:
    evidence = measurement.evidence
    checkpoint, tensors, sizes = evidence.checkpoint, evidence.tensors, evidence.architecture
    lines = [
        f"measured    {visible(checkpoint.name)}: {amount(checkpoint.file_count, 'file')}, {amount(checkpoint.bytes, 'byte')}, all read once",
        *_describe_resumed(measurement),
        *_describe_source(checkpoint.source),
        f"tree        {checkpoint.tree_digest}",
        (
            f"tensors     {tensors.count:,} with {amount(tensors.parameters, 'parameter')}"
            f" ({', '.join(f'{count} {dtype}' for dtype, count in tensors.dtypes.items())})"
        ),
        (
            f"layout      {sizes.family or 'unknown family'}, {amount(sizes.layers, 'layer')},"
            f" d_model {sizes.d_model or '?'}, d_ff {sizes.d_ff or '?'}, heads {sizes.heads or '?'}"
        ),
        f"unmapped    {amount(tensors.unmapped_count, 'tensor')} without a role; {amount(tensors.non_finite, 'value')} not finite",
    ]
    lines += [f"{'fingerprint':11} {one.id}{_reason(one.not_measured)}" for one in evidence.fingerprints]
    if evidence.activations:
        run = evidence.activations
        lines.append(
            f"activations {run.id} on {run.prompt_set}: {amount(run.sequences, 'sequence')}, {amount(run.tokens, 'token')}"
        )
    if evidence.licenses:
        found = evidence.licenses
        lines.append(f"licenses    {amount(found.finding_count, 'finding')} in {amount(found.files_scanned, 'file')}")
    lines += [f"finding     {one.code}: {visible(one.path)}: {visible(one.text)}" for one in checkpoint.findings]
    place = visible(str(output))
    lines += [f"evidence    {place}", f"next        attest sign {shlex.quote(place)} --key key.pem"]
    return "\n".join(lines)


def _describe_resumed(measurement: Measurement) -> Iterator[str]:
    if measurement.resumed:
        yield f"resumed     results of an earlier run stand for {amount(len(measurement.resumed), 'file')}, or a part of them"
    for path, size in measurement.read_again.items():
        yield f"read again  {visible(path)}: its first {size:,} bytes, for its SHA-256 only"


def _describe_source(source: RemoteSource | None) -> list[str]:
    if source is None:
        return []
    commit = f" at commit {source.commit}" if source.commit else ""
    return [f"source      {visible(source.uri)}{commit}"]


def _reason(not_measured: str | None) -> str:
    return f": {not_measured}" if not_measured else ""
