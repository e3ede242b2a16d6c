"""``prim::Loop`` to ``Loop``, one to one.

What is carried from iteration to iteration is found by lowering the body until it fits (``loop_forms``): a value that the body
hands on as it got it stays what it is; what changes becomes an ONNX value, with the dims that are true of every iteration. A
list that the body only appends to becomes scan outputs (``scans``): sequences cost time that grows with their length in
onnxruntime.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bridge.exporters.onnx.columns import element_of, to_form
from bridge.exporters.onnx.elements import Homes
from bridge.exporters.onnx.ints import loop_index
from bridge.exporters.onnx.loop_forms import Attempt, Forms, Grows, Kept, NewCell, Same, written_cells
from bridge.exporters.onnx.machine import Machine, Skip, handles
from bridge.exporters.onnx.merge import as_maybe, finish_outputs, first_blank
from bridge.exporters.onnx.names import freeze_if_shared
from bridge.exporters.onnx.raising import no_error
from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.same_tensor import inside, stays
from bridge.exporters.onnx.scans import Scan
from bridge.exporters.onnx.static_loops import run_static, unrolled
from bridge.exporters.onnx.values import (
    BOOL,
    INT64,
    Abstract,
    Cell,
    Columns,
    Growing,
    Maybe,
    Poison,
    Run,
    Stacked,
    Unset,
    map_content,
)
from bridge.ir import types as T
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node, Value

__all__: list[str] = []

_FOREVER = 2**63 - 1
_ATTEMPTS = 24


def _returned(m: Machine, node: Node, k: int) -> Abstract | None:
    """What a result of a loop is wherever anybody looks, as far as that is a list from outside: ``return found`` in the loop."""
    block = node.blocks[0]

    def sources(values: Iterable[Value]) -> set[Value]:
        """Where values come from, through branches and loops in the body."""
        found, open_, seen = set[Value](), list(values), set[Value]()
        while open_:
            v = open_.pop()
            if v in seen or v is block.inputs[k + 1] or v.node.kind == "prim::Uninitialized":
                continue
            seen.add(v)
            if v.node.kind == "prim::If" and inside(v.node, block):
                open_ += [b.outputs[v.offset] for b in v.node.blocks]
            elif v.node.kind == "prim::Loop" and inside(v.node, block):
                open_ += [v.node.inputs[v.offset + 2], v.node.blocks[0].outputs[v.offset + 1]]
            else:
                found.add(v)
        return found

    def known(values: Iterable[Value]) -> Abstract | None:
        found = sources(values)
        if found and all(v.node.kind == "prim::TupleConstruct" for v in found):
            parts = [known(p) for p in zip(*(v.node.inputs for v in found), strict=True)]
            return tuple(Unset(T.ANY) if p is None else p for p in parts) if any(p is not None for p in parts) else None
        v = found.pop() if len(found) == 1 else None
        if v is None or not isinstance(v.type, T.ListType | T.DictType) or inside(v.node, block):
            return None
        return m.get(v)

    return known([block.outputs[k + 1]])


class LoopLowering:
    """One loop being lowered."""

    def __init__(self, m: Machine, node: Node, trip: Abstract, proceed: Abstract) -> None:
        self.m, self.node, self.block = m, node, node.blocks[0]
        self.trip, self.proceed = trip, proceed
        self.initial = [m.get(v) for v in node.inputs[2:]]
        for k, v in enumerate(self.initial):
            if isinstance(v, Unset) and (known := _returned(m, node, k)) is not None:
                self.initial[k] = known
        self.heap0 = m.heap
        self.forms = Forms(self.heap0, self.initial, node.range)
        self.tensors = [m.env[v] for v in node.inputs[2:]]
        if m.program.writes:
            for k, v in enumerate(self.tensors):
                if _is_tensor(v) and stays(node, k):
                    self.forms.values[k] = Same(v)
        self.forms.expect(written_cells(self.block, m))
        self.homes = Homes(m)
        self.held = set(self.homes.seen)  # assumed to be what is in the lists that they are from, in every iteration

    # -- lowering the body -------------------------------------------------------------------------------------------

    def run(self) -> Abstract:
        """Lower until the assumed forms fit; then make the node."""
        program, m = self.m.program, self.m
        for _ in range(_ATTEMPTS):
            mark, frozen = (program.mark(), dict(m.frame.decisions)), dict(m.frozen)
            try:
                attempt = self.attempt()
            finally:
                m.heap = self.heap0
                self.homes.reset()
            if attempt is not None and self.forms.widen(attempt) and self.held <= attempt.held:
                result = self.finish(attempt)
                self.homes.renew(m, self.held)
                return result
            if attempt is not None:
                self.held &= attempt.held
            m.frozen = frozen
            program.reset(mark[0])
            m.frame.decisions = mark[1]
        raise LoweringError("what this loop carries changes its form with every iteration", self.node.range)

    def attempt(self) -> Attempt | None:
        """The body for the assumed forms; None when a list was read that was assumed to be filled only."""
        m, body = self.m, Body(name="body")
        statement = m.emitter.origin, m.emitter.hint
        a = Attempt(body, m, Run(INT64, ()).born)
        m.heap = dict(self.heap0)
        i = Run(INT64, (), number=T.INT)
        loop_index(i, self.trip)
        cond = Run(BOOL, (), f"{m.emitter.hint}/cond", number=T.BOOL)
        cond.named = True
        body.params += [i, cond]
        inner = self.block.inputs
        with m.into(body):
            m.bind(inner[0], i)
            for value, form in zip(inner[1:], self.forms.values, strict=True):
                v = self._enter(form, a)
                a.entered.append(v)
                m.bind(value, v)
            for key, form in self.forms.contents.items():
                a.entered_contents[key] = m.heap[key] = self._enter(form, a, key)
            self.homes.renew(m, self.held)
            m.run_block(self.block)
            if self.forms.give_up_filling():
                return None
            outputs = [m.env[v] for v in self.block.outputs]
            if any(isinstance(v, Poison) for v in outputs):
                raise Skip
            a.proceed, *a.results = [m.latest(v) for v in outputs]
            if m.program.writes:
                a.results = [
                    self._handed_on(k, v, r, a) for k, (v, r) in enumerate(zip(outputs[1:], a.results, strict=True))
                ]
            self._settle(a)
            if m.error in self.forms.contents:
                m.emitter.begin(*statement)
                a.proceed = self._unless_raised(a.proceed)
        a.heap, a.held = m.heap, self.homes.held(m)
        return a

    def _settle(self, a: Attempt) -> None:
        """What the body made and put into lists and objects, as it is at its end."""
        m = self.m
        own = {o for r in a.body.nodes for o in r.outputs} | set(a.body.params)

        def now(v: Abstract) -> Abstract:
            return m.latest(v) if isinstance(v, tuple) or (isinstance(v, Run) and v.root in own) else v

        for key in [*self.forms.contents, *(r for r in a.results if isinstance(r, Cell))]:
            content = m.heap[key]
            if isinstance(content, tuple | dict):
                made = map_content(content, now)
                old, new = (list(c.values()) if isinstance(c, dict) else c for c in (content, made))
                if any(x is not y for x, y in zip(old, new, strict=True)):
                    m.heap[key] = made

    def _handed_on(self, k: int, v: Abstract, now: Abstract, a: Attempt) -> Abstract:
        """What is handed on: that it is the same tensor, where it is and the tensor exists outside."""
        known = self.forms.other[k] or not _is_tensor(v) or not _is_tensor(self.tensors[k])
        return now if known or v is not a.entered[k] else Same(self.tensors[k])

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
            return Growing(form.token)
        if isinstance(form, Kept):
            return form.value
        if isinstance(form, Same):
            return form.tensor
        if isinstance(form, Run):
            p = form.like(f"{self.m.emitter.hint}/in")
            p.symbol, p.joined = None, True
            a.body.params.append(p)
            return p
        if isinstance(form, tuple | dict | Stacked | Columns):
            return map_content(form, lambda f: self._enter(f, a))
        if isinstance(form, Maybe):
            return Maybe(self._enter(form.present, a), self._enter(form.value, a))
        if isinstance(form, NewCell):
            cell = self.m.new_cell(form.type, self._enter(form.content, a))
            a.entered_cells[cell] = self.m.heap[cell]
            return cell
        return form

    # -- the node ------------------------------------------------------------------------------------------------------

    def finish(self, a: Attempt) -> Abstract:
        """Make the ``Loop``; results and contents after it."""
        m, e = self.m, self.m.emitter
        before_loop = dict(m.heap)
        if isinstance(self.trip, int) and self.trip >= _FOREVER and m.error in self.heap0:
            self.proceed = self._unless_raised(self.proceed)
        rows: list[Any] = []  # parameter, initial value, handed on, result
        results = [
            self._result(form, v, start, out, a, rows)
            for form, v, start, out in zip(self.forms.values, a.entered, self.initial, a.results, strict=True)
        ]
        scans: list[Scan] = []
        for key, form in self.forms.contents.items():
            before = self.heap0.get(key, key)
            if isinstance(form, Grows):
                scans.append(Scan(m, a.body, key, a.heap[key].appended))
            else:
                now = a.heap[key]
                m.heap[key] = self._content(key, form, a.entered_contents[key], before, now, a, rows)
        after, m.heap = m.heap, before_loop
        starts = [self._start(p, m.current(v)) for p, v, _, _ in rows]
        m.heap = after
        scanned = [pair for s in scans for pair in s.pairs]
        self._outputs(a, rows, scanned)
        made = [*[r for _, _, _, r in rows], *[r for _, r in scanned]]
        if made:
            forever = isinstance(self.trip, int) and self.trip >= _FOREVER
            trip = None if forever else e.materialise(e.scalar(self.trip, INT64))
            first = None if self.proceed is True else e.materialise(e.scalar(self.proceed, BOOL))
            e.append(Record("Loop", "", [trip, first, *starts], made, {"body": a.body}, e.origin))
        if self.proceed is True and isinstance(self.trip, int):  # it runs once at least
            for _, r in scanned:
                r.least = 1
        for s in scans:
            m.heap[s.cell] = s.after(self.heap0[s.cell], self._counted(a))
        return results[0] if len(self.node.outputs) == 1 else results

    def _outputs(self, a: Attempt, rows: list[Any], scanned: list[tuple[Abstract, Run]]) -> None:
        """The results of the body, and its parameters in their order."""
        body_values = [a.proceed, *[out for _, _, out, _ in rows], *[v for v, _ in scanned]]
        kinds = [a.body.params[1], *[p for p, _, _, _ in rows], *[_element(r) for _, r in scanned]]
        finish_outputs(self.m, a.body, body_values, kinds)
        a.body.params[2:] = [p for p, _, _, _ in rows]

    def _counted(self, a: Attempt) -> bool:
        """Whether the loop runs as often in every iteration of a loop around it."""
        if a.proceed is not True or self.proceed is not True:
            return False
        if isinstance(self.trip, int):
            return True
        trip: Run = self.trip.root
        return trip.symbol is not None or (trip.sum_of is not None and trip.sum_of[0].symbol is not None)

    def _result(self, form: Any, entered: Any, start: Any, out: Any, a: Attempt, rows: list[Any]) -> Abstract:
        """What a carried value is after the loop; its ONNX values are added to ``rows``."""
        if isinstance(form, Same):
            return form.tensor
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
            start = start if isinstance(start, Cell) else None
            before = self.heap0[start] if start is not None else ()
            content = self._content(entered, form.content, a.entered_cells[entered], before, a.heap[out], a, rows)
            made = self.m.new_cell(form.type, content)
            if start is not None:  # a loop that does not run leaves it what it was
                freeze_if_shared(self.m, made, [start], self.node)
            return made
        return form.value if isinstance(form, Kept) else form

    def _content(self, key: Any, form: Any, entered: Any, start: Any, out: Any, a: Attempt, rows: list[Any]) -> Any:
        """What a list, a dict or a tensor that is written to holds after the loop."""
        if isinstance(key, Run) or isinstance(form, tuple):
            return self._result(form, entered, start, out, a, rows)
        if isinstance(form, dict):
            return {k: self._result(f, entered[k], start[k], out[k], a, rows) for k, f in form.items()}
        t = element_of(key)
        first = to_form(self.m, t, start, form)
        with self.m.into(a.body):
            last = to_form(self.m, t, out, form)
        parts = zip(_runs(form), _runs(entered), _runs(first), _runs(last), strict=True)
        results = iter([self._result(*p, a, rows) for p in parts])
        return map_content(form, lambda f: next(results))

    def _start(self, p: Run, v: Abstract) -> Run:
        e = self.m.emitter
        if isinstance(v, Unset):
            return first_blank(self.m, p)
        return e.materialise(v if isinstance(v, Run) else e.constant(v, p.dtype))


def _is_tensor(v: Abstract) -> bool:
    return type(v) is Run and v.number is None


def _runs(content: Any) -> Iterator[Run]:
    """The ONNX values that stand for a list."""
    if isinstance(content, Columns):
        for p in content.parts:
            yield from _runs(p)
    else:
        yield content.run if isinstance(content, Stacked) else content


def _element(scan: Run) -> Run:
    return Run(scan.dtype, scan.dims[1:] if scan.dims is not None else None)


@handles("prim::Loop")
def lower_loop(m: Machine, node: Node) -> Abstract:
    """A loop that never runs is its initial values."""
    trip, proceed, *_ = [m.get(v) for v in node.inputs]
    if proceed is False or (isinstance(trip, int) and trip <= 0):
        m.frame.decisions[node] = -1
        values = [m.env[v] for v in node.inputs[2:]]
        return values[0] if len(node.outputs) == 1 else values
    known = run_static(m, node, trip, proceed)
    if known is not None:
        return known[0] if len(node.outputs) == 1 else known
    return _in_some_form(m, node, trip, proceed)


def _in_some_form(m: Machine, node: Node, trip: Abstract, proceed: Abstract) -> Abstract:
    """The ``Loop``; where the program's loop cannot be one, and its number of steps is known, its steps written out."""
    program, mark = m.program, m.program.mark()
    heap, decisions, frozen, count = dict(m.heap), dict(m.frame.decisions), dict(m.frozen), len(m.emitter.body.nodes)
    made, failed = None, None
    try:
        made = LoopLowering(m, node, trip, proceed).run()
    except (LoweringError, Skip) as error:
        failed = error
    obstacles = program.obstacles[mark[0] :]
    if obstacles or isinstance(failed, LoweringError):
        after = m.heap, m.frame.decisions, m.frozen, m.emitter.body.nodes[count:], program.report[mark[1] :]
        program.reset(mark)
        m.heap, m.frame.decisions, m.frozen = heap, decisions, frozen
        del m.emitter.body.nodes[count:]
        steps = unrolled(m, node, trip, proceed)
        if steps is not None:
            return steps[0] if len(node.outputs) == 1 else steps
        m.heap, m.frame.decisions, m.frozen, nodes, notes = after
        m.emitter.body.nodes += nodes
        program.report += notes
        program.obstacles += obstacles
    if failed is not None:
        raise failed
    return made
