"""Tensors in a program that torch.save wrote: what each call would make, and where its values lie.

Calls fall into four kinds: those that make tensors of storages, those that make tensors otherwise, those that only
make data, and all others. A program with one of the last kind can do anything, also to the tensors: it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from attest.checkpoint.archive import Entry
from attest.checkpoint.pickled import Call, Global, Pairs, Program, Reference
from attest.checkpoint.tensor import DTYPE_BITS, MAX_NAME, Tensor, check_tensor_name
from attest.errors import CheckpointError, UnsafeFormatError
from attest.finding import Finding
from attest.terminal import visible

__all__ = ["read_tensors"]

_MAX_DEPTH = 64
_MAX_VALUES = 1_000_000
_MAX_NAMED = 5
_SIZE_LIMIT = 2**53

_STORAGES = {
    "torch.DoubleStorage": "F64", "torch.FloatStorage": "F32", "torch.HalfStorage": "F16",
    "torch.BFloat16Storage": "BF16", "torch.LongStorage": "I64", "torch.IntStorage": "I32", "torch.ShortStorage": "I16",
    "torch.CharStorage": "I8", "torch.ByteStorage": "U8", "torch.BoolStorage": "BOOL",
    "torch.ComplexFloatStorage": "C64",
}  # fmt: skip
_UNTYPED = frozenset({"torch.UntypedStorage", "torch.storage.UntypedStorage"})
_OTHER_STORAGES = frozenset(
    f"torch.{kind}Storage" for kind in ("ComplexDouble", "QInt8", "QUInt8", "QInt32", "QUInt4x2", "QUInt2x4")
)
_DTYPES = {
    "torch.float64": "F64", "torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16",
    "torch.int64": "I64", "torch.int32": "I32", "torch.int16": "I16", "torch.int8": "I8", "torch.uint8": "U8",
    "torch.uint16": "U16", "torch.uint32": "U32", "torch.uint64": "U64", "torch.bool": "BOOL", "torch.complex64": "C64",
    "torch.float8_e4m3fn": "F8_E4M3", "torch.float8_e5m2": "F8_E5M2", "torch.float8_e8m0fnu": "F8_E8M0",
    "torch.float8_e4m3fnuz": "F8_E4M3FNUZ", "torch.float8_e5m2fnuz": "F8_E5M2FNUZ",
}  # fmt: skip
_OTHER_DTYPES = frozenset(
    f"torch.{kind}" for kind in ("complex32", "complex128", "qint8", "quint8", "qint32", "float4_e2m1fn_x2")
)

_OF_STORAGE = frozenset(f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3"))
_WRAPPERS = frozenset(
    {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state", "torch.nn.parameter.Parameter"}
)
_OF_TYPE = "torch._tensor._rebuild_from_type_v2"
_TYPES = frozenset({"torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"})
_OTHERWISE = frozenset(
    f"torch._utils._rebuild_{kind}"
    for kind in (
        "sparse_tensor", "sparse_csr_tensor", "qtensor", "nested_tensor", "meta_tensor_no_storage",
        "device_tensor_from_numpy", "device_tensor_from_cpu_tensor",
    )
)  # fmt: skip
_DICTIONARIES = frozenset({"collections.OrderedDict", "collections.defaultdict", "builtins.dict"})
_DATA = frozenset(
    {
        *_DICTIONARIES,
        *(
            f"builtins.{kind}"
            for kind in ("bytearray", "complex", "frozenset", "list", "range", "set", "slice", "tuple")
        ),
        *(f"datetime.{kind}" for kind in ("date", "datetime", "time", "timedelta", "timezone")),
        *(f"pathlib.{kind}" for kind in ("Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath")),
        *(f"numpy.{core}.multiarray.{kind}" for core in ("core", "_core") for kind in ("scalar", "_reconstruct")),
        *(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")),
        *("argparse.Namespace", "collections.Counter", "collections.deque", "copyreg._reconstructor"),
        *(
            "_codecs.encode",
            "numpy.dtype",
            "numpy.ndarray",
            "torch.Size",
            "torch.device",
            "torch.serialization._get_layout",
            "types.SimpleNamespace",
        ),
    }
)
"""What makes data and nothing else, of all that checkpoints of trainers were seen to call."""

_CALLED = _OF_STORAGE | _WRAPPERS | {_OF_TYPE} | _OTHERWISE | _DATA
_NAMED = (
    _CALLED
    | _TYPES
    | _UNTYPED
    | _OTHER_STORAGES
    | _OTHER_DTYPES
    | {*_STORAGES, *_DTYPES, "builtins.object", "torch.strided"}
)

_PLAIN = (type(None), bool, int, float, str, bytes)


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """Values of one dtype in a stored file, as torch describes them; ``offset`` and ``stride`` in values."""

    dtype: str
    entry: Entry
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def read_tensors(
    program: Program, storages: Mapping[str, Entry], *, file: str, prefix: str
) -> tuple[tuple[Tensor, ...], tuple[Finding, ...]]:
    """Tensors that a program would make and leave in dictionaries, lists and tuples.

    Parameters
    ----------
    program : Program
    storages : mapping of str to Entry
        Stored files by the key that the program uses.
    file : str
        Path of the archive.
    prefix : str
        What the names begin with.

    Raises
    ------
    UnsafeFormatError
        It would call what is not known to make only data.
    CheckpointError
        Its calls do not have the arguments that they must have, a tensor does not fit its storage, or a key occurs
        twice.

    Notes
    -----
    A tensor is named by the keys and indices on its way, joined by dots. Tensors whose values do not lie in a row, that
    are not made of a storage, or share a part of their values with another are findings, and so is the number of
    those that lie in other objects.
    """
    _check_calls(program, file)
    findings = [
        Finding(code="foreign-global", path=file, line=None, text=name)
        for name in dict.fromkeys(str(one) for one in program.globals if _name(one) not in _NAMED)
    ]
    tensors: list[Tensor] = []
    reached: set[int] = set()
    for name, call in _walk(program.value, prefix, file):
        view = _read_view(call, storages, reached, file)
        found = view if isinstance(view, str) else _place(name, view, file)
        if isinstance(found, Tensor):
            check_tensor_name(name, file=file)
            tensors.append(found)
        else:
            findings.append(_not_read(file, name, found))
    made = sum(_name(call.function) in _OF_STORAGE | _OTHERWISE and id(call) not in reached for call in program.calls)
    if made:
        text = f"{made} tensors lie in other objects than dictionaries, lists and tuples, or in none"
        findings.append(Finding(code="tensor-not-read", path=file, line=None, text=text))
    apart, overlapping = _part(tensors, file)
    return apart, (*findings, *overlapping)


def _name(value: Any) -> str:
    """Name of a global as the tables have it; empty for anything else."""
    if not isinstance(value, Global):
        return ""
    return f"{'builtins' if value.module == '__builtin__' else value.module}.{value.name}"


def _not_read(file: str, name: str, why: str) -> Finding:
    return Finding(code="tensor-not-read", path=file, line=None, text=f"{visible(name[:200])}: {why}"[:500])


def _malformed(what: str, file: str) -> NoReturn:
    raise CheckpointError(
        "bad-pickle", f"its pickle {what}", fix="download the file again, or ask its author", where=file
    )


def _check_calls(program: Program, file: str) -> None:
    unknown = dict.fromkeys(str(one) for call in program.calls for one in _unknown_calls(call))
    if unknown:
        names = ", ".join(list(unknown)[:_MAX_NAMED])
        more = f" and {len(unknown) - _MAX_NAMED} more" if len(unknown) > _MAX_NAMED else ""
        raise UnsafeFormatError(
            "unsafe-global",
            f"calls {names}{more} when it is loaded, which can run code or change the weights; nothing was run",
            fix="load it in a sandbox and save its tensors as safetensors, or ask its author to",
            where=file,
        )


def _unknown_calls(call: Call) -> Iterator[Any]:
    """What a call would call that is not known: the function itself, or one that is handed to it."""
    name = _name(call.function)
    if name not in _CALLED:
        yield call.function if isinstance(call.function, Global) else "something that it made"
    elif name == _OF_TYPE:
        function, kind = (*call.arguments, None, None)[:2]
        if _name(function) not in _OF_STORAGE | _WRAPPERS or _name(kind) not in _TYPES:
            yield function
            yield kind
    else:
        yield from (one for one in call.arguments if isinstance(one, Global) and _name(one) not in _NAMED)


def _walk(value: Any, prefix: str, file: str) -> Iterator[tuple[str, Call]]:
    """Calls that make tensors, by name, in dictionaries, lists and tuples."""
    waiting = [(prefix, value, 0)]
    for _ in range(_MAX_VALUES):
        if not waiting:
            return
        name, value, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            _malformed(f"nests deeper than {_MAX_DEPTH} levels", file)
        if isinstance(value, Call) and _name(value.function) not in _DATA:
            yield name, value
        else:
            waiting += (
                (f"{name}.{key}" if name else str(key), item, depth + 1)
                for key, item in _items(value, file)
                if isinstance(item, Call | Pairs | list | tuple) and len(name) <= MAX_NAME
            )
    _malformed(f"leads to more than {_MAX_VALUES} values", file)


def _items(value: Any, file: str) -> Iterator[tuple[str | int, Any]]:
    """Contents of a dictionary, list or tuple by key or index; of anything else nothing."""
    if isinstance(value, Call):
        if _name(value.function) not in _DICTIONARIES:
            return
        first = value.arguments[-1:] if _name(value.function) != "collections.defaultdict" else value.arguments[1:]
        value = Pairs((*_pairs(first, file), *value.pairs))
    if isinstance(value, Pairs):
        seen: set[str] = set()
        for key, item in value:
            if type(key) not in {str, int}:
                continue
            if str(key) in seen:
                _malformed(f"sets the key {str(key)[:100]!r} twice", file)
            seen.add(str(key))
            yield str(key)[: MAX_NAME + 1], item
    elif isinstance(value, list | tuple):
        yield from enumerate(value)


def _pairs(arguments: Sequence[Any], file: str) -> Iterator[tuple[Any, Any]]:
    """Pairs that a dictionary is made of."""
    for argument in arguments:
        for pair in argument if isinstance(argument, list | tuple | Pairs) else [argument]:
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                _malformed("makes a dictionary of what is no pair", file)
            yield pair[0], pair[1]


def _read_view(
    call: Call, storages: Mapping[str, Entry], reached: set[int], file: str, *, depth: int = 0
) -> _View | str:
    """Where a tensor lies, or why it is not read."""
    reached.add(id(call))
    name, arguments = _name(call.function), call.arguments
    if call.pairs or call.changes or depth > 4:
        _malformed("changes a tensor after it was made", file)
    if name in _OTHERWISE:
        return f"is made by {name}"
    if name == _OF_TYPE:
        function, _, arguments, state = (*arguments, *[None] * 4)[:4]
        if not isinstance(arguments, tuple):
            _malformed("makes a tensor of what is no tuple", file)
        call = Call(function, arguments)
        return _read_view(call, storages, reached, file, depth=depth + 1) if _is_plain(state) else "has a state"
    if name in _WRAPPERS:
        if not _is_plain((*arguments, *[None] * 4)[3]):
            return "has a state"
        if not arguments or not isinstance(arguments[0], Call) or _name(arguments[0].function) in _DATA:
            _malformed("makes a parameter of what is no tensor", file)
        return _read_view(arguments[0], storages, reached, file, depth=depth + 1)
    return _view_of_storage(name, arguments, storages, file)


def _is_plain(state: Any) -> bool:
    """Whether a state holds only numbers and words: these cannot take the place of a tensor's values."""
    if isinstance(state, Pairs):
        return all(type(key) is str and type(item) in _PLAIN for key, item in state)
    return state is None or (isinstance(state, tuple) and len(state) == 2 and all(_is_plain(one) for one in state))


