"""Resizing along the last dimensions: nearest, linear, cubic, and these with a filter against aliasing.

Every mode is a linear map along each dimension, so the kernel is a product with one matrix per dimension and the gradient a
product with their transposes. Where an element of the result lies in the input is ATen's arithmetic, in single precision
for all but double tensors, because a result changes by a whole element where it rounds otherwise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_numpy
from bridge.ir.errors import BridgeError, UnsupportedError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import at_least, holds, none_true
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import BOOL, FLOAT32, FLOAT64, INT64, ints, is_lowered, typed
from bridge.ir.ops._samples import S, f4, f8, i8, of
from bridge.ir.rules import Call, Results, result

# -- where an element lies ---------------------------------------------------------------------------------------------


def _step(n: int, out: int, factor: float | None, aligned: bool, real: Any) -> Any:
    """How far in the input one element of the result is from the next."""
    if aligned:
        return real((n - 1) / real(out - 1)) if out > 1 else real(0)
    return real(1.0 / factor) if factor is not None and factor > 0 else real(n) / real(out)


def _nearest(n: int, out: int, factor: float | None, exact: bool, flat: bool) -> Array:
    """The element of the input that each element of the result is. In two dimensions (``flat``), a factor does not count
    where the size stays or doubles."""
    at: Array = np.arange(out)
    if flat and n == out:
        return at
    if flat and out == 2 * n:
        return at >> 1
    step = _step(n, out, factor, False, np.float32)
    places = (at.astype(np.float32) + np.float32(0.5)) * step if exact else at.astype(np.float32) * step
    return np.asarray(np.minimum(np.floor(places), n - 1), np.int64)


def _linear(n: int, out: int, factor: float | None, aligned: bool, real: Any) -> Array:
    m = np.zeros((out, n), real)
    if n == out:
        return np.eye(n, dtype=real)
    step, at = _step(n, out, factor, aligned, real), np.arange(out).astype(real)
    places = at * step if aligned else np.maximum((at + real(0.5)) * step - real(0.5), real(0))
    low = np.minimum(np.floor(places).astype(np.int64), n - 1)
    part = np.clip(places - low.astype(real), 0, 1).astype(real)
    np.add.at(m, (np.arange(out), low), 1 - part)
    np.add.at(m, (np.arange(out), np.minimum(low + 1, n - 1)), part)
    return m


def _cubic_weights(part: Any, a: float) -> list[Any]:
    """The weights of the four elements around a place, ``part`` of the way from the second to the third."""

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(part + 1), near(part), near(1 - part), far(2 - part)]


def _cubic(n: int, out: int, factor: float | None, aligned: bool, real: Any) -> Array:
    m = np.zeros((out, n), real)
    step, at = _step(n, out, factor, aligned, real), np.arange(out).astype(real)
    places = at * step if aligned else (at + real(0.5)) * step - real(0.5)
    low = np.floor(places)
    for k, w in enumerate(_cubic_weights(places - low, -0.75)):
        np.add.at(m, (np.arange(out), np.clip(low.astype(np.int64) + k - 1, 0, n - 1)), w.astype(real))
    return m


def _smooth(n: int, out: int, factor: float | None, aligned: bool, real: Any, kind: str) -> Array:
    """Against aliasing: a filter as wide as the step, its weights scaled to sum to one."""
    if n == out:
        return np.eye(n, dtype=real)
    width, weigh = _FILTERS[kind]
    step = float(_step(n, out, factor, aligned, real))
    support = width * max(step, 1.0)
    m = np.zeros((out, n), real)
    for i in range(out):
        center = step * (i + 0.5)
        first = max(int(center - support + 0.5), 0)
        last = min(int(center + support + 0.5), n)
        places = (np.arange(first, last) - center + 0.5) / max(step, 1.0)
        w = weigh(places)
        m[i, first:last] = w / w.sum() if w.sum() else w
    return m


def _cubic_filter(x: Array) -> Array:
    x = np.abs(x)
    _, near, _, _ = _cubic_weights(x, -0.5)
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1, near, np.where(x < 2, far, 0))


_FILTERS: dict[str, tuple[float, Any]] = {
    "bilinear": (1.0, lambda x: np.maximum(1 - np.abs(x), 0)),
    "bicubic": (2.0, _cubic_filter),
    "lanczos": (3.0, lambda x: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)),
}


# -- one operator ------------------------------------------------------------------------------------------------------


class _Kind:
    """One operator: over how many dimensions, and how it weighs. ``smooth`` is the kind of filter against aliasing."""

    def __init__(self, name: str, n: int, mode: str, smooth: str = "") -> None:
        self.name, self.n, self.mode, self.smooth = name, n, mode, smooth

    @property
    def aligns(self) -> bool:
        """Whether there is an argument ``align_corners``."""
        return not self.mode.startswith("nearest")

    @property
    def flat(self) -> bool:
        """Whether sizes that stay or double are special."""
        return self.n == 2 and self.mode == "nearest"

    def wanted(self, shape: Any, size: Any, factors: Any) -> tuple[list[int], list[float | None]]:
        """The sizes of the result and the factors that were given. Raises BridgeError as torch does."""
        if len(shape) != self.n + 2:
            raise BridgeError(f"It is expected input_size equals to {self.n + 2}, but got size {len(shape)}")
        given = [None] * self.n if factors is None else list(factors)
        if size is None:
            if factors is None:
                raise BridgeError("Must specify exactly one of output_size and scale_factors")
            size = [int(n * f) for n, f in zip(shape[2:], factors, strict=True)]
        if len(size) != self.n:
            raise BridgeError(f"It is expected output_size equals to {self.n}, but got size {len(size)}")
        if any(s <= 0 for s in (*shape[2:], *size)):
            made = [
                ", ".join(f"{n}: {s}" for n, s in zip("DHW"[3 - self.n :], sizes, strict=True))
                for sizes in (shape[2:], size)
            ]
            raise BridgeError(
                f"Input and output sizes should be greater than 0, but got input ({made[0]}){' and' * (self.n == 1)} "
                f"output ({made[1]})"
            )
        if 0 in shape[1:]:
            raise BridgeError(f"Non-empty {self.n + 2}D data tensor expected but got a tensor with sizes {list(shape)}")
        return [int(s) for s in size], given

    def matrix(self, n: int, out: int, factor: float | None, aligned: bool, real: Any) -> Array:
        """The map along one dimension (not of the nearest kinds)."""
        if self.smooth:
            return _smooth(n, out, factor, aligned, real, self.smooth)
        if self.mode == "cubic":
            return _cubic(n, out, factor, aligned, real)
        return _linear(n, out, factor, aligned, real)

    def maps(self, shape: Any, size: Any, aligned: bool, factors: Any, double: bool) -> list[Array]:
        """The matrices, or for the nearest kinds the places, of each dimension."""
        sizes, given = self.wanted(shape, size, factors)
        per_dim = zip(shape[2:], sizes, given, strict=True)
        if not self.aligns:
            return [_nearest(n, o, f, self.mode != "nearest", self.flat) for n, o, f in per_dim]
        real = np.float64 if double else np.float32
        return [self.matrix(n, o, f, aligned, real) for n, o, f in per_dim]

    def run(self, x: Array, size: Any, aligned: bool, factors: Any) -> Array:
        """The kernel."""
        maps = self.maps(x.shape, size, aligned, factors, x.dtype == np.float64)
        if not self.aligns:
            for d, places in enumerate(maps):
                x = np.take(x, places, axis=d + 2)
            return x.copy()
        if x.dtype == np.uint8 and self.n == 2:
            raise UnsupportedError(
                f"{self.name} of uint8 is computed in whole numbers by torch, and not supported here"
            )
        if x.dtype.kind != "f":
            raise BridgeError(f"\"{self.name}\" not implemented for '{by_numpy(x.dtype).label}'")
        out = x.astype(np.float64 if x.dtype == np.float64 else np.float32)
        for d, m in enumerate(maps):
            out = np.moveaxis(np.tensordot(out, m, ([d + 2], [1])), -1, d + 2)
        return np.ascontiguousarray(out).astype(x.dtype)


def _arguments(kind: _Kind, values: Any, vector: bool) -> tuple[Any, bool, Any]:
    """Size, align_corners and factors from the arguments behind the input."""
    size, *rest = values
    aligned = bool(rest.pop(0)) if kind.aligns else False
    if vector:
        return size, aligned, rest[0]
    return size, aligned, None if all(f is None for f in rest) else rest


def _kernel(kind: _Kind, vector: bool) -> Any:
    return lambda x, *values: kind.run(x, *_arguments(kind, values, vector))


def _types(kind: _Kind, vector: bool) -> Any:
    def rule(call: Call) -> Results:
        x = call.tensor("input" if vector else "self")
        size = call.known("output_size")
        if x.dims is None or len(x.dims) != kind.n + 2:
            return result(x.dtype, None if x.dims is None else (None,) * (kind.n + 2))
        factors = call.known("scale_factors") if vector else None
        if isinstance(size, list | tuple) and len(size) == kind.n:
            sizes = [s if isinstance(s, int | str) else None for s in size]
        elif size is None and isinstance(factors, list | tuple):
            sizes = [
                int(d * f) if isinstance(d, int) and isinstance(f, int | float) else None
                for d, f in zip(x.dims[2:], factors, strict=False)
            ]
        else:
            sizes = [None] * kind.n
        return result(x.dtype, (*x.dims[:2], *sizes))

    return rule


def _grad(kind: _Kind, vector: bool) -> Any:
    def grad(c: Any, g: Any) -> Any:
        x = c["input" if vector else "self"]
        names = [a.name for a in c.plan.schema.arguments][1:]
        maps = kind.maps(x.shape, *_arguments(kind, [c[n] for n in names], vector), g._array.dtype == np.float64)
        if not kind.aligns:
            maps = [np.eye(n, dtype=np.float64)[places] for n, places in zip(x.shape[2:], maps, strict=True)]
        code = by_numpy(g._array.dtype).code
        for d, m in enumerate(maps):
            matrix = c.op("aten::tensor", m.tolist(), dtype=code).reshape(list(m.shape))
            g = g.transpose(d + 2, -1).matmul(matrix).transpose(d + 2, -1)
        return (g,)

    return grad


# -- ONNX --------------------------------------------------------------------------------------------------------------


def _lower(kind: _Kind, vector: bool) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x = call["input" if vector else "self"]
        names = [a.name for a in call.schema.arguments][1:]
        size, aligned, factors = _arguments(kind, [call[n] for n in names], vector)
        if is_lowered(factors) or any(is_lowered(f) for f in factors or ()) or is_lowered(aligned):
            e.unsupported("the scale factors of resizing must be known when the model is exported")
        if x.rank is not None and x.rank != kind.n + 2:
            e.unsupported(f"{kind.name} takes a tensor of {kind.n + 2} dimensions; this has {x.rank}")
        if x.dtype.kind != "f" and kind.aligns:
            e.unsupported(f"{kind.name} of {x.dtype.name} is not exported")
        x = _not_to_nothing(e, kind, x, size, factors)
        if kind.smooth and not _smooth_at_run_time(e, kind, x, size, aligned, factors):
            return _by_matrix(e, kind, x, size, aligned, factors)
        if _has_resize(kind, x, size, factors, e):
            return _by_resize(e, kind, x, size, aligned, factors)
        return _by_places(e, kind, x, size, aligned, factors)

    return lower


def _least(factor: float) -> int:
    """The smallest size of which that factor leaves something."""
    if factor <= 0:
        raise BridgeError("Input and output sizes should be greater than 0")
    n = math.ceil(1 / factor)
    return n if int(n * factor) >= 1 else n + 1


def _not_to_nothing(e: Emitter, kind: _Kind, x: Any, size: Any, factors: Any) -> Any:
    """x, of which something is left: torch refuses sizes of 0, of which onnxruntime makes tensors without elements."""
    if size is None:
        return at_least(e, x, [1, *[1 if f >= 1 else _least(f) for f in factors]])
    x = at_least(e, x, [1] * (kind.n + 1))
    if is_lowered(size):
        sizes = size
    else:
        free = [s for s in size if is_lowered(s)]
        if any(s <= 0 for s in size if not is_lowered(s)):
            kind.wanted([1] * (kind.n + 2), [1 if is_lowered(s) else s for s in size], None)
        if not free:
            return x
        sizes = e.ints(free)
    nothing = e.op("Less", sizes, np.asarray([1], np.int64), dtype=BOOL, dims=sizes.dims)
    return holds(e, x, none_true(e, nothing))


def _has_resize(kind: _Kind, x: Any, size: Any, factors: Any, e: Emitter) -> bool:
    """Whether onnxruntime's Resize computes what torch does: it does not round where torch rounds."""
    if x.dtype.name not in ("float16", "float32"):
        return False
    # powers of two are exact; other factors onnxruntime rounds before it multiplies sizes with them
    exact = size is None and all(math.frexp(f)[0] == 0.5 for f in factors)
    return exact and kind.mode == "nearest" if kind.mode.startswith("nearest") else exact or factors is None


