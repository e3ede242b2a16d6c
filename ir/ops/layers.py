"""Embedding, normalisation and padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import at_least, from_front, holds, last_sizes, sized_along
from bridge.ir.ops._composite import lower_steps
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import BOOL, INT64, compute_dtype, ints, is_lowered, known_rank, typed
from bridge.ir.ops._samples import S, f4, f8, of, positive
from bridge.ir.ops._samples import ints as idx
from bridge.ir.ops.reduction import reduce_node
from bridge.ir.readings import Given, Input, reads
from bridge.ir.registry import unsupported
from bridge.ir.rules import UNKNOWN, Call, Results, like, result
from bridge.ir.types import Dim

# -- embedding ---------------------------------------------------------------------------------------------------------


def embedding(weight: Array, indices: Array, padding_idx: int = -1, scale: bool = False, sparse: bool = False) -> Any:
    if indices.dtype.kind not in "iu":
        raise BridgeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"torch.{indices.dtype.name} instead (while checking arguments for embedding)"
        )
    if indices.size and (indices.max() >= weight.shape[0] or indices.min() < 0):
        raise IndexError("index out of range in self")
    return weight[indices]


def _embedding_types(call: Call) -> Results:
    w, i = call.tensor("weight"), call.tensor("indices")
    return result(w.dtype, None if w.dims is None or i.dims is None else (*i.dims, *w.dims[1:]))


def _embedding_grad(c: Any, g: Any) -> Any:
    if c["scale_grad_by_freq"]:
        raise BridgeError("the gradient of an embedding scaled by frequency is not supported")
    weight, indices = c["weight"], c["indices"].reshape([-1])
    rows = g.reshape([indices.shape[0], *weight.shape[1:]])
    out = c.op("aten::index_add", c.op("aten::zeros_like", weight), 0, indices, rows)
    padding = c["padding_idx"]
    if padding >= 0:
        at = c.op("aten::full", [1], padding, 4)
        out = c.op("aten::index_fill.int_Scalar", out, 0, at, 0)
    return out, None


declare(
    "aten::embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor",
    embedding,
    types=_embedding_types,
    onnx=lambda e, call: e.op("Gather", call["weight"], from_front(e, call["indices"]), axis=0),
    grad=_embedding_grad,
    samples=of((f4(5, 3), idx(0, 4, 4)), (f4(5, 3), np.asarray([[0, 1], [2, 2]])), (f4(5, 3), idx(1, 2, 2), 2)),
)

# -- normalisation -----------------------------------------------------------------------------------------------------


def _standard(x: Array, axes: Sequence[int], eps: float) -> tuple[Array, Array, Array]:
    """x with mean 0 and variance 1 over the axes; the mean; one over the deviation."""
    wide = x.astype(np.float64) if x.dtype == np.float64 else x.astype(np.float32)
    mean = wide.mean(axis=tuple(axes), keepdims=True)
    rstd = 1 / np.sqrt(wide.var(axis=tuple(axes), keepdims=True) + wide.dtype.type(eps))
    return (wide - mean) * rstd, mean, rstd


def _affine(x: Array, weight: Any, bias: Any) -> Any:
    out = x if weight is None else x * weight
    return out if bias is None else out + bias


def layer_norm(
    ops: Any, input: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn: bool = True
) -> Any:
    return ops("aten::native_layer_norm", input, shape, weight, bias, eps)[0]


def native_layer_norm(input: Array, shape: Sequence[int], weight: Any, bias: Any, eps: float) -> Any:
    n = len(shape)
    if not n:
        raise BridgeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            "normalized_shape = []"
        )
    for name, given in (("weight", weight), ("bias", bias)):
        if given is not None and list(given.shape) != list(shape):
            raise BridgeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape {list(given.shape)} and "
                f"normalized_shape = {list(shape)}"
            )
    if list(input.shape[-n:]) != list(shape):
        raise BridgeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], "
            f"but got input of size{list(input.shape)}"
        )
    axes = range(input.ndim - n, input.ndim)
    out, mean, rstd = _standard(input, list(axes), eps)
    return _affine(out, weight, bias).astype(input.dtype), mean.astype(input.dtype), rstd.astype(input.dtype)


def _layer_norm_grad(c: Any, g: Any, *rest: Any) -> Any:
    x, weight, n = c["input"], c["weight"], len(c["normalized_shape"])
    axes = list(range(len(x.shape) - n, len(x.shape)))
    mean = c.op("aten::mean.dim", x, axes, True)
    rstd = (c.op("aten::mean.dim", (x - mean).pow(2), axes, True) + c["eps"]).rsqrt()
    normal = (x - mean) * rstd
    inner = g if weight is None else g * weight
    m1, m2 = c.op("aten::mean.dim", inner, axes, True), c.op("aten::mean.dim", inner * normal, axes, True)
    lead = list(range(len(x.shape) - n))

    def total(t: Any) -> Any:
        return c.op("aten::sum.dim_IntList", t, lead, False) if lead else t

    return (
        (inner - m1 - normal * m2) * rstd,
        None if weight is None else total(g * normal),
        None if c["bias"] is None else total(g),
    )


def _lower_layer_norm(e: Emitter, call: LoweredCall) -> Any:
    sizes = call["normalized_shape"]
    x, n = last_sizes(e, call["input"], sizes), len(sizes)
    w, b = (v if v is None else last_sizes(e, v, sizes) for v in (call["weight"], call["bias"]))
    if (
        e.opset >= 17
        and x.dtype.name in ("float32", "float64", "float16")
        and all(isinstance(s, int) for s in call["normalized_shape"])
    ):
        scale = w if w is not None else np.ones(call["normalized_shape"], x.dtype.numpy)
        return e.op("LayerNormalization", x, scale, b, axis=-n, epsilon=float(call["eps"]))
    axes = [-k for k in range(n, 0, -1)]
    return affine_node(e, _standard_node(e, x, axes, call["eps"]), w, b)


def _standard_node(e: Emitter, x: Any, axes: list[int], eps: float) -> Any:
    t = x.dtype
    mean = reduce_node(e, "ReduceMean", x, axes, True, t)
    d = typed(e, "Sub", t, x, mean, dims=x.dims)
    variance = reduce_node(e, "ReduceMean", typed(e, "Mul", t, d, d, dims=x.dims), axes, True, t)
    return typed(e, "Div", t, d, typed(e, "Sqrt", t, typed(e, "Add", t, variance, e.scalar(eps, t))), dims=x.dims)


def affine_node(e: Emitter, x: Any, weight: Any, bias: Any) -> Any:
    """x · weight + bias where they are given."""
    out = x if weight is None else typed(e, "Mul", x.dtype, x, weight)
    return out if bias is None else typed(e, "Add", x.dtype, out, bias)


_INPUT = like("input")
_LAYER = "Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enable=True"
_NATIVE = "Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps"
declare(
    f"aten::layer_norm({_LAYER}) -> Tensor",
    layer_norm,
    composite=True,
    types=_INPUT,
    onnx=_lower_layer_norm,
    samples=of(
        (f4(2, 3, 4), [4], f4(4), f4(4, seed=1)),
        (f4(2, 3, 4), [3, 4]),
        (f4(2, 4), [4], positive(4)),
        S(f8(2, 4), [4], eps=0.1),
    ),
)


def _native_types(call: Call) -> Results:
    x, shape = call.tensor("input"), call.known("normalized_shape")
    if x.dims is None or shape is UNKNOWN:
        return [result(x.dtype, x.dims), result(x.dtype, None), result(x.dtype, None)]
    n = len(shape)
    lead = (*x.dims[: len(x.dims) - n], *[1] * n)
    return [result(x.dtype, x.dims), result(x.dtype, lead), result(x.dtype, lead)]


declare(
    f"aten::native_layer_norm({_NATIVE}) -> (Tensor, Tensor, Tensor)",
    native_layer_norm,
    types=_native_types,
    onnx=unsupported("native_layer_norm is exported as layer_norm"),
    grad=_layer_norm_grad,
    samples=of((f4(2, 3, 4), [4], f4(4), f4(4, seed=1), 1e-5)),
)


def _channels(v: Any, rank: int) -> Any:
    """A tensor of one value per channel, laid along dimension 1."""
    return None if v is None else v.reshape([1, -1, *[1] * (rank - 2)])


def batch_norm(
    x: Array, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float, cudnn: bool
) -> Any:
    """Over the channels of dimension 1; in training the running statistics are updated in place."""
    channels = x.shape[1] if x.ndim > 1 else 0
    for name, given in (("running_mean", mean), ("running_var", var), ("weight", weight), ("bias", bias)):
        if given is not None and given.size != channels:
            raise BridgeError(f"{name} should contain {channels} elements not {given.size}")
    if x.ndim < 2 or not x.size:
        return x.copy()
    axes = tuple(i for i in range(x.ndim) if i != 1)
    if training or mean is None or var is None:
        m, v = x.mean(axis=axes), x.var(axis=axes)
        n = math.prod(x.shape[a] for a in axes)
        if training and n <= 1:
            raise BridgeError(f"Expected more than 1 value per channel when training, got input size {list(x.shape)}")
        if training and mean is not None:
            mean[...] = (1 - momentum) * mean + momentum * m
            var[...] = (1 - momentum) * var + momentum * v * n / max(n - 1, 1)
    else:
        m, v = mean, var
    normal = (x - _channels(m, x.ndim)) / np.sqrt(_channels(v, x.ndim) + x.dtype.type(eps))
    return _affine(normal, _channels(weight, x.ndim), _channels(bias, x.ndim)).astype(x.dtype)


def _batch_norm_grad(c: Any, g: Any) -> Any:
    x, weight, rank = c["input"], c["weight"], len(c["input"].shape)
    axes = [i for i in range(rank) if i != 1]
    batch = c["training"] or c["running_mean"] is None
    if batch:
        mean = c.op("aten::mean.dim", x, axes, True)
        rstd = (c.op("aten::mean.dim", (x - mean).pow(2), axes, True) + c["eps"]).rsqrt()
    else:
        mean, rstd = _channels(c["running_mean"], rank), (_channels(c["running_var"], rank) + c["eps"]).rsqrt()
    normal = (x - mean) * rstd
    inner = g if weight is None else g * _channels(weight, rank)
    if batch:
        m1, m2 = c.op("aten::mean.dim", inner, axes, True), c.op("aten::mean.dim", inner * normal, axes, True)
        own = (inner - m1 - normal * m2) * rstd
    else:
        own = inner * rstd
    total = [c.op("aten::sum.dim_IntList", t, axes, False) for t in (g * normal, g)]
    return own, None if weight is None else total[0], None if c["bias"] is None else total[1], None, None


def _lower_batch_norm(e: Emitter, call: LoweredCall) -> Any:
    x, w, b, m, v = (call[n] for n in ("input", "weight", "bias", "running_mean", "running_var"))
    if call["training"] is not False and call["running_mean"] is not None:
        e.unsupported("batch_norm in training changes its running statistics; call eval() before exporting")
    rank = known_rank(e, x, "batch_norm")
    if rank < 2:
        e.unsupported("batch_norm is exported for tensors with channels, of two dimensions or more")
    if m is None:
        axes = [i for i in range(rank) if i != 1]
        spread = ints(1, -1, *[1] * (rank - 2))
        shaped = [None if t is None else e.op("Reshape", t, spread) for t in (w, b)]
        return affine_node(e, _standard_node(e, x, axes, call["eps"]), *shaped)
    one = e.op("Sub", m, m)
    scale = w if w is not None else e.op("Add", one, e.scalar(1.0, x.dtype))
    return e.op("BatchNormalization", x, scale, b if b is not None else one, m, v, epsilon=float(call["eps"]))


declare(
    "aten::batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, "
    "float momentum, float eps, bool cudnn_enabled) -> Tensor",
    batch_norm,
    types=_INPUT,
    onnx=_lower_batch_norm,
    grad=_batch_norm_grad,
    grad_name="NativeBatchNormBackward0",
    samples=of(
        (f4(2, 3, 4), f4(3), f4(3, seed=1), f4(3, seed=2), positive(3), False, 0.1, 1e-5, True),
        (f4(4, 3), None, None, f4(3, seed=2), positive(3), False, 0.1, 1e-5, True),
    ),
)


def group_norm(
    ops: Any, x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn: bool = True
) -> Any:
    n, channels = x.shape[0], x.shape[1]
    if channels % groups:
        raise BridgeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(x.shape)} and num_groups={groups}"
        )
    return ops("aten::native_group_norm", x, weight, bias, n, channels, math.prod(x.shape[2:]), groups, eps)[0]


def native_group_norm(
    x: Array, weight: Any, bias: Any, n: int, channels: int, size: int, groups: int, eps: float
) -> Any:
    for name, given in (("weight", weight), ("bias", bias)):
        if given is not None and given.shape != (channels,):
            raise BridgeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape "
                f"{list(given.shape)} and input of shape {list(x.shape)}"
            )
    grouped = x.reshape(n, groups, (channels // groups) * size)
    normal, mean, rstd = _standard(grouped, [2], eps)
    out = _affine(normal.reshape(x.shape), _channels(weight, x.ndim), _channels(bias, x.ndim))
    return out.astype(x.dtype), mean.reshape(n, groups).astype(x.dtype), rstd.reshape(n, groups).astype(x.dtype)


def _group_norm_grad(c: Any, g: Any, *rest: Any) -> Any:
    x, weight, rank = c["input"], c["weight"], len(c["input"].shape)
    grouped = [c["N"], c["group"], -1]
    t = x.reshape(grouped)
    mean = c.op("aten::mean.dim", t, [2], True)
    rstd = (c.op("aten::mean.dim", (t - mean).pow(2), [2], True) + c["eps"]).rsqrt()
    normal = (t - mean) * rstd
    inner = (g if weight is None else g * _channels(weight, rank)).reshape(grouped)
    m1, m2 = c.op("aten::mean.dim", inner, [2], True), c.op("aten::mean.dim", inner * normal, [2], True)
    own = ((inner - m1 - normal * m2) * rstd).reshape(list(x.shape))
    axes = [i for i in range(rank) if i != 1]
    full = normal.reshape(list(x.shape))
    total = [c.op("aten::sum.dim_IntList", v, axes, False) for v in (g * full, g)]
    return own, None if weight is None else total[0], None if c["bias"] is None else total[1]


def _lower_group_norm(e: Emitter, call: LoweredCall) -> Any:
    x, w, b, groups = call["input"], call["weight"], call["bias"], call["num_groups"]
    rank = known_rank(e, x, "group_norm")
    shape = e.shape_of(x)
    if x.dims is None or not isinstance(x.dims[1], int):  # channels are not shared between groups
        channels = e.op("Gather", shape, ints(1), axis=0, dims=(1,))
        rest = e.op("Mod", channels, np.asarray([groups]), dims=(1,))
        x = holds(e, x, e.op("Equal", rest, ints(0), dtype=BOOL, dims=(1,)))
    elif x.dims[1] % groups:
        raise BridgeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(x.dims)} and "
            f"num_groups={groups}"
        )
    batch = e.op("Slice", shape, ints(0), ints(1), ints(0), dims=(1,))
    inner = e.op("Slice", shape, ints(1), ints(2**62), ints(0), dims=(rank - 1,))
    size = e.op("Div", e.op("ReduceProd", inner, keepdims=1, dims=(1,)), np.asarray([groups]), dims=(1,))
    grouped = e.op(
        "Reshape", x, e.op("Concat", batch, ints(groups), size, axis=0, dims=(3,)), dims=(None, groups, None)
    )
    normal = e.op("Reshape", _standard_node(e, grouped, [2], call["eps"]), shape, dims=x.dims)
    spread = ints(1, -1, *[1] * (rank - 2))
    return affine_node(
        e, normal, *[None if t is None else e.op("Reshape", sized_along(e, t, x, [1]), spread) for t in (w, b)]
    )


declare(
    "aten::group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enabled=True) -> Tensor",
    group_norm,
    composite=True,
    types=_INPUT,
    onnx=_lower_group_norm,
    samples=of((f4(2, 4, 3), 2, f4(4), f4(4, seed=1)), (f4(2, 4, 2, 2), 4), (f4(2, 4), 2)),
)
declare(
    "aten::native_group_norm(Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group, float eps) -> (Tensor, Tensor, Tensor)",
    native_group_norm,
    types=lambda call: [
        _INPUT(call),
        result(call.tensor("input").dtype, None),
        result(call.tensor("input").dtype, None),
    ],
    onnx=unsupported("native_group_norm is exported as group_norm"),
    grad=_group_norm_grad,
)


def instance_norm(
    ops: Any,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    use_input: bool,
    momentum: float,
    eps: float,
    cudnn: bool,
) -> Any:
    if not use_input and mean is not None:
        return ops("aten::batch_norm", x, weight, bias, mean, var, False, momentum, eps, cudnn)
    shape = list(x.shape)
    flat = ops("aten::reshape", x, [1, shape[0] * shape[1], *shape[2:]])
    times = [None if t is None else ops("aten::repeat", t, [shape[0]]) for t in (weight, bias, mean, var)]
    made = ops("aten::view", ops("aten::batch_norm", flat, *times, True, momentum, eps, cudnn), shape)
    for kept, each in zip((mean, var), times[2:], strict=True):
        if kept is not None:
            ops("aten::copy_", kept, ops("aten::mean.dim", ops("aten::view", each, shape[:2]), [0]))
    return made


def _lower_instance_norm(e: Emitter, call: LoweredCall) -> Any:
    x, w, b = call["input"], call["weight"], call["bias"]
    mean, var = call["running_mean"], call["running_var"]
    if mean is not None and call["use_input_stats"]:
        e.unsupported("instance_norm that updates running statistics is not exported; call eval() first")
    if mean is not None:
        return lower_steps(
            e, lambda t, x, *kept: t.batch_norm(x, *kept, False, 0.0, call["eps"], False), x, w, b, mean, var
        )
    rank = known_rank(e, x, "instance_norm")
    spread = ints(1, -1, *[1] * (rank - 2))
    shaped = [None if t is None else e.op("Reshape", t, spread) for t in (w, b)]
    return affine_node(e, _standard_node(e, x, list(range(2, rank)), call["eps"]), *shaped)


declare(
    "aten::instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool use_input_stats, "
    "float momentum, float eps, bool cudnn_enabled) -> Tensor",
    instance_norm,
    composite=True,
    types=_INPUT,
    onnx=_lower_instance_norm,
    samples=of(
        (f4(2, 3, 4), f4(3), f4(3, seed=1), None, None, True, 0.1, 1e-5, True),
        (f4(2, 3, 4), None, None, None, None, True, 0.1, 1e-5, True),
        (f4(2, 3, 4), f4(3), f4(3, seed=1), f4(3, seed=2), positive(3), False, 0.1, 1e-5, True),
    ),
)

# -- padding -----------------------------------------------------------------------------------------------------------


def _pairs(pad: Sequence[int], rank: int) -> list[tuple[int, int]]:
    """torch counts from the last dimension; NumPy from the first."""
    if len(pad) % 2:
        raise BridgeError("Padding length must be divisible by 2")
    given = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    if len(given) > rank:
        raise BridgeError(
            f"Length of pad should be no more than twice the number of dimensions of the input. Pad length is {len(pad)} while the input has {rank} dimensions."
        )
    return [(0, 0)] * (rank - len(given)) + given[::-1]


_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(self: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Negative sizes cut: before anything is added, or of what was added where that mirrors or repeats the edge."""
    pairs, first = _pairs(pad, self.ndim), mode in ("constant", "circular")
    x = self
    if first:
        if any(n + min(a, 0) + min(b, 0) < 0 for (a, b), n in zip(pairs, self.shape, strict=True)):
            raise BridgeError("narrow(): length must be non-negative.")
        x = self[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pairs, self.shape, strict=True))]
    grown = [(max(a, 0), max(b, 0)) for a, b in pairs]
    if mode == "constant":
        return np.pad(x, grown, constant_values=np.asarray(0 if value is None else value).astype(x.dtype))
    _check_pads(mode, self.shape, pairs)
    x = np.pad(x, grown, mode=_MODES[mode])  # type: ignore[call-overload]
    if first:
        return x
    return np.ascontiguousarray(
        x[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pairs, x.shape, strict=True))]
    )


