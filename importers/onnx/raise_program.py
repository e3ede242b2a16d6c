"""The program that claims describe: classes, objects and graphs. Still only described; ``raise_check`` decides."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper

from bridge.importers.onnx.raise_claims import ClaimedGraph, Disbelief, FrameClaim, StatementClaim, metadata_of
from bridge.importers.onnx.raise_raw import opsets_of
from bridge.importers.onnx.source import Source, is_external
from bridge.importers.onnx.values import attribute_value, tensor_value
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, FunctionType, ScriptObject, mangle
from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.foreign import Interface
from bridge.ir.graph import Graph, Node
from bridge.ir.literals import WRAPPED
from bridge.ir.parser import parse_graph, parse_type
from bridge.ir.schema import REQUIRED, Argument, Schema

__all__ = ["CLASSES", "Candidate", "Claims", "build_candidate", "read_claims"]

CLASSES = "bridge.classes"

#: (domain, name, overload) of a model-local function; None is the main graph.
GraphKey = tuple[str, str, str] | None


@dataclass(slots=True)
class Claims:
    """Everything that a model claims. ``silent`` are methods that became no node, by class and method."""

    table: dict[str, Any]
    graphs: dict[GraphKey, ClaimedGraph]
    silent: dict[tuple[str, str], FrameClaim]


@dataclass(slots=True)
class Candidate:
    """A program to check: the entry, and which node of which graph a statement became (by frame)."""

    owner: ScriptObject | None
    function: Function
    table: dict[str, Any]
    statements: dict[tuple[GraphKey, int], list[StatementClaim]]


def read_claims(model: ModelProto) -> Claims | None:
    """The claims of a model; None when it makes none. Raises Disbelief when they are contradictory."""
    table = next((e.value for e in model.metadata_props if e.key == CLASSES), None)
    if table is None or not metadata_of(model.graph):
        return None
    try:
        found = json.loads(table)
        described = found["classes"], found["objects"], found["arguments"], found["modules"]
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise Disbelief("the class table cannot be read") from e
    if not isinstance(described[0], dict) or not isinstance(described[1], dict):
        raise Disbelief("the class table cannot be read")
    graphs: dict[GraphKey, ClaimedGraph] = {None: ClaimedGraph(model.graph.node, metadata_of(model.graph))}
    for f in model.functions:
        graphs[f.domain, f.name, f.overload] = ClaimedGraph(f.node, metadata_of(f))
    silent: dict[tuple[str, str], FrameClaim] = {}
    methods = {(name, m): lines for name, c in found["classes"].items() for m, lines in c.get("methods", {}).items()}
    for key, lines in [*methods.items(), *((("", name), lines) for name, lines in found.get("functions", {}).items())]:
        frames = ClaimedGraph((), lines).frames
        silent[key] = frames[0]
        silent.update(
            (("", f.name), f) for f in frames.values() if f is not frames[0] and "." in f.name
        )  # what it calls
    return Claims(found, graphs, silent)


def build_candidate(model: ModelProto, claims: Claims, source: Source) -> Candidate:
    """Classes, objects and graphs as claimed. Raises Disbelief when the parts do not fit together."""
    try:
        return _Builder(model, claims, source).build()
    except Disbelief:
        raise
    except (BridgeError, KeyError, ValueError, TypeError, IndexError, AttributeError) as e:
        raise Disbelief(f"the claims do not make a program: {e}") from e


class _Builder:
    """Builds bottom-up: objects of one claimed class whose methods or submodules turn out different get classes of their own."""

    def __init__(self, model: ModelProto, claims: Claims, source: Source) -> None:
        self.model, self.claims, self.table, self.source = model, claims, claims.table, source
        self.tensors = {t.name: t for t in model.graph.initializer}
        self.by_class: dict[tuple[str, str], FrameClaim] = {k: f for k, f in claims.silent.items() if k[0]}
        self.by_path: dict[tuple[str, str], FrameClaim] = {}
        self.free: dict[str, FrameClaim] = {k[1]: f for k, f in claims.silent.items() if not k[0]}
        self.functions: dict[str, Function] = {}
        self.classes: dict[Any, ClassType] = {}
        self.scripted: dict[str, ClassType] = {}
        self.names: dict[str, Any] = {}
        self.taken: set[str] = set()
        self.statements: dict[tuple[GraphKey, int], list[StatementClaim]] = {}

    def build(self) -> Candidate:
        self._name_enums()
        self._name_tuples()
        for key, graph in self.claims.graphs.items():
            for frame in graph.frames.values():
                self.statements[key, frame.number] = list(frame.walk())
                self._register(key, frame)
        main = self.claims.graphs[None].frames.get(0)
        if main is None:
            raise Disbelief("the main graph claims to be no function")
        self._name_script_classes()
        for name in self.free:
            owner_name, _, last = name.rpartition(".")
            self.functions[name] = f = Function(name)
            if owner_name in self.scripted:
                self.scripted[owner_name].add_method(f)
                continue
            self.names[name] = f
            self.names.setdefault(last, f)
        held = {
            k: self.scripted[k[0]].add_method(Function(f"{k[0]}.{k[1]}"))
            for k in self.by_class
            if k[0] in self.scripted
        }
        owner = self.object("") if self.table["objects"] else None
        for owner_and_name, f in held.items():  # of objects that are no modules, held by one
            self._define(f, self.by_class[owner_and_name], None)
        for name, frame in self.free.items():
            self._define(self.functions[name], frame, None)
        if owner is None:
            function = Function(main.name)
            self._define(function, main, None)
        else:
            method = owner.type.find_method(main.name)
            if method is None:
                raise Disbelief(f"the entry '{main.name}' is no method of the module")
            function = method
        function.interface = self._interface()
        return Candidate(owner, function, self.table, self.statements)

    def _interface(self) -> Interface:
        options = {name: v for name, v in self.table.items() if name not in ("classes", "objects", "functions")}
        return Interface.of_graph(self.model.graph, opsets_of(self.model).get("", 0), options)

    def _name_enums(self) -> None:
        """The enums that the program mentions, with their members."""
        for name, (text, members) in self.table.get("enums", {}).items():
            if not all(isinstance(m, str) and m.isidentifier() and type(v) in (int, float, str) for m, v in members):
                raise Disbelief(f"the enum '{name}' has members that are none")
            self.names[name] = T.EnumType(name, parse_type(text, self.names), [(m, v) for m, v in members])

    def _name_tuples(self) -> None:
        """The NamedTuples that the program mentions; those in others have shorter texts."""
        for name, text in sorted(self.table.get("tuples", {}).items(), key=lambda item: len(item[1])):
            t = parse_type(text, self.names)
            if isinstance(t, T.TupleType) and t.fields:
                self.names[name] = T.TupleType(*t.elements, name=name, fields=t.fields, defaults=t.defaults)

    def _name_script_classes(self) -> None:
        """The classes of objects that are no modules; their attributes may be objects of one another."""
        described = {name: c for name, c in self.table["classes"].items() if c.get("script")}
        for name in described:
            self.names[name] = self.scripted[name] = ClassType(name)
        for name, c in described.items():
            for attribute, (text, _) in c["attributes"].items():
                self.scripted[name].add_attribute(attribute, parse_type(text, self.names))

    def _register(self, key: GraphKey, frame: FrameClaim) -> None:
        """Note whose method a frame is."""
        owner = frame.owner()
        if owner in self.table["classes"] and "." not in frame.name:  # a function may be given a module, too
            inline = frame.caller is not None or key is None
            where: dict[tuple[str, str], FrameClaim] = self.by_path if inline else self.by_class
            name = (frame.path if inline else owner, frame.name)
            known = where.get(name)
            if known is not None and known.text() != frame.text():
                raise Disbelief(f"'{frame.name}' of {name[0]} is claimed to be two things")
            where.setdefault(name, frame)
            self.by_class.setdefault((owner, frame.name), frame)
        elif key is not None or frame.caller is not None:
            known = self.free.setdefault(frame.name, frame)
            if known.text() != frame.text():
                raise Disbelief(f"function '{frame.name}' is claimed to be two things")

    # -- objects and classes ---------------------------------------------------------------------------------------------

    def object(self, path: str) -> ScriptObject:
        name, values = self.table["objects"][path]
        claimed = self.table["classes"][name]
        made = ScriptObject(ClassType(name, is_module=True))
        prefix = f"{path}." if path else ""
        for attribute, (type_text, flag) in claimed["attributes"].items():
            full = prefix + attribute
            if full in self.table["objects"]:
                made.attributes[attribute] = self.object(full)
            elif full in self.tensors:
                held = self._tensor(self.tensors[full])
                flag_there = self.tensors.get(f"{full}_present") if type_text.endswith("?") else None
                if flag_there is not None and not self._tensor(flag_there).item():
                    made.attributes[attribute] = None
                    continue
                made.attributes[attribute] = held.item() if type_text.rstrip("?") in ("int", "float", "bool") else held
            elif attribute in values:
                made.attributes[attribute] = None  # below: it may have tensors of the object in it
            elif flag and type_text.endswith("Tensor"):
                raise Disbelief(f"the model has no tensor '{full}'")
            else:
                made.attributes[attribute] = None
        for attribute in values.keys() & claimed["attributes"].keys():
            if prefix + attribute not in self.tensors and prefix + attribute not in self.table["objects"]:
                text, full = claimed["attributes"][attribute][0], prefix + attribute
                made.attributes[attribute] = self._value(values[attribute], made.attributes, full, text)
        made.type = self._class(name, path, made)
        return made

    def _value(self, described: Any, own: Mapping[str, Any], path: str, declared: str | T.Type) -> Any:
        """What an attribute of a module, declared as that type, is described as: a plain value, a member of an enum, or an object
        that is no module."""
        if isinstance(described, list) and described and described[0] == "enum":
            t = parse_type(declared, self.names) if isinstance(declared, str) else declared
            if not isinstance(t, T.EnumType) or described[1] not in dict(t.members):
                raise Disbelief(f"'{described[1]}' is no member of an enum")
            return T.EnumValue(t, described[1])
        if not (isinstance(described, list) and described and described[0] == "object"):
            return _plain(described, own)
        _, name, values = described
        made = ScriptObject(self.scripted[name])
        for attribute in made.type.attributes:
            full = f"{path}.{attribute}"
            if full in self.tensors:
                made.attributes[attribute] = self._tensor(self.tensors[full])
            elif attribute in values:
                made.attributes[attribute] = self._value(
                    values[attribute], {}, full, made.type.attributes[attribute].type
                )
            else:
                raise Disbelief(f"the model has no '{full}'")
        return made

    def _tensor(self, proto: TensorProto) -> Any:
        if is_external(proto):
            found = tensor_value(proto, self.source).view(np.ndarray)  # mapped: not copied before somebody writes to it
        else:
            found = np.array(numpy_helper.to_array(proto))
        pairs = self.table.get("complex")
        if not isinstance(pairs, list) or proto.name not in pairs:
            return found
        if found.dtype.name not in ("float32", "float64") or found.shape[-1:] != (2,):
            raise Disbelief(f"'{proto.name}' is claimed to be complex numbers")
        return found.view(np.complex64 if found.dtype == np.float32 else np.complex128)[..., 0]

    def _class(self, name: str, path: str, held: ScriptObject) -> ClassType:
        frames = {}
        for (owner, method), frame in self.by_class.items():
            if owner == name:
                frames[method] = self.by_path.get((path, method), frame)
        inside = tuple((n, id(v.type)) for n, v in held.attributes.items() if isinstance(v, ScriptObject))
        key = name, tuple((n, f.text()) for n, f in frames.items()), inside
        found = self.classes.get(key)
        if found is None:
            found = self.classes[key] = self._new_class(name, held, frames)
        return found

    def _new_class(self, claimed: str, held: ScriptObject, frames: Mapping[str, FrameClaim]) -> ClassType:
        name, index = claimed, 0
        while name in self.taken:
            name, index = mangle(claimed, index), index + 1
        self.taken.add(name)
        made = self.names[claimed] = ClassType(name, is_module=True)
        for attribute, (text, flag) in self.table["classes"][claimed]["attributes"].items():
            value = held.attributes[attribute]
            t = value.type if isinstance(value, ScriptObject) else parse_type(text, self.names)
            made.add_attribute(attribute, t, flag == "parameter", flag == "buffer")
        for method, frame in frames.items():
            f = made.add_method(Function(f"{name}.{method}"))
            self._define(f, frame, made)
        return made

    # -- graphs ----------------------------------------------------------------------------------------------------------

    def _define(self, f: Function, frame: FrameClaim, owner: ClassType | None) -> None:
        graph = parse_graph(frame.text(), self.names)
        for node, claim in zip(graph.all_nodes(), frame.walk(), strict=True):
            _complete(node, claim)
        if owner is not None:
            _retype(graph, owner)
        kinds = {n.kind.partition("::")[0] for n in graph.all_nodes()} - {"aten", "prim"}
        domains = {"" if k == "onnx" else k for k in kinds}
        graph.opsets = {d: v for d, v in opsets_of(self.model).items() if d in domains}
        f.graph = graph
        f.schema = _schema(f, frame, graph, self.names)


def _plain(described: Any, own: Mapping[str, Any]) -> Any:
    """The value of a plain attribute as the class table describes it; ``own`` are the object's attributes."""
    if not isinstance(described, list):
        return described
    kind, *rest = described
    if kind == "float":
        return float(rest[0])
    if kind == "list":
        return [_plain(v, own) for v in rest[0]]
    if kind == "tuple":
        return tuple(_plain(v, own) for v in rest[0])
    if kind == "dict":
        return {_plain(k, own): _plain(v, own) for k, v in rest[0]}
    if kind == "own":
        if not isinstance(own.get(rest[0]), np.ndarray):
            raise Disbelief(f"there is no tensor '{rest[0]}'")
        return own[rest[0]]
    if kind == "tensor":
        data = base64.b64decode(rest[2], validate=True)
        return np.frombuffer(data, by_name(rest[0]).numpy).reshape(rest[1]).copy()
    raise Disbelief(f"an attribute is described as '{kind}'")