def _sizes(e: Emitter, x: Any, size: Any, factors: Any) -> list[Any]:
    """The sizes of the result: ints, or numbers of run time."""
    if size is not None:
        if is_lowered(size):
            return [e.op("Gather", size, np.asarray(d, np.int64), dims=(), axis=0) for d in range(size.dims[0])]
        return list(size)
    found: list[Any] = []
    for d, f in enumerate(factors):
        n = _size_of(e, x, d + 2)
        if isinstance(n, int):
            found.append(int(n * f))
            continue
        wide = e.op("Mul", e.cast(n, FLOAT64), e.constant(np.asarray(f, np.float64)), dims=())
        found.append(e.cast(wide, INT64))
    return found


def _size_of(e: Emitter, x: Any, d: int) -> Any:
    if x.dims is not None and isinstance(x.dims[d], int):
        return x.dims[d]
    return e.op("Gather", e.shape_of(x), np.asarray(d, np.int64), dtype=INT64, dims=(), axis=0)


def _by_resize(e: Emitter, kind: _Kind, x: Any, size: Any, aligned: bool, factors: Any) -> Any:
    how = {"nearest": "asymmetric"}.get(kind.mode, "align_corners" if aligned else "half_pixel")
    attributes: dict[str, Any] = {"mode": kind.mode, "coordinate_transformation_mode": how}
    if kind.mode == "nearest":
        attributes["nearest_mode"] = "floor"
    if kind.mode == "cubic":
        attributes["cubic_coeff_a"] = -0.75
    if kind.smooth:
        attributes.update(mode=_SMOOTH[kind.smooth], antialias=1, exclude_outside=1)
        if kind.smooth == "bicubic":
            attributes["cubic_coeff_a"] = -0.5
    wide = e.cast(x, FLOAT32)
    if size is None:
        made = e.op("Resize", wide, None, np.asarray([1.0, 1.0, *factors], np.float32), dims=None, **attributes)
        return e.cast(made, x.dtype)
    ahead = e.op("Slice", e.shape_of(x), ints(0), ints(2), dims=(2,))
    if x.dims is not None and all(isinstance(d, int) for d in x.dims[:2]):
        ahead = e.constant(np.asarray(x.dims[:2], np.int64))
    sizes = e.op("Concat", ahead, e.ints(size), axis=0, dims=(kind.n + 2,))
    return e.cast(e.op("Resize", wide, None, None, sizes, dims=None, **attributes), x.dtype)


