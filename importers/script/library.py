"""Python's own functions that TorchScript lacks, or has for fewer arguments: written in script, compiled for each call.

``sorted`` and ``list.sort`` with ``key`` and ``reverse``, ``max`` and ``min`` with ``key`` and ``default``, ``map``,
``filter``, ``functools.reduce`` and ``partial``, ``pow`` with a modulus, ``round`` to digits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bridge.importers.script import matching
from bridge.importers.script.errors import CompileError
from bridge.importers.script.limit_texts import limit_functions
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.sugared import (
    BuiltinFunction,
    EnvironmentResolver,
    MagicMethod,
    SugaredTuple,
    SugaredValue,
)
from bridge.importers.script.values import SimpleValue
from bridge.ir import types as T
from bridge.ir.graph import Block, Value
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore
    from bridge.importers.script.templates import Template
from bridge.importers.script.library_text import TEXT

__all__ = ["FilterValue", "LibraryFunction", "MapValue", "OrBuiltin", "as_list", "iterable_builtins", "library_call"]


@functools.cache
def _definitions() -> dict[str, Template]:
    """The functions of the text as templates."""
    from bridge.importers.script.frontend import parse_def
    from bridge.importers.script.sugared_classes import ExceptionValue
    from bridge.importers.script.templates import Template

    errors = {n: ExceptionValue(n, f"builtins.{n}") for n in ("ValueError", "TypeError", "KeyError", "IndexError")}
    resolver = EnvironmentResolver(dict(errors))
    found: dict[str, Template] = {}
    for text in f"{TEXT}\n{limit_functions()}".strip().split("\n\n"):
        d = parse_def(text.splitlines(keepends=True), "<string>", 1)
        found[d.name] = Template(d, resolver, f"__torch__.bridge_library.{d.name}", lambda *_: None)
    return found


def library_call(name: str, range: SourceRange, m: EmitterCore, args: Sequence[SugaredValue | Value]) -> SugaredValue:
    """A call of a function of the text."""
    given = []
    for a in args:
        if isinstance(a, Value):
            a = SimpleValue(a)
        given.append(Named(a.value, "", range) if isinstance(a, SimpleValue) else Named(None, "", range, sugared=a))
    return _called(name, range, m, given, ())


def _called(
    name: str, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named]
) -> SugaredValue:
    """A call whose errors are the caller's: the text here is no place in a program."""
    try:
        return _definitions()[name].call(range, m, args, keywords)
    except CompileError as e:
        if e.range is not None and e.range.source is not None and e.range.source.filename == "<string>":
            raise CompileError(e.message, range) from None
        raise


class LibraryFunction(SugaredValue):
    """A function of the text, as a value (``key=identity``)."""

    __slots__ = ("name",)
    kind = "function"
    is_function = True

    def __init__(self, name: str) -> None:
        self.name = name

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        return _called(self.name, range, m, args, keywords)


Extra = Callable[[SourceRange, "EmitterCore", Sequence[Named], dict[str, Named]], "SugaredValue | None"]


class OrBuiltin(SugaredValue):
    """A builtin that TorchScript has, and what it means for arguments that TorchScript does not take.

    ``extra`` gives None for a call that has no meaning either.
    """

    __slots__ = ("builtin", "extra")
    kind = "builtin"
    is_function = True

    def __init__(self, builtin: SugaredValue, extra: Extra) -> None:
        self.builtin, self.extra = builtin, extra

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        try:
            return self.builtin.call(range, m, args, keywords, binders)
        except CompileError:
            found = self.extra(range, m, args, {k.name: k for k in keywords})
            if found is None:
                raise
            return found


def _sugared(a: Named, m: EmitterCore) -> SugaredValue:
    from bridge.importers.script.sets import SetValue

    if isinstance(a.sugared, SetValue):  # where the order does not matter
        return SimpleValue(a.sugared.value)
    return a.sugared if a.sugared is not None else SimpleValue(a.get(m.graph))


def _key(keywords: dict[str, Named], m: EmitterCore) -> SugaredValue:
    given = keywords.pop("key", None)
    if given is None or (given.is_value and given.get(m.graph).type is T.NONE):
        return LibraryFunction("identity")
    return _sugared(given, m)


