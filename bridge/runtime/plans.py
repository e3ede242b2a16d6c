"""What one kind of arguments needs to be run: a session, how values go in and how they come out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.ir.classes import Function, ScriptObject
from bridge.ir.dtypes import physical
from bridge.ir.types import (
    ANY,
    BOOL,
    FLOAT,
    INT,
    DictType,
    ListType,
    OptionalType,
    TensorType,
    TupleType,
    Type,
    UnionType,
)
from bridge.tensor import Tensor

__all__ = ["NUMBERS", "Leaves", "Plan", "build_plan", "run_options", "tensors_of"]

_wrap = Tensor._wrap


@functools.cache
def run_options() -> Any:
    """Those of every run: onnxruntime would make some for each, which takes a fifth of the time of a small one."""
    from onnxruntime import RunOptions

    return RunOptions()


class Leaves:
    """The run-time leaves of arguments in the order of the model's inputs: ``arrays``, and ``given`` as they came."""

    __slots__ = ("arrays", "given")

    def __init__(self, values: Sequence[Any], types: Sequence[Type]) -> None:
        """``types`` are the declared ones."""
        self.arrays: list[Any] = []
        self.given: list[Any] = []
        self.add(values, types)

    def add(self, values: Sequence[Any], types: Sequence[Type]) -> None:
        for i, v in enumerate(values):
            self._leaf(v, types[i] if i < len(types) else ANY)

    def _leaf(self, v: Any, t: Type) -> None:
        t = t.element if isinstance(t, OptionalType) else t
        if isinstance(t, UnionType):  # as the exporter read the example
            from bridge.exporters.onnx.inputs import alternative

            t = alternative(t, v) or ANY
        if isinstance(v, Tensor):
            self._take(v._array, v)
        elif isinstance(v, bool):
            self._take(np.array(v, np.bool_), v)
        elif isinstance(v, int):
            self._take(np.array(v, np.int64), v)
        elif isinstance(v, float):
            self._take(np.array(v, np.float64), v)
        elif isinstance(v, tuple):
            self.add(v, t.contained())
        elif isinstance(v, dict):
            self.add(list(v.values()), [t.value if isinstance(t, DictType) else ANY] * len(v))
        elif isinstance(v, list):
            self._list(v, t.element if isinstance(t, ListType) else ANY)
        elif isinstance(v, np.ndarray):
            self._take(v, v)

    def _take(self, array: Any, given: Any) -> None:
        self.arrays.append(array)
        self.given.append(given)

    def _list(self, v: list[Any], element: Type) -> None:
        """Numbers are one array and tensors one sequence; of all else each element is an input of its own."""
        if element in NUMBERS:
            self._take(np.array(v, NUMBERS[element]), v)
        elif isinstance(element, TensorType) or (element is ANY and v and isinstance(v[0], Tensor)):
            self._take([x._array for x in v], v)
        else:
            self.add(v, [element] * len(v))


NUMBERS: dict[Type, Any] = {BOOL: np.bool_, INT: np.int64, FLOAT: np.float64}


