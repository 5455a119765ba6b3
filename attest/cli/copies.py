"""A reader's own copies, and measuring, scanning or comparing them again, whatever the statement is about."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from attest.checkpoint.source import Location
from attest.cli.options import LOCATION, architecture_option, base_option
from attest.cli.progress import Progress
from attest.comparison import COMPARISON_TYPE
from attest.repository_scan import REPOSITORY_SCAN_TYPE
from attest.reproduction import Reproduction
from attest.statement import Statement

if TYPE_CHECKING:
    from attest.activation import Options

__all__ = ["OwnCopies", "copies_options", "measure_again"]

F = TypeVar("F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnCopies:
    """What a reader has of what a statement is about; each is None, or empty, where it was not given."""

    checkpoint: Location | None
    base: Location | None
    architecture: Path | None
    repo: Location | None
    against: Location | None
    references: tuple[Location, ...]
    common: tuple[Location, ...]
    releases: tuple[Path, ...]
    a: Location | None
    b: Location | None
    parents: tuple[Location, ...]
    panel: Path | None
    protocol: Path | None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to measure, to scan or to compare."""
        return not (self.checkpoint or self.repo or (self.a and self.b))


_OPTIONS = (
    click.option("--checkpoint", type=LOCATION, help="Your own copy of the checkpoint; a path or a URI."),
    base_option,
    architecture_option,
    click.option("--repo", type=LOCATION, help="Your own copy of the repository that was scanned."),
    click.option("--against", type=LOCATION, help="For a scan: your own copy of what code was looked for in."),
    click.option(
        "--reference", "references", type=LOCATION, multiple=True, help="For a scan: what it was given as --reference."
    ),
    click.option("--common", type=LOCATION, multiple=True, help="For a scan: what it was given as --common."),
    click.option(
        "--releases", type=_PATH, multiple=True, help="For a scan: your own copy of a release; once for each."
    ),
    click.option("--a", type=LOCATION, help="For a comparison: A, a checkpoint or evidence about it."),
    click.option("--b", type=LOCATION, help="For a comparison: B. Tests on weights need both as checkpoints."),
    click.option(
        "--parent", "parents", type=LOCATION, multiple=True, help="For a comparison: what it was given as --parent."
    ),
    click.option("--panel", type=_PATH, help="For a comparison: its reference panel, if it was not the shipped one."),
    click.option("--protocol", type=_PATH, help="For a comparison: what announced it."),
)


def copies_options(function: F) -> F:
    """Stack the options, which arrive as one ``OwnCopies`` named ``copies``."""
    names = [one.name for one in fields(OwnCopies)]

    @wraps(function)
    def command(*args: Any, **options: Any) -> Any:
        return function(*args, copies=OwnCopies(**{name: options.pop(name) for name in names}), **options)

    stacked = cast("F", command)
    for option in reversed(_OPTIONS):
        stacked = option(stacked)
    return stacked


def measure_again(
    statement: Statement,
    bundle: Path,
    copies: OwnCopies,
    *,
    run_model: bool = True,
    run_options: Options | None = None,
    threads: int | None = None,
) -> Reproduction:
    """Hold a statement against the copies that it has a use for; numerics are loaded only now.

    Raises
    ------
    UsageError
        They are copies of something else.
    AttestError
        A copy cannot be read, or the statement is malformed.
    """
    if statement.predicate_type == REPOSITORY_SCAN_TYPE:
        return _scan_again(statement, bundle, copies)
    with closing(Progress()) as progress:
        if statement.predicate_type == COMPARISON_TYPE:
            return _compare_again(statement, bundle, copies, threads, progress)
        if copies.checkpoint is None:
            raise click.UsageError("Evidence about a checkpoint needs --checkpoint.")
        from attest.activation import DEFAULT_OPTIONS  # noqa: PLC0415
        from attest.reproduce import reproduce  # noqa: PLC0415

        return reproduce(
            statement,
            bundle,
            checkpoint=copies.checkpoint,
            base=copies.base,
            repository=None if copies.repo is None else Path(copies.repo),
            run_model=run_model,
            run_options=run_options or DEFAULT_OPTIONS,
            architecture=copies.architecture,
            threads=threads,
            progress=progress,
            run_progress=progress.ran,
        )


def _compare_again(
    statement: Statement, bundle: Path, copies: OwnCopies, threads: int | None, progress: Progress
) -> Reproduction:
    from attest.recompare import Pair, recompare  # noqa: PLC0415

    if copies.a is None or copies.b is None:
        raise click.UsageError("A comparison needs --a and --b.")
    pair = Pair(
        a=copies.a,
        b=copies.b,
        parents=copies.parents,
        panel=copies.panel,
        protocol=copies.protocol,
        architecture=copies.architecture,
    )
    return recompare(statement, bundle, pair, threads=threads, progress=progress)


def _scan_again(statement: Statement, bundle: Path, copies: OwnCopies) -> Reproduction:
    from attest.resurvey import resurvey  # noqa: PLC0415
    from attest.survey import Places  # noqa: PLC0415

    if copies.repo is None:
        raise click.UsageError("Evidence about a repository needs --repo.")
    places = Places(
        repository=copies.repo,
        copied_from=copies.references,
        reference=copies.against,
        common=copies.common,
        releases=copies.releases,
    )
    return resurvey(statement, bundle, places)
