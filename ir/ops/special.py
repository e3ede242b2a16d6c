"""Pointwise functions that follow from others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name, by_numpy
from bridge.ir.ops._composite import composite
from bridge.ir.ops._declare import declare
from bridge.ir.ops._samples import S, b1, f4, f8, i8, of, positive
from bridge.ir.promotion import as_arrays
from bridge.ir.registry import unsupported
from bridge.ir.rules import broadcast, float_like_self

__all__: list[str] = []

_NAN = np.float32(math.nan)
_WITH_NAN = np.asarray([1.0, _NAN, -2.0, _NAN], np.float32)
_PLAIN = np.asarray([_NAN, 3.0, -1.0, _NAN], np.float32)

# -- two operands ------------------------------------------------------------------------------------------------------


def _ignoring_nan(name: str, larger: str) -> None:
    @composite(
        f"aten::{name}(Tensor self, Tensor other) -> Tensor",
        samples=of((f4(3, 4), f4(4)), (_WITH_NAN, _PLAIN), (i8(3), i8(3, seed=1))),
        grad_name=f"{name.capitalize()}Backward0",
    )
    def pick(t: Any, a: Any, b: Any) -> Any:
        if t.dtype(a).kind != "f" and t.dtype(b).kind != "f":
            return getattr(t, larger)(a, b)
        return t.where(t.isnan(b), a, t.where(t.isnan(a), b, getattr(t, larger)(a, b)))


_ignoring_nan("fmax", "maximum")
_ignoring_nan("fmin", "minimum")


@composite(
    "aten::heaviside(Tensor self, Tensor values) -> Tensor",
    samples=of((np.asarray([-1.0, 0.0, 2.0], np.float32), f4(3)), (i8(4), i8(4, seed=1))),
    grad=unsupported("the gradient of heaviside is 0 almost everywhere, and torch has none"),
)
def heaviside(t: Any, x: Any, values: Any) -> Any:
    return t.where(t.eq(x, 0), values, t.to(t.gt(x, 0), t.dtype(x).code))


declare(
    "aten::nextafter(Tensor self, Tensor other) -> Tensor",
    lambda a, b: np.nextafter(*as_arrays(a, b)),
    types=broadcast,
    onnx=unsupported("ONNX cannot reach the next floating number"),
    grad=unsupported("torch has no gradient of nextafter"),
    samples=of(
        (f4(3), f4(3, seed=1)),
    ),
)


@composite(
    "aten::logaddexp2(Tensor self, Tensor other) -> Tensor",
    samples=of((f4(3, 4), f4(4)), (f8(3), f8(3))),
    grad_name="Logaddexp2Backward0",
)
def logaddexp2(t: Any, a: Any, b: Any) -> Any:
    apart = t.neg(t.abs(t.sub(a, b)))
    return t.add(t.maximum(a, b), t.mul(t.log1p(t.exp2(apart)), 1 / math.log(2)))


def _double(t: Any, v: Any) -> Any:
    return t.to(v, 7) if hasattr(v, "dtype") else v


for _kind, _arguments, _samples in (
    ("Tensor_Tensor", "Tensor self, Tensor exponent", of((positive(3), f4(3)), (i8(3, low=1), i8(3, low=0)))),
    ("Tensor_Scalar", "Tensor self, Scalar exponent", of((positive(3), 2), (i8(3, low=1), 0.5))),
    (
        "Scalar",
        "Scalar self, Tensor exponent",
        of(
            (2, f4(3)),
        ),
    ),
):

    @composite(f"aten::float_power.{_kind}({_arguments}) -> Tensor", samples=_samples)
    def float_power(t: Any, x: Any, exponent: Any) -> Any:
        base, power = _double(t, x), _double(t, exponent)
        return t.pow(base, power if hasattr(power, "dtype") or hasattr(power, "steps") else float(power))


for _kind, _arguments in (
    ("", "Tensor self, Tensor other"),
    (".other_scalar", "Tensor self, Scalar other"),
    (".self_scalar", "Scalar self, Tensor other"),
):
    _pairs = {
        "": (positive(3), positive(3, seed=1)),
        ".other_scalar": (positive(3), 2.0),
        ".self_scalar": (0, positive(3)),
    }

    @composite(f"aten::special_xlog1py{_kind}({_arguments}) -> Tensor", samples=of(_pairs[_kind]), grad_name=(
        f"SpecialXlog1PyBackward{['', '.self_scalar', '.other_scalar'].index(_kind)}"))  # fmt: skip
    def xlog1py(t: Any, x: Any, y: Any) -> Any:
        if not hasattr(x, "dtype"):
            log = t.log1p(y)
            return t.mul(log, x) if x != 0 else t.where(t.isnan(y), log, t.zeros_like(log))
        log = t.log1p(y) if hasattr(y, "dtype") else t.log1p(t.scalar_tensor(y, dtype=t.dtype(x).code))
        found = t.mul(x, log)
        return t.where(t.logical_and(t.eq(x, 0), t.logical_not(t.isnan(log))), t.zeros_like(found), found)


# -- one operand -------------------------------------------------------------------------------------------------------


def _floating(t: Any, x: Any) -> Any:
    return x if t.dtype(x).kind in "fc" else t.to(x, 6)


for _name, _factor in (("rad2deg", 180 / math.pi), ("deg2rad", math.pi / 180)):

    @composite(
        f"aten::{_name}(Tensor self) -> Tensor",
        samples=of((f4(3, 4),), (f8(3),), (i8(3),)),
        grad_name=f"{'Rad2DegBackward0' if _name == 'rad2deg' else 'Deg2RadBackward0'}",
    )
    def turned(t: Any, x: Any, factor: float = _factor) -> Any:
        return t.mul(_floating(t, x), factor)


@composite(
    "aten::sinc(Tensor self) -> Tensor",
    samples=of((f4(3, 4),), (f8(3),), (i8(3),)),
    grad_name="SincBackward0",
)
def sinc(t: Any, x: Any) -> Any:
    z = t.mul(_floating(t, x), math.pi)
    none = t.eq(z, 0)
    safe = t.masked_fill(z, none, 1.0)
    return t.masked_fill(t.div(t.sin(safe), safe), none, 1.0)


@composite(
    "aten::special_entr(Tensor self) -> Tensor",
    samples=of((positive(3, 4),), (i8(5),)),
    grad_name="SpecialEntrBackward0",
)
def entr(t: Any, x: Any) -> Any:
    x = _floating(t, x)
    inside = t.gt(x, 0)
    safe = t.where(inside, x, t.ones_like(x))
    outside = t.where(t.eq(x, 0), t.zeros_like(x), t.full_like(x, -math.inf))
    found = t.where(inside, t.neg(t.mul(safe, t.log(safe))), outside)
    return t.where(t.isnan(x), x, found)


@composite("aten::special_ndtr(Tensor self) -> Tensor", samples=of((f4(3, 4),), (i8(3),)))
def ndtr(t: Any, x: Any) -> Any:
    return t.mul(t.add(t.erf(t.mul(_floating(t, x), math.sqrt(0.5))), 1), 0.5)


def _digamma(x: Any) -> Any:
    """By the recurrence up to 6, then the asymptotic series; the reflection formula below 0."""
    v = np.asarray(x, np.float64)
    low = v <= 0
    y = np.where(low, 1 - v, v)
    shift = np.zeros_like(y)
    for _ in range(10):
        small = y < 10
        shift = np.where(small, shift - 1 / y, shift)
        y = np.where(small, y + 1, y)
    z = 1 / (y * y)
    tail = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z * (1 / 132 - z * (691 / 32760 - z / 12))))))
    found = shift + np.log(y) - 0.5 / y - tail
    part = v - np.floor(v)
    reflected = found - math.pi / np.tan(math.pi * part)
    found = np.where(low, np.where(part == 0, math.nan, reflected), found)
    return np.where(v == 0, np.copysign(math.inf, -v), found)


def _as_float(f: Any) -> Any:
    return lambda x: f(x).astype(x.dtype if by_numpy(x.dtype).kind == "f" else by_name("float32").numpy)


def _erfinv(x: Any) -> Any:
    """Newton's steps from Winitzki's estimate."""
    v = np.asarray(x, np.float64)
    inside = np.clip(v, -1 + 1e-16, 1 - 1e-16)
    log = np.log1p(-inside * inside)
    a = 2 / (math.pi * 0.147) + log / 2
    y = np.sign(inside) * np.sqrt(np.sqrt(a * a - log / 0.147) - a)
    erf = np.vectorize(math.erf, otypes=[np.float64])
    erfc = np.vectorize(math.erfc, otypes=[np.float64])
    for _ in range(4):  # in the tails 1 - erf is taken from erfc, which keeps its digits
        wrong = np.where(np.abs(inside) < 0.5, erf(y) - inside, np.sign(y) * ((1 - np.abs(inside)) - erfc(np.abs(y))))
        y = y - wrong / (2 / math.sqrt(math.pi) * np.exp(-y * y))
    y = np.where(np.abs(v) == 1, np.copysign(math.inf, v), y)
    return np.where(np.abs(v) > 1, math.nan, y)


def _erfinv_grad(c: Any, g: Any) -> Any:
    r = c.results[0]
    return (g * (r * r).exp() * (math.sqrt(math.pi) / 2),)


for _name, _f, _grad, _node in (
    ("digamma", _digamma, unsupported("the gradient of digamma needs polygamma"), "DigammaBackward0"),
    ("erfinv", _erfinv, _erfinv_grad, "ErfinvBackward0"),
    ("i0", np.i0, unsupported("the gradient of i0 needs another Bessel function"), "I0Backward0"),
):
    declare(
        f"aten::{_name}(Tensor self) -> Tensor",
        _as_float(_f),
        types=float_like_self,
        onnx=unsupported(f"ONNX has no {_name}"),
        grad=_grad,
        grad_name=_node,
        samples=of((positive(3, 4, low=-0.9, high=0.9),), (np.asarray(positive(3), np.float64) / 3,), S(b1(3))),
    )
