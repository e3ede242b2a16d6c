"""Names and scopes while a program is emitted.

Assigning a first-class value emits ``prim::Store``, using it ``prim::Load``; the SSA pass removes both. Values that are
not first class (functions, modules, ranges…) live in the frame itself.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from bridge.importers.script import matching
from bridge.importers.script.errors import CompileError, LoopVariable, StartsAsNone
from bridge.importers.script.library import iterable_builtins
from bridge.importers.script.matching import insert_constant
from bridge.importers.script.sugared import (
    BuiltinFunction,
    CastValue,
    ClassValue,
    MagicMethod,
    NamedTupleConstructor,
    PrintValue,
    SpecialForm,
    SugaredValue,
)
from bridge.importers.script.sugared_classes import ExceptionValue
from bridge.importers.script.values import SimpleValue
from bridge.ir import types as T
from bridge.ir.classes import ClassType
from bridge.ir.graph import Block, Value
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore

__all__ = ["Frame", "as_simple", "meaningful_name"]


def meaningful_name(name: str) -> bool:
    """Whether values take the name: temporaries (``_1``, ``$x``) do not, so that printed programs keep their names."""
    if not name or name[0] == "$":
        return False
    return name[0] != "_" or any(not c.isdigit() for c in name[1:])


def as_simple(value: SugaredValue) -> Value | None:
    """The value of a first-class sugared value."""
    return value.value if isinstance(value, SimpleValue) else None


@functools.cache
def _globals() -> dict[str, SugaredValue]:
    """What Python's builtins mean."""
    table: dict[str, SugaredValue] = {
        "print": PrintValue(),
        "AssertionError": ExceptionValue("AssertionError"),
        "$UnboundLocalError": ExceptionValue("UnboundLocalError", "builtins.UnboundLocalError"),
    }
    forms = {
        "tuple": "TupleConstruct", "getattr": "GetAttr", "hasattr": "HasAttr", "isinstance": "isinstance",
        "range": "range", "zip": "zip", "enumerate": "enumerate", "list": "list", "dict": "dict",
        "reversed": "reversed", "sum": "sum", "super": "super",
    }  # fmt: skip
    for name, form in forms.items():
        table[name] = SpecialForm(form)
    casts = [("float", T.FLOAT, "Float"), ("int", T.INT, "Int"), ("bool", T.BOOL, "Bool"), ("str", T.STR, "str"),
             ("complex", T.COMPLEX, "Complex")]  # fmt: skip
    for name, type, operator in casts:
        table[name] = MagicMethod(f"__{name}__", CastValue(type, f"aten::{operator}"))
    table["_to_tensor"] = CastValue(T.TENSOR, "prim::NumToTensor")
    for name in ("len", "hex", "oct"):
        table[name] = MagicMethod(f"__{name}__", BuiltinFunction(f"aten::{name}"))
    for name in "hash all any divmod ord chr bin pow sorted index".split():
        table[name] = BuiltinFunction(f"aten::{name}")
    for name in "min max abs id rangelist".split():
        table[name] = BuiltinFunction(f"prim::{name}")
    from bridge.importers.script.safety import checks
    from bridge.importers.script.sets import SetConstructor

    return table | iterable_builtins() | checks() | {"set": SetConstructor()}


