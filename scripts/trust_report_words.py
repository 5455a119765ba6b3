"""The words and tables of reports/trust; ``write_trust_report.py`` does what they tell of."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from foreign_vectors import cases
from test_conformance import DEVIATIONS, verify_case

__all__ = ["IRRELEVANT", "say_conformance", "say_doors", "say_flips", "say_head", "say_matrix", "say_mutants"]


def say_head() -> list[str]:
    """Title, and what it was made with."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("sigstore", "rfc3161-client", "cryptography"))
    made = f"Made by `python scripts/write_trust_report.py` on {datetime.now(UTC):%Y-%m-%d}"
    where = "Everything was signed through the Sigstore on loopback of the tests."
    return ["# Alterations of signed evidence", f"{made}: Python {platform.python_version()}, {packages}. {where}", ""]


def say_matrix(kinds: Sequence[str], matrix: Sequence[tuple[str, list[str]]]) -> list[str]:
    """Part by part."""
    return [
        "## Part by part",
        "Exit code of `attest verify --checkpoint`, with the steps that failed or the code of the error. A dash: such a bundle has no such part. Time stamps were asked for where the evidence had them.",
        "",
        f"| altered | {' | '.join(kinds)} |",
        f"|---|{'---|' * len(kinds)}",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in matrix),
        "",
    ]


def say_flips(flipping: Mapping[str, tuple[int, Mapping[str, int]]]) -> list[str]:
    """Every byte."""
    lines = [
        "## Every byte",
        "Every byte of the bundle with single bits flipped.",
        "",
        "| bundle | flips | still accepted |",
        "|---|---|---|",
    ]
    for kind, (count, accepted) in flipping.items():
        where = ", ".join(f"{number} in `{part}`" for part, number in sorted(accepted.items())) or "none"
        lines.append(f"| {kind} | {count:,} | {where} |")
    return [
        *lines,
        "",
        "Why these are irrelevant, which `tests/test_keyless_altered.py` and `tests/test_trusted_time.py` hold:",
        "",
        *(
            f"- `…{' and '.join(one for one in IRRELEVANT if IRRELEVANT[one] == why)}`: {why}"
            for why in dict.fromkeys(IRRELEVANT.values())
        ),
        "",
    ]


_OF_REKOR_2 = "of an entry of Rekor v2: the place in the log stands in the inclusion proof, and whether a key of the trusted root signed the log's checkpoint is checked whatever the entry calls that key. Rekor v1 signs both."
IRRELEVANT: Mapping[str, str] = {
    "/signedTimestamp": "the numbers of the versions of SignedData and SignerInfo and the name of the signature's algorithm, which no signature in CMS covers (RFC 5652, section 5.4); the certificate's key decides the algorithm.",
    "/logIndex": _OF_REKOR_2,
    "/logId/keyId": _OF_REKOR_2,
    "/checkpoint/envelope": "the name in front of the signature of the note, which the signature does not cover; the key decides.",
}
"""Places where a flipped bit may be accepted, and why; one in any other place ends this script."""


def say_mutants(mutating: Mapping[str, Mapping[str, int]]) -> list[str]:
    """At random."""
    total = sum(sum(endings.values()) for endings in mutating.values())
    lines = [
        "## At random",
        f"{total:,} mutants: cut, doubled, spliced with another signature over the same statement, bytes replaced. Those that came out the same are not counted. None was a traceback, which would have ended this script.",
        "",
        "| bundle | exit 0 | exit 1 | exit 3 | exit 4 |",
        "|---|---|---|---|---|",
    ]
    for kind, endings in mutating.items():
        lines.append(f"| {kind} | {' | '.join(f'{endings.get(code, 0):,}' for code in '0134')} |")
    return [
        *lines,
        "",
        "Exit 0 would be a mutant that says the same (white space), or differs in one of the irrelevant places above.",
        "",
    ]


def say_doors(opened: Mapping[str, tuple[int, int]]) -> list[str]:
    """What libraries were shown."""
    total = sum(count for count, _ in opened.values())
    return [
        "## Doors to libraries",
        f"{total:,} mutants of certificates, keys, time stamps and log entries, each shown to the one place where attest gives such bytes to a library (`tests/test_foreign.py`). Whatever the library raised was an error with a code; anything else would have ended this script. What was not refused is a mutant that is as good, or good for something else.",
        "",
        "| door | mutants | refused |",
        "|---|---|---|",
        *(f"| {name} | {count:,} | {refused:,} |" for name, (count, refused) in opened.items()),
        "",
    ]


def say_conformance() -> list[str]:
    """The cases of sigstore-conformance, run now."""
    found = [path.parent for path in cases("sigstore-conformance", "*", "bundle.sigstore.json")]
    if not found:
        return ["## Conformance", "The cases of sigstore-conformance were not at hand."]
    agreeing = len(found) - len(DEVIATIONS)
    lines = [
        "## Conformance",
        f"{len(found)} cases of sigstore-conformance: {agreeing} end as their names say, {len(DEVIATIONS)} cannot be decided. None is accepted against its name.",
        "",
        "| case | exit | as its name says |",
        "|---|---|---|",
    ]
    for case in found:
        code = verify_case(case).exit_code
        agrees = (code == 0) != case.name.endswith("_fail")
        lines.append(f"| {case.name} | {code} | {'yes' if agrees else 'no: ' + DEVIATIONS[case.name]} |")
    return lines
