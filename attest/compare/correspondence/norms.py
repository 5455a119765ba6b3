"""Exact correspondence of norms, gains and biases: unit i of A with unit i of B."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.compare.correspondence.common_tables import common_table
from attest.compare.correspondence.exact_outcome import exact_outcome
from attest.compare.correspondence.features import normal_scores, unit_rows
from attest.compare.correspondence.order import IN_ORDER
from attest.compare.correspondence.permutation import Pairing
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run, shared_layers

__all__ = [
    "NORM_GAIN_TEST",
    "expert_norm_correspondence",
    "head_norm_correspondence",
    "key_latent_correspondence",
    "neuron_norm_correspondence",
    "norm_gain_correspondence",
    "norm_gain_names",
    "on_residual_axis",
    "qkv_bias_correspondence",
    "query_latent_correspondence",
    "residual_norm_correspondence",
]

_NORMS = "unit-norms/v1"
_GAINS = "norm-gain/v1"
_BIASES = "qkv-bias/v1"
_EXPERTS = "expert-norms/v1"
_GAIN_PARTS = ("attention_norm", "attention_output_norm", "mlp_norm", "output_norm")
_GAINS_OUTSIDE = ("embed_norm", "final_norm")
_TABLES = {"positions": "positions", "position_table": "positions"}
_MIN_HEADS = 4
_MANY_ZEROS = 1 / 8

NORM_GAIN_TEST = "norm-gain-correspondence/v1"

Arrays = Mapping[str, NDArray[Any]]
Scores = Callable[[str], tuple[NDArray[np.float64], NDArray[np.float64]]]


def neuron_norm_correspondence(a: Fingerprints, b: Fingerprints) -> Outcome:
    """``neuron-norm-correspondence/v1``: norms of gate rows, up rows and down columns, each layer by itself."""
    return _on_inner_units(
        "neuron-norm-correspondence/v1",
        ("neuron.gate", "neuron.up", "neuron.down"),
        a,
        b,
        units="the neurons",
        note="z of the normal scores of neuron norms, index by index; a permutation of hidden neurons defeats it",
    )


def query_latent_correspondence(a: Fingerprints, b: Fingerprints) -> Outcome:
    """``query-latent-correspondence/v1``: norms of the latent dimensions of queries, each layer by itself."""
    return _on_latent("query-latent-correspondence/v1", "q", a, b)


def key_latent_correspondence(a: Fingerprints, b: Fingerprints) -> Outcome:
    """``key-latent-correspondence/v1``: norms of the latent dimensions of keys and values, each layer by itself."""
    return _on_latent("key-latent-correspondence/v1", "kv", a, b)


def _on_latent(test_id: str, kind: str, a: Fingerprints, b: Fingerprints) -> Outcome:
    """Test the latent dimensions of latent attention.

    Notes
    -----
    A norm and two matrices are all that latent dimensions pass; each treats them alike. Rotary keys pass beside them.
    """
    return _on_inner_units(
        test_id,
        (f"latent.{kind}_a", f"latent.{kind}_b"),
        a,
        b,
        units="the latent dimensions",
        note="z of the normal scores of the norms of latent dimensions, index by index; a permutation of these defeats it",
    )


def expert_norm_correspondence(a: Fingerprints, b: Fingerprints) -> Outcome:
    """``expert-norm-correspondence/v1``: norms of experts' matrices and of their rows of the router, one order for all layers.

    Notes
    -----
    The experts of a layer may be listed in any order. All layers are exchanged in one order all the same: what prefers some
    experts, such as equal scores at the beginning of training, prefers the same in all layers, and counts once so. A router
    that two networks took from a third singles experts out, too: it decides which of them learn much. So do widths that a
    design gives to its experts one by one, in every network that follows it.
    """
    test_id = "expert-norm-correspondence/v1"
    if _both_sparse(a, b):
        return not_run(_MASKED, test_id)
    if _unlike_experts(a) and _unlike_experts(b):
        return not_run(_UNLIKE_EXPERTS, test_id)
    if _routers(a) & _routers(b):
        return not_run(_ONE_ROUTER, test_id)
    return _in_one_order(
        test_id,
        _EXPERTS,
        a,
        b,
        [f"experts.{part}" for part in ("gate", "up", "down", _ROUTER)],
        missing="in no layer do both have arrays of one size for the experts",
        method="the experts, in one order for all layers",
        note="z of the normal scores of expert norms, index by index; a permutation of the experts defeats it, one of the"
        " neurons in each does not, nor does a rotation of the residual stream",
        order=_ORDER_OF_EXPERTS,
    )


_ROUTER = "router"
_ONE_ROUTER = "both have one router in some layer: it decides which experts learn much, whoever trained them"
_UNLIKE_EXPERTS = "both have experts of several sizes, which single them out by number, whoever trained them"
_ORDER_OF_EXPERTS = 3.0
"""Standard deviations from which on experts count as listed in an order: a few that are preferred make less of one than a trend does."""


def _routers(one: Fingerprints) -> set[str]:
    """Digests of the values of routers that prefer some experts; zeros do not."""
    routers = (row for row in one.tensors if row.role == _ROUTER and not (row.moments and row.moments.std == "0"))
    return {row.multiset or row.digest for row in routers}


def _unlike_experts(one: Fingerprints) -> bool:
    """Whether the experts of some layer differ in size."""
    shapes: dict[tuple[int | None, str], set[tuple[int, ...]]] = defaultdict(set)
    for row in one.tensors:
        if row.expert is not None and row.role is not None:
            shapes[row.layer, row.role].add(row.shape)
    return any(len(found) > 1 for found in shapes.values())


def _on_inner_units(
    test_id: str, parts: Sequence[str], a: Fingerprints, b: Fingerprints, *, units: str, note: str
) -> Outcome:
    """Test the norms of units that belong to one layer, each layer by itself."""
    if _both_sparse(a, b):
        return not_run(_MASKED, test_id)
    mine, theirs = a.arrays.get(_NORMS, {}), b.arrays.get(_NORMS, {})
    scores = _scores(mine, theirs)
    return _by_layer(
        test_id,
        a,
        b,
        lambda layer: _paired(layer, mine, theirs, [f"layers.{layer}.{part}" for part in parts], scores),
        units=units,
        note=note,
    )


def residual_norm_correspondence(a: Fingerprints, b: Fingerprints) -> Outcome:
    """``residual-norm-correspondence/v1``: norms along every residual dimension, one order for all layers."""
    test_id = "residual-norm-correspondence/v1"
    if _both_sparse(a, b):
        return not_run(_MASKED, test_id)
    parts = [f"residual.{role}" for role in ("q", "k", "v", "q_a", "kv_a", "o", "gate", "up", "down")]
    return on_residual_axis(test_id, _NORMS, a, b, parts, outside=())


def norm_gain_correspondence(a: Fingerprints, b: Fingerprints) -> Outcome:
    """``norm-gain-correspondence/v1``: gains of the norms on the residual stream, one order for all layers."""
    return on_residual_axis(NORM_GAIN_TEST, _GAINS, a, b, _GAIN_PARTS, outside=_GAINS_OUTSIDE)


def norm_gain_names(a: Fingerprints, b: Fingerprints) -> list[str]:
    """Vectors that ``norm_gain_correspondence`` pairs; none where it is not compared."""
    if not _positions_known(a, b) or common_table(a, b) is not None:
        return []
    names = [f"layers.{layer}.{part}" for layer in shared_layers(a, b)[0] for part in _GAIN_PARTS]
    return _of_one_size(a.arrays.get(_GAINS, {}), b.arrays.get(_GAINS, {}), [*_GAINS_OUTSIDE, *names])


def qkv_bias_correspondence(a: Fingerprints, b: Fingerprints) -> Outcome:
    """``qkv-bias-correspondence/v1``: query, key and value biases of whole heads, each layer by itself.

    Notes
    -----
    Only whole heads are exchangeable (whole groups where queries share keys): rotary positions single out what lies
    inside. So few units mean little power; ``smallest_pvalue`` says how little. Each head counts by its direction.
    """
    test_id = "qkv-bias-correspondence/v1"
    if not a.arrays.get(_BIASES) or not b.arrays.get(_BIASES):
        return not_run("not both have query, key or value biases", test_id)
    note = "z of the inner products of the heads' bias directions, index by index"
    return _on_heads(test_id, _BIASES, a, b, ("q.bias", "k.bias", "v.bias"), unit_rows, note)


def head_norm_correspondence(a: Fingerprints, b: Fingerprints) -> Outcome:
    """``head-norm-correspondence/v1``: norms of whole attention heads, each layer by itself."""
    test_id = "head-norm-correspondence/v1"
    if _both_sparse(a, b):
        return not_run(_MASKED, test_id)
    parts = ("head.q", "head.k", "head.v", "head.o")
    note = "z of the normal scores of head norms, index by index"
    return _on_heads(test_id, _NORMS, a, b, parts, _scored_columns, note)


def _by_layer(
    test_id: str, a: Fingerprints, b: Fingerprints, pair: Callable[[int], list[Pairing]], *, units: str, note: str
) -> Outcome:
    """Test units that may be exchanged in every layer by itself; ``pair`` gives a layer's pairing, if it has one."""
    layers, reasons = shared_layers(a, b)
    pairings = [pairing for layer in layers for pairing in pair(layer)]
    if not pairings:
        return not_run(f"in no layer do both have arrays of one size for {units}", test_id)
    return exact_outcome(
        test_id,
        a,
        b,
        pairings,
        method=f"{units} of every layer, each layer by itself",
        note=note,
        reasons=reasons,
    )


