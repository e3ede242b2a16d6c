"""From one executed operator to one recorded node: its arguments as graph values.

What a value of each type becomes follows the ``addInputs`` family of torch/csrc/jit/frontend/tracer.cpp, and, for the
arguments that torch's Python functions fill in before the operator is called, python_arg_parser.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.dtypes import DType
from bridge.ir.graph import Node, Value
from bridge.ir.literals import WRAPPED
from bridge.ir.registry import Operator
from bridge.ir.schema import Argument, Schema
from bridge.jit.frames import Caller, level_outside
from bridge.jit.inference import tensor_type
from bridge.jit.trace_forms import recorded_form
from bridge.jit.trace_warnings import FrozenWarning, warn
from bridge.tensor import Tensor

if TYPE_CHECKING:
    from bridge.jit.trace_state import Tracer

__all__ = ["DECISIONS", "Recorder"]

#: Functions of two tensors that give a Python bool: torch freezes their results without a word, this does not.
DECISIONS = frozenset(
    {"aten::equal", "aten::allclose", "aten::is_nonzero", "aten::_nested_tensor_from_mask_left_aligned"}
)

_NOT_ALIGNED = (
    "The padding mask of nn.TransformerEncoder leaves out elements before others. The trace keeps what that decides: for masks "
    "that leave out the ends of sequences its results are not zero there, as the module's are. Trace it with such a mask, or with "
    "enable_nested_tensor=False."
)
#: What in-place operators become that are recorded as making a new tensor.
_LIKE = {"aten::zero_": "aten::zeros_like", "aten::fill_": "aten::full_like"}


class Recorder:
    """Turns executed operators into nodes of a tracer's graph."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer, self._graph = tracer, tracer.graph

    def record(self, operator: Operator, args: Sequence[Any], result: Any) -> None:
        """Record one operator with its complete arguments and its result."""
        schema = operator.schema
        if schema.name in ("aten::size", "aten::numel") and isinstance(result, Tensor):
            self._tracer.record_number(schema.name, args[0], result, args[1:])
            return
        if not _is_recorded(schema):
            if schema.name == "aten::_nested_tensor_from_mask_left_aligned":
                if not result:  # else the trace gives zeros for whatever the mask leaves out
                    warnings.warn(_NOT_ALIGNED, FrozenWarning, stacklevel=level_outside())
            elif schema.name in DECISIONS and any(isinstance(a, Tensor) for a in args):
                name = schema.name.removeprefix("aten::")
                warn(
                    f"The result of {name} on tensors is a Python boolean, which the trace keeps as a constant. "
                    "This means that the trace might not generalize to other inputs!",
                    FrozenWarning,
                )
            return
        caller = self._tracer.calling(schema.name)
        if schema.name == "aten::copy_":
            self._record_copy(args, result, caller)
            return
        schema, given = recorded_form(operator, args)
        baked = schema.full_name in _BAKED
        stashed = [None if baked else self._stash(a, v, caller) for a, v in zip(schema.arguments, given, strict=True)]
        node = self._graph.create(self._kind(schema), (), 0)
        node.range = caller.range()
        node.overload = schema.overload if node.kind == schema.name else None
        for a, v, s in zip(schema.arguments, given, stashed, strict=True):
            node.add_input(self._argument(a, v, s, caller))
        if node.kind == _LIKE.get(schema.name):
            self._complete(node, caller)
        self._graph.insert(node)
        self._outputs(node, schema, result)
        if schema.name == "aten::_convolution":  # recorded below the tape, where results do not require grad yet
            t = tensor_type(result)
            node.output.type = T.TensorType(t.dtype, t.dims, t.strides, False, t.device)

    def _kind(self, schema: Schema) -> str:
        if self._tracer.force_outplace and schema.arguments and schema.arguments[0].writes:
            return _LIKE.get(schema.name, schema.name.removesuffix("_"))
        return schema.name

    def _complete(self, node: Node, caller: Caller) -> None:
        """The options of an operator that stands for an in-place one: those of the tensor that was written to."""
        for value in (None, 0, "cpu", False, 1):
            v = self._graph.constant(value, T.DEVICE if value == "cpu" else None)
            v.node.range = caller.range() if value is not None else None
            node.add_input(v)

    # -- arguments ----------------------------------------------------------------------------------------------

    def _stash(self, a: Argument, v: Any, caller: Caller) -> Any:
        """The numbers that the user computed from sizes: converted where the tensor was made, before anything else."""
        t = a.type.element if isinstance(a.type, T.OptionalType) else a.type
        if isinstance(v, Tensor) and t in _CONVERSIONS:
            return self._number(v, t, caller)
        if isinstance(t, T.ListType) and t.element is T.INT:
            items = v if isinstance(v, list | tuple) else [v]
            if any(isinstance(e, Tensor) for e in items):
                return [self._number(e, T.INT, caller) if isinstance(e, Tensor) else None for e in items]
        return None

    def _number(self, held: Tensor, t: T.Type, caller: Caller) -> Value:
        v = self._tracer.value_of(held, caller)
        assert v.node.next is not None
        with self._graph.inserting(v.node.next):
            return self._graph.add(_CONVERSIONS[t], v, type=t)

    def _argument(self, a: Argument, v: Any, stashed: Any, caller: Caller) -> Value:
        tracer, t = self._tracer, a.type
        if isinstance(stashed, Value):
            return stashed
        if isinstance(t, T.OptionalType) or t is T.GENERATOR:
            if v is None:
                return tracer.none()
            t = t.element if isinstance(t, T.OptionalType) else t
        if t is T.GENERATOR:
            raise RuntimeError("Found an unsupported argument type in the JIT tracer: Generator")
        if isinstance(t, T.TensorType):
            return self._tensor(v, caller)
        if isinstance(t, T.ListType):
            return self._list(t, v, stashed, caller)
        if v is None:
            return tracer.none()
        return self._constant(v, t, caller)

    def _constant(self, v: Any, t: T.Type, caller: Caller) -> Value:
        value, kind = _constant(v, t)
        return self._tracer.constant(value, caller, kind)

    def _tensor(self, v: Any, caller: Caller) -> Value:
        if v is None:
            return self._tracer.none()
        if isinstance(v, Tensor):
            return self._tracer.value_of(v, caller)
        made = Tensor._wrap(np.asarray(v))  # a Python number in a tensor's place
        constant = self._tracer.constant(made._array, caller, tensor_type(made))
        if isinstance(v, bool | int | float | complex):
            constant.node[WRAPPED] = True
        return constant

    def _list(self, t: T.ListType, v: Any, stashed: Any, caller: Caller) -> Value:
        items = list(v) if isinstance(v, list | tuple) else [v]
        if stashed is None:
            stashed = [None] * len(items)
        element = t.element
        inside = element.element if isinstance(element, T.OptionalType) else element
        values = []
        for item, ready in zip(items, stashed, strict=True):
            if ready is not None:
                values.append(ready)
            elif item is None:
                values.append(self._tracer.none())
            elif isinstance(inside, T.TensorType):
                values.append(self._tensor(item, caller))
            else:
                values.append(self._constant(item, inside, caller))
        return self._tracer.list_of(values, element)

    # -- results ------------------------------------------------------------------------------------------------

    def _outputs(self, node: Node, schema: Schema, result: Any) -> None:
        results = result if len(schema.returns) > 1 else (result,)
        for r in results:
            if isinstance(r, Tensor):
                self._bind(r, node.add_output())
            elif isinstance(r, list | tuple):
                unpacked = self._graph.insert(
                    self._graph.create("prim::ListUnpack", [node.add_output(T.ListType(T.TENSOR))], len(r))
                )
                for held, o in zip(r, unpacked.outputs, strict=True):
                    self._bind(held, o)
            elif r is None:  # a tensor that is not there
                node.add_output(T.TENSOR)
            else:
                node.add_output(T.INT if isinstance(r, int) else T.FLOAT)

    def _bind(self, held: Tensor, v: Value) -> None:
        v.type = tensor_type(held)
        self._tracer.bind(held, v)

    # -- special operators --------------------------------------------------------------------------------------

    def _record_copy(self, args: Sequence[Any], result: Tensor, caller: Caller) -> None:
        """``copy_`` is recorded through its schema, so that the default of ``non_blocking`` has no line."""
        target = self._tracer.value_of(args[0], caller)
        source = self._tensor(args[1], caller)
        no_wait = self._graph.constant(False)
        v = self._graph.add("aten::copy_", target, source, no_wait)
        v.node.range = caller.range()
        self._bind(result, v)

    def record_data(self, made: Tensor, detached: bool, source: Tensor | None) -> None:
        """Record a tensor made from Python data: a constant, moved to its dtype, and detached when it is a copy."""
        caller, tracer = self._tracer.calling(), self._tracer
        shape = tensor_type(made)
        plain = T.TensorType(shape.dtype, shape.dims, shape.strides, False, shape.device)
        if source is None:
            v = tracer.constant(made._array.copy(), caller, plain)
        else:
            v = self._graph.add("aten::detach", tracer.value_of(source, caller), type=plain)
            v.node.range = caller.range()
        assert shape.dtype is not None
        extra = [
            self._constant("cpu", T.DEVICE, caller), self._constant(shape.dtype, T.INT, caller),
            self._constant(False, T.BOOL, caller), self._constant(source is not None, T.BOOL, caller), tracer.none(),
        ]  # fmt: skip
        v = self._graph.add("aten::to", v, *extra, type=plain)
        v.node.range = caller.range()
        if detached:
            v = self._graph.add("aten::detach", v, type=plain)
            v.node.range = caller.range()
        tracer.bind(made, v)

    def _apply(self, kind: str, v: Value, extra: Sequence[Value], held: Tensor, caller: Caller) -> Value:
        made = self._graph.add(kind, v, *extra, type=tensor_type(held))
        made.node.range = caller.range()
        return made

    def record_list(self, held: Tensor) -> None:
        """``tolist`` first resolves what a CPU tensor of real numbers does not have; the tensor itself comes back."""
        caller = self._tracer.calling()
        for kind in ("aten::resolve_conj", "aten::resolve_neg"):
            self._tracer.bind(held, self._apply(kind, self._tracer.value_of(held, caller), (), held, caller))

    def record_numpy(self, held: Tensor) -> None:
        """``numpy`` works on a detached copy of the tensor's head."""
        caller, tracer = self._tracer.calling(), self._tracer
        v = self._apply("aten::detach", tracer.value_of(held, caller), (), held, caller)
        extra = [
            self._constant(held.dtype, T.INT, caller), self._constant(0, T.INT, caller),
            self._constant("cpu", T.DEVICE, caller), tracer.none(), self._constant(False, T.BOOL, caller),
            self._constant(False, T.BOOL, caller), tracer.none(),
        ]  # fmt: skip
        v = self._apply("aten::to", v, extra, held, caller)
        for kind in ("aten::resolve_conj", "aten::resolve_neg"):
            v = self._apply(kind, v, (), held, caller)

    def record_shared(self, made: Tensor) -> None:
        """A tensor over an array's memory."""
        caller = self._tracer.calling()
        v = self._tracer.constant(made._array, caller, tensor_type(made))
        self._tracer.bind(made, self._apply("aten::lift_fresh", v, (), made, caller))


