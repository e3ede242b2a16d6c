"""Reading graph texts: ``parse_graph(print_graph(g))`` prints the same text again.

What a text does not hold cannot come back: elements of large tensors (:class:`~bridge.ir.tensor_text.OpaqueTensor`),
digits of floats in tensors, source texts, classes. Classes, NamedTuples, enums and functions are taken from ``names``
where they are given, and are placeholders otherwise, which learn their attributes from the ``prim::GetAttr`` nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, FunctionType, InterfaceType
from bridge.ir.dtypes import DTYPES, DType
from bridge.ir.errors import ParseError
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.inspection import kind_of
from bridge.ir.source import Source, SourceRange
from bridge.ir.tensor_text import OpaqueTensor, read_tensor

__all__ = ["Names", "parse_graph", "parse_type"]

#: Named things that a text refers to: types by qualified name, functions by short or qualified name.
Names = Mapping[str, "T.Type | Function"]

_SIMPLE: dict[str, T.Type] = {
    "int": T.INT, "float": T.FLOAT, "bool": T.BOOL, "complex": T.COMPLEX, "str": T.STR, "NoneType": T.NONE,
    "Device": T.DEVICE, "Generator": T.GENERATOR, "Scalar": T.NUMBER, "number": T.NUMBER, "Any": T.ANY,
    "Tensor": T.TENSOR,
    "list": T.VarType("AnyList"),
    "tuple": T.VarType("AnyTuple"),
}  # fmt: skip
_LABELS: dict[str, DType] = {d.label: d for d in DTYPES}
_WORD = re.compile(r"[A-Za-z_][\w.$]*")
_NAME = re.compile(r"%([^\s(),:]+)")
_NUMBER = re.compile(r"-?\d+\.(?:\d+(?:e[+-]?\d+)?)?|-?\d+(?:e[+-]?\d+)?|-?inf\b|-?nan\b")
_IMAGINARY = re.compile(r"[+-](?:\d+\.(?:\d+(?:e[+-]?\d+)?)?|\d+e[+-]?\d+|inf|nan)j")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\([0-7]{3}|[)*+,./0-]{3}|.)", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_BLANK = re.compile(r"(?:\s+|#[^\n]*)*")
_BLOCK = re.compile(r"block\d+\(")
_ARROW = re.compile(r"->\s*\(")
_KIND = re.compile(r"(\^?[\w:.]+)")
_TAIL = re.compile(r"(?:, scope: (?P<scope>.*?))?(?: # (?P<file>.+?):(?P<line>\d+):(?P<column>\d+))?[ \t]*(?:#.*)?$")
_INTERFACE_TYPE = re.compile(r"InterfaceType<([^>]+)>")
_ENUM_TYPE = re.compile(r"Enum<([^>]+)>")


class _Cursor:
    """A place in the text, with the small readers that everything is made of."""

    def __init__(self, text: str, names: Names) -> None:
        self.text, self.names, self.at = text, names, 0
        self.types: dict[str, T.Type] = {}
        self.functions: dict[str, Function] = {}

    def fail(self, why: str) -> ParseError:
        line = self.text.count("\n", 0, self.at) + 1
        start = self.text.rfind("\n", 0, self.at) + 1
        shown = self.text[start:].split("\n", 1)[0]
        return ParseError(f"graph text, line {line}, column {self.at - start + 1}: {why}\n{shown}")

    def ahead(self, token: str) -> bool:
        return self.text.startswith(token, self.at)

    def accept(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise self.fail(f"expected {token!r}")

    def match(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        m = pattern.match(self.text, self.at)
        if m is None:
            raise self.fail(f"expected {what}")
        self.at = m.end()
        return m

    # -- types -------------------------------------------------------------------------------------------------

    def type(self) -> T.Type:
        t = self.base_type()
        while True:
            if self.accept("[]"):
                t = T.ListType(t)
            elif self.accept("?"):
                t = T.OptionalType(t)
            else:
                return t

    def base_type(self) -> T.Type:
        if self.accept("("):
            return T.TupleType(*self.types_until(")"))
        if self.ahead("Enum<"):
            return self.named(self.match(_ENUM_TYPE, "an enum type").group(1), T.EnumType)
        if self.ahead("InterfaceType<"):
            return self.interface(self.match(_INTERFACE_TYPE, "an interface type").group(1))
        word = self.match(_WORD, "a type").group()
        if word == "NamedTuple" and self.accept("("):
            return self.named_tuple()
        if word == "Dict" and self.accept("("):
            key, value = self.types_until(")")
            return T.DictType(key, value)
        if word == "Union" and self.accept("("):
            return T.UnionType(*self.types_until(")"))
        if word == "Future":
            closing = ")" if self.accept("(") else "]"
            if closing == "]":
                self.expect("[")
            return T.FutureType(*self.types_until(closing))
        if word == "Await" and self.accept("("):
            return T.AwaitType(*self.types_until(")"))
        if word == "Tensor" or word in _LABELS or (word.endswith("Tensor") and word[:-6] in _LABELS):
            return self.tensor_type(word)
        found = _SIMPLE.get(word)
        if found is not None:
            return found
        if word == "Function":
            return FunctionType(Function(""))
        return self.named(word, ClassType)

    def types_until(self, closing: str) -> list[T.Type]:
        inside: list[T.Type] = []
        while not self.accept(closing):
            if inside:
                self.expect(", ")
            inside.append(self.type())
        return inside

    def named(self, name: str, default: Any) -> T.Type:
        found = self.names.get(name) or self.types.get(name)
        if isinstance(found, T.Type):
            return found
        t: T.Type = T.EnumType(name, T.ANY, ()) if default is T.EnumType else ClassType(name, is_module=True)
        self.types[name] = t
        return t

    def interface(self, name: str) -> T.Type:
        """An interface, whose name comes without its module."""
        for full, t in self.names.items():
            if isinstance(t, InterfaceType) and full.rpartition(".")[2] == name:
                return t
        return self.types.setdefault(f"InterfaceType<{name}>", InterfaceType(name, is_module=True))

    def named_tuple(self) -> T.Type:
        fields: list[str] = []
        elements: list[T.Type] = []
        defaults: list[Any] = []
        while not self.accept(")"):
            if fields:
                self.expect(", ")
            fields.append(self.match(_WORD, "a field name").group())
            self.expect(" : ")
            elements.append(self.type())
            if self.accept(" = "):
                defaults.append(self.value(elements[-1]))
        t = T.TupleType(*elements, fields=fields, defaults=defaults)
        for named in self.names.values():  # the text has no name: take the only one of this shape
            if isinstance(named, T.TupleType) and named.fields == t.fields and named.elements == t.elements:
                return named
        return t

    def tensor_type(self, word: str) -> T.Type:
        dtype = _LABELS.get(word.removesuffix("Tensor"))
        ranked = word in _LABELS or word == "Tensor"
        if not self.ahead("("):
            return T.TENSOR if dtype is None else T.TensorType(dtype)
        self.expect("(")
        dims: list[T.Dim] = []
        options: dict[str, Any] = {}
        first = True
        while not self.accept(")"):
            if not first:
                self.expect(", ")
            first = False
            if self.accept("*"):
                dims.append(None)
            elif self.accept("strides=["):
                options["strides"] = [int(n) for n in self.until("]").split(", ")]
            elif self.accept("requires_grad="):
                options["requires_grad"] = self.match(_NUMBER, "0 or 1").group() == "1"
            elif self.accept("device="):
                options["device"] = self.match(re.compile(r"[\w:]+"), "a device").group()
            else:
                size = self.match(re.compile(r"-?\d+|\w+(?:\([^()]*\))?"), "a dimension").group()
                dims.append(int(size) if size.lstrip("-").isdigit() else size)
        unranked = not ranked or (dtype is None and not dims and bool(options))
        return T.TensorType(dtype, None if unranked else dims, **options)

    def until(self, closing: str) -> str:
        end = self.text.find(closing, self.at)
        if end < 0:
            raise self.fail(f"expected {closing!r}")
        found, self.at = self.text[self.at : end], end + len(closing)
        return found

    # -- attribute values --------------------------------------------------------------------------------------

    def value(self, declared: T.Type | None = None) -> Any:
        """A literal; ``declared`` is the type of the constant that it is the value of."""
        if isinstance(declared, T.OptionalType):
            declared = declared.element
        if self.ahead('"'):
            return self.string()
        if self.accept("True"):
            return True
        if self.accept("False"):
            return False
        if self.accept("None"):
            return None
        if self.accept("annotate("):
            t = self.annotation()
            self.expect(",")
            self.accept(" ")
            found = self.value(t)
            self.expect(")")
            return found
        if self.accept("torch.device("):
            found = self.string()
            self.expect(")")
            return found
        if self.accept("object("):
            return OpaqueTensor(f"object({self.until(')')})")
        if isinstance(declared, T.TensorType) or self.ahead("{"):
            found = self.tensor()
            if found is not None:
                return _as_declared(found, declared)
        return self.container_or_number(declared)

    def container_or_number(self, declared: T.Type | None) -> Any:
        if self.accept("["):
            return list(self.items("]", declared.element if isinstance(declared, T.ListType) else None))
        if self.accept("("):
            elements = declared.elements if isinstance(declared, T.TupleType) else ()
            return tuple(self.items(")", *elements))
        if self.accept("{"):
            types = (declared.key, declared.value) if isinstance(declared, T.DictType) else (None, None)
            return dict(self.pairs(*types))
        m = _NUMBER.match(self.text, self.at)
        if m is not None:
            self.at = m.end()
            imaginary = _IMAGINARY.match(self.text, self.at)
            if imaginary is not None:
                self.at = imaginary.end()
                return complex(float(m.group()), float(imaginary.group()[:-1]))
            text = m.group()
            return int(text) if text.lstrip("-").isdigit() else float(text)
        word = self.match(_WORD, "a value").group()
        owner, dot, member = word.rpartition(".")
        if dot and isinstance(declared, T.EnumType):
            return T.EnumValue(declared, member)
        if dot:
            t = self.named(owner, T.EnumType)
            if isinstance(t, T.EnumType):
                return T.EnumValue(t, member)
        raise self.fail(f"'{word}' is not a value")

    def items(self, closing: str, *types: T.Type | None) -> Iterable[Any]:
        count = 0
        while not self.accept(closing):
            if count:
                self.expect(",")
                self.accept(" ")
                if self.accept(closing):
                    return
            yield self.value(types[min(count, len(types) - 1)] if types else None)
            count += 1

    def pairs(self, key: T.Type | None, value: T.Type | None) -> Iterable[tuple[Any, Any]]:
        first = True
        while not self.accept("}"):
            if not first:
                self.expect(", ")
            first = False
            k = self.value(key)
            self.expect(": ")
            yield k, self.value(value)

    def string(self) -> str:
        body = self.match(_STRING, "a string").group(1)
        if "\\" not in body:
            return body
        # Escapes of three characters are bytes of UTF-8.
        raw = _ESCAPE.sub(lambda m: _unescape(m.group(1)), body)
        return raw.encode("latin-1", "xmlcharrefreplace").decode("utf-8", "surrogateescape")

    def tensor(self) -> Any:
        """A tensor's text, or None when something else stands here (then nothing is consumed)."""
        if self.accept("<Tensor>"):
            return OpaqueTensor()
        if self.accept("[<Tensors>]"):
            return OpaqueTensor("[<Tensors>]")
        if self.ahead("{"):
            m = re.compile(r"\{(-?[\w.+-]+|\([^()]*\))\}").match(self.text, self.at)
            if m is None:
                return None
            self.at = m.end()
            return _item(m.group(1))
        m = re.compile(r"[^\"\n]*?\[ CPU\w+Type\{[\d,]*\} \]").match(self.text, self.at)
        if m is None:
            return None
        self.at = m.end()
        return read_tensor(m.group())

    def annotation(self) -> T.Type:
        """A type in its Python spelling."""
        word = self.match(_WORD, "a type").group()
        if self.accept("["):
            if self.accept("()]"):
                return T.TupleType()
            inside: list[T.Type] = []
            while not self.accept("]"):
                if inside:
                    self.expect(", ")
                inside.append(self.annotation())
            makers: dict[str, Any] = {
                "List": T.ListType, "Optional": T.OptionalType, "Dict": T.DictType, "Tuple": T.TupleType,
                "Union": T.UnionType, "Future": T.FutureType, "Await": T.AwaitType,
            }  # fmt: skip
            if word not in makers:
                raise self.fail(f"'{word}' takes no type arguments")
            return makers[word](*inside)  # type: ignore[no-any-return]
        found = _SIMPLE.get(word)
        return found if found is not None else self.named(word, ClassType)


