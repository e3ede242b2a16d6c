"""The graph: blocks of nodes that produce values, with use lists kept automatically.

The shape is TorchScript's: a :class:`Graph` owns one top :class:`Block`; a block has parameters (the outputs of its
``param_node``), an ordered list of nodes and returned values (the inputs of its ``return_node``); a node may own
blocks of its own (``prim::If``: two; ``prim::Loop``: one, with the iteration number and the carried values as
parameters and the condition and the carried values as results). Every value has one defining node, also parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bridge.ir.errors import IRError
from bridge.ir.foreign import GraphInfo
from bridge.ir.inspection import GraphNames, NodeWalk
from bridge.ir.nodes import Block, Node, Use, Value
from bridge.ir.source import SourceRange
from bridge.ir.types import BOOL, FLOAT, INT, NONE, STR, TENSOR, Type

__all__ = ["Block", "Graph", "Node", "Use", "Value"]


class Graph(GraphNames):
    """A function body. Also a factory: :meth:`create`, :meth:`insert`, :meth:`constant` make nodes in it.

    ``current_range`` and ``current_scope`` are given to new nodes; :meth:`insert` places at the insert point.
    ``foreign`` is what the file that the graph came from said beyond the graph; ``input_hints`` are tensor types for
    inputs (by name) that annotations gave beyond TorchScript's types, ``output_hints`` those of results in order; ``opsets`` says which version of each ONNX domain
    (``""``: the default one) its ``onnx::`` nodes mean; ``exact``, unless it is empty: at these versions every operator in it stands for one ONNX node, and constants for what it says, ``nodes`` or ``initializers``; ``written``: the attributes and optional inputs that nodes of an operator have even where they say what is meant anyway. ``names``: what the model that this was printed from calls inputs and results, by the program's names, where that differs; ``records``: what else its file says, as its importer and exporter write it. ``notes`` are what was decided for good while the graph was made:
    (kind, text, place).
    """

    __slots__ = (
        "__weakref__", "_insert_before", "_names", "_next_unique", "_suffixes", "block", "current_range", "current_scope", "exact", "foreign",
        "input_hints", "names", "notes", "opsets", "output_hints", "records", "written",
    )  # fmt: skip

    def __init__(self) -> None:
        self._names: dict[str, Value] = {}
        self._suffixes: dict[str, int] = {}
        self._next_unique = 0
        self.current_range: SourceRange | None = None
        self.current_scope = ""
        self.foreign: GraphInfo | None = None
        self.input_hints: dict[str, Type] = {}
        self.opsets: dict[str, int] = {}
        self.exact = ""
        self.written: dict[str, frozenset[str]] = {}
        self.names: dict[str, str] = {}
        self.records = b""
        self.notes: list[tuple[str, str, SourceRange | None]] = []
        self.output_hints: list[Type] = []
        self.block = Block(self, None)
        self._insert_before: Node = self.block.return_node

    def _ends(self) -> tuple[Node, Node]:
        return self.block._ends()

    # -- the top block -----------------------------------------------------------------------------------------

    @property
    def inputs(self) -> Sequence[Value]:
        return self.block.inputs

    @property
    def outputs(self) -> Sequence[Value]:
        return self.block.outputs

    @property
    def nodes(self) -> NodeWalk[Node]:
        return self.block.nodes

    @property
    def param_node(self) -> Node:
        return self.block.param_node

    @property
    def return_node(self) -> Node:
        return self.block.return_node

    def add_input(self, name: str = "", type: Type = TENSOR) -> Value:
        return self.block.add_input(name, type)

    def add_output(self, value: Value) -> int:
        return self.block.add_output(value)

    def all_nodes(self) -> Iterator[Node]:
        """Every node in text order, those in blocks of nodes included (a node comes before what is in its blocks)."""
        block, n = self.block, self.block.param_node.next
        around: list[tuple[Block, Node, Node | None]] = []
        while True:
            while n is None or n is block.return_node:
                if not around:
                    return
                block, owner, following = around.pop()
                n = owner.next if owner.block is block else following
            following = n.next
            yield n
            if not n.blocks:
                n = n.next if n.block is block else following
                continue
            around.append((block, n, following))
            for b in reversed(n.blocks[1:]):
                around.append((b, b.param_node, None))
            block = n.blocks[0]
            n = block.param_node.next

    def value(self, name: str) -> Value | None:
        """The value of that debug name (named values only)."""
        return self._names.get(name)

    # -- making nodes ------------------------------------------------------------------------------------------

    def create(self, kind: str, inputs: Iterable[Value] = (), outputs: int = 1, **attributes: Any) -> Node:
        """A new node, not yet placed."""
        n = Node(self, kind, inputs, outputs)
        n.attributes.update(attributes)
        return n

    def insert(self, node: Node) -> Node:
        """Place a node at the insert point."""
        return node.insert_before(self._insert_before)

    def add(self, kind: str, *inputs: Value, type: Type = TENSOR, **attributes: Any) -> Value:
        """Create and place a node of one output of that type; returns the output."""
        n = self.insert(self.create(kind, inputs, 1, **attributes))
        n.output.type = type
        return n.output

    def constant(self, value: Any, type: Type | None = None) -> Value:
        """A placed ``prim::Constant`` of a Python value (None, bool, int, float, complex, str, list, numpy array…)."""
        n = self.create("prim::Constant")
        n.output.type = type if type is not None else _constant_type(value)
        if value is not None:
            n.attributes["value"] = value
        return self.insert(n).output

    @property
    def insert_point(self) -> Node:
        """The node before which :meth:`insert` places."""
        return self._insert_before

    @insert_point.setter
    def insert_point(self, where: Node | Block) -> None:
        self._insert_before = where.return_node if isinstance(where, Block) else where

    @contextmanager
    def inserting(self, where: Node | Block) -> Iterator[None]:
        """For a ``with`` block, insert before a node or at the end of a block."""
        old = self._insert_before
        self.insert_point = where
        try:
            yield
        finally:
            self._insert_before = old

    @contextmanager
    def at_range(self, range: SourceRange | None) -> Iterator[None]:
        """For a ``with`` block, give new nodes this source range."""
        old, self.current_range = self.current_range, range
        try:
            yield
        finally:
            self.current_range = old

    # -- copying -----------------------------------------------------------------------------------------------

    def clone_node(self, node: Node, value_map: Callable[[Value], Value]) -> Node:
        """An unplaced copy of a node (of any graph) with inputs mapped; outputs keep type and name."""
        copy = Node(self, node.kind, outputs=0)
        copy.range, copy.scope, copy.overload = node.range, node.scope, node.overload
        copy.export_name, copy.foreign = node.export_name, node.foreign
        copy.attributes = {k: v.copy() if isinstance(v, Graph) else v for k, v in node.attributes.items()}
        for o in node.outputs:
            new = copy.add_output()
            new.export_name = o.export_name
            new.copy_metadata(o)
        for i in node.inputs:
            copy.add_input(value_map(i))
        for b in node.blocks:
            copy.add_block().clone_from(b, value_map)
        return copy

    def take(self, node: Node) -> Node:
        """Make a node of another graph, with all in its blocks, an unplaced node of this one; its results keep their names.

        What it uses of the other graph it uses still: that is the caller's to replace.
        """
        if node.block is not None:
            node._unlink()
        self._own(node)
        return node

    def _own(self, node: Node) -> None:
        names = node.graph._names
        node.graph = self
        for v in node._outputs:
            v.unique = self._next_unique
            self._next_unique += 1
            if v._name:
                names.pop(v._name, None)
                name, v._name = v._name, ""
                v.set_debug_name(name)
        for b in node.blocks:
            b.graph = self
            self._own(b.param_node)
            for n in b.nodes:
                self._own(n)
            self._own(b.return_node)

    def copy(self) -> Graph:
        """A deep copy."""

        def outer(v: Value) -> Value:
            raise IRError(f"%{v.debug_name} is used in a graph that does not define it")

        g = Graph()
        g.foreign, g.input_hints, g.opsets = self.foreign, dict(self.input_hints), dict(self.opsets)
        g.exact, g.written = self.exact, dict(self.written)
        g.names, g.records = dict(self.names), self.records
        g.output_hints, g.notes = list(self.output_hints), list(self.notes)
        g.block.clone_from(self.block, outer)
        return g

    def __str__(self) -> str:
        from bridge.ir.printer import print_graph

        return print_graph(self)

    def __repr__(self) -> str:
        return str(self)


def _constant_type(value: Any) -> Type:
    from bridge.ir.types import COMPLEX, ListType

    simple: dict[type, Type] = {bool: BOOL, int: INT, float: FLOAT, complex: COMPLEX, str: STR, type(None): NONE}
    found = simple.get(type(value))
    if found is not None:
        return found
    if isinstance(value, list | tuple) and value:
        return ListType(_constant_type(value[0]))
    if hasattr(value, "dtype"):
        return TENSOR
    raise IRError(f"a constant of Python type {type(value).__name__} needs its type given")