def tensors_of(values: Any) -> list[Tensor]:
    """Every tensor in arguments."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, list | tuple):
        return [t for v in values for t in tensors_of(v)]
    return [t for v in values.values() for t in tensors_of(v)] if isinstance(values, dict) else []


def _differ(a: Any, b: Any) -> bool:
    """Whether two attribute values differ; tensors in lists are the same only if they are the same object."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return a is not b
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) != len(b) or any(map(_differ, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() != b.keys() or any(_differ(v, b[k]) for k, v in a.items())
    return bool(type(a) is not type(b) or a != b)


class Plan:
    """A session for one signature.

    ``tracked`` are the tensors of the module that the session holds, each with where it is kept and its state: when one
    changed, the session is stale; so it is when one of the other attributes (``reads``) has another value. ``lengths`` says that it holds for lists of the example's lengths only. ``simple`` is True when all
    arguments are tensors and all results are new ones, ``leaves`` when the program makes tensors that require gradients,
    ``asks`` when it looks at which do.
    """

    __slots__ = (
        "asks", "build", "call", "direct", "distinct", "inputs", "leaves", "lengths", "lists", "live", "outputs", "parameters", "raises", "reached", "reads", "run", "shapes", "shared", "simple", "single", "states", "tracked", "types",
    )  # fmt: skip

    def __init__(
        self,
        run: Callable[[list[str], dict[str, Any], Any], list[Any]],
        inputs: list[str],
        outputs: list[str],
        build: Callable[[list[Any], Sequence[Any]], Any],
        tracked: list[tuple[dict[str, Any], str, Any, Any, list[int], int]],
        live: list[tuple[str, dict[str, Any], str]],
        simple: bool,
        types: Sequence[Type],
        lengths: bool,
    ) -> None:
        self.run, self.inputs, self.outputs, self.build = run, inputs, outputs, build
        self.tracked, self.live, self.simple, self.types = tracked, live, simple, types
        self.lengths = lengths
        self.single = False  # whether all it gives is one new tensor,
        self.call: Callable[[Sequence[Any]], Any] | bool | None = (
            False  # a call as one function (``direct_call``); False: not made yet
        )
        self.direct = False  # whether arguments of the kinds of the plan need no conversion,
        self.lists = False  # which of lists the kind does not tell alone
        self.shapes = [(held, n, held[n]._array.shape, held[n]._array.dtype) for _, held, n in live]
        self.reads: list[tuple[dict[str, Any], str, Any]] = []
        self.raises = self.distinct = self.leaves = self.asks = False
        self.shared: Callable[[Any, Sequence[Any]], Any] | None = None  # see ``shared_results``
        self.reached: dict[Any, list[bool]] = {}  # which results may have a gradient, by what requires one
        self.states: list[
            tuple[dict[str, Any], str, int]
        ] = []  # tensors that a run writes to, and the outputs they take
        self.parameters = [t for _, _, t, _, _, _ in tracked if isinstance(t, Tensor)]

    def is_stale(self) -> bool:
        """Whether a tensor that the session holds was replaced, written to, or may be written to from outside."""
        for held, name, tensor, array, counter, version in self.tracked:
            if held[name] is not tensor or tensor._array is not array or counter[0] != version or len(counter) != 1:
                return True
        for held, name, shape, dtype in self.shapes:
            now = held[name]
            if now is None or now._array.shape != shape or now._array.dtype != dtype:
                return True
        for held, name, value in self.reads:  # noqa: SIM110 (a loop is quicker)
            if held[name] is not value and _differ(held[name], value):
                return True
        return False

    def has_changed(self) -> bool:
        """Whether what the session holds is no longer what the module holds, so that running again gives other values."""
        for held, name, tensor, array, counter, version in self.tracked:
            if held[name] is not tensor or tensor._array is not array or counter[0] != version:
                return True
        return any(held[name] is not value and _differ(held[name], value) for held, name, value in self.reads)

    def feed(self, arguments: Sequence[Any]) -> tuple[dict[str, Any], Sequence[Any]]:
        """Arrays by input name, and what these are in the arguments, in the order of the inputs."""
        given = arguments
        if self.simple:
            feed = dict(zip(self.inputs, [a._array for a in arguments], strict=True))
        else:
            leaves = Leaves(arguments, self.types)
            feed, given = dict(zip(self.inputs, leaves.arrays, strict=True)), leaves.given
        for name, held, attribute in self.live:
            feed[name] = physical(held[attribute]._array)
        return feed, given


def build_plan(owner: ScriptObject | None, function: Function, arguments: Sequence[Any], live: bool) -> Plan:
    """Export for these arguments and open a session. ``live`` weights are given with every call instead of being held.

    Raises ExportError when ONNX cannot express the program.
    """
    from bridge.exporters.onnx.export import export_program
    from bridge.onnx.written import written_model
    from bridge.runtime.sessions import open_session

    written = written_model(owner, function, arguments)
    if written is not None:
        from bridge.runtime.model_plans import model_plan

        return model_plan(owner, function, arguments, written, live)
    made = export_program(owner, function, arguments, modules="inline", provenance=False, weights=False, hosted=True)
    model, main = made.model, made.main
    graph = model.graph
    weights: dict[str, Any] = {}
    tracked, fed = [], []
    for proto in list(graph.initializer):
        held, name = _holder(owner, proto.name)
        tensor = held[name]
        if live or proto.name in main.states or len(_counter(tensor)) != 1:
            _as_input(graph, proto)
            fed.append((proto.name, held, name))
        else:
            weights[proto.name] = physical(tensor._array)
            counter = _counter(tensor)
            tracked.append((held, name, tensor, tensor._array, counter, counter[0]))
    size = sum(w.nbytes for w in weights.values())
    session = open_session(model.SerializeToString(), weights=weights, size=size, quiet=True)
    inputs = [r.name for r in made.inputs.runs]
    used = {i.name for i in session.get_inputs()}
    results = _Results(main, made.inputs.runs, function)
    simple = all(isinstance(a, Tensor) for a in arguments) and set(inputs) <= used
    fed = [f for f in fed if f[0] in used]
    outputs = [o.name for o in graph.output]
    types = [v.type for v in (function.graph.inputs[1:] if owner is not None else function.graph.inputs)]
    plan = Plan(session._sess.run, inputs, outputs, results.build, tracked, fed, simple, types, bool(made.inputs.fixed))
    plan.single = results.single
    plan.reads = list(made.lowering.reads.values())
    plan.raises, plan.distinct = main.raises, made.lowering.distinct
    first = len(outputs) - main.raises - len(main.states)
    plan.states = [(*_holder(owner, path), first + i) for i, path in enumerate(main.states)]
    return plan


def _counter(tensor: Any) -> list[int]:
    return tensor._share_counter()  # type: ignore[no-any-return]


def _holder(owner: ScriptObject | None, path: str) -> tuple[dict[str, Any], str]:
    """The attributes that hold a tensor, and its name there."""
    assert owner is not None
    parent, _, name = path.rpartition(".")
    return owner.resolve(parent).attributes, name


def _as_input(graph: Any, proto: Any) -> None:
    graph.initializer.remove(proto)
    if any(i.name == proto.name for i in graph.input):
        return
    value = graph.input.add(name=proto.name)
    value.type.tensor_type.elem_type = proto.data_type
    for d in proto.dims:
        value.type.tensor_type.shape.dim.add(dim_value=d)


class _Results:
    """Puts the arrays of a run into the structure that the program returns.

    A value that is returned twice is one tensor, and an argument that is returned is that argument.
    """

    def __init__(self, main: Any, inputs: Sequence[Any], function: Function) -> None:
        self.main, self.type = main, function.schema.returns[0].type if function.schema.returns else None
        self.count = 0
        self.first: dict[Any, int] = {}
        self.arguments = {r: i for i, r in enumerate(inputs)}
        self.steps = [self._step(r) for r in main.results]
        self.single = len(self.steps) == 1 and self.count == 1 and self._is_new(main.results[0])
        self.plain = not getattr(self.type, "fields", ()) and all(isinstance(v, TensorType) for v in self._types())

    def _is_new(self, v: Any) -> bool:
        """Whether a result is a tensor, and no argument."""
        from bridge.exporters.onnx.values import Run

        if not isinstance(v, Run) or not isinstance(self.type, TensorType):
            return False
        v = self.main.machine.current(v)
        return v.number is None and v.root not in self.arguments

    def _types(self) -> list[Any]:
        return [self.type] if not hasattr(self.type, "elements") else list(self.type.elements)  # type: ignore[union-attr]

    def _step(self, v: Any) -> Callable[[list[Any], list[Any]], Any]:
        from bridge.exporters.onnx.values import Cell, Maybe, Run, RunList

        if isinstance(v, Maybe):
            return self._maybe(v)
        if isinstance(v, RunList):
            return self._take(lambda out: [_tensor(x) for x in out])
        if isinstance(v, Run):
            return self._run(v)
        if isinstance(v, tuple):
            steps = [self._step(x) for x in v]
            return lambda outs, args: tuple([s(outs, args) for s in steps])
        if isinstance(v, Cell):
            return self._cell(v)
        if isinstance(v, np.ndarray):
            return self._take(_tensor)
        if isinstance(v, bool | int | float):
            self.count += 1  # the model gives it, but it is known here
        return lambda outs, args: v

    def _take(self, make: Callable[[Any], Any]) -> Callable[[list[Any], list[Any]], Any]:
        index = self.count
        self.count += 1
        return lambda outs, args: make(outs[index])

    def _run(self, v: Any) -> Callable[[list[Any], list[Any]], Any]:
        v = self.main.machine.current(v)
        index, root = self.count, v.root
        self.count += 1
        if v.number is not None:
            return lambda outs, args: np.asarray(outs[index]).item()
        if root in self.arguments:
            at = self.arguments[root]
            return lambda outs, args: args[at] if isinstance(args[at], Tensor) else _tensor(outs[index])
        first = self.first.setdefault(root, index)

        def give(outs: list[Any], args: list[Any]) -> Any:
            out = outs[first]
            if not isinstance(out, Tensor):
                out = outs[first] = _tensor(out)
            return out

        return give

    def _maybe(self, v: Any) -> Callable[[list[Any], list[Any]], Any]:
        flags = [i for i, _ in self.main.flags]
        at = flags.index(self.count) - len(flags) - self.main.raises  # the flags are behind the results
        step = self._step(v.value)
        return lambda outs, args: step(outs, args) if outs[at] else None

    def _cell(self, v: Any) -> Callable[[list[Any], list[Any]], Any]:
        content = self.main.machine.content(v)
        if isinstance(content, tuple):
            steps = [self._step(x) for x in content]
            return lambda outs, args: [s(outs, args) for s in steps]
        if isinstance(content, dict):
            pairs = [(k, self._step(x)) for k, x in content.items()]
            return lambda outs, args: {k: s(outs, args) for k, s in pairs}
        if isinstance(v.type, DictType):  # keys that only run time knows: a list of items
            items = self._column(content, TupleType(v.type.key, v.type.value))
            return lambda outs, args: dict(items(outs, args))
        return self._column(content, v.type.element if isinstance(v.type, ListType) else ANY)

    def _column(self, content: Any, t: Type) -> Callable[[list[Any], list[Any]], Any]:
        """A list whose length only run time knows: a list of tuples comes as a list for each place."""
        kind = type(content).__name__
        if kind == "Columns":
            parts = [self._column(p, x) for p, x in zip(content.parts, t.contained(), strict=True)]
            return lambda outs, args: list(zip(*(p(outs, args) for p in parts), strict=True))
        if kind == "RunList" and isinstance(t, ListType):
            return self._take(lambda out: [np.asarray(x).tolist() for x in out])
        if kind == "RunList":
            return self._step(content)
        return self._take(lambda out: np.asarray(out).tolist())

    def build(self, outs: list[Any], args: Sequence[Any]) -> Any:
        """The Python value of one run; ``args`` are the run-time arguments in the order of the model's inputs."""
        step = self.steps[0] if self.steps else None
        made = step(outs, args) if step is not None else None  # type: ignore[arg-type]
        if self.plain or self.type is None:
            return made
        from bridge.jit.values import out_of

        return out_of(made, self.type)


def _tensor(array: Any) -> Tensor:
    return _wrap(array if isinstance(array, np.ndarray) else np.asarray(array))
