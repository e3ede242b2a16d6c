"""An imported model made ready to be read: a copy with loops for nodes with bodies, methods for functions, constants where
they are used, weights as attributes, names without their paths.

Each step works in place on the copy; none changes what the model computes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto
from onnx.shape_inference import InferenceError, infer_shapes

from bridge.importers.onnx.build import ModuleBuilder, forward_function, forward_schema
from bridge.importers.onnx.divide import Divider
from bridge.importers.onnx.functions import MethodMaker
from bridge.importers.onnx.kinds import propagate_kinds
from bridge.importers.onnx.names import short_name
from bridge.importers.onnx.nesting import nest
from bridge.importers.onnx.raise_nodes import Lowering, NodeRaiser
from bridge.importers.onnx.structure import call, structure
from bridge.importers.onnx.values import attribute_value, type_of
from bridge.ir import dtypes
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.foreign import RawAttribute, StoredAttribute
from bridge.ir.graph import Graph, Node, Value
from bridge.ir.inspection import kind_of
from bridge.ir.types import NONE, TENSOR, Type, unshaped

__all__ = ["has_bodies", "inferred_types", "readable", "with_loops"]

_VALUES = {
    "value": None,
    "sparse_value": None,
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}


def readable(
    root: ScriptObject,
    longest: int,
    types: Mapping[str, Type] | None = None,
    lower: Lowering | None = None,
    consumed: bool = False,
) -> tuple[ScriptObject, dict[str, Any]]:
    """The module to print in place of an imported one, and the values of the attributes that are stored beside the text.

    Constants and attributes of more than ``longest`` elements are not for a text. ``types`` are inferred types of values by
    their ONNX names; ``lower`` lowers an operator, which is how nodes are read as operators of torch. ``consumed``: nobody else has
    the module, and its graph may be worked on. Raises OnnxImportError for what has no form in Python, with the node's name.
    """
    original = root.type.methods["forward"].graph
    assert original.foreign is not None
    builder = ModuleBuilder.around(root)
    graph = original if consumed else original.copy()
    graph.inputs[0].type = builder.root.type
    _usual_domain(graph)
    if types:
        _declare(graph, types)
    if original.foreign.model is not None:
        MethodMaker(original.foreign.model, builder, graph.opsets).replace_calls(graph)
    forward = forward_function(builder.root.type.name, graph)
    stored: dict[str, Any] = {}
    raiser = NodeRaiser(builder.root, lower) if lower is not None else None
    graphs = [f.graph for f in (*builder.root.type.methods.values(), forward)]
    inlined = raiser is not None and not any(n.kind == "onnx::Constant" for g in graphs for n in g.all_nodes())
    if inlined:
        inlined = _inline_weights(graph, builder, longest)
    functions = (*builder.root.type.methods.values(), forward)
    for function in functions:
        _outlined(function, builder, longest)
    if raiser is not None:
        raiser.learn([f.graph for f in functions])
    for function in functions:
        _prepare(function, longest, stored, raiser)
    divider = Divider(builder)
    divider.divide(forward.graph)
    for function in (*divider.functions, *builder.root.type.methods.values(), forward):
        _finish(function, numbered=function not in divider.functions)
    if inlined:
        forward.graph.exact = "initializers"
    elif raiser is not None and (raiser.raised or not _names_operators(forward.graph)):
        forward.graph.exact = "nodes"
    if raiser is not None:
        forward.graph.written = raiser.written
    builder.root.type.add_method(forward)
    return builder.root, stored


def _names_operators(graph: Graph) -> bool:
    """Whether the text will say by itself that the program consists of ONNX's operators."""
    return any(n.kind.partition("::")[0] not in ("aten", "prim") for n in graph.all_nodes())


def with_loops(function: Function) -> Function:
    """The function to show as ``.code``: nodes with bodies as loops. It is the function itself where there are none.

    Raises OnnxImportError for nodes whose bodies have no form in Python.
    """
    if not has_bodies(function.graph):
        return function
    graph = function.graph.copy()
    structure(graph)
    _unshape_all(graph)
    schema = forward_schema(graph)
    schema.name = function.schema.name
    return Function(function.qualified_name, graph, schema)


def _outlined(function: Function, builder: ModuleBuilder, longest: int) -> None:
    """Keep what is known of inputs and results as hints; constants are where they are used, or attributes."""
    graph = function.graph
    graph.input_hints = {v.debug_name: v.type for v in graph.inputs[1:]}
    if function.name == "forward":
        result = graph.outputs[0]
        several = result.node.kind == "prim::TupleConstruct"
        graph.output_hints = [v.type for v in (result.node.inputs if several else [result])]
    _usual_domain(graph)
    for node in graph.all_nodes():
        _plain_attributes(node)
    _constants_outside(graph, builder, longest)


