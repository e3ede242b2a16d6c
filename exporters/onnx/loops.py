"""``prim::Loop`` to ``Loop``, one to one.

What is carried from iteration to iteration is found by lowering the body until it fits: a value that the body hands on as it
got it stays what it is; what changes becomes an ONNX value, with the dims that are true of every iteration. A list that
every iteration appends to once, and that is not read meanwhile, becomes a scan output: sequences cost time that grows with
their length in onnxruntime.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bridge.exporters.onnx.lists import as_run, number_dtype_of
from bridge.exporters.onnx.machine import Machine, NeedsList, Skip, handles
from bridge.exporters.onnx.merge import as_maybe, finish_outputs, loose_dims, merge_dims, runtime_type
from bridge.exporters.onnx.raising import no_error
from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import (
    BOOL,
    INT64,
    Abstract,
    Cell,
    Growing,
    Maybe,
    Poison,
    Run,
    RunList,
    Stacked,
    Unset,
    same_static,
)
from bridge.ir import types as T
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node

__all__: list[str] = []

_FOREVER = 2**63 - 1
_ATTEMPTS = 24


class Grows:
    """Stands for the content of a list that is only appended to."""


@dataclass(slots=True)
class NewCell:
    """A carried list that is another one in every iteration, with the form of its content."""

    type: T.Type
    content: Any


@dataclass(slots=True)
class Attempt:
    """The body lowered for assumed forms of what is carried."""

    body: Body
    entered: list[Abstract] = field(default_factory=list)
    entered_contents: dict[Any, Any] = field(default_factory=dict)
    entered_cells: dict[Cell, Any] = field(default_factory=dict)
    results: list[Abstract] = field(default_factory=list)
    proceed: Abstract = True
    heap: dict[Any, Any] = field(default_factory=dict)


class LoopLowering:
    """One loop being lowered. ``forms`` are the assumed forms of the carried values, ``contents`` those of lists and
    tensors that exist outside and that the body writes to."""

    def __init__(self, m: Machine, node: Node) -> None:
        self.m, self.node, self.block = m, node, node.blocks[0]
        self.trip = m.get(node.inputs[0])
        self.proceed = m.get(node.inputs[1])
        self.initial = [m.get(v) for v in node.inputs[2:]]
        self.heap0 = m.heap
        self.forms: list[Any] = list(self.initial)
        self.contents: dict[Any, Any] = {}
        self.appended: dict[Any, Abstract] = {}  # what was last seen to be appended to a list
        self.listed: set[Any] = set()  # cells that were found to be read while they grow

    # -- lowering the body -------------------------------------------------------------------------------------------

    def run(self) -> Abstract:
        """Lower until the assumed forms fit; then make the node."""
        program, m = self.m.program, self.m
        for _ in range(_ATTEMPTS):
            mark = program.mark(), dict(m.frame.decisions)
            try:
                attempt = self.attempt()
            except NeedsList as need:
                if not isinstance(need.token, Cell) or need.token not in self.contents:
                    raise
                self.listed.add(need.token)
                self.contents[need.token] = self._list_form(need.token)
                stable = False
            else:
                stable = self.widen(attempt)
            finally:
                m.heap = self.heap0
            if stable:
                return self.finish(attempt)
            program.reset(mark[0])
            m.frame.decisions = mark[1]
        raise LoweringError("what this loop carries changes its form with every iteration", self.node.range)

    def attempt(self) -> Attempt:
        m, body = self.m, Body(name="body")
        statement = m.emitter.origin, m.emitter.hint
        a = Attempt(body)
        m.heap = dict(self.heap0)
        i = Run(INT64, (), number=T.INT)
        cond = Run(BOOL, (), f"{m.emitter.hint}/cond", number=T.BOOL)
        cond.named = True
        body.params += [i, cond]
        inner = self.block.inputs
        with m.into(body):
            m.bind(inner[0], i)
            for value, form in zip(inner[1:], self.forms, strict=True):
                v = self._enter(form, a)
                a.entered.append(v)
                m.bind(value, v)
            for key, form in self.contents.items():
                a.entered_contents[key] = m.heap[key] = self._enter(form, a, key)
            m.run_block(self.block)
            outputs = [m.env[v] for v in self.block.outputs]
            if any(isinstance(v, Poison) for v in outputs):
                raise Skip
            a.proceed, *a.results = [m.latest(v) for v in outputs]
            if m.error in self.contents:
                m.emitter.begin(*statement)
                a.proceed = self._unless_raised(a.proceed)
        a.heap = m.heap
        return a

    def _unless_raised(self, proceed: Abstract) -> Abstract:
        """Whether to go on, which no loop does after an exception."""
        going = no_error(self.m)
        if proceed is True:
            return going
        e = self.m.emitter
        return e.op("And", e.cast(proceed, BOOL), going, dtype=BOOL, dims=())

    def _enter(self, form: Any, a: Attempt, key: Any = None) -> Any:
        """What the body sees at its start."""
        if isinstance(form, Grows):
            return Growing(key)
        if isinstance(form, Run):
            p = form.like(f"{self.m.emitter.hint}/in")
            p.symbol, p.joined = None, True
            a.body.params.append(p)
            return p
        if isinstance(form, tuple):
            return tuple(self._enter(f, a) for f in form)
        if isinstance(form, Maybe):
            return Maybe(self._enter(form.present, a), self._enter(form.value, a))
        if isinstance(form, NewCell):
            cell = self.m.new_cell(form.type, self._enter(form.content, a))
            a.entered_cells[cell] = self.m.heap[cell]
            return cell
        return form

    # -- finding the forms -------------------------------------------------------------------------------------------

    def widen(self, a: Attempt) -> bool:
        """Make the assumed forms true of what the body handed on; whether they were already."""
        stable = True
        for i, (form, out) in enumerate(zip(self.forms, a.results, strict=True)):
            new = self._widen(form, out, a)
            if new is not form:
                self.forms[i], stable = new, False
        own = {o for r in a.body.nodes for o in r.outputs} | set(a.body.params)
        for key, content in a.heap.items():
            known = key in self.heap0 if isinstance(key, Cell) else key not in own
            if not known:
                continue
            before = a.entered_contents.get(key, self.heap0.get(key, key))
            if key not in self.contents:
                if content is not before:
                    self.contents[key], stable = self._first_form(key, before, content, a), False
                continue
            form = self.contents[key]
            new = self._widen_content(key, form, content, a)
            if new is not form:
                self.contents[key], stable = new, False
        return stable

    def _widen(self, form: Any, out: Abstract, a: Attempt) -> Any:
        if _may_be_none(form, out):
            return self._widen_maybe(form, out, a)
        if isinstance(form, Unset) and isinstance(out, tuple):
            return tuple(self._widen(Unset(T.ANY), o, a) for o in out)
        if isinstance(form, tuple) and isinstance(out, Unset):
            return form
        if isinstance(form, tuple) and isinstance(out, tuple) and len(form) == len(out):
            parts = tuple(self._widen(f, o, a) for f, o in zip(form, out, strict=True))
            return form if all(x is y for x, y in zip(parts, form, strict=True)) else parts
        if isinstance(out, Cell):
            return self._widen_cell(form, out, a)
        if not isinstance(form, Run) and (same_static(form, out) or isinstance(out, Unset)):
            return form
        if isinstance(out, Unset):
            return form
        to = runtime_type(out)
        of = to if isinstance(form, Unset) else runtime_type(form)
        if to is None or of is None:
            raise LoweringError(f"what the loop carries {_why_not(form, out)}", self.node.range)
        if of[0] is not to[0]:
            raise LoweringError(
                f"the loop carries a tensor of {of[0].name} that its body makes one of {to[0].name}", self.node.range
            )
        dims = merge_dims(of[1], to[1])
        if isinstance(form, Run) and form.dims == dims:
            return form
        return Run(of[0], dims, number=of[2] if of[2] is to[2] else None)

    def _widen_maybe(self, form: Any, out: Abstract, a: Attempt) -> Any:
        """Whether it is there, and the value: empty before there is one."""
        was, now = as_maybe(form), as_maybe(out)
        if was is None or now is None:
            raise LoweringError(f"what the loop carries {_why_not(form, out)}", self.node.range)
        present, value = self._widen(was.present, now.present, a), self._widen(was.value, now.value, a)
        if isinstance(form, Maybe) and present is was.present and value is was.value:
            return form
        return Maybe(present, _loose(value) if isinstance(was.value, Unset) else value)

    def _widen_cell(self, form: Any, out: Cell, a: Attempt) -> Any:
        if isinstance(form, Cell):
            if form is out:
                return form
            return NewCell(form.type, self._join_content(form, self.heap0[form], a.heap[out], a))
        if isinstance(form, NewCell):
            content = self._join_content(out, form.content, a.heap[out], a)
            return form if content is form.content else NewCell(form.type, content)
        raise LoweringError("which list the loop carries depends on data", self.node.range)

    def _first_form(self, key: Any, before: Any, after: Any, a: Attempt) -> Any:
        if isinstance(key, Run):
            return self._widen(before, after, a)
        if (
            isinstance(before, tuple)
            and isinstance(after, tuple)
            and len(after) == len(before) + 1
            and key not in self.listed
            and all(x is y for x, y in zip(before, after, strict=False))
        ):
            self.appended[key] = after[-1]
            if self._scans(after[-1]):
                return Grows()
        return self._join_content(key, before, after, a)

    def _widen_content(self, key: Any, form: Any, content: Any, a: Attempt) -> Any:
        if isinstance(key, Run):
            return self._widen(form, content, a)
        if isinstance(form, Grows):
            if isinstance(content, Growing) and len(content.appended) == 1 and self._scans(content.appended[0]):
                return form
            self.listed.add(key)
            if isinstance(content, Growing) and content.appended:
                self.appended[key] = content.appended[-1]
            return self._list_form(key)
        return self._join_content(key, form, content, a)

    def _scans(self, v: Abstract) -> bool:
        t = runtime_type(v)
        return t is not None and t[1] is not None and None not in t[1]

    def _list_form(self, cell: Cell) -> Any:
        """The form of a list of unknown length, found from what is in it before the loop and what was appended."""
        after = (self.appended[cell],) if cell in self.appended else None
        return self._join_content(cell, self.heap0[cell], after, None)

    def _join_content(self, cell: Cell, before: Any, after: Any, a: Attempt | None) -> Any:
        if a is not None and isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
            parts = tuple(self._widen(f, o, a) for f, o in zip(before, after, strict=True))
            return before if all(x is y for x, y in zip(parts, before, strict=True)) else parts
        if before is after:
            return before
        element = cell.type.element if isinstance(cell.type, T.ListType) else T.ANY
        dtype = number_dtype_of(element)
        if dtype is not None:
            form = Run(dtype, (None,))
            return before if isinstance(before, Run) and before.dims == form.dims else form
        inside = [x for c in (before, after) for x in self._elements(c)]
        if not inside:
            return RunList(_UNKNOWN_ELEMENT, None)
        types = [runtime_type(x) for x in inside]
        if any(t is None for t in types):
            raise LoweringError("a loop fills a list with what is no tensor or number", self.node.range)
        known = [t for t in types if t is not None and t[0] is not _UNKNOWN_ELEMENT]
        dims = known[0][1]
        for t in known[1:]:
            dims = merge_dims(dims, t[1])
        if isinstance(before, RunList) and before.dims == dims and before.dtype is known[0][0]:
            return before
        return RunList(known[0][0], dims)

    def _elements(self, content: Any) -> list[Abstract]:
        if isinstance(content, tuple):
            return list(content)
        if isinstance(content, Stacked):
            dims = content.run.dims
            return [Run(content.run.dtype, None if dims is None else dims[1:])]
        if isinstance(content, RunList):
            return [Run(content.dtype, content.dims)]
        if isinstance(content, Growing):
            raise NeedsList(content.token)
        return []

    # -- the node ------------------------------------------------------------------------------------------------------

    def finish(self, a: Attempt) -> Abstract:
        m, e = self.m, self.m.emitter
        if isinstance(self.trip, int) and self.trip >= _FOREVER and m.error in self.heap0:
            self.proceed = self._unless_raised(self.proceed)
        rows: list[tuple[Run, Abstract, Abstract, Run]] = []  # parameter, initial value, handed on, result
        results = [
            self._result(form, v, start, out, a, rows)
            for form, v, start, out in zip(self.forms, a.entered, self.initial, a.results, strict=True)
        ]
        scans: list[tuple[Cell, Abstract, Run]] = []
        for key, form in self.contents.items():
            before = self.heap0.get(key, key)
            if isinstance(form, Grows):
                scans.append((key, a.heap[key].appended[0], self._scan_run(a.heap[key].appended[0])))
            else:
                m.heap[key] = self._content_result(key, form, a.entered_contents[key], before, a.heap[key], a, rows)
        starts = [self._start(p, v) for p, v, _, _ in rows]
        cond = a.body.params[1]
        body_values = [a.proceed, *[out for _, _, out, _ in rows], *[v for _, v, _ in scans]]
        finish_outputs(m, a.body, body_values, [cond, *[p for p, _, _, _ in rows], *[_element(r) for _, _, r in scans]])
        a.body.params[2:] = [p for p, _, _, _ in rows]
        made = [*[r for _, _, _, r in rows], *[r for _, _, r in scans]]
        trip = (
            None if isinstance(self.trip, int) and self.trip >= _FOREVER else e.materialise(e.scalar(self.trip, INT64))
        )
        first = None if self.proceed is True else e.materialise(e.scalar(self.proceed, BOOL))
        if made:
            e.append(Record("Loop", "", [trip, first, *starts], made, {"body": a.body}, e.origin))
        for cell, _, run in scans:
            m.heap[cell] = self._after_scan(cell, run)
        return results[0] if len(self.node.outputs) == 1 else results

    def _result(self, form: Any, entered: Any, start: Any, out: Any, a: Attempt, rows: list[Any]) -> Abstract:
        if isinstance(form, Run):
            result = form.like(f"{self.m.emitter.hint}/Loop")
            result.joined = True
            rows.append((entered, start, out, result))
            return result
        if isinstance(form, tuple):
            starts = start if isinstance(start, tuple) else (start,) * len(form)
            outs = out if isinstance(out, tuple) else (out,) * len(form)
            return tuple(
                self._result(f, v, s, o, a, rows) for f, v, s, o in zip(form, entered, starts, outs, strict=True)
            )
        if isinstance(form, Maybe):
            was, now = as_maybe(start), as_maybe(out)
            assert was is not None
            assert now is not None
            return Maybe(
                self._result(form.present, entered.present, was.present, now.present, a, rows),
                self._result(form.value, entered.value, was.value, now.value, a, rows),
            )
        if isinstance(form, NewCell):
            content = self._content_result(
                entered, form.content, a.entered_cells[entered], self.heap0[start], a.heap[out], a, rows
            )
            return self.m.new_cell(form.type, content)
        return form

    def _content_result(
        self, key: Any, form: Any, entered: Any, start: Any, out: Any, a: Attempt, rows: list[Any]
    ) -> Any:
        if isinstance(form, Run) and isinstance(key, Cell):
            run = start if isinstance(start, Run) else self._list_start(key, form, start)
            with self.m.into(a.body):
                handed = out if isinstance(out, Run) else as_run(self.m, key, out)
            return self._result(form, entered, run, handed, a, rows)
        return self._result(form, entered, start, out, a, rows)

    def _list_start(self, cell: Cell, form: Run, content: Any) -> Run:
        if content == () and isinstance(form, RunList):
            if form.dtype is _UNKNOWN_ELEMENT:
                raise LoweringError("the element type of a list that the loop fills is not known", self.node.range)
            made: Run = self.m.emitter.op("SequenceEmpty", dtype=form.dtype, dims=form.dims, dtype_=form.dtype.onnx)
            return made
        return as_run(self.m, cell, content)

    def _start(self, p: Run, v: Abstract) -> Run:
        e = self.m.emitter
        if isinstance(v, Unset):
            return e.materialise(e.constant(np.zeros((0,) * len(p.dims or ()), p.dtype.numpy), p.dtype))
        return e.materialise(v if isinstance(v, Run) else e.constant(v, p.dtype))

    def _scan_run(self, v: Abstract) -> Run:
        t = runtime_type(v)
        assert t is not None
        assert t[1] is not None
        return Run(t[0], (None, *t[1]), f"{self.m.emitter.hint}/scan")

    def _after_scan(self, cell: Cell, run: Run) -> Any:
        e, before = self.m.emitter, self.heap0[cell]
        if before:
            axis0 = np.array([0], np.int64)
            parts = [e.op("Unsqueeze", x if isinstance(x, Run) else e.constant(x, run.dtype), axis0,
                          dims=(1, *(run.dims or ())[1:])) for x in before]  # fmt: skip
            run = e.op("Concat", *parts, run, axis=0, dims=run.dims)
        element = cell.type.element if isinstance(cell.type, T.ListType) else T.ANY
        return run if number_dtype_of(element) is not None else Stacked(run)


def _may_be_none(form: Any, out: Abstract) -> bool:
    """Whether one is an optional, or one is None and the other is not."""
    if isinstance(form, Unset) or isinstance(out, Unset):
        return isinstance(form, Maybe) or isinstance(out, Maybe)
    return isinstance(form, Maybe) or isinstance(out, Maybe) or (form is None) is not (out is None)


def _loose(v: Any) -> Any:
    if isinstance(v, tuple):
        return tuple(map(_loose, v))
    return Run(v.dtype, loose_dims(v.dims), number=v.number) if isinstance(v, Run) else v


def _why_not(form: Any, out: Abstract) -> str:
    if form is None or out is None:
        return "is None or not None, depending on data"
    if isinstance(form, str) or isinstance(out, str):
        return "is a string that depends on data"
    return "has no form in ONNX"


def _element(scan: Run) -> Run:
    return Run(scan.dtype, scan.dims[1:] if scan.dims is not None else None)


class _Unknown:
    name = label = "unknown"


_UNKNOWN_ELEMENT: Any = _Unknown()


@handles("prim::Loop")
def lower_loop(m: Machine, node: Node) -> Abstract:
    """A loop that never runs is its initial values."""
    trip, proceed = m.get(node.inputs[0]), m.get(node.inputs[1])
    if proceed is False or (isinstance(trip, int) and trip <= 0):
        m.frame.decisions[node] = -1
        values = [m.get(v) for v in node.inputs[2:]]
        return values[0] if len(node.outputs) == 1 else values
    return LoopLowering(m, node).run()
