"""The statements of a program of ONNX operators besides those operators, one handler each: constants, calls, loops…"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

from bridge.exporters.onnx.foreign import large_tensor, onnx_tensor
from bridge.exporters.onnx.large import is_large, outside
from bridge.exporters.onnx.verbatim_values import (
    Both,
    Counter,
    Gone,
    Items,
    Name,
    NotVerbatim,
    Number,
    Object,
    Scope,
    Test,
)
from bridge.ir import dtypes
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, FunctionType, ScriptObject
from bridge.ir.graph import Node, Value
from bridge.ir.schema import Schema

if TYPE_CHECKING:
    from bridge.exporters.onnx.verbatim import Writer

__all__ = ["HANDLERS", "hint_of", "inside_call"]

_FOREVER = (1 << 63) - 1
_STACKED = "__torch__.torch.jit.printed.stacked"


def hint_of(v: Value) -> str:
    """What the ONNX value of an IR value is called, if that is free."""
    return v.debug_name_base if v.has_debug_name else v.node.kind.rpartition("::")[2].lower()


def inside_call(v: Value, call: Node | None = None) -> Value | None:
    """The value that a call gives as ``v`` (or as the tuple that ``v`` is taken from), in what is called; None for other values."""
    n = v.node.inputs[0].node if v.node.kind == "prim::TupleUnpack" else v.node
    if call is not None and n is not call:
        return None
    if n.kind not in ("prim::CallMethod", "prim::CallFunction"):
        return None
    t = n.inputs[0].type
    called: Function | None = None
    if isinstance(t, FunctionType):
        called = t.function
    elif isinstance(t, ClassType):
        called = t.find_method(n["name"])
    if called is None or called.qualified_name == _STACKED:
        return None
    result = called.graph.outputs[0]
    if n is v.node:
        return result
    inner = result.node
    return inner.inputs[v.offset] if inner.kind == "prim::TupleConstruct" and v.offset < len(inner.inputs) else None


def _constant(w: Writer, n: Node) -> Any:
    if isinstance(n.output.type, FunctionType):
        return n.output.type.function
    return n.attributes.get("value")


def _get_attribute(w: Writer, n: Node) -> Any:
    holder = w.get(n.inputs[0])
    if not isinstance(holder, Object):
        raise NotVerbatim("an attribute of what is no module", n.range)
    path = f"{holder.path}.{n['name']}" if holder.path else n["name"]
    value = holder.object.attributes[n["name"]]
    if isinstance(value, ScriptObject):
        return Object(value, path)
    if value is None or isinstance(value, bool | int | float | str | list | tuple | dict):
        return value
    if path not in w.initializers:
        name = w.fresh(path)
        w.scope.own.discard(name.name)
        w.initializers[path] = name
        array = getattr(value, "_array", value)
        if is_large(array):
            w.arrays[name.name] = array
            outside(large_tensor(w.model.graph.initializer.add(), array, name.name), array)
        else:
            w.model.graph.initializer.append(onnx_tensor(array, name.name))
        w.facts.tell_array(name.name, array)
    return w.initializers[path]


def _list(w: Writer, n: Node) -> Any:
    items = w.inputs(n)
    t = n.output.type
    element = t.element if isinstance(t, T.ListType) else T.ANY
    return Items(w.scope, items) if isinstance(element, T.TensorType) else items


def _plain(v: Any) -> bool:
    if isinstance(v, list | tuple):
        return all(map(_plain, v))
    return isinstance(v, bool | int | float)


def _tensor(w: Writer, n: Node) -> Any:
    data, dtype = w.inputs(n)[:2]
    if _plain(data):
        array = np.asarray(data, dtypes.by_code(dtype).numpy if dtype is not None else None)
        if dtype is None and array.dtype.kind == "f":
            array = array.astype(dtypes.default_dtype().numpy)
        return array
    if dtype is not None:
        raise NotVerbatim("a tensor of a number is made with an element type", n.range)
    if isinstance(data, list) and len(data) == 1:
        return w.emit("Reshape", [w.number(data[0]), w.constant(np.array([1])).name], hint_of(n.output))
    return Name(w.number(data))


def _empty(w: Writer, n: Node) -> Any:
    size, dtype = w.inputs(n)[:2]
    if not _plain(size) or 0 not in size:
        raise NotVerbatim("torch.empty", n.range)
    return np.empty(size, dtypes.by_code(dtype).numpy if dtype is not None else dtypes.default_dtype().numpy)


def _to_number(w: Writer, n: Node) -> Any:
    v = w.get(n.inputs[0])
    if isinstance(v, np.ndarray) and v.size == 1:
        return bool(v.reshape(-1)[0]) if n.kind == "aten::Bool" else int(v.reshape(-1)[0])
    if not isinstance(v, Name):
        raise NotVerbatim(f"{n.kind} of a number", n.range)
    return Number(v)


def _size(w: Writer, n: Node) -> Any:
    if len(n.inputs) != 2:
        raise NotVerbatim("size() of all dimensions", n.range)
    x, axis = w.inputs(n)
    shape = w.emit("Shape", [w.name(x)], "shape")
    return Number(w.emit("Gather", [shape.name, w.number(axis)], "size", axis=0))


def _arithmetic(w: Writer, n: Node) -> Any:
    if any(v.type is not T.INT for v in n.inputs[:2]) or len(n.inputs) != 2:
        raise NotVerbatim(f"{n.kind} is no ONNX operator", n.range)
    a, b = w.inputs(n)
    sign = 1 if n.kind == "aten::add" else -1
    if isinstance(a, int) and isinstance(b, int):
        return a + sign * b
    if isinstance(a, Counter) and isinstance(b, int):
        return Counter(a.scope, a.more + sign * b)
    return Number(w.emit("Add" if sign > 0 else "Sub", [w.number(a), w.number(b)], hint_of(n.output)))


def _compare(w: Writer, n: Node) -> Any:
    if any(v.type is not T.INT for v in n.inputs):
        raise NotVerbatim(f"{n.kind} is no ONNX operator", n.range)
    a, b = w.inputs(n)
    if isinstance(a, int) and isinstance(b, int):
        return a < b if n.kind == "aten::lt" else a > b
    return Test(n.kind, a, b)


def _both(w: Writer, n: Node) -> Any:
    if any(v.type is not T.BOOL for v in n.inputs):
        raise NotVerbatim(f"{n.kind} is no ONNX operator", n.range)
    a, b = w.inputs(n)
    if isinstance(a, bool):
        return b if a else False
    return a if b is True else Both(a, b)


def _append(w: Writer, n: Node) -> Any:
    values, v = w.inputs(n)
    if not isinstance(values, Items) or values.stacked is not None:
        raise NotVerbatim("append to a list that is none of the program's own", n.range)
    if values.scope is w.scope:
        values.items.append(v)
    elif not w.scope.counter or values.items or values.scope is not w.scope.outer or _appended(values, w.scope):
        raise NotVerbatim("a loop appends to a list more than once an iteration, or not to an empty one", n.range)
    else:
        w.scope.scans.append((values, v))
    return values


def _appended(values: Items, scope: Scope) -> bool:
    return any(known is values for known, _ in scope.scans)


def _call_function(w: Writer, n: Node) -> Any:
    function, *arguments = w.inputs(n)
    if not isinstance(function, Function):
        raise NotVerbatim("a function is called that is not known", n.range)
    if function.qualified_name == _STACKED:
        values = arguments[0]
        if not isinstance(values, Items) or values.stacked is None:
            raise NotVerbatim("stacked of a list that no loop filled", n.range)
        if len(arguments) > 1 and isinstance(arguments[1], np.ndarray) and values.output is not None:
            _declare_elements(values.output, arguments[1])
        return values.stacked
    return w.call(function, _complete(function.schema, arguments), n)


def _declare_elements(output: onnx.ValueInfoProto, empty: np.ndarray[Any, Any]) -> None:
    """Say in a loop's body what elements a scan output has, for the loop that makes no iteration; 0 stands for a free size."""
    if empty.ndim > 1:
        dims = [d or None for d in empty.shape[1:]]
        output.type.CopyFrom(helper.make_tensor_type_proto(dtypes.by_numpy(empty.dtype).onnx, dims))


