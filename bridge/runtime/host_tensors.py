"""Programs that look at tensors element by element, as Python functions on NumPy arrays (see ``host.py``).

A decoder that collapses repeats, a stack machine over codes, a merge of two sorted rows: in such loops an operator of onnxruntime
(and of PyTorch) works for one number, and Python is quicker than both. What is written here, for tensors whose element types and
ranks are known, is what the operators mean: an element is NumPy's scalar, which computes in its own type; a part of a tensor is a view of
NumPy's, so that a write through it is seen where torch's would be. Only tensors that the program makes are written to; so what fails can be
run again by the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.exporters.onnx.known_types import KnownTypes
from bridge.ir import types as T
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.graph import Graph, Node, Value
from bridge.ir.node_schema import operator_of
from bridge.ir.passes.constants import NOT_CONSTANT, constant_value
from bridge.ir.passes.inline import inlined_graph
from bridge.runtime.host import Failed, NotHosted, Writer
from bridge.runtime.host_entry import NUMBERS, Parameter, compiled, is_plain, taken
from bridge.runtime.host_known import index_of, known_types
from bridge.runtime.host_memory import INDEXED, Memory, holds_tensors, of_tables, put_into, taken_from
from bridge.runtime.host_operators import (
    ALIKE,
    ARITHMETIC,
    COMPARED,
    DTYPES,
    FUNCTIONS,
    IN_PLACE,
    ONCE,
    READ,
    SHAPES,
    UFUNCS,
)
from bridge.runtime.host_ranges import FULL
from bridge.tensor import Tensor

__all__ = ["TensorWriter", "tensor_parameter", "tensor_program"]

#: The most operators of tensors outside of loops: with more, onnxruntime is quicker.
_MOST = 8


def tensor_program(
    function: Function, owner: ScriptObject | None, given: Sequence[Any], failed: Failed
) -> Callable[[tuple[Any, ...]], Any] | None:
    """The Python function of a program, of a tuple of arguments like ``given`` (:func:`compiled`); None where there is none, or
    onnxruntime is quicker. ``failed(error, args)`` gives the result where it raises."""
    graph = inlined_graph(function)
    own = graph.inputs[1:] if owner is not None else graph.inputs
    known = [
        _kind_of(a) is not _OTHER or (type(a) is tuple and is_plain(v.type)) for v, a in zip(own, given, strict=True)
    ]
    if not all(known) or len(graph.outputs) != 1:
        return None
    memory = Memory(graph)
    writer = TensorWriter(*known_types(graph, own, given, owner, memory), memory)
    writer.names["failed"] = failed
    if owner is not None:
        writer.objects[graph.inputs[0]] = owner
    try:
        return _written(writer, graph, own, given, function.qualified_name)
    except (NotHosted, SyntaxError, RecursionError):
        return None


def _written(
    writer: TensorWriter, graph: Graph, own: Sequence[Value], given: Sequence[Any], name: str
) -> Callable[[tuple[Any, ...]], Any]:
    parameters = [_parameter(writer, v, a) for v, a in zip(own, given, strict=True)]
    writer.block(graph.block, 3)
    result = writer.result(graph.outputs[0])
    if writer.back:
        writer.line(3, f"result = {result}")
        writer.lines += [f"   {line}" for line in writer.back]
        result = "result"
    writer.line(3, f"return {result}")
    for where in writer.written:  # as what it is to be is in a copy meanwhile
        others = "".join(f"{x}, " for x in writer.places if x != where)
        writer.held.append(Parameter("", f"shares({where}, (*args, {others}))"))
    if writer.once > _MOST:
        raise NotHosted
    lines = ["  with quiet(all='ignore'):" if writer.computes else "  if True:", *writer.lines]
    writer.names.update(
        quiet=np.errstate, wrap=Tensor._wrap, array=np.array, zeros=np.zeros, unknown=_unknown, shares=_shares
    )
    return compiled(name, parameters, lines, writer.names, writer.held)


def _unknown() -> None:
    raise NotHosted


def _parameter(writer: TensorWriter, v: Value, given: Any) -> Parameter:
    name = writer.name(v)
    if isinstance(given, Tensor):
        return tensor_parameter(writer, name, given, name)
    if type(given) is tuple:
        return taken(name, v.type, writer.names)
    t = {bool: T.BOOL, int: T.INT, float: T.FLOAT}.get(type(given[0] if type(given) is list else given), T.NONE)
    return taken(name, T.ListType(t) if type(given) is list else t, writer.names)


def tensor_parameter(writer: TensorWriter, name: str, like: Tensor, where: str) -> Parameter:
    """A parameter that is a tensor of an element type and rank, and as an array to the program; a single number as that."""
    a = like._array
    writer.names[f"dtype_{name}"] = a.dtype
    kind = "Tensor"
    if type(like) is not Tensor:
        kind = f"kind_{name}"
        writer.names[kind] = type(like)
    refused = (
        f"type({where}) is not {kind} or {where}._array.dtype is not dtype_{name} or {where}._array.ndim != {a.ndim}"
    )
    refused += f" or (state.enabled and {where}.requires_grad)"
    return Parameter(name, refused, [f"{name} = {where}._array" + ("" if a.ndim else "[()]")])


_OTHER = object()


def _kind_of(v: Any) -> Any:
    """What is checked of an argument: None for a tensor, a type for a number, the element type of a list in a tuple."""
    if isinstance(v, Tensor):
        return None if v._array.dtype.name in DTYPES else _OTHER
    if type(v) in (bool, int, float):
        return type(v)
    if type(v) is list and v and type(v[0]) in (bool, int, float):
        return (type(v[0]),)
    return _OTHER


class TensorWriter(Writer):
    """Writes statements about tensors, too. ``given`` names the parameters that are attributes, ``held`` says which; ``once`` counts
    the operators that are more than a read or a write."""

    def __init__(self, types: KnownTypes, tables: Mapping[Value, T.Type], memory: Memory) -> None:
        super().__init__()
        self.types, self.tables, self.memory = types, tables, memory
        self.objects: dict[Value, ScriptObject] = {}
        self.held: list[Parameter] = []
        self.parts: dict[
            Value, tuple[str, list[str]]
        ] = {}  # elements that are read where they are used: the tensor, the indices
        self.nested = self.once = 0
        self.back: list[str] = []  # what gives attributes their new values
        self.written: list[str] = []  # these, and all that are tensors
        self.places: list[str] = []
        self.computes = False  # with NumPy's numbers, of whose overflows it warns

    # -- what is known -----------------------------------------------------------------------------------------------------

    def rank(self, v: Value) -> int | None:
        t = self.types.types.get(v)
        return t.rank if isinstance(t, T.TensorType) else None

    def dtype(self, v: Value) -> str:
        found = self.types.dtype(v)
        if found is None or found.name not in DTYPES:
            raise NotHosted
        return str(found.name)

    def is_plain(self, t: T.Type) -> bool:
        return t is T.NUMBER or super().is_plain(t) or (self.memory.has_tables and holds_tensors(t))

    def name(self, v: Value) -> str:
        part = self.parts.get(v)
        return super().name(v) if part is None else f"{part[0]}[{', '.join(part[1])}]"

    # -- statements --------------------------------------------------------------------------------------------------------

    def statement(self, n: Node, depth: int) -> None:
        if n.kind != "aten::stack" and not of_tables(n):
            raise NotHosted
        if n.kind == "prim::GetAttr":
            self.attribute(n)
        elif n.kind == "prim::device":
            self.values[n.output] = "None"
        elif (n.kind == "aten::format" and _for_messages(n.output)) or (
            n.kind == "prim::ListConstruct" and n.output.uses and all(u.user.kind in INDEXED for u in n.output.uses)
        ):
            pass
        elif n.kind in ("prim::If", "prim::Loop", "prim::Constant", "prim::RaiseException", "prim::Uninitialized"):
            self.nested += n.kind == "prim::Loop"
            super().statement(n, depth)
            self.nested -= n.kind == "prim::Loop"
        elif any(isinstance(v.type, T.TensorType) for v in (*n.inputs, *n.outputs)):
            self.tensors(n, depth)
        else:
            super().statement(n, depth)

    def attribute(self, n: Node) -> None:
        owner = self.objects.get(n.input)
        value = owner.attributes.get(n["name"]) if owner is not None else None
        if owner is None or value is None:
            raise NotHosted
        first = self.memory.attributes[self.memory.paths[n.output]]
        if first is not n.output and first in self.values:  # it stays what it is
            self.values[n.output] = self.values[first]
            return
        if first in self.objects:
            self.objects[n.output] = self.objects[first]
            return
        where = f"attributes_{len(self.held)}[{n['name']!r}]"
        self.names[f"attributes_{len(self.held)}"] = owner.attributes
        if isinstance(value, ScriptObject):
            self.objects[n.output] = self.objects[first] = value
            same = f"object_{len(self.held)}"
            self.names[same] = value
            self.held.append(Parameter("", f"{where} is not {same}"))
        elif isinstance(value, Tensor) and value._array.dtype.name in DTYPES and value._array.ndim:
            self.values[n.output] = name = self.name(first)
            self.places.append(where)
            p = tensor_parameter(self, name, value, where)
            if self.memory.is_written(n.output):
                p = self.changed(p, where)
            self.held.append(p)
        elif type(value) in (bool, int, float) and n.output.type in NUMBERS:
            self.values[n.output] = name = self.name(first)
            self.held.append(Parameter(name, f"type({where}) is not {type(value).__name__}", [f"{name} = {where}"]))
        else:
            raise NotHosted

    def changed(self, p: Parameter, where: str) -> Parameter:
        """An attribute that is written to: a copy, which takes its place at the end, when nothing has failed."""
        self.written.append(where)
        self.back += [f"{where}._array[...] = {p.name}", f"{where}._share_counter()[0] += 1"]
        return Parameter(p.name, p.refused, [f"{p.name} = {where}._array.copy()"])

    def tensors(self, n: Node, depth: int) -> None:
        kind = n.kind
        if kind == "prim::TupleConstruct":
            self.line(depth, f"{self.name(n.output)} = ({', '.join(map(self.name, n.inputs))},)")
            return
        if kind in ("aten::select", "aten::slice"):
            self.part(n, depth)
        elif kind in ("aten::copy_", "aten::fill_") or kind in IN_PLACE:
            self.write(n, depth)
        elif kind in INDEXED:
            self.indexed(n, depth)
        elif kind == "aten::equal":
            self.give(n, self.equal(n), depth)
        elif kind == "prim::tolist":
            self.listed(n, depth)
        elif kind == "aten::item" and self.rank(n.inputs[0]) == 0:
            self.line(depth, f"{self.name(n.output)} = {self.name(n.inputs[0])}.item()")
        elif put_into(n) or taken_from(n) is not None:
            self.table(n, depth)
        elif kind in READ and len(n.inputs) == 1:
            text = self.read(n)
            if READ[kind] == "int" and self.dtype(n.inputs[0]).startswith("float"):
                self.line(depth, f"{self.name(n.output)} = {text}")
                self.line(depth, f"if not {-1 << FULL} <= {self.name(n.output)} < {1 << FULL}: raise OverflowError")
            else:
                self.give(n, text, depth)
        elif kind in SHAPES:
            text = self.shape(n)
            if n.output.type in NUMBERS:  # a tensor keeps its shape
                self.put(n.output, text, depth)
            else:
                self.line(depth, f"{self.name(n.output)} = {text}")
        else:
            self.compute(n, depth)

    def table(self, n: Node, depth: int) -> None:
        """Tensors into a list or dict, and out of it."""
        source = taken_from(n)
        if n.kind == "aten::pop" and len(n.inputs) > 2:
            raise NotHosted
        for table, v in put_into(n) if source is None else [(source, n.output)]:
            known = self.types.types.get(v)
            if known is None or known != self.tables.get(self.memory.holder(table)) or not self.is_plain(table.type):
                raise NotHosted
        super().operator(n, [self.name(v) for v in n.inputs], depth)

    def listed(self, n: Node, depth: int) -> None:
        """The numbers of a tensor, of the type and in as many lists as the program says."""
        t, lists = n.output.type, 0
        while isinstance(t, T.ListType):
            t, lists = t.element, lists + 1
        if not lists or self.rank(n.inputs[0]) != lists or (t, self.dtype(n.inputs[0])) not in ALIKE:
            raise NotHosted
        self.line(depth, f"{self.name(n.output)} = {self.name(n.inputs[0])}.tolist()")

    def indexed(self, n: Node, depth: int) -> None:
        """An element, or a row, at the place that a tensor of one int has."""
        base, at = n.inputs[0], index_of(self.types, n)
        rank = self.rank(base)
        if at is None or not rank:
            raise NotHosted
        where = f"{self.name(base)}[{self.name(at)}]"
        if n.kind == "aten::index":
            self.dtype(base)
            self.line(depth, f"{self.name(n.output)} = {where}" + (".copy()" if rank > 1 else ""))
            return
        value = n.inputs[2]
        other = self.rank(value)
        if not self.memory.is_own(base) or n.output.uses or constant_value(n.inputs[3]) is not False:
            raise NotHosted
        if other is None or other > rank - 1 or self.dtype(value) != self.dtype(base):
            raise NotHosted
        self.line(depth, f"{where} = {self.name(value)}")

    def equal(self, n: Node) -> str:
        """Whether two tensors are alike, sizes and all."""
        a, b = n.inputs
        if not self.rank(a) or self.rank(b) != self.rank(a) or self.dtype(a) != self.dtype(b):
            raise NotHosted
        x, y = self.name(a), self.name(b)
        alike = f"not ({x} != {y}).any()" if self.dtype(a).startswith("float") else f"{x}.tobytes() == {y}.tobytes()"
        return f"{x}.shape == {y}.shape and {alike}"

    def give(self, n: Node, text: str, depth: int) -> None:
        """What is computed of elements; of those that are written to at once."""
        if any((v in self.parts or self.rank(v)) and self.memory.is_written(v) for v in n.inputs):
            self.line(depth, f"{self.name(n.output)} = {text}")
        else:
            self.put(n.output, text, depth)

    def shape(self, n: Node) -> str:
        a = self.name(n.inputs[0])
        if self.rank(n.inputs[0]) is None:
            raise NotHosted
        if n.kind == "prim::dtype":
            return str(self.types.dtype(n.inputs[0]).code) if self.dtype(n.inputs[0]) else ""
        if self.rank(n.inputs[0]) == 0:
            raise NotHosted
        if n.kind == "aten::size":
            return f"{a}.shape[{self.name(n.inputs[1])}]" if len(n.inputs) > 1 else f"list({a}.shape)"
        return {"aten::numel": f"{a}.size", "aten::dim": f"{a}.ndim", "aten::len": f"{a}.shape[0]"}[n.kind]

    def read(self, n: Node) -> str:
        """A number out of a tensor of one element."""
        v = n.inputs[0]
        if self.rank(v) != 0:
            raise NotHosted
        self.dtype(v)
        part, call = self.parts.get(v), READ[n.kind]
        return f"{call}({self.name(v)})" if part is None else f"{call}({part[0]}.item({', '.join(part[1])}))"

    def part(self, n: Node, depth: int) -> None:
        v, dim = n.inputs[0], constant_value(n.inputs[1])
        rank = self.rank(v)
        if rank is None or rank == 0 or type(dim) is not int or not -rank <= dim < rank:
            raise NotHosted
        self.dtype(v)
        before = [":"] * (dim % rank)
        base, indices = self.parts.get(v) or (self.name(v), [])
        if before or n.kind == "aten::slice":
            base, indices = self.name(v), []
        if n.kind == "aten::slice":
            step = constant_value(n.inputs[4])
            if type(step) is not int or step < 1:
                raise NotHosted
            here = f"{self.name(n.inputs[2])}:{self.name(n.inputs[3])}" + (f":{step}" if step > 1 else "")
        else:
            here = self.name(n.inputs[2])
        indices = [*indices, *before, here]
        single = rank == 1 and n.kind == "aten::select"
        if single and not self.memory.is_prompt(n.output):  # an element is read when it is made, as if it were copied
            raise NotHosted
        if (
            n.kind == "aten::select"
            and not before
            and (single or len(n.output.uses) == 1)
            and self.memory.is_prompt(n.output)
        ):
            self.parts[n.output] = base, indices
        elif single:
            self.line(depth, f"{self.name(n.output)} = {base}[{', '.join(indices)}]")
        else:
            self.line(depth, f"{self.name(n.output)} = {base}[{', '.join(indices)}]")

    def write(self, n: Node, depth: int) -> None:
        target, value = n.inputs[0], n.inputs[1]
        if not self.memory.is_own(target) or n.output.uses:
            raise NotHosted
        rank, other = self.rank(target), self.rank(value)
        part = self.parts.get(target)
        if rank is None or (rank == 0 and part is None):
            raise NotHosted
        if isinstance(value.type, T.TensorType):
            if other is None or other > rank or self.dtype(value) != self.dtype(target):
                raise NotHosted
        else:
            self.weak(target, value)
        if n.kind in IN_PLACE and len(n.inputs) > 2 and constant_value(n.inputs[2]) != 1:
            raise NotHosted
        self.computes |= n.kind in IN_PLACE
        where = self.name(target) if rank == 0 else f"{self.name(target)}[...]"
        self.line(depth, f"{where} {IN_PLACE.get(n.kind, '=')} {self.name(value)}")

    def weak(self, tensor: Value, number: Value) -> None:
        """A number that takes the type of the tensor it meets."""
        if number.type not in NUMBERS or number.type is T.BOOL or self.dtype(tensor) in ("bool", "uint8"):
            raise NotHosted
        if number.type is T.FLOAT and not self.dtype(tensor).startswith("float"):
            raise NotHosted

    def compute(self, n: Node, depth: int) -> None:
        single = all(self.rank(v) == 0 for v in n.inputs if isinstance(v.type, T.TensorType))
        if n.kind == "aten::tensor" and n.inputs[0].type in NUMBERS and not self.requires_grad(n):
            self.computes = True
            self.line(depth, f"{self.name(n.output)} = {self.scalar(n.output)}({self.name(n.inputs[0])})")
            return
        copied = self.copied(n)
        if copied is not None:
            self.line(depth, f"{self.name(n.output)} = {copied}")
            return
        if n.kind == "aten::linear" and not self.nested:
            self.once += 1
            self.line(depth, f"{self.name(n.output)} = {self.linear(n)}")
            return
        if n.kind == "aten::stack" and not self.nested and constant_value(n.inputs[1]) == 0:
            self.once += 1
            if self.memory.holder(n.inputs[0]) not in self.tables:
                raise NotHosted
            rows = self.name(n.inputs[0])  # of one size, or it fails
            self.line(depth, f"{self.name(n.output)} = array({rows} or unknown(), {self.scalar(n.output)})")
            return
        made = self.made(n)
        if made is not None and not self.nested:
            self.line(depth, f"{self.name(n.output)} = {made}")
            return
        if (single or self.memory.has_tables) and (n.kind in ARITHMETIC or n.kind in COMPARED):
            self.give(n, self.arithmetic(n), depth)
            return
        if n.kind not in ONCE and not (n.kind in FUNCTIONS and (single or self.memory.has_tables)):
            raise NotHosted
        if self.nested and not single and not self.memory.has_tables:
            raise NotHosted
        self.once += not self.nested
        self.computes = True
        if single and n.kind in UFUNCS and {self.dtype(v) for v in n.inputs} in ({"float32"}, {"float64"}):
            name = n.kind.replace("::", "_")
            self.names[name] = UFUNCS[n.kind]
            self.give(n, f"{name}({', '.join(map(self.name, n.inputs))})", depth)
            return
        self.called(n, depth)

    def copied(self, n: Node) -> str | None:
        """A tensor of the sizes of another one; also in loops, as onnxruntime copies what a loop changes."""
        if n.kind not in ("aten::clone", "aten::zeros_like") or not self.rank(n.inputs[0]):
            return None
        if any(constant_value(v) not in (None, False) for v in n.inputs[1:]):
            return None
        x = self.name(n.inputs[0])
        self.dtype(n.inputs[0])
        return f"{x}.copy()" if n.kind == "aten::clone" else f"zeros({x}.shape, {self.scalar(n.output)})"

    def linear(self, n: Node) -> str:
        x, weight, bias = n.inputs
        given = [v for v in n.inputs if isinstance(v.type, T.TensorType)]
        if self.rank(weight) != 2 or not self.rank(x) or len({self.dtype(v) for v in given}) > 1:
            raise NotHosted
        if not self.dtype(x).startswith("float"):
            raise NotHosted
        self.computes = True
        text = f"{self.name(x)} @ {self.name(weight)}.T"
        if constant_value(bias) is None:
            return text
        if self.rank(bias) != 1:
            raise NotHosted
        return f"{text} + {self.name(bias)}"

    def made(self, n: Node) -> str | None:
        """A tensor of numbers in a list, or of zeros, where NumPy makes the same; None for other nodes."""
        first = n.inputs[0]
        if not isinstance(first.type, T.ListType) or first.type.element not in NUMBERS or self.requires_grad(n):
            return None
        if n.kind == "aten::zeros":
            return f"zeros({self.name(first)}, {self.scalar(n.output)})"
        if n.kind != "aten::tensor" or (first.type.element, self.dtype(n.output)) not in ALIKE:
            return None
        # Without numbers and a type, the kernel says which type it is.
        known = constant_value(n.inputs[1]) is not None
        return f"array({self.name(first) if known else f'({self.name(first)} or unknown())'}, {self.scalar(n.output)})"

    def arithmetic(self, n: Node) -> str:
        a, b = n.inputs[:2]
        tensors = [v for v in (a, b) if isinstance(v.type, T.TensorType)]
        if any(self.rank(v) is None for v in tensors):
            raise NotHosted
        if len({self.dtype(v) for v in tensors}) > 1 or not isinstance(a.type, T.TensorType):
            raise NotHosted
        if not isinstance(b.type, T.TensorType):
            self.weak(a, b)
        if len(n.inputs) > 2 and constant_value(n.inputs[2]) != 1:
            raise NotHosted
        self.computes |= n.kind in ARITHMETIC
        if n.kind in ARITHMETIC and self.dtype(a) in ("bool", "uint8"):
            raise NotHosted
        if n.kind == "aten::div" and not self.dtype(a).startswith("float"):
            raise NotHosted
        return f"{self.name(a)} {(ARITHMETIC | COMPARED)[n.kind]} {self.name(b)}"

    def scalar(self, v: Value) -> str:
        """The name of the NumPy type that a tensor of one element is here."""
        dtype = self.dtype(v)
        self.names[f"np_{dtype}"] = np.dtype(dtype).type
        return f"np_{dtype}"

    def called(self, n: Node, depth: int) -> None:
        """The operator's own kernel."""
        o = operator_of(n)
        if o is None or o.kernel is None or o.side_effect or o.schema.is_mutable or self.requires_grad(n):
            raise NotHosted
        name = self.kernel_of(o, len(n.inputs))
        names = [
            f"asarray({self.name(v)})" if isinstance(v.type, T.TensorType) and self.rank(v) == 0 else self.name(v)
            for v in n.inputs
        ]
        self.names["asarray"] = np.asarray
        if (
            n.kind == "aten::tensor"
            and isinstance(n.inputs[0].type, T.ListType)
            and constant_value(n.inputs[1]) is None
        ):
            names[0] = f"({names[0]} or unknown())"  # of what type is a tensor of none?
        outs = [self.name(o) for o in n.outputs]
        self.line(depth, f"{', '.join(outs)} = {name}({', '.join(names)})")
        for v, text in zip(n.outputs, outs, strict=True):
            if isinstance(v.type, T.TensorType):
                if self.rank(v) is None:
                    raise NotHosted
                self.line(depth, f"{text} = asarray({text})" + ("[()]" if self.rank(v) == 0 else ""))

    def requires_grad(self, n: Node) -> bool:
        """Whether a tensor is asked for that gradients are recorded of."""
        o = operator_of(n)
        names = [a.name for a in o.schema.arguments] if o is not None else []
        found = [constant_value(v) for a, v in zip(names, n.inputs, strict=False) if a == "requires_grad"]
        return any(f is NOT_CONSTANT or f for f in found)

    # -- the result --------------------------------------------------------------------------------------------------------

    def result(self, v: Value) -> str:
        if self.memory.is_given(v):  # the result is that very tensor
            raise NotHosted
        if isinstance(v.type, T.TensorType) and v.node.kind in ONCE and self.rank(v):
            return f"wrap({self.name(v)})"
        return self.handed(self.name(v), v.type)

    def handed(self, text: str, t: T.Type) -> str:
        """A value as the caller gets it."""
        if is_plain(t) or t is T.NUMBER:
            return text
        if isinstance(t, T.TensorType):
            return f"wrap(array({text}))"
        if isinstance(t, T.TupleType) and not t.name:
            return f"({', '.join(self.handed(f'{text}[{i}]', x) for i, x in enumerate(t.elements))},)"
        raise NotHosted


def _shares(tensor: Tensor, arguments: Sequence[Any]) -> bool:
    """Whether an argument may share memory with a tensor."""
    own = tensor._array
    return any(isinstance(a, Tensor) and np.may_share_memory(a._array, own) for a in arguments)


def _for_messages(v: Value) -> bool:
    """Whether a text is for an exception only, which the interpreter raises."""
    return all(u.user.kind in ("prim::RaiseException", "aten::format") for u in v.uses)
