"""Lists that a loop fills, as scan outputs: what each iteration appends, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bridge.exporters.onnx.columns import element_of, form_of, join, samples_of, to_form
from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.places import places
from bridge.exporters.onnx.records import Body
from bridge.exporters.onnx.values import (
    Abstract,
    Appended,
    Cell,
    Columns,
    Growing,
    Run,
    RunList,
    Stacked,
    is_code,
    leaves,
    runtime_type,
)
from bridge.ir import types as T

__all__ = ["Scan", "scans"]


def scans(cell: Cell, appended: tuple[Appended, ...]) -> bool:
    """Whether what an iteration appends can be scan outputs: tensors of one shape in every iteration."""
    if not appended:
        return True
    exact = len(appended) > 1 or appended[0].when is not True
    shapes: list[Any] = []
    for x in appended:
        if x.rows and exact:
            return False
        found = [_row_type(c) for c in _contents(x.value)] if x.rows else [runtime_type(v) for v in leaves(x.value)]
        if any(t is None or t[1] is None or None in t[1] for t in found):
            return False
        known = [t for t in found if t is not None]
        if (exact or x.rows) and not all(isinstance(d, int) and d > 0 for t in known for d in t[1] or ()):
            return False
        shapes.append([t[:2] for t in known])
    return all(s == shapes[0] for s in shapes)


def _contents(content: Any) -> Iterator[Any]:
    if isinstance(content, Columns):
        for p in content.parts:
            yield from _contents(p)
    else:
        yield content


def _row_type(content: Any) -> Any:
    """(dtype, dims) of the elements of a list that is one tensor; None for others."""
    if isinstance(content, RunList) or not isinstance(content, Run | Stacked):
        return None
    run = content.run if isinstance(content, Stacked) else content
    return run.dtype, None if run.dims is None else run.dims[1:], None


class Scan:
    """A list that one loop fills. ``pairs`` are the values in the body that are scanned, each with the scan output."""

    def __init__(self, m: Machine, body: Body, cell: Cell, appended: tuple[Appended, ...]) -> None:
        self.m, self.cell, self.count = m, cell, len(appended)
        self.rows = self.count > 0 and appended[0].rows
        self.many = self.rows or self.count > 1
        self.conditional = any(x.when is not True for x in appended)
        self.pairs: list[tuple[Abstract, Run]] = []
        with m.into(body):
            if self.rows:
                for c in _contents(appended[0].value):
                    self._add(c.run if isinstance(c, Stacked) else c)
            else:
                for column in zip(*(leaves(x.value) for x in appended), strict=True):
                    self._add(column[0] if self.count == 1 else self._together(column))
            if self.conditional:
                whens = [x.when for x in appended]
                self._add(whens[0] if self.count == 1 else self._together(whens))

    def _add(self, v: Abstract) -> None:
        t = runtime_type(v)
        assert t is not None
        dims = None if t[1] is None else (None, *t[1])
        self.pairs.append((v, Run(t[0], dims, f"{self.m.emitter.hint}/scan")))

    def _together(self, values: Any) -> Run:
        """What one iteration appends, as one tensor."""
        e = self.m.emitter
        runs = [v if isinstance(v, Run) else e.constant(v, runtime_type(v)[0]) for v in values]  # type: ignore[index]
        dims = runs[0].dims or ()
        made = [e.op("Unsqueeze", r, np.array([0], np.int64), dims=(1, *dims)) for r in runs]
        found: Run = e.op("Concat", *made, axis=0, dims=(len(made), *dims))
        return found

    # -- after the loop ------------------------------------------------------------------------------------------------

    def after(self, before: Any, counted: bool) -> Any:
        """The content of the list after the loop; ``before`` it was this. ``counted``: the loop runs as often each time."""
        runs = [self._flat(r) for _, r in self.pairs]
        if not self.count:
            return before
        if self.conditional:
            e, flags = self.m.emitter, runs.pop()
            runs = [e.op("Compress", r, flags, axis=0, dims=r.dims) for r in runs]
        t = element_of(self.cell)
        rest = iter(runs)
        made = _column(t, rest)
        if isinstance(before, Growing):
            return self._into(before, made, counted)
        if before == ():
            return made
        form = form_of(t, [*samples_of(t, before), *samples_of(t, made)])
        return join(self.m, t, to_form(self.m, t, before, form), to_form(self.m, t, made, form))

    def _flat(self, run: Run) -> Run:
        """Without the dimension of one iteration, where an iteration appends several."""
        if not self.many:
            return run
        dims = (run.dims or ())[2:]
        shape = np.array([-1, *dims], np.int64)
        made: Run = self.m.emitter.op("Reshape", run, shape, dims=(None, *dims))
        return made

    def _into(self, before: Growing, made: Any, counted: bool) -> Any:
        """For a list that a loop around this one fills too."""
        before.token.samples += samples_of(element_of(self.cell), made)
        if not counted or self.conditional:
            before.token.read = True
        return Growing(before.token, (*before.appended, Appended(made, rows=True)))


def _column(t: T.Type, runs: Iterator[Run]) -> Any:
    if places(t):
        return Columns(tuple(_column(x, runs) for x in places(t)))
    run = next(runs)
    return run if t in (T.INT, T.FLOAT, T.BOOL) or is_code(t) else Stacked(run)
