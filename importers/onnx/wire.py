"""The large tensors of a model file by where they are, so that the rest can be parsed without them.

Only the wire format of protocol buffers is read here: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bridge.ir.varints import field_header, varint

__all__ = ["Part", "without_large_tensors"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Field numbers of onnx.proto.
_MODEL_GRAPH, _GRAPH_INITIALIZER, _TENSOR_RAW_DATA = 7, 5, 9
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


@dataclass(slots=True, frozen=True)
class Part:
    """A run of bytes of the file."""

    offset: int
    length: int


class _Malformed(ValueError):
    pass


def without_large_tensors(data: Any, location: str, least: int) -> tuple[bytes, int] | None:
    """The serialised model with the raw data of initializers of ``least`` bytes or more left out, and how many there are.

    ``data`` is the file (anything that slices to bytes, an mmap). Each such tensor says instead that its data is external, at
    ``location``, with its place in the file. None when nothing is that large or the bytes are no message that is known; the
    caller then parses the whole.
    """
    try:
        graphs = [f for f in _fields(data, 0, len(data)) if f[0] == _MODEL_GRAPH and f[1] == _BYTES]
        if len(graphs) != 1:
            return None
        _, _, start, at, end = graphs[0]
        graph, count = _without(data, at, end, location, least)
    except (_Malformed, IndexError):
        return None
    if not count:
        return None
    return b"".join([data[:start], field_header(_MODEL_GRAPH, len(graph)), graph, data[end:]]), count


def _without(data: Any, at: int, end: int, location: str, least: int) -> tuple[bytes, int]:
    """A serialised graph without its large tensors."""
    pieces: list[bytes] = []
    copied, count = at, 0
    for number, kind, start, inside, stop in _fields(data, at, end):
        if number != _GRAPH_INITIALIZER or kind != _BYTES or stop - inside < least:
            continue
        tensor = _tensor(data, inside, stop, location, least)
        if tensor is not None:
            count += 1
            pieces += [data[copied:start], field_header(_GRAPH_INITIALIZER, len(tensor)), tensor]
            copied = stop
    pieces.append(data[copied:end])
    return b"".join(pieces), count


def _tensor(data: Any, at: int, end: int, location: str, least: int) -> bytes | None:
    """A serialised tensor whose raw data is said to be elsewhere; None when it is not to be moved."""
    kept: list[bytes] = []
    raw: Part | None = None
    for number, kind, start, inside, stop in _fields(data, at, end):
        if number in (_EXTERNAL_DATA, _DATA_LOCATION):
            return None
        if number == _TENSOR_RAW_DATA and kind == _BYTES:
            if raw is not None or stop - inside < least:
                return None
            raw = Part(inside, stop - inside)
        else:
            kept.append(data[start:stop])
    if raw is None:
        return None
    for key, value in (("location", location), ("offset", str(raw.offset)), ("length", str(raw.length))):
        entry = _text(1, key) + _text(2, value)
        kept.append(field_header(_EXTERNAL_DATA, len(entry)) + entry)
    kept.append(varint(_DATA_LOCATION << 3 | _VARINT) + b"\x01")
    return b"".join(kept)


def _fields(data: Any, at: int, end: int) -> Any:
    """(number, wire type, start of the field, start and end of its content) of every field of a message."""
    while at < end:
        start = at
        key, at = _read(data, at, end)
        kind = key & 7
        inside = at
        if kind == _VARINT:
            _, at = _read(data, at, end)
        elif kind == _BYTES:
            length, inside = _read(data, at, end)
            at = inside + length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise _Malformed
        if at > end:
            raise _Malformed
        yield key >> 3, kind, start, inside, at


def _read(data: Any, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _Malformed


def _text(number: int, text: str) -> bytes:
    data = text.encode()
    return field_header(number, len(data)) + data
