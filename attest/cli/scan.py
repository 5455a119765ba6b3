"""``attest scan``: what the files of a repository say about licenses, copyrights and where code comes from."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Container, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from attest.checkpoint.source import Location, shown
from attest.cli.options import LOCATION, emit, output_option
from attest.document import dump, timestamp
from attest.evidence_directory import refuse_among, refuse_place, write_evidence
from attest.finding import Finding
from attest.license_summary import LicenseSummary, Obligation
from attest.licenses.export import EXPORTS, Content
from attest.licenses.kind import KINDS
from attest.licenses.obligations import UNTOLD_REASONS
from attest.licenses.origin import origin_text, origin_value
from attest.licenses.place import name_of
from attest.licenses.repository import Scan
from attest.licenses.scan import read_files
from attest.licenses.scancode import SecondEngine, compare_with_scancode
from attest.licenses.whole import WHOLE
from attest.repository_scan import repository_scan_statement
from attest.survey import Places, Survey, survey
from attest.terminal import amount, visible

__all__ = ["command"]

_WIDTH = 118
_PLACE_WIDTH = 56
_SHOWN = 20
_COPIED = ("copied-from-mismatch", "copied-from-whole-file", "copied-from-compared")
_REASONS = {
    "binary": "binary",
    "lfs-pointer": "kept elsewhere by git-lfs",
    "link": "links, not followed",
    "path-too-long": "with a path over 512 bytes",
    "special-file": "neither file nor folder",
    "submodule": "other repositories that are mounted here",
    "too-large": "too large (over 1 MiB; license files over 4 MiB)",
    "unprintable-name": "with a name that cannot be printed",
    "unreadable": "could not be opened",
    "unsafe-name": "with a name that leads out of the archive",
    "version-control-folder": "version control folders",
    "weights": "weights, of which only the header was read",
}
_CLOSING = """\
This is what the files say. It is no legal advice: it does not tell which license applies, nor whether anyone keeps
to it. "Found" means that the words stand there; that something was not found means only that these patterns did not
find it in the files that were read. What each heading means and does not mean: docs/findings.md, by the name in
brackets."""


@click.command("scan")
@click.argument(
    "repository",
    metavar="REPO",
    type=LOCATION,
    help="A folder, a git repository, a zip, wheel or tar archive, hf://org/name, or pkg:pypi/name@version (installed).",
)
@click.option(
    "--revision", metavar="REV", help="Branch, tag or commit of a git repository, instead of its folder, or on the Hub."
)
@click.option("--history", is_flag=True, help="Search the git history for copyright lines that were taken out.")
@click.option(
    "--against", type=LOCATION, metavar="REPO", help="Look for code of this repository, wheel or archive in it."
)
@click.option(
    "--reference",
    "references",
    type=LOCATION,
    metavar="REPO",
    multiple=True,
    help='Where code may lie that comments call "copied from"; as often as needed. REPO itself is looked in, too.',
)
@click.option(
    "--engine",
    type=click.Choice(["scancode"]),
    help="Also ask this program (the extra scancode, 0.7 GB, slow), and list where it and attest disagree; by itself only.",
)
@click.option("--against-history", is_flag=True, help="Look in every version that the git history of --against holds.")
@click.option(
    "--common",
    type=LOCATION,
    metavar="REPO",
    multiple=True,
    help="Leave out code that this holds, too: what REPO and --against may both have it from; as often as needed.",
)
@click.option(
    "--releases",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A release of the package of --against, as a wheel, archive or folder; once for each.",
)
@click.option(
    "--evidence",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write what was found as a folder that attest sign takes.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", *EXPORTS]),
    default="text",
    show_default=True,
    help="Print for people, as one JSON object for programs, or in a format of others (docs/licenses.md).",
)
@output_option
def command(
    repository: Location,
    *,
    revision: str | None,
    history: bool,
    against: Location | None,
    references: tuple[Location, ...],
    engine: str | None,
    against_history: bool,
    common: tuple[Location, ...],
    releases: tuple[Path, ...],
    directory: Path | None,
    style: str,
    output: Path | None,
    force: bool,
) -> None:
    """Scan a repository for licenses, notices and copyright lines.

    Text files up to 1 MiB are read, license files up to 4 MiB; no link is followed. The command quotes what it finds
    and exits 0 whatever that is. With --against it lists the programs of REPO that hold much code of another
    repository, and the notices of that which are not there. With --evidence it writes all of it to be signed.
    """
    if against is None and (against_history or common or releases):
        raise click.UsageError("--against-history, --common and --releases need --against.")
    if engine and (against is not None or directory is not None or style in EXPORTS):
        raise click.UsageError(
            "--engine is for reading, with --format text or json: what it says is not signed, exported or shown beside "
            "--against. Run it by itself."
        )
    if directory is not None:
        given = (*([] if revision else [repository]), against, *references, *common, *releases)
        refuse_among(directory, [one for one in given if isinstance(one, Path)])
        refuse_place(directory, force=force)
    places = Places(
        repository=repository,
        revision=revision,
        history=(revision or "HEAD") if history else None,
        copied_from=references,
        reference=against,
        reference_history=against_history,
        releases=releases,
        common=common,
    )
    found = survey(places, command=_command(places))
    if directory is not None:
        write_evidence(directory, repository_scan_statement(found.evidence), found.details, force=force)
    if style in EXPORTS:
        emit(EXPORTS[style](_content(found)), None, style="text", output=output, force=force)
    elif found.compared:
        compared = (found.compared.origins, found.compared.dating, found.compared.findings)
        value = origin_value(*compared)
        value["copiedFrom"] = [dump(finding) for finding in found.scan.findings if finding.code in _COPIED]
        page = "\n\n".join([origin_text(*compared), *_groups(found.scan, _COPIED)])
        emit(page, value, style=style, output=output, force=force)
    else:
        page, value = _text(_name(repository), found), _value(found)
        if engine:
            second = compare_with_scancode(read_files(repository, revision))
            value["secondEngine"] = dump(second)
            page = f"{page}\n\n{_disagreements(second)}"
        emit(page, value, style=style, output=output, force=force)


def _content(found: Survey) -> Content:
    """What formats of others are made of; ``SOURCE_DATE_EPOCH`` stands for the time where it is set."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    fixed = datetime.fromtimestamp(int(epoch), UTC) if re.fullmatch(r"[0-9]{1,11}", epoch) else None
    return Content(
        name=found.evidence.repository.name,
        tree_digest=found.evidence.repository.tree_digest,
        scan=found.scan,
        scopes=tuple(one for one in found.evidence.licenses.scopes if one.found),
        origins=found.compared.origins.origins if found.compared else (),
        notices=found.compared.origins.notices if found.compared else (),
        tool=found.evidence.tool,
        created=timestamp(fixed) if fixed else found.evidence.measured_at,
    )