def _on_heads(
    test_id: str,
    fingerprint: str,
    a: Fingerprints,
    b: Fingerprints,
    parts: Sequence[str],
    features: Callable[[NDArray[Any]], NDArray[np.float64]],
    note: str,
) -> Outcome:
    """Test heads, or groups of heads that share keys; ``features`` turns a group's values into its features."""
    groups, problem = _groups(a, b)
    if groups is None:
        return not_run(problem, test_id)
    mine, theirs = a.arrays.get(fingerprint, {}), b.arrays.get(fingerprint, {})

    def pair(layer: int) -> list[Pairing]:
        names = [f"layers.{layer}.{part}" for part in parts]
        both = [name for name in names if _same_size(mine, theirs, name) and mine[name].size % groups == 0]
        if not both:
            return []
        x, y = (np.hstack([features(side[name].reshape(groups, -1)) for name in both]) for side in (mine, theirs))
        return [Pairing(layer=layer, x=x, y=y)]

    return _by_layer(test_id, a, b, pair, units="the heads (groups of heads that share keys)", note=note)


_MASKED = "more than an eighth of the values of both is zero: norms would agree where both were given one mask, whoever made them"


def _both_sparse(a: Fingerprints, b: Fingerprints) -> bool:
    """Whether both networks have many zeros among the values of their layers' matrices.

    A public mask says which values are zero, so how many a unit keeps, whatever they are. What zeros stand where in the
    other network is not known, so no mask can be told from pruning by each network itself.
    """
    return all(_share_of_zeros(one) > _MANY_ZEROS for one in (a, b))


