"""In-place operators as data flow.

A tensor that is written to gets a new ONNX value; every name that stands for it, or for a view of it, is read through
:func:`present` from then on. A write into a view is written back into what it is a view of (``view_writes``). Where it is
not provable what shares memory with what, the write is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bridge.exporters.onnx.elements import element_now, put_element
from bridge.exporters.onnx.hierarchy import all_tensors
from bridge.exporters.onnx.inputs import array_of
from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.merge import finish_outputs
from bridge.exporters.onnx.overlaps import without_overlap
from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import Abstract, Cell, Choice, Element, Run, RunList, View, merge_dims
from bridge.exporters.onnx.view_writes import through_positions, writer_of, written
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node
from bridge.ir.ops._checks import one_for_one
from bridge.ir.passes.aliases import MAY_BE_ARGUMENT
from bridge.ir.registry import Operator

__all__ = ["choice", "lower_mutable", "may_share", "note_view", "present"]

#: Operators that may or may not give a view: strides decide, which a program for free sizes does not know. Their results are
#: tensors of their own here; ``sharing.py`` refuses programs in which that makes a difference.
MAYBE = {
    "aten::reshape", "aten::contiguous", "aten::flatten", "aten::reshape_as", "aten::ravel", "aten::sum_to_size",
}  # fmt: skip
#: Views in which elements may have the same place, or another type.
_OVERLAPS = {"aten::expand", "aten::expand_as", "aten::broadcast_to", "aten::unfold", "aten::view", "aten::as_strided"}
#: Operators that give the tensor itself where it has the element type already, and a new one otherwise.
CONVERSIONS = {
    "aten::to", "aten::type_as", "aten::float", "aten::double", "aten::int", "aten::long", "aten::half", "aten::bool", "aten::cpu",
    "aten::positive",
}  # fmt: skip
_DROPOUTS = {"aten::dropout", "aten::feature_dropout", "aten::alpha_dropout", "aten::feature_alpha_dropout"}
#: Operators that get a list of tensors and may give one of them, or a view, though their schemas do not say so.
_OF_SEVERAL = {
    "aten::einsum", "aten::broadcast_tensors", "aten::meshgrid", "aten::cartesian_prod", "aten::atleast_1d", "aten::atleast_2d",
    "aten::atleast_3d",
}  # fmt: skip
#: Operators that give a tensor another shape in place.
_RESHAPING = {
    "aten::t_", "aten::transpose_", "aten::swapaxes_", "aten::swapdims_", "aten::squeeze_", "aten::unsqueeze_", "aten::resize_",
    "aten::resize_as_", "aten::as_strided_",
}  # fmt: skip


def may_share(o: Operator) -> bool:
    """Whether results of an operator may share memory with its arguments."""
    return any(a.alias for a in o.schema.arguments) or o.schema.name in MAY_BE_ARGUMENT or o.schema.name in _OF_SEVERAL


def present(m: Machine, v: Run) -> Run:
    """The tensor as it is now. Raises LoweringError where that depends on how a view was made."""
    written = m.heap.get(v)
    if written is not None:
        return written  # type: ignore[no-any-return]
    if v.view is None or _written(m, v) == v.view.seen:
        return v
    if isinstance(v.view, Element):
        return element_now(m, v.view)
    if isinstance(v.view, Choice):
        first, second = (present(m, v.view.own if s is None else s) for s in v.view.sides)
        return _chosen(m, v.view.test, first, second)
    return v.view.reapply(present(m, v.view.base))  # type: ignore[no-any-return]


def _written(m: Machine, v: Run) -> Any:
    """The last value that was written to the memory of a tensor; None: nothing was."""
    while v.view is not None:
        if isinstance(v.view, Choice):
            return _all_written(m, v.view.sides, v.view.own)
        if isinstance(v.view, Element):
            return m.heap.get(v.view.cell)
        v = v.view.base
    return m.heap.get(v)


def _all_written(m: Machine, sides: tuple[Run | None, Run | None], own: Run) -> Any:
    return tuple(_written(m, own if s is None else s) for s in sides)


def choice(m: Machine, test: Run, sides: tuple[Run | None, Run | None], own: Run) -> Choice:
    """What a result of a branch shares its memory with: see :class:`Choice`."""
    return Choice(test, sides, own, _all_written(m, sides, own))


def _chosen(m: Machine, test: Run, a: Run, b: Run) -> Run:
    """One value or the other, of which each may have other sizes."""
    e = m.emitter
    made = Run(a.dtype, merge_dims(a.dims, b.dims), f"{e.hint}/If")
    branches = {"then_branch": Body(name="then"), "else_branch": Body(name="else")}
    for body, v in zip(branches.values(), (a, b), strict=True):
        finish_outputs(m, body, [v], [made])
    e.append(Record("If", "", [test], [made], branches, e.origin))
    return made


def note_view(m: Machine, node: Node, o: Operator, values: Sequence[Any], result: Abstract) -> None:
    """Remember that results share memory (or may) with the operator's first argument."""
    base = m.env[node.inputs[0]] if node.inputs else None
    if not isinstance(base, Run):
        if o.schema.name in _OF_SEVERAL:
            _note_any(m, node, o, result)
        return
    if o.schema.name in CONVERSIONS and _is_new(o, values, base, result):
        return
    if o.schema.name in MAYBE or (o.schema.name in _DROPOUTS and result is not base):
        return  # (in training it drops out)
    name = node.inputs[0].debug_name_base or node.inputs[0].debug_name
    single = isinstance(result, Run)

    def reapply(now: Run) -> Run:
        if not single:
            raise LoweringError(
                f"'{name}' was written to in place after {o.schema.name} made another tensor of it, which may share its "
                "memory; write to a .clone() of it",
                node.range,
            )
        again = again_of(now)
        assert isinstance(again, Run)
        return again

    def again_of(now: Run) -> Abstract:
        from bridge.exporters.onnx.operators import lower_call

        return lower_call(m, node, o, [now, *values[1:]])

    def pieces_of(v: Abstract) -> Any:
        return m.heap.get(v) if isinstance(v, Cell) else v

    base.viewed = True
    pieces = pieces_of(result)
    if isinstance(pieces, tuple):
        _note_pieces(m, o.schema.name, base, pieces, lambda now: pieces_of(again_of(now)))
        return
    if isinstance(pieces, RunList):
        pieces.view = View(base, o.schema.name, lambda now: pieces_of(again_of(now)), None, _written(m, base))
        return
    write = writer_of(o.schema.name, values) if single else None
    if write is None and single and o.schema.name not in _OVERLAPS:
        write = through_positions(reapply)
    for r in _runs(m, result):
        if r is not base and r.view is None:
            r.view = View(
                base, o.schema.name, reapply, write, _written(m, base), _row(o, base, values), _part(o, base, values)
            )


