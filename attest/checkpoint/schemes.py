"""Weights that are not stored as they are used: quantized ones and adapters, told by the names of their tensors.

Digests and moments are of what lies there. Which tensors make up one weight is said as a finding; ``attest.checkpoint.packed``
makes the values of those schemes that it knows.

References
----------
GPTQ (``qweight``, ``qzeros``, ``scales``, ``g_idx``) and AWQ as written by GPTQModel and AutoAWQ; bitsandbytes
(``absmax``, ``quant_map``, ``quant_state``; ``SCB``); compressed-tensors (``weight_packed``); DeepSeek-V3, "FP8 weights"
(``weight_scale_inv``); gpt-oss (``_blocks``, ``_scales``); torchao 0.18, ``flatten_tensor_state_dict``; Quanto 0.2; HQQ 0.2;
AQLM, VPTQ, EETQ and BitNet as transformers 5 loads them; MLX, "Quantization" (``scales``, ``biases``); PEFT, "Checkpoint format" (``lora_A``, ``lora_B``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attest.checkpoint.packed import Packed
from attest.checkpoint.shards import Beside
from attest.checkpoint.tensor import BLOCKS, Tensor
from attest.errors import DocumentError
from attest.finding import Finding
from attest.terminal import amount

__all__ = ["describe_schemes", "find_codes"]

_ADAPTER = "adapter_config.json"
_ADAPTER_BYTES = 1024 * 1024
_SETTINGS = ("quant_method", "bits", "group_size", "load_in_4bit", "load_in_8bit", "bnb_4bit_quant_type", "fmt",
             "weight_block_size", "desc_act", "sym", "version", "format", "mode")  # fmt: skip
_ADAPTER_SETTINGS = ("peft_type", "base_model_name_or_path", "revision", "r", "lora_alpha", "use_rslora", "use_dora")
_SCALES = ("_scale", "_scale_inv", "_weight_scale")
_INTEGERS = frozenset({"I8", "U8", "I16", "U16", "I32", "U32"})
_BESIDE = frozenset({"qzeros", "zero", "zeros", "scale", "scales", "bitmask", "_weight_zero_point", "_weight_scale"})
_LEAST_VALUES = 4096
"""Of a matrix of integers that is taken for codes."""

_NUMBERED = ("GGML_", "ONNX_")
"""Begin the dtypes that a later version of a format has."""

_FP8 = frozenset({"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})


def find_codes(tensors: Iterable[Tensor], packed: Mapping[str, Packed]) -> Iterator[str]:
    """Names of tensors of codes whose values are not known; blocks are none, since their shapes are those of values."""
    schemes = _find_schemes(tensors, packed)
    return (name for name, scheme in schemes.items() if name not in packed and not _is_blocks(scheme))


def _is_blocks(dtype: str) -> bool:
    return dtype in BLOCKS or dtype.startswith(_NUMBERED)


def _find_schemes(tensors: Iterable[Tensor], packed: Mapping[str, Packed]) -> dict[str, str]:
    """How weights are stored that are kept as codes: scheme by the name of the tensor that holds the codes."""
    held = {tensor.name: tensor for tensor in tensors}
    beside = {tensor.name for one in packed.values() for tensor in one.companions.values()}
    found = ((name, _scheme_of(tensor, held, packed)) for name, tensor in held.items() if name not in beside)
    return {name: scheme for name, scheme in found if scheme is not None}


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
    schemes = _find_schemes(tensors, packed)
    known = Counter(scheme for name, scheme in schemes.items() if name in packed)
    for scheme, count in sorted(Counter(schemes.values()).items()):
        text = f"{scheme}: {count} weights are stored so; digests are of what is stored"
        if not known[scheme]:
            text += ", and their values are not known"
        else:
            text += f", norms and sketches, where there are any, of the values that {known[scheme]} of them stand for"
        yield Finding(code="quantized-weights", path=".", line=None, text=text)
    declared = config.get("quantization_config", config.get("quantization"))
    if isinstance(declared, dict):
        text = _settings(declared, _SETTINGS)
        yield Finding(code="declared-quantization", path="config.json", line=None, text=text)
    pairs = sum(tensor.name.endswith((".lora_A.weight", ".lora_embedding_A")) for tensor in tensors)
    if pairs:
        yield _describe_adapter(beside, pairs)


def _scheme_of(tensor: Tensor, held: Mapping[str, Tensor], packed: Mapping[str, Packed]) -> str | None:
    """How one weight is stored, told by its main tensor; None for a part of another, and for plain weights."""
    if _is_blocks(tensor.dtype):
        return tensor.dtype
    if tensor.name in packed:
        return packed[tensor.name].scheme
    named = _by_parts(tensor, held) or _not_read(tensor, held)
    is_matrix = len(tensor.shape) == 2 and tensor.size >= _LEAST_VALUES
    if named is None and is_matrix and tensor.dtype in _INTEGERS and not _lies_beside(tensor):
        return "integers of no known scheme"
    return named


def _lies_beside(tensor: Tensor) -> bool:
    """Whether the name is that of zeros, scales or an order beside codes."""
    return tensor.name.rpartition(".")[2] in _BESIDE or tensor.name.endswith(("_scales", "_scale", "_zero_point"))


def _by_parts(tensor: Tensor, held: Mapping[str, Tensor]) -> str | None:
    """A scheme that is read, told by the names of its parts, also where they do not fit each other."""
    stem, _, last = tensor.name.rpartition(".")
    if last == "qweight" and f"{stem}.scales" in held:
        as_wide = tensor.shape[-1:] == held[f"{stem}.scales"].shape[-1:]
        return "GPTQ" if as_wide or f"{stem}.g_idx" in held else "AWQ"
    whole, is_fp8 = tensor.name, tensor.dtype in _FP8
    is_nf4 = f"{whole}.quant_state.bitsandbytes__nf4" in held
    scale = held.get(f"{whole}_scale")
    told_by = (
        ("bitsandbytes NF4", last == "weight" and is_nf4 and f"{whole}.absmax" in held),
        ("bitsandbytes FP4", last == "weight" and not is_nf4 and f"{whole}.absmax" in held),
        ("bitsandbytes INT8", last == "weight" and tensor.dtype == "I8" and f"{stem}.SCB" in held),
        ("NVFP4", last == "weight_packed" and f"{stem}.weight_global_scale" in held),
        ("MXFP4", last == "weight_packed" and tensor.dtype == "U8" and f"{stem}.weight_scale" in held),
        ("compressed-tensors", last == "weight_packed" and f"{stem}.weight_scale" in held),
        ("FP8 with scales", is_fp8 and any(f"{whole}{end}" in held for end in _SCALES)),
        ("INT8 with scales", tensor.dtype == "I8" and scale is not None),
        (
            "NVFP4",
            tensor.dtype == "U8"
            and any({f"{whole}{end}_scale", f"{whole}{end}_scale_2"} <= held.keys() for end in ("", "_weight")),
        ),
        ("MXFP4", tensor.dtype == "U8" and scale is not None and scale.dtype in {"U8", "F8_E8M0"}),
        ("MLX", tensor.dtype == "U32" and last == "weight" and f"{stem}.scales" in held),
        ("torchao", last == "_weight_qdata" and f"{stem}._weight_scale" in held),
        ("Quanto", last == "_data" and f"{stem.removesuffix('._data')}._scale" in held),
        ("MXFP4", whole.endswith("_blocks") and f"{whole.removesuffix('_blocks')}_scales" in held),
    )
    return next((scheme for scheme, is_so in told_by if is_so), None)


def _not_read(tensor: Tensor, held: Mapping[str, Tensor]) -> str | None:
    """A scheme whose values are not made, told by the names of its parts."""
    stem, _, last = tensor.name.rpartition(".")
    told_by = (
        ("HQQ", last == "W_q"),
        ("AQLM", last == "codes" and f"{stem}.codebooks" in held),
        ("VPTQ", last == "indices" and f"{stem}.centroids.weight" in held),
        ("EETQ", tensor.dtype == "I8" and f"{tensor.name}_scales" in held),
        ("BitNet", tensor.dtype == "U8" and last == "weight" and f"{tensor.name}_scale" in held),
        ("compressed-tensors, sparse", last == "compressed" and f"{stem}.bitmask" in held),
    )
    return next((scheme for scheme, is_so in told_by if is_so), None)


def _settings(declared: Mapping[str, Any], names: tuple[str, ...]) -> str:
    simple = (str, int, float, bool, list)
    return ", ".join(f"{name} {declared[name]}" for name in names if isinstance(declared.get(name), simple))[:500]


def _describe_adapter(beside: Beside, pairs: int) -> Finding:
    """What the adapter is for, as its configuration claims."""
    text = f"{amount(pairs, 'pair')} of low-rank matrices; measured as they are, and not merged with another model"
    if _ADAPTER in beside.tree.sizes:
        try:
            declared = beside.read(_ADAPTER, _ADAPTER_BYTES)
        except DocumentError as error:
            declared, text = None, f"{text}; {error.message}"
        if isinstance(declared, dict):
            text = f"{text}; it claims {_settings(declared, _ADAPTER_SETTINGS)}"
    return Finding(code="adapter-weights", path=".", line=None, text=text[:500])
