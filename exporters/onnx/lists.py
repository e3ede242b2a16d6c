"""Lists and dicts: kept as Python data while their length is known, as tensors or sequences where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.exporters.onnx.machine import Machine, NeedsList, handles
from bridge.exporters.onnx.operators import lower_operator
from bridge.exporters.onnx.values import (
    BOOL,
    DOUBLE,
    INT64,
    Abstract,
    Cell,
    Growing,
    Run,
    RunList,
    Stacked,
    Text,
    is_run,
)
from bridge.ir import types as T
from bridge.ir.dtypes import DType
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node, Value

__all__ = ["as_run", "number_dtype_of", "stacked_as_sequence"]


_NUMBERS: dict[T.Type, DType] = {T.INT: INT64, T.FLOAT: DOUBLE, T.BOOL: BOOL}


def number_dtype_of(t: T.Type) -> DType | None:
    """The element type of the tensor that stands for a list of numbers."""
    return _NUMBERS.get(t)


def element_of(cell: Cell) -> T.Type:
    return cell.type.element if isinstance(cell.type, T.ListType) else T.ANY


def as_run(m: Machine, cell: Cell, content: Any = None, element: tuple[DType, Any] | None = None) -> Run:
    """The list as one ONNX value: a 1-D tensor of numbers, or a sequence of tensors.

    ``element`` is the dtype and dims of tensors, for a list that is empty.
    """
    content = m.content(cell) if content is None else content
    e = m.emitter
    if isinstance(content, Growing):
        raise NeedsList(content.token)
    if isinstance(content, Stacked):
        return stacked_as_sequence(m, content)
    if isinstance(content, Run):
        return content
    if not isinstance(content, tuple):
        raise LoweringError("a dict cannot be an ONNX value")
    dtype = number_dtype_of(element_of(cell))
    if dtype is not None:
        if dtype is INT64:
            return e.ints(list(content))
        parts = [e.op("Reshape", e.scalar(x, dtype), np.array([1], np.int64), dims=(1,)) for x in content]
        if not parts:
            return e.constant(np.array([], dtype.numpy))
        joined: Run = e.op("Concat", *parts, axis=0, dims=(len(parts),))
        return joined
    items = [m.current(x) for x in content]
    if any(isinstance(x, tuple | Cell) for x in items):
        raise LoweringError("a list of tuples or lists, whose length is not known, cannot be an ONNX value")
    runs = [x if isinstance(x, Run) else e.constant(x) for x in items]
    if not runs:
        if element is None:
            raise LoweringError("the element type of this empty list is not known")
        empty: Run = e.op("SequenceEmpty", dtype=element[0], dims=element[1], dtype_=element[0].onnx)
        return empty
    dims = runs[0].dims
    for r in runs[1:]:
        dims = _merged(dims, r.dims)
    made: Run = e.op("SequenceConstruct", *runs, dims=dims)
    return made


def _merged(a: Any, b: Any) -> Any:
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple(x if x == y else None for x, y in zip(a, b, strict=True))


def stacked_as_sequence(m: Machine, s: Stacked) -> Run:
    """A stacked list as a sequence of its elements."""
    dims = s.run.dims
    made: Run = m.emitter.op(
        "SplitToSequence", s.run, axis=0, keepdims=0, dims=None if dims is None else dims[1:], dtype=s.run.dtype
    )
    return made


def _cell(m: Machine, node: Node) -> tuple[Cell, Any] | None:
    v = m.get(node.inputs[0])
    return (v, m.content(v)) if isinstance(v, Cell) else None


@handles("aten::append")
def append(m: Machine, node: Node) -> Abstract:
    cell, content = _list(m, node)
    x = m.get(node.inputs[1])
    e = m.emitter
    if isinstance(content, tuple):
        m.heap[cell] = (*content, x)
    elif isinstance(content, Growing):
        m.heap[cell] = Growing(content.token, (*content.appended, x))
    elif isinstance(content, RunList | Stacked):
        if isinstance(content, Stacked):
            content = stacked_as_sequence(m, content)
        made = e.op("SequenceInsert", content, x, dims=_merged(content.dims, _dims(x)))
        m.heap[cell] = made
    else:
        one = e.op("Reshape", e.scalar(x, content.dtype), np.array([1], np.int64), dims=(1,))
        m.heap[cell] = e.op("Concat", content, one, axis=0, dims=(None,))
    return cell if node.outputs else []


def _dims(x: Abstract) -> Any:
    return x.dims if isinstance(x, Run) else np.shape(x)


def _list(m: Machine, node: Node) -> tuple[Cell, Any]:
    found = _cell(m, node)
    if found is None:
        raise LoweringError(f"{node.kind} of something that is no list", node.range)
    return found


def _known_length(m: Machine, node: Node) -> tuple[Cell, tuple[Any, ...]]:
    cell, content = _list(m, node)
    if isinstance(content, Growing):
        raise NeedsList(content.token)
    if not isinstance(content, tuple):
        raise LoweringError(f"{node.kind.partition('::')[2]} of a list whose length is not known", node.range)
    return cell, content


def _known_index(m: Machine, node: Node, at: int = 1) -> int:
    i = m.get(node.inputs[at])
    if not isinstance(i, int):
        raise LoweringError("the position in this list must be known when the model is exported", node.range)
    return i


@handles("aten::__getitem__")
def get_item(m: Machine, node: Node) -> Abstract:
    found = _cell(m, node)
    if found is None:
        return lower_operator(m, node)
    cell, content = found
    i = m.get(node.inputs[1])
    e = m.emitter
    if isinstance(content, dict):
        return content[i]
    if isinstance(content, tuple):
        if isinstance(i, int):
            if not -len(content) <= i < len(content):
                raise LoweringError("list index out of range", node.range)
            return content[i]
        content = as_run(m, cell)
    if isinstance(content, Growing):
        raise NeedsList(content.token)
    index = e.scalar(i, INT64)
    if isinstance(content, RunList):
        out = e.op("SequenceAt", content, index, dims=content.dims)
        out.joined = True
        return out
    if isinstance(content, Stacked):
        dims = content.run.dims
        return e.op("Gather", content.run, index, axis=0, dims=None if dims is None else dims[1:])
    return e.op("Gather", content, index, axis=0, dims=())


@handles("aten::slice")
def slice_(m: Machine, node: Node) -> Abstract:
    found = _cell(m, node)
    if found is None:
        return lower_operator(m, node)
    cell, content = found
    start, end, step = (m.get(v) for v in node.inputs[1:4])
    if isinstance(content, tuple) and not any(isinstance(b, Run) for b in (start, end, step)):
        return m.new_cell(cell.type, content[slice(start, end, step)])
    run = as_run(m, cell)
    if isinstance(run, RunList) or not isinstance(step, int):
        raise LoweringError("a slice of this list, whose length is not known", node.range)
    e = m.emitter
    first, last = (0, 2**63 - 1) if step > 0 else (2**63 - 1, -(2**63))
    bounds = [
        e.ints([first if start is None else start]),
        e.ints([last if end is None else end]),
        e.ints([0]),
        e.ints([step]),
    ]
    return m.new_cell(cell.type, e.op("Slice", run, *bounds, dims=(None,)))


@handles("aten::len")
def length(m: Machine, node: Node) -> Abstract:
    found = _cell(m, node)
    if found is None:
        return lower_operator(m, node)
    content = found[1]
    if isinstance(content, tuple | dict):
        return len(content)
    if isinstance(content, Growing):
        raise NeedsList(content.token)
    run = content.run if isinstance(content, Stacked) else content
    if not isinstance(content, RunList) and run.dims and isinstance(run.dims[0], int):
        return run.dims[0]
    return _run_length(m, run)


def _run_length(m: Machine, run: Run) -> Run:
    e = m.emitter
    if isinstance(run, RunList):
        return e.op("SequenceLength", run, dtype=INT64, dims=())  # type: ignore[no-any-return]
    shape = e.op("Shape", run, dtype=INT64, dims=(1,), start=0, end=1)
    return e.op("Squeeze", shape, np.array([0], np.int64), dims=())  # type: ignore[no-any-return]


@handles("aten::_set_item")
def set_item(m: Machine, node: Node) -> Abstract:
    cell, content = _list(m, node)
    x = m.get(node.inputs[2])
    if isinstance(content, dict):
        m.heap[cell] = {**content, _known_key(m, node): x}
        return cell if node.outputs else []
    i = m.get(node.inputs[1])
    if isinstance(content, tuple) and isinstance(i, int):
        at = range(len(content))[i]
        m.heap[cell] = (*content[:at], x, *content[at + 1 :])
        return cell if node.outputs else []
    if isinstance(content, Growing):
        raise NeedsList(content.token)
    run = as_run(m, cell)
    e = m.emitter
    if isinstance(run, RunList):
        index = e.scalar(i, INT64)
        m.heap[cell] = e.op(
            "SequenceInsert", e.op("SequenceErase", run, index), x, index, dims=_merged(run.dims, _dims(x))
        )
    else:
        one = e.op("Reshape", e.scalar(x, run.dtype), np.array([1], np.int64), dims=(1,))
        at = e.op("Reshape", e.scalar(i, INT64), np.array([1], np.int64), dims=(1,))
        m.heap[cell] = e.op("ScatterElements", run, at, one, axis=0, dims=run.dims)
    return cell if node.outputs else []


@handles("aten::add_")
def extend_in_place(m: Machine, node: Node) -> Abstract:
    """``list += other``; of tensors it is an operator."""
    if isinstance(m.get(node.inputs[0]), Cell):
        change(m, node)
        return m.get(node.inputs[0])
    return lower_operator(m, node)


@handles(
    "aten::pop",
    "aten::insert",
    "aten::extend",
    "aten::clear",
    "aten::reverse",
    "aten::Delete",
    "aten::copy",
    "aten::list",
)
def change(m: Machine, node: Node) -> Abstract:
    found = _cell(m, node)
    if found is None:
        return lower_operator(m, node)
    kind = node.kind.partition("::")[2]
    if kind in ("copy", "list"):
        content = found[1]
        if isinstance(content, Growing):
            raise NeedsList(content.token)
        # A copy must be one: dicts are changed where they are.
        return m.new_cell(found[0].type, dict(content) if isinstance(content, dict) else content)
    if kind == "clear":
        m.heap[found[0]] = ()
        return []
    if kind in ("extend", "add_") and not (isinstance(found[1], tuple) and _is_tuple(m, node.inputs[1])):
        return _extend(m, node, found[0])
    cell, known = _known_length(m, node)
    items = list(known)
    result: Any = []
    if kind == "pop":
        result = items.pop(_known_index(m, node))
    elif kind == "insert":
        items.insert(_known_index(m, node), m.get(node.inputs[2]))
    elif kind in ("extend", "add_"):
        items.extend(m.content(m.get(node.inputs[1])))
    elif kind == "reverse":
        items.reverse()
    else:
        del items[_known_index(m, node)]
    m.heap[cell] = tuple(items)
    return result


def _is_tuple(m: Machine, value: Value) -> bool:
    other = m.get(value)
    return isinstance(other, Cell) and isinstance(m.content(other), tuple)


def _extend(m: Machine, node: Node, cell: Cell) -> Abstract:
    """Extending lists of numbers whose lengths are not known."""
    other = m.get(node.inputs[1])
    if not isinstance(other, Cell) or number_dtype_of(element_of(cell)) is None:
        raise LoweringError("extending by a list whose length is not known", node.range)
    m.heap[cell] = m.emitter.op("Concat", as_run(m, cell), as_run(m, other), axis=0, dims=(None,))
    return []


@handles("aten::add")
def add(m: Machine, node: Node) -> Abstract:
    a = m.get(node.inputs[0])
    b = m.get(node.inputs[1])
    if isinstance(a, Text) or isinstance(b, Text):
        return Text([x for v in (a, b) for x in (v.pieces if isinstance(v, Text) else [v])])
    if not (isinstance(a, Cell) and isinstance(b, Cell)):
        return lower_operator(m, node)
    x, y = m.content(a), m.content(b)
    if isinstance(x, tuple) and isinstance(y, tuple):
        return m.new_cell(a.type, (*x, *y))
    joined = [as_run(m, c) for c in (a, b)]
    if any(isinstance(r, RunList) for r in joined):
        raise LoweringError("joining lists of tensors whose length is not known", node.range)
    return m.new_cell(a.type, m.emitter.op("Concat", *joined, axis=0, dims=(None,)))


@handles("prim::ListUnpack")
def list_unpack(m: Machine, node: Node) -> Abstract:
    v = m.get(node.inputs[0])
    if isinstance(v, tuple):
        items = list(v)
    else:
        content = m.content(v)
        if isinstance(content, tuple):
            items = list(content)
        elif is_run(content):
            items = _unpack(m, content, node)
        else:
            raise LoweringError("unpacking a list whose length is not known", node.range)
    if len(items) != len(node.outputs):
        raise LoweringError(f"expected {len(node.outputs)} elements in a list but found {len(items)}", node.range)
    return items[0] if len(items) == 1 else items


def _unpack(m: Machine, content: Run, node: Node) -> list[Run]:
    """The items of a list whose length only a run tells. Where it is another, onnxruntime fails."""
    e, count = m.emitter, len(node.outputs)
    if not isinstance(content, RunList) and content.dims == (count,):
        return [e.op("Gather", content, np.array(i, np.int64), axis=0, dims=()) for i in range(count)]
    length = _run_length(m, content)
    off = e.op("Abs", e.op("Sub", length, np.array(count, np.int64), dims=()), dims=())
    far = e.op("Mul", off, e.op("Add", length, np.array(1, np.int64), dims=()), dims=())  # 0, or past the end
    checked = next((i for i in reversed(range(count)) if node.outputs[i].uses), None)
    items = []
    for i in range(count):
        at: Any = np.array(i, np.int64)
        if i == checked:
            at = e.op("Add", far, at, dims=())
        if isinstance(content, RunList):
            items.append(e.op("SequenceAt", content, at, dims=content.dims))
            items[-1].joined = True
        else:
            items.append(e.op("Gather", content, at, axis=0, dims=()))
    return items


@handles("aten::stack", "aten::cat")
def stack(m: Machine, node: Node) -> Abstract:
    """A list that a loop filled is one tensor already: stacking it is a transposition at most."""
    found = _cell(m, node)
    if found is None or not isinstance(found[1], Stacked | RunList):
        return lower_operator(m, node)
    content, dim = found[1], m.get(node.inputs[1]) if len(node.inputs) > 1 else 0
    e = m.emitter
    if not isinstance(dim, int):
        raise LoweringError("the dimension must be known when the model is exported", node.range)
    stacking = node.kind == "aten::stack"
    if isinstance(content, RunList):
        rank = None if content.dims is None else len(content.dims)
        if stacking and rank is not None:
            assert content.dims is not None
            at = dim % (rank + 1)
            dims = (*content.dims[:at], None, *content.dims[at:])
        else:
            dims = (None,) * rank if rank is not None else None  # type: ignore[assignment]
        return e.op("ConcatFromSequence", content, axis=dim, new_axis=int(stacking), dims=dims, dtype=content.dtype)
    return _restack(m, content.run, dim, stacking)


def _restack(m: Machine, run: Run, dim: int, stacking: bool) -> Run:
    """The stacked tensor with the list's dimension at ``dim`` (stack) or folded into dimension ``dim`` (cat)."""
    e = m.emitter
    assert run.dims is not None
    rank = len(run.dims)
    at = dim % rank if stacking else dim % (rank - 1)
    perm = list(range(1, rank))
    perm.insert(at, 0)
    moved = run
    if perm != list(range(rank)):
        moved = e.op("Transpose", run, perm=perm, dims=[run.dims[p] for p in perm])
    if stacking:
        return moved
    assert moved.dims is not None
    sizes = [*moved.dims[:at], None, *moved.dims[at + 2 :]]
    known = [d if isinstance(d, int) else None for d in sizes]
    if known.count(None) == 1:
        shape: Any = np.array([-1 if d is None else d for d in known], np.int64)
    else:
        shape = e.op("Shape", moved, dtype=INT64, dims=(rank,))
        parts = [e.op("Slice", shape, np.array([0], np.int64), np.array([at], np.int64), dims=(at,)),
                 np.array([-1], np.int64),
                 e.op("Slice", shape, np.array([at + 2], np.int64), np.array([rank], np.int64), dims=(rank - at - 2,))]  # fmt: skip
        shape = e.op("Concat", *parts, axis=0, dtype=INT64, dims=(rank - 1,))
    return e.op("Reshape", moved, shape, dims=sizes)  # type: ignore[no-any-return]


@handles("aten::__contains__", "aten::keys", "aten::values", "aten::items", "aten::get")
def dict_question(m: Machine, node: Node) -> Abstract:
    found = _cell(m, node)
    if found is None or not isinstance(found[1], dict):
        return lower_operator(m, node)
    kind, content = node.kind.partition("::")[2], found[1]
    if kind == "__contains__":
        return _known_key(m, node) in content
    if kind == "get":
        default = m.get(node.inputs[2]) if len(node.inputs) > 2 else None
        return content.get(_known_key(m, node), default)
    items: list[Any] = list({"keys": content, "values": content.values(), "items": content.items()}[kind])
    return m.new_cell(node.output.type, tuple(items))


def _known_key(m: Machine, node: Node) -> Any:
    key = m.get(node.inputs[1])
    if not isinstance(key, bool | int | float | str):
        raise LoweringError("the key of a dict must be known when the model is exported", node.range)
    return key
