"""Checkpoints: found, opened and scanned; nothing in them is ever executed."""

from attest.checkpoint.checkpoint import Checkpoint, open_checkpoint
from attest.checkpoint.formats import FORMATS
from attest.checkpoint.tensor import BITS, Tensor

__all__ = ["BITS", "FORMATS", "Checkpoint", "Tensor", "open_checkpoint"]
