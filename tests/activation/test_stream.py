"""Block by block gives the numbers of the whole network, bit for bit; encoder-decoders and others run whole."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from activation.conftest import save_network
from activation.staged import refusal, run

from attest.activation.prompts import PromptSet, load_prompt_set
from attest.activation.stream import STREAMED
from attest.checkpoint.arrays import pack_arrays, unpack_arrays

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("unchanged_torch")]

Causal = Callable[[str], Path]
Altered = Callable[..., Path]
CLEAR = Path("/proc/self/clear_refs")
M_MMAP_THRESHOLD = -3
FEW = PromptSet(id="few", about="", sequences=2, tokens=16, texts=None)
ENGLISH = load_prompt_set("general-en")


@pytest.mark.parametrize("kind", sorted(STREAMED))
def test_a_streamed_run_is_the_whole_run_to_the_bit(causal: Causal, tmp_path: Path, kind: str):
    (whole, first), (streamed, second) = (
        run(causal(kind), tmp_path / name, ENGLISH, stream=name == "stream") for name in ("whole", "stream")
    )
    assert streamed.token_ids == whole.token_ids
    assert (streamed.unused, streamed.parameters) == (whole.unused, whole.parameters)
    for name, one in first.items():
        assert one.not_measured is None
        assert second[name].arrays.keys() == one.arrays.keys()
        assert all(np.array_equal(second[name].arrays[key], array) for key, array in one.arrays.items())


@pytest.mark.skipif(not CLEAR.exists(), reason="only Linux sets the peak of a process back")
def test_a_streamed_run_holds_less_in_memory(tmp_path: Path):
    import torch  # noqa: PLC0415 - heavy, and the next
    from transformers import LlamaConfig, LlamaForCausalLM  # noqa: PLC0415

    sizes = {"vocab_size": 256, "hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 1024}
    torch.manual_seed(6)
    checkpoint = save_network(LlamaForCausalLM(LlamaConfig(num_hidden_layers=8, **sizes)), tmp_path / "checkpoint")
    peaks = {}
    for name in ("whole", "stream"):
        child = os.fork()
        if not child:
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)  # no weights go where earlier tests left room
            CLEAR.write_text("5")
            found, _ = run(checkpoint, tmp_path / name, FEW, stream=name == "stream")
            (tmp_path / f"{name}.peak").write_text(str(found.peak_memory))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        peaks[name] = int((tmp_path / f"{name}.peak").read_text())
    assert peaks["whole"] - peaks["stream"] > (checkpoint / "model.safetensors").stat().st_size // 2


def test_without_a_head_nothing_is_predicted(causal: Causal, altered: Altered, tmp_path: Path):
    checkpoint = altered(causal("llama"))
    path = checkpoint / "model.safetensors"
    tensors = unpack_arrays(path.read_bytes(), where="test")
    path.write_bytes(pack_arrays({name: one for name, one in tensors.items() if name != "lm_head.weight"}, {}))
    for name in ("whole", "stream"):
        found, observed = run(checkpoint, tmp_path / name, ENGLISH, stream=name == "stream")
        assert observed["predictions/v1"].arrays == {}
        assert "predicts no next token" in observed["predictions/v1"].not_measured
        assert found.parameters == sum(one.size for key, one in tensors.items() if key != "lm_head.weight")


def test_a_missing_block_is_named(causal: Causal, altered: Altered, tmp_path: Path):
    checkpoint = altered(causal("llama"))
    path = checkpoint / "model.safetensors"
    tensors = unpack_arrays(path.read_bytes(), where="test")
    path.write_bytes(pack_arrays({name: one for name, one in tensors.items() if "layers.2.mlp" not in name}, {}))
    error = refusal(checkpoint, tmp_path / "stage", ENGLISH, stream=True)
    assert error.code == "weights-do-not-fit"
    assert "layers.2.mlp.gate_proj.weight" in error.message


def test_other_networks_are_not_streamed(causal: Causal, bert: Path, tmp_path: Path):
    for number, checkpoint in enumerate((causal("gpt2"), bert)):
        assert refusal(checkpoint, tmp_path / str(number), stream=True).code == "cannot-stream"


def test_networks_without_gates_are_looked_at_twice_all_the_same(causal: Causal, tmp_path: Path):
    _, observed = run(causal("gpt2"), tmp_path / "stage", ENGLISH)
    names = set(observed["neuron-activations/v1"].arrays) - {"positions"}
    assert names == {f"layers.{layer}.{look}" for layer in range(3) for look in ("even", "odd")}
    assert observed["predictions/v1"].not_measured is None


def test_an_encoder_decoder_has_the_states_of_both(t5: Path, tmp_path: Path):
    found, observed = run(t5, tmp_path / "stage", ENGLISH)
    assert observed["activation-profile/v1"].arrays["mean_abs"].shape == (6, 32)
    assert observed["attention-entropy/v1"].arrays["entropy"].shape == (4, 4)
    assert observed["predictions/v1"].arrays == {}
    assert "lm_head.weight" in found.unused or not found.unused


def test_a_device_that_is_not_there_is_refused(causal: Causal, tmp_path: Path):
    import torch  # noqa: PLC0415 - heavy

    device = next(
        name for name, there in (("mps", torch.backends.mps.is_available()), ("cuda", torch.cuda.is_available()))
        if not there
    )  # fmt: skip
    assert refusal(causal("llama"), tmp_path / "stage", ENGLISH, device=device).code == "no-device"