def _view_of_storage(name: str, arguments: tuple[Any, ...], storages: Mapping[str, Entry], file: str) -> _View | str:
    """The view that ``_rebuild_tensor`` would make of its arguments."""
    given = iter(arguments)
    storage, offset, size, stride = next(given, None), next(given, None), next(given, None), next(given, None)
    next(given, None)  # requires_grad
    next(given, None)  # backward_hooks
    dtype = next(given, None) if name.endswith("_v3") else None
    metadata = next(given, None)
    shape, strides = _sizes(size), _sizes(stride)
    start = _sizes((offset,))
    if not isinstance(storage, Reference) or shape is None or strides is None or start is None:
        _malformed("makes a tensor without a storage, an offset, a shape or strides", file)
    if len(shape) != len(strides):
        _malformed("makes a tensor of more sizes than strides, or fewer", file)
    entry, kind = _find_storage(storage, storages, file)
    if metadata not in (None, ()) and metadata != Pairs():
        return "has metadata that can change its values"
    spelled = _DTYPES.get(_name(dtype)) if name.endswith("_v3") else _STORAGES.get(kind)
    if spelled is None:
        return f"its dtype is not known ({_name(dtype) or kind})"
    return _View(dtype=spelled, entry=entry, offset=start[0], shape=shape, stride=strides)


