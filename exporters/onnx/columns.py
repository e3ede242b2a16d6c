"""Lists whose length only run time knows, as ONNX values: what stands for them, and what can be done with them.

A list of numbers is a 1-D tensor. A list of tensors is one tensor with the list along dimension 0 where all have one shape
(:class:`Stacked`), else a sequence. A list of lists of numbers is a sequence of 1-D tensors. A list of tuples is a list for
each place of the tuple (:class:`Columns`).

A *form* is a content that tells types only. ``t`` is always the IR type of an element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.places import PUT, as_row, built, places, split
from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import (
    BOOL,
    INT64,
    Abstract,
    Cell,
    Columns,
    Run,
    RunList,
    Stacked,
    Unset,
    code_of,
    element_dtype_of,
    merge_dims,
    number_dtype_of,
    runtime_type,
)
from bridge.ir import types as T
from bridge.ir.dtypes import DType
from bridge.ir.errors import LoweringError

__all__ = [
    "Unknown",
    "append",
    "as_sequence",
    "cut",
    "element_of",
    "empty",
    "erase",
    "form_and_value",
    "form_of",
    "insert",
    "item",
    "join",
    "known_length",
    "length",
    "length_of",
    "numbers_form",
    "put",
    "repeated",
    "same_form",
    "samples_of",
    "sorted_rows",
    "to_form",
]  # fmt: skip

_END = 2**63 - 1


class Unknown(LoweringError):
    """The element type of a list of tensors is not known."""

    def __init__(self) -> None:
        super().__init__("the element type of this empty list is not known")


def element_of(cell: Cell) -> T.Type:
    """The IR type of the elements of a list; of a dict, of its items."""
    if isinstance(cell.type, T.DictType):
        return T.TupleType(cell.type.key, cell.type.value)
    return cell.type.element if isinstance(cell.type, T.ListType) else T.ANY


# -- Forms -----------------------------------------------------------------------------------------------------------------


def samples_of(t: T.Type, content: Any) -> list[Abstract]:
    """What is known of the elements of a list: one value for each, or one for all."""
    if isinstance(content, tuple | dict):
        return list(content.items() if isinstance(content, dict) else content)
    if isinstance(content, Columns):
        parts = [samples_of(x, c) for x, c in zip(places(t), content.parts, strict=True)]
        return [tuple(p[0] if p else Unset(T.ANY) for p in parts)]
    if isinstance(content, Stacked):
        dims = content.run.dims
        return [Run(content.run.dtype, None if dims is None else dims[1:])]
    if isinstance(content, RunList):
        return [Run(content.dtype, content.dims) if isinstance(t, T.ListType) else content]
    return []


def _common_length(lists: Sequence[Abstract]) -> tuple[int | None]:
    """The length that all of these lists of numbers are known to have, as the dimensions of one."""
    lengths = {x.dims[0] if isinstance(x, Run) and not isinstance(x, RunList) and x.dims else None for x in lists}
    found = lengths.pop() if len(lengths) == 1 else None
    return (found if isinstance(found, int) else None,)


def length_of(content: Any) -> int | None:
    """How many elements a list has, where that is known and not none: of numbers, its one dimension."""
    if isinstance(content, tuple):
        return len(content) or None
    length = content.dims[0] if type(content) is Run and content.dims else None
    return length if isinstance(length, int) and length > 0 else None


def numbers_form(form: Run, *contents: Any) -> Run:
    """The form of a list of numbers that has been all of these: with its length, where that stays what it is."""
    lengths = {length_of(c) for c in contents}
    return Run(form.dtype, (lengths.pop() if len(lengths) == 1 else None,))


def form_of(t: T.Type, samples: Sequence[Abstract], uniform: bool = True) -> Any:
    """The form of a list of elements like the samples; ``uniform`` allows one tensor for tensors of one shape.

    Raises LoweringError for elements that have no ONNX form, Unknown when no sample tells the element type of tensors.
    """
    dtype = element_dtype_of(t)
    if dtype is not None:
        return Run(dtype, (None,))
    if isinstance(t, T.ListType):
        inner = element_dtype_of(t.element)
        if inner is None:
            raise LoweringError("a list of lists of tensors, whose length is not known, cannot be an ONNX value")
        return RunList(inner, _common_length(samples))
    if places(t) or isinstance(t, T.TupleType):
        rows = [r for r in (as_row(t, s) for s in samples) if r is not None]
        uniform = uniform and not isinstance(t, T.OptionalType)  # what is not there has no sizes
        return Columns(tuple(form_of(x, [r[i] for r in rows], uniform) for i, x in enumerate(places(t))))
    if not (isinstance(t, T.TensorType) or t is T.ANY):
        raise LoweringError(f"a list of {t.annotation()}, whose length is not known, cannot be an ONNX value")
    types = [_tensor_type(s) for s in samples if not isinstance(s, Unset)]
    return _tensors_form(types, uniform and not any(isinstance(s, RunList) for s in samples))


def _tensor_type(sample: Abstract) -> Any:
    if isinstance(sample, RunList):
        return sample.dtype, sample.dims, None
    found = runtime_type(sample)
    if found is None:
        raise LoweringError("a list whose length is not known holds what is no tensor")
    return found


def _tensors_form(types: list[Any], uniform: bool) -> Any:
    if not types:
        raise Unknown
    dtype, dims, _ = types[0]
    for other, more, _ in types[1:]:
        if other is not dtype:
            raise LoweringError(
                f"a list holds tensors of {dtype.name} and of {other.name}; ONNX needs one element type"
            )
        dims = merge_dims(dims, more)
    if uniform and dims is not None and None not in dims:
        return Stacked(Run(dtype, (None, *dims)))
    return RunList(dtype, dims)


def same_form(a: Any, b: Any) -> bool:
    """Whether two contents have the same form."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Columns):
        return len(a.parts) == len(b.parts) and all(map(same_form, a.parts, b.parts))
    if isinstance(a, Stacked):
        return same_form(a.run, b.run)
    return isinstance(a, Run) and a.dtype is b.dtype and a.dims == b.dims


