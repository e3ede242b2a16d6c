"""Overload resolution: which schema takes these arguments, and the nodes that convert them.

The rules are TorchScript's (``schema_matching.cpp``). Trying a schema inserts the nodes it would need (defaults, lists,
conversions); what a failed try left behind is dead code that the cleanup passes remove, but it has used up value
numbers, so the tries and their order are part of what a graph looks like.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from bridge.importers.script.annotations import UNANNOTATED, shown_type
from bridge.importers.script.errors import CompileError
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, InterfaceType
from bridge.ir.graph import Graph, Node, Value
from bridge.ir.literals import value_type
from bridge.ir.schema import Argument, Schema
from bridge.ir.schemas import known_names, schemas_of
from bridge.ir.source import SourceRange

__all__ = [
    "Match", "Named", "builtin_call", "constant_of", "convert", "convertible_to_list", "insert", "insert_constant",
    "match_schema", "match_schemas", "matches_self", "tuple_unpack",
]  # fmt: skip


class Named:
    """An argument: a value in the graph, a Python value that becomes a constant when it is used, or (``sugared``) something
    that is no value, like a function."""

    __slots__ = ("constant", "m", "name", "range", "sugared", "value")

    def __init__(
        self,
        value: Value | None,
        name: str = "",
        range: SourceRange | None = None,
        constant: Any = None,
        sugared: Any = None,
        m: Any = None,
    ) -> None:
        self.m = m
        self.value, self.name, self.range, self.constant, self.sugared = value, name, range, constant, sugared

    def get(self, graph: Graph) -> Value:
        """The value, made now if it is a constant (every time anew, as torch does).

        Raises CompileError for what is no value.
        """
        if self.value is not None:
            return self.value
        if self.sugared is not None:
            self.value = self.sugared.as_value(self.range, self.m)
            assert self.value is not None
            return self.value
        return insert_constant(graph, self.constant)

    @property
    def is_value(self) -> bool:
        return self.value is not None or self.sugared is None

    @property
    def type(self) -> T.Type | None:
        return self.value.type if self.value is not None else None


class Match:
    """A schema that fits: the final inputs and the result types."""

    __slots__ = ("inputs", "returns", "schema")

    def __init__(self, schema: Schema, inputs: list[Value], returns: list[T.Type]) -> None:
        self.schema, self.inputs, self.returns = schema, inputs, returns


# -- small node makers -------------------------------------------------------------------------------------------------


def insert_constant(graph: Graph, value: Any, range: SourceRange | None = None, type: T.Type | None = None) -> Value:
    """A ``prim::Constant`` at the insert point."""
    if type is None and not isinstance(value, bool | int | float | str | None):
        type = T.ListType(T.INT) if isinstance(value, list) and not value else value_type(value)
    output = graph.constant(value, type)
    output.node.range = range
    return output


def constant_of(value: Value) -> tuple[bool, Any]:
    """(True, Python value) when the value is a constant of the graph."""
    n = value.node
    if n.kind != "prim::Constant" or "name" in n.attributes:
        return False, None
    return True, n.attributes.get("value")


def tuple_unpack(value: Value) -> Sequence[Value]:
    """The elements of a tuple; of one that was just made, what it was made of."""
    n = value.node
    if n.kind == "prim::TupleConstruct":
        return tuple(n.inputs)
    graph = n.graph
    assert isinstance(value.type, T.TupleType)
    unpack = graph.create("prim::TupleUnpack", [value], 0)
    for t in value.type.elements:
        unpack.add_output(t)
    return tuple(graph.insert(unpack).outputs)


def _list(graph: Graph, element: T.Type, values: Sequence[Value]) -> Value:
    node = graph.create("prim::ListConstruct", values)
    node.output.type = T.ListType(element)
    return graph.insert(node).output


def make_tuple(graph: Graph, values: Sequence[Value], type: T.Type | None = None) -> Value:
    """A ``prim::TupleConstruct``."""
    node = graph.create("prim::TupleConstruct", values)
    node.output.type = type if type is not None else T.TupleType(*[v.type for v in values])
    return graph.insert(node).output


# -- types -------------------------------------------------------------------------------------------------------------


@functools.cache
def _is_free(t: T.Type) -> bool:
    return any(isinstance(x, T.VarType) and not x.name.startswith("Any") for x in t.walk())


def _unwrap(t: T.Type) -> T.Type:
    return t.element if isinstance(t, T.OptionalType) else t


def _match_variables(formal: T.Type, actual: T.Type, env: dict[str, T.Type]) -> str | None:
    """Bind the free types of ``formal``; the reason when they cannot be bound."""
    if not _is_free(formal):
        return None
    if isinstance(formal, T.VarType):
        bound = env.setdefault(formal.name, actual)
        if T.unify(bound, actual) is not None:
            return None
        return f"Type variable '{formal}' previously matched to type {bound.annotation()} is matched to type {actual.annotation()}"
    if isinstance(formal, T.ListType):
        if isinstance(actual, T.ListType):
            return _match_variables(formal.element, actual.element, env)
        if isinstance(actual, T.TupleType) and actual.elements:
            unified = T.unify_all(actual.elements)
            if unified is not None:
                return _match_variables(formal.element, unified, env)
    elif isinstance(formal, T.TupleType):
        if isinstance(actual, T.TupleType) and len(formal.elements) == len(actual.elements):
            return _match_each(formal.elements, actual.elements, env)
    elif isinstance(formal, T.OptionalType):
        if isinstance(actual, T.OptionalType):
            return _match_variables(formal.element, actual.element, env)
        if actual is not T.NONE:
            return _match_variables(formal.element, actual, env)
        return None  # what it is of must be bound by another argument
    elif type(formal) is type(actual):
        return _match_each(formal.contained(), actual.contained(), env)
    if isinstance(formal, T.FutureType | T.AwaitType):
        return f"Cannot match {'a future' if isinstance(formal, T.FutureType) else 'an await'} to {actual.annotation()}"
    return f"Cannot match {formal.annotation()} to {actual.annotation()}"


def _match_each(formals: Sequence[T.Type], actuals: Sequence[T.Type], env: dict[str, T.Type]) -> str | None:
    for f, a in zip(formals, actuals, strict=True):
        reason = _match_variables(f, a, env)
        if reason is not None:
            return reason
    return None


def _evaluate(t: T.Type, env: dict[str, T.Type]) -> T.Type | None:
    """The type with its free types replaced; None when one is unbound."""
    if not _is_free(t):
        return t
    if isinstance(t, T.VarType):
        return env.get(t.name)
    inside = [_evaluate(x, env) for x in t.contained()]
    if any(x is None for x in inside):
        return None
    return type(t)(*inside)


def convertible_to_list(t: T.Type, list_type: T.Type) -> bool:
    """Whether it is that list, or a tuple whose elements all fit into it."""
    if not isinstance(list_type, T.ListType):
        return False
    if t.is_subtype_of(list_type):
        return True
    return isinstance(t, T.TupleType) and all(x.is_subtype_of(list_type.element) for x in t.elements)


def convert(graph: Graph, range: SourceRange | None, target: T.Type, value: Value, conversions: bool) -> Value:
    """The value as a ``target`` where an implicit conversion exists, otherwise unchanged."""
    if isinstance(target, T.OptionalType) and not isinstance(value.type, T.OptionalType) and value.type is not T.NONE:
        return convert(graph, range, target.element, value, conversions)
    if value.node.kind == "prim::EmptyListLiteral" and isinstance(target, T.ListType):
        value = _list(graph, target.element, ())
    if isinstance(value.type, T.TupleType):
        value = _convert_tuple(graph, range, target, value, conversions)
    if not conversions:
        return value
    if isinstance(value.type, T.TensorType):
        kind = _FROM_TENSOR.get(target)
    elif value.type is T.NUMBER:
        kind = _FROM_NUMBER.get(target)
    elif value.type is T.BOOL:
        kind = _FROM_BOOL.get(target)
    elif value.type is T.STR and target is T.DEVICE:
        kind = "aten::device"
    else:
        kind = None
    return insert(graph, kind, [Named(value)], range=range) if kind is not None else value


_FROM_TENSOR: dict[T.Type, str] = {
    T.FLOAT: "aten::FloatImplicit", T.COMPLEX: "aten::ComplexImplicit", T.INT: "aten::IntImplicit",
    T.NUMBER: "aten::ScalarImplicit",
}  # fmt: skip
_FROM_NUMBER: dict[T.Type, str] = {T.FLOAT: "aten::Float", T.COMPLEX: "aten::Complex", T.INT: "aten::Int"}
_FROM_BOOL: dict[T.Type, str] = {T.FLOAT: "aten::Float", T.INT: "aten::Int", T.NUMBER: "aten::Int"}


def _convert_tuple(graph: Graph, range: SourceRange | None, target: T.Type, value: Value, conversions: bool) -> Value:
    list_type = _unwrap(target)
    if convertible_to_list(value.type, list_type):
        assert isinstance(list_type, T.ListType)
        value = _list(graph, list_type.element, tuple_unpack(value))
    if isinstance(target, T.TupleType) and isinstance(value.type, T.TupleType):
        if not value.type.is_subtype_of(target) and len(target.elements) == len(value.type.elements):
            pairs = zip(target.elements, tuple_unpack(value), strict=True)
            value = make_tuple(graph, [convert(graph, range, t, v, conversions) for t, v in pairs])
    return value


# -- arguments ---------------------------------------------------------------------------------------------------------


class _Failure(Exception):
    """A schema does not fit; the reason."""


def _match_argument(
    arg: Argument, graph: Graph, range: SourceRange | None, given: Named, conversions: bool, env: dict[str, T.Type]
) -> Value:
    value = given.get(graph)
    if arg.size is not None and value.type in (T.INT, T.FLOAT):  # a number that stands for int[2]
        list_type = _unwrap(arg.type)
        if isinstance(list_type, T.ListType) and list_type.element == value.type:
            value = _list(graph, value.type, [value] * arg.size)
    bound = env.get(arg.type.name) if isinstance(arg.type, T.VarType) else None
    if bound is not None and value.node.kind == "prim::EmptyListLiteral" and isinstance(bound, T.ListType):
        value = _list(graph, bound.element, ())  # as default of `get` or `setdefault` of a dict of lists
    reason = _match_variables(arg.type, value.type, env)
    if reason is not None:
        raise _Failure(
            f"Could not match type {value.type.annotation()} to {arg.type.annotation()} in argument '{arg.name}': {reason}."
        )
    concrete = _evaluate(arg.type, env)
    if concrete is None:
        raise _Failure(
            f"Type variables in type {arg.type.annotation()} could not be inferred from actual type {value.type.annotation()}"
        )
    value = convert(graph, range, concrete, value, conversions)
    if not value.type.is_subtype_of(concrete):
        wanted = "Tensor (inferred)" if arg.inferred else arg.type.annotation()
        text = f"Expected a value of type '{wanted}' for argument '{arg.name}' but instead found type '{shown_type(value.type)}'."
        guess = f"'{arg.name}' to be of type 'Tensor' because it was not annotated with an explicit type."
        if arg.inferred:
            text += f"\nInferred {guess}"
        if value.type is UNANNOTATED:
            text += f"\nInferred the value for argument {guess}"
        if isinstance(value.type, T.ListType) and isinstance(value.type.element, T.TensorType):
            text += "\nEmpty lists default to List[Tensor]. Annotate the variable to create an empty list of another type: x: List[int] = []"
        elif isinstance(value.type, T.OptionalType) and value.type.element.is_subtype_of(concrete):
            text += " Test that it is not None before."
        elif isinstance(concrete, InterfaceType) and isinstance(value.type, ClassType | InterfaceType):
            text += "\n" + (concrete.why_not(value.type) or "").rstrip("\n")
        raise _Failure(text)
    return value


def _varargs_as_list(schema: Schema, index: int, arg: Argument) -> bool:
    """Whether the remaining positional arguments may form this list: ``zeros(1, 2)`` for ``zeros(int[] size)``."""
    last = index + 1 == len(schema.arguments) or schema.arguments[index + 1].kwarg_only
    return (
        last and isinstance(arg.type, T.ListType) and arg.size is None and not isinstance(arg.type.element, T.VarType)
    )


def _gathered(
    arg: Argument, t: T.ListType, graph: Graph, range: SourceRange | None, rest: Sequence[Named], conversions: bool
) -> Value:
    """The list that ``*name`` receives."""
    one = Argument(arg.name, t.element)
    return _list(graph, t.element, [_match_argument(one, graph, range, a, conversions, {}) for a in rest])


def _find_keyword(name: str, keywords: Sequence[Named], is_aten: bool) -> int | None:
    for i, k in enumerate(keywords):
        if k.name == name or (is_aten and name == "self" and k.name == "input"):
            return i
    return None


def _try_schema(
    schema: Schema,
    range: SourceRange | None,
    graph: Graph,
    args: Sequence[Named],
    keywords: Sequence[Named],
    self: Named | None,
    conversions: bool,
) -> Match:
    if schema.full_name == "aten::view.dtype":  # dtypes are ints here, so that x.view(1) could mean it
        raise _Failure("")
    env: dict[str, T.Type] = {}
    inputs: list[Value] = []
    used_keywords: set[int] = set()
    is_aten = schema.name.startswith("aten::")
    used = 0
    for i, arg in enumerate(schema.arguments):
        if arg.name == "self" and self is not None:
            given, self = self, None
        elif arg.gathers and isinstance(arg.type, T.ListType):
            inputs.append(_gathered(arg, arg.type, graph, range, args[used:], conversions))
            used = len(args)
            continue
        elif not arg.kwarg_only and used < len(args):
            if conversions and _varargs_as_list(schema, i, arg):
                actual = args[used].get(graph).type
                if not isinstance(actual, T.ListType) and not convertible_to_list(actual, arg.type):
                    assert isinstance(arg.type, T.ListType)
                    inner = Argument("<varargs>", arg.type.element)
                    rest = [_match_argument(inner, graph, range, a, conversions, env) for a in args[used:]]
                    inputs.append(_list(graph, arg.type.element, rest))
                    used = len(args)
                    continue
            given = args[used]
            used += 1
        elif (k := _find_keyword(arg.name, keywords, is_aten)) is not None:
            if k in used_keywords:
                raise _Failure(f"Argument {arg.name} specified twice in schema.")
            used_keywords.add(k)
            given = keywords[k]
        elif arg.has_default:
            given = Named(None, constant=arg.default)
        else:
            raise _Failure(f"Argument {arg.name} not provided.")
        inputs.append(_match_argument(arg, graph, range, given, conversions, env))
    if self is not None:
        raise _Failure("Provided self argument not used in schema.")
    if schema.is_vararg:
        inputs += [a.get(graph) for a in args[used:]]
        used = len(args)
    if used < len(args):
        raise _Failure(f"Expected at most {used} arguments but found {len(args)} positional arguments.")
    for i, keyword in enumerate(keywords):
        if i not in used_keywords:
            known = keyword.name in schema.index
            raise _Failure(f"Keyword argument {keyword.name} {'specified twice' if known else 'unknown'}.")
    returns: list[T.Type] = []
    for r in schema.returns:
        t = _evaluate(r.type, env)
        assert t is not None, f"{schema} has unbound result types"
        returns.append(t)
    return Match(schema, inputs, returns)


def match_schema(
    schema: Schema,
    range: SourceRange | None,
    graph: Graph,
    args: Sequence[Named],
    keywords: Sequence[Named] = (),
    self: Named | None = None,
) -> Match:
    """The match of a schema that has no alternative. Raises CompileError with the reason."""
    try:
        return _try_schema(schema, range, graph, args, keywords, self, True)
    except _Failure as e:
        raise CompileError(f"{schema}:\n{e}", range) from None


def match_schemas(
    schemas: Sequence[Schema],
    range: SourceRange | None,
    graph: Graph,
    args: Sequence[Named],
    keywords: Sequence[Named] = (),
    self: Named | None = None,
) -> tuple[int, Match]:
    """Index and match of the first schema that fits, first without implicit conversions, then with."""
    if len(schemas) == 1:
        return 0, match_schema(schemas[0], range, graph, args, keywords, self)
    for conversions in (False, True):
        for i, schema in enumerate(schemas):
            try:
                return i, _try_schema(schema, range, graph, args, keywords, self, conversions)
            except _Failure:
                continue
    reasons: list[str] = []
    for schema in schemas:
        try:
            _try_schema(schema, range, graph, args, keywords, self, True)
        except _Failure as e:
            if str(e):
                reasons.append(f"  {schema}:\n  {e}".replace("\n", "\n  "))
    text = "\n".join(reasons)
    raise CompileError(
        f"Arguments for call are not valid.\nThe following variants are available:\n{text}\nThe original call is", range
    )


# -- operators ---------------------------------------------------------------------------------------------------------


def _pack(graph: Graph, node: Node, schema: Schema) -> Value:
    """One value for all results: several become a tuple, with field names where the schema has them."""
    if len(node.outputs) == 1:
        return node.outputs[0]
    types = [o.type for o in node.outputs]
    named = all(r.name for r in schema.returns)
    t = T.TupleType(*types, fields=[r.name for r in schema.returns]) if named and types else T.TupleType(*types)
    return make_tuple(graph, tuple(node.outputs), t)


def _emit(graph: Graph, name: str, match: Match, range: SourceRange | None) -> Value:
    node = graph.create(name, match.inputs, 0)
    node.range, node.overload = range, match.schema.overload
    graph.insert(node)
    for t in match.returns:
        node.add_output(t)
    return _pack(graph, node, match.schema)


def _inline(graph: Graph, function: Function, inputs: Sequence[Value]) -> Value:
    """Copy the function's nodes to the insert point; returns the copy of its result."""
    env = dict(zip(function.graph.inputs, inputs, strict=True))
    for n in function.graph.nodes:
        copy = graph.insert(graph.clone_node(n, env.__getitem__))
        env.update(zip(n.outputs, copy.outputs, strict=True))
    return env[function.graph.outputs[0]]