def _prepare(function: Function, longest: int, stored: dict[str, Any], raiser: NodeRaiser | None) -> None:
    """Loops for nodes with bodies, operators of torch for nodes, attributes where they are used."""
    graph = function.graph
    structure(graph)
    if raiser is not None:
        raiser.graph(graph)
    for node in graph.all_nodes():
        _store_attributes(node, longest, stored)
    _attributes_at_use(graph)


def _finish(function: Function, numbered: bool) -> None:
    """Names and types for the reader; without ``numbered`` names lose the numbers that the file gave them."""
    graph = function.graph
    _shorten_names(graph, numbered)
    nest(graph)
    propagate_kinds(graph)
    _unshape_all(graph)
    name = function.schema.name
    function.schema = forward_schema(graph)
    function.schema.name = name


def _unshape_all(graph: Graph) -> None:
    """Forget what is known of tensors: in Python they are all ``Tensor``."""
    for node in graph.all_nodes():
        for b in node.blocks:
            _unshape(b.inputs)
        _unshape(node.outputs)
    _unshape(graph.inputs)


def _declare(graph: Graph, types: Mapping[str, Type]) -> None:
    """Give values that the model says nothing of their inferred types."""
    for node in graph.all_nodes():
        for v in (*node.outputs, *(p for b in node.blocks for p in b.inputs)):
            if v.type == TENSOR and v.export_name and v.export_name in types:
                v.type = types[v.export_name]


def has_bodies(graph: Graph) -> bool:
    """Whether the graph has nodes, other than ``If``, that run graphs."""
    return any(n.blocks and n.kind != "prim::If" for n in graph.all_nodes())


def inferred_types(model: ModelProto) -> dict[str, Type]:
    """The types of values that onnx infers, by name; nothing where it fails."""
    try:
        inferred = infer_shapes(model)
    except (InferenceError, ValueError):
        return {}
    types: dict[str, Type] = {}
    graphs = [inferred.graph]
    while graphs:
        g = graphs.pop()
        types.update({v.name: type_of(v.type) for v in (*g.value_info, *g.output)})
        graphs += [a.g for n in g.node for a in n.attribute if a.type == AttributeProto.GRAPH]
    return types


def _unshape(values: Any) -> None:
    for v in values:
        v.type = unshaped(v.type)


def _usual_domain(graph: Graph) -> None:
    """``ai.onnx`` is the default domain by its long name."""
    if "ai.onnx" in graph.opsets:
        graph.opsets.setdefault("", graph.opsets.pop("ai.onnx"))
    for node in graph.all_nodes():
        if node.kind.startswith("ai.onnx::"):
            node.kind = kind_of(f"onnx::{node.kind.removeprefix('ai.onnx::')}")


def _plain_attributes(node: Node) -> None:
    """Attributes that were kept as they were for their doc strings become plain values."""
    for name, value in node.attributes.items():
        if isinstance(value, RawAttribute) and value.type is None:
            proto = AttributeProto.FromString(value.data)
            proto.ClearField("doc_string")
            node.attributes[name] = attribute_value(proto, f"node '{node.export_name}'")


def _constants_outside(graph: Graph, builder: ModuleBuilder, longest: int) -> None:
    """Replace every ``onnx::Constant``: a small one becomes a ``prim::Constant``, others an attribute of the module.

    Short texts stay what they are.
    """
    self_value = graph.inputs[0]
    for node in list(graph.all_nodes()):
        if node.kind != "onnx::Constant" or len(node.attributes) != 1:
            continue
        array = _array(node)
        if array is None:
            continue
        with graph.inserting(node), graph.at_range(node.range):
            if _is_literal(array, longest):
                new = graph.constant(np.asarray(array), TENSOR)
            else:
                new = _get(graph, self_value, builder.root, builder.add(_name(node, array), array))
        node.output.replace_all_uses_with(new)
        node.destroy()


def _inline_weights(graph: Graph, builder: ModuleBuilder, longest: int) -> bool:
    """Write small lists of ints and single numbers where they are used, in a model whose constants are all initializers."""
    root = builder.root
    found: set[str] = set()
    for node in list(graph.all_nodes()):
        if node.kind != "prim::GetAttr" or node.inputs[0] is not graph.inputs[0]:
            continue
        array = root.attributes[node["name"]]
        array = getattr(array, "_array", array)
        if isinstance(array, np.ndarray) and array.ndim <= (array.dtype.kind in "biu") and _is_literal(array, longest):
            with graph.inserting(node):
                node.output.replace_all_uses_with(graph.constant(np.asarray(array), TENSOR))
            found.add(node["name"])
            node.destroy()
    for name in found:
        del root.attributes[name], root.type.attributes[name]
    return bool(found)