def _flag(keywords: dict[str, Named], m: EmitterCore, range: SourceRange) -> SugaredValue:
    given = keywords.pop("reverse", None)
    return SimpleValue(insert_constant(m.graph, False, range)) if given is None else _sugared(given, m)


def _no_others(keywords: dict[str, Named], name: str, range: SourceRange) -> None:
    if keywords:
        raise CompileError(f"{name} has no argument '{next(iter(keywords))}'", range)


def _sorted(
    range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: dict[str, Named]
) -> SugaredValue | None:
    if len(args) != 1:
        return None
    key, reverse = _key(keywords, m), _flag(keywords, m, range)
    _no_others(keywords, "sorted", range)
    return library_call("sorted_by", range, m, [_sugared(args[0], m), key, reverse])


def sort_method(this: Named) -> Extra:
    """``list.sort``"""

    def extra(
        range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: dict[str, Named]
    ) -> SugaredValue | None:
        if args or "key" not in keywords:
            return None
        key, reverse = _key(keywords, m), _flag(keywords, m, range)
        _no_others(keywords, "sort", range)
        return library_call("sort_by", range, m, [_sugared(this, m), key, reverse])

    return extra


def _extreme(name: str) -> Extra:
    def extra(
        range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: dict[str, Named]
    ) -> SugaredValue | None:
        if not args or (len(args) == 1 and isinstance(args[0].type, T.TensorType)):
            return None
        default = keywords.pop("default", None)
        key = _key(keywords, m)
        _no_others(keywords, name, range)
        if len(args) > 1:
            if default is not None:
                raise CompileError(f"{name} takes a default for what is iterated only", range)
            if isinstance(key, LibraryFunction) and all(a.is_value for a in args):
                return _folded(name, range, m, args)
            items: SugaredValue = SugaredTuple([_sugared(a, m) for a in args])
        else:
            items = _sugared(args[0], m)
        if default is not None:
            return library_call(f"{name}_or", range, m, [items, key, _sugared(default, m)])
        return library_call(f"{name}_by", range, m, [items, key])

    return extra


def _folded(name: str, range: SourceRange, m: EmitterCore, args: Sequence[Named]) -> SugaredValue:
    """``max(a, b, c)``"""
    result = args[0]
    for a in args[1:]:
        result = Named(matching.builtin_call(m.graph, range, f"prim::{name}", [result, a]), "", range)
    return SimpleValue(result.get(m.graph))


def _round(
    range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: dict[str, Named]
) -> SugaredValue | None:
    """``round(x, digits)``: the text of so many digits is the nearest, halves by the exact value, as in Python."""
    digits = args[1] if len(args) == 2 else keywords.get("ndigits")
    if digits is None or not args or args[0].type is not T.FLOAT:
        return None
    known, count = matching.constant_of(digits.get(m.graph))
    if not known or not isinstance(count, int) or count < 0:
        raise CompileError("round takes a constant number of digits, 0 or more", range)
    format = insert_constant(m.graph, f"%.{count}f", range)
    text = matching.insert(m.graph, "aten::percentFormat", [format, args[0].get(m.graph)], range=range)
    return SimpleValue(matching.insert(m.graph, "aten::Float", [text], range=range))


def _pow(range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: dict[str, Named]) -> SugaredValue | None:
    if len(args) != 3 or any(a.type is not T.INT for a in args):
        return None
    return library_call("power", range, m, [_sugared(a, m) for a in args])


# -- map, filter, reduce, partial --------------------------------------------------------------------------------------


