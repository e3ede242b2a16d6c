"""Cleans up what lowering appended: nodes that nothing needs, and work in loops that is the same in every iteration."""

from __future__ import annotations

from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import Run

__all__ = ["tidy"]

#: Operators that may run before the loop instead of in it: they cannot fail, whatever their inputs hold.
_HOISTED = {
    "Transpose", "Cast", "Neg", "Abs", "Exp", "Log", "Sqrt", "Tanh", "Sigmoid", "Relu", "Shape", "Not", "Unsqueeze", "Sin",
    "Cos", "Erf", "Floor", "Ceil", "Round", "Sign", "Reciprocal", "Identity", "Softmax", "Flatten", "Size", "Constant",
}  # fmt: skip


def tidy(body: Body, opset: int) -> None:
    """Hoist what does not change out of loops, then drop what is not used. Both keep the order of what stays."""
    _hoist(body)
    _drop(body, set())


def _drop(body: Body, outer: set[Run]) -> set[Run]:
    """Remove nodes without use; returns the values of outer bodies that are used."""
    needed = set(body.outputs) | outer
    kept: list[Record] = []
    for r in reversed(body.nodes):
        if not any(o in needed for o in r.outputs):
            continue
        for b in r.bodies():
            needed |= _drop(b, set())
        needed.update(i for i in r.inputs if i is not None)
        kept.append(r)
    body.nodes = kept[::-1]
    return needed


def _hoist(body: Body) -> None:
    out: list[Record] = []
    for r in body.nodes:
        for b in r.bodies():
            _hoist(b)
        if r.op_type == "Loop" and not r.domain:
            out += _invariant(next(iter(r.bodies())))
        out.append(r)
    body.nodes = out


def _invariant(body: Body) -> list[Record]:
    """Take the nodes out of a loop's body whose inputs all come from outside."""
    inside = set(body.params) | {o for r in body.nodes for o in r.outputs}
    moved: list[Record] = []
    constants: dict[Run, Record] = {}
    stay: list[Record] = []
    results = set(body.outputs)
    for r in body.nodes:
        fixed = all(i is None or i not in inside or i in constants for i in r.inputs)
        if r.op_type == "Constant" and not r.domain:
            constants[r.outputs[0]] = r
        elif fixed and not r.domain and r.op_type in _HOISTED and not results & set(r.outputs):
            for i in r.inputs:
                if i in constants and constants[i] not in moved:
                    moved.append(constants[i])
            moved.append(r)
            inside -= set(r.outputs)
            continue
        stay.append(r)
    taken = set(map(id, moved))
    body.nodes = [r for r in stay if id(r) not in taken]
    if not any(r.op_type != "Constant" for r in moved):
        body.nodes = stay
        return []
    return moved
