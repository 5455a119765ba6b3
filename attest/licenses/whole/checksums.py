"""Digests that a publisher lists, beside those of the files."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses.checksum_list import LINE
from attest.licenses.source import cut
from attest.licenses.whole.gathered import Gathered

__all__ = ["checksums"]


def checksums(gathered: Gathered) -> Iterator[Finding]:
    """One finding for each list of which a file was read: how many have the digest that it gives, and which have not."""
    lists: dict[str, list[Finding]] = defaultdict(list)
    for finding in gathered.of("vendor-checksum"):
        lists[finding.path].append(finding)
    for path, lines in lists.items():
        equal, unread, unlike = 0, 0, []
        for finding in lines:
            found = LINE.fullmatch(finding.text)
            name = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[2])) if found else ""
            digest = gathered.digests.get(name)
            if digest is None or found is None:
                unread += 1
            elif digest == found[1].lower():
                equal += 1
            else:
                unlike.append(name)
        if not equal and not unlike:
            continue
        words = f"listed files: {len(lines)}; with the listed SHA-256: {equal}, not read: {unread}, with another: {len(unlike)}"
        code = "vendor-checksums-differ" if unlike else "vendor-checksums-agree"
        yield Finding(code=code, path=path, line=None, text=cut(f"{words}{': ' + ', '.join(unlike) if unlike else ''}"))
