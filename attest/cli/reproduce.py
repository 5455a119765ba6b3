"""``attest reproduce``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from attest.activation import Device, Options
from attest.checkpoint.source import Location
from attest.cli.options import (
    LOCATION,
    architecture_option,
    base_option,
    device_option,
    emit,
    format_option,
    output_option,
    stream_option,
)
from attest.cli.progress import Progress
from attest.document import dump
from attest.evidence_directory import read_statement
from attest.repository_scan import REPOSITORY_SCAN_TYPE
from attest.reproduce import Reproduction, reproduce
from attest.resurvey import resurvey
from attest.survey import Places
from attest.terminal import amount, visible

__all__ = ["command"]

_WIDTH = 60
"""Most characters of a value's name that are shown: a bundle's author writes some of them."""
_MAX_NAMED = 5


@click.command("reproduce")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--checkpoint", type=LOCATION, help="Your own copy of the checkpoint; a path or a URI.")
@base_option
@click.option("--repo", type=LOCATION, help="Your own copy of the repository that was scanned.")
@click.option(
    "--against",
    type=LOCATION,
    help="For a scan: your own copy of what code was looked for in. --repo is needed, --checkpoint is not.",
)
@click.option(
    "--common", type=LOCATION, multiple=True, help="For a scan: your own copy of what it was given as --common."
)
@click.option(
    "--reference", "references", type=LOCATION, multiple=True, help="For a scan: what it was given as --reference."
)
@click.option(
    "--releases",
    type=click.Path(path_type=Path),
    multiple=True,
    help="For a scan: your own copy of a release; once for each.",
)
@click.option("--no-activations", is_flag=True, help="Do not run the model again.")
@device_option
@stream_option
@architecture_option
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads for the read; no number depends on it.")
@output_option
@format_option
def command(
    bundle: Path, checkpoint: Location | None, base: Location | None, repo: Location | None, against: Location | None,
    common: tuple[Location, ...], references: tuple[Location, ...],
    releases: tuple[Path, ...], no_activations: bool, device: Device, stream: bool,
    architecture: Path | None, threads: int | None, output: Path | None, force: bool, style: str,
) -> None:  # fmt: skip
    """Measure again with the same code and compare with BUNDLE, value by value.

    BUNDLE is what attest measure wrote, and --checkpoint your copy; or what attest scan wrote, and --repo your copy.

    Exits 0 where every value came out the same (activations: within their tolerance), 1 where one differs, 3 where one
    that you did not leave out could not be measured. Checks no signature: run attest verify for that.
    """
    if checkpoint is None and repo is None:
        raise click.UsageError("Give --checkpoint, or --repo for evidence about a repository.")
    statement = read_statement(bundle)
    if statement.predicate_type == REPOSITORY_SCAN_TYPE:
        if repo is None:
            raise click.UsageError("Evidence about a repository needs --repo.")
        copies = Places(repository=repo, copied_from=references, reference=against, releases=releases, common=common)
        result = resurvey(statement, bundle, copies)
    elif checkpoint is None:
        raise click.UsageError("Evidence about a checkpoint needs --checkpoint.")
    else:
        with closing(Progress()) as progress:
            result = reproduce(
                statement,
                bundle,
                checkpoint=checkpoint,
                base=base,
                repository=None if repo is None else Path(repo),
                run_model=not no_activations,
                run_options=Options(device=device, stream=stream),
                architecture=architecture,
                threads=threads,
                progress=progress,
                run_progress=progress.ran,
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
    counts += f", measured from {amount(result.files, 'file')}, {amount(result.bytes, 'byte')}"
    if not result.reproduced:
        return f"not reproduced: {counts}"
    if result.not_measured:
        names = ", ".join(visible(name)[:_WIDTH] for name in result.not_measured[:_MAX_NAMED])
        return f"not decided: {counts}; could not be measured: {len(result.not_measured)}, among them {names}"
    return f"reproduced: {counts}"
