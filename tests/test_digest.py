"""Digests whose recipes anybody can follow with a pen."""

import hashlib

import pytest

from attest.digest import sha256, tensor_digest, tree_digest


def test_bytes():
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(memoryview(bytearray(b"abc"))) == sha256(b"abc")


@pytest.mark.parametrize(("shape", "text"), [((), ""), ((3,), "3"), ((2, 0, 5), "2,0,5")])
def test_tensors(shape: tuple[int, ...], text: str):
    chunks = [hashlib.sha256(b"one").digest(), hashlib.sha256(b"two").digest()]
    expected = hashlib.sha256(f"attest tensor v1\nBF16\n{text}\n".encode() + b"".join(chunks)).hexdigest()
    assert tensor_digest("BF16", shape, iter(chunks)) == expected


def test_dtype_shape_and_order_of_chunks_count():
    a, b = hashlib.sha256(b"a").digest(), hashlib.sha256(b"b").digest()
    digests = {
        tensor_digest("BF16", (2, 3), [a, b]), tensor_digest("F16", (2, 3), [a, b]), tensor_digest("BF16", (3, 2), [a, b]),
        tensor_digest("BF16", (6,), [a, b]), tensor_digest("BF16", (2, 3), [b, a]), tensor_digest("BF16", (2, 3), [a]),
    }  # fmt: skip
    assert len(digests) == 6


def test_trees():
    files = [("é", 3, "e" * 64), ("b/c", 1, "a" * 64), ("b", 2, "c" * 64), ("Z", 0, "d" * 64)]
    lines = ["d" * 64 + " 0 Z", "c" * 64 + " 2 b", "a" * 64 + " 1 b/c", "e" * 64 + " 3 é"]
    expected = hashlib.sha256(("attest tree v1\n" + "\n".join(lines) + "\n").encode()).hexdigest()
    assert tree_digest(files) == tree_digest(reversed(files)) == expected


def test_a_tree_of_nothing():
    assert tree_digest([]) == hashlib.sha256(b"attest tree v1\n").hexdigest()
