"""In-place writes that read the memory they write to, from another place, as torch does them.

torch refuses them for tensors without gaps: rows of the first dimension, and all of a tensor in another order. Where there are gaps
it goes through memory from the front to the back and reads as it goes, so that ``y[:, 1:] = y[:, :-1]`` gives every column the first
one. What it computes hangs on the processor once a row fills two of its registers: the model fails there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.exporters.onnx.ints import difference
from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.values import BOOL, INT64, Run, View
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node
from bridge.ir.ops._checks import holds, none_true
from bridge.ir.overlaps import BLOCK, DIVIDED, NOT_ELEMENTWISE, WIDEST

__all__ = ["without_overlap"]

_REORDERS = {"aten::t", "aten::transpose", "aten::permute", "aten::numpy_T", "aten::swapaxes", "aten::swapdims"}
_Part = tuple[int, tuple[Any, ...]]


def without_overlap(m: Machine, node: Node, target: Run, values: Sequence[Any], new: Run) -> Run:
    """``new``, what is written to ``target``, or what torch writes where another argument is a view of the same memory."""
    base, steps = _chain(target)
    for v in values:
        if not isinstance(v, Run) or v is target:
            continue
        other, others = _chain(v)
        if other is base and (steps or others):
            new = _one(m, node, base, steps, others, v, new)
    return new


def _one(m: Machine, node: Node, base: Run, steps: list[View], others: list[View], v: Run, new: Run) -> Run:
    names = {s.operator for s in (*steps, *others)}
    if names <= _REORDERS and len(names) == 1 and not (steps and others):
        raise LoweringError(
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
            "location. Please clone() the tensor before performing the operation.",
            node.range,
        )
    while steps and others and _equal(steps[0].part, others[0].part) and (steps[0].part or (1,))[0] == 0:
        steps, others = steps[1:], others[1:]  # parts of the same rows
    if not steps and not others:
        return new
    base = (steps or others)[0].base
    if _one_row(steps) and _one_row(others):
        return new
    mine, theirs = _narrowing(steps), _narrowing(others)
    if new.dims and new.dtype.kind != "c" and _in_rows(mine) and _in_rows(theirs):
        return _checked(m, base, mine, theirs, new)
    if node.kind.startswith(NOT_ELEMENTWISE) or v.dtype is not new.dtype or not new.dims or new.dtype.kind == "c":
        return new
    ahead, copies = _harmless(mine, theirs), node.kind == "aten::copy_"
    if len(mine) == len(theirs) == 1 and _slices(mine[0].part, theirs[0].part):
        dense = not _disjoint(mine[0].part, theirs[0].part) and _may_be_dense(mine[0])
        if dense or not ahead:
            return _Slices(m, mine[0], theirs[0], new).checked(dense, ahead, copies)
    return new if ahead else _not_read_late(m, base, steps, others, new, copies)


def _chain(v: Run) -> tuple[Run, list[View]]:
    """What a tensor is a view of in the end, and the views from there."""
    steps: list[View] = []
    while isinstance(v.view, View):
        steps.insert(0, v.view)
        v = v.view.base
    return v, steps


def _checked(m: Machine, base: Run, steps: list[View], others: list[View], new: Run) -> Run:
    """The rows of each as positions: they are the same, or have none in common."""
    every = _every(m, base, 0)
    mine, theirs = _rows(m, every, steps), _rows(m, every, others)
    return _apart(m, every, mine, theirs, new)


def _apart(m: Machine, every: Run, mine: Run, theirs: Run, new: Run) -> Run:
    e = m.emitter
    size = e.shape_of(every)
    none = e.op("ConstantOfShape", size, value=np.zeros(1, np.int64), dims=(None,), dtype=INT64)
    ones = e.op("ConstantOfShape", e.shape_of(mine), value=np.ones(1, np.int64), dims=(None,), dtype=INT64)
    marked = e.op("ScatterElements", none, mine, ones, axis=0, dims=(None,))
    common = e.op("ReduceSum", e.op("Gather", marked, theirs, axis=0, dims=(None,)), keepdims=0, dims=())
    apart = e.op("Not", e.op("Equal", mine, theirs, dtype=BOOL, dims=(None,)), dims=(None,))
    other = e.op("ReduceSum", e.cast(apart, INT64), keepdims=0, dims=())
    wrong = e.op("Mul", common, other, dims=())
    checked: Run = holds(e, new, e.op("Equal", wrong, np.array(0, np.int64), dtype=BOOL, dims=()))
    return checked


def _every(m: Machine, base: Run, axis: int) -> Run:
    """All positions along a dimension."""
    e = m.emitter
    size = e.op("Gather", e.shape_of(base), np.array(axis, np.int64), axis=0, dims=(), dtype=INT64)
    every: Run = e.op("Range", np.array(0, np.int64), size, np.array(1, np.int64), dims=(None,), dtype=INT64)
    return every


def _one_row(steps: list[View]) -> bool:
    return bool(steps) and steps[-1].row is not None


def _in_rows(steps: list[View]) -> bool:
    """Whether views are slices of the first dimension, of which a single row may be taken in the end."""
    several = steps[:-1] if _one_row(steps) else steps
    return all(s.part is not None and s.part[0] == 0 and len(s.part[1]) > 1 for s in several)


def _rows(m: Machine, every: Run, steps: list[View]) -> Run:
    for s in steps[:-1] if _one_row(steps) else steps:
        every = s.reapply(every)
    e = m.emitter
    return e.op("Gather", every, e.ints([steps[-1].row]), axis=0, dims=(1,)) if _one_row(steps) else every


# -- what is known when exporting --------------------------------------------------------------------------------------------


def _narrowing(steps: list[View]) -> list[View]:
    """The views but slices of everything."""
    return [s for s in steps if s.part is None or not _whole(s.part[1])]


def _whole(part: tuple[Any, ...]) -> bool:
    return len(part) == 3 and part[0] in (0, None) and _open(part[1]) and part[2] == 1


def _open(end: Any) -> bool:
    return end is None or (isinstance(end, int) and end >= 2**62)


def _equal(a: _Part | None, b: _Part | None) -> bool:
    """Whether two views take the same part."""
    if a is None or b is None or a[0] != b[0] or len(a[1]) != len(b[1]):
        return False
    return all(_ordered(x, y) and _ordered(y, x) for x, y in zip(a[1], b[1], strict=True))


def _ordered(low: Any, high: Any) -> bool:
    """Whether one bound is known not to be behind the other."""
    low = 0 if low is None else low
    if isinstance(low, int) and isinstance(high, int):
        return low <= high and (low < 0) == (high < 0)
    if not isinstance(high, Run):
        return low is high
    if high.root.least is None or high.root.least < 0:
        return isinstance(low, Run) and low.root is high.root
    if isinstance(low, int):
        return 0 <= low <= high.root.least
    apart = difference(low, high) if isinstance(low, Run) and (low.root.least or -1) >= 0 else None
    return apart is not None and apart <= 0


def _slices(a: _Part | None, b: _Part | None) -> bool:
    """Whether both are slices of one dimension with the same step."""
    return a is not None and b is not None and a[0] == b[0] and len(a[1]) == len(b[1]) == 3 and a[1][2] == b[1][2]


def _harmless(mine: list[View], theirs: list[View]) -> bool:
    """Whether what is written is nothing that is read, or nothing that is read later."""
    if mine and theirs and _disjoint(mine[0].part, theirs[0].part):
        return True
    if len(mine) != len(theirs):
        return False
    ahead = True
    for a, b in zip((s.part for s in mine), (s.part for s in theirs), strict=True):
        ahead = ahead and (
            _equal(a, b) or (_slices(a, b) and a is not None and b is not None and _ordered(a[1][0], b[1][0]))
        )
    return ahead or (len(mine) == 1 and all(s.part is not None and len(s.part[1]) == 1 for s in (*mine, *theirs)))


def _disjoint(a: _Part | None, b: _Part | None) -> bool:
    """Whether two parts of one dimension are known to have nothing in common."""
    if a is None or b is None or a[0] != b[0]:
        return False
    if _slices(a, b) and isinstance(a[1][2], int) and a[1][2] > 1:
        first, other = a[1][0] or 0, b[1][0] or 0
        if isinstance(first, int) and isinstance(other, int) and min(first, other) >= 0 and (first - other) % a[1][2]:
            return True
    (low, high), (other, end) = _bounds(a[1]), _bounds(b[1])
    return _ordered(end, low) or _ordered(high, other)


def _bounds(part: tuple[Any, ...]) -> tuple[Any, Any]:
    """The first position, and the one behind the last: an object that no bound is where that is not known."""
    if len(part) == 3:
        return part[0] or 0, object() if _open(part[1]) else part[1]
    return part[0], part[0] + 1 if isinstance(part[0], int) and part[0] != -1 else object()


# -- what the model finds out -------------------------------------------------------------------------------------------------


def _may_be_dense(view: View) -> bool:
    """Whether a slice may have no gaps, because all dimensions before are of size one."""
    assert view.part is not None
    axis, (_, _, step) = view.part
    return bool(step == 1 and all(not isinstance(d, int) or d == 1 for d in (view.base.dims or ())[:axis]))


class _Slices:
    """What is written and what is read are slices of one dimension with the same step; the positions of both, at run time."""

    def __init__(self, m: Machine, mine: View, theirs: View, new: Run) -> None:
        assert mine.part is not None and theirs.part is not None  # noqa: PT018
        self.e, self.new = m.emitter, new
        self.axis, (_, _, step) = mine.part
        self.step = m.emitter.scalar(step, INT64)
        every = _every(m, mine.base, self.axis)
        (to, self.count), (source, self.read) = (self._positions(every, v.part[1]) for v in (mine, theirs) if v.part)
        self.apart = self._int("Sub", to, source)

    def _positions(self, every: Run, part: tuple[Any, ...]) -> tuple[Run, Run]:
        """The first position of a slice, and how many it has."""
        e, (start, end, step) = self.e, part
        bounds = e.ints([start or 0]), e.ints([2**63 - 1 if _open(end) else end])
        of = e.op("Slice", every, *bounds, _at(0), e.ints([step]), dims=(None,))
        first = e.op("ReduceSum", e.op("Slice", of, _at(0), _at(1), _at(0), dims=(None,)), keepdims=0, dims=())
        return first, e.op("Gather", e.shape_of(of), np.array(0, np.int64), axis=0, dims=(), dtype=INT64)

    def _int(self, op: str, a: Any, b: Any) -> Run:
        made: Run = self.e.op(op, a, b, dims=(), dtype=INT64)
        return made

    def _bool(self, op: str, a: Any, b: Any, dims: tuple[Any, ...] = ()) -> Run:
        as_arrays = (np.array(x, np.int64) if isinstance(x, int) else x for x in (a, b))
        made: Run = self.e.op(op, *as_arrays, dims=dims, dtype=BOOL)
        return made

    def _product(self, start: int, end: int) -> Run:
        """How many elements some dimensions of what is written have."""
        e = self.e
        sizes = e.op("Slice", e.shape_of(self.new), _at(start), _at(end), _at(0), dims=(None,))
        made: Run = e.op("ReduceProd", sizes, keepdims=0, dims=())
        return made

    def checked(self, dense: bool, ahead: bool, copies: bool) -> Run:
        """What is written, where torch writes something that can be told."""
        wrong, new = [self._refused()] if dense else [], self.new
        if not ahead:
            late, copied = self._late()
            if copies:
                new, late = copied, self._bool("And", late, self.e.op("Not", self._known(), dims=()))
            wrong.append(late)
        bad = wrong[0] if len(wrong) == 1 else self._bool("Or", wrong[0], wrong[1])
        made: Run = holds(self.e, new, self.e.op("Not", bad, dims=()))
        return made

    def _refused(self) -> Run:
        """Whether both are without gaps and have some memory in common, and not all."""
        e = self.e
        back = self._int("Sub", np.array(0, np.int64), self.apart)
        meet = self._bool("And", self._bool("Less", self.apart, self.read), self._bool("Less", back, self.count))
        same = self._bool("And", self._bool("Equal", self.apart, 0), self._bool("Equal", self.read, self.count))
        other = self._bool("And", meet, e.op("Not", same, dims=()))
        return self._bool("And", other, self._bool("Equal", self._product(0, self.axis), 1))

    def _late(self) -> tuple[Run, Run]:
        """Whether what is read was written before, and what is copied then."""
        e, zero, one = self.e, np.array(0, np.int64), np.array(1, np.int64)
        steps = self._int("Max", self._int("Div", self.apart, self.step), one)
        met = self._bool("Equal", self._int("Mod", self.apart, self.step), 0)
        met = self._bool("And", met, self._bool("Equal", self.read, self.count))
        late = self._bool("And", self._bool("Greater", self.apart, 0), self._bool("Less", steps, self.count))
        late = self._bool("And", late, met)
        at = e.op("Range", zero, self.count, one, dims=(None,), dtype=INT64)
        index = e.op("Mod", at, e.op("Where", late, steps, self._int("Max", self.count, one), dims=()), dims=(None,))
        return late, e.op("Gather", self.new, index, axis=self.axis, dims=self.new.dims)

    def _known(self) -> Run:
        """Whether torch computes the same on all processors: rows have no block, or what is read is as far away as one."""
        width = np.array(self.new.dtype.numpy.itemsize, np.int64)
        row = self._int("Mul", self._product(self.axis + 1, 2**31), width)
        short = self._bool("Less", self._int("Mul", row, self.count), BLOCK)
        far = self._bool("Greater", self._int("Mul", row, self.apart), WIDEST - 1)
        return self._bool("And", self._bool("Or", short, far), self._bool("Less", self._product(0, 2**31), DIVIDED))


def _at(n: int) -> np.ndarray[Any, Any]:
    return np.array([n], np.int64)


def _not_read_late(m: Machine, base: Run, steps: list[View], others: list[View], new: Run, copies: bool) -> Run:
    """``new``, where no element is read after it was written to, in the order of memory."""
    e = m.emitter
    shape, flat = e.shape_of(base), np.array([-1], np.int64)
    size = e.op("ReduceProd", shape, keepdims=0, dims=())
    every = e.op("Range", np.array(0, np.int64), size, np.array(1, np.int64), dims=(None,), dtype=INT64)
    places = e.op("Reshape", every, shape, dims=base.dims, allowzero=1 if e.opset >= 14 else None)
    to = source = places
    for s in steps:
        to = s.reapply(to)
    for s in others:
        source = s.reapply(source)
    source = e.op("Expand", source, e.shape_of(to), dims=to.dims)
    to, source = (e.op("Reshape", x, flat, dims=(None,)) for x in (to, source))
    changed = e.op("Not", e.op("Equal", to, source, dtype=BOOL, dims=(None,)), dims=(None,))
    marks = (
        e.cast(changed, INT64)
        if copies
        else e.op("ConstantOfShape", e.shape_of(to), value=np.ones(1, np.int64), dims=(None,), dtype=INT64)
    )
    none = e.op("ConstantOfShape", e.shape_of(every), value=np.zeros(1, np.int64), dims=(None,), dtype=INT64)
    marked = e.op("ScatterElements", none, to, marks, axis=0, dims=(None,))
    found = e.op(
        "Greater", e.op("Gather", marked, source, axis=0, dims=(None,)), np.array(0, np.int64), dtype=BOOL, dims=(None,)
    )
    late = e.op("And", e.op("Less", source, to, dtype=BOOL, dims=(None,)), found, dims=(None,))
    checked: Run = holds(e, new, none_true(e, late))
    return checked
