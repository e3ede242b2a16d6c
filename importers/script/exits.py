"""Early exits as data flow: ``return`` anywhere, ``break`` and ``continue`` (``exit_transforms.cpp``).

Each block that may have hit an exit yields a flag and the values that the exit carries; what follows in the block runs only
where the flag is not set. Blocks that always raise are known, so that code after them is not guarded for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.importers.script.matching import constant_of
from bridge.ir import types as T
from bridge.ir.graph import Block, Graph, Node, Value

__all__ = ["transform_exits"]

_RETURN, _CONTINUATION = "prim::ReturnStmt", "prim::LoopContinuation"


def transform_exits(graph: Graph) -> None:
    """Remove the exit nodes of a graph in SSA form."""
    _enter_exit_to_with(graph)
    for kind in (_CONTINUATION, _RETURN):
        _Transformer(graph, kind).block(graph.block)
    _inline_consecutive_ifs(graph.block)
    _with_to_enter_exit(graph)


class _Exit:
    """Whether an exit was hit (a bool value; the transformer's true, false or throws value when it is known) and what it
    carries."""

    __slots__ = ("hit", "values")

    def __init__(self, hit: Value, values: Sequence[Value] = ()) -> None:
        self.hit, self.values = hit, list(values)


class _Transformer:
    """Transforms all exits of one kind."""

    def __init__(self, graph: Graph, kind: str) -> None:
        self.graph, self.kind = graph, kind
        self.units: dict[int, tuple[T.Type, Value]] = {}
        self.target: Block | None = None
        first = next(iter(graph.block.nodes), None)
        with graph.inserting(first if first is not None else graph.block), graph.at_range(None):
            self.true = graph.constant(True)
            self.false = graph.constant(False)
        self.throws = self.unit(T.BOOL)

    def unit(self, type: T.Type) -> Value:
        """The one uninitialised value of a type. Types are told apart by identity, as torch's pointers are."""
        found = self.units.get(id(type))
        if found is None:
            n = self.graph.create("prim::Uninitialized")
            n.range = None
            n.output.type = type
            n.insert_after(self.graph.param_node)
            found = self.units[id(type)] = (type, n.output)
        return found[1]

    def matching_units(self, values: Sequence[Value]) -> list[Value]:
        return [self.unit(v.type) for v in values]

    def status(self, exit: _Exit) -> str:
        if exit.hit is self.true:
            return "will"
        if exit.hit is self.false:
            return "wont"
        return "throws" if exit.hit is self.throws else "might"

    # -- blocks ------------------------------------------------------------------------------------------------

    def block(self, block: Block) -> _Exit:
        before = self.target
        self._update_target(block)
        exit = self._nodes(block)
        if self.target is block:
            status = self.status(exit)
            if status == "might":
                n = self.graph.create("prim::If", (), 0)
                n.range = None
                n.insert_before(block.return_node)
                n.add_block()
                n.add_block()
                n.add_input(exit.hit)
                self._add_outputs(n, exit.values, block.outputs)
                _set_outputs(block, n.outputs)
            elif status == "will":
                _set_outputs(block, exit.values)
            exit = _Exit(self.false)
        self.target = before
        return exit

    def _update_target(self, block: Block) -> None:
        owner = block.owner.kind if block.owner is not None else ""
        if self.kind == _CONTINUATION:
            if owner == "prim::Loop":
                self.target = block
        elif owner in ("", "prim::Closure"):
            self.target = block

    def _nodes(self, block: Block) -> _Exit:
        exit = _Exit(self.false)
        for n in block.nodes:
            following = n.next
            assert following is not None
            kind = n.kind
            if kind == "prim::RaiseException":
                exit = _Exit(self.throws)
            elif kind == self.kind:
                exit = _Exit(self.true, n.inputs)
                n.destroy()
            elif kind == "prim::If":
                exit = self._if(n)
            elif kind == "prim::With":
                exit = self.block(n.blocks[0])
            elif kind == "prim::Closure":
                self.block(n.blocks[0])
            elif kind == "prim::Loop":
                exit = self._loop(n)
            status = self.status(exit)
            if status in ("will", "throws"):
                self._delete_from(block, following)
                break
            if status == "might":
                if following is not block.return_node:
                    exit = self._guard(block, exit, following)
                break
        return exit

    def _delete_from(self, block: Block, first: Node) -> None:
        """Remove the nodes from ``first`` on: they are never reached."""
        if first is block.return_node:
            return
        n = block.return_node.prev
        while n is not None:
            preceding = n.prev
            for o in n.outputs:
                if o.use_count:
                    o.replace_all_uses_with(self.unit(o.type))
            n.destroy()
            if n is first:
                break
            n = preceding

    def _guard(self, block: Block, exit: _Exit, first: Node) -> _Exit:
        """Let the nodes from ``first`` on run only when no exit was hit."""
        n = self.graph.create("prim::If", (), 0)
        n.range = None
        n.insert_before(first)
        n.add_input(exit.hit)
        exited, guarded = n.add_block(), n.add_block()
        node: Node | None = first
        while node is not None and node is not block.return_node:
            following = node.next
            node.move_before(guarded.return_node)
            node = following
        outputs = list(block.outputs)
        units = self.matching_units(outputs)
        for unit, out in zip(units, outputs, strict=True):
            exited.add_output(unit)
            guarded.add_output(out)
            n.add_output(out.type)
        _set_outputs(block, n.outputs)
        stmt = self.graph.create(self.kind, exit.values, 0)
        stmt.range = None
        stmt.insert_before(exited.return_node)
        return self._if(n)

    # -- control flow ------------------------------------------------------------------------------------------

    def _if(self, n: Node) -> _Exit:
        then, other = self.block(n.blocks[0]), self.block(n.blocks[1])
        a, b = self.status(then), self.status(other)
        if a == "throws":
            status = b
        elif b == "throws" or a == b:
            status = a
        else:
            status = "might"
        if status == "throws":
            return _Exit(self.throws)
        if status == "wont":
            return _Exit(self.false)
        # What the branch that does not exit would carry is never used.
        if a in ("wont", "throws"):
            then = _Exit(then.hit, self.matching_units(other.values))
        elif b in ("wont", "throws"):
            other = _Exit(other.hit, self.matching_units(then.values))
        if status == "will":
            hit = self.true
        else:
            self._add_outputs(n, [then.hit], [other.hit])
            hit = n.outputs[-1]
        self._add_outputs(n, then.values, other.values)
        return _Exit(hit, n.outputs[len(n.outputs) - len(then.values) :])

    def _add_outputs(self, n: Node, then: Sequence[Value], other: Sequence[Value]) -> None:
        pairs = list(zip(then, other, strict=True))
        for a, _ in pairs:
            n.blocks[0].add_output(a)
        for _, b in pairs:
            n.blocks[1].add_output(b)
        for a, b in pairs:
            unified = T.unify(a.type, b.type, True)
            assert unified is not None
            n.add_output(unified)

    def _loop(self, n: Node) -> _Exit:
        body = n.blocks[0]
        exit = self.block(body)
        if self.status(exit) in ("wont", "throws"):  # the loop may not be entered, so it does not always raise
            return _Exit(self.false)
        graph = self.graph
        new_if = graph.create("prim::If", (), 0)
        new_if.range = None
        body.append(new_if)
        new_if.add_input(exit.hit)
        new_if.add_block().add_output(self.false)
        new_if.add_block().add_output(body.outputs[0])
        condition = new_if.add_output(T.BOOL)
        body.return_node.replace_input(0, condition)
        n.add_input(self.false)
        body.add_input("", T.BOOL)
        body.add_output(exit.hit)
        hit = n.add_output(T.BOOL)
        for v in exit.values:
            n.add_input(self.unit(v.type))
            n.add_output(v.type)
            body.add_input("", v.type)
            body.add_output(v)
        return _Exit(hit, n.outputs[len(n.outputs) - len(exit.values) :])


def _set_outputs(block: Block, values: Sequence[Value]) -> None:
    values = list(values)
    block.return_node.remove_all_inputs()
    for v in values:
        block.add_output(v)


# -- consecutive ifs ---------------------------------------------------------------------------------------------------


def _inline_consecutive_ifs(block: Block) -> None:
    """``if c: f = True else: f = False`` followed by ``if f`` becomes one ``if c``."""
    n = block.param_node.next
    while n is not None and n is not block.return_node:
        for b in n.blocks:
            _inline_consecutive_ifs(b)
        if not _merge_with_next(n):
            n = n.next


def _merge_with_next(first: Node) -> bool:
    second = first.next
    if first.kind != "prim::If" or second is None or second.kind != "prim::If" or second.inputs[0].node is not first:
        return False
    at = second.inputs[0].offset
    known = [constant_of(b.outputs[at]) for b in first.blocks]
    if not all(k for k, _ in known) or bool(known[0][1]) == bool(known[1][1]):
        return False
    for block, (_, value) in zip(first.blocks, known, strict=True):
        outputs = list(block.outputs)

        def inside(v: Value, outputs: list[Value] = outputs) -> Value:
            return outputs[v.offset] if v.node is first else v

        block.clone_from(second.blocks[0 if value else 1], inside)
    for out in second.outputs:
        new = first.add_output().copy_metadata(out)
        out.replace_all_uses_with(new)
    second.destroy()
    return True


# -- with --------------------------------------------------------------------------------------------------------------


def _enter_exit_to_with(graph: Graph) -> None:
    """Put what stands between ``prim::Enter`` and its ``prim::Exit`` in a block, so that exits do not skip the latter."""
    pairs: list[tuple[Node, Node]] = []
    entered: list[Node] = []
    for n in graph.all_nodes():
        if n.kind == "prim::Enter":
            entered.append(n)
        elif n.kind == "prim::Exit":
            pairs.append((entered.pop(), n))
    for enter, exit in pairs:
        with_node = graph.create("prim::With", (), 0)
        with_node.range = None
        body, leaving = with_node.add_block(), with_node.add_block()
        inner = enter.next
        while inner is not None and inner is not exit:
            following = inner.next
            inner.move_before(body.return_node)
            inner = following
        exit.move_before(leaving.return_node)
        with_node.insert_after(enter)


def _with_to_enter_exit(graph: Graph) -> None:
    for with_node in [n for n in graph.all_nodes() if n.kind == "prim::With"]:
        for b in with_node.blocks:
            for n in b.nodes:
                n.move_before(with_node)
        with_node.destroy()
