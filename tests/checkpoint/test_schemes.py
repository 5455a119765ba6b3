"""Quantized weights and adapters are told by the names of their tensors, and measured as they are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_checkpoint import entry, raw, write_tensors

from attest.checkpoint import open_checkpoint
from attest.finding import Finding
from attest.measure import measure

I32 = np.int32
STEM = "model.layers.0.self_attn.q_proj"


def parts(**shapes: tuple[Any, tuple[int, ...]]) -> dict[str, Any]:
    return {f"{STEM}.{name}": np.zeros(shape, dtype) for name, (dtype, shape) in shapes.items()}


NF4 = {f"{STEM}.weight": np.zeros((128, 1), np.uint8), f"{STEM}.weight.absmax": np.zeros(4, np.float32),
       f"{STEM}.weight.quant_map": np.zeros(16, np.float32),
       f"{STEM}.weight.quant_state.bitsandbytes__nf4": np.zeros(9, np.uint8)}  # fmt: skip

SCHEMES = {
    "GPTQ": parts(qweight=(I32, (8, 32)), qzeros=(I32, (1, 4)), scales=(np.float16, (1, 32)), g_idx=(I32, (64,))),
    "AWQ": parts(qweight=(I32, (64, 4)), qzeros=(I32, (1, 4)), scales=(np.float16, (1, 32))),
    "bitsandbytes NF4": NF4,
    "bitsandbytes INT8": parts(weight=(np.int8, (4, 4)), SCB=(np.float32, (4,)), weight_format=(np.uint8, ())),
    "compressed-tensors": parts(weight_packed=(I32, (4, 4)), weight_scale=(np.float16, (4, 1))),
    "MXFP4": {"mlp.experts.down_proj_blocks": np.zeros((2, 4, 1, 16), np.uint8),
              "mlp.experts.down_proj_scales": np.zeros((2, 4, 1), np.uint8)},
}  # fmt: skip


NOT_READ = {
    "torchao": parts(_weight_qdata=(np.uint8, (64, 64)), _weight_scale=(np.float32, (64, 1))),
    "Quanto": parts(**{"weight._data._data": (np.uint8, (64, 64)), "weight._scale": (np.float32, (64, 1))}),
    "HQQ": parts(W_q=(np.uint8, (64, 64)), scale=(np.float16, (128, 1)), zero=(np.float16, (128, 1))),
    "AQLM": parts(codes=(np.int16, (64, 8, 1)), codebooks=(np.float16, (1, 8, 1, 8)), scales=(np.float16, (64, 1, 1, 1))),
    "VPTQ": parts(indices=(np.int32, (1, 64, 64)), **{"centroids.weight": (np.float16, (1, 64))}),
    "EETQ": parts(weight=(np.int8, (64, 64)), weight_scales=(np.float16, (64,))),
    "MLX": parts(weight=(np.uint32, (64, 8)), scales=(np.float16, (64, 2)), biases=(np.float16, (64, 2))),
    "BitNet": parts(weight=(np.uint8, (16, 64)), weight_scale=(np.float32, (1,))),
    "compressed-tensors, sparse": parts(compressed=(np.float16, (64, 32)), bitmask=(np.uint8, (64, 8))),
    "INT8 with scales": parts(weight=(np.int8, (64, 64)), weight_scale=(np.float32, (64, 1)), weight_zero_point=(np.int8, (64, 1))),
    "integers of no known scheme": parts(weight=(np.int8, (64, 64)), steps=(np.float32, (64,))),
}  # fmt: skip


@pytest.mark.parametrize("scheme", NOT_READ)
def test_codes_that_are_not_read_are_named_and_are_no_values(scheme: str, tmp_path: Path):
    tensors = {name: np.ones_like(array) for name, array in NOT_READ[scheme].items()}
    write_tensors(tmp_path / "model.safetensors", tensors | {"model.norm.weight": np.ones(64, np.float32)})
    (found,) = findings(tmp_path)
    assert (
        found.text
        == f"{scheme}: 1 weights are stored so; digests are of what is stored, and their values are not known"
    )
    measurement = measure(tmp_path)
    assert not measurement.profiles["attention-std/v1"]
    assert not measurement.profiles["unit-norms/v1"]
    assert measurement.evidence.architecture.d_model is None
    assert len(measurement.tensors.tensors) == len(tensors) + 1


def findings(folder: Path) -> list[Finding]:
    return list(open_checkpoint(folder).findings)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_is_told_by_its_parts(scheme: str, tmp_path: Path):
    write_tensors(tmp_path / "model.safetensors", SCHEMES[scheme] | {"norm.weight": np.ones(4, np.float32)})
    (found,) = findings(tmp_path)
    assert found.code == "quantized-weights"
    assert found.text.startswith(f"{scheme}: 1 weights are stored so")


def test_fp8_with_scales(tmp_path: Path):
    header = {"a.weight": entry("F8_E4M3", [4], 4, 8), "a.weight_scale_inv": entry("F32", [1], 0, 4)}
    (tmp_path / "model.safetensors").write_bytes(raw(header, bytes(8)))
    assert [found.text.partition(":")[0] for found in findings(tmp_path)] == ["FP8 with scales"]


def test_plain_weights_are_no_scheme(tmp_path: Path):
    plain = {
        "a.weight": np.ones((4, 4), np.float32),
        "a.scales": np.ones(4, np.float32),
        "b.weight": np.ones(4, np.int8),
    }
    write_tensors(tmp_path / "model.safetensors", plain)
    assert findings(tmp_path) == []


def test_what_the_configuration_declares_is_a_claim(tmp_path: Path):
    write_tensors(tmp_path / "model.safetensors", SCHEMES["AWQ"])
    declared = {"quant_method": "gptq", "bits": 4, "group_size": 128, "modules": {"x": 1}}
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": declared}))
    assert [(found.code, found.text[:40]) for found in findings(tmp_path)] == [
        ("quantized-weights", "AWQ: 1 weights are stored so; digests ar"),
        ("declared-quantization", "quant_method gptq, bits 4, group_size 12"),
    ]


ADAPTER = {
    f"base_model.model.{STEM}.lora_A.weight": np.ones((2, 8), np.float32),
    f"base_model.model.{STEM}.lora_B.weight": np.ones((8, 2), np.float32),
}


def test_an_adapter_is_measured_as_it_is(tmp_path: Path):
    write_tensors(tmp_path / "adapter_model.safetensors", ADAPTER)
    claims = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "revision": "main", "r": 2, "lora_alpha": 4}
    (tmp_path / "adapter_config.json").write_text(json.dumps(claims))
    checkpoint = open_checkpoint(tmp_path)
    assert [tensor.shape for tensor in checkpoint.tensors] == [(2, 8), (8, 2)]
    (found,) = checkpoint.findings
    assert found.code == "adapter-weights"
    assert found.text.endswith(
        "it claims peft_type LORA, base_model_name_or_path org/base, revision main, r 2, lora_alpha 4"
    )
    assert "adapter_config.json" in checkpoint.documents


@pytest.mark.parametrize("config", [b"", b"[]", b'{"r": 1, "r": 2}', b'{"r": "' + b"x" * 2_000_000 + b'"}'])
def test_a_broken_configuration_of_an_adapter(config: bytes, tmp_path: Path):
    write_tensors(tmp_path / "adapter_model.safetensors", ADAPTER)
    (tmp_path / "adapter_config.json").write_bytes(config)
    (found,) = findings(tmp_path)
    assert found.code == "adapter-weights"
    assert "claims" not in found.text
    assert len(found.text) <= 500