def unknown_operator(name: str, range: SourceRange | None) -> CompileError:
    """The error for an operator that does not exist, with similar names."""
    import difflib

    close = difflib.get_close_matches(name, known_names(), n=4, cutoff=0.75)
    hint = (
        f"Here are some suggestions: \n\t{chr(10).join(close)}"
        if close
        else "There is no operator with a similar name."
    )
    return CompileError(f"Unknown builtin op: {name}.\n{hint}\nThe original call is", range)


def builtin_call(
    graph: Graph,
    range: SourceRange | None,
    name: str,
    args: Sequence[Named],
    keywords: Sequence[Named] = (),
    self: Named | None = None,
) -> Value:
    """A node for the overload of operator ``name`` that takes the arguments. Raises CompileError when none does."""
    from bridge.importers.script.builtins import builtin_functions

    variants = schemas_of(name)
    functions = builtin_functions(name)
    schemas = [*variants, *(f.schema for f in functions)] if functions else variants
    if not schemas:
        raise unknown_operator(name, range)
    index, match = match_schemas(schemas, range, graph, args, keywords, self)
    if index < len(variants):
        return _emit(graph, name, match, range)
    return _inline(graph, functions[index - len(variants)], match.inputs)


def insert(
    graph: Graph,
    name: str,
    args: Sequence[Named | Value],
    keywords: Sequence[Named] = (),
    range: SourceRange | None = None,
) -> Value:
    """:func:`builtin_call` on plain values."""
    named = [a if isinstance(a, Named) else Named(a) for a in args]
    return builtin_call(graph, range, name, named, keywords)


def matches_self(name: str, type: T.Type) -> bool:
    """Whether an overload of the operator has a ``self`` argument that this type can be."""
    for schema in schemas_of(name):
        at = schema.index.get("self")
        if at is None:
            continue
        formal = schema.arguments[at].type
        env: dict[str, T.Type] = {}
        if _match_variables(formal, type, env) is not None:
            continue
        concrete = _evaluate(formal, env)
        if concrete is not None and type.is_subtype_of(concrete):
            return True
    return False
