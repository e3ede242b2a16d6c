"""Loss functions and norms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import as_large_as, from_front, holds, none_true, sized_along
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import BOOL, INT64, is_lowered, typed, where
from bridge.ir.ops._samples import S, f4, f8, of, positive
from bridge.ir.ops._samples import ints as idx
from bridge.ir.ops.pointwise import log1p_node
from bridge.ir.ops.reduction import mean_node
from bridge.ir.promotion import as_arrays, can_cast
from bridge.ir.rules import UNKNOWN, Call, Results, broadcast_dims, promote_all, result
from bridge.ir.types import TensorType

# -- losses element by element -----------------------------------------------------------------------------------------

#: torch's numbers for the argument ``reduction``.
NONE, MEAN, SUM = 0, 1, 2


def _reduced(x: Array, reduction: int) -> Any:
    return x if reduction == NONE else x.mean() if reduction == MEAN else x.sum()


def _own_types(call: Call) -> Results:
    made = _loss_types(call)
    assert isinstance(made, TensorType)
    return result(call.tensor("self").dtype, made.dims)


def _loss_types(call: Call) -> Results:
    parts = [call.tensor("self"), call.tensor("target")]
    reduction = call.known("reduction")
    dims = broadcast_dims([t.dims for t in parts])
    return result(promote_all(parts), None if reduction is UNKNOWN else dims if reduction == NONE else ())


def reduced_node(e: Emitter, x: Any, reduction: Any, dtype: DType) -> Any:
    """The mean or sum of a loss, or the loss itself."""
    if reduction not in (NONE, MEAN, SUM):
        e.unsupported("the reduction of a loss must be known when the model is exported")
    if reduction == MEAN:
        return mean_node(e, x, None, False, x.dtype)
    return x if reduction == NONE else e.op("ReduceSum", x, keepdims=0, dims=())


def _spread(c: Any, g: Any, x: Any) -> Any:
    """The gradient of a reduced loss for each element."""
    if c["reduction"] == NONE:
        return g
    n = math.prod(x.shape)
    return c.op("aten::expand", g / n if c["reduction"] == MEAN else g, list(x.shape))


def loss(
    schema: str,
    kernel: Callable[..., Any],
    node: Callable[..., Any],
    slope: Callable[..., Any],
    samples: Any,
    names: str = "",
    own: bool = False,
) -> None:
    """Declare a loss of self and target, given on elements; ``slope`` are the gradients of both. ``own``: it has self's type."""
    extra = names.split()

    def run(x: Array, target: Array, *rest: Any) -> Any:
        a, b = as_arrays(x, target)
        given = dict(
            zip(
                [w.split()[-1].partition("=")[0] for w in schema.partition("(")[2].rstrip(")").split(", ")],
                (x, target, *rest),
                strict=True,
            )
        )
        made = kernel(a, b, *[given[n] for n in extra])
        made = made.astype(a.dtype) if a.dtype.itemsize == 2 else made
        if own and made.dtype != np.asarray(x).dtype:
            _castable(by_numpy(made.dtype), by_numpy(x.dtype))
            made = made.astype(x.dtype)
        return _reduced(made, given["reduction"])

    def lower(e: Emitter, call: LoweredCall) -> Any:
        from bridge.ir.ops._onnx import common

        dtype = common(e, call, "self", "target")
        x, t = e.cast(call["self"], dtype), e.cast(call["target"], dtype)
        made = node(e, dtype, x, t, *[call[n] for n in extra])
        if own:
            _castable(dtype, call["self"].dtype)
            made = e.cast(made, call["self"].dtype)
        return reduced_node(e, made, call["reduction"], made.dtype)

    def grad(c: Any, g: Any) -> Any:
        x, t = c["self"], c["target"]
        g = _spread(c, g, x - t)
        found = slope(c, x, t, *[c[n] for n in extra])
        return [None if f is None else g * f for f in found]

    types = _own_types if own else _loss_types
    declare(f"aten::{schema} -> Tensor", run, types=types, onnx=lower, grad=grad, samples=samples)


def _castable(made: DType, wanted: DType) -> None:
    if not can_cast(made, wanted):
        raise BridgeError(f"result type {made.label} can't be cast to the desired output type {wanted.label}")


