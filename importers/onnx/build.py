"""GraphProto → Graph: one node for one node, every name and record kept.

``If`` becomes ``prim::If`` on ``aten::Bool`` of the condition, which is what it means; every other operator is the node
``onnx::Op`` (``domain::Op``), its subgraphs blocks. Initializers are attributes of the module, dotted names a hierarchy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import onnx
from onnx import AttributeProto

from bridge.importers.onnx.errors import OnnxImportError
from bridge.importers.onnx.kinds import propagate_kinds
from bridge.importers.onnx.names import attribute_name, child_class, identifier
from bridge.importers.onnx.source import Source
from bridge.importers.onnx.values import (
    attribute_value,
    metadata,
    sparse_value,
    tensor_value,
    type_of,
    written_empty,
)
from bridge.ir.classes import ClassType, CompilationUnit, Function, ScriptObject
from bridge.ir.foreign import ForeignArray, GraphInfo, NodeInfo, Subgraph
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.schema import Argument, Schema
from bridge.ir.types import BOOL, NONE, TENSOR, TensorType, TupleType

__all__ = ["GraphBuilder", "ModuleBuilder", "forward_function", "graph_info", "kind_of"]


_GRAPH, _GRAPHS = AttributeProto.GRAPH, AttributeProto.GRAPHS
_WITH_BODY = frozenset({"onnx::Loop", "onnx::Scan", "onnx::SequenceMap"})


class Scope:
    """The values and declared types that a graph sees: its own and those of the graphs around it."""

    __slots__ = ("outer", "types", "values")

    def __init__(self, outer: Scope | None = None) -> None:
        self.outer = outer
        self.values: dict[str, Value] = {}
        self.types: dict[str, onnx.TypeProto] = {}

    def value(self, name: str) -> Value | None:
        """The value of that name, here or outside; None when there is none."""
        at: Scope | None = self
        while at is not None:
            found = at.values.get(name)
            if found is not None:
                return found
            at = at.outer
        return None

    def declared(self, name: str) -> onnx.TypeProto | None:
        """The type that this graph, or one around it, declares for the name."""
        at: Scope | None = self
        while at is not None:
            found = at.types.get(name)
            if found is not None:
                return found
            at = at.outer
        return None


def kind_of(domain: str, op_type: str) -> str:
    """The IR kind of an ONNX operator: ``onnx::Conv``, ``com.microsoft::Attention``. Raises OnnxImportError for names that are no text."""
    if type(domain) is not str or type(op_type) is not str:  # protobuf gives bytes for what is no UTF-8
        raise OnnxImportError(f"the operator {op_type!r} of domain {domain!r} has a name that is no text")
    return f"{domain}::{op_type}" if domain else f"onnx::{op_type}"


class GraphBuilder:
    """Builds the graph of one model or function; the attributes of ``module`` take the initializers."""

    def __init__(self, where: Source | str, module: ModuleBuilder) -> None:
        self.where, self.module = where, module
        self.graph = Graph()
        self.self_value = self.graph.add_input("self", module.root.type)
        self._none: Value | None = None
        self.tensors: dict[str, ForeignArray] = {}

    def build(self, proto: onnx.GraphProto, opsets: Mapping[str, int] | None = None) -> Graph:
        """The graph of the model's top level; several outputs are returned as a tuple."""
        self.graph.opsets.update(opsets or {})
        info = self.graph.foreign = graph_info(proto)
        scope = Scope()
        self._open_block(self.graph.block, proto, scope, info)
        self._nodes(self.graph.block, proto.node, scope)
        info.strays = tuple(v.name for v in proto.value_info if v.name not in scope.values)
        results = [self._lookup(o.name, scope, "a graph output") for o in proto.output]
        if len(results) == 1:
            self.graph.add_output(results[0])
        else:
            pack = self.graph.block.append(self.graph.create("prim::TupleConstruct", results))
            pack.output.type = TupleType(*[v.type for v in results])
            self.graph.add_output(pack.output)
        propagate_kinds(self.graph)
        return self.graph

    def _open_block(self, block: Block, proto: onnx.GraphProto, scope: Scope, info: GraphInfo) -> None:
        """Add the parameters and initializers of a graph to its block and scope."""
        initial = {t.name for t in proto.initializer} | {t.values.name for t in proto.sparse_initializer}
        for i in proto.input:
            if i.name not in initial:
                v = block.add_input(type=type_of(i.type))
                self._name(v, i.name)
                if block.owner is None:
                    self._argument(v)
                self._bind(scope, i.name, v, "an input")
        for t in proto.initializer:
            name, array = t.name, tensor_value(t, self.where)
            v = self._initializer(block, name, array)
            if name in scope.values or not _same_tensor(self.tensors.get(name), array):
                self._bind(scope, name, v, "an initializer")
            scope.values[name], self.tensors[name] = v, array
        for s in proto.sparse_initializer:
            name = s.values.name
            self._bind(scope, name, self._initializer(block, name, sparse_value(s, self.where)), "an initializer")
        scope.types.update({v.name: v.type for v in (*proto.value_info, *proto.output)})

    def _argument(self, v: Value) -> None:
        """Give an input a name that an argument can have."""
        name = base = identifier(v.export_name or "") or f"input_{v.offset}"
        number = 1
        while (owner := self.graph.value(name)) is not None and owner is not v:
            name, number = f"{base}_{number}", number + 1
        if v.debug_name != name:
            v.set_debug_name(name)

    def _initializer(self, block: Block, name: str, array: ForeignArray) -> Value:
        if type(name) is not str:
            raise OnnxImportError(f"{self.where}: an initializer has the name {name!r}, which is no text")
        path = self.module.add(name, array)
        v = self.self_value
        at: Any = self.module.root
        for part in path.split("."):
            n = block.append(Node(self.graph, "prim::GetAttr", (v,)))
            n.attributes["name"] = part
            v = n._outputs[0]
            v.type = at.type.attributes[part].type
            at = at.attributes[part]
        self._name(v, name)
        return v

    def _nodes(self, block: Block, nodes: Iterable[onnx.NodeProto], scope: Scope) -> None:
        for n in nodes:
            if n.op_type == "If" and n.domain in ("", "ai.onnx"):
                self._if(block, n, scope)
            else:
                self._node(block, n, scope)

    def _node(self, block: Block, proto: onnx.NodeProto, scope: Scope) -> None:
        known, domain = scope.values, proto.domain
        inputs = [
            (known.get(name) or self._lookup(name, scope, proto)) if name else self._omitted() for name in proto.input
        ]
        if domain not in self.graph.opsets and domain != "ai.onnx":
            raise OnnxImportError(
                f"{self.where}: node '{proto.name}': no opset is imported for the domain {domain!r} of {proto.op_type}"
            )
        node = Node(self.graph, kind_of(domain, proto.op_type), inputs, 0)
        for a in proto.attribute:
            name, form = a.name, a.type
            if type(name) is not str:
                raise OnnxImportError(
                    f"{self.where}: node '{proto.name}': the attribute {name!r} has a name that is no text"
                )
            if form == _GRAPH:
                node.attributes[name] = replace(
                    self._subgraph(node, a.g, scope), doc=a.doc_string, reference=a.ref_attr_name
                )
            elif form == _GRAPHS:
                node.attributes[name] = [self._subgraph(node, g, scope) for g in a.graphs]
            else:
                node.attributes[name] = attribute_value(a, self.where)
        if node.kind in _WITH_BODY:
            self._check_body(node, proto)
        self._finish(block, node, proto, self._info(proto), scope)

    def _check_body(self, node: Node, proto: onnx.NodeProto) -> None:
        """Raises OnnxImportError unless the node has the one body that its operator needs, which takes what it is given."""
        least = 2 if node.kind == "onnx::Loop" else 1
        given = len(node.inputs)
        if len(node.blocks) != 1 or not isinstance(node.attributes.get("body"), Subgraph):
            raise OnnxImportError(f"{self.where}: node '{proto.name}': a {proto.op_type} has one graph, its body")
        taken = len(node.blocks[0].inputs)
        if given < least or (node.kind == "onnx::Loop" and taken != max(given, 2)):
            raise OnnxImportError(
                f"{self.where}: node '{proto.name}': its body takes {taken} values, and the node has {given}"
            )

    def _if(self, block: Block, proto: onnx.NodeProto, scope: Scope) -> None:
        graphs = {a.name: a.g for a in proto.attribute if a.type == AttributeProto.GRAPH}
        if set(graphs) != {"then_branch", "else_branch"} or len(proto.input) != 1 or len(proto.attribute) != 2:
            raise OnnxImportError(
                f"{self.where}: node '{proto.name}': an If has a condition, then_branch and else_branch"
            )
        cast = block.append(self.graph.create("aten::Bool", [self._lookup(proto.input[0], scope, proto)]))
        cast.output.type, cast.overload = BOOL, "Tensor"
        node = self.graph.create("prim::If", [cast.output], 0)
        info = self._info(proto) or NodeInfo()
        made = {name: self._subgraph(node, graphs[name], scope) for name in ("then_branch", "else_branch")}
        info.graphs = {
            a.name: replace(made[a.name], doc=a.doc_string, reference=a.ref_attr_name) for a in proto.attribute
        }
        self._finish(block, node, proto, info, scope)
        for branch in node.blocks:
            if len(branch.outputs) != len(node.outputs):
                raise OnnxImportError(
                    f"{self.where}: node '{proto.name}': its branches give different numbers of results"
                )

    def _info(self, proto: onnx.NodeProto) -> NodeInfo | None:
        """What the node says beside its operator; None, as for most nodes, when that is nothing."""
        empty = written_empty(proto, "name", "domain", "doc_string", "overload")
        devices = proto.device_configurations
        named = proto.overload if proto.op_type == "If" else ""  # means nothing there
        if not (empty or proto.doc_string or proto.metadata_props or devices or named):
            return None
        said = metadata(proto.metadata_props)
        rest = onnx.NodeProto(device_configurations=devices, overload=named or None)
        if len(said) != len(proto.metadata_props):  # a key twice
            said = {}
            rest.metadata_props.extend(proto.metadata_props)
        return NodeInfo(proto.doc_string, said, empty=empty, rest=rest.SerializeToString())

    def _finish(self, block: Block, node: Node, proto: onnx.NodeProto, info: NodeInfo | None, scope: Scope) -> None:
        name, overload = proto.name, proto.overload
        if not (type(name) is type(overload) is type(proto.doc_string) is str):
            raise OnnxImportError(f"{self.where}: the node named {name!r} has a name or a text that is none")
        node.export_name, node.foreign, node.overload = name, info, overload or node.overload
        block.append(node)
        declares = scope.outer is not None or scope.types
        for name in proto.output:
            v = node.add_output()
            declared = scope.declared(name) if declares else None
            if declared is not None:
                v.type = type_of(declared)
            self._name(v, name)
            if name:
                self._bind(scope, name, v, proto)

    def _subgraph(self, node: Node, proto: onnx.GraphProto, outer: Scope) -> Subgraph:
        block = node.add_block()
        info = graph_info(proto)
        scope = Scope(outer)
        self._open_block(block, proto, scope, info)
        self._nodes(block, proto.node, scope)
        info.strays = tuple(v.name for v in proto.value_info if v.name not in scope.values)
        for o in proto.output:
            block.add_output(self._lookup(o.name, scope, f"an output of subgraph '{proto.name}'"))
        return Subgraph(len(node.blocks) - 1, info)

    def _lookup(self, name: str, scope: Scope, user: onnx.NodeProto | str) -> Value:
        v = scope.values.get(name) or scope.value(name)
        if v is None:
            user = user if isinstance(user, str) else user.name or user.op_type
            raise OnnxImportError(f"{self.where}: '{name}', used by '{user}', is not defined before it")
        return v

    def _bind(self, scope: Scope, name: str, v: Value, by: onnx.NodeProto | str) -> None:
        if scope.value(name) is not None:
            by = by if isinstance(by, str) else by.name or by.op_type
            raise OnnxImportError(f"{self.where}: '{name}', given by '{by}', is defined already")
        scope.values[name] = v

    def _omitted(self) -> Value:
        if self._none is None:
            n = self.graph.block.prepend(self.graph.create("prim::Constant"))
            n.output.type = NONE
            self._none = n.output
        return self._none

    def _name(self, v: Value, name: str) -> None:
        if type(name) is not str:
            raise OnnxImportError(f"{self.where}: a value has the name {name!r}, which is no text")
        v.export_name = name
        names = self.graph._names
        if name and name not in names and not name.isdigit():
            if v._name:
                v.set_debug_name(name)
            else:
                v._name, names[name] = name, v


