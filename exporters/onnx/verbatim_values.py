"""What values are while a program of ONNX operators is written: names of ONNX values, and what Python alone knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import onnx

from bridge.ir.classes import ScriptObject
from bridge.ir.errors import LoweringError

__all__ = ["Both", "Counter", "Gone", "Items", "Name", "NotVerbatim", "Number", "Object", "Scope", "Test"]


class NotVerbatim(LoweringError):
    """The program has statements other than ONNX operators and what joins them."""


@dataclass(slots=True, eq=False)
class Name:
    """An ONNX value."""

    name: str


@dataclass(slots=True, eq=False)
class Number:
    """An int or bool that a tensor of one element holds."""

    of: Name


@dataclass(slots=True, eq=False)
class Counter:
    """The number of a loop's iteration, plus ``more``."""

    scope: Scope
    more: int = 0


@dataclass(slots=True, eq=False)
class Test:
    """``a < b`` or ``a > b`` of ints."""

    op: str
    a: Any
    b: Any


@dataclass(slots=True, eq=False)
class Both:
    """``a & b`` of bools."""

    a: Any
    b: Any


@dataclass(slots=True, eq=False)
class Items:
    """A list of tensors: its items, or once a loop has appended to it, the scan output that they are.

    ``output`` is the record of that output in the loop's body.
    """

    scope: Scope
    items: list[Any]
    stacked: Name | None = None
    output: onnx.ValueInfoProto | None = None


@dataclass(slots=True, eq=False)
class Object:
    """A module and its path."""

    object: ScriptObject
    path: str


@dataclass(slots=True, eq=False)
class Gone:
    """A value that has no meaning after the loop it is carried through."""


@dataclass(slots=True, eq=False)
class Scope:
    """A graph being written. ``scans`` are the lists that this loop body appends to, with what it appends."""

    graph: onnx.GraphProto
    outer: Scope | None = None
    counter: str = ""
    scans: list[tuple[Items, Any]] = field(default_factory=list)
    constants: dict[Any, Name] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
