"""Several formats of one model in a folder: all are digested in the one read, one is measured, and a finding compares."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured import FAMILY, measured
from small_checkpoint import write_tensors
from torch_files import Made, Name, archive, pickled, rebuilt, storage, write_torch

from attest.checkpoint import open_checkpoint
from attest.checkpoint.agreement import describe_agreement
from attest.evidence import TENSORS_NAME
from attest.measure import Measurement, measure
from attest.sweep import sweep

ONE, TWO = np.arange(4, dtype=np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)


def torch(**arrays: np.ndarray) -> dict[str, tuple[str, np.ndarray]]:
    return {name: ("F32", array) for name, array in arrays.items()}


def findings(found: Measurement) -> list[tuple[str, str, str]]:
    return [(one.code, one.path, one.text) for one in found.evidence.checkpoint.findings]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tensors(tmp_path / "model.safetensors", {"a": ONE, "b": TWO})
    return tmp_path


def test_equal_formats_agree(folder: Path):
    write_torch(folder / "pytorch_model.bin", torch(b=TWO, a=ONE))
    found = measure(folder)
    assert found.evidence.checkpoint.format == "safetensors"
    assert [(row.name, row.file) for row in found.tensors.tensors] == [
        ("a", "model.safetensors"), ("b", "model.safetensors"),
    ]  # fmt: skip
    assert findings(found) == [
        ("formats-agree", "pytorch_model.bin", "pytorch beside safetensors: the same 2 names and digests")
    ]


def test_formats_that_differ(folder: Path):
    write_torch(folder / "pytorch_model.bin", torch(a=ONE + 1, b=TWO, c=ONE))
    assert findings(measure(folder)) == [
        (
            "formats-differ",
            "pytorch_model.bin",
            "pytorch beside safetensors: 1 of 2 common names have another digest (a); 1 names are only in pytorch (c)",
        )
    ]


@pytest.mark.parametrize("other", [TWO.reshape(3, 2), TWO.astype(np.float64), -TWO], ids=["shape", "dtype", "values"])
def test_what_makes_another_digest(folder: Path, other: np.ndarray):
    dtype = {4: "F32", 8: "F64"}[other.itemsize]
    write_torch(folder / "pytorch_model.bin", torch(a=ONE) | {"b": (dtype, other)})
    assert [code for code, _, _ in findings(measure(folder))] == ["formats-differ"]


def test_formats_of_other_names(folder: Path):
    write_torch(folder / "pytorch_model.bin", torch(x=ONE, y=ONE + 1))
    assert findings(measure(folder)) == [
        (
            "formats-not-compared",
            "pytorch_model.bin",
            "pytorch beside safetensors: no names in common; 1 of 2 digests are among the measured ones",
        )
    ]


def test_a_wrapped_copy_agrees_under_other_names(folder: Path):
    write_torch(folder / "pytorch_model.bin", torch(**{"state_dict.a": ONE, "state_dict.b": TWO}))
    assert findings(measure(folder)) == [
        ("formats-agree", "pytorch_model.bin", "pytorch beside safetensors: the same 2 digests, under other names")
    ]


def test_many_names_are_counted_and_few_are_named(folder: Path):
    names = {f"{'n' * 900}{number}": ONE for number in range(50)}
    write_torch(folder / "pytorch_model.bin", torch(a=ONE, **names))
    ((code, _, text),) = findings(measure(folder))
    assert (code, len(text) <= 500) == ("formats-differ", True)
    assert "50 names are only in pytorch" in text


def test_every_byte_is_read_once_and_the_other_format_is_only_digested(folder: Path):
    write_torch(folder / "pytorch_model.bin", torch(a=ONE, b=TWO))
    asked, sizes = [], []
    checkpoint = open_checkpoint(folder)
    read = sweep(checkpoint, lambda tensor: asked.append(tensor.file) or {}, progress=sizes.append)
    assert set(asked) == {"model.safetensors"}
    assert sum(sizes) == sum(file.size for file in checkpoint.tree.files)
    assert read.beside == {"pytorch": {name: one.digest for name, one in read.tensors.items()}}


UNREADABLE = {
    "unsafe": (archive({"a": Made(Name("os", "system"), ("true",))}, {}), "unsafe-file", "calls os.system"),
    "legacy": (pickled(Name("os", "system")), "unsafe-file", "it names os.system"),
    "broken": (archive({"a": rebuilt(storage("FloatStorage", "0", 4), (5,))}, {"0": bytes(16)}), "format-not-read", "pytorch: "),
    "cut short": (archive({}, {})[:-1], "format-not-read", "pytorch: "),
}  # fmt: skip


@pytest.mark.parametrize(("data", "code", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_second_format_that_cannot_be_read_is_a_finding(folder: Path, data: bytes, code: str, words: str):
    (folder / "pytorch_model.bin").write_bytes(data)
    found = measure(folder)
    assert len(found.tensors.tensors) == 2
    ((found_code, path, text),) = findings(found)
    assert (found_code, path) == (code, "pytorch_model.bin")
    assert words in text


def test_a_broken_index_of_a_second_format_is_a_finding(folder: Path):
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": "absent.bin"}}))
    assert [(code, path) for code, path, _ in findings(measure(folder))] == [
        ("format-not-read", "pytorch_model.bin.index.json")
    ]


def test_a_second_format_changes_nothing_that_is_measured(tmp_path: Path):
    for file in (FAMILY / "seed-1").iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    source = open_checkpoint(tmp_path)
    write_torch(
        tmp_path / "pytorch_model.bin", {one.name: (one.dtype, source.read_bits(one)) for one in source.tensors}
    )
    found, expected = measure(tmp_path), measured("seed-1")
    assert ("formats-agree", "pytorch_model.bin") in [(code, path) for code, path, _ in findings(found)]
    assert found.details[TENSORS_NAME] == expected.details[TENSORS_NAME]
    assert found.evidence.tensors == expected.evidence.tensors


DIGESTS = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("123"), max_size=6)


@given(DIGESTS, DIGESTS.filter(bool))
def test_agreement_is_said_only_of_equal_names_and_digests(here: dict[str, str], there: dict[str, str]):
    class Stub:
        format = "one"
        beside = {"two": [type("Tensor", (), {"file": "f"})]}  # noqa: RUF012 - only looked at

    ((found),) = describe_agreement(Stub(), here, {"two": there})  # type: ignore[arg-type]
    if here.keys() & there.keys():
        assert found.code == ("formats-agree" if here == there else "formats-differ")
    else:
        same = sorted(here.values()) == sorted(there.values())
        assert found.code == ("formats-agree" if same else "formats-not-compared")
