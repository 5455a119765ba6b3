"""Add a license to ``attest/licenses/detect/sketches.json``: its digest and a sample of its words, not its text.

Usage: ``sketch_license.py FILE EXPRESSION NAME CITATION``, the citation as ``owner/repository@commit path``.
"""

from __future__ import annotations

import base64
import json
import sys
from array import array
from pathlib import Path

from attest.licenses.detect.sketch import draw
from attest.licenses.detect.words import words_of

TARGET = Path(__file__).resolve().parent.parent / "attest" / "licenses" / "detect" / "sketches.json"


def main() -> None:
    """Write the sketches with one more."""
    file, expression, name, citation = sys.argv[1:5]
    words = words_of(Path(file).read_text("utf-8")).words
    digest, grams = draw(words)
    row = {
        "expression": expression,
        "name": name,
        "citation": citation,
        "words": len(words),
        "sha256": digest,
        "grams": base64.b64encode(array("I", sorted(grams)).tobytes()).decode(),
    }
    rows = json.loads(TARGET.read_bytes()) if TARGET.exists() else []
    kept = [other for other in rows if other["citation"] != citation]
    TARGET.write_text(
        json.dumps(sorted([*kept, row], key=lambda row: (row["expression"], row["citation"])), indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
