"""Files that torch itself writes: attest finds the values that torch loads, and refuses what torch would run."""

import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_files import archive, ordered, parameter, pickled, rebuilt, storage

from attest.checkpoint import Checkpoint, open_checkpoint
from attest.errors import AttestError, UnsafeFormatError
from attest.sweep import sweep

pytestmark = pytest.mark.torch

DTYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "uint16", "uint32",
    "uint64", "complex64", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz",
)  # fmt: skip


def every_dtype() -> dict[str, Any]:
    import torch  # noqa: PLC0415 - heavy, here and below

    values = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    return {name: values.to(getattr(torch, name)) for name in DTYPES} | {
        "scalar": torch.tensor(-1.5), "empty": torch.empty(0, 7), "long": torch.tensor(2**40),
    }  # fmt: skip


def tied() -> dict[str, Any]:
    """State of a module with tied weights, buffers and a scalar."""
    import torch  # noqa: PLC0415

    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Embedding(11, 6), torch.nn.BatchNorm1d(6), torch.nn.Linear(6, 11))
    module[2].weight = module[0].weight
    return dict(module.state_dict(keep_vars=True)) | {"plain": module.state_dict()["0.weight"]}


def slices() -> dict[str, Any]:
    """Views that follow each other in one storage, as a fused projection is cut."""
    import torch  # noqa: PLC0415

    fused = torch.arange(60, dtype=torch.bfloat16).reshape(12, 5)
    return {"q": fused[:4], "k": fused[4:8], "v": fused[8:], "row": torch.arange(5.0)[None, :]}


STATES: dict[str, Callable[[], dict[str, Any]]] = {"every dtype": every_dtype, "tied weights": tied, "slices": slices}


def bytes_of(tensor: Any) -> bytes:
    import torch  # noqa: PLC0415

    return bytes(tensor.detach().reshape(-1).contiguous().view(torch.uint8).numpy()) if tensor.numel() else b""


def check(checkpoint: Checkpoint, state: dict[str, Any]) -> None:
    assert checkpoint.findings == ()
    assert [one.name for one in checkpoint.tensors] == sorted(state)
    for tensor in checkpoint.tensors:
        assert tensor.shape == tuple(state[tensor.name].shape)
        assert checkpoint.read_bits(tensor).tobytes() == bytes_of(state[tensor.name])


@pytest.mark.parametrize("stem", ["first", "pytorch_model"])
@pytest.mark.parametrize("make", STATES.values(), ids=STATES)
def test_values_are_those_that_torch_loads(tmp_path: Path, make: Callable[[], dict[str, Any]], stem: str):
    import torch  # noqa: PLC0415

    path = tmp_path / f"{stem}.bin"
    torch.save(make(), path)
    check(open_checkpoint(tmp_path), torch.load(path, weights_only=True, mmap=True, map_location="cpu"))


@pytest.mark.parametrize("make", STATES.values(), ids=STATES)
def test_two_stems_two_files_the_same_tensors(tmp_path: Path, make: Callable[[], dict[str, Any]]):
    import torch  # noqa: PLC0415

    state, found = make(), []
    for stem in ("a", "another"):
        (tmp_path / stem).mkdir()
        torch.save(state, tmp_path / stem / f"{stem}.pt")
        found.append(sweep(open_checkpoint(tmp_path / stem), lambda _: {}))
    assert {name: one.digest for name, one in found[0].tensors.items()} == {
        name: one.digest for name, one in found[1].tensors.items()
    }
    assert found[0].files[0].sha256 != found[1].files[0].sha256


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(tmp_path: Path, protocol: int):
    import torch  # noqa: PLC0415

    state = tied()
    torch.save(state, tmp_path / "m.pt", pickle_protocol=protocol)
    check(open_checkpoint(tmp_path), state)


def test_a_state_dict_with_its_metadata(tmp_path: Path):
    import torch  # noqa: PLC0415

    state = torch.nn.Linear(3, 4).state_dict()
    torch.save(state, tmp_path / "m.pt")
    check(open_checkpoint(tmp_path), state)


