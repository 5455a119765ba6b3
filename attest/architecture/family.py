"""What a tensor is for, by its name: tables that a newcomer can extend.

A family is a list of rows. The first row whose pattern matches the rest of a name, after the layer, gives the role; a
new family is one more entry in ``FAMILIES``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["FAMILIES", "Family"]

_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.([0-9]{1,3})\.(.+)$")
"""Up to a thousand layers: every one is a row of the tables that are signed."""

_EXPERT = re.compile(r"\bexperts\.([0-9]{1,5})\.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One way to name tensors.

    Parameters
    ----------
    id : str
    marker : str
        Pattern that a name in the layer must hold.
    absent : str
        Pattern that no name in the layer may hold; empty for none.
    in_layer, outside : tuple of (pattern, role)
        Matched against the whole rest of the name, in order.

    Notes
    -----
    Roles: ``q k v o gate up down router`` for matrices (``up`` and ``down`` alone where there is no gate),
    ``.bias`` appended for their biases; ``attention_norm`` and ``mlp_norm`` for the norm in front of attention and
    MLP, ``output_norm`` and ``attention_output_norm`` behind them, ``final_norm``, ``embed_norm``, ``q_norm``,
    ``k_norm``; ``embed``, ``positions``, ``token_types``, ``lm_head``, ``buffer``.
    """

    id: str
    marker: str
    absent: str
    in_layer: tuple[tuple[str, str], ...]
    outside: tuple[tuple[str, str], ...]

    def count_layers(self, names: Sequence[str]) -> int:
        """Layers that are named in this way: with the marker, and without what must be absent."""
        marked = _layers_holding(self.marker, names)
        return len(marked - _layers_holding(self.absent, names) if self.absent else marked)

    def place(self, name: str) -> tuple[int | None, int | None, str | None]:
        """Layer, expert and role of a tensor; the role is None where no row knows the name."""
        inside = _LAYER.search(name)
        if inside is None:
            return None, None, _first(self.outside, name)
        layer, rest = int(inside[1]), inside[2]
        expert = _EXPERT.search(rest)
        if expert is None:
            return layer, None, _first(self.in_layer, rest)
        return layer, int(expert[1]), _first(self.in_layer, rest[: expert.start()] + rest[expert.end() :])


def _layers_holding(pattern: str, names: Sequence[str]) -> set[str]:
    return {found[1] for name in names if (found := _LAYER.search(name)) and re.search(pattern, name)}


def _first(rows: tuple[tuple[str, str], ...], rest: str) -> str | None:
    for pattern, role in rows:
        found = re.fullmatch(pattern, rest)
        if found:
            return role + (".bias" if rest.endswith(".bias") and found.groupdict().get("part") == "bias" else "")
    return None


_PART = r"\.(?P<part>weight|bias)"
_DECODER_MATRICES = (
    (rf"self_attn\.q_proj{_PART}", "q"),
    (rf"self_attn\.k_proj{_PART}", "k"),
    (rf"self_attn\.v_proj{_PART}", "v"),
    (rf"self_attn\.o_proj{_PART}", "o"),
    (rf"(?:mlp|block_sparse_moe)\.(?:shared_experts?\.)?(?:gate_proj|w1){_PART}", "gate"),
    (rf"(?:mlp|block_sparse_moe)\.(?:shared_experts?\.)?(?:up_proj|w3){_PART}", "up"),
    (rf"(?:mlp|block_sparse_moe)\.(?:shared_experts?\.)?(?:down_proj|w2){_PART}", "down"),
    (rf"(?:mlp|block_sparse_moe)\.(?:shared_expert_)?gate{_PART}", "router"),
    (rf"self_attn\.q_norm{_PART}", "q_norm"),
    (rf"self_attn\.k_norm{_PART}", "k_norm"),
    (r"self_attn\.rotary_emb\.inv_freq", "buffer"),
)
_DECODER_OUTSIDE = (
    (r"(?:.*\.)?embed_tokens\.weight", "embed"),
    (r"(?:.*\.)?lm_head\.weight", "lm_head"),
    (rf"(?:.*\.)?norm{_PART}", "final_norm"),
    (r"(?:.*\.)?rotary_emb\.inv_freq", "buffer"),
)
_BERT_IN_LAYER = (
    (rf"attention\.self\.query{_PART}", "q"),
    (rf"attention\.self\.key{_PART}", "k"),
    (rf"attention\.self\.value{_PART}", "v"),
    (rf"attention\.output\.dense{_PART}", "o"),
    (rf"attention\.output\.LayerNorm{_PART}", "mlp_norm"),
    (rf"intermediate\.dense{_PART}", "up"),
    (rf"output\.dense{_PART}", "down"),
    (rf"output\.LayerNorm{_PART}", "output_norm"),
)
_BERT_OUTSIDE = (
    (r"(?:.*\.)?word_embeddings\.weight", "embed"),
    (r"(?:.*\.)?position_embeddings\.weight", "positions"),
    (r"(?:.*\.)?token_type_embeddings\.weight", "token_types"),
    (rf"(?:.*\.)?embeddings\.LayerNorm{_PART}", "embed_norm"),
    (rf"(?:.*\.)?pooler\.dense{_PART}", "pooler"),
    (r"(?:.*\.)?position_ids", "buffer"),
)

FAMILIES = (
    Family(
        id="gemma2-like",
        marker=r"pre_feedforward_layernorm",
        absent="",
        in_layer=(
            *_DECODER_MATRICES,
            (rf"input_layernorm{_PART}", "attention_norm"),
            (rf"post_attention_layernorm{_PART}", "attention_output_norm"),
            (rf"pre_feedforward_layernorm{_PART}", "mlp_norm"),
            (rf"post_feedforward_layernorm{_PART}", "output_norm"),
        ),
        outside=_DECODER_OUTSIDE,
    ),
    Family(
        id="llama-like",
        marker=r"self_attn\.q_proj",
        absent=r"pre_feedforward_layernorm|post_feedforward_layernorm",
        in_layer=(
            *_DECODER_MATRICES,
            (rf"input_layernorm{_PART}", "attention_norm"),
            (rf"post_attention_layernorm{_PART}", "mlp_norm"),
        ),
        outside=_DECODER_OUTSIDE,
    ),
    Family(
        id="bert",
        marker=r"attention\.self\.query",
        absent="",
        in_layer=_BERT_IN_LAYER,
        outside=_BERT_OUTSIDE,
    ),
)