#: The filters against aliasing that ``Resize`` has since version 18 as torch has them.
_SMOOTH = {"bilinear": "linear", "bicubic": "cubic"}


def _sizes_known(x: Any, size: Any) -> bool:
    if x.dims is None or any(not isinstance(d, int) for d in x.dims[2:]):
        return False
    return size is None or not (is_lowered(size) or any(is_lowered(s) for s in size))


def _smooth_at_run_time(e: Emitter, kind: _Kind, x: Any, size: Any, aligned: bool, factors: Any) -> bool:
    if _sizes_known(x, size) or aligned or kind.smooth not in _SMOOTH or e.opset < 18:
        return False
    return _has_resize(kind, x, size, factors, e)


def _by_matrix(e: Emitter, kind: _Kind, x: Any, size: Any, aligned: bool, factors: Any) -> Any:
    """A product with a constant matrix along each dimension."""
    if not _sizes_known(x, size):
        e.unsupported(f"{kind.name} is exported where the sizes are known (dynamic_shapes fixes them)")
    wide = FLOAT64 if x.dtype is FLOAT64 else FLOAT32
    out, n = e.cast(x, wide), kind.n
    for d, m in enumerate(kind.maps(x.dims, size, aligned, factors, wide is FLOAT64)):
        perm = [i for i in range(n + 2) if i != d + 2] + [d + 2]
        back = [perm.index(i) for i in range(n + 2)]
        out = e.op("Transpose", out, perm=perm, dims=None)
        out = e.op("MatMul", out, np.ascontiguousarray(m.T), dims=None)
        out = e.op("Transpose", out, perm=back, dims=None)
    return e.cast(out, x.dtype)


