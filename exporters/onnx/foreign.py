"""IR of an imported ONNX model → the same model: node for node, attribute for attribute, names and records kept.

Only graphs that consist of ONNX operators go this way (see :func:`is_foreign`); an edited graph is written as edited.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from bridge.exporters.onnx.large import Arrays, is_large, outside
from bridge.ir.classes import ScriptObject
from bridge.ir.errors import LoweringError
from bridge.ir.foreign import ForeignArray, GraphInfo, ModelInfo, RawAttribute, Subgraph, TypedList
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.types import FLOAT, INT, NONE, STR, DictType, ListType, OptionalType, TensorType, Type

__all__ = ["is_foreign", "onnx_attribute", "onnx_tensor", "type_proto", "write_foreign"]

_OWN = ("aten", "prim")


def split_kind(kind: str) -> tuple[str, str]:
    """(domain, op_type) of an ONNX operator's IR kind."""
    domain, _, op_type = kind.partition("::")
    return "" if domain == "onnx" else domain, op_type


def is_foreign(graph: Graph) -> bool:
    """Whether a graph is one that an import made: ONNX operators and what joins them, with the records of a file."""
    return graph.foreign is not None and all(_expected(n) for n in graph.all_nodes())


def _expected(n: Node) -> bool:
    if n.kind.partition("::")[0] not in _OWN:
        return True
    if n.kind == "prim::Constant":
        return n.output.type is NONE
    if n.kind == "aten::Bool":
        return all(u.user.kind == "prim::If" for u in n.output.uses)
    if n.kind == "prim::TupleConstruct":
        return all(u.user is n.graph.return_node for u in n.output.uses)
    return n.kind in ("prim::GetAttr", "prim::If")


def write_foreign(module: ScriptObject, graph: Graph, info: ModelInfo, arrays: Arrays | None = None) -> onnx.ModelProto:
    """The model of an imported module; the values of large tensors go into ``arrays``, where it is given, by name.

    Raises LoweringError for a value without a name.
    """
    model = onnx.ModelProto()
    model.ParseFromString(info.rest)
    model.ir_version = info.ir_version
    for domain, version in info.opsets:
        model.opset_import.add(domain=domain, version=version)
    _write_empty(model, info.empty)
    for name, value in (
        ("producer_name", info.producer),
        ("producer_version", info.producer_version),
        ("domain", info.domain),
        ("doc_string", info.doc),
    ):
        if value:
            setattr(model, name, value)
    if info.model_version:
        model.model_version = info.model_version
    _metadata(model.metadata_props, info.metadata)
    model.functions.extend(onnx.FunctionProto.FromString(f) for f in info.functions)
    assert graph.foreign is not None
    _Writer(module, arrays).graph(model.graph, graph.block, graph.foreign, _results(graph))
    return model


def _results(graph: Graph) -> list[Value]:
    result = graph.outputs[0]
    if result.node.kind == "prim::TupleConstruct":
        return list(result.node.inputs)
    return [result]


