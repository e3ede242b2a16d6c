"""Conditions that the configuration of a module decides: comparisons of attributes that are numbers, strings or truth values.

TorchScript compiles both branches of ``if self.method == "general":``. Where the program does not compile so, because the other
branch is for modules that are built otherwise (an attribute is missing there, another type is returned), it is compiled again
with such attributes as constants of the module, and without the branches that are never taken.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from bridge.importers.script.matching import constant_of
from bridge.ir import types as T
from bridge.ir.classes import ClassType
from bridge.ir.graph import Node, Value

__all__ = ["Attribute", "Unknown", "attributes_in", "decided"]

#: A class of modules and the name of an attribute.
Attribute = tuple[ClassType, str]

_OPERATORS: dict[str, Callable[..., Any]] = {
    "aten::lt": operator.lt, "aten::le": operator.le, "aten::gt": operator.gt, "aten::ge": operator.ge,
    "aten::eq": operator.eq, "aten::ne": operator.ne, "aten::__not__": operator.not_, "aten::__is__": operator.is_,
    "aten::__isnot__": operator.is_not, "aten::__contains__": operator.contains, "aten::Bool": bool, "aten::len": len,
}  # fmt: skip
_LISTS = ("prim::ListConstruct", "prim::TupleConstruct")
_PLAIN = (T.STR, T.INT, T.BOOL, T.FLOAT)


class Unknown(Exception):
    """The value of a condition is not decided by constants."""


def decided(value: Value) -> Any:
    """The Python value of a condition of constants. Raises Unknown."""
    known, found = constant_of(value)
    if known:
        return found
    n = value.node
    if n.kind == "prim::If":
        return _of_branches(n, n.outputs.index(value))
    if n.kind in _LISTS:
        return [decided(v) for v in n.inputs]
    if n.kind not in _OPERATORS:
        raise Unknown
    try:
        return _OPERATORS[n.kind](*(decided(v) for v in n.inputs))
    except (TypeError, ValueError):
        raise Unknown from None


def _of_branches(n: Node, k: int) -> Any:
    """``and`` and ``or``: one side may decide alone, whichever it is."""
    try:
        block = n.blocks[0 if decided(n.inputs[0]) else 1]
    except Unknown:
        a, b = (decided(b.outputs[k]) for b in n.blocks)
        if bool(a) is not bool(b):
            raise
        return a
    return decided(block.outputs[k])


def attributes_in(value: Value) -> frozenset[Attribute] | None:
    """The attributes of modules that may decide a condition alone; None where only something else does."""
    if value.node.kind == "prim::If":
        n = value.node
        sides = (n.inputs[0], *(b.outputs[n.outputs.index(value)] for b in n.blocks))
        found = [f for f in map(attributes_in, sides) if f is not None]
        # Of "and" and "or" one side is a constant, which decides nothing.
        return frozenset().union(*found) if any(found) or len(found) == len(sides) else None
    try:
        return frozenset(_leaves(value))
    except Unknown:
        return None


def _leaves(value: Value) -> Iterator[Attribute]:
    if constant_of(value)[0]:
        return
    n = value.node
    if n.kind == "prim::GetAttr":
        owner, name = n.inputs[0].type, n["name"]
        if not isinstance(owner, ClassType) or not owner.is_module or owner.python_class is None:
            raise Unknown
        if value.type not in _PLAIN or name == "training":
            raise Unknown
        yield owner, name
        return
    if n.kind not in _OPERATORS and n.kind not in _LISTS:
        raise Unknown
    for v in n.inputs:
        yield from _leaves(v)
