"""Calls of methods and functions: a model-local function each, or their nodes in place."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.exporters.onnx.machine import Machine, Skip, handles
from bridge.exporters.onnx.merge import finish_outputs
from bridge.exporters.onnx.objects import called_by, is_object
from bridge.exporters.onnx.places import has_objects
from bridge.exporters.onnx.records import Body, Frame, FunctionRecord, Origin, Record
from bridge.exporters.onnx.values import (
    Abstract,
    Cell,
    Maybe,
    ObjectRef,
    Poison,
    Run,
    Stacked,
    Text,
    leaves,
    map_content,
)
from bridge.ir.classes import Function
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node

if TYPE_CHECKING:
    from bridge.exporters.onnx.program import ProgramLowering

__all__ = ["function_name", "inlined"]


def function_name(function: Function, owner: ObjectRef | None) -> tuple[str, str]:
    """(domain, name) of the model-local function of a method: the class, and the method unless it is ``forward``."""
    qualified = owner.object.type.name if owner is not None else function.qualified_name
    domain, _, name = qualified.rpartition(".")
    if owner is not None and function.name != "forward":
        name = f"{name}.{function.name}"
    return domain or "__torch__", name


@handles("prim::CallMethod")
def call_method(m: Machine, node: Node) -> Abstract:
    """``module.method(…)``: the module's parameters are passed along."""
    owner, *args = _arguments(m, node)
    if is_object(owner):
        method = owner.type.find_method(node["name"])
        if method is None:
            raise LoweringError(f"{owner.type.name} has no method '{node['name']}'", node.range)
        return _call(m, node, method, None, [owner, *args])
    if not isinstance(owner, ObjectRef):
        raise LoweringError("a method of something that is no module", node.range)
    function = owner.object.type.find_method(node["name"])
    if function is None:
        raise LoweringError(f"{owner.object.type.name} has no method '{node['name']}'", node.range)
    return _call(m, node, function, owner, args)


@handles("prim::CallFunction")
def call_function(m: Machine, node: Node) -> Abstract:
    """``function(…)``."""
    function, *args = _arguments(m, node)
    return _call(m, node, function, None, args)


def _arguments(m: Machine, node: Node) -> list[Abstract]:
    """What a call passes. Tensors as the names they go by, not as they are now: what the callee writes is written to those."""
    found = [m.env[v] for v in node.inputs]
    if any(isinstance(v, Poison) for v in found):
        raise Skip
    return found


def _call(m: Machine, node: Node, function: Function, owner: ObjectRef | None, args: list[Abstract]) -> Abstract:
    program = m.program
    key = (id(owner.object) if owner is not None else 0, function)
    if key in program.running:
        raise LoweringError(f"'{function.name}' calls itself; ONNX has no recursion", node.range)
    program.running.add(key)
    try:
        is_module = owner is None or owner.object.type.is_module
        if (
            program.inline
            or not is_module
            or (owner is not None and id(owner.object) in program.slots.holders)
            or any(isinstance(x, ObjectRef | Text) or _has_objects(x) or _is_padded(x) for a in args for x in leaves(a))
            or (m.error in m.heap and m.program.may_not_end(function, _may_not_end))
        ):
            return inlined(m, node, function, owner, args)
        return _as_function(m, node, function, owner, args)
    finally:
        program.running.discard(key)


def _has_objects(v: Abstract) -> bool:
    """Whether a value is an object of the program, or a list that holds some: the callee may change them."""
    return isinstance(v, Cell) and has_objects(v.type)


def _is_padded(v: Abstract) -> bool:
    """Whether a value stands for sequences of lengths of their own: functions do not take what says so along."""
    return isinstance(v, Run) and v.padding is not None


def _may_not_end(function: Function) -> bool:
    """Whether a function has a ``while``, itself or in what it calls: after an exception it must not be entered."""
    for n in function.graph.all_nodes():
        if n.kind == "prim::Loop":
            trip = n.inputs[0].node
            if trip.kind != "prim::Constant" or trip["value"] >= 2**63 - 1:
                return True
        called = called_by(n)
        if called is not None and called is not function and _may_not_end(called):
            return True
    return False


def inlined(m: Machine, node: Node, function: Function, owner: ObjectRef | None, args: list[Abstract]) -> Abstract:
    """The callee's nodes here; its values are called by their path. Arguments by identity: the callee may write to them."""
    path = owner.path if owner is not None else f"{m.frame.path}/{function.name}".strip("/")
    frame = m.program.frame(Frame(function, owner.object if owner is not None else None, path, m.frame, node))
    m.frame.called[node] = frame
    graph = function.graph
    actual = [owner, *args] if owner is not None else args
    with m.frame_of(frame):
        for value, v in zip(graph.inputs, actual, strict=True):
            m.env[value] = v
        m.run_block(graph.block)
        results = [m.env[v] for v in graph.outputs]
    if any(isinstance(r, Poison) for r in results):
        raise Skip
    return results[0] if len(node.outputs) == 1 else results