# -- From one form to another ----------------------------------------------------------------------------------------------


def empty(m: Machine, form: Any) -> Any:
    """No elements, in that form."""
    e = m.emitter
    if isinstance(form, Columns):
        return Columns(tuple(empty(m, f) for f in form.parts))
    if isinstance(form, RunList):
        return e.op("SequenceEmpty", dtype=form.dtype, dims=form.dims, dtype_=form.dtype.onnx)
    if isinstance(form, Stacked):
        # onnxruntime's Concat takes an empty tensor of any sizes, so free sizes need not be known here.
        dims = form.run.dims or ()
        sizes = [0, *(d if isinstance(d, int) else 0 for d in dims[1:])]
        made = e.constant(np.zeros(sizes, form.run.dtype.numpy), form.run.dtype)
        made.dims = dims
        return Stacked(made)
    return e.constant(np.zeros(0, form.dtype.numpy), form.dtype)


def to_form(m: Machine, t: T.Type, content: Any, form: Any) -> Any:
    """The content in a form that is wide enough for it."""
    if isinstance(content, dict):
        content = tuple(content.items())
    if isinstance(content, tuple):
        return _from_items(m, t, content, form) if content else empty(m, form)
    if isinstance(form, Columns):
        parts = zip(places(t), content.parts, form.parts, strict=True)
        return Columns(tuple(to_form(m, x, c, f) for x, c, f in parts))
    if isinstance(form, RunList) and isinstance(content, Stacked):
        return as_sequence(m, content)
    return content


def _from_items(m: Machine, t: T.Type, items: tuple[Abstract, ...], form: Any) -> Any:
    e = m.emitter
    if isinstance(form, Columns):
        rows = [split(m, t, x) for x in items]
        columns = zip(places(t), zip(*rows, strict=True), form.parts, strict=True)
        return Columns(tuple(_from_items(m, x, c, f) for x, c, f in columns))
    if isinstance(form, RunList):
        return e.op("SequenceConstruct", *[_element(m, x, form) for x in items], dims=form.dims)
    if isinstance(form, Stacked):
        stacked = [_row(m, _element(m, x, form.run)) for x in items]
        return Stacked(stacked[0] if len(stacked) == 1 else e.op("Concat", *stacked, axis=0, dims=form.run.dims))
    return _numbers(m, items, form.dtype)


def form_and_value(m: Machine, t: T.Type, items: tuple[Abstract, ...]) -> Any:
    """Elements that are known one by one as an ONNX value."""
    return to_form(m, t, items, form_of(t, items))


