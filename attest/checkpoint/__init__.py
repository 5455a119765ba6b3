"""Checkpoints: found, opened and scanned; nothing in them is ever executed."""

from attest.checkpoint.checkpoint import BITS, Checkpoint, open_checkpoint
from attest.checkpoint.safetensors import Tensor

__all__ = ["BITS", "Checkpoint", "Tensor", "open_checkpoint"]
