"""Programs of numbers alone, as Python functions: a session of onnxruntime costs more than all that they do.

A graph whose values are ints, floats, bools and lists and tuples of these becomes Python source, statement by statement, with
Python's own operators where these are what the operator does, and the operator's kernel otherwise. What fails in it is run again by
the interpreter, which has the words for it: nothing outside has changed by then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from bridge.ir import types as T
from bridge.ir.classes import Function
from bridge.ir.graph import Block, Node, Value
from bridge.ir.node_schema import operator_of
from bridge.ir.passes.inline import inlined_graph
from bridge.ir.registry import Operator
from bridge.runtime.host_entry import NUMBERS, compiled, is_plain, taken
from bridge.runtime.host_memory import last_read
from bridge.runtime.host_ranges import FULL, RING, Ranges

__all__ = ["Failed", "NotHosted", "Writer", "host_program"]

_FOREVER = 2**63 - 1
_NAME = re.compile(r"\bv\d+\b")
#: Bits of the ints that floats hold.
_EXACT = 53
#: Texts up to which length are written twice, and into others.
_SHORT, _LONG = 6, 160
_BINARY = {
    "aten::add": "+", "aten::sub": "-", "aten::mul": "*", "aten::floordiv": "//", "aten::remainder": "%", "aten::eq": "==",
    "aten::ne": "!=", "aten::lt": "<", "aten::le": "<=", "aten::gt": ">", "aten::ge": ">=",
    "aten::__and__": "&", "aten::__or__": "|", "aten::__xor__": "^", "aten::div": "/",
}  # fmt: skip
#: Operators with a text of their own, in terms of their inputs.
_TEXTS = {
    "prim::max": "({1} if {0} < {1} else {0})", "prim::min": "({1} if {1} < {0} else {0})",
    "aten::__derive_index": "{1} + {0} * {2}", "aten::__range_length": "len(range({0}, {1}, {2}))",
}  # fmt: skip
_OF_DICTS = {"aten::keys": "list({0})", "aten::values": "list({0}.values())", "aten::items": "list({0}.items())"}
_CALLS = {
    "aten::Int": "int",
    "aten::Float": "float",
    "aten::Bool": "bool",
    "aten::__not__": "not ",
    "aten::neg": "-",
}


class NotHosted(Exception):
    """The program is not one of numbers alone."""


Failed = Callable[[Exception, tuple[Any, ...]], Any]


def host_program(function: Function, failed: Failed) -> Callable[[tuple[Any, ...]], Any] | None:
    """The Python function for a free function of numbers, of a tuple of arguments (:func:`compiled`); None for other programs.

    ``failed(error, args)`` gives the result where it raises.
    """
    graph = inlined_graph(function)
    takes = [v.type for v in graph.inputs]
    if not takes or len(graph.outputs) != 1 or not all(map(is_plain, (*takes, graph.outputs[0].type))):
        return None
    writer = Writer()
    try:
        parameters = [taken(writer.name(v), v.type, writer.names, copied=not _only_reads(v)) for v in graph.inputs]
        writer.block(graph.block, 2)
        writer.line(2, f"return {writer.name(graph.outputs[0])}")
        return compiled(function.qualified_name, parameters, writer.lines, {**writer.names, "failed": failed})
    except (NotHosted, SyntaxError, RecursionError):  # (Python nests only so many blocks)
        return None


def _only_reads(v: Value) -> bool:
    """Whether a program does nothing to a list but look at its elements."""
    return all(u.user.kind in ("aten::len", "aten::__getitem__") for u in v.uses)


class Writer:
    """Writes the statements of blocks; ``names`` are the kernels and constants that they read."""

    def __init__(self) -> None:
        self.ranges = Ranges()
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.values: dict[Value, str] = {}
        self.before: dict[
            Value, Value
        ] = {}  # whose names those of a loop's next iteration have, where they are read no more
        self.tests = 0

    def line(self, depth: int, text: str) -> None:
        self.lines.append(" " * depth + text)

    def name(self, v: Value) -> str:
        found = self.values.get(v)
        if found is None:
            found = self.values[v] = f"v{len(self.values)}"
        return found

    def is_plain(self, t: T.Type) -> bool:
        return is_plain(t, named=True)

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
        if isinstance(value, tuple) and all(isinstance(v, bool | int) for v in value):
            self.values[n.output] = repr(value)
        elif not isinstance(value, bool | int | float | str | None):
            raise NotHosted
        elif isinstance(value, float) and not math.isfinite(value):
            self.values[n.output] = name = f"c{len(self.names)}"
            self.names[name] = value
        else:
            self.values[n.output] = f"({value!r})"

    def operator(self, n: Node, a: list[str], depth: int) -> None:
        kind = n.kind
        numbers = all(v.type in NUMBERS for v in n.inputs)
        if kind in ("prim::TupleUnpack", "prim::ListUnpack"):
            self.line(depth, f"{', '.join(map(self.name, n.outputs))}, = {a[0]}")
            return
        text = self.of_numbers(n, a) if numbers else self.of_lists(n, a, depth)
        if text is None:
            text = self.kernel(n, a)
        if numbers and len(n.outputs) == 1:
            self.put(n.output, text, depth, self.ranges.node(n) if n.output.type is T.INT else 0)
        elif n.outputs and not (text == a[0] and not n.output.uses):
            self.line(depth, f"{self.name(n.output)} = {text}")
            if n.output.type is T.INT and kind == "aten::len":
                self.ranges.known[n.output] = self.ranges.node(n)
        elif not n.outputs and text:
            self.line(depth, text)

    def of_numbers(self, n: Node, a: list[str]) -> str | None:
        """What Python says for an operator on numbers, where that gives the same; None: its kernel is to be called."""
        kind = n.kind
        floats = any(v.type is T.FLOAT for v in n.inputs)
        if kind in ("aten::floordiv", "aten::remainder") and floats:
            return None  # rounded before they are cut off
        if kind in ("prim::max", "prim::min") and len({v.type for v in n.inputs}) > 1:
            return None  # the result is a float, whichever it is
        if kind == "aten::div" and not floats and max(map(self.ranges.bits, n.inputs)) > _EXACT:
            return None
        if kind == "aten::__and__" and all(v.type is T.BOOL for v in n.inputs):
            return f"{a[0]} and {a[1]}"
        if kind in _BINARY and len(a) == 2:
            return f"{a[0]} {_BINARY[kind]} {a[1]}"
        if kind == "aten::pow" and _is_power(n):
            return f"{a[0]} ** {a[1]}"
        if kind in _CALLS and len(a) == 1:
            return f"{_CALLS[kind]}({a[0]})"
        if kind in ("prim::max", "prim::min") and len(a) == 2 and max(map(len, a)) > _SHORT:
            return f"{kind[-3:]}({a[0]}, {a[1]})"
        if kind in _TEXTS and len(a) > 1:
            return _TEXTS[kind].format(*a)
        if kind == "prim::ListConstruct":
            return f"[{', '.join(a)}]"
        if kind == "prim::TupleConstruct":
            return f"({', '.join(a)},)"
        if kind == "prim::DictConstruct":
            return f"{{{', '.join(map(': '.join, zip(a[::2], a[1::2], strict=True)))}}}"
        return None

    def of_lists(self, n: Node, a: list[str], depth: int) -> str | None:
        """The same for operators on lists, dicts and texts."""
        kind = n.kind
        first = n.inputs[0].type
        of_list, of_dict = isinstance(first, T.ListType), isinstance(first, T.DictType)
        if kind == "aten::len":
            return f"len({a[0]})"
        if kind == "prim::TupleIndex" or (kind == "aten::__getitem__" and (of_list or of_dict)):
            return f"{a[0]}[{a[1]}]"
        if kind in ("aten::add", "aten::mul") and len(a) == 2 and of_list:
            return f"{a[0]} {_BINARY[kind]} {a[1]}"
        if kind in ("aten::_set_item", "aten::append") and (of_list or of_dict):
            self.line(depth, f"{a[0]}.append({a[1]})" if kind == "aten::append" else f"{a[0]}[{a[1]}] = {a[2]}")
            return a[0] if n.outputs else ""
        if kind == "aten::pop" and (of_list or of_dict):
            return f"{a[0]}.pop({', '.join(a[1:])})"
        if kind in ("aten::eq", "aten::ne") and len(a) == 2 and of_list and _is_exact(first):
            return f"{a[0]} {_BINARY[kind]} {a[1]}"
        if (
            kind in ("prim::min", "prim::max")
            and len(a) == 1
            and isinstance(first, T.ListType)
            and first.element is T.INT
        ):
            return f"{kind[-3:]}({a[0]})"
        if kind in ("aten::__contains__", "aten::__contains_list__") and _is_exact(first):
            return f"{a[1]} in {a[0]}"
        if kind in _OF_DICTS and of_dict:
            return _OF_DICTS[kind].format(*a)
        if kind == "aten::get" and of_dict:
            return f"{a[0]}.get({', '.join(a[1:])})"
        if kind == "aten::list" and of_list:
            return f"{a[0]}.copy()"
        if kind == "aten::Delete" and (of_list or of_dict):
            return f"del {a[0]}[{a[1]}]"
        if kind in ("aten::__is__", "aten::__isnot__") and "(None)" in a:
            return f"{a[0]} {'is' if kind == 'aten::__is__' else 'is not'} {a[1]}"
        if kind in ("prim::ListConstruct", "prim::TupleConstruct", "prim::DictConstruct"):
            return self.of_numbers(n, a)
        if kind == "prim::unchecked_cast":
            return a[0]
        return None

    def put(self, v: Value, text: str, depth: int, bits: int = 0) -> None:
        """A number: where it is used once, and at once, the text stands there; it means the same, as numbers do not change.

        Of ints that may have more ``bits`` than there are it is looked at.
        """
        uses = v.uses
        here = (
            len(uses) == 1
            and uses[0].user.block is v.node.block
            and uses[0].user.kind != "prim::Loop"
            and len(text) < _LONG
        )
        fits = bits <= FULL
        if v.type is T.INT:
            self.ranges.known[v] = bits if fits else FULL
        if here and not fits and v.node.kind in RING and _is_ring(uses[0].user):
            self.ranges.known[v] = bits  # what it goes into is looked at
            fits = True
        if here and fits:
            self.values[v] = f"({text})"
            return
        self.line(depth, f"{self.name(v)} = {text}")
        if not fits:
            self.line(depth, f"if not {-1 << FULL} <= {self.name(v)} < {1 << FULL}: raise Overflow")

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
            self.share(b, [(v, o, self.before.get(o)) for v, o in zip(b.outputs, n.outputs, strict=True) if o.uses])
            self.lines = []
            self.block(b, depth + 1)
            sides.append((self.lines, [self.name(v) for v in b.outputs]))
        self.lines = lines
        self.ranges.leave(n)
        (then, given), (other, else_given) = sides
        if not then and not other and len(n.outputs) == 1 and n.output.type in NUMBERS:
            bits = self.ranges.bits(n.output) if n.output.type is T.INT else 0
            self.put(n.output, _chosen(condition, given[0], else_given[0]), depth, bits)
            return
        wanted = [o for o in n.outputs if o.uses]
        names = [self.name(o) for o in wanted]
        for side, values in ((then, given), (other, else_given)):
            self.lines = side
            self.assign(names, [v for v, o in zip(values, n.outputs, strict=True) if o.uses], depth + 1)
        self.lines = lines
        if then:
            self.lines += [" " * depth + f"if {condition}:", *then]
            if other:
                self.lines += [" " * depth + "else:", *other]
        elif other:
            self.lines += [" " * depth + f"if not {condition}:", *other]

    def loop(self, n: Node, depth: int) -> None:
        body = n.blocks[0]
        self.ranges.enter(n)
        index, *carried = [self.name(v) for v in body.inputs]
        self.assign(carried, [self.name(v) for v in n.inputs[2:]], depth)
        trips = n.inputs[0]
        first, again = n.inputs[1], body.outputs[0]
        if _is_true(first) and _is_true(again):
            forever = False
            self.line(depth, f"for {index} in range({self.name(trips)}):")
        else:
            forever = trips.node.kind == "prim::Constant" and trips.node["value"] >= _FOREVER
            counts = not forever or bool(body.inputs[0].uses)
            if counts:
                self.line(depth, f"{index} = -1")
            if not forever or not _is_true(first):
                limit = "" if forever else f" and {self.name(trips)} > 0"
                self.line(depth, f"if {self.name(first)}{limit}:")
                depth += 1
            self.line(depth, "while True:")
            if counts:
                self.line(depth + 1, f"{index} += 1")
        start = len(self.lines)
        self.share(body, [(v, p, p) for v, p in zip(body.outputs[1:], body.inputs[1:], strict=True)])
        self.block(body, depth + 1)
        values = [self.name(v) for v in body.outputs[1:]]
        if _is_true(again):
            self.assign(carried, values, depth + 1)
        else:
            self.again(self.name(again), carried, values, depth + 1)
        if not (_is_true(first) and _is_true(again)) and not forever:
            self.line(depth + 1, f"if {index} + 1 >= {self.name(trips)}: break")
        if len(self.lines) == start:
            self.line(depth + 1, "pass")
        for o, c in zip(n.outputs, carried, strict=True):  # which nothing else is assigned to until the loop runs again
            self.values[o] = c

    def share(self, block: Block, pairs: Sequence[tuple[Value, Value, Value | None]]) -> None:
        """Name results of a block like what is made of them, so that they are not moved: if what has that name before is not read
        after they are computed."""
        order = {n: i for i, n in enumerate(block.nodes)}
        for v, becomes, before in pairs:
            n = v.node
            if (
                v in self.values
                or n not in order
                or n.kind in ("prim::Loop", "prim::Constant", "prim::GetAttr")
                or v.type not in NUMBERS
            ):
                continue
            if before is None or last_read(before, block, order, n) <= order[n]:
                self.values[v] = self.name(becomes)
                if before is not None:
                    self.before[v] = before

    def again(self, condition: str, to: list[str], values: list[str], depth: int) -> None:
        """The end of an iteration: what is carried on, if it goes on or not."""
        changed = {t for t, v in zip(to, values, strict=True) if t != v}
        if not changed.isdisjoint(_NAME.findall(condition)):
            self.tests += 1
            self.line(depth, f"go{self.tests} = {condition}")
            condition = f"go{self.tests}"
        self.assign(to, values, depth)
        self.line(depth, f"if not {condition}: break")

    def assign(self, to: list[str], values: list[str], depth: int) -> None:
        """Several at once, one after the other as far as none is read afterwards."""
        left = {t: v for t, v in zip(to, values, strict=True) if t != v}
        read = {t: set(_NAME.findall(v)) for t, v in left.items()}
        uses = dict.fromkeys(left, 0)
        for names in read.values():
            for name in names & uses.keys():
                uses[name] += 1
        for t in left:
            uses[t] -= t in read[t]
        ready = [t for t, count in uses.items() if not count]
        while ready:
            t = ready.pop()
            self.line(depth, f"{t} = {left.pop(t)}")
            for name in (read[t] & left.keys()) - {t}:
                uses[name] -= 1
                if not uses[name]:
                    ready.append(name)
        if left:
            self.line(depth, f"{', '.join(left)} = {', '.join(left.values())}")


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


def _is_ring(n: Node) -> bool:
    return n.kind in RING and n.output.type is T.INT


def _is_power(n: Node) -> bool:
    """Whether a power is one of a float by a whole number that is known, which Python computes alike."""
    by = n.inputs[1].node
    return n.inputs[0].type is T.FLOAT and by.kind == "prim::Constant" and type(by.attributes.get("value")) is int


def _is_true(v: Value) -> bool:
    return v.node.kind == "prim::Constant" and v.node.attributes.get("value") in (True, 1)


def _is_exact(t: T.Type) -> bool:
    """Whether Python finds in a list or dict what is equal; a NaN it would find as the object that it is."""
    element = t.element if isinstance(t, T.ListType) else t.key if isinstance(t, T.DictType) else None
    return element in (T.INT, T.BOOL, T.STR)