def _by_places(e: Emitter, kind: _Kind, x: Any, size: Any, aligned: bool, factors: Any) -> Any:
    """Gather the elements around each place along each dimension, and add them weighed."""
    real = FLOAT64 if x.dtype is FLOAT64 and kind.aligns else FLOAT32
    out = e.cast(x, real) if kind.aligns else x
    sizes = _sizes(e, x, size, factors)
    for d, (o, f) in enumerate(zip(sizes, factors or [None] * kind.n, strict=True)):
        line = _Line(e, real, _size_of(e, x, d + 2), o, f, aligned)
        if not kind.aligns:
            out = e.op("Gather", out, line.nearest(kind.mode != "nearest", kind.flat), axis=d + 2, dims=None)
            continue
        total = None
        for at, weight in line.cubic() if kind.mode == "cubic" else line.linear():
            tail = kind.n - 1 - d
            weight = e.op("Reshape", weight, ints(-1, *[1] * tail), dims=(None,) * (tail + 1)) if tail else weight
            part = typed(e, "Mul", real, e.op("Gather", out, at, axis=d + 2, dims=None), weight, dims=None)
            total = part if total is None else typed(e, "Add", real, total, part, dims=None)
        out = total
    return e.cast(out, x.dtype)


class _Line:
    """The places along one dimension as nodes."""

    def __init__(self, e: Emitter, real: Any, n: Any, out: Any, factor: float | None, aligned: bool) -> None:
        self.e, self.real, self.n, self.out, self.factor, self.aligned = e, real, n, out, factor, aligned
        at = e.op("Range", e.scalar(0, INT64), e.scalar(out, INT64), e.scalar(1, INT64), dims=(None,))
        self.at, self.whole = e.cast(at, real), at

    def number(self, v: float) -> Any:
        return self.e.constant(np.asarray(v, self.real.numpy))

    def do(self, op_type: str, *values: Any) -> Any:
        return self.e.op(op_type, *values, dims=(None,))

    def step(self) -> Any:
        """How far in the input one element of the result is from the next."""
        e, real = self.e, self.real.numpy.type
        if isinstance(self.n, int) and isinstance(self.out, int):
            return e.constant(np.asarray(_step(self.n, self.out, self.factor, self.aligned, real)))
        if not self.aligned and self.factor is not None and self.factor > 0:
            return self.number(1.0 / self.factor)
        n, out = (e.cast(e.scalar(v, INT64), self.real) for v in (self.n, self.out))
        if not self.aligned:
            return e.op("Div", n, out, dims=())
        one = self.number(1)
        gaps = e.op("Max", e.op("Sub", out, one, dims=()), one, dims=())  # with one element, its place is 0 anyway
        return e.op("Div", e.op("Sub", n, one, dims=()), gaps, dims=())

    def places(self) -> Any:
        if self.aligned:
            return self.do("Mul", self.at, self.step())
        half = self.number(0.5)
        return self.do("Sub", self.do("Mul", self.do("Add", self.at, half), self.step()), half)

    def within(self, places: Any) -> Any:
        """Places as indices of the input."""
        e = self.e
        last = e.op("Sub", e.scalar(self.n, INT64), e.scalar(1, INT64), dims=())
        low = self.do("Max", e.cast(places, INT64), e.scalar(0, INT64))
        return self.do("Min", low, last)

    def nearest(self, exact: bool, flat: bool) -> Any:
        if isinstance(self.n, int) and isinstance(self.out, int):
            return self.e.constant(_nearest(self.n, self.out, self.factor, exact, flat))
        start = self.do("Add", self.at, self.number(0.5)) if exact else self.at
        found = self.within(self.do("Floor", self.do("Mul", start, self.step())))
        if not flat or self.factor is None:
            return found
        e = self.e
        n, out = e.scalar(self.n, INT64), e.scalar(self.out, INT64)
        twice = self.do("Div", self.whole, e.scalar(2, INT64))
        same = e.op("Equal", n, out, dtype=BOOL, dims=())
        double = e.op("Equal", e.op("Mul", n, e.scalar(2, INT64), dims=()), out, dtype=BOOL, dims=())
        return e.op(
            "Where",
            same,
            self.whole,
            e.op("Where", double, twice, found, dtype=INT64, dims=(None,)),
            dtype=INT64,
            dims=(None,),
        )

    def linear(self) -> list[tuple[Any, Any]]:
        places = self.do("Max", self.places(), self.number(0))
        if self.factor is not None and not self.aligned:  # a factor does not count where the size stays
            same = self.e.op("Equal", self.e.scalar(self.n, INT64), self.e.scalar(self.out, INT64), dtype=BOOL, dims=())
            places = self.e.op("Where", same, self.at, places, dtype=self.real, dims=(None,))
        low = self.do("Floor", places)
        part = self.do("Sub", places, low)
        after = self.do("Add", low, self.number(1))
        return [(self.within(low), self.do("Sub", self.number(1), part)), (self.within(after), part)]

    def cubic(self) -> list[tuple[Any, Any]]:
        places = self.places()
        low = self.do("Floor", places)
        part = self.do("Sub", places, low)
        weights = _cubic_weights(_Term(self, part), -0.75)
        return [(self.within(self.do("Add", low, self.number(k - 1))), w.value) for k, w in enumerate(weights)]


