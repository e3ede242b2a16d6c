"""Running graphs: a graph is prepared once into a flat list of steps over numbered registers, then run any number of times.

Operators on tensors go to ``call(operator, arguments)`` where that is given (the eager dispatch, so that gradients
follow), and to their NumPy kernels otherwise; operators on numbers, strings and containers always run their kernels.
Control flow, containers, attributes, calls and exceptions are done here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.errors import IRError
from bridge.ir.graph import Graph, Node, Value
from bridge.ir.registry import Operator
from bridge.ir.source import SourceRange
from bridge.ir.tracebacks import left, passed

__all__ = ["Frame", "Program", "prepare", "run", "run_function"]

#: ``call(operator, arguments)`` executes one operator; arguments are complete, in schema order.
OperatorCall = Callable[[Operator, list[Any]], Any]
TensorMaker = Callable[[np.ndarray[Any, Any]], Any]
Step = Callable[["Frame"], None]


class Frame(list[Any]):
    """The registers of one run, and how operators and tensor constants are made in it."""

    __slots__ = ("call", "entered", "tensor")

    call: OperatorCall | None
    tensor: TensorMaker | None
    entered: list[Any]


class Program:
    """A prepared graph. Holds no reference to it."""

    def __init__(self, graph: Graph) -> None:
        from bridge.ir.interpreter_steps import block_steps

        self._registers: dict[Value, int] = {}
        self.template: list[Any] = []
        #: Registers of tensor constants, and of containers that every run gets a copy of.
        self.tensors: list[int] = []
        self.copied: list[int] = []
        self.ranges: dict[Step, tuple[str, SourceRange | None]] = {}
        self.inputs = [self.register(v) for v in graph.inputs]
        self.steps = block_steps(self, graph.block)
        self.outputs = [self.register(v) for v in graph.outputs]
        del self._registers

    def register(self, v: Value) -> int:
        """The number of the register that holds a value."""
        found = self._registers.get(v)
        if found is None:
            found = self._registers[v] = len(self.template)
            self.template.append(None)
        return found

    def registers(self, values: Iterable[Value]) -> tuple[int, ...]:
        return tuple(self.register(v) for v in values)

    def constant(self, v: Value, value: Any) -> None:
        """Put a constant into its register."""
        r = self.register(v)
        if isinstance(v.type, T.TensorType) and not isinstance(value, bool | int | float | complex):
            value = np.asarray(value)
            self.tensors.append(r)
        elif isinstance(value, T.EnumValue):
            value = value.member
        elif isinstance(value, list | dict):
            if isinstance(value, list) and value and isinstance(value[0], T.EnumValue):
                value = [v.member for v in value]
            self.copied.append(r)
        self.template[r] = value

    def note(self, step: Step, n: Node) -> Step:
        """Remember where a step comes from, for errors."""
        self.ranges[step] = n.kind, n.range
        return step

    def run(
        self, inputs: Sequence[Any], call: OperatorCall | None = None, tensor: TensorMaker | None = None
    ) -> list[Any]:
        """Execute; see :func:`run`."""
        if len(inputs) != len(self.inputs):
            raise IRError(f"the graph takes {len(self.inputs)} inputs, not {len(inputs)}")
        f = Frame(self.template)
        f.call, f.tensor, f.entered = call, tensor, []
        for r in self.copied:
            f[r] = f[r].copy()
        if tensor is not None:
            for r in self.tensors:
                f[r] = tensor(f[r])
        for r, v in zip(self.inputs, inputs, strict=True):
            f[r] = v
        try:
            self.execute(self.steps, f)
        finally:
            while f.entered:  # an exception left `with` blocks open
                f.entered.pop()()
        return [f[r] for r in self.outputs]

    def execute(self, steps: Sequence[Step], f: Frame) -> None:
        """Run steps; an exception is told which operation and source line it comes from."""
        step: Step | None = None
        try:
            for step in steps:
                step(f)
        except Exception as e:
            kind, place = self.ranges.get(step, ("", None)) if step is not None else ("", None)
            passed(e, kind, place)
            if place is not None and not hasattr(e, "__bridge_noted__"):
                e.add_note(f"in {kind}, at {place.highlight()}")
                e.__bridge_noted__ = True  # type: ignore[attr-defined]
            raise


_programs: weakref.WeakKeyDictionary[Graph, tuple[Any, Program]] = weakref.WeakKeyDictionary()


def _state(graph: Graph) -> Any:
    """Changes when nodes are added to a graph, or its results change."""
    return graph._next_unique, id(graph.return_node.prev), tuple(map(id, graph.outputs))


def prepare(graph: Graph) -> Program:
    """The program of a graph; made once, and again when the graph has grown since."""
    state = _state(graph)
    known = _programs.get(graph)
    if known is None or known[0] != state:
        known = _programs[graph] = state, Program(graph)
    return known[1]


def run(
    graph: Graph, inputs: Sequence[Any], call: OperatorCall | None = None, tensor: TensorMaker | None = None
) -> list[Any]:
    """Run a graph; returns its results.

    ``inputs`` are arrays (or the tensors that ``call`` takes), Python values, and ScriptObjects. ``tensor`` makes a
    tensor of a constant's array for ``call``. Raises what the program raises, with a note of the source line; IRError
    and UnsupportedError for graphs that cannot run here.
    """
    program = prepare(graph)
    if call is not None:
        return program.run(inputs, call, tensor)
    with np.errstate(all="ignore"):
        return program.run(inputs)


def run_function(function: Function, inputs: Sequence[Any], f: Frame) -> Any:
    """Run a function or method for a call in the frame of another; its result."""
    try:
        results = prepare(function.graph).run(inputs, f.call, f.tensor)
    except Exception as e:
        own = inputs[0] if inputs else None
        if (
            not isinstance(own, ScriptObject)
            or own.type.is_module
            or own.type.find_method(function.name) is not function
        ):
            left(e, function.name)  # methods of classes are no calls to TorchScript's eyes
        raise
    return results[0] if len(results) == 1 else tuple(results)