_PAIRS = [
    S(f4(3, 4), f4(3, 4, seed=1)),
    S(f4(3, 4), f4(3, 4, seed=1), reduction=2),
    S(f4(3), f4(3, seed=1), reduction=0),
    S(f8(4), f8(4, seed=1)),
]
_ARGS = "Tensor self, Tensor target, int reduction=1"


def _do(e: Emitter, t: DType, op_type: str, *xs: Any) -> Any:
    return typed(e, op_type, t, *xs)


def _mse_node(e: Emitter, t: DType, x: Any, y: Any) -> Any:
    d = _do(e, t, "Sub", x, y)
    return _do(e, t, "Mul", d, d)


loss(
    f"mse_loss({_ARGS})",
    lambda x, t: (x - t) ** 2,
    _mse_node,
    lambda c, x, t: (2.0 * (x - t), -2.0 * (x - t)),
    lambda: _PAIRS,
)


def _huber(x: Array, t: Array, delta: float) -> Any:
    if delta <= 0:
        raise BridgeError("huber_loss does not support non-positive values for delta.")
    d = np.abs(x - t)
    return np.where(d <= delta, 0.5 * d * d, delta * (d - x.dtype.type(0.5 * delta)))


def _huber_node(e: Emitter, t: DType, x: Any, y: Any, delta: float) -> Any:
    d = _do(e, t, "Abs", _do(e, t, "Sub", x, y))
    near = _do(e, t, "Mul", e.scalar(0.5, t), _do(e, t, "Mul", d, d))
    far = _do(e, t, "Mul", e.scalar(delta, t), _do(e, t, "Sub", d, e.scalar(0.5 * delta, t)))
    return where(e, typed(e, "LessOrEqual", t, d, e.scalar(delta, t), result=BOOL), near, far, t)


def _huber_slope(c: Any, x: Any, t: Any, delta: float) -> Any:
    s = (x - t).clamp(-delta, delta)
    return s, -s


_DELTAS = lambda: [*_PAIRS, S(f4(3, 4), f4(3, 4, seed=1), 1, 0.3)]
loss(f"huber_loss({_ARGS}, float delta=1.0)", _huber, _huber_node, _huber_slope, _DELTAS, "delta", own=True)


def _smooth(x: Array, t: Array, beta: float) -> Any:
    d = np.abs(x - t)
    return d if beta == 0 else np.where(d < beta, 0.5 * d * d / x.dtype.type(beta), d - x.dtype.type(0.5 * beta))


def _smooth_node(e: Emitter, t: DType, x: Any, y: Any, beta: float) -> Any:
    d = _do(e, t, "Abs", _do(e, t, "Sub", x, y))
    if beta == 0:
        return d
    near = _do(e, t, "Div", _do(e, t, "Mul", e.scalar(0.5, t), _do(e, t, "Mul", d, d)), e.scalar(beta, t))
    return where(
        e, typed(e, "Less", t, d, e.scalar(beta, t), result=BOOL), near, _do(e, t, "Sub", d, e.scalar(0.5 * beta, t)), t
    )


def _smooth_slope(c: Any, x: Any, t: Any, beta: float) -> Any:
    s = (x - t).sign() if beta == 0 else ((x - t) / beta).clamp(-1, 1)
    return s, -s


loss(f"smooth_l1_loss({_ARGS}, float beta=1.0)", _smooth, _smooth_node, _smooth_slope, _DELTAS, "beta")


def _l1(ops: Any, x: Any, t: Any, reduction: int = MEAN) -> Any:
    d = ops("aten::abs", ops("aten::sub.Tensor", x, t, 1))
    return d if reduction == NONE else ops("aten::mean", d, None) if reduction == MEAN else ops("aten::sum", d, None)


def _lower_l1(e: Emitter, call: LoweredCall) -> Any:
    from bridge.ir.ops._onnx import common

    t = common(e, call, "self", "target")
    return reduced_node(e, _do(e, t, "Abs", _do(e, t, "Sub", call["self"], call["target"])), call["reduction"], t)


declare(
    f"aten::l1_loss({_ARGS}) -> Tensor", _l1, composite=True, types=_loss_types, onnx=_lower_l1, samples=lambda: _PAIRS
)