class ModuleBuilder:
    """The object tree of a model: initializers by dotted name, every name part an attribute."""

    def __init__(self, name: str, unit: CompilationUnit) -> None:
        self.unit = unit
        self.root = self._object(f"__torch__.{name}")
        self.names: dict[str, str] = {}

    @classmethod
    def around(cls, root: ScriptObject) -> ModuleBuilder:
        """A builder on a copy of a module's objects (its methods and tensors are not copied; the root gets no methods)."""
        builder = cls(root.type.name.rpartition(".")[2], CompilationUnit())
        builder._take(root, builder.root)
        return builder

    def _take(self, source: ScriptObject, target: ScriptObject) -> None:
        for name, a in source.type.attributes.items():
            value = source.attributes.get(name)
            if isinstance(value, ScriptObject):
                child = target.attributes[name] = self._object(f"__torch__.{child_class(target.type.name, name)}")
                child.type.methods.update(value.type.methods)
                target.type.add_attribute(name, child.type)
                self._take(value, child)
            else:
                target.type.add_attribute(name, a.type, a.is_parameter, a.is_buffer)
                target.attributes[name] = value

    def _object(self, qualified: str) -> ScriptObject:
        t = ClassType(self.unit.unique_name(qualified), is_module=True)
        self.unit.add_type(t.name, t)
        return ScriptObject(t)

    def child(self, parent: ScriptObject, part: str) -> ScriptObject:
        """A new module in ``parent``."""
        made = parent.attributes[part] = self._object(f"__torch__.{child_class(parent.type.name, part)}")
        parent.type.add_attribute(part, made.type)
        return made

    def add(self, name: str, value: Any) -> str:
        """Place a tensor under its dotted name; returns the path it got (``names`` maps it back)."""
        parts = [attribute_name(p) for p in name.split(".")]
        at = self.root
        for part in parts[:-1]:
            child = at.attributes.get(part)
            if not isinstance(child, ScriptObject) and part in at.attributes:
                at, parts = self.root, [attribute_name(name)]
                break
            at = child if child is not None else self.child(at, part)
        leaf = parts[-1]
        while leaf in at.attributes:
            leaf += "_"
        parts[-1] = leaf
        dtype = getattr(value, "dtype", None)
        floating = dtype is not None and dtype.kind in "fc"
        at.type.add_attribute(leaf, TENSOR, is_parameter=floating, is_buffer=not floating)
        at.attributes[leaf] = value
        path = ".".join(parts)
        self.names[path] = name
        return path


