"""Calls of declared operators: folded when everything is known, else lowered as the operator says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.exporters.onnx.columns import as_sequence
from bridge.exporters.onnx.facts import fact
from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.values import (
    Abstract,
    Cell,
    Columns,
    Maybe,
    Run,
    RunList,
    Stacked,
    Text,
    Unset,
    is_code,
    type_of,
)
from bridge.ir import types as T
from bridge.ir.dtypes import default_dtype
from bridge.ir.empty_lists import empty_list_code
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node
from bridge.ir.node_schema import operator_of
from bridge.ir.registry import Operator, Unsupported, overloads
from bridge.ir.rules import UNKNOWN, Call
from bridge.ir.schema import Schema
from bridge.ir.subscripts import einsum_equation
from bridge.ir.types import Type

__all__ = ["CallView", "call_operator", "lower_operator", "plain"]


class CallView:
    """The arguments of one call as a lowering sees them (``LoweredCall`` in bridge.ir.lowering)."""

    __slots__ = ("args", "results", "schema")

    def __init__(self, schema: Schema, args: dict[str, Any], results: Sequence[Type]) -> None:
        self.schema, self.args, self.results = schema, args, results

    def __getitem__(self, name: str) -> Any:
        """The argument of that name."""
        return self.args[name]


def lower_operator(m: Machine, node: Node) -> Abstract:
    """Lower a node that calls an operator of the registry."""
    o = operator_of(node)
    if o is None:
        known = overloads(node.kind)
        why = "takes other arguments" if known else "is not known"
        raise LoweringError(f"{node.kind} {why}", node.range)
    args = [m.get(v) for v in node.inputs]
    return call_operator(m, node, o, args)


def call_operator(m: Machine, node: Node, o: Operator, args: list[Abstract]) -> Abstract:
    """Lower one call: fold it, or make nodes for it."""
    found = fact(o, args, m)
    if found is not NotImplemented:
        return found
    unsure = _may_be_none(o, args)
    if unsure is not None:
        from bridge.exporters.onnx.control import either

        maybe, at = args[unsure], unsure
        with_value, without = ([*args[:at], v, *args[at + 1 :]] for v in (maybe.value, None))
        return either(
            m,
            node,
            maybe.present,
            lambda: call_operator(m, node, o, with_value),
            lambda: call_operator(m, node, o, without),
        )
    values = [plain(m, a) for a in args]
    if o.schema.is_vararg and o.schema.name == "aten::einsum":
        equation, *tensors = einsum_equation(values)
        o, values = next(e for e in overloads(node.kind) if not e.schema.is_vararg), [equation, tensors]
    values = o.complete(values)
    if o.schema.name in ("aten::tensor", "aten::as_tensor"):
        values[:2] = _rows_joined(m, node.inputs[0].type, *values[:2])
    if o.schema.name in ("aten::tensor", "aten::as_tensor") and values[1] is None:
        values[1] = empty_list_code(node.inputs[0].type, values[0])
    if o.schema.is_mutable and o.schema.arguments[0].writes and isinstance(args[0], Cell):
        return _change_known(m, node, o, args[0], values)
    if not o.side_effect and _is_static(values) and _folds(o, values):
        return wrap_static(m, o.run(*values), node.outputs[0].type if node.outputs else T.NONE)
    if o.side_effect and m.program.hosted and not _is_idle(o, values):
        raise LoweringError(f"{o.schema.name} draws from the generator of the process", node.range)
    if o.schema.is_mutable and _is_idle(o, values):
        return m.env[node.inputs[0]]
    if o.schema.is_mutable:
        from bridge.exporters.onnx.mutation import lower_mutable

        return lower_mutable(m, node, o, values)
    result = lower_call(m, node, o, values)
    from bridge.exporters.onnx.mutation import may_share, note_view

    if may_share(o):
        note_view(m, node, o, values, result)
    elif isinstance(result, Run) and any(result is v for v in values):
        result = result.another()  # a tensor of its own, which may be written to
    return result


def _rows_joined(m: Machine, declared: Type, data: Any, code: int | None) -> tuple[Any, int | None]:
    """A list of lists of numbers, of which run time knows how many there are, as one value with the code of its element type.

    onnxruntime raises where the lists have other lengths, as torch does, and where there is none.
    """
    inner = declared.element if isinstance(declared, T.ListType) else None
    element = inner.element if isinstance(inner, T.ListType) else None
    if not isinstance(data, RunList) or data.rank != 1 or element not in (T.INT, T.BOOL, T.FLOAT):
        return data, code
    dims = (None, *(data.dims or (None,)))
    joined = m.emitter.op("ConcatFromSequence", data, axis=0, new_axis=1, dtype=data.dtype, dims=dims)
    own = default_dtype() if element is T.FLOAT else data.dtype
    return joined, own.code if code is None else code


def _may_be_none(o: Operator, args: Sequence[Abstract]) -> int | None:
    """The first argument of which only run time knows whether it is None, of an operator that takes either."""
    if o.schema.is_mutable or o.side_effect or len(o.schema.returns) != 1:
        return None
    for i, (a, v) in enumerate(zip(o.schema.arguments, args, strict=False)):
        if isinstance(v, Maybe) and isinstance(v.present, Run) and isinstance(a.type, T.OptionalType):
            return i
    return None


def _change_known(m: Machine, node: Node, o: Operator, cell: Cell, values: list[Any]) -> Abstract:
    """What writes to a list or dict of known numbers or texts is done now, on a copy that becomes the content."""
    content = m.content(cell)
    known = content.values() if isinstance(content, dict) else content if isinstance(content, tuple) else [cell]
    if o.kernel is None or not _is_static(values) or not all(isinstance(v, bool | int | float | str) for v in known):
        raise LoweringError(
            f"{o.schema.name} changes a list or dict that is not known when the model is exported", node.range
        )
    changed = dict(content) if isinstance(content, dict) else list(content)
    result = o.run(changed, *values[1:])
    m.heap[cell] = changed if isinstance(changed, dict) else tuple(changed)
    if result is changed:
        return cell
    return wrap_static(m, result, node.outputs[0].type) if node.outputs else []


def _is_idle(o: Operator, values: Sequence[Any]) -> bool:
    """Whether an operator that draws random numbers in training (dropout) is told that it does not train."""
    both = zip(o.schema.arguments, values, strict=True)
    return any(a.name in ("train", "training") and v is False for a, v in both)


def lower_call(m: Machine, node: Node, o: Operator, values: Sequence[Any]) -> Abstract:
    """Make the nodes of a call; its results have the types that the operator's rule gives."""
    from bridge.ir.ops._onnx import lower_functional

    if o.onnx is None or isinstance(o.onnx, Unsupported):
        why = o.onnx.why if isinstance(o.onnx, Unsupported) else "there is no ONNX form of it yet"
        raise LoweringError(f"{o.schema.name} cannot be exported to ONNX: {why}", node.range)
    results = result_types(o, values)
    e = m.emitter
    lowered_args = {
        a.name: _as_lowered(e, v) for a, v in zip(o.schema.arguments, values, strict=True)
    }  # fmt: skip
    made = lower_functional(e, CallView(o.schema, lowered_args, results), o)
    if len(o.schema.returns) == 1:
        return _typed(m, made, results[0] if results else None, node)
    return tuple(_typed(m, x, t, node) for x, t in zip(made, results, strict=True))


