"""A flat graph that is to be read, divided into modules after the names of its nodes: ``/encoder/layers.0/attn/MatMul``.

Nodes of one scope that stand together become the ``forward`` of a module, which is called where they stood: their order is
the same when the calls are written out again. Scopes of a few nodes, and parts of scopes whose nodes are scattered, stay
where they are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bridge.importers.onnx.alike import attribute_path, run_key
from bridge.importers.onnx.build import ModuleBuilder, forward_function
from bridge.importers.onnx.names import argument_name, attribute_name, short_name
from bridge.importers.onnx.structure import call
from bridge.ir.classes import ClassType, Function, FunctionType, ScriptObject
from bridge.ir.graph import Graph, Node, Use, Value
from bridge.ir.types import NONE, TupleType, Type

__all__ = ["Divider"]

#: Scopes of fewer nodes are not worth a class of their own.
_LEAST = 3
#: Nor are those that many values come out of.
_MOST_RESULTS = 4
#: What is written inside the expression that uses it: it belongs where its user is.
_BESIDE = frozenset({"prim::GetAttr", "prim::Constant", "prim::ListConstruct", "aten::tensor"})
_SCOPES = "pkg.torch.onnx.name_scopes"
#: Names that a tool made up.
_MADE_UP = re.compile(r"::|^_?v?_?\d+$|^(val|const|Constant)_|_\d+$|^\d+$")

#: One step into the hierarchy: the names of modules, of which only the last is called.
Step = tuple[str, ...]
Path = tuple[Step, ...]


class Divider:
    """Divides the graph of the root's ``forward``; ``functions`` are the methods that were made."""

    def __init__(self, builder: ModuleBuilder) -> None:
        self.builder = builder
        self.functions: list[Function] = []
        self.paths: dict[str, Path] = {}
        #: Methods that are not divided further, by what their nodes are.
        self.alike: dict[Hashable, Function] = {}

    def divide(self, graph: Graph) -> None:
        """Make methods of what stands together; attributes must be read right before their users."""
        if not any(self._path(n) for n in graph.block.nodes if n.kind not in _BESIDE):
            return
        _constants_at_use(graph)
        nodes = list(graph.block.nodes)
        scopes = self._scopes(nodes)
        if self._gather_weights(graph, dict(zip(nodes, scopes, strict=True))):
            nodes = list(graph.block.nodes)
            scopes = self._scopes(nodes)
        self._level(graph, self.builder.root, (), nodes, scopes, 0)

    # -- where nodes belong --------------------------------------------------------------------------------------------

    def _scopes(self, nodes: Sequence[Node]) -> list[Path]:
        """The scope of each node; what has no name belongs to what stands around it."""
        beside = [n.kind in _BESIDE for n in nodes]
        found = [None if b else self._path(n) for n, b in zip(nodes, beside, strict=True)]
        before: list[Path | None] = []
        last: Path | None = None
        for path in found:
            before.append(last)
            if path is not None:
                last = path
        following: Path | None = None
        result: list[Path] = []
        for path, b, previous in zip(reversed(found), reversed(beside), reversed(before), strict=True):
            if b:
                path = following
            elif path is None:
                path = _common(previous, following)
            result.append(path or ())
            following = path
        return result[::-1]

    def _path(self, node: Node) -> Path | None:
        if node.kind == "prim::TupleConstruct":
            return ()  # the results of the whole, whose names stand there
        told = node.foreign.metadata.get(_SCOPES) if node.foreign is not None else None
        name = told or node.export_name
        if not name:
            return None
        if name not in self.paths:
            # A name of several, joined by ";", is that of fused nodes: they count as the first.
            self.paths[name] = _dotted(told) if told else _slashed(name.partition(";")[0].rpartition("/")[0])
        return self.paths[name]

    # -- dividing ------------------------------------------------------------------------------------------------------

    def _level(
        self,
        graph: Graph,
        owner: ScriptObject,
        base: Step,
        nodes: Sequence[Node],
        scopes: Sequence[Path],
        depth: int,
    ) -> bool:
        """Divide the nodes of a method; ``base`` leads from its object to where the scope's modules are.

        Whether there were scopes to divide them by.
        """
        runs = list(_runs(scopes, depth))
        sizes = [sum(n.kind not in _BESIDE for n in nodes[a:b]) for _, a, b in runs]
        whole = max(sizes, default=0) >= sum(sizes) - 1
        made: set[Step] = set()
        divided = False
        for (step, a, b), size in zip(runs, sizes, strict=True):
            if step is None or size < _LEAST:
                continue
            divided = True
            if whole and size == max(sizes):
                self._level(graph, owner, (*base, *step), nodes[a:b], scopes[a:b], depth + 1)
                continue
            if step in made:
                continue
            path = (*base, *step)
            child = self._object(owner, path)
            if child is None or "forward" in child.type.methods:
                continue
            run = _Run.of(graph, path, nodes[a:b], size)
            if run is not None:
                made.add(step)
                self._method(run, child, tuple([s[depth + 1 :] for s in scopes[a:b]]), depth + 1)
        return divided

    def _method(self, run: _Run, child: ScriptObject, scopes: Sequence[Path], depth: int) -> None:
        """Make the nodes of a run the method ``forward`` of a module, and divide it."""
        key = run_key(run.inside, run.given, run.results, run.path, scopes)
        found = self.alike.get(key)
        if found is not None:
            child.type.add_method(found)
            run.replace()
            return
        function = run.extract(child)
        self.functions.append(function)
        nodes = list(function.graph.block.nodes)
        if not self._level(function.graph, child, (), nodes, self._scopes(nodes), depth) and key is not None:
            self.alike[key] = function

    def _object(self, owner: ScriptObject, path: Step) -> ScriptObject | None:
        """The module at a path, made if need be; None where something else is there."""
        for part in path:
            child = owner.attributes.get(part)
            if child is None and part not in owner.type.attributes and part not in owner.type.methods:
                child = self.builder.child(owner, part)
            if not isinstance(child, ScriptObject):
                return None
            owner = child
        return owner

    # -- weights -------------------------------------------------------------------------------------------------------

    def _gather_weights(self, graph: Graph, scopes: dict[Node, Path]) -> bool:
        """Put weights whose names were made up to the module of the node that uses them; whether there are any."""
        root = self.builder.root
        reads: dict[str, list[Node]] = {}
        gathered = False
        for n in graph.all_nodes():
            if n.kind == "prim::GetAttr" and n.inputs[0] is graph.inputs[0]:
                reads.setdefault(n["name"], []).append(n)
        for name, found in reads.items():
            value = root.attributes[name]
            made_up = _MADE_UP.search(found[0].output.export_name or self.builder.names.get(name, name))
            if isinstance(value, ScriptObject) or len(found) != 1 or not made_up or found[0].output.use_count != 1:
                continue
            (use,) = found[0].output.uses
            path = tuple(part for step in scopes.get(use.user, ()) for part in step)
            target = self._object(root, path) if path else None
            if target is None:
                continue
            leaf = _role(use.user, use.offset) or name
            if leaf in target.type.attributes or leaf in target.type.methods:
                continue
            a = root.type.attributes.pop(name)
            del root.attributes[name]
            target.type.add_attribute(leaf, a.type, a.is_parameter, a.is_buffer)
            target.attributes[leaf] = value
            self._read(found[0], graph, path, leaf)
            gathered = True
        return gathered

    @staticmethod
    def _read(old: Node, graph: Graph, path: Step, leaf: str) -> None:
        v = _chain(graph, graph.inputs[0], path, old)
        new = graph.create("prim::GetAttr", [v], name=leaf)
        new.insert_before(old)
        new.output.type = old.output.type
        old.output.replace_all_uses_with(new.output)
        old.destroy()


