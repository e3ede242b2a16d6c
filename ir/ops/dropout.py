"""Dropout in its kinds, and the random fills that it is made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array, declare, in_place
from bridge.ir.ops._onnx import BOOL, FLOAT32, FLOAT64, is_lowered, typed, where
from bridge.ir.ops._samples import f4, of
from bridge.ir.ops.activations import apply, const
from bridge.ir.ops.random import random_node
from bridge.ir.random_source import source
from bridge.ir.rules import like, like_self

# -- dropout -----------------------------------------------------------------------------------------------------------


def _check_p(p: float) -> None:
    if not 0 <= p <= 1:
        raise BridgeError(f"dropout probability has to be between 0 and 1, but got {p}")


def _dropout(ops: Any, x: Any, p: float, train: bool) -> Any:
    _check_p(p)
    if not train or p == 0 or math.prod(x.shape) == 0:
        return x
    if p == 1:
        return ops("aten::mul.Tensor", x, ops("aten::zeros_like", x))
    noise = ops("aten::bernoulli_.float", ops("aten::empty_like", x), 1 - p, None)
    return ops("aten::mul.Tensor", x, ops("aten::div_.Scalar", noise, 1 - p))


def _lower_dropout(e: Emitter, call: LoweredCall) -> Any:
    x, p, train = call["input"], call["p"], call["train"]
    if not isinstance(train, bool) or is_lowered(p):
        e.unsupported("dropout needs to know when the model is exported whether it trains")
    if not train or p == 0:
        return e.op("Identity", x)
    uniform = random_node(e, "RandomUniform", e.shape_of(x), FLOAT32)
    keep = typed(e, "GreaterOrEqual", FLOAT32, uniform, e.scalar(p, FLOAT32), result=BOOL)
    return where(e, keep, apply(e, "Mul", x, const(e, x, 1 / (1 - p) if p < 1 else 0)), const(e, x, 0), x.dtype)


_SCHEMA = "(Tensor input, float p, bool train) -> Tensor"
_LIKE_INPUT = like("input")
_STILL = of((f4(3, 4), 0.5, False), (f4(3, 4), 0.0, True))
declare(
    f"aten::dropout{_SCHEMA}",
    _dropout,
    composite=True,
    types=_LIKE_INPUT,
    onnx=_lower_dropout,
    samples=_STILL,
    side_effect=True,
)


def _dropout_in_place(ops: Any, x: Any, p: float, train: bool) -> Any:
    _check_p(p)
    if not train or p == 0:
        return x
    return ops(
        "aten::mul_.Tensor",
        x,
        ops("aten::div_.Scalar", ops("aten::bernoulli_.float", ops("aten::empty_like", x), 1 - p, None), 1 - p),
    )


declare(
    "aten::dropout_(Tensor(a!) self, float p, bool train) -> Tensor(a!)",
    _dropout_in_place,
    composite=True,
    types=like_self,
    side_effect=True,
    onnx=lambda e, call: (
        e.op("Identity", call["self"])
        if call["train"] is False
        else e.unsupported("dropout in place is exported in evaluation only")
    ),
    samples=_STILL,
)


def _feature_dropout(ops: Any, x: Any, p: float, train: bool) -> Any:
    _check_p(p)
    if not train or p == 0:
        return x
    shape = [n if i < 2 else 1 for i, n in enumerate(x.shape)]
    noise = ops("aten::bernoulli_.float", ops("aten::new_empty", x, shape), 1 - p, None)
    return ops("aten::mul.Tensor", x, ops("aten::div_.Scalar", noise, 1 - p))


def _lower_still(e: Emitter, call: LoweredCall) -> Any:
    if call["train"] is not False:
        e.unsupported("this kind of dropout is exported in evaluation only")
    return e.op("Identity", call["input"])


declare(
    f"aten::feature_dropout{_SCHEMA}",
    _feature_dropout,
    composite=True,
    types=_LIKE_INPUT,
    onnx=_lower_still,
    samples=of((f4(2, 3, 4), 0.5, False)),
    side_effect=True,
)
for _name in ("alpha_dropout", "feature_alpha_dropout"):

    def _alpha_dropout(ops: Any, x: Any, p: float, train: bool, name: str = _name) -> Any:
        _check_p(p)
        if not train or p == 0:
            return x
        if p == 1:
            return ops("aten::mul.Tensor", x, ops("aten::zeros_like", x))
        alpha = 1.7580993408473766
        shape = list(x.shape) if name == "alpha_dropout" else [n if i < 2 else 1 for i, n in enumerate(x.shape)]
        noise = ops("aten::bernoulli_.float", ops("aten::new_empty", x, shape), 1 - p, None)
        a = 1.0 / math.sqrt((alpha * alpha * p + 1) * (1 - p))
        b = ops("aten::mul_.Scalar", ops("aten::add_.Scalar", ops("aten::mul.Scalar", noise, -1), 1, 1), -alpha * a)
        b = ops("aten::add.Scalar", b, alpha * a * p, 1)
        return ops("aten::add.Tensor", ops("aten::mul.Tensor", x, ops("aten::mul_.Scalar", noise, a)), b, 1)

    declare(
        f"aten::{_name}{_SCHEMA}",
        _alpha_dropout,
        composite=True,
        types=_LIKE_INPUT,
        onnx=_lower_still,
        samples=of((f4(2, 3, 4), 0.5, False)),
        side_effect=True,
    )


def _rrelu(x: Array, lower: Any, upper: Any, training: bool, generator: Any) -> Array:
    """A random slope per element that is not positive, drawn in the order of memory; the mean one outside training."""
    if lower > upper:
        raise BridgeError("Lower bound should be less than or equal to the upper bound")
    slopes, low = np.ones_like(x), x <= 0
    slopes[low] = (
        source().uniform((int(low.sum()),), FLOAT64, lower, upper, generator) if training else (lower + upper) / 2
    )
    return np.asarray(x * slopes)


def _rrelu_grad(c: Any, g: Any) -> Any:
    x = c["self"]
    safe = c.op("aten::masked_fill.Scalar", x, x >= 0, 1)
    return (c.op("aten::where.self", x < 0, g * (c.result / safe), g),)


def _lower_rrelu(e: Emitter, call: LoweredCall) -> Any:
    if call["training"] is not False:
        e.unsupported("rrelu in training is random; call eval() before exporting")
    x = call["self"]
    if isinstance(call["lower"], int | float) and isinstance(call["upper"], int | float):
        if call["lower"] > call["upper"]:
            e.unsupported("Lower bound should be less than or equal to the upper bound")
    slope = typed(e, "Mul", x.dtype, typed(e, "Add", x.dtype, call["lower"], call["upper"]), e.scalar(0.5, x.dtype))
    return where(
        e,
        typed(e, "Less", x.dtype, x, e.scalar(0, x.dtype), result=BOOL),
        typed(e, "Mul", x.dtype, x, slope),
        x,
        x.dtype,
    )


_RRELU = declare(
    "aten::rrelu(Tensor self, Scalar lower=0.125, Scalar upper=0.33333333333333331, bool training=False, Generator? "
    "generator=None) -> Tensor",
    _rrelu,
    types=like_self,
    onnx=_lower_rrelu,
    grad=_rrelu_grad,
    grad_name="RreluWithNoiseBackward0",
    samples=of((f4(2, 3, 4),), (f4(2, 3), 0.2, 0.3)),
    side_effect=True,
)
in_place(_RRELU, grad_name="RreluWithNoiseBackward1").side_effect = True


def _bernoulli_fill(self: Array, p: Any, generator: Any = None) -> Array:
    self[...] = source().bernoulli(np.broadcast_to(np.asarray(p, np.float64), self.shape), generator)
    return self


def _lower_bernoulli(e: Emitter, call: LoweredCall) -> Any:
    x, p = call["self"], call["p"]
    uniform = random_node(e, "RandomUniform", e.shape_of(x), FLOAT32)
    return e.cast(typed(e, "Less", FLOAT32, uniform, e.cast(p, FLOAT32), result=BOOL), x.dtype)


declare(
    "aten::bernoulli_.Tensor(Tensor(a!) self, Tensor p, *, Generator? generator=None) -> Tensor(a!)",
    _bernoulli_fill,
    types=like_self,
    onnx=_lower_bernoulli,
    side_effect=True,
)
declare(
    "aten::bernoulli_.float(Tensor(a!) self, float p=0.5, *, Generator? generator=None) -> Tensor(a!)",
    _bernoulli_fill,
    types=like_self,
    onnx=_lower_bernoulli,
    side_effect=True,
)
