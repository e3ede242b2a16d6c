"""Numbers that go into element types: what torch refuses there, the kernels refuse, too (``Scalar.to`` in C++)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_numpy
from bridge.ir.errors import BridgeError

__all__ = ["INTEGERS", "finfo", "fitting", "limits", "overflow"]

#: The integer types, and what C++ calls them.
INTEGERS = {"int64": "int64_t", "int32": "int", "int16": "int16_t", "int8": "int8_t", "uint8": "uint8_t"}
#: The floating types that do not hold all numbers: what C++ calls them, and the largest that each holds.
_FLOATS = {
    "float32": ("float", float(np.finfo(np.float32).max)),
    "bfloat16": ("c10::BFloat16", (2 - 2**-7) * 2.0**127),
    "float16": ("c10::Half", float(np.finfo(np.float16).max)),
}


def finfo(dtype: DType) -> Any:
    """The limits of a floating type, which NumPy does not know of bfloat16."""
    if dtype.native:
        return np.finfo(dtype.numpy)
    import ml_dtypes

    return ml_dtypes.finfo(dtype.numpy)  # type: ignore[no-untyped-call]


def limits(dtype: DType, of_float: bool = False) -> tuple[int, int]:
    """What an integer type takes. Of negative integers, not of negative floats, unsigned types take the remainder."""
    found = np.iinfo(dtype.numpy)
    return (found.min if of_float else min(found.min, -found.max)), found.max


def overflow(value: Any, dtype: DType) -> str | None:
    """What torch says of a number that a type cannot hold; None where it can."""
    if not isinstance(value, int | float):
        return None
    if dtype.name in INTEGERS:
        low, high = limits(dtype, isinstance(value, float))
        fits = (float(low) <= value <= float(high)) if isinstance(value, float) else low <= value <= high
        called = INTEGERS[dtype.name]
    elif dtype.name in _FLOATS:
        called, largest = _FLOATS[dtype.name]
        fits = not largest < abs(value) < float("inf")
    else:
        return None
    return None if fits else f"value cannot be converted to type {called} without overflow"


def fitting(value: Any, dtype: np.dtype[Any]) -> Any:
    """A number that is written to an array of that type. Raises BridgeError where it does not fit."""
    if isinstance(value, int | float) and (why := overflow(value, by_numpy(dtype))) is not None:
        raise BridgeError(why)
    return value
