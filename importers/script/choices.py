"""What a run-time value chooses: functions and modules (``self.layers[i]``, ``f = g if c else h``), and the operand that
``x or y`` gives.

TorchScript has none of these. A choice of functions is a chain of branches where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.conditions import Condition
from bridge.importers.script.core import EmitterCore
from bridge.importers.script.errors import CompileError
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.modules import ModuleValue
from bridge.importers.script.sugared import SugaredValue
from bridge.importers.script.values import SimpleValue
from bridge.ir import types as T
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

__all__ = ["Choice", "ChoiceMixin", "by_index", "by_key"]

#: Makes what is chosen, in the branch that uses it.
_Make = Callable[[], SugaredValue]


class Choice(SugaredValue):
    """One of several things that are no values. ``tests`` are bools, or names of variables that are, one for each of ``items``
    but the last, which is left otherwise; ``error`` is the exception, if what is left otherwise is none of them."""

    __slots__ = ("error", "items", "tests")
    kind = "choice of functions"
    is_function = True

    def __init__(
        self,
        tests: Sequence[Value | str],
        items: Sequence[SugaredValue | _Make],
        error: tuple[str, str] | None = None,
    ) -> None:
        self.tests, self.items, self.error = list(tests), list(items), error

    def variables(self) -> list[str]:
        """The variables that tell what is chosen."""
        inner = [name for i in self.items if isinstance(i, Choice) for name in i.variables()]
        return [*(t for t in self.tests if isinstance(t, str)), *inner]

    def _chain(self, range: SourceRange, m: EmitterCore, use: Callable[[SugaredValue], Value], at: int = 0) -> Value:
        def chosen() -> Value:
            return use(_made(self.items[at]))

        if at == len(self.tests):
            return chosen()

        def others() -> Value:
            if at + 1 < len(self.items):
                return self._chain(range, m, use, at + 1)
            return self._raise(range, m, types[0])

        types: list[T.Type] = []

        def first() -> Value:
            value = chosen()
            types.append(value.type)
            return value

        test = self.tests[at]
        condition = Condition(m.frame.value(test, range) if isinstance(test, str) else test)
        return m.if_expression(range, condition, first, others)

    def _raise(self, range: SourceRange, m: EmitterCore, type: T.Type) -> Value:
        assert self.error is not None
        name, text = self.error
        values = [insert_constant(m.graph, t, range) for t in (text, f"builtins.{name}")]
        matching.insert(m.graph, "prim::RaiseException", values, range=range)
        return m.graph.insert(m.uninitialized(type)).output

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        def use(item: SugaredValue) -> Value:
            return _or_none(item.call(range, m, args, keywords, binders), range, m)

        return SimpleValue(self._chain(range, m, use))

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        return self._chain(range, m, lambda item: item.as_value(range, m))

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        def member(item: SugaredValue | _Make) -> _Make:
            return lambda: _made(item).attr(range, m, name)

        return Choice(self.tests, [member(i) for i in self.items], self.error)

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        def part(item: SugaredValue | _Make) -> _Make:
            return lambda: _made(item).getitem(range, m, index, hint)

        return Choice(self.tests, [part(i) for i in self.items], self.error)


def _or_none(result: SugaredValue, range: SourceRange, m: EmitterCore) -> Value:
    if result.kind == "None":
        return insert_constant(m.graph, None, range)
    return result.as_value(range, m)


def by_index(items: Sequence[SugaredValue], index: Value, range: SourceRange, m: EmitterCore) -> Choice:
    """``items[index]`` of what is no list of values, for an int that only run time knows."""
    if index.type is not T.INT:
        raise CompileError(f"an index is an int, not {index.type.annotation()}", range)
    modules = any(isinstance(i, ModuleValue) for i in items)
    text = "the index into a list of modules is out of range" if modules else "list index out of range"
    count = insert_constant(m.graph, len(items), range)
    zero = insert_constant(m.graph, 0, range)
    behind = matching.insert(m.graph, "aten::Int", [matching.insert(m.graph, "aten::lt", [index, zero])])
    shift = matching.insert(m.graph, "aten::mul", [behind, count])
    at = matching.insert(m.graph, "aten::add", [index, shift])
    tests = [matching.insert(m.graph, "aten::eq", [at, insert_constant(m.graph, i, range)]) for i in _count(len(items))]
    return Choice(tests, items, ("IndexError", text))


def by_key(
    items: dict[Any, SugaredValue],
    key: Value,
    range: SourceRange,
    m: EmitterCore,
    error: tuple[str, str] = ("KeyError", "this key is none of the dict's"),
) -> Choice:
    """``items[key]`` of what is no dict of values, for a key that only run time knows."""
    tests = [matching.insert(m.graph, "aten::eq", [key, insert_constant(m.graph, k, range)]) for k in items]
    return Choice(tests, list(items.values()), error)


def _made(item: SugaredValue | _Make) -> SugaredValue:
    return item if isinstance(item, SugaredValue) else item()


class ChoiceMixin(EmitterCore):
    """The part of the emitter for choices."""

    def chosen_function(self, e: X.Ternary) -> SugaredValue | None:
        """``f if c else g`` of functions or modules; None for values."""
        if not (self._is_function(e.then) and self._is_function(e.other)):
            return None
        condition = self.condition(e.cond)
        if condition.static is not None:
            return self.sugared(e.then if condition.static else e.other, 1)
        return Choice([condition.value], [lambda: self.sugared(e.then, 1), lambda: self.sugared(e.other, 1)])

    def _is_function(self, e: X.Expr) -> bool:
        """Whether an expression names a function or a module; found without emitting anything."""
        if isinstance(e, X.Inner):
            return True
        if isinstance(e, X.Ternary):
            return self._is_function(e.then) and self._is_function(e.other)
        found = self._known(e)
        if found is not None:
            return found.is_function or isinstance(found, ModuleValue)
        if isinstance(e, X.Select):
            owner = self._known(e.value)
            if isinstance(owner, ModuleValue):
                sub = owner.module
                t = sub.type
                return e.name in t.methods or sub.submodule(e.name) is not None or sub.function(e.name) is not None
        names: list[str] = []
        while isinstance(e, X.Select):
            names.insert(0, e.name)
            e = e.value
        find = getattr(self.resolver, "find", None)
        if not isinstance(e, X.Var) or find is None or e.name in self.locals:
            return False
        found = find(".".join([e.name, *names]))
        return callable(found)

    def _known(self, e: X.Expr) -> SugaredValue | None:
        """What a name stands for that is no value."""
        return self.frame.held(e.name) if isinstance(e, X.Var) else None

    def operand(self, e: X.BinOp) -> Value:
        """``x or y``, ``x and y`` as Python means them: one of the two."""
        if isinstance(e.lhs, X.Var):
            first = e.lhs
        else:
            first = X.Var(e.lhs.range, self.temporary("$operand_"))
            self.frame.set(e.lhs.range, first.name, self.sugared(e.lhs, 1))
        given = self.frame.value(first.name, first.range).type
        hint = given.element if isinstance(given, T.OptionalType) else given
        condition = self.condition(first)

        def one() -> Value:
            return self.expr(first)

        def two() -> Value:
            return self.expr(e.rhs, hint if _is_empty(e.rhs) else None)

        if condition.static is not None:
            return one() if condition.static is (e.op == "or") else two()
        branches = (one, two) if e.op == "or" else (two, one)
        return self.if_expression(e.range, condition, *branches)


def _is_empty(e: X.Expr) -> bool:
    """``[]`` and ``{}``, which are of the type that the other operand is."""
    return (isinstance(e, X.ListLit) and not e.elements) or (isinstance(e, X.DictLit) and not e.keys)


_count = range
