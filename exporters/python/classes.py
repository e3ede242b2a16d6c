"""Definitions of classes, interfaces, enums and NamedTuples, as archives hold them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bridge.exporters.python.expressions import is_identifier
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, InterfaceType
from bridge.ir.errors import IRError
from bridge.ir.literals import float_literal, value_type

if TYPE_CHECKING:
    from bridge.exporters.python.source_printer import SourcePrinter

__all__ = ["write_named_type"]


def write_named_type(p: SourcePrinter, t: T.Type) -> None:
    """Append the definition of a named type. Raises IRError for types that have none."""
    if isinstance(t, ClassType):
        _class(p, t)
    elif isinstance(t, T.TupleType) and t.name:
        _named_tuple(p, t)
    elif isinstance(t, InterfaceType):
        _interface(p, t)
    elif isinstance(t, T.EnumType):
        _enum(p, t)
    else:
        raise IRError(f"the type {t} has no definition to print")


def _short(t: ClassType | InterfaceType | T.TupleType | T.EnumType) -> str:
    return (t.name or "").rpartition(".")[2]


def _class(p: SourcePrinter, t: ClassType) -> None:
    p.body.raw("class ").add(_short(t))
    if t.is_module:
        p.body.raw("(Module)")
    p.body.raw(":\n")
    with p.indented():
        if t.is_module:
            attributes = t.attributes.values()
            _names(p, "__parameters__", [a.name for a in attributes if a.is_parameter])
            _names(p, "__buffers__", [a.name for a in attributes if a.is_buffer])
            if t.pre_hooks:
                _names(p, "__forward_pre_hooks__", [h.name for h in t.pre_hooks])
            if t.hooks:
                _names(p, "__forward_hooks__", [h.name for h in t.hooks])
        for i, a in enumerate(t.attributes.values()):
            _attribute(p, a.name, a.type, i == 0)
        for name, value in t.constants.items():
            p.indent().add(name).raw(" : ").raw("Final[").add(p.annotation(value_type(value))).raw("] = ")
            p.body.add(p.constant(value, None)).raw("\n")
        printed: set[str] = set()
        for method in t.methods.values():
            p.print_function(method)
        for hook in _unique_names([*t.hooks, *t.pre_hooks], printed):
            p.print_function(hook)


def _unique_names(functions: Iterable[Function], seen: set[str]) -> Iterable[Function]:
    for f in functions:
        if f.name not in seen:
            seen.add(f.name)
            yield f


def _names(p: SourcePrinter, what: str, names: list[str]) -> None:
    p.indent().raw(f"{what} = [")
    for name in names:
        p.body.raw('"').add(name).raw('", ')
    p.body.raw("]\n")


def _attribute(p: SourcePrinter, name: str, t: T.Type, first: bool) -> None:
    p.depend_on_types(t)
    p.indent()
    if is_identifier(name):
        p.body.add(name).raw(" : ").add(p.annotation(t)).raw("\n")
        return
    if first:
        p.body.raw("__annotations__ = []\n")
        p.indent()
    p.body.raw("__annotations__[").raw('"').add(name).raw('"] = ').add(p.annotation(t)).raw("\n")


def _named_tuple(p: SourcePrinter, t: T.TupleType) -> None:
    p.body.raw("class ").add(_short(t)).raw("(NamedTuple):\n")
    with p.indented():
        for field, element in zip(t.fields, t.elements, strict=True):
            p.indent().add(field).raw(" : ").add(p.annotation(element)).raw("\n")


def _interface(p: SourcePrinter, t: InterfaceType) -> None:
    p.body.raw("class ").add(_short(t)).raw("(ModuleInterface):\n" if t.is_module else "(Interface):\n")
    with p.indented():
        for name, schema in t.methods.items():
            p.indent().raw("def ").add(name).raw("(self")
            for a in schema.arguments[1:]:
                p.depend_on_types(a.type)
                p.body.raw(", ").add(a.name).raw(": ").add(p.annotation(a.type))
            returned = schema.returns[0].type
            p.depend_on_types(returned)
            p.body.raw(") -> ").add(p.annotation(returned)).raw(":\n")
            p.indent().raw("  pass\n")


def _enum(p: SourcePrinter, t: T.EnumType) -> None:
    p.body.raw("class ").add(_short(t)).raw("(Enum):\n")
    quote = '"' if t.value is T.STR else ""
    with p.indented():
        for name, value in t.members:
            p.indent().add(name).raw(" = ").add(quote).add(_enum_value(value)).add(quote).raw("\n")


def _enum_value(value: object) -> str:
    """As C++ streams write it: whole floats with a point, strings as they are."""
    return float_literal(value, 2.0**63) if isinstance(value, float) else str(value)
