"""What a configuration claims of a network, held against names and shapes. The checkpoint's author wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attest.architecture.family import TRAITS, Family
from attest.architecture.shape import Sizes
from attest.finding import Finding

__all__ = ["claimed_count", "claimed_heads", "claimed_model_types", "contradictions"]

_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads")
_KV_HEADS = "num_key_value_heads"
_NESTED = ("text_config", "llm_config", "language_config", "decoder")
_CONFIG = "config.json"
_FUSED_TRAITS = {"q.bias": "qkv.bias", "kv_b": "v_b"}


def _sources(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The configuration, then what it holds about the language model in particular."""
    yield config
    for name in _NESTED:
        nested = config.get(name)
        if isinstance(nested, dict):
            yield nested


def claimed_model_types(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Model types of the whole and of the language model, as far as they are claimed."""
    found = (source.get("model_type") for source in _sources(config))
    return tuple(one for one in found if isinstance(one, str))


def claimed_count(config: Mapping[str, Any]) -> int | None:
    """Number of heads that the configuration claims, if it does."""
    _, heads = _claim(config)
    return heads if type(heads) is int else None


def _claim(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """What is claimed as the number of heads, and the mapping that claims it."""
    return next(((one, one[key]) for one in _sources(config) for key in _HEADS if key in one), (config, None))


def claimed_heads(config: Mapping[str, Any], sizes: Sizes) -> tuple[int | None, int | None, int | None]:
    """Heads, key heads and the size of a head, as the configuration claims them, where the shapes allow them.

    Notes
    -----
    Of a fused matrix the shapes tell how many key heads there are, once the number of heads is claimed.
    """
    source, heads = _claim(config)
    d_q = sizes.d_o if sizes.d_q is None else sizes.d_q
    if type(heads) is not int or heads < 1 or not d_q or d_q % heads:
        return None, None, None
    d_head = d_q // heads
    d_kv = sizes.d_k
    if d_kv is None and sizes.d_qkv is not None and sizes.d_qkv > d_q:
        d_kv = (sizes.d_qkv - d_q) // 2
    fused = sizes.d_k is None
    kv_heads = source.get(_KV_HEADS, (d_kv or 0) // d_head if fused else heads)
    if type(kv_heads) is not int or kv_heads < 1 or heads % kv_heads or d_kv != kv_heads * d_head:
        return None, None, None
    return heads, kv_heads, d_head


def contradictions(
    config: Mapping[str, Any], family: Family | None, families: Sequence[Family], roles: set[str]
) -> tuple[Finding, ...]:
    """A finding where the claimed model type has other names or other layers than the checkpoint.

    Parameters
    ----------
    config : mapping
    family : Family or None
        That names and shapes give.
    families : sequence of Family
        All that are known.
    roles : set of str
        That tensors of the main stack have.

    Notes
    -----
    Only model types that a table lists are judged.
    """
    listed = [(name, [one for one in families if name in one.model_types]) for name in claimed_model_types(config)]
    known = [(name, of) for name, of in listed if of]
    if family is None or not known:
        return ()
    claimed = next((name for name, of in known if family in of), None)
    if claimed is None:
        name, of = known[0]
        usual = " or ".join(one.id for one in of)
        text = f"model_type {name!r} is named as in the family {usual}; these tensors are named as in {family.id}"
        return (_finding(text),)
    if claimed not in family.traits:
        return ()
    text = _differing_traits(claimed, family.traits[claimed], roles)
    return (_finding(text),) if text else ()


def _differing_traits(model_type: str, traits: Sequence[str], roles: set[str]) -> str:
    found = {trait for trait in TRAITS if roles & {trait, _FUSED_TRAITS.get(trait, trait)}}
    missing = [trait for trait in traits if not trait.endswith("?") and trait not in found]
    extra = sorted(found - {trait.removesuffix("?") for trait in traits})
    said = [f"has no tensor of the role {trait}" for trait in missing]
    said += [f"has tensors of the role {trait}" for trait in extra]
    return f"model_type {model_type!r}: other than its networks, this one {' and '.join(said)}" if said else ""


def _finding(text: str) -> Finding:
    return Finding(code="model-type-differs", path=_CONFIG, line=None, text=text[:500])
