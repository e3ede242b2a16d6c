"""Attributes of modules that the program assigns: tensors, ints, floats and truth values become inputs with their values at export
as defaults, and outputs with their new values, as tensors that are written to in place do.

An assigned attribute is a :class:`Cell` with one entry, so that branches and loops join it as they join objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.exporters.onnx.inputs import array_of
from bridge.exporters.onnx.report import Entry, ExportError
from bridge.exporters.onnx.same_tensor import earlier
from bridge.exporters.onnx.values import Abstract, Cell, Run, is_run, merge_dims, number_dtype_of, number_kind
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, ScriptObject
from bridge.ir.dtypes import by_numpy
from bridge.ir.graph import Node, Value

if TYPE_CHECKING:
    from bridge.exporters.onnx.machine import Machine
    from bridge.ir.types import Dim

__all__ = ["Slot", "Slots", "assigned_attributes", "is_assigned"]


class Slot:
    """One assigned attribute: its path, what holds its value while lowering, and the input with the value before."""

    __slots__ = ("cell", "name", "path", "run")

    def __init__(self, path: str, name: str, cell: Cell, run: Run) -> None:
        self.path, self.name, self.cell, self.run = path, name, cell, run

    def value(self, m: Machine) -> Abstract:
        """What it is now."""
        return m.current(m.heap[self.cell][self.name])


class Slots:
    """The assigned attributes of a program, by object and name."""

    def __init__(self) -> None:
        self.found: dict[tuple[int, str], Slot] = {}
        self.holders: set[int] = set()  # objects that have one, or a module in them has
        self.loose: dict[str, tuple[Dim, ...] | None] = {}  # sizes that turned out not to stay, by path

    def open(self, m: Machine, owner: ScriptObject, function: Function) -> None:
        """Make the slots of all that the entry may assign."""
        for way, name in assigned_attributes(function, owner):
            (path, o), key = way[-1], (id(way[-1][1]), name)
            full = f"{path}.{name}" if path else name
            run = self._input(full, o.attributes.get(name))
            if key in self.found or run is None:
                continue
            self.holders.update(id(holder) for _, holder in way)
            m.parameters[full] = run
            self.found[key] = Slot(full, name, m.new_cell(o.type, {name: run}), run)

    def _input(self, path: str, value: Any) -> Run | None:
        number = number_kind(value)
        dtype = number_dtype_of(number)
        if number is not None and dtype is not None:
            made = Run(dtype, (), path, number=number, fixed=True)
        elif hasattr(value, "__array__") and not isinstance(value, np.generic):
            array = array_of(value)
            made = Run(by_numpy(array.dtype), self.loose.get(path, array.shape), path, fixed=True)
        else:
            return None
        made.joined = True
        return made

    def changed(self, m: Machine) -> dict[str, Slot]:
        """Those that the program gives another value, by path."""
        return {s.path: s for s in self.found.values() if s.value(m) is not s.run}

    def loosened(self, m: Machine) -> bool:
        """Whether the sizes of an input must be freed, because the next call gets others.

        Raises ExportError for an attribute that becomes something else.
        """
        found = False
        for path, slot in self.changed(m).items():
            run, now = slot.run, slot.value(m)
            if not is_run(now):
                kind = number_kind(now)
                if isinstance(now, np.ndarray):
                    dtype, dims = by_numpy(now.dtype), now.shape
                elif kind is run.number and kind is not None:
                    continue
                else:
                    raise ExportError([Entry("output", f"attribute '{path}' becomes something else than it was")])
            else:
                dtype, dims = now.dtype, now.dims
            if dtype is not run.dtype or dims is None or len(dims) != len(run.dims or ()):
                what = "another element type or another number of dimensions"
                raise ExportError([Entry("output", f"attribute '{path}' becomes a tensor of {what} than it was")])
            merged = merge_dims(run.dims, dims)
            if merged != run.dims:
                self.loose[path], found = merged, True
        return found


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
