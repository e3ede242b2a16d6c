"""What the text of a method hangs on, as a key: methods of one key are printed once.

Models repeat their blocks, and each block of an imported model has a class, and a graph, of its own.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from bridge.exporters.python.literals import LONGEST
from bridge.exporters.python.shared_classes import is_indexed
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, FunctionType, InterfaceType
from bridge.ir.graph import Block, Value

__all__ = ["method_key"]


def method_key(function: Function) -> Hashable | None:
    """Equal for functions that print as the same text; None where that cannot be told from a key."""
    graph = function.graph
    numbers: dict[Value, int] = {}
    try:
        return (
            function.name,
            tuple((a.name, _type(a.type), repr(a.default)) for a in function.schema.arguments),
            tuple(_type(a.type) for a in function.schema.returns),
            tuple((name, str(t), repr(t)) for name, t in graph.input_hints.items()),
            tuple((str(t), repr(t)) for t in graph.output_hints),
            _block(graph.block, numbers),
        )
    except _NoKey:
        return None


class _NoKey(Exception):
    """Something is in the function that has no key."""


def _block(block: Block, numbers: dict[Value, int]) -> Hashable:
    given = tuple(_value(v, numbers) for v in block.inputs)
    nodes = []
    for n in block.nodes:
        nodes.append(
            (
                n.kind,
                n.overload,
                tuple((k, _attribute(v)) for k, v in n.attributes.items()) if n.attributes else (),
                tuple([numbers[v] for v in n.inputs]),
                tuple([_block(b, numbers) for b in n.blocks]) if n.blocks else (),
                tuple([_value(v, numbers) for v in n.outputs]),
            )
        )
    return given, tuple(nodes), tuple([numbers[v] for v in block.outputs])


def _value(v: Value, numbers: dict[Value, int]) -> Hashable:
    numbers[v] = len(numbers)
    return v.debug_name_base if v.has_debug_name else "", _type(v.type)


def _type(t: T.Type) -> Hashable:
    """A type; of a module, what a method that calls it shows of it."""
    if isinstance(t, ClassType) and t.is_module:
        return ("module", is_indexed(t))
    if t is T.TENSOR:
        return None
    if any(isinstance(i, ClassType | InterfaceType | FunctionType) for i in t.walk()):
        raise _NoKey
    return t


def _attribute(value: Any) -> Hashable:
    if isinstance(value, np.ndarray):
        if value.size > LONGEST or value.dtype.kind not in "biuf" or not value.dtype.isbuiltin:
            raise _NoKey  # it may be stored beside the text, under a name of its own
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, list):
        return ("list", *map(_attribute, value))
    if value is None or isinstance(value, str | int | float | bool):
        return type(value), repr(value)  # 1, 1.0 and True are equal, and so are 0.0 and -0.0
    raise _NoKey
