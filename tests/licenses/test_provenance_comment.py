import pytest

from attest.licenses.provenance_comment import detect
from attest.licenses.source import Source

FOUND = [
    "# Copied from transformers.models.llama.modeling_llama.rotate_half",
    "# Modified from transformers.models.mistral.modeling_mistral.MistralMLP with Mistral->PanguProMoE",
    "Adapted from: https://example.org/code",
    "# This code is based on EleutherAI's GPT-NeoX library and the GPT-NeoX",
    "/* This file is adapted from PyTorch/XLA",
    "// copied and adapted from original implementation",
    "# Portions of this file are adapted from the Sympy codebase",
    '"""This file is largely copied from http.py"""',
    "The model was based on Something",
    "# copied / modified from original at",
    "(ported from switch_aarch64_gcc.h)",
]
NOT_FOUND = [
    "the values are copied from the buffer",
    "2. Tensors are copied from GPU to optimized CPU storage",
    "Based on the value of x the result is",
    "products derived from this software without specific prior",
    "scaled based on the input",
    "copied fromage",
]


@pytest.mark.parametrize("line", FOUND)
def test_a_sentence_of_provenance_is_found_verbatim(line: str):
    (finding,) = detect(Source.of("a.py", f"\n    {line}\n".encode()))
    assert (finding.code, finding.line, finding.text) == ("provenance-comment", 2, line)


@pytest.mark.parametrize("line", NOT_FOUND)
def test_other_sentences_are_left_out(line: str):
    assert list(detect(Source.of("a.py", line.encode()))) == []
