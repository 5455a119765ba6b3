"""Stacks: the sets of layers that a checkpoint's names speak of, such as a language model and a vision tower.

A stack is all layers under one prefix, such as ``model.layers``. The one with the most parameters is the main one, those
of images and speech aside where there are others, and so are encoders of text that say of themselves that they serve
something else: generators of images and music take large public ones. What attest measures of layers is of the main
stack. The roles of other stacks get a label in front, such as ``vision.q``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from attest.checkpoint import Tensor

__all__ = ["EXPERT", "LABELS", "LAYER", "MAX_STACKS", "Name", "Stack", "read_stacks"]

LAYER = re.compile(
    r"(?:^|\.)(?:layers|layer|h|blocks|block|blk|resblocks|encoders|cross_attn_layers"
    r"|(?:transformer|single_transformer|double|single|joint|input|output|down|up)_blocks)\.([0-9]{1,3})\.(.+)$"
)
"""Up to a thousand layers: every one is a row of the tables that are signed."""

EXPERT = re.compile(r"\bexperts\.([0-9]{1,5})\.")

LABELS: Sequence[tuple[str, str]] = (
    ("text_encoder", "conditioner"),
    ("cond_stage", "conditioner"),
    ("conditioner", "conditioner"),
    ("vision", "vision"),
    ("visual", "vision"),
    ("image", "vision"),
    ("audio", "audio"),
    ("speech", "audio"),
    ("encoder", "encoder"),
    ("decoder", "decoder"),
    ("text", "text"),
    ("mtp", "mtp"),
)
"""Label of a stack that is not the main one: by the first of these that occurs in its prefix, else ``other``.

The prefix of a stack whose files lie in a folder begins with that folder.
"""

_ASIDE = {"conditioner.": 1, "vision.": 2, "audio.": 2}
"""Labels of stacks that are the main one only where there is none before them."""

MAX_STACKS = 64
"""Stacks whose tensors get a role; of more, the smallest are left out."""

_MAX_DEPTH = 8
"""Words of a prefix that are compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """A tensor's name taken apart.

    Parameters
    ----------
    tensor : Tensor
    layer, expert : int or None
    rest : str
        What follows the layer, without the number of the expert; outside the layers, the name without the words that it
        shares with the prefix of the stack.
    prefixes : tuple of str
        Outside the layers, the shared words, which may be part of the name after all: the nearest first.
    """

    tensor: Tensor
    layer: int | None
    expert: int | None
    rest: str
    prefixes: tuple[str, ...] = ()

    def rests(self) -> Iterator[str]:
        """The rest, then with one more of the shared words in front, up to the whole name."""
        yield self.rest
        rest = self.rest
        for word in self.prefixes:
            rest = f"{word}.{rest}"
            yield rest


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """Tensors of one stack, in order of name.

    Parameters
    ----------
    label : str
        Empty for the main stack, else what stands before its roles, such as ``vision.``.
    names : tuple of Name
        Of its layers, and of what lies nearest to them outside.
    """

    label: str
    names: tuple[Name, ...]


def read_stacks(tensors: Sequence[Tensor]) -> tuple[Stack, ...]:
    """Stacks of a checkpoint, the main one first; tensors without a stack are in none."""
    layers: dict[str, list[Name]] = defaultdict(list)
    others = []
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        found = LAYER.search(tensor.name)
        if found is None:
            others.append(tensor)
            continue
        prefix = tensor.name[: found.start(1) - 1]
        layers[prefix].append(_in_layer(tensor, int(found[1]), found[2]))
        sizes[prefix] += tensor.size
    labels = {prefix: _label(f"{_folder(layers[prefix][0].tensor)}{prefix}") for prefix in sizes}
    prefixes = sorted(sizes, key=lambda prefix: (_ASIDE.get(labels[prefix], 0), -sizes[prefix], prefix))[:MAX_STACKS]
    owners = _owners(prefixes)
    outside: dict[str, list[Name]] = defaultdict(list)
    for tensor in others:
        nearest, name = _outside(tensor, owners)
        outside[nearest].append(name)
    return tuple(
        Stack(
            label="" if prefix == prefixes[0] else labels[prefix],
            names=tuple(sorted((*layers[prefix], *outside[prefix]), key=lambda name: name.tensor.name)),
        )
        for prefix in prefixes
    )


def _in_layer(tensor: Tensor, layer: int, rest: str) -> Name:
    expert = EXPERT.search(rest)
    if expert is None:
        return Name(tensor=tensor, layer=layer, expert=None, rest=rest)
    without = rest[: expert.start(1)] + rest[expert.end() :]
    return Name(tensor=tensor, layer=layer, expert=int(expert[1]), rest=without)


def _owners(prefixes: Sequence[str]) -> dict[tuple[str, ...], str]:
    """For every beginning of a prefix the first stack that has it."""
    owners: dict[tuple[str, ...], str] = {}
    for prefix in prefixes:
        words = tuple(prefix.split(".")[:-1][:_MAX_DEPTH])
        for depth in range(len(words) + 1):
            owners.setdefault(words[:depth], prefix)
    return owners


def _outside(tensor: Tensor, owners: dict[tuple[str, ...], str]) -> tuple[str, Name]:
    """The stack whose prefix shares most words with a name, and the name without them."""
    words = tensor.name.split(".", _MAX_DEPTH + 1)
    depth = min(len(words) - 1, _MAX_DEPTH)
    while tuple(words[:depth]) not in owners and depth:
        depth -= 1
    rest = ".".join(words[depth:])
    name = Name(tensor=tensor, layer=None, expert=None, rest=rest, prefixes=tuple(reversed(words[:depth])))
    return owners.get(tuple(words[:depth]), ""), name


def _folder(tensor: Tensor) -> str:
    """Folder of the tensor's file, with what parts it from a name; empty at the root."""
    folder = tensor.file.rpartition("/")[0]
    return f"{folder}." if folder else ""


def _label(prefix: str) -> str:
    return next((label for word, label in LABELS if word in prefix), "other") + "."
