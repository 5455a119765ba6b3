"""``attest compare``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import click

from attest.checkpoint import Checkpoint, open_checkpoint
from attest.cli.options import emit, format_option, output_option
from attest.cli.progress import Progress
from attest.compare import compare, comparison_statement
from attest.compare.fingerprints import Fingerprints, holds_evidence, read_fingerprints
from attest.compare.merge import Parent
from attest.comparison import Comparison, Test
from attest.document import decimal, dump
from attest.errors import InputError
from attest.evidence import Table
from attest.evidence_directory import write_evidence
from attest.measure import measure
from attest.policy import Conclusion, Rung, conclude
from attest.program import environment, this_tool
from attest.terminal import visible

__all__ = ["command"]

_RUNGS: tuple[str, ...] = get_args(Rung)
_SHOWN = 12
_WIDEST = 60


@click.command("compare")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "--evidence",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write the comparison as a folder that attest sign takes.",
)
@click.option(
    "--fail-on",
    type=click.Choice(_RUNGS),
    metavar="RUNG",
    help=f"Exit 1 where this rung or a higher one is reached: {', '.join(_RUNGS)}.",
)
@click.option(
    "--deep", is_flag=True, help="Measure checkpoints as attest measure --deep does; evidence stays as it is."
)
@click.option(
    "--weights",
    "with_weights",
    is_flag=True,
    help="Also make the tensors of one again out of the other, bit for bit, and describe what changed."
    " A and B must be checkpoints.",
)
@click.option(
    "--parent",
    "parents",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="CHECKPOINT",
    help="With --weights: another network that B may have been merged from, beside A. May be repeated.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads for measuring; no number depends on it.")
@output_option
@format_option
def command(
    a: Path, b: Path, directory: Path | None, fail_on: str | None, deep: bool, with_weights: bool,
    parents: tuple[Path, ...], threads: int | None, output: Path | None, force: bool, style: str,
) -> None:  # fmt: skip
    """Test whether checkpoints A and B are related.

    A and B are checkpoints, or evidence directories: the fingerprints in those suffice, no weights are needed. Exits
    0 whatever is found, unless --fail-on asks for 1.
    """
    if parents and not with_weights:
        raise click.UsageError("--parent needs --weights.")
    weights = (_weights(a), _weights(b)) if with_weights else None
    others = [(_weights(path), _fingerprints(path, threads, deep=deep)) for path in parents]
    comparison = compare(
        _fingerprints(a, threads, deep=deep),
        _fingerprints(b, threads, deep=deep),
        tool=this_tool(),
        environment=environment("numba", "numpy"),
        weights=weights,
        parents=[Parent(fingerprints=measured, weights=opened) for opened, measured in others],
    )
    conclusion = conclude(comparison)
    if directory is not None:
        write_evidence(directory, comparison_statement(comparison), {}, force=force)
    value: dict[str, Any] = {**dump(comparison), "conclusion": dump(conclusion)}
    emit(_describe(comparison, conclusion), value, style=style, output=output, force=force)
    if fail_on is not None and _RUNGS.index(conclusion.rung) <= _RUNGS.index(fail_on):
        click.get_current_context().exit(1)


def _weights(path: Path) -> Checkpoint:
    """The checkpoint itself, which must be there."""
    if holds_evidence(path):
        raise InputError(
            "no-weights",
            "is evidence: it holds fingerprints, and --weights compares the weights",
            fix="give the checkpoint, or leave --weights out",
            where=str(path),
        )
    return open_checkpoint(path)


def _fingerprints(path: Path, threads: int | None, *, deep: bool) -> Fingerprints:
    """Fingerprints from evidence, or measured now from a checkpoint."""
    if holds_evidence(path):
        return read_fingerprints(path)
    with closing(Progress()) as progress:
        measurement = measure(path, threads=threads, deep=deep, progress=progress)
    return Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None)


def _describe(comparison: Comparison, conclusion: Conclusion) -> str:
    a, b = comparison.a, comparison.b
    width = max(len(test.id) for test in comparison.tests)
    lines = [
        f"A  {visible(a.name)}  {a.parameters:,} parameters, {a.layers} layers, tree {a.tree_digest[:16]}",
        f"B  {visible(b.name)}  {b.parameters:,} parameters, {b.layers} layers, tree {b.tree_digest[:16]}",
        "",
        f"{'test':{width}}  {'calibration':11}  {'statistic':>10}  {'z':>9}  {'p':>8}  {'least p':>8}  {'n':>7}",
        *(_row(test, width) for test in comparison.tests),
        "",
        f"conclusion  {conclusion.rung}  (policy {conclusion.policy.id})",
        *(f"  {sentence}" for sentence in conclusion.because),
    ]
    for found in comparison.found:
        lines += ["", f"{found.id}: {visible(found.title)}", *_table(found.table)]
    if comparison.not_compared:
        lines += ["", "not compared"]
        lines += [f"  {item.id}: {visible(item.reason)}" for item in comparison.not_compared]
    lines += ["", "what this does not show", *(f"  {sentence}" for sentence in comparison.does_not_show)]
    return "\n".join(lines)


def _row(test: Test, width: int) -> str:
    return (
        f"{test.id:{width}}  {test.calibration:11}  {decimal(test.statistic, 4):>10}  {_number(test.z, 4):>9}"
        f"  {_number(test.pvalue, 3):>8}  {_number(test.smallest_pvalue, 3):>8}  {test.n:>7}"
    )


def _table(table: Table) -> Iterator[str]:
    """The first lines of a table; ``--format json`` has them all."""
    shown = (table.columns, *table.rows[:_SHOWN])
    cells = [[visible(cell)[:_WIDEST] for cell in row] for row in shown]
    widths = [max(len(row[column]) for row in cells) for column in range(len(table.columns))]
    for row in cells:
        yield "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    if len(table.rows) > _SHOWN:
        yield f"  … and {len(table.rows) - _SHOWN} more, in --format json"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else decimal(value, digits)
