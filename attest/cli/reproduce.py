"""``attest reproduce``."""

from __future__ import annotations

from pathlib import Path

import click

from attest.activation import Device, Options
from attest.cli.copies import OwnCopies, copies_options, measure_again
from attest.cli.options import device_option, emit, format_option, output_option, stream_option
from attest.document import dump
from attest.evidence_directory import read_statement
from attest.reproduction import Reproduction
from attest.terminal import amount, visible

__all__ = ["command"]

_WIDTH = 60
"""Most characters of a value's name that are shown: a bundle's author writes some of them."""
_MAX_NAMED = 5


@click.command("reproduce")
@click.argument("bundle", type=click.Path(path_type=Path))
@copies_options
@click.option("--no-activations", is_flag=True, help="Do not run the model again.")
@device_option
@stream_option
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads for the read; no number depends on it.")
@output_option
@format_option
def command(
    bundle: Path, copies: OwnCopies, no_activations: bool, device: Device, stream: bool, threads: int | None,
    output: Path | None, force: bool, style: str,
) -> None:  # fmt: skip
    """Measure, scan or compare again with the same code, and hold the result against BUNDLE, value by value.

    BUNDLE is what attest measure wrote, and --checkpoint your copy; or what attest scan wrote, and --repo your copy; or
    what attest compare --evidence wrote, and --a and --b your copies, or evidence about them.

    Exits 0 where every value came out the same (activations, and tests on weights: within their tolerance), 1 where one
    differs, 3 where one that you did not leave out could not be measured. Checks no signature: run attest verify for
    that.
    """
    if copies.is_empty:
        raise click.UsageError(
            "Give --checkpoint, or --repo for evidence about a repository, or --a and --b for a comparison."
        )
    result = measure_again(
        read_statement(bundle),
        bundle,
        copies,
        run_model=not no_activations,
        run_options=Options(device=device, stream=stream),
        threads=threads,
    )
    value = {**dump(result), "notMeasured": result.not_measured, "reproduced": result.reproduced}
    emit(_describe(result), value, style=style, output=output, force=force)
    click.get_current_context().exit(1 if not result.reproduced else 3 if result.not_measured else 0)


def _describe(result: Reproduction) -> str:
    names = [visible(value.name)[:_WIDTH] for value in result.values]
    width = max(map(len, names))
    lines = [
        f"{name:{width}}  {value.outcome:16}  {visible(value.message)}".rstrip()
        for name, value in zip(names, result.values, strict=True)
    ]
    return "\n".join([f"evidence about {visible(result.checkpoint)}", "", *lines, "", _verdict(result)])


def _verdict(result: Reproduction) -> str:
    """How many values, of how much; a value that could not be measured is never a success."""
    same = sum(1 for value in result.values if value.outcome in {"identical", "within-tolerance"})
    counts = f"{same} of {len(result.values)} values are the same numbers again"
    if result.files:
        counts += f", measured from {amount(result.files, 'file')}, {amount(result.bytes, 'byte')}"
    if not result.reproduced:
        other = "" if result.same_program else "; what was signed was made by another version of the program"
        return f"not reproduced: {counts}{other}"
    if result.not_measured:
        names = ", ".join(visible(name)[:_WIDTH] for name in result.not_measured[:_MAX_NAMED])
        return f"not decided: {counts}; could not be measured: {len(result.not_measured)}, among them {names}"
    return f"reproduced: {counts}"
