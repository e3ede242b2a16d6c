"""An operator of torch that is one ONNX node, by lowering it: what reading nodes as operators, and writing them again, rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from bridge.exporters.onnx.emitter import OnnxEmitter
from bridge.exporters.onnx.operators import CallView, result_types
from bridge.exporters.onnx.values import Run
from bridge.ir import types as T
from bridge.ir.dtypes import DType
from bridge.ir.element_types import ElementTypes
from bridge.ir.errors import BridgeError
from bridge.ir.ops._onnx import lower_functional
from bridge.ir.registry import Operator

__all__ = ["ELEMENT_TYPES", "OneNode", "OneNodes", "one_node"]


def _schema(op_type: str, domain: str, version: int) -> Any:
    try:
        return onnx.defs.get_schema(op_type, max_inclusive_version=version, domain=domain)
    except onnx.defs.SchemaError:
        return None


ELEMENT_TYPES = ElementTypes(_schema)


@dataclass(slots=True, frozen=True)
class OneNode:
    """A node in the default domain; an input is the number of a given tensor, a constant, or None."""

    op_type: str
    inputs: tuple[int | np.ndarray[Any, Any] | None, ...]
    attributes: dict[str, Any]
    results: tuple[DType, ...]


def one_node(operator: Operator, arguments: Sequence[Any], opset: int) -> OneNode | None:
    """The node that a call is at that opset; None when it is more than one node, or cannot be told.

    Arguments are arrays, Python values, pairs of a number and an element type for tensors, and lists of these.
    """
    if operator.onnx is None or operator.schema.is_mutable or operator.side_effect:
        return None
    runs: dict[Run, int] = {}
    e = OnnxEmitter(opset)

    def argument(v: Any) -> Any:
        if isinstance(v, tuple):
            run = Run(v[1], None, "x")
            runs[run] = v[0]
            return run
        return [argument(x) for x in v] if isinstance(v, list) else e.constant(v) if isinstance(v, np.ndarray) else v

    try:
        values = [argument(v) for v in operator.complete(arguments)]
        results = result_types(operator, values)
        names = [a.name for a in operator.schema.arguments]
        made = lower_functional(e, CallView(operator.schema, dict(zip(names, values, strict=True)), results), operator)
    except (BridgeError, AttributeError, LookupError, TypeError, ValueError):
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


def _key(v: Any) -> Any:
    """An argument, by value and by type: ``1``, ``1.0`` and ``True`` are equal in Python, and so are ``0.0`` and ``-0.0``."""
    if isinstance(v, list):
        return tuple(map(_key, v))
    if isinstance(v, tuple):
        return v[0], v[1].name
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
    return OneNode(record.op_type, tuple(inputs), dict(record.attributes), tuple(r.dtype for r in made))