def _sizes(value: Any) -> tuple[int, ...] | None:
    """Sizes, which may come as ``torch.Size``; None where they are none."""
    if isinstance(value, Call) and _name(value.function) == "torch.Size" and len(value.arguments) == 1:
        value = value.arguments[0]
    if not isinstance(value, list | tuple) or len(value) > 64:
        return None
    return tuple(value) if all(type(one) is int and 0 <= one < _SIZE_LIMIT for one in value) else None


def _find_storage(reference: Reference, storages: Mapping[str, Entry], file: str) -> tuple[Entry, str]:
    """The stored file that a reference means, and the name of its type."""
    parts = reference.id if isinstance(reference.id, tuple) else ()
    if (
        len(parts) not in {5, 6}
        or parts[0] != "storage"
        or not isinstance(parts[2], str)
        or parts[5:] not in {(), (None,)}
    ):
        _malformed("refers to a storage in a form that torch does not write", file)
    _, kind, key, _, count = parts[:5]
    entry = storages.get(key)
    if entry is None or type(count) is not int:
        _malformed(f"refers to the storage {key[:100]!r}, which is not there", file)
    name = _name(kind)
    if name in _STORAGES or name in _UNTYPED:
        item = DTYPE_BITS[_STORAGES[name]] // 8 if name in _STORAGES else 1
        if count * item != entry.end - entry.begin:
            _malformed(f"promises {count} values in the storage {key[:100]!r}, which has another size", file)
    return entry, name


