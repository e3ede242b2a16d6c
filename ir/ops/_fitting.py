"""Numbers beside tensors that torch converts to an element type, and refuses where they are too large for it.

A row of the table names the numbers of an operator, the arguments whose common element type they are converted to, and what
becomes of that type: some operators compute halves in float32, some do not ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from bridge.ir.dtypes import DType, by_name
from bridge.ir.fits import overflow
from bridge.ir.promotion import DIMENSIONED, UNKNOWN_TIER, ZERO_DIM, Operand, operand_of_value, result_dtype

__all__ = ["has_numbers", "unfit"]

_FLOAT32 = by_name("float32")
_HALVES = ("float16", "bfloat16")


def _exact(d: DType) -> DType | None:
    return d


def _computed(d: DType) -> DType | None:
    """Halves are computed in float32."""
    return _FLOAT32 if d.name in _HALVES else d


def _but_halves(d: DType) -> DType | None:
    return None if d.name in _HALVES else d


def _but_float32(d: DType) -> DType | None:
    return None if d is _FLOAT32 else d


class _Row(NamedTuple):
    numbers: str
    operands: str
    becomes: Callable[[DType], DType | None] = _exact


_PRODUCT = _Row("alpha beta", "self", _computed)
_BOUNDS = _Row("min max", "self min max")
_THIRD = _Row("value", "self tensor1 tensor2", _computed)

_FITS: dict[str, _Row] = {
    **dict.fromkeys(("clamp", "clip", "clamp_min", "clamp_max"), _BOUNDS),
    **dict.fromkeys(("addmm", "addmv", "addbmm", "baddbmm", "addr"), _PRODUCT),
    **dict.fromkeys(("addcmul", "addcdiv"), _THIRD),
    "pow": _Row("exponent", "self exponent", _but_float32),
    "where": _Row("self other", "self other", _but_halves),
    "index_add": _Row("alpha", "self"),
    **dict.fromkeys(("constant_pad_nd", "pad"), _Row("value", "self")),
    "threshold": _Row("threshold value", "self"),
    "hardtanh": _Row("min_val max_val", "self"),
    "hardshrink": _Row("lambd", "self"),
    "softshrink": _Row("lambd", "self"),
    "leaky_relu": _Row("negative_slope", "self", _computed),
    "elu": _Row("alpha scale input_scale", "self", _computed),
    "celu": _Row("alpha", "self", _computed),
    "softplus": _Row("beta threshold", "self", _computed),
    "lerp": _Row("weight", "self", _computed),
}  # fmt: skip


def _row(name: str) -> _Row | None:
    short = name.removeprefix("aten::").partition(".")[0]
    return _FITS.get(short) or _FITS.get(short.removesuffix("_"))


def has_numbers(name: str) -> bool:
    """Whether an operator (or the one that it is the in-place form of) has numbers that may not fit."""
    return _row(name) is not None


def unfit(name: str, arguments: Iterable[str]) -> Callable[[Callable[[str], Any]], str | None] | None:
    """The check of an operator with these arguments: says of their values what torch says. None where there is nothing to check."""
    row = _row(name)
    if row is None:
        return None
    there = set(arguments)
    numbers, operands = ([n for n in names.split() if n in there] for names in row[:2])

    def check(value: Callable[[str], Any]) -> str | None:
        large = [v for n in numbers if _may_be_large(v := value(n))]
        if not large:
            return None
        common = result_dtype(_operand(v) for n in operands if (v := value(n)) is not None)
        target = None if common is None else row.becomes(common)
        return None if target is None else next((why for v in large if (why := overflow(v, target)) is not None), None)

    return check


def _may_be_large(value: Any) -> bool:
    """Whether it is a number that is not held by every type."""
    if isinstance(value, float):
        return not 0 <= value <= 127
    return isinstance(value, int) and not -128 <= value <= 127


def _operand(value: Any) -> Operand:
    if isinstance(value, np.ndarray | int | float | complex):
        return operand_of_value(value)
    rank = value.rank if hasattr(value, "rank") else value.ndim
    return value.dtype, UNKNOWN_TIER if rank is None else DIMENSIONED if rank else ZERO_DIM
