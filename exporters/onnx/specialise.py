"""The program that was really exported: a copy without the branches and loops that were decided when it was exported."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from bridge.exporters.onnx.records import Frame
from bridge.exporters.onnx.report import Report
from bridge.ir.classes import ClassType, Function, ScriptObject, mangle
from bridge.ir.graph import Graph, Node
from bridge.ir.passes.dead_code import eliminate_dead_code
from bridge.ir.schema import Argument, Schema
from bridge.ir.source import SourceRange

__all__ = ["specialised", "with_graph"]

_Choices = dict[Node, int]


def specialised(
    owner: ScriptObject | None, function: Function, frames: Iterable[Frame], report: Report
) -> tuple[ScriptObject | None, Function] | None:
    """Owner and entry of the specialised program; None when nothing was decided.

    A method that runs with different decisions in different places keeps the statements that were decided.
    """
    choices = _choices(frames)
    if not any(made for (of, f), made in choices.items() if _is_copied(of, f, owner, function)):
        return None
    for (_, f), made in choices.items():
        for node, taken in made.items():
            _note(report, f, node, taken)
    if owner is None:
        graph = _pruned(function.graph, choices.get((0, function), {}))
        return None, Function(function.qualified_name, graph, function.schema)
    copy = _Copier(choices).object(owner)
    method = copy.type.find_method(function.name)
    if method is None:  # the call of a module with hooks, which is no method of its class
        graph = _pruned(function.graph, choices.get((id(owner), function), {}))
        _retype(graph, copy.type)
        method = Function(f"{copy.type.name}.{function.name}", graph, _schema(function.schema, copy.type))
    return copy, method


def with_graph(owner: ScriptObject | None, function: Function, graph: Graph) -> tuple[ScriptObject | None, Function]:
    """A copy of owner and entry in which the entry has another graph; with the owner's own attributes."""
    if owner is None:
        return None, Function(function.qualified_name, graph, function.schema)
    copy = _Copier({}).object(owner)
    _retype(graph, copy.type)
    method = Function(f"{copy.type.name}.{function.name}", graph, _schema(function.schema, copy.type))
    if function.name in copy.type.methods:
        copy.type.methods[function.name] = method
    return copy, method


def _is_copied(of: int, f: Function, owner: ScriptObject | None, entry: Function) -> bool:
    """Whether statements of a function go: those of methods do, and of a free entry; functions that are called stay."""
    return of != 0 if owner is not None else f is entry


def _choices(frames: Iterable[Frame]) -> dict[tuple[int, Function], _Choices]:
    """What was decided the same way in every run of a method of one object."""
    found: dict[tuple[int, Function], _Choices] = {}
    for f in frames:
        key = (id(f.owner) if f.owner is not None else 0, f.function)
        if key not in found:
            found[key] = dict(f.decisions)
        else:
            found[key] = {n: c for n, c in found[key].items() if f.decisions.get(n) == c}
    return found


def _note(report: Report, f: Function, node: Node, taken: int) -> None:
    if node.kind == "prim::Loop":
        report.note("loop removed", "it never runs for these inputs", node.range)
    else:
        what = _source_text(node.inputs[0].node.range)
        report.note("branch removed", f"{what} is {str(taken == 0).lower()} for every input of these types", node.range)


def _source_text(place: SourceRange | None) -> str:
    """A condition as it is written in the program, where its place covers all of it."""
    text = place.text() if place is not None and place.source.caller is None else ""
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return "the condition"
    return f"'{text}'"


class _Copier:
    """Copies objects; objects of one class whose methods were decided alike share the copied class."""

    def __init__(self, choices: dict[tuple[int, Function], _Choices]) -> None:
        self.choices = choices
        self.objects: dict[int, ScriptObject] = {}
        self.classes: dict[Any, ClassType] = {}
        self.names: set[str] = set()

    def object(self, o: ScriptObject) -> ScriptObject:
        found = self.objects.get(id(o))
        if found is not None:
            return found
        made = self.objects[id(o)] = ScriptObject(o.type)
        for name, v in o.attributes.items():
            made.attributes[name] = self.object(v) if isinstance(v, ScriptObject) else v
        made.type = self._class(o, made)
        return made

    def _class(self, o: ScriptObject, copy: ScriptObject) -> ClassType:
        per_method = {n: self.choices.get((id(o), f), {}) for n, f in o.type.methods.items()}
        inside = tuple((n, id(v.type)) for n, v in copy.attributes.items() if isinstance(v, ScriptObject))
        decided = tuple((n, tuple(sorted((id(k), c) for k, c in d.items()))) for n, d in per_method.items())
        key = id(o.type), decided, inside
        found = self.classes.get(key)
        if found is None:
            found = self.classes[key] = self._copy_class(o.type, copy, per_method)
        return found

    def _copy_class(self, t: ClassType, copy: ScriptObject, choices: dict[str, _Choices]) -> ClassType:
        name, index = t.name, 0
        while name in self.names:
            name, index = mangle(t.name, index), index + 1
        self.names.add(name)
        made = ClassType(name, t.is_module, t.python_class)
        for n, a in t.attributes.items():
            v = copy.attributes.get(n)
            made.add_attribute(n, v.type if isinstance(v, ScriptObject) else a.type, a.is_parameter, a.is_buffer)
        made.constants = dict(t.constants)
        for n, f in t.methods.items():
            graph = _pruned(f.graph, choices[n])
            _retype(graph, made)
            made.add_method(Function(f"{name}.{n}", graph, _schema(f.schema, made)))
        return made


def _schema(s: Schema, owner: ClassType) -> Schema:
    """The schema with the copied class for ``self``."""
    first = s.arguments[0]
    own = Argument(first.name, owner, first.default, first.kwarg_only, first.size, first.alias, first.writes)
    return Schema(s.name, s.overload, (own, *s.arguments[1:]), s.returns, s.is_vararg, s.is_varret)


def _retype(graph: Graph, owner: ClassType) -> None:
    """Give ``self`` and the submodules read from it their copied classes."""
    if graph.inputs:
        graph.inputs[0].type = owner
    for n in graph.all_nodes():
        if n.kind == "prim::GetAttr" and isinstance(n.inputs[0].type, ClassType):
            a = n.inputs[0].type.attributes.get(n["name"])
            if a is not None and isinstance(a.type, ClassType):
                n.output.type = a.type


def _pruned(graph: Graph, choices: _Choices) -> Graph:
    """A copy with the decided statements replaced by what they do."""
    copy = graph.copy()
    if not choices:
        return copy
    for old, new in list(zip(graph.all_nodes(), copy.all_nodes(), strict=True)):
        taken = choices.get(old)
        if taken is None or new.block is None:
            continue
        if taken < 0:
            results = list(new.inputs[2:])
        else:
            block = new.blocks[taken]
            for n in block.nodes:
                n.move_before(new)
            results = list(block.outputs)
        for o, r in zip(new.outputs, results, strict=True):
            o.replace_all_uses_with(r)
        new.destroy()
    eliminate_dead_code(copy)
    return copy
