"""How many requests a remote checkpoint costs, by format: about one a megabyte where tensors are small."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from other_containers import (
    CTRANSLATE2_TYPES,
    FLAX_TYPES,
    GGUF_TYPES,
    ONNX_TYPES,
    ctranslate2_file,
    flax_file,
    gguf_file,
    onnx_file,
    raw_tensors,
)
from servers.hub import Hub
from servers.web import Handler, Web, serving
from small_checkpoint import write_tensors
from torch_files import write_torch

from attest.checkpoint import open_checkpoint
from attest.checkpoint.source.range_stream import FIRST_RANGE, SHORT_WAY
from attest.sweep import sweep

Tensors: TypeAlias = Mapping[str, tuple[str, NDArray[Any]]]

SMALL = {f"layers.{number:03}": ("F32", np.zeros((16, 1024), np.float32)) for number in range(100)}
"""A hundred tensors of 64 KiB."""

LARGE = {f"layers.{number}": ("F32", np.zeros((320, 1024), np.float32)) for number in range(5)}
"""Five of 1.25 MiB: the way from one to the next is long."""


def as_safetensors(path: Path, tensors: Tensors) -> None:
    write_tensors(path, {name: bits for name, (_, bits) in tensors.items()})


FORMATS: dict[str, tuple[str, Callable[[Path, Tensors], object]]] = {
    "safetensors": ("model.safetensors", as_safetensors),
    "PyTorch": ("pytorch_model.bin", write_torch),
    "GGUF": ("model.gguf", lambda path, tensors: path.write_bytes(gguf_file(raw_tensors(tensors, GGUF_TYPES)))),
    "ONNX": ("model.onnx", lambda path, tensors: path.write_bytes(onnx_file(raw_tensors(tensors, ONNX_TYPES)))),
    "Flax": ("flax_model.msgpack", lambda path, tensors: path.write_bytes(flax_file(raw_tensors(tensors, FLAX_TYPES)))),
    "CTranslate2": (
        "model.bin", lambda path, tensors: path.write_bytes(ctranslate2_file(raw_tensors(tensors, CTRANSLATE2_TYPES))),
    ),
}  # fmt: skip
HEADER_IN_FRONT = {"safetensors", "GGUF"}


class Counting(Web):
    """Notes who connects."""

    def route(self, handler: Handler) -> None:
        self.headers.setdefault("connections", {})[str(handler.client_address)] = ""
        super().route(handler)


@pytest.mark.parametrize("tensors", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("kind", FORMATS)
def test_requests_of_one_file(kind: str, tensors: Tensors, tmp_path: Path):
    name, write = FORMATS[kind]
    write(tmp_path / name, tensors)
    data = (tmp_path / name).read_bytes()
    with serving(Counting(files={f"/{name}": data})) as web:
        checkpoint = open_checkpoint(f"{web.url}/{name}")
        opened = len(web.log)
        assert opened <= (2 if kind in HEADER_IN_FRONT else 8 + len(data) // SHORT_WAY)
        asked = sum(last + 1 - first for first, last in (one.range for one in web.log if one.range))
        assert asked <= (len(data) + 4 * FIRST_RANGE if tensors is SMALL else len(web.log) * 2 * FIRST_RANGE)
        sweep(checkpoint, lambda _: {}, threads=1)
        assert len(web.log) - opened <= 5
        assert len(web.headers["connections"]) <= 4


def test_requests_of_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each shard costs a few, and they share their connections."""
    names = sorted(SMALL)
    for part in range(4):
        held = {name: SMALL[name] for name in names[part::4]}
        write_torch(tmp_path / f"pytorch_model-{part + 1:05}-of-00004.bin", held)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with serving(Hub(repositories={"org/model": files}, large=frozenset())) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert len(open_checkpoint("hf://org/model").tensors) == 100
        asked = [one for one in hub.log if one.range]
        assert len(asked) <= 4 * 8


def test_redirects_keep_their_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every range of a large file is asked of the Hub, which leads to its storage."""
    write_torch(tmp_path / "pytorch_model.bin", LARGE)
    data = (tmp_path / "pytorch_model.bin").read_bytes()

    class CountingHub(Counting, Hub):
        pass

    with serving(Counting()) as storage:
        hub = CountingHub(
            repositories={"org/model": {"pytorch_model.bin": data}},
            large=frozenset({"pytorch_model.bin"}),
            storage=storage,
        )
        with serving(hub):
            monkeypatch.setenv("HF_ENDPOINT", hub.url)
            open_checkpoint("hf://org/model")
        assert len(storage.log) > 5
        assert [len(one.headers["connections"]) for one in (hub, storage)] == [1, 1]
