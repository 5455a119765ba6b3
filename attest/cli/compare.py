"""``attest compare``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import click

from attest.cli.options import emit, format_option, output_option
from attest.cli.progress import Progress
from attest.compare import compare, comparison_statement
from attest.compare.fingerprints import Fingerprints, holds_evidence, read_fingerprints
from attest.comparison import Comparison, Test
from attest.document import decimal, dump
from attest.evidence_directory import write_evidence
from attest.measure import environment, measure, this_tool
from attest.policy import Conclusion, Rung, conclude
from attest.terminal import visible

__all__ = ["command"]

_RUNGS: tuple[str, ...] = get_args(Rung)


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
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads for measuring; no number depends on it.")
@output_option
@format_option
def command(
    a: Path, b: Path, directory: Path | None, fail_on: str | None, threads: int | None,
    output: Path | None, force: bool, style: str,
) -> None:  # fmt: skip
    """Test whether checkpoints A and B are related.

    A and B are checkpoints, or evidence directories: the fingerprints in those suffice, no weights are needed. Exits
    0 whatever is found, unless --fail-on asks for 1.
    """
    comparison = compare(
        _fingerprints(a, threads),
        _fingerprints(b, threads),
        tool=this_tool(),
        environment=environment("numba", "numpy"),
    )
    conclusion = conclude(comparison)
    if directory is not None:
        write_evidence(directory, comparison_statement(comparison), {}, force=force)
    value: dict[str, Any] = {**dump(comparison), "conclusion": dump(conclusion)}
    emit(_describe(comparison, conclusion), value, style=style, output=output, force=force)
    if fail_on is not None and _RUNGS.index(conclusion.rung) <= _RUNGS.index(fail_on):
        click.get_current_context().exit(1)


def _fingerprints(path: Path, threads: int | None) -> Fingerprints:
    """Fingerprints from evidence, or measured now from a checkpoint."""
    if holds_evidence(path):
        return read_fingerprints(path)
    with closing(Progress()) as progress:
        measurement = measure(path, threads=threads, progress=progress)
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


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else decimal(value, digits)
