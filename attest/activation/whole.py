"""Running a network that fits into memory, one sequence at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from attest.activation.build import Network
from attest.activation.job import Watched
from attest.activation.observer import Plan, Seen
from attest.errors import CheckpointError

__all__ = ["Emit", "as_array", "run_whole", "watching"]

Emit = Callable[[Seen], None]


def run_whole(
    network: Network,
    plan: Plan,
    watched: Sequence[Watched],
    emit: Emit,
    *,
    device: str,
    tell: Callable[[str], object],
    begin: int = 0,
    keep: Callable[[int], None] = lambda _: None,
) -> None:
    """Run every sequence from a first one on through the whole network, emit what is seen, and let it be kept.

    Raises
    ------
    CheckpointError
        The network does not give one state of one width for every layer and token.
    """
    import torch  # noqa: PLC0415  # heavy, and optional

    network.module.to(device)
    for number, sequence in list(enumerate(plan.token_ids))[begin:]:
        inputs = torch.tensor([sequence], dtype=torch.int64, device=device)
        with watching(network.module, watched, number, emit):
            output = network.module(
                input_ids=inputs,
                output_hidden_states=True,
                output_attentions=True,
                return_dict=True,
                **_decoder_inputs(network.module.config, inputs),
            )
        states = _states(output, tuple(inputs.shape))
        for layer, state in enumerate(states):
            emit(Seen(kind="state", layer=layer, sequence=number, values=as_array(state)))
        for layer, probabilities in enumerate(_attentions(output)):
            emit(Seen(kind="attention", layer=layer, sequence=number, values=as_array(probabilities)))
        if network.predicts:
            emit(Seen(kind="logits", layer=0, sequence=number, values=as_array(output.logits)))
        keep(number + 1)
        tell(f"{number + 1} {len(plan.token_ids)}")


def as_array(tensor: Any) -> NDArray[np.float32]:
    """The first and only item of a batch, in float32."""
    array: NDArray[np.float32] = tensor[0].to("cpu").float().numpy()
    return array


def _decoder_inputs(config: Any, inputs: Any) -> dict[str, Any]:
    """Of an encoder-decoder: the decoder is fed the same tokens, one later, behind the token it starts with."""
    if not getattr(config, "is_encoder_decoder", False):
        return {}
    start = next((one for one in (config.decoder_start_token_id, config.pad_token_id) if isinstance(one, int)), 0)
    shifted = inputs.roll(1, dims=1)
    shifted[:, 0] = start
    return {"decoder_input_ids": shifted}


def _states(output: Any, shape: tuple[int, ...]) -> list[Any]:
    """Residual stream after the embeddings and after every layer; of an encoder-decoder the encoder's first."""
    states = [*(output.get("encoder_hidden_states") or ()), *(output.get("decoder_hidden_states") or ())]
    states = states or list(output.get("hidden_states") or ())
    if len(states) < 2 or len({state.shape for state in states}) > 1 or tuple(states[0].shape[:2]) != shape:
        _refuse_states()
    return states


def _refuse_states() -> NoReturn:
    raise CheckpointError(
        "no-hidden-states",
        "the network does not give one state of one width for every layer and token",
        fix="leave --activations out",
        where="config.json",
    )


def _attentions(output: Any) -> list[Any]:
    """Attention probabilities of the layers that give any of the usual shape (linear attention gives none)."""
    found = [*(output.get("encoder_attentions") or ()), *(output.get("decoder_attentions") or ())]
    found = found or list(output.get("attentions") or ())
    return [one for one in found if one is not None and one.ndim == 4 and one.shape[2] == one.shape[3]]


@contextmanager
def watching(module: Any, watched: Sequence[Watched], sequence: int, emit: Emit) -> Any:
    """While it lasts, what goes into the neurons of a module is emitted; names that it does not have are passed over."""
    with ExitStack() as stack:
        for one in watched:
            part = _module_of(module, one.tensor.removesuffix(".weight"))
            if part is not None:
                handle = part.register_forward_hook(_hook(one, sequence, emit))
                stack.callback(handle.remove)
        yield


def _module_of(module: Any, name: str) -> Any:
    """The part of a module that a tensor's name speaks of, with or without the prefix of the base model."""
    prefix = f"{module.base_model_prefix}."
    for candidate in (name, name.removeprefix(prefix), prefix + name):
        try:
            return module.get_submodule(candidate)
        except AttributeError:
            continue
    return None


def _hook(one: Watched, sequence: int, emit: Emit) -> Callable[..., None]:
    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        values = as_array(output.reshape(1, -1, output.shape[-1]))
        if one.length != one.period:
            places = np.arange(values.shape[1]) % one.period
            values = values[:, (places >= one.begin) & (places < one.begin + one.length)]
        if values.shape[1] == one.neurons:
            emit(Seen(kind=one.kind, layer=one.layer, sequence=sequence, values=values))

    return hook
