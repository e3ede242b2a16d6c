"""Values, nodes and blocks: what graphs (``bridge.ir.graph``) are made of.

The node list is intrusive (``prev``/``next``), so that inserting, moving and removing are O(1); order questions
(:meth:`Node.is_before`) use positions that are renumbered only when a gap is used up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bridge.ir.errors import IRError
from bridge.ir.foreign import NodeInfo
from bridge.ir.inspection import AllUses, BlockNames, CallableList, NodeWalk, ValueNames, kind_of
from bridge.ir.node_inspection import NodeNames
from bridge.ir.source import SourceRange
from bridge.ir.types import TENSOR, Type

if TYPE_CHECKING:
    from bridge.ir.graph import Graph

__all__ = ["Block", "Node", "Use", "Value"]


_GAP = 1 << 20


class Use(NamedTuple):
    """One place where a value is an input: ``user.inputs[offset]``."""

    user: Node
    offset: int

    def isAfter(self, other: Use) -> bool:
        """Whether it comes after another use in the text of the graph."""
        return self.offset > other.offset if self.user is other.user else other.user.is_before(self.user)


#: Makes a Use of a pair, without the named tuple's own constructor in Python.
_use = tuple.__new__


class Value(ValueNames):
    """A result of a node. ``unique`` is its number; ``debug_name`` what texts call it.

    ``export_name`` is the name a foreign file gave to it, kept so that the file can be written again; None otherwise.
    """

    __slots__ = ("_name", "_uses", "export_name", "node", "offset", "type", "unique")

    def __init__(self, node: Node, offset: int, type: Type) -> None:
        self.node, self.offset, self.type = node, offset, type
        graph = node.graph
        self.unique = graph._next_unique
        graph._next_unique += 1
        self._name = ""
        self._uses: dict[Use, None] = {}
        self.export_name: str | None = None

    @property
    def uses(self) -> list[Use]:
        """All uses, oldest first."""
        return AllUses(self._uses)

    @property
    def use_count(self) -> int:
        return len(self._uses)

    @property
    def has_debug_name(self) -> bool:
        """Whether somebody named it (otherwise its number is its name)."""
        return bool(self._name)

    @property
    def debug_name(self) -> str:
        """The name, unique in the graph, or the number as text."""
        return self._name or str(self.unique)

    @property
    def debug_name_base(self) -> str:
        """The name without the ``.3`` that made it unique."""
        base, dot, suffix = self._name.rpartition(".")
        return base if dot and suffix.isdigit() else self._name

    def set_debug_name(self, name: str) -> Value:
        """Name the value; an older owner of the name is renamed ``name.1``, ``name.2``… (torch's rule). "" clears.

        Raises IRError for a name of digits only.
        """
        if name and name.isdigit():
            raise IRError(f"invalid name: '{name}'")
        names = self.node.graph._names
        if self._name:
            names.pop(self._name, None)
            self._name = ""
        if not name:
            return self
        owner = names.get(name)
        if owner is not None:
            base, dot, tail = name.rpartition(".")
            suffix = 1
            if dot and tail.isdigit():
                suffix = int(tail)
            else:
                base = name
            suffixes = self.node.graph._suffixes
            suffix = max(suffix, suffixes.get(base, 0) + 1 if base in suffixes else suffix)
            while f"{base}.{suffix}" in names:
                suffix += 1
            suffixes[base] = suffix + 1
            owner.set_debug_name(f"{base}.{suffix}")
        names[name] = self
        self._name = name
        return self

    def copy_metadata(self, other: Value) -> Value:
        """Take the type and, if it has one, the name of another value."""
        self.type = other.type
        if other.has_debug_name:
            self.set_debug_name(other.debug_name)
        return self

    def replace_all_uses_with(self, other: Value) -> None:
        """Make every user of this value use ``other``."""
        for use in list(self._uses):
            use.user.replace_input(use.offset, other)

    def replace_uses_after(self, node: Node, other: Value) -> None:
        """As :meth:`replace_all_uses_with`, for users after ``node`` (also inside later blocks)."""
        for use in list(self._uses):
            if node.is_before(use.user):
                use.user.replace_input(use.offset, other)

    def __repr__(self) -> str:
        return f"%{self.debug_name}"


class Node(NodeNames):
    """One operation: ``kind`` (``"aten::add"``), ``inputs``, ``outputs``, ``attributes``, ``blocks``, ``range``.

    ``attributes`` maps names to int, float, complex, str, Type, numpy.ndarray, Graph or lists of these. ``scope`` is the
    module path a tracer saw. ``overload`` names the operator's overload once it is resolved ("" is a valid one, None
    means not yet). ``export_name`` is the name a foreign file gave to the node, ``foreign`` what else it said of it.
    """

    __slots__ = (
        "_inputs", "_outputs", "_position", "attributes", "block", "blocks", "export_name", "foreign", "graph", "kind",
        "next", "overload", "prev", "range", "scope",
    )  # fmt: skip

    def __init__(self, graph: Graph, kind: str, inputs: Iterable[Value] = (), outputs: int = 1) -> None:
        self.graph, self.kind = graph, kind_of(kind)
        self._inputs: CallableList[Value] = CallableList()
        self._outputs: CallableList[Value] = CallableList()
        self.attributes: dict[str, Any] = {}
        self.blocks: CallableList[Block] = CallableList()
        self.block: Block | None = None
        self.prev: Node | None = None
        self.next: Node | None = None
        self._position = 0
        self.range: SourceRange | None = graph.current_range
        self.scope = graph.current_scope
        self.overload: str | None = None
        self.export_name: str | None = None
        self.foreign: NodeInfo | None = None
        own = self._inputs
        for v in inputs:
            v._uses[_use(Use, (self, len(own)))] = None
            own.append(v)
        for i in range(outputs):
            self._outputs.append(Value(self, i, TENSOR))

    # -- inputs and outputs ------------------------------------------------------------------------------------

    @property
    def inputs(self) -> Sequence[Value]:
        return self._inputs

    @property
    def outputs(self) -> Sequence[Value]:
        return self._outputs

    @property
    def input(self) -> Value:
        """The only input. Raises IRError when there is not exactly one."""
        if len(self._inputs) != 1:
            raise IRError(f"{self.kind} has {len(self._inputs)} inputs, not 1", self.range)
        return self._inputs[0]

    @property
    def output(self) -> Value:
        """The only output. Raises IRError when there is not exactly one."""
        if len(self._outputs) != 1:
            raise IRError(f"{self.kind} has {len(self._outputs)} outputs, not 1", self.range)
        return self._outputs[0]

    def add_input(self, value: Value) -> Value:
        """Append an input."""
        value._uses[_use(Use, (self, len(self._inputs)))] = None
        self._inputs.append(value)
        return value

    def insert_input(self, index: int, value: Value) -> Value:
        """Insert an input before ``index``."""
        tail = self._inputs[index:]
        self._drop_inputs_from(index)
        self.add_input(value)
        for v in tail:
            self.add_input(v)
        return value

    def remove_input(self, index: int) -> None:
        """Remove one input; later ones move up."""
        tail = self._inputs[index + 1 :]
        self._drop_inputs_from(index)
        for v in tail:
            self.add_input(v)

    def remove_all_inputs(self) -> None:
        self._drop_inputs_from(0)

    def replace_input(self, index: int, value: Value) -> Value:
        """Put another value at ``index``; returns the old one."""
        old = self._inputs[index]
        if old is not value:
            del old._uses[Use(self, index)]
            self._inputs[index] = value
            value._uses[Use(self, index)] = None
        return old

    def _drop_inputs_from(self, index: int) -> None:
        for i in range(index, len(self._inputs)):
            del self._inputs[i]._uses[Use(self, i)]
        del self._inputs[index:]

    def add_output(self, type: Type = TENSOR) -> Value:
        """Append an output."""
        v = Value(self, len(self._outputs), type)
        self._outputs.append(v)
        return v

    def insert_output(self, index: int, type: Type = TENSOR) -> Value:
        """Insert an output before ``index``."""
        v = Value(self, index, type)
        self._outputs.insert(index, v)
        for i in range(index + 1, len(self._outputs)):
            self._outputs[i].offset = i
        return v

    def remove_output(self, index: int) -> None:
        """Remove an unused output. Raises IRError when it is used."""
        v = self._outputs[index]
        if v._uses:
            raise IRError(f"output %{v.debug_name} of {self.kind} is still used", self.range)
        v.set_debug_name("")
        del self._outputs[index]
        for i in range(index, len(self._outputs)):
            self._outputs[i].offset = i

    def permute_inputs(self, order: Sequence[int]) -> None:
        """Reorder the inputs: the new input ``i`` is the old one ``order[i]``."""
        inputs = [self._inputs[i] for i in order]
        self._drop_inputs_from(0)
        for v in inputs:
            self.add_input(v)

    def permute_outputs(self, order: Sequence[int]) -> None:
        """Reorder the outputs: the new output ``i`` is the old one ``order[i]``."""
        self._outputs[:] = [self._outputs[i] for i in order]
        for i, v in enumerate(self._outputs):
            v.offset = i

    # -- attributes --------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        """An attribute. Raises KeyError."""
        return self.attributes[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.attributes[name] = value

    # -- place -------------------------------------------------------------------------------------------------

    def add_block(self) -> Block:
        """Append an empty block owned by this node."""
        b = Block(self.graph, self)
        self.blocks.append(b)
        return b

    def erase_block(self, index: int) -> None:
        """Remove a block and all its nodes."""
        self.blocks[index]._destroy()
        del self.blocks[index]

    def insert_before(self, node: Node) -> Node:
        """Put this (unplaced) node before another."""
        assert node.prev is not None
        return self.insert_after(node.prev)

    def insert_after(self, node: Node) -> Node:
        """Put this (unplaced) node after another."""
        if self.block is not None:
            raise IRError(f"{self.kind} is in a block already", self.range)
        block = node.block
        following = node.next
        assert block is not None
        assert following is not None
        self.block, self.prev, self.next = block, node, following
        node.next = following.prev = self
        block._number(self)
        return self

    def move_before(self, node: Node) -> None:
        """Move this node before another, of this or another block."""
        self._unlink()
        self.insert_before(node)

    def move_after(self, node: Node) -> None:
        """Move this node after another, of this or another block."""
        self._unlink()
        self.insert_after(node)

    def _unlink(self) -> None:
        assert self.prev is not None
        assert self.next is not None
        self.prev.next, self.next.prev = self.next, self.prev
        self.prev = self.next = self.block = None

    def destroy(self) -> None:
        """Remove the node, its blocks and its names. Raises IRError when an output is still used."""
        while self._outputs:
            self.remove_output(len(self._outputs) - 1)
        while self.blocks:
            self.erase_block(len(self.blocks) - 1)
        self._drop_inputs_from(0)
        if self.block is not None:
            self._unlink()

    def is_before(self, other: Node) -> bool:
        """Whether this node comes before the other in the text of the graph (both placed, any nesting)."""
        if self is other:
            return False
        a, b = self, other
        if a.block is not b.block:
            chain: dict[Block | None, Node] = {}
            n: Node | None = a
            while n is not None:
                chain[n.block] = n
                n = n.block.owner if n.block is not None else None
            n = b
            while n is not None and n.block not in chain:
                n = n.block.owner if n.block is not None else None
            if n is None:
                raise IRError("nodes of different graphs have no order")
            a, b = chain[n.block], n
            if a is b:  # one holds the other, or they sit in sibling blocks of one node
                if self is a:
                    return True
                if other is b:
                    return False
                return a.blocks.index(_block_below(self, a)) < b.blocks.index(_block_below(other, b))
        return a._position < b._position

    @property
    def module_path(self) -> str:
        """The module path that a tracer saw (``encoder.layers.0``), from ``scope``."""
        return self.scope.rpartition("__module.")[2] if "__module." in self.scope else ""

    def __repr__(self) -> str:
        return f"<Node {', '.join(map(repr, self._outputs))} = {self.kind}({', '.join(map(repr, self._inputs))})>"


def _block_below(node: Node, ancestor: Node) -> Block:
    n = node
    while True:
        assert n.block is not None
        if n.block.owner is ancestor:
            return n.block
        assert n.block.owner is not None
        n = n.block.owner


class Block(BlockNames):
    """An ordered list of nodes between ``param_node`` (its outputs are the parameters) and ``return_node``."""

    __slots__ = ("graph", "owner", "param_node", "return_node")

    def __init__(self, graph: Graph, owner: Node | None) -> None:
        self.graph, self.owner = graph, owner
        self.param_node = Node(graph, "prim::Param", outputs=0)
        self.return_node = Node(graph, "prim::Return", outputs=0)
        first, last = self.param_node, self.return_node
        first.block = last.block = self
        first.next, last.prev = last, first
        first.prev, last.next = last, first  # a ring, as the return node also ends backward walks
        first._position, last._position = 0, 1 << 62

    def _ends(self) -> tuple[Node, Node]:
        return self.param_node, self.return_node

    @property
    def inputs(self) -> Sequence[Value]:
        """The parameters."""
        return self.param_node._outputs

    @property
    def outputs(self) -> Sequence[Value]:
        """The returned values."""
        return self.return_node._inputs

    def add_input(self, name: str = "", type: Type = TENSOR) -> Value:
        """Append a parameter."""
        v = self.param_node.add_output(type)
        return v.set_debug_name(name) if name else v

    def add_output(self, value: Value) -> int:
        """Append a returned value; returns its index."""
        self.return_node.add_input(value)
        return len(self.outputs) - 1

    @property
    def nodes(self) -> NodeWalk[Node]:
        """The nodes in order. The current node may be removed, and nodes added anywhere, while iterating."""
        return NodeWalk(self._walk)

    def _walk(self) -> Iterator[Node]:
        n = self.param_node.next
        while n is not self.return_node and n is not None:
            following = n.next
            yield n
            n = n.next if n.block is self else following

    @property
    def nodes_reversed(self) -> Iterator[Node]:
        """The nodes from last to first, with the same freedom."""
        n = self.return_node.prev
        while n is not self.param_node and n is not None:
            preceding = n.prev
            yield n
            n = n.prev if n.block is self else preceding

    def append(self, node: Node) -> Node:
        """Put an unplaced node at the end."""
        if node.block is not None:
            raise IRError(f"{node.kind} is in a block already", node.range)
        end = self.return_node
        last = end.prev
        assert last is not None
        node.block, node.prev, node.next = self, last, end
        last.next = end.prev = node
        node._position = last._position + _GAP
        return node

    def prepend(self, node: Node) -> Node:
        """Put an unplaced node at the start."""
        return node.insert_after(self.param_node)

    def clone_from(self, source: Block, value_map: Callable[[Value], Value]) -> None:
        """Append copies of the other block's parameters, nodes and results; ``value_map`` gives outer values."""
        local: dict[Value, Value] = {}

        def env(v: Value) -> Value:
            found = local.get(v)
            return found if found is not None else value_map(v)

        for p in source.inputs:
            new = local[p] = self.add_input().copy_metadata(p)
            new.export_name = p.export_name
        for n in source.nodes:
            copy = self.append(self.graph.clone_node(n, env))
            for o, c in zip(n.outputs, copy.outputs, strict=True):
                local[o] = c.copy_metadata(o)  # a second time, as in torch: it decides who keeps which name
        for v in source.outputs:
            self.add_output(env(v))

    def _number(self, node: Node) -> None:
        assert node.prev is not None
        assert node.next is not None
        low, high = node.prev._position, node.next._position
        if node.next is self.return_node:
            node._position = low + _GAP
        elif high - low > 1:
            node._position = (low + high) // 2
        else:
            position = 0
            for n in self.nodes:
                position += _GAP
                n._position = position

    def _destroy(self) -> None:
        self.return_node.remove_all_inputs()
        for n in self.nodes_reversed:
            n.destroy()
        while self.param_node._outputs:
            self.param_node.remove_output(len(self.param_node._outputs) - 1)
