"""What of a module becomes constants when it is frozen, and what has to stay.

The rules are those of torch's ``freeze_module.cpp``: values that a kept method writes to stay attributes, with everything that shares
their memory; what the caller asked for stays; all else goes into the graphs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, InterfaceType, ScriptObject
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.passes.aliases import AliasAnalysis, is_mutable_type
from bridge.ir.passes.constant_propagation import propagate_constants
from bridge.ir.passes.constants import insert_constant
from bridge.ir.passes.dead_code import eliminate_dead_code
from bridge.ir.passes.inline import inline
from bridge.ir.schema import Schema
from bridge.jit.names import python_cu

__all__ = ["Freezer", "nodes_of"]

#: Which memory a value is.
_Memory = tuple[str, int]


class _Kept:
    """What stays an attribute: values, by their memory, and numbers and the like, by where they stand."""

    def __init__(self) -> None:
        self.memory: set[_Memory] = set()
        self.inside: set[_Memory] = set()
        self.scalars: set[tuple[int, str]] = set()

    def add(self, owner: ScriptObject, name: str) -> None:
        value = owner.attributes[name]
        if not _is_mutable(owner, name):
            self.scalars.add((id(owner), name))
            return
        self.memory.add(_memory(value))
        if not isinstance(value, ScriptObject):
            self.inside.update(_memories(value))

    def holds(self, owner: ScriptObject, name: str) -> bool:
        if not _is_mutable(owner, name):
            return (id(owner), name) in self.scalars
        return _memory(owner.attributes[name]) in self.memory

    def touches(self, owner: ScriptObject, name: str) -> bool:
        """Whether the attribute stays, or shares memory with one that does."""
        if self.holds(owner, name):
            return True
        value = owner.attributes[name]
        if not _is_mutable(owner, name) or isinstance(value, ScriptObject):
            return False
        return not self.inside.isdisjoint(_memories(value))


def _is_mutable(owner: ScriptObject, name: str) -> bool:
    value = owner.attributes[name]
    return value is not None and (isinstance(value, ScriptObject) or is_mutable_type(owner.type.attributes[name].type))


def _memory(value: Any) -> _Memory:
    array = getattr(value, "_array", value)
    if isinstance(array, np.ndarray):
        while isinstance(array.base, np.ndarray):
            array = array.base
        return "tensor", id(array)
    return "object", id(value)


def _memories(value: Any) -> Iterator[_Memory]:
    """The memory of a value and of everything inside it."""
    if isinstance(value, list | tuple | dict):
        if not isinstance(value, tuple):
            yield _memory(value)
        for v in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
            yield from _memories(v)
    elif isinstance(value, ScriptObject):
        yield _memory(value)
        for v in value.attributes.values():
            yield from _memories(v)
    elif hasattr(value, "__array__") and not isinstance(value, np.generic):
        yield _memory(value)


def _copy(held: ScriptObject, memo: dict[int, ScriptObject]) -> ScriptObject:
    """The module and its submodules anew, with the same values in them."""
    found = memo.get(id(held))
    if found is None:
        found = memo[id(held)] = ScriptObject(held.type)
        for name, v in held.attributes.items():
            module = isinstance(v, ScriptObject) and v.type.is_module
            found.attributes[name] = _copy(v, memo) if module else v
    return found


class Freezer:
    """One freezing of a module. ``preserved`` are dotted names of attributes, submodules and methods.

    Raises RuntimeError, with torch's texts, for names that there are not and for what cannot be frozen.
    """

    def __init__(self, held: ScriptObject, preserved: list[str]) -> None:
        forward = held.type.find_method("forward")
        if forward is not None and any(o.type is held.type for o in forward.graph.outputs):
            raise RuntimeError("attempted to freeze a module that return itself")
        self.held = _copy(held, {})
        self.kept = _Kept()
        #: Submodules that stay as they are, and what the caller wants although no method may use it.
        self.whole: list[ScriptObject] = []
        self.wanted: list[tuple[ScriptObject, str]] = []
        #: The methods that stay: whose, and their graphs.
        self.graphs: dict[Function, tuple[ScriptObject, Graph]] = {}
        #: What each module value of a graph is, and how it is called.
        self.objects: dict[Value, tuple[ScriptObject, str]] = {}
        if forward is not None:
            self.graphs[forward] = self.held, forward.graph.copy()
        for name in preserved:
            self.preserve(name)

    def preserve(self, name: str) -> None:
        owner, (*way, last) = self.held, name.split(".")
        steps = []
        for part in way:
            value = owner.attributes.get(part)
            if not (isinstance(value, ScriptObject) and value.type.is_module):
                raise RuntimeError(f"Unknown name: {name}")
            steps.append((owner, part))
            owner = value
        method = owner.type.find_method(last)
        if last in owner.type.attributes:
            value = owner.attributes[last]
            if isinstance(value, ScriptObject) and value.type.is_module:
                self.whole.append(value)
            self.kept.add(owner, last)
        elif method is not None:
            self.graphs[method] = owner, method.graph.copy()
        else:
            raise RuntimeError(f"Unknown name: {name}")
        self.wanted += steps

    def run(self, simplify: Any) -> ScriptObject:
        """The frozen module; ``simplify`` cleans a graph when its constants are in."""
        for owner, g in self.graphs.values():
            self.flatten(owner, g)
        # First what only an assignment can change: it decides which branches, and so which writes, there are.
        pieces = [p for _, g in self.graphs.values() for p in _pieces(g)]
        assigned = {
            (id(self.objects[n.inputs[0]][0]), n["name"])
            for g in pieces for n in nodes_of(g.block) if n.kind == "prim::SetAttr" and n.inputs[0] in self.objects
        }  # fmt: skip
        for g in pieces:
            self.fold(g, assigned)
            propagate_constants(g)
            eliminate_dead_code(g)
        self.record(pieces)
        for _, graph in self.graphs.values():
            for g in _pieces(graph):
                self.fold(g, None)
                simplify(g)
        return self.made()

    # -- the graphs --------------------------------------------------------------------------------------------

    def flatten(self, owner: ScriptObject, graph: Graph) -> None:
        """Everything inlined; what an interface stands for is known now."""
        self.objects[graph.inputs[0]] = owner, "self"
        before = -1
        while graph._next_unique != before:
            self.name_objects(graph)
            before = graph._next_unique
            for piece in _pieces(graph):
                inline(piece)
        self.name_objects(graph)

    def name_objects(self, graph: Graph) -> None:
        for n in nodes_of(graph.block):
            if n.kind == "prim::fork":
                for outer, inner in zip(n.inputs, n["Subgraph"].inputs, strict=True):
                    if outer in self.objects:
                        self.objects[inner] = self.objects[outer]
                self.name_objects(n["Subgraph"])
            owner = self.objects.get(n.inputs[0]) if n.kind in ("prim::GetAttr", "prim::SetAttr") else None
            if owner is None:
                continue
            name = n["name"]
            if n.kind == "prim::SetAttr":
                if isinstance(owner[0].type.attributes[name].type, InterfaceType):
                    raise RuntimeError(
                        f"Freezing does not support SetAttr on an interface type. SetAttr is attempted on '{name}'"
                    )
                continue
            value = owner[0].attributes.get(name)
            if isinstance(value, ScriptObject):
                self.objects[n.output] = value, f"{owner[1]}.{name}"
                if isinstance(n.output.type, InterfaceType):
                    n.output.type = value.type

    def record(self, pieces: list[Graph]) -> None:
        """Note what the methods write to. Raises RuntimeError for attributes that share memory in a way that is not followed."""
        used: dict[_Memory, Any] = {}
        for g in pieces:
            aliases = AliasAnalysis(g, attributes_apart=True)
            for n in nodes_of(g.block):
                if n.kind == "prim::ModuleContainerIndex":
                    raise RuntimeError("Freezing modules containing prim::ModuleContainerIndex is not supported")
                found = self.attribute(n)
                if found is None or self.kept.touches(*found):
                    continue
                owner, name = found
                value = owner.attributes[name]
                if n.kind == "prim::GetAttr":
                    if not _is_mutable(owner, name) or (isinstance(value, ScriptObject) and value.type.is_module):
                        continue
                    used[_memory(value)] = value
                if n.kind == "prim::SetAttr" or aliases.has_writers_inside(n.output):
                    self.kept.add(owner, name)
        seen: set[_Memory] = set()
        for value in used.values():
            inside = set() if isinstance(value, ScriptObject) else set(_memories(value))
            if not inside.isdisjoint(seen):
                raise RuntimeError("module contains attributes values that overlaps " + str(value))
            seen |= inside

    def attribute(self, n: Node) -> tuple[ScriptObject, str] | None:
        """The attribute that a node reads or writes, when it is known whose it is."""
        if n.kind not in ("prim::GetAttr", "prim::SetAttr") or n.inputs[0] not in self.objects:
            return None
        return self.objects[n.inputs[0]][0], n["name"]

    def fold(self, graph: Graph, assigned: set[tuple[int, str]] | None) -> None:
        """Put constants for attributes that stay as they are; with ``assigned``, numbers and the like alone that are not there."""
        folded = []
        with graph.inserting(next(iter(graph.block.nodes), graph.return_node)):
            for n in list(nodes_of(graph.block)):
                found = self.attribute(n)
                if found is None or n.kind == "prim::SetAttr" or n.output in self.objects:
                    continue
                owner, name = found
                value = owner.attributes.get(name)
                if assigned is not None and not (
                    value is None or isinstance(value, bool | int | float | complex | str)
                ):
                    continue
                if (assigned is not None and (id(owner), name) in assigned) or self.stays(n.inputs[0], owner, name):
                    continue
                constant = _constant(graph, value, owner.type.attributes[name].type)
                if constant is not None:
                    constant.set_debug_name(f"{self.objects[n.inputs[0]][1]}.{name}")
                    n.output.replace_all_uses_with(constant)
                    folded.append(n)
        for n in folded:
            n.destroy()

    def stays(self, owner_value: Value, owner: ScriptObject, name: str) -> bool:
        """Whether the attribute, or a module on the way to it, stays."""
        if self.kept.touches(owner, name):
            return True
        v = owner_value
        while v.node.kind == "prim::GetAttr" and v in self.objects:
            if _memory(self.objects[v][0]) in self.kept.memory:
                return True
            v = v.node.inputs[0]
        return False

    # -- the module --------------------------------------------------------------------------------------------

    def made(self) -> ScriptObject:
        """The module with what is left: new classes, shared as the old ones were."""
        for _, graph in self.graphs.values():
            for g in _pieces(graph):
                for n in nodes_of(g.block):
                    found = self.attribute(n)
                    if found is not None:
                        self.kept.add(*found)
        for owner, name in self.wanted:
            self.kept.add(owner, name)
        returned = [o.type for _, g in self.graphs.values() for o in g.outputs]
        whole: set[ClassType] = set()
        left: dict[ClassType, set[str]] = {}
        objects: dict[int, ScriptObject] = {}
        self.collect(self.held, returned, whole, left, objects)
        types = {t: self.type_of(t) for t in left if t not in whole}
        for old, new in types.items():
            self.fill(old, new, left[old], types, next(o for o in objects.values() if o.type is old))
        for m in objects.values():
            if m.type in types:
                m.attributes = {k: v for k, v in m.attributes.items() if k in left[m.type]}
        for m in objects.values():
            m.type = types.get(m.type, m.type)
        return self.held

    def collect(
        self, m: ScriptObject, returned: list[T.Type], whole: set[ClassType], left: dict[ClassType, set[str]],
        objects: dict[int, ScriptObject],
    ) -> None:  # fmt: skip
        """What is left of a module and, if it is, of its submodules: into ``whole`` or ``left``."""
        objects[id(m)] = m
        if any(m.type.is_subtype_of(t) and m.type is t for t in returned) or any(m is w for w in self.whole):
            whole.update(s.type for s in _modules(m))
            return
        names = left.setdefault(m.type, set())
        for name, v in m.attributes.items():
            if self.kept.holds(m, name):
                names.add(name)
                if isinstance(v, ScriptObject) and v.type.is_module and id(v) not in objects:
                    self.collect(v, returned, whole, left, objects)

    @staticmethod
    def type_of(old: ClassType) -> ClassType:
        t = ClassType(python_cu.unique_name(old.name), True)
        python_cu.add_type(t.name, t)
        return t

    def fill(
        self, old: ClassType, new: ClassType, names: set[str], types: dict[ClassType, ClassType], one: ScriptObject
    ) -> None:
        for name, a in old.attributes.items():
            if name in names:
                value = one.attributes.get(name)
                kind = value.type if isinstance(value, ScriptObject) and isinstance(a.type, InterfaceType) else a.type
                kind = types.get(kind, kind) if isinstance(kind, ClassType) else kind
                new.add_attribute(name, kind, a.is_parameter, a.is_buffer)
        for function, (owner, graph) in self.graphs.items():
            for g in _pieces(graph):
                for v in (*g.inputs, *(o for n in nodes_of(g.block) for o in n.outputs)):
                    if v.type is old:
                        v.type = new
            if owner.type is old:
                this = copy.copy(function.schema.arguments[0])
                this.type = new
                schema = function.schema
                made = Schema(schema.name, schema.overload, [this, *schema.arguments[1:]], schema.returns)
                new.add_method(Function(f"{new.name}.{function.name}", graph, made))


def _modules(m: ScriptObject) -> Iterator[ScriptObject]:
    yield m
    for _, sub in m.submodules():
        yield from _modules(sub)


def nodes_of(block: Block) -> Iterator[Node]:
    """The nodes of a block and of the blocks in it."""
    for n in block.nodes:
        yield n
        for b in n.blocks:
            yield from nodes_of(b)


def _pieces(graph: Graph) -> Iterator[Graph]:
    """A graph and the graphs that it forks."""
    yield graph
    for n in nodes_of(graph.block):
        if n.kind == "prim::fork":
            yield from _pieces(n["Subgraph"])


def _constant(graph: Graph, value: Any, declared: T.Type) -> Value | None:
    """The value at the insert point; None for what a graph cannot hold."""
    made = insert_constant(graph, _plain(value), None if value is None else declared)
    if made is not None:
        return made
    if isinstance(declared, T.OptionalType):
        declared = declared.element
    if isinstance(value, list) and isinstance(declared, T.ListType):
        return _construct(graph, "prim::ListConstruct", value, [declared.element] * len(value), declared)
    if isinstance(value, tuple) and isinstance(declared, T.TupleType):
        return _construct(graph, "prim::TupleConstruct", value, declared.elements, declared)
    if isinstance(value, dict) and isinstance(declared, T.DictType):
        flat = [x for item in value.items() for x in item]
        return _construct(graph, "prim::DictConstruct", flat, [declared.key, declared.value] * len(value), declared)
    return None


def _construct(graph: Graph, kind: str, values: Any, types: Any, declared: T.Type) -> Value | None:
    items = [_constant(graph, v, t) for v, t in zip(values, types, strict=True)]
    known = [i for i in items if i is not None]
    return graph.add(kind, *known, type=declared) if len(known) == len(items) else None


def _plain(value: Any) -> Any:
    """A tensor as the array of a constant, which nobody else writes to."""
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        return np.array(value.detach()._array if hasattr(value, "detach") else value)
    return value
