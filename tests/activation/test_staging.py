import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch_files import archive, ordered, rebuilt, storage

from attest.activation import staging
from attest.activation.staging import floating_values, stage, stage_tokenizer
from attest.checkpoint import open_checkpoint
from attest.checkpoint.arrays import pack_arrays
from attest.checkpoint.safetensors_writer import PendingTensor, write_safetensors
from attest.errors import CheckpointError

CONFIG = {"model_type": "qwen2", "hidden_size": 8, "num_hidden_layers": 2, "rope_theta": 1000000, "use_cache": True}


def write_checkpoint(folder: Path, config: object = CONFIG, dtype: str = "F32") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    values = np.zeros(16, dtype={"F32": "<f4", "F16": "<f2", "I8": "|i1", "F8_E4M3": "|u1"}[dtype])
    tensor = PendingTensor(name="a.weight", dtype=dtype, shape=(16,), pieces=lambda: [values])
    write_safetensors(folder / "model.safetensors", [tensor])
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def refusal(folder: Path, target: Path) -> CheckpointError:
    target.mkdir()
    with pytest.raises(CheckpointError) as caught:
        stage(open_checkpoint(folder), target)
    assert list(target.iterdir()) == []
    return caught.value


def test_only_links_to_weights_and_a_configuration_are_staged(tmp_path: Path):
    folder = write_checkpoint(tmp_path / "checkpoint")
    for name in ("modeling_evil.py", "tokenizer.py", "adapter_config.json", "pytorch_model.bin", "vocab.txt"):
        (folder / name).write_text("raise SystemExit")
    target = tmp_path / "target"
    target.mkdir()
    assert stage(open_checkpoint(folder), target) == ()
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "model.safetensors"]
    assert (target / "model.safetensors").resolve() == (folder / "model.safetensors").resolve()
    assert json.loads((target / "config.json").read_text()) == CONFIG | {"use_cache": False}


def test_shards_get_names_and_an_index_of_our_own(tmp_path: Path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for shard in ("a", "b"):
        (folder / f"{shard}.safetensors").write_bytes(pack_arrays({shard: np.zeros(4, dtype="<f4")}, {}))
    target = tmp_path / "target"
    target.mkdir()
    stage(open_checkpoint(folder), target)
    index = json.loads((target / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    assert (target / index["weight_map"]["b"]).resolve() == (folder / "b.safetensors").resolve()


def torch_checkpoint(folder: Path, names: list[str], rows: int = 4) -> Path:
    """Tensors of four columns that share one storage."""
    folder.mkdir()
    tensor = rebuilt(storage("FloatStorage", "0", 4 * rows), (rows, 4))
    data = np.arange(4 * rows, dtype=np.float32).tobytes()
    (folder / "pytorch_model.bin").write_bytes(archive(ordered(dict.fromkeys(names, tensor)), {"0": data}))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def test_another_format_is_written_as_safetensors(tmp_path: Path):
    checkpoint = open_checkpoint(torch_checkpoint(tmp_path / "checkpoint", ["a.weight", "b.weight"]))
    target = tmp_path / "target"
    target.mkdir()
    assert stage(checkpoint, target) == ()
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "model.safetensors"]
    assert not (target / "model.safetensors").is_symlink()
    (target / "config.json").unlink()
    staged = open_checkpoint(target)
    assert [tensor.name for tensor in staged.tensors] == ["a.weight", "b.weight"]
    for tensor in staged.tensors:
        assert staged.read_bits(tensor).tolist() == np.arange(16).reshape(4, 4).tolist()


def test_many_names_for_the_same_values_do_not_fill_the_disk(tmp_path: Path):
    folder = torch_checkpoint(tmp_path / "checkpoint", [f"{number}" for number in range(100)], rows=10_000)
    assert refusal(folder, tmp_path / "target").code == "too-many-aliases"


def test_what_points_elsewhere_is_dropped_and_code_is_reported(tmp_path: Path):
    hostile = {
        "auto_map": {"AutoModel": "evil.Model"},
        "_name_or_path": "someone/else",
        "_attn_implementation": "evil/kernels",
        "experts_implementation": "eager",
        "transformers_weights": "other.safetensors",
        "fusion_config": {"patch_embeddings": True},
        "backbone": "someone/else",
        "layer_types": ["full_attention", "../../etc"],
        "nested": [{"auto_map": {}}],
        "text_config": {"auto_map": {"AutoModel": "evil.Model"}, "hidden_size": 8, "hidden_act": "silu"},
    }
    folder = write_checkpoint(tmp_path / "checkpoint", CONFIG | hostile)
    target = tmp_path / "target"
    target.mkdir()
    findings = stage(open_checkpoint(folder), target)
    kept = json.loads((target / "config.json").read_text())
    assert kept == CONFIG | {"use_cache": False, "text_config": {"hidden_size": 8, "hidden_act": "silu"}}
    assert [finding.code for finding in findings] == ["remote-code-not-run"]


words = st.sampled_from(["plain", "a/b", "../c", "", "x" * 65, "a b", "\n", "é"]) | st.text(max_size=3)
keys = st.sampled_from([*sorted(staging._DROPPED), "_private", "attn_implementation", "text_config"]) | words
json_values = st.recursive(
    st.none() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=2),
    max_leaves=6,
)


def strings_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings_in(item)


@given(st.dictionaries(keys, json_values, max_size=4))
def test_no_configuration_brings_paths_or_dropped_keys_through(config: dict):
    kept = list(strings_in(staging._clean(config)))
    assert all(re.fullmatch(r"[A-Za-z0-9_.+-]{1,64}", word) for word in kept)
    assert not {"auto_map", "_private", "transformers_weights", "attn_implementation"} & set(kept)


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({}, "no-config"),
        ([], "no-config"),
        (CONFIG | {"quantization_config": {"quant_method": "gptq"}}, "quantized-model"),
        (CONFIG | {"compression_config": {"format": "dense"}}, "quantized-model"),
        (CONFIG | {"num_hidden_layers": 10**9}, "config-too-large"),
        (CONFIG | {"hidden_size": 10**400}, "config-too-large"),
        (CONFIG | {"vocab_size": 2**40}, "config-too-large"),
        (CONFIG | {"num_local_experts": 10**6}, "config-too-large"),
        (CONFIG | {"text_config": {"depth": 10**6}}, "config-too-large"),
        (CONFIG | {"depths": [2, 10**6]}, "config-too-large"),
    ],
)
def test_a_configuration_that_cannot_be_run_is_refused(tmp_path: Path, config: dict, code: str):
    error = refusal(write_checkpoint(tmp_path / "checkpoint", config), tmp_path / "target")
    assert (error.code, error.where) == (code, "config.json")
    assert len(str(error)) < 300


