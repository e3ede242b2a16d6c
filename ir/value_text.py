"""Run-time values as programs print and format them: what ``print(x)``, ``str(x)`` and ``"{}".format(x)`` show."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from bridge.ir.literals import complex_literal, float_literal
from bridge.ir.tensor_text import stream_text
from bridge.ir.types import EnumValue

__all__ = ["short_text", "value_text"]


def short_text(value: Any, limit: int = 60) -> str:
    """A value for a line of a report: literals as Python writes them, tensors by element type and shape."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"a {str(value.dtype).rpartition('.')[2]}{list(value.shape)} tensor"
    if isinstance(value, list | tuple):
        inside = ", ".join(short_text(v, limit) for v in value[:limit])
        text = f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{short_text(k)}: {short_text(v, limit)}" for k, v in list(value.items())[:limit]) + "}"
    else:
        text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def value_text(value: Any) -> str:
    """The text of any value: ``1.`` for 1.0, ``[a, 2.5]``, tensors as torch's C++ prints them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int) or value is None:
        return str(value)
    if isinstance(value, float):
        return float_literal(value, 2.0**63)
    if isinstance(value, complex):
        return complex_literal(value)
    if isinstance(value, list):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(value_text, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{value_text(k)}: {value_text(v)}' for k, v in value.items())}}}"
    if isinstance(value, EnumValue):
        return f"Enum<{value.type.name.rpartition('.')[2]}.{value.name}>"
    if isinstance(value, enum.Enum):
        return f"Enum<{type(value).__name__}.{value.name}>"
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__"):
        return stream_text(value)
    return str(value)
