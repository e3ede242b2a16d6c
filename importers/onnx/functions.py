"""Model-local functions as methods of the module: one for each way in which the model calls them.

A call's attributes, omitted inputs and kinds of inputs are part of the way; the method's body has them filled in.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto

from bridge.importers.onnx.build import GraphBuilder, ModuleBuilder, forward_schema, kind_of
from bridge.importers.onnx.errors import OnnxImportError
from bridge.importers.onnx.kinds import propagate_kinds
from bridge.importers.onnx.values import attribute_value
from bridge.ir.classes import Function
from bridge.ir.foreign import ModelInfo, RawAttribute
from bridge.ir.graph import Graph, Node, Value
from bridge.ir.types import NONE, TENSOR, TensorType, TupleType, Type

__all__ = ["MethodMaker"]


class MethodMaker:
    """Turns calls of a model's functions into calls of methods of ``builder``'s root."""

    def __init__(self, info: ModelInfo, builder: ModuleBuilder, opsets: dict[str, int]) -> None:
        self.builder, self.opsets = builder, opsets
        self.functions: dict[tuple[str, str], FunctionProto] = {}
        for data in info.functions:
            f = FunctionProto.FromString(data)
            self.functions[kind_of(f.domain, f.name), f.overload] = f
        self.made: dict[tuple[object, ...], Function] = {}
        self.making: list[tuple[str, str]] = []

    def replace_calls(self, graph: Graph) -> list[Function]:
        """Make every call of a function in the graph the call of a method; returns the methods, new ones first made."""
        called = []
        for node in list(graph.all_nodes()):
            if (node.kind, node.overload or "") in self.functions:
                called.append(self._call(graph, node))
        if called:
            propagate_kinds(graph)
        return called

    def _call(self, graph: Graph, node: Node) -> Function:
        proto = self.functions[node.kind, node.overload or ""]
        inputs = list(node.inputs)
        if len(inputs) > len(proto.input) or len(node.outputs) > len(proto.output):
            raise OnnxImportError(f"node '{node.export_name}' calls function '{proto.name}' with too many values")
        method = self._method(proto, node, inputs)
        with graph.inserting(node), graph.at_range(node.range):
            given = [v for v in inputs if v.type is not NONE]
            result = graph.add(
                "prim::CallMethod",
                graph.inputs[0],
                *given,
                type=method.schema.returns[0].type,
                name=method.name,
            )
            results: Sequence[Value] = [result]
            if len(proto.output) != 1:
                unpack = graph.insert(graph.create("prim::TupleUnpack", [result], 0))
                assert isinstance(result.type, TupleType)
                results = [unpack.add_output(t) for t in result.type.elements]
        for old, new in zip(node.outputs, results, strict=False):
            old.replace_all_uses_with(new)
            name, export_name = old.debug_name if old.has_debug_name else "", old.export_name
            old.set_debug_name("")
            new.set_debug_name(name)
            new.export_name = export_name
            if not isinstance(old.type, TensorType):
                new.type = old.type
        node.destroy()
        return method

    def _method(self, proto: FunctionProto, node: Node, inputs: list[Value]) -> Function:
        kinds: list[Type | None] = [None if v.type is NONE else _kind(v.type) for v in inputs]
        kinds += [None] * (len(proto.input) - len(kinds))
        values = tuple(sorted((name, _key(value)) for name, value in node.attributes.items()))
        key = (proto.domain, proto.name, proto.overload, values, tuple(kinds))
        found = self.made.get(key)
        if found is None:
            if node.blocks:
                raise OnnxImportError(f"node '{node.export_name}' gives a graph to function '{proto.name}'")
            name = (proto.domain, proto.name)
            if name in self.making:
                raise OnnxImportError(f"function '{proto.name}' of domain '{proto.domain}' calls itself")
            self.making.append(name)
            found = self.made[key] = self._build(proto, node, kinds)
            self.making.pop()
        return found

    def _build(self, proto: FunctionProto, node: Node, kinds: list[Type | None]) -> Function:
        body = onnx.GraphProto(name=proto.name)
        body.input.extend(onnx.ValueInfoProto(name=n) for n in proto.input)
        body.output.extend(onnx.ValueInfoProto(name=n) for n in proto.output)
        body.value_info.extend(proto.value_info)
        body.node.extend(proto.node)
        opsets = {o.domain: o.version for o in proto.opset_import} or self.opsets
        graph = GraphBuilder(f"function '{proto.name}'", self.builder).build(body, opsets)
        for v, kind in zip(graph.inputs[1:], kinds, strict=True):
            if kind is None:
                with graph.inserting(next(iter(graph.nodes), graph.return_node)):
                    v.replace_all_uses_with(graph.constant(None, NONE))
            else:
                v.type = kind
        for i in reversed(range(len(kinds))):
            if kinds[i] is None:
                graph.param_node.remove_output(i + 1)
        defaults = {a.name: a for a in proto.attribute_proto}
        for n in graph.all_nodes():
            _fill_in(n, node, defaults)
        self.replace_calls(graph)
        propagate_kinds(graph)
        owner = self.builder.root.type
        name = base = _identifier(proto.name)
        number = 1
        while name in owner.attributes or name in owner.methods or name == "forward":
            name, number = f"{base}_{number}", number + 1
        schema = forward_schema(graph)
        schema.name = name
        return owner.add_method(Function(f"{owner.name}.{name}", graph, schema))


def _fill_in(n: Node, call: Node, defaults: dict[str, AttributeProto]) -> None:
    """Replace references to the function's attributes by the call's values, or the defaults; drop those that have none."""
    for name, value in list(n.attributes.items()):
        if not isinstance(value, RawAttribute):
            continue
        reference = AttributeProto.FromString(value.data).ref_attr_name
        if not reference:
            continue
        if reference in call.attributes:
            n.attributes[name] = call.attributes[reference]
        elif reference in defaults:
            n.attributes[name] = attribute_value(defaults[reference], f"function attribute '{reference}'")
        else:
            del n.attributes[name]


def _kind(t: Type) -> Type:
    return TENSOR if isinstance(t, TensorType) else t


def _key(value: object) -> object:
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes() if value.dtype != object else repr(value.tolist()))
    return value.data if isinstance(value, RawAttribute) else repr(value)


def _identifier(name: str) -> str:
    clean = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"f{clean}" if not clean or clean[0].isdigit() or keyword.iskeyword(clean) or clean[0] == "_" else clean
