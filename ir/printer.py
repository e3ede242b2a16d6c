"""Graph texts, as torch prints them byte for byte (``str(graph)``). :mod:`bridge.ir.parser` reads them back."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.classes import InterfaceType, ScriptObject
from bridge.ir.foreign import RawAttribute, Subgraph
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.hints import hint_text
from bridge.ir.literals import WRAPPED, literal, quoted
from bridge.ir.tensor_text import OpaqueTensor, tensor_text

__all__ = ["hidden_places", "print_graph", "print_node", "statement_text", "type_text"]


def type_text(t: T.Type) -> str:
    """A type as graph texts spell it after a value (``NamedTuple(a : int)``, ``Float(2, strides=[1])[]``).

    Inside a Dict, Union and other rare types torch changes to the short spelling, which is ``str(type)``; so do we.
    """
    if isinstance(t, T.TensorType):
        return _tensor_type_text(t)
    if isinstance(t, T.ListType):
        return f"{type_text(t.element)}[]"
    if isinstance(t, T.OptionalType):
        return f"{type_text(t.element)}?"
    if isinstance(t, T.FutureType):
        return f"Future[{type_text(t.element)}]"
    if isinstance(t, T.TupleType):
        if t.fields:
            return f"NamedTuple({', '.join(_field_texts(t))})"
        return f"({', '.join(map(type_text, t.elements))})"
    return short_type_text(t)


def _field_texts(t: T.TupleType) -> list[str]:
    parts = [f"{name} : {type_text(e)}" for name, e in zip(t.fields, t.elements, strict=True)]
    first_default = len(parts) - len(t.defaults)
    for i, default in enumerate(t.defaults):
        parts[first_default + i] += f" = {_default_text(default, t.elements[first_default + i])}"
    return parts


def _default_text(value: Any, t: T.Type) -> str:
    """A default of a field, as torch shows values: strings without quotes, floats with a point."""
    if isinstance(value, str | bool):
        return str(value)
    if isinstance(value, float):
        text = _attribute_text(value, t)
        return text if not text.lstrip("-").isdigit() else f"{text}."
    if isinstance(value, list | tuple):
        inside = ", ".join(_default_text(v, t) for v in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if isinstance(value, dict):
        inside = ", ".join(f"{_default_text(k, t)}: {_default_text(v, t)}" for k, v in value.items())
        return f"{{{inside}}}"
    return _attribute_text(value, t)


def short_type_text(t: T.Type) -> str:
    """torch's ``Type::str``: no shapes, the names of NamedTuples."""
    if isinstance(t, T.TensorType):
        return "Tensor"
    if isinstance(t, T.ListType):
        return f"{short_type_text(t.element)}[]"
    if isinstance(t, T.OptionalType):
        return f"{short_type_text(t.element)}?"
    if isinstance(t, T.TupleType):
        return t.name or f"({', '.join(map(short_type_text, t.elements))})"
    if isinstance(t, T.DictType):
        return f"Dict({short_type_text(t.key)}, {short_type_text(t.value)})"
    if isinstance(t, T.FutureType):
        return f"Future({short_type_text(t.element)})"
    if isinstance(t, T.AwaitType):
        return f"Await({short_type_text(t.element)})"
    if isinstance(t, T.UnionType):
        return f"Union({', '.join(map(short_type_text, t.members))})"
    if isinstance(t, InterfaceType):
        return f"InterfaceType<{t.name.rpartition('.')[2]}>"
    return str(t)


def _tensor_type_text(t: T.TensorType) -> str:
    extra = []
    if t.requires_grad is not None:
        extra.append(f"requires_grad={int(t.requires_grad)}")
    if t.device is not None:
        extra.append(f"device={t.device}")
    label = t.dtype.label if t.dtype is not None else ""
    if t.dims is None:
        return f"{label}Tensor({', '.join(extra)})" if extra else f"{label}Tensor"
    parts = ["*" if d is None else str(d) for d in t.dims]
    if t.strides and len(t.strides) == len(t.dims):
        parts.append(f"strides=[{', '.join(map(str, t.strides))}]")
    return f"{label or 'Tensor'}({', '.join(parts + extra)})"


def _special(value: Any, type: T.Type | None) -> str | None:
    foreign = _foreign_text(value)
    if foreign is not None:
        return foreign
    if isinstance(value, np.ndarray | np.generic | OpaqueTensor):
        return tensor_text(value)
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray | OpaqueTensor):
        return "[<Tensors>]"
    if isinstance(value, ScriptObject):
        return f"object({id(value):#x})"
    if type is not None and isinstance(type, T.TensorType) and hasattr(value, "__array__"):
        return tensor_text(value)
    return None


def _attribute_text(value: Any, type: T.Type | None = None) -> str:
    if isinstance(value, bool):
        return str(int(value))  # torch keeps them as integers
    if isinstance(value, str):
        type = T.STR  # also devices
    elif isinstance(value, T.Type):
        return type_text(value)
    elif isinstance(value, Graph):
        return "<Graph>"
    elif isinstance(value, list | tuple) and value:
        if isinstance(value[0], T.Type):
            return f"[{', '.join(map(type_text, value))}]"
        if isinstance(value[0], Graph):
            return "[<Graphs>]"
    return literal(value, type, _special)


