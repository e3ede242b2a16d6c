"""Programs of numbers alone, as Python functions: a session of onnxruntime costs more than all that they do.

A graph whose values are ints, floats, bools and lists and tuples of these becomes Python source, statement by statement, with
Python's own operators where these are what the operator does, and the operator's kernel otherwise. What fails in it is run again by
the interpreter, which has the words for it: nothing outside has changed by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bridge.ir import types as T
from bridge.ir.classes import Function
from bridge.ir.graph import Block, Node, Value
from bridge.ir.node_schema import operator_of
from bridge.ir.passes.inline import inlined_graph
from bridge.ir.registry import Operator

__all__ = ["NUMBERS", "HostProgram", "NotHosted", "Writer", "host_program"]

NUMBERS: dict[T.Type, type] = {T.INT: int, T.FLOAT: float, T.BOOL: bool}
_FOREVER = 2**63 - 1
#: Texts up to which length are written twice, and into others.
_SHORT, _LONG = 6, 160
_BINARY = {
    "aten::add": "+", "aten::sub": "-", "aten::mul": "*", "aten::floordiv": "//", "aten::remainder": "%", "aten::eq": "==",
    "aten::ne": "!=", "aten::lt": "<", "aten::le": "<=", "aten::gt": ">", "aten::ge": ">=",
    "aten::__and__": "&", "aten::__or__": "|", "aten::__xor__": "^", "aten::div": "/",
}  # fmt: skip
#: Statements with a text of their own, in terms of their inputs.
_TEXTS = {
    "aten::__getitem__": "{0}[{1}]", "prim::max": "({1} if {0} < {1} else {0})", "prim::min": "({1} if {1} < {0} else {0})",
    "aten::__derive_index": "{1} + {0} * {2}", "aten::__range_length": "len(range({0}, {1}, {2}))",
}  # fmt: skip
_CALLS = {
    "aten::Int": "int",
    "aten::Float": "float",
    "aten::Bool": "bool",
    "aten::__not__": "not ",
    "aten::neg": "-",
    "aten::len": "len",
}


class NotHosted(Exception):
    """The program is not one of numbers alone."""


class HostProgram:
    """A program as a Python function; ``takes`` are the types of its arguments."""

    __slots__ = ("call", "takes")

    def __init__(self, call: Callable[..., Any], takes: Sequence[T.Type]) -> None:
        self.call, self.takes = call, takes

    def arguments(self, given: Sequence[Any]) -> list[Any] | None:
        """The arguments as the function takes them (lists are copied); None when they are of other types."""
        found = []
        for v, t in zip(given, self.takes, strict=True):
            kind = NUMBERS.get(t)
            if kind is not None:
                if type(v) is not kind:
                    return None
                found.append(v)
            else:
                inner = NUMBERS[t.contained()[0]]
                if type(v) is not list or not all(type(x) is inner for x in v):
                    return None
                found.append(v.copy())
        return found


def host_program(function: Function) -> HostProgram | None:
    """The Python function for a free function of numbers; None for other programs."""
    graph = inlined_graph(function)
    takes = [v.type for v in graph.inputs]
    if (
        not takes
        or len(graph.outputs) != 1
        or not all(_is_argument(t) for t in takes)
        or not _is_plain(graph.outputs[0].type)
    ):
        return None
    writer = Writer()
    try:
        names = [writer.name(v) for v in graph.inputs]
        writer.block(graph.block, 1)
        writer.line(1, f"return {writer.name(graph.outputs[0])}")
        source = "\n".join([f"def program({', '.join(names)}):", *writer.lines])
        exec(compile(source, f"<{function.qualified_name}>", "exec"), writer.names)  # noqa: S102 (written here, from a graph)
    except (NotHosted, SyntaxError, RecursionError):  # (Python nests only so many blocks)
        return None
    return HostProgram(writer.names["program"], takes)


def _is_argument(t: T.Type) -> bool:
    return t in NUMBERS or (isinstance(t, T.ListType) and t.element in NUMBERS)


def _is_plain(t: T.Type) -> bool:
    if isinstance(t, T.TupleType):
        return not t.name and all(map(_is_plain, t.elements))
    return _is_argument(t)


class Writer:
    """Writes the statements of blocks; ``names`` are the kernels and constants that they read."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.values: dict[Value, str] = {}
        self.loops = 0

    def line(self, depth: int, text: str) -> None:
        self.lines.append(" " * depth + text)

    def name(self, v: Value) -> str:
        found = self.values.get(v)
        if found is None:
            found = self.values[v] = f"v{len(self.values)}"
        return found

    def is_plain(self, t: T.Type) -> bool:
        return _is_plain(t)

    def block(self, block: Block, depth: int) -> None:
        for n in block.nodes:
            self.statement(n, depth)

    def statement(self, n: Node, depth: int) -> None:
        kind = n.kind
        if kind == "prim::If":
            self.choice(n, depth)
        elif kind == "prim::Loop":
            self.loop(n, depth)
        elif kind == "prim::Constant":
            self.constant(n)
        elif kind == "prim::RaiseException":
            self.line(depth, "raise RuntimeError")
        elif kind == "prim::Uninitialized":
            self.values[n.output] = "None"
        else:
            if not all(self.is_plain(v.type) for v in (*n.inputs, *n.outputs)):
                raise NotHosted
            self.operator(n, [self.name(v) for v in n.inputs], depth)

    def constant(self, n: Node) -> None:
        value = n.attributes.get("value")
        if not isinstance(value, bool | int | float | str | None):
            raise NotHosted
        name = f"c{len(self.names)}"
        self.values[n.output], self.names[name] = name, value
        if type(value) is int or type(value) is bool:
            self.values[n.output] = f"({value})"

    def operator(self, n: Node, a: list[str], depth: int) -> None:
        kind = n.kind
        numbers = all(v.type in NUMBERS for v in n.inputs)
        pure = numbers and len(n.outputs) == 1
        if kind in _BINARY and len(a) == 2 and numbers:
            text = f"{a[0]} {_BINARY[kind]} {a[1]}"
        elif kind == "aten::pow" and _is_power(n):
            text = f"{a[0]} ** {a[1]}"
        elif kind in _CALLS and len(a) == 1 and (numbers or kind == "aten::len"):
            text = f"{_CALLS[kind]}({a[0]})"
        elif kind in ("prim::max", "prim::min") and len(a) == 2 and numbers and max(map(len, a)) > _SHORT:
            text = f"{kind[-3:]}({a[0]}, {a[1]})"
        elif kind in _TEXTS and ((numbers and len(a) > 1) or kind == "aten::__getitem__"):
            text = _TEXTS[kind].format(*a)
        elif kind in ("aten::add", "aten::mul") and len(a) == 2:  # of lists
            text = f"{a[0]} {_BINARY[kind]} {a[1]}"
        elif kind == "aten::_set_item":
            self.line(depth, f"{a[0]}[{a[1]}] = {a[2]}")
            text = a[0]
        elif kind == "aten::append":
            self.line(depth, f"{a[0]}.append({a[1]})")
            text = a[0]
        elif kind == "aten::pop" and isinstance(n.inputs[0].type, T.ListType):
            text = f"{a[0]}.pop({', '.join(a[1:])})"
        elif kind == "prim::ListConstruct":
            text = f"[{', '.join(a)}]"
        elif kind == "prim::TupleConstruct":
            text = f"({', '.join(a)},)"
        elif kind in ("prim::TupleUnpack", "prim::ListUnpack"):
            self.line(depth, f"{', '.join(map(self.name, n.outputs))}, = {a[0]}")
            return
        else:
            text = self.kernel(n, a)
        if pure:
            self.put(n.output, text, depth)
        elif n.outputs and not (text == a[0] and not n.output.uses):
            self.line(depth, f"{self.name(n.output)} = {text}")
        elif not n.outputs:
            self.line(depth, text)

    def put(self, v: Value, text: str, depth: int) -> None:
        """A number: where it is used once, and at once, the text stands there; it means the same, as numbers do not change."""
        uses = v.uses
        if (
            len(uses) == 1
            and uses[0].user.block is v.node.block
            and uses[0].user.kind != "prim::Loop"
            and len(text) < _LONG
        ):
            self.values[v] = f"({text})"
        else:
            self.line(depth, f"{self.name(v)} = {text}")

    def kernel(self, n: Node, a: list[str]) -> str:
        o = operator_of(n)
        if o is None or o.kernel is None or o.side_effect or len(n.outputs) > 1:
            raise NotHosted
        return f"{self.kernel_of(o, len(a))}({', '.join(a)})"

    def kernel_of(self, o: Operator, given: int) -> str:
        """The name of an operator's kernel, for so many arguments."""
        name, run = f"k{len(self.names)}", o.run
        self.names[name] = o.kernel if given == len(o.schema.arguments) and not o.composite else run
        return name

    def choice(self, n: Node, depth: int) -> None:
        condition, lines = self.name(n.inputs[0]), self.lines
        sides = []
        for b in n.blocks:
            self.lines = []
            self.block(b, depth + 1)
            sides.append((self.lines, [self.name(v) for v in b.outputs]))
        self.lines = lines
        (then, given), (other, else_given) = sides
        if not then and not other and len(n.outputs) == 1 and n.output.type in NUMBERS:
            self.put(n.output, _chosen(condition, given[0], else_given[0]), depth)
            return
        names = [self.name(o) for o in n.outputs]
        if then or other or names:
            self.line(depth, f"if {condition}:")
            self.lines += then
            self.assign(names, given, depth + 1, bool(then))
        if other or names:
            self.line(depth, "else:")
            self.lines += other
            self.assign(names, else_given, depth + 1, bool(other))

    def loop(self, n: Node, depth: int) -> None:
        body = n.blocks[0]
        index, *carried = [self.name(v) for v in body.inputs]
        self.assign(carried, [self.name(v) for v in n.inputs[2:]], depth)
        trips = n.inputs[0]
        always = all(_is_true(v) for v in (n.inputs[1], body.outputs[0]))
        forever = trips.node.kind == "prim::Constant" and trips.node["value"] >= _FOREVER
        counts = not forever or bool(body.inputs[0].uses)
        self.loops += 1
        going = f"go{self.loops}"
        if always and not forever:
            self.line(depth, f"for {index} in range({self.name(trips)}):")
        else:
            self.line(depth, f"{going} = {self.name(n.inputs[1])}")
            if counts:
                self.line(depth, f"{index} = -1")
            limit = "" if forever else f" and {index} < {self.name(trips)} - 1"
            self.line(depth, f"while {going}{limit}:")
            if counts:
                self.line(depth + 1, f"{index} += 1")
        self.block(body, depth + 1)
        outs = [self.name(v) for v in body.outputs]
        self.assign([going, *carried] if not (always and not forever) else carried,
                    outs if not (always and not forever) else outs[1:], depth + 1)  # fmt: skip
        for o, c in zip(n.outputs, carried, strict=True):  # which nothing else is assigned to until the loop runs again
            self.values[o] = c

    def assign(self, to: list[str], values: list[str], depth: int, more: bool = False) -> None:
        """Several at once; ``more``: there are lines before, so that none is needed."""
        if to or not more:
            self.line(depth, f"{', '.join(to)} = {', '.join(values)}" if to else "pass")


def _chosen(condition: str, a: str, b: str) -> str:
    """The one or the other, in few words."""
    if (a, b) == ("(False)", "(True)"):
        return f"not {condition}"
    if (a, b) == ("(True)", "(False)"):
        return condition
    if b == "(False)":
        return f"{condition} and {a}"
    if a == "(True)":
        return f"{condition} or {b}"
    return f"{a} if {condition} else {b}"


def _is_power(n: Node) -> bool:
    """Whether a power is one of a float by a whole number that is known, which Python computes alike."""
    by = n.inputs[1].node
    return n.inputs[0].type is T.FLOAT and by.kind == "prim::Constant" and type(by.attributes.get("value")) is int


def _is_true(v: Value) -> bool:
    return v.node.kind == "prim::Constant" and v.node.attributes.get("value") in (True, 1)