def _constants_at_use(graph: Graph) -> None:
    """Each use of a constant has its own, right before it: none is handed from module to module."""
    nodes = list(graph.all_nodes())
    for node in nodes:
        _own_constants(graph, node)
        for b in node.blocks:
            _own_constants(graph, b.return_node)
    _own_constants(graph, graph.return_node)
    for node in reversed(nodes):
        if node.kind == "prim::Constant" and not node.output.use_count:
            node.destroy()


def _own_constants(graph: Graph, user: Node) -> None:
    """Have the constants that a node uses, or copies of them where others use them too, right before it."""
    for i, v in enumerate(user.inputs):
        if v.node.kind != "prim::Constant":
            continue
        if v.use_count == 1:
            v.node.move_before(user)
        else:
            user.replace_input(i, graph.clone_node(v.node, lambda v: v).insert_before(user).output)


def _role(user: Node, offset: int) -> str:
    """What a weight is to the node that uses it."""
    name = user.kind.partition("::")[2]
    if name in ("matmul", "MatMul", "Gather", "embedding") or (name == "addmm" and offset == 2):
        return "weight"
    if name in ("Conv", "ConvTranspose", "Gemm", "LayerNormalization", "layer_norm") and offset in (1, 2):
        return "weight" if offset == 1 or name == "layer_norm" else "bias"
    return "bias" if name in ("add", "Add", "addmm") else ""