def test_a_checkpoint_of_a_trainer(tmp_path: Path):
    import torch  # noqa: PLC0415

    module = torch.nn.Linear(3, 4)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    everything = {
        "model": module.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "loss": np.float64(0.25),
        "rng": {"python": random.getstate(), "torch": torch.get_rng_state()}, "shape": module.weight.shape,
        "dtype": torch.bfloat16, "device": torch.device("cpu"), "path": tmp_path, "names": {"a", "b"},
    }  # fmt: skip
    torch.save(everything, tmp_path / "m.ckpt")
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.findings == ()
    found = {one.name: one for one in checkpoint.tensors}
    assert {"model.weight", "model.bias", "optimizer.state.0.exp_avg", "optimizer.state.1.step", "rng.torch"} <= set(
        found
    )
    assert checkpoint.read_bits(found["optimizer.state.0.exp_avg"]).tobytes() == bytes_of(
        optimizer.state_dict()["state"][0]["exp_avg"]
    )


def test_what_does_not_lie_in_a_row_is_said(tmp_path: Path):
    import torch  # noqa: PLC0415

    weight = torch.arange(12.0).reshape(3, 4)
    state = {"a": weight, "t": weight.t(), "wide": torch.ones(1).expand(10**9), "sparse": torch.eye(3).to_sparse()}
    torch.save(state, tmp_path / "m.pt")
    assert (tmp_path / "m.pt").stat().st_size < 10_000
    checkpoint = open_checkpoint(tmp_path)
    assert [one.name for one in checkpoint.tensors] == ["a"]
    assert {one.text.partition(":")[0] for one in checkpoint.findings} >= {"t", "wide", "sparse"}
    assert {one.code for one in checkpoint.findings} == {"tensor-not-read"}


def refusal(folder: Path) -> AttestError:
    with pytest.raises(AttestError) as caught:
        open_checkpoint(folder)
    assert caught.value.exit_code == 3
    return caught.value


def test_a_whole_module_is_refused_and_its_classes_are_named(tmp_path: Path):
    import torch  # noqa: PLC0415

    torch.save(torch.nn.Linear(2, 2), tmp_path / "m.pt")
    error = refusal(tmp_path)
    assert (type(error), error.code) == (UnsafeFormatError, "unsafe-global")
    assert "torch.nn.modules.linear.Linear" in error.message


def test_what_torch_wrote_before_is_refused(tmp_path: Path):
    import torch  # noqa: PLC0415

    torch.save({"a": torch.ones(3)}, tmp_path / "m.pt", _use_new_zipfile_serialization=False)
    error = refusal(tmp_path)
    assert (type(error), error.code) == (UnsafeFormatError, "unsafe-format")
    assert "torch._utils._rebuild_tensor_v2" in error.message


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_refused(tmp_path: Path):
    import torch  # noqa: PLC0415

    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "m.pt")
    error = refusal(tmp_path)
    assert (type(error), error.code) == (UnsafeFormatError, "unsafe-format")
    assert "TorchScript" in error.message


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_distributed_checkpoint_is_refused(tmp_path: Path):
    import torch  # noqa: PLC0415
    from torch.distributed import checkpoint as distributed  # noqa: PLC0415

    distributed.save({"a": torch.ones(3)}, checkpoint_id=tmp_path / "d", no_dist=True)
    error = refusal(tmp_path / "d")
    assert (type(error), error.code, error.where) == (UnsafeFormatError, "unsafe-format", ".metadata")
    assert "torch.distributed.checkpoint.metadata" in error.message


def test_big_endian_files_are_refused(tmp_path: Path):
    import torch  # noqa: PLC0415

    torch.save({"a": torch.ones(3)}, tmp_path / "m.pt")
    data = (tmp_path / "m.pt").read_bytes()
    (tmp_path / "m.pt").write_bytes(data.replace(b"little", b"big\0\0\0"))
    assert refusal(tmp_path).code in {"big-endian", "bad-archive"}


