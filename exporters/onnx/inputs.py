"""What the entry is lowered for: abstract arguments and the model inputs that carry them, from examples or from types."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bridge.exporters.onnx.report import Entry, ExportError
from bridge.exporters.onnx.values import Abstract, Cell, Run, RunList, number_dtype_of
from bridge.ir import types as T
from bridge.ir.classes import ScriptObject
from bridge.ir.dtypes import DType, by_numpy
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Graph, Value
from bridge.ir.types import Dim, Type

__all__ = [
    "Inputs", "Shapes", "alternative", "array_of", "describe_argument", "inputs_from_description", "inputs_from_examples",
    "inputs_from_types",
]  # fmt: skip

#: Per input name, what is asked of its dims: ``{axis: size | name | None}`` or a sequence with one entry per axis.
Shapes = Mapping[str, Any]

_NUMBERS: dict[type, Type] = {bool: T.BOOL, int: T.INT, float: T.FLOAT}


def array_of(value: Any) -> np.ndarray[Any, Any]:
    """A tensor's data, without a copy where that is possible."""
    held = getattr(value, "_array", None)  # asking a bridge tensor for its array says that others may write to it
    if held is not None:
        return held  # type: ignore[no-any-return]
    if type(value) is not np.ndarray and hasattr(value, "detach"):
        value = value.detach()
    return np.asarray(value)


@dataclass(slots=True)
class Inputs:
    """Model inputs in order, the abstract argument of each graph input, and the lists among them."""

    runs: list[Run] = field(default_factory=list)
    arguments: list[Abstract] = field(default_factory=list)
    heap: dict[Any, Any] = field(default_factory=dict)
    shapes: dict[str, Any] = field(default_factory=dict)
    reserved: set[str] = field(default_factory=set)
    problems: list[Entry] = field(default_factory=list)
    fixed: list[Entry] = field(default_factory=list)
    lengths: bool = False

    def run(
        self, name: str, dtype: DType, rank: int | None, sizes: Sequence[int] = (), number: Type | None = None
    ) -> Run:
        """A new model input whose dims are free unless asked otherwise."""
        if dtype.kind == "c":
            message = f"'{name}' is a tensor of complex numbers, which ONNX models do not take; take pairs of real ones and use torch.view_as_complex"
            self.problems.append(Entry("input", message))
        dims: tuple[Dim, ...] | None = None
        if rank is not None:
            dims = tuple(self._dim(name, i, rank, sizes) for i in range(rank))
        r = Run(dtype, dims, self._name(name), number=number, fixed=True)
        self.runs.append(r)
        return r

    def _name(self, name: str) -> str:
        while name in self.reserved:
            name += "_input"
        self.reserved.add(name)
        return name

    def _dim(self, name: str, axis: int, rank: int, sizes: Sequence[int]) -> Dim:
        asked = self.shapes.get(name)
        if isinstance(asked, Mapping):
            want = asked.get(axis, asked.get(axis - rank))
        else:
            want = asked[axis] if asked is not None and axis < len(asked) else None
        if want is not None and not isinstance(want, int | str) and hasattr(want, "__name__"):
            want = want.__name__  # torch.export.Dim
        if isinstance(want, bool) or not isinstance(want, int | str | None):
            raise LoweringError(
                f"dynamic_shapes: dimension {axis} of '{name}' must be a size, a name or None, not {want!r}"
            )
        if isinstance(want, int) and sizes and sizes[axis] != want:
            raise LoweringError(
                f"dynamic_shapes fixes dimension {axis} of '{name}' to {want}, but the example has {sizes[axis]}"
            )
        return f"{name}_dim{axis}" if want is None else want


def describe_argument(made: Inputs, v: Abstract) -> Any:
    """How an argument is made of model inputs, as JSON: ``["in", name]``, ``["is", value]``, tuples, lists and dicts of these;
    ``["enum", name]``."""
    if isinstance(v, Run):
        return ["in", v.root.name]
    if isinstance(v, tuple):
        return ["tuple", [describe_argument(made, x) for x in v]]
    if isinstance(v, Cell):
        content = made.heap[v]
        if isinstance(content, Run):
            return ["values", content.root.name]
        if isinstance(content, dict):
            return ["dict", [[k, describe_argument(made, x)] for k, x in content.items()]]
        return ["list", [describe_argument(made, x) for x in content]]
    if isinstance(v, enum.Enum | T.EnumValue):
        return ["enum", v.name]
    return ["is", v if v is None or isinstance(v, str | bool | int | float) else repr(v)]


