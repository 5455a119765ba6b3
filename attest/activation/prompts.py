"""Prompt sets: fixed inputs that are shipped with attest and bound by their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from attest.digest import sha256
from attest.document import load, parse, record
from attest.errors import InputError
from attest.resource import resource

__all__ = ["PROMPT_SETS", "PromptSet", "load_prompt_set", "random_token_ids"]

PROMPT_SETS: Mapping[str, str] = {
    "general-en": "a7b511369bd1ebf9cfc30902711bd1cd27e213698b2be94af4c0249a6d7a8aab",
    "random-tokens": "09abec4133868b2fad25b639e1987bb20091fd0cdae4eba3769b80c0510a91c1",
}
"""SHA-256 of each shipped file, by the set's name."""

_MAX_BYTES = 1024 * 1024
_BYTES_A_TOKEN = 8


@record
class PromptSet:
    """Inputs for a network.

    Parameters
    ----------
    id : str
        Name of the set.
    about : str
        What it holds and where it comes from.
    sequences : int
        Number of inputs.
    tokens : int
        Most tokens of one input: a text is cut there, a random sequence is that long.
    texts : tuple of str or None
        The inputs, or null where they are random token ids.
    """

    id: str
    about: str
    sequences: int
    tokens: int
    texts: tuple[str, ...] | None


def load_prompt_set(name: str) -> PromptSet:
    """Prompt set of a name in ``PROMPT_SETS``.

    Raises
    ------
    InputError
        There is no set of that name, or the installed file is not the one that this version shipped.
    """
    if name not in PROMPT_SETS:
        raise InputError(
            "unknown-prompt-set",
            f"there is no prompt set {name[:100]!r}",
            fix=f"choose one of {', '.join(PROMPT_SETS)}",
        )
    data = resource(f"activation/prompt_sets/{name}.json").read_bytes()
    if sha256(data) != PROMPT_SETS[name]:
        raise InputError(
            "prompt-set-changed",
            "is not the file that this version of attest shipped",
            fix="install attest again",
            where=f"{name}.json",
        )
    return load(PromptSet, parse(data, where=f"{name}.json", max_bytes=_MAX_BYTES), where=f"{name}.json")


def random_token_ids(prompt_set: PromptSet, *, vocab_size: int, tokens: int) -> tuple[tuple[int, ...], ...]:
    r"""Token ids of a set without texts.

    Parameters
    ----------
    prompt_set : PromptSet
    vocab_size : int
        Ids are below it. At least 1.
    tokens : int
        Length of each sequence.

    Returns
    -------
    tuple of tuple of int
        Shape (sequences, tokens).

    Notes
    -----
    Sequence s is SHAKE-256 of ``"attest prompt set <id> sequence <s>\n"``, read as little-endian 64-bit integers
    modulo ``vocab_size``: the same on every machine, and equal for equal vocabulary sizes. The remainder favors
    small ids by less than ``vocab_size / 2**64``.

    References
    ----------
    FIPS 202, section 6.2.
    """
    sequences = []
    for number in range(prompt_set.sequences):
        seed = f"attest prompt set {prompt_set.id} sequence {number}\n".encode()
        stream = hashlib.shake_256(seed).digest(_BYTES_A_TOKEN * tokens)
        words = (stream[start : start + _BYTES_A_TOKEN] for start in range(0, len(stream), _BYTES_A_TOKEN))
        sequences.append(tuple(int.from_bytes(word, "little") % vocab_size for word in words))
    return tuple(sequences)
