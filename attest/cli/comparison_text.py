"""A comparison and what a policy makes of it, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attest.comparison import Announcement, Comparison, Control, PanelRanks, Population, Test
from attest.document import decimal
from attest.evidence import Table
from attest.policy import Conclusion, conclude
from attest.policy_file import DEFAULT_POLICY, Policy, policy_digest
from attest.reading import Reading
from attest.terminal import amount, visible

__all__ = ["describe"]

_SHOWN = 12
_WIDEST = 64
"""A digest; what is longer ends in an ellipsis."""


def describe(comparison: Comparison, conclusion: Conclusion) -> str:
    """Lines for people, free of control characters; the conclusion and its limits last, where a terminal stands still."""
    a, b = comparison.a, comparison.b
    width = max(len(test.id) for test in comparison.tests)
    lines = [
        f"A  {visible(a.name)}  {a.parameters:,} parameters, {amount(a.layers, 'layer')}, tree {a.tree_digest[:16]}",
        f"B  {visible(b.name)}  {b.parameters:,} parameters, {amount(b.layers, 'layer')}, tree {b.tree_digest[:16]}",
        "",
        f"{'test':{width}}  {'calibration':11}  {'statistic':>10}  {'z':>9}  {'p':>8}  {'least p':>8}  {'n':>7}",
        *(_row(test, width) for test in comparison.tests),
        "",
        f"H1  {conclusion.propositions.h1}",
        f"H2  {conclusion.propositions.h2}",
        *_announced(comparison.protocol),
        *_readings(conclusion),
        *_controls(comparison.controls),
        *(_panel(comparison.panel) if comparison.panel else ()),
    ]
    for found in comparison.found:
        lines += ["", f"{found.id}: {visible(found.title)}", *_table(found.table)]
    if comparison.not_compared:
        lines += ["", "not compared"]
        lines += [f"  {item.id}: {visible(item.reason)}" for item in comparison.not_compared]
    lines += [
        "",
        f"conclusion  {conclusion.rung}  (policy {visible(conclusion.policy.id)})",
        *_other_policy(comparison, conclusion.policy),
        *(f"  {sentence}" for sentence in (*conclusion.because, *conclusion.cautions)),
    ]
    lines += ["", "what this does not show", *(f"  {sentence}" for sentence in comparison.does_not_show)]
    return "\n".join(lines)


def _row(test: Test, width: int) -> str:
    return (
        f"{test.id:{width}}  {test.calibration:11}  {_statistic(test.statistic, 4):>10}  {_number(test.z, 4):>9}"
        f"  {_number(test.pvalue, 3):>8}  {_number(test.smallest_pvalue, 3):>8}  {test.n:>7}"
    )


def _panel(panel: PanelRanks) -> Iterator[str]:
    """What the reference panel says, one line a test."""
    yield ""
    yield f"reference panel {visible(panel.name)} {visible(panel.version)}, sha256 {panel.sha256[:16]}"
    yield f"  {amount(panel.pairs, 'pair')}, {panel.left_out} left out as they hold A, B or a relative of either"
    if not panel.ranks:
        yield "  too few pairs are comparable with this one"
    for rank in panel.ranks:
        derived = f"; of {rank.derived.n} derived ones {rank.derived.at_least}" if rank.derived else ""
        yield f"  {rank.id}: of {_population(rank.independent)} {rank.independent.at_least} are at least as large{derived}"
        if rank.likelihood_ratio is not None:
            yield f"    so large a value is {decimal(rank.likelihood_ratio, 3)} times as frequent among the derived ones"


def _population(one: Population) -> str:
    reach = f"median {_statistic(one.median, 3)}, greatest {_statistic(one.greatest, 3)}"
    return f"{one.n} comparable pairs trained apart ({reach})"


def _other_policy(comparison: Comparison, policy: Policy) -> Iterator[str]:
    """A caution where another policy than the default one is read by, whatever it calls itself."""
    if policy != DEFAULT_POLICY:
        yield (
            f"  by a policy that is not the default one, SHA-256 {policy_digest(policy)}: p <= {decimal(policy.alpha)},"
            f" |z| >= {decimal(policy.minimum_z)}, in each half {decimal(policy.half_z)}"
        )
        yield f"  by the default one: {conclude(comparison).rung}"


def _announced(announcement: Announcement | None) -> Iterator[str]:
    if announcement is None:
        return
    yield ""
    yield f"announced by the protocol with statement SHA-256 {announcement.statement_sha256}; when is not shown"
    yield from (f"  deviates: {visible(one)}" for one in announcement.deviations)
    if not announcement.deviations:
        yield "  nothing deviates from it"


def _readings(conclusion: Conclusion) -> Iterator[str]:
    """How often H2 gives such results, in the policy's words, and what each test could have seen."""
    if not conclusion.readings:
        return
    scale = conclusion.policy.scale
    width = max(len(one.test) for one in conclusion.readings)
    yield ""
    yield f"where H2 holds, a result that far out is seen … (p after Holm, in the words of {visible(scale.id)})"
    yield from (
        f"  {one.test:{width}}  {decimal(one.pvalue, 3):>8}  {visible(one.words)}" for one in conclusion.readings
    )
    yield ""
    yield f"what each test could have seen: units copied unaltered (for a test by index in place) that give z = {decimal(conclusion.policy.minimum_z)}"
    yield from (f"  {one.test:{width}}  {_power(one)}" for one in conclusion.readings)


def _power(reading: Reading) -> str:
    if reading.smallest_share is None:
        return f"left out: {reading.left_out}"
    return f"about {decimal(100 * reading.smallest_share, 2)} % of them"


def _controls(controls: Sequence[Control]) -> Iterator[str]:
    """One line a test and kind: against itself, shuffled, against other layers."""
    lines: dict[tuple[str, str], list[str]] = {}
    for one in controls:
        lines.setdefault((one.test, one.kind), []).append(f"{one.of} {decimal(one.statistic, 4)}")
    if not lines:
        return
    width = max(len(test) for test, _ in lines)
    yield ""
    yield "controls: itself must be found; shuffled and other-layers (each with the next) must not"
    yield from (f"  {test:{width}}  {kind:12}  {', '.join(found)}" for (test, kind), found in lines.items())


def _table(table: Table) -> Iterator[str]:
    """The first lines of a table; ``--format json`` has them all."""
    shown = (table.columns, *table.rows[:_SHOWN])
    cells = [[_cell(cell) for cell in row] for row in shown]
    widths = [max(len(row[column]) for row in cells) for column in range(len(table.columns))]
    for row in cells:
        yield "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    if len(table.rows) > _SHOWN:
        yield f"  … and {len(table.rows) - _SHOWN} more, in --format json"


def _cell(cell: str) -> str:
    text = visible(cell)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else decimal(value, digits)


def _statistic(value: float, digits: int) -> str:
    """A number that is not rounded up to 1, which would say that all is shared."""
    text = decimal(value, digits)
    return text if text != "1" or value == 1 else decimal(value)