# -- Model-local functions -----------------------------------------------------------------------------------------------


class Signature:
    """Arguments of a call and the formal inputs that stand for them in the function."""

    def __init__(self, caller: Machine) -> None:
        self.caller = caller
        self.pairs: list[tuple[Run, Abstract]] = []

    def formal(self, v: Abstract, callee: Machine, hint: str) -> Abstract:
        """What the callee sees of an argument; runtime values become inputs."""
        if isinstance(v, Run):
            v = self.caller.current(v)
            for p, actual in self.pairs:
                if actual is v:
                    return p
            p = v.like(hint)
            p.named, p.joined = True, v.joined
            self.pairs.append((p, v))
            return p
        if isinstance(v, tuple):
            return tuple(self.formal(x, callee, f"{hint}.{i}") for i, x in enumerate(v))
        if isinstance(v, Cell):
            return callee.new_cell(v.type, self.content(self.caller.read(v), callee, hint))
        if isinstance(v, Maybe):
            return Maybe(self.formal(v.present, callee, f"{hint}.present"), self.formal(v.value, callee, hint))
        if isinstance(v, Text):
            raise LoweringError("ONNX programs have no strings that are made at run time")
        return v

    def content(self, content: Any, callee: Machine, hint: str) -> Any:
        """What a list or dict holds, for the callee."""
        names = count()
        if isinstance(content, dict):
            return {k: self.formal(x, callee, f"{hint}.{k}") for k, x in content.items()}
        if isinstance(content, Run | Stacked):
            return map_content(content, lambda x: self.formal(x, callee, hint))
        return map_content(content, lambda x: self.formal(x, callee, f"{hint}.{next(names)}"))


def _fingerprint(m: Machine, v: Abstract) -> Any:
    """What of an argument decides the function's body."""
    if isinstance(v, Run):
        return type(v).__name__, v.dtype.name, v.dims, v.number, v.joined
    if isinstance(v, tuple):
        return tuple(_fingerprint(m, x) for x in v)
    if isinstance(v, Cell):
        content = m.content(v)
        if isinstance(content, dict):
            return tuple((k, _fingerprint(m, x)) for k, x in content.items())
        found: list[Any] = []
        map_content(content, lambda x: found.append(_fingerprint(m, x)))
        return "list", str(v.type), type(content).__name__, *found
    if isinstance(v, Maybe):
        return "maybe", _fingerprint(m, v.present), _fingerprint(m, v.value)
    if isinstance(v, np.ndarray):
        return v.dtype.str, v.shape, v.tobytes()
    return type(v).__name__, repr(v)


def _as_function(m: Machine, node: Node, function: Function, owner: ObjectRef | None, args: list[Abstract]) -> Abstract:
    program = m.program
    key = (id(owner.object) if owner is not None else 0, function, tuple(_fingerprint(m, a) for a in args),
           _aliases(m, args))  # fmt: skip
    if key not in program.functions:  # None is kept, too: what is called in it was tried then
        program.functions[key] = _lower_function(program, m, function, owner, args)
    made = program.functions[key]
    if made is not None:
        program.frame(made.frame)
    if made is None:
        return inlined(m, node, function, owner, args)
    m.frame.called[node] = made.frame
    return _emit_call(m, node, made, owner, args)


def _aliases(m: Machine, args: list[Abstract]) -> tuple[int, ...]:
    """Which arguments are one and the same value (they share a formal input)."""
    seen: list[Any] = []
    order = []
    for a in args:
        at = next((i for i, s in enumerate(seen) if s is a), len(seen))
        if at == len(seen):
            seen.append(a)
        order.append(at)
    return tuple(order)


class Lowered:
    """A lowered function and its results, in terms of its own values."""

    __slots__ = ("frame", "machine", "outputs", "record", "results")

    def __init__(
        self, record: FunctionRecord, frame: Frame, machine: Machine, results: list[Abstract], outputs: list[Run]
    ) -> None:
        self.record, self.frame, self.machine, self.results, self.outputs = record, frame, machine, results, outputs