def _unescape(code: str) -> str:
    if len(code) == 3:
        high, middle, low = (ord(c) - 48 for c in code)
        return chr((high * 64 + middle * 8 + low) % 256)
    return _ESCAPES.get(code, code)


def _item(text: str) -> Any:
    """A tensor of one element (its shape is not in the text)."""
    if text.startswith("("):
        real, imaginary = text[1:-1].split(",")
        return np.array(complex(float(real), float(imaginary)), np.complex64)
    if re.fullmatch(r"-?\d+", text):
        # Whole floats are written without a point too; the value is the same.
        return np.array(int(text), np.int64)
    return np.array(float(text), np.float64)


def _as_declared(found: Any, declared: T.Type | None) -> Any:
    """The tensor of one element in the dtype and shape that its constant was declared with."""
    if isinstance(found, np.ndarray) and found.ndim == 0 and isinstance(declared, T.TensorType):
        if declared.dtype is not None:
            found = found.astype(declared.dtype.numpy)
        if declared.dims and all(d == 1 for d in declared.dims):
            found = found.reshape((1,) * len(declared.dims))
    return found


class _GraphReader(_Cursor):
    values: dict[str, Value]
    subgraphs: dict[str, Node]

    def __init__(self, text: str, names: Names) -> None:
        super().__init__(text, names)
        self.sources: dict[tuple[str, int, int], SourceRange] = {}
        self.values, self.subgraphs = {}, {}
        self.labels = set(re.findall(r"^with (\S+) = graph\(", text, re.MULTILINE))

    def graph(self) -> Graph:
        g = Graph()
        outer = self.values, self.subgraphs
        self.values, self.subgraphs = {}, {}
        self.skip()
        self.expect("graph(")
        self.declarations(g.block.param_node, "):")
        self.nodes(g.block)
        self.expect("return (")
        self.uses(g.return_node)
        self.expect(")")
        self.skip()
        self.number(g)
        subgraphs = self.subgraphs
        for label, node in subgraphs.items():
            self.expect(f"with {label} = ")
            node["Subgraph"] = self.graph()
        self.values, self.subgraphs = outer
        return g

    def number(self, g: Graph) -> None:
        """Unnamed values have the numbers of the text; named ones get numbers that are free."""
        taken = {int(name) for name in self.values if name.isdigit()}
        free = 0
        for name, v in self.values.items():
            if name.isdigit():
                v.unique = int(name)
                continue
            while free in taken:
                free += 1
            v.unique = free
            free += 1
        g._next_unique = max(max(taken, default=-1) + 1, free)

    def declarations(self, node: Node, closing: str) -> None:
        self.skip()
        first = True
        while not self.accept(closing):
            if not first:
                self.expect(",")
                self.skip()
            first = False
            name = self.match(_NAME, "a value").group(1)
            if name in self.values:
                raise self.fail(f"%{name} is defined twice")
            v = self.values[name] = node.add_output()
            self.skip()
            if self.accept(":"):
                self.skip()
                v.type = self.type()
                self.skip()
            if not name.isdigit():
                v.set_debug_name(name)

    def uses(self, node: Node) -> None:
        first = True
        while not self.ahead(")"):
            if not first:
                self.expect(",")
                self.skip()
            first = False
            name = self.match(_NAME, "a value").group(1)
            v = self.values.get(name)
            if v is None:
                raise self.fail(f"%{name} is not defined here")
            node.add_input(v)

    def nodes(self, block: Block) -> None:
        self.skip()
        while not self.text.startswith(("return (", "->"), self.at):
            self.node(block)
            self.skip()

    def node(self, block: Block) -> None:
        n = block.graph.create("", outputs=0)
        if self.ahead("%"):
            self.declarations(n, "=")
            self.skip()
        elif self.accept("="):
            self.skip()
        kind = self.match(_KIND, "an operator").group(1)
        n.kind = kind_of(kind)
        if kind.startswith("^"):
            n["name"], n.kind = kind[1:], kind_of("prim::PythonOp")
            if self.accept("["):
                self.attributes(n)
            self.expect("(")
            n["scalar_args"] = self.until(")")
        elif self.accept("["):
            self.attributes(n)
        self.expect("(")
        self.uses(n)
        self.expect(")")
        self.tail(n)
        block.append(n)
        base, _, index = n.kind.rpartition("_")
        if index.isdigit() and n.kind in self.labels:
            self.subgraphs[n.kind] = n
            n.kind = kind_of(base)
        self.learn(n)
        self.skip()
        while self.text.startswith("block", self.at):
            self.block(n)
            self.skip()

    def block(self, node: Node) -> None:
        self.match(_BLOCK, "a block")
        b = node.add_block()
        self.declarations(b.param_node, "):")
        self.nodes(b)
        self.match(_ARROW, "the results of a block")
        self.uses(b.return_node)
        self.expect(")")

    def skip(self) -> None:
        """Go past white space and comments."""
        m = _BLANK.match(self.text, self.at)
        if m is not None:
            self.at = m.end()

    def attributes(self, n: Node) -> None:
        first = True
        while not self.accept("]"):
            if not first:
                self.expect(", ")
            first = False
            name = self.match(re.compile(r"\w+"), "an attribute").group()
            self.expect("=")
            n[name] = self.attribute(n, name)

    def attribute(self, n: Node, name: str) -> Any:
        if n.kind == "prim::Constant" and name == "value":
            t = n.output.type
            found = self.value(t)
            return bool(found) if t is T.BOOL else found
        if self.accept("[<Graphs>]"):
            return []
        if self.accept("<Graph>"):
            return Graph()
        if n.kind == "prim::isinstance" and name == "types":
            self.expect("[")
            return self.types_until("]")
        tensor = self.tensor() if self.ahead("{") or self.ahead(" ") or self.ahead("<") else None
        return tensor if tensor is not None else self.value()

    def tail(self, n: Node) -> None:
        end = self.text.find("\n", self.at)
        m = _TAIL.match(self.text, self.at, end if end >= 0 else len(self.text))
        if m is None:
            raise self.fail("expected the end of the line")
        self.at = m.end()
        n.scope = m["scope"] or ""
        if m["file"] is not None:
            key = m["file"], int(m["line"]), int(m["column"])
            if key not in self.sources:
                # The text of the source is not known: an empty one that starts at the place.
                self.sources[key] = SourceRange(Source("", key[0], key[1], key[2]), 0, 0)
            n.range = self.sources[key]

    def learn(self, n: Node) -> None:
        """Give placeholders what a node tells about them."""
        if n.kind == "prim::Constant" and isinstance(n.output.type, FunctionType):
            name = n.attributes.get("name", "")
            found = self.names.get(name)
            if not isinstance(found, Function):
                found = self.functions.setdefault(name, Function(name))
            n.output.type = FunctionType(found)
        elif n.kind in ("prim::GetAttr", "prim::SetAttr") and n.inputs:
            owner = n.inputs[0].type
            if isinstance(owner, ClassType) and self.types.get(owner.name) is owner:
                value = n.output if n.kind == "prim::GetAttr" else n.inputs[1]
                if n["name"] not in owner.attributes:
                    owner.add_attribute(n["name"], value.type)


def parse_graph(text: str, names: Names | None = None) -> Graph:
    """Read a graph text. ``names`` gives classes, NamedTuples, enums, interfaces and functions that it mentions.

    Raises ParseError with the line and column.
    """
    reader = _GraphReader(text if text.endswith("\n") else text + "\n", names or {})
    g = reader.graph()
    if reader.text[reader.at :].strip():
        raise reader.fail("unexpected text after the graph")
    return g


def parse_type(text: str, names: Names | None = None) -> T.Type:
    """Read a type in the spelling of graph texts. Raises ParseError."""
    c = _Cursor(text, names or {})
    t = c.type()
    if c.at != len(text):
        raise c.fail("unexpected text after the type")
    return t
