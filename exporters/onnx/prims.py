"""Constants, tuples, attributes and the other statements that move values without computing."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from bridge.exporters.onnx.columns import as_sequence
from bridge.exporters.onnx.dicts import dict_made
from bridge.exporters.onnx.held_containers import write_to
from bridge.exporters.onnx.inputs import array_of
from bridge.exporters.onnx.machine import Machine, handles
from bridge.exporters.onnx.objects import attribute_of, is_context, is_object, set_attribute
from bridge.exporters.onnx.operators import lower_operator
from bridge.exporters.onnx.raising import raise_unless
from bridge.exporters.onnx.records import Record
from bridge.exporters.onnx.values import (
    BOOL,
    INT64,
    Abstract,
    Cell,
    Maybe,
    ObjectRef,
    Run,
    RunList,
    Stacked,
    Unset,
    number_dtype_of,
    number_type,
    type_of,
)
from bridge.ir import types as T
from bridge.ir.classes import FunctionType, ScriptObject
from bridge.ir.dtypes import by_numpy
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node
from bridge.ir.ops._checks import to_int64
from bridge.ir.passes.constants import operand_value

__all__ = ["as_abstract", "codes_equal"]


def as_abstract(m: Machine, v: Any, type: T.Type) -> Abstract:
    """A Python value of a constant or attribute as an abstract value: lists and dicts get an identity."""
    if isinstance(v, list):
        element = type.element if isinstance(type, T.ListType) else T.ANY
        return m.new_cell(type, tuple(as_abstract(m, x, element) for x in v))
    if isinstance(v, tuple):
        inside = type.contained() if isinstance(type, T.TupleType) else [T.ANY] * len(v)
        return tuple(as_abstract(m, x, t) for x, t in zip(v, inside, strict=True))
    if isinstance(v, dict):
        of = type.value if isinstance(type, T.DictType) else T.ANY
        return m.new_cell(type, {k: as_abstract(m, x, of) for k, x in v.items()})
    if isinstance(v, np.generic):
        return v.item()
    return T.EnumValue(type, v.name) if isinstance(v, enum.Enum) and isinstance(type, T.EnumType) else v


@handles("prim::Constant")
def constant(m: Machine, node: Node) -> Abstract:
    value = node.attributes.get("value")
    t = node.output.type
    if isinstance(t, FunctionType):
        return t.function
    if isinstance(value, np.ndarray) and value.ndim:
        made = Run(by_numpy(value.dtype), value.shape, m.emitter.hint)
        m.emitter.append(Record("Constant", "", [], [made], {"value": value}, m.emitter.origin))
        return made
    return as_abstract(m, operand_value(node), t)


@handles("prim::TupleConstruct")
def tuple_construct(m: Machine, node: Node) -> Abstract:
    m.inputs(node)  # what could not be computed makes no tuple
    return tuple(m.env[v] for v in node.inputs)  # by identity: what is written to an element later shows in the tuple


@handles("prim::TupleUnpack")
def tuple_unpack(m: Machine, node: Node) -> Abstract:
    t = m.get(node.inputs[0])
    return t[0] if len(t) == 1 and len(node.outputs) == 1 else list(t)


@handles("prim::TupleIndex")
def tuple_index(m: Machine, node: Node) -> Abstract:
    t, i = m.inputs(node)[:2]
    if not isinstance(i, int):
        raise LoweringError("the index into a tuple must be known when the model is exported", node.range)
    return t[i]


@handles("prim::TupleSlice")
def tuple_slice(m: Machine, node: Node) -> Abstract:
    return m.get(node.inputs[0])[node["beg"] : node["end"]]


@handles("prim::GetAttr")
def get_attr(m: Machine, node: Node) -> Abstract:
    owner, name = m.get(node.inputs[0]), node["name"]
    if is_object(owner):
        return attribute_of(m, owner, name, node)
    if not isinstance(owner, ObjectRef):
        if isinstance(owner, tuple) and isinstance(node.inputs[0].type, T.TupleType):
            return owner[node.inputs[0].type.fields.index(name)]
        raise LoweringError(f"attribute '{name}' of something that is no module", node.range)
    slot = m.program.slots.found.get((id(owner.object), name))
    if slot is not None:
        return m.read(slot.cell)[name]
    path = f"{owner.path}.{name}" if owner.path else name
    value = owner.object.attributes[name]
    if isinstance(value, ScriptObject):
        m.program.note_read(owner.object, name, path, node.range)
        return ObjectRef(value, path)
    declared = owner.object.type.attributes[name].type
    if _is_tensor(value, declared):
        return m.program.parameter(m, path, value)
    read = next((u.user.range for u in node.output.uses if u.user.range is not None), None)
    m.program.note_read(owner.object, name, path, node.range or read)
    if isinstance(value, list | dict):
        write = write_to(node.output)
        if write is not None:
            what = "list" if isinstance(value, list) else "dict"
            raise LoweringError(
                f"the {what} '{path}' of the module is changed here, which ONNX cannot keep", write.range
            )
    if _holds_tensors(value):
        value = _known_tensors(m, owner, value, node)
    return as_abstract(m, value, declared)


def _known_tensors(m: Machine, owner: ObjectRef, value: Any, node: Node) -> Any:
    """A list or dict of tensors with those that are parameters of the same module as what they are; others are constants."""
    if isinstance(value, list | tuple):
        return type(value)(_known_tensors(m, owner, v, node) for v in value)
    if isinstance(value, dict):
        return {k: _known_tensors(m, owner, v, node) for k, v in value.items()}
    if not hasattr(value, "__array__"):
        return value
    for name, v in owner.object.attributes.items():
        if v is value:
            return m.program.parameter(m, f"{owner.path}.{name}" if owner.path else name, value)
    if m.program.hosted:
        raise LoweringError(f"attribute '{node['name']}' holds tensors, which may change", node.range)
    return array_of(value)


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, list | tuple) and any(hasattr(v, "__array__") or _holds_tensors(v) for v in value)


def _is_tensor(value: Any, declared: T.Type) -> bool:
    if value is None or isinstance(value, bool | int | float | complex | str | list | tuple | dict):
        return False
    return hasattr(value, "__array__") and (isinstance(declared, T.TensorType | T.OptionalType) or declared is T.ANY)


@handles("prim::SetAttr")
def set_attr(m: Machine, node: Node) -> Abstract:
    owner, value = m.inputs(node)
    if is_object(owner):
        set_attribute(m, owner, node["name"], m.env[node.inputs[1]])
        return []
    if isinstance(owner, ObjectRef) and is_context(owner):
        owner.object.attributes[node["name"]] = value
        return []
    if isinstance(owner, ObjectRef):
        path = f"{owner.path}.{node['name']}" if owner.path else node["name"]
        slot = m.program.slots.found.get((id(owner.object), node["name"]))
        if slot is not None:
            m.change(slot.cell, {slot.name: m.env[node.inputs[1]]})
            return []
        if m.parameters.get(path, owner) is m.env[node.inputs[1]]:
            return []  # `self.n += 1` assigns the tensor that it wrote to
    raise LoweringError(
        f"attribute '{node['name']}' is assigned while the program runs; an ONNX model keeps tensors and numbers only",
        node.range or node.inputs[1].node.range,
    )


@handles("prim::tolist")
def to_list(m: Machine, node: Node) -> Abstract:
    """A tensor as a list of numbers, or a list of such lists."""
    v, dims, _ = m.inputs(node)
    t: T.Type = node.output.type
    while isinstance(t, T.ListType):
        t = t.element
    run = v if isinstance(v, Run) else m.emitter.constant(v)
    dtype = number_dtype_of(t)
    rank = run.rank
    if dtype is None or rank is None or rank != dims or number_type(run.dtype) is not t:
        raise LoweringError("tolist() gives another list than its annotation says", node.range)
    run = m.emitter.cast(run, dtype)
    if rank == 0:
        return run.seen_as(t)
    if rank > 2:
        raise LoweringError("tolist() of more than two dimensions is not exported", node.range)
    return m.new_cell(node.output.type, run if rank == 1 else as_sequence(m, Stacked(run)))


@handles("prim::NumToTensor")
def num_to_tensor(m: Machine, node: Node) -> Abstract:
    v = m.get(node.inputs[0])
    if isinstance(v, Run):
        return v.seen_as(None)
    return np.asarray(v, {bool: np.bool_, int: np.int64, float: np.float64}.get(type(v)))


@handles("aten::tensor")
def tensor(m: Machine, node: Node) -> Abstract:
    """``torch.tensor(n)`` of a run-time int or bool is its ONNX value."""
    v = m.get(node.inputs[0])
    if isinstance(v, Run) and v.number in (T.INT, T.BOOL) and m.get(node.inputs[1]) is None:
        return v.another().seen_as(None)
    return lower_operator(m, node)


@handles("prim::unchecked_cast", "prim::unchecked_unwrap_optional", "aten::_unwrap_optional")
def pass_through(m: Machine, node: Node) -> Abstract:
    v = m.get(node.inputs[0])
    if isinstance(v, Maybe):
        if node.kind == "aten::_unwrap_optional" and v.present is not True:
            if not m.program.raises:
                raise LoweringError(
                    "a value that may be None, depending on data, is used as if it were not", node.range
                )
            raise_unless(m, v.present, "Unwrapping null optional")
        return v.value
    if v is None and node.kind != "prim::unchecked_cast":
        raise LoweringError("a value that is None here is used as if it were not", node.range)
    return m.env[node.inputs[0]]  # not what it is now: it is the same tensor


@handles("prim::Uninitialized")
def uninitialized(m: Machine, node: Node) -> Abstract:
    return Unset(node.output.type)


@handles("prim::Print")
def print_(m: Machine, node: Node) -> Abstract:
    raise LoweringError("printing cannot be expressed in ONNX", node.range)


@handles("aten::warn", "aten::manual_seed", "aten::set_grad_enabled")
def drop(m: Machine, node: Node) -> Abstract:
    m.program.report.note("dropped", f"{node.kind} has no meaning in a model", node.range)
    return [] if not node.outputs else None


def codes_equal(m: Machine, given: list[Abstract], equal: bool) -> Run:
    """Whether two strings, or two members of an enum, are the same (or, not ``equal``, different)."""
    e = m.emitter
    same: Run = e.op("Equal", *(e.scalar(v, INT64) for v in given), dtype=BOOL, dims=())
    return (same if equal else e.op("Not", same, dims=())).seen_as(T.BOOL)


@handles("aten::__is__", "aten::__isnot__")
def identity_test(m: Machine, node: Node) -> Abstract:
    a, b = m.inputs(node)
    maybe = a if isinstance(a, Maybe) else b
    if isinstance(maybe, Maybe) and (a is None or b is None):
        there = maybe.present
        return there if node.kind == "aten::__isnot__" else m.emitter.op("Not", there, dims=()).seen_as(T.BOOL)
    if a is None or b is None:
        same = a is b
    elif isinstance(a, bool | T.EnumValue) and isinstance(b, bool | T.EnumValue):
        same = a == b
    elif any(isinstance(v, Run) and isinstance(v.number, T.EnumType) for v in (a, b)):
        return codes_equal(m, [a, b], node.kind == "aten::__is__")
    else:
        same = _same_object(m, node, a, b)
    return same if node.kind == "aten::__is__" else not same


def _same_object(m: Machine, node: Node, a: Abstract, b: Abstract) -> bool:
    """Whether two tensors are one: values that the program itself keeps apart are not, inputs of the model neither."""
    if not isinstance(a, Run) or not isinstance(b, Run) or a.number is not None or b.number is not None:
        raise LoweringError("'is' between two values that are not None", node.range)
    if a is b:
        return True
    if a.joined or b.joined or a.root is b.root:
        raise LoweringError("whether these are one tensor depends on data", node.range)
    m.program.distinct = True
    return False


@handles("prim::isinstance")
def is_instance(m: Machine, node: Node) -> Abstract:
    v = m.get(node.inputs[0])
    declared = node.inputs[0].type
    if isinstance(v, Maybe):
        raise LoweringError("whether the value is None depends on data; test it with 'is None'", node.range)
    actual = declared
    if isinstance(v, Cell) and not isinstance(declared, T.ListType | T.DictType):  # Any and unions: it knows what it is
        actual = v.type
    if not isinstance(v, Cell | ObjectRef | RunList):
        actual = T.unshaped(type_of(v))
    answers = {any(one.is_subtype_of(t) for t in node["types"]) for one in T.members_of(actual)}
    if len(answers) != 1:
        raise LoweringError(f"which of {actual.annotation()} the value is depends on data", node.range)
    return answers.pop()


@handles(
    "aten::ScalarImplicit",
    "aten::IntImplicit",
    "aten::FloatImplicit",
    "aten::item",
    "aten::Bool",
    "aten::Int",
    "aten::Float",
)
def to_number(m: Machine, node: Node) -> Abstract:
    """A number from a tensor: the same ONNX value where it is 0-d and of the number's element type."""
    v = m.get(node.inputs[0])
    t = node.output.type
    if not isinstance(v, Run) or v.number is not None or isinstance(v, RunList) or t is T.COMPLEX:
        return lower_operator(m, node)
    if number_dtype_of(t) is None:
        t = number_type(v.dtype)
    dtype = number_dtype_of(t)
    assert dtype is not None
    e = m.emitter
    if node.kind.endswith("Implicit") and v.dims:
        raise LoweringError("Cannot input a tensor of dimension other than 0 as a scalar argument", node.range)
    if node.kind == "aten::IntImplicit" and v.dtype.kind not in "iu":
        raise LoweringError("Cannot input a tensor of type that is not integral as an integral argument", node.range)
    shaped = v if v.dims == () else e.op("Reshape", v, np.array([], np.int64), dims=())
    if t is T.INT and v.constant is None:
        return to_int64(e, shaped).seen_as(t)
    return e.cast(shaped, dtype).seen_as(t)


