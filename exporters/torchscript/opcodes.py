"""The opcodes of a pickle of protocol 2, with the memo that torch keeps: of strings, names, and what the caller puts in."""

from __future__ import annotations

import struct
from collections.abc import Iterable

__all__ = ["Opcodes"]


class Opcodes:
    """A pickle being written. Each method appends the opcodes that leave one value on the reader's stack."""

    def __init__(self) -> None:
        self._out = bytearray(b"\x80\x02")
        self._next = 0
        self._strings: dict[str, int] = {}
        self._names: dict[tuple[str, str], int] = {}

    def data(self) -> bytes:
        """What was written so far."""
        return bytes(self._out)

    def raw(self, opcodes: bytes) -> None:
        """Opcodes as they are."""
        self._out += opcodes

    def integer(self, n: int) -> None:
        """An integer. Raises OverflowError beyond 64 bits."""
        if 0 <= n < 1 << 8:
            self._out += b"K" + struct.pack("<B", n)
        elif 0 <= n < 1 << 16:
            self._out += b"M" + struct.pack("<H", n)
        elif -(1 << 31) <= n < 1 << 31:
            self._out += b"J" + struct.pack("<i", n)
        elif -(1 << 63) <= n < 1 << 63:
            self._out += b"\x8a\x08" + struct.pack("<q", n)
        else:
            raise OverflowError(f"{n} does not fit in 64 bits")

    def real(self, x: float) -> None:
        """A float."""
        self._out += b"G" + struct.pack(">d", x)

    def string(self, text: str) -> None:
        """A string, written once."""
        known = self._strings.get(text)
        if known is not None:
            return self.get(known)
        data = text.encode("utf-8", "surrogatepass")
        self._out += b"X" + struct.pack("<I", len(data)) + data
        self._strings[text] = self.put()
        return None

    def name(self, module: str, name: str) -> None:
        """A global name, written once."""
        known = self._names.get((module, name))
        if known is not None:
            return self.get(known)
        self._out += f"c{module}\n{name}\n".encode()
        self._names[module, name] = self.put()
        return None

    def int_list(self, numbers: Iterable[int]) -> None:
        """A ``List[int]``."""
        self.name("torch.jit._pickle", "build_intlist")
        self._out += b"(]("
        for n in numbers:
            self.integer(n)
        self._out += b"etR"

    def put(self) -> int:
        """Keep the value on top of the stack; its number."""
        number = self._next
        self._out += b"q" + struct.pack("<B", number) if number < 256 else b"r" + struct.pack("<I", number)
        self._next += 1
        return number

    def get(self, number: int) -> None:
        """The value kept under a number."""
        self._out += b"h" + struct.pack("<B", number) if number < 256 else b"j" + struct.pack("<I", number)
