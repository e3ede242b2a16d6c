"""Choosing an operator's overload for Python values, as torch's Python argument parser does.

Overloads are tried in the order of declaration, first without conversions from tensors to numbers, then with them. For
arguments whose types alone decide, the choice is remembered by those types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge import _dispatch
from bridge.ir.dtypes import DType
from bridge.ir.registry import Operator, overloads
from bridge.ir.schema import Argument
from bridge.ir.subscripts import einsum_equation
from bridge.ir.types import (
    BOOL,
    COMPLEX,
    DEVICE,
    FLOAT,
    GENERATOR,
    INT,
    NUMBER,
    STR,
    ListType,
    OptionalType,
    TensorType,
)  # fmt: skip
from bridge.tensor import Tensor
from bridge.types import device, dtype_of, layout, memory_format

__all__ = ["method_names", "resolve", "resolve_one"]

#: Python numbers may stand for tensors in these, and their Scalar overloads are not used from Python.
_NUMBERS_AS_TENSORS = frozenset(
    f"aten::{n}{tail}"
    for n in ("add", "sub", "mul", "div", "divide", "multiply", "subtract", "true_divide", "floor_divide")
    for tail in ("", "_")
)
#: Functions that take their tensors one by one as well: the place of the list.
_SPREAD_TENSORS = {
    "aten::broadcast_tensors": 0, "aten::meshgrid": 0, "aten::cartesian_prod": 0, "aten::block_diag": 0, "aten::einsum": 1,
}  # fmt: skip
#: Overloads that Python tries in another order than a program: the one that takes no argument but the tensor comes first.
_PYTHON_ORDER: dict[str, tuple[str, ...]] = {
    f"aten::{n}": ("dim", "correction", "") for n in ("std", "var", "std_mean", "var_mean")
}
_PYTHON_ORDER |= {
    f"aten::{n}": ("vec", "")
    for n in """
        upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d
        upsample_bicubic2d _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d _upsample_bilinear2d_aa
        _upsample_bicubic2d_aa
    """.split()
}
_KEYWORDS = {"input": "self", "axis": "dim", "keepdims": "keepdim", "x1": "self", "x2": "other"}
_NO = object()

Converter = Callable[[Any, bool], Any]


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _from_tensor(value: Tensor, kind: type) -> Any:
    """A one-element tensor as a number, for an argument that wants one; not a conversion that tracing freezes."""
    if value._array.size != 1 or (value._requires_grad and kind is not complex):
        return _NO
    if kind is int and value._array.dtype.kind not in "iub":
        return _NO
    found = value._array.item()
    return kind(found) if kind in (int, float) else found


def _tensor(value: Any, loose: bool) -> Any:
    return value if isinstance(value, Tensor) else _NO


def _tensor_or_number(value: Any, loose: bool) -> Any:
    if isinstance(value, Tensor | int | float | complex):
        return value
    return _number(value) if isinstance(value, np.number | np.bool_) else _NO


def _int(value: Any, loose: bool) -> Any:
    if type(value) is int:
        return value
    if isinstance(value, bool | np.bool_ | float):
        return _NO
    if isinstance(value, int | np.integer):
        return int(value)
    return _from_tensor(value, int) if loose and isinstance(value, Tensor) else _NO


def _size(value: Any, loose: bool) -> Any:
    """An int in a list of ints, which may be a tensor of any element type without dimensions while a trace follows it."""
    if isinstance(value, Tensor) and value._array.ndim == 0 and _dispatch.tracer is not None:
        return int(value._array.item())
    return _int(value, loose)


def _dim(value: Any, loose: bool) -> Any:
    """The number of a dimension, which PyTorch takes of tensors without dimensions alone, where a size may have one."""
    if isinstance(value, Tensor) and (value._array.ndim or value._array.dtype.kind == "b"):
        return _NO
    return _int(value, loose)


def _float(value: Any, loose: bool) -> Any:
    if type(value) is float:
        return value
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        return float(value)
    if loose and isinstance(value, Tensor) and value._array.ndim == 0:
        return _from_tensor(value, float)
    return _NO


def _scalar(value: Any, loose: bool) -> Any:
    if isinstance(value, int | float | complex):
        return value
    if isinstance(value, np.number | np.bool_):
        return value.item()
    if loose and isinstance(value, Tensor) and value._array.ndim == 0:
        return _from_tensor(value, complex)
    return _NO


def _bool(value: Any, loose: bool) -> Any:
    if isinstance(value, bool):
        return value
    return bool(value) if isinstance(value, np.bool_) else _NO


def _str(value: Any, loose: bool) -> Any:
    return value if isinstance(value, str) else _NO


def _device(value: Any, loose: bool) -> Any:
    if isinstance(value, device):
        return str(value)
    return str(device(value)) if isinstance(value, str) else _NO


def _dtype(value: Any, loose: bool) -> Any:
    if isinstance(value, DType) or value in (float, int, bool, complex):
        return dtype_of(value).code
    return _NO


def _code(kind: type) -> Converter:
    def convert(value: Any, loose: bool) -> Any:
        code: Any = getattr(value, "code", _NO)
        return code if isinstance(value, kind) else _NO

    return convert


def _anything(value: Any, loose: bool) -> Any:
    return value


def _list_of(element: Converter, size: int | None) -> Converter:
    def convert(value: Any, loose: bool) -> Any:
        if isinstance(value, list | tuple):
            found = []
            of = _size if element is _int else element
            for v in value:
                v = of(v, True)
                if v is _NO:
                    return _NO
                found.append(v)
            return found
        if size is not None:
            v = element(value, loose)
            return _NO if v is _NO else [v] * size
        return _NO

    return convert


def _optional(element: Converter) -> Converter:
    def convert(value: Any, loose: bool) -> Any:
        return None if value is None else element(value, loose)

    return convert


def _converter(a: Argument, numbers: bool) -> Converter:
    t: Any = a.type
    if isinstance(t, OptionalType):
        return _optional(_converter_of(t.element, a, numbers))
    return _converter_of(t, a, numbers)


def _converter_of(t: Any, a: Argument, numbers: bool) -> Converter:
    if isinstance(t, TensorType):
        return _tensor_or_number if numbers else _tensor
    if t is INT:
        if a.name.endswith("dtype"):
            return _dtype
        if a.name == "layout":
            return _code(layout)
        if a.name == "memory_format":
            return _code(memory_format)
        return _dim if a.name.startswith("dim") and a.type is INT else _int
    simple: dict[Any, Converter] = {
        FLOAT: _float, BOOL: _bool, NUMBER: _scalar, COMPLEX: _scalar, STR: _str, DEVICE: _device, GENERATOR: _anything,
    }  # fmt: skip
    if t in simple:
        return simple[t]
    if isinstance(t, OptionalType):
        return _optional(_converter_of(t.element, a, numbers))
    if isinstance(t, ListType):
        return _list_of(_converter_of(t.element, a, False), a.size)
    return _anything


class _Candidate:
    """One overload with a converter per argument."""

    __slots__ = ("arguments", "converters", "operator", "positional", "spread", "spread_tensors")

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.arguments = operator.schema.arguments
        numbers = operator.schema.name in _NUMBERS_AS_TENSORS
        self.converters = [_converter(a, numbers and i > 0) for i, a in enumerate(self.arguments)]
        self.positional = sum(not a.kwarg_only for a in self.arguments)
        # `x.view(2, 3)`, `zeros(2, 3)`: one list of ints alone may be spelled out
        self.spread = -1
        lists = [i for i in range(self.positional) if self._is_ints(i)]
        rest = [i for i in range(self.positional) if i not in lists]
        if len(lists) == 1 and self.arguments[lists[0]].size is None:
            if not rest or (rest == [0] and self.arguments[0].name == "self"):
                self.spread = lists[0]
        self.spread_tensors = _SPREAD_TENSORS.get(operator.schema.name, -1)

    def _is_ints(self, i: int) -> bool:
        t: Any = self.arguments[i].type
        t = t.element if isinstance(t, OptionalType) else t
        return isinstance(t, ListType) and t.element is INT

    def match(self, args: Sequence[Any], kwargs: Mapping[str, Any], loose: bool) -> list[Any] | str:
        """Complete converted arguments, or the reason why they do not fit."""
        args = self._gathered(args)
        if len(args) > self.positional:
            plural = "argument" if self.positional == 1 else "arguments"
            return f"takes {self.positional} positional {plural} but {len(args)} were given"
        values: list[Any] = []
        used = 0
        for i, (a, convert) in enumerate(zip(self.arguments, self.converters, strict=True)):
            if i < len(args):
                given = args[i]
            elif a.name in kwargs:
                given = kwargs[a.name]
                used += 1
            elif a.has_default:
                values.append(list(a.default) if isinstance(a.default, list) else a.default)
                continue
            else:
                return f"missing {a.name}"
            found = convert(given, loose)
            if found is _NO:
                if given is None and a.has_default and a.default is None:
                    found = None
                else:
                    return _mismatch(a, i if i < len(args) else None, given)
            values.append(found)
        if used < len(kwargs):
            names = {a.name for a in self.arguments[len(args) :]}
            return f"got an unexpected keyword argument '{next(k for k in kwargs if k not in names)}'"
        return values

    def _gathered(self, args: Sequence[Any]) -> Sequence[Any]:
        at = self.spread_tensors
        if at == 1 and args and isinstance(args[0], Tensor):
            args = einsum_equation(args)
        if 0 <= at < len(args) and all(isinstance(v, Tensor) for v in args[at:]):
            return (*args[:at], list(args[at:]))
        at = self.spread
        if at < 0 or len(args) <= at or isinstance(args[at], list | tuple):
            return args
        if any(_int(v, True) is _NO for v in args[at:]):
            return args
        return (*args[:at], list(args[at:]))

    def as_given(self, args: Sequence[Any], kwargs: Mapping[str, Any], values: list[Any]) -> list[Any]:
        """The converted arguments with tensors where the user gave tensors for numbers."""
        args = self._gathered(args)
        shown = list(values)
        for i, a in enumerate(self.arguments):
            given = args[i] if i < len(args) else kwargs.get(a.name)
            if isinstance(given, Tensor):
                shown[i] = [given] if isinstance(values[i], list) else given
            elif isinstance(given, list | tuple) and any(isinstance(g, Tensor) for g in given):
                shown[i] = list(given)
        return shown


def _shown(a: Argument) -> str:
    return "input" if a.name == "self" else a.name


def _wanted(a: Argument) -> str:
    t: Any = a.type
    t = t.element if isinstance(t, OptionalType) else t
    if a.name.endswith("dtype"):
        return "torch.dtype"
    if isinstance(t, ListType):
        return f"tuple of {'Tensors' if isinstance(t.element, TensorType) else f'{t.element}s'}"
    return "Number" if t is NUMBER else str(t)


def _given(value: Any) -> str:
    return "Tensor" if isinstance(value, Tensor) else type(value).__name__


_candidates: dict[str, list[_Candidate]] = {}
#: (name, types of the arguments) → the overload, what to convert, the defaults that follow, and where a list that was
#: spelled out starts (-1: none).
_by_types: dict[tuple[Any, ...], tuple[Operator, list[tuple[int, Converter]], list[Any], int]] = {}
_DECISIVE = frozenset({int, float, bool, type(None), str, DType})


def candidates(name: str) -> list[_Candidate]:
    """The overloads of an operator. Raises AttributeError when there is none."""
    found = _candidates.get(name)
    if found is None:
        declared = overloads(name)
        if not declared:
            raise AttributeError(f"module 'torch' has no attribute '{name.split('::')[1]}'")
        if name in _NUMBERS_AS_TENSORS:
            declared = [o for o in declared if not o.schema.overload.startswith("Scalar")]
        if name in _PYTHON_ORDER:
            declared = sorted(declared, key=lambda o: _PYTHON_ORDER[name].index(o.schema.overload))
        usable = [o for o in declared if any(_holds_tensor(a.type) for a in (*o.schema.arguments, *o.schema.returns))]
        found = _candidates[name] = [_Candidate(o) for o in (usable or declared) if o.kernel is not None]
    return found


def _holds_tensor(t: Any) -> bool:
    return any(isinstance(inner, TensorType) for inner in t.walk())


def resolve(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None, method: bool = False
) -> tuple[Operator, list[Any], Sequence[Any] | None]:
    """The overload, its complete converted arguments, and the arguments as given (when tracing). Raises TypeError, with
    positions counted without ``self`` for a ``method``."""
    key: tuple[Any, ...] | None = None
    if not kwargs:
        key = (name, *map(type, args))
        known = _by_types.get(key)
        if known is not None and _dispatch.tracer is None:
            operator, converters, defaults, spread = known
            values = [*args, *defaults] if spread < 0 else [*args[:spread], list(args[spread:]), *defaults]
            for i, convert in converters:
                values[i] = convert(values[i], False)
            return operator, values, None
        kwargs = {}
    else:
        kwargs = _renamed(name, kwargs)
    options = candidates(name)
    for loose in (False, True):
        for c in options:
            values_or_why = c.match(args, kwargs, loose)
            if isinstance(values_or_why, str):
                continue
            if _dispatch.tracer is not None:
                return c.operator, values_or_why, c.as_given(args, kwargs, values_or_why)
            if key is not None and not loose and _decisive(args):
                _remember(key, c, args, values_or_why)
            return c.operator, values_or_why, None
    raise TypeError(_explain(name, options, args, kwargs, method))


def resolve_one(operator: Operator, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sequence[Any]:
    """The arguments as given, complete, of a call of one overload. Raises TypeError when it does not take them."""
    candidate = _Candidate(operator)
    names = {a.name for a in candidate.arguments}
    kwargs = {(_KEYWORDS[k] if k not in names and k in _KEYWORDS else k): v for k, v in kwargs.items()}
    found = candidate.match(args, kwargs, True)
    if isinstance(found, str):
        raise TypeError(f"{operator.full_name} {found}")
    return candidate.as_given(args, kwargs, found)


def _decisive(args: Sequence[Any]) -> bool:
    return all(type(a) in _DECISIVE or isinstance(a, Tensor) for a in args)


def _remember(key: tuple[Any, ...], c: _Candidate, args: Sequence[Any], values: list[Any]) -> None:
    gathered = c._gathered(args)
    spread = -1 if gathered is args else len(gathered) - 1
    given = len(gathered)
    if any(isinstance(v, list) for v in values[given:]):
        return  # defaults that a kernel could change
    if spread >= 0 and not all(type(a) is int for a in args[spread:]):
        return
    converters = [
        (i, c.converters[i])
        for i in range(given if spread < 0 else spread)
        if not isinstance(gathered[i], Tensor | None) and values[i] is not gathered[i]
    ]
    _by_types[key] = c.operator, converters, values[given:], spread


def _renamed(name: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords by their names in the schema: ``input=`` is ``self``, NumPy's ``axis=`` is ``dim``."""
    names = {a.name for c in candidates(name) for a in c.arguments}
    return {(_KEYWORDS[k] if k not in names and k in _KEYWORDS else k): v for k, v in kwargs.items()}


