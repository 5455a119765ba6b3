"""The folder that transformers sees: the weights as safetensors, and a configuration that points nowhere.

A configuration can name code in the checkpoint (``auto_map``), weights by another name, kernels to download, another
repository. None of that is copied; what is left are numbers, flags, short words, and lists and objects of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from attest.checkpoint import Checkpoint, Tensor
from attest.checkpoint.formats import SAFETENSORS
from attest.checkpoint.safetensors_writer import PendingTensor, write_safetensors
from attest.checkpoint.tree import LocalTree
from attest.document import JSON
from attest.errors import CheckpointError
from attest.finding import Finding

__all__ = ["TOKENIZER_NAME", "floating_values", "stage", "stage_tokenizer"]

TOKENIZER_NAME = "tokenizer.json"
_MAX_TOKENIZER = 128 * 1024 * 1024
_FLOATING = ("F64", "F32", "F16", "BF16")
_WIDE_INTEGERS = ("BOOL", "I16", "U16", "I32", "U32", "I64", "U64")

_WORD = re.compile(r"[A-Za-z0-9_.+-]{1,64}")
_QUANTIZED = ("quantization_config", "compression_config")
_DROPPED = frozenset(
    {
        "auto_map",
        "custom_pipelines",
        "dtype",
        "fusion_config",
        "id2label",
        "label2id",
        "name_or_path",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "task_specific_params",
        "torch_dtype",
        "torchscript",
        "transformers_weights",
        "use_cache",
    }
)

_COUNT = re.compile(r"(.*_)?(layers?|experts?|heads?|blocks?|groups?|depths?)")
_SIZE = re.compile(r".*_(size|dim|rank)|d_model|d_ff|dim|n_embd|n_inner|n_positions|n_ctx")
_USUAL_COUNT = 1024
_USUAL_SIZE = 1 << 20


def floating_values(checkpoint: Checkpoint) -> int:
    """Number of floating-point values in the weights: the most that a network made of them can hold."""
    return sum(tensor.size for tensor in checkpoint.tensors if tensor.dtype in _FLOATING)


def stage(checkpoint: Checkpoint, folder: Path) -> tuple[Finding, ...]:
    """Fill a folder with what transformers may see of a checkpoint.

    Parameters
    ----------
    checkpoint : Checkpoint
    folder : Path
        Empty; gets ``config.json``, and links to the weight files under names of our own, or for another format than
        safetensors a copy of the weights as one such file.

    Returns
    -------
    tuple of Finding
        ``remote-code-not-run`` where the configuration names code.

    Raises
    ------
    CheckpointError
        There is no usable configuration, the weights are quantized, many tensors share the same bytes, or the
        configuration asks for more than the weight files hold.
    """
    config = checkpoint.config
    _check_config(config)
    _check_dtypes(checkpoint)
    _check_sizes(checkpoint)
    _check_aliases(checkpoint)
    (folder / "config.json").write_text(json.dumps(_clean(config) | {"use_cache": False}), encoding="utf-8")
    _link_weights(checkpoint, folder)
    if not config.get("auto_map"):
        return ()
    text = "auto_map names code in the checkpoint; it was neither read nor run, transformers' own class was"
    return (Finding(code="remote-code-not-run", path="config.json", line=None, text=text),)


def stage_tokenizer(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy ``tokenizer.json``, the one tokenizer format that is data only.

    Raises
    ------
    CheckpointError
        There is none, or it is too large.
    """
    size = next((file.size for file in checkpoint.tree.files if file.path == TOKENIZER_NAME), None)
    if size is None or size > _MAX_TOKENIZER:
        problem = "is missing" if size is None else f"has {size} bytes, more than the {_MAX_TOKENIZER} that are read"
        raise CheckpointError(
            "no-tokenizer",
            f"{problem}, so texts cannot be turned into tokens",
            fix="use the prompt set random-tokens",
            where=TOKENIZER_NAME,
        )
    with checkpoint.tree.open(TOKENIZER_NAME) as stream, (folder / TOKENIZER_NAME).open("wb") as copy:
        while block := stream.read(_MAX_TOKENIZER):
            copy.write(block)


def _check_config(config: Mapping[str, Any]) -> None:
    if not config:
        raise CheckpointError(
            "no-config",
            "is missing, empty or not a JSON object, so the network cannot be built",
            fix="give the folder that holds config.json, or leave --activations out",
            where="config.json",
        )
    for key in _QUANTIZED:
        if config.get(key):
            raise CheckpointError(
                "quantized-model",
                f"{key} says that the weights are quantized; running them needs kernels that attest does not trust",
                fix="give the checkpoint before quantization, or leave --activations out",
                where="config.json",
            )


