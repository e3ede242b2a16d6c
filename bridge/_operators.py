"""Python's operators on tensors, and the methods that only convert: generated from tables, put on the class."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge import _dispatch
from bridge.ir.dtypes import by_name
from bridge.tensor import Tensor

__all__ = ["CASTS"]

CASTS = {
    "float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "long": "int64", "int": "int32",
    "short": "int16", "char": "int8", "byte": "uint8", "bool": "bool", "cfloat": "complex64", "cdouble": "complex128",
}  # fmt: skip

#: Python's operators: method name → (operator, whether the operands are exchanged).
_OPERATORS = {
    "add": ("add", False), "radd": ("add", False), "iadd": ("add_", False), "sub": ("sub", False),
    "rsub": ("rsub", False), "isub": ("sub_", False), "mul": ("mul", False), "rmul": ("mul", False),
    "imul": ("mul_", False), "truediv": ("div", False), "itruediv": ("div_", False), "matmul": ("matmul", False),
    "rmatmul": ("matmul", True), "mod": ("remainder", False), "rmod": ("remainder", True),
    "imod": ("remainder_", False), "pow": ("pow", False), "rpow": ("pow", True), "ipow": ("pow_", False),
    "floordiv": ("floor_divide", False), "ifloordiv": ("floor_divide_", False),
    "and": ("__and__", False), "rand": ("__and__", False), "iand": ("__iand__", False),
    "or": ("__or__", False), "ror": ("__or__", False), "ior": ("__ior__", False),
    "xor": ("__xor__", False), "rxor": ("__xor__", False), "ixor": ("__ixor__", False),
    "lshift": ("__lshift__", False), "rshift": ("__rshift__", False), "ilshift": ("__ilshift__", False),
    "irshift": ("__irshift__", False), "eq": ("eq", False), "ne": ("ne", False),
    "lt": ("lt", False), "le": ("le", False), "gt": ("gt", False), "ge": ("ge", False),
}  # fmt: skip


def _binary(operator: str, swapped: bool, compares: bool) -> Callable[[Tensor, Any], Any]:
    full = f"aten::{operator}"

    def method(self: Tensor, other: Any) -> Any:
        args = (other, self) if swapped else (self, other)
        try:
            chosen, values, traced = _dispatch.resolve(full, args, None)
        except TypeError:
            if compares and full in ("aten::eq", "aten::ne"):
                return NotImplemented
            if isinstance(other, Tensor | int | float | complex | np.ndarray):
                raise
            return NotImplemented
        return _dispatch.call(chosen, values, traced)

    method.__operator__ = full  # type: ignore[attr-defined]
    return method


def _unary(operator: str) -> Callable[[Tensor], Any]:
    def method(self: Tensor) -> Any:
        return _dispatch.invoke(f"aten::{operator}", (self,))

    return method


def _rtruediv(self: Tensor, other: Any) -> Any:
    return self.reciprocal() * other


def _rfloordiv(self: Tensor, other: Any) -> Any:
    if not isinstance(other, bool | int | float):
        return NotImplemented
    return _dispatch.call_overload("aten::floor_divide", (other, self))


def _stft(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    made: Tensor = importlib.import_module("bridge.functional").stft(self, *args, **kwargs)
    return made


def _caster(name: str) -> Callable[..., Tensor]:
    target = by_name(name)

    def cast(self: Tensor, memory_format: Any = None) -> Tensor:
        return self.to(target) if memory_format is None else self.to(target, memory_format=memory_format)

    return cast


def _install() -> None:
    compares = {"eq", "ne", "lt", "le", "gt", "ge"}
    for python, (operator, swapped) in _OPERATORS.items():
        setattr(Tensor, f"__{python}__", _binary(operator, swapped, python in compares))
    for python, operator in {"neg": "neg", "abs": "abs", "invert": "bitwise_not", "pos": "positive"}.items():
        setattr(Tensor, f"__{python}__", _unary(operator))
    for part in ("real", "imag"):
        setattr(Tensor, part, property(_unary(part)))
    Tensor.stft = _stft  # type: ignore[attr-defined]
    Tensor.__rtruediv__ = _rtruediv  # type: ignore[attr-defined]
    Tensor.__rfloordiv__ = _rfloordiv  # type: ignore[attr-defined]
    for method, dtype in CASTS.items():
        setattr(Tensor, method, _caster(dtype))


_install()
