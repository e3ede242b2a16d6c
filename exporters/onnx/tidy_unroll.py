"""``Loop`` nodes of a few iterations, whose number is known: the nodes of each iteration, one after the other.

Measured with onnxruntime 1.32, body nodes aside: a ``Loop`` takes 2 to 3 µs, and 0.7 to 1 µs for each iteration; what it scans saves 0.4 µs
of that for each value. Iterations in a row were quicker for every number of iterations (2 to 8) and nodes (1 to 10) that was tried, so
what bounds them is the size of the model.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import BOOL, INT64, Run

__all__ = ["unrolled"]

_ITERATIONS = 8
#: The most nodes that a loop may become.
_NODES = 48


def unrolled(r: Record, before: Mapping[Run, Record]) -> list[Record] | None:
    """The nodes that a loop becomes; None for one that stays. ``before`` are the nodes so far by what they make."""
    body, trip = r.bodies()[0], before.get(r.inputs[0]) if r.inputs[0] is not None else None
    value = trip.attributes.get("value") if trip is not None and trip.op_type == "Constant" else None
    if not isinstance(value, np.ndarray) or r.inputs[1] is not None or body.outputs[0].root is not body.params[1]:
        return None
    count = int(value.reshape(-1)[0])
    if not 0 < count <= _ITERATIONS or any(i is None for i in r.inputs[2:]) or any(o.is_list for o in body.outputs):
        return None
    scanned = len(body.outputs) - len(body.params) + 1
    if count * (_size(body) + scanned) > _NODES:
        return None
    return _Unrolling(r, body, count).nodes


def _size(body: Body) -> int:
    """How many nodes a graph has that do something."""
    return sum((r.op_type != "Constant") + sum(map(_size, r.bodies())) for r in body.nodes)


class _Unrolling:
    """``nodes`` are what the loop becomes; its results are named anew."""

    def __init__(self, r: Record, body: Body, count: int) -> None:
        self.loop = r
        self.nodes: list[Record] = []
        carried = len(body.params) - 2
        values = [i.root for i in r.inputs[2:] if i is not None]
        scans: list[list[Run]] = [[] for _ in r.outputs[carried:]]
        for t in range(count):
            known = dict(zip(body.params[2:], values, strict=True))
            known[body.params[0]] = self.constant(np.array(t, np.int64))
            known[body.params[1]] = self.constant(np.array(True))
            self.nodes += _copies(body.nodes, known)
            outs = [known.get(o.root, o.root) for o in body.outputs[1:]]
            values = outs[:carried]
            for found, v in zip(scans, outs[carried:], strict=True):
                found.append(v)
        for o, v in zip(r.outputs, values, strict=False):
            o.same_as = v
        for o, rows in zip(r.outputs[carried:], scans, strict=True):
            self.stack(rows, o)

    def constant(self, value: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Run:
        made = Run(BOOL if value.dtype == np.bool_ else INT64, value.shape, f"{self.loop.outputs[0].hint}/Constant")
        self.nodes.append(Record("Constant", "", [], [made], {"value": value}, self.loop.origin))
        return made

    def stack(self, rows: list[Run], out: Run) -> None:
        """What the loop scanned."""
        axis = self.constant(np.array([0], np.int64))
        parts: list[Run | None] = []
        for v in rows:
            one = v.like(f"{out.hint}/Unsqueeze")
            one.dims, one.number = None if v.dims is None else (1, *v.dims), None
            self.nodes.append(Record("Unsqueeze", "", [v, axis], [one], {}, self.loop.origin))
            parts.append(one)
        self.nodes.append(Record("Concat", "", parts, [out], {"axis": 0}, self.loop.origin))


def _copies(nodes: list[Record], known: dict[Run, Run]) -> list[Record]:
    """The nodes again, for other values; what they make is added to ``known``."""
    found = []
    for r in nodes:
        inputs = [None if i is None else known.get(i.root, i.root) for i in r.inputs]
        attributes = {k: _copy(v, known) if isinstance(v, Body) else v for k, v in r.attributes.items()}
        outputs = []
        for o in r.outputs:
            known[o] = new = o.like(o.hint)
            new.blank = o.blank
            outputs.append(new)
        found.append(Record(r.op_type, r.domain, inputs, outputs, attributes, r.origin, callee=r.callee))
    return found


def _copy(body: Body, known: Mapping[Run, Run]) -> Body:
    inner = dict(known)
    params = []
    for p in body.params:
        inner[p] = new = p.like(p.hint)
        new.named, new.least, new.below = p.named, p.least, None
        params.append(new)
    nodes = _copies(body.nodes, inner)
    return Body(params, nodes, [inner.get(o.root, o.root) for o in body.outputs], body.name)
