"""A comparison of code as people read it, and as programs do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attest.document import dump
from attest.finding import Finding
from attest.licenses.origin.compare import Origins
from attest.repository_scan import Dating, HolderNotice, Origin
from attest.terminal import amount, visible

__all__ = ["origin_text", "origin_value"]

_SHOWN = 60
_CLOSING = """\
Containment is the share of a file's code (runs of twelve tokens, comments left out) that the other file holds. It
does not show who copied from whom, nor that the two did not both take it from a third. Open source licenses allow
taking code over, mostly on the condition that notices stay. Nothing here says anything about weights: code reuse is
not weight reuse. "Distinctive" means that at most one in twenty files of the kind in the other side is as outstanding
in likeness to its nearest and lead over its next together, and that two hundred tokens or more are alike: one in
twenty strangers is, so it says little where many files are held up. A notice may be younger than what was taken: give
the history of the other side with --against-history. It is said of the other side's files alone: where
that side took the file from a third, so may this one have. Give that third as --common, and what it holds is left out
on both sides."""


def origin_value(result: Origins, dating: Dating | None, findings: Sequence[Finding] = ()) -> dict[str, Any]:
    """The comparison as a JSON object, with findings about the other side."""
    about = [dump(finding) for finding in findings]
    return {"schemaVersion": 1, "findings": about, **dump(result), "dating": dump(dating)}


def origin_text(result: Origins, dating: Dating | None, findings: Sequence[Finding] = ()) -> str:
    """The comparison for people; what is a path or a line of a file is escaped."""
    missing = sum(bool(origin.missing_notices) for origin in result.origins)
    distinctive = sum(origin.is_distinctive for origin in result.origins)
    head = [
        (
            f"{amount(result.programs, 'program')} among {amount(result.files, 'file')}, beside "
            f"{amount(result.reference_programs, 'program')} (null: {amount(result.null_files, 'file')})"
        ),
        *(f"of the other side [{finding.code}]: {visible(finding.text)}" for finding in findings),
        f"files with the same bytes as one of the other side: {len(result.identical_files)}",
        (
            f"programs that hold at least three tenths of one of the other side: {len(result.origins)}, of these distinctively: "
            f"{distinctive}, and without a notice that it has in the version that was read: {missing}"
        ),
        *_left_out(result),
        *_holders(result.notices),
    ]
    rows = [line for origin in sorted(result.origins, key=_outstanding)[:_SHOWN] for line in _rows(origin)]
    more = (
        [f"… and {len(result.origins) - _SHOWN} more; --format json lists all"] if len(result.origins) > _SHOWN else []
    )
    return "\n".join([*head, "", *rows, *more, *_same_bytes(result), *_curve(dating), "", _CLOSING])


def _outstanding(origin: Origin) -> tuple[bool, float, float, str]:
    """The distinctive first, and of them the most outstanding."""
    return not origin.is_distinctive, -float(origin.both_percentile or 0), -float(origin.containment), origin.path


def _left_out(result: Origins) -> list[str]:
    """How much was left out because third repositories hold it, where it was."""
    if not (result.common_programs or result.common_reference_programs or result.common_files):
        return []
    return [
        f"programs left out as common: {result.common_programs} here and {result.common_reference_programs} there",
        f"files with the same bytes as one of the other side, and as a common one: {len(result.common_files)}",
    ]


def _holders(notices: Sequence[HolderNotice]) -> list[str]:
    """Holders whom license and notice files of the other side name, and whether they are named here."""
    rows: list[str] = []
    for one in notices[:_SHOWN]:
        notice = one.notice
        rows.append(
            f"  {visible(notice.path)}:{notice.line}, over {amount(one.alike, 'file')} alike: {visible(notice.text.strip())}"
        )
        rows += [f"    named here: {visible(line.path)}:{line.line} {visible(line.text.strip())}" for line in one.named]
        rows += [] if one.named else ["    not found: no copyright line that was read here names this holder"]
        rows += [f"    the name stands in {visible(path)}" for path in one.mentioned]
    more = [f"  … and {len(notices) - _SHOWN} more; --format json lists all"] if len(notices) > _SHOWN else []
    return ["", "Holders whom license and notice files of the other side name:", *rows, *more] if rows else []


def _rows(origin: Origin) -> list[str]:
    rank = "no null: too few files" if origin.both_percentile is None else _rank(origin)
    ahead = f" to {visible(origin.runner_up)}" if origin.runner_up else ""
    held = (
        f"  in {visible(origin.origin)}{' (same bytes)' if origin.identical else ''}: containment {origin.containment}"
        f" (back {origin.reverse}, without names {origin.blind_containment}), margin {origin.margin}{ahead}"
    )
    common = [f"  {origin.common} of it was left out as common"] if float(origin.common) else []
    notices = [
        f"  a notice of that one that this one does not have: {visible(line)}" for line in origin.missing_notices
    ]
    return [visible(origin.path), held, *common, f"  {rank}", *notices]


def _rank(origin: Origin) -> str:
    return (
        f"above {_percent(origin.percentile)} of the other side's own pairs, {_percent(origin.nearest_percentile)} of nearest pairs, "
        f"{_percent(origin.both_percentile)} with the margin: {origin.reading}"
    )


def _percent(share: str | None) -> str:
    return f"{100 * float(share or 0):.10g} %"


def _same_bytes(result: Origins) -> list[str]:
    """Files of any kind, also tokenizers and templates, which are no programs."""
    files = result.identical_files
    rows = [f"  {visible(file.path)} as {visible(file.origin)}" for file in files[:_SHOWN]]
    more = [f"  … and {len(files) - _SHOWN} more; --format json lists all"] if len(files) > _SHOWN else []
    return ["", "Files with the same bytes:", *rows, *more] if rows else []


def _curve(dating: Dating | None) -> list[str]:
    if dating is None:
        return []
    rows = [
        f"  {visible(release.name)}  {visible(file.path)} in {visible(file.origin)}: {file.containments[place]}{'  <- peak' if place in file.peaks else ''}"
        for file in dating.files
        for place, release in enumerate(dating.releases)
    ]
    return ["", "Release by release:", *rows]
