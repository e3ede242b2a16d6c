"""The forms of what a loop carries: assumed, and widened until what the body hands on fits them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.exporters.onnx.columns import Unknown, element_of, form_of, length_of, numbers_form, same_form, samples_of
from bridge.exporters.onnx.machine import Machine, Skip
from bridge.exporters.onnx.merge import as_maybe, loose_dims, may_be_keyed, same_keys
from bridge.exporters.onnx.records import Body
from bridge.exporters.onnx.scans import scans
from bridge.exporters.onnx.values import (
    Abstract,
    Cell,
    Filling,
    Growing,
    Maybe,
    Run,
    Unset,
    merge_dims,
    runtime_type,
    same_static,
)
from bridge.ir import types as T
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Block, Node
from bridge.ir.source import SourceRange

__all__ = ["Attempt", "Forms", "Grows", "Kept", "NewCell", "Same", "written_cells"]

#: What changes the length of a list, and whether it only appends.
_CHANGES = {
    "aten::append": True, "aten::extend": True, "aten::add_": True, "aten::insert": False, "aten::pop": False,
    "aten::clear": False, "aten::Delete": False, "aten::remove": False,
}  # fmt: skip


class Grows:
    """Stands for the content of a list that is only appended to."""

    __slots__ = ("token",)

    def __init__(self, token: Filling) -> None:
        self.token = token


class Kept:
    """What a list or object holds before the loop and still holds, as itself, after its body."""

    __slots__ = ("value",)

    def __init__(self, value: Run) -> None:
        self.value = value


@dataclass(slots=True)
class Same:
    """Stands for a tensor that the body hands on as it got it."""

    tensor: Run


@dataclass(slots=True)
class NewCell:
    """A carried list that is another one in every iteration, with the form of its content."""

    type: T.Type
    content: Any


@dataclass(slots=True)
class Attempt:
    """The body lowered for assumed forms of what is carried."""

    body: Body
    machine: Machine
    start: int  # when it began
    entered: list[Abstract] = field(default_factory=list)
    entered_contents: dict[Any, Any] = field(default_factory=dict)
    entered_cells: dict[Cell, Any] = field(default_factory=dict)
    results: list[Abstract] = field(default_factory=list)
    proceed: Abstract = True
    heap: dict[Any, Any] = field(default_factory=dict)
    held: set[Cell] = field(default_factory=set)  # the lists that are still what is in the lists that they are from


def written_cells(block: Block, m: Machine) -> dict[Cell, bool]:
    """The lists outside of a body that statements in it change, by name; whether they are only appended to."""
    found: dict[Cell, bool] = {}
    for n in _nodes(block):
        appends = _CHANGES.get(n.kind)
        if appends is not None and n.inputs:
            cell = m.env.get(n.inputs[0])
            if isinstance(cell, Cell) and isinstance(cell.type, T.ListType) and cell in m.heap:
                found[cell] = found.get(cell, True) and appends
    return found


def _nodes(block: Block) -> Iterator[Node]:
    for n in block.nodes:
        yield n
        for b in n.blocks:
            yield from _nodes(b)


class Forms:
    """``values`` are the assumed forms of the carried values, ``contents`` those of lists and tensors that exist outside and
    that the body writes to."""

    def __init__(self, heap: Mapping[Any, Any], initial: Sequence[Abstract], place: SourceRange | None) -> None:
        self.heap0, self.place = heap, place
        self.initial, self.values = initial, list[Any](initial)
        self.other = [False] * len(self.values)  # what was found not to stay the same tensor
        self.contents: dict[Any, Any] = {}
        self.listed: set[Any] = set()  # lists that were found to be read while they grow

    def expect(self, cells: Mapping[Cell, bool]) -> None:
        """Assume at once what is seen to be written. A list that is changed otherwise is still a filled one while nothing
        tells what it holds."""
        for cell, appends in cells.items():
            before = self.heap0[cell]
            form = None
            if not appends and not isinstance(before, Growing):
                form = self._known_form(cell, before)
            self.contents[cell] = Grows(Filling(cell)) if form is None else form

    def _known_form(self, cell: Cell, *contents: Any) -> Any:
        t = element_of(cell)
        try:
            return form_of(t, [x for c in contents for x in samples_of(t, c)])
        except Unknown:
            return None

    def give_up_filling(self) -> bool:
        """Whether a list was read that was assumed to be filled only; it is carried from now on."""
        found = False
        for cell, form in self.contents.items():
            if isinstance(form, Grows) and form.token.read:
                self.contents[cell], found = self._list_form(form.token), True
        return found

    def _list_form(self, token: Filling) -> Any:
        """The form of a list of unknown length, found from what is in it before the loop and what was appended.

        Raises Skip for a list that a loop around this one was assumed to fill only: that is lowered again.
        """
        self.listed.add(token.cell)
        before, t = self.heap0[token.cell], element_of(token.cell)
        if isinstance(before, Growing):  # of a loop around this one, which must carry it too
            before.token.read = True
            before.token.samples += token.samples
            raise Skip
        try:
            return form_of(t, [*samples_of(t, before), *token.samples])
        except Unknown:
            if not isinstance(before, tuple):
                raise
            return before  # as in the first iteration: what the body makes of that tells the type of its elements

    def widen(self, a: Attempt) -> bool:
        """Make the assumed forms true of what the body handed on; whether they were already."""
        stable = True
        for i, (form, out) in enumerate(zip(self.values, a.results, strict=True)):
            if isinstance(form, Same) and not isinstance(out, Same):
                form, self.other[i] = self.initial[i], True
            new = self._widen(form, out, a)
            if new is not self.values[i]:
                self.values[i], stable = new, False
        for key, content in a.heap.items():
            known = key in self.heap0 if isinstance(key, Cell) else a.machine.existed(key, a.start)
            if not known:
                continue
            before = a.entered_contents.get(key, self.heap0.get(key, key))
            if key not in self.contents:
                if content is not before:
                    self.contents[key], stable = self._first_form(key, before, content, a), False
                continue
            form = self.contents[key]
            new = self._widen_content(key, form, content, a)
            if new is not form:
                self.contents[key], stable = new, False
        return stable

    # -- values ----------------------------------------------------------------------------------------------------------

    def _widen(self, form: Any, out: Abstract, a: Attempt) -> Any:
        if isinstance(out, Same):
            return form if isinstance(form, Same) else out
        if isinstance(form, Kept):
            return form if out is form.value else self._widen(form.value, out, a)
        if _may_be_none(form, out):
            return self._widen_maybe(form, out, a)
        if isinstance(form, Unset) and isinstance(out, tuple):
            return tuple(self._widen(Unset(T.ANY), o, a) for o in out)
        if isinstance(form, tuple) and isinstance(out, Unset):
            return form
        if isinstance(form, tuple) and isinstance(out, tuple) and len(form) == len(out):
            return self._each(form, out, a)
        if isinstance(out, Cell):
            return self._widen_cell(form, out, a)
        if isinstance(out, Unset) or (not isinstance(form, Run) and same_static(form, out)):
            return form
        to = runtime_type(out)
        if isinstance(form, Unset) and to is None:
            return out
        of = to if isinstance(form, Unset) else runtime_type(form)
        if to is None or of is None:
            raise LoweringError(f"what the loop carries {_why_not(form, out)}", self.place)
        if of[0] is not to[0]:
            raise LoweringError(
                f"the loop carries a tensor of {of[0].name} that its body makes one of {to[0].name}", self.place
            )
        dims = merge_dims(of[1], to[1])
        if isinstance(form, Run) and form.dims == dims:
            return form
        return Run(of[0], dims, number=of[2] if of[2] == to[2] else None)

    def _held(self, form: Any, out: Abstract, a: Attempt) -> Any:
        return Kept(form) if isinstance(form, Run) and form is out else self._widen(form, out, a)

    def _each(self, form: tuple[Any, ...], out: tuple[Abstract, ...], a: Attempt) -> tuple[Any, ...]:
        parts = tuple(self._held(f, o, a) for f, o in zip(form, out, strict=True))
        return form if all(x is y for x, y in zip(parts, form, strict=True)) else parts

    def _widen_maybe(self, form: Any, out: Abstract, a: Attempt) -> Any:
        """Whether it is there, and the value: empty before there is one."""
        was, now = as_maybe(form), as_maybe(out)
        if was is None or now is None:
            raise LoweringError(f"what the loop carries {_why_not(form, out)}", self.place)
        present, value = self._widen(was.present, now.present, a), self._widen(was.value, now.value, a)
        if isinstance(form, Maybe) and present is was.present and value is was.value:
            return form
        return Maybe(present, _loose(value) if isinstance(was.value, Unset) else value)

    def _widen_cell(self, form: Any, out: Cell, a: Attempt) -> Any:
        if isinstance(form, Unset):
            content = a.heap[out]
            form = NewCell(out.type, dict.fromkeys(content, form) if isinstance(content, dict) else ())
        if isinstance(form, Cell):
            if form is out:
                return form
            if out in self.heap0 and not self._trades(a):
                raise LoweringError("which list the loop carries depends on data; carry a copy of it", self.place)
            return NewCell(form.type, self._join(out, self.heap0[form], a.heap[out], a))
        if isinstance(form, NewCell):
            content = self._join(out, form.content, a.heap[out], a)
            return form if content is form.content else NewCell(form.type, content)
        raise LoweringError("which list the loop carries depends on data", self.place)

    def _trades(self, a: Attempt) -> bool:
        """Whether the carried lists are handed on in another order, each once."""
        lists = [v for v in self.initial if isinstance(v, Cell)]
        outs = [v for v in a.results if isinstance(v, Cell)]
        return len(set(outs)) == len(outs) and all(o in lists for o in outs if o in self.heap0)

    # -- contents ----------------------------------------------------------------------------------------------------------

    def _first_form(self, key: Any, before: Any, after: Any, a: Attempt) -> Any:
        if isinstance(key, Run):
            return self._widen(before, after, a)
        same_length = before == () == after or (length_of(before) is not None and length_of(before) == length_of(after))
        if isinstance(key.type, T.ListType) and key not in self.listed and not same_length:
            return Grows(Filling(key))
        return self._join(key, before, after, a)

    def _widen_content(self, key: Any, form: Any, content: Any, a: Attempt) -> Any:
        if isinstance(key, Run):
            return self._widen(form, content, a)
        if not isinstance(form, Grows):
            return self._join(key, form, content, a)
        if isinstance(content, Growing) and content.token is form.token and scans(key, content.appended):
            return form
        if not isinstance(content, Growing):
            form.token.samples += samples_of(element_of(key), content)
        return self._list_form(form.token)

    def _join(self, cell: Cell, before: Any, after: Any, a: Attempt) -> Any:
        """The form of a list or dict that was ``before`` and is ``after``."""
        if before is after:
            return before
        if isinstance(before, dict) and isinstance(after, dict) and same_keys(cell, before, after):
            parts = {k: self._held(f, after[k], a) for k, f in before.items()}
            return before if all(parts[k] is f for k, f in before.items()) else parts
        if not may_be_keyed(cell) and (isinstance(before, dict) or isinstance(after, dict)):
            raise LoweringError("which keys a dict has depends on data", self.place)
        if isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
            return self._each(before, after, a)
        t = element_of(cell)
        form = form_of(t, [*samples_of(t, before), *samples_of(t, after)])
        if type(form) is Run:
            form = numbers_form(form, before, after)
        return before if same_form(form, before) else form


def _may_be_none(form: Any, out: Abstract) -> bool:
    """Whether one is an optional, or one is None and the other is not."""
    if isinstance(form, Unset) or isinstance(out, Unset):
        return isinstance(form, Maybe) or isinstance(out, Maybe)
    return isinstance(form, Maybe) or isinstance(out, Maybe) or (form is None) is not (out is None)


def _loose(v: Any) -> Any:
    if isinstance(v, tuple):
        return tuple(map(_loose, v))
    return Run(v.dtype, loose_dims(v.dims), number=v.number) if isinstance(v, Run) else v


def _why_not(form: Any, out: Abstract) -> str:
    if form is None or out is None:
        return "is None or not None, depending on data"
    if isinstance(form, str) or isinstance(out, str):
        return "is a string that depends on data"
    return "has no form in ONNX"