def _share_of_zeros(one: Fingerprints) -> float:
    moments = [row.moments for row in one.tensors if row.moments and row.layer is not None and len(row.shape) > 1]
    return sum(each.zeros for each in moments) / max(1, sum(each.n for each in moments))


_ON_ONE_TABLE = (
    "both have one table of {table}, or most of its rows, or the same kind of formula for it: it singles out residual"
    " dimensions, whoever trained the rest"
)
_SINGLED_OUT = "how either of the two knows positions is not known, so {units} may be singled out by index in both"


def _positions_known(a: Fingerprints, b: Fingerprints) -> bool:
    """Whether at least one of the two has positions that single out neither residual dimensions nor heads.

    Absolute sinusoids give every residual dimension a frequency of its own, and ALiBi every head a slope: two
    networks with such would agree by index without having anything in common. One exchangeable side suffices for the
    null distribution, so what the other claims of itself cannot switch a test off.
    """
    return {a.architecture.positions, b.architecture.positions} != {"unknown"}


def on_residual_axis(
    test_id: str, fingerprint: str, a: Fingerprints, b: Fingerprints, parts: Sequence[str], *, outside: Sequence[str]
) -> Outcome:
    """One joint statistic: all vectors are reordered by the same permutation of the residual dimensions."""
    if not _positions_known(a, b):
        return not_run(_SINGLED_OUT.format(units="residual dimensions"), test_id)
    table = common_table(a, b)
    if table is not None:
        return not_run(_ON_ONE_TABLE.format(table=_TABLES.get(table, "tokens")), test_id)
    sizes = f"{a.architecture.d_model} and {b.architecture.d_model}"
    return _in_one_order(
        test_id,
        fingerprint,
        a,
        b,
        parts,
        outside=outside,
        missing=f"no vectors of one size in both (hidden sizes {sizes})",
        method="the residual dimensions, in one order for all layers",
        note="z of the normal scores along the residual dimensions, index by index; a rotation or permutation of the"
        " residual stream defeats it",
    )


