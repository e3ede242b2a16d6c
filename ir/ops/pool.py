"""Pooling: the largest element or the mean of windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name, by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import at_least
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import INT64, typed
from bridge.ir.ops._samples import S, f4, f8, of
from bridge.ir.ops.reduction import mean_node
from bridge.ir.ops.windows import Windows, batched, fixed, known_sizes, out_size, sizes, spread, unbatched
from bridge.ir.registry import unsupported
from bridge.ir.rules import Call, Results, result

_INT64 = by_name("int64")


# -- kernels -----------------------------------------------------------------------------------------------------------


def _max_pool(n: int) -> Any:
    def run(x: Array, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> tuple[Array, Array]:
        w = Windows(n, x.shape, kernel, stride, padding, dilation, ceil, "max_pool3d_with_indices_out_cpu_template()")
        least = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
        seen = w.of(x, least)
        place = np.arange(math.prod(w.size), dtype=np.int64).reshape(w.size)
        real = w.of(np.ones(w.size, np.bool_), False)
        order = np.where(real, seen, least)
        best = order.argmax(-1)
        # a window of nothing but the least value has its first element for largest, not its padding
        only = np.take_along_axis(np.broadcast_to(real, seen.shape), best[..., None], -1)[..., 0]
        best = np.where(only, best, real.argmax(-1))[..., None]
        places = np.broadcast_to(w.of(place, 0), seen.shape)
        return np.take_along_axis(seen, best, -1)[..., 0], np.take_along_axis(places, best, -1)[..., 0]

    return run


def _avg_pool(n: int) -> Any:
    def run(
        x: Array, kernel: Any, stride: Any, padding: Any, ceil: bool, count_pad: bool, divisor: int | None = None
    ) -> Any:
        if n == 3:
            _check_volume(x.shape, spread(kernel, 3))
        w = Windows(n, x.shape, kernel, stride, padding, 1, ceil, "avg_pool3d()")
        if divisor == 0:
            raise BridgeError("divisor must be not zero")
        total = w.of(x, 0).sum(-1, dtype=x.dtype)
        return (total / (w.divisors(count_pad) if divisor is None else divisor)).astype(x.dtype)

    return run


def _check_volume(shape: Sequence[int], kernel: Sequence[int]) -> None:
    """Averages over three dimensions want a whole window, the padding not counted."""
    size = shape[-3:]
    if 0 not in shape[1:] and any(s < k for s, k in zip(size, kernel, strict=True)):
        image, window = (" ".join(f"{a}: {v}" for a, v in zip("THW", v, strict=True)) for v in (size, kernel))
        window = window.replace("T:", "kT:").replace("H:", "kH:").replace("W:", "kW:")
        raise BridgeError(f"input image ({image}) smaller than kernel size ({window})")


def _bounds(size: int, out: int) -> list[tuple[int, int]]:
    return [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


def _means(size: int, out: int) -> Array:
    """The matrix that takes ``size`` elements to the means of ``out`` windows."""
    m = np.zeros((out, size))
    for i, (a, b) in enumerate(_bounds(size, out)):
        m[i, a:b] = 1 / (b - a)
    return m


def _adaptive_avg(n: int) -> Any:
    def run(x: Array, size: Any) -> Any:
        wanted, out = _wanted(x, size, n, "avg"), x
        for d, o in enumerate(wanted):
            m = _means(out.shape[d - n], o).astype(x.dtype)
            out = np.moveaxis(np.tensordot(out, m, ([d - n], [1])), -1, d - n)
        return np.ascontiguousarray(out)

    return run


def _wanted(x: Any, size: Any, n: int, kind: str) -> list[int]:
    if len(x.shape) not in (n + 1, n + 2):
        raise BridgeError(f"adaptive pooling over {n}D: Expected {n + 1}D or {n + 2}D tensor, but got {list(x.shape)}")
    wanted = spread(size, n)
    empty = [d for d, size in enumerate(x.shape) if size == 0 and d >= len(x.shape) - n - (kind == "max")]
    if empty and (kind == "max" or wanted != [1] * n):
        raise BridgeError(
            f"adaptive_{kind}_pool{n}d(): Expected input to have non-zero size for non-batch dimensions, but input has "
            f"sizes {list(x.shape)} with dimension {empty[0]} being empty"
        )
    return wanted


def _adaptive_max(n: int) -> Any:
    def run(x: Array, size: Any) -> tuple[Array, Array]:
        wanted = _wanted(x, size, n, "max")
        values = np.empty((*x.shape[:-n], *wanted), x.dtype)
        places = np.empty(values.shape, np.int64)
        plane = np.arange(math.prod(x.shape[-n:])).reshape(x.shape[-n:])
        bounds = [_bounds(s, o) for s, o in zip(x.shape[-n:], wanted, strict=True)]
        for at in np.ndindex(*wanted):
            where = tuple(slice(*bounds[d][i]) for d, i in enumerate(at))
            window: Any = (..., *where)
            part = x[window]
            part = part.reshape(*x.shape[:-n], math.prod(part.shape[-n:]))
            best = part.argmax(-1)
            values[(..., *at)] = np.take_along_axis(part, best[..., None], -1)[..., 0]
            places[(..., *at)] = plane[where].reshape(-1)[best]
        return values, places

    return run


# -- composites --------------------------------------------------------------------------------------------------------


def _line(v: Any, one: int) -> list[int]:
    """A size argument for one dimension as that of a plane of height 1."""
    listed = spread(v, 1, [])
    return [one, *listed] if listed else []


def _max_pool1d_with_indices(
    ops: Any, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> Any:
    args = (_line(kernel, 1), _line(stride, 1), _line(padding, 0), _line(dilation, 1), ceil)
    values, places = ops("aten::max_pool2d_with_indices", ops("aten::unsqueeze", x, -2), *args)
    return ops("aten::squeeze.dim", values, -2), ops("aten::squeeze.dim", places, -2)


def _max_pool1d(ops: Any, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> Any:
    """Without places, torch has words of its own for arguments that do not fit."""
    (k,), (p,), (d,) = spread(kernel, 1), spread(padding, 1), spread(dilation, 1)
    (s,) = spread(stride, 1, [k])
    shape = list(x.shape)
    if len(shape) not in (2, 3) or 0 in shape[-2:]:
        raise BridgeError(
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, "
            f"but got:{shape}"
        )
    for name, value in (("kernel_size", k), ("stride", s), ("dilation", d)):
        if value <= 0:
            raise BridgeError(f"max_pool1d() {name} must be greater than zero, but got {value}")
    if p < 0:
        raise BridgeError(f"max_pool1d() padding must be non-negative, but got {p}")
    if p * 2 > k:
        raise BridgeError(
            f"max_pool1d() padding should be at most half of kernel size, but got padding={p} and kernel_size={k}"
        )
    out = out_size(shape[-1], k, s, p, d, ceil)
    if out <= 0:
        raise BridgeError(f"max_pool1d() Invalid computed output size: {out}")
    return _max_pool1d_with_indices(ops, x, kernel, stride, padding, dilation, ceil)[0]


def _avg_pool1d(ops: Any, x: Any, kernel: Any, stride: Any, padding: Any, ceil: bool, count_pad: bool) -> Any:
    args = (_line(kernel, 1), _line(stride, 1), _line(padding, 0), ceil, count_pad, None)
    return ops("aten::squeeze.dim", ops("aten::avg_pool2d", ops("aten::unsqueeze", x, -2), *args), -2)


def _adaptive_avg_composite(n: int) -> Any:
    def run(ops: Any, x: Any, size: Any) -> Any:
        if isinstance(size, list | tuple) and len(size) not in (1, n):
            raise BridgeError(f"adaptive_avg_pool{n}d: output_size must be {n}")
        if n == 1:
            wanted = spread(size, 1)
            plane = ops("aten::adaptive_avg_pool2d", ops("aten::unsqueeze", x, -2), [1, *wanted])
            return ops("aten::squeeze.dim", plane, -2)
        wanted = _wanted(x, size, n, "avg")
        if wanted == [1] * n:
            return ops("aten::mean.dim", x, [*range(-1, -n - 1, -1)], True, None)
        return ops(f"aten::_adaptive_avg_pool{n}d", x, wanted)

    return run


def _adaptive_max1d(ops: Any, x: Any, size: Any) -> Any:
    _wanted(x, size, 1, "max")
    values, places = ops("aten::adaptive_max_pool2d", ops("aten::unsqueeze", x, -2), _line(size, 1))
    return ops("aten::squeeze.dim", values, -2), ops("aten::squeeze.dim", places, -2)


# -- types -------------------------------------------------------------------------------------------------------------


def _pool_types(n: int, indices: bool = False) -> Any:
    def rule(call: Call) -> Results:
        x = call.tensor("self")
        dims = None if x.dims is None else (*x.dims[:-n], *[None] * n)
        names = ["kernel_size", "stride", "padding", "dilation"]
        found = [sizes(call.known(a), n) if a in call.schema.index else [1] * n for a in names]
        ceil = call.known("ceil_mode")
        if x.dims is not None and ceil in (True, False) and all(f is not None for f in found):
            kernel, stride, padding, dilation = [list(f or []) for f in found]
            over = zip(x.dims[-n:], kernel, stride or kernel, padding, dilation, strict=True)
            out = [out_size(i, k, s, p, d, ceil) if isinstance(i, int) else None for i, k, s, p, d in over]
            dims = (*x.dims[:-n], *out)
        values = result(x.dtype, dims)
        return [values, result(_INT64, dims)] if indices else values

    return rule


def _adaptive_types(n: int, indices: bool = False) -> Any:
    def rule(call: Call) -> Results:
        x, wanted = call.tensor("self"), sizes(call.known("output_size"), n)
        dims = None if x.dims is None else (*x.dims[:-n], *(wanted or [None] * n))
        values = result(x.dtype, dims)
        return [values, result(_INT64, dims)] if indices else values

    return rule


# -- ONNX --------------------------------------------------------------------------------------------------------------


def _pool_dtype(e: Emitter, x: Any, allowed: str) -> None:
    if x.dtype.name not in (*allowed.split(), "bfloat16"):
        e.unsupported(f"onnxruntime has no pooling of this kind for {x.dtype.name}")


def _arguments(e: Emitter, call: LoweredCall, n: int) -> dict[str, Any]:
    kernel = known_sizes(e, call, "kernel_size", n)
    padding = known_sizes(e, call, "padding", n)
    if not isinstance(call["ceil_mode"], bool):
        e.unsupported("ceil_mode must be known when the model is exported")
    return {
        "kernel_shape": kernel,
        "strides": known_sizes(e, call, "stride", n, kernel),
        "pads": [*padding, *padding],
        "ceil_mode": int(call["ceil_mode"]),
    }


def _whole(attributes: dict[str, Any], dims: Any, n: int) -> None:
    """Pad known sizes until whole windows fit, so that nothing is left to round up: checkers and runtimes disagree on
    windows that start in the padding. The padding must not count."""
    if not attributes["ceil_mode"] or dims is None:
        return
    kernel, strides, pads = (attributes[k] for k in ("kernel_shape", "strides", "pads"))
    dilations = attributes.get("dilations", [1] * n)
    for i, size in enumerate(dims[-n:]):
        if isinstance(size, int):
            call = (size, kernel[i], strides[i], pads[i], dilations[i])
            out = out_size(*call, True)
            if out != out_size(*call, False):
                pads[n + i] = (out - 1) * strides[i] + dilations[i] * (kernel[i] - 1) + 1 - pads[i] - size
    if all(isinstance(d, int) for d in dims[-n:]):
        attributes["ceil_mode"] = 0


def _room(e: Emitter, x: Any, attributes: dict[str, Any], n: int) -> Any:
    """x, checked to have room for a window: now where its sizes are known, else at run time."""
    names = ("kernel_shape", "strides", "pads", "dilations")
    kernel, stride, padding, dilation = (attributes.get(a, [1] * n)[:n] for a in names)
    known = None if x.dims is None else fixed(x.dims[1:])
    if known is not None:
        Windows(n, known, kernel, stride, padding, dilation, bool(attributes["ceil_mode"]))
    return at_least(e, x, [1, *_least(attributes, n)])


def _least(attributes: dict[str, Any], n: int) -> list[int]:
    """The smallest sizes of which a window is made."""
    names, ceil = ("kernel_shape", "strides", "pads", "dilations"), bool(attributes["ceil_mode"])
    columns = [attributes.get(a, [1] * n)[:n] for a in names]
    return [
        next(size for size in range(1, d * k + 2) if out_size(size, k, s, p, d, ceil) > 0)
        for k, s, p, d in zip(*columns, strict=True)
    ]


def _pooled_dims(call: LoweredCall, x: Any, n: int, added: bool) -> Any:
    found = getattr(call.results[0], "dims", None)
    if found is not None:
        return (1, *found) if added else found
    return None if x.dims is None else (*x.dims[:-n], *[None] * n)


def _lower_max(n: int, indices: bool = False) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x, added = batched(e, call["self"], n)
        _pool_dtype(e, x, "float16 float32 float64 int8 uint8")
        attributes = _arguments(e, call, n)
        attributes["dilations"] = known_sizes(e, call, "dilation", n)
        dims = _pooled_dims(call, x, n, added)
        x = _room(e, x, attributes, n)
        _whole(attributes, x.dims, n)
        if not indices:
            return unbatched(e, e.op("MaxPool", x, dims=dims, **attributes), added)
        values, places = e.op("MaxPool", x, outputs=2, dtype=[x.dtype, INT64], dims=dims, **attributes)
        return unbatched(e, values, added), unbatched(e, e.op("Mod", places, _plane(e, x, n), dims=dims), added)

    return lower


def _plane(e: Emitter, x: Any, n: int) -> Any:
    """The number of elements of one plane: ONNX counts places through all of them."""
    shape = e.shape_of(x)
    end = e.op("Slice", shape, np.asarray([-n]), np.asarray([np.iinfo(np.int64).max]), np.asarray([0]), dims=(n,))
    return e.op("ReduceProd", end, keepdims=0, dims=())


def _lower_avg(n: int) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x, added = batched(e, call["self"], n)
        _pool_dtype(e, x, "float16 float32")
        attributes = _arguments(e, call, n)
        if not isinstance(call["count_include_pad"], bool):
            e.unsupported("count_include_pad must be known when the model is exported")
        x = at_least(e, x, [1, *attributes["kernel_shape"]]) if n == 3 else _room(e, x, attributes, n)
        divisor = call["divisor_override"] if "divisor_override" in call.schema.index else None
        if isinstance(divisor, int) and divisor == 0:
            e.unsupported("divisor must be not zero")
        count = 1 if divisor is not None else int(call["count_include_pad"])
        if not count:
            _whole(attributes, x.dims, n)
        elif attributes["ceil_mode"] and (divisor is not None or e.opset < 19):
            e.unsupported(
                "avg_pool with ceil_mode is exported without divisor_override, and from opset 19 on if padding counts"
            )
        dims = _pooled_dims(call, x, n, added)
        out = e.op("AveragePool", x, dims=dims, count_include_pad=count, **attributes)
        if divisor is not None:
            scale = e.scalar(math.prod(attributes["kernel_shape"]), x.dtype)
            out = typed(e, "Div", x.dtype, typed(e, "Mul", x.dtype, out, scale, dims=dims), e.scalar(divisor, x.dtype))
        return unbatched(e, out, added)

    return lower


def _means_node(e: Emitter, x: Any, axis: int, out: int) -> Any:
    """The matrix of :func:`_means` (transposed) for a dimension of x; made at run time where its size is open."""
    size = None if x.dims is None else x.dims[axis]
    if isinstance(size, int):
        return e.constant(_means(size, out).T.astype(x.dtype.numpy))
    shape = e.shape_of(x)
    length = e.op("Gather", shape, np.asarray(axis % x.rank), axis=0, dims=())
    step = np.arange(out, dtype=np.int64)
    start = e.op("Div", e.op("Mul", step, length), np.asarray(out))
    last = e.op("Add", e.op("Mul", step + 1, length), np.asarray(out - 1))
    end = e.op("Div", last, np.asarray(out))
    place = e.op("Range", np.asarray(0), length, np.asarray(1), dims=(None,))
    place = e.op("Unsqueeze", place, np.asarray([1]), dims=(None, 1))
    bool_ = by_name("bool")
    inside = e.op(
        "And",
        e.op("Not", e.op("Less", place, start, dtype=bool_)),
        e.op("Less", place, end, dtype=bool_),
    )
    return e.op("Div", e.cast(inside, x.dtype), e.cast(e.op("Sub", end, start), x.dtype), dims=(None, out))


def _lower_adaptive_avg(n: int) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x, added = batched(e, call["self"], n)
        _pool_dtype(e, x, "float16 float32 float64")
        wanted, dims = known_sizes(e, call, "output_size", n), _pooled_dims(call, x, n, added)
        if min(wanted) < 0:
            e.unsupported("adaptive pooling: elements of output_size must be greater than or equal to 0")
        if wanted == [1] * n:
            mean = mean_node(e, x, list(range(2, n + 2)), True, x.dtype)
            mean.dims = dims
            return unbatched(e, mean, added)
        size = x.dims[2:]
        if x.dtype.name != "float64" and all(
            isinstance(s, int) and s % o == 0 for s, o in zip(size, wanted, strict=True)
        ):
            kernel = [s // o for s, o in zip(size, wanted, strict=True)]
            return unbatched(e, e.op("AveragePool", x, dims=dims, kernel_shape=kernel, strides=kernel), added)
        x = at_least(e, x, [1] * n)
        for axis in range(n + 1, 1, -1):
            matrix = _means_node(e, x, axis, wanted[axis - 2])
            order = [i for i in range(n + 2) if i != axis]
            order = [*order, axis]
            back = [order.index(i) for i in range(n + 2)]
            x = x if axis == n + 1 else e.op("Transpose", x, perm=order, dims=tuple(x.dims[i] for i in order))
            x = typed(e, "MatMul", x.dtype, x, matrix, dims=(*x.dims[:-1], wanted[axis - 2]))
            x = x if axis == n + 1 else e.op("Transpose", x, perm=back, dims=tuple(x.dims[i] for i in back))
        return unbatched(e, x, added)

    return lower


def _largest_of_cells(e: Emitter, x: Any, wanted: Sequence[int]) -> tuple[Any, Any]:
    """The largest element of each cell of adaptive pooling and its place in the plane, the first where there are several.

    One dimension after the other, the last one first: what is first in each row, then the first of these.
    """
    n, shape = len(wanted), e.shape_of(x)
    plane = e.op("Slice", shape, np.asarray([2]), np.asarray([n + 2]), dims=(n,))
    count = e.op("ReduceProd", plane, keepdims=0, dims=())
    places = e.op("Range", np.asarray(0), count, np.asarray(1), dims=(None,))
    places = e.op("Expand", e.op("Reshape", places, plane, dims=x.dims[2:]), shape, dims=x.dims)
    for axis in range(n + 1, 1, -1):
        out, at = wanted[axis - 2], np.asarray([axis])
        length = e.op("Gather", shape, np.asarray([axis]), axis=0, dims=(1,))
        cells = []
        for k in range(out):
            start = e.op("Div", e.op("Mul", length, np.asarray([k])), np.asarray([out]))
            end = e.op("Mul", length, np.asarray([k + 1]))
            end = e.op("Div", e.op("Add", end, np.asarray([out - 1])), np.asarray([out]))
            inside = (*x.dims[:axis], None, *x.dims[axis + 1 :])
            cell, where = (e.op("Slice", v, start, end, at, dims=inside) for v in (x, places))
            one = (*x.dims[:axis], 1, *x.dims[axis + 1 :])
            first = e.op("ArgMax", cell, axis=axis, keepdims=1, dtype=INT64, dims=one)
            cells.append([e.op("GatherElements", v, first, axis=axis, dims=one) for v in (cell, where)])
        joined = (*x.dims[:axis], out, *x.dims[axis + 1 :])
        x, places = (e.op("Concat", *parts, axis=axis, dims=joined) for parts in zip(*cells, strict=True))
    return x, places


def _lower_adaptive_max(n: int) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x, added = batched(e, call["self"], n)
        _pool_dtype(e, x, "float16 float32 float64 int8 uint8")
        wanted, dims = known_sizes(e, call, "output_size", n), _pooled_dims(call, x, n, added)
        size = x.dims[2:]
        if not all(isinstance(s, int) and s % o == 0 for s, o in zip(size, wanted, strict=True)):
            values, places = _largest_of_cells(e, at_least(e, x, [1] * (n + 1)), wanted)
            return unbatched(e, values, added), unbatched(e, places, added)
        kernel = [s // o for s, o in zip(size, wanted, strict=True)]
        kinds = [x.dtype, INT64]
        values, places = e.op("MaxPool", x, outputs=2, dtype=kinds, dims=dims, kernel_shape=kernel, strides=kernel)
        return unbatched(e, values, added), unbatched(
            e, e.op("Mod", places, np.asarray(math.prod(size)), dims=dims), added
        )

    return lower


# -- gradients ---------------------------------------------------------------------------------------------------------


def _max_grad(n: int) -> Any:
    def grad(c: Any, g: Any, *rest: Any) -> Any:
        x, places = c["self"], c.results[1]
        lead, plane = list(x.shape[:-n]), math.prod(x.shape[-n:])
        into = c.op("aten::new_zeros", g, [*lead, plane])
        spread_ = c.op("aten::scatter_add", into, -1, places.reshape([*lead, -1]), g.reshape([*lead, -1]))
        return (spread_.reshape(list(x.shape)),)

    return grad


def _avg_grad(n: int) -> Any:
    def grad(c: Any, g: Any) -> Any:
        x = c["self"]
        w = Windows(n, x.shape, c["kernel_size"], c["stride"], c["padding"], 1, c["ceil_mode"])
        divisor = c["divisor_override"]
        share = g / (
            divisor if divisor is not None else c.op("aten::tensor", w.divisors(c["count_include_pad"]).tolist())
        )
        planes = share.reshape([-1, 1, *w.out])
        ones = c.op("aten::new_ones", g, [1, 1, *w.kernel])
        rest = ([0] * n, [1] * n, True, [0] * n, 1)
        out = c.op("aten::convolution", planes, ones, None, w.stride, *rest)
        ends = zip(w.padding, w.size, out.shape[2:], strict=True)
        cut = [v for p, i, o in reversed(list(ends)) for v in (-p, i + p - o)]
        return (c.op("aten::constant_pad_nd", out, cut, 0).reshape(list(x.shape)),)

    return grad


def _adaptive_avg_grad(n: int) -> Any:
    def grad(c: Any, g: Any) -> Any:
        x, wanted = c["self"], spread(c["output_size"], n)
        for d, o in enumerate(wanted):
            m = c.op("aten::tensor", _means(x.shape[d - n], o).tolist(), dtype=_code(g))
            g = g.transpose(d - n, -1).matmul(m).transpose(d - n, -1)
        return (g,)

    return grad


def _code(g: Any) -> int:
    return by_numpy(g._array.dtype).code


# -- declarations ------------------------------------------------------------------------------------------------------

_SHAPES = {1: (2, 3, 7), 2: (2, 3, 6, 7), 3: (1, 2, 5, 6, 7)}


def _max_samples(n: int, single: bool = True) -> Any:
    shape = _SHAPES[n]
    return of(
        S(f4(*shape), [2] * n),
        S(f4(*shape), [3] * n, [2] * n, [1] * n),
        S(f4(*shape[1:]), [3] * n, [2] * n, [1] * n, [1] * n, True),
        S(f4(*shape), [2] * n, [1] * n, [0] * n, [2] * n),
        S(f8(*shape), [2] * n, [3] * n, [1] * n, ceil_mode=True),
    )


def _avg_samples(n: int) -> Any:
    shape = _SHAPES[n]
    found = [
        S(f4(*shape), [2] * n),
        S(f4(*shape), [3] * n, [2] * n, [1] * n),
        S(f4(*shape[1:]), [3] * n, [2] * n, [1] * n, count_include_pad=False),
        S(f4(*shape), [2] * n, [3] * n, [1] * n, ceil_mode=True),
        S(f4(*shape), [3] * n, [2] * n, [1] * n, True, False),
        S(f8(*shape), [2] * n),
    ]
    if n > 1:
        found.append(S(f4(*shape), [3] * n, [2] * n, [1] * n, divisor_override=5))
    return of(*found)


_PLACES = unsupported("places of maxima over one dimension are exported as max_pool2d_with_indices")
for _n, _shape in _SHAPES.items():
    _zero, _one = ("[0]", "[1]") if _n == 1 else ("0", "1")
    _args = (
        f"Tensor self, int[{_n}] kernel_size, int[{_n}] stride=[], int[{_n}] padding={_zero}, int[{_n}] dilation={_one}, "
        "bool ceil_mode=False"
    )
    declare(
        f"aten::max_pool{_n}d({_args}) -> Tensor",
        _max_pool1d if _n == 1 else lambda ops, *args, n=_n: ops(f"aten::max_pool{n}d_with_indices", *args)[0],
        composite=True,
        types=_pool_types(_n),
        onnx=_lower_max(_n),
        samples=_max_samples(_n),
    )
    declare(
        f"aten::max_pool{_n}d_with_indices({_args}) -> (Tensor, Tensor)",
        _max_pool1d_with_indices if _n == 1 else _max_pool(_n),
        composite=_n == 1,
        types=_pool_types(_n, indices=True),
        onnx=_lower_max(_n, indices=True),
        grad=None if _n == 1 else _max_grad(_n),
        samples=_max_samples(_n),
    )
    _more = "" if _n == 1 else ", int? divisor_override=None"
    declare(
        f"aten::avg_pool{_n}d(Tensor self, int[{_n}] kernel_size, int[{_n}] stride=[], int[{_n}] padding={_zero}, "
        f"bool ceil_mode=False, bool count_include_pad=True{_more}) -> Tensor",
        _avg_pool1d if _n == 1 else _avg_pool(_n),
        composite=_n == 1,
        types=_pool_types(_n),
        onnx=_lower_avg(_n),
        grad=None if _n == 1 else _avg_grad(_n),
        samples=_avg_samples(_n),
    )
    _kind = "int" if _n == 1 else "SymInt"
    declare(
        f"aten::adaptive_avg_pool{_n}d(Tensor self, {_kind}[{_n}] output_size) -> Tensor",
        _adaptive_avg_composite(_n),
        composite=True,
        types=_adaptive_types(_n),
        onnx=_lower_adaptive_avg(_n),
        samples=of(
            (f4(*_shape), [1] * _n), (f4(*_shape), [3] * _n), (f4(*_shape[1:]), [2] * _n),
            (f4(*_shape[:-_n], *[6] * _n), [3] * _n), (f8(*_shape), [4] * _n),
        ),
    )  # fmt: skip
    if _n > 1:
        declare(
            f"aten::_adaptive_avg_pool{_n}d(Tensor self, SymInt[{_n}] output_size) -> Tensor",
            _adaptive_avg(_n),
            types=_adaptive_types(_n),
            onnx=_lower_adaptive_avg(_n),
            grad=_adaptive_avg_grad(_n),
            grad_name=f"AdaptiveAvgPool{_n}DBackward0",
            samples=of((f4(*_shape), [2] * _n), (f8(*_shape), [4] * _n)),
        )
    declare(
        f"aten::adaptive_max_pool{_n}d(Tensor self, int[{_n}] output_size) -> (Tensor, Tensor)",
        _adaptive_max1d if _n == 1 else _adaptive_max(_n),
        composite=_n == 1,
        types=_adaptive_types(_n, indices=True),
        onnx=_lower_adaptive_max(_n),
        grad=None if _n == 1 else _max_grad(_n),
        samples=of((f4(*_shape), [3] * _n), (f4(*_shape[:-_n], *[6] * _n), [3] * _n), (f8(*_shape[1:]), [2] * _n)),
    )
