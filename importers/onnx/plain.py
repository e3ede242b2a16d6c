"""Models of which it is plain that they import: graphs of nodes over named values, without graphs inside, without surprises."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from bridge.importers.onnx.values import USUAL_FIELDS, WHOLE_DTYPES

__all__ = ["is_plain"]

_VALUES = frozenset(getattr(AttributeProto, name) for name in ("INT", "FLOAT", "STRING", "INTS", "FLOATS", "STRINGS"))
#: Where values are that are not raw.
_TYPED: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.INT32: "int32_data",
    TensorProto.INT64: "int64_data",
}
_OWN = frozenset({"aten", "prim", "bridge"})
_WITH_GRAPHS = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def is_plain(model: ModelProto) -> bool:
    """Whether building the model's graph cannot fail, so that it may wait until somebody looks at it.

    False says nothing: such a model is built at once, which is what finds its faults.
    """
    graph = model.graph
    if graph.sparse_initializer or graph.quantization_annotation:
        return False
    known = _initializers(graph)
    if known is None:
        return False
    inputs = [i.name for i in graph.input]
    if not all(type(name) is str and name for name in inputs) or len(set(inputs)) < len(inputs):
        return False
    known.update(inputs)
    texts = [graph.name, graph.doc_string, *(v.name for v in (*graph.output, *graph.value_info))]
    texts += [t for e in (*model.metadata_props, *graph.metadata_props) for t in (e.key, e.value)]
    domains = {o.domain for o in model.opset_import} - _OWN | {"ai.onnx"}
    return (
        all(type(t) is str for t in texts)
        and _nodes(graph.node, known, domains)
        and all(o.name in known for o in graph.output)
        and len({o.name for o in graph.output}) == len(graph.output) > 0
    )


def _initializers(graph: GraphProto) -> set[str] | None:
    """The initializers' names; None unless they are distinct tensors of numpy's own types whose data is there."""
    known: set[str] = set()
    for t in graph.initializer:
        name = t.name
        if not _plain_tensor(t) or type(name) is not str or not name:
            return None
        known.add(name)
    return known if len(known) == len(graph.initializer) else None


def _plain_tensor(t: TensorProto) -> bool:
    dtype = WHOLE_DTYPES.get(t.data_type)
    dims = t.dims
    if dtype is None or min(dims, default=0) < 0:
        return False
    fields = {f.name for f, _ in t.ListFields()}
    if "raw_data" in fields:
        return fields <= USUAL_FIELDS and math.prod(dims) * dtype.itemsize == len(t.raw_data)
    typed = _TYPED.get(t.data_type, "")
    return typed in fields and fields <= {*USUAL_FIELDS, typed} and math.prod(dims) == len(getattr(t, typed))


def _nodes(nodes: Iterable[NodeProto], known: set[str], domains: set[str]) -> bool:
    """Whether every node takes what was given before it and gives new values; ``known`` takes these."""
    for n in nodes:
        for name in n.input:
            if name not in known and name:
                return False
        domain, op_type = n.domain, n.op_type
        if domain not in domains or op_type in _WITH_GRAPHS:
            return False
        if not (type(n.name) is type(op_type) is type(n.doc_string) is type(n.overload) is str):
            return False
        for name in n.output:
            if name in known or type(name) is not str:
                return False
            if name:
                known.add(name)
        if not all(map(_plain_attribute, n.attribute)):
            return False
        if n.metadata_props and not all(type(t) is str for e in n.metadata_props for t in (e.key, e.value)):
            return False
    return True


def _plain_attribute(a: Any) -> bool:
    kind = a.type
    return type(a.name) is str and (kind in _VALUES or (kind == AttributeProto.TENSOR and _plain_tensor(a.t)))