def inputs_from_description(
    graph: Graph, owner: ScriptObject | None, described: Sequence[Any], known: Mapping[str, Run], order: Sequence[str]
) -> Inputs:
    """Inputs as :func:`describe_argument` wrote them; ``known`` are the model's inputs by name.

    Raises LoweringError, KeyError, ValueError or TypeError for a description that does not fit.
    """
    values = own_inputs(graph, owner)
    if len(described) != len(values):
        raise LoweringError("the described arguments are not the program's")
    made = Inputs(reserved=set(known))

    def build(form: Any, t: Type) -> Abstract:
        kind, what = form
        if kind == "in":
            return known[what].seen_as(t) if number_dtype_of(t) is not None else known[what]
        if kind == "values":
            return _cell(made, t, known[what])
        if kind == "is":
            return what
        if kind == "enum" and isinstance(t, T.EnumType):
            return T.EnumValue(t, what)
        inside = t.contained()
        if kind == "tuple":
            return tuple(build(x, inside[i] if i < len(inside) else T.ANY) for i, x in enumerate(what))
        if kind == "list":
            return _cell(made, t, tuple(build(x, inside[0] if inside else T.ANY) for x in what))
        return _cell(made, t, {k: build(x, inside[-1] if inside else T.ANY) for k, x in what})

    for form, v in zip(described, values, strict=True):
        made.arguments.append(build(form, v.type))
    made.runs = [known[n] for n in order]
    return made


def _check_shapes(names: Sequence[str], shapes: Any, own: Sequence[str] = ()) -> dict[str, Any]:
    """``dynamic_shapes`` by input name; the program's ``own`` argument names serve too where inputs are renamed."""
    if shapes is None:
        return {}
    if not isinstance(shapes, Mapping):
        shapes = dict(zip(names, shapes, strict=False))
    renamed = dict(zip(own, names, strict=False))
    shapes = {k if k in names else renamed.get(k, k): v for k, v in shapes.items()}
    unknown = sorted(set(shapes) - set(names))
    if unknown:
        raise LoweringError(f"dynamic_shapes names no input: {', '.join(unknown)} (inputs: {', '.join(names)})")
    return {k: v for k, v in shapes.items() if v is not None}


def _names(values: Sequence[Value], names: Sequence[str] | None) -> list[str]:
    found = [v.debug_name_base or f"input_{i}" for i, v in enumerate(values)]
    if names is not None:
        if len(names) > len(found):
            raise LoweringError(f"input_names has {len(names)} names for {len(found)} inputs ({', '.join(found)})")
        found[: len(names)] = names
    if names is not None and len(set(found)) != len(found):
        raise LoweringError(f"two inputs have one name: {', '.join(found)}")
    for i, name in enumerate(found):
        if name in found[:i]:  # a trace of a loop over arguments
            found[i] = next(n for n in (f"{name}_{k}" for k in range(1, len(found) + 1)) if n not in found)
    return found


def own_inputs(graph: Graph, owner: ScriptObject | None) -> Sequence[Value]:
    """The inputs of a graph without ``self``."""
    return graph.inputs[1:] if owner is not None else graph.inputs


def inputs_from_examples(
    graph: Graph,
    owner: ScriptObject | None,
    examples: Sequence[Any],
    names: Sequence[str] | None,
    shapes: Any,
    reserved: set[str],
    lengths: bool = False,
    gathered: Collection[int] = (),
    defaults: Collection[int] = (),
) -> Inputs:
    """Inputs of the dtypes and ranks of the examples; all dims are free unless ``shapes`` fixes them.

    ``lengths`` fixes the lengths of lists of numbers to the examples'. ``gathered`` are the arguments that ``*name`` collects:
    each element is an input of its own, as it is an argument of its own for the caller. ``defaults`` are the arguments that the
    caller leaves out: those are no inputs.
    """
    values = own_inputs(graph, owner)
    if len(examples) != len(values):
        raise LoweringError(
            f"the program takes {len(values)} inputs ({', '.join(_names(values, None))}), not {len(examples)}"
        )
    found = _names(values, names)
    made = Inputs(shapes=_check_shapes(found, shapes, _names(values, None)), reserved=set(reserved), lengths=lengths)
    for i, (v, name, example) in enumerate(zip(values, found, examples, strict=True)):
        if i in gathered and isinstance(v.type, T.ListType):
            made.arguments.append(_each_example(made, v.type, name, example))
        elif i in defaults and isinstance(example, bool | int | float):
            made.fixed.append(
                Entry("default used", f"'{name}' is no input: it is {example}, as the example leaves it out")
            )
            made.arguments.append(float(example) if v.type is T.FLOAT else example)
        else:
            made.arguments.append(_from_example(made, v.type, name, example))
    return made


def _each_example(made: Inputs, t: T.ListType, name: str, example: Sequence[Any]) -> Cell:
    """A list with one input per element."""
    made.fixed.append(Entry("arguments fixed", f"'*{name}' takes {len(example)} arguments, as in the example"))
    return _cell(made, t, tuple(_from_example(made, t.element, f"{name}_{i}", e) for i, e in enumerate(example)))


