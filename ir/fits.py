"""Numbers that go into integer types: what torch refuses there, the kernels refuse, too (``Scalar.to`` in C++)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_numpy
from bridge.ir.errors import BridgeError

__all__ = ["INTEGERS", "fitting", "limits", "overflow"]

#: The integer types, and what C++ calls them.
INTEGERS = {"int64": "int64_t", "int32": "int", "int16": "int16_t", "int8": "int8_t", "uint8": "uint8_t"}


def limits(dtype: DType) -> tuple[int, int]:
    """Of negative numbers unsigned types take the remainder."""
    found = np.iinfo(dtype.numpy)
    return min(found.min, -found.max), found.max


def overflow(value: Any, dtype: DType) -> str | None:
    """What torch says of a number that an integer type cannot hold; None where it can."""
    if dtype.name not in INTEGERS or not isinstance(value, int | float):
        return None
    low, high = limits(dtype)
    if (float(low) <= value <= float(high)) if isinstance(value, float) else low <= value <= high:
        return None
    return f"value cannot be converted to type {INTEGERS[dtype.name]} without overflow"


def fitting(value: Any, dtype: np.dtype[Any]) -> Any:
    """A number that is written to an array of that type. Raises BridgeError where it does not fit."""
    if dtype.kind in "iu" and (why := overflow(value, by_numpy(dtype))) is not None:
        raise BridgeError(why)
    return value
