"""Names to roles: which family a stack is of, and the place of each of its tensors."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from attest.architecture.family import Family
from attest.architecture.layout import FUSED
from attest.architecture.placed import PlacedTensor
from attest.architecture.shape import shapes_agree
from attest.architecture.stack import Name, Stack

__all__ = ["choose_family", "place_stack"]

_MATRICES = frozenset({"q", "k", "v", "o", "gate", "up", "down", *FUSED})
_STACKED = frozenset({"gate", "up", "down", "gate_up"})
_ONCE = _MATRICES | frozenset(
    {"attention_norm", "mlp_norm", "output_norm", "attention_output_norm", "final_norm", "embed_norm", "embed",
     "lm_head", "q_norm", "k_norm", "router", "q_a", "q_b", "kv_a", "kv_b", "k_b", "v_b", "q_a_norm", "kv_a_norm"}
)  # fmt: skip
"""Roles that one tensor of a layer or expert has; of others, such as parameters of a state space, there are several."""


def choose_family(stack: Stack, families: Sequence[Family], *, model_types: Iterable[str], given: int) -> Family | None:
    """The family of most layers, so that a few odd tensors change nothing; None where no layer is of any.

    Parameters
    ----------
    stack : Stack
    families : sequence of Family
    model_types : iterable of str
        As the configuration claims them.
    given : int
        How many of the families, the first ones, are the user's own.

    Notes
    -----
    A layer is of the family that gives a role to most of its names; of families with equally many, a user's own comes
    first, then one that lists a claimed model type, then the order of the tables. Shapes decide whether matrices are
    stored as inputs by outputs, where names allow both.
    """
    claimed = frozenset(model_types)
    order = sorted(range(len(families)), key=lambda at: (at >= given, not claimed & families[at].model_types, at))
    ranked = [families[at] for at in order]
    votes, known = [0] * len(ranked), [0] * len(ranked)
    for names, n_layers in _kinds_of_layers(stack).items():
        counts = [sum(1 for name in names if family.role_in_layer(name) is not None) for family in ranked]
        if any(counts):
            votes[counts.index(max(counts))] += n_layers
        known = [total + count * n_layers for total, count in zip(known, counts, strict=True)]
    if not any(votes):
        return None
    best = votes.index(max(votes))
    rivals = [
        family
        for family, total in zip(ranked, known, strict=True)
        if total == known[best] and family.transposed != ranked[best].transposed
    ]
    if not rivals:
        return ranked[best]
    return max((ranked[best], rivals[0]), key=lambda family: _count_roles(place_stack(stack, family)))


def _count_roles(placed: Iterable[PlacedTensor]) -> int:
    return sum(1 for one in placed if one.role is not None)


def _kinds_of_layers(stack: Stack) -> Counter[frozenset[str]]:
    """How many layers hold the same names."""
    rests: dict[int, set[str]] = defaultdict(set)
    for name in stack.names:
        if name.layer is not None:
            rests[name.layer].add(name.rest)
    return Counter(frozenset(one) for one in rests.values())


def place_stack(stack: Stack, family: Family) -> list[PlacedTensor]:
    """Places of a stack's tensors, in order of name, as its family names them and their shapes allow.

    Notes
    -----
    A name is only a claim: a matrix, norm or bias keeps its role where its shape agrees with the sizes that most layers
    have. Two tensors with one place both lose it.
    """
    placed = [_place(name, family) for name in stack.names]
    counts = Counter((one.role, one.layer, one.expert) for one in placed)
    placed = [
        one.without_role() if _happens_once(one.role) and counts[one.role, one.layer, one.expert] > 1 else one
        for one in placed
    ]
    agrees = shapes_agree(placed, transposed=family.transposed)
    return [one if agrees(one) else one.without_role() for one in placed]


def _place(name: Name, family: Family) -> PlacedTensor:
    if name.layer is not None:
        role = family.role_in_layer(name.rest)
    else:
        role = next(filter(None, map(family.role_outside, name.rests())), None)
    dimensions = len(name.tensor.shape)
    if role in _STACKED and dimensions == 3 and name.expert is None:
        role = f"experts.{role}"
    elif role in _MATRICES and dimensions != 2:
        role = None
    return PlacedTensor(tensor=name.tensor, layer=name.layer, expert=name.expert, role=role)


def _happens_once(role: str | None) -> bool:
    return role is not None and role.removesuffix(".bias") in _ONCE
