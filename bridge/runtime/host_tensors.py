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
from bridge.ir.dtypes import by_numpy
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.node_schema import operator_of
from bridge.ir.passes.constants import NOT_CONSTANT, constant_value
from bridge.ir.passes.inline import inlined_graph
from bridge.runtime.host import Failed, NotHosted, Writer
from bridge.runtime.host_entry import NUMBERS, Parameter, compiled, taken
from bridge.runtime.host_memory import Memory, holds_tensors, of_tables, put_into, taken_from
from bridge.runtime.host_ranges import FULL
from bridge.tensor import Tensor

__all__ = ["may_be_hosted", "tensor_program"]

_DTYPES = {"bool", "uint8", "int32", "int64", "float32", "float64"}
#: Operators that cost little beside a call of onnxruntime, but in a loop more than its node.
_ONCE = frozenset(
    "aten::argmax aten::argmin aten::argsort aten::sort aten::zeros aten::ones aten::full aten::arange aten::tensor aten::clone aten::max "
    "aten::min aten::sum aten::zeros_like aten::ones_like aten::full_like aten::any aten::all aten::cumsum".split()
)
#: Operators on single numbers, in Python's words, for one element type.
_ARITHMETIC = {"aten::add": "+", "aten::sub": "-", "aten::mul": "*", "aten::div": "/"}
_COMPARED = {"aten::eq": "==", "aten::ne": "!=", "aten::lt": "<", "aten::le": "<=", "aten::gt": ">", "aten::ge": ">="}
_IN_PLACE = {"aten::add_": "+=", "aten::sub_": "-=", "aten::mul_": "*="}
#: Of single numbers, by their kernels.
_FUNCTIONS = frozenset(
    "aten::cos aten::sin aten::exp aten::log aten::sqrt aten::tanh aten::abs aten::neg aten::logaddexp".split()
)
_READ = {
    "aten::Int": "int",
    "aten::Float": "float",
    "aten::Bool": "bool",
    "aten::IntImplicit": "int",
    "aten::FloatImplicit": "float",
}
_SIZED = ("aten::zeros", "aten::ones", "aten::full")
#: Of which numbers NumPy makes tensors of which type as torch does.
_ALIKE = {(T.INT, "int64"), (T.FLOAT, "float32"), (T.FLOAT, "float64"), (T.BOOL, "bool")}
_SHAPES = {"aten::size", "aten::numel", "aten::dim", "aten::len", "prim::dtype", "prim::device"}
_TABLES = {"aten::_set_item", "aten::append", "aten::item"}
_NAMES = _TABLES | _ONCE | _FUNCTIONS | _ARITHMETIC.keys() | _COMPARED.keys() | _IN_PLACE.keys() | _READ.keys() | _SHAPES | {
    "aten::select", "aten::slice", "aten::copy_", "aten::fill_",
}  # fmt: skip
#: The most operators of tensors outside of loops: with more, onnxruntime is quicker.
_MOST = 8


def may_be_hosted(function: Function) -> bool:
    """Whether a program has a loop and, of tensors, only operators that are known here; before anything is inlined."""
    found = _Kinds()
    found.function(function)
    return found.loops and not found.others


class _Kinds:
    def __init__(self) -> None:
        self.seen: set[Function] = set()
        self.loops = self.others = False

    def function(self, function: Function) -> None:
        if function not in self.seen:
            self.seen.add(function)
            self.block(function.graph.block)

    def block(self, block: Block) -> None:
        for n in block.nodes:
            if self.others:
                return
            if n.kind == "prim::CallMethod":
                t = n.inputs[0].type
                method = getattr(t, "methods", {}).get(n["name"])
                self.called(method)
            elif n.kind == "prim::CallFunction":
                self.called(getattr(n.inputs[0].type, "function", None))
            elif n.kind == "prim::SetAttr":
                self.others = True
            elif any(isinstance(v.type, T.TensorType) for v in n.inputs) and not n.kind.startswith("prim::"):
                self.others = n.kind not in _NAMES
            self.loops |= n.kind == "prim::Loop"
            for b in n.blocks:
                self.block(b)

    def called(self, function: Any) -> None:
        if isinstance(function, Function):
            self.function(function)
        else:
            self.others = True


