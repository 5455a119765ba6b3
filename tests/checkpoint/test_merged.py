"""An adapter merged into a base: the values, the files that they would be written to, and what is refused."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adapters import CONFIG, PREFIX, pair, write_adapter
from numpy.typing import NDArray
from reproduced import again
from small_checkpoint import bfloat16, read_tensors, write_tensors

from attest.checkpoint import Checkpoint, open_checkpoint
from attest.checkpoint.merged import MergedTree, merge_adapter
from attest.checkpoint.values import as_float32, nearest_bits
from attest.digest import sha256
from attest.errors import CheckpointError
from attest.evidence_directory import write_evidence
from attest.measure import Measurement, measure

Q = "model.layers.0.self_attn.q_proj"
DOWN = "model.layers.1.mlp.down_proj"
EMBED = "model.embed_tokens"


def base_of(folder: Path, **tensors: NDArray[Any]) -> Path:
    folder.mkdir()
    write_tensors(folder / "model.safetensors", {name.replace("__", "."): one for name, one in tensors.items()})
    return folder


def values(checkpoint: Checkpoint, name: str) -> NDArray[np.float32]:
    (tensor,) = (one for one in checkpoint.tensors if one.name == name)
    return as_float32(checkpoint.read_bits(tensor), tensor.dtype)


def normal(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(math.prod(shape)).normal(size=shape).astype(np.float32)


def test_the_family_merges_as_torch_merges(family: Path, tmp_path: Path):
    changed = pair(Q, 96, 96) | pair(DOWN, 96, 256, seed=1)
    adapter = write_adapter(tmp_path / "adapter", changed)
    merged, base = merge_adapter(adapter, family / "seed-1"), open_checkpoint(family / "seed-1")
    for module in (Q, DOWN):
        a, b = (torch.from_numpy(changed[f"{module}.lora_{part}.weight"]) for part in "AB")
        weight = torch.from_numpy(values(base, f"{module}.weight").copy()).to(torch.bfloat16)
        weight += (b @ a) * 2.0
        found = values(merged, f"{module}.weight")
        assert np.mean(found == weight.float().numpy()) > 0.999
        np.testing.assert_allclose(found, weight.float().numpy(), rtol=2**-7)
    others = {tensor.name for tensor in base.tensors} - {f"{Q}.weight", f"{DOWN}.weight"}
    assert all(np.array_equal(values(merged, name), values(base, name)) for name in others)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_one_rounding_of_the_sum(dtype: str, tmp_path: Path):
    weight = normal(3, 5)
    stored = {"F32": weight, "F16": weight.astype(np.float16), "BF16": bfloat16(weight)}[dtype]
    tensors = pair("m", 3, 5, rank=2)
    a, b = tensors["m.lora_A.weight"].astype(float), tensors["m.lora_B.weight"].astype(float)
    merged = merge_adapter(
        write_adapter(tmp_path / "a", tensors, r=2, lora_alpha=3), base_of(tmp_path / "b", m__weight=stored)
    )
    exact = as_float32(stored, dtype).astype(float) + 1.5 * (b[:, :1] * a[:1] + b[:, 1:] * a[1:])
    assert np.array_equal(values(merged, "m.weight"), as_float32(nearest_bits(exact, dtype), dtype))


def turned(values_: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    return (values_["m.lora_B.weight"].astype(float) @ values_["m.lora_A.weight"].astype(float)).T


SCALES: dict[str, tuple[dict[str, Any], float]] = {
    "alpha over rank": ({}, 2.0),
    "rank-stabilized": ({"use_rslora": True}, 4.0),
    "an alpha of its own": ({"alpha_pattern": {"x": 1, "0.m": 12}}, 3.0),
    "the first that fits": ({"alpha_pattern": {"m": 4, "layers.0.m": 12}}, 1.0),
    "a rank of its own": ({"r": 16, "rank_pattern": {"m": 4}}, 2.0),
}


@pytest.mark.parametrize("case", SCALES)
def test_scales(case: str, tmp_path: Path):
    settings, scale = SCALES[case]
    tensors = pair("layers.0.m", 3, 5)
    adapter = write_adapter(tmp_path / "a", tensors, **settings)
    merged = merge_adapter(adapter, base_of(tmp_path / "b", layers__0__m__weight=np.zeros((3, 5), np.float32)))
    plain = {name.removeprefix("layers.0."): one for name, one in tensors.items()}
    np.testing.assert_allclose(values(merged, "layers.0.m.weight"), scale * turned(plain).T, rtol=1e-6)


def test_matrices_that_are_stored_as_inputs_by_outputs(tmp_path: Path):
    tensors = pair("m", 3, 5)
    adapter = write_adapter(tmp_path / "a", tensors, fan_in_fan_out=True)
    merged = merge_adapter(adapter, base_of(tmp_path / "b", m__weight=np.ones((5, 3), np.float32)))
    np.testing.assert_allclose(values(merged, "m.weight"), 1 + 2 * turned(tensors), rtol=1e-6)


def test_an_embedding_that_the_adapter_holds_too(tmp_path: Path):
    tensors = pair("m", 3, 5)
    renamed = {f"{EMBED}.lora_embedding_{part}": tensors[f"m.lora_{part}.weight"] for part in "AB"}
    own = {f"{EMBED}.base_layer.weight": np.full((5, 3), 7, np.float32)}
    base = base_of(tmp_path / "b", model__embed_tokens__weight=np.ones((5, 3), np.float32))
    merged = merge_adapter(write_adapter(tmp_path / "a", renamed | own), base)
    np.testing.assert_allclose(values(merged, f"{EMBED}.weight"), 7 + 2 * turned(tensors), rtol=1e-6)


def test_magnitudes(tmp_path: Path):
    tensors, weight, magnitude = pair("m", 3, 5), normal(3, 5), np.arange(1, 4, dtype=np.float32)
    adapter = write_adapter(tmp_path / "a", tensors | {"m.lora_magnitude_vector": magnitude}, use_dora=True)
    merged = values(merge_adapter(adapter, base_of(tmp_path / "b", m__weight=weight)), "m.weight")
    moved = weight + 2 * turned(tensors).T
    expected = magnitude[:, None] * moved / np.linalg.norm(moved, axis=1, keepdims=True)
    np.testing.assert_allclose(merged, expected, rtol=1e-6)


def test_biases_and_modules_of_its_own(tmp_path: Path):
    own = {"m.base_layer.bias": np.full(3, 2.0, np.float32), "norm.weight": np.full(4, 1 + 2**-9, np.float32)}
    base = base_of(tmp_path / "b", m__weight=normal(3, 5), m__bias=np.zeros(3, np.float32),
                   norm__weight=bfloat16(np.ones(4, np.float32)))  # fmt: skip
    merged = merge_adapter(write_adapter(tmp_path / "a", pair("m", 3, 5) | own), base)
    assert values(merged, "m.bias").tolist() == [2.0] * 3
    assert values(merged, "norm.weight").tolist() == [1.0] * 4  # rounded to the base's dtype, half-way to even


def test_files_that_leave_the_first_words_out(tmp_path: Path):
    base = base_of(tmp_path / "b", h__0__attn__weight=np.ones((3, 5), np.float32))
    merged = merge_adapter(write_adapter(tmp_path / "a", pair("transformer.h.0.attn", 3, 5)), base)
    assert not np.array_equal(values(merged, "h.0.attn.weight"), np.ones((3, 5)))


def written(tree: MergedTree, folder: Path) -> Path:
    """The merge as files."""
    for file in tree.files:
        with tree.open(file.path) as stream:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"".join(iter(lambda: stream.read(5000), b"")))
    return folder


def without_findings(measurement: Measurement) -> dict[str, bytes]:
    return {name: data for name, data in measurement.details.items() if name != "detail/tensors.json"}


def test_what_is_measured_is_what_a_merge_would_write(family: Path, tmp_path: Path):
    adapter = write_adapter(tmp_path / "adapter", pair(Q, 96, 96) | pair(DOWN, 96, 256))
    here = measure(adapter, base=family / "seed-1")
    tree = merge_adapter(adapter, family / "seed-1").tree
    assert isinstance(tree, MergedTree)
    there = measure(written(tree, tmp_path / "written"))
    assert here.details == there.details
    assert here.evidence.checkpoint.files == there.evidence.checkpoint.files
    assert here.evidence.checkpoint.name == "adapter"
    codes = {finding.code: finding.text for finding in here.evidence.checkpoint.findings}
    assert measure(family / "seed-1").evidence.checkpoint.tree_digest in codes["merged-base"]
    assert measure(adapter).evidence.checkpoint.tree_digest in codes["merged-adapter"]


def test_a_merge_of_many_bands_read_in_any_order(tmp_path: Path):
    """Rows of a tensor are made in bands of a megabyte; where reading begins changes nothing."""
    weight = normal(700, 1024)
    base = base_of(tmp_path / "b", m__weight=weight, z__weight=np.ones(7, np.float32))
    merged = merge_adapter(write_adapter(tmp_path / "a", pair("m", 700, 1024)), base)
    whole = (written(merged.tree, tmp_path / "w") / "model.safetensors").read_bytes()  # type: ignore[arg-type]
    assert len(whole) == (base / "model.safetensors").stat().st_size
    rng = np.random.default_rng(0)
    with merged.tree.open("model.safetensors") as stream:
        for offset in rng.integers(0, len(whole), 200):
            stream.seek(int(offset))
            part = stream.read(999)
            assert part
            assert part == whole[offset : offset + len(part)]
    moved = weight + 2 * turned(pair("m", 700, 1024)).T
    np.testing.assert_allclose(read_tensors(tmp_path / "w")["m.weight"], moved, atol=1e-6)


def test_a_resumed_merge_names_the_same_base(family: Path, tmp_path: Path):
    adapter = write_adapter(tmp_path / "adapter", pair(Q, 96, 96))
    big = tmp_path / "base"
    shutil.copytree(family / "seed-1", big)
    write_tensors(
        big / "model.safetensors", read_tensors(family / "seed-1") | {"more.weight": np.ones(2**18, np.float32)}
    )
    first = measure(adapter, base=big, resume=tmp_path / "journal")
    again = measure(adapter, base=big, resume=tmp_path / "journal")
    assert [file.basis for file in again.evidence.checkpoint.files] == ["computed", "resumed"]
    assert again.evidence.checkpoint.findings == first.evidence.checkpoint.findings
    assert again.details == first.details


def test_it_is_reproduced_from_copies_elsewhere(family: Path, tmp_path: Path):
    adapter = write_adapter(tmp_path / "adapter", pair(Q, 96, 96))
    evidence = tmp_path / "evidence"
    measurement = measure(adapter, base=family / "seed-1")
    write_evidence(evidence, measurement.statement(), measurement.details)
    shutil.copytree(adapter, tmp_path / "their-adapter")
    shutil.copytree(family / "seed-1", tmp_path / "their-base")
    assert again(evidence, checkpoint=tmp_path / "their-adapter", base=tmp_path / "their-base").reproduced
    assert not again(evidence, checkpoint=tmp_path / "their-adapter", base=family / "seed-2").reproduced


def test_a_tensor_without_values_in_front_of_another(tmp_path: Path):
    tensors = pair("a", 3, 0) | pair("b", 3, 5) | pair("c", 0, 5)
    base = base_of(tmp_path / "b", a__weight=normal(3, 0), b__weight=normal(3, 5), c__weight=normal(0, 5))
    merged = merge_adapter(write_adapter(tmp_path / "a", tensors), base)
    assert not np.array_equal(values(merged, "b.weight"), normal(3, 5))
    assert values(merged, "a.weight").shape == (3, 0)


def test_notes_of_a_download_are_not_about_the_merge(family: Path, tmp_path: Path):
    base = tmp_path / "base"
    shutil.copytree(family / "seed-1", base)
    note = base / ".cache/huggingface/download/model.safetensors.metadata"
    note.parent.mkdir(parents=True)
    note.write_text(f"{'a' * 40}\n{sha256((base / 'model.safetensors').read_bytes())}\n1.0\n")
    measured = measure(write_adapter(tmp_path / "adapter", pair(Q, 96, 96)), base=base).evidence.checkpoint
    assert "digest-differs" not in {finding.code for finding in measured.findings}
    assert measure(base).evidence.checkpoint.tree_digest in next(
        finding.text for finding in measured.findings if finding.code == "merged-base"
    )


def test_other_formats_of_the_base_are_no_part_of_the_merge(tmp_path: Path):
    base = base_of(tmp_path / "b", m__weight=normal(3, 5))
    torch.save({"m.weight": torch.zeros(3, 5)}, base / "pytorch_model.bin")
    merged = merge_adapter(write_adapter(tmp_path / "a", GOOD), base)
    assert list(merged.tree.sizes) == ["model.safetensors"]
    measured = measure(tmp_path / "a", base=base).evidence.checkpoint
    assert [file.path for file in measured.files] == ["model.safetensors"]
    assert measure(base).evidence.checkpoint.tree_digest in measured.findings[-1].text


Alter = Callable[[Path], object]


def settings(**changed: Any) -> Alter:
    return lambda adapter: (adapter / "adapter_config.json").write_text(json.dumps(CONFIG | changed))


def tensors(changed: dict[str, NDArray[Any]]) -> Alter:
    return lambda adapter: write_tensors(
        adapter / "adapter_model.safetensors", {PREFIX + name: one for name, one in changed.items()}
    )


GOOD = pair("m", 3, 5)
A, B = GOOD.values()
REFUSED: dict[str, tuple[Alter, str]] = {
    "no configuration": (lambda adapter: (adapter / "adapter_config.json").unlink(), "has no adapter_config.json"),
    "a list": (lambda adapter: (adapter / "adapter_config.json").write_text("[]"), "another kind"),
    "another kind": (settings(peft_type="IA3"), "another kind"),
    "biases of pairs": (settings(lora_bias=True), "sets lora_bias"),
    "layers repeated": (settings(layer_replication=[[0, 1]]), "sets layer_replication"),
    "quantization-aware": (settings(use_qalora=True), "sets use_qalora"),
    "PiSSA": (settings(init_lora_weights="pissa_niter_4"), "changes the base"),
    "no way to begin": (settings(init_lora_weights=[1]), "changes the base"),
    "another rank": (settings(r=8), "has rank 4"),
    "no alpha": (settings(lora_alpha=None), "lora_alpha is no number"),
    "an alpha that is true": (settings(lora_alpha=True), "lora_alpha is no number"),
    "an alpha of 400 digits": (settings(lora_alpha=10**400), "lora_alpha is no number"),
    "an alpha beyond all floats": (settings(lora_alpha=-1e300), "lora_alpha is no number"),
    "a pattern of text": (settings(alpha_pattern={"m": "x"}), "lora_alpha is no number"),
    "a regular expression": (settings(alpha_pattern={"(a+)+$": 1}), "regular expression"),
    "a pattern that is a list": (settings(rank_pattern=[1]), "rank_pattern is no object"),
    "magnitudes that are not there": (settings(use_dora=True), "magnitudes"),
    "magnitudes that nobody wants": (tensors(GOOD | {"m.lora_magnitude_vector": np.ones(3, np.float32)}), "magnitudes"),
    "half a pair": (tensors({"m.lora_A.weight": A}), "no pair"),
    "no pairs": (tensors({"m.weight": np.ones((3, 5), np.float32)}), "no low-rank matrices"),
    "no rank": (tensors({"m.lora_A.weight": A[:0], "m.lora_B.weight": B[:, :0]}), "no pair"),
    "ranks that differ": (tensors({"m.lora_A.weight": A, "m.lora_B.weight": B[:, :3].copy()}), "of shape None"),
    "another shape": (tensors(pair("m", 3, 6)), r"of shape \(3, 6\)"),
    "another module": (tensors(pair("n", 3, 5)), "does not hold"),
    "integers": (tensors({"m.lora_A.weight": A.astype(np.int32), "m.lora_B.weight": B}), "is I32"),
    "one tensor twice": (tensors(GOOD | pair("x.m", 3, 5)), "twice"),
    "one replaced twice": (tensors(GOOD | {"m.bias": B[:, 0].copy(), "x.m.bias": B[:, 0].copy()}), "twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, tmp_path: Path):
    alter, problem = REFUSED[case]
    adapter = write_adapter(tmp_path / "a", GOOD)
    base = base_of(tmp_path / "b", m__weight=normal(3, 5), m__bias=np.zeros(3, np.float32))
    merge_adapter(adapter, base)
    alter(adapter)
    with pytest.raises(CheckpointError, match=problem) as caught:
        merge_adapter(adapter, base)
    assert caught.value.code == "adapter-not-merged"


def test_a_base_of_another_format_is_refused(tmp_path: Path):
    (tmp_path / "b").mkdir()
    torch.save({"m.weight": torch.zeros(3, 5)}, tmp_path / "b" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="safetensors files only"):
        merge_adapter(write_adapter(tmp_path / "a", GOOD), tmp_path / "b")


def test_a_base_or_an_adapter_that_changes_is_noticed(tmp_path: Path):
    adapter = write_adapter(tmp_path / "a", GOOD)
    base = base_of(tmp_path / "b", m__weight=normal(3, 5))
    for touched in (adapter / "adapter_config.json", base / "model.safetensors"):
        tree = merge_adapter(adapter, base).tree
        tree.check_unchanged()
        touched.write_bytes(touched.read_bytes())
        with pytest.raises(CheckpointError, match="changed"):
            tree.check_unchanged()
