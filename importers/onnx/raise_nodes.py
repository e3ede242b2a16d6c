"""Plain ONNX nodes as operators of torch, in a graph that is to be read: ``x + y`` for ``Add``, where lowering gives the node again.

What a node may be is declared beside the operators (``bridge.ir.readings``). A candidate is taken only when lowering it, at the
model's opset and for these element types, gives exactly this node: operator, inputs in order, attributes, those not set included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bridge.importers.onnx.schemas import schema_of
from bridge.ir.classes import ScriptObject
from bridge.ir.dtypes import by_name
from bridge.ir.element_types import ElementTypes
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.inspection import kind_of
from bridge.ir.node_facts import Facts
from bridge.ir.node_style import Explicit, explicit, same, style_of
from bridge.ir.readings import Given, Input, Operand, Reading, readings
from bridge.ir.registry import Operator, find
from bridge.ir.types import NONE, TENSOR, ListType, OptionalType, TensorType, Type

__all__ = ["Lowering", "NodeRaiser"]


class Lowering(Protocol):
    """The one node that an operator is; None when it is not one node."""

    def __call__(self, operator: Operator, arguments: Sequence[Any], opset: int, /) -> Any: ...

    def styled(self, one: Any, style: frozenset[str] | None, opset: int, /) -> Any:
        """That node as a model writes such nodes."""


_TYPES = ElementTypes(schema_of)
#: What is made of tensors that may have no elements has none, either.
_PARTS = frozenset("Identity Split Slice Concat ScatterND ScatterElements".split())
#: Constants of more elements are not compared.
_COMPARED = 64
#: What a node writes that has neither attributes nor constants.
_NOTHING: Explicit = (frozenset(), frozenset())


class NodeRaiser:
    """Raises the nodes of the graphs of one module."""

    def __init__(self, root: ScriptObject, lower: Lowering) -> None:
        self.root, self.lower = root, lower
        self.objects: dict[Value, Any] = {}
        self.facts = Facts(_TYPES)
        self.styles: dict[str, frozenset[str]] = {}
        #: The styles that make a difference.
        self.written: dict[str, frozenset[str]] = {}
        self.raised = 0
        #: What was found for nodes that are alike in all that decides it.
        self.known: dict[Any, tuple[list[Any], list[Any], tuple[Operator, Sequence[Any]] | None]] = {}

    def learn(self, graphs: Sequence[Graph]) -> None:
        """Find out what nodes write although it goes without saying."""
        found: dict[str, list[Explicit]] = {}
        for graph in graphs:
            opset = graph.opsets.get("", 0)
            for node in graph.all_nodes():
                namespace, _, op_type = node.kind.partition("::")
                if namespace == "onnx" and readings(op_type):
                    told = found.setdefault(op_type, [])
                    constants = [_constant(v) for v in node.inputs]
                    if not node.attributes and not any(a is not None for a in constants):
                        told.append(_NOTHING)
                        continue
                    names = _TYPES.input_names(op_type, opset)
                    inputs = {n: a for n, a in zip(names, constants, strict=False) if a is not None}
                    told.append(explicit(op_type, node.attributes, inputs, _TYPES.defaults(op_type, opset)))
        self.styles = {op_type: style_of(nodes) for op_type, nodes in found.items()}

    def graph(self, graph: Graph) -> None:
        """Raise what can be raised; the graph has loops and branches already, and attributes are not read at their use yet."""
        self.opset = graph.opsets.get("", 0)
        self.objects, self.facts = {graph.inputs[0]: self.root}, Facts(_TYPES)
        for v in graph.inputs:
            if isinstance(v.type, TensorType):
                self.facts.tell(v, v.type.dtype, v.type.dims)
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
                self.facts.tell_array(node.output, getattr(value, "_array", value))
        elif node.kind == "prim::Constant":
            value = node.attributes.get("value")
            if isinstance(value, np.ndarray):
                self.facts.tell_array(node.output, value)
        elif node.kind == "aten::tensor":
            self.facts.tell(node.output, by_name("int64"), ())  # made for a loop's number
        elif namespace not in ("aten", "prim"):
            self._operator(node, "" if namespace == "onnx" else namespace, name)

    def _operator(self, node: Node, domain: str, name: str) -> None:
        """Follow an ONNX operator, and raise it; nodes that are alike in all that decides it are looked at once."""
        version = node.graph.opsets.get(domain, 0)
        key = self._key(node, version)
        known = self.known.get(key) if key is not None else None
        if known is None:
            constants = [_constant(v) for v in node.inputs]
            outputs = list(node.outputs)
            self.facts.node(name, domain, version, node.inputs, constants, node.attributes, outputs)
            dtypes, sizes = [self.facts.dtypes.get(v) for v in outputs], [self.facts.sizes.get(v) for v in outputs]
            found = self._reading(node, name) if not domain else None
            if key is not None:
                self.known[key] = dtypes, sizes, found
        else:
            dtypes, sizes, found = known
            self.facts.dtypes.update(zip(node.outputs, dtypes, strict=True))
            if not domain:
                self.facts.sizes.update(zip(node.outputs, sizes, strict=True))
        if name in _PARTS and not self.facts.hollow.isdisjoint(node.inputs):
            self.facts.hollow.update(node.outputs)
        if found is not None:
            self._replace(node, *found)
            self.raised += 1

    def _key(self, node: Node, version: int) -> Any:
        """All that decides what a node may be; None where that is too much to compare."""
        facts, inputs = self.facts, node.inputs
        parts: list[Any] = [node.kind, node.overload, len(node.outputs), version, self.opset]
        for v in inputs:
            a = _constant(v)
            if a is not None and (a.size > _COMPARED or a.dtype.kind == "O"):
                return None
            held = a if a is None else (a.dtype.str, a.shape, a.tobytes())
            parts.append((facts.dtypes.get(v), facts.sizes.get(v), v.type is NONE, v in facts.hollow, held))
        if len(set(inputs)) != len(inputs):
            parts.append(tuple(inputs.index(v) for v in inputs))
        for name, value in node.attributes.items():
            if not isinstance(value, int | float | str | list) or (
                isinstance(value, list) and not all(isinstance(x, int | float | str) for x in value)
            ):
                return None
            parts.append((name, repr(value)))  # 1, 1.0 and True are equal, and so are 0.0 and -0.0
        return tuple(parts)

    def _enter(self, node: Node) -> None:
        if node.kind == "prim::Loop":
            for inner, outer in zip(node.blocks[0].inputs[1:], node.inputs[2:], strict=True):
                self.facts.carried(inner, outer)
        for block in node.blocks:
            self._block(block)
        if node.kind == "prim::If":
            for v, a, b in zip(node.outputs, *(b.outputs for b in node.blocks), strict=True):
                self.facts.same(v, a, b)
        elif node.kind == "prim::Loop":
            for v, outer in zip(node.outputs, node.inputs[2:], strict=True):
                self.facts.carried(v, outer)

    # -- one node ------------------------------------------------------------------------------------------------------

    def _reading(self, node: Node, op_type: str) -> tuple[Operator, Sequence[Any]] | None:
        """What the node is in words of torch, with all arguments; None where there are none."""
        candidates = readings(op_type)
        if not candidates or node.overload or (op_type == "Concat" and not self.facts.hollow.isdisjoint(node.inputs)):
            return None
        since = _TYPES.since(op_type, "", self.opset)
        inputs = list(node.inputs)
        while inputs and inputs[-1].type is NONE:
            inputs.pop()
        shapes, dtypes = [self.facts.sizes.get(v) for v in inputs], [self.facts.dtypes.get(v) for v in inputs]
        given = Given([_constant(v) for v in inputs], node.attributes, len(node.outputs), shapes, dtypes)
        for reading in candidates:
            arguments = _arguments(reading, given) if since >= reading.since else None
            if arguments is not None and self._is(node, op_type, reading, arguments):
                operator = _operator(reading)
                return operator, operator.complete(arguments)
        return None

    def _is(self, node: Node, op_type: str, reading: Reading, arguments: Sequence[Any]) -> bool:
        """Whether the operator, lowered, is the node."""
        operator = _operator(reading)
        try:
            lowered = [self._argument(node, a) for a in arguments]
        except LookupError:
            return False
        one = self.lower(operator, lowered, self.opset)
        returns = operator.schema.returns
        listed = len(returns) == 1 and isinstance(returns[0].type, ListType)
        if one is None or one.op_type != op_type or not (listed or len(returns) == len(node.outputs)):
            return False
        style = self.styles.get(op_type)
        made = self.lower.styled(one, style, self.opset)
        if not _is_node(node, made):
            return False
        if style is not None and op_type not in self.written:
            if not _is_node(node, self.lower.styled(one, None, self.opset)):
                self.written[op_type] = style
        return True

    def _argument(self, node: Node, a: Any) -> Any:
        if isinstance(a, list):
            return [self._argument(node, x) for x in a]
        if not isinstance(a, Input):
            return a
        v = node.inputs[a.index]
        dtype = self.facts.dtypes.get(v)
        if dtype is None:
            raise LookupError
        return Operand(a.index, dtype, self.facts.sizes.get(v))

    def _replace(self, node: Node, operator: Operator, arguments: Sequence[Any]) -> None:
        graph = node.graph
        if all(type(v) is Input for v in arguments):
            inputs = [node.inputs[v.index] for v in arguments]
        else:
            with graph.inserting(node), graph.at_range(node.range):
                inputs = [
                    _value(graph, node, v, a.type) for v, a in zip(arguments, operator.schema.arguments, strict=True)
                ]
        node.kind, node.overload = kind_of(operator.schema.name), operator.schema.overload
        node.attributes.clear()
        if inputs != node.inputs:
            node.remove_all_inputs()
            for v in inputs:
                node.add_input(v)
        if isinstance(operator.schema.returns[0].type, ListType):
            self._take_apart(node)

    def _take_apart(self, node: Node) -> None:
        """Have a node that gave several results give a list of them, which is unpacked behind it."""
        graph = node.graph
        unpack = graph.create("prim::ListUnpack", [], len(node.outputs))
        for old, v in zip(node.outputs, unpack.outputs, strict=True):
            v.type, v.export_name = old.type, old.export_name
            name = old.debug_name if old.has_debug_name else ""
            old.replace_all_uses_with(v)
            old.set_debug_name("")
            if name:
                v.set_debug_name(name)
            self.facts.same(v, old)
        while len(node.outputs) > 1:
            node.remove_output(len(node.outputs) - 1)
        node.output.type, node.output.export_name = ListType(TENSOR), None
        unpack.insert_after(node)
        unpack.add_input(node.output)


def _operator(reading: Reading) -> Operator:
    name, _, overload = reading.operator.partition(".")
    found = find(name, overload)
    assert found is not None, reading.operator
    return found


def _arguments(reading: Reading, given: Given) -> Sequence[Any] | None:
    try:
        return reading.arguments(given)
    except (LookupError, TypeError, ValueError):
        return None  # the node lacks what the operator must have


def _constant(v: Value) -> np.ndarray[Any, Any] | None:
    value = v.node.attributes.get("value") if v.node.kind == "prim::Constant" else None
    return value if isinstance(value, np.ndarray) else None


def _is_node(node: Node, made: Any) -> bool:
    return _same_inputs(node, made.inputs) and _same_attributes(node.attributes, made.attributes)


def _same_inputs(node: Node, made: Sequence[Any]) -> bool:
    given = list(node.inputs)
    while given and given[-1].type is NONE:
        given.pop()
    if len(given) != len(made):
        return False
    for v, wanted in zip(given, made, strict=True):
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
    return all(same(given[name], made[name]) for name in made)


def _value(graph: Graph, node: Node, a: Any, t: Type) -> Value:
    """An argument as a value before the node."""
    if isinstance(a, Input):
        return node.inputs[a.index]
    if isinstance(a, list) and any(isinstance(x, Input) for x in a):
        pack = graph.insert(graph.create("prim::ListConstruct", [_value(graph, node, x, TENSOR) for x in a]))
        pack.output.type = ListType(t.element if isinstance(t, ListType) else TENSOR)
        return pack.output
    if a is None:
        return graph.constant(None, NONE)
    if isinstance(t, OptionalType):
        t = t.element
    return graph.constant(list(a) if isinstance(a, list) else a, t if isinstance(t, ListType) else None)
