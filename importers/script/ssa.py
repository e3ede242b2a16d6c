"""Loads and stores → SSA: results of ifs, carried values of loops, breaks and continues (``convert_to_ssa.cpp``)."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.importers.script.environment import meaningful_name
from bridge.importers.script.exits import transform_exits
from bridge.ir import types as T
from bridge.ir.graph import Block, Graph, Node, Value

__all__ = ["convert_to_ssa"]


def convert_to_ssa(graph: Graph) -> None:
    """Turn an emitted graph into SSA form, exits included."""
    _ControlFlow().run(graph.block)
    _Continuations().run(graph.block)
    _inline_conditions(graph.block)
    _erase(graph.block, None)
    transform_exits(graph)


def _unplaced(graph: Graph, kind: str, name: str, inputs: Iterable[Value] = (), outputs: int = 0) -> Node:
    n = graph.create(kind, inputs, outputs, name=name)
    n.range = None
    return n


def _load(graph: Graph, name: str, type: T.Type) -> Node:
    n = _unplaced(graph, "prim::Load", name, (), 1)
    n.output.type = type
    return n


class _Scope:
    """Name → type, in nested blocks."""

    __slots__ = ("next", "types")

    def __init__(self, next: _Scope | None) -> None:
        self.next = next
        self.types: dict[str, T.Type] = {}

    def find(self, name: str) -> T.Type | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.types:
                return scope.types[name]
            scope = scope.next
        return None


class _ControlFlow:
    """Gives ifs and loops an output (and loops an input) for every variable that they assign."""

    def __init__(self) -> None:
        self.scope: _Scope | None = None

    def run(self, block: Block) -> _Scope:
        self.scope = mine = _Scope(self.scope)
        for n in block.nodes:
            if n.kind == "prim::If":
                self._if(n)
            elif n.kind == "prim::Loop":
                self._loop(n)
            elif n.kind in ("prim::Closure", "prim::ComprehensionScope"):
                for b in n.blocks:
                    self.run(b)
            elif n.kind == "prim::Store":
                mine.types[n["name"]] = n.input.type
        self.scope = mine.next
        return mine

    def _if(self, n: Node) -> None:
        blocks = n.blocks
        scopes = self.run(blocks[0]), self.run(blocks[1])
        names = {v for v in scopes[0].types if scopes[1].find(v) is not None}
        names |= {v for v in scopes[1].types if scopes[0].find(v) is not None}
        for name in sorted(names):
            types = [s.find(name) for s in scopes]
            assert types[0] is not None
            assert types[1] is not None
            unified = T.unify(types[0], types[1], True)
            assert unified is not None
            for b, t in zip(blocks, types, strict=True):
                assert t is not None
                self._output(b, t, name)
            self._result(n, unified, name)

    def _loop(self, n: Node) -> None:
        body = n.blocks[0]
        scope = self.run(body)
        assert self.scope is not None
        for name in sorted(scope.types):
            outer = self.scope.find(name)
            if outer is None:  # local to the body
                continue
            inner = scope.types[name]
            unified = T.unify(outer, inner, True)
            assert unified is not None
            n.add_input(_load(n.graph, name, outer).insert_before(n).output)
            parameter = body.add_input(name, unified)
            _unplaced(n.graph, "prim::Store", name, [parameter]).insert_after(body.param_node)
            self._output(body, inner, name)
            self._result(n, unified, name)

    def _output(self, block: Block, type: T.Type, name: str) -> None:
        block.add_output(block.append(_load(block.graph, name, type)).output)

    def _result(self, n: Node, type: T.Type, name: str) -> None:
        out = n.add_output(type)
        if meaningful_name(name):
            out.set_debug_name(name)
        _unplaced(n.graph, "prim::Store", name, [out]).insert_after(n)


class _Continuations:
    """``break`` and ``continue`` → ``prim::LoopContinuation(condition, carried values…)``."""

    def __init__(self) -> None:
        self.loop: Node | None = None
        self.false: Value | None = None

    def run(self, block: Block) -> None:
        graph = block.graph
        first = next(iter(block.nodes), None)
        with graph.inserting(first if first is not None else block), graph.at_range(None):
            self.false = graph.constant(False)
        self._assign(block)

    def _assign(self, block: Block) -> None:
        for n in block.nodes:
            if n.kind == "prim::If":
                self._assign(n.blocks[0])
                self._assign(n.blocks[1])
            elif n.kind == "prim::Closure":
                _Continuations().run(n.blocks[0])
            elif n.kind == "prim::ComprehensionScope":
                self._assign(n.blocks[0])
            elif n.kind == "prim::Loop":
                before, self.loop = self.loop, n
                self._assign(n.blocks[0])
                self.loop = before
            elif n.kind in ("prim::ContinueStmt", "prim::BreakStmt"):
                self._replace(n)

    def _replace(self, n: Node) -> None:
        assert self.loop is not None
        assert self.false is not None
        graph = n.graph
        exit = graph.create("prim::LoopContinuation", (), 0)
        exit.range = None
        exit.insert_after(n)
        if n.kind == "prim::ContinueStmt":
            header = exit.add_block()
            header.clone_from(self.loop.blocks[1], lambda v: v)
            _move_before(header, n)
            exit.add_input(header.outputs[0])
            exit.erase_block(0)
        else:
            exit.add_input(self.false)
        for out in self.loop.blocks[0].return_node.inputs:
            copy = graph.clone_node(out.node, lambda v: v).insert_before(exit)
            exit.add_input(copy.output)
        n.destroy()


def _move_before(block: Block, node: Node) -> None:
    for n in block.nodes:
        n.move_before(node)


def _inline_conditions(block: Block) -> None:
    """Move the condition block of each loop before the loop and to the end of its body."""
    for n in block.nodes:
        for b in list(n.blocks):
            _inline_conditions(b)
        if n.kind != "prim::Loop":
            continue
        body, header = n.blocks
        copy = n.add_block()
        copy.clone_from(header, lambda v: v)
        _move_before(copy, n)
        n.insert_input(1, copy.outputs[0])
        n.erase_block(2)
        _move_before(header, body.return_node)
        body.return_node.insert_input(0, header.outputs[0])
        n.erase_block(1)


class _Values:
    """Name → value, in nested blocks."""

    __slots__ = ("next", "values")

    def __init__(self, next: _Values | None) -> None:
        self.next = next
        self.values: dict[str, Value] = {}

    def find(self, name: str) -> Value:
        scope: _Values | None = self
        while scope is not None:
            found = scope.values.get(name)
            if found is not None:
                return found
            scope = scope.next
        raise AssertionError(f"variable {name} is not set")


def _erase(block: Block, outer: _Values | None) -> None:
    """Replace loads by what was stored."""
    scope = _Values(outer)
    for n in block.nodes:
        if n.kind == "prim::Store":
            scope.values[n["name"]] = n.input
            n.destroy()
        elif n.kind == "prim::Load":
            n.output.replace_all_uses_with(scope.find(n["name"]))
            n.destroy()
        elif n.kind == "prim::ComprehensionScope":
            body = n.blocks[0]
            _erase(body, scope)
            _move_before(body, n)
            n.destroy()
        else:
            for b in n.blocks:
                _erase(b, scope)
