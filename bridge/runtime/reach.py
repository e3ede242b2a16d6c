"""Which results of a program can have a gradient: those that something that requires one reaches.

Told from the graph alone, once per kind of arguments, and on the safe side: what is not reached surely has no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.ir import types as T
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.graph import Graph, Node, Value
from bridge.ir.node_schema import operator_of
from bridge.ir.passes.inline import inlined_graph
from bridge.runtime.plans import tensors_of

__all__ = ["asks_for_gradients", "makes_leaves", "reached_results"]

#: Nodes that do not say what happens inside.
_OPAQUE = ("prim::Call", "prim::fork", "prim::Closure", "prim::PythonOp", "^")


def makes_leaves(function: Function) -> bool:
    """Whether a program itself makes tensors that require gradients, or goes back along the tape."""
    for n in inlined_graph(function).all_nodes():
        if n.kind in ("aten::requires_grad_", "aten::backward", "aten::grad"):
            return True
        if n.kind == "aten::tensor" and len(n.inputs) == 4 and _constant(n.inputs[3]) is not False:
            return True
    return False


def asks_for_gradients(function: Function) -> bool:
    """Whether a program looks at which of its tensors require gradients."""
    return any(n.kind in ("prim::requires_grad", "aten::is_leaf") for n in inlined_graph(function).all_nodes())


def reached_results(
    function: Function, owner: ScriptObject | None, requires: Sequence[bool], result: Any
) -> list[bool]:
    """For each tensor of a result, in order: whether an argument (``requires``) or attribute with a gradient reaches it."""
    graph = inlined_graph(function)
    reach = _Reach(graph, owner, requires)
    output = graph.outputs[0] if graph.outputs else None
    return reach.flags(output, result) if output is not None else []


class _Reach:
    def __init__(self, graph: Graph, owner: ScriptObject | None, requires: Sequence[bool]) -> None:
        self.reached: set[Value] = set()
        self.objects: dict[Value, ScriptObject] = {}
        self.parents: dict[Value, Value] = {}
        self.containers: dict[Value, Value] = {}
        self.written: dict[str, bool] = {}
        inputs = list(graph.inputs)
        if owner is not None:
            self.objects[inputs[0]] = owner
            inputs = inputs[1:]
        self.reached.update(v for v, r in zip(inputs, requires, strict=True) if r)
        self.nodes = list(graph.all_nodes())
        for n in self.nodes:
            self._alias(n)
        self.members: dict[Value, list[Value]] = {}
        self.same: dict[Value, list[Value]] = {}
        for v in dict.fromkeys(v for n in self.nodes for v in (*n.inputs, *n.outputs)):
            self.members.setdefault(_root(self.parents, v), []).append(v)
            self.same.setdefault(_root(self.containers, v), []).append(v)
        before = -1
        while before != len(self.reached) + sum(self.written.values()):
            before = len(self.reached) + sum(self.written.values())
            for n in self.nodes:
                self._visit(n)

    def flags(self, v: Value, result: Any) -> list[bool]:
        parts = _parts(v)
        if isinstance(result, tuple) and parts is not None and len(parts) == len(result):
            return [f for p, r in zip(parts, result, strict=True) for f in self.flags(p, r)]
        return [v in self.reached] * len(tensors_of(result))

    # -- what is the same memory ---------------------------------------------------------------------------------------

    def _join(self, a: Value, b: Value) -> None:
        _union(self.parents, a, b)
        if _holds_tensors(a.type) and _holds_tensors(b.type):
            _union(self.containers, a, b)

    def _alias(self, n: Node) -> None:
        """Put what may share memory together: a write to one is a write to all."""
        for block in n.blocks:
            outs = block.outputs[1:] if n.kind == "prim::Loop" else block.outputs
            for o, v in zip(n.outputs, outs, strict=False):
                self._join(o, v)
            if n.kind == "prim::Loop":
                for v, i in zip(block.inputs[1:], n.inputs[2:], strict=False):
                    self._join(v, i)
                    self._join(v, n.outputs[block.inputs.index(v) - 1])
        if n.kind in ("prim::Constant", "prim::If", "prim::Loop") or (
            n.kind == "prim::TupleConstruct" and _is_taken_apart(n)
        ):
            return
        parts = _parts(n.inputs[0]) if n.kind in ("prim::TupleUnpack", "prim::TupleIndex") else None
        if parts is not None:
            for result, taken in self._taken(n, parts):
                for p in taken:
                    self._join(result, p)
            return
        operator = operator_of(n) if n.kind.startswith("aten::") else None
        arguments = operator.schema.arguments if operator is not None else ()
        for number, v in enumerate(n.inputs):
            a = arguments[number] if number < len(arguments) else None
            if a is None or a.alias or _holds_tensors(v.type):
                for other in n.outputs or n.inputs[:1]:
                    self._join(v, other)

    # -- what reaches what ---------------------------------------------------------------------------------------------

    def _visit(self, n: Node) -> None:
        if n.kind == "prim::Constant":
            return
        if n.kind == "prim::GetAttr":
            self._attribute(n)
        elif n.kind == "prim::SetAttr":
            self._set(n)
        elif n.blocks:
            self._blocks(n)
        elif n.kind in ("prim::TupleUnpack", "prim::TupleIndex") and (parts := _parts(n.inputs[0])) is not None:
            self._elements(n, parts)
        elif any(v in self.reached for v in n.inputs) or n.kind.startswith(_OPAQUE):
            self._operator(n)

    def _taken(self, n: Node, parts: Sequence[Value]) -> list[tuple[Value, Sequence[Value]]]:
        """What of a tuple each result may be."""
        if n.kind == "prim::TupleIndex":
            index = _constant(n.inputs[1])
            parts = [parts[index]] if isinstance(index, int) else parts
        return [(o, parts[i : i + 1] if len(parts) == len(n.outputs) else parts) for i, o in enumerate(n.outputs)]

    def _elements(self, n: Node, parts: Sequence[Value]) -> None:
        self.reached.update(o for o, taken in self._taken(n, parts) if any(p in self.reached for p in taken))

    def _attribute(self, n: Node) -> None:
        name = n.attributes["name"]
        held = self.objects.get(n.inputs[0])
        value = held.attributes.get(name) if held is not None else None
        if isinstance(value, ScriptObject):
            self.objects[n.outputs[0]] = value
            return
        tensors = tensors_of(value)
        if n.inputs[0] in self.reached or self.written.get(name) or any(t.requires_grad for t in tensors):
            self.reached.add(n.outputs[0])

    def _set(self, n: Node) -> None:
        if n.inputs[1] in self.reached:
            self.written[n.attributes["name"]] = True
            self.reached.add(n.inputs[0])

    def _blocks(self, n: Node) -> None:
        loop = n.kind == "prim::Loop"
        for block in n.blocks:
            given = list(n.inputs[2:]) if loop else []
            outs = list(block.outputs[1:] if loop else block.outputs)
            for i, o in enumerate(n.outputs):
                sources = [v for vs in (given, outs) for v in vs[i : i + 1]]
                if loop and i + 1 < len(block.inputs):
                    if o in self.reached or any(v in self.reached for v in sources):
                        self.reached.update((o, block.inputs[i + 1]))
                elif any(v in self.reached for v in sources):
                    self.reached.add(o)
        if n.kind not in ("prim::If", "prim::Loop"):
            self.reached.update(n.outputs)

    def _operator(self, n: Node) -> None:
        operator = operator_of(n) if n.kind.startswith("aten::") else None
        if operator is None:
            self.reached.update(n.outputs)
            return
        targets = [v for a, v in zip(operator.schema.arguments, n.inputs, strict=False) if a.writes]
        moves = targets or any(_holds_tensors(v.type) for v in (*n.inputs, *n.outputs))
        if moves or operator.grad is not None or operator.composite:
            self.reached.update(n.outputs)
            self._write(targets)

    def _write(self, targets: Sequence[Value]) -> None:
        for v in targets:
            contained = _holds_tensors(v.type)
            members, parents = (self.same, self.containers) if contained else (self.members, self.parents)
            self.reached.update(members.get(_root(parents, v), ()))


def _root(parents: dict[Value, Value], v: Value) -> Value:
    start = v
    while v in parents:
        v = parents[v]
    while start is not v:
        parents[start], start = v, parents[start]
    return v


def _union(parents: dict[Value, Value], a: Value, b: Value) -> None:
    a, b = _root(parents, a), _root(parents, b)
    if a is not b:
        parents[a] = b


def _holds_tensors(t: T.Type, inside: bool = False) -> bool:
    """Whether values of a type have tensors in them."""
    if isinstance(t, T.ListType | T.OptionalType):
        return _holds_tensors(t.element, inside or isinstance(t, T.ListType))
    if isinstance(t, T.TensorType):
        return inside
    return not isinstance(t, T.EnumType) and t not in (
        T.INT,
        T.FLOAT,
        T.BOOL,
        T.STR,
        T.NONE,
        T.NUMBER,
        T.COMPLEX,
        T.DEVICE,
    )


def _is_taken_apart(n: Node) -> bool:
    """Whether a tuple is only returned from the program or taken into its parts again."""
    users = [u.user for u in n.output.uses]
    return all(
        u is n.graph.return_node
        or u.kind in ("prim::TupleUnpack", "prim::TupleIndex")
        or (u.kind == "prim::TupleConstruct" and _is_taken_apart(u))
        for u in users
    )


def _parts(v: Value) -> Sequence[Value] | None:
    n = v.node
    return n.inputs if n is not None and n.kind == "prim::TupleConstruct" else None


def _constant(v: Value) -> Any:
    n = v.node
    return n.attributes.get("value") if n is not None and n.kind == "prim::Constant" else v
