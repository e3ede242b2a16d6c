"""Statements: assignments, ``if``, loops, unpacking, and what else is no expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bridge.ir import types as T
from bridge.ir.errors import IRError
from bridge.ir.graph import Graph, Node, Value

if TYPE_CHECKING:
    from bridge.exporters.python.source_printer import SourcePrinter

__all__ = ["write_node"]


def write_node(p: SourcePrinter, n: Node, constants: bool) -> None:
    """Append the statement of a node, if it makes one; ``constants`` says whether constants have their turn."""
    with p.at_range(n.range):
        p.depend_on_types_of(n)
        if n.kind == "prim::Constant" and not constants:
            return
        writer = _WRITERS.get(n.kind)
        if writer is not None:
            writer(p, n)
        else:
            _assignment(p, n)


def _assignment(p: SourcePrinter, n: Node) -> None:
    expression = p.expression(n)
    if n not in p.inlined or (n.kind == "prim::Constant" and p.is_long(expression)):
        p.define(n, expression)
        return
    p.assign(n.output, expression)
    if p.is_long(expression) or p.stands_alone(n):
        p.split(n.output)


def _assign_all(p: SourcePrinter, left: Sequence[Value], right: Sequence[Value]) -> None:
    if not left:
        return
    p.indent().joined(p.uses(left))
    if len(left) == 1 and isinstance(left[0].type, T.OptionalType | T.UnionType) and not p.is_expression(left[0]):
        # A Union must be declared where it is first assigned, or the compiler would take the narrower type.
        if left[0] not in p.declared:
            p.declared.add(left[0])
            p.body.raw(" : ").add(p.annotation(left[0].type))
    p.body.raw(" = ").joined(p.uses(right)).raw("\n")


def _if(p: SourcePrinter, n: Node) -> None:
    p.name_values(n.outputs)
    p.indent().raw("if ").join(p.use(n.input)).raw(":\n")
    for i, b in enumerate(n.blocks):
        if i:
            p.indent().raw("else:\n")
        with p.indented():
            p.print_block(b, bool(n.outputs))
            _assign_all(p, n.outputs, b.outputs)


def _is_constant_true(v: Value) -> bool:
    return v.node.kind == "prim::Constant" and v.type is T.BOOL and bool(v.node.attributes.get("value"))


def _loop(p: SourcePrinter, n: Node) -> None:
    (body,) = n.blocks
    trip, condition = n.inputs[:2]
    # A `for` goes on as long as it counts; a `while` counts to the greatest number there is.
    counted = not _counts_forever(trip)
    conditional = not (_is_constant_true(condition) and _is_constant_true(body.outputs[0]))
    if counted and conditional:
        raise IRError(
            "this loop cannot be printed as Python: it has both a count and a condition, which a pass combined", n.range
        )
    p.name_values(n.outputs)
    for inner, outer in zip(body.inputs[1:], n.outputs, strict=True):
        p.alias(inner, outer)
    for left, right in zip(n.outputs, n.inputs[2:], strict=True):
        p.indent().join(p.use(left))
        if _needs_declaration(p, left, right):
            p.body.raw(": ").add(p.annotation(left.type))
        p.body.raw(" = ").join(p.use(right)).raw("\n")
    counter = body.inputs[0]
    p.name_values([counter])
    if counted:
        p.indent().raw("for ").join(p.use(counter)).raw(" in range(").join(p.use(trip)).raw("):\n")
    else:
        _assign_all(p, [counter], [condition])
        p.indent().raw("while ").join(p.use(counter)).raw(":\n")
    first = 1 if counted else 0
    with p.indented():
        carried = body.inputs[first:]
        p.print_block(body, bool(carried))
        _assign_all(p, carried, body.outputs[first:])


def _needs_declaration(p: SourcePrinter, left: Value, right: Value) -> bool:
    if isinstance(left.type, T.OptionalType | T.UnionType):
        first = left not in p.declared
        p.declared.add(left)
        return first
    return left.type != right.type


def _counts_forever(trip: Value) -> bool:
    return trip.node.kind == "prim::Constant" and trip.node.attributes.get("value") == (1 << 63) - 1


def _return(p: SourcePrinter, n: Node) -> None:
    if p.importable and len(n.inputs) != 1:
        raise IRError("a function that is exported returns exactly one value", n.range)
    if n.inputs:
        p.indent().raw("return ").joined(p.uses(n.inputs)).raw("\n")


def _unpack(p: SourcePrinter, n: Node) -> None:
    p.name_values(n.outputs)
    p.indent()
    if n.outputs:
        p.body.joined(p.uses(n.outputs), "", ", = ")
    p.body.join(p.use(n.input)).raw("\n")


def _set_attribute(p: SourcePrinter, n: Node) -> None:
    owner, value = n.inputs
    p.indent().join(p.use(owner)).raw(".").add(n["name"]).raw(p.declaration(n)).raw(" = ").join(p.use(value)).raw("\n")


def _forked(keyword: str, function: str) -> Callable[[SourcePrinter, Node], None]:
    def write(p: SourcePrinter, n: Node) -> None:
        name = p.unique_name(function)
        graph: Graph = n["Subgraph"]
        p.indent().raw("def ").add(name).raw("():\n")
        for inner, outer in zip(graph.inputs, n.inputs, strict=True):
            p.alias(inner, outer)
        p.print_body(graph.block)
        p.define(n, f"{keyword}({name})")

    return write


def _closure(p: SourcePrinter, n: Node) -> None:
    if p.importable:
        raise IRError("closures are not exportable", n.range)
    p.name_values(n.outputs)
    graph: Graph = n["Subgraph"]
    p.indent().raw("def ").add(str(p.use(n.output))).raw("(")
    p.name_values(graph.inputs)
    for i, v in enumerate(graph.inputs):
        if i:
            p.body.raw(", ")
        p.body.join(p.use(v)).raw(": ").add(p.annotation(v.type))
    p.body.raw("):\n")
    p.print_body(graph.block)


def _enter(p: SourcePrinter, n: Node) -> None:
    p.indent().raw("with ").join(p.use(n.inputs[0]))
    if n.output.use_count:
        p.name_values(n.outputs)
        p.body.raw(" as ").join(p.use(n.output))
    p.body.raw(":\n")
    p.level += 1


def _exit(p: SourcePrinter, n: Node) -> None:
    if n.prev is not None and n.prev.kind == "prim::Enter":
        p.indent().raw("pass\n")
    p.level -= 1


def _container_index(p: SourcePrinter, n: Node) -> None:
    container, key = n.inputs
    p.name_values(n.outputs)
    p.indent().join(p.use(n.output)).raw(" : ").add(p.annotation(n.output.type)).raw(" = ")
    p.body.join(p.use(container)).raw("[").join(p.use(key)).raw("]\n")


_WRITERS: dict[str, Callable[[SourcePrinter, Node], None]] = {
    "prim::Return": _return,
    "prim::Loop": _loop,
    "prim::If": _if,
    "prim::TupleUnpack": _unpack,
    "prim::ListUnpack": _unpack,
    "prim::SetAttr": _set_attribute,
    "prim::fork": _forked("fork", "__forked_function"),
    "prim::awaitable": _forked("awaitable", "__awaitable_function"),
    "prim::Closure": _closure,
    "prim::Enter": _enter,
    "prim::Exit": _exit,
    "prim::ModuleContainerIndex": _container_index,
}