def _numbers(m: Machine, items: Sequence[Abstract], dtype: DType) -> Run:
    known = [0 if isinstance(x, Unset) else code_of(x) if isinstance(x, str | T.EnumValue) else x for x in items]
    e, items = m.emitter, known
    if not any(isinstance(x, Run) for x in items):
        return e.constant(np.array(items, dtype.numpy), dtype)
    if dtype is INT64:
        return e.ints(list(items))
    parts = [e.op("Reshape", e.scalar(x, dtype), np.array([1], np.int64), dims=(1,)) for x in items]
    made: Run = parts[0] if len(parts) == 1 else e.op("Concat", *parts, axis=0, dims=(len(parts),))
    return made


def _element(m: Machine, x: Abstract, form: Run) -> Run:
    """An element as a tensor: a list of numbers is one."""
    if isinstance(x, Cell):
        content = m.read(x)
        m.frozen.setdefault(x, PUT)
        made: Run = _numbers(m, content, form.dtype) if isinstance(content, tuple) else content
        if not isinstance(made, Run):
            raise LoweringError("a list of lists of tensors, whose length is not known, cannot be an ONNX value")
        return made
    if isinstance(x, Unset):  # nobody looks at it
        return m.emitter.constant(np.zeros((0,) * len(form.dims or ()), form.dtype.numpy), form.dtype)
    x = m.current(x)
    run: Run = x if isinstance(x, Run) else m.emitter.constant(x, form.dtype)
    return run


def _row(m: Machine, x: Run) -> Run:
    """One element of a stacked list: with the dimension of the list."""
    made: Run = m.emitter.op(
        "Unsqueeze", x, np.array([0], np.int64), dims=None if x.dims is None else (1, *x.dims), dtype=x.dtype
    )
    return made


def as_sequence(m: Machine, s: Stacked) -> RunList:
    """A stacked list as a sequence of its elements."""
    dims = s.run.dims
    made: RunList = m.emitter.op(
        "SplitToSequence", s.run, axis=0, keepdims=0, dims=None if dims is None else dims[1:], dtype=s.run.dtype
    )
    return made


# -- What can be done with them -----------------------------------------------------------------------------------------------


def length(m: Machine, content: Any) -> Any:
    """How many elements: an int, or a run-time one."""
    e = m.emitter
    if isinstance(content, tuple | dict):
        return len(content)
    if isinstance(content, Columns):
        return length(m, content.parts[0])
    if isinstance(content, RunList):
        return _size(e.op("SequenceLength", content, dtype=INT64, dims=()))
    run = content.run if isinstance(content, Stacked) else content
    if run.dims and isinstance(run.dims[0], int):
        return run.dims[0]
    if len(run.dims or (0, 0)) == 1:
        return _size(e.op("Size", run, dtype=INT64, dims=()))
    if e.opset < 15:
        sizes = e.op("Shape", run, dtype=INT64, dims=(None,))
        return _size(e.op("Gather", sizes, np.array(0, np.int64), axis=0, dims=()))
    first = e.op("Shape", run, dtype=INT64, dims=(1,), start=0, end=1)
    return _size(e.op("Squeeze", first, np.array([0], np.int64), dims=()))


def known_length(content: Any) -> bool:
    """Whether it has as many elements wherever it is looked at: a number, or a size of an input."""
    if isinstance(content, Columns):
        return known_length(content.parts[0])
    run = content.run if isinstance(content, Stacked) else content
    return not isinstance(run, RunList) and run.dims is not None and run.dims[0] is not None


def _size(run: Run) -> Run:
    run.least = 0
    return run.seen_as(T.INT)


def item(m: Machine, t: T.Type, content: Any, i: Abstract) -> Abstract:
    """The element at a position, which onnxruntime checks."""
    e = m.emitter
    if isinstance(content, Columns):
        return built(m, t, tuple(item(m, x, c, i) for x, c in zip(places(t), content.parts, strict=True)))
    index = e.scalar(i, INT64)
    if isinstance(content, RunList):
        out = e.op("SequenceAt", content, index, dims=content.dims)
        if not isinstance(t, T.ListType):
            out.joined = True
            return out
        return m.new_cell(t, out)
    if isinstance(content, Stacked):
        dims = content.run.dims
        out = e.op("Gather", content.run, index, axis=0, dims=None if dims is None else dims[1:])
        out.joined = True
        return out
    return e.op("Gather", content, index, axis=0, dims=())


def _position(m: Machine, content: Any, i: Abstract) -> Abstract:
    """An index counted from the front."""
    return i if isinstance(i, int) and i >= 0 else from_front(m, i, length(m, content))


