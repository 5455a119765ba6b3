"""Which files hold a checkpoint's weights, and the JSON files beside them that say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attest.checkpoint.byte_range import read_up_to
from attest.checkpoint.format import Format
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.tree import Tree
from attest.digest import sha256
from attest.document import parse
from attest.errors import CheckpointError, DocumentError
from attest.finding import Finding

__all__ = ["Beside", "choose_weights", "compare_with_index", "read_config", "read_index"]

_CONFIG = "config.json"
_CONFIG_BYTES = 4 * 1024 * 1024
_INDEX_BYTES = 32 * 1024 * 1024


class Beside:
    """JSON files of a checkpoint as they were parsed.

    Attributes
    ----------
    digests : dict of str to str
        SHA-256 of each, by path: later reads must see the same.
    findings : list of Finding
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.digests: dict[str, str] = {}
        self.findings: list[Finding] = []

    def read(self, file: str, max_bytes: int) -> Any:
        """Value of one file."""
        with self.tree.open(file) as stream:
            data = read_up_to(stream, max_bytes + 1)
        value = parse(data, where=file, max_bytes=max_bytes)
        self.digests[file] = sha256(data)
        return value


def read_config(beside: Beside) -> Mapping[str, Any]:
    """``config.json``; empty, with a finding, where it cannot be read, and empty where there is none."""
    if _CONFIG not in beside.tree.sizes:
        return {}
    problem = "not a JSON object"
    try:
        value = beside.read(_CONFIG, _CONFIG_BYTES)
    except DocumentError as error:
        value, problem = None, error.message[:500]
    if isinstance(value, dict):
        return value
    beside.findings.append(Finding(code="config-unreadable", path=_CONFIG, line=None, text=problem))
    return {}


def read_index(beside: Beside, kind: Format) -> Mapping[str, str] | None:
    """Tensor name to file, from the index beside the shards; None where no index counts.

    Beside the file that programs take alone none does.
    """
    if kind.index is None or kind.one_file in beside.tree.sizes:
        return None
    indexes = [file for file in beside.tree.sizes if file.endswith(kind.index) and "/" not in file]
    if not indexes:
        return None
    usual = (kind.one_file or "").removesuffix(kind.suffixes[0]) + kind.index
    file = usual if usual in indexes else indexes[0]
    value = beside.read(file, _INDEX_BYTES)
    weight_map = value.get("weight_map") if isinstance(value, dict) else None
    if (
        not isinstance(weight_map, dict)
        or not weight_map
        or not all(isinstance(shard, str) for shard in weight_map.values())
    ):
        raise CheckpointError("bad-index", "holds no weight_map of file names", fix="ask its author", where=file)
    for shard in sorted(set(weight_map.values())):
        if shard not in beside.tree.sizes:
            raise CheckpointError(
                "missing-shard", f"names the shard {shard!r}, which is not there", fix="download it", where=file
            )
    return weight_map


def choose_weights(tree: Tree, kind: Format, index: Mapping[str, str] | None) -> list[str]:
    """Weight files of one format, by this order: the one file, those of the index, those in the folder, those below."""
    if kind.one_file is not None and kind.one_file in tree.sizes:
        return [kind.one_file]
    if index is not None:
        return sorted(set(index.values()))
    every = [file for file in tree.sizes if _may_hold_weights(tree, kind, file)]
    return [file for file in every if "/" not in file] or every


def _may_hold_weights(tree: Tree, kind: Format, file: str) -> bool:
    name = file.lower().rpartition("/")[2]
    if not name.endswith(kind.suffixes) or (name.startswith(kind.companions) and len(tree.files) > 1):
        return False
    if not kind.magic:
        return True
    with tree.open(file) as stream:
        return stream.read(len(kind.magic)) == kind.magic


def compare_with_index(tensors: tuple[Tensor, ...], index: Mapping[str, str] | None) -> list[Finding]:
    """Findings for tensors that the index does not name.

    Raises
    ------
    CheckpointError
        A tensor is not in the shard that the index promises.
    """
    if index is None:
        return []
    held = {tensor.name: tensor.file for tensor in tensors}
    for name, file in index.items():
        if held.get(name) != file:
            raise CheckpointError(
                "missing-tensor", f"does not hold {name!r}, which the index promises", fix="download it", where=file
            )
    return [
        Finding(code="not-in-index", path=file, line=None, text=name[:500])
        for name, file in held.items()
        if name not in index
    ]
