"""Values as TorchScript writes them, in graph texts and in printed Python alike (torch's ``IValue::repr``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.errors import IRError

__all__ = ["WRAPPED", "can_infer_element", "complex_literal", "float_literal", "literal", "quoted", "value_type"]

#: The attribute of a constant that a trace made of a Python number in a tensor's place. It is a tensor that promotes as the
#: number, as long as the program is in memory; no text of a program tells it.
WRAPPED = "wrapped"

_ESCAPES = {
    "\\": "\\\\", "'": "\\'", '"': '\\"', "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r",
    "\t": "\\t", "\v": "\\v",
}  # fmt: skip

#: What a caller may put in place of a value: given the value and its type, a text or None.
Special = Callable[[Any, "T.Type | None"], "str | None"]


def quoted(text: str) -> str:
    """A string in double quotes; bytes outside printable ASCII as three digits.

    These are octal below 128. Above, torch takes C's remainders of the negative char, which count down from ``0``.
    """
    if text.isascii() and text.isprintable() and not any(c in _ESCAPES for c in text):
        return f'"{text}"'
    parts = ['"']
    for c in text:
        if c in _ESCAPES:
            parts.append(_ESCAPES[c])
        elif " " <= c <= "~":
            parts.append(c)
        else:
            parts.extend(map(_digits, c.encode("utf-8", "surrogateescape")))
    parts.append('"')
    return "".join(parts)


def _digits(byte: int) -> str:
    value, sign = (byte, 1) if byte < 128 else (256 - byte, -1)
    return "\\" + "".join(chr(48 + sign * (value >> shift & 7)) for shift in (6, 3, 0))


def float_literal(value: float, limit: float = 1e10) -> str:
    """A double: whole numbers below ``limit`` as ``3.``, others with 17 significant digits."""
    if math.isfinite(value) and abs(value) < limit and value == int(value):
        if value == 0 and math.copysign(1, value) < 0:
            return "-0."
        return f"{int(value)}."
    if math.isnan(value):
        return "-nan" if math.copysign(1, value) < 0 else "nan"
    return f"{value:.17g}"


def complex_literal(value: complex) -> str:
    """A complex number: ``1.+2.j``."""
    sign = "+" if value.imag >= 0 else "-"
    # Whole parts are written as such up to the range of int64 here.
    return f"{float_literal(value.real, 2.0**63)}{sign}{float_literal(abs(value.imag), 2.0**63)}j"


def can_infer_element(t: T.Type) -> bool:
    """Whether a list's element type can be told from its members (otherwise the list is annotated)."""
    from bridge.ir.classes import InterfaceType

    return not (isinstance(t, T.UnionType | T.OptionalType | InterfaceType) or t in (T.NUMBER, T.ANY))


def value_type(value: Any) -> T.Type:
    """The type that a constant's Python value has by itself."""
    simple: dict[type, T.Type] = {
        bool: T.BOOL, int: T.INT, float: T.FLOAT, complex: T.COMPLEX, str: T.STR, type(None): T.NONE,
    }  # fmt: skip
    found = simple.get(type(value))
    if found is not None:
        return found
    if isinstance(value, T.EnumValue):
        return value.type
    if isinstance(value, list):
        return T.ListType(value_type(value[0]) if value else T.TENSOR)
    if isinstance(value, tuple):
        return T.TupleType(*map(value_type, value))
    if isinstance(value, dict):
        for k, v in value.items():
            return T.DictType(value_type(k), value_type(v))
        return T.DictType(T.STR, T.TENSOR)
    if isinstance(value, np.ndarray | np.generic):
        return T.TENSOR
    declared = getattr(value, "type", None)
    return declared if isinstance(declared, T.Type) else T.ANY


def literal(
    value: Any,
    type: T.Type | None = None,
    special: Special | None = None,
    annotation: Callable[[T.Type], str] | None = None,
) -> str:
    """A constant's text. ``type`` is what it was declared as (lists and dicts need it when they are empty).

    ``special`` may give the text of any value or part of one; ``annotation`` spells the names of NamedTuples, which are
    left out without it. Raises IRError for values that have no text.
    """
    if special is not None:
        text = special(value, type)
        if text is not None:
            return text
    if isinstance(type, T.OptionalType) and value is not None:
        return literal(value, type.element, special, annotation)
    if value is None:
        return "None"
    if isinstance(value, bool | np.bool_):
        return "True" if value else "False"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return float_literal(value)
    if isinstance(value, complex):
        return complex_literal(value)
    if isinstance(value, str):
        return f"torch.device({quoted(value)})" if type is T.DEVICE else quoted(value)
    if isinstance(value, T.EnumValue):
        return repr(value)
    if isinstance(value, list):
        return _list_text(value, type, special, annotation)
    if isinstance(value, tuple):
        return _tuple_text(value, type, special, annotation)
    if isinstance(value, dict):
        return _dict_text(value, type, special, annotation)
    raise IRError(f"a constant of Python type {value.__class__.__name__} has no text")


def _list_text(value: list[Any], type: T.Type | None, special: Special | None, annotation: Any) -> str:
    t = type if isinstance(type, T.ListType) else value_type(value)
    assert isinstance(t, T.ListType)
    text = f"[{', '.join(literal(v, t.element, special, annotation) for v in value)}]"
    return text if value and can_infer_element(t.element) else f"annotate({t.annotation()}, {text})"


def _tuple_text(value: Sequence[Any], type: T.Type | None, special: Special | None, annotation: Any) -> str:
    t = type if isinstance(type, T.TupleType) and len(type.elements) == len(value) else value_type(value)
    assert isinstance(t, T.TupleType)
    head = annotation(t) if t.name and annotation is not None else ""
    inside = ", ".join(literal(v, e, special, annotation) for v, e in zip(value, t.elements, strict=True))
    return f"{head}({inside},)" if len(value) == 1 else f"{head}({inside})"


def _dict_text(value: dict[Any, Any], type: T.Type | None, special: Special | None, annotation: Any) -> str:
    t = type if isinstance(type, T.DictType) else value_type(value)
    assert isinstance(t, T.DictType)
    pairs = (
        f"{literal(k, t.key, special, annotation)}: {literal(v, t.value, special, annotation)}"
        for k, v in value.items()
    )
    text = f"{{{', '.join(pairs)}}}"
    return text if value and can_infer_element(t.value) else f"annotate({t.annotation()},{text})"
