"""Loops as machine code: compiled once by numba, kept on disk, and from then on loaded without numba.

Starting numba takes longer than hashing half a gigabyte; loading what it once made takes milliseconds. A kernel takes
addresses and sizes, and the function around it checks them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kernel", "expect_shape"]

_LOADING = Lock()
_IGNORED = ctypes.byref(ctypes.c_void_p())
"""Where a loop leaves its result, which is nothing, and what it raised, of which no more is said than that."""
_MEMORY = ctypes.c_byte * 0
"""Stands for the place where an array begins."""


class Kernel:
    """A loop over memory, loaded at its first call; the lock on the interpreter is released while it runs.

    Parameters
    ----------
    function : callable
        Python that numba compiles, without fast-math: no sum is reordered. It gets pointers and integers, makes no
        array, and returns nothing. Functions of its own module that it calls are compiled with it.
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
        ValueError
            There are more or fewer arguments than types.
        RuntimeError
            The loop raised something.
        """
        code = self._code or self._load()
        if len(arguments) != len(self._dtypes):
            raise ValueError(f"{len(arguments)} arguments, expected {len(self._dtypes)}")
        if code(_IGNORED, _IGNORED, *map(_as_c, arguments, self._dtypes)):
            raise RuntimeError(f"{self._function.__name__} failed")

    def _load(self) -> Callable[..., int]:
        from attest.machine_code import load  # noqa: PLC0415 - LLVM starts while other threads hash

        with _LOADING:
            if self._code is None:
                c_types = (ctypes.c_void_p if one.endswith("*") else ctypes.c_int64 for one in self._types)
                prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *c_types)
                self._code = prototype(load(self._function, self._types))
            return self._code


def _as_c(argument: NDArray[Any] | int, expected: np.dtype[Any] | None) -> Any:
    if not isinstance(argument, np.ndarray):
        return argument
    flags, dtype = argument.flags, argument.dtype
    if (dtype is not expected and dtype != expected) or not flags.c_contiguous:
        raise TypeError(f"{argument.dtype} array, expected a contiguous one of {expected}")
    # The address as a number takes four times as long, and kernels of small tensors take as long as their arguments.
    return _MEMORY.from_buffer(argument) if flags.writeable else argument.__array_interface__["data"][0]  # type: ignore[arg-type]  # is a buffer


def expect_shape(array: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Raise ``ValueError`` unless an array has the shape that a loop takes it to have."""
    if array.shape != shape:
        raise ValueError(f"shape {array.shape}, expected {shape}")