def _same_tensor(a: ForeignArray | None, b: ForeignArray) -> bool:
    """Whether two tensors of one name are one: some tools write a constant again in every subgraph that reads it."""
    return a is not None and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def graph_info(proto: onnx.GraphProto) -> GraphInfo:
    """The records of a graph that the IR has no place for. Raises OnnxImportError for names that are no text."""
    names = [v.name for values in (proto.input, proto.output, proto.value_info) for v in values]
    if not all(type(t) is str for t in (proto.name, proto.doc_string, *names)):
        raise OnnxImportError(f"the graph named {proto.name!r} has a name that is no text")
    outputs = {v.name: v.SerializeToString() for v in proto.output}
    if len(outputs) < len(proto.output) and any(v.SerializeToString() != outputs[v.name] for v in proto.output):
        raise OnnxImportError(f"the graph '{proto.name}' gives an output twice, with two types")
    written = [(v.name, v.SerializeToString()) for v in proto.value_info]
    records = dict(written)
    return GraphInfo(
        name=proto.name,
        doc=proto.doc_string,
        metadata=metadata(proto.metadata_props),
        inputs={v.name: v.SerializeToString() for v in proto.input},
        outputs=outputs,
        value_info=records,
        written=written if len(records) < len(written) else [],
        initializers=[t.name for t in proto.initializer],
        quantization=[q.SerializeToString() for q in proto.quantization_annotation],
        empty=written_empty(proto, "name", "doc_string"),
    )


def forward_schema(graph: Graph) -> Schema:
    """The schema of ``forward`` that a graph's inputs and result give."""
    arguments = [Argument("self", graph.inputs[0].type)]
    for v in graph.inputs[1:]:
        t = TENSOR if isinstance(v.type, TensorType) else v.type
        arguments.append(Argument(v.debug_name, t))
    result = graph.outputs[0].type
    return Schema("forward", "", arguments, [Argument("", result)])


def forward_function(qualified: str, graph: Graph) -> Function:
    """The method ``forward`` with that graph."""
    return Function(f"{qualified}.forward", graph, forward_schema(graph))
