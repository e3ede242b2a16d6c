"""The values of a model by their names: what makes each, through graphs in nodes, functions and ``Identity``; the data of tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

__all__ = [
    "NOTHING", "Different", "Node", "Scope", "Value", "array_of", "behind", "constant_of", "is_true", "kept_values",
    "never_stops", "same_array", "same_values", "told", "top_scope", "usual_domain",
]  # fmt: skip

_CONSTANTS = {
    "value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64,
    "value_string": object, "value_strings": object,
}  # fmt: skip
_PLAIN: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype("<f4"),
    TensorProto.INT64: np.dtype("<i8"),
    TensorProto.INT32: np.dtype("<i4"),
}
_DEPTH = 200

Functions = Mapping[tuple[str, str, str], onnx.FunctionProto]


class Different(Exception):
    """The models do not compute the same, or not in a way that is told here."""


class Node:
    """A node where it stands: in a function that is called in several places it is several nodes."""

    __slots__ = ("attributes", "key", "proto", "scope", "scopes")

    def __init__(self, proto: NodeProto, scope: Scope) -> None:
        self.proto, self.scope = proto, scope
        self.scopes: dict[str, Scope] = {}
        self.attributes: dict[str, AttributeProto] | None = None
        #: Domain, operator and overload.
        self.key: tuple[str, str, str] = (usual_domain(proto.domain), proto.op_type, proto.overload)

    def find(self, position: int) -> Value:
        """The value that the node takes there."""
        names = self.proto.input
        return self.scope.find(names[position]) if position < len(names) and names[position] else NOTHING

    def attribute(self, name: str) -> AttributeProto | None:
        return self.all_attributes().get(name)

    def all_attributes(self) -> dict[str, AttributeProto]:
        """The attributes by name; what a function's node refers to is what the call gives."""
        if self.attributes is None:
            self.attributes = {}
            for a in self.proto.attribute:
                given = self.scope.given(a.ref_attr_name) if a.ref_attr_name else a
                if given is not None:
                    self.attributes[a.name] = given
        return self.attributes

    def body(self, name: str) -> Scope:
        """The graph that is an attribute."""
        if name not in self.scopes:
            a = self.attribute(name)
            if a is None or a.type != AttributeProto.GRAPH:
                raise Different(f"{self.proto.op_type} has no graph '{name}'")
            self.scopes[name] = Scope(a.g, self.scope, self)
        return self.scopes[name]


class Value:
    """A value: ``kind`` is input (of the model), parameter (of a graph in a node), tensor, result (of a node), argument (of
    a function) or nothing."""

    __slots__ = ("index", "kind", "node", "proto")

    def __init__(self, kind: str, proto: Any = None, node: Node | None = None, index: int = 0) -> None:
        self.kind, self.proto, self.node, self.index = kind, proto, node, index

    def is_op(self, op_type: str) -> bool:
        return self.kind == "result" and self.node is not None and self.node.key == ("", op_type, "")

    @property
    def made_by(self) -> Node:
        assert self.node is not None
        return self.node


NOTHING = Value("nothing")


