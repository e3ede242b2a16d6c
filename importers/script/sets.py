"""Sets: lists of different elements, in functions that do not ask for their order (Python's own is no part of a program)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge.importers.script import matching
from bridge.importers.script.errors import CompileError, StartsEmpty
from bridge.importers.script.library import library_call
from bridge.importers.script.matching import Named
from bridge.importers.script.sugared import SugaredValue
from bridge.importers.script.values import SimpleValue
from bridge.ir import types as T
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore

__all__ = ["SetConstructor", "SetValue", "learn", "set_operator"]


def learn(m: EmitterCore, value: Value, wanted: T.Type, range: SourceRange) -> None:
    """Raise StartsEmpty where a container that started empty needs another type."""
    place = m.empty_values.get(value)
    if place is not None and wanted != value.type:
        raise StartsEmpty(f"this holds {value.type.annotation()}, not {wanted.annotation()}", range, place, wanted)


_OPERATORS = {"|": "union", "&": "intersection", "-": "difference", "^": "symmetric_difference"}
_COMPARISONS = {"==": "equal_sets", "<=": "subset", ">=": "superset"}
_METHODS = ("union", "intersection", "difference", "symmetric_difference")


class SetValue(SugaredValue):
    """A set; ``value`` is the list of its elements."""

    __slots__ = ("value",)
    kind = "set"
    is_function = True

    def __init__(self, value: Value) -> None:
        self.value = value

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        raise CompileError("a set has no order that a program could show: use sorted(…) of it", range)

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        raise CompileError("the order of a set is not known: iterate sorted(…) of it", range)

    def len(self, range: SourceRange, m: EmitterCore) -> Value:
        return matching.insert(m.graph, "aten::len", [self.value], range=range)

    def contains(self, index: Value, range: SourceRange, m: EmitterCore) -> Value:
        """``index in this``"""
        learn(m, self.value, T.ListType(T.unshaped(index.type)), range)
        return matching.insert(m.graph, "aten::__contains__", [self.value, index], range=range)

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        if name not in (*_METHODS, "add", "discard", "remove", "update", "copy", "clear", "issubset", "issuperset"):
            raise CompileError(f"a set in a program has no '{name}'", range)
        return _SetMethod(self, name)


class _SetMethod(SugaredValue):
    """A method of a set."""

    __slots__ = ("name", "this")
    kind = "method"

    def __init__(self, this: SetValue, name: str) -> None:
        self.this, self.name = this, name

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        this, name = self.this.value, self.name
        wanted = 0 if name in ("copy", "clear") else 1
        if len(args) != wanted or keywords:
            raise CompileError(f"{name} of a set takes {wanted} argument{'s' if wanted != 1 else ''}", range)
        if name == "copy":
            return SetValue(matching.insert(m.graph, "aten::copy", [this], range=range))
        if name == "clear":
            matching.insert(m.graph, "aten::clear", [this], range=range)
            return self.this
        given: SugaredValue | Value = (
            _elements(args[0], range, m) if name not in ("add", "discard", "remove") else args[0].get(m.graph)
        )
        if isinstance(given, Value):
            element = given.type if name in ("add", "discard", "remove") else getattr(given.type, "element", None)
            if element is not None:
                learn(m, this, T.ListType(T.unshaped(element)), range)
        if name in _METHODS:
            return SetValue(library_call(f"set_{name}", range, m, [this, given]).as_value(range, m))
        if name in ("issubset", "issuperset"):
            return library_call("set_subset" if name == "issubset" else "set_superset", range, m, [this, given])
        return library_call(f"set_{name}", range, m, [this, given])


def _elements(given: Named, range: SourceRange, m: EmitterCore) -> Value:
    """What is in a set, or in what a set is made of, without repetition."""
    if isinstance(given.sugared, SetValue):
        return given.sugared.value
    value = given.get(m.graph) if given.is_value else None
    element = getattr(None if value is None else value.type, "element", None)
    if element is not None and element not in (T.INT, T.FLOAT, T.BOOL, T.STR) and value is not None:
        raise CompileError(f"a set of {element.annotation()} is not supported: use a list", range)
    items = given.sugared if value is None else SimpleValue(value)
    return library_call("unique", range, m, [items]).as_value(range, m)


class SetConstructor(SugaredValue):
    """``set(…)``"""

    __slots__ = ()
    kind = "set"
    is_function = True

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        if not args and not keywords:
            return self.empty(m, None)
        if len(args) != 1 or keywords:
            raise CompileError("set takes what is in it, nothing else", range)
        made = _elements(args[0], range, m)
        if isinstance(args[0].sugared, SetValue):
            made = matching.insert(m.graph, "aten::copy", [made], range=range)
        return SetValue(made)

    def empty(self, m: EmitterCore, hint: T.Type | None) -> SetValue:
        """``set()``: of what, the first element tells."""
        output = m.node("prim::ListConstruct", (), 1, None).output
        output.type = hint if isinstance(hint, T.ListType) else T.ListType(T.INT)
        return SetValue(output)


def set_operator(op: str, a: Named, b: Named, range: SourceRange, m: EmitterCore) -> SugaredValue | None:
    """``a op b`` of sets; None for other operands."""
    left, right = a.sugared, b.sugared
    if not isinstance(left, SetValue) or not isinstance(right, SetValue):
        return None
    if op in _OPERATORS:
        return SetValue(library_call(f"set_{_OPERATORS[op]}", range, m, [left.value, right.value]).as_value(range, m))
    if op in _COMPARISONS:
        return library_call(f"set_{_COMPARISONS[op]}", range, m, [left.value, right.value])
    return None