class MapValue(SugaredValue):
    """``map(function, …)``: calls the function as it is iterated, once."""

    __slots__ = ("block", "function", "items", "used")
    kind = "map"
    is_function = True

    def __init__(self, function: SugaredValue, items: SugaredValue, block: Block) -> None:
        self.function, self.items, self.block, self.used = function, items, block, False

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        _once(self, range, m)
        return self

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        return as_list(self, range, m)

    def static_len(self) -> int | None:
        return self.items.static_len()

    def len(self, range: SourceRange, m: EmitterCore) -> Value:
        return self.items.len(range, m)

    def as_tuple(self, range: SourceRange, m: EmitterCore, size: int | None = None) -> Sequence[SugaredValue]:
        count = self.items.static_len()
        if count is None:
            raise CompileError("the number of elements of this map is not known: make a list of it", range)
        return [self.getitem(range, m, insert_constant(m.graph, i, range)) for i in _count(count)]

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        item = self.items.getitem(range, m, index)
        parts = item.items if isinstance(item, SugaredTuple) and len(item.items) > 0 else [item]
        given = [
            Named(p.value, "", range) if isinstance(p, SimpleValue) else Named(None, "", range, sugared=p)
            for p in parts
        ]
        return self.function.call(range, m, given, (), 1)


class FilterValue(SugaredValue):
    """``filter(function, items)``: a loop over it goes over the items and asks the function for each."""

    __slots__ = ("block", "function", "items", "used")
    kind = "filter"
    is_function = True

    def __init__(self, function: SugaredValue, items: SugaredValue, block: Block) -> None:
        self.function, self.items, self.block, self.used = function, items, block, False

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        return as_list(self, range, m)

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        _once(self, range, m)
        return self


def as_list(value: SugaredValue, range: SourceRange, m: EmitterCore) -> Value:
    """What iterating gives, as a list: for functions that iterate their argument."""
    from bridge.importers.script import tree as X

    name = m.temporary("$iterated_")
    m.frame.values[name] = value
    return m.expr(X.Apply(range, X.Var(range, "list"), [X.Var(range, name)], []))


def _once(value: MapValue | FilterValue, range: SourceRange, m: EmitterCore) -> None:
    frame = m.frame
    while frame.is_comprehension and frame.next is not None and frame.block is not value.block:
        frame = frame.next
    if value.used or value.block is not frame.block:
        raise CompileError(f"what {value.kind} gives can be iterated once, where it is made: make a list of it", range)
    value.used = True


def norm_method(this: Named) -> Extra:
    """``Tensor.norm``, which in PyTorch is a Python method: the order and the dims in any form."""

    def extra(
        range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: dict[str, Named]
    ) -> SugaredValue | None:
        names = ("p", "dim", "keepdim", "dtype")
        given = dict(zip(names, args, strict=False)) | keywords
        if not set(given) <= set(names) or len(args) > len(names):
            return None
        order = given.get("p") or Named(None, constant=2)
        if "dim" not in given:
            return None
        dim = given["dim"]
        if dim.type is T.INT:
            listed = m.node("prim::ListConstruct", [dim.get(m.graph)], 1, range).output
            listed.type = T.ListType(T.INT)
            dim = Named(listed, "", range)
        keep = given.get("keepdim") or Named(None, constant=False)
        more = [Named(given["dtype"].get(m.graph), "dtype", range)] if "dtype" in given else []
        return SimpleValue(matching.builtin_call(m.graph, range, "aten::norm", [this, order, dim, keep], more))

    return extra


def norm_function(
    range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: dict[str, Named]
) -> SugaredValue | None:
    """``torch.norm``, which in PyTorch is a Python function: as the method of its first argument."""
    if args:
        return norm_method(args[0])(range, m, args[1:], keywords)
    rest = {name: value for name, value in keywords.items() if name != "input"}
    return norm_method(keywords["input"])(range, m, (), rest) if "input" in keywords else None


def _map(range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: dict[str, Named]) -> SugaredValue | None:
    from bridge.importers.script.values import IterableTree

    if len(args) < 2 or keywords:
        raise CompileError("map takes a function and what it is called with", range)
    function = _sugared(args[0], m)
    if len(args) == 2:
        items = _sugared(args[1], m).iter(range, m)
        if isinstance(items, FilterValue):
            raise CompileError("map over a filter: write a comprehension", range)
        return MapValue(_unary(function), items, m.frame.block)
    tree = IterableTree()
    for a in args[1:]:
        tree.add(range, m, _sugared(a, m).iter(range, m))
    return MapValue(function, tree, m.frame.block)


