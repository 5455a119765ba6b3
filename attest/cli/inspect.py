"""``attest inspect``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from attest.architecture import Model, PlacedTensor, place_tensors, read_family_file
from attest.bundle import BUNDLE_NAME, Bundle, read_bundle
from attest.checkpoint import open_checkpoint
from attest.checkpoint.source import Location, at_revision
from attest.cli.options import LOCATION, architecture_option, emit, format_option, output_option, revision_option
from attest.compare.fingerprints import holds_evidence
from attest.document import dump
from attest.errors import SignatureError
from attest.evidence_directory import read_statement
from attest.identity import CertifiedIdentity
from attest.statement import Statement
from attest.terminal import amount, visible

__all__ = ["command"]

_WIDTH = 80
"""Widest column of names: one long name does not widen every line."""


@click.command("inspect")
@click.argument("path", metavar="PATH", type=LOCATION)
@revision_option
@architecture_option
@output_option
@format_option
def command(
    path: Location, revision: str | None, architecture: Path | None, output: Path | None, force: bool, style: str
) -> None:
    """Show what PATH or URI holds: a checkpoint's tensors and their roles, or a statement.

    Reads headers only and verifies nothing.
    """
    if isinstance(path, Path) and holds_evidence(path):
        text, value = _inspect_statement(path)
    else:
        families = read_family_file(architecture) if architecture else None
        checkpoint = open_checkpoint(at_revision(path, revision))
        text, value = _inspect_checkpoint(place_tensors(checkpoint, given=families))
    emit(text, value, style=style, output=output, force=force)


def _inspect_statement(path: Path) -> tuple[str, Any]:
    statement = read_statement(path)
    is_signed = not path.is_dir() or (path / BUNDLE_NAME).is_file()
    bundle = read_bundle(path)[0] if is_signed else None
    whom = "--identity WHO --issuer URL" if bundle and bundle.certificate else "--key PUBLIC_KEY"
    lines = [
        f"statement   {statement.digest}",
        f"predicate   {visible(statement.predicate_type)}",
        f"signed by   {_signer(bundle)}",
        f"verified    nothing; run: attest verify {shlex.quote(visible(str(path)))} {whom}",
        *_subjects(statement),
    ]
    value = {
        "statementSha256": statement.digest,
        "signerKeySha256": bundle.key_hint if bundle else None,
        "predicateType": statement.predicate_type,
        "subjects": [dump(subject) for subject in statement.subjects],
        "predicate": statement.predicate,
    }
    return "\n".join(lines), value


def _signer(bundle: Bundle | None) -> str:
    """Whom a bundle claims to be signed by."""
    if bundle is None:
        return "nobody: not signed"
    if bundle.certificate is None:
        return str(bundle.key_hint)
    try:
        return f"a certificate that names {visible(CertifiedIdentity.read(bundle.certificate).text)}"
    except SignatureError as error:
        return visible(error.message)


def _subjects(statement: Statement) -> list[str]:
    return [f"subject     {subject.digest.sha256}  {visible(subject.name)}" for subject in statement.subjects]


def _inspect_checkpoint(model: Model) -> tuple[str, Any]:
    checkpoint = model.checkpoint
    family = model.family.id if model.family else None
    findings = (*checkpoint.findings, *model.findings)
    unmapped = sum(1 for one in model.tensors if one.role is None)
    width = min(_WIDTH, max((len(visible(one.tensor.name)) for one in model.tensors), default=0))
    lines = [
        f"checkpoint  {visible(checkpoint.name)}  {amount(len(checkpoint.tree.files), 'file')}, format {checkpoint.format}",
        (
            f"layout      {family or 'unknown family'}, {amount(model.n_layers, 'layer')}, {amount(len(model.tensors), 'tensor')},"
            f" {unmapped} without a role"
        ),
        *(f"finding     {one.code}: {visible(one.path)}: {visible(one.text)}" for one in findings),
        "",
        *(_line(one, width) for one in model.tensors),
    ]
    value = {
        "name": checkpoint.name,
        "format": checkpoint.format,
        "family": family,
        "layers": model.n_layers,
        "findings": [dump(one) for one in findings],
        "tensors": [_value(one) for one in model.tensors],
    }
    return "\n".join(lines), value


def _line(one: PlacedTensor, width: int) -> str:
    place = "-" if one.layer is None else str(one.layer)
    shape = "x".join(map(str, one.tensor.shape)) or "scalar"
    return f"{visible(one.tensor.name):{width}}  {one.tensor.dtype:5} {shape:>14}  layer {place:>3}  {one.role or '-'}"


def _value(one: PlacedTensor) -> dict[str, Any]:
    return {
        "name": one.tensor.name,
        "dtype": one.tensor.dtype,
        "shape": list(one.tensor.shape),
        "file": one.tensor.file,
        "begin": one.tensor.begin,
        "end": one.tensor.end,
        "role": one.role,
        "layer": one.layer,
        "expert": one.expert,
    }
