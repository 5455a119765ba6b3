"""Prompt sets: fixed inputs that are shipped with attest and bound by their digests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from attest.digest import sha256
from attest.document import load, parse, record
from attest.errors import DocumentError, InputError
from attest.resource import resource

__all__ = [
    "PROMPT_SETS",
    "PromptSet",
    "Prompts",
    "load_prompt_set",
    "parse_prompts",
    "random_token_ids",
    "read_prompts",
]

PROMPT_SETS: Mapping[str, str] = {
    "code": "1c7b1f2091167f297532419c2be8433685427b0d9563ae197a3a52f628d7d84d",
    "general-en": "a7b511369bd1ebf9cfc30902711bd1cd27e213698b2be94af4c0249a6d7a8aab",
    "general-zh": "d40587ac6b58c3d888249d4045118e1ab2f8b8632d92468ee8a2b2544c26a0e5",
    "mixed": "4bb4c9b1d6bea907307f1561fbfa618fceec44ad80b8bd53c24a170aa52ea50b",
    "random-tokens": "09abec4133868b2fad25b639e1987bb20091fd0cdae4eba3769b80c0510a91c1",
}
"""SHA-256 of each shipped file, by the set's name."""

_MAX_BYTES = 1024 * 1024
_MAX_SEQUENCES = 1024
_MAX_TOKENS = 512
_MAX_TEXT = 16 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompts:
    """A prompt set with the bytes of its file, and their SHA-256."""

    inputs: PromptSet
    data: bytes
    sha256: str

    @property
    def shipped(self) -> bool:
        """Whether every copy of this version of attest has it."""
        return PROMPT_SETS.get(self.inputs.id) == self.sha256


def read_prompts(name: str) -> Prompts:
    """A shipped prompt set by its name, or a user's by the path of its file, which ends in ``.json``.

    Raises
    ------
    InputError
        There is no set of that name, or no such file.
    DocumentError
        The file holds no prompt set, or one beyond the limits.
    """
    if name in PROMPT_SETS or not name.endswith(".json"):
        inputs = load_prompt_set(name)
        return Prompts(inputs=inputs, data=_shipped(name), sha256=PROMPT_SETS[name])
    try:
        with Path(name).open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            "unknown-prompt-set",
            f"the file of prompts cannot be read ({error.strerror})",
            fix=f"give a .json file, or one of {', '.join(PROMPT_SETS)}",
            where=name,
        ) from error
    return parse_prompts(data, where=name)


def parse_prompts(data: bytes, *, where: str) -> Prompts:
    """A user's prompt set; may be hostile, since evidence carries it along.

    Raises
    ------
    DocumentError
        It is not a prompt set, bears the name of a shipped one, or is beyond the limits.
    """
    inputs = load(PromptSet, parse(data, where=where, max_bytes=_MAX_BYTES), where=where)
    texts = inputs.texts
    faults = {
        "its id is not a short word of small letters, digits, points and hyphens": not _NAME.fullmatch(inputs.id),
        "its id is that of a set that attest ships": inputs.id in PROMPT_SETS,
        f"it has not from 1 to {_MAX_SEQUENCES} sequences": not 1 <= inputs.sequences <= _MAX_SEQUENCES,
        f"its sequences are not from 1 to {_MAX_TOKENS} tokens long": not 1 <= inputs.tokens <= _MAX_TOKENS,
        "it holds no texts; random token ids are those of random-tokens": texts is None,
        "its number of sequences is not that of its texts": texts is not None and len(texts) != inputs.sequences,
        f"a text is empty or longer than {_MAX_TEXT} characters": any(
            not 1 <= len(text) <= _MAX_TEXT for text in texts or ()
        ),
    }
    for fault, holds in faults.items():
        if holds:
            raise DocumentError("bad-prompt-set", fault, fix="see docs/activations.md", where=where)
    return Prompts(inputs=inputs, data=data, sha256=sha256(data))


def _shipped(name: str) -> bytes:
    return resource(f"activation/prompt_sets/{name}.json").read_bytes()


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
            fix=f"give a .json file, or one of {', '.join(PROMPT_SETS)}",
        )
    data = _shipped(name)
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
