"""Records whose every free text is hostile, and all that a page may show of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

from attest.attestation_result import AttestationResult
from attest.document import dump, load
from attest.report.source import Shown

_FIXED = re.compile(
    r"https://attest/comparison-policy/v1|p-value|itself|shuffled|other-layers|a|b|a-b|[0-9a-f]{40}|[0-9a-f]{64}|computed|resumed|self-attested|exact|empirical|descriptive|learned|rotary|unknown|archive|folder|history|package|remote|revision|met|PASSED|FAILED|SKIPPED|identical|within-tolerance|differs|not-measured|not-found|family|\d{4}-\d\d|\d{4}-\d\d-\d\dT.*Z"
)


_SHARES = {
    "containment", "containments", "reverse", "blindContainment", "margin", "percentile", "nearestPercentile", "bothPercentile", "leastContainment", "common",
}  # fmt: skip


def spoiled(predicate: Shown, hostile: str, *, keep_charts: bool) -> Shown:
    """The same record with hostile text in every string field that its schema leaves free, also in mapping keys.

    With ``keep_charts`` the cells and the first column's name of tables stay, so that the charts are drawn.
    """
    numbers = count(1)
    longest = 480 if isinstance(predicate, AttestationResult) else len(hostile)

    def spoil(value: Any, key: str = "") -> Any:
        if isinstance(value, str):
            room = {"text": 400, "words": 90, "id": 90}.get(key, longest)  # texts that have an end
            return (
                value
                if _FIXED.fullmatch(value) or key in _SHARES | {"scope", "basis"}
                else f"{hostile[:room]}[{next(numbers)}]"
            )
        if isinstance(value, list):
            return [spoil(item, key) for item in value]
        if not isinstance(value, dict):
            return value
        if keep_charts and set(value) == {"columns", "rows"}:
            return {"columns": [value["columns"][0], *map(spoil, value["columns"][1:])], "rows": value["rows"]}
        if key in {"dtypes", "packages", "versions"}:
            return {spoil(name): spoil(item) for name, item in value.items()}
        return {name: spoil(item, name) for name, item in value.items()}

    return load(type(predicate), spoil(dump(predicate)), where="spoiled")


def leaves(value: Any) -> Iterator[str | int | float]:
    """Every string and number of a dumped record, mapping keys of free mappings included."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in {"dtypes", "packages", "versions"}:
                yield from item
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield value
