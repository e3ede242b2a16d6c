"""``If`` nodes that decide little: results that do not depend on the branch, branches that cost less than the choice, and several
``If`` nodes of one condition."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bridge.exporters.onnx.hoist import cannot_fail, is_small
from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import BOOL, Run

__all__ = ["fuse", "merged_with_condition"]

#: What an ``If`` costs beside its branches, in nodes (measured in a loop).
_COST = 2
_CHOSEN = {"float32", "float64", "int32", "int64"}


def merged_with_condition(r: Record) -> list[Record]:
    """The nodes that an ``If`` becomes: itself, with the results that need it, or what needs no choice."""
    then, other = r.bodies()
    front: list[Record] = []
    opposite: list[Run] = []
    for k, o in enumerate(r.outputs):
        same = _without_choice(r, then.outputs[k].root, other.outputs[k].root, front, opposite)
        if same is not None:
            o.same_as = same
    keep = [k for k, o in enumerate(r.outputs) if o.same_as is None]
    for b in (then, other):
        b.outputs = [b.outputs[k] for k in keep]
    r.outputs = [r.outputs[k] for k in keep]
    if not keep:
        return front
    return front + (_computed_both(r) or [r])


def _without_choice(r: Record, a: Run, b: Run, front: list[Record], opposite: list[Run]) -> Run | None:
    """A value outside of the branches that the result is, whichever is taken."""
    if a is b:
        return a
    then, other = r.bodies()
    x, y = _constant(then, a), _constant(other, b)
    if x is not None and y is not None:
        u, v = x.attributes["value"], y.attributes["value"]
        if u.dtype == v.dtype and u.shape == v.shape and u.tobytes() == v.tobytes():
            # Of the two the one that is looked at: what stands for both must not count as a blank.
            body, kept, value = (other, y, b) if a.blank else (then, x, a)
            body.nodes.remove(kept)
            front.append(kept)
            return value
        if u.dtype == np.bool_ and u.shape == v.shape == () and r.inputs[0] is not None and r.inputs[0].dims == ():
            return r.inputs[0] if u else _negated(r, front, opposite)
    if a.blank and b not in _made(other):
        return b
    if b.blank and a not in _made(then):
        return a
    return None


def _negated(r: Record, front: list[Record], opposite: list[Run]) -> Run:
    """The condition's opposite, made once."""
    if not opposite:
        condition = r.inputs[0]
        assert condition is not None
        opposite.append(Run(BOOL, (), f"{r.outputs[0].hint}/Not"))
        front.append(Record("Not", "", [condition], [opposite[0]], {}, r.origin))
    return opposite[0]


def _constant(body: Body, v: Run) -> Record | None:
    for r in body.nodes:
        if v in r.outputs:
            return r if r.op_type == "Constant" and isinstance(r.attributes.get("value"), np.ndarray) else None
    return None


def _made(body: Body) -> set[Run]:
    return {o for r in body.nodes for o in r.outputs}


# -- Both branches instead of a choice ------------------------------------------------------------------------------------


def _computed_both(r: Record) -> list[Record] | None:
    """Both branches and a choice of each result, where that is cheaper; None where it is not, or where a branch may fail."""
    bodies = r.bodies()
    if r.inputs[0] is None or r.inputs[0].dims != ():
        return None
    for b in bodies:
        constants = {n.outputs[0]: n for n in b.nodes if n.op_type == "Constant" and not n.domain}
        if not all(n.op_type == "Constant" or (cannot_fail(n, constants) and is_small(n)) for n in b.nodes):
            return None
    work = [sum(n.op_type != "Constant" for n in b.nodes) for b in bodies]
    inside = [_made(b) for b in bodies]
    copies = [sum(o.root not in m for o in b.outputs) for b, m in zip(bodies, inside, strict=True)]
    chosen: list[Record] = []
    opposite: list[Run] = []
    extra: list[Record] = []
    for k, o in enumerate(r.outputs):
        choice = _choice(r, o, bodies[0].outputs[k].root, bodies[1].outputs[k].root, extra, opposite)
        if choice is None:
            return None
        chosen.append(choice)
    needed = [c for c in chosen if c.op_type != "Identity"]
    if len(needed) + len(extra) + sum(work) > _COST + max(w + c for w, c in zip(work, copies, strict=True)):
        return None
    for c in chosen:
        if c.op_type == "Identity":
            c.outputs[0].same_as = c.inputs[0]
    return [*bodies[0].nodes, *bodies[1].nodes, *extra, *needed]