def _slashed(name: str) -> Path:
    """``/layer1/layer1.0/conv1`` → layer1, 0, conv1: a part may repeat the one before."""
    steps: list[Step] = []
    outer = ""
    for part in name.split("/"):
        if part:
            own = part[len(outer) + 1 :] if outer and part.startswith(f"{outer}.") else part
            steps.append(tuple(attribute_name(p) for p in own.split(".") if p))
            outer = part
    return tuple(s for s in steps if s)


def _dotted(text: str) -> Path:
    """``['', 'layer1', 'layer1.0', 'conv2d']`` as torch's exporter writes it; the last is the operator's own name."""
    try:
        listed = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    if not isinstance(listed, list) or not all(isinstance(s, str) for s in listed):
        return ()
    return _slashed("/".join(listed[:-1]))


def _common(a: Path | None, b: Path | None) -> Path | None:
    if a is None or b is None:
        return a or b
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return a[:n]


def _runs(scopes: Sequence[Path], depth: int) -> Iterator[tuple[Step | None, int, int]]:
    """Neighbours with the same step at that depth: (step, from, to)."""
    start = 0
    steps = [s[depth] if len(s) > depth else None for s in scopes]
    for i in range(1, len(steps) + 1):
        if i == len(steps) or steps[i] != steps[start]:
            yield steps[start], start, i
            start = i


def _all(nodes: Iterable[Node]) -> list[Node]:
    """Nodes and what is in their blocks, what ends each block included."""
    found: list[Node] = []
    for n in nodes:
        found.append(n)
        for b in n.blocks:
            found += _all(b.nodes)
            found.append(b.return_node)
    return found


