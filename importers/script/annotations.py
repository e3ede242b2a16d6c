"""Type expressions → types, and the signature of a definition.

``List[int]``, ``Optional[Tensor]``, ``int | None``, ``list[int]``, ``Tuple[()]``, ``BroadcastingList2[int]``, names that
the resolver knows. Follows ``script_type_parser.cpp``.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bridge.importers.script import tree as X
from bridge.importers.script.errors import VARIADIC, CompileError, NotSupportedError
from bridge.ir import types as T
from bridge.ir.hints import parse_hint
from bridge.ir.schema import REQUIRED, Argument, Schema
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.sugared import Resolver

__all__ = ["NAMED_TYPES", "hints_of", "parse_type", "qualified_name", "shown_type", "signature_of"]

NAMED_TYPES: dict[str, T.Type] = {
    "Tensor": T.TENSOR, "int": T.INT, "float": T.FLOAT, "bool": T.BOOL, "complex": T.COMPLEX, "str": T.STR,
    "Device": T.DEVICE, "Generator": T.GENERATOR, "number": T.NUMBER, "None": T.NONE, "NoneType": T.NONE,
    "Any": T.ANY, "list": T.VarType("AnyList"), "tuple": T.VarType("AnyTuple"), "Capsule": T.ANY,
    "torch.device": T.DEVICE, "torch.Generator": T.GENERATOR, "torch.dtype": T.INT, "torch.layout": T.INT,
    "torch.memory_format": T.INT, "torch.Size": T.ListType(T.INT), "torch.Tensor": T.TENSOR,
}  # fmt: skip
for _name in "Long Float Double Int Short Half Char Byte Bool".split():
    NAMED_TYPES[f"{_name}Tensor"] = NAMED_TYPES[f"torch.{_name}Tensor"] = T.TENSOR
NAMED_TYPES["List"] = NAMED_TYPES["list"]
NAMED_TYPES["Tuple"] = NAMED_TYPES["tuple"]


#: The type of a parameter without annotation: Tensor, told apart from the annotated one only by identity (the exit pass
#: makes one uninitialised value per type object, as torch does).
UNANNOTATED = T.TensorType()


def shown_type(t: T.Type) -> str:
    """A type in an error about what it lacks."""
    return "Tensor (inferred)" if t is UNANNOTATED else t.annotation()


def qualified_name(e: X.Expr) -> str | None:
    """``a.b.c`` as text; None for any other expression."""
    if isinstance(e, X.Var):
        return e.name
    if isinstance(e, X.Select):
        base = qualified_name(e.value)
        return None if base is None else f"{base}.{e.name}"
    return None


def parse_type(e: X.Expr | str, resolver: Resolver | None) -> T.Type:
    """The type of a type expression (or of its text). Raises CompileError with the place."""
    if isinstance(e, str):
        from bridge.importers.script.frontend import parse_expression

        e = parse_expression(e)
    if resolver is not None and isinstance(e, X.Var | X.Select):
        name = qualified_name(e)
        found = resolver.resolve_type(name, e.range) if name is not None else None
        if found is not None:
            return found
    return _parse(e, resolver)


def _parse(e: X.Expr, resolver: Resolver | None) -> T.Type:
    if isinstance(e, X.Subscript):
        name = qualified_name(e.value)
        if name is None:
            raise CompileError("Subscripted type must be a type identifier", e.value.range)
        return _subscripted(_typing_name(name, resolver), e, resolver)
    if isinstance(e, X.Literal) and e.value is None:
        return T.NONE
    if isinstance(e, X.BinOp) and e.op == "|":
        return T.union(_parse(e.lhs, resolver), _parse(e.rhs, resolver))
    if isinstance(e, X.StringLit):
        found = resolver.resolve_type(e.value, e.range) if resolver is not None else None
        if found is not None:
            return found
        from bridge.importers.script.frontend import parse_expression

        try:
            return _parse(parse_expression(e.value), resolver)
        except CompileError as error:  # the place of the text, not the place in it
            raise CompileError(str(error).partition("\n")[0], e.range) from None
    name = qualified_name(e)
    if name is not None:
        return _named(name, e.range, resolver)
    kind = e.op if isinstance(e, X.BinOp) else _KINDS.get(type(e), "this kind")
    raise CompileError(f"Expression of type {kind} cannot be used in a type expression", e.range)


_KINDS: dict[type, str] = {
    X.Const: "const", X.Apply: "apply", X.ListLit: "list_literal", X.TupleLit: "tuple_literal", X.DictLit: "dict_literal",
    X.Literal: "const",
}  # fmt: skip


def hints_of(e: X.Expr | None) -> list[T.Type]:
    """What ``Annotated[Tensor, "float32[batch, 3]"]`` says beyond ``Tensor``; nothing for other annotations.

    Raises CompileError when a text stands there that is no such type.
    """
    if not isinstance(e, X.Subscript) or qualified_name(e.value) not in ("Annotated", "typing.Annotated"):
        return []
    hints = []
    for text in e.indices[1:]:
        if not isinstance(text, X.StringLit):
            return []
        try:
            hints.append(parse_hint(text.value))
        except ValueError as error:
            raise CompileError(str(error), text.range) from None
    return hints


def _named(name: str, range: SourceRange, resolver: Resolver | None) -> T.Type:
    known = NAMED_TYPES.get(name.removeprefix("typing."))
    if known is not None:
        return known
    found = resolver.resolve_type(name, range) if resolver is not None else None
    if found is None:
        raise CompileError(f"Unknown type name '{name}'", range)
    return found


def _typing_name(name: str, resolver: Resolver | None) -> str:
    """``Optional`` for ``typing.Optional``, under whatever name the module is imported."""
    known = name.removeprefix("typing.")
    find = getattr(resolver, "find", None)
    if known in _CONSTRUCTORS or known in ("Tuple", "tuple", "Annotated") or find is None:
        return known
    found = find(name)
    written = getattr(found, "_name", None) or getattr(found, "__name__", None) or known
    return _ABSTRACT.get(written, written)


def _subscripted(name: str, e: X.Subscript, resolver: Resolver | None) -> T.Type:
    if name in ("Tuple", "tuple"):
        first = e.indices[0]
        if len(e.indices) == 1 and isinstance(first, X.TupleLit):
            if first.elements:
                raise CompileError("Tuple literal in Tuple type annotation must not have any elements", first.range)
            return T.TupleType()
        if len(e.indices) == 2 and isinstance(e.indices[1], X.Dots) and not isinstance(first, X.Dots):
            element = _parse(first, resolver)
            if element in (T.INT, T.FLOAT, T.BOOL, T.STR):  # what a program makes of it is a list
                return T.ListType(element)
        if any(isinstance(i, X.Dots) for i in e.indices):
            raise CompileError(
                "the elements of a tuple are known one by one: write List for one of any length", e.range
            )
        return T.TupleType(*[_parse(i, resolver) for i in e.indices])
    if name == "Annotated":
        return _parse(e.indices[0], resolver)
    if name == "Literal":
        return _literal(e)
    make, count = _CONSTRUCTORS.get(name, (None, 0))
    if make is None:
        raise CompileError(f"Unknown type constructor {name}", e.range)
    if count and len(e.indices) != count:
        what = "one element type" if count == 1 else f"{count} element types"
        raise CompileError(f"expected exactly {what} but found {len(e.indices)}", e.range)
    inside = [_parse(i, resolver) for i in e.indices]
    if make is T.DictType:
        check_key_type(inside[0], e.range)
    return make(*inside)


def check_key_type(key: T.Type, range: SourceRange | None) -> None:
    """Raises CompileError for what cannot be the key of a dict."""
    if key not in (T.INT, T.FLOAT, T.COMPLEX, T.STR, T.BOOL, T.DEVICE, T.ANY) and not isinstance(
        key, T.TensorType | T.VarType
    ):
        raise CompileError(
            f"Cannot create dict for key type '{key}', only int, float, complex, Tensor, device and string keys are supported",
            range,
        )


def _literal(e: X.Subscript) -> T.Type:
    """What the values of ``Literal['a', 'b']`` are."""
    values = [literal_value(i) for i in e.indices]
    types = [NAMED_TYPES.get("None" if v is None else type(v).__name__) for v in values]
    if None in types:
        raise CompileError("the values of a Literal must be constants of one type, or None", e.range)
    return T.union(*types)  # type: ignore[arg-type]


#: What a program is given for these is a list or a dict, as nothing else has their length and order.
_ABSTRACT = {
    "Sequence": "List", "MutableSequence": "List", "Collection": "List", "Iterable": "List", "Mapping": "Dict",
    "MutableMapping": "Dict", "Deque": "List", "deque": "List", "DefaultDict": "Dict", "defaultdict": "Dict", "OrderedDict": "Dict",
}  # fmt: skip

_CONSTRUCTORS: dict[str, tuple[Callable[..., T.Type], int]] = {
    "List": (T.ListType, 1), "list": (T.ListType, 1), "Dict": (T.DictType, 2), "dict": (T.DictType, 2),
    "Optional": (T.optional, 1), "Union": (T.union, 0), "Future": (T.FutureType, 1), "Await": (T.AwaitType, 1), "_Await": (T.AwaitType, 1),
    "torch.jit.Future": (T.FutureType, 1), "Final": (lambda t: t, 1),
}  # fmt: skip


def _broadcasting(e: X.Expr, resolver: Resolver | None) -> tuple[T.Type, int] | None:
    """(type, N) of ``BroadcastingListN[T]`` and ``_size_N_t``, also inside Optional."""
    if isinstance(e, X.Var) and len(e.name) == 9 and e.name.startswith("_size_") and e.name.endswith("_t"):
        return T.ListType(T.INT), int(e.name[6])
    if isinstance(e, X.BinOp) and e.op == "|" and isinstance(e.rhs, X.Literal) and e.rhs.value is None:
        inner = _broadcasting(e.lhs, resolver)
        return None if inner is None else (T.optional(inner[0]), inner[1])
    if not isinstance(e, X.Subscript) or not isinstance(e.value, X.Var):
        return None
    if e.value.name == "Optional":
        inner = _broadcasting(e.indices[0], resolver)
        return None if inner is None else (T.optional(inner[0]), inner[1])
    if not e.value.name.startswith("BroadcastingList"):
        return None
    digits = e.value.name.removeprefix("BroadcastingList")
    element = _parse(e.indices[0], resolver)
    if not digits.isdigit() or int(digits) == 0:
        raise CompileError(
            f"the length of a broadcastable list must be a positive integer: found '{digits}'", e.value.range
        )
    if element not in (T.INT, T.FLOAT):
        raise CompileError("Broadcastable lists only supported for int or float", e.value.range)
    return T.ListType(element), int(digits)


def signature_of(
    d: X.Def, resolver: Resolver, skip_self: bool = False, defaults: Mapping[str, Any] | None = None
) -> Schema:
    """The schema that a definition declares; no results when the return type is not annotated.

    ``defaults`` are the values of a live function; without them the expressions in the text are evaluated.
    """
    arguments = []
    for p in d.params[1 if skip_self else 0 :]:
        if p.keywords:
            raise NotSupportedError(VARIADIC, p.range)
        type: T.Type = UNANNOTATED
        size: int | None = None
        if p.type is not None:
            broadcast = _broadcasting(p.type, resolver)
            if broadcast is not None:
                type, size = broadcast
            else:
                type = parse_type(p.type, resolver)
        if p.gathers:  # the annotation is that of one; printed, it is a list like any other
            type = T.ListType(T.TENSOR if p.type is None else type)
        default = REQUIRED
        if defaults is not None:
            default = defaults.get(p.name, REQUIRED)
            if _is_mutable(default):
                raise CompileError(
                    "Mutable default parameters are not supported because Python binds them to the function and they "
                    "persist across function calls.\n As a workaround, make the default None and instantiate the default "
                    f"parameter within the body of the function. Found {builtins.type(default)} on parameter {p.name}",
                    p.range,
                )
            if default is not REQUIRED:
                default = default_value(default, type, size)
                if not _may_be(default, type):
                    raise CompileError(
                        f'Expected a default value of type {type.annotation()} on parameter "{p.name}".', p.range
                    )
        elif p.default is not None:
            default = literal_value(p.default)
        argument = Argument(p.name, type, default, p.kwarg_only, size)
        argument.inferred = p.type is None and not p.gathers
        argument.gathers = p.gathers
        arguments.append(argument)
    returns = [] if d.returns is None else [Argument("", parse_type(d.returns, resolver))]
    return Schema(d.name, "", arguments, returns)


def _may_be(default: Any, type: T.Type) -> bool:
    """Whether a default is of a simple type; other types are checked where the default is used."""
    if type in (T.INT, T.BOOL, T.FLOAT, T.STR):
        python = {T.INT: int, T.BOOL: bool, T.FLOAT: float, T.STR: str}[type]
        return isinstance(default, python) or hasattr(default, "code")
    return not (default is None and isinstance(type, T.ListType | T.DictType))


def _is_mutable(default: Any) -> bool:
    return isinstance(default, list | dict) or (isinstance(default, tuple) and any(map(_is_mutable, default)))


def default_value(value: Any, type: T.Type, size: int | None) -> Any:
    """A default of a live function as a constant of the argument's type: ``1`` for a float is ``1.0``."""
    if isinstance(type, T.OptionalType):
        return None if value is None else default_value(value, type.element, size)
    if isinstance(type, T.ListType):
        if size is not None and isinstance(value, int | float):
            return value  # repeated where it is used
        return [default_value(v, type.element, None) for v in value] if isinstance(value, list | tuple) else value
    if isinstance(type, T.EnumType):
        return T.EnumValue(type, value.name) if hasattr(value, "name") else value
    if isinstance(type, T.TensorType) and hasattr(value, "_array"):
        return value.detach()._array.copy()
    if type is T.FLOAT and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type is T.INT and not isinstance(value, int) and isinstance(getattr(value, "code", None), int):
        return value.code
    return str(value) if type is T.DEVICE else value


def literal_value(e: X.Expr) -> Any:
    """The Python value of a default written as a literal. Raises CompileError for anything else."""
    if isinstance(e, X.Const | X.Literal | X.StringLit):
        return e.value
    if isinstance(e, X.Var) and e.name in ("inf", "nan"):  # as printed programs write them
        return float(e.name)
    if isinstance(e, X.UnaryOp) and e.op == "-":
        value = literal_value(e.operand)
        if isinstance(value, int | float | complex):
            return -value
    if isinstance(e, X.Apply) and isinstance(e.callee, X.Var) and e.callee.name == "annotate" and len(e.inputs) == 2:
        return literal_value(e.inputs[1])  # an empty list with its type
    if isinstance(e, X.DictLit):
        return {literal_value(k): literal_value(v) for k, v in zip(e.keys, e.values, strict=True)}
    if isinstance(e, X.ListLit):
        return [literal_value(x) for x in e.elements]
    if isinstance(e, X.TupleLit):
        return tuple(literal_value(x) for x in e.elements)
    raise CompileError("the default of an argument must be a constant", e.range)
