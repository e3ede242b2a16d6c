"""Embedding, normalisation and padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import at_least, from_front, last_sizes, multiple_of, sized_along
from bridge.ir.ops._composite import lower_steps
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import INT64, ints, known_rank, typed
from bridge.ir.ops._samples import S, f4, f8, of, positive
from bridge.ir.ops._samples import ints as idx
from bridge.ir.ops.reduction import reduce_node
from bridge.ir.registry import unsupported
from bridge.ir.rules import UNKNOWN, Call, Results, like, result

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
    if x.ndim > 1 and not x.size:  # torch looks at the first weight only
        if any(given is not None and not given.size for given in (weight, bias)):
            raise IndexError("select(): index 0 out of range for tensor of size [0] at dimension 0")
        return x.copy()
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
        shaped = [None if t is None else e.op("Reshape", sized_along(e, t, x, [1]), spread) for t in (w, b)]
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
    return ops("aten::native_group_norm", x, weight, bias, n, channels, math.prod(x.shape[2:]), groups, eps)[0]


#: What torch says behind the failures of its own checks.
_REPORT = " (Could this error message be improved?  If so, please report an enhancement request to PyTorch.)"


def native_group_norm(
    x: Array, weight: Any, bias: Any, n: int, channels: int, size: int, groups: int, eps: float
) -> Any:
    if channels % groups:
        raise BridgeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(x.shape)} and num_groups={groups}"
        )
    for name, given in (("weight", weight), ("bias", bias)):
        if given is not None and given.shape != (channels,):
            raise BridgeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape "
                f"{list(given.shape)} and input of shape {list(x.shape)}"
            )
    if x.size != n * channels * size:
        raise BridgeError(f"Expected X.numel() == N * C * HxW to be true, but got false. {_REPORT}")
    grouped = x.reshape(n, groups, (channels // groups) * size)  # whatever dimensions x has
    none = np.full((n, groups, 1), np.nan, x.dtype)
    normal, mean, rstd = _standard(grouped, [2], eps) if x.size else (grouped, none, none)
    out = _affine(normal.reshape(n, channels, size), _channels(weight, 3), _channels(bias, 3)).reshape(x.shape)
    return out.astype(x.dtype), mean.reshape(n, groups).astype(x.dtype), rstd.reshape(n, groups).astype(x.dtype)


def _group_norm_grad(c: Any, g: Any, *rest: Any) -> Any:
    x, weight = c["input"], c["weight"]
    planes = [c["N"], c["C"], c["HxW"]]
    grouped = [c["N"], c["group"], c["C"] // c["group"] * c["HxW"]]
    t, g = x.reshape(grouped), g.reshape(planes)
    mean = c.op("aten::mean.dim", t, [2], True)
    rstd = (c.op("aten::mean.dim", (t - mean).pow(2), [2], True) + c["eps"]).rsqrt()
    normal = (t - mean) * rstd
    inner = (g if weight is None else g * _channels(weight, 3)).reshape(grouped)
    m1, m2 = c.op("aten::mean.dim", inner, [2], True), c.op("aten::mean.dim", inner * normal, [2], True)
    own = ((inner - m1 - normal * m2) * rstd).reshape(list(x.shape))
    total = [c.op("aten::sum.dim_IntList", v, [0, 2], False) for v in (g * normal.reshape(planes), g)]
    return own, None if weight is None else total[0], None if c["bias"] is None else total[1]


def _lower_group_norm(e: Emitter, call: LoweredCall) -> Any:
    x, w, b, groups = call["input"], call["weight"], call["bias"], call["num_groups"]
    rank = known_rank(e, x, "group_norm")
    shape = e.shape_of(x)
    x = multiple_of(e, x, 1, groups)  # channels are not shared between groups
    if isinstance(x.dims[1], int) and x.dims[1] % groups:
        raise BridgeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(x.dims)} and "
            f"num_groups={groups}"
        )
    batch = e.op("Slice", shape, ints(0), ints(1), ints(0), dims=(1,))
    inner = e.op("Slice", shape, ints(1), ints(2**62), ints(0), dims=(rank - 1,))
    size = e.op("Div", e.op("ReduceProd", inner, keepdims=1, dims=(1,)), np.asarray([groups]), dims=(1,))
    whole = e.op("Concat", batch, ints(groups), size, axis=0, dims=(3,))
    allow = 1 if e.opset >= 14 else None  # a 0 is a size, not "keep"
    grouped = e.op("Reshape", x, whole, dims=(None, groups, None), allowzero=allow)
    normal = e.op("Reshape", _standard_node(e, grouped, [2], call["eps"]), shape, dims=x.dims, allowzero=allow)
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
    if w is not None or b is not None:
        x = at_least(e, x, [1, 1, *[0] * (rank - 2)])
    spread = ints(1, -1, *[1] * (rank - 2))
    shaped = [None if t is None else e.op("Reshape", sized_along(e, t, x, [1]), spread) for t in (w, b)]
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

__all__ = ["INT64", "affine_node", "batch_norm", "by_name", "embedding"]
