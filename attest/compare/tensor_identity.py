"""``tensor-identity/v1``: which tensors are the same, byte for byte."""

from __future__ import annotations

import math

from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome
from attest.compare.permutation import signed_digits
from attest.comparison import Test
from attest.evidence import TensorRow

__all__ = ["TRAINED", "telling", "tensor_identity"]

TRAINED = frozenset(
    {"q", "k", "v", "o", "qkv", "kv", "gate", "up", "down", "gate_up", "q_a", "q_b", "kv_a", "kv_b", "embed", "lm_head"}
)
"""Roles of matrices that training fills: no constants, tables of positions or other buffers."""

_MIN_VALUES = 4096
_MIN_DISTINCT = 64


def tensor_identity(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Share of all parameters of both that lie in tensors found in the other, whatever they are called.

    Notes
    -----
    The digest is over dtype, shape and values, so a cast or a pruned copy shares none. Tensors that any two networks
    may share (buffers, constants, small vectors) are counted, but ``n`` counts only telling ones: matrices with a
    role, at least 4,096 values, and not a handful of distinct ones.
    """
    mine = {row.digest for row in a.tensors}
    theirs = {row.digest for row in b.tensors}
    total = sum(math.prod(row.shape) for row in (*a.tensors, *b.tensors))
    shared = [row for row in a.tensors if row.digest in theirs]
    found = sum(math.prod(row.shape) for row in (*shared, *(row for row in b.tensors if row.digest in mine)))
    telling_digests = {row.digest for row in (*a.tensors, *b.tensors) if row.digest in mine & theirs and telling(row)}
    names = {row.digest: row.name for row in b.tensors}
    renamed = sum(1 for row in shared if names[row.digest] != row.name)
    test = Test(
        id="tensor-identity/v1",
        calibration="exact",
        statistic=signed_digits(found / total) if total else 0.0,
        z=None,
        pvalue=None,
        smallest_pvalue=None,
        normal_pvalue=None,
        n=len(telling_digests),
        layers=(),
        null_distribution=None,
        note=f"{len(shared)} of {len(a.tensors)} and {len(b.tensors)} tensors have equal digests, {renamed} of them"
        " under another name; n counts the telling ones, which networks trained apart never share",
    )
    return Outcome(tests=(test,))


def telling(row: TensorRow) -> bool:
    """Whether two networks trained apart could share this tensor only by copying."""
    if row.role not in TRAINED or math.prod(row.shape) < _MIN_VALUES or row.moments is None:
        return False
    varied = row.moments.distinct is None or row.moments.distinct >= _MIN_DISTINCT
    return varied and row.moments.std != "0"
