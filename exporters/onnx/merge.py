"""Values that may be one or the other: what two branches give, what enters a loop and what its body hands on."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import numpy as np

from bridge.exporters.onnx.columns import element_of, form_of, samples_of, to_form
from bridge.exporters.onnx.machine import Machine, Skip
from bridge.exporters.onnx.records import Body
from bridge.exporters.onnx.values import (
    Abstract,
    Appended,
    Cell,
    Columns,
    Growing,
    Maybe,
    ObjectRef,
    Run,
    Stacked,
    Unset,
    element_dtype_of,
    is_code,
    merge_dims,
    runtime_type,
    same_static,
)
from bridge.ir import types as T
from bridge.ir.errors import LoweringError
from bridge.ir.types import Dim

__all__ = [
    "as_maybe", "finish_outputs", "first_blank", "loose_dims", "may_be_keyed", "merge_content", "merge_pair", "same_keys",
]  # fmt: skip

#: Called with the two sides of a value that must become one ONNX value; gives the value after the merge.
Pair = Callable[[Abstract, Abstract, Run], Run]


def merge_pair(m: Machine, a: Abstract, b: Abstract, pair: Pair) -> Abstract:
    """One value for two alternatives; ``pair`` makes the ONNX value where they differ at run time."""
    if isinstance(a, Unset) and isinstance(b, Unset):
        return a
    if same_static(a, b):
        return a
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple(merge_pair(m, x, y, pair) for x, y in zip(a, b, strict=True))
    if isinstance(a, Unset) and isinstance(b, tuple):
        return tuple(merge_pair(m, Unset(T.ANY), y, pair) for y in b)
    if isinstance(b, Unset) and isinstance(a, tuple):
        return tuple(merge_pair(m, x, Unset(T.ANY), pair) for x in a)
    if isinstance(a, Cell) and isinstance(b, Cell):
        raise LoweringError("which list this is depends on data")
    ta, tb = runtime_type(a), runtime_type(b)
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Unset) and (
            other is None or isinstance(other, T.EnumValue | str | bool | int | float | ObjectRef)
        ):
            return other
    if a is None or b is None or isinstance(a, Maybe) or isinstance(b, Maybe):
        maybe, other_maybe = as_maybe(a), as_maybe(b)
        if maybe is not None and other_maybe is not None:
            return _merge_maybe(m, maybe, other_maybe, pair)
    if isinstance(a, Unset) and tb is not None:
        ta = tb
    elif isinstance(b, Unset) and ta is not None:
        tb = ta
    if ta is None or tb is None:
        raise LoweringError(_why_not(a, b))
    if (is_code(ta[2]) or is_code(tb[2])) and ta[2] != tb[2]:  # a string is a number that stands for it
        raise LoweringError("the value is a string (or a member of an enum) or something else, depending on data")
    if ta[0] is not tb[0]:
        raise LoweringError(
            f"the value is a tensor of {ta[0].name} or of {tb[0].name}, depending on data; ONNX needs one element type"
        )
    merged = Run(ta[0], merge_dims(ta[1], tb[1]), number=ta[2] if ta[2] == tb[2] else None)
    return pair(a, b, merged)


def refuse_mixed(t: T.Type, a: Abstract, b: Abstract) -> None:
    """Refuse a value that programs may take for a number or for a tensor: which of the two it is shows in results."""
    if isinstance(t, T.UnionType) and any(isinstance(x, T.TensorType) for x in t.members):
        ta, tb = runtime_type(a), runtime_type(b)
        if ta is not None and tb is not None and (ta[2] is None) != (tb[2] is None):
            raise LoweringError(f"the value is a {_describe(a)} or a {_describe(b)}, depending on data")


def as_maybe(v: Abstract) -> Maybe | None:
    """A value as one that may be none; None for what cannot be such."""
    if isinstance(v, Maybe):
        return v
    if isinstance(v, Unset):
        return Maybe(v, v)
    if v is None:
        return Maybe(False, Unset(T.ANY))
    return Maybe(True, v) if isinstance(v, tuple) or runtime_type(v) is not None else None


def _merge_maybe(m: Machine, a: Maybe, b: Maybe, pair: Pair) -> Abstract:
    """Whether it is there, and the value: empty, of any size, where it is not."""
    present, value = merge_pair(m, a.present, b.present, pair), _merge_there(m, a.value, b.value, pair)
    return value if present is True else Maybe(present, value)


def _merge_there(m: Machine, a: Abstract, b: Abstract, pair: Pair) -> Abstract:
    if isinstance(a, Unset) and isinstance(b, tuple):
        return tuple(_merge_there(m, a, y, pair) for y in b)
    if isinstance(b, Unset) and isinstance(a, tuple):
        return tuple(_merge_there(m, x, b, pair) for x in a)
    types = runtime_type(a), runtime_type(b)
    known = types[0] or types[1]
    if known is None or None not in types:
        return merge_pair(m, a, b, pair)
    dtype, dims, number = known
    return pair(a, b, Run(dtype, loose_dims(dims), number=number))


def loose_dims(dims: tuple[Dim, ...] | None) -> tuple[Dim, ...] | None:
    """As many sizes, none of them known."""
    return None if dims is None else (None,) * len(dims)


def _why_not(a: Abstract, b: Abstract) -> str:
    if a is None or b is None:
        return "whether the value is None depends on data; ONNX models decide that when they are exported"
    if isinstance(a, str) or isinstance(b, str):
        return "which string the value is depends on data"
    if isinstance(a, ObjectRef) or isinstance(b, ObjectRef):
        return "which module this is depends on data"
    if isinstance(a, Unset) or isinstance(b, Unset):
        return "a list is returned from inside a loop; leave the loop with 'break' and return the list after it"
    return f"the value is a {_describe(a)} or a {_describe(b)}, depending on data"


def _describe(v: Abstract) -> str:
    if isinstance(v, Run):
        return "tensor" if v.number is None else str(v.number)
    if isinstance(v, bool | int | float):
        return type(v).__name__
    return "list" if isinstance(v, Cell) else type(v).__name__


def merge_content(m: Machine, cell: Cell, a: Any, b: Any, test: Run, sides: tuple[Body, Body], pair: Pair) -> Any:
    """The content of a list that two branches left differently; ``test`` chooses the first."""
    if a is b:
        return a
    if isinstance(a, Growing) and isinstance(b, Growing):
        return _merge_growing(m, a, b, test, pair)
    for x in (a, b):
        if isinstance(x, Growing):
            x.token.read = True
            raise Skip
    if isinstance(a, dict) and isinstance(b, dict) and same_keys(cell, a, b):
        return {k: merge_pair(m, x, b[k], pair) for k, x in a.items()}
    if not may_be_keyed(cell) and (isinstance(a, dict) or isinstance(b, dict)):
        raise LoweringError("which keys a dict has depends on data")
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b) and not _other_cells(a, b):
        return tuple(merge_pair(m, x, y, pair) for x, y in zip(a, b, strict=True))
    t = element_of(cell)
    form = form_of(t, [*samples_of(t, a), *samples_of(t, b)])
    made = []
    for content, body in zip((a, b), sides, strict=True):
        with m.into(body):
            made.append(to_form(m, t, content, form))
    return _merge_forms(form, made[0], made[1], pair)


def same_keys(cell: Cell, a: dict[Any, Abstract], b: dict[Any, Abstract]) -> bool:
    """Whether they are joined key by key: the same keys, in the same order where that shows."""
    return a.keys() == b.keys() and (not isinstance(cell.type, T.DictType) or list(a) == list(b))


def may_be_keyed(cell: Cell) -> bool:
    """Whether its keys may be a list at run time: they are numbers or strings."""
    return isinstance(cell.type, T.DictType) and element_dtype_of(cell.type.key) is not None


def _other_cells(a: tuple[Abstract, ...], b: tuple[Abstract, ...]) -> bool:
    """Whether lists hold different lists at one place."""
    return any(isinstance(x, Cell) and x is not y for x, y in zip(a, b, strict=True))


def _merge_forms(form: Any, a: Any, b: Any, pair: Pair) -> Any:
    if isinstance(form, Columns):
        parts = zip(form.parts, a.parts, b.parts, strict=True)
        return Columns(tuple(_merge_forms(f, x, y, pair) for f, x, y in parts))
    if isinstance(form, Stacked):
        return Stacked(pair(a.run, b.run, form.run))
    return pair(a, b, form)


def _merge_growing(m: Machine, a: Growing, b: Growing, test: Run, pair: Pair) -> Growing:
    """What either branch appends; what only one does has a condition."""
    if a.token is not b.token:
        raise LoweringError("which list this is depends on data")
    common = 0
    while common < min(len(a.appended), len(b.appended)) and a.appended[common] is b.appended[common]:
        common += 1
    merged = list(a.appended[:common])
    for x, y in zip_longest(a.appended[common:], b.appended[common:]):
        if any(z is not None and z.rows for z in (x, y)):
            made = None
        elif x is not None and y is not None:
            made = Appended(merge_pair(m, x.value, y.value, pair), merge_pair(m, x.when, y.when, pair))
        else:
            made = _on_one_side(m, x, y, test, pair)
        if made is None:
            a.token.read = True
            raise Skip
        merged.append(made)
    return Growing(a.token, tuple(merged))


def _on_one_side(m: Machine, x: Appended | None, y: Appended | None, test: Run, pair: Pair) -> Appended | None:
    """What one branch appends and the other does not; None where its sizes, which a blank must have, are not known."""
    there = x or y
    assert there is not None
    blank = _blank(m, there.value)
    if blank is None:
        return None
    when = test if there is x else m.emitter.op("Not", test).seen_as(T.BOOL)
    if there.when is not True:
        when = merge_pair(m, x.when if x else False, y.when if y else False, pair)
    return Appended(_merge_blank(m, x.value if x else blank, y.value if y else blank, pair), when)


class _Blank:
    """A value that nobody looks at, of the type of another one."""

    def __init__(self, value: Run) -> None:
        self.value = value


def _blank(m: Machine, v: Abstract) -> Any:
    """A blank for a value; None where its sizes are not known."""
    if isinstance(v, tuple):
        parts = tuple(_blank(m, x) for x in v)
        return None if None in parts else parts
    found = runtime_type(v)
    if found is None or found[1] is None or not all(isinstance(d, int) for d in found[1]):
        return None
    dtype, dims, number = found
    made = m.emitter.constant(np.zeros(dims, dtype.numpy), dtype)
    made.number, made.blank = number, True
    return _Blank(made)


def _merge_blank(m: Machine, a: Abstract, b: Abstract, pair: Pair) -> Abstract:
    """One of the two is blank; a value that is known needs no choice."""
    if isinstance(a, tuple):
        return tuple(_merge_blank(m, x, y, pair) for x, y in zip(a, b, strict=True))
    known = b if isinstance(a, _Blank) else a
    if not isinstance(known, Run):
        return known
    return merge_pair(m, a.value if isinstance(a, _Blank) else a, b.value if isinstance(b, _Blank) else b, pair)


def finish_outputs(m: Machine, body: Body, values: list[Abstract], types: list[Run]) -> None:
    """Make the results of a subgraph: each made inside it, none listed twice (onnxruntime computes that wrong)."""
    inside = {o for r in body.nodes for o in r.outputs}
    with m.into(body):
        for v, t in zip(values, types, strict=True):
            made = len(body.nodes)
            run = _as_value(m, v, t).root
            inside.update(o for r in body.nodes[made:] for o in r.outputs)
            if run not in inside or run in body.outputs:
                run = m.emitter.identity(run)
                inside.add(run)
            body.outputs.append(run)


#: Elements of a blank of the sizes that are declared: onnxruntime holds a branch to them.
_LARGEST_BLANK = 1024


def first_blank(m: Machine, t: Run) -> Run:
    """What a loop begins with where nothing was set: of the sizes that are declared, which onnxruntime holds a loop to."""
    sizes = [d if isinstance(d, int) else 0 for d in t.dims or ()]
    if math.prod(sizes) <= _LARGEST_BLANK:
        return m.emitter.materialise(m.emitter.constant(np.zeros(sizes, t.dtype.numpy), t.dtype))
    value, shape = np.zeros(1, t.dtype.numpy), np.array(sizes, np.int64)
    made: Run = m.emitter.op("ConstantOfShape", shape, value=value, dims=tuple(sizes), dtype=t.dtype)
    return made


def _as_value(m: Machine, v: Abstract, t: Run) -> Run:
    e = m.emitter
    if isinstance(v, Unset):
        sizes = [d if isinstance(d, int) else 0 for d in t.dims or ()]
        if math.prod(sizes) > _LARGEST_BLANK:
            sizes, t.dims = [0] * len(sizes), loose_dims(t.dims)
        made = e.constant(np.zeros(sizes, t.dtype.numpy), t.dtype)
        made.blank = True
        return e.materialise(made)
    if isinstance(v, Run):
        return e.materialise(v)
    return e.materialise(e.constant(v, t.dtype))
