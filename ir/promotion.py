"""Type promotion: the element type of a result, by torch's rules (torch.result_type).

An operand counts by its *tier*: tensors with dimensions before 0-d tensors before Python numbers ("wrapped numbers"). A
lower tier changes the result only when its kind is higher (bool < integer < real < complex), as in
``c10::promoteTypes`` and ``at::native::result_type``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from bridge.ir.dtypes import DTYPES, DType, by_name, by_numpy, default_dtype
from bridge.ir.errors import BridgeError
from bridge.ir.types import BOOL, COMPLEX, FLOAT, INT, TensorType, Type

__all__ = [
    "DIMENSIONED", "NUMBER_TIER", "UNKNOWN_TIER", "ZERO_DIM", "Operand", "as_arrays", "as_floats", "can_cast", "common_dtype",
    "complex_of", "number_dtype", "operand_of_type", "operand_of_value", "promote", "result_dtype", "to_dtype",
]  # fmt: skip

NUMBER_TIER, ZERO_DIM, DIMENSIONED, UNKNOWN_TIER = 0, 1, 2, -1

#: Element type (None: not known) and tier of an operand.
Operand = tuple[DType | None, int]

_BOOL, _INT64 = by_name("bool"), by_name("int64")
_SIGNED = [by_name(n) for n in ("int8", "int16", "int32", "int64")]
_BAREBONES = {by_name(n) for n in ("uint16", "uint32", "uint64")}
_FLOAT8 = {d for d in DTYPES if d.name.startswith("float8")}
_COMPLEX = {by_name("float64"): by_name("complex128"), by_name("float32"): by_name("complex64")}
_RANK = {"b": 0, "i": 1, "f": 2, "c": 3}


def complex_of(dtype: DType) -> DType:
    """The complex type with this one's precision."""
    if dtype.is_complex:
        return dtype
    return _COMPLEX.get(dtype, by_name("complex64"))


def _promote(a: DType, b: DType) -> DType | None:
    if a is b:
        return a
    if a in _FLOAT8 or b in _FLOAT8:
        return None
    if a in _BAREBONES or b in _BAREBONES:
        real = next((d for d in (a, b) if d.kind == "f"), None)
        return real
    if _RANK[a.kind] > _RANK[b.kind]:
        a, b = b, a
    if b.kind == "c":
        double = "128" in b.name or a.name in ("float64", "complex128")
        return by_name("complex128") if double else b
    if _RANK[a.kind] < _RANK[b.kind]:
        return b
    if a.kind == "f":
        if a.itemsize == b.itemsize:  # half and bfloat16
            return by_name("float32")
        return a if a.itemsize > b.itemsize else b
    if a.name == "uint8" or b.name == "uint8":
        other = b if a.name == "uint8" else a
        return by_name("int16") if other.name == "int8" else other
    return a if a.itemsize > b.itemsize else b


_TABLE: dict[tuple[DType, DType], DType | None] = {(a, b): _promote(a, b) for a in DTYPES for b in DTYPES}


def promote(a: DType, b: DType) -> DType:
    """The smallest type that holds both (torch.promote_types). Raises BridgeError where torch has none."""
    found = _TABLE[a, b]
    if found is None:
        raise BridgeError(f"promotion of {a.name} and {b.name} is not supported")
    return found


def _combine(higher: DType | None, lower: DType | None) -> DType | None:
    if higher is None or lower is None:
        return higher or lower
    if higher.kind == "c":
        return higher
    if higher.kind == "f":
        return complex_of(higher) if lower.kind == "c" else higher
    if higher.kind == "b" or lower.kind in "fc":
        return promote(higher, lower)
    return higher


def _resolve(operands: Iterable[tuple[DType, int]]) -> DType:
    tiers: list[DType | None] = [None, None, None]
    for dtype, tier in operands:
        if tier == NUMBER_TIER:
            if dtype.kind == "c":
                dtype = complex_of(default_dtype())
            elif dtype.kind == "f":
                dtype = default_dtype()
        seen = tiers[tier]
        tiers[tier] = dtype if seen is None else promote(seen, dtype)
    result = _combine(tiers[DIMENSIONED], _combine(tiers[ZERO_DIM], tiers[NUMBER_TIER]))
    assert result is not None
    return result


