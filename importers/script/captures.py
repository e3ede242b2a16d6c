"""Values from outside a program may only be read: they are constants of it, and a write would be lost on the caller."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.importers.script.errors import CompileError
from bridge.ir.graph import Graph, Node, Value
from bridge.ir.node_schema import schema_of
from bridge.ir.passes.aliases import AliasAnalysis

__all__ = ["refuse_writes"]


_WHY = (
    "a list or tensor from outside the function {may} be changed, which its owner would not see: take it as an argument, or "
    "copy it first"
)


def refuse_writes(graph: Graph, captured: Iterable[Node]) -> None:
    """Raise CompileError where a captured list or tensor, or what may be it on some path, is written to.

    What is passed to a function that is called counts as written to, unless alias analysis knows better.
    """
    nodes = [n for n in captured if n.block is not None]
    for node in nodes:
        seen: set[Value] = set()
        for output in node.outputs:
            _follow(output, seen)
    if nodes:
        analysis = AliasAnalysis(graph)
        for node in nodes:
            if any(analysis.has_writers(o) for o in node.outputs):
                raise CompileError(_WHY.format(may="may"), node.range)


def _follow(value: Value, seen: set[Value]) -> None:
    if value in seen:
        return
    seen.add(value)
    for use in value.uses:
        schema = schema_of(use.user)
        if schema is None or use.offset >= len(schema.arguments):
            continue
        argument = schema.arguments[use.offset]
        if argument.writes:
            raise CompileError(_WHY.format(may="would"), use.user.range or value.node.range)
        if argument.alias:
            for result, out in zip(schema.returns, use.user.outputs, strict=False):
                if result.alias == argument.alias:
                    _follow(out, seen)