@handles("prim::ListConstruct")
def list_construct(m: Machine, node: Node) -> Abstract:
    m.inputs(node)  # what could not be computed makes no list
    return m.new_cell(node.output.type, tuple(m.env[v] for v in node.inputs))  # by identity, as a tuple


@handles("aten::dict")
def dict_of(m: Machine, node: Node) -> Abstract:
    """``dict()``, and a dict of a dict or of pairs."""
    given = m.inputs(node)
    content: Any = m.content(given[0]) if given and isinstance(given[0], Cell) else () if not given else None
    if isinstance(content, dict):
        return m.new_cell(node.output.type, dict(content))
    if isinstance(node.output.type, T.DictType) and given and isinstance(given[0], Cell):
        if isinstance(given[0].type, T.DictType):
            return m.new_cell(node.output.type, content)
    if not isinstance(content, tuple) or not all(isinstance(p, tuple) for p in content):
        raise LoweringError(
            "how many keys a dict has must be known when the model is exported: fill it in a loop", node.range
        )
    return dict_made(m, node.output.type, content)


@handles("prim::DictConstruct")
def dict_construct(m: Machine, node: Node) -> Abstract:
    return dict_made(
        m, node.output.type, list(zip(m.inputs(node)[::2], [m.env[v] for v in node.inputs[1::2]], strict=True))
    )