class _Term:
    """A run-time value in a formula."""

    def __init__(self, line: _Line, value: Any) -> None:
        self.line, self.value = line, value

    def _with(self, op_type: str, other: Any, swapped: bool = False) -> _Term:
        theirs = other.value if isinstance(other, _Term) else self.line.number(other)
        pair = (theirs, self.value) if swapped else (self.value, theirs)
        return _Term(self.line, self.line.do(op_type, *pair))

    def __add__(self, other: Any) -> _Term:
        return self._with("Add", other)

    def __sub__(self, other: Any) -> _Term:
        return self._with("Sub", other)

    def __rsub__(self, other: Any) -> _Term:
        return self._with("Sub", other, True)

    def __mul__(self, other: Any) -> _Term:
        return self._with("Mul", other)

    __radd__, __rmul__ = __add__, __mul__


# -- declarations ------------------------------------------------------------------------------------------------------

_KINDS = [
    *[_Kind(f"upsample_nearest{n}d", n, "nearest") for n in (1, 2, 3)],
    *[_Kind(f"_upsample_nearest_exact{n}d", n, "nearest-exact") for n in (1, 2, 3)],
    _Kind("upsample_linear1d", 1, "linear"),
    _Kind("upsample_bilinear2d", 2, "linear"),
    _Kind("upsample_trilinear3d", 3, "linear"),
    _Kind("upsample_bicubic2d", 2, "cubic"),
    *[_Kind(f"_upsample_{s}2d_aa", 2, "smooth", s) for s in ("bilinear", "bicubic", "lanczos")],
]
_SHAPES = {1: (1, 2, 5), 2: (1, 2, 4, 3), 3: (1, 1, 2, 3, 4)}


