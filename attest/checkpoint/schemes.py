"""Weights that are not stored as they are used: quantized ones and adapters, told by the names of their tensors.

Digests and moments are of what lies there. Which tensors make up one weight is said as a finding; ``attest.checkpoint.packed``
makes the values of those schemes that it knows.

References
----------
GPTQ (``qweight``, ``qzeros``, ``scales``, ``g_idx``) and AWQ as written by GPTQModel and AutoAWQ; bitsandbytes
(``absmax``, ``quant_map``, ``quant_state``; ``SCB``); compressed-tensors (``weight_packed``); DeepSeek-V3, "FP8 weights"
(``weight_scale_inv``); gpt-oss (``_blocks``, ``_scales``); PEFT, "Checkpoint format" (``lora_A``, ``lora_B``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from attest.checkpoint.packed import Packed
from attest.checkpoint.shards import Beside
from attest.checkpoint.tensor import BLOCKS, Tensor
from attest.errors import DocumentError
from attest.finding import Finding

__all__ = ["describe_schemes"]

_ADAPTER = "adapter_config.json"
_ADAPTER_BYTES = 1024 * 1024
_SETTINGS = ("quant_method", "bits", "group_size", "load_in_4bit", "load_in_8bit", "bnb_4bit_quant_type", "fmt",
             "weight_block_size", "desc_act", "sym", "version", "format")  # fmt: skip
_ADAPTER_SETTINGS = ("peft_type", "base_model_name_or_path", "revision", "r", "lora_alpha", "use_rslora", "use_dora")
_NUMBERED = ("GGML_", "ONNX_")
"""Begin the dtypes that a later version of a format has."""

_FP8 = frozenset({"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})


def describe_schemes(
    beside: Beside, config: Mapping[str, Any], tensors: tuple[Tensor, ...], packed: Mapping[str, Packed]
) -> Iterator[Finding]:
    """Findings for quantized weights and adapters: what the names tell, and what the configurations claim.

    Parameters
    ----------
    beside : Beside
        Gives ``adapter_config.json`` where there are an adapter's tensors.
    config : mapping
        ``config.json``.
    tensors : tuple of Tensor
    packed : mapping of str to Packed
        Weights whose values can be made.
    """
    held = {tensor.name: tensor for tensor in tensors}
    counts, known = Counter[str](), Counter[str]()
    for tensor in tensors:
        scheme = _scheme_of(tensor, held, packed)
        if scheme is not None:
            counts[scheme] += 1
            known[scheme] += tensor.name in packed
    for scheme, count in sorted(counts.items()):
        text = f"{scheme}: {count} weights are stored so; digests are of what is stored"
        if not known[scheme]:
            text += ", and their values are not known"
        else:
            text += f", norms and sketches, where there are any, of the values that {known[scheme]} of them stand for"
        yield Finding(code="quantized-weights", path=".", line=None, text=text)
    declared = config.get("quantization_config")
    if isinstance(declared, dict):
        text = _settings(declared, _SETTINGS)
        yield Finding(code="declared-quantization", path="config.json", line=None, text=text)
    pairs = sum(name.endswith((".lora_A.weight", ".lora_embedding_A")) for name in held)
    if pairs:
        yield _describe_adapter(beside, pairs)


def _scheme_of(tensor: Tensor, held: Mapping[str, Tensor], packed: Mapping[str, Packed]) -> str | None:
    """How one weight is stored, told by its main tensor; None for a part of another, and for plain weights."""
    if tensor.dtype in BLOCKS or tensor.dtype.startswith(_NUMBERED):
        return tensor.dtype
    if tensor.name in packed:
        return packed[tensor.name].scheme
    stem, _, last = tensor.name.rpartition(".")
    if last == "qweight" and f"{stem}.scales" in held:
        as_wide = tensor.shape[-1:] == held[f"{stem}.scales"].shape[-1:]
        return "GPTQ" if as_wide or f"{stem}.g_idx" in held else "AWQ"
    whole, is_fp8 = tensor.name, tensor.dtype in _FP8
    is_nf4 = f"{whole}.quant_state.bitsandbytes__nf4" in held
    told_by = (
        ("bitsandbytes NF4", last == "weight" and is_nf4 and f"{whole}.absmax" in held),
        ("bitsandbytes FP4", last == "weight" and not is_nf4 and f"{whole}.absmax" in held),
        ("bitsandbytes INT8", last == "weight" and tensor.dtype == "I8" and f"{stem}.SCB" in held),
        ("NVFP4", last == "weight_packed" and f"{stem}.weight_global_scale" in held),
        ("MXFP4", last == "weight_packed" and tensor.dtype == "U8" and f"{stem}.weight_scale" in held),
        ("compressed-tensors", last == "weight_packed" and f"{stem}.weight_scale" in held),
        ("FP8 with scales", is_fp8 and not {f"{whole}_scale", f"{whole}_scale_inv"}.isdisjoint(held)),
        ("INT8 with scales", tensor.dtype == "I8" and f"{whole}_scale" in held),
        ("NVFP4", tensor.dtype == "U8" and {f"{whole}_scale", f"{whole}_scale_2"} <= held.keys()),
        ("MXFP4", tensor.dtype == "U8" and f"{whole}_scale" in held),
        ("MXFP4", whole.endswith("_blocks") and f"{whole.removesuffix('_blocks')}_scales" in held),
    )
    return next((scheme for scheme, is_so in told_by if is_so), None)


def _settings(declared: Mapping[str, Any], names: tuple[str, ...]) -> str:
    simple = (str, int, float, bool, list)
    return ", ".join(f"{name} {declared[name]}" for name in names if isinstance(declared.get(name), simple))[:500]


def _describe_adapter(beside: Beside, pairs: int) -> Finding:
    """What the adapter is for, as its configuration claims."""
    text = f"{pairs} pairs of low-rank matrices; measured as they are, and not merged with another model"
    if _ADAPTER in beside.tree.sizes:
        try:
            declared = beside.read(_ADAPTER, _ADAPTER_BYTES)
        except DocumentError as error:
            declared, text = None, f"{text}; {error.message}"
        if isinstance(declared, dict):
            text = f"{text}; it claims {_settings(declared, _ADAPTER_SETTINGS)}"
    return Finding(code="adapter-weights", path=".", line=None, text=text[:500])
