"""A model with model-local functions and no metadata as modules: a function is a method, its call sites say of what.

A function whose formal inputs are named as the initializers that reach them (``weight`` for ``encoder.linear.weight``) is a method
of the module at the rest of that name (``encoder.linear``); other functions of classes are found by the name of the calling
node, and what remains is a free function.
"""

from __future__ import annotations

import re
from typing import Any

from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto

from bridge.importers.onnx.raise_claims import DOUBTS, ClaimedGraph, Disbelief, FrameClaim, StatementClaim, walk
from bridge.importers.onnx.raise_program import Candidate, Claims, GraphKey, build_candidate
from bridge.importers.onnx.raise_raw import Names, RawStatements, opsets_of
from bridge.importers.onnx.source import Source
from bridge.importers.onnx.values import type_of
from bridge.ir.printer import type_text
from bridge.ir.types import TENSOR, Type

__all__ = ["raise_functions"]

_PATH = re.compile(r"[A-Za-z_]\w*(\.\w+)*")


def raise_functions(model: ModelProto, source: Source) -> Candidate | None:
    """The modules of a model with functions of ours; None for other models, or when the functions do not fit together."""
    if not any(f.domain.startswith("__torch__") for f in model.functions):
        return None
    try:
        return build_candidate(model, _Raiser(model).claims(), source)
    except DOUBTS:
        return None