def tensor_program(
    function: Function, owner: ScriptObject | None, given: Sequence[Any], failed: Failed
) -> Callable[[tuple[Any, ...]], Any] | None:
    """The Python function of a program, of a tuple of arguments like ``given`` (:func:`compiled`); None where there is none, or
    onnxruntime is quicker. ``failed(error, args)`` gives the result where it raises."""
    graph = inlined_graph(function)
    own = graph.inputs[1:] if owner is not None else graph.inputs
    if any(_kind_of(v) is _OTHER for v in given) or len(graph.outputs) != 1:
        return None
    memory = Memory(graph)
    writer = _TensorWriter(*_types(graph, own, given, owner, memory), memory)
    writer.names["failed"] = failed
    if owner is not None:
        writer.objects[graph.inputs[0]] = owner
    try:
        return _written(writer, graph, own, given, function.qualified_name)
    except (NotHosted, SyntaxError, RecursionError):
        return None


def _written(
    writer: _TensorWriter, graph: Graph, own: Sequence[Value], given: Sequence[Any], name: str
) -> Callable[[tuple[Any, ...]], Any]:
    parameters = [_parameter(writer, v, a) for v, a in zip(own, given, strict=True)]
    writer.block(graph.block, 3)
    writer.line(3, f"return {writer.result(graph.outputs[0])}")
    if writer.once > _MOST:
        raise NotHosted
    lines = ["  with quiet(all='ignore'):" if writer.computes else "  if True:", *writer.lines]
    writer.names.update(quiet=np.errstate, wrap=Tensor._wrap, array=np.array, zeros=np.zeros, unknown=_unknown)
    return compiled(name, parameters, lines, writer.names, writer.held)


def _unknown() -> None:
    raise NotHosted


def _parameter(writer: _TensorWriter, v: Value, given: Any) -> Parameter:
    name = writer.name(v)
    if isinstance(given, Tensor):
        return _tensor(writer, name, given, name)
    t = {bool: T.BOOL, int: T.INT, float: T.FLOAT}.get(type(given[0] if type(given) is list else given), T.NONE)
    return taken(name, T.ListType(t) if type(given) is list else t, writer.names)


def _tensor(writer: _TensorWriter, name: str, like: Tensor, where: str) -> Parameter:
    """A parameter that is a tensor of an element type and rank, and as an array to the program; a single number as that."""
    a = like._array
    writer.names[f"dtype_{name}"] = a.dtype
    refused = (
        f"type({where}) is not Tensor or {where}._array.dtype is not dtype_{name} or {where}._array.ndim != {a.ndim}"
    )
    refused += f" or (state.enabled and {where}.requires_grad)"
    return Parameter(name, refused, [f"{name} = {where}._array" + ("" if a.ndim else "[()]")])


_OTHER = object()


def _kind_of(v: Any) -> Any:
    """What is checked of an argument: None for a tensor, a type for a number, the element type of a list in a tuple."""
    if isinstance(v, Tensor):
        return None if v._array.dtype.name in _DTYPES else _OTHER
    if type(v) in (bool, int, float):
        return type(v)
    if type(v) is list and v and type(v[0]) in (bool, int, float):
        return (type(v[0]),)
    return _OTHER


def _types(
    graph: Graph, own: Sequence[Value], given: Sequence[Any], owner: ScriptObject | None, memory: Memory
) -> tuple[KnownTypes, dict[Value, T.Type]]:
    """What is known of tensors, and of those in lists and dicts, by one of the values that these go by."""
    tensors: Mapping[Value, T.Type] = {
        v: T.TensorType(by_numpy(a._array.dtype), [None] * a._array.ndim)
        for v, a in zip(own, given, strict=True)
        if isinstance(a, Tensor)
    }
    owners = {graph.inputs[0]: owner} if owner is not None else {}
    held: dict[Value, T.Type] = {}
    types = KnownTypes(tensors, owners)
    while _walk(types, graph.block, memory, held):
        pass
    for n in graph.all_nodes() if memory.has_tables else ():
        for table, v in put_into(n):
            known = types.types.get(v)
            if isinstance(known, T.TensorType) and known.dims is not None:
                held.setdefault(memory.holder(table), known)
    if held:  # from the start: what is put there may be made of what was there
        types = KnownTypes(tensors, owners)
        while _walk(types, graph.block, memory, held):
            pass
    return types, held


