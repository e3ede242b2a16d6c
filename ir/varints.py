"""Numbers and headers of fields as protocol buffers write them, for files that are too large to be built in memory.

Follows the encoding of protocol buffers: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

__all__ = ["LENGTH_DELIMITED", "field_header", "varint"]

#: The wire type of strings, bytes and messages.
LENGTH_DELIMITED = 2


def varint(value: int) -> bytes:
    """A number that is not negative, seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field_header(number: int, length: int) -> bytes:
    """What stands before the ``length`` bytes of a string, of bytes or of a message: its tag and its length."""
    return varint(number << 3 | LENGTH_DELIMITED) + varint(length)