class _Raiser:
    """Finds out what each function is a method of, then writes every graph as statements."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.functions: dict[GraphKey, FunctionProto] = {(f.domain, f.name, f.overload): f for f in model.functions}
        self.initializers = {t.name for t in model.graph.initializer}
        self.inputs = {i.name for i in model.graph.input}
        self.root = f"__torch__.{_identifier(model.graph.name)}"
        self.objects: dict[str, str] = {"": self.root}
        self.parameters: dict[GraphKey, list[str]] = {}
        self.methods: dict[GraphKey, bool] = {}
        self._find_parameters()
        self._find_objects("", model.graph.node, 0)

    # -- what is what ----------------------------------------------------------------------------------------------------

    def _find_parameters(self) -> None:
        """Which formal inputs always carry a tensor of the module that the function belongs to."""
        sites = list(_calls(self.model.graph.node, None, self.functions))
        for key, f in self.functions.items():
            sites += _calls(f.node, key, self.functions)
        found = {key: list(f.input) for key, f in self.functions.items()}
        changed = True
        while changed:
            changed = False
            for caller, node in sites:
                key = node.domain, node.op_type, node.overload
                f = self.functions[key]
                outer = set(self.initializers if caller is None else found[caller])
                prefix = self._prefix(node, f, outer, found[key])
                keep = [] if prefix is None else [
                    p for p in found[key] if dict(zip(f.input, node.input, strict=False)).get(p) == f"{prefix}{p}" and f"{prefix}{p}" in outer
                ]  # fmt: skip
                if keep != found[key]:
                    found[key], changed = keep, True
        self.parameters = found
        for caller, node in sites:
            del caller
            key = node.domain, node.op_type, node.overload
            free = not found[key] and (
                node.name.partition("#")[0] == node.op_type or not _PATH.fullmatch(node.name.partition("#")[0])
            )
            self.methods[key] = self.methods.get(key, True) and not free and node.domain.startswith("__torch__")

    def _prefix(self, node: NodeProto, f: FunctionProto, outer: set[str], formal: list[str]) -> str | None:
        """What comes before the formals' names in the names of the tensors passed (``linear.`` for ``linear.weight``)."""
        for p, actual in zip(f.input, node.input, strict=False):
            if p in formal and actual in outer and (actual == p or actual.endswith("." + p)):
                return str(actual[: len(actual) - len(p)])
        return None

    def _path(self, node: NodeProto) -> str:
        """The module path, from the caller's module, whose method a node calls."""
        key = node.domain, node.op_type, node.overload
        f = self.functions[key]
        prefix = self._prefix(node, f, set(node.input), self.parameters[key])
        return prefix.rstrip(".") if prefix is not None else node.name.partition("#")[0]

    def _find_objects(self, path: str, nodes: Any, depth: int) -> None:
        if depth > 200:
            raise Disbelief("functions call each other too deeply")
        for _, node in _calls(nodes, None, self.functions):
            key = node.domain, node.op_type, node.overload
            if not self.methods[key]:
                continue
            child = ".".join(p for p in (path, self._path(node)) if p)
            name = self._class_name(key)
            if self.objects.setdefault(child, name) != name:
                raise Disbelief(f"two classes at '{child}'")
            self._find_objects(child, self.functions[key].node, depth + 1)

    def _class_name(self, key: GraphKey) -> str:
        assert key is not None
        return f"{key[0]}.{key[1].partition('.')[0]}"

    # -- the claims that say so --------------------------------------------------------------------------------------------

    def claims(self) -> Claims:
        for name in self.initializers:
            parent = name.rpartition(".")[0]
            while parent and parent not in self.objects:
                self.objects[parent] = f"__torch__.{_identifier(parent.replace('.', '_'))}"
                parent = parent.rpartition(".")[0]
        for path in list(self.objects):
            parent = path.rpartition(".")[0]
            while parent and parent not in self.objects:
                self.objects[parent] = f"__torch__.{_identifier(parent.replace('.', '_'))}"
                parent = parent.rpartition(".")[0]
        classes: dict[str, Any] = {}
        for path, name in self.objects.items():
            c = classes.setdefault(name, {"attributes": {"training": ["bool", ""]}})
            prefix = f"{path}." if path else ""
            for other, inner in self.objects.items():
                if other.startswith(prefix) and other != path and "." not in other[len(prefix) :]:
                    c["attributes"].setdefault(other[len(prefix) :], [inner, ""])
            for tensor in self.initializers:
                if tensor.startswith(prefix) and "." not in tensor[len(prefix) :]:
                    c["attributes"].setdefault(tensor[len(prefix) :], ["Tensor", "parameter"])
        table = {
            "modules": "functions", "classes": classes,
            "objects": {path: [name, {"training": False}] for path, name in self.objects.items()},
            "arguments": [["in", i.name] for i in self.model.graph.input],
        }  # fmt: skip
        graphs: dict[GraphKey, ClaimedGraph] = {None: _graph_of(self._main())}
        for key, f in self.functions.items():
            graphs[key] = _graph_of(self._function(key, f))
        return Claims(table, graphs, {})

    def _main(self) -> FrameClaim:
        graph = self.model.graph
        frame = FrameClaim(0, None, "", "forward", [f"%self : {self.root}"], {})
        body = _Body(self, self.root, opsets_of(self.model))
        for i in graph.input:
            t = type_of(i.type)
            frame.inputs.append(f"%{body.names.define(i.name, t)} : {type_text(t)}")
        for t in graph.initializer:
            body.attribute(t.name, t.name)
        return body.finish(frame, graph.node, [o.name for o in graph.output])

    def _function(self, key: GraphKey, f: FunctionProto) -> FrameClaim:
        assert key is not None
        method = self.methods.get(key, False)
        own = self._class_name(key) if method else ""
        name = _method(key[1]) if method else f"{_domain(key[0])}.{key[1]}"
        frame = FrameClaim(0, None, "", name, [f"%self : {own}"] if method else [], {})
        body = _Body(self, own, opsets_of(f))
        parameters = self.parameters[key] if method else []
        for i in f.input:
            if i not in parameters:
                frame.inputs.append(f"%{body.names.define(i)} : Tensor")
        for p in parameters:
            body.attribute(p, p)
        return body.finish(frame, f.node, list(f.output))