def _check_pads(mode: str, shape: Sequence[int], pairs: Sequence[tuple[int, int]]) -> None:
    """Raise what torch raises for sizes that cannot be padded so."""
    n = max((len(shape) - d for d, p in enumerate(pairs) if p != (0, 0)), default=1)
    if mode == "circular":
        if any(max(p) > size for p, size in zip(pairs, shape, strict=True)):
            raise BridgeError("Padding value causes wrapping around more than once.")
        return
    if 0 in shape[1 if len(shape) == n + 2 else 0 :]:
        raise BridgeError(
            f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for "
            f"input, but got: {list(shape)}"
        )
    for d in range(len(shape) - 1, -1, -1):
        (a, b), size = pairs[d], shape[d]
        if mode == "reflect" and max(a, b) >= size and (a or b):
            raise BridgeError(
                f"Argument #{2 + 2 * (len(shape) - d)}: Padding size should be less than the corresponding input dimension, "
                f"but got: padding ({a}, {b}) at dimension {d} of input {list(shape)}"
            )
    letters = "TDHW"[-n:] if n < 3 else "DHW"
    sizes, out = shape[len(shape) - n :], [size + a + b for size, (a, b) in zip(shape, pairs, strict=True)]
    if any(o < 1 for o in out[len(shape) - n :]):
        given, made = (" ".join(f"{k}: {v}" for k, v in zip(letters, vs, strict=True)) for vs in (sizes, out[-n:]))
        raise BridgeError(f"input ({given}) is too small. Calculated output {made}")


