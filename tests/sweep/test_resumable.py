"""A SHA-256 that can be taken up anywhere is SHA-256."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.sweep.resumable import ResumableSha256


def test_words_of_the_standard():
    """FIPS 180-4, section 5.3.3; and the examples of SHA-256 for one and two blocks, and a million times "a"."""
    assert ResumableSha256().state()[:4][::-1].hex() == "6a09e667"
    examples = {
        b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": (
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        b"a" * 1_000_000: "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
    }
    for data, expected in examples.items():
        digest = ResumableSha256()
        digest.update(data)
        assert digest.hexdigest() == expected


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_any_parts_with_a_stop_behind_each(parts: list[bytes]):
    digest, expected = ResumableSha256(), hashlib.sha256()
    for part in parts:
        digest.update(memoryview(part))
        expected.update(part)
        assert digest.hexdigest() == expected.hexdigest()
        again = ResumableSha256.at(digest.state(), expected.hexdigest())
        assert again
        digest = again


@pytest.mark.parametrize("size", range(130))
def test_every_length(size: int):
    digest = ResumableSha256()
    digest.update(bytes(size))
    assert digest.hexdigest() == hashlib.sha256(bytes(size)).hexdigest()


def test_a_state_that_is_none():
    digest = ResumableSha256()
    digest.update(b"x" * 100)
    state, sha256 = digest.state(), digest.hexdigest()
    assert ResumableSha256.at(state, sha256)
    for bad in (None, b"", state[:39], state + bytes(64), b"y" + state[1:], state[:-1] + b"y"):
        assert ResumableSha256.at(bad, sha256) is None
