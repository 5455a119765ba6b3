from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from known_license import license_words
from other_containers import gguf_file, gguf_text
from small_checkpoint import write_tensors

from attest.licenses.scan import scan
from attest.licenses.weight_file import declared_in_weights

GGUF = gguf_file(
    {},
    (
        gguf_text("general.license", "other"),
        gguf_text("general.license.name", "llama3.1"),
        gguf_text("general.license.link", "https://example.org/LICENSE"),
        gguf_text("general.base_model.0.name", "Llama 3.1 8B"),
        gguf_text("general.base_model.0.repo_url", "https://example.org/base"),
        gguf_text("general.base_model.0.version", "1"),
        gguf_text("general.name", "license"),
        gguf_text("tokenizer.license", "not of the model"),
    ),
)


def declared(name: str, data: bytes) -> list[tuple[str, str]]:
    return [(finding.code, finding.text) for finding in declared_in_weights(name, BytesIO(data), len(data))]


def test_what_a_gguf_file_declares():
    assert declared("a.GGUF", GGUF) == [
        ("declared-base-model", "Llama 3.1 8B"),
        ("declared-base-model", "https://example.org/base"),
        ("declared-license", "other"),
        ("declared-license-link", "https://example.org/LICENSE"),
        ("declared-license-name", "llama3.1"),
    ]


@pytest.mark.parametrize("key", ["license", "modelspec.license"])
def test_what_a_safetensors_file_declares(tmp_path: Path, key: str):
    metadata = {"format": "pt", key: "MIT\x1b[2J", "base_model": " "}
    path = write_tensors(tmp_path / "a.safetensors", {"a": np.zeros(2, np.float32)}, metadata)
    assert declared(path.name, path.read_bytes()) == [("declared-license", "MIT\ufffd[2J")]


@pytest.mark.parametrize("data", [b"", b"GGUF", GGUF[:100], b"GGUF" + b"\xff" * 60])
def test_a_header_that_cannot_be_read_is_a_finding(data: bytes):
    ((code, text),) = declared("a.gguf", data)
    assert code == "declaration-not-read"
    assert text


def test_a_scan_reads_the_headers_of_large_weights_and_compares_what_they_declare(tmp_path: Path):
    with (tmp_path / "a.gguf").open("wb") as file:
        file.write(gguf_file({}, (gguf_text("general.license", "apache-2.0"),)))
    big = tmp_path / "b.safetensors"
    write_tensors(big, {"a": np.zeros(2**19, np.float32)}, {"license": "mit"})
    (tmp_path / "c.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    result = scan(tmp_path)
    assert result.files_skipped == {"lfs-pointer": 1, "weights": 2}
    (finding,) = (finding for finding in result.findings if finding.code == "declared-licenses-differ")
    assert finding.text == "2 values: apache-2.0 (a.gguf); mit (b.safetensors)"


def test_a_license_text_in_the_metadata_is_told_by_its_words():
    mit = license_words("MIT")
    for text, held in (
        (mit, "MIT in "),
        (mit.replace("warranty", ""), "near MIT in "),
        (f"{mit}{'x ' * 500_000}", "MIT in 65"),
        ("x" * 1_000_000, "no known license text in 65"),
    ):
        ((code, words),) = declared("a.gguf", gguf_file({}, (gguf_text("general.license", text),)))
        assert code == "declared-license-text"
        assert words.startswith(held)
        assert len(words) <= 500
