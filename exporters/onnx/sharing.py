"""What an in-place write changes beside the name that it is written through, where that depends on the path taken.

The lowering follows memory that is shared: a tensor and its views, one of two tensors that an ``if`` chooses, a list or dict
that stays in one block. Where a loop decides whether two names stand for one tensor, a branch makes a view, or another
list holds it, a write through one of them changes the other on some paths only. :func:`shared_writes` finds such writes, as
far as the other name is used afterwards, so that they are refused instead of computed wrongly. One walk over the inlined
graph; sets of origins, to a fixed point around loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bridge.exporters.onnx.exchanges import exchanging, loops_of
from bridge.exporters.onnx.followed import (
    CHANGES,
    AtKeys,
    holds_apart,
    is_followed,
    is_put_once,
    takes_one,
    values_at_keys,
)
from bridge.exporters.onnx.known_types import KnownTypes
from bridge.exporters.onnx.may_write import written as tensors_written
from bridge.exporters.onnx.mutation import CONVERSIONS, MAYBE
from bridge.exporters.onnx.report import Entry
from bridge.exporters.onnx.same_tensor import comes_after, earlier, follows, inside, repeated, source
from bridge.exporters.onnx.slots import is_assigned
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, ScriptObject
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.node_schema import schema_of
from bridge.ir.passes.aliases import MAY_BE_ARGUMENT
from bridge.ir.passes.constants import constant_value
from bridge.ir.passes.inline import inlined_graph

__all__ = ["shared_writes"]

Origins = frozenset[Any]
_HOLDERS = (T.ListType, T.DictType, T.TupleType, T.OptionalType)


def shared_writes(
    function: Function, owner: ScriptObject | None, given: Sequence[T.Type], hosted: bool = False
) -> list[Entry]:
    """Every write whose effect on another name depends on data, as an obstacle.

    ``given`` are the types of the arguments; ``hosted`` where the caller's tensors count.
    """
    obstacles: list[Entry] = []
    graph = inlined_graph(function)
    own = graph.inputs[1:] if owner is not None else graph.inputs

    def walked(groups: dict[Node, frozenset[int]]) -> _Sharing:
        types = KnownTypes(dict(zip(own, given, strict=False)), {graph.inputs[0]: owner} if owner is not None else {})
        return _Sharing(graph, types, groups)

    sharing = walked({})
    obstacles = _obstacles(sharing, hosted)
    if obstacles and any(True for _ in loops_of(graph)):
        exchanged = _exchanged(graph, sharing, hosted, walked)
        obstacles = _obstacles(exchanged, hosted) if exchanged is not None else obstacles
    return obstacles


def _exchanged(
    graph: Graph, sharing: _Sharing, hosted: bool, walked: Callable[[dict[Node, frozenset[int]]], _Sharing]
) -> _Sharing | None:
    """What is shared when loops are believed that exchange tensors, as far as that holds."""
    groups: dict[Node, frozenset[int]] = {}
    for loop in loops_of(graph):
        group = exchanging(loop, groups, sharing.is_new)
        if group:
            groups[loop] = group
    while groups:
        found = walked(groups)
        wrong = [loop for loop in groups if not (found.starts_apart(loop, hosted) and found.stays_apart(loop))]
        if not wrong:
            return found
        for loop in wrong:
            del groups[loop]
    return None


def _obstacles(sharing: _Sharing, hosted: bool) -> list[Entry]:
    obstacles: list[Entry] = []
    for w, written in sharing.writes:
        other = sharing.touched(w, written)
        if other is not None:
            name = written.debug_name_base or written.debug_name
            shared = other.debug_name_base or other.debug_name
            message = (
                f"'{name}' is written to in place, and '{shared}', which is used later, is the same tensor on some paths or "
                "holds it; write to a .clone() of it"
            )
            obstacles.append(Entry(w.kind, message, w.range))
            continue
        outer = sharing.outside(written, hosted)
        if outer is not None:
            name = written.debug_name_base or written.debug_name
            message = f"'{name}' is written to in place, and may be '{outer}' on some paths; write to a .clone() of it"
            obstacles.append(Entry(w.kind, message, w.range))
    return obstacles


class _Sharing:
    """For every tensor or holder of tensors, the tensors that it may be or hold (``origins``), its straight-line base, and the
    origins that the lowering knows it to share memory with, and when (``known``)."""

    def __init__(self, graph: Graph, types: KnownTypes, exchanged: Mapping[Node, frozenset[int]]) -> None:
        self.graph = graph
        self.exchanged = exchanged  # loops → the carried tensors that they keep different from one another
        self.origins: dict[Value, Origins] = {}
        self.bases: dict[Value, Any] = {}
        self.known: dict[Value, Origins] = {}
        self.types = types
        self.writes: list[tuple[Node, Value]] = []
        self.first: dict[Value, Origins] = {}  # of a list or dict: before anything is put into it
        self.puts: dict[Value, dict[Node, Origins]] = {}  # and what is put into it, by what does it
        #: What an attribute of any object of a class may be or hold; where it is assigned, where it is read.
        self.stored: dict[tuple[Any, str], Origins] = {}
        self.sets: dict[tuple[Any, str], dict[Node, Origins]] = {}
        self.gets: dict[tuple[Any, str], dict[Node, None]] = {}
        self.groups: dict[Any, Any] = {}  # values of attributes that stay one tensor for the lowering → what tells them
        self.moving: set[Value] = set()  # lists of which elements are written to at places that are not known
        self.apart: dict[Value, bool] = {}  # lists → whether each tensor in them is in nothing else
        self.keyed: dict[Value, AtKeys | None] = {}
        #: Attributes of modules that are not always the same tensor.
        self.replaced = {
            (n.inputs[0].type, n["name"]) for n in graph.all_nodes() if n.kind == "prim::SetAttr" and is_assigned(n)
        }
        self.changed = True
        while self.changed:
            self.changed = False
            self.writes.clear()
            self._block(graph.block)
        self.order = list(self.origins)

    def touched(self, w: Node, written: Value) -> Value | None:
        """Another name of what is written, on some path, that is older than the write and used after it."""
        mine, base = self.origins[written], self.bases[written]
        home = self._home(base)
        for v in self.order:
            if home is not None and (
                v is home or (self._home(self.bases[v]) is home and _is_moving(base, self.bases[v]))
            ):
                continue  # written back, and read from there again
            # A tuple built here is followed element by element; one that a branch or loop gives is not.
            if any(self._collides(w, written, x) for x in _elements(v)) and _is_older(v, w):
                if any(follows(use.user, w, v) for use in v.uses):
                    return v
        group = self.groups.get(base, base)
        for key, gets in self.gets.items():
            if not mine.isdisjoint(self._stored_when(w, key)):
                for g in gets:
                    if self.groups.get(g.output, group) != group and follows(g, w, g.input):
                        return g.output
        return None

    def _home(self, base: Any) -> Value | None:
        """The list that a tensor was taken out of, if it is written back there."""
        if not isinstance(base, Value) or base.node.kind != "aten::__getitem__":
            return None
        held = base.node.inputs[0]
        if held not in self.apart:
            self.apart[held] = holds_apart(held, self.is_new)
        return held if self.apart[held] and not self._follows(held) else None

    def _follows(self, v: Value) -> bool:
        """Whether the lowering tells the elements of a list or dict apart: not where one is written to that data chooses."""
        return v not in self.moving and is_followed(v)

    def _collides(self, w: Node, written: Value, v: Value) -> bool:
        """Whether a value may be or hold what is written, and the lowering does not know it."""
        if v not in self.bases or self.bases[v] == self.bases[written]:
            return False
        both = self.origins[written] & self._when(w, v)
        return not both <= (self.known[v] & self.known[written])

    def is_new(self, v: Value) -> bool:
        """Whether a tensor shares its memory with nothing that is older."""
        return self.origins.get(v) == frozenset((v,))

    def starts_apart(self, loop: Node, hosted: bool) -> bool:
        """Whether the tensors that a loop exchanges are different ones before it, and used under no other name from then on."""
        group = self.exchanged[loop]
        starts = [self._of(loop.inputs[2 + k]) for k in group]
        others = self._of(*(v for k, v in enumerate(loop.inputs[2:]) if k not in group))
        mine: Origins = frozenset().union(*starts)
        if sum(map(len, starts)) != len(mine) or not all(starts) or not mine.isdisjoint(others):
            return False
        if any(not isinstance(o, Value) or (hosted and o.node.kind == "prim::Param") for o in mine):
            return False
        if any(not mine.isdisjoint(held) for held in self.stored.values()):
            return False
        for v in self.order:
            if mine.isdisjoint(self.origins[v]) or not _is_older(v, loop):
                continue
            for use in v.uses:
                again = follows(use.user, loop, v) if use.user is not loop else repeated(loop, loop, v) is not None
                if again or inside(use.user, loop.blocks[0]):
                    return False
        return True

    def stays_apart(self, loop: Node) -> bool:
        """Whether nothing but the group itself has one of its tensors in a later round, or behind the loop."""
        body, group = loop.blocks[0], self.exchanged[loop]
        mine = self._of(*(body.inputs[1 + k] for k in group), *(body.outputs[1 + k] for k in group))
        others = self._of(*(v for k, v in enumerate(body.outputs[1:]) if k not in group))
        held = [o for puts in self.puts.values() for o in puts.values()]
        return all(mine.isdisjoint(o) for o in (others, *held, *self.stored.values()))

    def _when(self, w: Node, v: Value) -> Origins:
        """What a value may be or hold when ``w`` runs: without what is put into it only afterwards."""
        puts = self.puts.get(v)
        if puts is None:
            return self.origins[v]
        held: list[Origins] = []
        for put, origins in puts.items():
            if comes_after(w, put):
                held.append(origins)
            elif (body := repeated(w, put, v)) is not None:
                held.append(_earlier(origins, body) | _earlier(origins))
        return self.first.get(v, frozenset()).union(*held)

    def outside(self, written: Value, hosted: bool) -> str | None:
        """The attribute (or argument, for a host) that is written to as what it is not known to be, whatever is used later."""
        base = self.bases[written]
        for o in self.origins[written]:
            if o == base or o in self.known[written]:
                continue
            if isinstance(o, tuple) and o[0] == "attribute":
                return str(o[2])
            if hosted and isinstance(o, Value) and o.node.kind == "prim::Param":
                return o.debug_name_base or o.debug_name
        return None

    def _like(self, v: Value, other: Value) -> None:
        """``v`` is the same tensor, or a view of it."""
        self._give(v, self._of(other), self.bases.get(other, other), self.known.get(other, frozenset()))

    def _new(self, v: Value) -> None:
        """``v`` shares its memory with nothing that is older."""
        own = frozenset((v,))
        self._give(v, own, v, own)

    def _give(self, v: Value, origins: Origins, base: Any, known: Origins = frozenset()) -> None:
        self.known[v] = known
        old = self.origins.get(v)
        new = origins if old is None else old | origins
        if new != old:
            self.origins[v], self.changed = new, True
        self.bases[v] = base

    def _of(self, *values: Value) -> Origins:
        return frozenset().union(*(self.origins.get(v, frozenset()) for v in values))

    def _block(self, block: Block) -> None:
        for v in block.inputs:
            if v not in self.origins and _relevant(v):
                if block.owner is None:
                    self._new(v)
                else:
                    self._give(v, frozenset(), v)
        for n in block.nodes:
            if n.kind == "prim::If":
                self._if(n)
            elif n.kind == "prim::Loop":
                self._loop(n)
            else:
                self._node(n)

    def _if(self, n: Node) -> None:
        for b in n.blocks:
            self._block(b)
        for i, o in enumerate(n.outputs):
            sides = [b.outputs[i] for b in n.blocks]
            self.changed |= self.types.join(o, *sides)
            before = earlier(o)
            if before is not None:
                self._like(o, before)
            elif _relevant(o):
                self._give(o, self._of(*sides), o, self._chosen(o, n.blocks))

    def _chosen(self, o: Value, blocks: Sequence[Block]) -> Origins:
        """What the lowering knows of a tensor that may be one that exists outside of the branches."""
        if not isinstance(o.type, T.TensorType):
            return frozenset()
        sides = [(source(b.outputs[o.node.outputs.index(o)], b), b) for b in blocks]
        hidden = self._of(*(v for v, b in sides if inside(v.node, b)))
        return self._known_of(*(v for v, b in sides if not inside(v.node, b))) - hidden

    def _loop(self, n: Node) -> None:
        body = n.blocks[0]
        group = self.exchanged.get(n, frozenset())
        for k, (p, first, again) in enumerate(zip(body.inputs[1:], n.inputs[2:], body.outputs[1:], strict=True)):
            self.changed |= self.types.enter(p, first, again)
            if k in group:
                self._new(p)
            elif earlier(p) is not None:
                self._like(p, first)
            elif _relevant(p):
                self._give(p, self._of(first) | _earlier(self._of(again), body), p)
        self._block(body)
        for k, (o, first, again) in enumerate(zip(n.outputs, n.inputs[2:], body.outputs[1:], strict=True)):
            self.changed |= self.types.join(o, first, again)
            if k in group:
                self._new(o)
            elif earlier(o) is not None:
                self._like(o, first)
            elif _relevant(o):
                self._give(o, self._of(first, again), o)

    def _node(self, n: Node) -> None:
        for v in tensors_written(n):
            self.writes.append((n, v))
            base = self.bases.get(v)
            if isinstance(base, Value) and _is_moving(base) and base.node.inputs[0] not in self.moving:
                self.moving.add(base.node.inputs[0])
                self.changed = True
        self.changed |= self.types.node(n)
        if n.kind in ("prim::GetAttr", "prim::SetAttr") and is_object_type(n.inputs[0].type):
            self._attribute(n)
            return
        if n.kind in ("prim::GetAttr", "prim::SetAttr") and (n.inputs[0].type, n["name"]) in self.replaced:
            self.stored.setdefault((n.inputs[0].type, n["name"]), frozenset((("attribute", None, n["name"]),)))
            self._attribute(n)
            return
        if n.kind == "prim::GetAttr":
            key = ("attribute", self.bases.get(n.input, n.input), n["name"])
            self._give(n.output, frozenset((key,)), key, frozenset((key,)))
            return
        if n.kind == "prim::Uninitialized":  # what a way out leaves behind, where nobody looks
            self._give(n.output, frozenset(), n.output)
            return
        if n.kind in ("prim::unchecked_cast", "aten::detach", "aten::_unwrap_optional"):
            self._like(n.outputs[0], n.inputs[0])
            return
        if n.kind in (
            "aten::append",
            "aten::insert",
            "aten::_set_item",
            "aten::extend",
            "aten::setdefault",
            "aten::update",
        ) or (n.kind == "aten::add_" and isinstance(n.inputs[0].type, T.ListType)):
            into = n.inputs[0]
            held, both = self._of(*n.inputs[1:]), self._of(*n.inputs)
            if not is_put_once(n, into):  # now and, where this is in a loop, from here on
                held, both = held | _earlier(held), both | _earlier(both)
            self.first.setdefault(into, self._of(into))
            self.puts.setdefault(into, {})[n] = held
            self._give(into, both, self.bases.get(into, into), self._in_followed(into))
            if into.node.kind == "prim::GetAttr" and is_object_type(into.node.input.type):
                self._store((into.node.input.type, into.node["name"]), both | _earlier(both))
        if _gives_pieces(n) or (takes_one(n) and _gives_pieces(n.inputs[0].node)):
            for o in n.outputs:
                self._like(o, n.inputs[0])
            return
        if _makes_list(n) or (n.kind == "prim::ListUnpack" and _makes_list(n.input.node) and len(n.input.uses) == 1):
            for o in n.outputs:
                self._new(o)
            return
        view_of = None if self._converts(n) else _viewed(n)
        for i, o in enumerate(n.outputs):
            if not _relevant(o):
                continue
            if n.kind == "prim::TupleUnpack" and n.input.node.kind == "prim::TupleConstruct":
                self._like(o, n.input.node.inputs[i])
            elif n.kind in MAYBE and view_of is not None:
                self._give(o, self._of(view_of) | {o}, o, frozenset((o,)))
            elif view_of is not None and isinstance(o.type, T.TensorType):
                self._like(o, view_of)
            elif (put := self._at_key(n)) is not None:
                values = [x for x, _ in put]
                certain = all(c for _, c in put)
                held = self._of(*values)
                self._give(
                    o,
                    held if certain else held | _earlier(held),
                    o,
                    self._known_of(*values) if certain else frozenset(),
                )
            elif isinstance(o.type, _HOLDERS) or any(isinstance(i.type, _HOLDERS) for i in n.inputs if _takes_out(n)):
                self._give(o, self._of(*n.inputs) or frozenset((o,)), o, self._held_in(n, o))
            else:
                self._new(o)

    def _store(self, key: tuple[Any, str], origins: Origins) -> None:
        before = self.stored.get(key, frozenset())
        if not origins <= before:
            self.stored[key], self.changed = before | origins, True

    def _stored_when(self, w: Node, key: tuple[Any, str]) -> Origins:
        """What an attribute may be or hold when ``w`` runs. Of a module: without what is assigned only afterwards, and with what a
        body makes and assigns as an earlier round made it."""
        held, root = self.stored.get(key, frozenset()), self.graph.inputs[0] if self.graph.inputs else None
        if root is None or is_object_type(key[0]):
            return held
        found = [frozenset(("attribute", None, key[1]) for _ in held)]
        for s, origins in self.sets.get(key, {}).items():
            if comes_after(w, s):
                found.append(origins | _earlier(origins))
            elif (body := repeated(w, s, root)) is not None:
                found.append(_earlier(origins, body) | _earlier(origins))
        return frozenset().union(*found)

    def _attribute(self, n: Node) -> None:
        """An attribute of an object of the program is assigned or read."""
        this, key = n.inputs[0], (n.inputs[0].type, n["name"])
        if n.kind == "prim::SetAttr":
            self.sets.setdefault(key, {})[n] = held = self._of(n.inputs[1])
            self._store(key, held | _earlier(held))
            return
        if not _relevant(n.output):
            return
        base = self._assigned(n)
        if base is None:
            self.gets.setdefault(key, {})[n] = None
            self.groups[n.output] = (this, n["name"])
            self._give(n.output, self._stored_when(n, key), n.output)
        else:
            self._give(n.output, self._of(base) | self.stored.get(key, frozenset()), self.bases.get(base, base))

    def _assigned(self, n: Node) -> Value | None:
        """The value that a read attribute has for sure: the last that was assigned, by the statements that made the object."""
        this = n.input.node
        sets = list(self.sets.get((n.input.type, n["name"]), ()))
        if this.kind != "prim::CreateObject" or any(s.inputs[0].node.kind != "prim::CreateObject" for s in sets):
            return None
        mine = [s for s in sets if s.inputs[0] is n.input]
        if any(s.block is not this.block for s in mine):
            return None
        before = [s for s in mine if s.is_before(n)]
        if not before:
            return None
        last = before[0]
        for s in before[1:]:
            last = s if last.is_before(s) else last
        return last.inputs[1]

    def _known_of(self, *values: Value) -> Origins:
        """What is known of all of them: not what one shares its memory with on other paths as well."""
        known = [self.known.get(v, frozenset()) for v in values]
        hidden = [self._of(v) - k for v, k in zip(values, known, strict=True)]
        return frozenset().union(*known).difference(*hidden)

    def _held_in(self, n: Node, o: Value) -> Origins:
        """What is known of what a node takes out of a list or tuple, or makes one of."""
        if n.kind in ("prim::TupleUnpack", "prim::TupleIndex"):
            return self.known.get(n.inputs[0], frozenset())
        if n.kind == "prim::TupleConstruct":
            return self._known_of(*n.inputs)
        return self._in_followed(n.inputs[0] if takes_one(n) else o)

    def _in_followed(self, v: Value) -> Origins:
        """What is known of a list or dict, and of each of its elements, that the lowering follows element by element."""
        if not self._follows(v):
            if (keyed := self._keyed(v)) is None:
                return frozenset()
            sure = [x for put in keyed.values() for x, _ in put if all(certain for _, certain in put)]
            others = [x for put in keyed.values() for x, _ in put if not all(certain for _, certain in put)]
            return self._known_of(*sure) - self._of(*others)
        changes = [use.user for use in v.uses if use.user.kind in CHANGES]
        return self._known_of(*v.node.inputs, *(x for n in changes for x in n.inputs[1:]))

    def _keyed(self, v: Value) -> AtKeys | None:
        if v not in self.keyed:
            self.keyed[v] = values_at_keys(v)
        return self.keyed[v]

    def _at_key(self, n: Node) -> list[tuple[Value, bool]] | None:
        """What may be at a key of a dict that a node reads; see :func:`values_at_keys`."""
        if (
            n.kind != "aten::__getitem__"
            or n.inputs[0].node.kind != "prim::DictConstruct"
            or self._follows(n.inputs[0])
        ):
            return None
        keyed = self._keyed(n.inputs[0])
        return keyed.get(constant_value(n.inputs[1])) if keyed is not None else None

    def _converts(self, n: Node) -> bool:
        """Whether a node makes a tensor of another element type, which is a new one."""
        if n.kind not in CONVERSIONS or not n.inputs:
            return False
        a, b = self.types.dtype(n.inputs[0]), self.types.dtype(n.outputs[0])
        return a is not None and b is not None and a is not b


def _gives_pieces(n: Node) -> bool:
    """Whether a node gives a list of views (``chunk``, ``unbind``) of which only elements at known places are used."""
    if (
        not n.kind.startswith("aten::")
        or len(n.outputs) != 1
        or n.outputs[0].type != T.ListType(T.TENSOR)
        or not n.inputs
    ):
        return False
    schema = schema_of(n)
    if schema is None or not schema.returns[0].alias or not isinstance(n.inputs[0].type, T.TensorType):
        return False
    return all(takes_one(use.user) or use.user.kind == "aten::len" for use in n.output.uses)


def is_object_type(t: T.Type) -> bool:
    """Whether values of a type are objects that programs make."""
    return isinstance(t, ClassType) and not t.is_module


def _earlier(origins: Origins, body: Block | None = None) -> Origins:
    """The origins as a later round of the loop sees them: what the body makes is another tensor in every round."""
    return frozenset(
        ("earlier", o) if isinstance(o, Value) and (body is None or inside(o.node, body)) else o for o in origins
    )


def _is_moving(*bases: Any) -> bool:
    """Whether tensors are taken out of lists at places that are not known."""
    return all(
        isinstance(b, Value)
        and b.node.kind == "aten::__getitem__"
        and isinstance(b.node.inputs[0].type, T.ListType)
        and not takes_one(b.node)
        for b in bases
    )


def _elements(v: Value) -> Iterator[Value]:
    """What a tuple is built of; any other value is one itself."""
    if v.node.kind != "prim::TupleConstruct":
        yield v
        return
    for x in v.node.inputs:
        yield from _elements(x)


def _takes_out(n: Node) -> bool:
    """Whether a node takes values out of a holder without making new tensors."""
    return n.kind in (
        "prim::TupleUnpack",
        "prim::TupleIndex",
        "prim::ListUnpack",
        "aten::__getitem__",
        "aten::pop",
        "aten::get",
        "aten::setdefault",
    )


def _makes_list(n: Node) -> bool:
    """Whether a node makes a list of tensors that share memory with nothing (``unsafe_chunk``)."""
    schema = schema_of(n) if n.kind.startswith("aten::") else None
    if schema is None or len(n.outputs) != 1 or n.outputs[0].type != T.ListType(T.TENSOR):
        return False
    return not schema.returns[0].alias and not any(isinstance(v.type, _HOLDERS) and _relevant(v) for v in n.inputs)


def _viewed(n: Node) -> Value | None:
    """The argument that a node's result shares memory with, by its schema, or because it may be the result."""
    if n.kind in MAY_BE_ARGUMENT and isinstance(n.inputs[0].type, T.TensorType):
        return n.inputs[0]
    schema = schema_of(n) if n.kind.startswith(("aten::", "prim::")) else None
    if schema is None or not schema.returns or not isinstance(schema.returns[0].type, T.TensorType):
        return None
    sets = set((schema.returns[0].alias or "").split("|")) - {"", "*"}
    for a, v in zip(schema.arguments, n.inputs, strict=False):
        if a.alias in sets and isinstance(v.type, T.TensorType):
            return v
    return None


def _relevant(v: Value) -> bool:
    return any(isinstance(t, T.TensorType) for t in v.type.walk())


def _is_older(v: Value, w: Node) -> bool:
    """Whether the value exists when ``w`` runs."""
    n = v.node
    if n.kind == "prim::Param":
        return n.block is not None and (n.block.owner is None or inside(w, n.block))
    return n.is_before(w) and not any(inside(w, b) for b in n.blocks)
