"""Operators written with other operators: one definition is kernel, type rule, ONNX form and, through its steps, gradient.

::

    @composite("aten::trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor", samples=...)
    def trapezoid(t, y, dx, dim):
        n = t.size(y, dim)
        return t.mul(t.sum(t.add(t.narrow(y, dim, 0, n - 1), t.narrow(y, dim, 1, n - 1)), [dim]), dx / 2)

The first argument is the :class:`Steps`: any operator is a method of it, its overload chosen by the arguments. What a
definition asks of a tensor beyond operators it asks there: ``t.rank(x)``, ``t.size(x, d)``, ``t.dtype(x)``. A size may be
a number that only run time knows; arithmetic on it makes steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.dtypes import DType, by_numpy
from bridge.ir.errors import BridgeError, IRError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import as_large_as, at_least, holds, last_sizes, multiple_of
from bridge.ir.ops._declare import declare
from bridge.ir.ops._onnx import is_lowered, known_rank, lower_functional
from bridge.ir.registry import Operator, Unsupported, overloads
from bridge.ir.rules import UNKNOWN, Call, Results, result
from bridge.ir.types import ListType, OptionalType, TensorType, Type

__all__ = ["Steps", "composite", "lower_steps", "lowered_as", "typed_as"]

Definition = Callable[..., Any]


class _NotKnown(Exception):
    """A type rule would need what is not known."""


class Number:
    """A number that is not known now: ``value`` is a run-time value, or nothing in type rules."""

    __slots__ = ("steps", "symbol", "value")

    def __init__(self, steps: Steps, value: Any, symbol: Any = None) -> None:
        self.steps, self.value, self.symbol = steps, value, symbol

    def __add__(self, other: Any) -> Any:
        return self if _is(other, 0) else self.steps.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return self + other

    def __sub__(self, other: Any) -> Any:
        return self if _is(other, 0) else self.steps.sub(self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.steps.sub(other, self)

    def __mul__(self, other: Any) -> Any:
        return self if _is(other, 1) else self.steps.mul(self, other)

    def __rmul__(self, other: Any) -> Any:
        return self * other

    def __floordiv__(self, other: Any) -> Any:
        return self if _is(other, 1) else self.steps.floordiv(self, other)

    def __eq__(self, other: object) -> bool:
        return self is other or self.steps.undecided()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        return self.steps.undecided()

    def __lt__(self, other: Any) -> bool:
        return self.steps.undecided()

    __gt__ = __le__ = __ge__ = __lt__
    __hash__ = object.__hash__


def _is(value: Any, number: int) -> bool:
    return not isinstance(value, Number) and bool(value == number)


class Steps:
    """Calls operators by name; the subclasses say what a call does."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"aten::{name}"

        def step(*args: Any, **kwargs: Any) -> Any:
            o = self._choose(full, args, kwargs)
            return self.call(o, o.complete(args, kwargs))

        return step

    def call(self, o: Operator, args: list[Any]) -> Any:
        """One call of one overload, its arguments complete."""
        raise NotImplementedError

    def rank(self, x: Any) -> int:
        """The number of dimensions."""
        return len(x.shape)

    def size(self, x: Any, dim: int) -> Any:
        """The size of a dimension: an int, or a number of run time."""
        return x.shape[dim]

    def shape(self, x: Any) -> list[Any]:
        """All sizes."""
        return [self.size(x, d) for d in range(self.rank(x))]

    def dtype(self, x: Any) -> DType:
        """The element type."""
        return x.dtype if isinstance(x.dtype, DType) else by_numpy(x.dtype)

    def at_least(self, x: Any, least: Sequence[int], why: Callable[[], str]) -> Any:
        """x, whose last sizes must not be smaller than these; ``why`` is what is raised otherwise."""
        sizes = self.shape(x)[self.rank(x) - len(least) :]
        if any(isinstance(s, int) and s < n for s, n in zip(sizes, least, strict=True)):
            raise BridgeError(why())
        return x

    def sized(self, x: Any, sizes: Sequence[Any], why: Callable[[], str]) -> Any:
        """x, whose last sizes must be these; ``why`` is what is raised otherwise."""
        own = self.shape(x)[self.rank(x) - len(sizes) :]
        if any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(own, sizes, strict=True)):
            raise BridgeError(why())
        return x

    def shaped(self, x: Any, sizes: Sequence[Any], why: Callable[[], str]) -> Any:
        """x, whose shape must be this; ``why`` is what is raised otherwise."""
        if self.rank(x) != len(sizes):
            raise BridgeError(why())
        return self.sized(x, sizes, why)

    def divisible(self, x: Any, dim: int, n: int, why: Callable[[], str]) -> Any:
        """x, whose size along ``dim`` must be divisible by n; ``why`` is what is raised otherwise."""
        size = self.size(x, dim)
        if isinstance(size, int) and size % n:
            raise BridgeError(why())
        return x

    def same_shape(self, x: Any, other: Any) -> Any:
        """x, which broadcasting must not have made larger than ``other``, where it is written to."""
        if self.rank(x) != self.rank(other) or any(
            isinstance(n, int) and isinstance(m, int) and n != m
            for n, m in zip(self.shape(x), self.shape(other), strict=True)
        ):
            raise BridgeError(
                f"output with shape {self.shape(other)} doesn't match the broadcast shape {self.shape(x)}"
            )
        return x

    def holding(self, x: Any, condition: Any, why: Callable[[], str]) -> Any:
        """x, where that bool tensor of one element is true; ``why`` is what is raised otherwise."""
        return x

    def with_padding(self, x: Any, counts: Any) -> Any:
        """A batch of sequences as sequences of lengths of their own; ``counts`` says which steps (batch, time) are theirs."""
        return x

    def padding(self, x: Any) -> Any:
        """What ``with_padding`` said of x, or None."""
        return None

    def undecided(self) -> bool:
        """A definition decides by a number that is not known: it cannot."""
        raise _NotKnown

    def refuse(self, why: str) -> None:
        """Say that what follows cannot be exported; the other uses of a definition go on."""

    @property
    def lowers(self) -> bool:
        """Whether the steps are written down, to run later."""
        return False

    def _choose(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Operator:
        for loose in (False, True):
            for o in overloads(name):
                schema = o.schema.arguments
                if len(args) > len(schema) or any(k not in o.schema.index for k in kwargs):
                    continue
                if any(not a.has_default and a.name not in kwargs for a in schema[len(args) :]):
                    continue
                pairs = [(a.type, a.size, v) for a, v in zip(schema, args, strict=False)]
                pairs += [
                    (schema[o.schema.index[k]].type, schema[o.schema.index[k]].size, v) for k, v in kwargs.items()
                ]
                if all(_fits(*p, loose) for p in pairs):
                    return o
        raise IRError(f"no overload of {name} takes ({', '.join(type(a).__name__ for a in args)})")


def _is_tensor(v: Any) -> bool:
    return hasattr(v, "dtype") and not isinstance(v, np.generic | Number)


_PLAIN: dict[Type, tuple[type, ...]] = {T.BOOL: (bool,), T.STR: (str,), T.FLOAT: (float,), T.COMPLEX: (complex,)}


def _fits(t: Type, size: int | None, v: Any, loose: bool) -> bool:
    if isinstance(t, OptionalType):
        return v is None or _fits(t.element, size, v, loose)
    if isinstance(t, TensorType):
        return _is_tensor(v)
    if isinstance(t, ListType):
        if isinstance(v, list | tuple):
            return all(_fits(t.element, None, x, loose) for x in v)
        return size is not None and isinstance(v, int | Number)
    if v is UNKNOWN:
        return True
    if t is T.NUMBER:
        return isinstance(v, bool | int | float | complex | Number)
    if t is T.INT:
        return (isinstance(v, int) and not isinstance(v, bool)) or isinstance(v, Number)
    if loose and t is T.FLOAT and isinstance(v, int | Number):
        return True
    return isinstance(v, _PLAIN.get(t, (int,)))


# -- computing ---------------------------------------------------------------------------------------------------------


class _Computing(Steps):
    """Runs the steps: on arrays, or on tensors with their tape."""

    def __init__(self, ops: Callable[..., Any]) -> None:
        self.ops = ops

    def call(self, o: Operator, args: list[Any]) -> Any:
        return self.ops(o.full_name, *args)

    def holding(self, x: Any, condition: Any, why: Callable[[], str]) -> Any:
        if not bool(condition):
            raise BridgeError(why())
        return x

    def with_padding(self, x: Any, counts: Any) -> Any:
        if isinstance(x, np.ndarray):
            raise BridgeError("sequences of lengths of their own are not arrays")
        made = self.alias(x)
        made._padding, made.is_nested = counts, True
        return made

    def padding(self, x: Any) -> Any:
        return getattr(x, "_padding", None)


# -- types -------------------------------------------------------------------------------------------------------------


class _Typing(Steps):
    """Applies the type rules of the steps."""

    def call(self, o: Operator, args: list[Any]) -> Any:
        names = [a.name for a in o.schema.arguments]
        types = {n: _type_of(v) for n, v in zip(names, args, strict=True)}
        known = {n: _known(v) for n, v in zip(names, args, strict=True) if not _has_tensor(v)}
        if o.types is None:
            returns: list[Type] = [r.type for r in o.schema.returns]
            if len(returns) == 1 and not isinstance(returns[0], TensorType | ListType):
                return Number(self, None)
        else:
            returns = _by_rule(o, types, known)
        made = [list(r.elements) if isinstance(r, T.TupleType) else r for r in returns]
        return made[0] if len(o.schema.returns) == 1 else tuple(made)

    def rank(self, x: Any) -> int:
        if x.dims is None:
            raise _NotKnown
        return len(x.dims)

    def size(self, x: Any, dim: int) -> Any:
        if x.dims is None or not isinstance(dim, int):
            raise _NotKnown
        d = x.dims[dim]
        return d if isinstance(d, int) else Number(self, None, d)

    def dtype(self, x: Any) -> DType:
        if x.dtype is None:
            raise _NotKnown
        d: DType = x.dtype
        return d

    def refuse(self, why: str) -> None:
        raise _NotKnown


def _by_rule(o: Operator, types: dict[str, Type], known: dict[str, Any]) -> list[Type]:
    """What the type rule of one step says."""
    assert o.types is not None
    try:
        found = o.types(Call(o.schema, types, known))
    except (TypeError, ValueError):  # the rule computes with sizes, of which some are only names here
        found = o.types(Call(o.schema, types, {n: UNKNOWN if _named(v) else v for n, v in known.items()}))
    return [found] if isinstance(found, Type) else list(found)


def _named(v: Any) -> bool:
    return any(map(_named, v)) if isinstance(v, list | tuple) else isinstance(v, str)


def _type_of(v: Any) -> Type:
    if isinstance(v, Type):
        return v
    if isinstance(v, list | tuple):
        inside = [_type_of(x) for x in v]
        if any(isinstance(t, TensorType) for t in inside):
            return T.TupleType(*inside)
        return ListType(inside[0] if inside else T.INT)
    simple: dict[type, Type] = {bool: T.BOOL, int: T.INT, float: T.FLOAT, str: T.STR, complex: T.COMPLEX, Number: T.INT}
    return simple.get(type(v), T.NONE)


def _has_tensor(v: Any) -> bool:
    return isinstance(v, Type) or (isinstance(v, list | tuple) and any(map(_has_tensor, v)))


def _known(v: Any) -> Any:
    if isinstance(v, Number):
        return UNKNOWN if v.symbol is None else v.symbol
    return [_known(x) for x in v] if isinstance(v, list | tuple) else v


def typed_as(definition: Definition) -> Callable[[Call], Results]:
    """The type rule that the rules of a definition's steps make."""

    def rule(call: Call) -> Results:
        steps = _Typing()
        try:
            found = definition(steps, *(_argument(steps, call, a) for a in call.schema.arguments))
        except (
            _NotKnown,
            BridgeError,
            TypeError,
            AttributeError,
            LookupError,
        ):  # it would have computed with what is not known
            return (
                [r.type for r in call.schema.returns] if len(call.schema.returns) != 1 else call.schema.returns[0].type
            )
        if len(call.schema.returns) != 1:
            return [_as_result(f) for f in found]
        return _as_result(found)

    return rule


def _as_result(v: Any) -> Type:
    if isinstance(v, list | tuple):
        return T.TupleType(*map(_as_result, v))
    return result(v.dtype, v.dims) if isinstance(v, TensorType) else _type_of(v)


def _argument(steps: _Typing, call: Call, a: Any) -> Any:
    t = call.types.get(a.name)
    declared = a.type.element if isinstance(a.type, OptionalType) else a.type
    if t is T.NONE:
        return None
    if isinstance(declared, TensorType):
        return call.tensor(a.name)
    if isinstance(declared, ListType) and any(isinstance(x, TensorType) for x in declared.walk()):
        tensors = call.tensors(a.name)
        if tensors is None:
            return UNKNOWN
        return list(tensors)
    v = call.known(a.name)
    if v is UNKNOWN and t not in (T.INT, T.FLOAT, T.BOOL, T.NUMBER):
        raise _NotKnown
    if isinstance(v, list | tuple):
        return [
            Number(steps, None, x if isinstance(x, str) else None) if x is UNKNOWN or isinstance(x, str) else x
            for x in v
        ]
    return Number(steps, None) if v is UNKNOWN and t in (T.INT, T.FLOAT, T.BOOL, T.NUMBER) else v


# -- ONNX --------------------------------------------------------------------------------------------------------------


class _View:
    """The arguments of one step (``LoweredCall``)."""

    __slots__ = ("args", "results", "schema")

    def __init__(self, schema: Any, args: dict[str, Any], results: Sequence[Type]) -> None:
        self.schema, self.args, self.results = schema, args, results

    def __getitem__(self, name: str) -> Any:
        """The argument of that name."""
        return self.args[name]


class _Lowering(Steps):
    """Lowers the steps one after the other."""

    def __init__(self, e: Emitter) -> None:
        self.e = e
        self.wanted: DType | None = None  # the element type of the result

    @property
    def lowers(self) -> bool:
        return True

    def call(self, o: Operator, args: list[Any]) -> Any:
        if o.onnx is None or isinstance(o.onnx, Unsupported):
            self.e.unsupported(o.onnx.why if o.onnx is not None else f"there is no ONNX form of {o.schema.name} yet")
        names = [a.name for a in o.schema.arguments]
        plain = [_without_numbers(v) for v in args]
        results: list[Type] = [r.type for r in o.schema.returns]
        if o.types is not None:
            types = {n: _lowered_type(v) for n, v in zip(names, args, strict=True)}
            known = {n: _lowered_known(v) for n, v in zip(names, args, strict=True)}
            results = _by_rule(o, types, known)
        made = lower_functional(self.e, _View(o.schema, dict(zip(names, plain, strict=True)), results), o)
        if len(o.schema.returns) == 1:
            return self._typed(made, results[0])
        return tuple(self._typed(m, t) for m, t in zip(made, results, strict=True))

    def _typed(self, made: Any, wanted: Type) -> Any:
        if isinstance(made, list | tuple):
            inside: Sequence[Type] = wanted.elements if isinstance(wanted, T.TupleType) else [T.TENSOR] * len(made)
            return [self._typed(m, t) for m, t in zip(made, inside, strict=True)]
        if not is_lowered(made):
            return made
        if getattr(made, "is_list", False):
            self.e.unsupported("how many tensors there are must be known when the model is exported")
        if wanted in (T.INT, T.FLOAT, T.BOOL, T.NUMBER):
            return Number(self, made)
        if isinstance(wanted, TensorType):
            made = made if wanted.dtype is None else self.e.cast(made, wanted.dtype)
            if made.dims is None and wanted.dims is not None:
                made.dims = wanted.dims
        return made

    def rank(self, x: Any) -> int:
        return known_rank(self.e, x, "this operator")

    def size(self, x: Any, dim: int) -> Any:
        if x.dims is not None and isinstance(x.dims[dim], int):
            return x.dims[dim]
        number = self._choose("aten::size", (x, dim), {})
        found = self.call(number, [x, dim])
        if isinstance(found, Number) and x.dims is not None:
            found.symbol = x.dims[dim]
        return found

    def at_least(self, x: Any, least: Sequence[int], why: Callable[[], str]) -> Any:
        return at_least(self.e, super().at_least(x, least, why), least)

    def sized(self, x: Any, sizes: Sequence[Any], why: Callable[[], str]) -> Any:
        x = super().sized(x, sizes, why)
        own = x.dims[x.rank - len(sizes) :]
        if all(a is not None and a == (b if isinstance(b, int) else b.symbol) for a, b in zip(own, sizes, strict=True)):
            return x
        return last_sizes(self.e, x, [s if isinstance(s, int) else s.value for s in sizes])

    def divisible(self, x: Any, dim: int, n: int, why: Callable[[], str]) -> Any:
        return multiple_of(self.e, super().divisible(x, dim, n, why), dim, n)

    def same_shape(self, x: Any, other: Any) -> Any:
        return as_large_as(self.e, super().same_shape(x, other), other)

    def holding(self, x: Any, condition: Any, why: Callable[[], str]) -> Any:
        return holds(self.e, x, condition)

    def with_padding(self, x: Any, counts: Any) -> Any:
        made = self.e.op("Identity", x, dims=x.dims)
        made.padding = counts
        return made

    def padding(self, x: Any) -> Any:
        return x.padding

    def dtype(self, x: Any) -> DType:
        return self.e.dtype_of(x)

    def refuse(self, why: str) -> None:
        self.e.unsupported(why)

    def undecided(self) -> bool:
        self.e.unsupported("what is computed depends on a number that must be known when the model is exported")


def _without_numbers(v: Any) -> Any:
    if isinstance(v, Number):
        return v.value
    return [_without_numbers(x) for x in v] if isinstance(v, list | tuple) else v


def _lowered_type(v: Any) -> Type:
    if is_lowered(v):
        return result(v.dtype, v.dims)
    if isinstance(v, list | tuple):
        inside = [_lowered_type(x) for x in v]
        return T.TupleType(*inside) if any(isinstance(t, TensorType) for t in inside) else ListType(T.INT)
    return _type_of(v)


def _lowered_known(v: Any) -> Any:
    if isinstance(v, list | tuple):
        return [_lowered_known(x) for x in v]
    return UNKNOWN if is_lowered(v) else _known(v)


def lowered_as(definition: Definition) -> Callable[[Emitter, LoweredCall], Any]:
    """The ONNX form that the forms of a definition's steps make."""

    def lower(e: Emitter, call: LoweredCall) -> Any:
        steps = _Lowering(e)
        found = definition(steps, *(_given(steps, call[a.name], a.type, a.size) for a in call.schema.arguments))
        return _without_numbers(found) if not isinstance(found, tuple) else tuple(map(_without_numbers, found))

    return lower


def lower_steps(e: Emitter, definition: Definition, *values: Any) -> Any:
    """The run-time result of a definition's steps on run-time values: for a part of a lowering."""
    return _without_numbers(definition(_Lowering(e), *values))


def _given(steps: _Lowering, v: Any, declared: Type, size: int | None = None) -> Any:
    declared = declared.element if isinstance(declared, OptionalType) else declared
    if isinstance(v, list | tuple) and isinstance(declared, ListType):
        return [_given(steps, x, declared.element) for x in v]
    if isinstance(v, np.ndarray):
        return steps.e.constant(v)
    if size and is_lowered(v) and isinstance(declared, ListType):
        return [Number(steps, steps.e.op("Gather", v, np.asarray(i), axis=0, dims=())) for i in range(size)]
    return Number(steps, v) if is_lowered(v) and declared in (T.INT, T.FLOAT, T.BOOL, T.NUMBER) else v


# -- declaring ---------------------------------------------------------------------------------------------------------


def composite(schema: str, **rest: Any) -> Callable[[Definition], Definition]:
    """Declare an operator by its definition. Keywords are those of ``declare``; they replace what follows from it."""

    def decorate(definition: Definition) -> Definition:
        @functools.wraps(definition)
        def kernel(ops: Any, *args: Any) -> Any:
            return definition(_Computing(ops), *args)

        made = {"types": typed_as(definition), "onnx": lowered_as(definition), "composite": True, **rest}
        declare(schema, kernel, **made)
        return definition

    return decorate
