"""Lists that are elements of other lists or of dicts, taken out at positions that only run time knows: what is written to them is
put back, as long as no other name for one of them is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bridge.exporters.onnx import columns
from bridge.exporters.onnx.columns import element_of
from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.merge import finish_outputs, merge_content
from bridge.exporters.onnx.names import reachable
from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.same_tensor import repeated
from bridge.exporters.onnx.values import Abstract, Cell, Columns, Element, Home, Maybe, Run, leaves
from bridge.ir import types as T
from bridge.ir.classes import ClassType
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node, Value

__all__ = [
    "Homes",
    "branched",
    "element_now",
    "home_in",
    "home_in_known",
    "note_copied",
    "note_element",
    "note_put",
    "note_taken",
    "put_element",
]

#: Why a list that became part of another one is not changed under its old name.
_TWICE = "it was put into other lists more than once"
_CHANGEABLE = (T.ListType, T.DictType)


def note_put(m: Machine, node: Node, value: Value) -> None:
    """Remember that a list is put into the one that a statement changes, whose elements lose their identity: twice, where a loop
    does it again, or as an element of another list, too."""
    into = m.env[node.inputs[0]]
    for v in leaves(m.env[value]):
        if not isinstance(v, Cell):
            continue
        if v in m.frozen or repeated(node, node, value) is not None:
            m.frozen[v] = _TWICE
        elif v.home is not None and isinstance(into, Cell):
            for holder in v.home.seen:
                if holder is into:
                    m.frozen[v] = _TWICE
                else:
                    _link(m, into, holder, 0)


def note_copied(m: Machine, made: Cell, *of: Cell, start: Any = None) -> None:
    """Remember that a list has elements of others (behind position ``start``), where those can be changed."""
    if any(isinstance(t, _CHANGEABLE) for inner in made.type.contained() for t in inner.walk()):
        for cell in of:
            _link(m, made, cell, start if isinstance(start, int) else 0)


def _link(m: Machine, a: Cell, b: Cell, start: int) -> None:
    m.kin.setdefault(a, {})[b] = min(start, m.kin.get(a, {}).get(b, start))
    m.kin.setdefault(b, {})[a] = 0


def _kin(m: Machine, cell: Cell, at: Any) -> set[Cell]:
    """The other lists that may have the element of a list at a position."""
    found, todo = set[Cell](), [cell]
    while todo:
        one = todo.pop()
        for other in m.kin.get(one, ()):
            behind = m.kin[other].get(one, 0)
            if one is cell and isinstance(at, int) and 0 <= at < behind and not m.program.reorders(cell.type):
                continue
            if other is not cell and other not in found:
                found.add(other)
                todo.append(other)
    return found


def note_taken(m: Machine, found: Abstract, home: Home | None, why: str) -> None:
    """What an element that was taken out may be: changed, where there is a way back to where it was; objects of which none
    changes, and what they hold, are values."""
    if isinstance(found, Maybe):
        found = found.value
    if isinstance(found, tuple):
        for x in found:
            note_taken(m, x, None, why)
    elif isinstance(found, Cell):
        changes = not isinstance(found.type, ClassType) or m.program.changes(found.type)
        found.home = home if changes else None
        if found.home is not None:
            m.homed[found] = None
        if found.home is None:
            m.frozen[found] = why
        content = m.heap[found]
        if isinstance(content, dict) and isinstance(found.type, ClassType):
            for x in content.values():
                note_taken(m, x, None, why)


def note_element(m: Machine, found: Abstract, cell: Cell, at: Abstract) -> Abstract:
    """A tensor that was taken out of a list, with the way back."""
    if not m.program.writes or type(found) is not Run or found.number is not None or found.view is not None:
        return found
    made = found.another()
    made.joined = True
    made.view = Element(cell, at, m.heap[cell])
    return made


def element_now(m: Machine, view: Element) -> Run:
    """The tensor at a position of a list, as the list is now."""
    content = m.read(view.cell)
    if isinstance(content, tuple):
        if isinstance(view.at, int):
            return m.current(content[view.at])  # type: ignore[no-any-return]
        content = columns.form_and_value(m, element_of(view.cell), content)
    return columns.item(m, element_of(view.cell), content, view.at)  # type: ignore[no-any-return]


def put_element(m: Machine, view: Element, new: Run) -> None:
    """Write to the tensor at a position of a list."""
    content, t = m.read(view.cell), element_of(view.cell)
    if isinstance(content, tuple) and isinstance(view.at, int):
        raise LoweringError("a tensor of a list is written to that was taken out when its length was not known yet")
    if isinstance(content, tuple):
        content = columns.form_and_value(m, t, content)
    m.change(view.cell, columns.put(m, t, content, view.at, new))


class Homes:
    """The lists that were taken out of others and are what is in those, when this is made: whether they still are behind
    a branch or a loop, whose contents are new ones."""

    def __init__(self, m: Machine) -> None:
        cells = [(c, c.home) for c in m.homed if c in m.heap]
        self.seen = {c: home.seen for c, home in cells if home is not None and home.holds(m.heap)}

    def held(self, m: Machine) -> set[Cell]:
        """Those of which that is still so."""
        return {c for c in self.seen if c.home is not None and c.home.holds(m.heap)}

    def renew(self, m: Machine, cells: Iterable[Cell]) -> None:
        """Note the contents as they are now, of which it is known that they belong together."""
        for c in cells:
            if c.home is not None:
                c.home.seen = {holder: m.heap[holder] for holder in self.seen[c]}

    def reset(self) -> None:
        """What was noted when this was made."""
        for c, seen in self.seen.items():
            if c.home is not None:
                c.home.seen = seen


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
            before = m.read(cell)
            m.change(cell, branched(m, cell, test(), lambda: content, lambda before=before: before))  # type: ignore[misc]

    return Home(write, {c: m.heap[c] for c, _ in held})


def home_in(m: Machine, holder: Cell, at: Any, node: Node, part: int | None = None) -> Home:
    """Of the element at a position of a list whose length only run time knows, or (``part``) of the values of such a dict."""

    def write(content: Any) -> None:
        _refuse_other_names(m, holder, node, at if part is None else None)
        held, t = m.read(holder), element_of(holder)
        if part is not None:
            t = t.contained()[part]
        new = m.new_cell(t, content)
        parts = [held] if part is None else list(held.parts)
        parts[part or 0] = columns.put(m, t, parts[part or 0], at, new)
        m.change(holder, parts[0] if part is None else Columns(tuple(parts)))

    return Home(write, {holder: m.heap[holder]})


def _refuse_other_names(m: Machine, holder: Cell, node: Node, at: Any) -> None:
    """A list that is an element (at a position) may have been put there under a name that is still used, or more than once."""
    inside = set(holder.type.walk())
    if any(isinstance(t, ClassType) for t in inside):
        _refuse_other_objects(m, holder, node, inside)
    if any(cell in m.heap and reachable(m, cell, node) for cell in _kin(m, holder, at)):
        raise LoweringError("an element of a list is changed that another list has, too; put copies into the list")
    for cell, why in m.frozen.items():
        if cell.type in inside and (why is _TWICE or reachable(m, cell, node)):
            raise LoweringError(
                "an element of a list is changed that may have another name, or be in it twice; put copies into the list"
            )


def _refuse_other_objects(m: Machine, holder: Cell, node: Node, inside: set[T.Type]) -> None:
    """Objects lose their identity in a list: where one of them changes, none is read under another name, or in another list."""
    classes = {t for t in inside if isinstance(t, ClassType)}
    for cell in list(m.heap):
        if not isinstance(cell, Cell) or cell is holder or (cell.home is not None and holder in cell.home.seen):
            continue
        if not classes.isdisjoint(cell.type.walk()) and reachable(m, cell, node):
            raise LoweringError(
                "an object in a list is changed while another name or list may hold it too; make a new object and put that into "
                "the list"
            )
