"""Lists and dicts: kept as Python data while their length is known, as ONNX values (``columns``) where it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from bridge.exporters.onnx import columns, ints
from bridge.exporters.onnx.columns import as_sequence, element_of, form_of, samples_of, to_form
from bridge.exporters.onnx.dicts import (
    dict_contains,
    dict_get_item,
    dict_pop,
    dict_question,
    dict_set_item,
    is_dict,
)
from bridge.exporters.onnx.elements import home_in, home_in_known, note_copied, note_element, note_put, note_taken
from bridge.exporters.onnx.ints import is_int
from bridge.exporters.onnx.machine import Machine, Skip, handles
from bridge.exporters.onnx.operators import lower_operator
from bridge.exporters.onnx.places import flat, has_objects
from bridge.exporters.onnx.prims import codes_equal
from bridge.exporters.onnx.values import (
    BOOL,
    INT64,
    Abstract,
    Appended,
    Cell,
    Columns,
    Growing,
    Run,
    RunList,
    Stacked,
    Text,
    View,
    element_dtype_of,
    is_code,
    number_kind,
)
from bridge.exporters.onnx.view_writes import through_positions
from bridge.ir import types as T
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node, Value

__all__ = ["list_value"]


def _cell(m: Machine, node: Node, at: int = 0) -> Cell | None:
    v = m.get(node.inputs[at])
    return v if isinstance(v, Cell) else None


def _list(m: Machine, node: Node) -> Cell:
    found = _cell(m, node)
    if found is None:
        raise LoweringError(f"{node.kind} of something that is no list", node.range)
    return found


def _at_run_time(m: Machine, cell: Cell) -> Any:
    """The content as ONNX values, whether or not its length is known."""
    content = m.read(cell)
    if not isinstance(content, tuple):
        return content
    t = element_of(cell)
    return to_form(m, t, content, form_of(t, samples_of(t, content)))


def list_value(m: Machine, cell: Cell) -> Run:
    """The list as one ONNX value. Raises LoweringError for one of tuples, and for a dict."""
    content = _at_run_time(m, cell)
    if isinstance(content, Stacked):
        return as_sequence(m, content)
    if not isinstance(content, Run):
        raise LoweringError("this is no value that ONNX has: a list of tuples, or a dict")
    return content


def _alike(m: Machine, a: Cell, b: Cell) -> tuple[Any, Any]:
    """The contents of two lists in one form."""
    x, y, t = m.read(a), m.read(b), element_of(a)
    form = form_of(t, [*samples_of(t, x), *samples_of(t, y)])
    return to_form(m, t, x, form), to_form(m, t, y, form)


@handles("aten::append")
def append(m: Machine, node: Node) -> Abstract:
    cell = _list(m, node)
    x = m.get(node.inputs[1])
    content = m.content(cell)
    if isinstance(content, Growing):
        note_put(m, node, node.inputs[1])
        x = flat(m, element_of(cell), x)
        content.token.samples.append(_sample(m, x))
        m.change(cell, Growing(content.token, (*content.appended, Appended(x))))
    elif isinstance(content, tuple):
        m.change(cell, (*content, m.env[node.inputs[1]]))  # by identity
    else:
        note_put(m, node, node.inputs[1])
        m.change(cell, columns.append(m, element_of(cell), content, x))
    return cell if node.outputs else []


def _sample(m: Machine, x: Abstract) -> Abstract:
    """What tells how an element looks: of a list of numbers its length, too."""
    dtype = element_dtype_of(element_of(x)) if isinstance(x, Cell) else None
    if dtype is None:
        return x
    length = columns.length_of(m.read(x))
    return x if length is None else Run(dtype, (length,))


def _note_piece(m: Machine, content: Any, element: Abstract, i: Any) -> None:
    """Remember that an element of a list of views, whose length is not known, shares memory with what was cut into pieces."""
    view = content.view if isinstance(content, RunList) else None
    if not isinstance(view, View) or not isinstance(element, Run):
        return

    def piece(now: Run) -> Run:
        return columns.item(m, T.TENSOR, view.reapply(now), i)  # type: ignore[no-any-return]

    element.view = View(view.base, view.operator, piece, through_positions(piece), view.seen)


@handles("aten::__getitem__")
def get_item(m: Machine, node: Node) -> Abstract:
    cell = _cell(m, node)
    if cell is None:
        return lower_operator(m, node)
    if is_dict(m, cell):
        return dict_get_item(m, cell, node)
    content = m.read(cell)
    i = m.get(node.inputs[1])
    if isinstance(content, tuple) and isinstance(i, int):
        if not -len(content) <= i < len(content):
            raise LoweringError("list index out of range", node.range)
        return content[i]
    held = [x for x in content if isinstance(x, Cell)] if isinstance(content, tuple) else []
    frozen = dict(m.frozen)
    held_now = _at_run_time(m, cell)
    found = columns.item(m, element_of(cell), held_now, i)
    m.frozen = frozen  # reading puts them nowhere
    home = None
    if isinstance(found, Cell):
        home = home_in_known(m, _tests(m, held, i)) if held else home_in(m, cell, i, node)
    _note_piece(m, content, found, i)
    if m.program.writes and type(found) is Run:
        front = i if isinstance(i, int) and i >= 0 else columns.from_front(m, i, columns.length(m, held_now))
        found = note_element(m, found, cell, front)
    note_taken(m, found, home, "it was taken out of a list whose length is not known")
    return found


def _tests(m: Machine, held: list[Cell], i: Run) -> list[tuple[Cell, Callable[[], Run]]]:
    """Each of several lists with the test that it is the one at position ``i``."""

    def test(k: int) -> Run:
        e = m.emitter
        hit: Run = e.op("Equal", columns.from_front(m, i, len(held)), np.array(k, np.int64), dtype=BOOL, dims=())
        return hit

    return [(cell, partial(test, k)) for k, cell in enumerate(held)]


@handles("aten::slice")
def slice_(m: Machine, node: Node) -> Abstract:
    cell = _cell(m, node)
    if cell is None:
        return lower_operator(m, node)
    start, end, step = (m.get(v) for v in node.inputs[1:4])
    content = m.read(cell)
    if isinstance(content, tuple) and not any(isinstance(b, Run) for b in (start, end, step)):
        return m.new_cell(cell.type, content[slice(start, end, step)])
    if not isinstance(step, int) or step == 0:
        raise LoweringError("the step of a slice of a list must be known when the model is exported", node.range)
    made = m.new_cell(cell.type, columns.cut(m, element_of(cell), _at_run_time(m, cell), start, end, step))
    note_copied(m, made, cell, start=start if step > 0 else None)
    return made


@handles("aten::len")
def length(m: Machine, node: Node) -> Abstract:
    cell = _cell(m, node)
    return lower_operator(m, node) if cell is None else columns.length(m, m.read(cell))


@handles("aten::_set_item")
def set_item(m: Machine, node: Node) -> Abstract:
    cell = _list(m, node)
    if is_dict(m, cell):
        dict_set_item(m, cell, node)
        return cell if node.outputs else []
    content = m.read(cell)
    i, x = m.get(node.inputs[1]), m.get(node.inputs[2])
    if isinstance(content, tuple) and isinstance(i, int):
        if not -len(content) <= i < len(content):
            raise LoweringError("list index out of range", node.range)
        at = i % len(content)
        m.change(cell, (*content[:at], m.env[node.inputs[2]], *content[at + 1 :]))
    else:
        note_put(m, node, node.inputs[2])
        t = element_of(cell)
        form = form_of(t, [*samples_of(t, content), x])
        m.change(cell, columns.put(m, t, to_form(m, t, content, form), i, x))
    return cell if node.outputs else []


@handles("aten::add_")
def extend_in_place(m: Machine, node: Node) -> Abstract:
    """``list += other``; of tensors it is an operator."""
    if _cell(m, node) is None:
        return lower_operator(m, node)
    extend(m, node)
    return m.get(node.inputs[0])


@handles("aten::extend")
def extend(m: Machine, node: Node) -> Abstract:
    cell, other = _list(m, node), m.get(node.inputs[1])
    if not isinstance(other, Cell):
        raise LoweringError("a list is extended by something that is no list", node.range)
    content = m.content(cell)
    more = m.read(other)
    if isinstance(content, Growing):
        m.change(cell, _grown(m, element_of(cell), content, more))
    else:
        m.change(cell, _joined(m, cell, other))
    note_copied(m, cell, other)
    return []


def _grown(m: Machine, t: T.Type, content: Growing, more: Any) -> Growing:
    """What a loop fills, with a list behind it."""
    if isinstance(more, tuple):
        more = [flat(m, t, x) for x in more]
        content.token.samples += more
        return Growing(content.token, (*content.appended, *map(Appended, more)))
    if not columns.known_length(more):  # an iteration may append more than another one
        content.token.read = True
        raise Skip
    return Growing(content.token, (*content.appended, Appended(more, rows=True)))


def _joined(m: Machine, a: Cell, b: Cell) -> Any:
    x, y = m.read(a), m.read(b)
    if isinstance(x, tuple) and isinstance(y, tuple):
        return (*x, *y)
    if isinstance(y, tuple) and len(y) <= 4:  # cheaper one by one than as a list of its own
        for one in y:
            x = columns.append(m, element_of(a), x, one)
        return x
    return columns.join(m, element_of(a), *_alike(m, a, b))


@handles("aten::add")
def add(m: Machine, node: Node) -> Abstract:
    a = m.get(node.inputs[0])
    b = m.get(node.inputs[1])
    if isinstance(a, Text) or isinstance(b, Text):
        return Text([x for v in (a, b) for x in (v.pieces if isinstance(v, Text) else [v])])
    if len(node.inputs) == 2 and is_int(a) and is_int(b):
        return ints.add(m, a, b)
    if not (isinstance(a, Cell) and isinstance(b, Cell)):
        return lower_operator(m, node)
    made = m.new_cell(a.type, _joined(m, a, b))
    note_copied(m, made, a, b)
    return made


@handles("aten::mul")
def repeat(m: Machine, node: Node) -> Abstract:
    """``list * n``; of tensors and numbers it is an operator."""
    a, b = m.env[node.inputs[0]], m.env[node.inputs[1]]
    if isinstance(b, Cell):
        a, b = b, a
    if not isinstance(a, Cell):
        return lower_operator(m, node)
    return m.new_cell(a.type, columns.repeated(m, element_of(a), m.read(a), m.current(b)))


@handles("aten::pop")
def pop(m: Machine, node: Node) -> Abstract:
    cell = _list(m, node)
    if is_dict(m, cell):
        return dict_pop(m, cell, node)
    content = m.read(cell)
    i = m.get(node.inputs[1])
    if isinstance(content, tuple) and isinstance(i, int):
        items = list(content)
        if not -len(items) <= i < len(items):
            raise LoweringError("pop of an element that is not there", node.range)
        value = items.pop(i)
        m.change(cell, tuple(items))
        return value
    value, left = columns.erase(m, element_of(cell), _at_run_time(m, cell), i)
    m.change(cell, left)
    if has_objects(element_of(cell)):
        note_taken(m, value, None, "it was taken out of a list whose length is not known")
    return value


@handles("aten::Delete")
def delete(m: Machine, node: Node) -> Abstract:
    pop(m, node)
    return []


@handles("aten::insert")
def insert(m: Machine, node: Node) -> Abstract:
    cell = _list(m, node)
    content, i, x = m.read(cell), m.get(node.inputs[1]), m.get(node.inputs[2])
    if isinstance(content, tuple) and isinstance(i, int):
        items = list(content)
        items.insert(i, x)
        m.change(cell, tuple(items))
        return []
    note_put(m, node, node.inputs[2])
    t = element_of(cell)
    form = form_of(t, [*samples_of(t, content), x])
    m.change(cell, columns.insert(m, t, to_form(m, t, content, form), i, x))
    return []


@handles("aten::clear")
def clear(m: Machine, node: Node) -> Abstract:
    cell = _list(m, node)
    m.change(cell, {} if is_dict(m, cell) else ())
    return []


@handles("aten::reverse")
def reverse(m: Machine, node: Node) -> Abstract:
    cell = _list(m, node)
    content = m.read(cell)
    if isinstance(content, tuple):
        m.change(cell, content[::-1])
    else:
        m.change(cell, columns.cut(m, element_of(cell), content, None, None, -1))
    return []


@handles("aten::copy", "aten::list")
def copy(m: Machine, node: Node) -> Abstract:
    cell = _cell(m, node)
    if cell is None:
        return lower_operator(m, node)
    content = m.read(cell)
    # A copy must be one: dicts are changed where they are.
    made = m.new_cell(cell.type, dict(content) if isinstance(content, dict) else content)
    note_copied(m, made, cell)
    return made


@handles("prim::ListUnpack")
def list_unpack(m: Machine, node: Node) -> Abstract:
    v = m.get(node.inputs[0])
    content = v if isinstance(v, tuple) else m.read(v)
    if isinstance(content, tuple):
        items = list(content)
    elif isinstance(content, Run | Stacked | Columns):
        items = _unpack(m, v, content, node)
    else:
        raise LoweringError("unpacking a list whose length is not known", node.range)
    if len(items) != len(node.outputs):
        raise LoweringError(f"expected {len(node.outputs)} elements in a list but found {len(items)}", node.range)
    return items[0] if len(items) == 1 else items


def _unpack(m: Machine, cell: Cell, content: Any, node: Node) -> list[Abstract]:
    """The items of a list whose length only a run tells. Where it is another, onnxruntime fails."""
    e, t, count = m.emitter, element_of(cell), len(node.outputs)
    length = columns.length(m, content)
    if length == count:
        return _pieces(m, t, content, range(count))
    off = e.op("Abs", e.op("Sub", e.scalar(length, INT64), np.array(count, np.int64), dims=()), dims=())
    more = e.op("Add", e.scalar(length, INT64), np.array(1, np.int64), dims=())
    far = e.op("Mul", off, more, dims=())  # 0, or past the end
    checked = next((i for i in reversed(range(count)) if node.outputs[i].uses), None)
    places = [e.op("Add", far, np.array(i, np.int64), dims=()) if i == checked else i for i in range(count)]
    return _pieces(m, t, content, places)


def _pieces(m: Machine, t: T.Type, content: Any, places: Sequence[Any]) -> list[Abstract]:
    items = [columns.item(m, t, content, i) for i in places]
    for x, i in zip(items, places, strict=True):
        _note_piece(m, content, x, i)
    return items


@handles("aten::stack", "aten::cat")
def stack(m: Machine, node: Node) -> Abstract:
    """A list that a loop filled is one tensor already: stacking it is a transposition at most."""
    cell = _cell(m, node)
    content = m.read(cell) if cell is not None else None
    if not isinstance(content, Stacked | RunList):
        return lower_operator(m, node)
    dim = m.get(node.inputs[1]) if len(node.inputs) > 1 else 0
    if not isinstance(dim, int):
        raise LoweringError("the dimension must be known when the model is exported", node.range)
    stacking = node.kind == "aten::stack"
    if isinstance(content, Stacked):
        return _restack(m, _not_empty(m, content.run), dim, stacking)
    rank = None if content.dims is None else len(content.dims)
    if stacking and rank is not None:
        assert content.dims is not None
        at = dim % (rank + 1)
        dims = (*content.dims[:at], None, *content.dims[at:])
    else:
        dims = (None,) * rank if rank is not None else None  # type: ignore[assignment]
    e = m.emitter
    return e.op("ConcatFromSequence", content, axis=dim, new_axis=int(stacking), dims=dims, dtype=content.dtype)


def _not_empty(m: Machine, run: Run) -> Run:
    """The tensor, by a way that fails when the list is empty: 0 / 0 does."""
    if run.dims is None or isinstance(run.dims[0], int) or run.root.least is not None:
        return run
    e, rank = m.emitter, len(run.dims)
    if e.opset < 15:
        return run
    n = e.op("Shape", run, dtype=INT64, dims=(1,), start=0, end=1)
    sizes = e.op("Mul", e.op("Shape", run, dtype=INT64, dims=(rank,)), e.op("Div", n, n, dims=(1,)), dims=(rank,))
    made: Run = e.op("Reshape", run, sizes, dims=run.dims, allowzero=1)
    return made


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
    if known.count(None) == 1 and 0 not in known:
        shape: Any = np.array([-1 if d is None else d for d in known], np.int64)
        return e.op("Reshape", moved, shape, dims=sizes)  # type: ignore[no-any-return]
    shape = e.op("Shape", moved, dtype=INT64, dims=(rank,))

    def part(start: int, end: int) -> Run:
        bounds = np.array([start], np.int64), np.array([end], np.int64)
        return e.op("Slice", shape, *bounds, dims=(end - start,))  # type: ignore[no-any-return]

    folded = e.op("Mul", part(at, at + 1), part(at + 1, at + 2), dims=(1,))  # no -1, which of no elements means nothing
    shape = e.op("Concat", part(0, at), folded, part(at + 2, rank), axis=0, dtype=INT64, dims=(rank - 1,))
    allow = 1 if e.opset >= 14 else None  # a 0 is a size, not "keep"
    return e.op("Reshape", moved, shape, dims=sizes, allowzero=allow)  # type: ignore[no-any-return]


@handles("aten::keys", "aten::values", "aten::items", "aten::get", "aten::update", "aten::setdefault", "aten::popitem")
def question(m: Machine, node: Node) -> Abstract:
    cell = _cell(m, node)
    if cell is None or not is_dict(m, cell):
        return lower_operator(m, node)
    found = dict_question(m, cell, node)
    if isinstance(found, Cell) and found.home is None and node.kind in ("aten::values", "aten::items"):
        note_copied(m, found, cell)
    return found


# -- Questions about lists of numbers -----------------------------------------------------------------------------------


def _numbers(m: Machine, node: Node, at: int = 0) -> Run | None:
    """A list of numbers whose length is not known, or that holds a run-time number, as a tensor."""
    cell = _cell(m, node, at)
    if cell is None or element_dtype_of(element_of(cell)) is None:
        return None
    found = _at_run_time(m, cell)
    return found if isinstance(found, Run) else None


def _static(m: Machine, values: list[Value]) -> bool:
    """Whether everything is known now."""
    for v in values:
        x = m.get(v)
        items = m.read(x) if isinstance(x, Cell) else (x,)
        if not isinstance(items, tuple) or any(isinstance(i, Run) for i in items):
            return False
    return True


def _equal(m: Machine, run: Run, x: Abstract) -> Run:
    made: Run = m.emitter.op("Equal", run, m.emitter.scalar(x, run.dtype), dtype=BOOL, dims=run.dims)
    return made


def _found(m: Machine, run: Run, x: Abstract) -> Run:
    """The position of the first equal element; onnxruntime fails when there is none."""
    e = m.emitter
    where = e.op("Squeeze", e.op("NonZero", _equal(m, run, x), dtype=INT64, dims=(1, None)), np.array([0], np.int64), dims=(None,))  # fmt: skip
    made: Run = e.op("Gather", where, np.array(0, np.int64), axis=0, dims=())
    return made.seen_as(T.INT)


@handles("aten::__contains__")
def contains(m: Machine, node: Node) -> Abstract:
    cell = _cell(m, node)
    if cell is not None and is_dict(m, cell):
        return dict_contains(m, cell, node)
    if cell is None or _static(m, list(node.inputs)) or (run := _numbers(m, node)) is None:
        return lower_operator(m, node)
    return _any(m, _equal(m, run, m.get(node.inputs[1])))


def _any(m: Machine, flags: Run) -> Run:
    """Whether one of the flags is true: none is, of none."""
    e = m.emitter
    count = e.op("ReduceSum", e.cast(flags, INT64), keepdims=0, dims=())
    made: Run = e.op("Greater", count, np.array(0, np.int64), dtype=BOOL, dims=())
    return made.seen_as(T.BOOL)


@handles("aten::count", "aten::index", "aten::remove")
def search(m: Machine, node: Node) -> Abstract:
    cell, x = _cell(m, node), m.get(node.inputs[1])
    kind = node.kind.partition("::")[2]
    if cell is None:
        return lower_operator(m, node)
    if kind != "remove" and _static(m, list(node.inputs)):
        return lower_operator(m, node)
    run = _numbers(m, node)
    if run is None:
        raise LoweringError(f"{kind} of a list of what are no numbers", node.range)
    e = m.emitter
    if kind == "count":
        return e.op("ReduceSum", e.cast(_equal(m, run, x), INT64), keepdims=0, dims=()).seen_as(T.INT)
    if kind == "remove":
        m.change(cell, columns.erase(m, element_of(cell), run, _found(m, run, x))[1])
        return []
    return _found(m, run, x)


@handles("aten::eq", "aten::ne")
def compare(m: Machine, node: Node) -> Abstract:
    """``==`` of lists, and of strings and members of enums that depend on data; of tensors and numbers it is an operator."""
    given = [m.get(v) for v in node.inputs[:2]]
    if any(isinstance(v, Run) and is_code(v.number) for v in given):
        return codes_equal(m, given, node.kind == "aten::eq")
    if not isinstance(m.env[node.inputs[0]], Cell) or _static(m, list(node.inputs)):
        return lower_operator(m, node)
    each = _same_length(m, node)
    if each is not None:
        return each
    a, b = _numbers(m, node, 0), _numbers(m, node, 1)
    if a is None or b is None:
        return lower_operator(m, node)
    e = m.emitter
    x, y = (e.scalar(columns.length(m, r), INT64) for r in (a, b))
    shorter = e.ints([e.op("Min", x, y, dims=())])
    zero = np.array([0], np.int64)
    differ = e.op("Not", e.op("Equal", *(e.op("Slice", r, zero, shorter, dims=(None,)) for r in (a, b)), dtype=BOOL, dims=(None,)))  # fmt: skip
    same = e.op("And", e.op("Equal", x, y, dtype=BOOL, dims=()), e.op("Not", _any(m, differ)), dims=())
    return (same if node.kind == "aten::eq" else e.op("Not", same, dims=())).seen_as(T.BOOL)


def _same_length(m: Machine, node: Node) -> Abstract | None:
    """``==`` of two lists of ints or truth values whose lengths are known: of each pair that may differ."""
    a, b = (m.read(m.env[v]) if isinstance(m.env[v], Cell) else None for v in node.inputs[:2])
    if not (isinstance(a, tuple) and isinstance(b, tuple)):
        return None
    if not all(number_kind(v) in (T.INT, T.BOOL) for v in (*a, *b)) or {number_kind(v) for v in (*a, *b)} == {
        T.INT,
        T.BOOL,
    }:
        return None
    equal = node.kind == "aten::eq"
    e, same = m.emitter, None
    if len(a) != len(b):
        return not equal
    for x, y in zip(a, b, strict=True):
        if not isinstance(x, Run) and not isinstance(y, Run):
            if x != y:
                return not equal
        elif not (isinstance(x, Run) and isinstance(y, Run) and x.root is y.root):
            one = e.op("Equal", x, y, dtype=BOOL, dims=())
            same = one if same is None else e.op("And", same, one, dims=())
    if same is None:
        return equal
    return (same if equal else e.op("Not", same, dims=())).seen_as(T.BOOL)


@handles("aten::sort", "aten::sorted")
def sort(m: Machine, node: Node) -> Abstract:
    """``list.sort()`` and ``sorted(list)``; of tensors it is an operator."""
    cell = _cell(m, node)
    if cell is None:
        return lower_operator(m, node)
    descending = m.get(node.inputs[1]) if len(node.inputs) > 1 else False
    if _static(m, list(node.inputs)):
        if node.kind == "aten::sorted":
            return lower_operator(m, node)
        known = m.read(cell)
        if not all(isinstance(v, bool | int | float | str) for v in known):
            raise LoweringError("sorting a list of what are no numbers or texts", node.range)
        m.change(cell, tuple(sorted(known, reverse=descending)))
        return []
    if isinstance(descending, Run):
        raise LoweringError("the way in which a list is sorted must be known when the model is exported", node.range)
    run = _numbers(m, node) if not is_code(element_of(cell)) else None
    if run is None:
        made = columns.sorted_rows(m, element_of(cell), _at_run_time(m, cell), descending)
        if node.kind == "aten::sorted":
            result = m.new_cell(cell.type, made)
            note_copied(m, result, cell)
            return result
        m.change(cell, made)
        return []
    e = m.emitter
    held = e.cast(run, INT64) if run.dtype is BOOL else run
    size = e.ints([columns.length(m, run)])
    made, _ = e.op(
        "TopK", held, size, outputs=2, axis=0, largest=int(descending), dims=(None,), dtype=[held.dtype, INT64]
    )
    made = e.cast(made, run.dtype)
    if node.kind == "aten::sorted":
        return m.new_cell(cell.type, made)
    m.change(cell, made)
    return []
