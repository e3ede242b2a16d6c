"""An operator of torch that is one ONNX node: what reading nodes as operators, and writing them again, rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx

from bridge.exporters.onnx.emitter import OnnxEmitter
from bridge.exporters.onnx.operators import CallView, result_types
from bridge.exporters.onnx.values import Run
from bridge.ir import types as T
from bridge.ir.element_types import ElementTypes
from bridge.ir.errors import BridgeError
from bridge.ir.node_style import finished
from bridge.ir.ops._onnx import lower_functional
from bridge.ir.readings import Operand, forms
from bridge.ir.registry import Operator

__all__ = ["ELEMENT_TYPES", "OneNode", "OneNodes", "one_node"]


def _schema(op_type: str, domain: str, version: int) -> Any:
    try:
        return onnx.defs.get_schema(op_type, max_inclusive_version=version, domain=domain)
    except onnx.defs.SchemaError:
        return None


ELEMENT_TYPES = ElementTypes(_schema)

_FAILURES = (BridgeError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(slots=True, frozen=True)
class OneNode:
    """A node in the default domain; an input is the number of a given tensor, a constant, one that may be left out, or None."""

    op_type: str
    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any]


def one_node(operator: Operator, arguments: Sequence[Any], opset: int) -> OneNode | None:
    """The node that a call is at that opset; None when it is more than one node, or cannot be told.

    What is declared for models of single nodes decides, else the lowering: that of tensors of any sizes where there is one, so
    that it does not depend on what happens to be known. Arguments are arrays, Python values, operands and lists of these.
    """
    if operator.schema.is_mutable:
        return None
    form = forms(operator.full_name)
    if form is not None:
        try:
            values = operator.complete(arguments)
            made = form({a.name: v for a, v in zip(operator.schema.arguments, values, strict=True)}, opset)
        except _FAILURES:
            made = None
        if made is not None:
            return OneNode(made.op_type, tuple(map(_input, made.inputs)), made.attributes)
    if operator.onnx is None or operator.side_effect:
        return None
    found = _lowered(operator, [_anywhere(a) for a in arguments], opset)
    return found if found is not None else _lowered(operator, arguments, opset)


def _input(i: Any) -> Any:
    return i.index if isinstance(i, Operand) else i


def _anywhere(a: Any) -> Any:
    """The argument without its sizes."""
    if isinstance(a, list):
        return [_anywhere(x) for x in a]
    return replace(a, dims=None) if isinstance(a, Operand) and a.dims is not None else a


def _lowered(operator: Operator, arguments: Sequence[Any], opset: int) -> OneNode | None:
    runs: dict[Run, int] = {}
    e = OnnxEmitter(opset)

    def argument(v: Any) -> Any:
        if isinstance(v, Operand):
            run = Run(v.dtype, v.dims, "x")
            runs[run] = v.index
            return run
        return [argument(x) for x in v] if isinstance(v, list) else e.constant(v) if isinstance(v, np.ndarray) else v

    try:
        values = [argument(v) for v in operator.complete(arguments)]
        results = result_types(operator, values)
        names = [a.name for a in operator.schema.arguments]
        made = lower_functional(e, CallView(operator.schema, dict(zip(names, values, strict=True)), results), operator)
    except _FAILURES:
        return None  # it needs to know more of its arguments
    return _the_node(e, made if isinstance(made, tuple) else (made,), results, runs)


class OneNodes:
    """:func:`one_node` that remembers what it found, for models that call the same operators again and again.

    Made for one model: what an operator is hangs on settings, too (the default element type).
    """

    def __init__(self) -> None:
        self._known: dict[Any, OneNode | None] = {}

    def __call__(self, operator: Operator, arguments: Sequence[Any], opset: int) -> OneNode | None:
        key = (operator.schema.full_name, opset, _key(arguments))
        if key not in self._known:
            self._known[key] = one_node(operator, arguments, opset)
        return self._known[key]

    def styled(self, one: OneNode, style: frozenset[str] | None, opset: int) -> OneNode:
        """The node with what a model writes for the operator, though it goes without saying (``bridge.ir.node_style``)."""
        window = next(
            (len(one.attributes[n]) for n in ("strides", "dilations", "kernel_shape") if n in one.attributes), 0
        )
        defaults = ELEMENT_TYPES.defaults(one.op_type, opset)
        inputs, attributes = finished(one.op_type, one.inputs, one.attributes, style, defaults, window)
        return OneNode(one.op_type, tuple(inputs), attributes)


def _key(v: Any) -> Any:
    """An argument, by value and by type: ``1``, ``1.0`` and ``True`` are equal in Python, and so are ``0.0`` and ``-0.0``."""
    if isinstance(v, list):
        return tuple(map(_key, v))
    if isinstance(v, Operand):
        return v.index, v.dtype.name, v.dims
    if isinstance(v, np.ndarray):
        return str(v.dtype), v.shape, repr(v.tolist()) if v.dtype.kind == "O" else v.tobytes()
    return type(v), repr(v)


def _the_node(e: OnnxEmitter, made: Sequence[Any], results: Sequence[T.Type], runs: dict[Run, int]) -> OneNode | None:
    nodes = [r for r in e.body.nodes if r.op_type != "Constant"]
    if len(nodes) != 1 or nodes[0].domain or list(made) != list(nodes[0].outputs):
        return None
    constants = {r.outputs[0]: r.attributes["value"] for r in e.body.nodes if r.op_type == "Constant"}
    record = nodes[0]
    inputs: list[int | np.ndarray[Any, Any] | None] = []
    for i in record.inputs:
        if i is not None and i not in runs and i not in constants:
            return None
        inputs.append(None if i is None else runs[i] if i in runs else constants[i])
    for run, t in zip(made, results, strict=False):
        if not isinstance(t, T.TensorType) or t.dtype not in (None, run.dtype):
            return None  # it would be cast
    return OneNode(record.op_type, tuple(inputs), dict(record.attributes))