def _kl(ops: Any, x: Any, t: Any, reduction: int = MEAN, log_target: bool = False) -> Any:
    if log_target:
        d = ops("aten::mul.Tensor", ops("aten::exp", t), ops("aten::sub.Tensor", t, x, 1))
    else:
        d = ops("aten::sub.Tensor", ops("aten::xlogy.Tensor", t, t), ops("aten::mul.Tensor", t, x), 1)
    return d if reduction == NONE else ops("aten::mean", d, None) if reduction == MEAN else ops("aten::sum", d, None)


def _lower_kl(e: Emitter, call: LoweredCall) -> Any:
    from bridge.ir.ops._onnx import common

    t = common(e, call, "self", "target")
    x, y = e.cast(call["self"], t), e.cast(call["target"], t)
    if call["log_target"]:
        d = _do(e, t, "Mul", _do(e, t, "Exp", y), _do(e, t, "Sub", y, x))
    else:
        zero = e.scalar(0.0, t)
        own = where(e, e.op("Equal", y, zero, dtype=BOOL), zero, _do(e, t, "Mul", y, _do(e, t, "Log", y)), t)
        d = _do(e, t, "Sub", own, _do(e, t, "Mul", y, x))
    return reduced_node(e, d, call["reduction"], t)


declare(
    f"aten::kl_div({_ARGS}, *, bool log_target=False) -> Tensor",
    _kl,
    composite=True,
    types=_loss_types,
    onnx=_lower_kl,
    samples=of((f4(3, 4), positive(3, 4)), S(f4(3), f4(3, seed=1), 2, log_target=True)),
)

# -- cross entropies ---------------------------------------------------------------------------------------------------


def _bce(x: Array, t: Array, weight: Any, reduction: int) -> Any:
    if x.size and (x.min() < 0 or x.max() > 1):
        raise BridgeError("all elements of input should be between 0 and 1")
    one = x.dtype.type(1)
    low = x.dtype.type(-100)
    out = -(t * np.maximum(np.log(x), low) + (one - t) * np.maximum(np.log1p(-x), low))
    return _reduced(out if weight is None else out * weight, reduction)


def _compared(e: Emitter, op_type: str, x: Any, bound: float) -> Any:
    return typed(e, op_type, x.dtype, x, e.scalar(bound, x.dtype), result=BOOL, dims=x.dims)


def _lower_bce(e: Emitter, call: LoweredCall) -> Any:
    x, t = call["self"], call["self"].dtype
    y, one, low = e.cast(call["target"], t), e.scalar(1.0, t), e.scalar(-100.0, t)
    if x.rank:
        outside = e.op("Or", _compared(e, "Less", x, 0.0), _compared(e, "Greater", x, 1.0), dims=x.dims)
        x = holds(e, x, none_true(e, outside))
    logs = [_do(e, t, "Max", v, low) for v in (_do(e, t, "Log", x), _do(e, t, "Log", _do(e, t, "Sub", one, x)))]
    out = _do(
        e, t, "Neg", _do(e, t, "Add", _do(e, t, "Mul", y, logs[0]), _do(e, t, "Mul", _do(e, t, "Sub", one, y), logs[1]))
    )
    out = out if call["weight"] is None else _do(e, t, "Mul", out, call["weight"])
    return reduced_node(e, out, call["reduction"], t)


def _bce_grad(c: Any, g: Any) -> Any:
    x, t, w = c["self"], c["target"], c["weight"]
    g = _spread(c, g, x)
    if w is not None:
        g = g * w
    return g * (x - t) / ((1 - x) * x).clamp(1e-12), g * ((1 - x).log() - x.log()), None


_UNIT = positive(3, 4, low=0.1, high=0.9)
declare(
    "aten::binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor",
    _bce,
    types=_loss_types,
    onnx=_lower_bce,
    grad=_bce_grad,
    samples=of((_UNIT, positive(3, 4, low=0, high=1)), (_UNIT, positive(3, 4, low=0, high=1), positive(4), 2)),
)


