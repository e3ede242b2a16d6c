"""Functions that torch compiled, as recorded by ``goldens/record_ir.py``: their graphs made again in our IR."""

import json
import lzma
import re
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.classes import Attribute, ClassType, Function, FunctionType, InterfaceType
from bridge.ir.dtypes import by_name
from bridge.ir.graph import Graph, Node
from bridge.ir.parser import parse_graph
from bridge.ir.schema import REQUIRED, Argument, Schema

RECORDED = Path(__file__).resolve().parent.parent / "goldens" / "torch" / "ir_functions.json.xz"


@cache
def recorded() -> list[dict[str, Any]]:
    """All records, in the order in which torch compiled them; after a function that calls others, it with these inlined."""
    with lzma.open(RECORDED, "rt", encoding="utf-8") as f:
        return json.load(f)  # type: ignore[no-any-return]


class Names(dict[str, Any]):
    """The named types of one record, made on demand."""

    def __init__(self, record: dict[str, Any], classes: dict[str, ClassType]) -> None:
        super().__init__()
        tuples = []
        for name, (kind, *rest) in record["names"].items():
            if kind == "interface":
                self[name] = InterfaceType(name)
            elif kind == "enum":
                self[name] = T.EnumType(name, T.ANY, ())
            elif kind == "class":
                self[name] = classes.get(name) or ClassType(name)
            else:
                tuples.append((name, rest[0]))
        fields_of: dict[ClassType, list[str]] = {}
        for name, (kind, *rest) in record["names"].items():
            if kind == "class":
                fields_of[self[name]] = rest[0]
        for _ in tuples:  # one may contain another, in any order
            for name, fields in tuples:
                try:
                    elements = [self.annotated(e) for _, e in fields]
                except KeyError:
                    continue
                self[name] = T.TupleType(*elements, name=name, fields=[f for f, _ in fields])

        for t, inside in fields_of.items():
            for i, annotation in enumerate(inside):  # their names are not recorded
                t.attributes.setdefault(f"attribute {i}", Attribute(f"attribute {i}", self.annotated(annotation)))

    def annotated(self, text: str) -> T.Type:
        """A type in Python's spelling. Raises KeyError for a name that is not known (yet)."""
        head, bracket, rest = text.partition("[")
        if not bracket:
            simple = {t.annotation(): t for t in (T.TENSOR, T.INT, T.FLOAT, T.BOOL, T.STR, T.NONE, T.COMPLEX, T.DEVICE,
                                                  T.NUMBER, T.ANY, T.GENERATOR)}  # fmt: skip
            return simple.get(text) or self[text]
        if rest == "()]":
            return T.TupleType()
        inside, depth, start = [], 0, 0
        for i, c in enumerate(rest):
            depth += (c == "[") - (c == "]")
            if (c == "," and depth == 0) or depth < 0:
                inside.append(self.annotated(rest[start:i].strip()))
                start = i + 1
        makers: dict[str, Any] = {
            "List": T.ListType, "Optional": T.OptionalType, "Dict": T.DictType, "Tuple": T.TupleType,
            "Union": T.UnionType, "Future": T.FutureType,
        }  # fmt: skip
        return makers[head](*inside)  # type: ignore[no-any-return]


def rebuild(record: dict[str, Any], classes: dict[str, ClassType] | None = None) -> tuple[Graph, Names]:
    """The graph of a record, with the named types and the exact tensors."""
    names = Names(record, classes or {})
    g = parse_graph(record["graph"], names)
    functions = {name: FunctionType(Function(name)) for name in record["functions"].values()}
    for n in _nodes_with_subgraphs(g):
        if n.kind == "prim::GetAttr" and isinstance(owner := n.inputs[0].type, ClassType):
            owner.attributes.setdefault(n["name"], Attribute(n["name"], n.output.type))
        if n.kind != "prim::Constant":
            continue
        name = n.output.debug_name
        if name in record["functions"] and str(n.output.type) == "Function":
            n.output.type = functions[record["functions"][name]]
        elif name in record["tensors"]:
            dtype, shape, values = record["tensors"][name]
            array = np.array(values, np.float64 if dtype.startswith("complex") else by_name(dtype).numpy)
            if dtype.startswith("complex"):
                array = (array[..., 0] + 1j * array[..., 1]).astype(by_name(dtype).numpy)
            n["value"] = array.reshape(shape)
    return g, names


def _nodes_with_subgraphs(g: Graph) -> Iterator[Node]:
    for n in g.all_nodes():
        yield n
        if "Subgraph" in n.attributes:
            yield from _nodes_with_subgraphs(n["Subgraph"])


def function(record: dict[str, Any]) -> Function:
    """The recorded function with its schema."""
    g, names = rebuild(record)
    arguments = []
    for name, annotation, size, *default in record["arguments"]:
        value = eval(default[0], {"inf": float("inf"), "nan": float("nan")}) if default else REQUIRED
        arguments.append(Argument(name, names.annotated(annotation), value, size=size))
    returns = [Argument("", names.annotated(record["returns"]))]
    short = record["qualified"].rpartition(".")[2]
    return Function(record["qualified"], g, Schema(short, "", arguments, returns))


class World:
    """All recorded functions, classes and methods, calling each other."""

    def __init__(self) -> None:
        self.classes: dict[str, ClassType] = {}
        self.functions: dict[str, Function] = {}
        for r in recorded():
            if r.get("inlined"):
                continue
            f = Function(r["qualified"], define=partial(self._define, r))
            if r["method"] or r["qualified"].rpartition(".")[0] in r["names"]:
                owner = r["qualified"].rpartition(".")[0]
                t = self.classes.setdefault(owner, ClassType(owner, is_module=r["method"]))
                t.methods[f.name] = f
            else:
                self.functions[r["qualified"]] = f

    def _define(self, record: dict[str, Any], f: Function) -> None:
        g, _ = rebuild(record, classes=self.classes)
        for n in _nodes_with_subgraphs(g):
            if n.kind == "prim::Constant" and isinstance(n.output.type, FunctionType):
                n.output.type = FunctionType(self.functions[n.output.type.function.qualified_name])
        f.graph = g

    def find(self, qualified: str) -> Function:
        if qualified in self.functions:
            return self.functions[qualified]
        owner, _, name = qualified.rpartition(".")
        return self.classes[owner].methods[name]


def renumbered(text: str) -> str:
    """A graph text with its unnamed values numbered in the order of the text, to compare what passes made."""
    numbers: dict[str, str] = {}
    return re.sub(r"%(\d+)\b(?!\.)", lambda m: "%" + numbers.setdefault(m[1], str(len(numbers))), text)


def decoded(value: Any) -> Any:
    """A recorded run-time value; tensors are arrays."""
    if not isinstance(value, dict):
        return value
    ((kind, inside),) = value.items()
    if kind == "tensor":
        dtype, shape, values = inside
        return np.array(values, by_name(dtype).numpy).reshape(shape)
    if kind == "dict":
        return {decoded(k): decoded(v) for k, v in inside}
    return (tuple if kind == "tuple" else list)(map(decoded, inside))


def programs() -> list[str]:
    """The names of the recorded programs, in order."""
    return list(dict.fromkeys(r["program"] for r in recorded()))
