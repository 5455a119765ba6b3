"""Running a network one block at a time, from its files: for networks larger than memory.

All sequences pass through a block before the next is read. The network's own code prepares what its blocks are called
with: in a first pass every block only notes it. So nothing of an architecture is written here again, and the numbers
are those of the whole network, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.activation.build import Network, refuse_weights
from attest.activation.job import Watched
from attest.activation.observer import Plan, Seen
from attest.activation.snapshot import Snapshot
from attest.activation.whole import Emit, as_array, watching
from attest.checkpoint import Tensor
from attest.checkpoint.safetensors import read_header
from attest.checkpoint.tensor import BITS
from attest.errors import CheckpointError
from attest.sweep import as_float32

__all__ = ["STREAMED", "run_streamed"]

STREAMED = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Model types whose streamed run was held against the whole one."""

_WEIGHTS = "model*.safetensors"


def run_streamed(
    folder: Path,
    planned: Network,
    plan: Plan,
    watched: Sequence[Watched],
    emit: Emit,
    *,
    tell: Callable[[str], object],
    begin: Snapshot | None = None,
    keep: Callable[[int, Sequence[NDArray[np.float32]]], None] = lambda _blocks, _states: None,
) -> Network:
    """Run every sequence through one block after the other, emit what is seen, and let it be kept after each block.

    Parameters
    ----------
    folder : Path
        With safetensors files.
    planned : Network
        On torch's device ``meta``.
    plan : Plan
    watched : sequence of Watched
    emit, tell : callable
    begin : Snapshot or None
        What an earlier run had got to.
    keep : callable
        Told the blocks done, and every sequence's residual stream after them.

    Raises
    ------
    CheckpointError
        Networks of that kind are not streamed, or a weight is missing.

    Notes
    -----
    Memory: the embedding table, the largest block or the head, whichever is largest, in float32, and the residual
    stream of all sequences.
    """
    import torch  # noqa: PLC0415  # heavy, and optional

    kind = planned.module.config.model_type
    if kind not in STREAMED or not planned.predicts:
        raise CheckpointError(
            "cannot-stream",
            f"networks of model_type {kind!r} are not run block by block; {', '.join(sorted(STREAMED))} are",
            fix="leave --stream out",
            where="config.json",
        )
    weights = _Weights.of(folder, planned.module)
    steps = len(planned.module.base_model.layers) * len(plan.token_ids)
    states, calls = _prepare(planned.module, weights, plan)
    if begin is None:
        _emit_states(states, 0, emit)
    else:
        states = [torch.from_numpy(state.copy())[None] for state in begin.states]
    for layer, block in list(enumerate(planned.module.base_model.layers))[begin.steps if begin else 0 :]:
        weights.fill(f"{_prefix(planned.module)}layers.{layer}.", block)
        if layer:
            _emit_states(states, layer, emit)
        for number in range(len(states)):
            with _attention(block, layer, number, emit), watching(planned.module, watched, number, emit):
                states[number] = block(states[number], **calls[number][layer])
            tell(f"{layer * len(states) + number + 1} {steps}")
        block.to_empty(device="meta")
        keep(layer + 1, [as_array(state) for state in states])
    _finish(planned.module, weights, states, emit)
    return Network(
        module=planned.module,
        parameters=planned.parameters - weights.headless,
        unused=weights.unused,
        predicts=not weights.headless,
    )


def _prefix(module: Any) -> str:
    return f"{module.base_model_prefix}."


def _prepare(module: Any, weights: _Weights, plan: Plan) -> tuple[list[Any], list[list[dict[str, Any]]]]:
    """Embedding output of every sequence, and what each block is called with besides."""
    import torch  # noqa: PLC0415  # heavy, and optional

    base = module.base_model
    _make_tables(module)
    weights.fill(f"{_prefix(module)}embed_tokens.", base.embed_tokens)
    weights.fill(f"{_prefix(module)}norm.", base.norm)
    states, calls = [], []
    for sequence in plan.token_ids:
        noted: list[tuple[Any, dict[str, Any]]] = []
        with _noting(base.layers, noted):
            base(input_ids=torch.tensor([sequence], dtype=torch.int64), use_cache=False)
        states.append(noted[0][0])
        calls.append([call for _, call in noted])
    base.embed_tokens.to_empty(device="meta")
    return states, calls