class Scope:
    """The values of a graph, by name, and those of the graphs around it."""

    def __init__(
        self, graph: Any, outer: Scope | None = None, owner: Node | None = None, functions: Functions | None = None
    ) -> None:
        self.outer, self.graph = outer, graph
        self.functions: Functions = outer.functions if outer is not None else functions or {}
        self.call: Node | None = outer.call if outer is not None else None
        self.depth: int = outer.depth + 1 if outer is not None else 0
        if self.depth > _DEPTH:
            raise Different("graphs are nested too deeply")
        self.names: dict[str, Value] = {}
        initial = {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
        free = [i for i in graph.input if i.name not in initial]
        for index, i in enumerate(free):
            self.names[i.name] = Value("input" if owner is None else "parameter", i, owner, index)
        for t in graph.initializer:
            self.names[t.name] = Value("tensor", t)
        for s in graph.sparse_initializer:
            self.names[s.values.name] = Value("tensor", s)
        self._nodes(graph.node)

    def _nodes(self, nodes: Iterable[NodeProto]) -> None:
        for proto in nodes:
            node = Node(proto, self)
            kind = "tensor" if node.key == ("", "Constant", "") and self.call is None else "result"
            for index, name in enumerate(proto.output):
                if name:
                    self.names[name] = Value(kind, proto, node, index)

    def given(self, name: str) -> AttributeProto | None:
        """What the call of the function gives for an attribute, or the function says."""
        if self.call is None:
            return None
        found = self.call.attribute(name)
        if found is None:
            function = self.functions[self.call.key]
            found = next((a for a in function.attribute_proto if a.name == name), None)
        return found

    def find(self, name: str) -> Value:
        """The value of a name, followed into functions. Raises Different where there is none."""
        at: Scope | None = self
        while name:
            while at is not None and name not in at.names:
                at = at.outer
            if at is None:
                break
            found = at.names[name]
            if found.kind == "argument":
                call = found.made_by
                at, name = call.scope, call.proto.input[found.index] if found.index < len(call.proto.input) else ""
            elif found.kind == "result" and found.made_by.key in self.functions:
                at, name = _inside(found.made_by), self.functions[found.made_by.key].output[found.index]
            else:
                return found
        if name:
            raise Different(f"'{name}' is not there")
        return NOTHING

    def results(self) -> list[Value]:
        return [self.find(o.name) for o in self.graph.output]


class _Body(Scope):
    """The values of a function where it is called."""

    def __init__(self, function: onnx.FunctionProto, call: Node) -> None:
        self.outer, self.call, self.functions, self.graph = None, call, call.scope.functions, function
        self.depth, self.names = call.scope.depth + 1, {}
        if self.depth > _DEPTH:
            raise Different("functions are nested too deeply")
        for index, name in enumerate(function.input):
            self.names[name] = Value("argument", None, call, index)
        self._nodes(function.node)


def _inside(call: Node) -> Scope:
    if "" not in call.scopes:
        call.scopes[""] = _Body(call.scope.functions[call.key], call)
    return call.scopes[""]


def top_scope(model: onnx.ModelProto) -> Scope:
    """The values of a model."""
    functions = {(usual_domain(f.domain), f.name, f.overload): f for f in model.functions}
    return Scope(model.graph, functions=functions)


def usual_domain(domain: str) -> str:
    """ONNX's own domain has two names."""
    return "" if domain == "ai.onnx" else domain


def told(v: Value) -> str:
    return v.made_by.proto.op_type if v.kind == "result" else v.kind


def behind(v: Value) -> Value:
    """The value that ``Identity`` is of."""
    while v.is_op("Identity"):
        v = v.made_by.find(0)
    return v


def is_true(v: Value) -> bool:
    if v.kind == "nothing":
        return True
    v = behind(v)
    array = kept_values(v) if v.kind == "tensor" else None
    return array is not None and array.size == 1 and bool(array.reshape(-1)[0])


def never_stops(body: Scope, loop: Node) -> bool:
    """Whether the condition stays what it was before the loop, or is true."""
    v = behind(body.find(body.graph.output[0].name))
    return is_true(v) or (v.kind == "parameter" and v.node is loop and v.index == 1)


def kept_values(v: Value) -> np.ndarray[Any, Any] | None:
    """The values of a tensor; None where the model does not have them."""
    if isinstance(v.proto, NodeProto):
        return constant_of(v.made_by)
    if isinstance(v.proto, onnx.SparseTensorProto):
        return _dense(v.proto)
    return array_of(v.proto)


def constant_of(node: Node) -> np.ndarray[Any, Any] | None:
    for name, a in node.all_attributes().items():
        if name == "value":
            return array_of(a.t)
        if name == "sparse_value":
            return _dense(a.sparse_tensor)
        if name in _CONSTANTS:
            value = helper.get_attribute_value(a)
            if _CONSTANTS[name] is object:
                value = [s.decode() for s in value] if isinstance(value, list) else value.decode()
            return np.asarray(value, _CONSTANTS[name])
    raise Different("a Constant of another kind")


def _dense(sparse: onnx.SparseTensorProto) -> np.ndarray[Any, Any]:
    values, at = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    dense[np.unravel_index(at, dense.shape) if at.ndim == 1 else tuple(at.T)] = values
    return dense


def array_of(t: TensorProto) -> np.ndarray[Any, Any] | None:
    if t.data_location == TensorProto.EXTERNAL:
        return None
    plain = _PLAIN.get(t.data_type)
    if plain is not None and t.HasField("raw_data"):
        count = math.prod(t.dims)
        return np.frombuffer(t.raw_data, plain).reshape(t.dims) if count * plain.itemsize == len(t.raw_data) else None
    try:
        array = numpy_helper.to_array(t)
    except (ValueError, TypeError):
        return None
    if array.dtype.kind in "OSU":
        flat = np.empty(array.size, object)
        flat[:] = [s.decode(errors="surrogateescape") if isinstance(s, bytes) else str(s) for s in array.reshape(-1)]
        return flat.reshape(array.shape)
    return np.asarray(array)


def same_array(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """Whether two tensors have the same bytes."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return a.tolist() == b.tolist() if a.dtype.kind == "O" else a.tobytes() == b.tobytes()


def same_values(a: Value, b: Value) -> bool:
    x, y = kept_values(a), kept_values(b)
    return x is not None and y is not None and same_array(x, y)
