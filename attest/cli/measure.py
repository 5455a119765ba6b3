"""``attest measure``."""

from __future__ import annotations

import os
import shlex
from contextlib import closing
from pathlib import Path

import click

from attest.cli.options import emit, format_option
from attest.cli.progress import Progress
from attest.document import dump
from attest.errors import InputError
from attest.evidence import Evidence
from attest.evidence_directory import refuse_place, write_evidence
from attest.measure import measure
from attest.terminal import visible

__all__ = ["command"]


@click.command("measure")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--name", help="What to call the checkpoint in the evidence; its own name by default.")
@click.option("--repo", type=click.Path(path_type=Path), help="Folder to scan for licenses and notices.")
@click.option("--activations", metavar="PROMPTSET", help="Also run the model on a shipped prompt set (needs torch).")
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads for the read; no number depends on it.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="EVIDENCE_DIR", help="Folder to make."
)
@click.option("--force", is_flag=True, help="Replace EVIDENCE_DIR if it holds earlier evidence.")
@format_option
def command(
    checkpoint: Path, name: str | None, repo: Path | None, activations: str | None, threads: int | None, output: Path, force: bool, style: str
) -> None:  # fmt: skip
    """Measure CHECKPOINT, a folder of safetensors files or one such file.

    Every byte is read once: SHA-256 of files and chunks, exact moments of every tensor, and fingerprints that can be
    shared without the weights. Nothing in the checkpoint is ever executed.
    """
    _refuse_overlap(output, checkpoint, repo)
    refuse_place(output, force=force)
    with closing(Progress()) as progress:
        measurement = measure(
            checkpoint,
            name=name,
            repository=repo,
            prompt_set=activations,
            threads=threads,
            command=_recorded_command(checkpoint, name, repo, activations),
            progress=progress,
        )
    statement = measurement.statement()
    write_evidence(output, statement, measurement.details, force=force)
    value = {"directory": str(output), "statementSha256": statement.digest, "evidence": dump(measurement.evidence)}
    emit(_describe(measurement.evidence, output), value, style=style, output=None, force=False)


def _refuse_overlap(output: Path, checkpoint: Path, repo: Path | None) -> None:
    """Refuse to write into the checkpoint, and to replace a folder that holds what is measured."""
    place = Path(os.path.realpath(output))
    if place.is_relative_to(os.path.realpath(checkpoint)):
        raise InputError(
            "output-in-checkpoint",
            "lies inside the checkpoint, which would change it",
            fix="choose a folder beside it",
            where=str(output),
        )
    if any(Path(os.path.realpath(path)).is_relative_to(place) for path in (checkpoint, repo) if path is not None):
        raise InputError(
            "checkpoint-in-output",
            "holds what is measured, so it cannot be replaced",
            fix="choose a folder beside it",
            where=str(output),
        )


def _recorded_command(
    checkpoint: Path, name: str | None, repo: Path | None, activations: str | None
) -> tuple[str, ...]:
    """Command line as it is signed: the last part of each path only, no names of users or folders."""
    words = ["attest", "measure", _last_part(checkpoint)]
    if name is not None:
        words += ["--name", name]
    if repo is not None:
        words += ["--repo", _last_part(repo)]
    if activations is not None:
        words += ["--activations", activations]
    return tuple(words)


def _last_part(path: Path) -> str:
    return visible(Path(os.path.realpath(path)).name)


def _describe(evidence: Evidence, output: Path) -> str:
    checkpoint, tensors, sizes = evidence.checkpoint, evidence.tensors, evidence.architecture
    lines = [
        f"measured    {visible(checkpoint.name)}: {checkpoint.file_count} files, {checkpoint.bytes:,} bytes, all read once",
        f"tree        {checkpoint.tree_digest}",
        (
            f"tensors     {tensors.count:,} with {tensors.parameters:,} parameters"
            f" ({', '.join(f'{count} {dtype}' for dtype, count in tensors.dtypes.items())})"
        ),
        (
            f"layout      {sizes.family or 'unknown family'}, {sizes.layers} layers,"
            f" d_model {sizes.d_model or '?'}, d_ff {sizes.d_ff or '?'}, heads {sizes.heads or '?'}"
        ),
        f"unmapped    {tensors.unmapped_count} tensors without a role; {tensors.non_finite} values not finite",
    ]
    lines += [f"{'fingerprint':11} {one.id}{_reason(one.not_measured)}" for one in evidence.fingerprints]
    if evidence.activations:
        run = evidence.activations
        lines.append(f"activations {run.id} on {run.prompt_set}: {run.sequences} sequences, {run.tokens} tokens")
    if evidence.licenses:
        found = evidence.licenses
        lines.append(f"licenses    {found.finding_count} findings in {found.files_scanned} files")
    lines += [f"finding     {one.code}: {visible(one.path)}: {visible(one.text)}" for one in checkpoint.findings]
    place = visible(str(output))
    lines += [f"evidence    {place}", f"next        attest sign {shlex.quote(place)} --key key.pem"]
    return "\n".join(lines)


def _reason(not_measured: str | None) -> str:
    return f": {not_measured}" if not_measured else ""