def _is_literal(array: np.ndarray[Any, Any], longest: int) -> bool:
    """Whether a tensor is written out in the text."""
    return array.size <= longest and array.dtype.kind in "biuf" and dtypes.by_numpy(array.dtype).native


def _array(node: Node) -> Any:
    ((name, value),) = node.attributes.items()
    if isinstance(value, np.ndarray):
        if (
            value.dtype.kind == "O"
            and value.ndim < 2
            and 0 < value.size < 8
            and all(isinstance(s, str) for s in value.flat)
        ):
            node.attributes.clear()
            node.attributes["value_strings" if value.ndim else "value_string"] = value.tolist()
            return None
        return value
    return np.asarray(value, _VALUES[name]) if name in _VALUES else None


def _name(node: Node, array: Any) -> str:
    return getattr(array, "proto_name", "") or node.output.debug_name.strip("/") or "constant"


def _get(graph: Graph, owner: Value, at: ScriptObject, path: str) -> Value:
    v = owner
    for part in path.split("."):
        a = at.type.attributes[part]
        v = graph.add("prim::GetAttr", v, type=a.type, name=part)
        if isinstance(at.attributes[part], ScriptObject):
            at = at.attributes[part]
    return v


def _store_attributes(node: Node, longest: int, stored: dict[str, Any]) -> None:
    """Replace long attributes of an ONNX operator by what the file beside the text calls them."""
    if node.kind.partition("::")[0] in ("aten", "prim"):
        return
    for name, value in node.attributes.items():
        if isinstance(value, np.ndarray):
            array = None if _is_literal(value, longest) else np.asarray(value)
        elif (
            isinstance(value, list) and len(value) > 4 * longest and not isinstance(value[0], np.ndarray | RawAttribute)
        ):
            array = np.asarray(value, object if isinstance(value[0], str) else None)
        else:
            continue
        if array is None:
            continue
        base = re.sub(r"\W", "_", f"{node.kind.rpartition('::')[2]}_{name}", flags=re.ASCII).lower()
        key, number = base, 1
        while key in stored:
            key, number = f"{base}_{number}", number + 1
        stored[key] = value if isinstance(value, list) else array
        node.attributes[name] = StoredAttribute(key)


def _attributes_at_use(graph: Graph) -> None:
    """Read each attribute right before the node that uses it, once per use, so that it prints inside the expression."""
    nodes = list(graph.all_nodes())
    for node in nodes:
        if node.kind == "prim::GetAttr":
            continue
        _read_at(graph, node)
        for b in node.blocks:
            _read_at(graph, b.return_node)
    _read_at(graph, graph.return_node)
    for node in reversed(nodes):
        read = node.kind == "prim::GetAttr" or (node.kind == "prim::Constant" and node.output.type is NONE)
        if read and not node.output.use_count:
            node.destroy()


def _read_at(graph: Graph, user: Node) -> None:
    for offset, v in enumerate(user.inputs):
        if v.node.kind == "prim::GetAttr":
            user.replace_input(offset, _copy_before(graph, v, user))


def _copy_before(graph: Graph, v: Value, node: Node) -> Value:
    """A read of the attribute, and of what it is read from, before ``node``, for this use alone."""
    if v.node.kind != "prim::GetAttr":
        return v
    if v.use_count == 1:  # nobody else reads it there
        v.node.replace_input(0, _copy_before(graph, v.node.inputs[0], node))
        v.node.move_before(node)
        v.set_debug_name("")
        v.export_name = None
        return v
    return _new_before(graph, v, node)


def _new_before(graph: Graph, v: Value, node: Node) -> Value:
    if v.node.kind != "prim::GetAttr":
        return v
    owner = _new_before(graph, v.node.inputs[0], node)
    new = graph.create("prim::GetAttr", [owner], name=v.node["name"])
    new.output.type = v.type
    return new.insert_before(node).output


def _shorten_names(graph: Graph, numbered: bool = True) -> None:
    """Name every value by the last part of its path: ``/encoder/layers.0/Conv_output_0`` → ``conv``.

    Inputs and results of the graph keep their names; without ``numbered`` the numbers of names are our own.
    """
    kept = set(graph.inputs)
    if numbered:
        kept |= set(graph.outputs)
    if numbered and graph.outputs and graph.outputs[0].node.kind == "prim::TupleConstruct":
        kept |= set(graph.outputs[0].node.inputs)
    for node in graph.all_nodes():
        for v in (*node.outputs, *(p for b in node.blocks for p in b.inputs)):
            if v in kept or not (v.has_debug_name or v.export_name):
                continue
            call(v, short_name(v, numbered))