def _from_example(made: Inputs, t: Type, name: str, example: Any) -> Abstract:
    if isinstance(t, T.OptionalType):
        if example is None:
            return None
        t = t.element
    if isinstance(t, T.EnumType) and isinstance(example, enum.Enum | T.EnumValue):  # as a string is
        return T.EnumValue(t, example.name)
    if (isinstance(t, T.UnionType) or t is T.ANY) and (chosen := alternative(t, example)) is not None:
        made.fixed.append(Entry("type decided", f"'{name}' is a {chosen.annotation()}, as in the example"))
        t = chosen
    if isinstance(t, T.EnumType | T.UnionType) or t is T.ANY:
        message = f"'{name}' is of type {t.annotation()}; ONNX models take tensors, numbers and lists of them"
        raise ExportError([Entry("input", message)])
    number = _NUMBERS.get(type(example))
    if number is not None and not isinstance(t, T.TensorType):
        if number is T.INT and t is T.FLOAT:
            number = T.FLOAT
        dtype = number_dtype_of(number)
        assert dtype is not None
        return made.run(name, dtype, 0, number=number)
    if example is None or isinstance(example, str | ScriptObject):
        return example
    if isinstance(example, tuple):
        inside = t.contained() if isinstance(t, T.TupleType) else [T.TENSOR] * len(example)
        return tuple(
            _from_example(made, x, f"{name}_{i}", e) for i, (x, e) in enumerate(zip(inside, example, strict=True))
        )
    if isinstance(example, dict):
        of = t.value if isinstance(t, T.DictType) else T.TENSOR
        return _cell(made, t, {k: _from_example(made, of, f"{name}_{k}", e) for k, e in example.items()})
    if isinstance(example, list):
        return _list_example(made, t, name, example)
    array = array_of(example)
    return made.run(name, by_numpy(array.dtype), array.ndim, array.shape)


def alternative(t: Type, example: Any) -> Type | None:
    """Which alternative of a union an example is, None where more than one may be; of Any the tensors and numbers are told apart."""
    known = T.members_of(t) if isinstance(t, T.UnionType) else (T.TENSOR, *_NUMBERS.values())
    plain = T.NONE if example is None else T.STR if isinstance(example, str) else _NUMBERS.get(type(example))
    if plain is not None:
        return next((x for x in known if x is plain), None)
    if isinstance(example, tuple):
        return next((x for x in known if isinstance(x, T.TupleType) and len(x.elements) == len(example)), None)
    for python, kind in ((list, T.ListType), (dict, T.DictType)):
        if isinstance(example, python):
            fitting = [x for x in known if isinstance(x, kind)]
            return fitting[0] if len(fitting) == 1 else None
    if not isinstance(example, np.ndarray) and not hasattr(example, "detach"):
        return None
    return next((x for x in known if isinstance(x, T.TensorType)), None)


def _list_example(made: Inputs, t: Type, name: str, example: list[Any]) -> Abstract:
    element = t.element if isinstance(t, T.ListType) else T.TENSOR
    dtype = number_dtype_of(element)
    if dtype is not None:
        run = made.run(name, dtype, 1)
        if made.lengths:
            run.dims = (len(example),)
            made.fixed.append(
                Entry("dimension fixed", f"the list '{name}' has {len(example)} elements, as in the example")
            )
        return _cell(made, t, run)
    if not isinstance(element, T.TensorType):
        return _cell(made, t, tuple(_from_example(made, element, f"{name}_{i}", e) for i, e in enumerate(example)))
    if not example:
        raise LoweringError(f"'{name}' is an empty list: give an example with at least one tensor")
    arrays = [array_of(e) for e in example]
    if len({a.dtype for a in arrays}) > 1:
        raise LoweringError(f"the tensors of the list '{name}' have different element types")
    dims = (None,) * arrays[0].ndim if len({a.ndim for a in arrays}) == 1 else None
    r = RunList(by_numpy(arrays[0].dtype), dims, made._name(name), fixed=True)
    made.runs.append(r)
    return _cell(made, t, r)


def _cell(made: Inputs, t: Type, content: Any) -> Cell:
    cell = Cell(t)
    made.heap[cell] = content
    return cell


def inputs_from_types(
    graph: Graph, owner: ScriptObject | None, names: Sequence[str] | None, shapes: Any, reserved: set[str]
) -> Inputs:
    """Inputs of the types that the graph declares: what a tracer saw, or annotations of numbers.

    What the types do not tell is put on ``problems``.
    """
    values = own_inputs(graph, owner)
    found = _names(values, names)
    made = Inputs(shapes=_check_shapes(found, shapes), reserved=set(reserved))
    for v, name in zip(values, found, strict=True):
        made.arguments.append(_from_type(made, graph.input_hints.get(v.debug_name_base, v.type), name, v))
    return made


def _from_type(made: Inputs, t: Type, name: str, v: Value) -> Abstract:
    if isinstance(t, T.TensorType) and t.dtype is not None:
        return made.run(name, t.dtype, t.rank)
    dtype = number_dtype_of(t)
    if dtype is not None:
        return made.run(name, dtype, 0, number=t)
    if isinstance(t, T.TupleType):
        return tuple(_from_type(made, x, f"{name}_{i}", v) for i, x in enumerate(t.elements))
    if isinstance(t, T.ListType) and number_dtype_of(t.element) is not None:
        dtype = number_dtype_of(t.element)
        assert dtype is not None
        return _cell(made, t, made.run(name, dtype, 1))
    if t is T.NONE:
        return None
    place = next((u.user.range for u in v.uses if u.user.range is not None), None)
    made.problems.append(
        Entry("input", f"the element type and rank of input '{name}' are not known: pass an example in args", place)
    )
    return None
