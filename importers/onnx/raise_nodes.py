"""Plain ONNX nodes as operators of torch, in a graph that is to be read: ``x + y`` for ``Add``, where lowering gives the node again.

What a node may be is declared beside the operators (``bridge.ir.readings``). A candidate is taken only when lowering it, at the
model's opset and for these element types, gives exactly this node: operator, inputs in order, attributes, those not set included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.importers.onnx.schemas import schema_of
from bridge.ir.classes import ScriptObject
from bridge.ir.dtypes import DType, by_name, known_numpy
from bridge.ir.element_types import ElementTypes
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.inspection import kind_of
from bridge.ir.readings import Given, Input, Reading, readings
from bridge.ir.registry import Operator, find
from bridge.ir.types import NONE, TENSOR, ListType, OptionalType, TensorType, Type

__all__ = ["Lowering", "NodeRaiser"]

#: The one node that an operator is, for (operator, arguments, opset); None when it is not one node. Tensors among the arguments
#: are (number of the input, element type).
Lowering = Callable[[Operator, Sequence[Any], int], Any]

_TYPES = ElementTypes(schema_of)


class NodeRaiser:
    """Raises the nodes of the graphs of one module."""

    def __init__(self, root: ScriptObject, lower: Lowering) -> None:
        self.root, self.lower = root, lower
        self.objects: dict[Value, Any] = {}
        self.dtypes: dict[Value, DType | None] = {}
        self.shapes: dict[Value, tuple[int, ...]] = {}
        self.raised = 0

    def graph(self, graph: Graph) -> None:
        """Raise what can be raised; the graph has loops and branches already, and attributes are not read at their use yet."""
        self.opset = graph.opsets.get("", 0)
        self.objects, self.shapes = {graph.inputs[0]: self.root}, {}
        self.dtypes = {v: _declared(v.type) for v in graph.inputs}
        if self.opset:
            self._block(graph.block)

    def _block(self, block: Block) -> None:
        for node in list(block.nodes):
            self._node(node)

    def _node(self, node: Node) -> None:
        namespace, _, name = node.kind.partition("::")
        if node.blocks:
            self._enter(node)
        elif node.kind == "prim::GetAttr":
            value = self.objects[node.inputs[0]].attributes[node["name"]]
            self.objects[node.output] = value
            if not isinstance(value, ScriptObject):
                array = getattr(value, "_array", value)
                self.dtypes[node.output], self.shapes[node.output] = _dtype(array), array.shape
        elif node.kind == "prim::Constant":
            self.dtypes[node.output] = _dtype(node.attributes.get("value"))
        elif node.kind == "aten::tensor":
            self.dtypes[node.output] = by_name("int64")  # made for a loop's number
        elif namespace not in ("aten", "prim"):
            domain = "" if namespace == "onnx" else namespace
            inputs = [self.dtypes.get(v) for v in node.inputs]
            version = node.graph.opsets.get(domain, 0)
            found = _TYPES.results(name, domain, version, inputs, node.attributes, len(node.outputs))
            self.dtypes.update(zip(node.outputs, found, strict=True))
            if not domain:
                self._raise(node, name)

    def _enter(self, node: Node) -> None:
        if node.kind == "prim::Loop":
            for inner, outer in zip(node.blocks[0].inputs[1:], node.inputs[2:], strict=True):
                self.dtypes[inner] = self.dtypes.get(outer)
        for block in node.blocks:
            self._block(block)
        if node.kind == "prim::If":
            for v, a, b in zip(node.outputs, *(b.outputs for b in node.blocks), strict=True):
                same = self.dtypes.get(a) is self.dtypes.get(b)
                self.dtypes[v] = self.dtypes.get(a) if same else None
        elif node.kind == "prim::Loop":
            for v, outer in zip(node.outputs, node.inputs[2:], strict=True):
                self.dtypes[v] = self.dtypes.get(outer)

    # -- one node ------------------------------------------------------------------------------------------------------

    def _raise(self, node: Node, op_type: str) -> None:
        candidates = readings(op_type)
        if not candidates or node.overload:
            return
        since = _TYPES.since(op_type, "", self.opset)
        shapes = [self.shapes.get(v) for v in node.inputs]
        given = Given([_constant(v) for v in node.inputs], node.attributes, len(node.outputs), shapes)
        for reading in candidates:
            arguments = reading.arguments(given) if since >= reading.since else None
            if arguments is not None and self._is(node, op_type, reading, arguments):
                self._replace(node, reading, arguments)
                self.raised += 1
                return

    def _is(self, node: Node, op_type: str, reading: Reading, arguments: Sequence[Any]) -> bool:
        """Whether the operator, lowered, is the node."""
        operator = _operator(reading)
        try:
            lowered = [self._argument(node, a) for a in arguments]
        except LookupError:
            return False
        one = self.lower(operator, lowered, self.opset)
        return (
            one is not None
            and one.op_type == op_type
            and len(one.results) == len(node.outputs)
            and _same_inputs(node, one.inputs)
            and _same_attributes(node.attributes, one.attributes)
        )

    def _argument(self, node: Node, a: Any) -> Any:
        if isinstance(a, list):
            return [self._argument(node, x) for x in a]
        if not isinstance(a, Input):
            return a
        dtype = self.dtypes.get(node.inputs[a.index])
        if dtype is None:
            raise LookupError
        return a.index, dtype

    @staticmethod
    def _replace(node: Node, reading: Reading, arguments: Sequence[Any]) -> None:
        graph, operator = node.graph, _operator(reading)
        with graph.inserting(node), graph.at_range(node.range):
            inputs = [
                _value(graph, node, v, a.type)
                for v, a in zip(operator.complete(list(arguments)), operator.schema.arguments, strict=True)
            ]
        kind, _, node.overload = reading.operator.partition(".")
        node.kind = kind_of(kind)
        node.attributes.clear()
        node.remove_all_inputs()
        for v in inputs:
            node.add_input(v)


def _operator(reading: Reading) -> Operator:
    name, _, overload = reading.operator.partition(".")
    found = find(name, overload)
    assert found is not None, reading.operator
    return found


def _declared(t: Type) -> DType | None:
    return t.dtype if isinstance(t, TensorType) else None


def _dtype(value: Any) -> DType | None:
    return known_numpy(value.dtype) if isinstance(value, np.ndarray) else None


def _constant(v: Value) -> np.ndarray[Any, Any] | None:
    value = v.node.attributes.get("value") if v.node.kind == "prim::Constant" else None
    return value if isinstance(value, np.ndarray) else None


def _same_inputs(node: Node, made: Sequence[Any]) -> bool:
    if len(node.inputs) != len(made):
        return False
    for v, wanted in zip(node.inputs, made, strict=True):
        if isinstance(wanted, np.ndarray):
            constant = _constant(v)
            if constant is None or constant.dtype != wanted.dtype or constant.shape != wanted.shape:
                return False
            if constant.tobytes() != wanted.tobytes():
                return False
        elif wanted is None:
            if v.type is not NONE:
                return False
        elif v is not node.inputs[wanted]:
            return False
    return True


def _same_attributes(given: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    if given.keys() != made.keys():
        return False
    return all(_same_value(given[name], made[name]) for name in made)


def _same_value(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.float32(a) == np.float32(b))
    return type(a) is type(b) and bool(a == b)


def _value(graph: Graph, node: Node, a: Any, t: Type) -> Value:
    """An argument as a value before the node."""
    if isinstance(a, Input):
        return node.inputs[a.index]
    if isinstance(a, list) and any(isinstance(x, Input) for x in a):
        pack = graph.insert(graph.create("prim::ListConstruct", [_value(graph, node, x, TENSOR) for x in a]))
        pack.output.type = ListType(TENSOR)
        return pack.output
    if a is None:
        return graph.constant(None, NONE)
    if isinstance(t, OptionalType):
        t = t.element
    return graph.constant(a, t if isinstance(t, ListType) else None)
