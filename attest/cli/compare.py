"""``attest compare``."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click

from attest.activation import Prompts, read_prompts
from attest.architecture import read_family_file
from attest.checkpoint.source import Location
from attest.cli.comparison_text import describe
from attest.cli.options import LOCATION, architecture_option, emit, format_option, output_option, policy_option
from attest.cli.progress import Progress
from attest.compare import compare, comparison_statement
from attest.compare.announcement import find_deviations, read_protocol
from attest.compare.fingerprints import Fingerprints
from attest.compare.weights.full_matching import ASSIGNED_TEST
from attest.compare.weights.merge import Parent
from attest.document import dump
from attest.errors import InputError
from attest.evidence_directory import refuse_around, refuse_place, write_evidence
from attest.fingerprint.anchored_sketch import ANCHORED_SKETCH_ID
from attest.panel import read_panel, shipped_panel
from attest.policy import Rung, conclude
from attest.policy_file import DEFAULT_POLICY, Policy, read_policy
from attest.program import environment, this_tool
from attest.protocol import Protocol
from attest.sides import read_side, read_weights
from attest.statement import Statement

__all__ = ["command"]

_ADAPTER = (
    "{label} is an adapter, which holds changes to a network and no network; to compare what it and its base give:"
    " attest measure ADAPTER --base BASE -o EVIDENCE_DIR"
)
_RUNGS: tuple[str, ...] = get_args(Rung)


def _show_policy(context: click.Context, _option: click.Parameter, value: object) -> None:
    if value and not context.resilient_parsing:
        click.echo(json.dumps(dump(DEFAULT_POLICY), indent=2))
        context.exit()


@click.command("compare")
@click.argument("a", type=LOCATION)
@click.argument("b", type=LOCATION)
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
@policy_option
@click.option(
    "--show-policy", is_flag=True, is_eager=True, expose_value=False, callback=_show_policy,
    help="Print the policy that is used by default, as a file to change and to give with --policy, and exit.",
)  # fmt: skip
@click.option(
    "--protocol",
    "announced",
    type=click.Path(path_type=Path),
    metavar="DIR_OR_BUNDLE",
    help="Record that attest protocol announced this comparison, name what deviates, and read it by the policy announced.",
)
@click.option(
    "--deep", is_flag=True, help="Measure checkpoints as attest measure --deep does; evidence stays as it is."
)
@click.option(
    "--activations",
    metavar="PROMPTSET",
    help="Also run checkpoints on a prompt set, as attest measure does; evidence stays as it is.",
)
@click.option(
    "--weights",
    "with_weights",
    is_flag=True,
    help="Also run the tests that read the weights of both: neurons on axes that are recovered from them, tensors of one"
    " made again out of the other, bit for bit, and what changed. A and B must be checkpoints.",
)
@click.option(
    "--assignments",
    is_flag=True,
    help="With --weights: also match all neurons of some layers one to one (linear sum assignment): minutes for large"
    " networks. A protocol that announced it asks for it too.",
)
@click.option(
    "--parent",
    "parents",
    type=LOCATION,
    multiple=True,
    metavar="CHECKPOINT",
    help="With --weights: another network that B may have been merged from, beside A. May be repeated.",
)
@click.option(
    "--panel",
    "panel_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Reference panel of known pairs to rank statistics in, instead of the small one that is shipped"
    " (docs/library.md).",
)
@architecture_option
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads for measuring; no number depends on it.")
@output_option
@format_option
def command(
    a: Location, b: Location, directory: Path | None, fail_on: str | None, policy_file: Path | None, announced: Path | None,
    deep: bool, activations: str | None, with_weights: bool, assignments: bool, parents: tuple[Location, ...], panel_file: Path | None,
    architecture: Path | None, threads: int | None, output: Path | None, force: bool, style: str,
) -> None:  # fmt: skip
    """Test checkpoints A and B for weights, or an initialization, in common.

    A and B are checkpoints, here or at a URI, or evidence directories: the fingerprints in those suffice, no weights
    are needed. Exits 0 whatever is found, unless --fail-on asks for 1.
    """
    if (parents or assignments) and not with_weights:
        raise click.UsageError("--parent and --assignments need --weights.")
    if directory is not None:
        refuse_around(directory, [one for one in (a, b, announced, *parents) if isinstance(one, Path)])
        refuse_place(directory, force=force)
    policy = DEFAULT_POLICY if policy_file is None else read_policy(policy_file)
    protocol = None if announced is None else _protocol(announced, policy if policy_file else None)
    panel = shipped_panel() if panel_file is None else read_panel(panel_file)
    prompts = read_prompts(activations) if activations is not None else None
    families = read_family_file(architecture) if architecture else None
    weights = (read_weights(a, families), read_weights(b, families)) if with_weights else None

    def measured(location: Location, prompts: Prompts | None) -> Fingerprints:
        with closing(Progress()) as progress:
            return read_side(
                location, deep=deep, prompts=prompts, architecture=architecture, threads=threads, progress=progress,
                run_progress=progress.ran,
            )  # fmt: skip

    candidates = [
        Parent(weights=read_weights(place, families).checkpoint, fingerprints=measured(place, None))
        for place in parents
    ]
    sides = [measured(place, prompts) for place in (a, b)]
    comparison = compare(
        *sides,
        tool=this_tool(),
        environment=environment("numba", "numpy"),
        weights=weights,
        assignments=assignments or (protocol is not None and ASSIGNED_TEST in protocol[1].methods),
        parents=candidates,
        panel=panel,
    )
    if protocol is not None:
        are_deep = all(ANCHORED_SKETCH_ID in side.arrays for side in sides)
        comparison = replace(comparison, protocol=find_deviations(*protocol, comparison, deep=are_deep))
        policy = protocol[1].policy
    conclusion = conclude(comparison, policy)
    if directory is not None:
        write_evidence(directory, comparison_statement(comparison), {}, force=force)
    for label, side in zip("AB", sides, strict=True):
        if side.is_adapter and not all(one.is_adapter for one in sides):
            click.echo(_ADAPTER.format(label=label), err=True)
    value: dict[str, Any] = {"schemaVersion": 1, **dump(comparison), "conclusion": dump(conclusion)}
    emit(describe(comparison, conclusion), value, style=style, output=output, force=force)
    if fail_on is not None and _RUNGS.index(conclusion.rung) <= _RUNGS.index(fail_on):
        click.get_current_context().exit(1)


def _protocol(path: Path, policy: Policy | None) -> tuple[Statement, Protocol]:
    """What was announced, refused where the reader asks for another policy than was announced."""
    statement, protocol = read_protocol(path)
    if policy not in {None, protocol.policy}:
        raise InputError(
            "policy-not-announced",
            f"announces the policy {protocol.policy.id}, and --policy asks for another one",
            fix="leave --policy out, and give it to attest report to read the comparison by both",
            where=str(path),
        )
    return statement, protocol
