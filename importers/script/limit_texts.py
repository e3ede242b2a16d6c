"""The limits of element types: numbers, and the functions of a program that choose among them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name

__all__ = ["ATTRIBUTES", "limit", "limit_functions"]

#: What NumPy has no type for.
_BFLOAT16 = {"min": -3.3895313892515355e38, "max": 3.3895313892515355e38, "eps": 2.0**-7, "tiny": 2.0**-126,
             "smallest_normal": 2.0**-126, "resolution": 0.01, "bits": 16}  # fmt: skip
_TYPES = {"finfo": ("float16", "float32", "float64", "bfloat16"), "iinfo": ("uint8", "int8", "int16", "int32", "int64")}
ATTRIBUTES = {"finfo": tuple(_BFLOAT16), "iinfo": ("min", "max", "bits")}


def limit(dtype: str, name: str) -> Any:
    """``torch.finfo`` or ``torch.iinfo`` of a type. Raises KeyError for others."""
    if dtype == "bfloat16":
        return _BFLOAT16[name]
    kind = "finfo" if dtype in _TYPES["finfo"] else "iinfo"
    if dtype not in _TYPES[kind]:
        raise KeyError(dtype)
    found = getattr(getattr(np, kind)(by_name(dtype).numpy), name)
    return int(found) if name == "bits" or kind == "iinfo" else float(found)


def limit_functions() -> str:
    """A function for each attribute, of the number of an element type."""
    lines = []
    for kind, names in ATTRIBUTES.items():
        for name in names:
            result = "int" if name == "bits" or kind == "iinfo" else "float"
            lines.append(f"def {kind}_{name}(dtype: int) -> {result}:")
            for t in _TYPES[kind]:
                value = limit(t, name)
                text = (
                    f"{value + 1} - 1" if value == -(2**63) else repr(value)
                )  # no literal of the language is that low
                lines += [f"    if dtype == {by_name(t).code}:", f"        return {text}"]
            what = "a floating point" if kind == "finfo" else "an integer"
            lines += [f'    raise TypeError("torch.{kind}() requires {what} input type")', ""]
    return "\n".join(lines) + "\n"
