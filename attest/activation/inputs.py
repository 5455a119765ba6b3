"""What is fed to a network: token ids of every prompt, and the places of the prompts that are looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attest.activation.places import Places, places_of_text, places_of_tokens
from attest.activation.prompts import PromptSet, random_token_ids
from attest.activation.staging import TOKENIZER_NAME
from attest.errors import CheckpointError

__all__ = ["Inputs", "read_inputs"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Token ids and places of all sequences; how many texts were cut; the text of a token, where it has one."""

    token_ids: tuple[tuple[int, ...], ...]
    places: tuple[Places, ...]
    cut: int
    token_name: Callable[[int], str] | None


def read_inputs(folder: Path, prompts: PromptSet, config: Any) -> Inputs:
    """Inputs of a prompt set, cut to what it and the network's positions allow.

    Raises
    ------
    CheckpointError
        The prompt set is empty, or the tokenizer does not fit the network.
    """
    positions = getattr(config, "max_position_embeddings", None)
    most = min(prompts.tokens, positions) if isinstance(positions, int) else prompts.tokens
    if not prompts.sequences:
        raise CheckpointError(
            "no-input", "the prompt set holds no sequence", fix="give another prompt set", where="config.json"
        )
    if prompts.texts is not None:
        return _of_texts(folder, prompts.texts, most, config.vocab_size)
    token_ids = random_token_ids(prompts, vocab_size=config.vocab_size, tokens=most)
    places = tuple(places_of_tokens(len(ids), sequences=len(token_ids)) for ids in token_ids)
    return Inputs(token_ids=token_ids, places=places, cut=0, token_name=None)


def _of_texts(folder: Path, texts: tuple[str, ...], most: int, vocab_size: int) -> Inputs:
    from tokenizers import Tokenizer  # noqa: PLC0415  # optional

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_NAME))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoded = [tokenizer.encode(text) for text in texts]
    token_ids = tuple(tuple(one.ids[:most]) for one in encoded)
    if not all(token_ids) or max(map(max, token_ids)) >= vocab_size:
        raise CheckpointError(
            "tokenizer-does-not-fit",
            f"turns a text into nothing, or into ids beyond the vocabulary of {vocab_size}",
            fix="use the prompt set random-tokens",
            where=TOKENIZER_NAME,
        )
    places = tuple(
        places_of_text(text, [end for _, end in one.offsets[:most]], sequences=len(texts))
        for text, one in zip(texts, encoded, strict=True)
    )

    def token_name(token: int) -> str:
        return tokenizer.id_to_token(token) or f"<{token}>"

    return Inputs(
        token_ids=token_ids,
        places=places,
        cut=sum(len(one.ids) > most for one in encoded),
        token_name=token_name,
    )
