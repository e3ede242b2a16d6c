"""Constant propagation: what can be computed now is computed now.

Needs: a valid graph; kernels of the operators that are to be folded (others stay). Promises: the same results, effects
and errors; an operator that raises is left to raise. An ``if`` on a constant becomes its branch, a loop that cannot run
goes away, outputs of ``if`` that are the same in both branches and values that loops do not change become direct uses.

``propagate_constants_of_immutable_types`` looks only at operators without tensors, lists and the like, and is what the
compiler runs; ``propagate_constants`` also folds those whose memory nobody writes to. Linear.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.errors import BridgeError
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.literals import WRAPPED
from bridge.ir.node_schema import operator_of
from bridge.ir.passes.aliases import AliasAnalysis, is_mutable_type
from bridge.ir.passes.base import graph_pass
from bridge.ir.passes.constants import NOT_CONSTANT, constant_value, insert_constant, node_key, operand_value
from bridge.ir.passes.dead_code import eliminate_dead_code
from bridge.ir.passes.effects import has_side_effects, is_nondeterministic
from bridge.ir.type_tests import is_instance

__all__ = ["propagate_constants", "propagate_constants_of_immutable_types"]

_SKIPPED = frozenset(
    {"prim::If", "prim::Loop", "prim::Closure", "prim::Constant", "prim::AutogradZero", "prim::Uninitialized",
     "prim::Guard", "prim::profile", "prim::profile_ivalue", "prim::unchecked_unwrap_optional", "prim::awaitable", "prim::awaitable_nowait",
     "aten::dequantize", "prim::Print", "prim::CreateObject", "prim::GetAttr", "prim::SetAttr", "prim::fork"}
)  # fmt: skip


#: a text that is longer than this is left to be made when the program runs
_LONGEST_TEXT = 1 << 16


@graph_pass
def propagate_constants_of_immutable_types(graph: Graph) -> bool:
    """Fold operators on numbers, strings and the like; whether anything changed."""
    return _run(_Propagator(graph, aliasing=False))


@graph_pass
def propagate_constants(graph: Graph) -> bool:
    """Fold operators on any constants that nobody writes to; whether anything changed."""
    return _run(_Propagator(graph, aliasing=True))


def _run(p: _Propagator) -> bool:
    p.block(p.graph.block)
    if p.changed:
        eliminate_dead_code(p.graph)
    return p.changed


class _Propagator:
    def __init__(self, graph: Graph, aliasing: bool) -> None:
        self.graph, self.changed = graph, False
        # Of the graph as it was: writes in branches that turn out dead count too, as in torch.
        self.aliases = AliasAnalysis(graph) if aliasing else None

    def block(self, block: Block) -> None:
        for n in block.nodes:
            self.node(n)

    def node(self, n: Node) -> None:
        constant = all(v.node.kind == "prim::Constant" for v in n.inputs)
        if n.kind == "prim::If":
            if constant:
                self.take_branch(n)
            else:
                for b in n.blocks:
                    self.block(b)
                self.drop_same_outputs(n)
        elif n.kind == "prim::Loop":
            if _never_runs(n):
                for out, first in zip(n.outputs, n.inputs[2:], strict=True):
                    out.replace_all_uses_with(first)
                self.changed = True
                n.destroy()
            else:
                self.block(n.blocks[0])
                self.drop_unchanged(n)
        elif constant and self.may_fold(n):
            self.fold(n)
        else:
            for b in n.blocks:
                self.block(b)

    # -- folding -------------------------------------------------------------------------------------------------------

    def may_fold(self, n: Node) -> bool:
        if n.kind in _SKIPPED or n.blocks or has_side_effects(n) or is_nondeterministic(n):
            return False
        if not n.kind.startswith(("aten::", "prim::")):
            return False
        if any(is_mutable_type(v.type) for v in (*n.inputs, *n.outputs)):
            return self.aliases is not None and not self.aliases.has_writers(n)
        return True

    def fold(self, n: Node) -> None:
        results = evaluate(n)
        if results is None:
            return
        with self.graph.inserting(n):
            for out, value in zip(n.outputs, results, strict=True):
                c = insert_constant(self.graph, value, out.type)
                if c is not None:
                    self.changed = True
                    out.replace_all_uses_with(c)

    # -- control flow --------------------------------------------------------------------------------------------------

    def take_branch(self, n: Node) -> None:
        body = n.blocks[0 if constant_value(n.input) else 1]
        self.block(body)
        for inner in list(body.nodes):
            inner.move_before(n)
        for out, result in zip(n.outputs, body.outputs, strict=True):
            out.replace_all_uses_with(result)
        n.destroy()
        self.changed = True

    def drop_same_outputs(self, n: Node) -> None:
        """Outputs of an ``if`` that both branches give alike."""
        then, otherwise = n.blocks
        i = 0
        while i < len(n.outputs):
            a, b = then.outputs[i], otherwise.outputs[i]
            replacement: Value | None = None
            if a is b:
                replacement = a
            elif constant_value(a) is not NOT_CONSTANT and node_key(a.node) == node_key(b.node):
                with self.graph.inserting(n):
                    replacement = insert_constant(self.graph, constant_value(a), a.type)
            if replacement is None:
                i += 1
                continue
            n.outputs[i].replace_all_uses_with(replacement)
            n.remove_output(i)
            then.return_node.remove_input(i)
            otherwise.return_node.remove_input(i)
            self.changed = True

    def drop_unchanged(self, n: Node) -> None:
        """Carried values that the loop gives on as they are."""
        (body,) = n.blocks
        for i in range(len(n.outputs) - 1, -1, -1):
            if body.inputs[i + 1] is not body.outputs[i + 1]:
                continue
            first = n.inputs[i + 2]
            n.outputs[i].replace_all_uses_with(first)
            body.inputs[i + 1].replace_all_uses_with(first)
            n.remove_output(i)
            n.remove_input(i + 2)
            body.return_node.remove_input(i + 1)
            body.param_node.remove_output(i + 1)
            self.changed = True


def _never_runs(n: Node) -> bool:
    trips, condition = constant_value(n.inputs[0]), constant_value(n.inputs[1])
    return condition is False or (isinstance(trips, int) and trips <= 0)


def evaluate(n: Node) -> list[Any] | None:
    """What a node of constant inputs computes; None when that cannot be told (or it raises)."""
    values = [constant_value(v) for v in n.inputs]
    if any(v is NOT_CONSTANT for v in values):
        return None
    t = n.outputs[0].type if n.outputs else T.NONE
    if n.kind == "prim::TupleConstruct":
        return [tuple(values)]
    if n.kind == "prim::ListConstruct":
        return [list(values)]
    if n.kind == "prim::DictConstruct":
        return [dict(zip(values[::2], values[1::2], strict=True))] if isinstance(t, T.DictType) else None
    if n.kind in ("prim::ListUnpack", "prim::TupleUnpack"):
        return list(values[0]) if len(values[0]) == len(n.outputs) else None
    if n.kind == "prim::TupleIndex":
        return [values[0][values[1]]] if -len(values[0]) <= values[1] < len(values[0]) else None
    if n.kind == "prim::TupleSlice":
        return [values[0][n["beg"] : n["end"]]]
    if n.kind == "prim::isinstance":
        return [is_instance(values[0], n.inputs[0].type, n["types"])]
    if n.kind == "prim::unchecked_cast":
        return values
    wrapped = [WRAPPED in v.node.attributes for v in n.inputs]
    return _run_kernel(
        n, [operand_value(v.node) if w else x for v, x, w in zip(n.inputs, values, wrapped, strict=True)]
    )


def _run_kernel(n: Node, values: list[Any]) -> list[Any] | None:
    operator = operator_of(n)
    if operator is None or operator.kernel is None or operator.schema.is_vararg or _may_grow(n, values):
        return None
    try:
        with np.errstate(all="ignore"):
            result = operator.run(*values)
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError, BridgeError, NotImplementedError):
        return None  # it raises when the program gets there
    results = [result] if len(n.outputs) == 1 else list(result)
    return [_plain(r, v.type) for r, v in zip(results, n.outputs, strict=True)]


def _may_grow(n: Node, values: list[Any]) -> bool:
    """Whether folding could make a long text: programs come from strangers, and ``"".ljust(10**12)`` is short."""
    if not any(v.type is T.STR for v in n.outputs):
        return False
    size = sum(len(v) if isinstance(v, str) else v if isinstance(v, int) else 0 for v in values)
    return size > _LONGEST_TEXT


def _plain(value: Any, t: T.Type) -> Any:
    """NumPy scalars as the Python numbers that graphs hold."""
    if isinstance(value, np.generic) and not isinstance(t, T.TensorType):
        return value.item()
    if isinstance(t, T.TensorType) and not isinstance(value, np.ndarray):
        return np.asarray(value)
    return value
