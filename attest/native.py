"""Loops as machine code: compiled once by numba, kept on disk, and from then on loaded without numba.

Starting numba takes longer than hashing half a gigabyte; loading what it once made takes milliseconds. A kernel takes
addresses and sizes, and the function around it checks them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from attest.kept import kept

__all__ = ["Kernel"]

_ENGINES: list[Any] = []
"""What owns the loaded code, which stays until the process ends."""

_LOADING = Lock()


class Kernel:
    """A loop over memory, loaded at its first call; the lock on the interpreter is released while it runs.

    Parameters
    ----------
    function : callable
        Python that numba compiles, without fast-math: no sum is reordered. It gets pointers and integers, makes no
        array, and returns nothing.
    *types : str
        Of the arguments: ``int64``, or a NumPy dtype followed by ``*`` for an array.
    """

    def __init__(self, function: Callable[..., None], *types: str) -> None:
        self._function = function
        self._types = types
        self._dtypes = tuple(np.dtype(one[:-1]) if one.endswith("*") else None for one in types)
        self._code: Callable[..., int] | None = None

    def __call__(self, *arguments: NDArray[Any] | int) -> None:
        """Run the loop. It goes where its numbers lead it: sizes are the caller's to check.

        Raises
        ------
        TypeError
            An array is not contiguous, or not of the dtype that was promised.
        RuntimeError
            The loop raised something.
        """
        code = self._code or self._load()
        values = [_as_c(argument, expected) for argument, expected in zip(arguments, self._dtypes, strict=True)]
        result, exception = ctypes.c_void_p(), ctypes.c_void_p()
        if code(ctypes.byref(result), ctypes.byref(exception), *values):
            raise RuntimeError(f"{self._function.__name__} failed")

    def _load(self) -> Callable[..., int]:
        with _LOADING:
            if self._code is None:
                name, machine_code = _compiled(self._function, self._types)
                c_types = (ctypes.c_void_p if one.endswith("*") else ctypes.c_int64 for one in self._types)
                prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *c_types)
                self._code = prototype(_link(name, machine_code))
            return self._code


def _as_c(argument: NDArray[Any] | int, expected: np.dtype[Any] | None) -> int:
    if not isinstance(argument, np.ndarray):
        return argument
    if argument.dtype != expected or not argument.flags.c_contiguous:
        raise TypeError(f"{argument.dtype} array, expected a contiguous one of {expected}")
    return int(argument.__array_interface__["data"][0])


def _link(name: str, machine_code: bytes) -> int:
    """Address of a function in machine code, once it is part of this process."""
    target = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
    engine.add_object_file(llvm.ObjectFileRef.from_data(machine_code))
    engine.finalize_object()
    _ENGINES.append(engine)
    return int(engine.get_function_address(name))


def _compiled(function: Callable[..., None], types: Sequence[str]) -> tuple[str, bytes]:
    """Name and machine code of a function for this processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    source = Path(function.__code__.co_filename)
    made_from = (
        source.read_text(encoding="utf-8"), function.__name__, *types, version("numba"), version("llvmlite"),
        llvm.get_default_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(),
    )  # fmt: skip
    made = kept(f"{function.__name__.strip('_')}.native", source, made_from, lambda: _compile(function, types))
    name, _, machine_code = made.partition(b"\0")
    return name.decode(), machine_code


def _compile(function: Callable[..., None], types: Sequence[str]) -> bytes:
    """Name of the function in the machine code, a zero byte, and the machine code."""
    import numba  # noqa: PLC0415 - takes a second, and is not needed again on this machine

    known: Any = numba.types
    arguments = tuple(
        known.CPointer(getattr(known, one[:-1])) if one.endswith("*") else getattr(known, one) for one in types
    )
    bare = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)  # type: ignore[call-overload]
    bare.compile(arguments)
    (made,) = bare.overloads.values()
    machine_code: bytes = made.library._get_compiled_object()  # noqa: SLF001 - numba has no other way
    name: str = made.fndesc.llvm_func_name
    return name.encode() + b"\0" + machine_code