def _mismatch(a: Argument, position: int | None, given: Any) -> str:
    place = "" if position is None else f" (position {position + 1})"
    return f"argument '{_shown(a)}'{place} must be {_wanted(a)}, not {_given(given)}"


def _explain(name: str, options: list[_Candidate], args: Sequence[Any], kwargs: Mapping[str, Any], method: bool) -> str:
    short, skip = name.split("::")[1], 1 if method else 0
    if len(options) == 1:
        c = options[0]
        required = [a for a in c.arguments[len(args) :] if not a.has_default and a.name not in kwargs]
        for i, (a, convert) in enumerate(zip(c.arguments, c.converters, strict=True) if not required else ()):
            given = args[i] if i < len(args) else kwargs.get(a.name, _NO)
            if given is not _NO and convert(given, True) is _NO:
                return f"{short}(): {_mismatch(a, i - skip if i < len(args) else None, given)}"
        if not required:
            return f"{short}() {c.match(args, kwargs, True)}"
    got = [_given(a) for a in args[skip:]] + [f"{k}={_given(v)}" for k, v in kwargs.items()]
    texts = [f"({_signature(c.arguments[skip:])})" for c in options]
    expected = f" {texts[0]}" if len(texts) == 1 else " one of:\n" + "".join(f" * {t}\n" for t in texts)
    return f"{short}() received an invalid combination of arguments - got ({', '.join(got)}), but expected{expected}"


def _signature(arguments: Sequence[Argument]) -> str:
    parts: list[str] = []
    for a in arguments:
        if a.kwarg_only and "*" not in parts:
            parts.append("*")
        parts.append(f"{_wanted(a)} {_shown(a)}" + (f" = {a.default}" if a.has_default else ""))
    return ", ".join(parts)


def method_names(name: str) -> bool:
    """Whether an operator can be called as a method: an overload whose first argument is a tensor called ``self``."""
    return any(
        o.schema.arguments
        and o.schema.arguments[0].name == "self"
        and isinstance(o.schema.arguments[0].type, TensorType)
        for o in overloads(name)
    )
