"""Words of license texts that attest knows, to be written into files and changed there."""

from attest.licenses.detect.index import KINDS, index


def license_words(expression: str, width: int = 12) -> str:
    """The longest known text of a license, ``width`` words a line."""
    known = index()
    entries = [
        entry
        for entry in range(len(known.kinds))
        if known.expressions[entry] == expression and KINDS[known.kinds[entry]] == "text"
    ]
    entry = max(entries, key=lambda entry: known.lengths[entry])
    words = [known.vocabulary[word] for word in known.words(entry)]
    return "\n".join(" ".join(words[start : start + width]) for start in range(0, len(words), width)) + "\n"
