"""Several formats of one model in a folder: whether they hold the same tensors, as findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice

from attest.checkpoint.checkpoint import Checkpoint
from attest.finding import Finding

__all__ = ["describe_agreement"]

_MAX_NAMED = 5


def describe_agreement(
    checkpoint: Checkpoint, digests: Mapping[str, str], beside: Mapping[str, Mapping[str, str]]
) -> Iterator[Finding]:
    """One finding for every format that lies beside the one that was measured.

    Parameters
    ----------
    checkpoint : Checkpoint
    digests : mapping of str to str
        Tensor digests of the format that was measured, by name.
    beside : mapping of str to mapping
        Tensor digests of the others, by format and name.

    Notes
    -----
    Equal digests are equal dtype, shape and values. Another digest under the same name is another dtype, shape or
    value; which of these is not said.
    """
    for kind, others in beside.items():
        if others:
            path = min(tensor.file for tensor in checkpoint.beside[kind])
            yield _compare(digests, others, path=path, formats=f"{kind} beside {checkpoint.format}")


def _compare(digests: Mapping[str, str], others: Mapping[str, str], *, path: str, formats: str) -> Finding:
    common = sorted(digests.keys() & others.keys())
    if not common and Counter(digests.values()) == Counter(others.values()):
        text = f"{formats}: the same {len(others)} digests, under other names"
        return Finding(code="formats-agree", path=path, line=None, text=text)
    if not common:
        known = set(digests.values())
        same = sum(digest in known for digest in others.values())
        text = f"{formats}: no names in common; {same} of {len(others)} digests are among the measured ones"
        return Finding(code="formats-not-compared", path=path, line=None, text=text)
    differing = [name for name in common if digests[name] != others[name]]
    here, there = sorted(digests.keys() - others.keys()), sorted(others.keys() - digests.keys())
    if not differing and not here and not there:
        text = f"{formats}: the same {len(common)} names and digests"
        return Finding(code="formats-agree", path=path, line=None, text=text)
    parts = (
        (differing, f"of {len(common)} common names have another digest"),
        (here, f"names are only in {formats.rpartition(' ')[2]}"),
        (there, f"names are only in {formats.partition(' ')[0]}"),
    )
    text = f"{formats}: " + "; ".join(f"{len(names)} {what}{_name(names)}" for names, what in parts if names)
    return Finding(code="formats-differ", path=path, line=None, text=text[:500])


def _name(names: list[str]) -> str:
    return f" ({', '.join(name[:60] for name in islice(names, _MAX_NAMED))}{', …' if len(names) > _MAX_NAMED else ''})"