def _command(places: Places) -> tuple[str, ...]:
    """The command line as it is signed: of paths only the last part, so that no user or folder is named."""
    words = ["attest", "scan", name_of(places.repository)]
    words += ["--revision", places.revision] if places.revision else []
    words += ["--history"] if places.history else []
    for place in places.copied_from:
        words += ["--reference", name_of(place)]
    words += ["--against", name_of(places.reference)] if places.reference else []
    words += ["--against-history"] if places.reference_history else []
    for place in places.common:
        words += ["--common", name_of(place)]
    for path in places.releases:
        words += ["--releases", name_of(path)]
    return tuple(words)


def _value(found: Survey) -> dict[str, Any]:
    result, summary = found.scan, found.evidence.licenses
    return {
        "schemaVersion": 1,
        "filesScanned": result.files_scanned,
        "filesSkipped": dict(result.files_skipped),
        "findings": [dump(finding) for finding in result.findings],
        "identified": [dump(file) for file in result.identified],
        "scopes": [dump(scope) for scope in summary.scopes],
        "obligations": [dump(obligation) for obligation in summary.obligations],
        "untold": [dump(license_) for license_ in summary.untold],
    }


def _name(repository: Location) -> str:
    return repository.resolve().name if isinstance(repository, Path) else shown(repository)


def _text(name: str, found: Survey) -> str:
    """The whole page for people."""
    result, summary = found.scan, found.evidence.licenses
    groups = _groups(result, [kind.code for kind in KINDS])
    return "\n\n".join([_coverage(name, result), *_scopes(summary), *groups, *_obligations(summary), _CLOSING])


def _groups(result: Scan, codes: Container[str]) -> list[str]:
    """Findings of these codes, by kind."""
    groups = [
        _group(f"{kind.title} [{kind.code}]", [finding for finding in result.findings if finding.code == kind.code])
        for kind in KINDS
        if kind.code in codes
    ]
    return [group for group in groups if group]