def _method(name: str) -> str:
    """The method that a function ``Class.method.number`` is; the number, and ``forward``, may be left out."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "forward"


class _Body:
    """The statements of one graph, with attributes and submodules read as they are needed."""

    def __init__(self, raiser: _Raiser, owner: str, opsets: dict[str, int]) -> None:
        self.raiser, self.owner = raiser, owner
        self.names = Names(["self"])
        self.statements = RawStatements(self.names, opsets, self._call)
        self.start: list[StatementClaim] = []
        self.modules: dict[str, str] = {"": "self"}

    def attribute(self, path: str, onnx_name: str) -> None:
        """Read a tensor of the module."""
        parent, _, name = path.rpartition(".")
        value = self.names.define(onnx_name)
        self.start.append(
            StatementClaim(-1, [(value, "Tensor")], f'prim::GetAttr[name="{name}"]', [self.module(parent)])
        )

    def module(self, path: str) -> str:
        """The name of the value that is a submodule."""
        if path not in self.modules:
            parent, _, name = path.rpartition(".")
            base = self.module(parent)
            value = self.names.fresh(name)
            self.modules[path] = value
            self.start.append(StatementClaim(-1, [(value, "Tensor")], f'prim::GetAttr[name="{name}"]', [base]))
        return self.modules[path]

    def _call(self, raw: RawStatements, n: NodeProto) -> list[StatementClaim] | None:
        key = n.domain, n.op_type, n.overload
        f = self.raiser.functions.get(key)
        if f is None:
            return None
        method = self.raiser.methods[key]
        parameters = self.raiser.parameters[key] if method else []
        made: list[StatementClaim] = []
        actual = [a for p, a in zip(f.input, n.input, strict=False) if p not in parameters]
        operands = raw.operands(actual, made)
        if method:
            owner = self.module(self.raiser._path(n))
            head = f'prim::CallMethod[name="{_method(key[1])}"]'
        else:
            owner = self.names.fresh()
            made.append(
                StatementClaim(-1, [(owner, "Function")], f'prim::Constant[name="{_domain(key[0])}.{key[1]}"]', [])
            )
            head = "prim::CallFunction"
        types: list[Type] = [TENSOR] * len(n.output)
        if len(n.output) == 1:
            outputs = [(self.names.define(n.output[0]), "Tensor")]
            made.append(StatementClaim(-1, outputs, head, [owner, *operands]))
            return made
        packed = self.names.fresh()
        kinds = ", ".join(type_text(t) for t in types)
        made.append(StatementClaim(-1, [(packed, f"({kinds})")], head, [owner, *operands]))
        outputs = [(self.names.define(o), "Tensor") for o in n.output]
        made.append(StatementClaim(-1, outputs, "prim::TupleUnpack", [packed]))
        return made

    def finish(self, frame: FrameClaim, nodes: Any, results: list[str]) -> FrameClaim:
        """All statements, and what is returned."""
        made = self.statements.nodes(nodes)
        values = [self.names.use(r) for r in results]
        if len(values) != 1:
            packed = self.names.fresh()
            kinds = ", ".join(type_text(self.names.types.get(v, TENSOR)) for v in values)
            made.append(StatementClaim(-1, [(packed, f"({kinds})")], "prim::TupleConstruct", values))
            values = [packed]
        frame.statements = [*_needed(self.start, made), *made]
        frame.results = values
        return frame


def _needed(start: list[StatementClaim], rest: list[StatementClaim]) -> list[StatementClaim]:
    """The reads of attributes whose values are used."""
    used = {o for s in walk(rest) for o in s.operands} | {r for s in walk(rest) for b in s.blocks for r in b.results}
    kept: list[StatementClaim] = []
    for s in reversed(start):
        if s.outputs[0][0] in used:
            used.update(s.operands)
            kept.append(s)
    return kept[::-1]


def _calls(nodes: Any, caller: GraphKey, functions: dict[GraphKey, FunctionProto]) -> list[tuple[GraphKey, NodeProto]]:
    found = []
    for n in nodes:
        if (n.domain, n.op_type, n.overload) in functions:
            found.append((caller, n))
        for a in n.attribute:
            if a.type == AttributeProto.GRAPH:
                found += _calls(a.g.node, caller, functions)
    return found


def _graph_of(frame: FrameClaim) -> ClaimedGraph:
    graph = ClaimedGraph((), ())
    graph.frames[0] = frame
    return graph


def _domain(text: str) -> str:
    """The domain of a free function as the module of its qualified name."""
    return text if text.startswith("__torch__") else f"__torch__.{_identifier(text)}" if text else "__torch__"


def _identifier(text: str) -> str:
    made = re.sub(r"\W", "_", text) or "Model"
    return f"_{made}" if made[0].isdigit() else made