NOT_READ = (
    AssertionError, AttestError, EOFError, IndexError, KeyError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError,
)  # fmt: skip
"""How attest and torch refuse."""

OPCODES = b"()}]NtR\x81\x85\x86\x87Qqhuseab0.K\x88\x89\x94X2l1"


def altered(code: bytes, rng: random.Random) -> bytes:
    """A pickle with a few bytes replaced, removed, repeated, or opcodes in between."""
    found = bytearray(code)
    numbers = [at + 2 for at in range(len(found) - 2) if found[at : at + 2] == b"\x8a\x01"]
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(2, len(found) - 1)
        match rng.randrange(6):
            case 4 | 5:
                found[rng.choice(numbers)] = rng.randrange(9)
            case 0:
                found[at] = rng.choice(OPCODES)
            case 1:
                found[at] = (found[at] + rng.choice((1, -1, 2, 4))) % 256
            case 2:
                del found[at]
            case _:
                found[at:at] = found[rng.randrange(2, len(found)) :][: rng.randrange(30)]
    return bytes(found)


def tensors_in(value: Any, name: str = "") -> dict[str, Any]:
    """Tensors in dictionaries, lists and tuples as attest names them."""
    import torch  # noqa: PLC0415

    if isinstance(value, torch.Tensor):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if type(value) in {list, tuple} else ()
    found: dict[str, Any] = {}
    for key, item in items:
        found |= tensors_in(item, f"{name}.{key}" if name else str(key)) if type(key) in {str, int} else {}
    return found


def test_what_both_read_of_altered_pickles_is_the_same(tmp_path: Path):
    """Whatever attest accepts has the values that torch loads, or says that it left a tensor out."""
    import torch  # noqa: PLC0415

    rng, both = random.Random(7), 0  # noqa: S311 - not for secrets
    first, second = storage("FloatStorage", "0", 64), storage("FloatStorage", "1", 64)
    values = {key: np.arange(64, dtype=np.float32) + 100 * number for number, key in enumerate("01")}
    code = pickled(
        {"a": rebuilt(first, (8, 4)), "m": ordered({"b": parameter(rebuilt(second, (4, 4), offset=3))}), "n": 1}
    )
    for _ in range(1500):
        data = archive(altered(code, rng), {key: array.tobytes() for key, array in values.items()})
        (tmp_path / "m.pt").write_bytes(data)
        try:
            checkpoint = open_checkpoint(tmp_path)
            loaded = tensors_in(torch.load(tmp_path / "m.pt", weights_only=True))
        except NOT_READ:
            continue
        both += 1
        for tensor in checkpoint.tensors:
            assert tuple(loaded[tensor.name].shape) == tensor.shape
            assert checkpoint.read_bits(tensor).tobytes() == bytes_of(loaded.pop(tensor.name))
        assert not loaded or {one.code for one in checkpoint.findings} >= {"tensor-not-read"}
    assert both > 10


def test_the_folder_that_transformers_leaves(tmp_path: Path):
    """One network as safetensors and as shards of torch.save: both are digested, and they agree."""
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    from attest.measure import measure  # noqa: PLC0415

    state = {f"layers.{number}.weight": torch.full((4, 4), float(number)) for number in range(4)}
    save_file(state, tmp_path / "model.safetensors")
    weight_map = {}
    for part in (1, 2):
        held = dict(list(state.items())[part - 1 :: 2])
        torch.save(held, tmp_path / f"pytorch_model-0000{part}-of-00002.bin")
        weight_map |= dict.fromkeys(held, f"pytorch_model-0000{part}-of-00002.bin")
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    found = [one for one in measure(tmp_path).evidence.checkpoint.findings if one.code.startswith("formats-")]
    assert [(one.code, one.path, one.text) for one in found] == [
        (
            "formats-agree",
            "pytorch_model-00001-of-00002.bin",
            "pytorch beside safetensors: the same 4 names and digests",
        )
    ]