def _in_one_order(  # noqa: PLR0913 - what a test is, in words and in numbers
    test_id: str, fingerprint: str, a: Fingerprints, b: Fingerprints, parts: Sequence[str], *,
    missing: str, method: str, note: str, outside: Sequence[str] = (), order: float = IN_ORDER,
) -> Outcome:  # fmt: skip
    """Test units of which all layers are exchanged by one permutation."""
    mine, theirs = a.arrays.get(fingerprint, {}), b.arrays.get(fingerprint, {})
    layers, reasons = shared_layers(a, b)
    names = {layer: [f"layers.{layer}.{part}" for part in parts] for layer in layers}
    everything = [*outside, *(name for layer in layers for name in names[layer])]
    scores = _scores(mine, theirs)
    pairings = _paired(-1, mine, theirs, everything, scores)
    if not pairings:
        return not_run(missing, test_id)
    used = pairings[0].x.shape[0]
    by_layer = [one for layer in layers for one in _paired(layer, mine, theirs, names[layer], scores)]
    return exact_outcome(
        test_id,
        a,
        b,
        pairings,
        method=method,
        note=note,
        reasons=reasons,
        layers=[one for one in by_layer if one.x.shape[0] == used],
        order=order,
    )


def _scores(mine: Arrays, theirs: Arrays) -> Scores:
    """Normal scores of both by name, computed when they are first asked for."""
    return cache(lambda name: (normal_scores(mine[name]), normal_scores(theirs[name])))


def _paired(layer: int, mine: Arrays, theirs: Arrays, names: Sequence[str], scores: Scores) -> list[Pairing]:
    """Normal scores of the vectors that both have, as one pairing; none where they have none."""
    both = _of_one_size(mine, theirs, names)
    if not both:
        return []
    x, y = (np.stack([scores(name)[side] for name in both], axis=1) for side in (0, 1))
    return [Pairing(layer=layer, x=x, y=y)]


def _of_one_size(mine: Arrays, theirs: Arrays, names: Sequence[str]) -> list[str]:
    """Vectors that both have, as long as the first of them."""
    both = [name for name in names if _same_size(mine, theirs, name)]
    return [name for name in both if mine[name].size == mine[both[0]].size]


def _scored_columns(rows: NDArray[Any]) -> NDArray[np.float64]:
    return np.stack([normal_scores(column) for column in rows.T], axis=1)


def _same_size(mine: Arrays, theirs: Arrays, name: str) -> bool:
    return name in mine and name in theirs and mine[name].shape == theirs[name].shape


def _groups(a: Fingerprints, b: Fingerprints) -> tuple[int | None, str]:
    """Groups of heads that may be exchanged as wholes, where both have the same and enough of them."""
    if not _positions_known(a, b):
        return None, _SINGLED_OUT.format(units="heads")
    left, right = a.architecture, b.architecture
    if left.kv_heads is None or (left.heads, left.kv_heads) != (right.heads, right.kv_heads):
        return None, "the numbers of attention heads are unknown or differ"
    if left.kv_heads < _MIN_HEADS:
        return None, f"only {left.kv_heads} groups of heads may be exchanged; fewer than {_MIN_HEADS} say too little"
    return left.kv_heads, ""
