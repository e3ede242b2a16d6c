"""Which values may be the same memory, and which nodes write to it (torch's alias analysis).

Every value of a mutable type (tensor, list, dict, object, and what holds these) points to *memory locations*. A value
that comes from outside, or out of a container, points to the *wildcard* of its type: it may be any such value. Values
inside containers are wildcards too, apart from lists that only a few pure operators use.

Built once per graph in linear time; the graph must not change its writes afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bridge.ir import types as T
from bridge.ir.classes import ClassType
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.node_schema import schema_of
from bridge.ir.passes.constants import constant_value, must_be_none
from bridge.ir.schema import Argument, Schema

__all__ = ["MAY_BE_ARGUMENT", "AliasAnalysis", "is_mutable_type"]

_PURE_LIST_USERS = frozenset(
    {"aten::cat", "aten::broadcast_tensors", "aten::stack", "aten::vstack", "aten::hstack", "aten::dstack"}
)
#: Operators on lists of tensors that write to the tensors, not to the list.
_WRITES_INSIDE = ("aten::_foreach", "aten::_fused", "aten::_amp")


def _mutable_parts(t: T.Type) -> tuple[T.Type, ...]:
    """The type that all types that may alias it share (several for a Union); empty for immutable types."""
    if isinstance(t, T.TensorType):
        return (T.TENSOR,)
    if isinstance(t, T.ListType | T.DictType):
        return (T.unshaped(t),)
    if isinstance(t, ClassType) or t is T.ANY:
        return (t,)
    if isinstance(t, T.OptionalType):
        return _mutable_parts(t.element)
    if isinstance(t, T.UnionType):
        return tuple(p for m in t.members for p in _mutable_parts(m))
    if isinstance(t, T.FutureType | T.AwaitType):
        parts = _mutable_parts(t.element)
        return (type(t)(_single(parts)),) if parts else ()
    if isinstance(t, T.TupleType):
        parts = tuple(p for e in t.elements for p in _mutable_parts(e))
        return (T.TupleType(*parts),) if parts else ()
    return ()


def _contained(t: T.Type) -> Iterable[T.Type]:
    return (a.type for a in t.attributes.values()) if isinstance(t, ClassType) else t.contained()


def _single(parts: Sequence[T.Type]) -> T.Type:
    return parts[0] if len(parts) == 1 else T.UnionType(*parts)


def is_mutable_type(t: T.Type) -> bool:
    """Whether values of the type can be written to, or hold something that can."""
    if isinstance(t, T.SimpleType):
        return t is T.ANY
    return bool(_mutable_parts(t))


class _Element:
    """A place that values point to; a location when it points nowhere itself."""

    __slots__ = ("contained", "index", "locations", "points_to", "values")

    def __init__(self, index: int) -> None:
        self.index = index
        self.points_to: dict[_Element, None] = {}
        self.contained: dict[_Element, None] = {}
        self.values: list[Value] = []
        self.locations: frozenset[_Element] | None = None


_Locations = frozenset[_Element]


#: Operators that may give the tensor that they got, or a view of it, though their schemas do not say so.
MAY_BE_ARGUMENT = frozenset(
    """
    aten::type_as aten::atleast_1d aten::atleast_2d aten::atleast_3d aten::sum_to_size aten::data aten::dropout
    aten::feature_dropout aten::alpha_dropout aten::feature_alpha_dropout
    """.split()
)


class AliasAnalysis:
    """The analysis of one graph.

    With ``attributes_apart``, what is read from a module is taken for memory of its own, not for any memory from outside: for
    who knows which attributes of a module share memory. With ``careful``, what a loop gives may be what it was given, as
    there may be no iteration, and what some operators give may be their argument: torch's analysis forgets both, and the
    other passes decide as torch's do.
    """

    def __init__(self, graph: Graph, attributes_apart: bool = False, careful: bool = False) -> None:
        self._graph, self._apart, self._careful = graph, attributes_apart, careful
        self._elements: dict[Value, _Element] = {}
        self._all: list[_Element] = []
        self._wildcards: dict[T.Type, _Element] = {}
        self._wild_values: dict[Value, None] = {}
        self._parts: dict[T.Type, tuple[T.Type, ...]] = {}
        self._class_contents: dict[T.Type, dict[_Element, None]] = {}
        self._writes: dict[Node, list[Value]] = {}
        self._contained_writes: dict[Node, list[Value]] = {}
        self._writes_everywhere: set[Node] = set()
        for v in graph.inputs:
            self._set_wildcard(v)
        self._block(graph.block)
        self._close_wildcards()
        self._write_index = self._index_writes()
        self._written: _Locations = frozenset().union(*self._write_index.values())

    # -- questions -----------------------------------------------------------------------------------------------------

    def writes_of(self, n: Node) -> _Locations:
        """The memory that a node, or a node in its blocks, may write to."""
        found = self._write_index.get(n, frozenset())
        for b in n.blocks:
            for inner in b.nodes:
                found |= self.writes_of(inner)
        return found

    def locations_of(self, v: Value) -> _Locations:
        """The memory that a value may be; empty for immutable ones."""
        e = self._elements.get(v)
        return frozenset() if e is None else self._locations(e)

    def writes_to_wildcard(self, n: Node) -> bool:
        """Whether the node itself may write to something that came from outside."""
        writes = self._write_index.get(n)
        return writes is not None and any(w in writes for w in self._wildcards.values())

    def has_writers(self, what: Value | Node) -> bool:
        """Whether anything writes to a value, or to an input or output of a node."""
        if isinstance(what, Node):
            return any(map(self.has_writers, what.inputs)) or any(map(self.has_writers, what.outputs))
        return not must_be_none(what) and not self._written.isdisjoint(self.locations_of(what))

    def has_writers_inside(self, v: Value) -> bool:
        """Whether anything writes to a value or to what it holds."""
        return not self._written.isdisjoint(self._everything_inside([v]))

    def may_alias(self, a: Iterable[Value], b: Iterable[Value]) -> bool:
        """Whether a value of one group may be the same memory as one of the other."""
        theirs = frozenset().union(*map(self.locations_of, b))
        return any(not theirs.isdisjoint(self.locations_of(v)) for v in a)

    def may_contain_alias(self, a: Iterable[Value], b: Iterable[Value]) -> bool:
        """As :meth:`may_alias`, or what is inside them."""
        mine = self._everything_inside(a)
        return bool(mine) and not mine.isdisjoint(self._everything_inside(b))

    def safe_to_merge(self, a: Sequence[Value], b: Sequence[Value]) -> bool:
        """Whether values may become one although they were not, without anybody seeing it."""
        if any(map(self.has_writers, a)) or any(map(self.has_writers, b)):
            return False
        return not (self._escapes(a) and self._escapes(b))

    def _escapes(self, values: Sequence[Value]) -> bool:
        return (
            self.may_contain_alias(values, self._graph.inputs)
            or self.may_contain_alias(values, self._graph.outputs)
            or any(map(self._may_be_wildcard, values))
        )

    def _may_be_wildcard(self, v: Value) -> bool:
        parts = self._mutable(v.type)
        w = self._wildcards.get(_single(parts)) if parts else None
        return w is not None and not self._locations(w).isdisjoint(self.locations_of(v))

    def _everything_inside(self, values: Iterable[Value]) -> set[_Element]:
        found: set[_Element] = set()
        stack = [self._elements[v] for v in values if v in self._elements]
        while stack:
            e = stack.pop()
            if e not in found:
                found.add(e)
                stack.extend(self._locations(e))
                stack.extend(e.contained)
        return found

    # -- elements ------------------------------------------------------------------------------------------------------

    def _mutable(self, t: T.Type) -> tuple[T.Type, ...]:
        parts = self._parts.get(t)
        if parts is None:
            parts = self._parts[t] = _mutable_parts(t)
        return parts

    def _make(self) -> _Element:
        e = _Element(len(self._all))
        self._all.append(e)
        return e

    def _locations(self, e: _Element) -> _Locations:
        if e.locations is not None:
            return e.locations
        seen = {e}
        stack = [e]
        found: set[_Element] = set()
        while stack:
            current = stack.pop()
            if current.locations is not None:
                found |= current.locations
            elif not current.points_to:
                found.add(current)
            for to in () if current.locations is not None else current.points_to:
                if to not in seen:
                    seen.add(to)
                    stack.append(to)
        e.locations = frozenset(found)
        return e.locations

    def _fresh(self, v: Value, wild_inside: bool = True) -> None:
        """The value is memory of its own (unless it is known already, as in loops)."""
        parts = self._mutable(v.type)
        if not parts or v in self._elements:
            return
        e = self._elements[v] = self._make()
        e.values.append(v)
        if wild_inside:
            self._give_contents(e, parts)

    def _element(self, v: Value) -> _Element:
        if v not in self._elements:
            self._fresh(v)
        return self._elements[v]

    def _give_contents(self, e: _Element, parts: Sequence[T.Type]) -> None:
        if len(parts) > 1:
            for p in parts:
                w = self._wildcard(p)
                if w is not None and w is not e:
                    e.points_to[w] = None
            return
        if isinstance(parts[0], ClassType):  # modules of hundreds of others are read again and again
            e.contained = self._contents_of(parts[0])
            return
        for inside in _contained(parts[0]):
            w = self._wildcard(inside)
            if w is not None:
                e.contained[w] = None

    def _contents_of(self, t: ClassType) -> dict[_Element, None]:
        """What the attributes of an object may be: one dict for all of the class, that nobody adds to."""
        found = self._class_contents.get(t)
        if found is None:
            found = self._class_contents[t] = {}
            for a in t.attributes.values():
                w = self._wildcard(a.type)
                if w is not None:
                    found[w] = None
        return found

    def _wildcard(self, t: T.Type) -> _Element | None:
        parts = self._mutable(t)
        if not parts:
            return None
        key = _single(parts)
        found = self._wildcards.get(key)
        if found is None:
            found = self._wildcards[key] = self._make()
            self._give_contents(found, parts)
        return found

    def _set_wildcard(self, v: Value) -> _Element | None:
        w = self._wildcard(v.type)
        if w is not None:
            self._element(v)
            self._wild_values[v] = None
        return w

    def _point(self, v: Value, to: Value) -> None:
        """The value may be the other one."""
        if _never_aliases(v) or _never_aliases(to):
            self._fresh(v)
            self._fresh(to)
            return
        if v is to or not self._mutable(v.type) or not self._mutable(to.type):
            return
        a, b = self._element(v), self._element(to)
        if a is not b:
            a.points_to[b] = None

    def _close_wildcards(self) -> None:
        """Make all memory of wild values point to the wildcard of their type."""
        edited: dict[_Element, set[_Element]] = {}
        for v in self._wild_values:
            w = self._wildcard(v.type)
            assert w is not None
            for location in self._locations(self._elements[v]):
                if location is not w:
                    edited.setdefault(location, set()).add(w)
        for e in list(self._all):
            locations = self._locations(e)
            more = [edited[location] for location in locations if location in edited]
            if more:
                e.locations = locations.union(*more)

    def _index_writes(self) -> dict[Node, _Locations]:
        index: dict[Node, set[_Element]] = {}
        for n, values in self._writes.items():
            for v in values:
                index.setdefault(n, set()).update(self.locations_of(v))
        for n, values in self._contained_writes.items():
            index.setdefault(n, set()).update(self._everything_inside(values))
        for n in self._writes_everywhere:
            index.setdefault(n, set()).update(self._wildcards.values())
        return {n: frozenset(found) for n, found in index.items()}

    # -- the walk ------------------------------------------------------------------------------------------------------

    def _block(self, b: Block) -> None:
        for n in b.nodes:
            handler = _HANDLERS.get(n.kind)
            if handler is not None:
                handler(self, n)
            else:
                self._operator(n)

    def _operator(self, n: Node) -> None:
        schema = schema_of(n)
        if schema is None:
            # Foreign operators (onnx::…) compute new values from their inputs; what has blocks runs them.
            for b in n.blocks:
                for v in b.inputs:
                    self._set_wildcard(v)
                self._block(b)
            self._creator(n)
            return
        bound: dict[str, Value] = {}
        for a, v in zip(schema.arguments, n.inputs, strict=False):
            self._argument(n, a, v, bound)
        for a, v in zip(schema.returns, n.outputs, strict=False):
            self._result(n, schema, a, v, bound)
        for v in n.outputs[len(schema.returns) :]:
            self._set_wildcard(v)
        if self._careful and n.kind in MAY_BE_ARGUMENT:
            self._point(n.output, n.inputs[0])

    def _argument(self, n: Node, a: Argument, v: Value, bound: dict[str, Value]) -> None:
        if a.alias is None or not self._mutable(v.type):
            return
        before, _, after = a.alias.partition(" -> ")
        if before in bound:
            return
        bound[before] = v
        if a.writes:
            inside = n.kind.startswith(_WRITES_INSIDE)
            (self._contained_writes if inside else self._writes).setdefault(n, []).append(v)
            self._element(v)
        if after == "*":  # append(t[](a!) self, t(c -> *) el)
            self._set_wildcard(v)

    def _result(self, n: Node, schema: Schema, a: Argument, v: Value, bound: dict[str, Value]) -> None:
        if a.alias is None:
            self._fresh(v)
            return
        if not self._mutable(v.type):
            return
        sets = a.alias.split("|")
        if "*" in sets:
            self._set_wildcard(v)
            return
        for name in sets:
            same_kind = name in bound and isinstance(v.type, T.ListType) == isinstance(bound[name].type, T.ListType)
            if same_kind:
                self._point(v, bound[name])
            elif name in bound or len(sets) == 1:
                # Its own memory; the parts in chunk(Tensor(a -> *) self, …) -> Tensor(a)[] are wildcards already.
                self._fresh(v)
        if a.writes:
            self._writes.setdefault(n, []).append(v)

    def _creator(self, n: Node) -> None:
        for v in n.outputs:
            self._fresh(v)

    def _extractor(self, n: Node) -> None:
        if self._apart and n.kind == "prim::GetAttr" and getattr(n.inputs[0].type, "is_module", False):
            self._fresh(n.output)
            return
        for v in n.outputs:
            self._set_wildcard(v)

    def _if(self, n: Node) -> None:
        for b in n.blocks:
            self._block(b)
        for i, v in enumerate(n.outputs):
            for b in n.blocks:
                self._point(v, b.outputs[i])

    def _loop(self, n: Node) -> None:
        (body,) = n.blocks
        for inner, outer in zip(body.inputs[1:], n.inputs[2:], strict=True):
            self._point(inner, outer)
        self._block(body)
        for outer, inner in zip(n.outputs, body.outputs[1:], strict=True):
            self._point(outer, inner)
        if self._careful and not _runs(n):
            for outer, before in zip(n.outputs, n.inputs[2:], strict=True):
                self._point(outer, before)

    def _container(self, n: Node) -> None:
        v = n.output
        if not self._mutable(v.type):
            return
        uses = v.uses
        pure = len(uses) == 1 and self._keeps_inside(v, uses[0].user)
        self._fresh(v, wild_inside=not pure)
        e = self._elements[v]
        for i in n.inputs:
            if not pure:
                w = self._set_wildcard(i)
                if w is not None:
                    e.contained[w] = None
            elif self._mutable(i.type):
                e.contained[self._element(i)] = None

    def _keeps_inside(self, container: Value, user: Node) -> bool:
        """Whether what is in a container stays known: lists for a few operators, the tuple that a graph returns."""
        if isinstance(container.type, T.ListType):
            return user.kind in _PURE_LIST_USERS
        return isinstance(container.type, T.TupleType) and user is self._graph.return_node

    def _fork(self, n: Node) -> None:
        for v in n.inputs:
            self._set_wildcard(v)
        self._creator(n)

    def _wait(self, n: Node) -> None:
        self._extractor(n)
        self._writes_everywhere.add(n)

    def _set_attribute(self, n: Node) -> None:
        self._writes.setdefault(n, []).append(n.inputs[0])
        self._set_wildcard(n.inputs[1])

    def _conservative(self, n: Node) -> None:
        for v in n.inputs:
            if self._mutable(v.type):
                self._contained_writes.setdefault(n, []).append(v)
                self._set_wildcard(v)
        self._extractor(n)

    def _same(self, n: Node) -> None:
        self._point(n.output, n.inputs[0])

    def _norm(self, flag: str) -> Callable[[Node], None]:
        def run(n: Node) -> None:
            self._creator(n)
            schema = schema_of(n)
            if schema is None or constant_value(n.inputs[schema.index[flag]]) is False:
                return
            for name in ("running_mean", "running_var"):
                v = n.inputs[schema.index[name]]
                if self._mutable(v.type):
                    self._element(v)
                    self._writes.setdefault(n, []).append(v)

        return run

    def _nothing(self, n: Node) -> None:
        pass


def _runs(loop: Node) -> bool:
    """Whether a loop has an iteration for certain."""
    count, condition = (v.node for v in loop.inputs[:2])
    if count.kind != "prim::Constant" or condition.kind != "prim::Constant":
        return False
    return bool(condition["value"]) and count["value"] > 0


def _never_aliases(v: Value) -> bool:
    return must_be_none(v) or v.node.kind == "prim::Uninitialized"


_A = AliasAnalysis
_HANDLERS: dict[str, Callable[[AliasAnalysis, Node], None]] = {
    "prim::If": _A._if,
    "prim::Loop": _A._loop,
    "prim::fork": _A._fork,
    "prim::awaitable": _A._fork,
    "aten::wait": _A._wait,
    "prim::awaitable_wait": _A._wait,
    "aten::batch_norm": lambda a, n: a._norm("training")(n),
    "aten::instance_norm": lambda a, n: a._norm("use_input_stats")(n),
    **dict.fromkeys(
        ["prim::Constant", "prim::AutogradZero", "prim::Closure", "prim::CreateObject", "prim::tolist",
         "prim::Uninitialized"], _A._creator),
    **dict.fromkeys(["prim::TupleConstruct", "prim::DictConstruct", "prim::ListConstruct"], _A._container),
    **dict.fromkeys(
        ["prim::TupleUnpack", "prim::TupleIndex", "prim::TupleSlice", "prim::ListUnpack", "prim::PythonOp",
         "prim::GetAttr"], _A._extractor),
    "prim::unchecked_cast": _A._same,
    "prim::SetAttr": _A._set_attribute,
    **dict.fromkeys(
        ["prim::CallFunction", "prim::CallMethod", "prim::Enter", "prim::Exit", "aten::backward"], _A._conservative),
    **dict.fromkeys(["prim::Print", "prim::isinstance"], _A._nothing),
}  # fmt: skip