def _call_method(w: Writer, n: Node) -> Any:
    this, *arguments = w.inputs(n)
    t = n.inputs[0].type
    method = t.find_method(n["name"]) if isinstance(t, ClassType) else None
    if method is None:
        raise NotVerbatim(f"method '{n['name']}' is not known", n.range)
    return w.call(method, [this, *_complete(method.schema, arguments, 1)], n)


def _complete(schema: Schema, arguments: list[Any], skip: int = 0) -> list[Any]:
    return arguments + [a.default for a in schema.arguments[skip + len(arguments) :]]


def _tuple(w: Writer, n: Node) -> Any:
    return tuple(w.inputs(n))


def _unpack(w: Writer, n: Node) -> Any:
    v = w.get(n.inputs[0])
    if not isinstance(v, tuple):
        raise NotVerbatim(f"{n.kind} is no ONNX operator", n.range)
    return v[0] if len(n.outputs) == 1 else v


def _take_apart(w: Writer, n: Node) -> Any:
    v = w.get(n.inputs[0])
    if not isinstance(v, Items) or v.stacked is not None or len(v.items) != len(n.outputs):
        raise NotVerbatim(f"{n.kind} is no ONNX operator", n.range)
    return v.items[0] if len(n.outputs) == 1 else v.items


def _tuple_index(w: Writer, n: Node) -> Any:
    v, i = w.inputs(n)
    if not isinstance(v, tuple) or not isinstance(i, int):
        raise NotVerbatim(f"{n.kind} is no ONNX operator", n.range)
    return v[i]


