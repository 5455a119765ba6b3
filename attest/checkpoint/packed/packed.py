"""What a packed weight is: a matrix whose values are kept as codes, with scales in tensors beside it.

A scheme is one file here and a word in ``SCHEMES``. Digests and exact moments are of what is stored; what the codes
stand for is made while they pass by, in float32, for fingerprints that need the values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.tensor import Tensor
from attest.checkpoint.use import Use

__all__ = ["Held", "Packed", "Read", "Scheme", "Unpacker", "is_count", "of_matrix", "unpack_words"]

_MOST = 2**31

Read: TypeAlias = Callable[[Tensor], NDArray[Any]]
"""Gives the bits of a tensor beside the codes, in the dtype of ``BITS``."""


def of_matrix(tensor: Tensor, number: int, count: int) -> Tensor:
    """What a tensor holds for one matrix of a stack of so many: a slice of it, or all of it where it is for all of them."""
    n_bytes = tensor.end - tensor.begin
    if tensor.shape[:1] != (count,) or n_bytes % count:
        return tensor
    begin = tensor.begin + number * (n_bytes // count)
    return replace(tensor, shape=tensor.shape[1:], begin=begin, end=begin + n_bytes // count)


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A weight that is kept as codes.

    Parameters
    ----------
    scheme : str
        Id of a scheme.
    tensor : Tensor
        Holds the codes.
    companions : mapping of str to Tensor
        What else its values follow from, by what it is.
    name : str
        Of the weight, as it would be called if its values were stored.
    shape : tuple of (n_outputs, n_inputs)
    stacked : int or None
        So many matrices of that shape follow each other, and so does what lies beside each; None for one matrix.
    turned : bool
        Whether the rows that come out are inputs.
    as_stored : bool
        Whether values lie where their codes do, so that ``shape`` is that of the codes, and a matrix of a stack may be
        inputs by outputs as one that is not packed.
    settings : mapping of str to int
        What names and shapes do not tell.
    zeros : tuple of int
        Of the matrix or of each output, where they are no tensor.
    """

    scheme: str
    tensor: Tensor
    companions: Mapping[str, Tensor]
    name: str
    shape: tuple[int, int]
    stacked: int | None = None
    turned: bool = False
    as_stored: bool = False
    settings: Mapping[str, int] = field(default_factory=dict)
    zeros: tuple[int, ...] = ()

    @property
    def weight(self) -> Tensor:
        """The weight as a tensor of the place where its codes lie."""
        shape = self.shape if self.stacked is None else (self.stacked, *self.shape)
        return replace(self.tensor, name=self.name, dtype="F32", shape=shape)

    @property
    def unpacked(self) -> Tensor:
        """The matrix as it comes out, or those of a stack as one, under the name of the codes."""
        n_rows, n_columns = self.shape[::-1] if self.turned else self.shape
        return replace(self.tensor, dtype="F32", shape=((self.stacked or 1) * n_rows, n_columns))

    def matrix(self, number: int) -> Packed:
        """One matrix of a stack, as if it were stored alone; the weight itself where it is no stack."""
        if self.stacked is None:
            return self
        return replace(
            self,
            tensor=of_matrix(self.tensor, number, self.stacked),
            companions={kind: of_matrix(one, number, self.stacked) for kind, one in self.companions.items()},
            stacked=None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpacker:
    """Makes values out of codes.

    Parameters
    ----------
    stored, made : int
        So many stored rows make so many rows of the matrix; codes come in multiples of that.
    unpack : callable
        float32 rows of the matrix from stored rows, and from the number of the first that is to be made.
    """

    stored: int
    made: int
    unpack: Callable[[NDArray[Any], int], NDArray[np.float32]]


def is_count(value: object) -> bool:
    """Whether a claimed value is a number from 1 on that arrays can be cut by."""
    return type(value) is int and 0 < value < _MOST


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What a scheme looks for its parts in.

    Parameters
    ----------
    format : str
        Id of the format.
    tensors : mapping of str to Tensor
        All tensors, by name.
    claims : mapping
        ``quantization_config`` of the configuration, or nothing: claims.
    modules : mapping
        ``quantization`` of the configuration, as MLX writes it: settings, and those of modules by their path. Claims, too.
    uses : mapping of str to Use
        How a graph multiplies with matrices, by their names. Claims, too.
    zeros : mapping of str to tuple of int
        Zeros beside codes that are no tensor, by their names.
    read : callable
        Reads a small tensor.
    stacked : int or None
        Where set, tensors are seen as the first of so many matrices has them.
    """

    format: str
    tensors: Mapping[str, Tensor]
    claims: Mapping[str, Any]
    read: Read
    modules: Mapping[str, Any] = field(default_factory=dict)
    uses: Mapping[str, Use] = field(default_factory=dict)
    zeros: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    stacked: int | None = None

    def get(self, name: str) -> Tensor | None:
        """A tensor by name; None where there is none."""
        tensor = self.tensors.get(name)
        return tensor if tensor is None or self.stacked is None else of_matrix(tensor, 0, self.stacked)

    def part(self, name: str, dtypes: frozenset[str], n_dimensions: int) -> Tensor | None:
        """A tensor of one of these dtypes with so many dimensions; None where there is none of that name."""
        tensor = self.get(name)
        fits = tensor is not None and tensor.dtype in dtypes and len(tensor.shape) == n_dimensions
        return tensor if fits else None

    def number(self, name: str) -> int | None:
        """A claimed setting that is a number of at least 1."""
        value = self.claims.get(name)
        return value if type(value) is int and is_count(value) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """One way to pack weights.

    Parameters
    ----------
    id : str
        As findings call it.
    dtypes : frozenset of str
        Of the tensors that hold its codes.
    find : callable
        The matrix whose codes a tensor holds; None for another tensor, and where its parts do not fit each other.
    open : callable
        The unpacker of a matrix, which holds what lies beside the codes.
    """

    id: str
    dtypes: frozenset[str]
    find: Callable[[Tensor, Held], Packed | None]
    open: Callable[[Packed, Read], Unpacker]


def unpack_words(words: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Codes of up to 8 bits that follow each other down the columns of 32-bit words, the lowest bits first.

    Parameters
    ----------
    words : ndarray of shape (n, m), int32 or uint32
        ``n * 32`` is a multiple of ``bits``, and n of the words that whole codes fill.
    bits : int

    Returns
    -------
    ndarray of shape (n * 32 // bits, m), uint8
    """
    together = bits // np.gcd(bits, 32)
    words = words.view(np.uint32).reshape(-1, together, words.shape[1])
    codes = np.empty((words.shape[0], together * 32 // bits, words.shape[2]), np.uint8)
    for place in range(codes.shape[1]):
        word, shift = divmod(place * bits, 32)
        code = words[:, word] >> np.uint32(shift)
        if shift + bits > 32:
            code |= words[:, word + 1] << np.uint32(32 - shift)
        codes[:, place] = code & np.uint32((1 << bits) - 1)
    return codes.reshape(-1, words.shape[2])
