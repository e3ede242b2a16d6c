"""Whether two models compute the same, shown node by node from the results back, whatever their names are.

What is shown is a relation of values: two are paired when the same operator with the same attributes makes them of paired values,
loops included. So a model that was written from a program can be told to be the one that the program was printed from.
``Identity`` is what it is given, functions are what is in them, tensors may differ in their values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
from onnx import AttributeProto, helper

from bridge.exporters.onnx.same_loops import NOT_LOOPS, Loops, as_loop
from bridge.exporters.onnx.same_values import (
    Different,
    Node,
    Value,
    array_of,
    behind,
    constant_of,
    is_true,
    kept_values,
    never_stops,
    same_array,
    same_values,
    told,
    top_scope,
)

__all__ = ["Comparison"]

_FOREVER = (1 << 63) - 1
_RANDOM = frozenset(
    "Bernoulli Dropout Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike".split()
)
_NOT_LOOPS = {("", op_type) for op_type in NOT_LOOPS}
_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


class Comparison:
    """Pairs the values of two models; ``tensors`` are the pairs of tensors, ``nodes`` those of nodes.

    Raises Different. ``made`` may have been edited, ``original`` may lack the data of large tensors and long attributes.
    """

    def __init__(self, made: onnx.ModelProto, original: onnx.ModelProto) -> None:
        self.tensors: dict[Value, Value] = {}
        self.nodes: dict[Node, Node] = {}
        self._seen: set[tuple[Value, Value]] = set()
        self._todo: list[tuple[Value, Value]] = []
        self._loops: Loops = set()
        self._random: dict[Node, Node] = {}
        a, b = top_scope(made), top_scope(original)
        self._all(a.results(), b.results(), "results")
        while self._todo:
            self._pair(*self._todo.pop())

    def _all(self, a: list[Value], b: list[Value], what: str) -> None:
        if len(a) != len(b):
            raise Different(f"{len(a)} and {len(b)} {what}")
        self._todo += zip(a, b, strict=True)

    def _pair(self, a: Value, b: Value) -> None:
        if (a, b) in self._seen:
            return
        self._seen.add((a, b))
        a, b = _settled(a), _settled(b)
        same, other = a.is_op("Identity"), b.is_op("Identity")
        if same != other:
            self._todo.append((a.made_by.find(0), b) if same else (a, b.made_by.find(0)))
        elif b.node is not None and b.kind != "tensor" and b.made_by.key[:2] in _NOT_LOOPS:
            self._todo += as_loop(a, b, self._loops)
        elif a.kind == "tensor" and b.kind == "tensor":
            known = self.tensors.setdefault(b, a)
            if known is not a and not same_values(known, a):
                raise Different("one tensor has become two")
        elif a.kind == "tensor" and b.kind == "result" and b.made_by.key == ("", "Constant", ""):
            _check_constant(a, b.made_by)
        elif a.kind != b.kind:
            raise Different(f"{told(a)} in place of {told(b)}")
        elif a.kind == "parameter":
            self._parameters(a, b)
        elif a.kind == "result":
            self._results(a, b)
        elif a.kind == "input" and a.index != b.index:
            raise Different("another input")

    def _results(self, a: Value, b: Value) -> None:
        m, n = a.made_by, b.made_by
        if m.key != n.key:
            raise Different(f"{told(a)} in place of {told(b)}")
        if m.key == ("", "If", ""):
            self._todo.append((m.find(0), n.find(0)))
            for name in ("then_branch", "else_branch"):
                x, y = m.body(name), n.body(name)
                self._todo.append((x.find(x.graph.output[a.index].name), y.find(y.graph.output[b.index].name)))
            self.nodes[n] = m
        elif m.key == ("", "Loop", ""):
            self._loop(a, b)
        else:
            if a.index != b.index:
                raise Different(f"another result of {n.proto.op_type}")
            self._plain(m, n)

    def _plain(self, m: Node, n: Node) -> None:
        """Nodes without graphs."""
        known = self.nodes.get(n)
        if known is m:
            return
        if known is not None and (n.key[1] in _RANDOM or list(known.proto.attribute) != list(m.proto.attribute)):
            raise Different("one node has become two")
        if n.key[1] in _RANDOM and self._random.setdefault(m, n) is not n:
            raise Different("two nodes of chance have become one")
        self.nodes[n] = m
        for position in range(max(len(m.proto.input), len(n.proto.input))):
            self._todo.append((m.find(position), n.find(position)))
        _check_attributes(m, n)

    def _loop(self, a: Value, b: Value) -> None:
        m, n = a.made_by, b.made_by
        x, y = m.body("body"), n.body("body")
        if (m, n) not in self._loops:
            self._loops.add((m, n))
            self.nodes[n] = m
            if not (_endless(m) and _endless(n)):
                self._todo.append((m.find(0), n.find(0)))
            first, other = m.find(1), n.find(1)
            if not (is_true(first) and is_true(other)):
                self._todo.append((first, other))
            if not (never_stops(x, m) and never_stops(y, n)):
                self._todo.append((x.find(x.graph.output[0].name), y.find(y.graph.output[0].name)))
        carried, others = len(m.proto.input) - 2, len(n.proto.input) - 2
        if (a.index < carried) != (b.index < others):
            raise Different("what a loop carries and what it collects")
        if a.index < carried:
            self._todo.append((m.find(a.index + 2), n.find(b.index + 2)))
        self._todo.append((x.find(x.graph.output[a.index + 1].name), y.find(y.graph.output[b.index + 1].name)))

    def _parameters(self, a: Value, b: Value) -> None:
        """What a loop's body takes: the number, the condition, what is carried."""
        m, n = a.made_by, b.made_by
        if (m, n) not in self._loops or min(a.index, 2) != min(b.index, 2):
            raise Different("a value of another loop")
        if a.index < 2:
            return
        self._todo.append((m.find(a.index), n.find(b.index)))
        x, y = m.body("body"), n.body("body")
        self._todo.append((x.find(x.graph.output[a.index - 1].name), y.find(y.graph.output[b.index - 1].name)))