def _bce_logits(x: Array, t: Array, weight: Any, pos_weight: Any, reduction: int) -> Any:
    one = x.dtype.type(1)
    softplus = np.log1p(np.exp(-np.abs(x))) + np.maximum(-x, 0)
    scale = one if pos_weight is None else one + (pos_weight - one) * t
    out = (one - t) * x + scale * softplus
    weighed = out if weight is None else out * weight
    if weighed.shape != x.shape:
        raise BridgeError(f"output with shape {list(x.shape)} doesn't match the broadcast shape {list(weighed.shape)}")
    return _reduced(weighed, reduction)


def _lower_bce_logits(e: Emitter, call: LoweredCall) -> Any:
    x, t = call["self"], call["self"].dtype
    y, one = e.cast(call["target"], t), e.scalar(1.0, t)
    soft = log1p_node(e, _do(e, t, "Exp", _do(e, t, "Neg", _do(e, t, "Abs", x))))
    soft = _do(e, t, "Add", soft, _do(e, t, "Max", _do(e, t, "Neg", x), e.scalar(0.0, t)))
    if call["pos_weight"] is not None:
        soft = _do(
            e, t, "Mul", _do(e, t, "Add", one, _do(e, t, "Mul", _do(e, t, "Sub", call["pos_weight"], one), y)), soft
        )
    out = _do(e, t, "Add", _do(e, t, "Mul", _do(e, t, "Sub", one, y), x), soft)
    out = out if call["weight"] is None else _do(e, t, "Mul", out, call["weight"])
    if call["weight"] is not None or call["pos_weight"] is not None:
        out = as_large_as(e, out, x)
    return reduced_node(e, out, call["reduction"], t)


def _bce_logits_grad(c: Any, g: Any) -> Any:
    x, t, w, p = c["self"], c["target"], c["weight"], c["pos_weight"]
    g = _spread(c, g, x)
    if w is not None:
        g = g * w
    if p is None:
        return g * (x.sigmoid() - t), g * -x, None, None
    scaled = p * t
    soft = c.op("aten::softplus", -x)
    return g * ((scaled + 1 - t) * x.sigmoid() - scaled), g * ((p - 1) * soft - x), None, None


declare(
    "aten::binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=1) -> Tensor",
    _bce_logits,
    types=_loss_types,
    onnx=_lower_bce_logits,
    grad=_bce_logits_grad,
    samples=of(
        (f4(3, 4), positive(3, 4, low=0, high=1)),
        (f4(3, 4), positive(3, 4, low=0, high=1), positive(4), positive(4, seed=1), 2),
        (f4(3), positive(3, low=0, high=1), None, None, 0),
    ),
)


def _check_classes(x: Array, target: Array, weight: Any) -> None:
    """Raise what torch raises for targets, of which there is not one for each sample, and weights for other classes."""
    n = x.shape[0 if x.ndim == 1 else 1]
    if x.ndim <= 2:
        if target.ndim > 1:
            raise BridgeError("0D or 1D target tensor expected, multi-target not supported")
        if x.ndim == 2 and x.shape[0] != (target.shape or (1,))[0]:
            raise BridgeError(f"size mismatch (got input: {list(x.shape)}, target: {list(target.shape)})")
    elif target.shape != (x.shape[0], *x.shape[2:]):
        raise BridgeError(f"size mismatch (got input: {list(x.shape)}, target: {list(target.shape)}")
    if weight is not None and weight.shape != (n,):
        raise BridgeError(
            f"weight tensor should be defined either for all {n} classes or no classes but got weight tensor of shape: "
            f"{list(weight.shape)}"
        )


def _nll_nd(ops: Any, x: Any, target: Any, *rest: Any) -> Any:
    sizes, given = list(x.shape), list(target.shape)
    if not sizes:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if len(sizes) != 1 and (not given or sizes[0] != given[0]):
        raise ValueError(
            f"Expected input batch_size ({sizes[0]}) to match target batch_size ({given[0] if given else 0})."
        )
    if len(sizes) > 2 and len(sizes) != 4 and given[1:] != sizes[2:]:
        raise BridgeError(f"Expected target size {[sizes[0], *sizes[2:]]}, got {given}")
    return ops("aten::nll_loss2d" if len(sizes) > 2 else "aten::nll_loss", x, target, *rest)