def _if(w: Writer, n: Node) -> Any:
    test = w.get(n.inputs[0])
    if isinstance(test, bool):
        chosen = n.blocks[0 if test else 1]
        w.block(chosen)
        found = w.results(chosen)
        return found[0] if len(n.outputs) == 1 else found
    if not isinstance(test, Number):
        raise NotVerbatim("the condition of an if is no tensor", n.range)
    proto = onnx.NodeProto(op_type="If", input=[test.of.name])
    outer = w.scope
    branches: list[list[str]] = []
    for block, name in zip(n.blocks, ("then_branch", "else_branch"), strict=True):
        attribute = proto.attribute.add(name=name, type=AttributeProto.GRAPH)
        attribute.g.name = name
        w.scope = Scope(attribute.g, outer)
        w.block(block)
        names: list[str] = []
        for v in w.results(block):
            w.output(v, names)
        attribute.g.output.extend(onnx.ValueInfoProto(name=o) for o in names)
        branches.append(names)
        w.scope = outer
    results = [w.made(v) for v in n.outputs]
    for result, a, b in zip(results, *branches, strict=True):
        w.facts.same(result.name, a, b)
    if not results:
        raise NotVerbatim("an if that gives nothing", n.range)
    proto.output.extend(r.name for r in results)
    outer.graph.node.append(proto)
    return results[0] if len(results) == 1 else results


def _loop(w: Writer, n: Node) -> Any:
    trip, first, *initial = w.inputs(n)
    body, outer = n.blocks[0], w.scope
    if isinstance(trip, int) and trip == _FOREVER:
        trip = None
    proto = onnx.NodeProto(op_type="Loop")
    attribute = proto.attribute.add(name="body", type=AttributeProto.GRAPH)
    attribute.g.name = "body"
    starts = [None if type(v) is int and v == 0 else w.name(v) for v in initial]  # an int from 0: the loop's own count
    w.scope = scope = Scope(attribute.g, outer)
    scope.counter = w.fresh("i").name
    w.facts.tell(scope.counter, dtypes.by_name("int64"), ())
    going = w.fresh("going")
    attribute.g.input.append(helper.make_tensor_value_info(scope.counter, TensorProto.INT64, ()))
    attribute.g.input.append(helper.make_tensor_value_info(going.name, TensorProto.BOOL, ()))
    w.values[body.inputs[0]] = Counter(scope)
    for v, start in zip(body.inputs[1:], starts, strict=True):
        if start is None:
            w.values[v] = Counter(scope)
        else:
            w.values[v] = w.fresh(hint_of(v))
            w.facts.carried(w.values[v].name, start)
            attribute.g.input.add(name=w.values[v].name)
    extra = None
    if not any(starts) and w.opsets.get("", 11) < 11:  # then a Loop had to carry something
        w.scope = outer
        extra = w.constant(np.array(True)).name
        w.scope = scope
        carried = w.fresh("carried")
        attribute.g.input.add(name=carried.name)
    w.block(body)
    proceed, *handed = w.results(body)
    if len(handed) != len(starts):
        raise NotVerbatim("a loop hands on other values than it takes", n.range)
    for start, v in zip(starts, handed, strict=True):
        if start is None and not (isinstance(v, Counter) and v.scope is scope and v.more == 1):
            raise NotVerbatim("a loop carries a number that is not its own count", n.range)
    limit, proceed = _split(proceed, scope, n)
    if limit is not None:
        if trip is not None:
            raise NotVerbatim("a loop with two limits", n.range)
        trip = limit
    names: list[str] = []
    w.output(going if proceed is True else proceed.of, names)
    for start, v in zip(starts, handed, strict=True):
        if start is not None:
            w.output(v, names)
    if extra is not None:
        w.output(carried, names)
    for _, v in scope.scans:
        w.output(v, names)
    attribute.g.output.extend(onnx.ValueInfoProto(name=o) for o in names)
    w.scope = outer
    head = [_trip(w, trip), _first(w, first, limit, n)]
    if extra is not None:
        head.append(extra)
        proto.output.append(w.fresh("carried").name)
    return _place(w, n, proto, scope, head, starts)


