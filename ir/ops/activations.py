"""Activation functions: relu and its relatives, gelu, silu, softplus, glu, prelu, dropout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_numpy, default_dtype
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import as_large_as, equal_dims, multiple_of
from bridge.ir.ops._declare import Array, declare, dim_of, in_place
from bridge.ir.ops._onnx import BOOL, FLOAT32, axis_of, ints, is_lowered, known_rank, typed, where
from bridge.ir.ops._samples import S, f4, f8, i8, of
from bridge.ir.ops.choose import extreme_node
from bridge.ir.ops.pointwise import erf, expm1_node, log1p_node, sigmoid, tuple_grad
from bridge.ir.readings import reads, with_attributes
from bridge.ir.registry import Operator
from bridge.ir.rules import Call, Results, float_like_self, like_self, result

_X = of(
    (f4(3, 4, scale=3),), (f4(),), (f8(3),), (f4(0, 2),), (np.asarray([math.nan, -math.inf, math.inf], np.float32),)
)
_FINITE = of((f4(3, 4, scale=3),), (f4(),), (f8(3),), (f4(0, 2),))


def const(e: Emitter, x: Any, value: float) -> Any:
    return e.scalar(value, e.dtype_of(x))


def apply(e: Emitter, op_type: str, *xs: Any) -> Any:
    return typed(e, op_type, e.dtype_of(xs[0]), *xs)


def _pick(e: Emitter, test: str, x: Any, bound: float, yes: Any, no: Any) -> Any:
    condition = typed(e, test, e.dtype_of(x), x, const(e, x, bound), result=BOOL)
    return where(e, condition, yes, no, e.dtype_of(x))


def _on_self(f: Callable[..., Any], *names: str) -> Any:
    """The lowering of a function of self and of numbers that are known."""

    def lower(e: Emitter, call: LoweredCall) -> Any:
        values = [call[n] for n in names]
        if any(is_lowered(v) for v in values):
            e.unsupported(f"{call.schema.name[6:]} needs numbers that are known when the model is exported")
        return f(e, call["self"], *values)

    return lower


def activation(
    arguments: str,
    kernel: Any,
    lower: Any,
    grad: Any,
    *,
    samples: Any = _X,
    inplace: bool = True,
    grad_name: str | None = None,
    names: str = "",
    place_name: str | None = None,
    types: Any = like_self,
) -> Operator:
    """Declare ``name(Tensor self, …)`` and, where torch has it, ``name_`` (its autograd node ``place_name``)."""
    name, _, rest = arguments.partition("(")
    o = declare(
        f"aten::{name}(Tensor self{', ' + rest if rest != ')' else ')'} -> Tensor",
        kernel,
        types=types,
        onnx=_on_self(lower, *names.split()),
        grad=tuple_grad(grad),
        grad_name=grad_name,
        samples=samples,
    )
    if inplace:
        in_place(o, samples=lambda: list(samples())[:1], grad_name=place_name)
    return o


def _zero(c: Any, g: Any) -> Any:
    return c.op("aten::zeros_like", g)


def _if(c: Any, condition: Any, yes: Any, no: Any) -> Any:
    return c.op("aten::where.self", condition, yes, no)


# -- relu and hard functions -------------------------------------------------------------------------------------------


def _relu_node(e: Emitter, x: Any) -> Any:
    return (
        extreme_node(e, "Max", e.dtype_of(x), x, const(e, x, 0)) if e.dtype_of(x).kind != "f" else apply(e, "Relu", x)
    )


def _clip_node(e: Emitter, x: Any, low: Any, high: Any) -> Any:
    t = e.dtype_of(x)
    return extreme_node(e, "Min", t, extreme_node(e, "Max", t, x, const(e, x, low)), const(e, x, high))


def clip(x: Array, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high))


def _between(c: Any, g: Any, low: Any, high: Any) -> Any:
    x = c["self"]
    return _if(c, (x <= low).logical_or(x >= high), _zero(c, g), g)


def _not_bool(x: Array) -> Array:
    if x.dtype == np.bool_:
        raise BridgeError("Boolean inputs not supported for relu")
    return x


activation(
    "relu()",
    lambda x: np.maximum(_not_bool(x), x.dtype.type(0)),
    _relu_node,
    lambda c, g: _if(c, c.result <= 0, _zero(c, g), g),
    samples=lambda: [*_X(), S(i8(4))],
)
activation(
    "relu6()",
    lambda x: clip(x, 0, 6),
    lambda e, x: _clip_node(e, x, 0, 6),
    lambda c, g: _between(c, g, 0, 6),
    grad_name="HardtanhBackward0",
)
activation(
    "hardtanh(Scalar min_val=-1, Scalar max_val=1)",
    clip,
    _clip_node,
    lambda c, g: _between(c, g, c["min_val"], c["max_val"]),
    names="min_val max_val",
    samples=lambda: [*_X(), S(f4(4, scale=3), -2, 0.5)],
)


#: torch divides by six in single precision, whatever the tensor.
_SIXTH = float(np.float32(1) / np.float32(6))


def _hardsigmoid(x: Array) -> Any:
    t = x.dtype.type
    return clip(x + t(3), 0, 6) / t(6)


def _hardsigmoid_node(e: Emitter, x: Any) -> Any:
    return apply(e, "Div", _clip_node(e, apply(e, "Add", x, const(e, x, 3)), 0, 6), const(e, x, 6))


activation(
    "hardsigmoid()",
    _hardsigmoid,
    _hardsigmoid_node,
    lambda c, g: _if(c, (c["self"] > -3).logical_and(c["self"] < 3), g * _SIXTH, _zero(c, g)),
)


def _hardswish_grad(c: Any, g: Any) -> Any:
    x = c["self"]
    return _if(c, x <= -3, _zero(c, g), _if(c, x < 3, g * (x / 3 + 0.5), g))


activation(
    "hardswish()",
    lambda x: x * clip(x + x.dtype.type(3), 0, 6) / x.dtype.type(6),
    lambda e, x: apply(
        e, "Div", apply(e, "Mul", x, _clip_node(e, apply(e, "Add", x, const(e, x, 3)), 0, 6)), const(e, x, 6)
    ),
    _hardswish_grad,
    samples=_FINITE,
)


def _threshold(x: Array, limit: Any, value: Any) -> Any:
    return np.where(x <= limit, x.dtype.type(value), x)


activation(
    "threshold(Scalar threshold, Scalar value)",
    _threshold,
    lambda e, x, limit, value: _pick(e, "LessOrEqual", x, limit, const(e, x, value), x),
    lambda c, g: _if(c, c["self"] <= c["threshold"], _zero(c, g), g),
    names="threshold value",
    place_name="ThresholdBackward1",
    samples=of((f4(3, 4), 0.1, 20)),
)


def _hardshrink(x: Array, limit: Any) -> Any:
    return np.where((x >= -limit) & (x <= limit), x.dtype.type(0), x)


def _hardshrink_node(e: Emitter, x: Any, limit: Any) -> Any:
    return _pick(e, "LessOrEqual", apply(e, "Abs", x), limit, const(e, x, 0), x)


activation(
    "hardshrink(Scalar lambd=0.5)",
    _hardshrink,
    _hardshrink_node,
    lambda c, g: _if(c, c["self"].abs() <= c["lambd"], _zero(c, g), g),
    names="lambd",
    inplace=False,
    samples=of((f4(3, 4),), (f4(4), 1.0)),
)


def _softshrink(x: Array, limit: Any) -> Any:
    if limit < 0:
        dtype = by_numpy(x.dtype)
        raise BridgeError(
            f"lambda must be in range [0, {np.finfo(x.dtype).max:g}] for input dtype {dtype.label}, but found {limit}"
        )
    t = x.dtype.type
    return np.where(x > limit, x - t(limit), np.where(x < -limit, x + t(limit), np.where(np.isnan(x), x, t(0))))


def _softshrink_node(e: Emitter, x: Any, limit: Any) -> Any:
    if isinstance(limit, int | float) and limit < 0:
        e.unsupported(f"lambda must not be negative, but found {limit}")
    small = _pick(e, "Less", x, -limit, apply(e, "Add", x, const(e, x, limit)), apply(e, "Mul", x, const(e, x, 0)))
    return _pick(e, "Greater", x, limit, apply(e, "Sub", x, const(e, x, limit)), small)


activation(
    "softshrink(Scalar lambd=0.5)",
    _softshrink,
    _softshrink_node,
    lambda c, g: _if(c, c["self"].abs() <= c["lambd"], _zero(c, g), g),
    names="lambd",
    inplace=False,
    samples=of((f4(3, 4),), (f4(4), 1.0)),
)

# -- leaky, exponential ------------------------------------------------------------------------------------------------


def _leaky(x: Array, slope: Any) -> Any:
    return np.where(x > 0, x, x * x.dtype.type(slope))


def _leaky_node(e: Emitter, x: Any, slope: Any) -> Any:
    if e.dtype_of(x).name == "float32" and slope >= 0:
        return e.op("LeakyRelu", x, alpha=float(slope))
    return _pick(e, "Greater", x, 0, x, apply(e, "Mul", x, const(e, x, slope)))


activation(
    "leaky_relu(Scalar negative_slope=0.01)",
    _leaky,
    _leaky_node,
    lambda c, g: _if(c, c["self"] > 0, g, g * c["negative_slope"]),
    names="negative_slope",
    place_name="LeakyReluBackward1",
    samples=lambda: [*_X(), S(f4(4), 0.2)],
)


def _elu(x: Array, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Any:
    t = x.dtype.type
    return np.where(x > 0, x * t(scale), np.expm1(np.minimum(x, 0) * t(input_scale)) * t(alpha) * t(scale))


def _elu_node(e: Emitter, x: Any, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Any:
    low = extreme_node(e, "Min", e.dtype_of(x), x, const(e, x, 0))
    scaled = low if input_scale == 1 else apply(e, "Mul", low, const(e, x, input_scale))
    negative = apply(e, "Mul", expm1_node(e, scaled), const(e, x, alpha * scale))
    return _pick(e, "Greater", x, 0, x if scale == 1 else apply(e, "Mul", x, const(e, x, scale)), negative)


def _elu_grad(c: Any, g: Any, alpha: Any, scale: Any, input_scale: Any) -> Any:
    x = c["self"]
    return _if(c, x <= 0, g * (input_scale * alpha * scale) * (x * input_scale).exp(), g * scale)


_ELU = "alpha scale input_scale"
activation(
    "elu(Scalar alpha=1, Scalar scale=1, Scalar input_scale=1)",
    _elu,
    _elu_node,
    lambda c, g: _elu_grad(c, g, c["alpha"], c["scale"], c["input_scale"]),
    names=_ELU,
    place_name="EluBackward1",
    samples=lambda: [*_FINITE(), S(f4(4), 2, 1.5, 0.5)],
)
_SELU = (1.6732632423543772848170429916717, 1.0507009873554804934193349852946)
activation(
    "selu()",
    lambda x: _elu(x, *_SELU),
    lambda e, x: _elu_node(e, x, *_SELU),
    lambda c, g: _elu_grad(c, g, *_SELU, 1),
    place_name="EluBackward1",
    samples=_FINITE,
    grad_name="EluBackward0",
)
activation(
    "celu(Scalar alpha=1.0)",
    lambda x, a: _elu(x, a, 1, 1.0 / a),
    lambda e, x, a: _elu_node(e, x, a, 1, 1.0 / a),
    lambda c, g: _elu_grad(c, g, c["alpha"], 1, 1.0 / c["alpha"]),
    names="alpha",
    place_name="CeluBackward1",
    samples=lambda: [*_FINITE(), S(f4(4), 2.0)],
)

# -- smooth ------------------------------------------------------------------------------------------------------------


def _silu_grad(c: Any, g: Any) -> Any:
    s = c["self"].sigmoid()
    return g * s * (1 + c["self"] * (1 - s))


activation(
    "silu()",
    lambda x: x * sigmoid(x),
    lambda e, x: apply(e, "Mul", x, apply(e, "Sigmoid", x)),
    _silu_grad,
    samples=_FINITE,
)


def softplus(x: Array, beta: Any = 1, threshold: Any = 20) -> Any:
    t = x.dtype.type
    return np.where(x * t(beta) > threshold, x, np.log1p(np.exp(x * t(beta))) / t(beta))


def _softplus_node(e: Emitter, x: Any, beta: Any = 1, threshold: Any = 20) -> Any:
    scaled = x if beta == 1 else apply(e, "Mul", x, const(e, x, beta))
    low = extreme_node(e, "Min", e.dtype_of(x), scaled, const(e, x, threshold))
    soft = log1p_node(e, apply(e, "Exp", low))
    return _pick(e, "Greater", scaled, threshold, x, soft if beta == 1 else apply(e, "Div", soft, const(e, x, beta)))


def _softplus_grad(c: Any, g: Any) -> Any:
    z = c["self"] * c["beta"]
    return _if(c, z > c["threshold"], g, g * z.sigmoid())


activation(
    "softplus(Scalar beta=1, Scalar threshold=20)",
    softplus,
    _softplus_node,
    _softplus_grad,
    names="beta threshold",
    inplace=False,
    samples=lambda: [*_FINITE(), S(f4(4, scale=9), 2, 5)],
)
activation(
    "mish()",
    lambda x: x * np.tanh(softplus(x)),
    lambda e, x: apply(e, "Mul", x, apply(e, "Tanh", _softplus_node(e, x))),
    lambda c, g: _mish_grad(c, g),
    samples=_FINITE,
)


def _mish_grad(c: Any, g: Any) -> Any:
    x = c["self"]
    t = c.op("aten::softplus", x).tanh()
    return g * (t + x * x.sigmoid() * (1 - t * t))


def _log_sigmoid(x: Array) -> Any:
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


def _log_sigmoid_node(e: Emitter, x: Any) -> Any:
    soft = log1p_node(e, apply(e, "Exp", apply(e, "Neg", apply(e, "Abs", x))))
    return apply(e, "Sub", extreme_node(e, "Min", e.dtype_of(x), x, const(e, x, 0)), soft)


activation(
    "log_sigmoid()",
    _log_sigmoid,
    _log_sigmoid_node,
    lambda c, g: g * (-c["self"]).sigmoid(),
    inplace=False,
    samples=_FINITE,
    grad_name="LogSigmoidBackward0",
)

_ROOT_HALF, _COEFFICIENT = math.sqrt(0.5), math.sqrt(2 / math.pi)


def _gelu(x: Array, approximate: str = "none") -> Any:
    if approximate not in ("none", "tanh"):
        raise BridgeError("approximate argument must be either none or tanh.")
    t = x.dtype.type
    if approximate == "tanh":
        return t(0.5) * x * (1 + np.tanh(t(_COEFFICIENT) * (x + t(0.044715) * x * x * x)))
    return t(0.5) * x * (1 + erf(x * t(_ROOT_HALF)))


def _gelu_node(e: Emitter, x: Any, approximate: str = "none") -> Any:
    if approximate not in ("none", "tanh"):
        e.unsupported("approximate argument must be either none or tanh.")
    half = apply(e, "Mul", x, const(e, x, 0.5))
    if approximate == "tanh":
        cube = apply(e, "Mul", apply(e, "Mul", x, x), x)
        inner = apply(
            e, "Mul", apply(e, "Add", x, apply(e, "Mul", cube, const(e, x, 0.044715))), const(e, x, _COEFFICIENT)
        )
        return apply(e, "Mul", half, apply(e, "Add", apply(e, "Tanh", inner), const(e, x, 1)))
    if e.opset >= 20 and e.dtype_of(x) is FLOAT32:
        return e.op("Gelu", x)
    return apply(
        e, "Mul", half, apply(e, "Add", apply(e, "Erf", apply(e, "Mul", x, const(e, x, _ROOT_HALF))), const(e, x, 1))
    )


def _gelu_grad(c: Any, g: Any) -> Any:
    x = c["self"]
    if c["approximate"] == "tanh":
        inner = _COEFFICIENT * (x + 0.044715 * x * x * x)
        t = inner.tanh()
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _COEFFICIENT * (1 + 3 * 0.044715 * x * x))
    return g * (0.5 * (1 + (x * _ROOT_HALF).erf()) + x * (-0.5 * x * x).exp() / math.sqrt(2 * math.pi))


_GELUS = lambda: [*_FINITE(), S(f4(4), approximate="tanh")]
_o = declare(
    'aten::gelu(Tensor self, *, str approximate="none") -> Tensor',
    _gelu,
    types=like_self,
    onnx=_on_self(_gelu_node, "approximate"),
    grad=tuple_grad(_gelu_grad),
    samples=_GELUS,
)
in_place(_o, of((f4(3),)))


def _logit(x: Array, eps: Any = None) -> Any:
    x = x if x.dtype.kind in "fc" else x.astype(default_dtype().numpy)
    t = x.dtype.type
    z = x if eps is None else clip(x, eps, 1 - eps)
    return np.log(z / (t(1) - z))


def _logit_node(e: Emitter, x: Any, eps: Any = None) -> Any:
    x = x if x.dtype.kind == "f" else e.cast(x, default_dtype())
    z = x if eps is None else _clip_node(e, x, eps, 1 - eps)
    return apply(e, "Log", apply(e, "Div", z, apply(e, "Sub", const(e, x, 1), z)))


def _logit_grad(c: Any, g: Any) -> Any:
    x = c["self"]
    inner = g / (x * (1 - x))
    if c["eps"] is None:
        return inner
    return _if(c, (x < c["eps"]).logical_or(x > 1 - c["eps"]), _zero(c, g), inner)


_UNIT = of((1 / (1 + np.exp(-f4(3, 4))),), (np.asarray([0.0, 0.3, 1.0], np.float32), 0.1))
activation(
    "logit(float? eps=None)", _logit, _logit_node, _logit_grad, names="eps", samples=_UNIT, types=float_like_self
)

# -- of several tensors ------------------------------------------------------------------------------------------------


def _glu(x: Array, dim: int = -1) -> Any:
    d = dim_of(dim, x.ndim)
    _halved(d, x.shape[d])
    a, b = np.split(x, 2, axis=d)
    return a * sigmoid(b)


def _halved(dim: int, size: int) -> None:
    if size % 2:
        raise BridgeError(f"Halving dimension must be even, but dimension {dim} is size {size}")


def _glu_types(call: Call) -> Results:
    t, dim = call.tensor("self"), call.known("dim")
    if t.dims is None or not isinstance(dim, int):
        return result(t.dtype, None if t.dims is None else (None,) * len(t.dims))
    at = dim % len(t.dims)
    return result(
        t.dtype, [n // 2 if i == at and isinstance(n, int) else None if i == at else n for i, n in enumerate(t.dims)]
    )


def _lower_glu(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    axis = axis_of(e, x, call["dim"])
    size = None if x.dims is None else x.dims[axis]
    if isinstance(size, int):
        _halved(axis, size)
    x = multiple_of(e, x, axis, 2)
    a, b = e.op("Split", x, outputs=2, dtype=[x.dtype] * 2, axis=axis, num_outputs=2 if e.opset >= 18 else None)
    return apply(e, "Mul", a, apply(e, "Sigmoid", b))


def _glu_grad(c: Any, g: Any) -> Any:
    a, b = c.op("aten::chunk", c["self"], 2, c["dim"])
    s = b.sigmoid()
    return (c.op("aten::cat", [g * s, g * a * s * (1 - s)], c["dim"]),)


declare(
    "aten::glu(Tensor self, int dim=-1) -> Tensor",
    _glu,
    types=_glu_types,
    onnx=_lower_glu,
    grad=_glu_grad,
    samples=of((f4(3, 4),), (f4(4, 3), 0)),
)


def _spread(weight: Any, x: Any) -> Any:
    """PReLU's weights stand for dimension 1."""
    n = len(x.shape)
    return (
        weight
        if len(weight.shape) == 0 or (math.prod(weight.shape) == 1 and n) or n == 1
        else weight.reshape([])
        if not n
        else weight.reshape([1, -1, *[1] * (n - 2)])
    )


