"""Sizes of a stack, read off the shapes of its tensors, and whether a shape agrees with them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from attest.architecture.placed import SPLIT, PlacedTensor

__all__ = ["Sizes", "read_sizes", "shapes_agree"]

_NORMS = frozenset({"attention_norm", "mlp_norm", "output_norm", "attention_output_norm", "final_norm", "embed_norm"})
_HALVED = ("gate_up", "branch_up")
"""Roles of matrices whose lower half has a row for each neuron."""
_INPUTS = frozenset({"q", "up", "qkv", *_HALVED, "q_a", "kv_a"})
"""Roles of matrices that take the residual stream."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Most frequent sizes; None where no tensor tells.

    Parameters
    ----------
    d_model : int or None
        Width of the residual stream.
    d_q, d_k, d_v, d_qkv, d_o : int or None
        Outputs of ``q``, ``k``, ``v`` and ``qkv``, inputs of ``o``.
    d_ff : int or None
        Neurons of a dense MLP.
    d_q_b, d_kv_a, d_kv_b, d_latent : int or None
        Of latent attention: outputs of ``q_b``, ``kv_a`` and ``kv_b``, inputs of ``kv_b``, or of its halves.
    """

    d_model: int | None
    d_q: int | None
    d_k: int | None
    d_v: int | None
    d_qkv: int | None
    d_o: int | None
    d_ff: int | None
    d_q_b: int | None
    d_kv_a: int | None
    d_kv_b: int | None
    d_latent: int | None


def outputs_by_inputs(one: PlacedTensor, *, transposed: bool) -> tuple[int, ...]:
    """Shape with outputs first; vectors and experts' stacks as they are."""
    shape = one.tensor.shape
    return shape[::-1] if transposed and len(shape) == 2 and one.layer is not None else shape


def read_sizes(placed: Iterable[PlacedTensor], *, transposed: bool) -> Sizes:
    """Sizes that most tensors of a stack have."""
    shapes: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    inputs, routed = [], []
    for one in placed:
        shape = outputs_by_inputs(one, transposed=transposed)
        if one.role in SPLIT and len(shape) == 3:
            shapes[one.role].append(shape)
        if one.role is None or len(shape) != 2:
            continue
        if one.role == "router":
            routed.append(shape[1])
        if one.role in _INPUTS:
            inputs.append(shape[1])
        if one.expert is None:
            shapes[one.role].append(shape)
    d_kv_b, d_latent = _latent(shapes)
    neurons = [shape[0] for shape in shapes["up"]] or [shape[0] // 2 for role in _HALVED for shape in shapes[role]]
    return Sizes(
        d_model=_most_common(inputs or routed),
        d_q=_most_common(shape[0] for shape in shapes["q"]),
        d_k=_most_common(shape[0] for shape in shapes["k"]),
        d_v=_most_common(shape[0] for shape in shapes["v"]),
        d_qkv=_most_common(shape[0] for shape in shapes["qkv"]),
        d_o=_most_common(shape[1] for shape in shapes["o"]),
        d_ff=_most_common(neurons),
        d_q_b=_most_common(shape[0] for shape in shapes["q_b"]),
        d_kv_a=_most_common(shape[0] for shape in shapes["kv_a"]),
        d_kv_b=d_kv_b,
        d_latent=d_latent,
    )


def _latent(shapes: Mapping[str, Sequence[tuple[int, ...]]]) -> tuple[int | None, int | None]:
    """Outputs and inputs of ``kv_b``, or of its halves: keys of each head as inputs by outputs, values turned round."""
    if whole := [shape for shape in shapes["kv_b"] if len(shape) == 2]:
        return _most_common(shape[0] for shape in whole), _most_common(shape[1] for shape in whole)
    split = Counter(zip(shapes["k_b"], shapes["v_b"], strict=False)).most_common(1)
    if not split or {len(shape) for shape in split[0][0]} != {3}:
        return None, None
    (count, latent, d_key), (n_values, d_value, inputs) = split[0][0]
    return (count * (d_key + d_value), latent) if (n_values, inputs) == (count, latent) else (None, None)


def shapes_agree(placed: Sequence[PlacedTensor], *, transposed: bool) -> Callable[[PlacedTensor], bool]:
    """Whether a tensor has the shape of its role, by the sizes that most layers have.

    Notes
    -----
    The MLP of a layer may have a size of its own, since dense layers and shared experts differ; experts may have any.
    A size that no tensor tells is not compared.
    """
    sizes = read_sizes(placed, transposed=transposed)
    neurons = _neurons_by_layer(placed, sizes, transposed=transposed)
    tables = {d_ff: _expected(sizes, d_ff) for d_ff in (None, *neurons.values())}

    def agrees(one: PlacedTensor) -> bool:
        if one.role is None:
            return True
        shape = outputs_by_inputs(one, transposed=transposed)
        d_ff = None if one.expert is not None else neurons.get(one.layer)
        expected = tables[d_ff].get(one.role)
        return expected is None or (
            len(shape) == len(expected)
            and all(size is None or size == found for size, found in zip(expected, shape, strict=True))
        )

    return agrees


def _expected(sizes: Sizes, d_ff: int | None) -> Mapping[str, tuple[int | None, ...]]:
    """Shapes by role, outputs first; roles that may have any are not in it."""
    d_model = sizes.d_model
    return {
        **dict.fromkeys(_NORMS, (d_model,)),
        "q": (sizes.d_q, d_model),
        "k": (sizes.d_k, d_model),
        "v": (sizes.d_v, d_model),
        "qkv": (sizes.d_qkv, d_model),
        "o": (d_model, sizes.d_o),
        "q_a": (None, d_model),
        "kv_a": (None, d_model),
        "gate": (d_ff, d_model),
        "up": (d_ff, d_model),
        **dict.fromkeys(_HALVED, (None if d_ff is None else 2 * d_ff, d_model)),
        "down": (d_model, d_ff),
        "q.bias": (sizes.d_q,),
        "k.bias": (sizes.d_k,),
        "v.bias": (sizes.d_v,),
        "qkv.bias": (sizes.d_qkv,),
    }


def _neurons_by_layer(placed: Iterable[PlacedTensor], sizes: Sizes, *, transposed: bool) -> dict[int | None, int]:
    """How many neurons the dense MLP of each layer has: what most of its matrices say, else what most layers have."""
    counts: dict[int | None, Counter[int]] = defaultdict(Counter)
    for one in placed:
        shape = outputs_by_inputs(one, transposed=transposed)
        if one.expert is not None or len(shape) != 2:
            continue
        if one.role in {"gate", "up"} and shape[1] == sizes.d_model:
            counts[one.layer][shape[0]] += 1
        elif one.role in _HALVED and shape[1] == sizes.d_model and shape[0] % 2 == 0:
            counts[one.layer][shape[0] // 2] += 1
        elif one.role == "down" and shape[0] == sizes.d_model:
            counts[one.layer][shape[1]] += 1
    return {
        layer: max(found, key=lambda size: (found[size], size == sizes.d_ff, size)) for layer, found in counts.items()
    }


def _most_common(sizes: Iterable[int]) -> int | None:
    counted = Counter(sizes).most_common(1)
    return counted[0][0] if counted else None