def _lower_function(
    program: ProgramLowering, m: Machine, function: Function, owner: ObjectRef | None, args: list[Abstract]
) -> Lowered | None:
    """The function's body; None when it writes to arguments or may raise, so that it must be lowered in place."""
    obstacles, mark = len(program.obstacles), program.mark()
    frame = program.frame(Frame(function, owner.object if owner is not None else None, ""))
    body = Body(name=function.name)
    callee = Machine(program, frame, body)
    signature = Signature(m)
    graph = function.graph
    own = list(graph.inputs)
    if owner is not None:
        callee.env[own[0]] = ObjectRef(owner.object, "")
        own = own[1:]
    for value, v in zip(own, args, strict=True):
        formal = signature.formal(v, callee, callee.hint(value))
        if isinstance(formal, Run) and isinstance(v, Run) and formal.number is not v.number:
            formal = formal.seen_as(v.number)
        callee.env[value] = formal
    body.params = [p for p, _ in signature.pairs]
    before = dict(callee.heap)
    callee.run_block(graph.block)
    results = [callee.env[v] for v in graph.outputs]
    if any(isinstance(r, Poison) for r in results):
        if len(program.obstacles) == obstacles:
            raise LoweringError(f"'{function.name}' cannot be lowered")
        raise Skip
    outer = {*body.params, *callee.parameters.values(), callee.error}
    if (
        any(callee.heap.get(k) is not c for k, c in before.items())
        or any(p in callee.heap for p in outer)
        or _has_text(results)
        or any(_shares(callee, r, outer | set(before), program.writes) for r in results)
    ):
        program.reset(mark)
        return None
    callee.emitter.begin(Origin(frame, graph.return_node), "return")
    outputs: list[Run] = []
    results = [_collect(callee, callee.current(r), outputs) for r in results]
    finish_outputs(callee, body, list(outputs), outputs)
    domain, name = function_name(function, owner)
    record = FunctionRecord(domain, name, body, frame, dict(callee.parameters))
    return Lowered(program.finish_function(record), frame, callee, results, outputs)


def _shares(callee: Machine, v: Abstract, given: set[Any], writes: bool) -> bool:
    """Whether a result is (or, in a program that writes to tensors, shares memory with) what the caller knows by another name."""
    if isinstance(v, tuple):
        return any(_shares(callee, x, given, writes) for x in v)
    if isinstance(v, Maybe):
        return _shares(callee, v.value, given, writes)
    if isinstance(v, Cell):
        content = callee.heap[v]
        held = content.values() if isinstance(content, dict) else content if isinstance(content, tuple) else ()
        return v in given or any(_shares(callee, x, given, writes) for x in held)
    return writes and isinstance(v, Run) and v.number is None and (v in given or v.view is not None)


def _has_text(results: list[Abstract]) -> bool:
    return any(isinstance(x, Text) for r in results for x in leaves(r))


def _collect(callee: Machine, v: Abstract, outputs: list[Run]) -> Abstract:
    """Collect the run-time leaves of a result, each once."""
    if isinstance(v, Run):
        v = callee.current(v)
        if v.root.constant is not None:
            v = callee.emitter.materialise(v).seen_as(v.number)
        if not any(o.root is v.root for o in outputs):
            outputs.append(v)
        return v
    if isinstance(v, tuple):
        return tuple(_collect(callee, x, outputs) for x in v)
    if isinstance(v, Maybe):
        return Maybe(_collect(callee, v.present, outputs), _collect(callee, v.value, outputs))
    if isinstance(v, Cell):
        callee.heap[v] = map_content(callee.content(v), lambda x: _collect(callee, x, outputs))
    return v


def _emit_call(m: Machine, node: Node, made: Lowered, owner: ObjectRef | None, args: list[Abstract]) -> Abstract:
    e = m.emitter
    signature = Signature(m)
    scratch = Machine(m.program, m.frame, Body())
    for a in args:
        signature.formal(a, scratch, "")
    inputs: list[Run | None] = [e.materialise(v) for _, v in signature.pairs]
    prefix = f"{owner.path}." if owner is not None and owner.path else ""
    for path in made.record.parameters:
        assert owner is not None
        inputs.append(e.materialise(m.current(m.program.parameter(m, prefix + path, owner.object.resolve(path)))))
    new: dict[Run, Run] = {}
    outs: list[Run] = []
    for o in made.outputs:
        outs.append(type(o)(o.dtype, o.dims, f"{e.hint}/{made.record.name}"))
        new[o.root] = outs[-1]
    if outs:
        path = owner.path if owner is not None else made.record.name
        record = Record(made.record.name, made.record.domain, inputs, list(outs), {}, e.origin, path, made.record)
        e.append(record)
    results = [_returned(m, made, r, new) for r in made.results]
    return results[0] if len(node.outputs) == 1 else results


def _returned(m: Machine, made: Lowered, v: Abstract, new: dict[Run, Run]) -> Abstract:
    """A result of the function in terms of the caller's values."""
    if isinstance(v, Run):
        return new[v.root].seen_as(v.number)
    if isinstance(v, tuple):
        return tuple(_returned(m, made, x, new) for x in v)
    if isinstance(v, Maybe):
        return Maybe(_returned(m, made, v.present, new), _returned(m, made, v.value, new))
    if isinstance(v, Cell):
        content = map_content(made.machine.content(v), lambda x: _returned(m, made, x, new))
        return m.new_cell(v.type, content)
    return v
