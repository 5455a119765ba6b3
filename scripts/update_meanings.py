"""Take what findings of a scan mean from ``docs/findings.md`` into the package, as plain text.

Run it after a change to that page.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from attest.licenses.kind import KINDS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "findings.md"
MEANINGS = ROOT / "attest" / "licenses" / "meanings.json"
ORIGINS = ("code-origin", "origin-notice-missing")
"""What is said of code, by exports alone."""

_SECTION = re.compile(r"^### `([a-z-]+)`\nMeans: (.+)\nDoes not mean: (.+)\n", re.MULTILINE)
_MARKS = re.compile(r"\[([^\]]+)\]\([^)]+\)|`([^`]+)`|\*([^*\s][^*]*)\*")


def meanings(page: str) -> dict[str, tuple[str, str]]:
    """Both paragraphs of each kind of finding, in the order of the kinds."""
    found = {code: (plain(means), plain(does_not_mean)) for code, means, does_not_mean in _SECTION.findall(page)}
    return {code: found[code] for code in (*(kind.code for kind in KINDS), *ORIGINS)}


def plain(text: str) -> str:
    """A paragraph of Markdown without its marks."""
    return _MARKS.sub(lambda found: next(part for part in found.groups() if part is not None), text)


def text() -> str:
    """What the file is to hold."""
    return json.dumps(meanings(PAGE.read_text(encoding="utf-8")), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    MEANINGS.write_text(text(), encoding="utf-8")
    print(f"wrote {MEANINGS}")
