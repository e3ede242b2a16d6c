"""What onnxruntime (1.32) gets wrong in programs with branches and loops, written so that it does not.

- A value that comes out of a cast to a wider element type and back is taken for the one that it was made of, but not where
  branches and loops read it: there it is missing. It is written as what it is.
- A condition in a branch or loop that depends on constants of the model only is decided beforehand, and the constants that the
  branch gives are missing then. Such a condition is made to depend on what is not known beforehand.
- A matrix that was transposed, times a vector, is computed with the matrix as it was, read with the other sizes. The vector is
  made a matrix of one column.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import BOOL, INT64, Run
from bridge.ir.dtypes import DType, by_name

__all__ = ["without_known_conditions", "without_round_trips", "without_turned_products"]

_FLOAT = by_name("float32")


def without_round_trips(body: Body, constants: Collection[Run]) -> None:
    """A cast back from a wider element type is the value that was cast.

    What is computed in between with ``constants`` (the tensors of the module) and the like stays: onnxruntime drops it where it
    turns out to add 0 or the like, and is kept from finding the round trip then.
    """
    _round_trips(body, set(constants))


def _round_trips(body: Body, known: set[Run]) -> None:
    made: dict[Run, Run] = {}  # by result of a cast: what was cast, through all casts to wider types
    perhaps: dict[Run, DType] = {}  # what may turn out to be such a result, and the element type that was cast
    read = {v for r in body.nodes for b in r.bodies() for v in _reads(b)}
    kept: list[Record] = []
    for r in body.nodes:
        inputs = [i.root for i in r.inputs if i is not None]
        if r.op_type == "Cast" and not r.domain:
            source, out = inputs[0], r.outputs[0]
            first = made.get(source)
            while first is not None and first in made and first.dtype is not out.dtype:
                first = made[first]
            if first is not None and first.dtype is out.dtype:
                out.same_as = first
                continue
            if _is_wider(source.dtype, out.dtype):
                made[out], perhaps[out] = source, source.dtype
            elif perhaps.get(source) is out.dtype and out in read:
                kept.append(_held(r))
        elif len(inputs) == 2 and r.op_type in _NEUTRAL and not r.domain:
            for x, y in (inputs, inputs[::-1]):
                if x in perhaps and y in known:
                    perhaps[r.outputs[0]] = perhaps[x]
        _note_known(r, known)
        for b in r.bodies():
            _round_trips(b, known)
        kept.append(r)
    body.nodes = kept


#: Operators that do nothing with 0, 1 or True on one side.
_NEUTRAL = {"Add", "Sub", "Mul", "Div"}


def _held(cast: Record) -> Record:
    """A node that does nothing and that onnxruntime does not take out, before a cast."""
    source = cast.inputs[0]
    assert source is not None
    new = source.like(f"{source.hint}/Max")
    cast.inputs[0] = new
    return Record("Max", "", [source], [new], {}, cast.origin)


def _reads(body: Body) -> Iterator[Run]:
    yield from (o.root for o in body.outputs)
    for r in body.nodes:
        yield from (i.root for i in r.inputs if i is not None)
        for b in r.bodies():
            yield from _reads(b)


def _note_known(r: Record, known: set[Run]) -> None:
    """Add what onnxruntime can compute beforehand."""
    if not r.bodies() and all(i is None or i.root in known for i in r.inputs):
        if r.op_type not in _RANDOM and r.callee is None:
            known.update(r.outputs)


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
        _note_known(r, known)
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


def without_turned_products(body: Body, given: Collection[Run]) -> None:
    """``given`` are the inputs of a function, which may be called with what was transposed."""
    _products(body, set(given))


def _products(body: Body, turned: set[Run]) -> None:
    """``turned``: what may be a transposed matrix when onnxruntime has moved transpositions and casts about."""
    kept: list[Record] = []
    for r in body.nodes:
        inner = set(turned)
        for b in r.bodies():
            _products(b, inner)
        ours = r.origin is None or not r.origin.node.kind.startswith("onnx::")  # a model's own node is what it is
        if r.op_type == "MatMul" and not r.domain and ours:
            matrix, vector = r.inputs
            assert matrix is not None
            assert vector is not None
            if matrix not in turned or matrix.rank == 1:
                kept.append(r)
                continue
            if vector.rank == 1:
                kept += _by_a_column(r, vector)
                continue
            if vector.rank is None:
                kept.append(_held(r))
        elif r.op_type == "Transpose" or r.callee is not None or _passes_on(r, turned):
            turned.update(r.outputs)
        kept.append(r)
    body.nodes = kept


def _passes_on(r: Record, turned: set[Run]) -> bool:
    return r.op_type not in _MAKES_ANOTHER and not turned.isdisjoint(r.inputs)


#: Operators whose results are not what was transposed, however it is written.
_MAKES_ANOTHER = {"MatMul", "Gemm", "Einsum", "If", "Loop", "Scan", "Shape", "Size"}


def _by_a_column(product: Record, vector: Run) -> list[Record]:
    """``Squeeze(MatMul(matrix, Unsqueeze(vector)))``"""
    out, origin = product.outputs[0], product.origin
    column, both = vector.like(f"{vector.hint}/Unsqueeze"), out.like(f"{out.hint}/MatMul")
    column.dims = None if vector.dims is None else (*vector.dims, 1)
    both.dims = None if out.dims is None else (*out.dims, 1)
    axis = Run(INT64, (1,), f"{out.hint}/Constant")
    product.inputs[1], product.outputs = column, [both]
    return [
        Record("Constant", "", [], [axis], {"value": np.asarray([-1], np.int64)}, origin),
        Record("Unsqueeze", "", [vector, axis], [column], {}, origin),
        product,
        Record("Squeeze", "", [both, axis], [out], {}, origin),
    ]
