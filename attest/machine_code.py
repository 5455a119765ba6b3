"""Machine code of a loop: made by numba, kept, and from then on linked into the process without numba."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import Any

import llvmlite.binding as llvm

from attest.kept import kept

__all__ = ["load"]


def load(function: Callable[..., None], types: Sequence[str]) -> int:
    """Address of a function's machine code, which stays until the process ends.

    Parameters
    ----------
    function : callable
        Python that numba compiles, without fast-math.
    types : sequence of str
        Of its arguments: ``int64``, or a NumPy dtype followed by ``*`` for a pointer.
    """
    engine, processor = _engine()
    source = Path(function.__code__.co_filename)
    made_from = (source.read_text(encoding="utf-8"), function.__name__, *types, *processor)
    made = kept(f"{function.__name__.strip('_')}.native", source, made_from, lambda: _compile(function, types))
    name, _, machine_code = made.partition(b"\0")
    engine.add_object_file(llvm.ObjectFileRef.from_data(machine_code))
    engine.finalize_object()
    return int(engine.get_function_address(name.decode()))


@cache
def _engine() -> tuple[Any, tuple[str, ...]]:
    """What links and owns loaded code, and what the code depends on: both compilers, and this processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple().create_target_machine(jit=True)
    processor = (
        version("numba"), version("llvmlite"),
        llvm.get_default_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(),
    )  # fmt: skip
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target), processor


def _compile(function: Callable[..., None], types: Sequence[str]) -> bytes:
    """Name of the function in the machine code, a zero byte, and the machine code."""
    import numba  # noqa: PLC0415 - takes a second, and is not needed again on this machine

    known: Any = numba.types
    arguments = tuple(
        known.CPointer(getattr(known, one[:-1])) if one.endswith("*") else getattr(known, one) for one in types
    )
    bare = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)(_with_callees(function, numba.njit))  # type: ignore[call-overload]
    bare.compile(arguments)
    (made,) = bare.overloads.values()
    machine_code: bytes = made.library._get_compiled_object()  # noqa: SLF001 - numba has no other way
    name: str = made.fndesc.llvm_func_name
    return name.encode() + b"\0" + machine_code


def _with_callees(function: Callable[..., None], compiled: Callable[[Callable[..., None]], Any]) -> Callable[..., None]:
    """The function, with the functions of its own module that it calls compiled, too."""
    own = function.__globals__
    called = {
        name: compiled(_with_callees(own[name], compiled))
        for name in function.__code__.co_names
        if isinstance(own.get(name), FunctionType) and own[name].__module__ == function.__module__
    }
    return FunctionType(function.__code__, own | called, function.__name__)
