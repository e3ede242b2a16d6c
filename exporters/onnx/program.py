"""A whole program to ONNX records: the entry method, the functions it calls, parameters, and what stands in the way."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.exporters.onnx import calls, control, enums, ints, lists, loops, prims, raising, strided  # noqa: F401  (fill the table of handlers)
from bridge.exporters.onnx.claims import Claims
from bridge.exporters.onnx.columns import as_sequence
from bridge.exporters.onnx.inputs import array_of
from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.merge import finish_outputs
from bridge.exporters.onnx.objects import changed_classes, is_object, reordered_lists
from bridge.exporters.onnx.records import Body, Frame, FunctionRecord, Origin
from bridge.exporters.onnx.report import Entry, ExportError, Report
from bridge.exporters.onnx.slots import Slots
from bridge.exporters.onnx.tidy import tidy
from bridge.exporters.onnx.values import (
    Abstract,
    Cell,
    Choice,
    Columns,
    Element,
    Maybe,
    ObjectRef,
    Poison,
    Run,
    Stacked,
    Text,
    Unset,
    is_code,
    map_content,
    number_dtype_of,
    number_kind,
)
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, ScriptObject
from bridge.ir.dtypes import by_numpy
from bridge.ir.source import SourceRange

__all__ = ["Entry", "Loosened", "MainRecord", "ProgramLowering", "used_values"]


#: Versions of the other domains that onnx defines.
_DOMAINS = {"ai.onnx.ml": 5}


class MainRecord:
    """The lowered entry: its body, the structure of what it returns, and the module's tensors that it reads."""

    __slots__ = ("body", "claims", "flags", "frame", "machine", "parameters", "results")

    def __init__(self, body: Body, frame: Frame, machine: Machine, results: list[Abstract]) -> None:
        self.body, self.frame, self.machine, self.results = body, frame, machine, results
        self.parameters = machine.parameters
        self.claims: Claims | None = None
        self.flags: list[tuple[int, Abstract]] = []  # by output that may be None, whether it is there

    @property
    def states(self) -> dict[str, Run]:
        """The tensors of the module that the program writes to, by path: inputs, with their new values as outputs."""
        slots = self.machine.program.slots
        known, changed = slots.paths(), slots.changed(self.machine)
        return {
            path: run
            for path, run in self.parameters.items()
            if (path in changed if path in known else run in self.machine.heap)
        }

    @property
    def raises(self) -> bool:
        """Whether the last output tells what was raised."""
        return self.machine.error in self.machine.heap


class Loosened(Exception):
    """Sizes of the module's tensors do not stay: the program is lowered again with them free."""

    def __init__(self, slots: Slots) -> None:
        super().__init__()
        self.loose = slots.loose


