"""Takes out of loops what is the same in every iteration, as far as it cannot fail: a loop may run no iteration at all."""

from __future__ import annotations

import numpy as np

from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import Run
from bridge.ir.types import Dim

__all__ = ["cannot_fail", "hoist", "is_small"]

#: Operators that give a result whatever their inputs hold.
_ALWAYS = {
    "Transpose", "Cast", "Neg", "Abs", "Exp", "Log", "Sqrt", "Tanh", "Sigmoid", "Relu", "Shape", "Not", "Unsqueeze", "Sin",
    "Cos", "Erf", "Floor", "Ceil", "Round", "Sign", "Reciprocal", "Identity", "Softmax", "LogSoftmax", "Flatten", "Size", "Constant",
    "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "HardSigmoid", "HardSwish", "Gelu", "Mish", "IsNaN", "IsInf", "Tan",
    "BitwiseNot", "ReduceSum", "ReduceMean",
}  # fmt: skip
#: Operators that give a result for shapes that fit each other.
_BROADCAST = {
    "Add", "Sub", "Mul", "Min", "Max", "And", "Or", "Xor", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Where",
    "Pow", "BitwiseAnd", "BitwiseOr", "BitwiseXor",
}  # fmt: skip
#: Those of them that cost next to nothing on a few elements.
_CHEAP = _BROADCAST | {
    "Cast",
    "Neg",
    "Abs",
    "Not",
    "Sign",
    "Identity",
    "Div",
    "Mod",
    "Sqrt",
    "Floor",
    "Ceil",
    "Relu",
    "Gather",
}


def hoist(body: Body) -> None:
    """Move what does not change out of the loops of a graph, from the inside out."""
    out: list[Record] = []
    for r in body.nodes:
        for b in r.bodies():
            hoist(b)
        if r.op_type == "Loop" and not r.domain:
            out += _invariant(r.bodies()[0])
        out.append(r)
    body.nodes = out


def _invariant(body: Body) -> list[Record]:
    """Take the nodes out of a loop's body whose inputs all come from outside."""
    inside = set(body.params) | {o for r in body.nodes for o in r.outputs}
    constants = {r.outputs[0]: r for r in body.nodes if r.op_type == "Constant" and not r.domain}
    moved: list[Record] = []
    taken: set[Run] = set()
    stay: list[Record] = []
    for r in body.nodes:
        fixed = all(i is None or i not in inside or i in constants for i in r.inputs)
        if r.op_type == "Constant" or not fixed or not cannot_fail(r, constants):
            stay.append(r)
            continue
        for i in r.inputs:
            if i in constants and i not in taken:
                taken.add(i)
                moved.append(constants[i])
        moved.append(r)
        inside -= set(r.outputs)
    body.nodes = [r for r in stay if r.outputs[0] not in taken or not r.outputs]
    return moved


def is_small(r: Record) -> bool:
    """Whether a node is cheap: a simple operator, on a few elements."""
    return r.op_type in _CHEAP and not r.domain and all(_few(o.dims) for o in r.outputs)


def _few(dims: tuple[Dim, ...] | None) -> bool:
    return dims is not None and all(isinstance(d, int) for d in dims) and int(np.prod(dims)) <= 256  # type: ignore[arg-type]


def cannot_fail(r: Record, constants: dict[Run, Record] | None = None) -> bool:
    """Whether a node gives a result for every value of its inputs."""
    if r.domain or r.bodies():
        return False
    kind = r.op_type
    if kind in _ALWAYS:
        return True
    dims = [i.dims for i in r.inputs if i is not None]
    if kind in _BROADCAST:
        return _fit(dims)
    if kind == "Div" and r.outputs[0].dtype.kind == "f":
        return _fit(dims)
    if kind in ("Div", "Mod"):
        return _fit(dims) and _is_positive(r.inputs[1], constants)
    if kind == "MatMul":
        return _multiply(*dims)
    if kind == "Gather":
        return _in_bounds(r)
    if kind == "Concat":
        return len(dims) > 0 and all(d is not None and len(d) == 1 for d in dims)
    if kind in ("Reshape", "Squeeze"):
        return _one_element(r)
    return False


def _is_positive(v: Run | None, constants: dict[Run, Record] | None) -> bool:
    """Whether a divisor is known, and not one by which ints cannot be divided."""
    made = (constants or {}).get(v) if v is not None else None
    value = made.attributes.get("value") if made is not None else None
    return isinstance(value, np.ndarray) and bool((value > 0).all())


def _fit(dims: list[tuple[Dim, ...] | None]) -> bool:
    """Whether shapes can be broadcast, as far as their names tell."""
    known = [d for d in dims if d is not None]
    if len(known) < len(dims):
        return False
    wide = [d for d in known if d and any(n != 1 for n in d)]
    return all(d == wide[0] and None not in d for d in wide)


def _multiply(a: tuple[Dim, ...] | None, b: tuple[Dim, ...] | None) -> bool:
    return a is not None and b is not None and len(a) >= 1 and len(b) == 2 and a[-1] == b[0] and a[-1] is not None


def _in_bounds(r: Record) -> bool:
    """Whether a position is known to be there: the index of a loop over just that dimension."""
    data, index = r.inputs[:2]
    if data is None or index is None or not data.dims or index.dims != ():
        return False
    size = data.dims[int(r.attributes.get("axis", 0))]
    if index.least is None or index.least < 0 or index.below is None:
        return False
    name, more = index.below
    if isinstance(size, int):
        return name is None and more <= size
    return size is not None and name == size and more <= 0


def _one_element(r: Record) -> bool:
    """Whether a node gives another shape to a single element."""
    shapes = [r.inputs[0].dims if r.inputs[0] is not None else None, r.outputs[0].dims]
    return all(d is not None and all(n == 1 for n in d) for d in shapes)
