"""Tensor constants inside graph texts: torch's C++ tensor printing, with line ends as spaces.

One element is printed as ``{value}``, up to ten as a table with the type at its end, more as ``<Tensor>``.
:func:`read_tensor` reads tables back, to the digits that were printed.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np

from bridge.ir.dtypes import DTYPES, by_numpy
from bridge.ir.errors import IRError, ParseError

__all__ = ["MAX_ELEMENTS", "OpaqueTensor", "read_tensor", "stream_text", "tensor_text"]

#: Tensors of more elements are not written out.
MAX_ELEMENTS = 10
_LINE = 80
_NEWLINE = "\n"


class OpaqueTensor:
    """A tensor known by its text only: without its elements, or (``array``) with the rounded ones of the text."""

    __slots__ = ("array", "text")

    def __init__(self, text: str = "<Tensor>", array: np.ndarray[Any, Any] | None = None) -> None:
        self.text, self.array = text, array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self.array is None:
            raise IRError("a tensor that was read from a graph text has no elements there")
        return np.array(self.array, dtype)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpaqueTensor) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return self.text


def tensor_text(array: Any) -> str:
    """The text of a tensor attribute (anything that numpy.asarray takes)."""
    if isinstance(array, OpaqueTensor):
        return array.text
    array = np.asarray(array)
    if array.size == 1:
        return f"{{{_item_text(array.reshape(()).item())}}}"
    if array.size > MAX_ELEMENTS:
        return "<Tensor>"
    return stream_text(array).replace("\n", " ")


def stream_text(array: Any) -> str:
    """A tensor of any size as torch's C++ prints it, on several lines."""
    array = np.asarray(array)
    values = (array.real if np.iscomplexobj(array) else array).astype(np.float64)
    kind = f"[ CPU{by_numpy(array.dtype).label}Type{{{','.join(map(str, array.shape))}}} ]"
    return f"{values.item():g}\n{kind}" if array.ndim == 0 else _table(values) + kind


def _item_text(value: Any) -> str:
    if isinstance(value, complex):
        return f"({value.real:g},{value.imag:g})"
    return f"{value:g}" if isinstance(value, float) else str(int(value))


def _table(values: np.ndarray[Any, Any]) -> str:
    if values.size == 0:
        return ""
    if values.ndim == 1:
        cells, scale = _format(values.tolist())
        head = "" if scale == 1 else f"{_scale_text(scale)} *\n"
        return head + "".join(f"{c}\n" for c in cells)
    if values.ndim == 2:
        return _matrix(values, 0)
    parts = []
    outer = values.shape[:-2]
    for reverse in itertools.product(*(range(n) for n in reversed(outer))):
        index = tuple(reversed(reverse))
        parts.append(f"({','.join(str(i + 1) for i in index)},.,.) = \n{_matrix(values[index], 1)}")
    return "\n".join(parts)


def _matrix(values: np.ndarray[Any, Any], indent: int) -> str:
    flat, scale = _format(values.reshape(-1).tolist())
    rows, columns = values.shape
    per_line = (_LINE - indent) // (len(flat[0]) + 1)
    margin = " " * indent
    parts = []
    for first in range(0, columns, per_line):
        last = min(first + per_line, columns)
        if per_line < columns:
            parts.append(f"{_NEWLINE if first else ''}Columns {first + 1} to {last}{margin}")
        if scale != 1:
            parts.append(f"{_scale_text(scale)} *\n{margin}")
        for row in range(rows):
            if row:
                parts.append(margin + (" " if scale != 1 else ""))
            parts.append(" ".join(flat[row * columns + first : row * columns + last]) + "\n")
    return "".join(parts)


def _scale_text(scale: float) -> str:
    return repr(scale).removesuffix(".0")


def _format(values: list[float]) -> tuple[list[str], float]:
    """The cells, all of one width, and the factor that was taken out."""
    finite = [abs(v) for v in values if math.isfinite(v)]
    low, high = (math.floor(math.log10(m)) + 1 if m else 1 for m in (min(finite, default=1), max(finite, default=1)))
    scale = 1.0
    if all(v == math.ceil(v) for v in values if math.isfinite(v)):
        width, spec = (11, ".4e") if high > 9 else (high + 1, "g")
    elif high - low > 4:
        width, spec = (12 if abs(high) > 99 or abs(low) > 99 else 11), ".4e"
    elif high > 5 or high < 0:
        width, spec, scale = 7, ".4f", math.pow(10, high - 1)
    else:
        width, spec = (7 if high == 0 else high + 6), ".4f"
    return [f"{v / scale:>{width}{spec}}" for v in values], scale


_TYPE = re.compile(r"\[ CPU(\w+)Type\{([\d,]*)\} \]")
_NUMBER = re.compile(r"(?:-?(?:inf|nan)|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?= )")
_SCALE = re.compile(r"\s*([\d.e+-]+) \* ")
_LABELS = {d.label: d for d in DTYPES}


def read_tensor(text: str) -> np.ndarray[Any, Any] | OpaqueTensor:
    """The array that a table of :func:`tensor_text` shows, such that its text is the same. Raises ParseError."""
    array = _read_table(text)
    # Where rounding made other digits significant (123456.5 shown as 1.2346e+05), the text is kept beside the values.
    return array if tensor_text(array) == text else OpaqueTensor(text, array)


def _read_table(text: str) -> np.ndarray[Any, Any]:
    m = _TYPE.search(text)
    if m is None or m.group(1) not in _LABELS:
        raise ParseError(f"not the text of a tensor: {text}")
    shape = tuple(int(n) for n in m.group(2).split(",") if n)
    dtype = _LABELS[m.group(1)].numpy
    body = text[: m.start()]
    blocks = [body]
    order: list[tuple[int, ...]] = [()]
    if len(shape) > 2:
        pieces = re.split(r"\(([\d,]+),\.,\.\) = ", body)
        order = [tuple(int(n) - 1 for n in p.split(",")) for p in pieces[1::2]]
        blocks = pieces[2::2]
    values = np.zeros(shape, np.float64)
    if values.size == 0:
        return values.astype(dtype)
    for index, block in zip(order, blocks, strict=True):
        part = values[index] if index else values
        part[...] = _read_block(block, part.shape, text)
    return values.astype(dtype)


def _read_block(block: str, shape: tuple[int, ...], text: str) -> np.ndarray[Any, Any]:
    pieces = re.split(r"Columns \d+ to \d+", block)
    columns = []
    for piece in pieces if len(pieces) == 1 else pieces[1:]:
        m = _SCALE.match(piece)
        scale = float(m.group(1)) if m else 1.0
        numbers = [float(n) * scale for n in _NUMBER.findall(piece[m.end() :] if m else piece)]
        rows = shape[0] if len(shape) == 2 else 1
        if len(numbers) % rows:
            raise ParseError(f"not the text of a tensor: {text}")
        columns.append(np.array(numbers).reshape(rows, -1))
    try:
        return np.concatenate(columns, 1).reshape(shape)
    except ValueError:
        raise ParseError(f"not the text of a tensor: {text}") from None
