"""Lists that are elements of other lists or of dicts, taken out at positions that only run time knows: what is written to them is
put back, as long as no other name for one of them is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bridge.exporters.onnx import columns
from bridge.exporters.onnx.columns import element_of
from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.merge import finish_outputs, merge_content
from bridge.exporters.onnx.names import reachable
from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.same_tensor import repeated
from bridge.exporters.onnx.values import Abstract, Cell, Columns, Home, Run
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node, Value

__all__ = ["branched", "home_in", "home_in_known", "note_put"]

#: Why a list that became part of another one is not changed under its old name.
_TWICE = "it was put into other lists more than once"


def note_put(m: Machine, node: Node, value: Value) -> None:
    """Remember that a list is put into another one whose elements lose their identity: twice, where a loop does it again."""
    v = m.env[value]
    if isinstance(v, Cell) and (v in m.frozen or repeated(node, node, value) is not None):
        m.frozen[v] = _TWICE


def branched(m: Machine, cell: Cell, test: Run, then: Callable[[], Any], other: Callable[[], Any]) -> Any:
    """The content of a list that is made in one of two ways, which run time chooses."""
    e, pairs = m.emitter, []
    test = e.materialise(test)
    sides = Body(name="then"), Body(name="else")
    contents = []
    for body, make in zip(sides, (then, other), strict=True):
        with m.into(body):
            contents.append(make())

    def pair(x: Abstract, y: Abstract, merged: Run) -> Run:
        merged.hint = f"{e.hint}/If"
        pairs.append((x, y, merged))
        return merged

    made = merge_content(m, cell, contents[0], contents[1], test, sides, pair)
    kinds = [k for _, _, k in pairs]
    for at, body in enumerate(sides):
        finish_outputs(m, body, [p[at] for p in pairs], kinds)
    if kinds:
        branches = {"then_branch": sides[0], "else_branch": sides[1]}
        e.append(Record("If", "", [test], kinds, branches, e.origin))
    return made


def home_in_known(m: Machine, held: Sequence[tuple[Cell, Callable[[], Run]]]) -> Home:
    """Of one of several lists, each with the test that it is this one."""

    def write(content: Any) -> None:
        for cell, test in held:
            before = m.heap[cell]
            m.change(cell, branched(m, cell, test(), lambda: content, lambda before=before: before))  # type: ignore[misc]

    return Home(write, {c: m.heap[c] for c, _ in held})


def home_in(m: Machine, holder: Cell, at: Any, node: Node, part: int | None = None) -> Home:
    """Of the element at a position of a list whose length only run time knows, or (``part``) of the values of such a dict."""

    def write(content: Any) -> None:
        _refuse_other_names(m, holder, node)
        held, t = m.heap[holder], element_of(holder)
        if part is not None:
            t = t.contained()[part]
        new = m.new_cell(t, content)
        parts = [held] if part is None else list(held.parts)
        parts[part or 0] = columns.put(m, t, parts[part or 0], at, new)
        m.change(holder, parts[0] if part is None else Columns(tuple(parts)))

    return Home(write, {holder: m.heap[holder]})


def _refuse_other_names(m: Machine, holder: Cell, node: Node) -> None:
    """A list that is an element may have been put there under a name that is still used, or more than once."""
    inside = set(holder.type.walk())
    for cell, why in m.frozen.items():
        if cell.type in inside and (why is _TWICE or reachable(m, cell, node)):
            raise LoweringError(
                "an element of a list is changed that may have another name, or be in it twice; put copies into the list"
            )
