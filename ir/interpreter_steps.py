"""The steps that :mod:`bridge.ir.interpreter` makes of nodes: one closure per node, built by kind."""

from __future__ import annotations

import builtins
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.classes import ClassType, FunctionType, ScriptObject
from bridge.ir.empty_lists import empty_list_code
from bridge.ir.errors import Error, IRError, UnsupportedError
from bridge.ir.graph import Block, Node
from bridge.ir.interpreter import Frame, Program, Step, run_function
from bridge.ir.interpreter_containers import (
    dict_step,
    index_step,
    list_step,
    to_list_step,
    tuple_index_step,
    tuple_slice_step,
    tuple_step,
    unpack_step,
)
from bridge.ir.node_schema import operator_of, schema_of, takes
from bridge.ir.passes.constants import must_be_none, operand_value
from bridge.ir.registry import Operator, find
from bridge.ir.schemas import schemas_of
from bridge.ir.type_tests import is_instance
from bridge.ir.value_text import value_text

__all__ = ["Future", "block_steps", "set_foreign"]

#: Makes a function (inputs → outputs) of a node that is no operator of ours, by namespace (``onnx``…).
Foreign = Callable[[Node], Callable[..., Any]]
_foreign: dict[str, Foreign] = {}


def set_foreign(namespace: str, factory: Foreign) -> None:
    """Say how nodes of a foreign namespace run: ``factory(node)(*inputs)`` gives the output, or a tuple of several."""
    _foreign[namespace] = factory


def block_steps(p: Program, block: Block) -> list[Step]:
    """The steps of a block's nodes; constants become registers that are filled beforehand."""
    steps = []
    for n in block.nodes:
        if n.kind == "prim::Constant":
            _constant(p, n)
            continue
        maker = _MAKERS.get(n.kind)
        steps.append(p.note(maker(p, n) if maker is not None else _operator(p, n), n))
    return steps


def _constant(p: Program, n: Node) -> None:
    t = n.output.type
    if isinstance(t, FunctionType):
        p.template[p.register(n.output)] = t.function
    elif not must_be_none(n.output):
        p.constant(n.output, operand_value(n))


# -- operators ---------------------------------------------------------------------------------------------------------


def _has_tensors(o: Operator) -> bool:
    """Whether a schema speaks of tensors: then ``call`` executes the operator."""
    return any(
        isinstance(t, T.TensorType)
        for a in (*o.schema.arguments, *o.schema.returns)
        for t in a.type.walk()
    )  # fmt: skip


def _operator(p: Program, n: Node) -> Step:
    namespace = n.kind.partition("::")[0]
    if namespace not in _foreign and namespace in n.graph.opsets:
        namespace = "onnx"  # another domain of ONNX operators
    if namespace in _foreign:
        return _call_of(p, n, _foreign[namespace](n))
    o = operator_of(n)
    if o is None:
        return _writing_out(p, n) or _missing(n)
    if o.schema.name in ("aten::sort", "aten::sorted") and isinstance(n.inputs[0].type, T.ListType):
        element = n.inputs[0].type.element
        classes = [t for t in element.walk() if isinstance(t, ClassType)]
        if classes:
            return _sort_objects(p, n, classes)
    execute = o.run if o.composite or o.kernel is None else o.kernel
    if (
        not _has_tensors(o)
        or o.schema.name == "aten::sorted"
        or isinstance(
            o.schema.arguments[0].type if o.schema.arguments else None, T.DictType
        )  # tensors are keys as they are
        or any(a.writes and isinstance(a.type, T.ListType) for a in o.schema.arguments)
    ):
        return _call_of(p, n, execute)
    ins, outs = p.registers(n.inputs), p.registers(n.outputs)
    if o.schema.name in ("aten::tensor", "aten::as_tensor") and isinstance(n.inputs[0].type, T.ListType):
        declared, out = n.inputs[0].type, outs[0]

        def from_list(f: Frame) -> None:
            args = [f[i] for i in ins]
            args[1] = empty_list_code(declared, args[0]) if args[1] is None else args[1]
            f[out] = execute(*args) if f.call is None else f.call(o, args)

        return from_list
    if len(outs) == 1:
        (out,) = outs

        def one(f: Frame) -> None:
            args = [f[i] for i in ins]
            f[out] = execute(*args) if f.call is None else f.call(o, args)

        return one

    def several(f: Frame) -> None:
        args = [f[i] for i in ins]
        results = execute(*args) if f.call is None else f.call(o, args)
        if outs:
            for out, r in zip(outs, results, strict=True):
                f[out] = r

    return several