def _place(w: Writer, n: Node, proto: onnx.NodeProto, scope: Scope, head: list[str], starts: list[str | None]) -> Any:
    """Put the Loop into its graph and name its results."""
    proto.input.extend([*head, *(s for s in starts if s is not None)])
    results: list[Any] = []
    for v, start in zip(n.outputs, starts, strict=True):
        results.append(Gone() if start is None else w.made(v))
        if start is not None:
            w.facts.carried(results[-1].name, start)
    for values, _ in scope.scans:
        values.stacked = w.fresh("scanned")
    made = [r.name for r in results if isinstance(r, Name)] + [v.stacked.name for v, _ in scope.scans if v.stacked]
    if not made:
        raise NotVerbatim("a loop that gives nothing", n.range)
    proto.output.extend(made)
    w.scope.graph.node.append(proto)
    outputs = w.scope.graph.node[-1].attribute[0].g.output
    for (values, _), output in zip(reversed(scope.scans), reversed(outputs), strict=False):
        values.output = output
    return results[0] if len(results) == 1 else results


def _trip(w: Writer, trip: Any) -> str:
    if trip is None:
        return ""
    return trip.of.name if isinstance(trip, Number) else w.number(trip)


def _split(proceed: Any, scope: Scope, n: Node) -> tuple[Any, Any]:
    """The limit of a ``while i < limit and going`` (None without one), and ``going``: True or a Number."""
    limit = None
    test, rest = (proceed.a, proceed.b) if isinstance(proceed, Both) else (proceed, True)
    if isinstance(test, Test):
        counts = isinstance(test.a, Counter) and test.a.scope is scope and test.a.more == 1
        if not counts or test.op != "aten::lt":
            raise NotVerbatim("the condition of a loop is no tensor", n.range)
        limit = test.b
    else:
        rest = proceed
    if rest is not True and not isinstance(rest, Number):
        raise NotVerbatim("the condition of a loop is no tensor", n.range)
    return limit, rest


def _first(w: Writer, first: Any, limit: Any, n: Node) -> str:
    """The name of the condition before the loop, "" when there is none besides the limit, which must be asked there too."""
    parts = [first.a, first.b] if isinstance(first, Both) else [first]
    asked = limit is None or (isinstance(limit, int) and limit > 0)
    rest = []
    for p in parts:
        if isinstance(p, Test) and _is_start(p, limit):
            asked = True
        elif p is not True:
            rest.append(p)
    if rest == [False]:
        return w.constant(np.array(False)).name
    if not asked or len(rest) > 1 or (rest and not isinstance(rest[0], Number)):
        raise NotVerbatim("the condition of a loop is no tensor", n.range)
    return rest[0].of.name if rest else ""


def _is_start(test: Test, limit: Any) -> bool:
    """Whether this is ``limit > 0`` or ``0 < limit``, which a Loop asks by itself."""
    a, b = (test.a, test.b) if test.op == "aten::gt" else (test.b, test.a)
    same = a is limit or (isinstance(a, Number) and isinstance(limit, Number) and a.of is limit.of)
    return same and type(b) is int and b == 0


def _pass_on(w: Writer, n: Node) -> Any:
    return w.get(n.inputs[0])


HANDLERS: dict[str, Any] = {
    "prim::Constant": _constant,
    "prim::GetAttr": _get_attribute,
    "prim::ListConstruct": _list,
    "prim::TupleConstruct": _tuple,
    "prim::TupleUnpack": _unpack,
    "prim::ListUnpack": _take_apart,
    "prim::TupleIndex": _tuple_index,
    "prim::CallFunction": _call_function,
    "prim::CallMethod": _call_method,
    "prim::If": _if,
    "prim::Loop": _loop,
    "prim::unchecked_cast": _pass_on,
    "prim::unchecked_unwrap_optional": _pass_on,
    "aten::tensor": _tensor,
    "aten::empty": _empty,
    "aten::Int": _to_number,
    "aten::Bool": _to_number,
    "aten::size": _size,
    "aten::add": _arithmetic,
    "aten::sub": _arithmetic,
    "aten::lt": _compare,
    "aten::gt": _compare,
    "aten::__and__": _both,
    "aten::append": _append,
}