def _walk(types: KnownTypes, block: Block, memory: Memory, held: Mapping[Value, T.Type]) -> bool:
    """Infer in order; whether less is known of something than before."""
    less = False
    for n in block.nodes:
        if n.kind == "prim::If":
            for b in n.blocks:
                less |= _walk(types, b, memory, held)
            for i, o in enumerate(n.outputs):
                less |= types.join(o, *(b.outputs[i] for b in n.blocks))
        elif n.kind == "prim::Loop":
            body = n.blocks[0]
            carried = list(zip(body.inputs[1:], n.inputs[2:], body.outputs[1:], strict=True))
            for p, first, again in carried:
                less |= types.enter(p, first, again)
            less |= _walk(types, body, memory, held)
            for o, (_, first, again) in zip(n.outputs, carried, strict=True):
                less |= types.join(o, first, again)
        else:
            before = types.types.get(n.output) if len(n.outputs) == 1 else None
            changed = types.node(n)
            table = taken_from(n) if held else None
            made = _made(types, n) if table is None else held.get(memory.holder(table))
            if made is not None:
                types.types[n.output] = made
                changed = before is not None and made != before
            less |= changed
    return less


def _made(types: KnownTypes, n: Node) -> T.Type | None:
    """The type of a tensor that is made like another, or of sizes in a list; None where the rules of operators know enough."""
    if n.kind == "aten::tensor" and n.inputs[0].type in NUMBERS and n.inputs[1].node.kind == "prim::dtype":
        return T.TensorType(types.dtype(n.inputs[1].node.input), [])
    if n.kind in _SIZED and n.inputs[0].node.kind == "prim::ListConstruct":
        found = types.types.get(n.output)
        if isinstance(found, T.TensorType):  # as many dimensions as there are sizes
            return T.TensorType(found.dtype, [None] * len(n.inputs[0].node.inputs))
    return None


