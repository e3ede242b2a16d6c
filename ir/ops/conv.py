"""Convolution over one, two and three dimensions, plain and transposed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import at_least
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import compute_dtype, ints
from bridge.ir.ops._samples import S, f4, f8, of
from bridge.ir.ops.windows import batched, fixed, known_sizes, padded, sizes, spread, unbatched, windows
from bridge.ir.rules import Call, Results, result

# -- kernels -----------------------------------------------------------------------------------------------------------


def convolution(
    x: Array,
    weight: Array,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    extra: Any,
    groups: int,
) -> Any:
    """x (N, C, …) with weight (O, C / groups, …); transposed: (C, O / groups, …)."""
    n = weight.ndim - 2
    stride, padding, dilation, extra = (spread(v, n) for v in (stride, padding, dilation, extra))
    _check(x, weight, bias, transposed, groups)
    for what, values, least in (("stride", stride, 1), ("dilation", dilation, 1)):
        if any(v < least for v in values):
            raise BridgeError(
                f"non-positive {what} is not supported" if what == "stride" else f"{what} should be greater than zero"
            )
    if transposed:
        _check_room(x, weight, stride, padding, dilation, extra)
        parts = zip(np.split(x, groups, 1), np.split(weight, groups, 0), strict=True)
        out = np.concatenate([_transposed(a, w, stride, padding, dilation, extra) for a, w in parts], 1)
    else:
        x_padded = padded(x, [(p, p) for p in padding])
        out = (_plain if groups == 1 else _grouped)(x_padded, weight, stride, dilation)
    if bias is not None:
        out = out + bias.reshape(-1, *[1] * n)
    return np.ascontiguousarray(out.astype(x.dtype, copy=False))


def check_extra(stride: Sequence[int], dilation: Sequence[int], extra: Sequence[int]) -> None:
    """Raise what torch raises for an output padding that is too large."""
    if any(a >= s and a >= d for a, s, d in zip(extra, stride, dilation, strict=True)):
        names = ("depth", "height", "width")[3 - max(len(extra), 2) :]
        found = [
            f"{what}_{name}: {v}"
            for what, values, first in (("output_padding", extra, 0), ("stride", stride, 1), ("dilation", dilation, 1))
            for name, v in zip(names, [first, *values] if len(values) == 1 else values, strict=True)
        ]
        raise BridgeError(f"output padding must be smaller than either stride or dilation, but got {' '.join(found)}")


def _check_room(x: Array, weight: Array, stride: Any, padding: Any, dilation: Any, extra: Any) -> None:
    """Raise what torch raises for an image of which a transposed convolution makes nothing."""
    size, kernel = x.shape[2:], weight.shape[2:]
    if 0 in size:
        plane = [*x.shape[:2], *([1] if len(size) == 1 else []), *size]
        raise BridgeError(f"Only zero batch or zero channel inputs are supported, but got input shape: {plane}")
    check_extra(stride, dilation, extra)
    out = [
        (i - 1) * s - 2 * p + d * (k - 1) + 1 + a
        for i, s, p, d, k, a in zip(size, stride, padding, dilation, kernel, extra, strict=True)
    ]
    if any(o < 1 for o in out):
        lone = [1] if len(size) == 1 else []
        given, made = (" x ".join(map(str, [*lone, *v])) for v in (size, out))
        raise BridgeError(
            f"Given input size per channel: ({given}). Calculated output size per channel: ({made}). Output size is too small"
        )


_CPP = {"float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long", "int32": "Int"}


def _check(x: Array, weight: Array, bias: Any, transposed: bool, groups: int) -> None:
    channels = weight.shape[0] if transposed else weight.shape[1] * groups
    if x.ndim != weight.ndim:
        raise BridgeError(
            f"Expected {weight.ndim - 1}D (unbatched) or {weight.ndim}D (batched) input to conv{weight.ndim - 2}d, "
            f"but got input of size: {list(x.shape)}"
        )
    if x.shape[1] != channels:
        kind = "transposed=1" if transposed else f"groups={groups}"
        raise BridgeError(
            f"Given {kind}, weight of size {list(weight.shape)}, expected "
            f"input{list(x.shape)} to have {channels} channels, but got {x.shape[1]} channels instead"
        )
    if weight.shape[0] % groups:
        raise BridgeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of size "
            f"{list(weight.shape)} instead"
        )
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    if not weight.shape[0]:
        raise BridgeError(
            f"Given groups={groups}, expected weight to be at least 1 at dimension 0, but got weight of size "
            f"{list(weight.shape)} instead"
        )
    if 0 in weight.shape[2:]:
        axes = ("time", "height", "width")[5 - weight.ndim :]
        found = " ".join(f"kernel_{name}: {size}" for name, size in zip(axes, weight.shape[2:], strict=True))
        raise BridgeError(f"kernel size should be greater than zero, but got {found}")
    if bias is not None and bias.shape != (outputs,):
        raise BridgeError(
            f"Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional with {outputs} elements, "
            f"but got bias of size {list(bias.shape)} instead"
        )
    if x.dtype != weight.dtype or (bias is not None and bias.dtype != x.dtype):
        other = weight if weight.dtype != x.dtype else bias
        names = [_CPP.get(t.dtype.name, t.dtype.name) for t in (x, other)]
        raise BridgeError(f"expected scalar type {names[0]} but found {names[1]}")


def _plain(x: Array, weight: Array, stride: Sequence[int], dilation: Sequence[int]) -> Any:
    n = weight.ndim - 2
    seen = windows(x, weight.shape[2:], stride, dilation)
    out = np.tensordot(seen, weight, ([1, *range(n + 2, 2 * n + 2)], [1, *range(2, n + 2)]))
    return np.moveaxis(out, -1, 1)


def _grouped(x: Array, weight: Array, stride: Sequence[int], dilation: Sequence[int]) -> Any:
    """All groups of channels in one product of matrices."""
    n, outputs = weight.ndim - 2, weight.shape[0]
    groups = x.shape[1] // weight.shape[1]
    seen = windows(x, weight.shape[2:], stride, dilation)  # (N, C, positions…, kernel…)
    batch, positions = seen.shape[0], seen.shape[2 : 2 + n]
    split = seen.reshape(batch, groups, weight.shape[1], *seen.shape[2:])
    order = (1, 0, *range(3, 3 + n), 2, *range(3 + n, 3 + 2 * n))
    rows = split.transpose(order).reshape(groups, batch * math.prod(positions), math.prod(weight.shape[1:]))
    columns = weight.reshape(groups, outputs // groups, math.prod(weight.shape[1:])).transpose(0, 2, 1)
    made = (rows @ columns).reshape(groups, batch, *positions, outputs // groups)
    return made.transpose(1, 0, n + 2, *range(2, n + 2)).reshape(batch, outputs, *positions)


def _transposed(
    x: Array,
    weight: Array,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    extra: Sequence[int],
) -> Any:
    """Each element adds the weight, scaled, to the window that it stands for."""
    n, kernel = weight.ndim - 2, weight.shape[2:]
    parts = np.tensordot(weight, x, ([0], [1]))  # (O, kernel…, N, positions…)
    full = [(i - 1) * s + d * (k - 1) + 1 for i, s, d, k in zip(x.shape[2:], stride, dilation, kernel, strict=True)]
    grown = [f + max(e, 0) for f, e in zip(full, extra, strict=True)]
    out = np.zeros((weight.shape[1], x.shape[0], *grown), parts.dtype)
    for at in np.ndindex(*kernel):
        where = tuple(
            slice(a * d, a * d + (i - 1) * s + 1, s)
            for a, d, i, s in zip(at, dilation, x.shape[2:], stride, strict=True)
        )
        out[(slice(None), slice(None), *where)] += parts[(slice(None), *at)]
    cut = tuple(slice(p, g - p) for p, g in zip(padding, grown, strict=True))
    assert len(cut) == n
    return np.swapaxes(out[(slice(None), slice(None), *cut)], 0, 1)


# -- composites --------------------------------------------------------------------------------------------------------


def _over(ops: Any, n: int, x: Any, run: Any) -> Any:
    """Run on a batch; without one, on a batch of one."""
    if len(x.shape) not in (n + 1, n + 2):
        raise BridgeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to conv{n}d, but got input of size: {list(x.shape)}"
        )
    if len(x.shape) == n + 2:
        return run(x)
    return ops("aten::squeeze.dim", run(ops("aten::unsqueeze", x, 0)), 0)


def _conv(n: int) -> Any:
    def run(ops: Any, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
        rest = (spread(stride, n), spread(padding, n), spread(dilation, n), False, [0] * n, groups)
        return _over(ops, n, x, lambda v: ops("aten::convolution", v, w, b, *rest))

    return run


def same_pairs(
    mode: str, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """The padding that ``"same"`` or ``"valid"`` stands for: an odd remainder goes to the end."""
    if mode == "valid":
        return [(0, 0)] * len(kernel)
    if mode != "same":
        raise BridgeError(f"Invalid padding string: '{mode}'")
    if any(s != 1 for s in stride):
        raise BridgeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return [(t // 2, t - t // 2) for t in totals]


def _conv_named(n: int) -> Any:
    def run(ops: Any, x: Any, w: Any, b: Any, stride: Any, mode: str, dilation: Any, groups: int) -> Any:
        stride, dilation = spread(stride, n), spread(dilation, n)
        pairs = same_pairs(mode, w.shape[2:], stride, dilation)

        def one(v: Any) -> Any:
            rest = [p[0] for p in pairs]
            more = [p[1] - p[0] for p in pairs]
            if any(more):
                v = ops("aten::constant_pad_nd", v, [k for m in reversed(more) for k in (0, m)], 0)
            return ops("aten::convolution", v, w, b, stride, rest, dilation, False, [0] * n, groups)

        return _over(ops, n, x, one)

    return run


def _conv_transpose(n: int) -> Any:
    def run(ops: Any, x: Any, w: Any, b: Any, stride: Any, padding: Any, extra: Any, groups: int, dilation: Any) -> Any:
        rest = (spread(stride, n), spread(padding, n), spread(dilation, n), True, spread(extra, n), groups)
        return _over(ops, n, x, lambda v: ops("aten::convolution", v, w, b, *rest))

    return run


# -- types -------------------------------------------------------------------------------------------------------------


def _conv_types(n: int | None, transposed: bool = False) -> Any:
    """The sizes after a convolution over ``n`` dimensions (None: as many as the weight has)."""

    def rule(call: Call) -> Results:
        x, w = call.tensor("input"), call.tensor("weight")
        over = n if n is not None else None if w.dims is None else len(w.dims) - 2
        if x.dims is None or over is None:
            return result(x.dtype or w.dtype, None)
        flip = call.known("transposed") if "transposed" in call.schema.index else transposed
        groups = call.known("groups")
        lead = x.dims[: len(x.dims) - over - 1]
        if w.dims is None or flip not in (True, False):
            return result(x.dtype or w.dtype, (*lead, *[None] * (over + 1)))
        if not flip:
            channels = w.dims[0]
        else:
            channels = w.dims[1] * groups if isinstance(w.dims[1], int) and isinstance(groups, int) else None
        kernel = w.dims[2:]
        pairs = _pairs_of(call, over, fixed(kernel))
        options = [sizes(call.known(a), over) for a in ("stride", "dilation")]
        extra = sizes(call.known("output_padding"), over) if "output_padding" in call.schema.index else [0] * over
        if pairs is None or extra is None or any(o is None for o in options):
            return result(x.dtype or w.dtype, (*lead, channels, *[None] * over))
        stride, dilation = options
        assert stride is not None
        assert dilation is not None
        out = [
            None
            if not isinstance(i, int) or not isinstance(k, int)
            else (i - 1) * s - a - b + d * (k - 1) + 1 + o
            if flip
            else (i + a + b - d * (k - 1) - 1) // s + 1
            for i, k, s, (a, b), d, o in zip(x.dims[-over:], kernel, stride, pairs, dilation, extra, strict=True)
        ]
        return result(x.dtype or w.dtype, (*lead, channels, *out))

    return rule


def _pairs_of(call: Call, n: int, kernel: list[int] | None) -> list[tuple[int, int]] | None:
    padding = call.known("padding")
    if isinstance(padding, str):
        stride, dilation = sizes(call.known("stride"), n), sizes(call.known("dilation"), n)
        if stride is None or dilation is None or (kernel is None and padding != "valid"):
            return None
        return same_pairs(padding, kernel or [1] * n, stride, dilation)
    found = sizes(padding, n)
    return None if found is None else [(p, p) for p in found]


# -- ONNX --------------------------------------------------------------------------------------------------------------


def _lower_conv(n: int | None, transposed: bool = False) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        w = call["weight"]
        over = n if n is not None else None if w.rank is None else w.rank - 2
        if over is None:
            e.unsupported("a convolution needs a weight whose number of dimensions is known")
        flip = call["transposed"] if "transposed" in call.schema.index else transposed
        groups = call["groups"]
        if not isinstance(flip, bool) or not isinstance(groups, int):
            e.unsupported("the groups of a convolution must be known when the model is exported")
        return _conv_node(e, call, over, flip, groups)

    return lower


def _conv_node(e: Emitter, call: LoweredCall, n: int, flip: bool, groups: int) -> Any:
    w, op_type = call["weight"], "ConvTranspose" if flip else "Conv"
    if compute_dtype("Conv", w.dtype) is None:
        e.unsupported(f"onnxruntime has no {op_type} for {w.dtype.name}")
    x, added = batched(e, call["input"], n)
    w = at_least(e, w, [1] * (n + 2))  # for a kernel of size 0 onnxruntime never ends
    stride, dilation = known_sizes(e, call, "stride", n), known_sizes(e, call, "dilation", n)
    attributes: dict[str, Any] = {"strides": stride, "dilations": dilation, "group": groups}
    kernel = None if w.dims is None else fixed(w.dims[2:])
    attributes["kernel_shape"] = kernel
    mode = call["padding"]
    if not isinstance(mode, str):
        before = known_sizes(e, call, "padding", n)
        attributes["pads"] = [*before, *before]
    elif mode == "valid" or kernel is not None:
        pairs = same_pairs(mode, kernel or [1] * n, stride, dilation)
        attributes["pads"] = [*[p[0] for p in pairs], *[p[1] for p in pairs]]
    elif any(d != 1 for d in dilation):  # onnxruntime has no automatic padding of dilated convolutions
        e.unsupported("padding='same' with dilation needs a weight whose sizes are known")
    else:
        same_pairs(mode, [1] * n, stride, dilation)
        attributes["auto_pad"] = "SAME_UPPER"
    dims = None if x.dims is None else (x.dims[0], *[None] * (n + 1))
    if flip:
        extra = known_sizes(e, call, "output_padding", n)
        check_extra(stride, dilation, extra)
        x = at_least(e, x, [1] * n)
        if any(a >= s for a, s in zip(extra, stride, strict=True)):  # which onnxruntime refuses
            before = attributes.pop("pads")[:n]
            out = e.op(op_type, x, w, dims=dims, **attributes)
            ends = [a - p for a, p in zip(extra, before, strict=True)]
            out = e.op(
                "Pad", out, ints(0, 0, *[-p for p in before], 0, 0, *ends), e.cast(0.0, e.dtype_of(w)), dims=dims
            )
            if call["bias"] is not None:
                out = e.op("Add", out, e.op("Reshape", call["bias"], ints(-1, *[1] * n)), dims=dims)
            return unbatched(e, out, added)
        attributes["output_padding"] = extra
    out = e.op(op_type, x, w, call["bias"], dims=dims, **attributes)
    return unbatched(e, out, added)


# -- gradient ----------------------------------------------------------------------------------------------------------


def _weight_grad(c: Any, x: Any, g: Any, kernel: Sequence[int]) -> Any:
    """The weight's gradient of a plain convolution of x with result gradient g: x convolved with g, strides and
    dilations exchanged, batch and channels exchanged."""
    n, groups = len(kernel), c["groups"]
    stride, padding, dilation = (spread(c[a], n) for a in ("stride", "padding", "dilation"))
    found = []
    xs, gs = (t.shape[1] // groups for t in (x, g))
    for i in range(groups):
        a = c.op("aten::narrow", x, 1, i * xs, xs).transpose(0, 1)
        b = c.op("aten::narrow", g, 1, i * gs, gs).transpose(0, 1)
        part = c.op("aten::convolution", a, b, None, dilation, padding, stride, False, [0] * n, 1)
        for d, k in enumerate(kernel):  # what the stride left over at the end was never seen
            part = c.op("aten::narrow", part, d + 2, 0, k)
        found.append(part.transpose(0, 1))
    return found[0] if groups == 1 else c.op("aten::cat", found, 0)


def _convolution_grad(c: Any, g: Any) -> Any:
    x, w, groups, flip = c["input"], c["weight"], c["groups"], c["transposed"]
    n, kernel = len(w.shape) - 2, list(w.shape[2:])
    stride, padding, dilation = (spread(c[a], n) for a in ("stride", "padding", "dilation"))
    own = into = None
    if c.needs["input"]:
        rest = [0] * n
        if not flip:
            back = zip(x.shape[2:], g.shape[2:], stride, padding, dilation, kernel, strict=True)
            rest = [i - ((o - 1) * s - 2 * p + d * (k - 1) + 1) for i, o, s, p, d, k in back]
        own = c.op("aten::convolution", g, w, None, stride, padding, dilation, not flip, rest, groups)
    if c.needs["weight"]:
        into = _weight_grad(c, g, x, kernel) if flip else _weight_grad(c, x, g, kernel)
    bias = None
    if c["bias"] is not None and c.needs["bias"]:
        bias = c.op("aten::sum.dim_IntList", g, [0, *range(2, n + 2)], False)
    return own, into, bias


# -- declarations ------------------------------------------------------------------------------------------------------

_ALL_ARGS = (
    "Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, "
)
_SAMPLES = of(
    (f4(2, 3, 6), f4(4, 3, 3), f4(4), [1], [1], [1], False, [0], 1),
    (f4(2, 4, 6, 5), f4(4, 2, 3, 2), None, [2, 1], [1, 0], [1, 2], False, [0, 0], 2),
    (f4(1, 4, 3, 4), f4(4, 3, 3, 2), f4(6), [2, 3], [1, 0], [1, 2], True, [1, 0], 2),
    (f8(1, 2, 4), f8(2, 1, 2), None, [3], [0], [1], True, [2], 1),
    (f8(1, 2, 7), f8(3, 2, 2), f8(3), [3], [1], [1], False, [0], 1),
)
declare(
    f"aten::convolution({_ALL_ARGS}SymInt[] output_padding, SymInt groups) -> Tensor",
    convolution,
    types=_conv_types(None),
    onnx=_lower_conv(None),
    grad=_convolution_grad,
    samples=_SAMPLES,
)
for _overload, _pad, _flags, _count in (
    (".deprecated", "int", "bool benchmark, bool deterministic, bool cudnn_enabled", 3),
    ("", "SymInt", "bool benchmark, bool deterministic, bool cudnn_enabled, bool allow_tf32", 4),
):
    declare(
        f"aten::_convolution{_overload}({_ALL_ARGS}{_pad}[] output_padding, SymInt groups, {_flags}) -> Tensor",
        lambda *args: convolution(*args[:9]),
        types=_conv_types(None),
        onnx=_lower_conv(None),
        grad=_convolution_grad,
        grad_name="ConvolutionBackward1",
        samples=lambda k=_count: [S(*s.args, *[False] * k) for s in list(_SAMPLES())[:3]],
    )

declare(
    "aten::_convolution_mode(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, str padding, SymInt[] dilation, "
    "SymInt groups) -> Tensor",
    lambda ops, x, w, *rest: _conv_named(len(w.shape) - 2)(ops, x, w, *rest),
    composite=True,
    types=_conv_types(None),
    onnx=_lower_conv(None),
    samples=of(
        (f4(2, 4, 7), f4(6, 2, 3), f4(6), [1], "same", [1], 2),
        (f4(2, 4, 7, 6), f4(6, 4, 3, 2), None, [2, 1], "valid", [1, 2], 1),
    ),
)

_INPUTS = {1: ((2, 4, 7), (6, 2, 3)), 2: ((2, 4, 6, 5), (6, 2, 3, 2)), 3: ((1, 2, 4, 4, 3), (4, 1, 2, 3, 2))}
for _n, (_x, _w) in _INPUTS.items():
    _ones, _zeros = [1] * _n, [0] * _n
    _head = "Tensor input, Tensor weight, Tensor? bias=None, "
    _size = f"SymInt[{_n}]"
    declare(
        f"aten::conv{_n}d({_head}{_size} stride={_ones}, {_size} padding={_zeros}, {_size} dilation={_ones}, SymInt groups=1) -> Tensor",
        _conv(_n),
        composite=True,
        types=_conv_types(_n),
        onnx=_lower_conv(_n),
        samples=of(
            S(f4(*_x), f4(*_w), f4(_w[0]), groups=2),
            S(f4(_x[0], _w[1], *_x[2:]), f4(*_w), None, [2] * _n, [1] * _n),
            S(f4(_w[1], *_x[2:]), f4(*_w), f4(_w[0]), _ones, [2] * _n, [2] * _n),
            S(f8(_x[0], _w[1], *_x[2:]), f8(*_w)),
        ),
    )
    declare(
        f'aten::conv{_n}d.padding({_head}{_size} stride={_ones}, str padding="valid", {_size} dilation={_ones}, SymInt groups=1) -> Tensor',
        _conv_named(_n),
        composite=True,
        types=_conv_types(_n),
        onnx=_lower_conv(_n),
        samples=of(
            S(f4(*_x), f4(*_w), f4(_w[0]), _ones, "same", groups=2),
            S(f4(_x[0], _w[1], *_x[2:]), f4(*_w), None, [2] * _n, "valid"),
            S(f4(_x[0], _w[1], *_x[2:]), f4(*_w), None, _ones, "same", [2] * _n),
        ),
    )
    declare(
        f"aten::conv_transpose{_n}d{'' if _n == 1 else '.input'}({_head}{_size} stride={_ones}, {_size} padding={_zeros}, "
        f"{_size} output_padding={_zeros}, SymInt groups=1, {_size} dilation={_ones}) -> Tensor",
        _conv_transpose(_n),
        composite=True,
        types=_conv_types(_n, transposed=True),
        onnx=_lower_conv(_n, transposed=True),
        samples=of(
            S(f4(_x[0], _w[0], *_x[2:]), f4(*_w), f4(_w[1] * 2), groups=2),
            S(f4(_x[0], _w[0], *_x[2:]), f4(*_w), None, [2] * _n, _ones, _ones),
            S(f4(_w[0], *_x[2:]), f4(*_w), f4(_w[1]), dilation=[2] * _n),
        ),
    )
