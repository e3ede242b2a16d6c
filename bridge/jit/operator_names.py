"""Which operator a function of the library, of ``math`` or of torch stands for in programs."""

from __future__ import annotations

import cmath
import inspect
import math
import warnings
from collections import OrderedDict
from typing import Any

from bridge import _awaits, futures
from bridge.ir.schemas import schemas_of
from bridge.jit import decorators
from bridge.pytorch.names import operator_name

_MATH = {
    name: f"aten::{name}"
    for name in (
        "ceil copysign erf erfc exp expm1 fabs floor gamma lgamma log log10 log1p pow sqrt isnan asinh atanh cosh sinh tanh "
        "acos asin atan atan2 cos sin tan acosh fmod modf factorial frexp isinf degrees radians ldexp gcd isfinite"
    ).split()
} | {"remainder": "aten::mathremainder"}


#: Functions of torch that are Python there, although there are operators of the same name.
PYTHON_IN_TORCH = frozenset("stft istft lu cdist norm unique unique_consecutive tensordot".split())


OPERATOR_MODULES = {"bridge": "", "bridge.linalg": "linalg_", "bridge.special": "special_", "bridge.fft": "fft_"}


def _builtin_table() -> dict[int, str]:
    table = {id(getattr(math, n)): operator for n, operator in _MATH.items()}
    complex_names = (
        "acos acosh asin asinh atan atanh cos cosh exp log log10 sin sinh sqrt tan tanh isfinite isinf isnan".split()
    )
    table.update(
        {id(getattr(cmath, n)): f"aten::{n}" for n in complex_names}
        | {id(cmath.phase): "aten::angle", id(cmath.rect): "aten::polar"}
    )
    table[id(OrderedDict)] = table[id(dict)] = "aten::dict"
    table[id(warnings.warn)] = "aten::warn"
    table[id(decorators.is_scripting)] = "aten::is_scripting"
    table[id(futures.wait)] = "aten::wait"
    table[id(_awaits._awaitable_wait)] = "prim::awaitable_wait"
    table[id(_awaits._awaitable_nowait)] = "prim::awaitable_nowait"
    return table


#: Python functions of the library that are operators in programs.
_OPERATORS_IN_NN = frozenset(
    "_list_with_default _no_grad_embedding_renorm_ _no_grad_fill_ _no_grad_normal_ _no_grad_uniform_ _no_grad_zero_ _pair "
    "_quadruple _single _triple".split()
)


_table: dict[int, str] | None = None


def builtin_name(value: Any) -> str | None:
    """The operator that a library function stands for (``"aten::add"`` for ``bridge.add``), or None."""
    global _table
    if _table is None:
        _table = _builtin_table()
    found = _table.get(id(value))
    if found is not None:
        return found
    operator = getattr(value, "__operator__", None)
    if isinstance(operator, str):
        return operator
    theirs = operator_name(value)
    if theirs is not None and not (inspect.isclass(value) and not schemas_of(theirs)):
        return theirs
    module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if not isinstance(module, str) or not isinstance(name, str) or not module.startswith("bridge"):
        return None
    if module.startswith("bridge.nn.") and name in _OPERATORS_IN_NN:
        return f"aten::{name}" if name != "_list_with_default" else "aten::list_with_default"
    import bridge

    if bridge.__dict__.get(name) is value and name not in PYTHON_IN_TORCH and schemas_of(f"aten::{name}"):
        return f"aten::{name}"
    return None