class _Writer:
    """Writes blocks into GraphProtos; names are the export names, new ones where an edit added values."""

    def __init__(self, module: ScriptObject, arrays: Arrays | None) -> None:
        self.module, self.arrays = module, arrays
        self.names: dict[Value, str] = {}

    def graph(self, proto: onnx.GraphProto, block: Block, info: GraphInfo, results: Iterable[Value]) -> None:
        _write_empty(proto, info.empty)
        if info.name:
            proto.name = info.name
        if info.doc:
            proto.doc_string = info.doc
        _metadata(proto.metadata_props, info.metadata)
        initial = self._initializers(proto, block, info)
        inputs = [v for v in block.inputs if v is not self._self(block)]
        present = {self.name(v): v for v in inputs}
        for name, data in info.inputs.items():
            if name in present or name in initial:
                proto.input.add().ParseFromString(data)
        for name, v in present.items():
            if name not in info.inputs:
                proto.input.append(_value_info(name, v))
        for n in block.nodes:
            self.node(proto, n)
        defined = {name for n in proto.node for name in n.output}
        for v in results:
            name = self.name(v)
            if name in info.outputs:
                proto.output.add().ParseFromString(info.outputs[name])
            else:
                proto.output.append(_value_info(name, v))
        for name, data in info.written or info.value_info.items():
            if name in defined or name in present or name in initial or name in info.strays:
                proto.value_info.add().ParseFromString(data)
        for q in info.quantization:
            proto.quantization_annotation.add().ParseFromString(q)

    @staticmethod
    def _self(block: Block) -> Value | None:
        return block.inputs[0] if block.owner is None else None

    def _initializers(self, proto: onnx.GraphProto, block: Block, info: GraphInfo) -> set[str]:
        found: dict[str, Any] = {}
        for n in block.nodes:
            if n.kind == "prim::GetAttr" and n.output.export_name is not None:
                found[self.name(n.output)] = self._attribute(n)
        order = list(dict.fromkeys([*(name for name in info.initializers if name in found), *found]))
        sparse = [name for name in found if getattr(found[name], "sparse", False)]
        for name in order:
            if name not in sparse:
                self._initializer(proto.initializer.add(), found[name], name)
        for name in sparse:
            proto.sparse_initializer.add().ParseFromString(found[name].raw_proto)
        return set(found)

    def _initializer(self, proto: TensorProto, value: Any, name: str) -> None:
        if self.arrays is None or not is_large(value) or getattr(value, "raw_proto", None) is not None:
            proto.CopyFrom(onnx_tensor(value, name))
            return
        self.arrays[name] = value
        large_tensor(proto, value, name)
        if doc := getattr(value, "proto_doc", ""):
            proto.doc_string = doc
        outside(proto, value, _place_of(value))

    def _attribute(self, node: Node) -> Any:
        path: list[str] = []
        n = node
        while n.kind == "prim::GetAttr":
            path.append(n["name"])
            n = n.input.node
        value = self.module.resolve(".".join(reversed(path)))
        return getattr(value, "_array", value)

    def node(self, graph: onnx.GraphProto, n: Node) -> None:
        """Append the NodeProto of an IR node; nodes that only join others have none."""
        if n.kind in ("prim::Constant", "prim::GetAttr", "prim::TupleConstruct", "aten::Bool"):
            return
        proto = graph.node.add()
        domain, proto.op_type = ("", "If") if n.kind == "prim::If" else split_kind(n.kind)
        if domain:
            proto.domain = domain
        if n.export_name:
            proto.name = n.export_name
        if n.overload and n.kind != "prim::If":
            proto.overload = n.overload
        inputs = [n.inputs[0].node.inputs[0]] if n.kind == "prim::If" else n.inputs
        proto.input.extend([self.name(v) for v in inputs])
        proto.output.extend([self.name(v) for v in n.outputs])
        info = n.foreign
        attributes: Mapping[str, Any] = n.attributes
        if n.kind == "prim::If":
            attributes = (info.graphs if info is not None else None) or {
                "then_branch": Subgraph(0, GraphInfo("then_branch")),
                "else_branch": Subgraph(1, GraphInfo("else_branch")),
            }
        for name, value in attributes.items():
            self._attribute_proto(proto.attribute.add(), name, value, n)
        if info is not None:
            if info.rest:
                proto.MergeFromString(info.rest)
            _write_empty(proto, tuple(name for name in info.empty if not getattr(proto, name)))
            if info.doc:
                proto.doc_string = info.doc
            _metadata(proto.metadata_props, info.metadata)

    def _attribute_proto(self, proto: AttributeProto, name: str, value: Any, n: Node) -> None:
        if isinstance(value, Subgraph):
            proto.name, proto.type = name, AttributeProto.GRAPH
            if value.doc:
                proto.doc_string = value.doc
            if value.reference:
                proto.ref_attr_name = value.reference
            self.graph(proto.g, n.blocks[value.index], value.info, n.blocks[value.index].outputs)
        elif isinstance(value, list) and value and isinstance(value[0], Subgraph):
            proto.name, proto.type = name, AttributeProto.GRAPHS
            for s in value:
                self.graph(proto.graphs.add(), n.blocks[s.index], s.info, n.blocks[s.index].outputs)
        else:
            proto.CopyFrom(onnx_attribute(name, value, n))

    def name(self, v: Value) -> str:
        """The ONNX name of a value: the file's own, else a new one from its debug name."""
        if v.export_name is not None:
            return v.export_name
        if v.type is NONE and v.node.kind == "prim::Constant":
            return ""
        found = self.names.get(v)
        if found is None:
            found = self.names[v] = f"bridge.{v.debug_name}"
        return found


def _place_of(value: Any) -> tuple[tuple[str, str], ...]:
    """Where a tensor's file had its data; () for one that was inside, or has another size now."""
    entries: tuple[tuple[str, str], ...] = getattr(value, "external", ())
    length = dict(entries).get("length")
    return entries if length is None or int(length) == value.nbytes else ()