def _place(name: str, view: _View, file: str) -> Tensor | str:
    """The bytes of a view, or why they do not lie in a row."""
    item = DTYPE_BITS[view.dtype] // 8
    count = math.prod(view.shape)
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.shape, view.stride, strict=True))
    if count and (last + 1) * item > view.entry.end - view.entry.begin:
        _malformed(f"places {visible(name[:100])!r} beyond the end of its storage", file)
    expected = 1
    for size, stride in zip(reversed(view.shape), reversed(view.stride), strict=True):
        if count and size != 1 and stride != expected:
            return f"its values do not lie in a row (shape {view.shape[:8]}, strides {view.stride[:8]})"
        expected *= size
    begin = view.entry.begin + (view.offset * item if count else 0)
    return Tensor(name=name, dtype=view.dtype, shape=view.shape, file=file, begin=begin, end=begin + count * item)


def _part(tensors: list[Tensor], file: str) -> tuple[tuple[Tensor, ...], tuple[Finding, ...]]:
    """Tensors that share all of their bytes or none, the longest first, and findings for the others."""
    kept: list[Tensor] = []
    findings = []
    before: Tensor | None = None
    for tensor in sorted(tensors, key=lambda one: (one.begin, -one.end, one.name)):
        same = before and (tensor.begin, tensor.end, tensor.dtype, tensor.shape) == (
            before.begin, before.end, before.dtype, before.shape,
        )  # fmt: skip
        if tensor.size and before and tensor.begin < before.end and not same:
            findings.append(_not_read(file, tensor.name, f"shares a part of its values with {before.name}"))
        else:
            kept.append(tensor)
            before = tensor if tensor.size else before
    return tuple(kept), tuple(findings)