class _Printer:
    def __init__(self, places: bool = True) -> None:
        self.lines: list[str] = []
        self.groups: list[Node] = []
        self.places = places

    def graph(self, graph: Graph) -> None:
        inputs = ",\n      ".join(map(_declaration, graph.inputs))
        self.lines.append(f"graph({inputs}):")
        for n in graph.nodes:
            self.node(n, 1)
        self.lines.append(f"  return ({_names(graph.outputs)})")

    def node(self, n: Node, level: int) -> None:
        self.lines.append(
            "  " * level + self.head(n, self.places or level > 1)
        )  # (torch hides those of the top block only)
        for i, b in enumerate(n.blocks):
            self.block(b, i, level + 1)

    def block(self, b: Block, index: int, level: int) -> None:
        self.lines.append(f"{'  ' * level}block{index}({', '.join(map(_declaration, b.inputs))}):")
        for n in b.nodes:
            self.node(n, level + 1)
        self.lines.append(f"{'  ' * (level + 1)}-> ({_names(b.outputs)})")

    def head(self, n: Node, places: bool = True) -> str:
        """The line of a node, without its blocks."""
        kind = n.kind
        attributes = n.attributes
        if n.blocks:  # graphs among an ONNX operator's attributes are printed as its blocks
            attributes = {k: v for k, v in attributes.items() if not _is_graph(v)}
        if kind == "prim::Constant" and WRAPPED in attributes:
            attributes = {k: v for k, v in attributes.items() if k != WRAPPED}
        if kind == "prim::PythonOp":
            shown = {k: v for k, v in attributes.items() if k not in ("name", "scalar_args", "callable")}
            texts = ", ".join(self.attribute(n, k, v) for k, v in shown.items())
            kind = f"^{attributes.get('name', '')}[{texts}]({attributes.get('scalar_args', '')})"
            attributes = {}
        elif "Subgraph" in attributes:
            self.groups.append(n)
            kind = f"{kind}_{len(self.groups) - 1}"
            attributes = {k: v for k, v in attributes.items() if k != "Subgraph"}
        text = f"{', '.join(map(_declaration, n.outputs))} = {kind}"
        if attributes:
            text += f"[{', '.join(self.attribute(n, k, v) for k, v in attributes.items())}]"
        text += f"({_names(n.inputs)})"
        if n.scope:
            text += f", scope: {n.scope}"
        place = n.range.file_line_col() if n.range is not None and places else None
        return text if place is None else f"{text} # {place[0]}:{place[1]}:{place[2]}"

    def attribute(self, n: Node, name: str, value: Any) -> str:
        constant = n.kind == "prim::Constant" and name == "value"
        return f"{name}={_attribute_text(value, n.output.type if constant else None)}"

    def text(self, graph: Graph) -> str:
        self.graph(graph)
        for i, n in enumerate(self.groups):
            self.lines.append(f"with {n.kind}_{i} = {_Printer(self.places).text(n['Subgraph'])[:-1]}")
        self.lines.append("")
        return "\n".join(self.lines)


def _is_graph(value: Any) -> bool:
    return isinstance(value, Subgraph) or (isinstance(value, list) and bool(value) and isinstance(value[0], Subgraph))


def _foreign_text(value: Any) -> str | None:
    """The text of what only attributes of ONNX operators hold: types, texts in tensors, bytes."""
    if isinstance(value, RawAttribute):
        return f"<{(hint_text(value.type) if value.type is not None else None) or 'attribute'}>"
    if isinstance(value, bytes):
        return repr(value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        texts = [quoted(t) if isinstance(t, str) else repr(t) for t in value.reshape(-1).tolist()]
        return f"{{{', '.join(texts)}}}"
    return None


def _declaration(v: Value) -> str:
    return f"%{v.debug_name} : {type_text(v.type)}"


_debug_name = operator.attrgetter("debug_name")


def _names(values: Any) -> str:
    return ", ".join([f"%{name}" for name in map(_debug_name, values)])


#: Whether texts say where in the source nodes come from, where nothing else is asked for.
_places = True


def print_graph(graph: Graph, places: bool | None = None) -> str:
    """The text of a graph: inputs, nodes with attributes, scopes and source places, blocks, results, subgraphs."""
    return _Printer(_places if places is None else places).text(graph)


@contextmanager
def hidden_places() -> Iterator[None]:
    """For a ``with`` block, texts of graphs do not say where in the source nodes come from."""
    global _places
    before, _places = _places, False
    try:
        yield
    finally:
        _places = before


def print_node(node: Node) -> str:
    """The text of one node and its blocks, for messages."""
    p = _Printer()
    p.node(node, 0)
    return "\n".join(p.lines)


def statement_text(node: Node) -> str:
    """The line of one node, without its blocks."""
    return _Printer().head(node)