def test_a_checkpoint_without_a_configuration_is_refused(tmp_path: Path):
    folder = write_checkpoint(tmp_path / "checkpoint")
    (folder / "config.json").unlink()
    assert refusal(folder, tmp_path / "target").code == "no-config"


@pytest.mark.parametrize("dtype", ["I8", "F8_E4M3"])
def test_quantized_weights_are_refused(tmp_path: Path, dtype: str):
    error = refusal(write_checkpoint(tmp_path / "checkpoint", dtype=dtype), tmp_path / "target")
    assert (error.code, error.where) == ("quantized-model", "model.safetensors")


def test_only_floating_point_values_count(tmp_path: Path):
    folder = write_checkpoint(tmp_path / "checkpoint", dtype="F16")
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    (folder / "b.safetensors").write_bytes(pack_arrays({"position_ids": np.arange(512)}, {}))
    assert floating_values(open_checkpoint(folder)) == 16


def test_a_tokenizer_is_copied_as_it_is(tmp_path: Path):
    folder = write_checkpoint(tmp_path / "checkpoint")
    (folder / "tokenizer.json").write_bytes(b"{}" * 100_000)
    stage_tokenizer(open_checkpoint(folder), tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


def test_a_missing_or_huge_tokenizer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = write_checkpoint(tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match="is missing") as caught:
        stage_tokenizer(open_checkpoint(folder), tmp_path)
    assert caught.value.code == "no-tokenizer"
    assert caught.value.fix == "use the prompt set random-tokens"
    monkeypatch.setattr(staging, "_MAX_TOKENIZER", 10)
    (folder / "tokenizer.json").write_bytes(b"x" * 11)
    with pytest.raises(CheckpointError, match="has 11 bytes, more than the 10"):
        stage_tokenizer(open_checkpoint(folder), tmp_path)


def test_pickled_weights_are_never_staged(tmp_path: Path):
    folder = write_checkpoint(tmp_path / "checkpoint")
    (folder / "model.safetensors").unlink()
    shutil.copy(folder / "config.json", folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    assert caught.value.code == "unsafe-format"