def _make_tables(module: Any) -> None:
    """What is no weight, such as the angles of rotary positions, as transformers itself makes it."""
    for part in module.modules():
        if part._buffers:  # noqa: SLF001 - torch has no other way to ask for a module's own buffers
            part.to_empty(device="cpu", recurse=False)
            module._init_weights(part)  # noqa: SLF001 - where transformers makes its tables


@contextmanager
def _noting(blocks: Iterable[Any], noted: list[tuple[Any, dict[str, Any]]]) -> Iterator[None]:
    """While it lasts, blocks note what they are called with and hand the residual stream on as it is."""

    def note(states: Any, **call: Any) -> Any:
        noted.append((states, call))
        return states

    with ExitStack() as stack:
        for block in blocks:
            block.forward = note
            stack.callback(block.__dict__.pop, "forward")
        yield


@contextmanager
def _attention(block: Any, layer: int, sequence: int, emit: Emit) -> Iterator[None]:
    """While it lasts, the attention probabilities of a block are emitted."""

    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        emit(Seen(kind="attention", layer=layer, sequence=sequence, values=as_array(output[1])))

    handle = block.self_attn.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _finish(module: Any, weights: _Weights, states: Sequence[Any], emit: Emit) -> None:
    """The final norm, whose output is the last layer's state, and the head, where the files have one."""
    base = module.base_model
    finals = [base.norm(state) for state in states]
    _emit_states(finals, len(base.layers), emit)
    if weights.headless:
        return
    head = module.get_output_embeddings()
    weights.fill("lm_head.", head)
    for number, state in enumerate(finals):
        emit(Seen(kind="logits", layer=0, sequence=number, values=as_array(head(state))))


def _emit_states(states: Sequence[Any], layer: int, emit: Emit) -> None:
    for number, state in enumerate(states):
        emit(Seen(kind="state", layer=layer, sequence=number, values=as_array(state)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Weights:
    """Where every weight of a network lies.

    Parameters
    ----------
    places : mapping of str to (Path, Tensor)
        By the network's own names.
    headless : int
        Parameters of a head that the files do not have; 0 where they have it, or it is the embedding table.
    unused : tuple of str
    """

    places: Mapping[str, tuple[Path, Tensor]]
    headless: int
    unused: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path, module: Any) -> _Weights:
        """Find the weights of a network on the device ``meta``."""
        files = {tensor.name: (path, tensor) for path in sorted(folder.glob(_WEIGHTS)) for tensor in _tensors(path)}
        prefix, places = _prefix(module), {}
        tied = {name for names in (module.all_tied_weights_keys or {}).items() for name in names}
        wanted = {name: tuple(one.shape) for name, one in module.named_parameters(remove_duplicate=False)}
        for name, shape in wanted.items():
            others = sorted(tied - {name}) if name in tied else []
            spelled = [form for one in (name, *others) for form in (one, one.removeprefix(prefix))]
            found = next((one for one in spelled if one in files), None)
            if found is not None and files[found][1].shape == shape:
                places[name] = files[found]
        lacking = [name for name in wanted if name not in places]
        if any(name.startswith(prefix) for name in lacking):
            refuse_weights([name for name in lacking if name.startswith(prefix)])
        used = {tensor.name for _, tensor in places.values()}
        return cls(
            places=places,
            headless=sum(int(np.prod(wanted[name])) for name in lacking),
            unused=tuple(sorted(files.keys() - used)),
        )

    def fill(self, name: str, module: Any) -> None:
        """Give a part of the network its weights."""
        import torch  # noqa: PLC0415  # heavy, and optional

        module.to_empty(device="cpu")
        for own, parameter in module.named_parameters():
            parameter.copy_(torch.from_numpy(_values(*self.places[name + own])))


def _tensors(path: Path) -> tuple[Tensor, ...]:
    with path.open("rb") as stream:
        return read_header(stream, file=path.name, size=path.stat().st_size).tensors


def _values(path: Path, tensor: Tensor) -> NDArray[np.float32]:
    """Values of a tensor in float32; read and not mapped, so that the pages are not held."""
    bits = np.fromfile(path, dtype=BITS[tensor.dtype], count=tensor.size, offset=tensor.begin)
    return as_float32(bits, tensor.dtype).reshape(tensor.shape)
