"""Write the list of anchor strings: pieces of text that most tokenizers have as one token.

Printable ASCII characters, letters behind a space, and the most frequent pairs of letters and words of the strings of
``pydoc_data.topics``. The list that is shipped is for ever: its digest is part of the fingerprints' ids.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from itertools import pairwise
from pathlib import Path
from pydoc_data.topics import topics

COUNT = 2048
PAIRS = 256
PLACE = Path(__file__).resolve().parent.parent / "attest" / "fingerprint" / "anchor_strings.json"


def strings() -> list[str]:
    """The anchor strings in order."""
    text = "\n".join(topics[name] for name in sorted(topics))
    words = Counter(re.findall(r"\b[A-Za-z]{2,10}\b", text))
    pairs: Counter[str] = Counter()
    for word, count in words.items():
        for first, second in pairwise(word):
            pairs[first + second] += count
    found = [*string.printable[:95], "\n", "\t", *(f" {letter}" for letter in string.ascii_letters)]
    found += ordered(pairs)[:PAIRS]
    return (found + [f" {word}" for word in ordered(words)])[:COUNT]


def ordered(counts: Counter[str]) -> list[str]:
    """Keys from the most frequent on, of equals in alphabetical order."""
    return sorted(counts, key=lambda key: (-counts[key], key))


def main() -> None:
    """Write the list."""
    PLACE.write_text(json.dumps(strings(), ensure_ascii=True, indent=0) + "\n", encoding="utf-8")
    print(PLACE)


if __name__ == "__main__":
    main()