def _choice(r: Record, o: Run, a: Run, b: Run, extra: list[Record], opposite: list[Run]) -> Record | None:
    """The node that chooses a result."""
    condition = r.inputs[0]
    assert condition is not None
    if a.blank or b.blank:
        return Record("Identity", "", [b if a.blank else a], [o], {}, r.origin)
    if o.is_list or not (_small(a) and _small(b)) or a.dims != b.dims:
        return None
    if o.dtype is not BOOL:
        return Record("Where", "", [condition, a, b], [o], {}, r.origin) if o.dtype.name in _CHOSEN else None
    for this, that, flip in ((a, b, False), (b, a, True)):
        known = _bool_constant(r.bodies()[int(flip)], this)
        if known is None or o.dims != ():
            continue
        # (True, x): c or x; (False, x): not c and x; (x, True): not c or x; (x, False): c and x.
        if known is not flip:
            first: Run = condition
        else:
            first = _negated(r, extra, opposite)
        return Record("Or" if known else "And", "", [first, that], [o], {}, r.origin)
    return None


def _bool_constant(body: Body, v: Run) -> bool | None:
    found = _constant(body, v)
    return bool(found.attributes["value"]) if found is not None and v.dims == () else None


def _small(v: Run) -> bool:
    return v.dims is not None and all(isinstance(d, int) for d in v.dims) and int(np.prod(v.dims)) <= 256  # type: ignore[arg-type]


# -- Several of one condition ------------------------------------------------------------------------------------------------


def fuse(nodes: list[Record]) -> list[Record]:
    """One ``If`` for those that have one condition, where nothing between them needs the first."""
    found: list[Record | None] = []
    last: dict[Run, int] = {}
    for r in nodes:
        if r.op_type == "If" and not r.domain and r.inputs[0] is not None:
            condition = r.inputs[0]
            at = last.get(condition)
            first = found[at] if at is not None else None
            if at is not None and first is not None and not _reads(found[at + 1 :], set(first.outputs)):
                found[at] = None
                r = _joined(first, r)
            last[condition] = len(found)
        found.append(r)
    return [r for r in found if r is not None]


def _reads(nodes: list[Record | None], values: set[Run]) -> bool:
    for r in nodes:
        if r is None:
            continue
        if any(i in values for i in r.inputs):
            return True
        if any(_body_reads(b, values) for b in r.bodies()):
            return True
    return False


def _body_reads(body: Body, values: set[Run]) -> bool:
    return any(o.root in values for o in body.outputs) or _reads(list(body.nodes), values)


def _joined(first: Record, second: Record) -> Record:
    """The first ``If`` with the branches of the second behind its own."""
    for mine, more in zip(first.bodies(), second.bodies(), strict=True):
        inner = {o: v.root for o, v in zip(first.outputs, mine.outputs, strict=True)}
        replace(more, inner)
        mine.nodes += more.nodes
        mine.outputs += more.outputs
    first.outputs += second.outputs
    return first


def replace(body: Body, values: Mapping[Run, Run]) -> None:
    """Read other values in a body and what is nested in it."""
    for r in body.nodes:
        r.inputs = [None if i is None else values.get(i.root, i.root) for i in r.inputs]
        for b in r.bodies():
            replace(b, values)
    body.outputs = [values.get(o.root, o) for o in body.outputs]
