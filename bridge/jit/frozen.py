"""``freeze``: a module with its weights and attributes as constants in its methods, and what uses that."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, InterfaceType, ScriptObject
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.node_schema import schema_of
from bridge.ir.passes.aliases import AliasAnalysis
from bridge.ir.passes.common_subexpression import eliminate_common_subexpressions
from bridge.ir.passes.constant_pooling import pool_constants
from bridge.ir.passes.constant_propagation import propagate_constants
from bridge.ir.passes.constants import insert_constant
from bridge.ir.passes.dead_code import eliminate_dead_code
from bridge.ir.passes.inline import inline
from bridge.ir.passes.lower_tuples import lower_simple_tuples
from bridge.ir.passes.peephole import simplify
from bridge.ir.schema import Schema
from bridge.jit.functions import ScriptFunction
from bridge.jit.modules import RecursiveScriptModule, ScriptModule, wrap
from bridge.jit.names import python_cu

__all__ = ["export_opnames", "freeze", "optimize_for_inference", "run_frozen_optimizations"]

_Key = tuple[int, str]


def freeze(
    mod: ScriptModule, preserved_attrs: Sequence[str] | None = None, optimize_numerics: bool = True
) -> RecursiveScriptModule:
    """A copy of a module in eval mode in which submodules are inlined and attributes are constants.

    ``forward`` and the methods in ``preserved_attrs`` are kept; so are attributes named there, and those that a method
    changes. With ``optimize_numerics`` dropout is taken out too. Raises RuntimeError for what is no ScriptModule, or trains.
    """
    if not isinstance(mod, ScriptModule):
        raise RuntimeError(  # noqa: TRY004 (torch's)
            "Freezing expects a ScriptModule as input. Please use torch.jit.script or torch.jit.trace to script your "
            "'nn.Module'."
        )
    if getattr(mod, "training", False):
        raise RuntimeError(
            "Freezing is currently only implemented for modules in eval mode. Please call .eval() on your module before "
            "freezing."
        )
    held: ScriptObject = copy.deepcopy(mod)._c
    return wrap(_Freezer(held, list(preserved_attrs or ()), optimize_numerics).run())


def optimize_for_inference(mod: ScriptModule, other_methods: Sequence[str] | None = None) -> RecursiveScriptModule:
    """:func:`freeze`, unless that has been done."""
    return freeze(mod.eval(), other_methods)


def run_frozen_optimizations(
    mod: ScriptModule, optimize_numerics: bool = True, preserved_methods: Sequence[str] | None = None
) -> None:
    """Simplify the methods of a frozen module once more."""
    for f in mod._c.type.methods.values():
        _simplify(f.graph, optimize_numerics)


def export_opnames(m: Any) -> list[str]:
    """The operators that a module's methods use, those of submodules and functions too; sorted."""
    found: set[str] = set()
    functions = [m._function] if isinstance(m, ScriptFunction) else list(_methods(m._c))
    seen: set[Function] = set()
    while functions:
        f = functions.pop()
        if f in seen:
            continue
        seen.add(f)
        for n in f.graph.all_nodes():
            if n.kind == "prim::CallFunction":
                functions.append(n.inputs[0].type.function)  # type: ignore[attr-defined]
            schema = schema_of(n) if n.kind.startswith("aten::") else None
            if schema is not None:
                found.add(schema.full_name)
    return sorted(found)


def _methods(held: ScriptObject) -> Iterator[Function]:
    yield from held.type.methods.values()
    for _, sub in held.submodules():
        yield from _methods(sub)


