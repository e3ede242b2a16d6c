"""``Loop`` nodes that carry what does not change, or count for themselves what onnxruntime counts anyway."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bridge.exporters.onnx.ints import loop_index
from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.tidy_ifs import replace
from bridge.exporters.onnx.values import Run

__all__ = ["counted", "without_invariants"]


def without_invariants(r: Record, constants: Mapping[Run, Record]) -> None:
    """A carried value that the body hands on as it got it is the value from before the loop."""
    body = r.bodies()[0]
    made = {o: n for n in body.nodes for o in n.outputs}
    count = len(body.params) - 2
    keep = []
    for k in range(count):
        p, start, out = body.params[2 + k], r.inputs[2 + k], body.outputs[1 + k].root
        if start is not None and (out is p or _equal(constants.get(start), made.get(out))):
            p.same_as = r.outputs[k].same_as = start
        else:
            keep.append(k)
    if len(keep) < count:
        body.params = [*body.params[:2], *(body.params[2 + k] for k in keep)]
        body.outputs = [body.outputs[0], *(body.outputs[1 + k] for k in keep), *body.outputs[1 + count :]]
        r.inputs = [*r.inputs[:2], *(r.inputs[2 + k] for k in keep)]
        r.outputs = [*(r.outputs[k] for k in keep), *r.outputs[count:]]


def _equal(a: Record | None, b: Record | None) -> bool:
    """Whether two nodes are one constant."""
    if a is None or b is None or a.op_type != "Constant" or b.op_type != "Constant":
        return False
    x, y = a.attributes.get("value"), b.attributes.get("value")
    if not (isinstance(x, np.ndarray) and isinstance(y, np.ndarray)):
        return False
    return bool(x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes())


def counted(r: Record, outer: Mapping[Run, Record]) -> list[Record]:
    """A loop over a range that may end early: TorchScript writes it as a ``while`` that counts; ONNX loops do both.

    ``outer`` are the nodes before the loop by what they make. Returns what has to be before the loop now.
    """
    body = r.bodies()[0]
    made = {o: n for n in body.nodes for o in n.outputs}
    if _is_true(made.get(body.outputs[0].root)) and r.inputs[1] is None:
        body.outputs[0] = body.params[1]
    if r.inputs[0] is not None:
        return []
    found = _counter(r, body, made, outer)
    if found is None:
        return []
    k, limit, going = found
    start, constant = r.inputs[1], made.get(limit)
    if start is not None:
        before = outer.get(start)
        if before is None or before.op_type != "Greater" or before.inputs[0] is not limit:
            return []
        if not _is_zero(outer.get(before.inputs[1])):  # type: ignore[arg-type]
            return []
    elif not _is_positive(constant or outer.get(limit)):
        return []
    replace(body, {body.params[2 + k]: body.params[0]})
    r.inputs[0], r.inputs[1] = limit, None
    always = going is None or _is_true(made.get(going.root))
    body.outputs[0] = body.params[1] if always or going is None else going
    number = _number(constant or outer.get(limit))
    loop_index(body.params[0], limit if number is None else number)
    if constant is None:
        return []
    body.nodes.remove(constant)
    return [constant]


def _counter(
    r: Record, body: Body, made: Mapping[Run, Record], outer: Mapping[Run, Record]
) -> tuple[int, Run, Run | None] | None:
    """(which carried value counts from 0, what it stays below, what else must hold to go on)."""
    last = made.get(body.outputs[0].root)
    if last is None:
        return None
    tests: list[tuple[Run | None, Run | None]] = [(body.outputs[0].root, None)]
    if last.op_type == "And":
        tests = [(last.inputs[0], last.inputs[1]), (last.inputs[1], last.inputs[0])]
    for test, rest in tests:
        less = made.get(test)  # type: ignore[arg-type]
        if less is None or less.op_type != "Less":
            continue
        following, limit = less.inputs
        if limit is None or limit in body.params or (limit in made and _number(made[limit]) is None):
            continue
        added = made.get(following)  # type: ignore[arg-type]
        if added is None or added.op_type != "Add" or not _is_one(made.get(added.inputs[1])):  # type: ignore[arg-type]
            continue
        for k, p in enumerate(body.params[2:]):
            if added.inputs[0] is p and body.outputs[1 + k].root is following and _is_zero(outer.get(r.inputs[2 + k])):  # type: ignore[arg-type]
                return k, limit, rest
    return None


def _number(r: Record | None) -> int | None:
    if r is None or r.op_type != "Constant":
        return None
    value = r.attributes.get("value")
    return int(value) if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype == np.int64 else None


def _is_zero(r: Record | None) -> bool:
    return _number(r) == 0


def _is_one(r: Record | None) -> bool:
    return _number(r) == 1


def _is_positive(r: Record | None) -> bool:
    n = _number(r)
    return n is not None and n > 0


def _is_true(r: Record | None) -> bool:
    if r is None or r.op_type != "Constant":
        return False
    value = r.attributes.get("value")
    return isinstance(value, np.ndarray) and value.dtype == np.bool_ and value.ndim == 0 and bool(value)