def from_front(m: Machine, i: Abstract, size: Abstract) -> Abstract:
    """An index of a list of that size, counted from the front."""
    e = m.emitter
    if isinstance(i, int):
        return i if i >= 0 else size + i if isinstance(size, int) else e.op("Add", size, np.array(i, np.int64), dims=())
    back = e.op("Add", i, e.scalar(size, INT64), dims=())
    return e.op("Where", e.op("Less", i, np.array(0, np.int64), dtype=BOOL, dims=()), back, i, dims=(), dtype=INT64)


def put(m: Machine, t: T.Type, content: Any, i: Abstract, x: Abstract) -> Any:
    """The list with another element at a position."""
    e = m.emitter
    if isinstance(content, Columns):
        parts = zip(places(t), content.parts, split(m, t, x), strict=True)
        return Columns(tuple(put(m, y, c, i, v) for y, c, v in parts))
    if isinstance(content, RunList):
        x = _fitting(m, x, content)
        at = e.scalar(_position(m, content, i), INT64)
        less = e.op("SequenceErase", content, at, dims=content.dims)
        return e.op("SequenceInsert", less, x, at, dims=merge_dims(content.dims, x.dims))
    run = content.run if isinstance(content, Stacked) else content
    x = _fitting(m, x, content)
    if isinstance(content, Stacked):
        where = e.op("Reshape", e.scalar(i, INT64), np.array([1, 1], np.int64), dims=(1, 1))
        return Stacked(e.op("ScatterND", run, where, _row(m, x), dims=run.dims))
    one = e.op("Reshape", x, np.array([1], np.int64), dims=(1,))
    return e.op("ScatterElements", run, e.ints([i]), one, axis=0, dims=run.dims)


def _fitting(m: Machine, x: Abstract, content: Any) -> Run:
    """An element as the list needs it. Raises LoweringError for a tensor that is of another element type."""
    form = content.run if isinstance(content, Stacked) else content
    if isinstance(content, Run) and not isinstance(content, RunList):
        x = 0 if isinstance(x, Unset) else m.current(x)
        made: Run = m.emitter.scalar(x, form.dtype)
        return made
    run = _element(m, x, form)
    if run.dtype is not form.dtype:
        raise LoweringError(
            f"a list of tensors of {form.dtype.name} gets one of {run.dtype.name}; ONNX needs one element type"
        )
    return run


def append(m: Machine, t: T.Type, content: Any, x: Abstract) -> Any:
    """The list with one more element. A stacked list whose elements no longer have one shape becomes a sequence."""
    e = m.emitter
    if isinstance(content, Columns):
        parts = zip(places(t), content.parts, split(m, t, x), strict=True)
        return Columns(tuple(append(m, y, c, v) for y, c, v in parts))
    one = _fitting(m, x, content)
    if isinstance(content, Stacked):
        if _stacks(content, one):
            row = _row(m, one)
            return Stacked(_concat(m, [content.run, row], _blank_like(m, row)))
        content = as_sequence(m, content)
    if isinstance(content, RunList):
        return e.op("SequenceInsert", content, one, dims=merge_dims(content.dims, one.dims))
    row = e.op("Reshape", one, np.array([1], np.int64), dims=(1,))
    return e.op("Concat", content, row, axis=0, dims=(None,))


def _stacks(content: Stacked, x: Run) -> bool:
    return x.dims is not None and None not in x.dims and content.run.dims is not None and content.run.dims[1:] == x.dims


def insert(m: Machine, t: T.Type, content: Any, i: Abstract, x: Abstract) -> Any:
    """The list with an element before a position, which Python moves into the list."""
    e = m.emitter
    if isinstance(content, Columns):
        parts = zip(places(t), content.parts, split(m, t, x), strict=True)
        return Columns(tuple(insert(m, y, c, i, v) for y, c, v in parts))
    one = _fitting(m, x, content)
    if isinstance(content, Stacked) and not _stacks(content, one):
        content = as_sequence(m, content)
    if isinstance(content, RunList):
        size = e.scalar(length(m, content), INT64)
        at = e.op(
            "Min", e.op("Max", _position(m, content, i), np.array(0, np.int64), dims=(), dtype=INT64), size, dims=()
        )
        return e.op("SequenceInsert", content, one, at, dims=merge_dims(content.dims, one.dims))
    run = content.run if isinstance(content, Stacked) else content
    row = _row(m, one) if isinstance(content, Stacked) else e.op("Reshape", one, np.array([1], np.int64), dims=(1,))
    before, after = _slice(m, run, None, i, 1), _slice(m, run, i, None, 1)
    if isinstance(content, Stacked):
        return Stacked(_concat(m, [before, row, after], _blank_like(m, row)))
    return e.op("Concat", before, row, after, axis=0, dims=(None,))


