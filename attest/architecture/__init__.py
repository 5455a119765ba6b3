"""Architectures: from tensor names and shapes to layers and roles."""

from attest.architecture.family import FAMILIES, Family, FamilyFile, read_family_file
from attest.architecture.layout import Rows
from attest.architecture.model import Model, place_tensors
from attest.architecture.placed import SPLIT, Experts, Part, PlacedTensor
from attest.architecture.stack import STACK_LABELS

__all__ = [
    "FAMILIES",
    "SPLIT",
    "STACK_LABELS",
    "Experts",
    "Family",
    "FamilyFile",
    "Model",
    "Part",
    "PlacedTensor",
    "Rows",
    "place_tensors",
    "read_family_file",
]
