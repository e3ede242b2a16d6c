"""Programs of a few operators on small tensors, as Python functions on NumPy arrays (see ``host.py``).

A call of onnxruntime costs as much as ten operators of NumPy on a few numbers. What is written here are programs without loops whose
operators NumPy has, and that cost less than such a call; larger tensors go to onnxruntime with each call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.node_schema import operator_of
from bridge.ir.passes.constant_propagation import propagate_constants_of_immutable_types
from bridge.ir.passes.constants import NOT_CONSTANT, constant_value, insert_constant
from bridge.ir.passes.inline import inlined_graph
from bridge.ir.type_tests import is_instance
from bridge.runtime.host import Failed, NotHosted
from bridge.runtime.host_entry import NUMBERS, Parameter, compiled, taken
from bridge.runtime.host_known import known_types
from bridge.runtime.host_memory import Memory
from bridge.runtime.host_operators import writes_out
from bridge.runtime.host_tensors import TensorWriter, tensor_parameter
from bridge.tensor import Tensor

__all__ = ["may_be_small", "small_program"]

#: Elements of a tensor up to which NumPy is as quick as onnxruntime.
_SIZE = 1024
#: Elements of a weight up to which that is so.
_WEIGHT = 4096
#: Microseconds that a program may take, about, beyond what the nodes of its model take: more is what a call of onnxruntime takes.
_MOST = 5.0
#: What a node of onnxruntime takes in microseconds, about, and a choice beside the nodes of its branches.
_NODE, _CHOICE = 0.35, 1.0
#: How many nodes an operator becomes, where it is not one.
_NODES_OF = {"aten::max": 4, "aten::min": 4, "aten::mean": 4}
#: Nodes of all branches, so that nothing large is looked at.
_NODES = 40
_TYPES = {"int32", "int64", "float32", "float64"}
#: Of floats, in NumPy's words.
_OF_FLOATS = {
    "aten::exp": "np.exp({0})", "aten::sin": "np.sin({0})", "aten::cos": "np.cos({0})", "aten::sqrt": "np.sqrt({0})",
    "aten::tanh": "np.tanh({0})", "aten::relu": "np.maximum({0}, {0}.dtype.type(0))", "aten::mean": "add_up({0}, None) / {0}.dtype.type({0}.size)",
}  # fmt: skip
#: Of ints and floats.
_OF_NUMBERS = {
    "aten::neg": "-{0}", "aten::abs": "np.abs({0})", "aten::sum": "add_up({0}, None)", "aten::max": "largest({0}, None)", "aten::min": "smallest({0}, None)",
}  # fmt: skip
#: What is called with more than the tensor, which then has to be None or False: a dtype.
_REDUCED = {"aten::sum", "aten::mean"}
#: What has a form of its own.
_OF_TENSORS = frozenset("aten::zeros_like aten::clone aten::linear aten::matmul aten::clamp aten::where".split())
#: What every type of floats holds.
_GREATEST = 3e38
_INFIX = {
    "aten::add": 0.5, "aten::sub": 0.5, "aten::mul": 0.5, "aten::div": 0.5, "aten::eq": 0.5, "aten::ne": 0.5, "aten::lt": 0.5,
    "aten::le": 0.5, "aten::gt": 0.5, "aten::ge": 0.5,
}  # fmt: skip
#: What each operator takes, in microseconds.
_COSTS = {
    **_INFIX, **dict.fromkeys(_OF_FLOATS, 1.0), **dict.fromkeys(_OF_NUMBERS, 1.2), "aten::neg": 0.5, "aten::abs": 0.5, "aten::mean": 1.8,
    "aten::relu": 0.7, "aten::sigmoid": 3.0, "aten::zeros": 0.5, "aten::ones": 1.0, "aten::linear": 2.0, "aten::matmul": 1.5, "aten::clamp": 1.0,
    "aten::zeros_like": 0.5, "aten::clone": 0.5, "aten::where": 1.5,
}  # fmt: skip
_FREE = {
    "aten::size", "aten::numel", "aten::dim", "aten::len", "prim::dtype", "aten::Bool", "aten::Int", "aten::Float", "aten::item",
    "aten::select", "aten::slice",
}  # fmt: skip
_NAMES = _COSTS.keys() | _FREE
_KEPT = (
    "prim::If",
    "prim::Constant",
    "prim::RaiseException",
    "prim::Uninitialized",
    "prim::TupleConstruct",
    "prim::GetAttr",
)


def may_be_small(function: Function) -> bool:
    """Whether a program is short, has no loop and, of tensors, only operators that are known here; before anything is inlined."""
    return _count(function.graph.block, _NODES) >= 0


def _count(block: Block, left: int) -> int:
    """How many nodes are left of so many after a block; less than none where one is not of this kind."""
    for n in block.nodes:
        tensors = any(isinstance(v.type, T.TensorType) for v in n.inputs) and not n.kind.startswith("prim::")
        if n.kind.startswith("prim::Call"):
            called = _called(n)
            left = -1 if called is None else _count(called.graph.block, left)
        # (what a function of layers does in place, it does when asked only)
        elif n.kind in ("prim::Loop", "prim::SetAttr") or (
            tensors and (n.kind.removesuffix("_") not in _NAMES or writes_out(n))
        ):
            return -1
        left -= n.kind not in ("prim::Constant", "prim::GetAttr")
        for b in n.blocks:
            left = _count(b, left)
        if left < 0:
            return -1
    return left


def _called(n: Node) -> Function | None:
    """The function that a call is of, if that is known."""
    t = n.inputs[0].type
    found = getattr(t, "function", None) if n.kind == "prim::CallFunction" else getattr(t, "methods", {}).get(n["name"])
    return found if isinstance(found, Function) else None


def small_program(
    function: Function, owner: ScriptObject | None, given: Sequence[Any], failed: Failed
) -> Callable[[tuple[Any, ...]], Any] | None:
    """The Python function of a program, of a tuple of arguments like ``given`` (:func:`compiled`); None where there is none.
    ``failed(error, args)`` gives the result where it raises."""
    graph = inlined_graph(function)
    own = graph.inputs[1:] if owner is not None else graph.inputs
    if len(graph.outputs) != 1 or not any(map(_small, given)):
        return None
    types = [_type_of(v) for v in given]
    if any(t is None for t in types):
        return None
    for v, t, value in zip(own, types, given, strict=True):
        assert t is not None
        _refine(graph, v, t, value)
    propagate_constants_of_immutable_types(graph)
    memory = Memory(graph)
    places, arrays = _parts(own, given)
    writer = _SmallWriter(*known_types(graph, places, arrays, owner, memory), memory)
    writer.names.update(failed=failed, np=np)
    if owner is not None:
        writer.objects[graph.inputs[0]] = owner
    try:
        return _written(writer, graph, own, given, function.qualified_name)
    except (NotHosted, SyntaxError, RecursionError):
        return None


def _written(
    writer: _SmallWriter, graph: Graph, own: Sequence[Value], given: Sequence[Any], name: str
) -> Callable[[tuple[Any, ...]], Any]:
    parameters = [writer.parameter(writer.name(v), v, a) for v, a in zip(own, given, strict=True)]
    writer.block(graph.block, 3)
    writer.line(3, f"return {writer.result(graph.outputs[0])}")
    if writer.cost > _MOST:
        raise NotHosted
    lines = ["  with quiet(all='ignore'):" if writer.computes else "  if True:", *writer.lines]
    writer.names.update(quiet=np.errstate, wrap=Tensor._wrap, array=np.array, asarray=np.asarray, zeros=np.zeros)
    writer.names.update(add_up=np.add.reduce, largest=np.maximum.reduce, smallest=np.minimum.reduce)
    return compiled(name, parameters, lines, writer.names, writer.held)


def _small(v: Any) -> bool:
    """Whether an argument is, or holds, a tensor, and each is small."""
    if type(v) is tuple:
        return any(map(_small, v))
    return type(v) is Tensor and v._array.size <= _SIZE


def _type_of(v: Any) -> T.Type | None:
    """The type of an argument that is looked at here; None for others."""
    if type(v) is Tensor:
        return T.TENSOR
    if type(v) is tuple and v and all(type(x) is Tensor for x in v):
        return T.TupleType(*[T.TENSOR] * len(v))
    return {bool: T.BOOL, int: T.INT, float: T.FLOAT}.get(type(v))


def _refine(graph: Graph, v: Value, t: T.Type, value: Any) -> None:
    """Say what type an argument has, and what follows of it."""
    declared, v.type = v.type, t
    for use in list(v.uses):
        n = use.user
        if n.kind == "prim::unchecked_cast" and n.input is v:
            _refine(graph, n.output, t, value)
            n.output.replace_all_uses_with(v)
        elif n.kind == "prim::isinstance":
            with graph.inserting(n):
                known = insert_constant(graph, is_instance(value, declared, n["types"]), T.BOOL)
            if known is not None:
                n.output.replace_all_uses_with(known)


def _parts(own: Sequence[Value], given: Sequence[Any]) -> tuple[list[Value], list[Any]]:
    """The values that stand for arguments, and for tensors in tuples, and what these are."""
    values: list[Value] = []
    found: list[Any] = []
    for v, a in zip(own, given, strict=True):
        values.append(v)
        found.append(a)
        for use in v.uses if type(a) is tuple else ():
            if use.user.kind == "prim::TupleUnpack":
                values += use.user.outputs
                found += a
    return values, found


class _SmallWriter(TensorWriter):
    """Writes operators on whole tensors, too; ``cost`` is what they take in all. ``tensors`` has the texts of given ones by their arrays'."""

    def __init__(self, *known: Any) -> None:
        super().__init__(*known)
        self.cost = 0.0
        self.costs: dict[Block, float] = {}
        self.tensors_given: dict[Value, tuple[str, str]] = {}

    def parameter(self, name: str, v: Value, given: Any) -> Parameter:
        if type(given) is Tensor:
            self.tensors_given[v] = name, f"t_{name}"
            return self._small(tensor_parameter(self, name, given, name), name, name)
        if type(given) is not tuple:
            return taken(name, v.type, self.names)
        refused = [f"type({name}) is not tuple or len({name}) != {len(given)}"]
        lines: list[str] = []
        for i, x in enumerate(given):
            part = self._small(tensor_parameter(self, f"{name}_{i}", x, f"{name}[{i}]"), f"{name}_{i}", f"{name}[{i}]")
            refused.append(part.refused)
            lines += part.lines
        lines.append(f"{name} = ({', '.join(f'{name}_{i}' for i in range(len(given)))},)")
        return Parameter(name, " or ".join(refused), lines)

    def _small(self, p: Parameter, name: str, where: str) -> Parameter:
        """A parameter of tensors that are small."""
        return Parameter(name, f"{p.refused} or {where}._array.size > {_SIZE}", [f"t_{name} = {where}", *p.lines])

    def attribute(self, n: Node) -> None:
        known = len(self.places)
        super().attribute(n)
        if len(self.places) > known:
            self.held[-1].refused += f" or {self.places[-1]}._array.size > {_WEIGHT}"
            self.tensors_given[n.output] = self.name(n.output), self.places[-1]

    def statement(self, n: Node, depth: int) -> None:
        if n.kind == "prim::TupleUnpack" and n.input.node.kind == "prim::Param":
            self.line(depth, f"{', '.join(map(self.name, n.outputs))}, = {self.name(n.input)}")
            for i, v in enumerate(n.outputs):
                self.tensors_given[v] = self.name(v), f"t_{self.name(n.input)}_{i}"
        elif (
            n.kind in _KEPT
            or n.kind in _NAMES
            or not any(isinstance(v.type, T.TensorType) for v in (*n.inputs, *n.outputs))
        ):
            super().statement(n, depth)
        else:
            raise NotHosted

    def block(self, block: Block, depth: int) -> None:
        before = self.cost
        super().block(block, depth)
        self.costs[block] = self.cost - before

    def choice(self, n: Node, depth: int) -> None:
        before = self.cost
        super().choice(n, depth)
        self.cost = before + max(self.costs[b] for b in n.blocks)
        if n.inputs[0].node.kind == "aten::Bool":  # data chooses
            self.cost -= _CHOICE

    def compute(self, n: Node, depth: int) -> None:
        self.cost += _COSTS.get(n.kind, _MOST) - _NODE * _NODES_OF.get(n.kind, 1)
        text = self.words(n)
        self.computes |= n.kind not in ("aten::zeros", "aten::ones")
        self.line(depth, f"{self.name(n.output)} = {text}")

    def words(self, n: Node) -> str:
        """What NumPy says for an operator."""
        kind = n.kind
        if kind in ("aten::zeros", "aten::ones"):
            first = n.inputs[0]
            if any(constant_value(v) is not None for v in n.inputs[2:]):
                raise NotHosted
            return f"np.{kind[6:]}({self.name(first)}, {self.scalar(n.output)})"
        x = n.inputs[0]
        if not isinstance(x.type, T.TensorType) or self.rank(x) is None or self.rank(n.output) is None:
            raise NotHosted
        if self.dtype(x if kind != "aten::where" else n.output) not in _TYPES:
            raise NotHosted
        if kind in _INFIX:
            return self.arithmetic(n)
        if kind in _OF_TENSORS:
            return self.of_tensors(n)
        if kind == "aten::sigmoid" and self.rank(x) and self.dtype(x).startswith("float"):
            o = operator_of(n)
            assert o is not None
            name = f"k{len(self.names)}"
            self.names[name] = getattr(o.kernel, "__wrapped__", o.kernel)  # (NumPy's warnings are off already)
            return f"{name}({self.name(x)})"
        found = _OF_FLOATS.get(kind) if self.dtype(x).startswith("float") else None
        found = found or _OF_NUMBERS.get(kind)
        if found is None or not self.rank(x):  # a single number has no `sum`
            raise NotHosted
        rest = [constant_value(v) for v in n.inputs[1:]]
        if (rest and (kind not in _REDUCED or rest != [None])) or len(n.outputs) != 1:
            raise NotHosted
        return found.format(self.name(x))

    def of_tensors(self, n: Node) -> str:
        """What has a form of its own in NumPy."""
        kind, x = n.kind, n.inputs[0]
        text: str | None = None
        given = [v for v in n.inputs if isinstance(v.type, T.TensorType)]
        if kind in ("aten::zeros_like", "aten::clone"):
            text = self.copied(n)
        elif kind == "aten::where":
            alike = len(n.inputs) == len(given) == 3 and all(map(self.rank, given))
            if alike and self.dtype(x) == "bool" and {self.dtype(v) for v in given[1:]} == {self.dtype(n.output)}:
                text = f"np.where({', '.join(map(self.name, n.inputs))})"
        elif not self.dtype(x).startswith("float") or {self.dtype(v) for v in given} != {self.dtype(n.output)}:
            raise NotHosted
        elif kind == "aten::linear":
            text = self.linear(n)
        elif kind == "aten::matmul" and all(map(self.rank, given)):
            text = f"{self.name(x)} @ {self.name(n.inputs[1])}"
        elif kind == "aten::clamp" and self.rank(x):
            text = self.clamped(n)
        if text is None or not self.rank(n.output):
            raise NotHosted
        self.computes = True
        return text

    def clamped(self, n: Node) -> str:
        """The larger, then the smaller one; of bounds that a float holds."""
        text = self.name(n.inputs[0])
        bounds = [constant_value(v) for v in n.inputs[1:]]
        if bounds == [None, None]:
            raise NotHosted
        for function, v, bound in zip(("maximum", "minimum"), n.inputs[1:], bounds, strict=True):
            if type(bound) in (int, float) and not _GREATEST < abs(bound) < math.inf:
                text = f"np.{function}({text}, {self.scalar(n.output)}({self.name(v)}))"
            elif bound is not None:
                raise NotHosted
        return text

    def weak(self, tensor: Value, number: Value) -> None:
        """A number that the type of the tensor holds for certain: NumPy refuses others, PyTorch lets them wrap."""
        super().weak(tensor, number)
        if number.type is T.INT and self.dtype(tensor) == "int32":
            known = constant_value(number)
            if known is NOT_CONSTANT or not -(2**31) <= known < 2**31:
                raise NotHosted

    def result(self, v: Value) -> str:
        if v.node.kind == "prim::TupleConstruct":
            parts = v.node.inputs
            made = [p for p in parts if p.node.kind in _COSTS or p.type in NUMBERS]
            if len({*made}) != len(parts) or (isinstance(v.type, T.TupleType) and v.type.name):
                raise NotHosted
            return f"({', '.join(map(self.one, parts))},)"
        return self.one(v)

    def one(self, v: Value) -> str:
        """A tensor that is new, or an argument itself; a number."""
        if v.type in NUMBERS:
            return self.name(v)
        if not isinstance(v.type, T.TensorType) or self.rank(v) is None:
            raise NotHosted
        text = self.name(v)
        new = f"wrap({text})" if self.rank(v) else f"wrap(array({text}))"
        if v.node.kind in _COSTS:
            return new
        if not self.rank(v) or any(n.kind in ("aten::select", "aten::slice") for n in v.node.graph.all_nodes()):
            raise NotHosted  # it may be a part of an argument
        for array, tensor in self.tensors_given.values():
            new = f"{tensor} if {text} is {array} else {new}"
        return new
