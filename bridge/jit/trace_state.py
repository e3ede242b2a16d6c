"""The state of one trace: the graph being recorded and which value each tensor is.

The eager dispatch tells :class:`Tracer` of every operator it ran (``record``), of every size that was asked for, and of
every value that left the tensors (``frozen``). Values are numbered, named and placed exactly as torch's tracer does it
(torch/csrc/jit/frontend/tracer.cpp, 2.13), because graphs are compared to the byte: a constant per number, each with the
caller's line; ``aten::Int`` right after the tensor that a size came from; names from the caller's variables on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from bridge import _dispatch
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, FunctionType, ScriptObject
from bridge.ir.graph import Graph, Value
from bridge.ir.registry import Operator
from bridge.jit import running
from bridge.jit.frames import Caller, calling, machinery
from bridge.jit.inference import CannotInfer, infer_type, tensor_type
from bridge.jit.trace_arguments import Recorder
from bridge.jit.trace_forms import constituents
from bridge.jit.trace_warnings import STRICT, warn, warn_frozen
from bridge.jit.values import match_arguments
from bridge.tensor import Tensor

__all__ = ["Tracer", "record"]


class Tracer:
    """Records one function or method. ``graph`` is what has been recorded so far.

    ``strict`` refuses containers that may change (dict results) and warns of list results; ``force_outplace`` records
    in-place operators as the functional ones.

    Where the code computes with another library's tensors, ``execute(plan, arguments)`` runs the operators that our own
    functions come to, on stand-ins for those tensors; ``seen`` gives the tensor that the code's variables hold.
    """

    execute: Callable[[Any, Sequence[Any]], Any] | None = None

    def __init__(self, scopes: Mapping[int, str], strict: bool = True, force_outplace: bool = False) -> None:
        self.graph = Graph()
        self.strict, self.force_outplace = strict, force_outplace
        self._scopes = scopes
        self._values: dict[int, tuple[Any, Value]] = {}  # the object is kept, so that its id stays its own
        self._names_known = False
        self._recorder = Recorder(self)

    def calling(self, operator: str = "") -> Caller:
        """The frame that an operator came from."""
        return calling(operator)

    def seen(self, held: Any) -> Any:
        """The object that variables of the traced code hold for a value."""
        return held

    def category(self, category: type[Warning]) -> type[Warning]:
        """The class under which a warning is issued."""
        return category

    # -- tensors and values -------------------------------------------------------------------------------------

    def value_of(self, held: Any, caller: Caller | None = None) -> Value:
        """The graph value of a tensor, list, tuple, dict, script object or constant; a constant for unknown tensors.

        Raises RuntimeError for a tensor that requires grad and came from nowhere, and for foreign modules.
        """
        if isinstance(held, Tensor):
            found = self._values.get(id(held))
            if found is None:
                return self._tensor_constant(held, caller)
            if not found[1].has_debug_name and self._names_known:
                name = (caller or self.calling()).name_of(self.seen(held))
                if name:
                    found[1].set_debug_name(name)
            return found[1]
        if isinstance(held, ScriptObject):
            found = self._values.get(id(held))
            if found is None:
                raise RuntimeError(
                    f"Tried to trace <{held.type.name} object at {id(held):#x}> but it is not part of the active trace. "
                    "Modules that are called during a trace must be registered as submodules of the thing being traced."
                )
            return found[1]
        if isinstance(held, list) and held and all(isinstance(v, Tensor) for v in held):
            return self.list_of([self.value_of(v, caller) for v in held], T.TENSOR)
        if isinstance(held, tuple):
            return self.tuple_of([self.value_of(v, caller) for v in held])
        if isinstance(held, dict):
            keys = [self.value_of(k, caller) for k in held]
            values = [self.value_of(v, caller) for v in held.values()]
            return self._dict_of(keys, values)
        return self.constant(held, caller)

    def _tensor_constant(self, held: Tensor, caller: Caller | None) -> Value:
        if held.requires_grad:
            raise RuntimeError(
                "Cannot insert a Tensor that requires grad as a constant. Consider making it a parameter or input, or "
                f"detaching the gradient\nTensor:\n{held}"
            )
        if any(np.may_share_memory(held._array, known._array) for known in self._tensors()):
            warn_frozen("data")
        v = self.constant(held._array, caller, tensor_type(held))
        self._values[id(held)] = held, v
        return v

    def bind(self, held: Any, v: Value) -> None:
        """Declare that a Python object is this value; containers are taken apart."""
        if isinstance(held, Tensor):
            self._values[id(held)] = held, v
            if isinstance(v.type, T.TensorType) and not _is_complete(v.type):
                v.type = tensor_type(held)
        elif isinstance(held, ScriptObject):
            self._values[id(held)] = held, v
        elif isinstance(held, tuple):
            for e, o in zip(held, self._unpack("prim::TupleUnpack", v, len(held)), strict=True):
                self.bind(e, o)
        elif isinstance(held, list):
            for e, o in zip(held, self._unpack("prim::ListUnpack", v, len(held)), strict=True):
                self.bind(e, o)
        elif isinstance(held, dict):
            for k, e in held.items():
                self.bind(e, self._dict_item(v, k))
        else:
            kind = {bool: "Bool", int: "Int", float: "Double", str: "String", type(None): "None"}.get(type(held))
            raise RuntimeError(  # noqa: TRY004  (torch's)
                f"Tracer cannot set value trace for type {kind or type(held).__name__}. "
                "Supported types are tensor, tensor list, and tuple of tensors."
            )

    def _tensors(self) -> Iterator[Tensor]:
        """The traced tensors that are no constants."""
        for held, v in self._values.values():
            if isinstance(held, Tensor) and v.node.kind != "prim::Constant":
                yield held

    def is_bound(self, held: Any) -> bool:
        """Whether the trace knows the tensor."""
        return id(held) in self._values

    def add_input(self, held: Any, v: Value) -> Any:
        """Declare an input of the trace; gives the object that the traced code must be called with.

        A tensor that is an input already is replaced by a view, so that the two stay apart.
        """
        if isinstance(held, Tensor):
            if self.is_bound(held):
                held = held.view(held._array.shape)
            self.bind(held, v)
            return held
        if isinstance(held, tuple):
            inside = self._unpack("prim::TupleUnpack", v, len(held))
            return tuple([self.add_input(e, o) for e, o in zip(held, inside, strict=True)])
        if isinstance(held, dict):
            made = {}
            for k, e in held.items():
                item = self._dict_item(v, k)
                item.node.range = machinery().range()
                made[k] = self.add_input(e, item)
            return made
        if isinstance(held, list):
            inside = self._unpack("prim::ListUnpack", v, len(held))
            return [self.add_input(e, o) for e, o in zip(held, inside, strict=True)]
        raise RuntimeError(
            "Only tensors or (possibly nested) dict or tuples of tensors can be inputs to traced functions. "
            f"Got {v.type.annotation()}"
        )

    def gather_attributes(self, held: ScriptObject, v: Value, prefix: str) -> None:
        """Declare a module, its parameters, buffers and submodules, as ``prim::TracedAttr`` of their paths."""
        self._values[id(held)] = held, v
        for name, a in held.type.attributes.items():
            value = held.attributes[name]
            path = f"{prefix}.{name}"
            n = self.graph.insert(self.graph.create("prim::TracedAttr", scope=path))
            n.output.type = tensor_type(value) if isinstance(value, Tensor) else a.type
            if isinstance(value, Tensor):
                self.add_input(value, n.output)
            elif isinstance(value, ScriptObject):
                n.output.type = value.type
                if value.type.is_module and isinstance(a.type, ClassType):
                    self.gather_attributes(value, n.output, path)

    def start(self) -> None:
        """From here on the traced code runs, so that its variables may name values."""
        self._names_known = True

    # -- nodes --------------------------------------------------------------------------------------------------

    def constant(self, held: Any, caller: Caller | None = None, t: T.Type | None = None) -> Value:
        """A constant with the caller's line."""
        try:
            v = self.graph.constant(held, t)
        except RuntimeError:
            raise RuntimeError(
                f"Tracer cannot get value trace for type {type(held).__name__}. The below value could not be "
                f"materialized as a constant:\n{held}"
            ) from None
        v.node.range = (caller or self.calling()).range()
        return v

    def none(self) -> Value:
        """``None``, which has no line."""
        return self.graph.constant(None)

    def list_of(self, values: Sequence[Value], element: T.Type) -> Value:
        return self.graph.add("prim::ListConstruct", *values, type=T.ListType(element))

    def tuple_of(self, values: Sequence[Value]) -> Value:
        return self.graph.add("prim::TupleConstruct", *values, type=T.TupleType(*[v.type for v in values]))

    def _dict_of(self, keys: Sequence[Value], values: Sequence[Value], value_type: T.Type = T.TENSOR) -> Value:
        pairs = [x for pair in zip(keys, values, strict=True) for x in pair]
        key_type = T.unshaped(keys[0].type)
        return self.graph.add("prim::DictConstruct", *pairs, type=T.DictType(key_type, value_type))

    def _dict_item(self, v: Value, key: Any) -> Value:
        k = self.graph.constant(key)
        assert isinstance(v.type, T.DictType)
        return self.graph.add("aten::__getitem__", v, k, type=v.type.value)

    def _unpack(self, kind: str, v: Value, count: int) -> Sequence[Value]:
        n = self.graph.insert(self.graph.create(kind, [v], count))
        if isinstance(v.type, T.TupleType):
            types: Sequence[T.Type] = v.type.elements
        else:
            types = [v.type.element if isinstance(v.type, T.ListType) else T.TENSOR] * count
        for o, t in zip(n.outputs, types, strict=True):
            o.type = t
        return n.outputs

    # -- what the dispatch tells --------------------------------------------------------------------------------

    def record(self, operator: Operator, args: Sequence[Any], result: Any) -> Any:
        """An operator ran. ``args`` are complete, with the user's tensors where numbers were computed from sizes."""
        return self._recorder.record(operator, args, result)

    def constituents(self, operator: Operator, args: Sequence[Any]) -> Callable[..., Any] | None:
        """For an operator that is not recorded by itself: what to run instead, with ``ops(name, …)``."""
        return constituents(operator, args)

    def size_of(self, held: Tensor, dim: int) -> Tensor:
        """A dimension's size as a tensor that stays connected to the trace."""
        return self._number("aten::size", held, held._array.shape[dim], (dim,))

    def numel_of(self, held: Tensor) -> Tensor:
        """The number of elements as a tensor that stays connected to the trace."""
        return self._number("aten::numel", held, held._array.size, ())

    def _number(self, kind: str, held: Tensor, number: int, extra: Sequence[int]) -> Tensor:
        made = Tensor._wrap(np.asarray(number, np.int64))
        self.record_number(kind, held, made, extra)
        return made

    def record_number(self, kind: str, held: Tensor, made: Tensor, extra: Sequence[int]) -> None:
        """Record that the 0-d tensor ``made`` is the number that an operator gives for a tensor."""
        caller = self.calling()
        inputs = [self.value_of(held, caller), *[self.constant(d, caller) for d in extra]]
        number = self.graph.add(kind, *inputs, type=T.INT)
        number.node.range = caller.range()
        known = T.TensorType(tensor_type(made).dtype, (), None, None, "cpu")
        self.bind(made, self.graph.add("prim::NumToTensor", number, type=known))

    def frozen(self, kind: str, held: Any = None) -> None:
        """A tensor is about to become a Python value, which the trace keeps as a constant: warns.

        Some conversions are made of operators, which torch's graphs number before they drop them.
        """
        warn_frozen(kind)
        if not isinstance(held, Tensor):
            return
        if kind == "len":
            for dim in range(held._array.ndim):
                self.size_of(held, dim)
        elif kind == "list":
            self._recorder.record_list(held)
        elif kind == "numpy":
            self._recorder.record_numpy(held)

    def from_data(self, kind: str, made: Tensor, source: Tensor | None = None) -> Tensor:
        """A tensor was made from Python data (``"torch.tensor"``, ``"torch.as_tensor"``,
        ``"torch.from_numpy"``, ``"new_tensor"``, ``"index"``).

        Warns where torch does, and records the data as a constant (or ``source``, when the data is a traced tensor).
        """
        if kind.startswith("torch."):
            warn_frozen(kind)
        if kind == "torch.from_numpy":
            self._recorder.record_shared(made)
        else:
            self._recorder.record_data(made, kind in ("torch.tensor", "new_tensor"), source)
        return made

    @contextmanager
    def scope(self, module: Any) -> Iterator[None]:
        """For the time that a module's ``forward`` runs: what is recorded belongs to it."""
        name = self._scopes.get(id(module))
        if name is None or hasattr(module, "_script_object"):  # programs are recorded as calls
            yield
            return
        with self.named_scope(name):
            yield

    @contextmanager
    def named_scope(self, name: str) -> Iterator[None]:
        """As :meth:`scope`, for the module of a path."""
        g = self.graph
        outer = g.current_scope
        n = g.insert(g.create("prim::TracedModuleForward", (), 0, scope=name))
        g.current_scope = f"{outer}/{name}" if outer else name
        g.insert_point = n.add_block()
        try:
            yield
        finally:
            g.current_scope = outer
            assert n.next is not None
            g.insert_point = n.next

    # -- calls of programs --------------------------------------------------------------------------------------

    def call(
        self, function: Function, owner: ScriptObject | None, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Record a call of a scripted or traced function, run it unrecorded, and connect its results."""
        caller = self.calling()
        _dispatch.tracer = None  # what the schema asks for is told below
        try:
            arguments = match_arguments(function.schema, args, kwargs, owner)
        finally:
            _dispatch.tracer = self
        for given in (*args, *kwargs.values()):
            if isinstance(given, Tensor) and not any(a is given for a in arguments):
                warn_frozen("argument")
        inputs = [self.value_of(a, caller) for a in arguments]
        result_type = function.schema.returns[0].type
        g = self.graph
        if owner is None:
            target = g.insert(g.create("prim::Constant", name=function.name))
            target.output.type = FunctionType(function)
            v = g.add("prim::CallFunction", target.output, *inputs, type=result_type)
        else:
            v = g.add("prim::CallMethod", *inputs, type=result_type, name=function.name)
        result = self.run_program(function, arguments)
        self.bind(result, v)
        return result

    def run_program(self, function: Function, arguments: list[Any]) -> Any:
        """What a scripted or traced function gives for complete arguments."""
        return running.interpret(function, arguments)

    # -- results ------------------------------------------------------------------------------------------------

    def output_of(self, held: Any, index: int = 1) -> Value:
        """The value of a result of the traced code. Raises RuntimeError for what a trace cannot return."""
        if isinstance(held, Tensor):
            found = self._values.get(id(held))
            if found is None:
                raise RuntimeError(
                    f"output {index} ({held}) of traced region did not have observable data dependence with trace inputs; "
                    "this probably indicates your program cannot be understood by the tracer."
                )
            return found[1]
        if isinstance(held, list) and held and all(isinstance(v, Tensor) for v in held):
            if self.strict:
                warn("Encountering a list at the output of the tracer" + STRICT)
            return self.list_of([self.output_of(v, index) for v in held], T.TENSOR)
        if isinstance(held, tuple):
            return self.tuple_of([self.output_of(v, index) for v in held])
        if isinstance(held, dict):
            return self._dict_output(held, index)
        raise RuntimeError(
            "Only tensors, lists, tuples of tensors, or dictionary of tensors can be output from traced functions"
        )

    def _dict_output(self, held: dict[Any, Any], index: int) -> Value:
        if self.strict:
            raise RuntimeError("Encountering a dict at the output of the tracer" + STRICT)
        tensors = all(
            isinstance(v, Tensor) or (isinstance(v, tuple) and all(isinstance(e, Tensor) for e in v))
            for v in held.values()
        )
        if not tensors or not all(isinstance(k, str | Tensor) for k in held):
            raise RuntimeError(
                f"output {index} ({held}) of traced region cannot be understood by the tracer, only outputs matching"
                "dict[Union[str, Tensor], Union[Tensor, Tuple[Tensor, ...]]] can be a dictionary output of a traced function"
            )
        keys, values = [], []
        for k, v in held.items():
            keys.append(self.value_of(k, machinery()))
            values.append(self.output_of(v, index))
        return self._dict_of(keys, values, T.unshaped(values[0].type))


def _is_complete(t: T.TensorType) -> bool:
    return t.dtype is not None and t.dims is not None and t.device is not None and (not t.dims or t.strides is not None)


def record(
    run: Callable[..., Any],
    inputs: Sequence[tuple[Any, T.Type]],
    names: Sequence[str],
    tracer: Tracer,
    owner: ScriptObject | None,
) -> Graph:
    """Run ``run`` on the inputs and give the raw graph. No other trace may be active."""
    g = tracer.graph
    _dispatch.tracer = tracer
    try:
        if owner is not None:
            tracer.gather_attributes(owner, g.add_input("self", owner.type), "__module")
        args = []
        for i, (held, t) in enumerate(inputs):
            v = g.add_input(names[i] if len(names) >= len(inputs) else "", t)
            args.append(tracer.add_input(held, v))
        tracer.start()
        out = run(*args)
        if out is None:
            raise RuntimeError(
                "The traced function didn't return any values! Side-effects are not captured in traces, so it would be "
                "a no-op."
            )
        try:
            infer_type(out)
        except CannotInfer as e:
            raise RuntimeError(f"Tracer cannot infer type of {out}\n:{e}") from None
        g.add_output(tracer.output_of(out))
    finally:
        _dispatch.tracer = None
    return g