def _disagreements(second: SecondEngine) -> str:
    """Where a second engine says other licenses than attest."""
    head = (
        f"Beside {visible(second.name)} {visible(second.version)}: of {amount(second.files, 'file')} with words on licenses both name the same in "
        f"{second.agreeing}, none in {second.silent}, others in {len(second.disagreements)}"
    )
    rows = [
        f"  {visible(one.path)}: attest {visible(', '.join(one.attest)) or 'none'}; {visible(second.name)} {visible(', '.join(one.scancode)) or 'none'}"
        for one in second.disagreements[:_SHOWN]
    ]
    more = len(second.disagreements) - _SHOWN
    return "\n".join([head, *rows, *([f"  … and {more} more; --format json lists all"] if more > 0 else [])])


def _scopes(summary: LicenseSummary) -> list[str]:
    """What was found for weights, code, data and documentation, one line each."""
    rows = []
    for one in summary.scopes:
        unread = f" (values and texts whose license is not known: {one.unread})"
        words = f"{one.scope}: {visible(one.expression) or 'nothing known'}{unread if one.unread else ''}"
        rows.append(textwrap.fill(words, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False))
    return (
        ["\n".join(["Licenses found, by what they are found for (all of them, joined by AND)", *rows])] if rows else []
    )


def _obligations(summary: LicenseSummary) -> list[str]:
    """What the licenses that were found or are declared ask for: one line a clause, and its words below."""
    texts = [one for one in summary.obligations if one.declaration is None]
    declared = [one for one in summary.obligations if one.declaration is not None]
    untold = [
        f"  {visible(one.license)} ({visible(one.source)}): {UNTOLD_REASONS[one.reason]}" for one in summary.untold
    ]
    groups = [
        ("Obligations of the license texts found", [_clause(one) for one in texts]),
        (
            "Obligations of licenses that are only declared: no whole text of them was found",
            [_clause(one, f", declared in {visible(one.source)}") for one in declared],
        ),
        ("Licenses whose obligations are not told here", untold),
    ]
    return ["\n".join([title, *rows]) for title, rows in groups if rows]


def _clause(one: Obligation, beside: str = "") -> str:
    evidence = f" ({visible(one.evidence)})" if one.evidence else ""
    head = f"  {visible(one.license)} {one.section}, {one.kind}: {one.status}{evidence}{beside}"
    words = textwrap.fill(f"“{visible(one.quote)}”", _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return f"{head}\n{words}"


def _coverage(name: str, result: Scan) -> str:
    lines = [f"Scan of {visible(name)}: {amount(result.files_scanned, 'text file')} read"]
    lines += [f"  {count} not read: {_REASONS[reason]}" for reason, count in result.files_skipped.items()]
    return "\n".join(lines)


def _group(title: str, findings: Sequence[Finding]) -> str:
    """One kind of finding: each text once, with its first place and the number of others."""
    if not findings:
        return ""
    texts: dict[str, list[Finding]] = {}
    for finding in findings:
        texts.setdefault(finding.text, []).append(finding)
    rows = [(_place(places), text) for text, places in list(texts.items())[:_SHOWN]]
    width = min(max(len(place) for place, _ in rows), _PLACE_WIDTH)
    lines = [f"{title}: {len(findings)}", *(line for place, text in rows for line in _row(place, text, width))]
    if len(texts) > _SHOWN:
        lines.append(f"  … and {amount(len(texts) - _SHOWN, 'more text')}; --format json lists all")
    return "\n".join(lines)


def _place(places: Sequence[Finding]) -> str:
    first = places[0]
    if first.path == WHOLE:
        return "(whole repository)"
    line = f":{first.line}" if first.line else ""
    others = len(places) - 1
    more = f" (and {amount(others, 'more place')})" if others else ""
    return f"{visible(first.path)}{line}{more}"


def _row(place: str, text: str, width: int) -> list[str]:
    """Place and text side by side; the text below a place that is too long for its column."""
    wrapped = textwrap.wrap(visible(text) or "(empty)", _WIDTH - width - 4, break_on_hyphens=False) or ["(empty)"]
    beside = [] if len(place) > width else [f"  {place:<{width}}  {wrapped.pop(0)}"]
    return [*(beside or [f"  {place}"]), *(f"  {'':<{width}}  {line}" for line in wrapped)]
