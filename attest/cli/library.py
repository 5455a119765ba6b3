"""``attest library``: the fingerprints of many checkpoints, searched at once, and made into a reference panel."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click

from attest.atomic import refuse_output, write_atomically
from attest.cli.options import emit, format_option, output_option
from attest.cli.progress import Progress
from attest.document import decimal, dump
from attest.errors import InputError
from attest.panel import ReferencePanel, pack_panel
from attest.terminal import amount, visible

if TYPE_CHECKING:
    from attest.library import Answer

__all__ = ["command"]

_LIBRARY = click.argument("library", type=click.Path(path_type=Path))
_LINEAGE = click.option(
    "--lineage",
    "lineages",
    multiple=True,
    metavar="NAME",
    help="Where its weights come from, as you state it: a name for every network trained from random numbers that is in"
    " it. May be repeated. Without one it is found by a query and held out of panels.",
)


@click.group("library", no_args_is_help=True)
def command() -> None:
    """Keep the fingerprints of many checkpoints, and search them.

    A library is a folder of Parquet files, one a checkpoint. What it says of origins is said by whoever built it.
    """


@command.command("build")
@click.argument("evidence", metavar="EVIDENCE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "library", required=True, type=click.Path(path_type=Path), help="The folder of the new library."
)
@_LINEAGE
def build(evidence: tuple[Path, ...], library: Path, lineages: tuple[str, ...]) -> None:
    """Make a library of evidence directories that attest measure wrote; of one checkpoint the last counts."""
    made = _room().create_library(library)
    held: set[str] = set()
    for path in evidence:
        member = made.add(path, lineages, force=True)
        if member.side.tree_digest in held:
            click.echo(f"{visible(str(path))}: is about a checkpoint that was given before, and replaces it", err=True)
        held.add(member.side.tree_digest)
        click.echo(f"{member.side.tree_digest[:16]}  {visible(member.side.name)}")


@command.command("add")
@_LIBRARY
@click.argument("evidence", type=click.Path(path_type=Path))
@_LINEAGE
@click.option("--force", is_flag=True, help="Replace the checkpoint where it is a member already.")
def add(library: Path, evidence: Path, lineages: tuple[str, ...], *, force: bool) -> None:
    """Add the checkpoint that EVIDENCE is about. No signature is checked: use attest verify."""
    member = _room().open_library(library).add(evidence, lineages, force=force)
    click.echo(f"{member.side.tree_digest[:16]}  {visible(member.side.name)}")


@command.command("list")
@_LIBRARY
@output_option
@format_option
def list_(library: Path, output: Path | None, *, force: bool, style: str) -> None:
    """Show the members and what is said of their origins."""
    held = _room().open_library(library)
    members = [held.member(digest) for digest in held.digests()]
    lines = [
        f"{one.side.tree_digest[:16]}  {one.side.parameters:>15,}  {one.side.layers:>6}  {_origins(one.lineages):24}"
        f"  {visible(one.side.name)}"
        for one in members
    ]
    head = f"{'tree':16}  {'parameters':>15}  {'layers':>6}  {'origins, as stated':24}  name"
    text = "\n".join((head, *lines, amount(len(members), "member")))
    emit(text, [dump(one) for one in members], style=style, output=output, force=force)


@command.command("panel")
@_LIBRARY
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The panel to write."
)
@click.option("--force", is_flag=True, help="Overwrite the output file.")
@click.option("--name", default="library", show_default=True, help="Name of the panel.")
@click.option("--version", default="1", show_default=True, help="Version of the panel.")
@click.option("--made", default="", help="What the networks are, how you know their origins, and who says so.")
@click.option(
    "--pairs",
    "most",
    type=click.IntRange(1, 50_000),
    default=2000,
    show_default=True,
    help="Most pairs of either relation; of more, a public random choice is taken.",
)
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes.")
def panel(
    library: Path, output: Path, name: str, version: str, made: str, most: int, jobs: int, *, force: bool
) -> None:
    """Compute the descriptive statistics of all pairs of members with a stated origin.

    Pairs with an origin in common count as derived, all others as independent. A run that was killed goes on where it was.
    """
    room = _room()
    refuse_output(output, force=force)
    held = room.open_library(library)
    made_panel = room.make_panel(held, name=name, version=version, made=made, most=most, jobs=jobs, advance=_tell)
    data = pack_panel(made_panel)
    ReferencePanel.of(data, where=output.name)
    write_atomically(output, data, force=force)
    members = {one.name: one for one in made_panel.models}
    apart = sum(members[one.a].relation(members[one.b]) == "independent" for one in made_panel.pairs)
    click.echo(
        f"{apart} independent and {len(made_panel.pairs) - apart} derived pairs of {amount(len(members), 'member')}"
    )


@command.command("query")
@_LIBRARY
@click.argument("suspect", type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Candidates to show.")
@click.option("--deep", is_flag=True, help="Measure a checkpoint as attest measure --deep does.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads; no number depends on it.")
@output_option
@format_option
def query(
    library: Path, suspect: Path, top: int, threads: int | None, output: Path | None, *, deep: bool, force: bool,
    style: str,
) -> None:  # fmt: skip
    """Hold SUSPECT, evidence or a checkpoint, against every member.

    Exact tests are taken in closed form, and corrected for all members and tests (Holm). Whatever stands out is a
    candidate for attest compare, and no conclusion; that nothing stands out shows nothing.
    """
    from attest.sides import read_side  # noqa: PLC0415 - keeps --help quick

    room = _room()
    held = room.open_library(library)
    with closing(Progress()) as progress:
        measured = read_side(suspect, deep=deep, threads=threads, progress=progress)
    answer = room.query(held, measured, top=top, threads=threads)
    emit("\n".join(_answer(answer)), dump(answer), style=style, output=output, force=force)


def _room() -> ModuleType:
    """``attest.library``, where its packages are installed."""
    try:
        return importlib.import_module("attest.library")
    except ModuleNotFoundError as error:
        raise InputError(
            "extra-missing",
            f"a library needs {error.name}, which is not installed",
            fix="pip install 'attest-checkpoints[library]'",
        ) from error


def _tell(done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        click.echo(f"{done} of {total} pairs", err=True)


def _origins(lineages: tuple[str, ...]) -> str:
    return visible(", ".join(lineages)) or "not stated"


def _answer(answer: Answer) -> Iterator[str]:
    yield f"suspect  {visible(answer.suspect.name)}  tree {answer.suspect.tree_digest[:16]}"
    yield f"{amount(answer.members, 'member')} looked at with {amount(answer.tests, 'test')} in all; p is corrected for that (Holm)"
    for one in answer.candidates:
        yield ""
        yield f"{one.member.tree_digest[:16]}  {visible(one.member.name)}  origins as stated: {_origins(one.lineages)}"
        if one.same_tensors or one.same_values:
            yield f"  telling tensors: {one.same_tensors} with the same bytes, {one.same_values} with the same values"
        if not (one.same_tensors or one.same_values or one.tests):
            yield "  nothing in common was found, or nothing could be compared"
        for test in one.tests:
            yield f"  {test.id:30}  z {decimal(test.z, 4):>9}  p {decimal(test.adjusted, 3):>9}  n {test.n}"
    yield ""
    yield "No conclusion is drawn here: run attest compare on what stands out. p is a normal tail, never below 1e-6 before"
    yield "the correction. Permuted neurons together with a rotated residual stream hide a suspect from these tests."