class Frame:
    """One scope: of a function, a branch, a loop body or a comprehension."""

    __slots__ = (
        "block",
        "conditional",
        "errors",
        "is_body",
        "is_comprehension",
        "m",
        "next",
        "places",
        "refined",
        "types",
        "values",
    )

    def __init__(self, m: EmitterCore, block: Block, next: Frame | None) -> None:
        self.m, self.block, self.next = m, block, next
        #: Whether what is emitted here is a part of an expression (a branch of it, a comprehension).
        self.conditional: bool = next is not None and next.conditional
        #: Whether the variables are those of a comprehension, which functions defined outside it do not see.
        self.is_comprehension = False
        #: Whether it is the body of a loop.
        self.is_body = False
        self.types: dict[str, T.Type] = {}
        self.values: dict[str, SugaredValue] = {}
        self.errors: dict[str, str] = {}
        #: Variable → the assignment (a tree) that made it None.
        self.places: dict[str, object] = {}
        #: Attributes (``self.h``) that are known not to be None here → their type; None: not known any more.
        self.refined: dict[str, T.Type | None] = {}

    # -- looking up --------------------------------------------------------------------------------------------

    def find_here(self, name: str) -> SugaredValue | None:
        found = self.values.get(name)
        if found is not None:
            return found
        type = self.types.get(name)
        return None if type is None else SimpleValue(self._load(name, type))

    def find(self, name: str) -> SugaredValue | None:
        """The variable of that name in this or an outer frame."""
        frame: Frame | None = self
        while frame is not None:
            found = frame.find_here(name)
            if found is not None:
                return found
            frame = frame.next
        return None

    def held(self, name: str) -> SugaredValue | None:
        """What a variable is that is no value of the graph; emits nothing."""
        frame: Frame | None = self
        while frame is not None and name not in frame.types:
            if name in frame.values:
                return frame.values[name]
            frame = frame.next
        return None

    def knows(self, name: str) -> bool:
        """Whether this or an outer frame has the variable; emits nothing."""
        frame: Frame | None = self
        while frame is not None and name not in frame.types and name not in frame.values:
            frame = frame.next
        return frame is not None

    def comprehensions(self) -> list[Frame]:
        """The frames of the comprehensions that this one is in."""
        found: list[Frame] = []
        frame: Frame | None = self
        while frame is not None:
            if frame.is_comprehension:
                found.append(frame)
            frame = frame.next
        return found

    def find_outside(self, name: str) -> SugaredValue | None:
        return self.next.find(name) if self.next is not None else None

    def _load(self, name: str, type: T.Type) -> Value:
        output = self.m.node("prim::Load", (), 1, None, name=name).output
        output.type = type
        if meaningful_name(name):
            output.set_debug_name(name)
        return output

    def get(self, name: str, range: SourceRange) -> SugaredValue:
        """What a name means here. Raises CompileError when it is unknown."""
        found = self.find(name)
        if found is not None and name in self.m.late_names:
            self._check_late(name, range)
        found = found or self.m.outer_value(name, range) or _globals().get(name)
        if found is not None:
            return found
        fixed = self.m.fixed_names.get(name)
        if fixed is not None:
            return fixed
        resolver = self.m.resolver
        type = resolver.resolve_type(name, range)
        if isinstance(type, T.TupleType) and type.fields:
            return NamedTupleConstructor(type)
        found = resolver.resolve_value(name, self.m, range)
        if found is not None:
            if name in self.m.locals and isinstance(found, SimpleValue):
                raise self.not_found(name, range)  # Python, too, has no value here: the name is the function's own
            if found.is_fixed:
                self.m.fixed_names[name] = found
            return found
        if isinstance(type, ClassType):
            return ClassValue(type)
        raise self.not_found(name, range)

    def _check_late(self, name: str, range: SourceRange) -> None:
        """Raise, when the program runs, where a variable that a loop assigns has no value yet."""
        flag, declared = self.m.late_names[name]
        frame: Frame | None = self
        while frame is not None and frame is not declared:
            if name in frame.types:  # assigned in this round
                return
            frame = frame.next
        self.m.raise_unless(
            flag, f"cannot access local variable '{name}' where it is not associated with a value", range
        )

    def value(self, name: str, range: SourceRange) -> Value:
        return self.get(name, range).as_value(range, self.m)

    def not_found(self, name: str, range: SourceRange) -> CompileError:
        reason = self._root().errors.get(name)
        text = f"undefined value {name}" if reason is None else f"{reason} and was used here"
        if name in self.m.loop_variables:
            place, type = self.m.loop_variables[name]
            return LoopVariable(text, range, place, name, type)
        return CompileError(text, range)

    def _root(self) -> Frame:
        frame = self
        while frame.next is not None:
            frame = frame.next
        return frame

    def refined_type(self, dotted: str) -> T.Type | None:
        """What an attribute is known to be here, beside what it is declared as."""
        frame: Frame | None = self
        while frame is not None:
            if dotted in frame.refined:
                return frame.refined[dotted]
            frame = frame.next
        return None

    def forget(self, name: str) -> None:
        """Nothing is known of the attributes of a variable any more."""
        frame: Frame | None = self
        while frame is not None:
            for dotted in list(frame.refined):
                if dotted.startswith(f"{name}."):
                    self.refined[dotted] = None
            frame = frame.next

    def explain(self, name: str, reason: str) -> None:
        """Remember why a variable is not defined after an ``if``, for when it is used."""
        self._root().errors[name] = reason

    # -- assigning ---------------------------------------------------------------------------------------------

    def set_value(self, range: SourceRange, name: str, value: Value) -> None:
        self.set(range, name, SimpleValue(value))

    def set(self, range: SourceRange, name: str, value: SugaredValue, annotated: T.Type | None = None) -> None:
        """Assign. Raises CompileError when the variable has another type already."""
        simple = as_simple(value)
        if simple is not None and not simple.has_debug_name and meaningful_name(name):
            # A value of an outer block keeps its number: the name would be one that only this block uses.
            if simple.node.block is self.block:
                simple.set_debug_name(name)
        parent = self.find_outside(name)
        if parent is not None:
            simple = self._checked_against(range, name, value, simple, parent, annotated)
        if self.m.as_python:
            self.forget(name)
        if simple is None:
            self.values[name] = value
            return
        if annotated is not None and not simple.type.is_subtype_of(annotated):
            raise CompileError(
                f"Variable '{name}' is annotated with type {annotated.annotation()} but is being assigned to a value of "
                f"type {simple.type.annotation()}",
                range,
            )
        self.store(range, name, simple, annotated or simple.type)

    def _checked_against(
        self,
        range: SourceRange,
        name: str,
        value: SugaredValue,
        simple: Value | None,
        parent: SugaredValue,
        annotated: T.Type | None,
    ) -> Value | None:
        if annotated is not None:
            raise CompileError(
                f"Attempting to declare and annotate the type of variable '{name}' but it is already defined in an "
                "outer block",
                range,
            )
        outer = as_simple(parent)
        if simple is None and outer is None and self._chooses(name):
            return None
        if simple is None or outer is None:
            kind = value.kind if simple is None else parent.kind
            raise CompileError(
                f"Cannot re-assign '{name}' {'to a value of type' if simple is None else 'because it has type'} {kind} "
                f"{'because' if simple is None else 'and'} {name} is not a first-class value.  Only reassignments to "
                "first-class values are allowed",
                range,
            )
        type = T.unshaped(outer.type)
        simple = matching.convert(self.m.graph, range, type, simple, True)
        if not simple.type.is_subtype_of(type):
            text = (
                f"Variable '{name}' previously had type {outer.type.annotation()} but is now being assigned to a value of "
                f"type {simple.type.annotation()}"
            )
            if outer.type is T.NONE:
                text += f": annotate its first assignment, {name}: Optional[{simple.type.annotation()}] = None"
            if isinstance(outer.type, T.ListType) and isinstance(simple.type, T.ListType):
                text += (
                    "\nEmpty lists default to List[Tensor]. Add a variable annotation to the assignment to create an "
                    "empty list of another type (torch.jit.annotate(List[T, []]) where T is the type of elements in the "
                    "list for Python 2)"
                )
            place = self._place_of(name) if T.NONE in T.members_of(outer.type) else None
            raise CompileError(text, range) if place is None else StartsAsNone(text, range, place, simple.type)
        return simple

    def _chooses(self, name: str) -> bool:
        """Whether a function that a variable is may be another one from here on: in branches, not in loops."""
        frame: Frame | None = self
        while frame is not None and name not in frame.values:
            if frame.is_body:
                return False
            frame = frame.next
        return True

    def _place_of(self, name: str) -> object:
        """The assignment in an outer frame that made a variable None."""
        return self.next.place_of(name) if self.next is not None else None

    def place_of(self, name: str) -> object:
        """The assignment that made a variable None, or empty without a type."""
        frame: Frame | None = self
        while frame is not None:
            if name in frame.places:
                return frame.places[name]
            frame = frame.next
        return None

    def store(self, range: SourceRange | None, name: str, value: Value, type: T.Type) -> None:
        self.m.node("prim::Store", [value], 0, range, name=name)
        self.types[name] = type
        late = self.m.late_names.get(name)
        if late is not None:
            self.store(range, late[0], insert_constant(self.m.graph, True, range), T.BOOL)

    def remove(self, name: str, range: SourceRange) -> None:
        """``del name``"""
        removed = False
        frame: Frame | None = self
        while frame is not None:
            removed |= frame.types.pop(name, None) is not None
            removed |= frame.values.pop(name, None) is not None
            frame = frame.next
        if not removed:
            raise self.not_found(name, range)
