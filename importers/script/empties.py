"""What lists and dicts that start empty hold: found where the first thing is put into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge.importers.script.errors import CompileError, StartsEmpty
from bridge.importers.script.matching import Named
from bridge.ir import types as T

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore

__all__ = ["starts_empty"]


def starts_empty(error: CompileError, operator: str, args: Sequence[Named], m: EmitterCore) -> CompileError:
    """The error that says which type the container needs, if that is what is wrong with the call; else the error itself.

    ``args`` are those of the operator, the container first.
    """
    container = args[0].value if args else None
    given = [a.type for a in args[1:]]
    known = container is not None and (container in m.empty_values or container in m.empty_items)
    if container is not None and known and not any(t is None for t in given):
        wanted = _wanted(operator, container.type, [t for t in given if t is not None])
        holder = m.empty_items.get(container, container)
        if wanted is not None and holder is not container and isinstance(holder.type, T.DictType):
            wanted = T.DictType(holder.type.key, wanted)
        if wanted is None or wanted == holder.type:
            return error
        return StartsEmpty(error.message, error.range, m.empty_values[holder], wanted)
    if container is None or container.node.kind not in ("prim::Load", "prim::EmptyListLiteral"):
        return error
    name = container.node["name"] if container.node.kind == "prim::Load" else ""
    place = m.frame.place_of(name)
    if place is None or any(t is None for t in given):
        return error
    wanted = _wanted(operator, container.type, [t for t in given if t is not None])
    if wanted is None or wanted == container.type:
        return error
    return StartsEmpty(error.message, error.range, place, wanted)


def _wanted(operator: str, container: T.Type, given: Sequence[T.Type]) -> T.Type | None:
    if isinstance(container, T.ListType):
        at = {"aten::append": 0, "aten::insert": 1, "aten::_set_item": 1, "aten::__contains__": 0}.get(operator)
        if at is not None and len(given) > at:
            return T.ListType(given[at])
        if operator in ("aten::extend", "aten::add_", "aten::add") and isinstance(given[0], T.ListType):
            return given[0]
    if isinstance(container, T.DictType) and given:
        if operator in ("aten::_set_item", "aten::get", "aten::setdefault", "aten::pop") and len(given) == 2:
            return T.DictType(*given)
        if operator in ("aten::__contains__", "aten::__getitem__", "aten::get"):
            return T.DictType(given[0], container.value)
        if operator == "aten::update" and isinstance(given[0], T.DictType):
            return given[0]
    return None
