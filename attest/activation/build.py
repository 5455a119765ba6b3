"""Building a network of transformers' own from a staged folder: its plan, and every weight from the files."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from attest.errors import CheckpointError

__all__ = ["Network", "load_network", "plan_network", "read_configuration", "refuse_weights"]

_MAX_BUFFER_BYTES = 256 * 1024 * 1024
_SLACK = 1 << 20
_SHOWN_NAMES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network of transformers, its number of parameters, and the names in the files that it has no place for.

    ``predicts`` tells whether it has a head for the next token.
    """

    module: Any
    parameters: int
    unused: tuple[str, ...]
    predicts: bool


def _refuse(code: str, message: str, fix: str = "leave --activations out") -> NoReturn:
    raise CheckpointError(code, message, fix=fix, where="config.json")


def read_configuration(folder: Path) -> Any:
    """Configuration of a class that the installed transformers defines for text.

    Raises
    ------
    CheckpointError
    """
    from transformers.models.auto import configuration_auto, modeling_auto  # noqa: PLC0415  # heavy, and optional

    values = json.loads((folder / "config.json").read_bytes())
    kind = values.get("model_type")
    text_models = {
        *modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        *modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        *modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    }
    if not isinstance(kind, str) or kind not in text_models or kind not in modeling_auto.MODEL_MAPPING_NAMES:
        _refuse(
            "unknown-model-type",
            f"the model_type {str(kind)[:60]!r} is not a text model of the installed transformers; code from a "
            "checkpoint is never run",
            "update transformers if a newer version knows it, or leave --activations out",
        )
    return configuration_auto.CONFIG_MAPPING[kind].from_dict(values)


def _is_causal(config: Any) -> bool:
    from transformers.models.auto import modeling_auto  # noqa: PLC0415  # heavy, and optional

    causal = config.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = config.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return causal and not masked and not getattr(config, "is_encoder_decoder", False)


def plan_network(config: Any, floating_values: int, *, predicts: bool | None = None) -> Network:
    """The network without memory for its weights, on torch's device ``meta``; of a causal model with its head.

    Up to twice the values in the files may be asked for, so that the weights that are missing can be named.

    Raises
    ------
    CheckpointError
        It needs more than the files hold.
    """
    import torch  # noqa: PLC0415  # heavy, and optional

    predicts = _is_causal(config) if predicts is None else predicts
    with torch.device("meta"):
        plan = _auto_class(predicts=predicts).from_config(config, **_options(config, predicts=predicts))
    parameters = sum(parameter.numel() for parameter in plan.parameters())
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in plan.buffers())
    if parameters > 2 * floating_values + _SLACK or buffers > _MAX_BUFFER_BYTES:
        _refuse(
            "config-too-large",
            f"asks for {parameters} parameters and {buffers} bytes of tables, and the files hold {floating_values} "
            "floating-point values",
            "ask its author for the configuration of these weights",
        )
    return Network(module=plan.eval(), parameters=parameters, unused=(), predicts=predicts)


def _auto_class(*, predicts: bool) -> Any:
    import transformers  # noqa: PLC0415  # heavy, and optional

    chosen: Any = transformers.AutoModelForCausalLM if predicts else transformers.AutoModel
    return chosen


def _options(config: Any, *, predicts: bool) -> dict[str, Any]:
    """Options for building it. A pooling head is left out: no hidden state depends on it, and it may be missing."""
    import transformers  # noqa: PLC0415  # heavy, and optional

    mapping: Any = transformers.MODEL_FOR_CAUSAL_LM_MAPPING if predicts else transformers.MODEL_MAPPING
    kind: Any = mapping[type(config)]
    classes = kind if isinstance(kind, tuple) else (kind,)
    options: dict[str, Any] = {"attn_implementation": "eager", "trust_remote_code": False}
    if all("add_pooling_layer" in inspect.signature(one).parameters for one in classes):
        options["add_pooling_layer"] = False
    return options


def load_network(folder: Path, config: Any, plan: Network) -> Network:
    """The planned network with every weight from the files; without its head where the files have none.

    Raises
    ------
    CheckpointError
        A weight is missing or has another shape.
    """
    module, report = _from_files(folder, config, predicts=plan.predicts)
    lacking = sorted({*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])})
    if plan.predicts and lacking and all(_is_of_head(module, name) for name in lacking):
        return load_network(folder, config, plan_network(config, plan.parameters, predicts=False))
    if lacking or report["error_msgs"]:
        refuse_weights(lacking or [str(report["error_msgs"][0])[:200]])
    return Network(
        module=module.eval(),
        parameters=plan.parameters,
        unused=tuple(sorted(report["unexpected_keys"])),
        predicts=plan.predicts,
    )


def _is_of_head(module: Any, name: str) -> bool:
    return not name.startswith(f"{module.base_model_prefix}.")


def _from_files(folder: Path, config: Any, *, predicts: bool) -> tuple[Any, Mapping[str, Any]]:
    import torch  # noqa: PLC0415  # heavy, and optional

    module, report = _auto_class(predicts=predicts).from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **_options(config, predicts=predicts),
    )
    return module, report


def refuse_weights(lacking: Sequence[str]) -> NoReturn:
    """Refuse a network whose weights are not all in the files."""
    shown = ", ".join(lacking[:_SHOWN_NAMES])
    _refuse(
        "weights-do-not-fit",
        f"the files lack {len(lacking)} of the weights that the configuration needs, or have them in another "
        f"shape ({shown}); random numbers would stand in their place",
        "ask its author for the configuration of these weights",
    )
