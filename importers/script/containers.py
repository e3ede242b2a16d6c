"""``collections.deque``, ``defaultdict`` and ``Counter``: lists and dicts of a program that know a little more.

What they hold is a plain list or dict, which is what they are wherever they are passed, returned or stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.environment import as_simple
from bridge.importers.script.errors import CompileError
from bridge.importers.script.library import library_call
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.sets import learn
from bridge.importers.script.sugared import CastValue, SpecialForm, SugaredValue
from bridge.importers.script.values import SimpleValue
from bridge.ir import types as T
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore

__all__ = ["CountingDict", "DefaultDict", "Deque", "make_container"]


def make_container(form: str, e: X.Apply, m: EmitterCore, hint: T.Type | None) -> SugaredValue:
    """``deque(…)``, ``defaultdict(…)``, ``Counter(…)``."""
    if form == "deque":
        return _deque(e, m, hint)
    type = hint if isinstance(hint, T.DictType) else None
    if form == "defaultdict":
        if len(e.inputs) != 1 or e.keywords:
            raise CompileError("defaultdict takes what makes the default, nothing else here", e.range)
        return DefaultDict(
            m.make_dict(type or T.DictType(T.STR, T.TENSOR)), m.sugared(e.inputs[0], 1), type is not None
        )
    if len(e.inputs) > 1 or e.keywords:
        raise CompileError("Counter takes what it counts, nothing else here", e.range)
    if not e.inputs:
        return CountingDict(m.make_dict(type or T.DictType(T.STR, T.INT)))
    counted = library_call("counted", e.range, m, [m.sugared(e.inputs[0], 1)])
    return CountingDict(counted.as_value(e.range, m))


def _deque(e: X.Apply, m: EmitterCore, hint: T.Type | None) -> SugaredValue:
    given = {k.name: k.value for k in e.keywords}
    longest = e.inputs[1] if len(e.inputs) == 2 else given.pop("maxlen", None)
    if len(e.inputs) > 2 or given:
        raise CompileError("deque takes items and maxlen", e.range)
    limit = None if longest is None else m.expr(longest)
    limit = None if limit is None or limit.type is T.NONE else limit
    if e.inputs and not (isinstance(e.inputs[0], X.ListLit) and not e.inputs[0].elements):
        items = m.expr(X.Apply(e.range, X.Var(e.range, "list"), [e.inputs[0]], []))
        made = Deque(items, limit)
        if limit is not None:
            made.shorten(e.range, m)
        return made
    output = m.node("prim::ListConstruct", (), 1, None).output
    output.type = hint if isinstance(hint, T.ListType) else T.ListType(T.TENSOR)
    return Deque(output, limit)


class _Holder(SugaredValue):
    """What a list or dict (``value``) is, with more."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        return self.value

    def as_tuple(self, range: SourceRange, m: EmitterCore, size: int | None = None) -> Sequence[SugaredValue]:
        return SimpleValue(self.value).as_tuple(range, m, size)

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        return SimpleValue(self.value).iter(range, m)

    def len(self, range: SourceRange, m: EmitterCore) -> Value:
        return matching.insert(m.graph, "aten::len", [self.value], range=range)

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        return SimpleValue(self.value).getitem(range, m, index, hint)

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        return SimpleValue(self.value).attr(range, m, name)


class _Method(SugaredValue):
    """A method that a list or dict does not have."""

    __slots__ = ("action",)
    kind = "method"

    def __init__(self, action: Callable[[SourceRange, EmitterCore, list[Value]], SugaredValue]) -> None:
        self.action = action

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        if keywords:
            raise CompileError("this method takes no keyword arguments", range)
        return self.action(range, m, [a.get(m.graph) for a in args])