def _pad_types(call: Call) -> Results:
    t, pad = call.tensor("self"), call.known("pad")
    if t.dims is None or pad is UNKNOWN:
        return result(t.dtype, None if t.dims is None else (None,) * len(t.dims))
    n = len(pad) // 2
    dims: list[Dim] = list(t.dims)
    for k in range(n):
        a, b, at = pad[2 * k], pad[2 * k + 1], len(dims) - 1 - k
        size = dims[at]
        if not isinstance(a, int) or not isinstance(b, int) or (not isinstance(size, int) and (a or b)):
            dims[at] = None
        elif isinstance(size, int):
            dims[at] = size + a + b
    return result(t.dtype, dims)


def _lower_pad(e: Emitter, call: LoweredCall) -> Any:
    x, mode = call["self"], call["mode"] if "mode" in call.schema.index else "constant"
    pad, rank = call["pad"], known_rank(e, x, "pad")
    if is_lowered(pad):
        e.unsupported("pad needs a list of known length")
    given = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    rows = [(0, 0)] * (rank - len(given)) + given[::-1]
    known = not any(is_lowered(p) for p in pad)
    if mode == "circular" and known:
        return _wrapped(e, x, rows)
    if known and mode in ("reflect", "replicate") and min(pad, default=0) < 0:  # add, then cut
        parts = [[(max(s * a, 0) * s, max(s * b, 0) * s) for a, b in rows] for s in (1, -1)]
        x = _pad_node(e, x, e.ints([a for a, _ in parts[0]] + [b for _, b in parts[0]]), mode)
        return _pad_node(e, x, e.ints([a for a, _ in parts[1]] + [b for _, b in parts[1]]), "constant")
    vector = e.ints([a for a, _ in rows] + [b for _, b in rows])
    if mode == "circular" and e.opset < 19:
        e.unsupported(f"circular padding needs opset 19; this is {e.opset}")
    if mode == "constant" and known:  # what is cut off must be there
        x = at_least(e, x, [max(-a, 0) + max(-b, 0) for a, b in rows])
    value = call["value"] if "value" in call.schema.index else None
    return _pad_node(e, x, vector, mode, value)


