"""Derived networks: every row of the matrix made from a parent, and kept on disk with a record of what came from where."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from validity.anatomy import tracked
from validity.damage import slerp
from validity.launder import AFTERWARDS, Row, Workshop
from validity.network import Network, read, same_function, write
from validity.train import STRANGER, Preparation, Recipe, Text, continued

__all__ = ["SLERP_SHARES", "Derived", "derive", "derive_slerp"]

SLERP_SHARES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""How far towards the stranger the sweep goes."""

_OTHER_TEXT: Text = "documentation"
_RECORD = "origin.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Derived:
    """A derived network on disk.

    Parameters
    ----------
    folder : Path
        The checkpoint.
    parent, row : str
    trained : bool
        Whether continued training is part of it.
    difference : float or None
        Largest difference of logits to the parent, in standard deviations; None where it was not taken.
    layer_origin, neuron_origin
        As in ``Network``.
    """

    folder: Path
    parent: str
    row: str
    trained: bool
    difference: float | None
    layer_origin: tuple[int | None, ...]
    neuron_origin: Mapping[str, tuple[int, ...]]


def derive(root: Path, parent: str, row: Row, *, trained: bool) -> Derived:
    """Make one cell of the matrix, or find it made.

    Parameters
    ----------
    root : Path
        Folder of the panel; derived networks go to ``derived/PARENT/ROW`` in it.
    trained : bool
        With continued training, before or after the alteration as the row says.
    """
    place = root / "derived" / parent / f"{row.name}{'-trained' if trained else ''}"
    if not (place / _RECORD).exists():
        torch.set_num_threads(1)
        source = tracked(read(root / parent))
        workshop = _workshop(root, parent, row.name)
        if trained and row.training == "before":
            source = tracked(workshop.train(source, AFTERWARDS, None).stored())
        altered = row.apply(source, workshop)
        difference = _difference(source, altered) if row.keeps == "function" and not trained else None
        if trained and row.training == "after":
            altered = workshop.train(altered.stored(), row.afterwards, None)
        _keep(altered, place, root, difference)
    return _recall(place, parent, row.name, trained=trained)


def derive_slerp(root: Path, parent: str, share: float) -> Derived:
    """The parent moved by a share of the way to the stranger."""
    name = f"slerp-{share:g}"
    place = root / "derived" / parent / name
    if not (place / _RECORD).exists():
        source, stranger = tracked(read(root / parent)), read(root / STRANGER)
        _keep(slerp(source, stranger, share), place, root, None)
    return _recall(place, parent, name, trained=False)


def _workshop(root: Path, parent: str, row: str) -> Workshop:
    seed = int.from_bytes(hashlib.sha256(f"{parent} {row}".encode()).digest()[:4], "big")

    def train(network: Network, recipe: Recipe, prepare: Preparation | None) -> Network:
        tokenizer = root / "tokenizer.json"
        return continued(network, recipe, of=_OTHER_TEXT, order=seed, tokenizer=tokenizer, prepare=prepare)

    return Workshop(rng=torch.Generator().manual_seed(seed), stranger=read(root / STRANGER), train=train)


def _difference(source: Network, altered: Network) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        return same_function(source, altered, Path(scratch))


def _keep(network: Network, place: Path, root: Path, difference: float | None) -> None:
    write(network, place / "checkpoint", tokenizer=root / "tokenizer.json")
    record = {
        "difference": difference,
        "layer_origin": list(network.layer_origin),
        "neuron_origin": {name: list(held) for name, held in network.neuron_origin.items()},
    }
    (place / _RECORD).write_text(json.dumps(record))


def _recall(place: Path, parent: str, row: str, *, trained: bool) -> Derived:
    record: dict[str, Any] = json.loads((place / _RECORD).read_text())
    return Derived(
        folder=place / "checkpoint",
        parent=parent,
        row=row,
        trained=trained,
        difference=record["difference"],
        layer_origin=tuple(record["layer_origin"]),
        neuron_origin={name: tuple(held) for name, held in record["neuron_origin"].items()},
    )