def _sort_objects(p: Program, n: Node, classes: Sequence[ClassType]) -> Step:
    """Instances of a class, also in tuples and lists, are in the order of its ``__lt__``."""
    for t in classes:
        less = t.find_method("__lt__")
        if (
            less is None
            or [a.type for a in less.schema.arguments] != [t, t]
            or less.schema.returns[0].type is not T.BOOL
        ):
            name = t.annotation()
            raise UnsupportedError(
                f"To sort a list of {name} it must define a __lt__ method with two inputs of type {name} that returns a bool",
                n.range,
            )
    ins, outs = p.registers(n.inputs), p.registers(n.outputs)

    def run(f: Frame) -> None:
        def order(a: Any, b: Any) -> int:
            if isinstance(a, ScriptObject):
                less = a.type.methods["__lt__"]
                return -1 if run_function(less, [a, b], f) else int(run_function(less, [b, a], f))
            if isinstance(a, tuple | list):
                found = next((o for o in map(order, a, b) if o), 0)
                return found or (len(a) > len(b)) - (len(a) < len(b))
            return int(a > b) - int(a < b)

        made = sorted(f[ins[0]], key=functools.cmp_to_key(order), reverse=bool(len(ins) > 1 and f[ins[1]]))
        if outs:
            f[outs[0]] = made
        else:
            f[ins[0]][:] = made

    return run


def _writing_out(p: Program, n: Node) -> Step | None:
    """``add(x, y, out=z)``: the result of ``add(x, y)``, written into ``z``; None for operators without ``out``."""
    schema, write = schema_of(n), find("aten::copy_")
    if (
        schema is None
        or write is None
        or len(n.outputs) != 1
        or not schema.arguments
        or schema.arguments[-1].name != "out"
    ):
        return None
    types = [v.type for v in n.inputs[:-1]]
    o = next((found for s in schemas_of(n.kind) if takes(s, types) and (found := find(s.full_name))), None)
    if o is None:
        return None
    ins, out = p.registers(n.inputs), p.register(n.output)

    def run(f: Frame) -> None:
        *args, target = (f[i] for i in ins)
        call = f.call if f.call is not None else lambda operator, values: operator.run(*values)
        result = call(o, args)
        if tuple(result.shape) != tuple(target.shape):
            text = (
                f"out= of {n.kind} must have the shape of the result, {tuple(result.shape)}, not {tuple(target.shape)}"
            )
            raise UnsupportedError(text, n.range)
        f[out] = call(write, [target, result, False])

    return run


def _call_of(p: Program, n: Node, function: Callable[..., Any]) -> Step:
    ins, outs = p.registers(n.inputs), p.registers(n.outputs)
    if len(outs) == 1:
        return _one_result(function, ins, outs[0])

    def several(f: Frame) -> None:
        results = function(*[f[i] for i in ins])
        if outs:
            for out, r in zip(outs, results, strict=True):
                f[out] = r

    return several


def _one_result(function: Callable[..., Any], ins: Sequence[int], out: int) -> Step:
    """A call with one result; arithmetic on Python numbers is most of what runs here, so calls of few arguments are quick."""
    if len(ins) == 1:
        (a,) = ins

        def unary(f: Frame) -> None:
            f[out] = function(f[a])

        return unary
    if len(ins) == 2:
        a, b = ins

        def binary(f: Frame) -> None:
            f[out] = function(f[a], f[b])

        return binary

    def one(f: Frame) -> None:
        f[out] = function(*[f[i] for i in ins])

    return one


def _missing(n: Node) -> Step:
    types = ", ".join(str(v.type) for v in n.inputs)
    message = f"there is no kernel for {n.kind} of ({types})"
    place = n.range

    def refuse(f: Frame) -> None:
        raise UnsupportedError(message, place)

    return refuse


# -- control flow ------------------------------------------------------------------------------------------------------


def _if(p: Program, n: Node) -> Step:
    condition = p.register(n.input)
    outs = p.registers(n.outputs)
    branches = []
    for b in n.blocks:
        steps = block_steps(p, b)
        branches.append((steps, list(zip(outs, p.registers(b.outputs), strict=True))))
    then, otherwise = branches

    def run(f: Frame) -> None:
        steps, results = then if f[condition] else otherwise
        if steps:
            p.execute(steps, f)
        for out, r in results:
            f[out] = f[r]

    return run


