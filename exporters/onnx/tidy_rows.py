"""Tensors that a ``Loop`` carries only to write a row of them in each iteration: ``out[i] = …``.

onnxruntime copies such a tensor in every iteration. When iteration i writes row ``i + c`` only, and reads no other rows than
this one and the one before it, the loop scans the rows instead, and hands the last one on where it is read; the tensor is put
together behind the loop, so that a row which is not there is an error as before.
"""

from __future__ import annotations

import numpy as np

from bridge.exporters.onnx.ints import parts
from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import INT64, Run
from bridge.ir.types import Dim

__all__ = ["rows"]

#: The first opset in which the size of one dimension is one node.
_OPSET = 15


def rows(r: Record, opset: int, before: list[Record]) -> list[Record]:
    """Let a loop scan rows where it can; adds to what is ``before`` it, and returns what is behind it now."""
    behind: list[Record] = []
    if opset < _OPSET:
        return behind
    k = 0
    while k < len(r.bodies()[0].params) - 2:
        found = _Rows(r, k)
        if found.can():
            found.change(before, behind)
        else:
            k += 1
    return behind


class _Rows:
    """One tensor that a loop carries. ``offset`` is c, ``versions`` the row that each state of the tensor has at ``i + c``."""

    def __init__(self, r: Record, k: int) -> None:
        self.loop, self.k, self.body = r, k, r.bodies()[0]
        self.tensor = self.body.params[2 + k]
        self.start = r.inputs[2 + k]
        self.made: dict[Run, Record] = {}
        self.offset: int | None = None
        self.lagging = False
        self.touched = False
        self.accesses: set[Record] = set()

    # -- whether it is so ----------------------------------------------------------------------------------------------

    def can(self) -> bool:
        """Whether all that happens to the tensor is of that kind."""
        t, body = self.tensor, self.body
        if (
            self.start is None
            or self.start.dims is None
            or t.is_list
            or t.dims is None
            or not t.dims
            or t.dtype.name in ("string", "bfloat16")
        ):
            return False
        states = self.follow(body, {t})
        if states is None or not self.touched or self.offset is None or self.offset < self.lagging:
            return False
        if not (self.always(body) or self.is_there()):
            return False  # reading the row may be an error that the program does not make
        others = [o.root for j, o in enumerate(body.outputs) if j != 1 + self.k]
        return body.outputs[1 + self.k].root in states and not any(o in states for o in others)

    def follow(self, body: Body, states: set[Run]) -> set[Run] | None:
        """The states of the tensor after a graph; None when it is used otherwise."""
        states = set(states)
        for n in body.nodes:
            for o in n.outputs:
                self.made[o] = n
            used = [i for i in n.inputs if i in states]
            if n.bodies() and not used:
                if n.op_type != "If" or n.domain:
                    if any(_reads(b, states) for b in n.bodies()):
                        return None
                    continue
                inner = [self.follow(b, states) for b in n.bodies()]
                if inner[0] is None or inner[1] is None:
                    return None
                for o, a, b in zip(n.outputs, n.bodies()[0].outputs, n.bodies()[1].outputs, strict=True):
                    both = (a.root in inner[0]) + (b.root in inner[1])
                    if both == 1:
                        return None
                    if both:
                        states.add(o)
                continue
            if used and not self.is_access(n, states):
                return None
            if used and n.op_type == "ScatterND":
                states.add(n.outputs[0])
        return states

    def is_access(self, n: Record, states: set[Run]) -> bool:
        """Whether a node reads a row that may be read, or writes the one that is written."""
        if n.domain or n.inputs[0] not in states or any(i in states for i in n.inputs[1:]):
            return False
        if n.op_type == "Gather" and not n.attributes.get("axis", 0):
            at = self.place(n.inputs[1])
            if at is None:
                return False
            if self.offset is None:
                self.offset = self.written(self.body)
            self.lagging |= at == (self.offset or 0) - 1
            if at == self.offset:
                self.accesses.add(n)
            return self.offset is not None and at in (self.offset, self.offset - 1)
        if n.op_type != "ScatterND" or n.attributes.get("reduction") not in (None, "none"):
            return False
        at = self.row(n)
        if at is None or (self.offset is not None and at != self.offset):
            return False
        self.offset, self.touched = at, True
        self.accesses.add(n)
        return True

    def always(self, body: Body) -> bool:
        """Whether every way through a graph reads or writes the row."""
        for n in body.nodes:
            if n in self.accesses or (n.op_type == "If" and not n.domain and all(map(self.always, n.bodies()))):
                return True
        return False

    def is_there(self) -> bool:
        """Whether the tensor is known to have every row up to the last one that is written."""
        below, size = (
            self.body.params[0].below,
            self.start.dims[0] if self.start is not None and self.start.dims else None,
        )
        if below is None or size is None or self.offset is None:
            return False
        name, more = below
        if isinstance(size, int):
            return name is None and more + self.offset <= size
        return name == size and more + self.offset <= 0

    def written(self, body: Body) -> int | None:
        """The c of the first row that a graph writes."""
        for n in body.nodes:
            for o in n.outputs:
                self.made.setdefault(o, n)
            if n.op_type == "ScatterND" and n.outputs[0].dims == self.tensor.dims:
                at = self.row(n)
                if at is not None:
                    return at
            for b in n.bodies() if n.op_type == "If" else ():
                at = self.written(b)
                if at is not None:
                    return at
        return None

    def row(self, n: Record) -> int | None:
        """The c of the row that a node writes."""
        index = self.made.get(n.inputs[1])  # type: ignore[arg-type]
        if index is None or index.op_type not in ("Reshape", "Unsqueeze") or index.outputs[0].dims != (1,):
            return None
        return self.place(index.inputs[0])

    def place(self, at: Run | None) -> int | None:
        """c of a position ``i + c``."""
        if at is None or at.dims != ():
            return None
        base, more = parts(at)
        return more if base is self.body.params[0] else None

    # -- making it so --------------------------------------------------------------------------------------------------

    def change(self, before: list[Record], behind: list[Record]) -> None:
        """Rewrite the loop."""
        r, k, body, tensor = self.loop, self.k, self.body, self.tensor
        assert self.start is not None
        assert tensor.dims is not None
        self.dims: tuple[Dim, ...] = tensor.dims[1:]
        self.front: list[Record] = []
        self.first: Run | None = None
        self.last = self.new("last", self.dims)
        states = self.rewrite(body, {tensor: None})
        row = states[body.outputs[1 + k].root]
        row = self.at_first() if row is None else row
        body.nodes[:0] = self.front
        result = r.outputs[k]
        count = len(body.params) - 2
        scan = self.new("rows", (None, *self.dims))
        if self.lagging:
            body.params[2 + k], body.outputs[1 + k] = self.last, row
            r.inputs[2 + k] = self.before_first(before)
            r.outputs[k] = self.new("last", self.dims)
        else:
            for items, at in ((body.params, 2 + k), (body.outputs, 1 + k), (r.inputs, 2 + k), (r.outputs, k)):
                del items[at]
            count -= 1
        body.outputs.append(row)
        r.outputs.append(scan)
        self.together(scan, result, behind)

    def new(self, name: str, dims: tuple[Dim, ...]) -> Run:
        return Run(self.tensor.dtype, dims, f"{self.loop.outputs[0].hint}/{name}")

    def op(self, to: list[Record], kind: str, inputs: list[Run | None], out: Run, **attributes: object) -> Run:
        to.append(Record(kind, "", inputs, [out], attributes, self.loop.origin))
        return out

    def ints(self, to: list[Record], values: list[int] | int) -> Run:
        array = np.array(values, np.int64)
        out = Run(INT64, array.shape, f"{self.loop.outputs[0].hint}/Constant")
        return self.op(to, "Constant", [], out, value=array)

    def number(self, name: str, dims: tuple[Dim, ...]) -> Run:
        return Run(INT64, dims, f"{self.loop.outputs[0].hint}/{name}")

    def at_first(self) -> Run:
        """The row as it was before the loop."""
        if self.first is None:
            at = self.body.params[0]
            if self.offset:
                at = self.op(self.front, "Add", [at, self.ints(self.front, self.offset)], self.number("Add", ()))
            self.first = self.op(self.front, "Gather", [self.start, at], self.new("Gather", self.dims), axis=0)
        return self.first

    def held(self, state: Run | None) -> Run:
        """The row of a state."""
        return self.at_first() if state is None else state

    def rewrite(self, body: Body, states: dict[Run, Run | None]) -> dict[Run, Run | None]:
        """Rows for the tensor in a graph; the row that each state has (None: that from before the loop)."""
        states, kept = dict(states), []
        for n in body.nodes:
            if n.op_type == "If" and not n.domain:
                self.choice(n, states)
            elif not n.bodies() and n.inputs and n.inputs[0] in states:
                if n.op_type == "ScatterND":
                    states[n.outputs[0]] = n.inputs[2]
                else:
                    own = self.place(n.inputs[1]) == self.offset
                    n.outputs[0].same_as = self.held(states[n.inputs[0]]).root if own else self.last
                continue
            kept.append(n)
        body.nodes = kept
        return states

    def choice(self, n: Record, states: dict[Run, Run | None]) -> None:
        """A branch: its results are rows."""
        then, other = n.bodies()
        a, b = self.rewrite(then, states), self.rewrite(other, states)
        for j, o in enumerate(n.outputs):
            x, y = then.outputs[j].root, other.outputs[j].root
            if x in a and y in b:
                states[o] = n.outputs[j] = self.new("row", self.dims)
                then.outputs[j], other.outputs[j] = self.held(a[x]), self.held(b[y])

    def before_first(self, before: list[Record]) -> Run:
        """The row that the first iteration reads as the one before its own, whether it is there or not: there may be no iteration."""
        start, at = self.start, (self.offset or 1) - 1
        assert start is not None
        size = start.dims[0] if start.dims else None
        if not isinstance(size, int) or size <= at:
            shape = self.ints(before, [at + 1])
            if self.dims:
                rest = self.op(before, "Shape", [start], self.number("Shape", (len(self.dims),)), start=1)
                shape = self.op(before, "Concat", [shape, rest], self.number("Concat", (1 + len(self.dims),)), axis=0)
            zero = np.zeros(1, start.dtype.numpy)
            blank = self.op(before, "ConstantOfShape", [shape], self.new("blank", (at + 1, *self.dims)), value=zero)
            start = self.op(before, "Concat", [start, blank], self.new("Concat", (None, *self.dims)), axis=0)
        return self.op(before, "Gather", [start, self.ints(before, at)], self.new("Gather", self.dims), axis=0)

    def together(self, scan: Run, result: Run, to: list[Record]) -> None:
        """The tensor after the loop."""
        start, c = self.start, self.offset
        assert start is not None
        assert start.dims is not None
        fixed = all(isinstance(d, int) for d in self.dims)
        if self.covers(start.dims[0]):
            if fixed:
                result.same_as = scan
                return
            shape = self.op(to, "Shape", [start], self.number("Shape", (len(start.dims),)))
            self.op(to, "Reshape", [scan, shape], result, allowzero=1)
            return
        count = self.op(to, "Shape", [scan], self.number("Shape", (1,)), start=0, end=1)
        updates = scan
        if not fixed:  # without an iteration onnxruntime makes all free dims 0
            rest = self.op(to, "Shape", [start], self.number("Shape", (len(self.dims),)), start=1)
            shape = self.op(to, "Concat", [count, rest], self.number("Concat", (len(start.dims),)), axis=0)
            updates = self.op(to, "Reshape", [scan, shape], self.new("Reshape", (None, *self.dims)), allowzero=1)
        end = self.op(to, "Squeeze", [count, self.ints(to, [0])], self.number("Squeeze", ()))
        if c:
            end = self.op(to, "Add", [end, self.ints(to, c)], self.number("Add", ()))
        places = self.op(to, "Range", [self.ints(to, c or 0), end, self.ints(to, 1)], self.number("Range", (None,)))
        index = self.op(to, "Unsqueeze", [places, self.ints(to, [1])], self.number("Unsqueeze", (None, 1)))
        self.op(to, "ScatterND", [start, index, updates], result)

    def covers(self, size: Dim) -> bool:
        """Whether the loop writes every row."""
        r, body = self.loop, self.body
        if self.offset or r.inputs[1] is not None or body.outputs[0].root is not body.params[1]:
            return False
        below = body.params[0].below
        return below is not None and size is not None and (below == (size, 0) or below == (None, size))


def _reads(body: Body, values: set[Run]) -> bool:
    for r in body.nodes:
        if any(i in values for i in r.inputs) or any(_reads(b, values) for b in r.bodies()):
            return True
    return any(o.root in values for o in body.outputs)