class _Run:
    """Nodes that stand together and become a method, which is called in their place.

    ``inside`` are they and what is in their blocks, ``given`` the values that they use of others, ``results`` those that others use of
    them; ``path`` leads to the module.
    """

    def __init__(self, graph: Graph, path: Step, nodes: Sequence[Node]) -> None:
        self.graph, self.path, self.nodes = graph, path, nodes
        self.inside = _all(nodes)
        members = set(self.inside)
        self.given = _given(self.inside, members, path)
        used = {v: [u for u in v.uses if u.user not in members] for n in nodes for v in n.outputs}
        self.results = [v for v, uses in used.items() if uses]
        self.users = [used[v] for v in self.results]

    @classmethod
    def of(cls, graph: Graph, path: Step, nodes: Sequence[Node], size: int) -> _Run | None:
        """The run; None where the nodes are no part by themselves."""
        run = cls(graph, path, nodes)
        if (
            graph.inputs[0] in run.given
        ):  # a function of the model is a method of the whole, which its parts do not have
            return None
        count = len(run.results)
        if not count or count > _MOST_RESULTS or len(run.given) + count > max(8, size // 2):
            return None
        return None if any(v.type is NONE or isinstance(v.type, FunctionType) for v in run.results) else run

    def extract(self, child: ScriptObject) -> Function:
        """Make the nodes the method ``forward`` of ``child``."""
        new = Graph()
        new.opsets = dict(self.graph.opsets)
        here = new.add_input("self", child.type)
        values = _arguments(self.graph, new, self.given, here)
        weights = {
            attribute_path(v.node): p
            for v, p in zip(self.given, new.inputs[1:], strict=True)
            if v.node.kind == "prim::GetAttr"
        }
        told = self._told()
        before = self.nodes[0].prev
        assert before is not None
        for n in self.nodes:
            new.block.append(new.take(n))
        assert before.next is not None
        _call(self.graph, self.path, before.next, self.nodes, self.given, told)
        _use_arguments(new, self.inside, values)
        _reroot(new, here, self.path, weights)
        inner = self.results
        if len(inner) > 1:
            pack = new.block.append(new.create("prim::TupleConstruct", inner))
            pack.output.type = TupleType(*[v.type for v in inner])
            inner = [pack.output]
        new.add_output(inner[0])
        function = forward_function(child.type.name, new)
        child.type.add_method(function)
        return function

    def replace(self) -> None:
        """Call the method, which there is, in place of the nodes."""
        told = self._told()
        for v in self.results:
            v.set_debug_name("")
        at = self.nodes[-1].next
        assert at is not None
        _call(self.graph, self.path, at, self.nodes, self.given, told)
        for n in reversed(self.nodes):
            n.destroy()

    def _told(self) -> list[tuple[str, Type, str | None, list[Use]]]:
        """The names and types of the results, and who uses them."""
        return [
            (v.debug_name if v.has_debug_name else "", v.type, v.export_name, uses)
            for v, uses in zip(self.results, self.users, strict=True)
        ]


def _use_arguments(graph: Graph, nodes: Sequence[Node], values: Callable[[Value], Value | None]) -> None:
    """Have what the nodes use of another graph come from arguments of theirs; constants that stand elsewhere are copied."""
    copied: dict[Value, Value] = {}
    for n in nodes:
        for i, v in enumerate(n.inputs):
            if v.node.graph is not graph:
                new = copied.get(v) or values(v)
                if new is None:
                    new = copied[v] = graph.block.prepend(graph.clone_node(v.node, lambda v: v)).output
                n.replace_input(i, new)


def _given(nodes: Sequence[Node], members: set[Node], path: Step) -> list[Value]:
    """The values from outside that the nodes use, in the order of use, then weights of other modules."""
    inside: set[Value] = set()
    found: dict[Value, None] = {}
    weights: set[Step] = set()
    for n in nodes:
        for b in n.blocks:
            inside.update(b.inputs)
        if n.kind == "prim::GetAttr":
            leaf = not isinstance(n.output.type, ClassType)
            names = attribute_path(n)
            if leaf and names[: len(path)] != path and names not in weights:
                weights.add(names)
                found[n.output] = None
            inside.add(n.output)
            continue
        for v in n.inputs:
            if v.node not in members and v not in inside and v.node.kind != "prim::Constant":
                found[v] = None
    return sorted(found, key=lambda v: v.node.kind == "prim::GetAttr")


def _arguments(graph: Graph, new: Graph, given: Sequence[Value], here: Value) -> Callable[[Value], Value | None]:
    made: dict[Value, Value] = {graph.inputs[0]: here}
    first = next((v for v in given if v.node.kind != "prim::GetAttr"), None)
    for v in given:
        p = new.add_input(type=v.type)
        weight = v.node.kind == "prim::GetAttr"
        name = "x" if v is first else v.node["name"] if weight else short_name(v, numbered=False)
        call(p, argument_name(name))
        made[v] = p
    return made.get


def _reroot(graph: Graph, here: Value, path: Step, weights: Mapping[Step, Value]) -> None:
    """Have attributes that were read through the parent read from the module itself, or from the argument that they are."""
    for n in list(graph.all_nodes()):
        if n.kind == "prim::GetAttr" and not isinstance(n.output.type, ClassType):
            names = attribute_path(n)
            first = _alone(n, len(names) - len(path) - 1)
            if names in weights:
                n.output.replace_all_uses_with(weights[names])
            elif first is not None:
                first.replace_input(0, here)
            else:
                v = _chain(graph, here, names[len(path) :], n)
                n.output.replace_all_uses_with(v)
                v.type = n.output.type
    for n in reversed(list(graph.all_nodes())):
        if n.kind == "prim::GetAttr" and not n.output.use_count:
            n.destroy()


def _alone(node: Node, steps: int) -> Node | None:
    """What an attribute is read from, so many steps before it; None where others read on the way, too."""
    for _ in range(steps):
        node = node.inputs[0].node
        if node.output.use_count != 1:
            return None
    return node


def _chain(graph: Graph, v: Value, names: Sequence[str], before: Node) -> Value:
    """``v.a.b.c``, read before a node."""
    for name in names:
        n = graph.create("prim::GetAttr", [v], name=name).insert_before(before)
        a: Any = getattr(v.type, "attributes", {}).get(name)
        if a is not None:
            n.output.type = a.type
        v = n.output
    return v


def _call(
    graph: Graph,
    path: Step,
    at: Node,
    nodes: Sequence[Node],
    given: Sequence[Value],
    results: Sequence[tuple[str, Type, str | None, list[Use]]],
) -> None:
    """Put the call before ``at``; ``results`` are the names and types that its results have, with who uses them."""
    owner = _chain(graph, graph.inputs[0], path, at)
    arguments = []
    for v in given:
        if v.node.kind == "prim::GetAttr":
            new = _chain(graph, graph.inputs[0], attribute_path(v.node), at)
            new.type = v.type
            arguments.append(new)
        else:
            arguments.append(v)
    n = graph.create("prim::CallMethod", [owner, *arguments], name="forward").insert_before(at)
    n.range, n.export_name = nodes[-1].range, next((m.export_name for m in nodes if m.export_name), None)
    n.foreign = next((m.foreign for m in nodes if m.export_name), None)
    outputs = [n.output]
    if len(results) > 1:
        n.output.type = TupleType(*[t for _, t, _, _ in results])
        unpack = graph.create("prim::TupleUnpack", [n.output], len(results)).insert_before(at)
        outputs = list(unpack.outputs)
    for (name, t, export_name, users), v in zip(results, outputs, strict=True):
        v.type, v.export_name = t, export_name
        for use in users:
            use.user.replace_input(use.offset, v)
        if name:
            v.set_debug_name(name)