def erase(m: Machine, t: T.Type, content: Any, i: Abstract) -> tuple[Abstract, Any]:
    """(the element at a position, the list without it); onnxruntime refuses a position that is not there."""
    e = m.emitter
    if isinstance(content, Columns):
        found = [erase(m, x, c, i) for x, c in zip(places(t), content.parts, strict=True)]
        return built(m, t, tuple(f[0] for f in found)), Columns(tuple(f[1] for f in found))
    if isinstance(content, RunList):
        value = item(m, t, content, i)
        return value, e.op("SequenceErase", content, e.scalar(i, INT64), dims=content.dims)
    run = content.run if isinstance(content, Stacked) else content
    tail = (run.dims or ())[1:]
    size = length(m, content)
    # Split, because it fails for a position that is not there even when nobody reads the element.
    if i == -1 and isinstance(i, int):
        sizes = e.ints([_minus(m, size, 1), 1])
        rest, value = e.op("Split", run, sizes, outputs=2, axis=0, dims=(None, *tail))
        left = rest
    else:
        at = _position(m, content, i)
        sizes = e.ints([at, 1, _minus(m, _minus(m, size, at), 1)])
        first, value, last = e.op("Split", run, sizes, outputs=3, axis=0, dims=(None, *tail))
        left = e.op("Concat", first, last, axis=0, dims=(None, *tail)) if at != 0 or not isinstance(at, int) else last
    value = e.op("Squeeze", value, np.array([0], np.int64), dims=tail)
    return value, Stacked(left) if isinstance(content, Stacked) else left


def _minus(m: Machine, a: Abstract, b: Abstract) -> Abstract:
    if isinstance(a, int) and isinstance(b, int):
        return a - b
    e = m.emitter
    return e.op("Sub", e.scalar(a, INT64), e.scalar(b, INT64), dims=())


def _slice(m: Machine, run: Run, start: Abstract, end: Abstract, step: int) -> Run:
    e = m.emitter
    first, last = (0, _END) if step > 0 else (_END, -_END - 1)
    bounds = [[first if start is None else start], [last if end is None else end], [0], [step]]
    made: Run = e.op("Slice", run, *map(e.ints, bounds), dims=(None, *(run.dims or ())[1:]))
    return made


def cut(m: Machine, t: T.Type, content: Any, start: Abstract, end: Abstract, step: int) -> Any:
    """A slice of the list."""
    if isinstance(content, Columns):
        parts = zip(places(t), content.parts, strict=True)
        return Columns(tuple(cut(m, x, c, start, end, step) for x, c in parts))
    if isinstance(content, RunList):
        e = m.emitter
        size = e.scalar(length(m, content), INT64)
        every = e.op("Range", np.array(0, np.int64), size, np.array(1, np.int64), dims=(None,), dtype=INT64)
        return _fold(m, empty(m, content), content, _slice(m, every, start, end, step))
    if isinstance(content, Stacked):
        return Stacked(_slice(m, content.run, start, end, step))
    return _slice(m, content, start, end, step)


def join(m: Machine, t: T.Type, a: Any, b: Any) -> Any:
    """Two lists of one form, one behind the other."""
    e = m.emitter
    if isinstance(a, Columns):
        return Columns(tuple(join(m, x, c, d) for x, c, d in zip(places(t), a.parts, b.parts, strict=True)))
    if isinstance(a, RunList):
        size = e.scalar(length(m, b), INT64)
        every = e.op("Range", np.array(0, np.int64), size, np.array(1, np.int64), dims=(None,), dtype=INT64)
        return _fold(m, a, b, every)
    if isinstance(a, Stacked):
        return Stacked(_concat(m, [a.run, b.run], _blank_of(m, a.run, b.run)))
    x, y = length_of(a), length_of(b)
    return e.op("Concat", a, b, axis=0, dims=(None if x is None or y is None else x + y,))


def _concat(m: Machine, parts: list[Run], blank: Run | None) -> Run:
    """Stacked lists, one behind the other.

    Of tensors without values onnxruntime's Concat believes the sizes of the first one, and a list without elements does
    not know the sizes that its elements would have: so ``blank``, where there is one, comes first.
    """
    dims = (None, *(parts[0].dims or ())[1:])
    made: Run = m.emitter.op("Concat", *([] if blank is None else [blank]), *parts, axis=0, dims=dims)
    return made


