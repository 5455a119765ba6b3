"""Stacks: the sets of layers that a checkpoint's names speak of, such as a language model and a vision tower.

A stack is all layers under one prefix, such as ``model.layers``. The one with the most parameters is the main one, those
of images and speech aside where there are others, and so are encoders of text that say of themselves that they serve
something else, or bear the name of a public one: generators of images, speech and music take large public ones. Beside a
part of their own that has no such names there is no main stack. What attest measures of layers is of the main
stack. The roles of other stacks get a label in front, such as ``vision.q``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from attest.checkpoint import Tensor

__all__ = ["EXPERT", "LABELS", "LAYER", "MAX_STACKS", "STACK_LABELS", "Name", "Stack", "read_stacks"]

LAYER = re.compile(
    r"(?:^|\.)(?:layers|layer|h|blocks|block(?:\.[0-9]{1,3}(?=\.[0-9]))?|blk|resblocks|encoders|cross_attn_layers|albert_layers"
    r"|(?:transformer|single_transformer|double|single|joint|input|output|down|up)_blocks)\.([0-9]{1,3})"
    r"\.(?!(?:layers|blocks)\.[0-9])(.+)$"
)
"""Up to a thousand layers: every one is a row of the tables that are signed. Stages that hold layers are none themselves, be they
named (``layers.1.blocks.0``) or only numbered (``block.1.0``)."""

EXPERT = re.compile(r"\bexperts\.(?:expert_)?([0-9]{1,5})\.")

LABELS: Sequence[tuple[str, str]] = (
    ("text_encoder", "conditioner"),
    ("cond_stage", "conditioner"),
    ("conditioner", "conditioner"),
    ("text_backbone", "conditioner"),
    ("decoder.bert.", "decoder"),
    (".bert.", "conditioner"),
    (".roberta.", "conditioner"),
    (".xlm_roberta.", "conditioner"),
    (".deberta.", "conditioner"),
    (".t5.", "conditioner"),
    ("hubert", "audio"),
    ("wav2vec2", "audio"),
    ("wavlm", "audio"),
    (".whisper.", "audio"),
    (".backbone.encoder.", "vision"),
    ("pixel_level_module", "vision"),
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

The prefix stands between points, so that a word with points is a whole one. That of a stack whose files lie in a folder
begins with that folder. Whoever builds on a public encoder most often leaves it the name that its authors gave it.
"""

STACK_LABELS = frozenset({label for _, label in LABELS} | {"other"})
"""What may stand before the roles of a stack that is not the main one."""

_ASIDE = {"conditioner.": 1, "vision.": 2, "audio.": 2}
"""Labels of stacks that are the main one only where there is none before them, and no other part of some size."""

_MOST_IN_A_HEAD = 64
"""Tensors without a layer that may be beside an encoder and still be no more than a head on it."""

MAX_STACKS = 64
"""Stacks whose tensors get a role; of more, the smallest are left out."""

_NO_LAYERS = ""
"""Prefix of a main stack of which no name is known to be of a layer."""

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
    modules = {prefix: _module(f"{_folder(layers[prefix][0].tensor)}{prefix}") for prefix in sizes}
    labels = {prefix: label for prefix, (label, _) in modules.items()}
    prefixes = sorted(sizes, key=lambda prefix: (_ASIDE.get(labels[prefix], 0), -sizes[prefix], prefix))[:MAX_STACKS]
    if (
        prefixes
        and labels[prefixes[0]] in _ASIDE
        and _is_more_than_a_head(others, [one for _, one in modules.values()])
    ):
        prefixes.insert(0, _NO_LAYERS)
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
    without = f"{rest[: expert.start()]}experts.{rest[expert.end() :]}"
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


def _module(prefix: str) -> tuple[str, str]:
    """Label of a stack, and its prefix between points up to the end of the word that gives the label."""
    path = f".{prefix}."
    for word, label in LABELS:
        begin = path.find(word)
        if begin >= 0:
            return f"{label}.", path[: path.index(".", begin + len(word) - 1) + 1]
    return "other.", path


def _is_more_than_a_head(others: Sequence[Tensor], modules: Sequence[str]) -> bool:
    """Whether tensors without a layer that lie in none of the modules are more than stand on an encoder as a head."""
    within = tuple(modules)
    beside = sum(not f".{_folder(tensor)}{tensor.name}".startswith(within) for tensor in others)
    return beside > _MOST_IN_A_HEAD