class Deque(_Holder):
    """A list that is also changed at its start; ``limit`` is the number of items that it keeps."""

    __slots__ = ("limit",)
    kind = "deque"

    def __init__(self, value: Value, limit: Value | None) -> None:
        super().__init__(value)
        self.limit = limit

    def shorten(self, range: SourceRange, m: EmitterCore, end: str = "start") -> None:
        """Drop what is too much."""
        if self.limit is not None:
            library_call(f"shortened_at_{end}", range, m, [self.value, self.limit])

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        actions = {"append": self._append, "appendleft": self._append_left, "popleft": self._pop_left,
                   "extend": self._extend}  # fmt: skip
        if name in actions:
            return _Method(actions[name])
        if name in ("rotate", "extendleft", "maxlen"):
            raise CompileError(f"a deque in a program has no '{name}'", range)
        return super().attr(range, m, name)

    def _append(self, range: SourceRange, m: EmitterCore, args: list[Value]) -> SugaredValue:
        learn(m, self.value, T.ListType(T.unshaped(args[0].type)), range)
        matching.insert(m.graph, "aten::append", [self.value, *args], range=range)
        self.shorten(range, m)
        return SimpleValue(insert_constant(m.graph, None, range))

    def _append_left(self, range: SourceRange, m: EmitterCore, args: list[Value]) -> SugaredValue:
        learn(m, self.value, T.ListType(T.unshaped(args[0].type)), range)
        zero = insert_constant(m.graph, 0, range)
        matching.insert(m.graph, "aten::insert", [self.value, zero, *args], range=range)
        self.shorten(range, m, "end")
        return SimpleValue(insert_constant(m.graph, None, range))

    def _extend(self, range: SourceRange, m: EmitterCore, args: list[Value]) -> SugaredValue:
        learn(m, self.value, args[0].type, range)
        matching.insert(m.graph, "aten::extend", [self.value, *args], range=range)
        self.shorten(range, m)
        return SimpleValue(insert_constant(m.graph, None, range))

    def _pop_left(self, range: SourceRange, m: EmitterCore, args: list[Value]) -> SugaredValue:
        zero = insert_constant(m.graph, 0, range)
        return SimpleValue(matching.insert(m.graph, "aten::pop", [self.value, zero], range=range))


class CountingDict(_Holder):
    """A Counter: what is not there counts 0."""

    __slots__ = ()
    kind = "Counter"

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        learn(m, self.value, T.DictType(index.type, T.INT), range)
        zero = insert_constant(m.graph, 0, range)
        return SimpleValue(matching.insert(m.graph, "aten::get", [self.value, index, zero], range=range))

    def provide(self, range: SourceRange, m: EmitterCore, index: Value) -> None:
        """Make sure that a key is there."""
        learn(m, self.value, T.DictType(index.type, T.INT), range)
        zero = insert_constant(m.graph, 0, range)
        matching.insert(m.graph, "aten::setdefault", [self.value, index, zero], range=range)

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        if name == "most_common":
            return _Method(lambda range, m, args: library_call("most_common", range, m, [self.value, *args]))
        if name in ("elements", "subtract", "total", "update"):
            raise CompileError(f"a Counter in a program has no '{name}'", range)
        return super().attr(range, m, name)


class DefaultDict(_Holder):
    """A dict in which a key that is asked for gets what ``factory`` makes; ``typed`` by an annotation."""

    __slots__ = ("factory", "typed")
    kind = "defaultdict"

    def __init__(self, value: Value, factory: SugaredValue, typed: bool) -> None:
        super().__init__(value)
        self.factory, self.typed = factory, typed

    def provide(self, range: SourceRange, m: EmitterCore, index: Value) -> None:
        """Make sure that a key is there."""
        if not self.typed:
            t = self.value.type
            known = t.value if isinstance(t, T.DictType) else None
            learn(m, self.value, T.DictType(index.type, self._type(range, m, known)), range)
        here = matching.insert(m.graph, "aten::__contains__", [self.value, index], range=range)
        name = m.temporary("$there_")
        m.frame.set_value(range, name, here)

        def put() -> None:
            matching.insert(m.graph, "aten::_set_item", [self.value, index, self._default(range, m)], range=range)

        m.branches(range, m.condition(X.UnaryOp(range, "not", X.Var(range, name))), [X.Emit(range, put)], [])

    def _type(self, range: SourceRange, m: EmitterCore, known: T.Type | None) -> T.Type:
        """The type of the default; of an empty list what was learned of it."""
        if isinstance(self.factory, SpecialForm) and self.factory.form == "list":
            return known if isinstance(known, T.ListType) else T.ListType(T.TENSOR)
        if isinstance(self.factory, SpecialForm) and self.factory.form == "dict":
            return known if isinstance(known, T.DictType) else T.DictType(T.STR, T.TENSOR)
        kind = getattr(getattr(self.factory, "base", None), "type", None)
        return kind if kind is not None else self._default(range, m).type

    def _default(self, range: SourceRange, m: EmitterCore) -> Value:
        t = self.value.type
        inside = t.value if isinstance(t, T.DictType) else None
        if isinstance(self.factory, SpecialForm) and self.factory.form in ("list", "dict"):
            call = X.Apply(range, X.Var(range, self.factory.form), [], [])
            return m.special_form(self.factory, call, inside).as_value(range, m)
        base = getattr(self.factory, "base", None)
        if isinstance(base, CastValue):
            zeros: dict[T.Type, float | str] = {T.INT: 0, T.FLOAT: 0.0, T.BOOL: False, T.STR: ""}
            return insert_constant(m.graph, zeros[base.type], range)
        return self.factory.call(range, m, (), (), 1).as_value(range, m)

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        self.provide(range, m, index)
        found = super().getitem(range, m, index, hint)
        value, place = as_simple(found), m.empty_values.get(self.value)
        if value is not None and place is not None:
            m.empty_items[value] = self.value
        return found