class ProgramLowering:
    """Lowers one method of one module (or a function).

    ``obstacles`` collects everything that cannot be expressed; ``frames`` every run of a function, with what was decided in it.
    """

    def __init__(self, opset: int, inline: bool = False, provenance: bool = True, debug: bool = False) -> None:
        self.opset, self.inline, self.provenance, self.debug = opset, inline, provenance, debug
        self.hosted, self.raises = False, True
        self.writes = True  # whether the program writes to tensors
        self.decided = False  # whether branches went, so that the program's text holds for these arguments alone
        self.distinct = False  # whether the model relies on arguments being different tensors
        self.errors: dict[int, dict[str, Any]] = {}
        self.reads: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = {}
        self.frozen: dict[str, tuple[Any, SourceRange | None]] = {}
        self.endless: dict[str, bool] = {}
        self.endless_told: frozenset[str] | None = None
        self.report = Report()
        self.tuples: dict[str, str] = {}  # the types of NamedTuples as text, by name
        self.enums: dict[str, Any] = {}  # the types of the values of enums as text, and their members, by name
        self.obstacles: list[Entry] = []
        self.functions: dict[Any, Any] = {}
        self.finished: dict[tuple[str, str], list[FunctionRecord]] = {}
        self.running: set[Any] = set()
        self.frames: dict[Frame, None] = {}
        self.main: Machine | None = None
        self.owner: ScriptObject | None = None
        self.slots = Slots()
        self._changed: set[ClassType] | None = None
        self._reordered: set[T.Type] | None = None

    def changes(self, t: ClassType) -> bool:
        """Whether a statement of the program gives an attribute of an object of this class another value after it was made."""
        if self._changed is None:
            entry = self.main.frame.function if self.main is not None else None
            self._changed = changed_classes(entry) if entry is not None else set()
        return t in self._changed

    def reorders(self, t: T.Type) -> bool:
        """Whether a statement of the program moves elements of lists of this type."""
        if self._reordered is None:
            entry = self.main.frame.function if self.main is not None else None
            self._reordered = reordered_lists(entry) if entry is not None else set()
        return t in self._reordered

    def opset_of(self, domain: str) -> int:
        """The version of a domain that is written."""
        if not domain:
            return self.opset
        import onnx

        return onnx.defs.onnx_opset_version() if domain == "ai.onnx" else max(_DOMAINS.get(domain, 1), 1)

    # -- what machines report ------------------------------------------------------------------------------------------

    def obstacle(self, entry: Entry) -> None:
        """Note something that cannot be exported; lowering goes on to find the rest."""
        if entry not in self.obstacles:
            self.obstacles.append(entry)

    def mark(self) -> tuple[int, int, int]:
        """A state to come back to."""
        return len(self.obstacles), len(self.report), len(self.frames)

    def reset(self, mark: tuple[int, int, int]) -> None:
        """Forget what was noted since :meth:`mark`."""
        del self.obstacles[mark[0] :]
        self.report.cut(mark[1])
        for frame in list(self.frames)[mark[2] :]:
            del self.frames[frame]

    def frame(self, frame: Frame) -> Frame:
        """Note that a function is lowered, or used as lowered before, with all that it called then."""
        found = [frame]
        while found:
            f = found.pop()
            if f not in self.frames:
                self.frames[f] = None
                found += f.called.values()
        return frame

    def note_read(self, owner: ScriptObject, name: str, path: str, place: SourceRange | None) -> None:
        """Note that the value of an attribute that is no tensor went into the model; a list's or dict's is copied."""
        value = owner.attributes[name]
        if not isinstance(value, ScriptObject):
            self.frozen.setdefault(path, (value, place))
        self.reads[id(owner), name] = (
            owner.attributes,
            name,
            copy.copy(value) if isinstance(value, list | dict) else value,
        )

    def may_not_end(self, function: Function, find: Callable[[Function], bool]) -> bool:
        """Whether a function must not be entered after an exception; an import tells it, as it has no graph of what never runs."""
        name = function.qualified_name
        if name not in self.endless:
            self.endless[name] = name in self.endless_told if self.endless_told is not None else find(function)
        return self.endless[name]

    def error_code(self, row: dict[str, Any]) -> int:
        """The number that stands for an exception with its message."""
        code = raising.code_of(row)
        while self.errors.setdefault(code, row) != row:
            code += 1
        return code

    def parameter(self, m: Machine, path: str, value: Any) -> Run:
        """The ONNX value of a tensor of the module: an initializer of the main graph, an input of a function."""
        found = m.parameters.get(path)
        if found is None:
            array = array_of(value)
            found = m.parameters[path] = Run(by_numpy(array.dtype), array.shape, path, fixed=m is self.main)
            found.named = True
        return found

    def finish_function(self, record: FunctionRecord) -> FunctionRecord:
        """Clean the function up and give it a name of its own; an equal one that is there already stands for it.

        One method may be several functions, for other inputs or attributes that are None. ONNX has overloads for that, but
        onnxruntime 1.32 calls the wrong one from inside another function, so their names are numbered instead.
        """
        from bridge.exporters.onnx.write import function_bytes

        tidy(record.body, self.opset, record.parameters.values())
        used = used_values(record.body)
        record.parameters = {p: r for p, r in record.parameters.items() if r in used}
        record.body.params += record.parameters.values()
        known = self.finished.setdefault((record.domain, record.name), [])
        data = function_bytes(record, self)
        for existing in known:
            if existing.data == data:
                return existing
        record.data = data
        known.append(record)
        if len(known) > 1:
            is_method = record.frame.owner is not None
            method = record.name if "." in record.name or not is_method else f"{record.name}.forward"
            number = len(known) - 1
            while (record.domain, f"{method}{'.' if is_method else '_'}{number}") in self.finished:
                number += 1
            record.name = f"{method}{'.' if is_method else '_'}{number}"
            self.finished[record.domain, record.name] = []
        return record

    # -- the entry -------------------------------------------------------------------------------------------------------

    def lower(
        self, owner: ScriptObject | None, function: Function, arguments: list[Abstract], heap: dict[Any, Any]
    ) -> MainRecord:
        """Lower the entry for these arguments.

        Raises ExportError with all that stands in the way.
        """
        frame, body = self.frame(Frame(function, owner, "")), Body(name=function.name)
        m = self.main = Machine(self, frame, body)
        self.owner = owner
        m.heap.update(heap)
        if owner is not None and not self.hosted:  # a host's own interpreter assigns them
            self.slots.open(m, owner, function)
        graph = function.graph
        actual = [ObjectRef(owner, ""), *arguments] if owner is not None else arguments
        self.running.add((id(owner) if owner is not None else 0, function))
        for value, v in zip(graph.inputs, actual, strict=True):
            m.env[value] = v
        m.run_block(graph.block)
        results = [m.env[v] for v in graph.outputs]
        if self.obstacles or any(isinstance(r, Poison) for r in results):
            raise ExportError(self.obstacles)
        _check_lists(m, results, frame)
        if self.hosted:
            _check_results(m, results, frame)
        results = [m.current(r) for r in results]
        if self.slots.loosened(m):
            raise Loosened(self.slots)
        return MainRecord(body, frame, m, results)

    def outputs(self, main: MainRecord) -> list[Run]:
        """Make the ONNX outputs of the main graph: each run-time leaf of the results, in order, whether those that may be None are there, new
        values of the module's tensors, what was raised."""
        leaves: list[Run] = []
        main.machine.emitter.begin(Origin(main.frame, main.frame.function.graph.return_node), "return")
        for r in main.results:
            _flatten(main.machine, r, leaves, main.flags)
        m = main.machine
        for _, present in main.flags:
            _flatten(m, present, leaves, [])
        changed = self.slots.changed(m)
        for path, run in main.states.items():
            if path in changed:
                _flatten(m, changed[path], leaves, [])
                continue
            now = m.current(run)
            now.dims = run.dims  # writing in place changes no shape
            leaves.append(now)
        if main.raises:
            leaves.append(m.current(m.error))
        finish_outputs(m, main.body, list(leaves), leaves)
        tidy(main.body, self.opset, [p for path, p in m.parameters.items() if path not in main.states])
        return leaves


