"""``attest protocol``."""

from __future__ import annotations

import shlex
from contextlib import closing
from pathlib import Path

import click

from attest.cli.options import emit, format_option, policy_option
from attest.cli.progress import Progress
from attest.compare.announcement import announce
from attest.compare.fingerprints import holds_evidence
from attest.coverage import digest_tree
from attest.digest import sha256
from attest.document import dump
from attest.errors import InputError
from attest.evidence_directory import read_evidence, refuse_place, write_evidence
from attest.panel import shipped_panel
from attest.policy_file import DEFAULT_POLICY, read_policy
from attest.program import this_tool
from attest.protocol import AnnouncedSide, Protocol, protocol_statement
from attest.terminal import visible

__all__ = ["command"]

_MAX_PANEL = 256 * 1024**2
_SIDE = click.Path(path_type=Path)


@click.command("protocol")
@click.option("--a", type=_SIDE, metavar="PATH", help="Checkpoint or evidence to be compared, where it is at hand.")
@click.option("--b", type=_SIDE, metavar="PATH", help="The other one.")
@click.option("--deep", is_flag=True, help="Announce measurements made with --deep.")
@click.option("--weights", is_flag=True, help="Announce a comparison with --weights.")
@policy_option
@click.option(
    "--panel", type=_SIDE, metavar="FILE", help="Reference panel, bound by its SHA-256; the shipped one by default."
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="EVIDENCE_DIR", help="Folder to make."
)
@click.option("--force", is_flag=True, help="Replace EVIDENCE_DIR if it holds earlier evidence.")
@format_option
def command(
    a: Path | None, b: Path | None, deep: bool, weights: bool, policy_file: Path | None, panel: Path | None,
    output: Path, force: bool, style: str,
) -> None:  # fmt: skip
    """Announce a comparison before it is made: what is run, on what, and by what policy it is read.

    Nothing is measured; of checkpoints only the digest is taken. Sign the folder with attest sign, let others have the
    bundle, then give it to attest compare --protocol, which names whatever deviates.
    """
    refuse_place(output, force=force)
    protocol = announce(
        a=None if a is None else _side(a),
        b=None if b is None else _side(b),
        deep=deep,
        weights=weights,
        policy=DEFAULT_POLICY if policy_file is None else read_policy(policy_file),
        panel_sha256=shipped_panel().sha256 if panel is None else _digest(panel),
        tool=this_tool(),
    )
    statement = protocol_statement(protocol)
    write_evidence(output, statement, {}, force=force)
    value = {"directory": str(output), "statementSha256": statement.digest, "protocol": dump(protocol)}
    emit(_describe(protocol, statement.digest, output), value, style=style, output=None, force=False)


def _side(path: Path) -> AnnouncedSide:
    """Name and tree digest, from evidence or from the files."""
    if holds_evidence(path):
        _, evidence = read_evidence(path)
        return AnnouncedSide(name=evidence.checkpoint.name, tree_digest=evidence.checkpoint.tree_digest)
    with closing(Progress()) as progress:
        return AnnouncedSide(name=visible(path.resolve().name), tree_digest=digest_tree(path, progress=progress).digest)


def _digest(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > _MAX_PANEL:
        raise InputError(
            "no-panel", "is no file of at most 256 MiB", fix="give the panel's file, or leave it out", where=str(path)
        )
    return sha256(path.read_bytes())


def _describe(protocol: Protocol, digest: str, output: Path) -> str:
    place = visible(str(output))
    sides = (("A", protocol.a), ("B", protocol.b))
    known = [
        f"{label:11} {visible(side.name)}, tree {side.tree_digest}" if side else f"{label:11} not yet named"
        for label, side in sides
    ]
    return "\n".join(
        [
            f"announced   statement SHA-256 {digest}",
            *known,
            f"tests       {len(protocol.methods)}: {', '.join(protocol.methods)}",
            f"policy      {visible(protocol.policy.id)}",
            f"panel       {protocol.panel_sha256 or 'none'}",
            f"evidence    {place}",
            f"next        attest sign {shlex.quote(place)} --key key.pem",
        ]
    )
