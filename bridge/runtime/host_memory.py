"""Which tensors of a graph may share memory, and whether an element that is read stays what it was until it is used."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.ir import types as T
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.node_schema import schema_of

__all__ = ["INDEXED", "Memory", "holds_tensors", "last_read", "of_tables", "put_into", "taken_from"]

_VIEWS = ("aten::select", "aten::slice")
#: What takes a list of indices.
INDEXED = ("aten::index", "aten::index_put_")
_HOLDERS = ("prim::TupleConstruct", "prim::TupleUnpack", "prim::TupleIndex")
#: What puts tensors into lists and dicts, and takes them out.
_PUT = ("prim::ListConstruct", "prim::DictConstruct", "aten::append", "aten::_set_item")
_TAKEN = ("aten::__getitem__", "aten::pop")
_OF_TABLES = frozenset(
    (*_PUT, *_TAKEN, "aten::values", "aten::keys", "aten::len", "aten::__contains__", "aten::Delete")
)


class Memory:
    """Values in groups: those that may be one tensor (``same``), and those that may be parts of one (``memory``)."""

    def __init__(self, graph: Graph) -> None:
        self.same: dict[Value, Value] = {}
        self.memory: dict[Value, Value] = {}
        self.targets: list[Value] = []
        #: Lists of lists and dicts: where there are, onnxruntime copies much for each change of one.
        self.has_tables = False
        self.givers: list[Value] = [v for v in graph.inputs if _may_hold(v.type)]
        #: Attributes by where they are, and their values.
        self.paths: dict[Value, str] = {}
        self.attributes: dict[str, Value] = {}
        self._block(graph.block)
        self.written = {_root(self.memory, v) for v in self.targets}
        self.foreign = {_root(self.memory, v) for v in self.givers}
        self.given = {_root(self.same, v) for v in self.givers}
        shared = [_root(self.memory, v) for v in {*graph.inputs, *self.attributes.values()} if _may_hold(v.type)]
        #: Of attributes that are written to, and share memory with no other value that is given, as far as the program goes.
        self.private = {
            root for v in self.attributes.values() if shared.count(root := _root(self.memory, v)) == 1
        } & self.written

    def holder(self, v: Value) -> Value:
        """One of the values that stand for the same list or dict."""
        return _root(self.same, v)

    def is_own(self, v: Value) -> bool:
        """Whether a tensor is of the program's making, or an attribute that it has to itself."""
        root = _root(self.memory, v)
        return root not in self.foreign or root in self.private

    def is_given(self, v: Value) -> bool:
        """Whether a tensor may be an argument or attribute itself."""
        return _root(self.same, v) in self.given

    def is_written(self, v: Value) -> bool:
        """Whether the program writes to a tensor, or to what it is a part of."""
        return _root(self.memory, v) in self.written

    def is_prompt(self, part: Value) -> bool:
        """Whether nothing is written to a tensor between the node that takes a part of it and the last use of that."""
        if not self.is_written(part):
            return True
        block = part.node.block
        assert block is not None
        users = _users_in(part, block)
        if users is None:
            return False
        left = len(users)
        behind = False
        for n in block.nodes:
            if n is part.node:
                behind = True
            elif behind:
                if n.blocks and _writes(n):
                    return False
                left -= n in users
                if left == 0:
                    return True
                if _writes(n):
                    return False
        return left == (block.return_node in users)

    def _block(self, block: Block) -> None:
        for n in block.nodes:
            self.has_tables |= n.kind == "prim::DictConstruct" or (
                n.kind == "prim::ListConstruct" and _is_nested(n.output.type)
            )
            for b in n.blocks:
                self._block(b)
            if n.kind == "prim::If":
                for i, o in enumerate(n.outputs):
                    self._one(o, *(b.outputs[i] for b in n.blocks))
            elif n.kind == "prim::Loop":
                body = n.blocks[0]
                for o, p, first, again in zip(n.outputs, body.inputs[1:], n.inputs[2:], body.outputs[1:], strict=True):
                    self._one(o, p, first, again)
            elif n.kind == "prim::GetAttr":
                self.givers.append(n.output)
                path = self.paths[n.output] = f"{self.paths.get(n.input, '')}.{n['name']}"
                self._one(n.output, self.attributes.setdefault(path, n.output))
            elif n.kind in _VIEWS and isinstance(n.output.type, T.TensorType):
                _join(self.memory, n.output, n.inputs[0])
            elif n.kind in _HOLDERS or n.kind in _OF_TABLES:
                self._one(*n.outputs, *n.inputs)
            elif _writes_itself(n):
                self._one(n.output, n.inputs[0])
                self.targets.append(n.inputs[0])

    def _one(self, *values: Value) -> None:
        holders = [v for v in values if _may_hold(v.type)]
        first = holders[0] if holders else None
        for v in holders[1:]:
            assert first is not None
            _join(self.same, first, v)
            _join(self.memory, first, v)


