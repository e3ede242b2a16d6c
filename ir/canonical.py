"""What a graph computes, as digests: equal for graphs that differ in names and in the order of independent nodes only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from bridge.ir.foreign import Subgraph
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.node_schema import schema_of
from bridge.ir.passes.effects import has_side_effects, is_nondeterministic
from bridge.ir.types import Type

__all__ = ["Meaning"]

_EFFECTS = frozenset({"prim::SetAttr", "aten::append", "aten::_set_item", "aten::Delete"})


class Meaning:
    """The digests of a graph: of each value (``of``), and of all that the graph returns and does (``whole``).

    A value's digest tells its operator, attributes and the digests of the inputs; graph inputs count by position. Where a graph
    writes to tensors or has other effects, what comes after an effect differs from what comes before it. Nodes whose
    results nothing uses do not count.
    """

    def __init__(self, graph: Graph) -> None:
        self.of: dict[Value, str] = {}
        self._epoch = 0
        self._effects: list[str] = []
        for i, v in enumerate(graph.inputs):
            self.of[v] = _digest("input", str(i))
        self._nodes(graph.block, 0)
        self.whole = _digest("graph", *(self.of[v] for v in graph.outputs), *self._effects)

    def _nodes(self, block: Block, depth: int) -> None:
        for n in block.nodes:
            self._node(n, depth)

    def _node(self, n: Node, depth: int) -> None:
        # The overload of an operator of ours follows from its inputs; that of a model's function names another function.
        overload = "" if n.kind.startswith(("aten::", "prim::")) else n.overload or ""
        parts = [n.kind, overload, *_attributes(n), *(self.of[v] for v in n.inputs)]
        effect = _has_effect(n)
        if effect:
            self._epoch += 1
        if self._epoch and n.kind != "prim::Constant":
            parts.append(f"after {self._epoch}")
        if n.kind in ("prim::Constant", "prim::ListConstruct", "prim::DictConstruct"):
            parts += [str(v.type) for v in n.outputs]
        for b in n.blocks:
            for i, v in enumerate(b.inputs):
                self.of[v] = _digest("parameter", str(depth), str(i), *parts)
            outer, self._effects = self._effects, []
            self._nodes(b, depth + 1)
            parts.append(_digest("block", *(self.of[v] for v in b.outputs), *self._effects))
            if self._effects:
                effect = True
            self._effects = outer
        made = _digest(*parts)
        if effect:
            self._effects.append(made)
        for v in n.outputs:
            self.of[v] = _digest(made, str(v.offset))


def _has_effect(n: Node) -> bool:
    if n.kind in _EFFECTS or has_side_effects(n) or is_nondeterministic(n):
        return True
    if n.kind.startswith("aten::"):
        schema = schema_of(n)
        return schema is None or schema.is_mutable
    return False


def _attributes(n: Node) -> Iterator[str]:
    for name in sorted(n.attributes):
        yield f"{name}={_text(n.attributes[name])}"
    if n.foreign is not None:  # which branch is which
        yield from (f"{name}={s.index}" for name, s in sorted(n.foreign.graphs.items()))


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        data = value.tobytes() if value.dtype != object else repr(value.tolist()).encode()
        return f"{value.dtype}{list(value.shape)}{hashlib.sha256(data).hexdigest()}"
    if isinstance(value, Subgraph):
        return f"block {value.index}"
    if isinstance(value, Graph):
        return Meaning(value).whole
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, Type):
        return str(value)
    return repr(value)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(_escaped(parts)).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _escaped(parts: Iterable[str]) -> Iterator[str]:
    for p in parts:
        yield p.replace("\\", "\\\\").replace("\0", "\\0")
