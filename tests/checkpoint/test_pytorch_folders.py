"""Which files of a folder are read as PyTorch weights, which are refused, and shards."""

import io
import tarfile
from pathlib import Path

import pytest
from opened_torch import DATA, ONE, SYSTEM, findings, opened, values
from torch_files import (
    Made,
    Name,
    archive,
    pickled,
)

from attest.checkpoint import open_checkpoint
from attest.errors import AttestError, CheckpointError, DocumentError, UnsafeFormatError
from attest.sweep import sweep


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as written:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            written.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


UNREAD: dict[str, tuple[str, bytes, str]] = {
    "legacy": ("model.pt", pickled(0x1950A86A20F9469CFC6C) + pickled(1001) + pickled({"a": Made(SYSTEM, ("x",))}), "posix.system"),
    "legacy, of protocol 0": ("model.pth", b"cposix\nsystem\n(S'true'\ntR.", "posix.system"),
    "legacy, in the usual place": ("pytorch_model.bin", pickled(Name("evil", "x")), "evil.x"),
    "tar": ("model.pt", _tar(), "tar archive"),
    "joblib": ("model.joblib", pickled(Name("sklearn.svm", "SVC")), "sklearn.svm.SVC"),
    "pickle": ("model.pkl", pickled(Name("evil", "x\x1b[2J")), "evil.x\\x1b[2J"),
    "pickle of many names": ("model.pickle", pickled([Name("m", f"n{n}") for n in range(50)]), "m.n4 and 45 more"),
    "NeMo": ("model.nemo", _tar(), "tar archive of pickles"),
    "TorchServe": ("model.mar", b"PK\3\4", "TorchServe"),
    "Keras": ("model.keras", b"PK\3\4", "Keras"),
    "HDF5": ("model.h5", b"\x89HDF\r\n", "Keras"),
    "distributed": (".metadata", pickled(Name("torch.distributed.checkpoint.metadata", "Metadata")), "distributed checkpoint"),
    "distributed, one part": ("__0_0.distcp", b"PK\3\4", "distributed checkpoint"),
    "text": ("model.pt", b"version https://git-lfs.github.com/spec/v1\n", "is not a zip archive"),
    "nothing": ("model.pt", b"", ""),
}  # fmt: skip


@pytest.mark.parametrize(("name", "data", "words"), UNREAD.values(), ids=UNREAD)
def test_formats_that_are_not_loaded(tmp_path: Path, name: str, data: bytes, words: str):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnsafeFormatError) as caught:
        open_checkpoint(tmp_path)
    assert (caught.value.code, caught.value.where) == ("unsafe-format", name)
    assert words in caught.value.message
    assert "safetensors" in caught.value.fix


def test_names_that_only_look_like_one_that_is_refused(tmp_path: Path):
    (tmp_path / "model.safetensors.metadata").write_text("downloaded")
    with pytest.raises(AttestError) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.code == "unknown-format"


def test_what_lies_beside_weights_in_the_same_format(tmp_path: Path):
    """A trainer's folder: the network, and what goes on training it."""
    (tmp_path / "model.pt").write_bytes(archive({"a": ONE}, DATA))
    for name in ("optimizer.pt", "training_args.bin", "rng_state.pth", "scheduler.pt"):
        (tmp_path / name).write_bytes(archive({"b": ONE}, DATA))
    checkpoint = open_checkpoint(tmp_path)
    assert set(values(checkpoint)) == {"a"}
    assert {(one.code, one.path) for one in checkpoint.findings} == {
        ("unsafe-file", name) for name in ("optimizer.pt", "training_args.bin", "rng_state.pth", "scheduler.pt")
    }
    assert set(values(open_checkpoint(tmp_path / "optimizer.pt"))) == {"b"}


def test_shards_need_what_their_index_names(tmp_path: Path):
    (tmp_path / "x-1.bin").write_bytes(archive({"a": ONE}, DATA))
    (tmp_path / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "x-1.bin", "b": "x-1.bin"}}')
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.code == "missing-tensor"
    (tmp_path / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "x-1.bin", "a": "x-1.bin"}}')
    with pytest.raises(DocumentError):
        open_checkpoint(tmp_path)


def test_parts_of_a_model_keep_their_parts(tmp_path: Path):
    for part in ("00", "01"):
        (tmp_path / f"consolidated.{part}.pth").write_bytes(archive({"layers.0.wq": ONE}, DATA))
    checkpoint = open_checkpoint(tmp_path)
    assert set(values(checkpoint)) == {"consolidated.00.layers.0.wq", "consolidated.01.layers.0.wq"}
    assert [code for code, _ in findings(checkpoint)] == ["tensor-parts", "tensor-parts"]
    (tmp_path / "consolidated.01.pth").unlink()
    assert set(values(open_checkpoint(tmp_path))) == {"layers.0.wq"}


def test_a_file_that_changes_is_noticed(tmp_path: Path):
    """What was parsed must be what the sweep sees, wherever in the file it is."""
    checkpoint = opened(tmp_path, {"a": ONE})
    path, before = tmp_path / "model.pt", (tmp_path / "model.pt").read_bytes()
    status = path.stat()
    tensor = checkpoint.tensors[0]
    for position in (10, before.index(b"FloatStorage"), tensor.begin - 1, tensor.end + 1, len(before) - 30):
        altered = bytearray(before)
        altered[position] ^= 1
        path.write_bytes(altered)
        with pytest.raises(CheckpointError) as caught:
            sweep(checkpoint, lambda _: {})
        assert caught.value.code == "file-changed"
    assert status.st_size == len(before)
