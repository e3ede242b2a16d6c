"""Which operators Python functions have on tensors that are looked at element by element (see ``host_tensors.py``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.classes import Function
from bridge.ir.graph import Block, Node
from bridge.ir.node_schema import schema_of

__all__ = [
    "ALIKE", "ARITHMETIC", "COMPARED", "DTYPES", "FUNCTIONS", "IN_PLACE", "ONCE", "READ", "SHAPES", "SIZED", "UFUNCS", "may_be_hosted", "writes_out",
]  # fmt: skip

DTYPES = {"bool", "uint8", "int32", "int64", "float32", "float64"}
#: Operators that cost little beside a call of onnxruntime, but in a loop more than its node.
ONCE = frozenset(
    "aten::argmax aten::argmin aten::argsort aten::sort aten::zeros aten::ones aten::full aten::arange aten::tensor aten::clone aten::max "
    "aten::min aten::sum aten::zeros_like aten::ones_like aten::full_like aten::any aten::all aten::cumsum".split()
)
#: Operators on single numbers, in Python's words, for one element type.
ARITHMETIC = {"aten::add": "+", "aten::sub": "-", "aten::mul": "*", "aten::div": "/"}
COMPARED = {"aten::eq": "==", "aten::ne": "!=", "aten::lt": "<", "aten::le": "<=", "aten::gt": ">", "aten::ge": ">="}
IN_PLACE = {"aten::add_": "+=", "aten::sub_": "-=", "aten::mul_": "*="}
#: Of single numbers, by their kernels.
FUNCTIONS = frozenset(
    "aten::cos aten::sin aten::exp aten::log aten::sqrt aten::tanh aten::abs aten::neg aten::logaddexp".split()
)
#: Of these, NumPy's own, for floats of one type.
UFUNCS = {f"aten::{n}": getattr(np, n) for n in "cos sin exp log sqrt tanh logaddexp".split()}
READ = {
    "aten::Int": "int",
    "aten::Float": "float",
    "aten::Bool": "bool",
    "aten::IntImplicit": "int",
    "aten::FloatImplicit": "float",
}
SIZED = ("aten::zeros", "aten::ones", "aten::full")
#: Of which numbers NumPy makes tensors of which type as torch does.
ALIKE = {(T.INT, "int64"), (T.FLOAT, "float32"), (T.FLOAT, "float64"), (T.BOOL, "bool")}
SHAPES = {"aten::size", "aten::numel", "aten::dim", "aten::len", "prim::dtype", "prim::device"}
TABLES = {"aten::_set_item", "aten::append", "aten::item"}
NAMES = TABLES | ONCE | FUNCTIONS | ARITHMETIC.keys() | COMPARED.keys() | IN_PLACE.keys() | READ.keys() | SHAPES | {
    "aten::select", "aten::slice", "aten::copy_", "aten::fill_", "aten::index", "aten::index_put_", "aten::equal", "aten::linear", "aten::stack",
}  # fmt: skip


def writes_out(n: Node) -> bool:
    """Whether an operator writes its result to an argument, ``out``, although its name does not say so."""
    schema = None if n.kind.endswith("_") or n.kind in TABLES else schema_of(n)
    return schema is not None and schema.is_mutable


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
                self.others = n.kind not in NAMES or writes_out(n)
            self.loops |= n.kind == "prim::Loop"
            for b in n.blocks:
                self.block(b)

    def called(self, function: Any) -> None:
        if isinstance(function, Function):
            self.function(function)
        else:
            self.others = True
