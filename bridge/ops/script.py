"""``ops`` in programs that are compiled: a call becomes one node, its keywords become attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import bridge.ops.interpreted  # noqa: F401  (programs with ONNX operators run in the interpreter, too)
from bridge.importers.script import CompileError, SimpleValue, SugaredValue
from bridge.importers.script.matching import constant_of, insert_constant, make_tuple
from bridge.importers.script.sugared import BuiltinFunction
from bridge.ir import dtypes
from bridge.ir import types as T
from bridge.ir.schemas import schemas_of
from bridge.ops.attributes import attribute_values
from bridge.ops.namespace import Namespace, OnnxOp
from bridge.ops.operators import OperatorNamespace, OperatorOverload, OperatorPacket
from bridge.ops.stored import Stored
from bridge.pytorch.names import operator_packet

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore as Emitter
    from bridge.importers.script.matching import Named
    from bridge.ir.graph import Value
    from bridge.ir.source import SourceRange

__all__ = ["namespace_value"]


def namespace_value(obj: Any) -> SugaredValue | None:
    """What ``bridge.ops`` and the objects in it are in a program; None for other objects."""
    if isinstance(obj, OperatorNamespace):
        return _NamespaceValue(obj)
    if isinstance(obj, OperatorPacket):
        return _PacketValue(obj)
    if isinstance(obj, OperatorOverload):
        return BuiltinFunction(obj.__operator__)
    theirs = operator_packet(obj)
    if theirs is not None and schemas_of(theirs[0]):
        return _PacketValue(OperatorPacket(theirs[0])) if theirs[1] is None else BuiltinFunction(theirs[0])
    if isinstance(obj, Namespace | Stored):
        return _NamespaceValue(obj)
    return _OperatorValue(obj) if isinstance(obj, OnnxOp) else None


class _NamespaceValue(SugaredValue):
    """``ops``, ``ops.onnx``, ``ops.com.microsoft``, ``stored``…"""

    __slots__ = ("namespace",)
    kind = "namespace of operators"
    is_fixed = True

    def __init__(self, namespace: Namespace | Stored | OperatorNamespace) -> None:
        self.namespace = namespace

    def attr(self, range: SourceRange, m: Emitter, name: str) -> SugaredValue:
        if isinstance(self.namespace, Namespace) and name in ("domain", "operator"):
            return _Lookup(getattr(self.namespace, name))
        try:
            found = getattr(self.namespace, name)
        except AttributeError as e:
            raise CompileError(str(e), range) from None
        value = namespace_value(found)
        return value if value is not None else SimpleValue(_constant(m, found, range))


class _PacketValue(BuiltinFunction):
    """``ops.aten.add``, whose overloads are its attributes."""

    __slots__ = ("packet",)

    def __init__(self, packet: OperatorPacket) -> None:
        super().__init__(packet.__operator__)
        self.packet = packet

    def attr(self, range: SourceRange, m: Emitter, name: str) -> SugaredValue:
        try:
            return BuiltinFunction(getattr(self.packet, name).__operator__)
        except AttributeError as e:
            raise CompileError(str(e), range) from None


class _Lookup(SugaredValue):
    """``ops.domain("…")`` and ``ops.onnx.operator("…")``"""

    __slots__ = ("find",)
    kind = "look-up of ONNX operators"

    def __init__(self, find: Any) -> None:
        self.find = find

    def call(
        self, range: SourceRange, m: Emitter, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        values = [constant_of(a.get(m.graph))[1] for a in args]
        if len(values) != 1 or keywords or not isinstance(values[0], str):
            raise CompileError("the name must be one string that is known when the program is compiled", range)
        try:
            found = namespace_value(self.find(values[0]))
        except AttributeError as e:
            raise CompileError(str(e), range) from None
        assert found is not None
        return found


class _OperatorValue(SugaredValue):
    """``ops.onnx.Conv``"""

    __slots__ = ("op",)
    kind = "ONNX operator"

    def __init__(self, op: OnnxOp) -> None:
        self.op = op

    def call(
        self, range: SourceRange, m: Emitter, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        inputs = [self._input(i, a.get(m.graph), a.range or range) for i, a in enumerate(args)]
        given = {k.name: _python_value(k.get(m.graph), k.name, self.op, k.range or range) for k in keywords}
        count = given.pop("outputs", 1)
        if not isinstance(count, int) or count < 0:
            raise CompileError(f"{self.op.op_type}: outputs is a number", range)
        try:
            attributes = attribute_values(self.op, given)
        except TypeError as e:
            raise CompileError(str(e), range) from None
        _note_version(m, self.op, range)
        node = m.node(self.op.kind, inputs, count, range)
        node.attributes.update(attributes)
        types = self.op.result_types([v.type for v in inputs], attributes, count)
        for v, t in zip(node.outputs, types, strict=True):
            v.type = t
        if count == 1:
            return SimpleValue(node.output)
        return SimpleValue(make_tuple(m.graph, list(node.outputs)))

    def _input(self, index: int, v: Value, range: SourceRange) -> Value:
        t = v.type
        held = t.element if isinstance(t, T.OptionalType) else t
        held = held.element if isinstance(held, T.ListType) else held
        if not isinstance(held, T.TensorType | T.DictType) and held is not T.NONE:
            raise CompileError(
                f"{self.op.op_type}: input {index} is a value of type {t.annotation()}; inputs are tensors "
                "(torch.tensor(…) makes one of a number), attributes are given by name",
                range,
            )
        return v


def _note_version(m: Emitter, op: OnnxOp, range: SourceRange) -> None:
    for domain, version in ((op.domain, op.version), *op.versions.items()):
        known = m.graph.opsets.setdefault(domain, version)
        if known != version:
            raise CompileError(f"one program uses versions {known} and {version} of the ONNX domain '{domain}'", range)


def _constant(m: Emitter, value: Any, range: SourceRange) -> Value:
    if hasattr(value, "__array__"):
        return insert_constant(m.graph, np.asarray(getattr(value, "_array", value)), range, T.TENSOR)
    if isinstance(value, list):
        kinds: dict[type, T.Type] = {float: T.FLOAT, str: T.STR}
        return insert_constant(m.graph, value, range, T.ListType(kinds.get(type(value[0]) if value else int, T.INT)))
    return insert_constant(m.graph, value, range)


def _python_value(v: Value, name: str, op: OnnxOp, range: SourceRange) -> Any:
    """The Python value of an attribute's expression: numbers, strings, lists of them, ``torch.tensor`` of these."""
    n = v.node
    known, value = constant_of(v)
    if known:
        return value
    if n.kind in ("prim::ListConstruct", "prim::TupleConstruct", "prim::EmptyListLiteral"):
        return [_python_value(i, name, op, range) for i in n.inputs]
    if n.kind == "aten::tensor":
        data, dtype = (_python_value(i, name, op, range) for i in n.inputs[:2])
        return _tensor(data, dtype)
    raise CompileError(
        f"{op.op_type}: attribute '{name}' must be known when the program is compiled: a number, a string, a list of "
        "these or torch.tensor(…) of these",
        range,
    )


def _tensor(data: Any, dtype: int | None) -> np.ndarray[Any, Any]:
    if dtype is not None:
        return np.asarray(data, dtypes.by_code(dtype).numpy)
    array = np.asarray(data)
    return array.astype(dtypes.default_dtype().numpy) if array.dtype.kind == "f" else array
