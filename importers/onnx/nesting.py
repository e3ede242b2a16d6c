"""Which values of an imported model need no name, because a person would write one expression inside the other.

``relu(conv(x))`` rather than two statements: where a value is used once, right after it was made, and its name says no more than
the operator that made it. The nodes keep their order.
"""

from __future__ import annotations

import re

import numpy as np

from bridge.ir.graph import Graph, Node, Value
from bridge.ir.types import TensorType

__all__ = ["nest"]

#: So many calls inside one another are read at a glance.
_DEEPEST = 2
#: About as long may an expression be with those inside it.
_LONGEST = 100
#: Written inside the expression that uses it, without being a step of its own.
_BESIDE = frozenset({"prim::GetAttr", "prim::Constant", "prim::ListConstruct"})
#: Names that say nothing.
_EMPTY = frozenset("tmp output out val value result x y v node n squeeze reshape cast concat transpose".split())
_NUMBERS = re.compile(r"[\d_]+$|^v?\d")


def nest(graph: Graph) -> None:
    """Take the names from values that are better written where they are used."""
    kept = set(graph.outputs) | {v for o in graph.outputs for v in o.node.inputs}
    depth: dict[Node, int] = {}
    length: dict[Node, int] = {}
    for node in graph.all_nodes():
        if node.kind in _BESIDE:
            continue
        here, long = 0, _own_length(node)
        for v in node.inputs:
            if v in kept or not _belongs(v, node):
                continue
            inner, more = depth.get(v.node, 0) + _counts(v.node), length.get(v.node, 0) - len(v.debug_name_base)
            if inner <= _DEEPEST and long + more <= _LONGEST:
                v.set_debug_name("")
                here, long = max(here, inner), long + more
        depth[node], length[node] = here, long


def _own_length(node: Node) -> int:
    """About how long the text of an operator is, with names for what it is given."""
    return len(node.kind) + sum(map(_length, node.inputs)) + sum(len(k) + 8 for k in node.attributes)


def _length(v: Value) -> int:
    node = v.node
    if node.kind == "prim::GetAttr":
        return len(node["name"]) + 1 + _length(node.inputs[0])
    if node.kind == "prim::ListConstruct":
        return sum(map(_length, node.inputs)) + 2
    if node.kind == "prim::Constant":
        value = node.attributes.get("value")
        return 20 + 4 * value.size if isinstance(value, np.ndarray) else len(str(value)) + 2
    return len(v.debug_name_base) + 2


def _counts(node: Node) -> int:
    """Operators between their operands are no call."""
    return 0 if node.kind in ("aten::add", "aten::sub", "aten::mul", "aten::div", "aten::matmul") else 1


def _belongs(v: Value, user: Node) -> bool:
    """Whether a value is made for this node alone, right before it, and is called after what made it."""
    node = v.node
    if node.kind in _BESIDE or node.blocks or len(node.outputs) != 1 or v.use_count != 1 or user.blocks:
        return False
    if not isinstance(v.type, TensorType) or not v.has_debug_name or not user.kind.startswith(("aten::", "onnx::")):
        return False
    before = user.prev
    while before is not None and before is not node and before.kind in _BESIDE:
        before = before.prev
    return before is node and _says_nothing(v.debug_name_base, node)


def _says_nothing(name: str, node: Node) -> bool:
    stem = _NUMBERS.sub("", name).lower().replace("_", "")
    operator = node.kind.rpartition("::")[2].lower().replace("_", "")
    return not stem or stem in _EMPTY or operator.startswith(stem) or stem.startswith(operator)