def _settled(v: Value) -> Value:
    """What a loop hands on unchanged is what it was before the loop."""
    while v.node is not None and v.made_by.key == ("", "Loop", ""):
        position = v.index + 2 if v.kind == "result" else v.index
        if position < 2 or position >= len(v.made_by.proto.input):
            break
        body = v.made_by.body("body")
        handed = behind(body.find(body.graph.output[position - 1].name))
        if handed is not body.find(body.graph.input[position].name):
            break
        v = v.made_by.find(position)
    return v


def _endless(loop: Node) -> bool:
    """Whether nothing limits the number of iterations."""
    v = loop.find(0)
    if v.kind == "nothing":
        return True
    array = kept_values(v) if v.kind == "tensor" else None
    return array is not None and array.size == 1 and int(array.reshape(-1)[0]) == _FOREVER


def _check_constant(a: Value, node: Node) -> None:
    """A function's Constant must be the one that the program has."""
    x, y = kept_values(a), constant_of(node)
    if x is None or y is None or not same_array(x, y):
        raise Different("a function's constant has changed")


def _check_attributes(m: Node, n: Node) -> None:
    x, y = m.all_attributes(), n.all_attributes()
    for name in {*x, *y}:
        a, b = x.get(name), y.get(name)
        if a is None or b is None or a.type != b.type or a.type in _GRAPHS or not _same_attribute(a, b):
            if a is not None and b is not None and _left_out(b):
                continue
            raise Different(f"attribute '{name}' of {n.proto.op_type}")


def _same_attribute(a: AttributeProto, b: AttributeProto) -> bool:
    if a.type == AttributeProto.TENSOR:
        x, y = array_of(a.t), array_of(b.t)
        return x is not None and y is not None and same_array(x, y)
    p, q = helper.get_attribute_value(a), helper.get_attribute_value(b)
    return repr(p) == repr(q) if isinstance(p, float) else bool(p == q)


def _left_out(b: AttributeProto) -> bool:
    """Whether the records keep an attribute without its value."""
    if b.type == AttributeProto.TENSOR:
        return array_of(b.t) is None
    return not any(len(values) for values in _lists(b))


def _lists(a: AttributeProto) -> Iterator[Any]:
    if a.type in (AttributeProto.FLOATS, AttributeProto.INTS, AttributeProto.STRINGS):
        yield a.floats
        yield a.ints
        yield a.strings
    else:
        yield [None]
