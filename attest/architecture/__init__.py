"""Architectures: from tensor names and shapes to layers and roles."""

from attest.architecture.family import FAMILIES, Family
from attest.architecture.model import Model, PlacedTensor, place_tensors

__all__ = ["FAMILIES", "Family", "Model", "PlacedTensor", "place_tensors"]
