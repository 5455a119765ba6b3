import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from activation.staged import activations_of

from attest.activation import Activations, read_prompts, runner
from attest.activation.activations import PROFILE_ID
from attest.activation.prompts import load_prompt_set
from attest.activation.runner import Options, run_checkpoint
from attest.checkpoint.arrays import unpack_arrays
from attest.errors import CheckpointError, InputError
from attest.measure import measure

Altered = Callable[..., Path]
RANDOM = load_prompt_set("random-tokens")
EVIL = "from pathlib import Path\nPath({marker!r}).write_text('ran')\n"


@pytest.mark.torch
def test_code_in_the_checkpoint_never_runs_and_nothing_is_printed(
    qwen2: Path, altered: Altered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    checkpoint = altered(qwen2, auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})
    marker = tmp_path / "marker"
    for name in ("evil", "torch", "transformers", "json", "sitecustomize", "numpy"):
        (checkpoint / f"{name}.py").write_text(EVIL.format(marker=str(marker)))
    monkeypatch.chdir(checkpoint)
    steps: list[tuple[int, int]] = []
    outcome = run_checkpoint(checkpoint, RANDOM, progress=lambda *step: steps.append(step))
    assert steps == [(step, 8) for step in range(1, 9)]
    assert not marker.exists()
    assert [finding.code for finding in outcome.findings] == ["remote-code-not-run"]
    assert unpack_arrays(outcome.arrays[PROFILE_ID], where="arrays")["mean_abs"].shape == (3, 32)
    assert capfd.readouterr() == ("", "")


@pytest.mark.torch
def test_a_refusal_of_the_child_arrives_whole(qwen2: Path, altered: Altered, tmp_path: Path):
    marker = tmp_path / "marker"
    checkpoint = altered(qwen2, model_type="evil", auto_map={"AutoModel": "evil.Model"})
    (checkpoint / "evil.py").write_text(EVIL.format(marker=str(marker)))
    with pytest.raises(CheckpointError) as caught:
        run_checkpoint(checkpoint, RANDOM)
    assert (caught.value.code, caught.value.where) == ("unknown-model-type", "config.json")
    assert not marker.exists()


@pytest.mark.torch
def test_memory_is_bounded_and_a_failure_of_the_child_is_one_line(
    qwen2: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(runner, "_BASE_MEMORY", 200 * 1024**2)
    monkeypatch.setattr(runner, "_MEMORY_A_THREAD", 0)
    with pytest.raises(CheckpointError, match=r"network \(.*(Error|memory).*\)") as caught:
        run_checkpoint(qwen2, RANDOM)
    assert caught.value.code in {"model-did-not-run", "out-of-memory"}
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_time_is_bounded(qwen2: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "_TIME_LIMIT", 0.01)
    with pytest.raises(CheckpointError) as caught:
        run_checkpoint(qwen2, RANDOM)
    assert caught.value.code == "model-too-slow"


def test_weights_that_change_meanwhile_are_noticed(qwen2: Path, altered: Altered, monkeypatch: pytest.MonkeyPatch):
    checkpoint = altered(qwen2)
    started = []

    def start(_: Path, options: Options, __: object) -> None:
        started.append(options.threads)
        shutil.copy(qwen2 / "model.safetensors", checkpoint / "other")
        (checkpoint / "other").replace(checkpoint / "model.safetensors")

    monkeypatch.setattr(runner, "_start", start)
    monkeypatch.setattr(runner, "_collect", lambda _: (None, {}))
    with pytest.raises(CheckpointError) as caught:
        run_checkpoint(checkpoint, RANDOM)
    assert started == [1]
    assert caught.value.code == "file-changed"


@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_a_senseless_number_of_threads_is_refused(qwen2: Path, threads: int):
    with pytest.raises(InputError) as caught:
        run_checkpoint(qwen2, RANDOM, options=Options(threads=threads))
    assert caught.value.code == "bad-threads"


@pytest.mark.parametrize("name", ["torch", "transformers", "tokenizers"])
def test_a_missing_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=f"needs {name}, which") as caught:
        run_checkpoint(tmp_path, RANDOM)
    assert caught.value.code == "torch-missing"
    assert caught.value.fix == "pip install 'attest-checkpoints[torch]'"


@pytest.mark.parametrize(
    ("status", "errors", "code"),
    [
        (-9, b"", "out-of-memory"),
        (
            1,
            b"...\nRuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried",
            "out-of-memory",
        ),
        (1, b"MemoryError\n", "out-of-memory"),
        (1, b"ValueError: no such thing\n", "model-did-not-run"),
        (-11, b"", "model-did-not-run"),
    ],
)
def test_too_little_memory_has_a_hint_of_its_own(status: int, errors: bytes, code: str):
    with pytest.raises(CheckpointError) as caught:
        runner._explain(status, errors)
    assert caught.value.code == code
    assert ("--stream" in caught.value.fix) == (code == "out-of-memory")


def test_only_a_run_on_a_gpu_sees_one(tmp_path: Path):
    hidden = {device: runner._environment(tmp_path, Options(device=device)) for device in ("cpu", "cuda")}
    assert hidden["cpu"]["CUDA_VISIBLE_DEVICES"] == ""
    assert hidden["cuda"].get("CUDA_VISIBLE_DEVICES") == os.environ.get("CUDA_VISIBLE_DEVICES")
    assert {one["CUBLAS_WORKSPACE_CONFIG"] for one in hidden.values()} == {":4096:8"}


@pytest.mark.torch
@pytest.mark.usefixtures("unchanged_torch")
def test_a_checkpoint_that_changes_between_the_run_and_the_read_is_refused(
    family: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    checkpoint = shutil.copytree(family / "seed-1", tmp_path / "checkpoint")

    def ran_and_replaced(*_: object, **__: object) -> Activations:
        shutil.copy(checkpoint / "model.safetensors", tmp_path / "equal")
        (tmp_path / "equal").replace(checkpoint / "model.safetensors")
        return activations_of(family / "seed-1", "random-tokens")

    monkeypatch.setattr("attest.activation.measure_activations", ran_and_replaced)
    with pytest.raises(CheckpointError) as caught:
        measure(checkpoint, prompts=read_prompts("random-tokens"))
    assert (caught.value.code, caught.value.where) == ("file-changed", "model.safetensors")


def test_blocks_are_not_streamed_to_a_device(tmp_path: Path):
    with pytest.raises(InputError) as caught:
        run_checkpoint(tmp_path, RANDOM, options=Options(stream=True, device="cuda"))
    assert caught.value.code == "stream-on-cpu"
