"""Whether an expression may raise what a handler of the program catches; see :mod:`bridge.importers.script.tries`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge.importers.script import matching
from bridge.importers.script.errors import CompileError
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.sets import SetValue
from bridge.importers.script.statics import StaticDict
from bridge.importers.script.sugared import SugaredValue
from bridge.importers.script.values import SimpleValue
from bridge.ir import types as T
from bridge.ir.classes import ClassType
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore

__all__ = ["checks"]

_WHY = "this may raise what the handler catches, which is not followed: test the condition with if before"


class _Check(SugaredValue):
    """A bool: that what is asked for does not raise. Raises CompileError where only running it would tell."""

    __slots__ = ("name",)
    kind = "check"

    def __init__(self, name: str) -> None:
        self.name = name

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        if self.name == "$can_get":
            return SimpleValue(_can_get(range, m, args))
        t = args[0].type if args[0].is_value else None
        if self.name == "$can_divide" and t in (T.INT, T.FLOAT):
            zero = insert_constant(m.graph, 0, range)
            return SimpleValue(matching.insert(m.graph, "aten::ne", [args[0], zero], range=range))
        wrong = {
            "$can_divide": False,
            "$no_text": t is T.STR,
            "$no_tensor": t is not None and any(isinstance(x, T.TensorType) for x in t.walk()),
            "$no_object": isinstance(t, ClassType),
        }
        if wrong[self.name]:
            raise CompileError(_WHY, range)
        return SimpleValue(insert_constant(m.graph, True, range))


def _can_get(range: SourceRange, m: EmitterCore, args: Sequence[Named]) -> Value:
    holder, index = args[0], args[1]
    keys, indices, store = (matching.constant_of(a.get(m.graph))[1] for a in args[2:])
    if isinstance(holder.sugared, StaticDict | SetValue):
        return holder.sugared.contains(index.get(m.graph), range, m) if keys else insert_constant(m.graph, True, range)
    t = holder.type
    if isinstance(t, T.DictType):
        if not keys or store:
            return insert_constant(m.graph, True, range)
        return matching.insert(m.graph, "aten::__contains__", [holder, index], range=range)
    if not indices or isinstance(t, T.TupleType):
        return insert_constant(m.graph, True, range)
    if not (t is T.STR or isinstance(t, T.ListType | T.TensorType)) or index.type is not T.INT:
        raise CompileError(_WHY, range)
    length = matching.insert(m.graph, "aten::len", [holder], range=range)
    least = matching.insert(m.graph, "aten::neg", [length], range=range)
    above = matching.insert(m.graph, "aten::ge", [index, least], range=range)
    below = matching.insert(m.graph, "aten::lt", [index, length], range=range)
    return matching.insert(m.graph, "aten::__and__", [above, below], range=range)


def checks() -> dict[str, SugaredValue]:
    """The checks by the names that rewritten programs call them."""
    return {name: _Check(name) for name in ("$can_get", "$can_divide", "$no_text", "$no_tensor", "$no_object")}