def result_types(o: Operator, values: Sequence[Any]) -> list[Type]:
    """What the operator's type rule says of the results; what the schema says where it has no rule."""
    if o.types is None:
        return [r.type for r in o.schema.returns]
    names = [a.name for a in o.schema.arguments]
    call = Call(
        o.schema,
        {n: _rule_type(v) for n, v in zip(names, values, strict=True)},
        {a.name: _known_argument(v, a.type) for a, v in zip(o.schema.arguments, values, strict=True)},
    )
    try:
        found = o.types(call)
    except (TypeError, ValueError):  # the rule computes with sizes, of which some are only names here
        call.values = {n: UNKNOWN if _named(v) else v for n, v in call.values.items()}
        found = o.types(call)
    return [found] if isinstance(found, Type) else list(found)


def _typed(m: Machine, made: Any, wanted: Type | None, node: Node) -> Abstract:
    """A lowering's result with the dims of the type rule, as an abstract value."""
    if isinstance(made, list | tuple):
        element = wanted.element if isinstance(wanted, T.ListType) else None
        inside = wanted.contained() if isinstance(wanted, T.TupleType) else [element] * len(made)
        parts = tuple(_typed(m, x, t, node) for x, t in zip(made, inside, strict=True))
        return m.new_cell(T.ListType(T.TENSOR), parts) if not isinstance(wanted, T.TupleType) else parts
    if isinstance(made, RunList):
        return m.new_cell(T.ListType(T.TENSOR), made)
    if isinstance(wanted, T.ListType) and isinstance(made, Run):
        return m.new_cell(wanted, made)
    if isinstance(made, Run) and isinstance(wanted, T.TensorType):
        if wanted.dtype is not None and made.dtype is not wanted.dtype:
            made = m.emitter.cast(made, wanted.dtype)
        if wanted.dims is not None and not made.fixed and made.constant is None:
            made = _with_dims(made, wanted.dims)
    return made


