"""Attributes of modules that the program assigns: tensors, ints, floats and truth values become inputs with their values at export
as defaults, and outputs with their new values, as tensors that are written to in place do.

An assigned attribute is a :class:`Cell` with one entry, so that branches and loops join it as they join objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.exporters.onnx.inputs import array_of
from bridge.exporters.onnx.merge import as_maybe
from bridge.exporters.onnx.report import Entry, ExportError
from bridge.exporters.onnx.same_tensor import earlier
from bridge.exporters.onnx.values import (
    Abstract,
    Cell,
    Maybe,
    Run,
    Unset,
    is_run,
    merge_dims,
    number_dtype_of,
    number_kind,
    runtime_type,
)
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, ScriptObject
from bridge.ir.dtypes import by_numpy
from bridge.ir.graph import Node, Value

if TYPE_CHECKING:
    from bridge.exporters.onnx.machine import Machine

__all__ = ["Slot", "Slots", "assigned_attributes", "is_assigned"]


class Slot:
    """One assigned attribute: its path, what holds its value while lowering, and the value before: an input, a tuple of them, or
    what may be None with an input that says whether it is."""

    __slots__ = ("before", "cell", "name", "path")

    def __init__(self, path: str, name: str, cell: Cell, before: Abstract) -> None:
        self.path, self.name, self.cell, self.before = path, name, cell, before

    def value(self, m: Machine) -> Abstract:
        """What it is now."""
        return m.latest(m.heap[self.cell][self.name])


class Slots:
    """The assigned attributes of a program, by object and name."""

    def __init__(self) -> None:
        self.found: dict[tuple[int, str], Slot] = {}
        self.holders: set[int] = set()  # objects that have one, or a module in them has
        self.loose: dict[
            str, Any
        ] = {}  # by path, sizes that turned out not to stay, and what a value that may be None is
        self.initial: dict[str, Any] = {}  # the values at export of the inputs that are no attribute themselves

    def open(self, m: Machine, owner: ScriptObject, function: Function) -> None:
        """Make the slots of all that the entry may assign."""
        for way, name in assigned_attributes(function, owner):
            (path, o), key = way[-1], (id(way[-1][1]), name)
            full = f"{path}.{name}" if path else name
            value = o.attributes.get(name)
            if key in self.found or not (value is None or isinstance(value, tuple) or self._kind(value) is not None):
                continue
            if isinstance(value, tuple) and not all(self._kind(x) is not None for x in value):
                continue
            before = self._before(full, value, o)
            self.holders.update(id(holder) for _, holder in way)
            m.parameters.update(_leaves(before))
            self.found[key] = Slot(full, name, m.new_cell(o.type, {name: before}), before)

    def _before(self, path: str, value: Any, o: ScriptObject) -> Abstract:
        """The inputs for a value; None where it is None and nothing else is known yet."""
        inside = self.loose.get(path)
        if isinstance(inside, Optionally):
            flag = f"{path}_present"
            while flag.rpartition(".")[2] in o.attributes:
                flag += "_"
            self.initial[flag] = np.array(value is not None)
            return Maybe(self._input(flag, self.initial[flag], T.BOOL), self._inputs(path, value, inside.form, True))
        if value is None:
            return None
        return self._inputs(path, value, value, False)

    def _inputs(self, path: str, value: Any, form: Any, optional: bool) -> Abstract:
        if isinstance(form, tuple):
            values = value if isinstance(value, tuple) else (None,) * len(form)
            parts = enumerate(zip(values, form, strict=True))
            return tuple(self._inputs(f"{path}.{i}", v, f, True) for i, (v, f) in parts)
        if not optional:
            return self._input(path, value, number_kind(value))
        if isinstance(form, Run):
            dims = tuple(d if isinstance(d, int) else 0 for d in form.dims or ())
            self.initial[path] = np.zeros(dims, form.dtype.numpy) if value is None else array_of(value)
            self.loose.setdefault(path + "#", form.dims)
            return self._input(path, self.initial[path], form.number, self.loose[path + "#"])
        number = number_kind(form)
        self.initial[path] = np.asarray(form) if number is not None else array_of(form)
        return self._input(path, self.initial[path], number)

    def _kind(self, value: Any) -> Any:
        number = number_kind(value)
        if number is not None:
            return number_dtype_of(number)
        is_tensor = hasattr(value, "__array__") and not isinstance(value, np.generic)
        return by_numpy(array_of(value).dtype) if is_tensor else None

    def _input(self, path: str, value: Any, number: T.Type | None, dims: Any = None) -> Run:
        dtype = number_dtype_of(number)
        if number is not None and dtype is not None:
            made = Run(dtype, (), path, number=number, fixed=True)
        else:
            array = array_of(value)
            made = Run(
                by_numpy(array.dtype), dims if dims is not None else self.loose.get(path, array.shape), path, fixed=True
            )
        made.joined = True
        return made

    def changed(self, m: Machine) -> dict[str, Abstract]:
        """The new values of the inputs of those that the program gives another value, by path."""
        found: dict[str, Abstract] = {}
        for s in self.found.values():
            now = s.value(m)
            if now is not s.before:
                for path, run, v in _pairs(s.before, now):
                    found[path] = run if v is None or isinstance(v, Unset) else v
        return found

    def paths(self) -> set[str]:
        """The inputs of all slots."""
        return {path for s in self.found.values() for path in _leaves(s.before)}

    def loosened(self, m: Machine) -> bool:
        """Whether the inputs must be others, because the next call gets others: of free sizes, or such that may be None.

        Raises ExportError for an attribute that becomes something else.
        """
        found = False
        for s in self.found.values():
            now = s.value(m)
            if now is s.before:
                continue
            if not isinstance(s.before, Maybe) and (s.before is None or now is None or isinstance(now, Maybe)):
                form = _form(now.value if isinstance(now, Maybe) else s.before if now is None else now)
                if form is None:
                    raise _becomes(s.path, "something else than it was")
                self.loose[s.path], found = Optionally(form), True
                continue
            if as_maybe(now) is None:
                raise _becomes(s.path, "something else than it was")
            for path, run, v in _pairs(s.before, now):
                found |= self._loosen(s.path, path, run, v)
        return found

    def _loosen(self, name: str, path: str, run: Run, now: Abstract) -> bool:
        if now is None or now is run or isinstance(now, Unset):
            return False
        if not is_run(now):
            kind = number_kind(now)
            if kind is run.number and kind is not None:
                return False
            if not isinstance(now, np.ndarray):
                raise _becomes(name, "something else than it was")
            dtype, dims = by_numpy(now.dtype), now.shape
        else:
            dtype, dims = now.dtype, now.dims
        if dtype is not run.dtype or dims is None or len(dims) != len(run.dims or ()):
            raise _becomes(name, "a tensor of another element type or another number of dimensions than it was")
        merged = merge_dims(run.dims, dims)
        if merged == run.dims:
            return False
        self.loose[path + "#" if path in self.initial else path] = merged
        return True


class Optionally:
    """What an attribute is that may be None: the form of its value."""

    __slots__ = ("form",)

    def __init__(self, form: Any) -> None:
        self.form = form


def _becomes(path: str, what: str) -> ExportError:
    return ExportError([Entry("output", f"attribute '{path}' becomes {what}")])


def _form(v: Abstract) -> Any:
    """The type of a value, as a value; None for what cannot be an input."""
    if isinstance(v, tuple):
        parts = tuple(map(_form, v))
        return None if None in parts or not parts else parts
    found = runtime_type(v) if not isinstance(v, str) else None
    if found is None or found[1] is None:
        return None
    dtype, dims, number = found
    return Run(dtype, tuple(d if isinstance(d, int) else None for d in dims or ()), number=number)


def _leaves(v: Abstract) -> dict[str, Run]:
    return {path: run for path, run, _ in _pairs(v, v)}


def _pairs(before: Abstract, now: Abstract) -> Iterator[tuple[str, Run, Abstract]]:
    """(path, input, new value) of each input of an attribute; a new value of None is one at which nobody looks."""
    if isinstance(before, Maybe):
        there = as_maybe(now)
        yield before.present.hint, before.present, None if there is None else there.present
        yield from _pairs(before.value, None if there is None else there.value)
    elif isinstance(before, tuple):
        parts = now if isinstance(now, tuple) and len(now) == len(before) else (None,) * len(before)
        for b, n in zip(before, parts, strict=True):
            yield from _pairs(b, n)
    elif isinstance(before, Run):
        yield before.hint, before, now


def assigned_attributes(
    function: Function, owner: ScriptObject
) -> Iterator[tuple[list[tuple[str, ScriptObject]], str]]:
    """(the modules on the way with their paths, attribute) of everything that a method or what it calls assigns."""
    yield from _assigned(function, [("", owner)], frozenset())


def _assigned(
    function: Function, way: list[tuple[str, ScriptObject]], running: frozenset[tuple[int, Function]]
) -> Iterator[tuple[list[tuple[str, ScriptObject]], str]]:
    key = (id(way[-1][1]), function)
    if key in running:
        return
    for n in function.graph.all_nodes():
        if n.kind == "prim::SetAttr" and is_assigned(n):
            found = _way(n.inputs[0], function.graph.inputs[0], way)
            if found is not None:
                yield found, n["name"]
        elif n.kind == "prim::CallMethod" and isinstance(n.inputs[0].type, ClassType):
            found = _way(n.inputs[0], function.graph.inputs[0], way)
            method = found[-1][1].type.find_method(n["name"]) if found is not None else None
            if found is not None and method is not None:
                yield from _assigned(method, found, running | {key})


def _way(v: Value, this: Value, way: list[tuple[str, ScriptObject]]) -> list[tuple[str, ScriptObject]] | None:
    """The modules on the way to the one that a value is; None for one that is not read from ``self``."""
    if v is this:
        return way
    if v.node.kind != "prim::GetAttr":
        return None
    outer = _way(v.node.inputs[0], this, way)
    if outer is None:
        return None
    path, o = outer[-1]
    child = o.attributes.get(v.node["name"])
    if not isinstance(child, ScriptObject) or not child.type.is_module:
        return None
    return [*outer, (f"{path}.{v.node['name']}" if path else v.node["name"], child)]


def is_assigned(n: Node) -> bool:
    """Whether a statement gives an attribute of a module another value: ``self.n += 1`` of a tensor writes to the one that it is."""
    this, v = n.inputs[0], n.inputs[1]
    if not isinstance(this.type, ClassType) or not this.type.is_module:
        return False
    while isinstance(v.type, T.TensorType):
        if v.node.kind == "prim::GetAttr":
            return not (v.node["name"] == n["name"] and _same_module(v.node.inputs[0], this))
        before = earlier(v)
        if before is None:
            return True
        v = before
    return True


def _same_module(a: Value, b: Value) -> bool:
    if a is b:
        return True
    if a.node.kind != "prim::GetAttr" or b.node.kind != "prim::GetAttr" or a.node["name"] != b.node["name"]:
        return False
    return _same_module(a.node.inputs[0], b.node.inputs[0])
