"""What a type rule sees, and the rules that whole families of operators share.

A type rule maps a :class:`Call` to the type (or types) of the results. ``call.types[name]`` is the type of an argument,
``call.known(name)`` its value if it is a constant and UNKNOWN otherwise (lists may hold UNKNOWN elements).
Dimensions are ints, names of free sizes, or None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.ir.schema import Schema
from bridge.ir.types import Type

__all__ = ["UNKNOWN", "Call"]


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


#: The value of an argument that is not a constant.
UNKNOWN: Any = _Unknown()


class Call:
    """The arguments of one operator call as a type rule sees them."""

    __slots__ = ("schema", "types", "values")

    def __init__(self, schema: Schema, types: Mapping[str, Type], values: Mapping[str, Any]) -> None:
        self.schema, self.types, self.values = schema, types, values

    def __getitem__(self, name: str) -> Type:
        """The type of an argument."""
        return self.types[name]

    def known(self, name: str) -> Any:
        """The value of an argument, or UNKNOWN."""
        return self.values.get(name, UNKNOWN)


Results = Type | Sequence[Type]
