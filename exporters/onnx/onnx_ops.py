"""``onnx::Op`` statements: the node that they name, among torch's operators."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import TypeProto

from bridge.exporters.onnx.foreign import onnx_attribute, onnx_tensor
from bridge.exporters.onnx.lists import list_value
from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.records import Record
from bridge.exporters.onnx.values import Abstract, Cell, Run, RunList
from bridge.exporters.onnx.write import type_proto
from bridge.ir import types as T
from bridge.ir.dtypes import by_onnx
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node

__all__ = ["lower_onnx_op"]


def lower_onnx_op(m: Machine, node: Node) -> Abstract:
    """Write the node; its results have the types that ONNX infers. Raises LoweringError where onnx cannot tell them."""
    domain, _, op_type = node.kind.partition("::")
    domain = "" if domain == "onnx" else domain
    if node.blocks:
        raise LoweringError(f"{node.kind} with subgraphs among torch's operators", node.range)
    _check_version(m, node, domain, op_type)
    inputs = [_operand(m, m.get(v)) for v in node.inputs]
    while inputs and inputs[-1] is None:
        inputs.pop()
    e = m.emitter
    wired = [None if i is None else e.materialise(i) for i in inputs]
    attributes = {name: onnx_attribute(name, value, node) for name, value in node.attributes.items()}
    hints = [m.hint(o) for o in node.outputs]
    outputs = _infer(m, node, domain, op_type, inputs, attributes, hints)
    # Plain values stay plain, as of every other node: what tidies up reads them.
    kept = {n: v if type(v) in (int, float, str) else attributes[n] for n, v in node.attributes.items()}
    e.append(Record(op_type, domain, wired, outputs, kept, e.origin))
    results = [m.new_cell(T.ListType(T.TENSOR), o) if isinstance(o, RunList) else o for o in outputs]
    for value, o in zip(node.outputs, outputs, strict=True):
        o.hint, o.named = m.hint(value), True
    return results[0] if len(results) == 1 else results


def _check_version(m: Machine, node: Node, domain: str, op_type: str) -> None:
    """Refuse an operator that means something else in the opset that is written than in the one that the program names."""
    meant, written = node.graph.opsets.get(domain), m.program.opset_of(domain)
    if meant is None or meant == written:
        return
    versions = []
    for v in (meant, written):
        try:
            versions.append(onnx.defs.get_schema(op_type, max_inclusive_version=v, domain=domain).since_version)
        except onnx.defs.SchemaError:
            versions.append(0)
    if versions[0] != versions[1]:
        name = f"version {meant} of the domain '{domain}'" if domain else f"opset {meant}"
        from bridge.exporters.onnx.export import OPSETS

        way = (
            f"export with opset_version={meant}" if meant in OPSETS else "among torch's operators it cannot be written"
        )
        raise LoweringError(f"{op_type} of {name} is not what version {written} has: {way}", node.range)


def _operand(m: Machine, v: Abstract) -> Run | None:
    if v is None:
        return None
    if isinstance(v, Cell):
        return list_value(m, v)
    if isinstance(v, Run):
        return v
    return m.emitter.constant(v)


def _infer(
    m: Machine,
    node: Node,
    domain: str,
    op_type: str,
    inputs: list[Run | None],
    attributes: dict[str, Any],
    hints: list[str],
) -> list[Run]:
    """The results, typed by onnx's own inference on this one node."""
    try:
        schema = onnx.defs.get_schema(op_type, max_inclusive_version=m.program.opset_of(domain), domain=domain)
    except onnx.defs.SchemaError:
        raise LoweringError(f"{node.kind}: onnx does not know its result types", node.range) from None
    names = ["" if i is None else f"i{n}" for n, i in enumerate(inputs)]
    proto = onnx.helper.make_node(op_type, names, [f"o{n}" for n in range(len(hints))], domain=domain)
    proto.attribute.extend(attributes.values())
    types: dict[str, TypeProto] = {}
    data: dict[str, Any] = {}
    for name, i in zip(names, inputs, strict=True):
        if i is not None:
            types[name] = TypeProto()
            type_proto(i, types[name])
            if i.constant is not None:
                data[name] = onnx_tensor(i.constant)
    opsets = [onnx.helper.make_opsetid(domain, m.program.opset_of(domain))]
    try:
        found = onnx.shape_inference.infer_node_outputs(schema, proto, types, data, opset_imports=opsets)
        return [_run_of(found[f"o{n}"], hint) for n, hint in enumerate(hints)]
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, KeyError, ValueError) as error:
        raise LoweringError(f"{node.kind}: its result types cannot be told: {error}", node.range) from error


def _run_of(proto: TypeProto, hint: str) -> Run:
    is_list = proto.WhichOneof("value") == "sequence_type"
    tensor = proto.sequence_type.elem_type.tensor_type if is_list else proto.tensor_type
    dims: Any = None
    if tensor.HasField("shape"):
        dims = tuple(d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in tensor.shape.dim)
    return (RunList if is_list else Run)(by_onnx(tensor.elem_type), dims, hint)
