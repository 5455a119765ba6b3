"""What a comparison says came from where, held against what is known.

A test takes part by giving a table of layers: an adapter turns the table into a map from the layers of the derived
network to those of the parent. A new kind of table is one more adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from validity.derive import Derived

__all__ = ["layer_maps", "layers_by_index", "localization", "neurons_found"]

LayerMap: TypeAlias = dict[int, int | None]
Rows: TypeAlias = Sequence[Sequence[str]]

_BY_INDEX = "neuron-alignment/v1"
"""The test by index whose layers have units enough to say something each by itself."""

_LEAST_Z = 4.0
"""Standard deviations from which a layer counts as the one of the same index."""

_ANCESTRY = frozenset({"expert-ancestry/v1", "width-alignment/v1"})
"""Tests whose statistic is a share of neurons with an ancestor: of the experts', or of the narrower layers'."""

_GATE = ".gate_proj.weight"


def _number(cell: str) -> int | None:
    return int(cell) if cell.isdecimal() else None


def _from_partners(rows: Rows) -> LayerMap:
    """Columns ``layer``, ``rows``, ``found``, ``layer of the other``, and more."""
    return {int(row[0]): _number(row[3]) for row in rows}


def _from_alignment(rows: Rows) -> LayerMap:
    """Columns ``layer of a``, ``layer of b``, and more; a line without a layer of b says nothing about the derived."""
    return {int(row[1]): _number(row[0]) for row in rows if row[1].isdecimal()}


ADAPTERS: Mapping[tuple[str, str], Callable[[Rows], LayerMap]] = {
    ("row-containment/v1", "Layers of b in those of a"): _from_partners,
    ("layer-alignment/v1", "Which layer is found in which"): _from_alignment,
}
"""By id and title of the table; b is the derived network."""


def layer_maps(found: Sequence[Mapping[str, Any]]) -> dict[str, LayerMap]:
    """The origin of every layer of the derived network, by each test that tells it."""
    return {
        table["id"]: ADAPTERS[table["id"], table["title"]](table["rows"])
        for table in found
        if (table["id"], table["title"]) in ADAPTERS
    }


def layers_by_index(tests: Mapping[str, Mapping[str, Any]]) -> set[int]:
    """Layers that correspond to the parent's of the same index, by the z of each."""
    layers = tests.get(_BY_INDEX, {}).get("layers", {})
    return {int(layer) for layer, z in layers.items() if z is not None and z >= _LEAST_Z}


def neurons_found(found: Sequence[Mapping[str, Any]], derived: Derived) -> float | None:
    """Share of the neurons with an ancestor whose gate rows were found as they are; None without such a table."""
    tables = [one for one in found if one["id"] == "row-containment/v1" and one["title"].startswith("Rows of b")]
    if not tables:
        return None
    counts = {row[0]: int(row[2]) for row in tables[0]["rows"]}
    expected = {name: sum(i >= 0 for i in held) for name, held in derived.neuron_origin.items()}
    right = sum(min(counts.get(name + _GATE, 0), n) for name, n in expected.items())
    return right / max(1, sum(expected.values()))


def localization(result: Mapping[str, Any], derived: Derived) -> dict[str, float]:
    """Share of the derived network's layers whose origin each test has right, and of its neurons that were found."""
    truth = dict(enumerate(derived.layer_origin))
    shares = {
        name: sum(told.get(layer) == origin for layer, origin in truth.items()) / len(truth)
        for name, told in layer_maps(result["found"]).items()
    }
    if _BY_INDEX in result["tests"]:
        told = layers_by_index(result["tests"])
        shares["by index"] = sum((layer in told) == (layer == origin) for layer, origin in truth.items()) / len(truth)
    for name in _ANCESTRY & result["tests"].keys():
        shares[name] = result["tests"][name]["statistic"]
    if _ANCESTRY & result["tests"].keys():
        held = [i for neurons in derived.neuron_origin.values() for i in neurons]
        shares["truly with an ancestor"] = sum(i >= 0 for i in held) / len(held)
    share = neurons_found(result["found"], derived)
    if share is not None:
        shares["gate rows found"] = share
    return shares