def _blank_like(m: Machine, row: Run) -> Run | None:
    """No elements of the sizes of this one; None where its sizes are known, so that an empty list has them too."""
    if _has_known_sizes(row):
        return None
    return _slice(m, row, None, 0, 1)


def _blank_of(m: Machine, a: Run, b: Run) -> Run | None:
    """No elements of the sizes that the elements of either list have."""
    if _has_known_sizes(a):
        return None
    e, rank = m.emitter, len(a.dims or ())
    sizes = [e.op("Shape", x, dtype=INT64, dims=(rank,)) for x in (a, b)]
    larger = e.op("Max", *sizes, dims=(rank,))
    none = e.op("Mul", larger, np.array([0, *[1] * (rank - 1)], np.int64), dims=(rank,))
    value = np.zeros(1, a.dtype.numpy)
    made: Run = e.op("ConstantOfShape", none, value=value, dims=(0, *(a.dims or ())[1:]), dtype=a.dtype)
    return made


def _has_known_sizes(run: Run) -> bool:
    return all(isinstance(d, int) for d in (run.dims or ())[1:])


def _fold(m: Machine, first: RunList, source: RunList, positions: Run) -> RunList:
    """A sequence with those elements of another one behind it: ONNX has no operator for that, so a loop."""
    e = m.emitter
    i, cond = Run(INT64, ()), Run(BOOL, (), f"{e.hint}/cond")
    held = RunList(first.dtype, merge_dims(first.dims, source.dims), f"{e.hint}/in")
    body = Body([i, cond, held], name="body")
    with m.into(body):
        at = e.op("Gather", positions, i, axis=0, dims=(), dtype=INT64)
        one = e.op("SequenceAt", source, at, dims=source.dims)
        body.outputs = [e.identity(cond), e.op("SequenceInsert", held, one, dims=held.dims)]
    made = held.like(f"{e.hint}/Loop")
    trip = e.op("Size", positions, dtype=INT64, dims=())
    e.append(Record("Loop", "", [trip, None, e.materialise(first)], [made], {"body": body}, e.origin))
    return made


def repeated(m: Machine, t: T.Type, content: Any, n: Abstract) -> Any:
    """``list * n``."""
    if isinstance(content, tuple) and isinstance(n, int):
        return content * n
    form = to_form(m, t, content, form_of(t, samples_of(t, content)))
    if not isinstance(form, Run) or isinstance(form, RunList):
        raise LoweringError("a list of tensors is not repeated as often as data says")
    e = m.emitter
    times = e.op("Max", e.scalar(n, INT64), np.array(0, np.int64), dims=(), dtype=INT64)
    return e.op("Tile", form, e.ints([times]), dims=(None,))


def sorted_rows(m: Machine, t: T.Type, content: Any, descending: bool) -> Any:
    """A list of tuples of numbers in order: by the first place, then by the next. Equal ones stay in their order.

    Raises LoweringError for tuples of other things.
    """
    parts = _parts(content) if isinstance(content, Columns) else []
    if not parts or not all(number_dtype_of(x) is not None for x in _places(t)):
        raise LoweringError("a list is sorted that holds other things than numbers and tuples of them")
    e = m.emitter
    size = e.scalar(length(m, content), INT64)
    order = e.op("Range", np.array(0, np.int64), size, np.array(1, np.int64), dims=(None,), dtype=INT64)
    count = e.ints([size])
    for k, part in enumerate(reversed(parts)):  # the last place first: what comes later keeps that order among equals
        key = e.cast(part, INT64) if part.dtype is BOOL else part
        if k:
            key = e.op("Gather", key, order, axis=0, dims=(None,))
        _, at = e.op(
            "TopK", key, count, outputs=2, axis=0, largest=int(descending), dims=(None,), dtype=[key.dtype, INT64]
        )
        order = e.op("Gather", order, at, axis=0, dims=(None,)) if k else at
    return _taken(m, content, order)


def _parts(content: Any) -> list[Run]:
    return [r for p in content.parts for r in _parts(p)] if isinstance(content, Columns) else [content]


def _places(t: T.Type) -> list[T.Type]:
    return [x for e in t.contained() for x in _places(e)] if isinstance(t, T.TupleType) else [t]


def _taken(m: Machine, content: Any, order: Run) -> Any:
    if isinstance(content, Columns):
        return Columns(tuple(_taken(m, p, order) for p in content.parts))
    return m.emitter.op("Gather", content, order, axis=0, dims=(None,))