def _note_any(m: Machine, node: Node, o: Operator, result: Abstract) -> None:
    """Remember that results may be views of tensors in a list, so that nothing is written to them, and of one of them nothing
    is read once what it may be a view of was written to."""
    given = next((v for v in map(m.env.get, node.inputs) if isinstance(v, Cell)), None)
    bases = list(_runs(m, given)) if given is not None else []

    def reapply(_: Run) -> Run:
        raise LoweringError(
            f"a tensor was written to in place after {o.schema.name} made another one of it, which may share its memory; "
            "write to a .clone() of it",
            node.range,
        )

    runs = list(_runs(m, result))
    for k, r in enumerate(runs):
        base = bases[k] if len(bases) == len(runs) else bases[0] if len(bases) == 1 else None
        if base is not None and r is not base and r.view is None:
            r.view = View(base, o.schema.name, reapply, None, _written(m, base))


def _note_pieces(m: Machine, name: str, base: Run, pieces: tuple[Any, ...], again: Callable[[Run], Any]) -> None:
    """Remember that every one of several results is a view; ``again`` makes all of them."""

    def piece(k: int) -> Callable[[Run], Run]:
        return lambda now: again(now)[k]

    for k, r in enumerate(pieces):
        if r is not base and r.view is None:
            r.view = View(base, name, piece(k), through_positions(piece(k)), _written(m, base))


def _is_new(o: Operator, values: Sequence[Any], base: Run, result: Abstract) -> bool:
    """Whether a conversion makes a tensor of its own: of another element type, or because it was asked to."""
    if not isinstance(result, Run) or result.dtype is not base.dtype:
        return True
    given = dict(zip((a.name for a in o.schema.arguments), values, strict=False))
    return given.get("copy") is True


def _row(o: Operator, base: Run, values: Sequence[Any]) -> Any:
    """The position of a part of the first dimension; None for other views."""
    if o.schema.name != "aten::select" or not base.dims or not isinstance(values[1], int):
        return None
    return values[2] if values[1] % len(base.dims) == 0 else None


def _part(o: Operator, base: Run, values: Sequence[Any]) -> tuple[int, tuple[Any, ...]] | None:
    """The dimension of a slice or of what is one row or column, and which part of it."""
    if o.schema.name not in ("aten::slice", "aten::select") or not base.dims or not isinstance(values[1], int):
        return None
    return values[1] % len(base.dims), tuple(values[2:])


