"""How tensors print: the text that torch prints, to the byte.

One number format is chosen for the whole tensor (for the shown part, when it is summarised): integers with a point,
fixed or scientific notation; all numbers take the same width, rows break at ``linewidth``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge import _dispatch
from bridge.ir.dtypes import default_dtype

if TYPE_CHECKING:
    from bridge.tensor import Tensor

__all__ = ["get_printoptions", "printoptions", "set_printoptions", "tensor_text"]

Array = np.ndarray[Any, Any]


@dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_options = _Options()
_profiles = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print: digits, elements before summarising, shown edges, columns, scientific notation (None:
    where it serves). ``profile`` is "default", "short" or "full" and is applied first."""
    if profile is not None:
        p = _profiles[profile]
        _options.precision, _options.threshold = p.precision, p.threshold
        _options.edgeitems, _options.linewidth = p.edgeitems, p.linewidth
    if precision is not None:
        _options.precision = precision
    if threshold is not None:
        _options.threshold = threshold
    if edgeitems is not None:
        _options.edgeitems = edgeitems
    if linewidth is not None:
        _options.linewidth = linewidth
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options of :func:`set_printoptions` in force."""
    return asdict(_options)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """For a ``with`` block, print with other options."""
    old = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**old)


class _Format:
    """The number format for one array: its notation and width."""

    def __init__(self, values: Array) -> None:
        self.floating = values.dtype.kind in "fV"
        self.scientific, self.integral, self.width = False, True, 1
        flat = values.reshape(-1)
        if not self.floating:
            if flat.size:
                self.width = max(len(str(v)) for v in _extremes(flat))
            return
        finite = flat[np.isfinite(flat) & (flat != 0)].astype(np.float64)
        if not finite.size:
            return
        size = np.abs(finite)
        low, high = float(size.min()), float(size.max())
        self.integral = bool((finite == np.ceil(finite)).all())
        chosen = _options.sci_mode
        self.scientific = (high / low > 1000.0 or high > 1e8 or low < 1e-4) if chosen is None else chosen
        digits = _options.precision
        if self.scientific:
            shown = [f"{v:.{digits}e}" for v in finite.tolist()]
        elif self.integral:
            shown = [f"{v:.0f}." for v in finite.tolist()]
        else:
            shown = [f"{v:.{digits}f}" for v in finite.tolist()]
        self.width = max(1, *map(len, shown))

    def text(self, value: Any) -> str:
        """A number, padded to the width."""
        if not self.floating:
            return f"{value}".rjust(self.width)
        if self.scientific:
            return f"{value:{self.width}.{_options.precision}e}"
        if self.integral:
            return (f"{value:.0f}" + ("." if math.isfinite(value) else "")).rjust(self.width)
        return f"{value:.{_options.precision}f}".rjust(self.width)


def _extremes(flat: Array) -> list[Any]:
    """Elements among which the longest text is: for numbers the least and the greatest, for booleans all kinds."""
    if flat.dtype == np.bool_:
        return [bool(v) for v in np.unique(flat)]
    return [int(flat.min()), int(flat.max())]


class _Complex:
    """The format of complex numbers: one for each part."""

    def __init__(self, values: Array) -> None:
        self.real, self.imag = _Format(values.real), _Format(values.imag)
        self.width = self.real.width + self.imag.width + 1

    def text(self, value: complex) -> str:
        imag = (self.imag.text(value.imag) + "j").lstrip()
        return self.real.text(value.real) + (imag if imag[0] in "+-" else "+" + imag)


class _Strings:
    """The format of strings, which only ONNX's tensors hold."""

    def __init__(self, values: Array) -> None:
        self.width = max(map(len, map(repr, values.reshape(-1).tolist())))

    def text(self, value: str) -> str:
        return repr(value).rjust(self.width)


def _rows(array: Array, indent: int, summarise: bool, form: _Format | _Complex | _Strings) -> str:
    edge = _options.edgeitems
    n = array.shape[0]
    cut = summarise and n > 2 * edge
    if array.ndim > 1:
        if cut:
            parts = [_rows(array[i], indent + 1, summarise, form) for i in range(edge)] + ["..."]
            parts += [_rows(array[i], indent + 1, summarise, form) for i in range(n - edge, n)]
        else:
            parts = [_rows(a, indent + 1, summarise, form) for a in array]
        return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"
    if summarise and not edge:
        data = ["..."]
    elif cut:
        data = [form.text(v) for v in array[:edge].tolist()] + [" ..."]
        data += [form.text(v) for v in array[-edge:].tolist()]
    else:
        data = [form.text(v) for v in array.tolist()]
    step = max(1, math.floor((_options.linewidth - indent) / (form.width + 2)))
    lines = [", ".join(data[i : i + step]) for i in range(0, len(data), step)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _shown_part(array: Array) -> Array:
    """The elements that a summary shows."""
    edge = _options.edgeitems
    if array.ndim > 1 and not edge:
        return array[:0]
    for axis, n in enumerate(array.shape):
        if n > 2 * edge:
            array = np.take(array, [*range(edge), *range(n - edge, n)], axis=axis)
    return array


def _contents(array: Array, indent: int) -> str:
    if array.size == 0:
        return "[]"
    if array.dtype.kind == "V":  # the short floating types: NumPy computes little with them
        array = array.astype(np.int8 if "int" in array.dtype.name else np.float32)
    summarise = array.size > _options.threshold
    part = _shown_part(array) if summarise else array
    form: _Format | _Complex | _Strings
    if array.dtype.kind == "c":
        form = _Complex(part)
    else:
        form = _Strings(part) if array.dtype.kind == "O" else _Format(part)
    if array.ndim == 0:
        return form.text(array.item())
    return _rows(array, indent, summarise, form)


def tensor_text(t: Tensor) -> str:
    """The text of a tensor, ``tensor([1., 2.], dtype=torch.float64, grad_fn=<AddBackward0>)``."""
    active, _dispatch.tracer = _dispatch.tracer, None
    try:
        plain = type(t).__name__ in ("Tensor", "Parameter")
        prefix = "tensor(" if plain else f"{type(t).__name__}("
        text = prefix + _contents(t._array, len(prefix))
        last = len(text) - text.rfind("\n") + 1
        for suffix in _suffixes(t):
            if last + len(suffix) + 2 > _options.linewidth:
                text += ",\n" + " " * len(prefix) + suffix
                last = len(prefix) + len(suffix)
            else:
                text += ", " + suffix
                last += len(suffix) + 2
        text += ")"
        return f"Parameter({text})" if t._is_parameter and not plain else text
    finally:
        _dispatch.tracer = active


def _suffixes(t: Tensor) -> list[str]:
    default = default_dtype()
    dtype = t.dtype
    usual = {default.name, "complex128" if default.name == "float64" else "complex64", "int64", "bool"}
    found = []
    if t._array.size == 0:
        if t._array.ndim != 1:
            found.append(f"size={tuple(t._array.shape)}")
        if dtype is not default:
            found.append(f"dtype={dtype!r}")
    else:
        if not _options.edgeitems:
            found.append(f"size={tuple(t._array.shape)}")
        if dtype.name not in usual:
            found.append(f"dtype={dtype!r}")
    node = t.grad_fn
    if node is not None:
        found.append(f"grad_fn=<{node.name()}>")
    elif t.requires_grad:
        found.append("requires_grad=True")
    return found