def _with_dims(made: Run, dims: tuple[Any, ...]) -> Run:
    if made.dims is None or made.dims == dims:
        made.dims = dims
    elif len(made.dims) == len(dims):
        made.dims = tuple(a if isinstance(a, int) or b is None else b for a, b in zip(made.dims, dims, strict=True))
    return made


_STRINGS = "a string (or a member of an enum) that depends on data can be compared, kept and be the key of a dict in ONNX, no more"


def plain(m: Machine, v: Abstract) -> Any:
    """An abstract value as lowerings and kernels take it: lists as Python lists."""
    if isinstance(v, Cell):
        content = m.read(v)
        if not isinstance(content, tuple | dict) and any(map(is_code, v.type.walk())):
            raise LoweringError(_STRINGS)
        if isinstance(content, tuple):
            return [plain(m, x) for x in content]
        if isinstance(content, Columns):
            raise LoweringError("this cannot be done in ONNX with a list of tuples whose length is not known")
        return as_sequence(m, content) if isinstance(content, Stacked) else content
    if isinstance(v, tuple):
        return tuple(plain(m, x) for x in v)
    if isinstance(v, Maybe):
        raise LoweringError(
            "a value that may be None, depending on data, is used as it is; test it with 'is None' first"
        )
    if isinstance(v, Text):
        raise LoweringError("ONNX programs have no strings that are made at run time")
    if isinstance(v, Unset):
        raise LoweringError("a value is used before it is set")
    if isinstance(v, Run) and is_code(v.number):
        raise LoweringError(_STRINGS)
    return m.current(v)


def wrap_static(m: Machine, v: Any, type: Type) -> Abstract:
    """A Python result of folding as an abstract value: lists get an identity."""
    if isinstance(v, list):
        return m.new_cell(type, tuple(v))
    if isinstance(v, np.generic):
        return v.item()
    return v


def _is_static(v: Any) -> bool:
    if isinstance(v, list | tuple):
        return all(map(_is_static, v))
    return not isinstance(v, Run | Unset)


def _folds(o: Operator, values: Sequence[Any]) -> bool:
    """Whether a call on known values is computed now: what gives numbers and text, and arithmetic on 0-d tensors."""
    if o.kernel is None:
        return False
    if not any(isinstance(t, T.TensorType) for r in o.schema.returns for t in r.type.walk()):
        return True
    arrays = [v for v in values if isinstance(v, np.ndarray)]
    return bool(arrays) and all(a.ndim == 0 for a in arrays)


def _as_lowered(e: Any, v: Any) -> Any:
    if isinstance(v, np.ndarray):
        return e.constant(v)
    if isinstance(v, list):
        return [_as_lowered(e, x) for x in v]
    return v


def _rule_type(v: Any) -> Type:
    if isinstance(v, list):
        inside = [_rule_type(x) for x in v]
        if any(isinstance(t, T.TensorType) for t in inside):  # an optional tensor may be None among them
            return T.TupleType(*inside)
        return T.ListType(inside[0] if inside else T.TENSOR)
    return type_of(v)


def _named(v: Any) -> bool:
    """Whether a known value is, or has in it, the name of a free size."""
    return any(map(_named, v)) if isinstance(v, list) else isinstance(v, str)


def _known_argument(v: Any, declared: Type) -> Any:
    """What a rule may know of an argument: of a run-time list of numbers its length, if that is fixed."""
    if isinstance(v, Run) and isinstance(declared, T.ListType) and v.dims and isinstance(v.dims[0], int):
        return [UNKNOWN] * v.dims[0]
    return _known(v)


def _known(v: Any) -> Any:
    if isinstance(v, Run):
        return v.symbol if v.symbol is not None and v.number is not None else UNKNOWN
    if isinstance(v, np.ndarray | Unset):
        return UNKNOWN
    if isinstance(v, list):
        return [_known(x) for x in v]
    return v