class _Freezer:
    def __init__(self, held: ScriptObject, preserved: list[str], numerics: bool) -> None:
        self.held, self.numerics = held, numerics
        t = held.type
        for name in preserved:
            if name not in t.methods and name not in t.attributes:
                raise RuntimeError(f"Unknown name: {name}")
        first = ["forward"] if "forward" in t.methods else []
        self.names = [*first, *(n for n in preserved if n in t.methods and n != "forward")]
        self.preserved = {n for n in preserved if n in t.attributes}
        self.kept = set(self.preserved)
        #: What each module value of a graph is, and how it is called.
        self.objects: dict[Value, tuple[ScriptObject, str]] = {}

    def run(self) -> ScriptObject:
        graphs = {name: self.flat(self.held.type.methods[name].graph.copy()) for name in self.names}
        # First what only an assignment can change: it decides which branches, and so which writes, there are.
        changed = {key for g in graphs.values() for key in self.changed(g, None)}
        for g in graphs.values():
            self.fold(g, changed, True)
            propagate_constants(g)
            eliminate_dead_code(g)
        changed |= {key for g in graphs.values() for key in self.changed(g, AliasAnalysis(g))}
        for g in graphs.values():
            self.fold(g, changed, False)
            _simplify(g, self.numerics)
        return self.made(graphs)

    def flat(self, graph: Graph) -> Graph:
        """Everything inlined; what an interface stands for is known now."""
        while True:
            self.name_objects(graph)
            before = graph._next_unique
            inline(graph)
            if graph._next_unique == before:
                return graph

    def name_objects(self, graph: Graph) -> None:
        self.objects[graph.inputs[0]] = self.held, "self"
        for n in _nodes(graph.block):
            owner = self.objects.get(n.inputs[0]) if n.kind == "prim::GetAttr" else None
            if owner is None:
                continue
            value = owner[0].attributes.get(n["name"])
            if isinstance(value, ScriptObject) and value.type.is_module:
                self.objects[n.output] = value, f"{owner[1]}.{n['name']}"
                if isinstance(n.output.type, InterfaceType):
                    n.output.type = value.type

    def changed(self, graph: Graph, aliases: AliasAnalysis | None) -> Iterator[_Key]:
        """The attributes that a graph sets, or (with ``aliases``) writes to in place."""
        for n in _nodes(graph.block):
            owner = self.objects.get(n.inputs[0]) if n.kind in ("prim::GetAttr", "prim::SetAttr") else None
            if owner is not None and (
                n.kind == "prim::SetAttr" or (aliases is not None and aliases.has_writers(n.output))
            ):
                yield id(owner[0]), n["name"]

    def fold(self, graph: Graph, changed: set[_Key], simple: bool) -> None:
        with graph.inserting(next(iter(graph.block.nodes), graph.return_node)):
            for n in list(_nodes(graph.block)):
                if n.kind in ("prim::GetAttr", "prim::SetAttr") and n.inputs[0] in self.objects:
                    self.attribute(graph, n, changed, simple)

    def attribute(self, graph: Graph, n: Node, changed: set[_Key], simple: bool) -> None:
        owner, path = self.objects[n.inputs[0]]
        name = n["name"]
        if n.kind == "prim::GetAttr" and n.output in self.objects:
            return  # kept only if something inside is
        root = f"{path}.{name}".split(".")[1]
        value = owner.attributes.get(name)
        if simple and not (value is None or isinstance(value, bool | int | float | complex | str)):
            return
        constant = None
        if (id(owner), name) not in changed and root not in self.preserved:
            constant = _constant(graph, value, owner.type.attributes[name].type)
        if constant is None:
            if not simple:
                self.kept.add(root)
            return
        constant.set_debug_name(f"{path}.{name}")
        n.output.replace_all_uses_with(constant)
        n.destroy()

    def made(self, graphs: dict[str, Graph]) -> ScriptObject:
        old = self.held.type
        t = ClassType(python_cu.unique_name(old.name), True)
        python_cu.add_type(t.name, t)
        values = {}
        for name, a in old.attributes.items():
            if name in self.kept or name == "training":
                t.add_attribute(name, a.type, a.is_parameter, a.is_buffer)
                values[name] = self.held.attributes[name]
        for name, g in graphs.items():
            schema = old.methods[name].schema
            g.inputs[0].type = t
            this = copy.copy(schema.arguments[0])
            this.type = t
            made = Schema(schema.name, schema.overload, [this, *schema.arguments[1:]], schema.returns)
            t.add_method(Function(f"{t.name}.{name}", g, made))
        return ScriptObject(t, values)


def _nodes(block: Block) -> Iterator[Node]:
    for n in block.nodes:
        yield n
        for b in n.blocks:
            yield from _nodes(b)


def _constant(graph: Graph, value: Any, declared: T.Type) -> Value | None:
    """The value at the insert point; None for what a graph cannot hold."""
    if isinstance(value, list) and value and all(hasattr(v, "__array__") for v in value):
        items = [_constant(graph, v, T.TENSOR) for v in value]
        return graph.add("prim::ListConstruct", *(i for i in items if i is not None), type=T.ListType(T.TENSOR))
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        value = np.array(value.detach()._array if hasattr(value, "detach") else value)
    return insert_constant(graph, value, None if value is None else declared)


def _simplify(graph: Graph, numerics: bool) -> None:
    propagate_constants(graph)
    if numerics:
        _drop_dropout(graph)
    lower_simple_tuples(graph)
    simplify(graph)
    propagate_constants(graph)
    eliminate_common_subexpressions(graph)
    eliminate_dead_code(graph)
    pool_constants(graph)


def _drop_dropout(graph: Graph) -> None:
    for n in list(_nodes(graph.block)):
        if n.kind.rpartition("::")[2] in ("dropout", "feature_dropout", "alpha_dropout") and len(n.inputs) == 3:
            train = n.inputs[2].node
            if train.kind == "prim::Constant" and not train["value"]:
                n.output.replace_all_uses_with(n.inputs[0])
