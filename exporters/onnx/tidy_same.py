"""What is computed twice, in one graph or in a graph around it, and chains of nodes that one node or none stands for.

onnxruntime shares equal nodes of one graph only: what a branch or the body of a loop computes again, it computes again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from bridge.exporters.onnx.magnitudes import magnitude
from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import Run

__all__ = ["share"]

#: Operators that give something else every time.
_RANDOM = {
    "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout",
}  # fmt: skip
#: Operators whose two inputs may change places.
_EITHER_WAY = {"Add", "Mul", "And", "Or", "Xor", "Equal"}
_SHAPED = {"Reshape", "Squeeze", "Unsqueeze"}
#: What computes the shape of a Reshape that is a check (``ir/ops/_checks.py``).
_CHECKS = {"Where", "Abs", "Max"}
_LARGE = 64
_REST = 2**62


def share(body: Body, exact: bool) -> None:
    """Let equal nodes be one, and shorten chains. ``exact``: the opset is new enough for operators on ints (13 and above)."""
    _Sharing(exact).visit(body)


class _Sharing:
    """``made`` are the nodes so far by what they give, ``known`` the results of nodes by what they are computed from."""

    def __init__(self, exact: bool) -> None:
        self.exact = exact
        self.made: dict[Run, Record] = {}
        self.known: dict[Any, list[Run]] = {}

    def visit(self, body: Body) -> None:
        """One graph; what it adds to ``known`` is forgotten behind it."""
        own: list[Any] = []
        kept: list[Record] = []
        for r in body.nodes:
            r.inputs = [None if i is None else i.root for i in r.inputs]
            if not r.domain:
                same = self.shorter(r)
                if same is not None:
                    r.outputs[0].same_as = same.root
                    continue
            key = self.key(r)
            found = self.known.get(key) if key is not None else None
            if found is not None:
                for o, v in zip(r.outputs, found, strict=True):
                    o.same_as = v
                continue
            if key is not None:
                self.known[key] = r.outputs
                own.append(key)
            for o in r.outputs:
                self.made[o] = r
            for b in r.bodies():
                self.visit(b)
            kept.append(r)
        body.nodes = kept
        for key in own:
            del self.known[key]

    # -- equal nodes ---------------------------------------------------------------------------------------------------

    def key(self, r: Record) -> Any:
        """What tells that two nodes give the same; None for those that are not compared."""
        if r.op_type == "Constant" or r.op_type in _RANDOM or r.callee is not None or r.bodies():
            return None
        if any(o.fixed for o in r.outputs):
            return None
        attributes = []
        for name, value in r.attributes.items():
            text = _attribute(value)
            if text is None:
                return None
            attributes.append((name, text))
        operands = list(map(self.operand, r.inputs))
        if r.op_type in _EITHER_WAY and not r.domain:
            operands.sort(key=hash)
        return r.op_type, r.domain, len(r.outputs), tuple(operands), tuple(attributes)

    def operand(self, v: Run | None) -> Any:
        """A value by identity; a small constant by what it is."""
        a = self.constant(v)
        return v if a is None or a.size > _LARGE else (a.dtype.str, a.shape, a.tobytes())

    def constant(self, v: Run | None) -> np.ndarray[Any, Any] | None:
        r = self.made.get(v) if v is not None else None
        value = r.attributes.get("value") if r is not None and r.op_type == "Constant" and not r.domain else None
        return value if isinstance(value, np.ndarray) else None

    # -- chains --------------------------------------------------------------------------------------------------------

    def shorter(self, r: Record) -> Run | None:
        """The value that a node gives, where there is one already; else the node may get other inputs, or be another one."""
        kind = r.op_type
        if kind in _SHAPED:
            return self.reshaped(r)
        if kind == "Expand":
            return self.expanded(r)
        if kind == "Slice":
            return self.sliced(r)
        if kind == "Not":
            before = self.maker(r.inputs[0])
            return before.inputs[0] if before is not None and before.op_type == "Not" else None
        if kind == "Where":
            before = self.maker(r.inputs[0])
            if before is not None and before.op_type == "Not":  # the choice by the opposite of a condition
                r.inputs = [before.inputs[0], r.inputs[2], r.inputs[1]]
        elif kind in ("ReduceMin", "ReduceMax"):
            self.of_numbers(r)
        elif kind == "Div" and r.outputs[0].dtype.kind == "i" and self.fits(r):
            return r.inputs[0]
        return None

    def fits(self, r: Record) -> bool:
        """Whether a division is the check that a float becomes an int64 (``to_int64`` of ``ir/ops/_checks.py``), and it always does."""
        v: Run | None = r.inputs[1]
        for kind in ("Cast", "LessOrEqual", "Abs"):
            before = self.maker(v)
            if before is None or before.op_type != kind:
                return False
            v = before.inputs[0]
        return magnitude(v, self.made) <= 63

    def maker(self, v: Run | None) -> Record | None:
        r = self.made.get(v) if v is not None else None
        return r if r is not None and not r.domain else None

    def reshaped(self, r: Record) -> Run | None:
        """The same elements in a shape that they had before."""
        wanted = r.outputs[0].dims
        if wanted is None or any(not isinstance(d, int) for d in wanted) or self.checks(r):
            return None
        v: Run | None = r.inputs[0]
        while v is not None:
            if v.dims == wanted and not v.is_list:
                return v
            before = self.maker(v)
            shaped = before is not None and before.op_type in _SHAPED and not self.checks(before)
            v = before.inputs[0] if before is not None and shaped else None
        return None

    def checks(self, r: Record) -> bool:
        """Whether a Reshape is there to fail: for a shape that is computed to be none where something does not hold."""
        shape = self.maker(r.inputs[1]) if r.op_type == "Reshape" else None
        return shape is not None and shape.op_type in _CHECKS

    def expanded(self, r: Record) -> Run | None:
        """A value that has the shape already."""
        v, like = r.inputs[0], self.maker(r.inputs[1])
        if v is None or like is None or like.op_type != "Shape" or like.attributes.get("start") is not None:
            return None
        shape = like.inputs[0]
        dims = v.dims
        return v if shape is not None and dims is not None and dims == shape.dims and None not in dims else None

    def sliced(self, r: Record) -> Run | None:
        """``x[:]``."""
        if len(r.inputs) < 3:
            return None
        start, end = self.constant(r.inputs[1]), self.constant(r.inputs[2])
        step = self.constant(r.inputs[4]) if len(r.inputs) > 4 else np.ones(1)
        if start is None or end is None or step is None:
            return None
        whole = not start.any() and (end >= _REST).all() and (step == 1).all()
        return r.inputs[0] if whole else None

    def of_numbers(self, r: Record) -> None:
        """The least or greatest of a few ints: without making a tensor of them."""
        joined = self.maker(r.inputs[0])
        if not self.exact or joined is None or joined.op_type != "Concat" or r.attributes.get("keepdims") != 0:
            return
        if len(r.inputs) > 1 or r.outputs[0].dtype.kind != "i" or r.outputs[0].dims != ():
            return
        numbers = [self.number(i) for i in joined.inputs]
        if all(n is not None for n in numbers):
            r.op_type, r.inputs, r.attributes = r.op_type.removeprefix("Reduce"), numbers, {}

    def number(self, v: Run | None) -> Run | None:
        """The 0-d value that a tensor of one element was made of."""
        before = self.maker(v)
        if before is None or before.op_type not in _SHAPED or before.inputs[0] is None:
            return None
        return before.inputs[0] if before.inputs[0].dims == () else None


def _attribute(value: Any) -> Any:
    """An attribute as a key."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes()) if value.size <= _LARGE else None
    if isinstance(value, bool | int | str | float):
        return repr(value)
    if isinstance(value, bytes):
        return value
    if isinstance(value, Iterable):
        return repr(list(value)) if all(isinstance(x, bool | int | float | str) for x in value) else None
    return value.SerializeToString(deterministic=True) if hasattr(value, "SerializeToString") else None
