"""Tensors as Python literals, where that reads better than a file of weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir import dtypes

__all__ = ["LONGEST", "tensor_literal"]

#: The most elements that are written out.
LONGEST = 8

_IMPLIED = ("float32", "int64", "bool")


def tensor_literal(array: np.ndarray[Any, Any], torch: str = "torch") -> str | None:
    """``torch.tensor([1, 2])`` for a small tensor, None for one that belongs in a file.

    The literal gives exactly the same values: floats are written in the shortest form that reads back equal.
    """
    try:
        dtype = dtypes.by_numpy(array.dtype)
    except TypeError:
        return None
    if array.size == 0:
        kind = "" if dtype.name == "float32" else f", dtype={torch}.{dtype.name}"
        return f"{torch}.empty({list(array.shape)}{kind})"
    if array.size > LONGEST or array.dtype.kind not in "biuf":
        return None
    if not dtype.native:
        return None
    text = _nested(array)
    implied = dtype.name in _IMPLIED
    return f"{torch}.tensor({text})" if implied else f"{torch}.tensor({text}, dtype={torch}.{dtype.name})"


def _nested(array: np.ndarray[Any, Any]) -> str:
    if array.ndim:
        return f"[{', '.join(_nested(a) for a in array)}]"
    return _number(array[()])


def _number(value: Any) -> str:
    if isinstance(value, np.bool_):
        return str(bool(value))
    if isinstance(value, np.integer):
        return str(int(value))
    if math.isnan(value):
        return "math.nan"
    if math.isinf(value):
        return "math.inf" if value > 0 else "-math.inf"
    text = repr(value.item()) if isinstance(value, np.float64) else np.format_float_positional(value, trim="0")
    if len(text) > 18:
        text = np.format_float_scientific(value, trim="0")
    return text if any(c in text for c in ".e") else f"{text}.0"
