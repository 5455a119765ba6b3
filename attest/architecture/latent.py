"""Heads of latent attention, whose parts lie in matrices of different widths.

A head's queries, and its keys, have a part without positions and a rotary one. The rotary keys of all heads are the same and
come out of ``kv_a``; the other keys and the values of each head come out of ``kv_b``, which some containers cut in two.

References
----------
DeepSeek-AI, "DeepSeek-V2: A Strong, Economical, and Efficient Mixture-of-Experts Language Model", 2024, section 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attest.architecture.layout import Rows
from attest.architecture.shape import Sizes

__all__ = ["LatentHeads"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentHeads:
    """How many heads there are, and the sizes of their parts.

    Parameters
    ----------
    count : int
    d_key, d_rotary, d_value : int
        Of each head: keys without positions, rotary ones, values.
    """

    count: int
    d_key: int
    d_rotary: int
    d_value: int

    @classmethod
    def of(cls, sizes: Sizes, *, claimed: int | None) -> LatentHeads | None:
        """Heads as the shapes tell them; None where they do not, or where another number is claimed.

        Notes
        -----
        With n heads, queries have n (d_key + d_rotary) outputs, ``kv_b`` n (d_key + d_value), and ``o`` n d_value inputs. The
        first and the last less the second are n d_rotary, and ``kv_a`` has d_rotary outputs more than ``kv_b`` has inputs.
        """
        d_q, d_o, d_kv = sizes.d_q_b or sizes.d_q, sizes.d_o, sizes.d_kv_b
        if not d_q or not d_o or not d_kv or not sizes.d_kv_a or not sizes.d_latent:
            return None
        d_rotary, of_rotary = sizes.d_kv_a - sizes.d_latent, d_q - d_kv + d_o
        if d_rotary <= 0 or of_rotary <= 0 or of_rotary % d_rotary:
            return None
        count = of_rotary // d_rotary
        if claimed not in {None, count} or d_kv % count or d_o % count or d_kv <= d_o:
            return None
        return cls(count=count, d_key=(d_kv - d_o) // count, d_rotary=d_rotary, d_value=d_o // count)

    def rows(self, role: str) -> Mapping[str, Rows]:
        """Which outputs of a matrix (inputs of ``o``) are the heads' queries, keys, values or outputs; one period a head."""
        d_q, d_kv = self.d_key + self.d_rotary, self.d_key + self.d_value
        queries = {"q": self._part(0, d_q, d_q)}
        return {
            "q": queries,
            "q_b": queries,
            "k_b": {"k": self._part(0, self.d_key, self.d_key)},
            "v_b": {"v": self._part(0, self.d_value, self.d_value)},
            "kv_b": {"k": self._part(0, self.d_key, d_kv), "v": self._part(self.d_key, self.d_value, d_kv)},
            "o": {"o": self._part(0, self.d_value, self.d_value)},
        }.get(role, {})

    def _part(self, begin: int, length: int, period: int) -> Rows:
        return Rows(begin=begin, length=length, period=period, count=self.count * length)