def _samples(kind: _Kind, vector: bool) -> Any:
    shape, n = _SHAPES[kind.n], kind.n
    other, last = [7, 2, 5][:n], [None] if vector else []
    if kind.smooth:
        return of(S(f4(*shape), other, False, *last))
    flags = ((False,), (True,)) if kind.aligns else ((),)
    found = [S(f4(*shape), other, *flag, *last) for flag in flags]
    if vector:
        found.append(S(f8(*shape), other, *flags[0], *last))
        found.append(S(f4(*shape), None, *flags[0], [2.0] * n))
        found += [S(f4(*shape), None, *flag, [1.7, 0.7, 2.0][:n]) for flag in flags]
    if kind.mode == "nearest" and vector:
        found.append(S(i8(*shape, low=0, high=200, dtype=np.uint8), other, None))
    return of(*found)


for _kind in _KINDS:
    _n, _align = _kind.n, ", bool align_corners" if _kind.aligns else ""
    _scales = ", ".join(f"float? scales{s}=None" for s in {1: [""], 2: ["_h", "_w"], 3: ["_d", "_h", "_w"]}[_n])
    for _vector, _schema in (
        (False, f"aten::{_kind.name}(Tensor self, SymInt[{_n}] output_size{_align}, {_scales}) -> Tensor"),
        (
            True,
            f"aten::{_kind.name}.vec(Tensor input, SymInt[]? output_size{_align}, float[]? scale_factors) -> Tensor",
        ),
    ):
        declare(
            _schema,
            _kernel(_kind, _vector),
            types=_types(_kind, _vector),
            onnx=_lower(_kind, _vector),
            grad=_grad(_kind, _vector),
            samples=_samples(_kind, _vector),
        )
