"""The child process that builds a network of transformers' own and runs it: ``python -m attest.activation.network``.

Its folder holds ``job.json`` and what ``attest.activation.staging`` allows; it leaves ``run.json`` and
``mean_abs.npy`` there, or ``refusal.json``. A process of its own bounds the memory that a hostile checkpoint can
take, keeps torch's global settings and messages away from the caller, and fixes the number of threads before torch
is loaded.
"""

from __future__ import annotations

import inspect
import json
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from attest.activation.job import JOB_NAME, MEAN_ABS_NAME, REFUSAL_NAME, RUN_NAME, Job, Refusal, Run
from attest.activation.prompts import PromptSet, random_token_ids
from attest.activation.staging import TOKENIZER_NAME
from attest.document import canonical, dump, load, parse
from attest.errors import CheckpointError

if TYPE_CHECKING:
    import torch

__all__ = ["main", "run_network"]

_MAX_JOB = 4 * 1024 * 1024
_MAX_BUFFER_BYTES = 256 * 1024 * 1024
_SLACK = 1 << 20
_SHOWN_NAMES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class _Profile:
    """Sums over all tokens: of squares, shape (n_layers + 1,), and of |activation|, (n_layers + 1, d_model)."""

    squares: NDArray[np.float64]
    magnitudes: NDArray[np.float64]


def _refuse(code: str, message: str, fix: str = "leave --activations out") -> NoReturn:
    raise CheckpointError(code, message, fix=fix, where="config.json")


def run_network(folder: Path, job: Job) -> tuple[Run, NDArray[np.float32]]:
    """Run the staged network on every input of a prompt set, one sequence at a time.

    Returns
    -------
    Run
    ndarray of shape (n_layers + 1, d_model), float32
        Mean of |activation| over all tokens, row 0 being the embedding output.

    Raises
    ------
    CheckpointError
        The architecture is not transformers' own, the weights do not fill it, or it gives no finite hidden states.
    """
    config = _configuration(folder)

    import tokenizers  # noqa: PLC0415  # heavy, and optional
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    torch.manual_seed(job.seed)
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("highest")
    torch.set_num_threads(job.threads)
    parameters, options = _check_plan(config, job.floating_values)
    network, unused = _load(folder, config, options)
    token_ids = _token_ids(folder, job.prompt_set, config)
    with torch.inference_mode():
        profile = _profile(network, token_ids)
    tokens = sum(map(len, token_ids))
    width = profile.magnitudes.shape[1]
    run = Run(
        token_ids=token_ids,
        rms=tuple(np.sqrt(profile.squares / (tokens * width)).tolist()),
        mean_abs=tuple((profile.magnitudes.sum(axis=1) / (tokens * width)).tolist()),
        parameters=parameters,
        unused=unused,
        versions={
            "numpy": np.__version__,
            "tokenizers": tokenizers.__version__,
            "torch": torch.__version__,
            "torch CPU capability": torch.backends.cpu.get_cpu_capability(),
            "transformers": transformers.__version__,
        },
    )
    return run, (profile.magnitudes / tokens).astype(np.float32)


def _configuration(folder: Path) -> Any:
    """Configuration of a class that the installed transformers defines for text."""
    from transformers.models.auto import configuration_auto, modeling_auto  # noqa: PLC0415  # heavy, and optional

    values = json.loads((folder / "config.json").read_bytes())
    kind = values.get("model_type")
    text_models = {*modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES}
    if not isinstance(kind, str) or kind not in text_models or kind not in modeling_auto.MODEL_MAPPING_NAMES:
        _refuse(
            "unknown-model-type",
            f"the model_type {str(kind)[:60]!r} is not a text model of the installed transformers; code from a "
            "checkpoint is never run",
            "update transformers if a newer version knows it, or leave --activations out",
        )
    return configuration_auto.CONFIG_MAPPING[kind].from_dict(values)


def _check_plan(config: Any, floating_values: int) -> tuple[int, dict[str, Any]]:
    """Number of parameters that the network needs, and options for building it; nothing is allocated.

    A pooling head is left out: no hidden state depends on it, and where the files lack one it would be random. Up to
    twice the values in the files may be asked for, so that ``_load`` can name the weights that are missing.
    """
    import torch  # noqa: PLC0415  # heavy, and optional
    import transformers  # noqa: PLC0415

    auto_model: Any = transformers.AutoModel
    kind: Any = transformers.MODEL_MAPPING[type(config)]
    classes = kind if isinstance(kind, tuple) else (kind,)
    options: dict[str, Any] = {"attn_implementation": "eager", "trust_remote_code": False}
    if all("add_pooling_layer" in inspect.signature(one).parameters for one in classes):
        options["add_pooling_layer"] = False
    with torch.device("meta"):
        plan = auto_model.from_config(config, **options)
    parameters = sum(parameter.numel() for parameter in plan.parameters())
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in plan.buffers())
    if parameters > 2 * floating_values + _SLACK or buffers > _MAX_BUFFER_BYTES:
        _refuse(
            "config-too-large",
            f"asks for {parameters} parameters and {buffers} bytes of tables, and the files hold {floating_values} "
            "floating-point values",
            "ask its author for the configuration of these weights",
        )
    return parameters, options