def _pad_node(e: Emitter, x: Any, vector: Any, mode: str, value: Any = None) -> Any:
    compute = compute_dtype("Pad", x.dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no Pad for {x.dtype.name}")
    fill = e.cast(0 if value is None else value, compute) if mode == "constant" else None
    return e.cast(e.op("Pad", e.cast(x, compute), vector, fill, mode=_MODES[mode]), x.dtype)


def _wrapped(e: Emitter, x: Any, rows: Sequence[tuple[int, int]]) -> Any:
    """Circular padding: the end before the beginning, the beginning behind the end."""
    last = np.iinfo(np.int64).max
    if any(min(p) < 0 for p in rows):
        x = _pad_node(e, x, e.ints([min(a, 0) for a, _ in rows] + [min(b, 0) for _, b in rows]), "constant")
    x = at_least(e, x, [max(*p, 0) for p in rows])
    for d, (a, b) in enumerate(rows):
        before = [e.op("Slice", x, ints(-a), ints(last), ints(d))] if a > 0 else []
        after = [e.op("Slice", x, ints(0), ints(b), ints(d))] if b > 0 else []
        dims = x.dims
        if before or after:
            x = e.op(
                "Concat", *before, x, *after, axis=d, dims=tuple(None if i == d else n for i, n in enumerate(dims))
            )
    return x


def _pad_grad(c: Any, g: Any) -> Any:
    return (c.op("aten::constant_pad_nd", g, [-p for p in c["pad"]], 0),)


def _pad(ops: Any, self: Any, pad_: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    if mode == "constant":
        return ops("aten::constant_pad_nd", self, pad_, 0 if value is None else value)
    n = len(pad_) // 2
    if len(self.shape) not in (n + 1, n + 2) or n > 3 or len(pad_) % 2:
        raise NotImplementedError(
            f"Padding size {len(pad_)} is not supported for {len(self.shape)}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    name = {"reflect": "reflection_pad", "replicate": "replication_pad"}.get(mode)
    if name is None:
        return ops("aten::_pad_circular", self, pad_)
    return ops(f"aten::{name}{n}d", self, pad_)


_PADS = of(
    (f4(2, 3), [1, 2]), (f4(2, 3), [1, 0, 0, 2], "constant", 5.0), (f4(2, 3), [-1, 1]), (f4(1, 2, 5), [2, 1], "reflect"), (f4(1, 2, 5), [2, 1], "replicate"),
    (f4(1, 2, 5), [2, 1], "circular"), (f4(1, 2, 4, 4), [1, 2, 3, 0], "reflect"),
)  # fmt: skip
declare(
    'aten::pad(Tensor self, SymInt[] pad, str mode="constant", float? value=None) -> Tensor',
    _pad,
    composite=True,
    types=_pad_types,
    onnx=_lower_pad,
    samples=_PADS,
)
declare(
    "aten::constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor",
    lambda x, p, v: pad(x, p, "constant", v),
    types=_pad_types,
    onnx=_lower_pad,
    grad=_pad_grad,
    samples=of((f4(2, 3), [1, 2]), (f4(2, 3), [1, 0, -1, 2], 5.0)),
)


def _folded_grad(mode: str) -> Any:
    """Each padded element gives its gradient to the one it is a copy of."""

    def grad(c: Any, g: Any) -> Any:
        x = c["self"]
        pairs = _pairs(c["padding" if "padding" in c.plan.schema.index else "pad"], len(x.shape))
        for d, (a, b) in enumerate(pairs):
            if a or b:
                n = x.shape[d]
                source = pad(np.arange(n), (a, b), mode)
                at = c.op("aten::tensor", source.tolist())
                shape = [n if i == d else s for i, s in enumerate(g.shape)]
                g = c.op("aten::index_add", c.op("aten::new_zeros", g, shape), d, at, g)
        return (g,)

    return grad


def _declare_pad(mode: str, name: str, schema: str, sample: Any, lower: Any) -> None:
    declare(
        f"aten::{name}(Tensor self, {schema}) -> Tensor",
        lambda x, p: pad(x, p, mode),
        types=lambda call: _pad_types(Call(call.schema, call.types, {"pad": call.known(schema.split()[1])})),
        onnx=lower,
        grad=_folded_grad(mode),
        samples=of(sample),
    )


_AS_PAD = unsupported("this padding is exported as aten::pad")
for _n, _sample in (
    (1, (f4(1, 2, 5), [2, 1])),
    (2, (f4(1, 2, 4, 4), [1, 2, 3, 0])),
    (3, (f4(1, 1, 3, 3, 3), [1, 0, 0, 1, 1, 1])),
):
    _declare_pad("reflect", f"reflection_pad{_n}d", f"SymInt[{2 * _n}] padding", _sample, _AS_PAD)
    _declare_pad("replicate", f"replication_pad{_n}d", f"SymInt[{2 * _n}] padding", _sample, _AS_PAD)
_declare_pad("circular", "_pad_circular", "SymInt[] pad", (f4(1, 2, 5), [2, 1]), _AS_PAD)

__all__ = ["INT64", "affine_node", "batch_norm", "by_name", "embedding", "pad"]


def _over_last(given: Given) -> list[Any] | None:
    """Over the last dimension, whose size the constant scale tells."""
    scale = given.shapes[1] if len(given) > 1 else None
    if given.attribute("axis") != -1 or scale is None or len(scale) != 1 or given.attribute("epsilon") is None:
        return None
    bias = Input(2) if len(given) > 2 else None
    return [Input(0), list(scale), Input(1), bias, given.attribute("epsilon")]


reads("LayerNormalization", "aten::layer_norm", _over_last, since=17)
