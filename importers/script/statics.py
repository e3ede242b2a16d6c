"""Values that exist while compiling only: dicts of keywords, partial calls; and how such things move between functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bridge.importers.script import matching
from bridge.importers.script.errors import CompileError
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.modules import ModuleValue
from bridge.importers.script.sugared import BuiltinFunction, MethodValue, SugaredTuple, SugaredValue
from bridge.importers.script.values import IterableTree, RangeValue, Reversed, SimpleValue
from bridge.ir import types as T
from bridge.ir.graph import Block, Value
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore

__all__ = [
    "CapturedDict",
    "Descriptor",
    "PartialCall",
    "StaticDict",
    "brought_in",
    "descriptor",
    "moved",
    "plain_constant",
]

#: What tells two arguments apart as far as compiling a function for them goes.
Descriptor = tuple[Any, ...]


def known_constant(value: Value) -> tuple[bool, Any]:
    """(True, the constant) of a constant, and of a variable that was assigned one just before, in the same block."""
    if value.node.kind != "prim::Load":
        return matching.constant_of(value)
    name = value.node["name"]
    n = value.node.prev
    while n is not None and n.kind != "prim::Param":
        if n.kind == "prim::Store" and n["name"] == name:
            return matching.constant_of(n.input)
        if any(_stores(b, name) for b in n.blocks):
            return False, None
        n = n.prev
    return False, None


def _stores(block: Block, name: str) -> bool:
    return any(
        (n.kind == "prim::Store" and n["name"] == name) or any(_stores(b, name) for b in n.blocks) for n in block.nodes
    )


class StaticDict(SugaredValue):
    """A dict whose keys are known: ``**kwargs`` in a function that is compiled for a call."""

    __slots__ = ("home", "items")
    kind = "dict of keywords"
    is_function = True

    def __init__(self, items: Mapping[str, SugaredValue], home: EmitterCore | None = None) -> None:
        self.items = dict(items)
        #: The function it is the ``**kwargs`` of, which may take entries out of it.
        self.home = home

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        raise CompileError(
            "a dict of keywords can be read by constant keys, iterated and passed on with **: to use it as a value, make a "
            "dict of what is in it",
            range,
        )

    def entries(self, range: SourceRange, m: EmitterCore) -> dict[str, SugaredValue]:
        """What is under each key."""
        return self.items

    def _key(self, index: Value, range: SourceRange) -> str:
        known, key = known_constant(index)
        if not known or not isinstance(key, str):
            raise CompileError("a dict of keywords can be read by constant keys only", range)
        return key

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        if not known_constant(index)[0] and index.type is T.STR and self.items:
            from bridge.importers.script.choices import by_key

            return by_key(self.items, index, range, m)
        key = self._key(index, range)
        if key not in self.items:
            raise CompileError(f"there is no '{key}' among the keywords of this call", range)
        return self.items[key]

    def contains(self, index: Value, range: SourceRange, m: EmitterCore) -> Value:
        """``index in this``"""
        return insert_constant(m.graph, self._key(index, range) in self.items, range)

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        return SugaredTuple([SimpleValue(insert_constant(m.graph, k, range)) for k in self.items])

    def static_len(self) -> int | None:
        return len(self.items)

    def len(self, range: SourceRange, m: EmitterCore) -> Value:
        return insert_constant(m.graph, len(self.items), range)

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        if name not in ("get", "items", "keys", "values", "pop"):
            raise CompileError(
                f"a dict of keywords has no '{name}' in a program: pass the keywords on, or read them", range
            )
        return _DictMethod(self, name)


class CapturedDict(StaticDict):
    """A dict of the module or of an enclosing function, as it is while compiling. ``make`` gives what an object in it means.

    As a value it is a new dict wherever it is named, which a program may only read.
    """

    __slots__ = ("make", "python")
    kind = "dict from outside the program"

    def __init__(
        self, python: Mapping[Any, Any], make: Callable[[Any, EmitterCore, SourceRange], SugaredValue]
    ) -> None:
        super().__init__({})
        self.python, self.make = dict(python), make

    def entries(self, range: SourceRange, m: EmitterCore) -> dict[str, SugaredValue]:
        if not all(isinstance(k, str) for k in self.python):
            raise CompileError("keywords must be text", range)
        return {k: self.make(v, m, range) for k, v in self.python.items()}

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        if not self.python:
            raise CompileError("an empty dict from outside has no type here: pass it as an argument", range)
        values = [self.make(v, m, range).as_value(range, m) for v in self.python.values()]
        keys = [self.make(k, m, range).as_value(range, m) for k in self.python]
        key, value = T.unify_all([k.type for k in keys]), T.unify_all([v.type for v in values])
        if key is None or value is None:
            raise CompileError(
                "the entries of this dict from outside are of several types: read them by constant keys", range
            )
        made = m.make_dict(T.DictType(key, value), [x for pair in zip(keys, values, strict=True) for x in pair])
        m.captured.append(made.node)
        return made

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        known, key = known_constant(index)
        if known and key in self.python:
            return self.make(self.python[key], m, range)
        if self._holds_functions(range, m):
            from bridge.importers.script.choices import by_key

            return by_key({k: self.make(v, m, range) for k, v in self.python.items()}, index, range, m)
        return SimpleValue(self.as_value(range, m)).getitem(range, m, index, hint)

    def _holds_functions(self, range: SourceRange, m: EmitterCore) -> bool:
        return any(self.make(v, m, range).is_function for v in self.python.values())

    def contains(self, index: Value, range: SourceRange, m: EmitterCore) -> Value:
        known, key = known_constant(index)
        if known:
            return insert_constant(m.graph, key in self.python, range)
        if self._holds_functions(range, m):
            keys = SimpleValue(m.list_of([self.make(k, m, range).as_value(range, m) for k in self.python]))
            return matching.insert(m.graph, "aten::__contains__", [keys.value, index], range=range)
        return matching.insert(m.graph, "aten::__contains__", [self.as_value(range, m), index], range=range)

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        return SimpleValue(self.as_value(range, m)).iter(range, m)

    def len(self, range: SourceRange, m: EmitterCore) -> Value:
        return insert_constant(m.graph, len(self.python), range)

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        if self._holds_functions(range, m):
            return StaticDict(self.entries(range, m)).attr(range, m, name)
        return SimpleValue(self.as_value(range, m)).attr(range, m, name)


class _DictMethod(SugaredValue):
    """A method of a :class:`StaticDict`."""

    __slots__ = ("name", "this")

    def __init__(self, this: StaticDict, name: str) -> None:
        self.this, self.name = this, name

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.name

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        this = self.this
        if self.name in ("get", "pop"):
            return self._lookup(range, m, args, keywords)
        if args or keywords:
            raise CompileError(f"{self.name} takes no arguments", range)
        if self.name == "values":
            return SugaredTuple(list(this.items.values()))
        keys = [SimpleValue(insert_constant(m.graph, k, range)) for k in this.items]
        if self.name == "keys":
            return SugaredTuple(keys)
        return SugaredTuple([SugaredTuple(p) for p in zip(keys, this.items.values(), strict=True)])

    def _lookup(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named]
    ) -> SugaredValue:
        this = self.this
        if not 1 <= len(args) <= 2 or keywords:
            raise CompileError(f"{self.name} takes a key and a default", range)
        key = this._key(args[0].get(m.graph), range)
        if self.name == "pop" and (this.home is not m or m.frame.block is not m.graph.block):
            raise CompileError(
                "keywords can be popped in the statements of their own function only, not in a branch", range
            )
        if key in this.items:
            return this.items.pop(key) if self.name == "pop" else this.items[key]
        if len(args) == 2:
            return args[1].sugared or SimpleValue(args[1].get(m.graph))
        if self.name == "pop":
            raise CompileError(f"there is no '{key}' among the keywords of this call", range)
        return SimpleValue(insert_constant(m.graph, None, range))


class PartialCall(SugaredValue):
    """``functools.partial(function, …)``"""

    __slots__ = ("args", "function", "keywords")
    kind = "partial function"
    is_function = True

    def __init__(self, function: SugaredValue, args: Sequence[Named], keywords: Sequence[Named]) -> None:
        self.function, self.args, self.keywords = function, tuple(args), tuple(keywords)

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        given = {k.name for k in keywords}
        kept = [k for k in self.keywords if k.name not in given]
        return self.function.call(range, m, [*self.args, *args], [*kept, *keywords], binders)


# -- moving values between functions -----------------------------------------------------------------------------------

Move = Callable[[Value], Value | None]


def descriptor(given: SugaredValue) -> Descriptor:
    """What a function compiled for ``given`` depends on."""
    if isinstance(given, SimpleValue):
        known, constant = plain_constant(given.value)
        type = T.unshaped(given.value.type)
        return ("value", type, constant.__class__, repr(constant)) if known else ("value", type)
    if isinstance(given, SugaredTuple):
        return ("tuple", *map(descriptor, given.items))
    if isinstance(given, StaticDict) and not isinstance(given, CapturedDict):
        return ("dict", *((k, descriptor(v)) for k, v in given.items.items()))
    if given.kind == "set" and hasattr(given, "value"):
        return ("set", given.value.type)
    if isinstance(given, ModuleValue):
        return ("module", given.value.type)
    if isinstance(given, MethodValue):
        return ("method", given.this.type, *given.names)
    if isinstance(given, BuiltinFunction):
        bound = None if given.self_value is None or given.self_value.value is None else given.self_value.value.type
        return ("builtin", given.__class__, given.name, bound)
    return ("object", id(given), given)


def plain_constant(v: Value) -> tuple[bool, Any]:
    """A constant that a function may hold itself."""
    known, constant = matching.constant_of(v)
    simple = known and (constant is None or isinstance(constant, bool | int | float | str))
    return (True, constant) if simple and v.type in (T.INT, T.FLOAT, T.BOOL, T.STR, T.NONE) else (False, None)


def moved(given: SugaredValue, move: Callable[[Value], Any]) -> None:
    """Call ``move`` on every value of a graph that ``given`` consists of, in order, constants left out."""
    brought_in(given, lambda v: (move(v), v)[1], lambda v: v)


def brought_in(given: SugaredValue, take: Callable[[Value], Value], constant: Callable[[Value], Value]) -> SugaredValue:
    """The same thing over the values that ``take`` (``constant`` for constants) gives for those it consists of."""

    def one(v: Value) -> Value:
        return constant(v) if plain_constant(v)[0] else take(v)

    def named(n: Named) -> Named:
        if n.sugared is not None:
            return Named(None, n.name, n.range, sugared=each(n.sugared))
        return n if n.value is None else Named(one(n.value), n.name, n.range)

    def each(g: SugaredValue) -> SugaredValue:
        return brought_in(g, take, constant)

    if isinstance(given, SimpleValue):
        return SimpleValue(one(given.value))
    if given.kind == "set" and hasattr(given, "value"):
        return given.__class__(one(given.value))  # type: ignore[call-arg]
    if isinstance(given, ModuleValue):
        return ModuleValue(take(given.value), given.module)
    if isinstance(given, SugaredTuple):
        return SugaredTuple([each(i) for i in given.items])
    if isinstance(given, StaticDict) and not isinstance(given, CapturedDict):
        return StaticDict({k: each(v) for k, v in given.items.items()})
    if isinstance(given, PartialCall):
        return PartialCall(each(given.function), [named(a) for a in given.args], [named(k) for k in given.keywords])
    if isinstance(given, MethodValue):
        return MethodValue(take(given.this), given.names)
    if isinstance(given, BuiltinFunction) and given.self_value is not None:
        return given.bound_to(named(given.self_value))
    if isinstance(given, RangeValue):
        return given.over(one(given.start), one(given.end), one(given.step))
    if isinstance(given, IterableTree):
        tree = IterableTree()
        tree.unroll = given.unroll
        tree.children = [each(c) for c in given.children]
        return tree
    if isinstance(given, Reversed):
        return Reversed(each(given.items))
    return given