class _TensorWriter(Writer):
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
        self.computes = False  # with NumPy's numbers, of whose overflows it warns

    # -- what is known -----------------------------------------------------------------------------------------------------

    def rank(self, v: Value) -> int | None:
        t = self.types.types.get(v)
        return t.rank if isinstance(t, T.TensorType) else None

    def dtype(self, v: Value) -> str:
        found = self.types.dtype(v)
        if found is None or found.name not in _DTYPES:
            raise NotHosted
        return str(found.name)

    def is_plain(self, t: T.Type) -> bool:
        return t is T.NUMBER or super().is_plain(t) or (self.memory.has_tables and holds_tensors(t))

    def name(self, v: Value) -> str:
        part = self.parts.get(v)
        return super().name(v) if part is None else f"{part[0]}[{', '.join(part[1])}]"

    # -- statements --------------------------------------------------------------------------------------------------------

    def statement(self, n: Node, depth: int) -> None:
        if not of_tables(n):
            raise NotHosted
        if n.kind == "prim::GetAttr":
            self.attribute(n)
        elif n.kind == "prim::device":
            self.values[n.output] = "None"
        elif n.kind == "aten::format" and _for_messages(n.output):
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
        where = f"attributes_{len(self.held)}[{n['name']!r}]"
        self.names[f"attributes_{len(self.held)}"] = owner.attributes
        if isinstance(value, ScriptObject):
            self.objects[n.output] = value
            same = f"object_{len(self.held)}"
            self.names[same] = value
            self.held.append(Parameter("", f"{where} is not {same}"))
        elif isinstance(value, Tensor) and value._array.dtype.name in _DTYPES and value._array.ndim:
            self.held.append(_tensor(self, self.name(n.output), value, where))
        elif type(value) in (bool, int, float) and n.output.type in NUMBERS:
            name = self.name(n.output)
            self.held.append(Parameter(name, f"type({where}) is not {type(value).__name__}", [f"{name} = {where}"]))
        else:
            raise NotHosted

    def tensors(self, n: Node, depth: int) -> None:
        kind = n.kind
        if kind == "prim::TupleConstruct":
            self.line(depth, f"{self.name(n.output)} = ({', '.join(map(self.name, n.inputs))},)")
            return
        if kind in ("aten::select", "aten::slice"):
            self.part(n, depth)
        elif kind in ("aten::copy_", "aten::fill_") or kind in _IN_PLACE:
            self.write(n, depth)
        elif kind == "aten::item" and self.rank(n.inputs[0]) == 0:
            self.line(depth, f"{self.name(n.output)} = {self.name(n.inputs[0])}.item()")
        elif put_into(n) or taken_from(n) is not None:
            self.table(n, depth)
        elif kind in _READ and len(n.inputs) == 1:
            text = self.read(n)
            if _READ[kind] == "int" and self.dtype(n.inputs[0]).startswith("float"):
                self.line(depth, f"{self.name(n.output)} = {text}")
                self.line(depth, f"if not {-1 << FULL} <= {self.name(n.output)} < {1 << FULL}: raise OverflowError")
            else:
                self.give(n, text, depth)
        elif kind in _SHAPES:
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
        part, call = self.parts.get(v), _READ[n.kind]
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
            if constant_value(n.inputs[4]) != 1:
                raise NotHosted
            here = f"{self.name(n.inputs[2])}:{self.name(n.inputs[3])}"
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
        if n.kind in _IN_PLACE and len(n.inputs) > 2 and constant_value(n.inputs[2]) != 1:
            raise NotHosted
        self.computes |= n.kind in _IN_PLACE
        where = self.name(target) if rank == 0 else f"{self.name(target)}[...]"
        self.line(depth, f"{where} {_IN_PLACE.get(n.kind, '=')} {self.name(value)}")

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
        made = self.made(n)
        if made is not None and not self.nested:
            self.line(depth, f"{self.name(n.output)} = {made}")
            return
        if (single or self.memory.has_tables) and (n.kind in _ARITHMETIC or n.kind in _COMPARED):
            self.give(n, self.arithmetic(n), depth)
            return
        if n.kind not in _ONCE and not (n.kind in _FUNCTIONS and (single or self.memory.has_tables)):
            raise NotHosted
        if self.nested and not single and not self.memory.has_tables:
            raise NotHosted
        self.once += not self.nested
        self.computes = True
        self.called(n, depth)

    def made(self, n: Node) -> str | None:
        """A tensor of numbers in a list, or of zeros, where NumPy makes the same; None for other nodes."""
        first = n.inputs[0]
        if not isinstance(first.type, T.ListType) or first.type.element not in NUMBERS or self.requires_grad(n):
            return None
        if n.kind == "aten::zeros":
            return f"zeros({self.name(first)}, {self.scalar(n.output)})"
        if n.kind != "aten::tensor" or (first.type.element, self.dtype(n.output)) not in _ALIKE:
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
        self.computes |= n.kind in _ARITHMETIC
        if n.kind in _ARITHMETIC and self.dtype(a) in ("bool", "uint8"):
            raise NotHosted
        if n.kind == "aten::div" and not self.dtype(a).startswith("float"):
            raise NotHosted
        return f"{self.name(a)} {(_ARITHMETIC | _COMPARED)[n.kind]} {self.name(b)}"

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
        if isinstance(v.type, T.TensorType) and v.node.kind in _ONCE and self.rank(v):
            return f"wrap({self.name(v)})"
        return self.handed(self.name(v), v.type)

    def handed(self, text: str, t: T.Type) -> str:
        """A value as the caller gets it."""
        if self.is_plain(t) and not holds_tensors(t):
            return text
        if isinstance(t, T.TensorType):
            return f"wrap(array({text}))"
        if isinstance(t, T.TupleType) and not t.name:
            return f"({', '.join(self.handed(f'{text}[{i}]', x) for i, x in enumerate(t.elements))},)"
        raise NotHosted


def _for_messages(v: Value) -> bool:
    """Whether a text is for an exception only, which the interpreter raises."""
    return all(u.user.kind in ("prim::RaiseException", "aten::format") for u in v.uses)
