"""Which overload a node calls. torch's rule: the first overload of the kind that the inputs' types fit."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

from bridge.ir import types as T
from bridge.ir.graph import Node
from bridge.ir.registry import Operator, find
from bridge.ir.schema import Schema
from bridge.ir.schemas import find_schema, schemas_of

__all__ = ["bind_type_variables", "matches", "operator_of", "schema_of", "takes"]


def schema_of(node: Node) -> Schema | None:
    """The schema of the overload that a node calls, or None for nodes that are no operator's (``prim::If``…)."""
    if node.overload is not None:
        found = find_schema(node.kind, node.overload)
        if found is not None:
            return found
    return _first_match(node.kind, tuple([v.type for v in node.inputs]))


# Bounded, as the types it remembers may be a program's classes.
@functools.lru_cache(maxsize=4096)
def _first_match(kind: str, types: tuple[T.Type, ...]) -> Schema | None:
    return next((s for s in schemas_of(kind) if takes(s, types)), None)


def operator_of(node: Node) -> Operator | None:
    """The declared operator of the overload that a node calls, or None."""
    schema = schema_of(node)
    return None if schema is None else find(schema.full_name)


def matches(node: Node, schema: Schema) -> bool:
    """Whether the node's inputs are arguments of that schema, by count and type."""
    return takes(schema, [v.type for v in node.inputs])


def takes(schema: Schema, types: Sequence[T.Type]) -> bool:
    """Whether values of these types are a schema's arguments, none left out."""
    formals = schema.arguments
    count = len(types)
    if count < len(formals) or (count > len(formals) and not schema.is_vararg):
        return False
    bound: dict[str, T.Type] = {}
    return all(_fits(a.type, t, bound) for a, t in zip(formals, types, strict=False))


@functools.cache
def _has_variables(t: T.Type) -> bool:
    return any(isinstance(inside, T.VarType) and not inside.name.startswith("Any") for inside in t.walk())


def _fits(formal: T.Type, actual: T.Type, bound: dict[str, T.Type]) -> bool:
    if _has_variables(formal):
        return bind_type_variables(formal, actual, bound)
    return actual.is_subtype_of(formal)


def bind_type_variables(formal: T.Type, actual: T.Type, bound: dict[str, T.Type]) -> bool:
    """Match a type with free variables (``t[]``, ``Dict(str, t)``) to an actual one; notes what the variables are."""
    if isinstance(formal, T.VarType):
        if formal.name.startswith("Any"):
            return actual.is_subtype_of(formal)
        known = bound.setdefault(formal.name, actual)
        return known == actual or T.unify(known, actual) is not None
    if isinstance(formal, T.OptionalType):
        if isinstance(actual, T.OptionalType):
            return bind_type_variables(formal.element, actual.element, bound)
        return actual is T.NONE or bind_type_variables(formal.element, actual, bound)
    if isinstance(formal, T.ListType) and isinstance(actual, T.TupleType):
        return all(bind_type_variables(formal.element, t, bound) for t in actual.elements)
    if type(formal) is not type(actual):
        return actual.is_subtype_of(formal)
    inside = formal.contained()
    if not inside:
        return actual.is_subtype_of(formal)
    if len(inside) != len(actual.contained()):
        return False
    return all(bind_type_variables(f, a, bound) for f, a in itertools.zip_longest(inside, actual.contained()))