def _loop(p: Program, n: Node) -> Step:
    (body,) = n.blocks
    trips, condition, *firsts = p.registers(n.inputs)
    counter, *carried = p.registers(body.inputs)
    steps = block_steps(p, body)
    goes_on, *results = p.registers(body.outputs)
    outs = p.registers(n.outputs)

    def run(f: Frame) -> None:
        limit, more = f[trips], f[condition]
        values = [f[i] for i in firsts]
        i = 0
        while more and i < limit:
            f[counter] = i
            for r, v in zip(carried, values, strict=True):
                f[r] = v
            p.execute(steps, f)
            more = f[goes_on]
            values = [f[r] for r in results]
            i += 1
        for r, v in zip(outs, values, strict=True):
            f[r] = v

    return run


# -- containers --------------------------------------------------------------------------------------------------------


# -- objects -----------------------------------------------------------------------------------------------------------


def _get_attribute(p: Program, n: Node) -> Step:
    owner, out, name = p.register(n.input), p.register(n.output), n["name"]
    is_tensor = any(isinstance(t, T.TensorType) for t in T.members_of(n.output.type))

    def run(f: Frame) -> None:
        v = f[owner].attributes[name]
        if is_tensor and f.call is None and v is not None and not isinstance(v, np.ndarray):
            v = np.asarray(v)  # the kernels' arrays share the tensor's memory
        f[out] = v

    return run


def _set_attribute(p: Program, n: Node) -> Step:
    owner, value = p.registers(n.inputs)
    name = n["name"]

    def run(f: Frame) -> None:
        f[owner].attributes[name] = f[value]

    return run


def _create_object(p: Program, n: Node) -> Step:
    out, t = p.register(n.output), n.output.type
    assert isinstance(t, ClassType)

    def run(f: Frame) -> None:
        f[out] = ScriptObject(t)

    return run


def _call_method(p: Program, n: Node) -> Step:
    ins, out, name = p.registers(n.inputs), p.register(n.output), n["name"]

    def run(f: Frame) -> None:
        args = [f[i] for i in ins]
        method = args[0].type.find_method(name)
        if method is None:
            raise IRError(f"'{args[0].type.name}' has no method '{name}'")
        f[out] = run_function(method, args, f)

    return run


def _call_function(p: Program, n: Node) -> Step:
    called, *ins = p.registers(n.inputs)
    out = p.register(n.output)

    def run(f: Frame) -> None:
        f[out] = run_function(f[called], [f[i] for i in ins], f)

    return run


def _python_call(p: Program, n: Node) -> Step:
    function = n.attributes.get("callable")
    return _missing(n) if function is None else _call_of(p, n, function)


def _enter(p: Program, n: Node) -> Step:
    source, out = p.register(n.input), p.register(n.output)

    def run(f: Frame) -> None:
        manager = f[source]
        enter, leave = manager.type.find_method("__enter__"), manager.type.find_method("__exit__")
        if enter is None or leave is None:
            raise IRError(f"'{manager.type.name}' cannot be used in a with statement")
        f[out] = run_function(enter, [manager], f)
        f.entered.append(lambda: run_function(leave, [manager, None, None, None], f))

    return run


def _exit(p: Program, n: Node) -> Step:
    def run(f: Frame) -> None:
        f.entered.pop()()

    return run


# -- the rest ----------------------------------------------------------------------------------------------------------


class Future:
    """What ``fork`` gives: the result, computed already, or the exception."""

    __slots__ = ("error", "value")

    def __init__(self, compute: Callable[[], Any]) -> None:
        self.value: Any = None
        self.error: Exception | None = None
        try:
            self.value = compute()
        except Exception as e:  # noqa: BLE001 (raised where it is waited for)
            self.error = e

    def wait(self) -> Any:
        """The result. Raises what the computation raised."""
        if self.error is not None:
            raise self.error
        return self.value


class Awaitable:
    """What ``awaitable`` gives: a computation that is made when somebody first waits for it."""

    __slots__ = ("made",)

    def __init__(self, compute: Callable[[], Any]) -> None:
        self.made = functools.cache(compute)

    def wait(self) -> Any:
        """The result. Raises what the computation raises."""
        return self.made()


def _later(kind: type[Future | Awaitable]) -> Callable[[Program, Node], Step]:
    def step(p: Program, n: Node) -> Step:
        inner = Program(n["Subgraph"])
        ins, out = p.registers(n.inputs), p.register(n.output)

        def run(f: Frame) -> None:
            args = [f[i] for i in ins]
            f[out] = kind(lambda: inner.run(args, f.call, f.tensor)[0])

        return run

    return step


def _there_already(p: Program, n: Node) -> Step:
    source, out = p.register(n.input), p.register(n.output)

    def run(f: Frame) -> None:
        value = f[source]
        f[out] = Awaitable(lambda: value)

    return run


def _wait(p: Program, n: Node) -> Step:
    source, out = p.register(n.input), p.register(n.output)

    def run(f: Frame) -> None:
        f[out] = f[source].wait()

    return run