def _runs(m: Machine, v: Abstract) -> Iterator[Run]:
    if isinstance(v, Run):
        yield v
    elif isinstance(v, tuple):
        for x in v:
            yield from _runs(m, x)
    elif isinstance(v, Cell):
        yield from _runs(m, m.heap.get(v))


def lower_mutable(m: Machine, node: Node, o: Operator, values: Sequence[Any]) -> Abstract:
    """Lower an operator that writes to its first argument, or to ``out``."""
    from bridge.exporters.onnx.operators import lower_call

    written = [i for i, a in enumerate(o.schema.arguments) if a.writes]
    target = m.env[node.inputs[written[0]]]
    if not isinstance(target, Run) or len(written) > 1:
        raise LoweringError(f"{node.kind} writes to a value that the exported program cannot follow", node.range)
    to = node.inputs[written[0]]
    name = to.debug_name_base or to.debug_name
    if o.schema.name in _RESHAPING and (target.view is not None or target.viewed):
        raise LoweringError(
            f"'{name}' gets another shape in place ({node.kind}) and shares its memory with another tensor; make it a tensor "
            "of its own with .clone() first",
            node.range,
        )
    made = lower_call(m, node, o, values)
    if not isinstance(made, Run):
        raise LoweringError(f"{node.kind} has more than one result", node.range)
    alone = target.view is None and not target.viewed and target.root.name not in m.parameters
    if written != [0] and not alone:  # what is alone gets the shape of the result, whatever that is
        made = _shaped_like(m, node, made, present(m, target), name)
    made = without_overlap(m, node, target, [m.env.get(v) for v in node.inputs if v is not to], made)
    _write(m, node, target, made, name)
    return target


def _shaped_like(m: Machine, node: Node, made: Run, out: Run, name: str) -> Run:
    """A result that goes to memory which other tensors have, too: onnxruntime fails where it has another shape.

    (PyTorch would give ``out`` other memory then, and warn of it.)
    """
    if made.dims is None or out.dims is None or len(made.dims) != len(out.dims):
        raise LoweringError(
            f"'{name}' is what {node.kind} writes to (out=), and it is not known to have the shape of the result",
            node.range,
        )
    return one_for_one(m.emitter, made, out)  # type: ignore[no-any-return]


def _write(m: Machine, node: Node, target: Run, new: Run, name: str) -> None:
    if target.root.fixed:
        if target.root.name in m.parameters:
            _note_state(m, node, target.root.name)
        elif m.program.hosted:
            raise LoweringError(
                f"'{name}' is written to in place, but it belongs to the caller; write to a .clone() of it", node.range
            )
        else:
            message = f"what is written to '{name}' in place stays in the model: the caller's tensor does not change"
            m.program.report.note("caller's tensor", message, node.range)
    if target.view is None:
        m.heap[target] = new
        return
    if isinstance(target.view, Element):
        put_element(m, target.view, new)
        return
    if isinstance(target.view, Choice):
        _write_to_sides(m, node, target.view, new, name)
        return
    if target.view.write is None:
        raise LoweringError(
            f"'{name}' is written to in place and may share memory with another tensor "
            f"(it comes from {target.view.operator}); make it a tensor of its own with .clone() first",
            node.range,
        )
    base, at = target, list[Any]()
    while isinstance(base.view, View) and base.view.row is not None:
        at.insert(0, base.view.row)
        base = base.view.base
    if at:  # x[i][j] = new: one write into the tensor itself
        e = m.emitter
        now = present(m, base)
        whole = written(m, lambda m, b, n: e.op("ScatterND", b, e.ints(at), e.cast(n, b.dtype), dims=b.dims), now, new)
    else:
        base = target.view.base
        whole = written(m, target.view.write, present(m, base), new)
    _write(m, node, base, whole, name)


def _write_to_sides(m: Machine, node: Node, view: Choice, new: Run, name: str) -> None:
    """Write to the tensor that a result of a branch is; the other one stays what it is."""
    for k, side in enumerate(view.sides):
        if side is None:
            m.heap[view.own] = new
            continue
        now = present(m, side)
        kept = _chosen(m, view.test, *((new, now) if k == 0 else (now, new)))
        kept.dims = now.dims
        _write(m, node, side, kept, name)


def _note_state(m: Machine, node: Node, path: str) -> None:
    """A tensor of the module is written to: it becomes state. Raises LoweringError where another name has the same memory."""
    owner = m.program.owner
    assert owner is not None
    mine = array_of(owner.resolve(path))
    for other, value in all_tensors(owner):
        if other != path and np.may_share_memory(mine, array_of(value)):
            raise LoweringError(f"'{path}' is written to in place and shares its memory with '{other}'", node.range)
    message = f"'{path}' is written to: it is an input (with its value now as the default) and an output of the model"
    m.program.report.note("state", message, node.range)
