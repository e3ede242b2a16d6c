"""First-class values, ranges and trees of iterables as sugared values (``sugared_value.cpp``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge.importers.script import matching
from bridge.importers.script.annotations import shown_type
from bridge.importers.script.errors import AttributeType, CompileError
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.sugared import (
    _CASTS,
    _DEVICE_PROPERTIES,
    _TENSOR_PROPERTIES,
    BuiltinFunction,
    FunctionValue,
    MethodValue,
    SpecialForm,
    SugaredTuple,
    SugaredValue,
    TensorCast,
)
from bridge.ir import types as T
from bridge.ir.classes import ClassType, InterfaceType
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore

__all__ = ["IterableTree", "RangeValue", "Reversed", "SimpleValue"]


class SimpleValue(SugaredValue):
    """A value of the graph."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    @property
    def kind(self) -> str:  # type: ignore[override]
        return f"value of type '{self.value.type.annotation()}'"

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        return self.value

    # -- attributes --------------------------------------------------------------------------------------------

    def has_attr(self, range: SourceRange, m: EmitterCore, name: str) -> bool:
        t = self.value.type
        if isinstance(t, T.TupleType) and t.fields:
            return name in t.fields
        if not isinstance(t, ClassType):
            raise CompileError(f"hasattr's first argument must be an object, got {t.annotation()} instead", range)
        return name in t.methods or name in t.attributes or name in t.constants

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        from bridge.importers.script.library import OrBuiltin, norm_method, sort_method

        t = self.value.type
        special = self._special_attr(range, m, name, t)
        if special is not None:
            return special
        if isinstance(t, T.AwaitType):  # looking inside asks for it
            inside = matching.insert(m.graph, "prim::awaitable_wait", [self.value], range=range)
            return SimpleValue(inside).attr(range, m, name)
        # A method: an operator whose self this can be. ``type`` is how old programs spell ``to``.
        for operator in ("aten::to", "aten::type") if name == "type" else (f"aten::{name}",):
            if matching.matches_self(operator, t):
                this = Named(self.value, "self", range)
                if operator == "aten::sort" and isinstance(t, T.ListType):
                    return OrBuiltin(BuiltinFunction(operator, this), sort_method(this))
                if operator == "aten::norm":
                    return OrBuiltin(BuiltinFunction(operator, this), norm_method(this))
                return BuiltinFunction(operator, this)
        if name == "tolist" and isinstance(t, T.TensorType):
            return SpecialForm("tolist")
        if name == "__getitem__" and isinstance(t, T.TensorType):
            return SpecialForm("index")
        hint = self._hint(name, t) if isinstance(t, ClassType) else ""
        raise CompileError(f"'{shown_type(t)}' object has no attribute or method '{name}'.{hint}", range)

    @staticmethod
    def _hint(name: str, t: ClassType) -> str:
        if isinstance(t.python_class, type) and name in vars(t.python_class):
            return (
                f" '{name}' is defined as a class attribute which currently is not supported. Consider converting this to an "
                "instance attribute."
            )
        return " Did you forget to initialize an attribute in __init__()?"

    def _special_attr(self, range: SourceRange, m: EmitterCore, name: str, t: T.Type) -> SugaredValue | None:
        if isinstance(t, T.TensorType):
            if name in _CASTS:
                return TensorCast(_CASTS[name], Named(self.value, "self", range))
            if name in _TENSOR_PROPERTIES:
                return SimpleValue(matching.insert(m.graph, f"{_TENSOR_PROPERTIES[name]}::{name}", [self.value]))
        elif t is T.DEVICE and name in _DEVICE_PROPERTIES:
            return SimpleValue(matching.insert(m.graph, f"{_DEVICE_PROPERTIES[name]}::{name}", [self.value]))
        elif isinstance(t, T.TupleType):
            if name in t.fields:
                i = t.fields.index(name)
                return SimpleValue(m.tuple_index(self.value, insert_constant(m.graph, i), t.elements[i]))
            if name == "_replace" and t.fields:
                return Replacement(self.value)
            member = getattr(m.resolver, "named_tuple_member", None)
            if member is not None and t.name:
                found: SugaredValue | None = member(t, name, self, m, range)
                return found
        elif isinstance(t, ClassType):
            return self._class_attr(range, m, name, t)
        elif isinstance(t, InterfaceType):
            if name in t.methods:
                return MethodValue(self.value, [name])
        elif isinstance(t, T.EnumType) and name in ("name", "value"):
            node = m.node("prim::EnumName" if name == "name" else "prim::EnumValue", [self.value], 1, None)
            node.output.type = T.STR if name == "name" else t.value
            return SimpleValue(node.output)
        return None

    def _class_attr(self, range: SourceRange, m: EmitterCore, name: str, t: ClassType) -> SugaredValue | None:
        if name in t.methods:
            return MethodValue(self.value, [name])
        if name in t.attributes:
            return SimpleValue(m.get_attr(self.value, name))
        if name in t.properties:
            return MethodValue(self.value, [t.properties[name][0].name]).call(range, m, (), (), 1)
        static = getattr(t, "static_methods", {}).get(name)
        if static is not None:
            return FunctionValue(static)
        constant = getattr(m.resolver, "class_attribute", None)
        if constant is None or t.python_class is None:
            return None
        found: SugaredValue | None = constant(t.python_class, name, m, range)
        return found

    def set_attr(self, range: SourceRange, m: EmitterCore, name: str, value: Value) -> None:
        t = self.value.type
        if not isinstance(t, ClassType):
            raise CompileError(f"Tried to set an attribute: {name} on a non-class: {t.annotation()}", range)
        declared = t.attributes.get(name)
        frozen = getattr(getattr(t.python_class, "__dataclass_params__", None), "frozen", False)
        if frozen and not self._initializing(m, t):
            raise CompileError(f"instances of {t.name.rpartition('.')[2]} are frozen: make a new one", range)
        if declared is None:
            if not self._initializing(m, t):
                return self._set_property(range, m, name, value, t)
            self._declare(range, m, name, value, t)
            expected = value.type
        else:
            expected = declared.type
        if not value.type.is_subtype_of(expected):
            text = f"Wrong type for attribute assignment. Expected {expected.annotation()} but got {value.type.annotation()}"
            if expected is T.NONE and t.is_module:
                raise AttributeType(text, range, t, name, T.optional(value.type))
            raise CompileError(text, range)
        m.node("prim::SetAttr", [self.value, value], 0, None, name=name)
        return None

    def _initializing(self, m: EmitterCore, t: ClassType) -> bool:
        inputs = m.graph.inputs
        name = m.function.name
        makes = name in ("__init__", "__post_init__") or name.endswith(("___init__", "___post_init__"))
        return makes and bool(inputs) and inputs[0].type is t

    def _declare(self, range: SourceRange, m: EmitterCore, name: str, value: Value, t: ClassType) -> None:
        if any(x is t for x in value.type.walk()):
            raise CompileError(
                f"Assignment to attribute '{name}' cannot be of a type that contains class '{t.annotation()}'.\n"
                "Classes that recursively contain instances of themselves are not yet supported",
                range,
            )
        t.add_attribute(name, value.type)
        if m.graph.insert_point.block is not m.graph.block:
            raise CompileError(
                "First assignment cannot be in a control-flow block. Initialize the field at the top level first", range
            )

    def _set_property(self, range: SourceRange, m: EmitterCore, name: str, value: Value, t: ClassType) -> None:
        pair = t.properties.get(name)
        if pair is None:
            text = f"Tried to set nonexistent attribute: {name}. Did you forget to initialize it in __init__()?"
            if t.is_module:  # it may be a list or dict that is empty at first
                raise AttributeType(text, range, t, name, value.type)
            raise CompileError(text, range)
        if pair[1] is None:
            raise CompileError(f"Tried to set read-only attribute: {name}", range)
        MethodValue(self.value, [pair[1].name]).call(range, m, [Named(value)], (), 1)

    # -- uses --------------------------------------------------------------------------------------------------

    def as_tuple(self, range: SourceRange, m: EmitterCore, size: int | None = None) -> Sequence[SugaredValue]:
        t = self.value.type
        if isinstance(t, T.TupleType):
            return [SimpleValue(v) for v in matching.tuple_unpack(self.value)]
        if isinstance(t, T.ListType):
            if size is None:
                raise CompileError("cannot statically infer the expected size of a list in this context", range)
            unpack = m.node("prim::ListUnpack", [self.value], size, None)
            for o in unpack.outputs:
                o.type = t.element
            return [SimpleValue(o) for o in unpack.outputs]
        if t == T.VarType("AnyTuple"):
            raise CompileError(
                "Provided tuple is not fully defined/refined including its element types, please provide a value of "
                "type like Tuple[int, int]",
                range,
            )
        raise CompileError(f"{t.annotation()} cannot be used as a tuple", range)

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        node = self.value.node
        if (
            node.kind == "prim::TupleConstruct"
            and len(node.inputs) == 2
            and node.inputs[0].node.kind == "prim::Closure"
        ):
            return self._call_closure(range, m, args, keywords, binders)
        t = self.value.type
        if isinstance(t, ClassType):
            # A module out of a slice (torch has no call for it); with hooks it stays refused.
            plain = t.is_module and not (t.hooks or t.pre_hooks) and t.find_method("forward") is not None
            return self.attr(range, m, "forward" if plain else "__call__").call(range, m, args, keywords, binders)
        return super().call(range, m, args, keywords, binders)

    def _call_closure(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        raise CompileError("calling a closure is not supported", range)

    def len(self, range: SourceRange, m: EmitterCore) -> Value:
        t = self.value.type
        if t is T.STR or isinstance(t, T.ListType | T.TensorType):
            return matching.insert(m.graph, "aten::len", [self.value], range=range)
        raise CompileError(f"'{t.annotation()}' object is not iterable", range)

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        t = self.value.type
        if t is T.STR or isinstance(t, T.ListType | T.DictType):
            return SimpleValue(matching.insert(m.graph, "aten::__getitem__", [self.value, index], range=range))
        if isinstance(t, T.TensorType):
            zero = Named(None, constant=0)
            return SimpleValue(matching.insert(m.graph, "aten::select", [self.value, zero, index], range=range))
        if isinstance(t, ClassType):
            if t.is_module and hint is not None:
                item = matching.insert(m.graph, "prim::ModuleContainerIndex", [self.value, index], range=range)
                item.type = hint
                return SimpleValue(item)
            return self.attr(range, m, "__getitem__").call(range, m, [Named(index)], (), 1)
        raise CompileError(f"'{t.annotation()}' object is not subscriptable", range)

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        t = self.value.type
        if t is T.STR or isinstance(t, T.ListType | T.TensorType):
            return self
        if isinstance(t, T.DictType):
            return SimpleValue(matching.insert(m.graph, "aten::keys", [self.value], range=range))
        if isinstance(t, T.TupleType):
            return SugaredTuple([SimpleValue(v) for v in matching.tuple_unpack(self.value)])
        raise CompileError(f"'{t.annotation()}' object is not iterable", range)


class Replacement(SugaredValue):
    """``_replace`` of a NamedTuple."""

    __slots__ = ("this",)
    kind = "method"

    def __init__(self, this: Value) -> None:
        self.this = this

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        t = self.this.type
        assert isinstance(t, T.TupleType)
        new = {k.name: k.get(m.graph) for k in keywords}
        unknown = [n for n in new if n not in t.fields]
        if args or unknown:
            raise CompileError(f"_replace takes fields by name{f', not {unknown[0]}' if unknown else ''}", range)
        parts = dict(zip(t.fields, matching.tuple_unpack(self.this), strict=True))
        for name, value in new.items():
            wanted = parts[name].type
            parts[name] = matching.convert(m.graph, range, wanted, value, True)
            if not parts[name].type.is_subtype_of(wanted):
                raise CompileError(f"{name} is {wanted.annotation()}, not {value.type.annotation()}", range)
        return SimpleValue(matching.make_tuple(m.graph, list(parts.values()), t))


class RangeValue(SugaredValue):
    """``range(start, end, step)``; ``static`` is the length it takes from what it is enumerated with."""

    __slots__ = ("end", "only_end", "start", "static", "step")
    kind = "range"
    is_function = True

    def __init__(self, range: SourceRange, m: EmitterCore, inputs: Sequence[Value], static: int | None = None) -> None:
        for i, v in enumerate(inputs):
            if v.type is not T.INT:
                raise CompileError(
                    f"all inputs of range must be ints, found {v.type.annotation()} in argument {i}", range
                )
        if not 1 <= len(inputs) <= 3:
            bound = "at least 1 arguments, got 0" if not inputs else f"at most 3 arguments, got {len(inputs)}"
            raise CompileError(f"range expected {bound}", range)
        self.only_end = len(inputs) == 1
        if self.only_end:
            self.end = inputs[0]
            self.start = insert_constant(m.graph, 0, range)
        else:
            self.start, self.end = inputs[0], inputs[1]
        self.step = inputs[2] if len(inputs) == 3 else insert_constant(m.graph, 1, range)
        self.static = static

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        return self

    def static_len(self) -> int | None:
        return self.static

    def len(self, range: SourceRange, m: EmitterCore) -> Value:
        if self.static is not None:
            return insert_constant(m.graph, self.static, range)
        if self.only_end:
            return self.end
        return matching.insert(m.graph, "aten::__range_length", [self.start, self.end, self.step], range=range)

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        if self.only_end:
            return SimpleValue(index)
        args = [index, self.start, self.step]
        return SimpleValue(matching.insert(m.graph, "aten::__derive_index", args, range=range))

    def over(self, start: Value, end: Value, step: Value) -> RangeValue:
        """The same range over other values."""
        made = object.__new__(RangeValue)
        made.start, made.end, made.step = start, end, step
        made.only_end, made.static = self.only_end, self.static
        return made

    def reversed(self, range: SourceRange, m: EmitterCore) -> RangeValue:
        """The same numbers from the last to the first."""
        zero, one = insert_constant(m.graph, 0, range), insert_constant(m.graph, 1, range)
        count = matching.insert(m.graph, "aten::__range_length", [self.start, self.end, self.step], range=range)
        last = matching.insert(m.graph, "aten::sub", [count, one], range=range)
        start = matching.insert(m.graph, "aten::__derive_index", [last, self.start, self.step], range=range)
        step = matching.insert(m.graph, "aten::sub", [zero, self.step], range=range)
        end = matching.insert(m.graph, "aten::add", [self.start, step], range=range)
        return RangeValue(range, m, [start, end, step])


class Reversed(SugaredValue):
    """``reversed(…)`` of what has a length and items."""

    __slots__ = ("items",)
    kind = "reversed"

    def __init__(self, items: SugaredValue) -> None:
        self.items = items

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        return self

    def len(self, range: SourceRange, m: EmitterCore) -> Value:
        return self.items.len(range, m)

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        last = m.number(-1, range)
        return self.items.getitem(range, m, matching.insert(m.graph, "aten::sub", [last, index], range=range))


def _least(lengths: list[Value], range: SourceRange, m: EmitterCore) -> Value:
    node = m.node("prim::ListConstruct", lengths, 1, None)
    node.output.type = T.ListType(T.INT)
    return matching.insert(m.graph, "prim::min", [node.output], range=range)


class IterableTree(SugaredValue):
    """What ``zip`` and ``enumerate`` iterate: several iterables in step.

    ``unroll`` is the least length that is known, of modules or a tuple. ``limits`` are the iterables beside them whose length is
    not: the rounds end with theirs.
    """

    __slots__ = ("children", "limits", "unroll")
    kind = "iterabletree"

    def __init__(self) -> None:
        self.children: list[SugaredValue] = []
        self.limits: list[SugaredValue] = []
        self.unroll: int | None = None

    def add(self, range: SourceRange, m: EmitterCore, child: SugaredValue) -> None:
        length = child.static_len()
        if isinstance(child, IterableTree):
            self.limits += child.limits
        if length is None and self.unroll is not None:
            self.limits.append(child)
        elif length is not None and self.unroll is None:
            self.limits += self.children
        if length is not None:
            self.unroll = length if self.unroll is None else min(self.unroll, length)
        self.children.append(child)

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        from bridge.importers.script.library import as_list

        return as_list(self, range, m)

    def limit(self, range: SourceRange, m: EmitterCore) -> Value:
        """The least of the lengths that are not known."""
        return _least([v.len(range, m) for v in self.limits], range, m)

    def leaves(self) -> list[SugaredValue]:
        found: list[SugaredValue] = []
        for c in self.children:
            found += c.leaves() if isinstance(c, IterableTree) else [c]
        return found

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        return self

    def static_len(self) -> int | None:
        return self.unroll

    def len(self, range: SourceRange, m: EmitterCore) -> Value:
        return _least([leaf.len(range, m) for leaf in self.leaves()], range, m)

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        return SugaredTuple([c.getitem(range, m, index) for c in self.children])
