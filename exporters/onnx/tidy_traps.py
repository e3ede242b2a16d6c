"""What onnxruntime (1.32) gets wrong in programs with branches and loops, written so that it does not.

- A value that comes out of a cast to a wider element type and back is taken for the one that it was made of, but not where
  branches and loops read it: there it is missing. It is written as what it is.
- A condition in a branch or loop that depends on constants of the model only is decided beforehand, and the constants that the
  branch gives are missing then. Such a condition is made to depend on what is not known beforehand.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import BOOL, Run
from bridge.ir.dtypes import DType, by_name

__all__ = ["without_known_conditions", "without_round_trips"]

_FLOAT = by_name("float32")


def without_round_trips(body: Body) -> None:
    """A cast back from a wider element type is the value that was cast."""
    made: dict[Run, Run] = {}  # by result of a cast: what was cast, through all casts to wider types
    kept: list[Record] = []
    for r in body.nodes:
        if r.op_type == "Cast" and not r.domain and r.inputs[0] is not None:
            source = r.inputs[0].root
            first = made.get(source)
            while first is not None and first in made and first.dtype is not r.outputs[0].dtype:
                first = made[first]
            if first is not None and first.dtype is r.outputs[0].dtype:
                r.outputs[0].same_as = first
                continue
            if _is_wider(source.dtype, r.outputs[0].dtype):
                made[r.outputs[0]] = source
        for b in r.bodies():
            without_round_trips(b)
        kept.append(r)
    body.nodes = kept


def _is_wider(a: DType, b: DType) -> bool:
    """Whether every value of one element type is one of the other; int64 is not all in float64, whatever NumPy calls safe."""
    if a.name in ("int64", "uint64") and b.numpy.kind != a.numpy.kind:
        return False
    return a.numpy.kind in "biuf" and b.numpy.kind in "iuf" and np.can_cast(a.numpy, b.numpy, "safe")


def without_known_conditions(body: Body, constants: Collection[Run]) -> None:
    """``constants`` are the tensors of the module that no caller gives."""
    _conditions(body, set(constants), body)


def _conditions(body: Body, known: set[Run], outermost: Body) -> None:
    kept: list[Record] = []
    for r in body.nodes:
        if r.op_type == "If" and not r.domain and body is not outermost and r.inputs[0] in known:
            kept += _undecided(r)
        kept.append(r)
        if not r.bodies():
            if all(i is None or i.root in known for i in r.inputs) and r.op_type not in _RANDOM and r.callee is None:
                known.update(r.outputs)
        for b in r.bodies():
            _conditions(b, known, outermost)
    body.nodes = kept


_RANDOM = {"RandomUniform", "RandomNormal"}


def _undecided(r: Record) -> list[Record]:
    """Give an ``If`` a condition that is the same, by an operator that is never computed beforehand: random numbers."""
    test = r.inputs[0]
    assert test is not None
    hint = f"{r.outputs[0].hint}/condition" if r.outputs else "condition"
    number, limit, true, both = Run(_FLOAT, (), hint), Run(_FLOAT, (), hint), Run(BOOL, (), hint), test.like(hint)
    limit_value = np.asarray(2, np.float32)
    r.inputs[0] = both
    return [
        Record("RandomUniform", "", [], [number], {"shape": [], "high": 1.0, "low": 0.0}, r.origin),
        Record("Constant", "", [], [limit], {"value": limit_value}, r.origin),
        Record("Less", "", [number, limit], [true], {}, r.origin),
        Record("And", "", [test, true], [both], {}, r.origin),
    ]