def _raise(p: Program, n: Node) -> Step:
    ins = p.registers(n.inputs)

    def run(f: Frame) -> None:
        message, name = f[ins[0]], f[ins[1]] if len(ins) > 1 else None
        error = make_exception(message, name)
        error.__dict__["__bridge_raised__"] = name or "RuntimeError", message
        raise error

    return run


def make_exception(message: str, name: str | None) -> Exception:
    """The exception that a program raises: an ``Error`` and of the class with that qualified name, when this process
    knows it already."""
    if name is None:
        kind, colon, rest = message.partition(": ")
        if colon and kind == "AssertionError":
            return raised_as(AssertionError)(*([rest] if rest else []))
        return raised_as(RuntimeError)(message)
    module, _, short = name.rpartition(".")
    # Nothing is imported here: the name may come from a file.
    found = getattr(builtins if module in ("", "builtins") else sys.modules.get(module), short, None)
    if isinstance(found, type) and issubclass(found, Exception):
        try:
            return raised_as(found)(message)
        except TypeError:
            pass
    return raised_as(RuntimeError)(f"{short}: {message}")


_raised: dict[tuple[Any, Any], type[Exception]] = {}


def raised_as(kind: type[Exception], base: type[Exception] = Error) -> type[Exception]:
    """The class of an exception that is both a ``base`` and of a class of Python's (or of the user's)."""
    known = _raised.get((kind, base))
    if known is None:
        known = _raised[kind, base] = kind if issubclass(kind, base) else _both(kind, base)
    return known


def _both(kind: type[Exception], base: type[Exception]) -> type[Exception]:
    try:
        return type(kind.__name__, (base, kind), {
            "__module__": kind.__module__, "__doc__": kind.__doc__,
            "__str__": BaseException.__str__,  # a KeyError quotes its text
        })  # fmt: skip
    except TypeError:  # their layouts do not go together
        return kind


def _print(p: Program, n: Node) -> Step:
    ins = p.registers(n.inputs)

    def run(f: Frame) -> None:
        sys.stdout.write(" ".join(value_text(f[i]) for i in ins) + "\n")

    return run


def _isinstance(p: Program, n: Node) -> Step:
    source, out, declared, types = p.register(n.input), p.register(n.output), n.input.type, n["types"]

    def run(f: Frame) -> None:
        f[out] = is_instance(f[source], declared, types)

    return run


def _same(p: Program, n: Node) -> Step:
    source, out = p.register(n.inputs[0]), p.register(n.output)

    def run(f: Frame) -> None:
        f[out] = f[source]

    return run


def _nothing(p: Program, n: Node) -> Step:
    p.registers(n.outputs)
    return lambda f: None


def _member(name: str, *default: Any) -> Callable[[Program, Node], Step]:
    def make(p: Program, n: Node) -> Step:
        source, out = p.register(n.input), p.register(n.output)

        def run(f: Frame) -> None:
            f[out] = getattr(f[source], name, *default)

        return run

    return make


_MAKERS: dict[str, Callable[[Program, Node], Step]] = {
    "prim::If": _if,
    "prim::Loop": _loop,
    "prim::TupleConstruct": tuple_step,
    "prim::TupleUnpack": unpack_step,
    "prim::TupleIndex": tuple_index_step,
    "prim::TupleSlice": tuple_slice_step,
    "prim::ListConstruct": list_step,
    "prim::ListUnpack": unpack_step,
    "prim::DictConstruct": dict_step,
    "prim::tolist": to_list_step,
    "prim::GetAttr": _get_attribute,
    "prim::SetAttr": _set_attribute,
    "prim::CreateObject": _create_object,
    "prim::CallMethod": _call_method,
    "prim::ModuleContainerIndex": index_step,
    "prim::CallFunction": _call_function,
    "prim::PythonOp": _python_call,
    "prim::Enter": _enter,
    "prim::Exit": _exit,
    "prim::fork": _later(Future),
    "prim::awaitable": _later(Awaitable),
    "prim::awaitable_nowait": _there_already,
    "aten::wait": _wait,
    "prim::awaitable_wait": _wait,
    "prim::RaiseException": _raise,
    "prim::Print": _print,
    "prim::isinstance": _isinstance,
    "prim::unchecked_cast": _same,
    "prim::unchecked_unwrap_optional": _same,
    "prim::Uninitialized": _nothing,
    "prim::EnumName": _member("name"),
    "prim::requires_grad": _member("requires_grad", False),
    "prim::grad": _member("grad"),
    "prim::EnumValue": _member("value"),
}