def _check_dtypes(checkpoint: Checkpoint) -> None:
    for tensor in checkpoint.tensors:
        if tensor.dtype not in (*_FLOATING, *_WIDE_INTEGERS):
            raise CheckpointError(
                "quantized-model",
                f"{tensor.name!r} has dtype {tensor.dtype}; only 16-, 32- and 64-bit floating-point weights are run",
                fix="give the checkpoint before quantization, or leave --activations out",
                where=tensor.file,
            )


def _check_sizes(checkpoint: Checkpoint) -> None:
    """Refuse sizes and counts that the weights cannot fill, before anything is built.

    A coarse bound that keeps the plan of a network small; ``attest.activation.network`` holds the parameters of that
    plan against the values in the files before it takes memory.
    """
    most_parts = max(_USUAL_COUNT, len(checkpoint.tensors))
    most_values = max(_USUAL_SIZE, floating_values(checkpoint))
    for key, value in _integers(checkpoint.config):
        most = most_parts if _COUNT.fullmatch(key) else most_values if _SIZE.fullmatch(key) else value
        if value > most:
            raise CheckpointError(
                "config-too-large",
                f"{key} is {str(value)[:20]}, and the weight files hold {len(checkpoint.tensors)} tensors of "
                f"{floating_values(checkpoint)} values",
                fix="ask its author for the configuration of these weights",
                where="config.json",
            )


def _check_aliases(checkpoint: Checkpoint) -> None:
    """Refuse tensors of more than twice the bytes of their files: each is written by itself."""
    size = sum(tensor.end - tensor.begin for tensor in checkpoint.tensors)
    held = sum(checkpoint.tree.sizes[file] for file in {tensor.file for tensor in checkpoint.tensors})
    if size > 2 * held:
        raise CheckpointError(
            "too-many-aliases",
            f"its tensors have {size} bytes in files of {held}: many names share the same values",
            fix="leave --activations out",
            where=checkpoint.name,
        )


def _integers(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _integers(value)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, int) and not isinstance(item, bool):
                yield key, item


def _clean(config: Mapping[str, Any]) -> dict[str, JSON]:
    return {
        key: _clean(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if _WORD.fullmatch(key)
        and key not in _DROPPED
        and not key.startswith("_")
        and not key.endswith("_implementation")
        and _is_plain(value)
    }


def _is_plain(value: JSON) -> bool:
    """Whether a value is a number, flag, null, short word, object, or a list of these other than objects."""
    if isinstance(value, str):
        return bool(_WORD.fullmatch(value))
    if isinstance(value, list):
        return all(_is_plain(item) and not isinstance(item, dict) for item in value)
    return True


def _link_weights(checkpoint: Checkpoint, folder: Path) -> None:
    if not isinstance(checkpoint.tree, LocalTree):
        raise CheckpointError(
            "not-local",
            "does not lie on this machine, and a network runs from local files",
            fix="download it, or leave --activations out",
            where=checkpoint.name,
        )
    if checkpoint.format != SAFETENSORS.id:
        _write_weights(checkpoint, folder)
        return
    root = checkpoint.tree.root
    files = sorted({tensor.file for tensor in checkpoint.tensors})
    if len(files) == 1:
        (folder / "model.safetensors").symlink_to((root / files[0]).resolve())
        return
    names = {file: f"model-{number:05}-of-{len(files):05}.safetensors" for number, file in enumerate(files, 1)}
    for file, name in names.items():
        (folder / name).symlink_to((root / file).resolve())
    index: JSON = {
        "metadata": {"total_size": sum(tensor.end - tensor.begin for tensor in checkpoint.tensors)},
        "weight_map": {tensor.name: names[tensor.file] for tensor in checkpoint.tensors},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _write_weights(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the tensors of another format as one safetensors file, one after the other."""

    def read(tensor: Tensor) -> Iterator[NDArray[Any]]:
        yield checkpoint.read_bits(tensor)

    write_safetensors(
        folder / "model.safetensors",
        (
            PendingTensor(name=one.name, dtype=one.dtype, shape=one.shape, pieces=partial(read, one))
            for one in checkpoint.tensors
        ),
        {"format": "pt"},
    )