def onnx_attribute(name: str, value: Any, node: Node | None = None) -> AttributeProto:
    """The proto of a plain attribute value. Raises LoweringError for values that no attribute can hold."""
    if isinstance(value, RawAttribute):
        raw = AttributeProto()
        raw.ParseFromString(value.data)
        return raw
    if isinstance(value, ForeignArray) and value.sparse and value.raw_proto is not None:
        a = AttributeProto(name=name, type=AttributeProto.SPARSE_TENSOR)
        a.sparse_tensor.ParseFromString(value.raw_proto)
        return a
    if isinstance(value, np.ndarray):
        a = AttributeProto(name=name, type=AttributeProto.TENSOR)
        a.t.CopyFrom(onnx_tensor(value))
        return a
    if isinstance(value, TypedList) and not value:
        return AttributeProto(name=name, type=getattr(AttributeProto, value.kind.upper()))
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        a = AttributeProto(name=name, type=AttributeProto.TENSORS)
        a.tensors.extend(onnx_tensor(t) for t in value)
        return a
    try:
        made: AttributeProto = helper.make_attribute(name, value)
    except (TypeError, ValueError) as e:
        where = node.range if node is not None else None
        raise LoweringError(f"attribute '{name}' cannot hold {value!r}: {e}", where) from e
    return made


def large_tensor(proto: TensorProto, value: np.ndarray[Any, Any], name: str) -> TensorProto:
    """Say in a proto what a tensor is whose values stay outside of it."""
    proto.data_type = helper.np_dtype_to_tensor_dtype(value.dtype)
    proto.dims.extend(value.shape)
    if name:
        proto.name = name
    return proto


def onnx_tensor(value: Any, name: str | None = None) -> TensorProto:
    """The proto of a tensor; one that was read from a file, and holds the values of then, is written as it was there."""
    if isinstance(value, ForeignArray):
        if value.raw_proto is not None and not value.sparse:
            original = TensorProto()
            original.ParseFromString(value.raw_proto)
            if _holds(original, value):
                if name is not None:
                    original.name = name
                return original
        name = value.proto_name if name is None else name
    array = np.asarray(value)
    proto: TensorProto = numpy_helper.from_array(array)
    if name:
        proto.name = name
    if isinstance(value, ForeignArray) and value.proto_doc:
        proto.doc_string = value.proto_doc
    return proto


def _holds(proto: TensorProto, value: np.ndarray[Any, Any]) -> bool:
    """Whether an array still has the values of its original: somebody may have written to it."""
    if value.dtype.kind == "O":
        return True  # texts: nothing writes to them
    array = numpy_helper.to_array(proto)
    return array.shape == value.shape and array.dtype == value.dtype and array.tobytes() == value.tobytes()


def _value_info(name: str, v: Value) -> onnx.ValueInfoProto:
    info = onnx.ValueInfoProto(name=name)
    t = v.type
    if isinstance(t, TensorType) and t.dtype is not None:
        info.type.CopyFrom(helper.make_tensor_type_proto(t.dtype.onnx, t.dims))
    return info


def _write_empty(proto: Any, names: Iterable[str]) -> None:
    for name in names:
        setattr(proto, name, type(getattr(proto, name))())


def _metadata(field: Any, entries: Mapping[str, str]) -> None:
    for key, value in entries.items():
        field.add(key=key, value=value)


def type_proto(t: Type) -> onnx.TypeProto:
    """The TypeProto of an IR type: tensors, lists, optionals and maps of them. Raises LoweringError for others."""
    if isinstance(t, TensorType):
        return helper.make_tensor_type_proto(t.dtype.onnx if t.dtype is not None else 0, t.dims)
    if isinstance(t, ListType):
        return helper.make_sequence_type_proto(type_proto(t.element))
    if isinstance(t, OptionalType):
        return helper.make_optional_type_proto(type_proto(t.element))
    scalars = {INT: TensorProto.INT64, FLOAT: TensorProto.FLOAT, STR: TensorProto.STRING}
    if isinstance(t, DictType) and t.key in scalars:
        return helper.make_map_type_proto(scalars[t.key], type_proto(t.value))
    if t in scalars:
        return helper.make_tensor_type_proto(scalars[t], ())
    raise LoweringError(f"a value of type {t} cannot be in an ONNX model")
