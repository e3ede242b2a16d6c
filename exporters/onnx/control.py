"""``prim::If`` to ``If``, one to one. A condition that is known now leaves only its branch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bridge.exporters.onnx.elements import Homes
from bridge.exporters.onnx.machine import Machine, Skip, handles
from bridge.exporters.onnx.merge import finish_outputs, merge_content, merge_pair, refuse_mixed
from bridge.exporters.onnx.mutation import choice
from bridge.exporters.onnx.names import freeze_if_shared
from bridge.exporters.onnx.objects import is_object
from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import BOOL, Abstract, Cell, Maybe, Poison, Run, Unset
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Block, Node

__all__ = ["either"]


class Side:
    """One branch: its nodes, its results, and the heap after it."""

    __slots__ = ("apart", "body", "heap", "held", "homes", "tensors", "values")

    def __init__(self, m: Machine, name: str, run: Callable[[], list[Abstract]]) -> None:
        self.body = Body(name=name)
        before, self.homes = m.heap, Homes(m)
        m.heap = dict(before)
        with m.into(self.body):
            self.tensors = run()
            self.values = [m.latest(v) for v in self.tensors]
        self.held = self.homes.held(m)
        self.apart = {v for v in self.values if isinstance(v, Cell) and v.home is not None and not v.home.holds(m.heap)}
        self.homes.reset()
        self.heap, m.heap = m.heap, before

    def refuse_apart(self, cell: Cell) -> None:
        """Raise LoweringError for an element of a list that was changed after it was taken out, in this branch."""
        if cell in self.apart:
            raise LoweringError("this list is an element of another one that was changed meanwhile; take it out again")

    def now(self, m: Machine, v: Abstract) -> Abstract:
        """A tensor as it is at the end of this branch."""
        before, m.heap = m.heap, self.heap
        with m.into(self.body):
            found = m.current(v)
        m.heap = before
        return found


@handles("prim::If")
def lower_if(m: Machine, node: Node) -> Abstract:
    """Both branches become subgraphs; results that differ become outputs of the ``If``."""
    test = m.get(node.inputs[0])
    if not isinstance(test, Run):
        m.frame.decisions[node] = chosen = 0 if test else 1
        with m.into(m.emitter.body):
            m.run_block(node.blocks[chosen])
        return _results(node, [m.env[v] for v in node.blocks[chosen].outputs])
    e = m.emitter
    test = e.materialise(e.cast(test, BOOL))
    start = Run(BOOL, ()).born
    sides = [Side(m, name, partial(_block, m, b)) for name, b in zip(("then", "else"), node.blocks, strict=True)]
    if any(isinstance(v, Poison) for s in sides for v in s.values):
        raise Skip
    if m.step_by_step:
        _after_a_raise(m, node, sides)
    results = _join(m, node, test, sides[0], sides[1], start)
    if m.program.writes:
        pairs = zip(*(s.tensors for s in sides), results, strict=True)
        results = [_shared(m, test, a, b, r, start) for a, b, r in pairs]
    return _results(node, results)


def _after_a_raise(m: Machine, node: Node, sides: Sequence[Side]) -> None:
    """Where one branch raises whatever happens, nobody looks at its results, and the condition is known behind the ``if``."""
    ends = [_raises(m, b) for b in node.blocks]
    if ends[0] == ends[1]:
        return
    raising = sides[0] if ends[0] else sides[1]
    raising.tensors = raising.values = [Unset(o.type) for o in node.outputs]
    if node.inputs[0].node.block is node.block:
        m.env[node.inputs[0]] = ends[1]


def _raises(m: Machine, block: Block) -> bool:
    for n in block.nodes:
        if n.kind == "prim::RaiseException":
            return True
        if n.kind == "prim::If":
            chosen = m.frame.decisions.get(n)
            if all(_raises(m, b) for b in (n.blocks if chosen is None else [n.blocks[chosen]])):
                return True
    return False


def _block(m: Machine, block: Block) -> list[Abstract]:
    m.run_block(block)
    return [m.env[v] for v in block.outputs]


def either(m: Machine, node: Node, test: Run, then: Callable[[], Abstract], other: Callable[[], Abstract]) -> Abstract:
    """The result of a node that is made in one of two ways, which run time chooses."""
    test = m.emitter.materialise(m.emitter.cast(test, BOOL))
    start = Run(BOOL, ()).born
    sides = Side(m, "then", lambda: [then()]), Side(m, "else", lambda: [other()])
    return _results(node, _join(m, node, test, *sides, start))


def _results(node: Node, values: list[Abstract]) -> Abstract:
    return values[0] if len(node.outputs) == 1 else values


def _shared(m: Machine, test: Run, a: Abstract, b: Abstract, result: Abstract, start: int) -> Abstract:
    """A result with the memory that it shares: of what both branches give, or of one of two. ``start`` is when they began."""
    if not isinstance(result, Run) or result.number is not None or result.is_list:
        return result
    if a is b and isinstance(a, Run):
        return a
    first, second = (v if isinstance(v, Run) and m.existed(v, start) else None for v in (a, b))
    if isinstance(a, Unset) or isinstance(b, Unset):  # nobody looks at it there
        return next(v for v in (first, second, result) if v is not None)
    sides = first, second
    if sides == (None, None):
        return result
    made = result.another()
    made.view = choice(m, test, sides, result.another())
    return made


def _join(m: Machine, node: Node, test: Run, then: Side, other: Side, start: int) -> list[Abstract]:
    pairs: list[tuple[Abstract, Abstract, Run]] = []
    found: list[tuple[Abstract, Abstract]] = []  # the sides of each, as they were asked for

    def pair(a: Abstract, b: Abstract, merged: Run) -> Run:
        for (x, y), known in zip(found, (p[2] for p in pairs), strict=True):
            if x is a and y is b:
                return known
        found.append((a, b))
        merged.hint, merged.joined = f"{m.emitter.hint}/If", True
        pairs.append((then.now(m, a), other.now(m, b), merged))
        return merged

    there, absent = test.root, _negated(m, test)

    def value(a: Abstract, b: Abstract) -> Abstract:
        a, b = _decided(a, there, absent), _decided(b, absent, there)
        if isinstance(a, Cell) and isinstance(b, Cell) and a is not b:
            then.refuse_apart(a)
            other.refuse_apart(b)
            joined = content(a, then.heap[a], other.heap[b])
            made = m.new_cell(a.type, joined)
            freeze_if_shared(m, made, [c for c in (a, b) if c in m.heap or c.home is not None], node)
            return made
        if isinstance(a, Unset) and isinstance(b, tuple):
            return tuple(value(a, y) for y in b)
        if isinstance(b, Unset) and isinstance(a, tuple):
            return tuple(value(x, b) for x in a)
        if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
            return tuple(value(x, y) for x, y in zip(a, b, strict=True))
        if isinstance(a, Unset) and isinstance(b, Cell):
            return only(b, other, lambda v: value(a, v))
        if isinstance(b, Unset) and isinstance(a, Cell):
            return only(a, then, lambda v: value(v, b))
        return merge_pair(m, a, b, pair)

    def only(cell: Cell, side: Side, each: Callable[[Abstract], Abstract]) -> Cell:
        """A list that one branch gives, where nobody looks at what the other gives."""
        if cell in m.heap:
            return cell
        content = side.heap[cell]
        made: Any
        if isinstance(content, tuple):
            made = tuple(map(each, content))
        elif isinstance(content, dict):
            made = {k: each(v) for k, v in content.items()}
        elif isinstance(content, Run):
            made = each(content)
        else:
            raise LoweringError(
                "a list that grows is made on one path only, and another path leaves the function or loop"
            )
        return m.new_cell(cell.type, made)

    def content(cell: Cell, x: Any, y: Any) -> Any:
        if is_object(cell) and x.keys() == y.keys():
            return {k: value(v, y[k]) for k, v in x.items()}
        return merge_content(m, cell, x, y, test, (then.body, other.body), pair)

    for o, a, b in zip(node.outputs, then.values, other.values, strict=True):
        refuse_mixed(o.type, a, b)
    results = [value(a, b) for a, b in zip(then.values, other.values, strict=True)]
    for key in _changed(m, then, other, start):
        if isinstance(key, Cell):
            m.heap[key] = content(key, then.heap[key], other.heap[key])
        else:
            m.heap[key] = merge_pair(m, then.heap.get(key, key), other.heap.get(key, key), pair)
    then.homes.renew(m, then.held & other.held)
    if pairs:
        merged = [r for _, _, r in pairs]
        finish_outputs(m, then.body, [a for a, _, _ in pairs], merged)
        finish_outputs(m, other.body, [b for _, b, _ in pairs], merged)
        branches = {"then_branch": then.body, "else_branch": other.body}
        m.emitter.append(Record("If", "", [test], merged, branches, m.emitter.origin))
    return results


def _negated(m: Machine, test: Run) -> Run | None:
    """What a condition is the opposite of, where it was made as that here."""
    made = next((r for r in m.emitter.body.nodes[-4:] if test.root in r.outputs), None)
    return (
        made.inputs[0].root if made is not None and made.op_type == "Not" and isinstance(made.inputs[0], Run) else None
    )


def _decided(v: Abstract, there: Run | None, absent: Run | None) -> Abstract:
    """A value that may be None on one side of an ``If``, whose condition may have said whether it is."""
    if not isinstance(v, Maybe) or not isinstance(v.present, Run):
        return v
    if v.present.root is there:
        return Maybe(True, v.value)
    return None if v.present.root is absent else v


def _changed(m: Machine, then: Side, other: Side, start: int) -> list[Any]:
    """What existed before and a branch wrote to: lists of the heap, and tensors that are not the branch's own."""
    found = []
    for side in (then, other):
        for key, content in side.heap.items():
            before = m.heap.get(key, None if isinstance(key, Cell) else key)
            exists = key in m.heap if isinstance(key, Cell) else m.existed(key, start)
            if exists and content is not before and key not in found:
                found.append(key)
    return found
