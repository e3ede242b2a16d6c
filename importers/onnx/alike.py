"""Runs of nodes that become the same method: models repeat their blocks, and each of them is made, named and printed once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from bridge.importers.onnx.names import short_name
from bridge.ir.classes import ClassType
from bridge.ir.graph import Node, Value
from bridge.ir.types import TensorType

__all__ = ["attribute_path", "run_key"]

#: Constants of more elements are not compared.
_COMPARED = 64


class _NoKey(Exception):
    """Something is in the nodes that has no key."""


def attribute_path(node: Node) -> tuple[str, ...]:
    """The names of the attributes that lead from the module to what the node reads."""
    names: list[str] = []
    while node.kind == "prim::GetAttr":
        names.append(node["name"])
        node = node.inputs[0].node
    return tuple(reversed(names))


def run_key(
    nodes: Sequence[Node], given: Sequence[Value], results: Sequence[Value], path: tuple[str, ...], rest: Hashable
) -> Hashable | None:
    """Equal for nodes that become the same method of the modules at their paths; None where that cannot be told from a key.

    ``given`` is what the nodes use of others, ``rest`` what else they must have in common.
    """
    numbers: dict[Value, Hashable] = {}
    names: dict[str, str] = {}
    try:
        outside = [_value(v, numbers, names) for v in given if v.node.kind != "prim::GetAttr"]
        if len(outside) != len(given):
            return None
        inside = []
        for n in nodes:
            if n.blocks:
                return None
            if n.kind == "prim::GetAttr":
                _read(n, numbers, path)
                continue
            attributes = tuple([(k, _attribute(v)) for k, v in n.attributes.items()]) if n.attributes else ()
            inputs = tuple([numbers[v] for v in n.inputs])
            outputs = tuple([_value(v, numbers, names) for v in n.outputs])
            inside.append((n.kind, n.overload, attributes, inputs, outputs))
    except (_NoKey, KeyError):  # a constant that stands elsewhere has no number
        return None
    # A name that another value shall get is in its way.
    taken = tuple([name for name in names if name.partition(".")[0] in names.values()])
    return tuple(outside), tuple(inside), tuple([numbers[v] for v in results]), taken, rest


def _read(node: Node, numbers: dict[Value, Hashable], path: tuple[str, ...]) -> None:
    """Note what an attribute of the module, or of one in it, is called; an element of a list is read as its length has it."""
    if isinstance(node.output.type, ClassType):
        return
    names = attribute_path(node)
    inner = names[len(path) :]
    if names[: len(path)] != path or any(part.isdigit() for part in inner) or node.output.has_debug_name:
        raise _NoKey
    numbers[node.output] = inner


def _value(v: Value, numbers: dict[Value, Hashable], names: dict[str, str]) -> Hashable:
    numbers[v] = len(numbers)
    told = short_name(v, numbered=False) if v.has_debug_name or v.export_name else ""
    if v.has_debug_name:
        names[v.debug_name] = told
    return told, None if isinstance(v.type, TensorType) else v.type


def _attribute(value: Any) -> Hashable:
    if isinstance(value, np.ndarray):
        if value.size > _COMPARED or value.dtype.kind not in "biuf":
            raise _NoKey
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list):
        return ("list", *map(_attribute, value))
    if value is None or isinstance(value, str | int | float | bool):
        return type(value), repr(value)  # 1, 1.0 and True are equal, and so are 0.0 and -0.0
    raise _NoKey
