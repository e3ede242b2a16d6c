"""Values that may be one or the other: what two branches give, what enters a loop and what its body hands on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.exporters.onnx.lists import as_run, number_dtype_of
from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.records import Body
from bridge.exporters.onnx.values import (
    Abstract,
    Cell,
    Growing,
    Maybe,
    ObjectRef,
    Run,
    RunList,
    Stacked,
    Unset,
    same_static,
)
from bridge.ir import types as T
from bridge.ir.dtypes import DType, by_numpy
from bridge.ir.errors import LoweringError
from bridge.ir.types import Dim

__all__ = [
    "as_maybe", "finish_outputs", "loose_dims", "merge_content", "merge_dims", "merge_pair", "number_kind", "runtime_type",
]  # fmt: skip

#: Called with the two sides of a value that must become one ONNX value; gives the value after the merge.
Pair = Callable[[Abstract, Abstract, Run], Run]


def merge_dims(a: tuple[Dim, ...] | None, b: tuple[Dim, ...] | None) -> tuple[Dim, ...] | None:
    """What is true of both shapes."""
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple(x if x == y else None for x, y in zip(a, b, strict=True))


def number_kind(v: Abstract) -> T.Type | None:
    """INT, FLOAT or BOOL of a number; None for tensors and the rest."""
    if isinstance(v, Run):
        return v.number
    return {bool: T.BOOL, int: T.INT, float: T.FLOAT}.get(type(v))


def runtime_type(v: Abstract) -> tuple[DType, tuple[Dim, ...] | None, T.Type | None] | None:
    """(dtype, dims, number type) of what can be an ONNX value; None for what cannot."""
    if isinstance(v, Run) and not isinstance(v, RunList):
        return v.dtype, v.dims, v.number
    if isinstance(v, np.ndarray):
        return by_numpy(v.dtype), v.shape, None
    kind = number_kind(v)
    dtype = number_dtype_of(kind) if kind is not None else None
    return None if dtype is None else (dtype, (), kind)


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
        if isinstance(one, Unset) and (other is None or isinstance(other, str | ObjectRef)):
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
    if ta[0] is not tb[0]:
        raise LoweringError(
            f"the value is a tensor of {ta[0].name} or of {tb[0].name}, depending on data; ONNX needs one element type"
        )
    merged = Run(ta[0], merge_dims(ta[1], tb[1]), number=ta[2] if ta[2] is tb[2] else None)
    return pair(a, b, merged)


def as_maybe(v: Abstract) -> Maybe | None:
    """A value as one that may be none; None for what cannot be such."""
    if isinstance(v, Maybe):
        return v
    if isinstance(v, Unset):
        return Maybe(v, v)
    if v is None:
        return Maybe(False, Unset(T.ANY))
    return Maybe(True, v) if isinstance(v, tuple) or runtime_type(v) is not None else None


def _merge_maybe(m: Machine, a: Maybe, b: Maybe, pair: Pair) -> Maybe:
    """Whether it is there, and the value: empty, of any size, where it is not."""
    return Maybe(merge_pair(m, a.present, b.present, pair), _merge_there(m, a.value, b.value, pair))


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
    return f"the value is a {_describe(a)} or a {_describe(b)}, depending on data"


def _describe(v: Abstract) -> str:
    if isinstance(v, Run):
        return "tensor" if v.number is None else str(v.number)
    return "list" if isinstance(v, Cell) else type(v).__name__


def merge_content(m: Machine, cell: Cell, a: Any, b: Any, sides: tuple[Body, Body], pair: Pair) -> Any:
    """The content of a list that two branches left differently."""
    if a is b:
        return a
    if isinstance(a, Growing) and isinstance(b, Growing) and len(a.appended) == len(b.appended):
        merged = tuple(merge_pair(m, x, y, pair) for x, y in zip(a.appended, b.appended, strict=True))
        return Growing(a.token, merged)
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            raise LoweringError("which keys a dict has depends on data")
        return {k: merge_pair(m, x, b[k], pair) for k, x in a.items()}
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple(merge_pair(m, x, y, pair) for x, y in zip(a, b, strict=True))
    element = element_type(a) or element_type(b)
    runs = []
    for content, body in zip((a, b), sides, strict=True):
        with m.into(body):
            runs.append(as_run(m, cell, content, element))
    merged_run = runs[0].like()
    merged_run.dims = merge_dims(runs[0].dims, runs[1].dims) if isinstance(runs[0], RunList) else (None,)
    return pair(runs[0], runs[1], merged_run)


def element_type(content: Any) -> tuple[DType, tuple[Dim, ...] | None] | None:
    """(dtype, dims) of the tensors of a list; None when nothing tells them."""
    if isinstance(content, RunList):
        return content.dtype, content.dims
    if isinstance(content, Stacked):
        dims = content.run.dims
        return content.run.dtype, None if dims is None else dims[1:]
    known = [runtime_type(x) for x in content] if isinstance(content, tuple) else []
    if not known or None in known:
        return None
    dims = known[0][1]  # type: ignore[index]
    for t in known[1:]:
        dims = merge_dims(dims, t[1])  # type: ignore[index]
    return known[0][0], dims  # type: ignore[index]


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


def _as_value(m: Machine, v: Abstract, t: Run) -> Run:
    e = m.emitter
    if isinstance(v, Unset):
        rank = 0 if t.dims is None else len(t.dims)
        return e.materialise(e.constant(np.zeros((0,) * rank if rank else (), t.dtype.numpy), t.dtype))
    if isinstance(v, Run):
        return e.materialise(v)
    return e.materialise(e.constant(v, t.dtype))