def _load(folder: Path, config: Any, options: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Network with every weight from the files, and the names in the files that it has no place for."""
    import torch  # noqa: PLC0415  # heavy, and optional
    from transformers import AutoModel  # noqa: PLC0415

    network, report = AutoModel.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **options,
    )
    random = sorted({*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])})
    if random or report["error_msgs"]:
        shown = ", ".join(random[:_SHOWN_NAMES]) or str(report["error_msgs"][0])[:200]
        _refuse(
            "weights-do-not-fit",
            f"the files lack {len(random)} of the weights that the configuration needs, or have them in another "
            f"shape ({shown}); random numbers would stand in their place",
            "ask its author for the configuration of these weights",
        )
    return network.eval(), tuple(sorted(report["unexpected_keys"]))


def _token_ids(folder: Path, prompt_set: PromptSet, config: Any) -> tuple[tuple[int, ...], ...]:
    """Token ids of every input, cut to what the prompt set and the network's positions allow."""
    positions = getattr(config, "max_position_embeddings", None)
    most = min(prompt_set.tokens, positions) if isinstance(positions, int) else prompt_set.tokens
    if prompt_set.texts is None:
        return random_token_ids(prompt_set, vocab_size=config.vocab_size, tokens=most)

    from tokenizers import Tokenizer  # noqa: PLC0415  # optional

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_NAME))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    sequences = tuple(tuple(tokenizer.encode(text).ids[:most]) for text in prompt_set.texts)
    if not all(sequences) or max(map(max, sequences)) >= config.vocab_size:
        raise CheckpointError(
            "tokenizer-does-not-fit",
            f"turns a text into nothing, or into ids beyond the vocabulary of {config.vocab_size}",
            fix="use the prompt set random-tokens",
            where=TOKENIZER_NAME,
        )
    return sequences


def _profile(network: Any, token_ids: tuple[tuple[int, ...], ...]) -> _Profile:
    """Sums over all sequences, in float64."""
    profile: _Profile | None = None
    for sequence in token_ids:
        states = _hidden_states(network, sequence)
        squares = np.array([np.square(state).sum() for state in states])
        magnitudes = np.array([np.abs(state).sum(axis=0) for state in states])
        if profile is not None:
            squares, magnitudes = profile.squares + squares, profile.magnitudes + magnitudes
        profile = _Profile(squares=squares, magnitudes=magnitudes)
    if profile is None:
        _refuse("no-input", "the prompt set holds no sequence")
    bad = np.flatnonzero(~np.isfinite(profile.squares))
    if bad.size:
        _refuse("not-finite", f"activations of layer {bad[0]} are not finite numbers, so there is nothing to compare")
    return profile


def _hidden_states(network: Any, sequence: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """Residual stream after the embeddings and after every layer, each of shape (n_tokens, d_model)."""
    import torch  # noqa: PLC0415  # heavy, and optional

    inputs = torch.tensor([sequence], dtype=torch.int64)
    states = network(input_ids=inputs, output_hidden_states=True, return_dict=True).hidden_states
    arrays: list[torch.Tensor] = list(states or ())
    if len(arrays) < 2 or len({state.shape for state in arrays}) > 1 or arrays[0].shape[:2] != inputs.shape:
        _refuse("no-hidden-states", "the network does not give one state of one width for every layer and token")
    return [state[0].to(torch.float64).numpy() for state in arrays]


def _limit(memory: int) -> None:
    """Bound the address space, so that what a checkpoint asks for cannot exhaust the machine."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Do the job in the folder that the command line names."""
    folder = Path(sys.argv[1])
    job = load(Job, parse((folder / JOB_NAME).read_bytes(), where=JOB_NAME, max_bytes=_MAX_JOB), where=JOB_NAME)
    _limit(job.memory)
    try:
        run, mean_abs = run_network(folder, job)
    except CheckpointError as error:
        refusal = Refusal(code=error.code, message=error.message, fix=error.fix, where=error.where)
        (folder / REFUSAL_NAME).write_bytes(canonical(dump(refusal)))
        return
    np.save(folder / MEAN_ABS_NAME, mean_abs)
    (folder / RUN_NAME).write_bytes(canonical(dump(run)))


if __name__ == "__main__":
    main()