def _complete(node: Node, claim: StatementClaim) -> None:
    """Give a node what the text cannot hold."""
    if claim.exact is not None:
        node["value"] = claim.exact
        if claim.wrapped:
            node[WRAPPED] = True
    elif node.kind == "prim::Constant" and isinstance(node.output.type, FunctionType):
        node["name"] = node.output.type.function.name
    elif node.kind == "prim::Constant" and len(claim.nodes) == 1 and claim.nodes[0].op_type == "Constant":
        proto = next((a for a in claim.nodes[0].attribute if a.name == "value"), None)
        if proto is not None:
            node["value"] = np.array(numpy_helper.to_array(proto.t))
    if claim.raw is not None:
        for a in claim.raw.attribute:
            node[a.name] = attribute_value(a, claim.raw.name or claim.raw.op_type)


def _retype(graph: Graph, owner: ClassType) -> None:
    """Give ``self`` and the submodules read from it their classes."""
    graph.inputs[0].type = owner
    for n in graph.all_nodes():
        if n.kind == "prim::GetAttr" and isinstance(n.inputs[0].type, ClassType):
            a = n.inputs[0].type.attributes.get(n["name"])
            if a is not None and isinstance(a.type, ClassType):
                n.output.type = a.type


def _default(written: Any) -> Any:
    """A default value of an argument: a tensor is written as its element type, shape and items."""
    if not isinstance(written, dict) or list(written) != ["tensor"]:
        return written
    dtype, shape, items = written["tensor"]
    return np.asarray(items, by_name(dtype).numpy).reshape(shape)


def _schema(f: Function, frame: FrameClaim, graph: Graph, names: Mapping[str, Any]) -> Schema:
    names_of = frame.schema.get("names", [])
    defaults = {n: _default(v) for n, v in frame.schema.get("defaults", {}).items()}
    arguments = []
    for i, v in enumerate(graph.inputs):
        name = names_of[i] if len(names_of) == len(graph.inputs) else v.debug_name_base or v.debug_name
        arguments.append(Argument(name, T.unshaped(v.type), defaults.get(name, REQUIRED)))
    returns = [T.unshaped(v.type) for v in graph.outputs]
    if len(returns) == 1 and frame.returns:
        claimed = T.unshaped(parse_type(frame.returns, names))
        if returns[0].is_subtype_of(claimed):
            returns = [claimed]
    return Schema(f.name, "", arguments, [Argument("", t) for t in returns])
