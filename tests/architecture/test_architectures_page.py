"""docs/architectures.md says what the tables say, and its example is a file that attest reads."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import get_args

from attest.architecture import FAMILIES
from attest.architecture.family import parse_families
from attest.architecture.layout import Layout

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "architectures.md").read_text(encoding="utf-8")
NAMED = (
    "Qwen2", "2.5", "Qwen3", "Qwen-MoE", "Pangu Pro MoE", "openPangu", "DeepSeek-V2 and V3", "Llama 1 to 3", "Mistral",
    "Mixtral", "Gemma 2", "Gemma 3", "Phi-3", "GPT-2", "GPT-NeoX", "Falcon", "BLOOM", "GLM-4.5", "OLMo", "BERT",
    "Whisper", "ViT", "T5", "GGUF",
)  # fmt: skip


def test_the_table_is_that_of_the_families():
    script = ROOT / "scripts" / "update_architectures_page.py"
    spec = importlib.util.spec_from_file_location("update_architectures_page", script)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == PAGE, "run scripts/update_architectures_page.py"


def test_the_networks_of_the_case_are_in_it():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert [name for name in NAMED if not any(name in row for row in rows)] == []


def test_the_example_is_read():
    (text,) = re.findall(r"```toml\n(.+?)```", PAGE, re.DOTALL)
    (family,) = parse_families(text.encode(), where="page", known=FAMILIES)
    assert (family.id, family.in_layer["mixer.qkv"], family.layouts["qkv"]) == ("my-network", "qkv", "by-group")


def test_every_layout_is_explained():
    assert [layout for layout in get_args(Layout) if f"| `{layout}` |" not in PAGE] == []
