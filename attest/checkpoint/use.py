"""How a graph multiplies with its matrices, and which module's weight each of them is.

A linear layer becomes a multiplication with its weight turned round. Exporters turn it when they write the file, and
call what comes out ``onnx::MatMul_215`` or ``val_49``; the node that multiplies still says which module it came from.
What a file says there is a claim, as names are.

References
----------
PyTorch 2.13, ``torch.onnx``: names of nodes, and the metadata ``pkg.torch.onnx.name_scopes``. ONNX Runtime GenAI,
``models/builders/base.py`` (``make_matmul``).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from attest.checkpoint.tensor import Tensor

__all__ = ["MULTIPLIES", "SCOPES", "ZERO_POINT", "Use", "as_named", "find_module", "find_turned", "weight_name"]

MULTIPLIES = frozenset({"MatMul", "MatMulInteger", "MatMulNBits"})
"""Operators whose second input is a matrix."""

SCOPES: Final = "pkg.torch.onnx.name_scopes"
"""Key of a node's metadata: a list in Python's notation, of the modules around an operation and of its own name."""

ZERO_POINT: Final = "_zero_point"
"""End of the name of the zeros beside a matrix of codes."""

_FLOATS = frozenset({"BF16", "F16", "F32", "F64"})
_MADE_UP = re.compile(r"(?:.*/)?(?:onnx::\w+|val_\d+|\d+)\Z")
_MOST_NUMBERS = 4
_MOST_ALIKE = 128
"""Numbers of a path, and paths with one end, that are compared."""
_NUMBER = re.compile(r"(?<=\.)[0-9]{1,5}(?=\.)")
_BUILT = re.compile(r"([\w.\-]+)\.MatMul(?:NBits)?\.q?weight\Z")
"""Names that ONNX Runtime's builder of language models gives to matrices, and to codes of those that came to it as such."""
_NODE = re.compile(r"/((?:[\w.\-]+/)+)MatMul\w*\Z")
_SCOPES = re.compile(r"\[(?:'[\w.\-]*', )*'([\w.\-]+)', '[\w.\-]+'\]\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """A node that multiplies with a matrix.

    Parameters
    ----------
    operator : str
        One of ``MULTIPLIES``.
    module : str
        Path of the module that the node came from; empty where it does not say.
    beside : tuple of str
        Names of what the node takes behind the matrix: scales, zeros, an order; empty for one that is left out.
    settings : mapping of str to int
        Attributes of the node.
    """

    operator: str
    module: str
    beside: tuple[str, ...] = ()
    settings: Mapping[str, int] = field(default_factory=dict)


def find_module(*, node: str, scopes: str) -> str:
    """Path of the module that a node came from, by its name or the value of ``SCOPES``; empty where they do not say."""
    if found := _SCOPES.match(scopes):
        return found[1]
    found = _NODE.match(node)
    return found[1].rstrip("/").replace("/", ".") if found else ""


def as_named(uses: Mapping[str, Use], names: Iterable[str]) -> dict[str, Use]:
    """The same uses with the paths of modules as the names of other tensors have them.

    Notes
    -----
    Nodes know of modules that were called. A module that only holds others is missing in front, and one that an exporter
    put around the network stands there too many. Where the path up to a numbered part, such as a layer, is the end of
    one path among the names, or the other way round, that one is meant.
    """
    known: dict[str, set[str]] = defaultdict(set)
    for path in {path for name in names if not _MADE_UP.match(name) for path in _numbered(name)}:
        known[_end(path)].add(path)
    return {name: replace(use, module=_meant(use.module, known)) for name, use in uses.items()}


def _numbered(path: str) -> list[str]:
    """Beginnings of a path that end with one of its first numbers, the longest first."""
    return [path[: found.end()] for found in islice(_NUMBER.finditer(path), _MOST_NUMBERS)][::-1]


def _end(path: str) -> str:
    """The last two words of a path."""
    return ".".join(path.split(".")[-2:])


def _meant(module: str, known: Mapping[str, set[str]]) -> str:
    for path in _numbered(module):
        alike = known.get(_end(path), set())
        if path in alike:
            break
        within = len(alike) <= _MOST_ALIKE
        meant = [one for one in alike if within and (one.endswith(f".{path}") or path.endswith(f".{one}"))]
        if len(meant) == 1:
            return meant[0] + module[len(path) :]
    return module


def weight_name(name: str, use: Use | None) -> str:
    """What the weight is called that a matrix of this name is; the name itself where it is telling or nothing is known."""
    if built := _BUILT.match(name):
        return f"{built[1]}.weight"
    return f"{use.module}.weight" if use and use.module and _MADE_UP.match(name) else name


def find_turned(tensors: Iterable[Tensor], uses: Mapping[str, Use]) -> Mapping[str, str]:
    """Matrices of floats, inputs by outputs, that have lost their names: the name of the weight that each is when it is turned round.

    Parameters
    ----------
    tensors : iterable of Tensor
        All of the checkpoint.
    uses : mapping of str to Use
        By the name of the matrix.

    Notes
    -----
    Left out are matrices with telling names, and those that would get a name that another tensor has.
    """
    found = {}
    names = set()
    for tensor in tensors:
        names.add(tensor.name)
        use = uses.get(tensor.name)
        if use is not None and use.operator == "MatMul" and len(tensor.shape) == 2 and tensor.dtype in _FLOATS:
            found[tensor.name] = weight_name(tensor.name, use)
    counts = Counter(found.values())
    return {name: weight for name, weight in found.items() if counts[weight] == 1 and weight not in names}