def _unary(function: SugaredValue) -> SugaredValue:
    return _OfOne(function)


class _OfOne(SugaredValue):
    """A function that gets the element of a ``map`` as it is, a tuple as one argument."""

    __slots__ = ("function",)
    is_function = True

    def __init__(self, function: SugaredValue) -> None:
        self.function = function

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        if len(args) == 1:
            return self.function.call(range, m, args, keywords, binders)
        one = matching.make_tuple(m.graph, [a.get(m.graph) for a in args])
        return self.function.call(range, m, [Named(one, "", range)], keywords, binders)


def _filter(
    range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: dict[str, Named]
) -> SugaredValue | None:
    if len(args) != 2 or keywords:
        raise CompileError("filter takes a function and what it chooses from", range)
    function = args[0]
    if function.is_value and function.get(m.graph).type is T.NONE:
        return FilterValue(LibraryFunction("identity"), _sugared(args[1], m), m.frame.block)
    return FilterValue(_sugared(function, m), _sugared(args[1], m), m.frame.block)


def _reduce(
    range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: dict[str, Named]
) -> SugaredValue | None:
    if not 2 <= len(args) <= 3 or keywords:
        raise CompileError("reduce takes a function, what it goes over, and a start", range)
    return library_call("reduce" if len(args) == 2 else "reduce_from", range, m, [_sugared(a, m) for a in args])


def _partial(
    range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: dict[str, Named]
) -> SugaredValue | None:
    from bridge.importers.script.statics import PartialCall

    if not args:
        raise CompileError("partial takes a function", range)
    return PartialCall(_sugared(args[0], m), args[1:], list(keywords.values()))


class _SequenceLength(SugaredValue):
    """The length that a sequence pattern asks for: of lists and tuples, which are what such a pattern matches."""

    __slots__ = ()
    kind = "length"

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        value = args[0].get(m.graph)
        if isinstance(value.type, T.TupleType):
            return SimpleValue(insert_constant(m.graph, len(value.type.elements), range))
        if isinstance(value.type, T.ListType):
            return SimpleValue(matching.insert(m.graph, "aten::len", [value], range=range))
        raise CompileError(f"a sequence pattern asks for a list or a tuple, this is {value.type.annotation()}", range)


class _Field(SugaredValue):
    """What a class pattern means by position: the attribute that the class names for it."""

    __slots__ = ()
    kind = "field"

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        value, given = args[0].get(m.graph), args[1].sugared
        t = getattr(given, "type", None)
        names = (
            t.fields if isinstance(t, T.TupleType) else getattr(getattr(t, "python_class", None), "__match_args__", ())
        )
        known, i = matching.constant_of(args[2].get(m.graph))
        if not known or not isinstance(i, int) or i >= len(names):
            raise CompileError("this class does not say what its patterns mean by position: name the attribute", range)
        return SimpleValue(value).attr(range, m, names[i])


class _Refused(SugaredValue):
    kind = "builtin"


def iterable_builtins() -> dict[str, SugaredValue]:
    """Python's builtins of this module by name."""
    table: dict[str, SugaredValue] = {
        "sorted": OrBuiltin(BuiltinFunction("aten::sorted"), _sorted),
        "max": OrBuiltin(BuiltinFunction("prim::max"), _extreme("max")),
        "min": OrBuiltin(BuiltinFunction("prim::min"), _extreme("min")),
        "pow": OrBuiltin(BuiltinFunction("aten::pow"), _pow),
        "round": OrBuiltin(MagicMethod("__round__", BuiltinFunction("aten::round")), _round),
        "$length": _SequenceLength(),
        "$field": _Field(),
        "map": OrBuiltin(_Refused(), _map),
        "filter": OrBuiltin(_Refused(), _filter),
    }
    return table


def functools_member(name: str) -> SugaredValue | None:
    """What a function of ``functools`` means; None for others."""
    extra = {"reduce": _reduce, "partial": _partial}.get(name)
    return None if extra is None else OrBuiltin(_Refused(), extra)


_count = range