def last_read(v: Value, block: Block, order: Mapping[Node, int], end: Node) -> int:
    """The place in a block's ``order`` where a number is read last, as far as that can be: what is computed of it alone may be
    written where that is used, but for what ``end`` computes."""
    last = -1
    for use in v.uses:
        n: Node | None = use.user
        while n is not None and n not in order and n is not block.return_node:
            n = n.block.owner if n.block is not None else None
        if n is None:  # somewhere else
            continue
        while n is not end and n in order and _moves(n):
            n = n.output.uses[0].user
        last = max(last, order.get(n, len(order)))
    return last


def _users_in(part: Value, block: Block) -> set[Node] | None:
    """The nodes of a block, and its end, that look at a value, or have nodes in them that do; None where it goes elsewhere."""
    found: set[Node] = set()
    values = [part]
    while values:
        v = values.pop()
        for u in _users(v):
            n: Node | None = u
            if u.blocks or u.kind in (*_HOLDERS, *_PUT) or u.block is None:
                return None
            if u is u.block.return_node and u.block is block and block.owner is None:
                found.add(u)
                continue
            if u is u.block.return_node:
                n = u.block.owner
                if n is None or n.kind != "prim::If" or u.block is block:
                    return None
                values += [o for o, x in zip(n.outputs, u.block.outputs, strict=True) if x is v]
            while n is not None and n.block is not block:
                n = n.block.owner if n.block is not None else None
            if n is None:
                return None
            found.add(n)
    return found


def _users(v: Value) -> list[Node]:
    """What a value goes into; a list of indices is what it indexes."""
    found: list[Node] = []
    for u in v.uses:
        indexed = u.user.kind == "prim::ListConstruct" and [x.user for x in u.user.output.uses]
        found += indexed if indexed and all(x.kind in INDEXED for x in indexed) else [u.user]
    return found


def _moves(n: Node) -> bool:
    return len(n.outputs) == 1 and len(n.output.uses) == 1 and n.output.uses[0].user.block is n.block


def put_into(n: Node) -> list[tuple[Value, Value]]:
    """What a node puts where: lists or dicts, and tensors."""
    if n.kind not in _PUT:
        return []
    table = n.output if n.kind.startswith("prim::") else n.inputs[0]
    return [(table, v) for v in n.inputs if isinstance(v.type, T.TensorType)]


def of_tables(n: Node) -> bool:
    """Whether what a node does with lists and dicts of tensors is understood here; it does nothing with them, or may share them."""
    return (
        n.kind in _OF_TABLES
        or n.kind.startswith("prim::")
        or not any(holds_tensors(v.type) for v in (*n.inputs, *n.outputs))
    )


def taken_from(n: Node) -> Value | None:
    """The list or dict that a node takes a tensor out of."""
    return n.inputs[0] if n.kind in _TAKEN and isinstance(n.output.type, T.TensorType) else None


def holds_tensors(t: T.Type) -> bool:
    """Whether values of a type are lists or dicts of tensors."""
    found = t.element if isinstance(t, T.ListType) else t.value if isinstance(t, T.DictType) else None
    return isinstance(found, T.TensorType)


def _may_hold(t: T.Type) -> bool:
    return isinstance(t, T.TensorType) or (
        isinstance(t, T.ListType | T.DictType | T.TupleType) and any(map(_may_hold, t.contained()))
    )


def _is_nested(t: T.Type) -> bool:
    return isinstance(t, T.ListType) and isinstance(t.element, T.ListType)


def _writes_itself(n: Node) -> bool:
    """Whether a node writes to a tensor."""
    schema = schema_of(n) if n.kind.endswith("_") else None
    return schema is not None and schema.is_mutable and isinstance(n.inputs[0].type, T.TensorType)


def _writes(n: Node) -> bool:
    return _writes_itself(n) or any(_writes(x) for b in n.blocks for x in b.nodes)


def _root(groups: dict[Value, Value], v: Value) -> Value:
    while v in groups:
        v = groups[v]
    return v


def _join(groups: dict[Value, Value], a: Value, b: Value) -> None:
    x, y = _root(groups, a), _root(groups, b)
    if x is not y:
        groups[x] = y
