"""Cleans up what lowering appended, so that onnxruntime has little to do in each iteration of a loop.

onnxruntime folds constants and shares equal nodes, but it takes nothing out of a loop and drops nothing in one. All passes work
on records, decide by what is there only, and keep the order and the statements of what stays: lowering a program again gives
the same nodes, which is how an import believes what is claimed of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bridge.exporters.onnx.hoist import hoist
from bridge.exporters.onnx.records import Body, Origin, Record
from bridge.exporters.onnx.tidy_ifs import fuse, merged_with_condition
from bridge.exporters.onnx.tidy_loops import counted, without_invariants
from bridge.exporters.onnx.tidy_rows import rows
from bridge.exporters.onnx.tidy_same import share
from bridge.exporters.onnx.tidy_traps import without_known_conditions, without_round_trips, without_turned_products
from bridge.exporters.onnx.tidy_unroll import unrolled
from bridge.exporters.onnx.values import Run

__all__ = ["tidy"]


def tidy(body: Body, opset: int, constants: Collection[Run]) -> None:
    """Make a graph of a program small: both the values and the results stay the same.

    ``constants`` are the tensors of the module that no caller gives.
    """
    last = _last(body)
    _with_roots(body)
    _drop(body, ())
    share(body, opset >= 13)
    if any(r.bodies() for r in body.nodes):
        for _ in range(2):
            _simplify(body, opset)
            _with_roots(body)
            _drop(body, ())
            hoist(body)
            share(body, opset >= 13)
        without_round_trips(body, constants)
    _with_roots(body)
    _drop(body, ())
    _seal(body, None, last)
    without_known_conditions(body, constants)
    without_turned_products(body, body.params)


def _with_roots(body: Body) -> None:
    """Refer to values by what carries their name."""
    for r in body.nodes:
        r.inputs = [None if i is None else i.root for i in r.inputs]
        for b in r.bodies():
            _with_roots(b)
            b.outputs = [o.root for o in b.outputs]


# -- What nothing needs -----------------------------------------------------------------------------------------------------


def _drop(body: Body, outer: Iterable[Run]) -> set[Run]:
    """Remove nodes and results of nested graphs without use; returns the values of outer bodies that are used."""
    needed = {o.root for o in body.outputs}
    needed.update(outer)
    kept: list[Record] = []
    for r in reversed(body.nodes):
        if not any(o in needed for o in r.outputs):
            continue
        if r.op_type == "If" and not r.domain:
            _drop_results(r, needed)
        elif r.op_type == "Loop" and not r.domain:
            _drop_carried(r, needed)
        for b in r.bodies():
            needed |= _drop(b, ())
        needed.update(i for i in r.inputs if i is not None)
        kept.append(r)
    body.nodes = kept[::-1]
    return needed


def _drop_results(r: Record, needed: set[Run]) -> None:
    """The results of an ``If`` that are used."""
    keep = [k for k, o in enumerate(r.outputs) if o in needed]
    if len(keep) < len(r.outputs):
        r.outputs = [r.outputs[k] for k in keep]
        for b in r.bodies():
            b.outputs = [b.outputs[k] for k in keep]


def _drop_carried(r: Record, needed: set[Run]) -> None:
    """What a ``Loop`` carries and scans that is used after it, or by what is."""
    body = r.bodies()[0]
    count = len(body.params) - 2
    results, scans = body.outputs[1 : 1 + count], body.outputs[1 + count :]
    live = {k for k in range(count) if r.outputs[k] in needed}
    scanned = [k for k in range(len(scans)) if r.outputs[count + k] in needed]
    if len(live) == count and len(scanned) == len(scans):
        return
    uses = _uses(body)
    pending = [body.outputs[0], *(results[k] for k in live), *(scans[k] for k in scanned)]
    at = {p: k for k, p in enumerate(body.params[2:])}
    seen: set[Run] = set()
    while pending:
        v = pending.pop()
        if v in seen:
            continue
        seen.add(v)
        k = at.get(v)
        if k is not None and k not in live:
            live.add(k)
            pending.append(results[k])
        pending += uses.get(v, ())
    keep = sorted(live)
    body.params = [*body.params[:2], *(body.params[2 + k] for k in keep)]
    body.outputs = [body.outputs[0], *(results[k] for k in keep), *(scans[k] for k in scanned)]
    r.inputs = [*r.inputs[:2], *(r.inputs[2 + k] for k in keep)]
    r.outputs = [*(r.outputs[k] for k in keep), *(r.outputs[count + k] for k in scanned)]


def _uses(body: Body) -> dict[Run, list[Run]]:
    """By value of a body, what it is made of."""
    found: dict[Run, list[Run]] = {}
    for r in body.nodes:
        reads = [i for i in r.inputs if i is not None]
        for b in r.bodies():
            reads += _reads(b)
        for o in r.outputs:
            found[o] = reads
    return found


def _reads(body: Body) -> list[Run]:
    found = list(body.outputs)
    for r in body.nodes:
        found += [i for i in r.inputs if i is not None]
        for b in r.bodies():
            found += _reads(b)
    return found


# -- What is there twice, or for nothing --------------------------------------------------------------------------------------


def _simplify(body: Body, opset: int) -> None:
    """Names for the same value go, and control flow that decides nothing."""
    made: list[Record] = []
    before: dict[Run, Record] = {}
    for r in body.nodes:
        r.inputs = [None if i is None else i.root for i in r.inputs]
        if r.op_type == "Identity" and not r.domain and r.inputs[0] is not None:
            r.outputs[0].same_as = r.inputs[0]
            continue
        for b in r.bodies():
            _simplify(b, opset)
        for o in r.outputs:
            before[o] = r
        if r.op_type == "Loop" and not r.domain:
            made += counted(r, before)
            without_invariants(r, before)
            if not r.outputs:  # all that it hands on was there before
                continue
            flat = unrolled(r, before)
            if flat is not None:
                made += flat
                before.update((o, n) for n in flat for o in n.outputs)
                continue
            behind = rows(r, opset, made)
            made += [r, *behind]
            before.update((o, n) for n in behind for o in n.outputs)
        elif r.op_type == "If" and not r.domain:
            made += merged_with_condition(r)
        else:
            made.append(r)
    body.nodes = fuse(made)


# -- What onnxruntime does not take ------------------------------------------------------------------------------------------


def _seal(body: Body, owner: Record | None, last: Origin | None = None) -> None:
    """Results of a graph are made in it, each by a node of its own: onnxruntime refuses a value from outside, and computes
    wrong values where a branch lists one twice. The body of a loop may hand on what it got, and one value twice; but not
    the number of the iteration, in whose place onnxruntime writes the next one. ``last`` is the statement of results in a
    graph that nothing is left in: a node without one would not lead back to the program."""
    loop = owner is not None and owner.op_type == "Loop" and not owner.domain
    inside = {o for r in body.nodes for o in r.outputs}
    if loop:
        inside.update(body.params[1:])
    taken: set[Run] = set()
    for k, o in enumerate(body.outputs):
        root = o.root
        if root not in inside or (root in taken and not loop):
            new = root.like(f"{root.hint}/Identity")
            new.dims = o.dims
            origin = owner.origin if owner is not None else _last(body) or last
            body.nodes.append(Record("Identity", "", [root], [new], {}, origin))
            body.outputs[k] = new
            inside.add(new)
            root = new
        taken.add(root)
    for r in body.nodes:
        for b in r.bodies():
            _seal(b, r)


def _last(body: Body) -> Origin | None:
    return body.nodes[-1].origin if body.nodes else None