def _prelu(x: Array, weight: Array) -> Any:
    if weight.ndim > 1:
        raise BridgeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.size not in (1, channels):
        raise BridgeError(
            f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.size} and channel "
            f"size = {channels}."
        )
    return np.where(x > 0, x, _spread(weight, x) * x)


def _lower_prelu(e: Emitter, call: LoweredCall) -> Any:
    x, w = call["self"], call["weight"]
    rank = known_rank(e, x, "prelu")
    fits = w.rank == 0 or w.dims == (1,) or (rank >= 2 and w.dims is not None and equal_dims(w.dims, x.dims[1:2]))
    if w.rank == 1 and rank >= 2 and w.dims != (1,):
        w = e.op("Reshape", w, ints(1, -1, *[1] * (rank - 2)))
    if w.rank == 1 and rank == 0:
        w = e.op("Reshape", w, np.asarray([], np.int64), dims=())
    if rank == 1 and w.dims != (1,):  # one weight for all: more would broadcast
        w = e.op("Reshape", w, ints(1), dims=(1,))
    product = apply(e, "Mul", x, w)
    return _pick(e, "Greater", x, 0, x, product if fits else as_large_as(e, product, x))


def _prelu_grad(c: Any, g: Any) -> Any:
    x, w = c["self"], c["weight"]
    wide = _spread(w, x)
    into = _if(c, x > 0, _zero(c, g), x * g)
    if (len(w.shape) == 1 and w.shape[0] == 1) or not len(w.shape):
        total = into.sum().reshape(list(w.shape))
    else:
        axes = [i for i in range(len(x.shape)) if i != 1]
        total = into.sum(axes) if axes and len(x.shape) > 1 else into
    return _if(c, x > 0, g, wide * g), total


declare(
    "aten::prelu(Tensor self, Tensor weight) -> Tensor",
    _prelu,
    types=like_self,
    onnx=_lower_prelu,
    grad=_prelu_grad,
    grad_name="PreluKernelBackward0",
    samples=of((f4(3, 4), f4(4, seed=1)), (f4(2, 3, 2), f4(1, seed=1)), (f4(2, 3, 2), f4(3, seed=2))),
)

for _node, _name in (("Relu", "relu"), ("Sigmoid", "sigmoid"), ("Tanh", "tanh"), ("Softplus", "softplus")):
    reads(_node, f"aten::{_name}", since=1)
reads("LeakyRelu", "aten::leaky_relu", with_attributes("alpha"), since=6)
reads("HardSwish", "aten::hardswish", since=14)
reads("Gelu", "aten::gelu", since=20)