def result_dtype(operands: Iterable[Operand]) -> DType | None:
    """The common element type; None when an operand is not known well enough to decide it."""
    known = list(operands)
    if any(d is None for d, _ in known):
        return None
    vague = [i for i, (_, tier) in enumerate(known) if tier == UNKNOWN_TIER]
    if not vague:
        return _resolve([(d, t) for d, t in known if d is not None])
    # An unknown rank matters only when counting that operand as a 0-d tensor changes the result.
    results = {
        _resolve([(d, (ZERO_DIM if mask >> vague.index(i) & 1 else DIMENSIONED) if i in vague else t)
                  for i, (d, t) in enumerate(known) if d is not None])
        for mask in range(1 << min(len(vague), 6))
    }  # fmt: skip
    return results.pop() if len(results) == 1 else None


def number_dtype(value: Any) -> DType:
    """The element type of a Python number as a tensor: bool, int64, the default type, or complex."""
    if isinstance(value, bool | np.bool_):
        return _BOOL
    if isinstance(value, int | np.integer):
        return _INT64
    if isinstance(value, complex) and not isinstance(value, float):
        return complex_of(default_dtype())
    return default_dtype()


def operand_of_value(value: Any) -> Operand:
    """The operand that an array or a Python number is."""
    if isinstance(value, np.ndarray):
        return by_numpy(value.dtype), DIMENSIONED if value.ndim else ZERO_DIM
    return number_dtype(value), NUMBER_TIER


def operand_of_type(type: Type) -> Operand:
    """The operand that a value of this type is."""
    if isinstance(type, TensorType):
        if type.dims is None:
            return type.dtype, UNKNOWN_TIER
        return type.dtype, DIMENSIONED if type.dims else ZERO_DIM
    numbers = {INT: _INT64, BOOL: _BOOL, FLOAT: by_name("float64"), COMPLEX: by_name("complex128")}
    return numbers.get(type), NUMBER_TIER  # type: ignore[call-overload]


def common_dtype(*values: Any) -> DType:
    """The common element type of arrays and Python numbers (None is skipped)."""
    return _resolve([(d, t) for d, t in (operand_of_value(v) for v in values if v is not None) if d is not None])


def to_dtype(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An array or Python number as an array of that element type (no copy when it is one), casting as C does."""
    if isinstance(value, np.ndarray):
        return value if value.dtype == dtype else value.astype(dtype)
    if isinstance(value, float) and dtype.kind in "iu":
        value = int(value)
    try:
        return np.asarray(value, dtype)
    except OverflowError:  # what an integer type cannot hold wraps around
        return np.asarray(value, np.int64).astype(dtype)


def as_arrays(*values: Any) -> tuple[np.ndarray[Any, Any], ...]:
    """Arrays and Python numbers as arrays of their common element type."""
    a = values[0]
    if len(values) == 2:
        b = values[1]
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.dtype == b.dtype:
            return a, b
    dtype = common_dtype(*values).numpy
    return tuple(to_dtype(v, dtype) for v in values)


def as_floats(*values: Any) -> tuple[np.ndarray[Any, Any], ...]:
    """Arrays and Python numbers in the floating point type that they compute in; none is rounded to an integer type first."""
    found = common_dtype(*values)
    dtype = found if found.kind in "fc" else default_dtype()
    return tuple(to_dtype(v, dtype.numpy) for v in values)


def can_cast(source: DType, target: DType) -> bool:
    """Whether an in-place operator may write a result of type ``source`` into ``target`` (torch.can_cast)."""
    if source.kind == "c" and target.kind != "c":
        return False
    if source.kind == "f" and target.kind in "ib":
        return False
    return not (source.kind != "b" and target.kind == "b")