def _nll(x: Array, target: Array, weight: Any, reduction: int, ignore_index: int) -> Any:
    """log-probabilities along dimension 1 (of a vector: 0) picked by class."""
    _check_classes(x, target, weight)
    d = 0 if x.ndim == 1 else 1
    n = x.shape[d]
    keep = target != ignore_index
    if ((target < 0) | (target >= n))[keep].any():
        raise IndexError(f"Target {int(target[keep & ((target < 0) | (target >= n))].flat[0])} is out of bounds.")
    safe = np.where(keep, target, 0)
    w = np.where(keep, 1 if weight is None else weight[safe], 0).astype(x.dtype)
    picked = -np.take_along_axis(x, np.expand_dims(safe, d), d).squeeze(d) * w
    if reduction == NONE:
        return picked
    return picked.sum() if reduction == SUM else picked.sum() / w.sum()


def _nll_types(call: Call) -> Results:
    x, reduction = call.tensor("self"), call.known("reduction")
    target = call.tensor("target")
    return result(x.dtype, None if reduction is UNKNOWN else target.dims if reduction == NONE else ())


def nll_node(e: Emitter, x: Any, target: Any, weight: Any, reduction: Any, ignore_index: int) -> Any:
    """The negative log likelihood, of a vector as of a batch of one."""
    if reduction not in (NONE, MEAN, SUM):
        e.unsupported("the reduction of a loss must be known when the model is exported")
    name = {NONE: "none", MEAN: "mean", SUM: "sum"}[reduction]
    alone = x.rank == 1
    if alone:
        x, target = e.op("Unsqueeze", x, np.asarray([0])), e.op("Unsqueeze", target, np.asarray([0]))
    axes = [i for i in range(x.rank) if i != 1] if x.rank is not None else []
    target = sized_along(e, e.cast(target, INT64), x, axes)
    if weight is not None:
        weight = sized_along(e, weight, x, [1])
    ignored = e.op("Equal", target, e.scalar(ignore_index, INT64), dtype=BOOL, dims=target.dims)
    if is_lowered(ignore_index):  # only run time knows the class: give it a number that is none
        target, ignore_index = e.op("Where", ignored, e.scalar(-100, INT64), target, dims=target.dims), -100
    target = e.op("Where", ignored, target, from_front(e, target), dims=target.dims)
    out = e.op("NegativeLogLikelihoodLoss", x, target, weight, reduction=name, ignore_index=ignore_index)
    return e.op("Squeeze", out, np.asarray([0])) if alone and reduction == NONE else out


def _lower_nll(e: Emitter, call: LoweredCall) -> Any:
    return nll_node(e, call["self"], call["target"], call["weight"], call["reduction"], call["ignore_index"])


def _nll_grad(c: Any, g: Any) -> Any:
    x, target, weight = c["self"], c["target"], c["weight"]
    d = 0 if len(x.shape) == 1 else 1
    keep = target != c["ignore_index"]
    safe = c.op("aten::where.ScalarOther", keep, target, 0)
    w = c.op("aten::to.other", keep, x)
    if weight is not None:
        w = w * c.op("aten::reshape", c.op("aten::index_select", weight, 0, safe.reshape([-1])), list(target.shape))
    if c["reduction"] == MEAN:
        g = g / w.sum()
    spread = c.op("aten::expand", g, list(target.shape)) * -w
    zeros = c.op("aten::zeros_like", x)
    return c.op("aten::scatter.src", zeros, d, safe.unsqueeze(d), spread.unsqueeze(d)), None, None


_NLL = "Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100"
_CLASSES = of(
    (f4(3, 4), idx(0, 3, 1)), (f4(3, 4), idx(0, 3, 1), positive(4), 2), (f4(3, 4), idx(0, -100, 1), None, 1), (f4(3, 4), idx(0, 3, 1), None, 0),
    (f4(2, 3, 2), np.asarray([[0, 2], [1, 1]])), (f4(4), np.asarray(2)),
)  # fmt: skip
declare(
    f"aten::nll_loss({_NLL}) -> Tensor",
    _nll,
    types=_nll_types,
    onnx=_lower_nll,
    grad=_nll_grad,
    grad_name="NllLossBackward0",
    samples=lambda: list(_CLASSES())[:4],
)
declare(
    f"aten::nll_loss_nd({_NLL}) -> Tensor",
    _nll_nd,
    composite=True,
    types=_nll_types,
    onnx=_lower_nll,
    samples=_CLASSES,
)
declare(
    f"aten::nll_loss2d({_NLL}) -> Tensor",
    _nll,
    types=_nll_types,
    onnx=_lower_nll,
    grad=_nll_grad,
    grad_name="NllLoss2DBackward0",
)


