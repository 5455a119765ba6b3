"""Protocol buffers, walked field by field: nothing is built, and no value is read that nobody asks for.

References
----------
Protocol Buffers, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from attest.checkpoint.cursor import Cursor, refuse

__all__ = ["Field", "Walk"]

_MAX_FIELDS: Final = 1_000_000
_MAX_TEXT: Final = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of a message: its number, and its value, or the bytes it takes from here."""

    number: int
    wire: int
    value: int


class Walk:
    """Walks the messages of one file of ONNX, never more than ``_MAX_FIELDS`` fields."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self._fields = 0

    def fields(self, size: int) -> Iterator[Field]:
        """Fields of a message of ``size`` bytes that begins here; what the caller leaves of one is passed by."""
        cursor = self.cursor
        end = cursor.position + size
        while cursor.position < end:
            self._fields += 1
            if self._fields > _MAX_FIELDS:
                refuse("header-too-long", f"holds more than {_MAX_FIELDS} fields", cursor.file)
            key = self.varint()
            wire, number = key & 7, key >> 3
            value = self.varint() if wire in {0, 2} else {1: 8, 5: 4}.get(wire, -1)
            if not 0 < number < 2**29 or value < 0:
                refuse("not-onnx", f"byte {cursor.position} begins no field of a message", cursor.file)
            after = cursor.position + (value if wire else 0)
            if after > end:
                refuse("truncated-file", f"a field at byte {cursor.position} is longer than what holds it", cursor.file)
            yield Field(number=number, wire=wire, value=value)
            if cursor.position > after:
                refuse("not-onnx", f"a value goes on behind byte {after}, the end of its field", cursor.file)
            cursor.pass_by(after - cursor.position)

    def varint(self) -> int:
        """The next integer of varying length, at most 64 bits."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.cursor.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            refuse("not-onnx", f"an integer before byte {self.cursor.position} has no end", self.cursor.file)
        return value & 0xFFFFFFFFFFFFFFFF

    def text(self, one: Field) -> str:
        """The beginning of a string field."""
        if one.wire != 2:
            refuse("not-onnx", f"the field {one.number} should be a string", self.cursor.file)
        return self.cursor.read(min(one.value, 4 * _MAX_TEXT)).decode(errors="replace")[:_MAX_TEXT]

    def pair(self, size: int) -> tuple[str, str]:
        """Key and value of a StringStringEntryProto."""
        texts = {1: "", 2: ""}
        for one in self.fields(size):
            if one.number in texts:
                texts[one.number] = self.text(one)
        return texts[1], texts[2]
