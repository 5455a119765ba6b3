"""Exact replay: one checkpoint's tensors made again out of another's, bit for bit."""

from attest.compare.weights.replay.replay import exact_replay

__all__ = ["exact_replay"]