def _check_lists(m: Machine, results: Any, frame: Frame) -> None:
    """Refuse results that are elements of lists which were changed after they were taken out."""
    for r in results:
        if isinstance(r, tuple):
            _check_lists(m, r, frame)
        elif isinstance(r, Maybe):
            _check_lists(m, [r.value], frame)
        elif isinstance(r, Cell):
            if r.home is not None and not r.home.holds(m.heap):
                why = "a list is returned that is an element of another one, which was changed meanwhile; take it out again"
                raise ExportError([Entry("output", why, frame.function.graph.return_node.range)])
            content = m.heap[r]
            _check_lists(m, content.values() if isinstance(content, dict) else [content], frame)


def _check_results(m: Machine, results: Any, frame: Frame) -> None:
    """Refuse results that are, or may share memory with, a tensor of the module that is written to: they would be copies."""
    place = frame.function.graph.return_node.range
    for r in results:
        if isinstance(r, tuple):
            _check_results(m, r, frame)
        elif isinstance(r, Cell):
            content = m.heap[r]
            _check_results(m, content.values() if isinstance(content, dict) else [content], frame)
        elif isinstance(r, Maybe):
            _check_results(m, [r.value], frame)
        while isinstance(r, Run):
            if isinstance(r.view, Choice):
                _check_results(m, [s for s in (*r.view.sides, r.view.own) if s is not None], frame)
                break
            if r in m.heap and r.root.name in m.parameters:
                raise ExportError(
                    [Entry("output", f"the result shares memory with '{r.root.name}', which is written to", place)]
                )
            if r.view is None or isinstance(r.view, Element):
                break
            r = r.view.base


def _flatten(m: Machine, v: Abstract, leaves: list[Run], flags: list[tuple[int, Abstract]]) -> None:
    if isinstance(v, Maybe):
        flags.append((len(leaves), v.present))
        v = v.value
    code = isinstance(v, Run) and is_code(v.number)
    if isinstance(v, Cell) and any(map(is_code, v.type.walk())) and not is_object(v):
        code = not isinstance(m.content(v), tuple | dict)
    if isinstance(v, Text | Unset) or code:
        text = isinstance(v, Text) or code
        why = (
            "ONNX programs return no strings that are made at run time, and no members of an enum that data chooses (return .value)"
            if text
            else "the program always raises"
        )
        raise ExportError([Entry("output", why, m.frame.function.graph.return_node.range)])
    if isinstance(v, Run):
        leaves.append(m.current(v))
    elif isinstance(v, tuple):
        for x in v:
            _flatten(m, x, leaves, flags)
    elif is_object(v):
        why = f"an object of class {v.type.annotation()} is returned: return what it holds"
        raise ExportError([Entry("output", why, m.frame.function.graph.return_node.range)])
    elif isinstance(v, Cell):
        m.heap[v] = content = _with_sequences(m, m.content(v))
        map_content(content, lambda x: _flatten(m, x, leaves, flags))
    elif isinstance(v, np.ndarray):
        leaves.append(m.emitter.constant(v))
    elif isinstance(v, bool | int | float):
        kind = number_kind(v)
        leaves.append(m.emitter.constant(v, number_dtype_of(kind) if kind is not None else None))


def _with_sequences(m: Machine, content: Any) -> Any:
    """The content of a list as outputs show it: tensors are a sequence."""
    if isinstance(content, Columns):
        return Columns(tuple(_with_sequences(m, p) for p in content.parts))
    return as_sequence(m, content) if isinstance(content, Stacked) else content


def used_values(body: Body) -> set[Run]:
    """Every value that is an input of a node or a result, in the body and its subgraphs."""
    used: set[Run] = set(body.outputs)
    for r in body.nodes:
        used.update(i for i in r.inputs if i is not None)
        for b in r.bodies():
            used |= used_values(b)
    return used
