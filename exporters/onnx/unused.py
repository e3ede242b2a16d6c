"""Tensors of a module that no node reads: kept in a function that nothing calls.

As initializers they would make onnxruntime warn of each. An import of the model needs them: they are in the ``state_dict``.
"""

from __future__ import annotations

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto

__all__ = ["UNUSED", "names_read", "put_aside"]

#: Domain and name of the function. Each of its nodes is a constant with the name of the tensor; the node's name is its place
#: among the initializers.
UNUSED = ("bridge.state", "unused")


def put_aside(model: ModelProto) -> None:
    """Move the initializers that nothing reads; large ones stay, as their data is not in the model."""
    graph = model.graph
    read = {i.name for i in graph.input} | names_read(graph)
    aside = [(i, t) for i, t in enumerate(graph.initializer) if t.name not in read and not t.external_data]
    if not aside:
        return
    domain, name = UNUSED
    function = FunctionProto(domain=domain, name=name, output=[t.name for _, t in aside])
    for i, t in aside:
        function.node.append(_constant(i, t))
    function.opset_import.extend(o for o in model.opset_import if not o.domain)
    model.functions.append(function)
    model.opset_import.append(OperatorSetIdProto(domain=domain, version=1))
    for _, t in aside:
        graph.initializer.remove(t)


def _constant(place: int, tensor: TensorProto) -> NodeProto:
    node = NodeProto(op_type="Constant", name=str(place), output=[tensor.name])
    a = node.attribute.add(name="value")
    a.type = a.TENSOR
    a.t.CopyFrom(tensor)
    return node


def names_read(graph: GraphProto) -> set[str]:
    """Every name that a graph's nodes read, those of subgraphs included, and its outputs."""
    found = {o.name for o in graph.output}
    for node in graph.node:
        found.update(node.input)
        for a in node.attribute:
            for inner in (a.g, *a.graphs) if a.type == a.GRAPH else a.graphs:
                found |= names_read(inner)
    return found