_CONVERSIONS: dict[T.Type, str] = {T.INT: "aten::Int", T.FLOAT: "aten::Float", T.NUMBER: "aten::ScalarImplicit"}


#: Whose numbers torch's Python functions take out of the tensors that they are in a trace, so that they stay as they were.
_BAKED = frozenset({"aten::_convolution", "aten::split.Tensor"})


def _is_recorded(schema: Schema) -> bool:
    """Operators without a tensor result are not part of a trace."""
    for r in schema.returns:
        t = r.type.element if isinstance(r.type, T.OptionalType | T.ListType) else r.type
        if isinstance(t, T.TensorType):
            return True
    return False


def _constant(v: Any, t: T.Type) -> tuple[Any, T.Type | None]:
    """A Python argument as the value and type of a constant; a number that was computed from sizes as it is now."""
    if isinstance(v, Tensor):
        v = v._array.item()
    if isinstance(v, DType):
        return v.code, T.INT
    if t is T.DEVICE:
        return str(v), T.DEVICE
    if t is T.INT and not isinstance(v, int | np.integer):
        return int(getattr(v, "code", 0)), T.INT  # a layout or memory format
    if t is T.INT:
        return int(v), T.INT
    if t is T.FLOAT:
        return float(v), T.FLOAT
    if t is T.BOOL:
        return bool(v), T.BOOL
    return v, None
