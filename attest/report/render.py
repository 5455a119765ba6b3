"""Bundles in, one HTML page out: a pure function of the bundles' bytes, a policy, and this version's template.

The page loads nothing and runs nothing: a content security policy names the digest of its one style sheet and allows
no script. Every string of a bundle is escaped by the template engine, and its hidden characters are written out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from attest.document import canonical, decimal
from attest.envelope import b64encode
from attest.errors import InputError
from attest.licenses.kind import KINDS, RANK
from attest.licenses.meaning import meanings
from attest.licenses.obligations import UNTOLD_REASONS
from attest.licenses.whole import WHOLE
from attest.policy_file import DEFAULT_POLICY, Policy, policy_digest
from attest.report.source import read_sources
from attest.report.view import Page, page
from attest.resource import resource
from attest.terminal import visible

__all__ = ["GENERATOR", "MAX_REPORT", "POLICY_MEDIA_TYPE", "TEMPLATE_VERSION", "render"]

TEMPLATE_VERSION = 1
"""Raised whenever the page of any bundle changes by a byte: by the template, by a chart, or by the default policy."""

GENERATOR = "attest report template"
POLICY_MEDIA_TYPE = "application/vnd.attest.comparison-policy+json"
"""Of the link that holds the page's policy: tells it from the links that hold bundles."""

MAX_REPORT = 128 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """A rung of the ladder in words."""

    name: str
    meaning: str


RUNGS = {
    "identical": Rung(
        name="Identical tensors",
        meaning="The two hold the same tensors, byte for byte, one to one and in the same places.",
    ),
    "exact-rejected": Rung(
        name="Chance is rejected by an exact test",
        meaning="Networks trained apart (H2) give this more rarely than the policy allows: weights or an initialization in"
        " common (H1) are supported over H2, unless another reason that is named with it holds.",
    ),
    "matched-above-panel": Rung(
        name="Above the whole panel",
        meaning="After matching, the two agree more than every comparable pair of the reference panel that is said to be"
        " unrelated, and by as much as the policy asks.",
    ),
    "inconclusive": Rung(
        name="Inconclusive",
        meaning="Weak signals only, or signals that more than common weights explains, or no exact test that could be heard:"
        " neither H1 nor H2 is supported.",
    ),
    "no-evidence": Rung(
        name="No evidence for common weights",
        meaning="No exact test gives as much as the policy calls weak. That does not show that the two are unrelated.",
    ),
}


STATUSES = {
    "met": "found",
    "not-found": "not found",
    "not-applicable": "not applicable",
    "cannot-be-seen-from-files": "cannot be seen from files",
    **UNTOLD_REASONS,
}
"""What the files show of a clause, and why no clause is told, in words."""


def _short(text: str, length: int = 80) -> str:
    """Text cut where a long name would push the rest off the first screen; the whole stands below."""
    return text if len(text) <= length else f"{text[:length]}…"


def _title(content: Page) -> str:
    if len(content.comparisons) == 1:
        pair = content.comparisons[0].comparison
        return f"{_short(pair.a.name)} against {_short(pair.b.name)}"
    if content.comparisons:
        return f"{len(content.comparisons)} comparisons of checkpoints"
    if len(content.evidences) == 1:
        return f"Measurement of {_short(content.evidences[0].evidence.checkpoint.name)}"
    if not content.evidences and content.scans:
        return (
            "Scans of repositories"
            if len(content.scans) > 1
            else f"Scan of {_short(content.scans[0].scan.repository.name)}"
        )
    if not content.evidences:
        return "Announcement of a comparison" if content.protocols else "What a verifier found"
    return f"Measurements of {len(content.evidences)} checkpoints"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(resource("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["visible"] = visible
    environment.filters["visible_lines"] = lambda text: "\n".join(visible(line) for line in text.split("\n"))
    environment.filters["short"] = _short
    environment.filters["decimal"] = decimal
    environment.filters["origin_pair"] = lambda file: (file.path, file.origin)
    environment.filters["base64"] = b64encode
    return environment


def render(bundles: Sequence[bytes], policy: Policy = DEFAULT_POLICY) -> bytes:
    """The report on some bundles.

    Parameters
    ----------
    bundles : sequence of bytes
        Bundle files, byte for byte, in any order.
    policy : Policy
        By which comparisons are read; it lies in the page, too.

    Returns
    -------
    bytes
        UTF-8 HTML, equal for equal bundles and policies on every machine.

    Raises
    ------
    DocumentError
        A bundle is malformed, or of a kind that no report shows.
    InputError
        Too few or too many bundles, or a page beyond ``MAX_REPORT``.

    Notes
    -----
    Nothing is verified here: no signature, no digest of any file.
    """
    data = _markup(page(read_sources(bundles), policy)).encode()
    if len(data) > MAX_REPORT:
        raise InputError(
            "report-too-large",
            f"the page would hold {len(data)} bytes, more than the {MAX_REPORT} that are read again",
            fix="give fewer bundles",
        )
    return data


def _markup(content: Page) -> str:
    style = resource("templates/report.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=content,
            title=_title(content),
            rungs=RUNGS,
            policy_bytes=canonical(content.policy),
            policy_digest=policy_digest,
            default_policy=DEFAULT_POLICY,
            media_type=POLICY_MEDIA_TYPE,
            statuses=STATUSES,
            meanings=meanings(),
            telling={code for code, rank in RANK.items() if rank < RANK["license-text"]} | {"no-license-file"},
            kinds={kind.code: kind.title for kind in KINDS},
            whole=WHOLE,
            generator=f"{GENERATOR} {TEMPLATE_VERSION}",
            style=Markup(style),  # noqa: S704 - our own file; escaping would break its quotes
            style_digest=b64encode(hashlib.sha256(style.encode()).digest()),
        )
    )