def _cross_entropy(
    ops: Any, x: Any, target: Any, weight: Any = None, reduction: int = MEAN, ignore: int = -100, smoothing: float = 0.0
) -> Any:
    d = 0 if len(x.shape) == 1 else 1
    logs = ops("aten::log_softmax.int", x, d, None)
    if tuple(target.shape) == tuple(x.shape):
        return _soft_targets(ops, logs, target, weight, reduction, smoothing, d)
    hard = ops("aten::nll_loss_nd", logs, target, weight, reduction, ignore)
    if smoothing == 0:
        return hard
    if weight is not None:
        raise BridgeError("cross entropy with label smoothing and class weights is not supported")
    n = x.shape[d]
    keep = ops("aten::ne.Scalar", target, ignore)
    smooth = ops("aten::neg", ops("aten::sum.dim_IntList", logs, [d], False))
    smooth = ops("aten::mul.Tensor", smooth, ops("aten::to.other", keep, x))
    if reduction == MEAN:
        smooth = ops(
            "aten::div.Tensor", ops("aten::sum", smooth, None), ops("aten::sum", ops("aten::to.other", keep, x), None)
        )
    elif reduction == SUM:
        smooth = ops("aten::sum", smooth, None)
    return ops(
        "aten::add.Tensor",
        ops("aten::mul.Scalar", hard, 1 - smoothing),
        ops("aten::mul.Scalar", smooth, smoothing / n),
        1,
    )


def _soft_targets(ops: Any, logs: Any, target: Any, weight: Any, reduction: int, smoothing: float, d: int) -> Any:
    if smoothing:
        target = ops("aten::add.Scalar", ops("aten::mul.Scalar", target, 1 - smoothing), smoothing / logs.shape[d], 1)
    if weight is not None:
        logs = ops(
            "aten::mul.Tensor",
            logs,
            ops("aten::reshape", weight, [-1 if i == d else 1 for i in range(len(logs.shape))]),
        )
    out = ops("aten::neg", ops("aten::sum.dim_IntList", ops("aten::mul.Tensor", logs, target), [d], False))
    if reduction == NONE:
        return out
    total = ops("aten::sum", out, None)
    return total if reduction == SUM else ops("aten::div.Scalar", total, math.prod(logs.shape) // logs.shape[d])


def _cross_entropy_types(call: Call) -> Results:
    x, t, reduction = call.tensor("self"), call.tensor("target"), call.known("reduction")
    if reduction is UNKNOWN:
        return result(x.dtype, None)
    if reduction != NONE:
        return result(x.dtype, ())
    if t.dims is not None and x.dims is not None and len(t.dims) == len(x.dims):
        return result(x.dtype, t.dims[:1] + t.dims[2:] if len(t.dims) > 1 else ())
    return result(x.dtype, t.dims)


def _lower_cross_entropy(e: Emitter, call: LoweredCall) -> Any:
    x, target = call["self"], call["target"]
    if target.dtype.kind == "f" or call["label_smoothing"]:
        e.unsupported("cross entropy is exported with classes as targets and without smoothing")
    logs = typed(e, "LogSoftmax", x.dtype, x, axis=0 if x.rank == 1 else 1, dims=x.dims)
    return nll_node(e, logs, target, call["weight"], call["reduction"], call["ignore_index"])


declare(
    f"aten::cross_entropy_loss({_NLL}, float label_smoothing=0.0) -> Tensor",
    _cross_entropy,
    composite=True,
    types=_cross_entropy_types,
    onnx=_lower_cross_entropy,
    samples=lambda: [*_CLASSES(), S(f4(3, 4), positive(3, 4)), S(f4(3, 4), idx(0, 3, 1), label_smoothing=0.1)],
)

__all__ = ["nll_node", "reduced_node"]
