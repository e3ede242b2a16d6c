"""The structural verifier: finds graphs that break the rules which everything else relies on. Linear.

Checked: links between blocks, nodes, values and uses in both directions; that values are defined before they are used,
in a block that is visible there; names and numbers that are unique; the shape of ``prim::If`` and ``prim::Loop`` (blocks,
arities, types of conditions, counts and carried values), of constants, attributes and subgraphs.
"""

from __future__ import annotations

from typing import NoReturn

from bridge.ir import types as T
from bridge.ir.classes import ClassType, FunctionType, InterfaceType
from bridge.ir.errors import VerifyError
from bridge.ir.graph import Block, Graph, Node, Use, Value

__all__ = ["verify"]


def verify(graph: Graph) -> None:
    """Raises VerifyError, naming the node and the rule, for the first broken rule."""
    _Verifier(graph).run()


class _Verifier:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.visible: set[Value] = set()
        self.numbers: dict[int, Value] = {}
        self.names: dict[str, Value] = {}
        self.nodes: set[Node] = set()

    def fail(self, why: str, n: Node | None = None) -> NoReturn:
        from bridge.ir.printer import print_node

        shown = "" if n is None or n.kind in ("prim::Param", "prim::Return") else f"\n  {print_node(n).splitlines()[0]}"
        raise VerifyError(why + shown, n.range if n is not None else None)

    def run(self) -> None:
        if self.graph.block.owner is not None or self.graph.block.graph is not self.graph:
            self.fail("the graph does not own its block")
        self.block(self.graph.block, None)
        for name, v in self.graph._names.items():
            if self.names.get(name) is not v:
                self.fail(f"the name '{name}' belongs to a value that is not in the graph")

    def block(self, b: Block, owner: Node | None) -> None:
        if b.graph is not self.graph or b.owner is not owner:
            self.fail("a block belongs to another graph or node", owner)
        mine: list[Value] = []
        previous = b.param_node
        self.links(previous, b)
        self.define(previous, mine)
        if previous.inputs:
            self.fail("the parameters of a block have inputs", owner)
        n = previous.next
        while n is not b.return_node:
            if n is None:
                self.fail("the node list of a block is broken", previous)
            if n.prev is not previous or n._position <= previous._position:
                self.fail("the order of nodes is broken", n)
            self.links(n, b)
            self.node(n, mine)
            previous, n = n, n.next
        if b.return_node.prev is not previous:
            self.fail("the node list of a block is broken", previous)
        self.links(b.return_node, b)
        self.uses(b.return_node)
        if b.return_node.outputs:
            self.fail("the return of a block has outputs", owner)
        self.visible.difference_update(mine)

    def links(self, n: Node, b: Block) -> None:
        if n in self.nodes:
            self.fail("a node is in the graph twice", n)
        self.nodes.add(n)
        if n.block is not b or n.graph is not self.graph:
            self.fail("a node does not know its block or graph", n)

    def node(self, n: Node, mine: list[Value]) -> None:
        if n.kind in ("prim::Param", "prim::Return") or "::" not in n.kind:
            self.fail(f"'{n.kind}' is no kind of node", n)
        self.uses(n)
        for b in n.blocks:
            self.block(b, n)
        check = _CHECKS.get(n.kind)
        if check is not None:
            check(self, n)
        for a in n.attributes.values():
            if isinstance(a, Graph):
                verify(a)
        self.define(n, mine)

    def uses(self, n: Node) -> None:
        for i, v in enumerate(n.inputs):
            if Use(n, i) not in v._uses:
                self.fail(f"the use of %{v.debug_name} is not in its list of uses", n)
            if v not in self.visible:
                self.fail(f"%{v.debug_name} is not defined before its use here", n)

    def define(self, n: Node, mine: list[Value]) -> None:
        for i, v in enumerate(n.outputs):
            if v.node is not n or v.offset != i:
                self.fail(f"%{v.debug_name} does not know the node that defines it", n)
            if v.unique >= self.graph._next_unique or self.numbers.setdefault(v.unique, v) is not v:
                self.fail(f"the number {v.unique} of %{v.debug_name} is not its own", n)
            if v.has_debug_name:
                if self.names.setdefault(v.debug_name, v) is not v or self.graph._names.get(v.debug_name) is not v:
                    self.fail(f"the name %{v.debug_name} is not the value's own", n)
            if not isinstance(v.type, T.Type):
                self.fail(f"%{v.debug_name} has no type", n)
            for use in v._uses:
                if use.offset >= len(use.user.inputs) or use.user.inputs[use.offset] is not v:
                    self.fail(f"%{v.debug_name} lists a use that is none", n)
                if use.user.block is None:
                    self.fail(f"%{v.debug_name} is used by a {use.user.kind} that is in no block", n)
            self.visible.add(v)
            mine.append(v)

    # -- kinds ---------------------------------------------------------------------------------------------------------

    def arity(self, n: Node, inputs: int | None, outputs: int | None, blocks: int = 0) -> None:
        if inputs is not None and len(n.inputs) != inputs:
            self.fail(f"{n.kind} takes {inputs} inputs, not {len(n.inputs)}", n)
        if outputs is not None and len(n.outputs) != outputs:
            self.fail(f"{n.kind} has {outputs} outputs, not {len(n.outputs)}", n)
        if len(n.blocks) != blocks:
            self.fail(f"{n.kind} has {blocks} blocks, not {len(n.blocks)}", n)

    def typed(self, n: Node, v: Value, t: T.Type, what: str) -> None:
        if v.type is not t:
            self.fail(f"{what} %{v.debug_name} must be {t}, not {v.type}", n)

    def passes_as(self, n: Node, v: Value, to: Value, what: str) -> None:
        """Types may differ in what is known of shapes only (loops widen them in steps)."""
        if not T.unshaped(v.type).is_subtype_of(T.unshaped(to.type)):
            self.fail(f"{what} %{v.debug_name} of type {v.type} cannot become %{to.debug_name} of type {to.type}", n)

    def check_if(self, n: Node) -> None:
        self.arity(n, 1, None, 2)
        self.typed(n, n.inputs[0], T.BOOL, "the condition")
        for b in n.blocks:
            if b.inputs:
                self.fail("a branch has parameters", n)
            if len(b.outputs) != len(n.outputs):
                self.fail(f"a branch gives {len(b.outputs)} values, the if has {len(n.outputs)} outputs", n)
            for v, out in zip(b.outputs, n.outputs, strict=True):
                self.passes_as(n, v, out, "the result")

    def check_loop(self, n: Node) -> None:
        self.arity(n, None, None, 1)
        (body,) = n.blocks
        carried = len(n.inputs) - 2
        if carried < 0 or len(n.outputs) != carried or len(body.inputs) != carried + 1:
            self.fail("the loop's inputs, outputs and parameters do not fit together", n)
        if len(body.outputs) != carried + 1:
            self.fail(f"the loop's body gives {len(body.outputs)} values, not {carried + 1}", n)
        self.typed(n, n.inputs[0], T.INT, "the count")
        self.typed(n, n.inputs[1], T.BOOL, "the condition")
        self.typed(n, body.inputs[0], T.INT, "the iteration number")
        self.typed(n, body.outputs[0], T.BOOL, "the next condition")
        for first, inner, result, out in zip(n.inputs[2:], body.inputs[1:], body.outputs[1:], n.outputs, strict=True):
            self.passes_as(n, first, inner, "the first value")
            self.passes_as(n, result, inner, "the next value")
            self.passes_as(n, inner, out, "the last value")

    def check_constant(self, n: Node) -> None:
        self.arity(n, 0, 1)
        t = n.output.type
        if isinstance(t, FunctionType) or t in (T.NONE, T.ANY) or isinstance(t, T.OptionalType):
            return
        if "value" not in n.attributes:
            self.fail(f"a constant of type {t} has no value", n)

    def check_attribute(self, n: Node) -> None:
        self.arity(n, 1 if n.kind == "prim::GetAttr" else 2, 1 if n.kind == "prim::GetAttr" else 0)
        if not isinstance(n.inputs[0].type, ClassType):
            self.fail(f"{n.kind} of a {n.inputs[0].type}", n)
        if not isinstance(n.attributes.get("name"), str):
            self.fail(f"{n.kind} has no name", n)

    def check_method(self, n: Node) -> None:
        if not n.inputs or not isinstance(n.inputs[0].type, ClassType | InterfaceType):
            self.fail("a method is called on what has none", n)
        if not isinstance(n.attributes.get("name"), str):
            self.fail("the called method has no name", n)

    def check_function(self, n: Node) -> None:
        if not n.inputs or not isinstance(n.inputs[0].type, FunctionType):
            self.fail("what is called is no function", n)

    def check_tuple(self, n: Node) -> None:
        t = n.output.type
        if not isinstance(t, T.TupleType) or len(t.elements) != len(n.inputs):
            self.fail(f"{len(n.inputs)} values make no {t}", n)

    def check_unpack(self, n: Node) -> None:
        t = n.input.type
        if not isinstance(t, T.TupleType) or len(t.elements) != len(n.outputs):
            self.fail(f"a {t} has not {len(n.outputs)} elements", n)

    def check_list(self, n: Node) -> None:
        if not isinstance(n.output.type, T.ListType):
            self.fail(f"prim::ListConstruct makes no {n.output.type}", n)

    def check_dict(self, n: Node) -> None:
        if not isinstance(n.output.type, T.DictType) or len(n.inputs) % 2:
            self.fail(f"{len(n.inputs)} values make no {n.output.type}", n)

    def check_fork(self, n: Node) -> None:
        inner = n.attributes.get("Subgraph")
        if not isinstance(inner, Graph) or len(inner.inputs) != len(n.inputs):
            self.fail("the forked graph does not take what it is given", n)


_V = _Verifier
_CHECKS = {
    "prim::If": _V.check_if,
    "prim::Loop": _V.check_loop,
    "prim::Constant": _V.check_constant,
    "prim::GetAttr": _V.check_attribute,
    "prim::SetAttr": _V.check_attribute,
    "prim::CallMethod": _V.check_method,
    "prim::CallFunction": _V.check_function,
    "prim::TupleConstruct": _V.check_tuple,
    "prim::TupleUnpack": _V.check_unpack,
    "prim::ListConstruct": _V.check_list,
    "prim::DictConstruct": _V.check_dict,
    "prim::fork": _V.check_fork,
}
