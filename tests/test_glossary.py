"""The glossary defines every word that the project has fixed, once, and points to things that exist."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
ROWS = [row for row in ROW.findall(PAGE) if row[0] != "word" and not row[0].startswith("---")]
POINTERS = sorted(set(re.findall(r"`(attest\.[A-Za-z_.]+|docs/[a-z-]+\.md)`", PAGE)))

FIXED = """
Digest, DigestSet, ResourceDescriptor, Subject, Statement, Predicate, predicateType, Envelope, Signature, PAE, Bundle,
Manifest, Checkpoint, Shard, Tensor, dtype, Role, Layer, Profile, Statistic, pvalue, Null distribution, n_resamples,
Alternative, rng, Claim, Evidence, Attester, Verifier, Relying Party, Appraisal Policy, Attestation Result, Check,
Likelihood ratio, H1, H2, Verbal equivalent, Exhibit, Chain of custody, Proof, Verified, Reproduced, Supported,
Sweep, Chunk, Block, Strand, Rung, Least p
"""


def test_every_fixed_word_is_defined():
    defined = {word for row in ROWS for word in row[0].split(", ")}
    assert [word for word in FIXED.replace("\n", " ").strip().split(", ") if word.strip() not in defined] == []


def test_words_are_defined_once_in_order_and_in_one_sentence():
    words = [row[0] for row in ROWS]
    assert len(words) == len(set(words))
    for table in (words[: words.index("Accumulator")], words[words.index("Accumulator") :]):
        assert table == sorted(table, key=lambda word: word.casefold().replace("_", " "))
    assert [word for word, meaning, _ in ROWS if not re.fullmatch(r"[A-Z(].*[^.]\.", meaning) or ". " in meaning] == []


@pytest.mark.parametrize("pointer", POINTERS)
def test_what_a_word_points_to_exists(pointer: str):
    if pointer.startswith("docs/"):
        assert (ROOT / pointer).is_file()
        return
    try:
        importlib.import_module(pointer)
    except ModuleNotFoundError:
        module, _, name = pointer.rpartition(".")
        assert hasattr(importlib.import_module(module), name)
