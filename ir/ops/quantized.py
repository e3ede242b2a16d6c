"""Rounding to the numbers that a quantised tensor could hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.ops._composite import lowered_as
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._samples import f4, of
from bridge.ir.rules import like_self

__all__: list[str] = []


def _shaped(values: Any, x: Array, axis: int | None) -> Any:
    """One value for each slice of ``axis``, so that it broadcasts."""
    if axis is None:
        return values
    return np.asarray(values).reshape([-1 if d == axis % x.ndim else 1 for d in range(x.ndim)])


def _levels(x: Array, scale: Any, zero: Any, axis: int | None) -> Array:
    """The level next to each number, before it is limited."""
    inverse = np.float32(1.0) / np.asarray(_shaped(scale, x, axis), np.float32)
    return np.asarray(np.rint(x * inverse) + np.asarray(_shaped(zero, x, axis), np.float32))


def _quantised(x: Array, scale: Any, zero: Any, axis: int | None, low: int, high: int) -> Array:
    if low > high:
        raise BridgeError("`quant_min` should be less than or equal to `quant_max`.")
    levels = np.clip(_levels(x, scale, zero, axis), low, high)
    found = (levels - _shaped(zero, x, axis)) * np.asarray(_shaped(scale, x, axis), np.float32)
    return np.asarray(found, x.dtype)


def _steps(t: Any, x: Any, scale: Any, zero: Any, axis: int | None, low: int, high: int) -> Any:
    if axis is not None:
        rank = t.rank(x)
        shape = [-1 if d == axis % rank else 1 for d in range(rank)]
        scale, zero = t.reshape(scale, shape), t.reshape(zero, shape)
    if isinstance(scale, float):
        levels = t.round(t.mul(x, float(np.float32(1.0) / np.float32(scale))))
    else:
        scale = t.to(scale, t.dtype(x).code)
        levels = t.round(t.mul(x, t.reciprocal(scale)))
    zero = zero if isinstance(zero, int) else t.to(zero, t.dtype(x).code)
    levels = t.clamp(t.add(levels, zero), low, high)
    return t.mul(t.sub(levels, zero), scale)


def _inside(c: Any, g: Any, scale: Any, zero: Any, axis: int | None) -> Any:
    """The gradient goes through where the number was not limited."""
    levels = _levels(c["self"]._array, scale, zero, axis)
    inside = (levels >= c["quant_min"]) & (levels <= c["quant_max"])
    return g * type(g)._wrap(inside)


def _held(v: Any) -> Any:
    return getattr(v, "_array", v)


for _name, _parameters, _rest, _axis in (
    ("fake_quantize_per_tensor_affine", "float scale, int zero_point", (0.1, 3, 0, 20), False),
    (
        "fake_quantize_per_tensor_affine.tensor_qparams",
        "Tensor scale, Tensor zero_point",
        (np.asarray([0.1], np.float32), np.asarray([3], np.int32), 0, 20),
        False,
    ),
    (
        "fake_quantize_per_channel_affine",
        "Tensor scale, Tensor zero_point, int axis",
        (np.asarray([0.1, 0.2, 0.05], np.float32), np.asarray([0, 3, 7], np.int32), 0, 0, 20),
        True,
    ),
):

    def _kernel(x: Array, scale: Any, zero: Any, *rest: Any) -> Array:
        axis, low, high = rest if len(rest) == 3 else (None, *rest)
        return _quantised(x, scale, zero, axis, low, high)

    def _definition(t: Any, x: Any, scale: Any, zero: Any, *rest: Any) -> Any:
        axis, low, high = rest if len(rest) == 3 else (None, *rest)
        return _steps(t, x, scale, zero, axis, low, high)

    def _grad(c: Any, g: Any, axis: bool = _axis, tensors: bool = "Tensor" in _parameters) -> Any:
        made = _inside(c, g, _held(c["scale"]), _held(c["zero_point"]), c["axis"] if axis else None)
        return (made, None, None) if tensors else (made,)

    declare(
        f"aten::{_name}(Tensor self, {_parameters}, int quant_min, int quant_max) -> Tensor",
        _kernel,
        types=like_self,
        onnx=lowered_as(_definition),
        grad=_grad,
        grad_name="FakeQuantizePerChannelAffineCachemaskBackward0"
        if _axis
        else "FakeQuantizePerTensorAffineCachemask"
        + ("TensorQparamsBackward0" if "Tensor" in _parameters else "Backward0"),
        samples=of((f4(3, 4), *_rest)),
    )
