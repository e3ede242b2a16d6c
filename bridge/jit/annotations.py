"""Python's type annotations → types (``torch/jit/annotations.py``)."""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

from bridge.futures import Future
from bridge.importers.script.annotations import UNANNOTATED
from bridge.ir import types as T
from bridge.ir.dtypes import DType
from bridge.ir.interpreter_steps import raised_as
from bridge.pytorch.names import tensor_class, value_kind

__all__ = ["annotation_to_type", "matches_type", "named_tuple_type", "try_annotation"]

_SIMPLE: dict[Any, T.Type] = {
    int: T.INT, float: T.FLOAT, bool: T.BOOL, complex: T.COMPLEX, str: T.STR, type(None): T.NONE, None: T.NONE,
    Any: T.ANY, DType: T.INT, inspect.Signature.empty: T.TENSOR,
}  # fmt: skip

#: PyTorch's classes of small values.
_VALUE_KINDS: dict[str, T.Type] = {
    "dtype": T.INT, "layout": T.INT, "memory_format": T.INT, "qscheme": T.INT, "device": T.DEVICE,
    "Size": T.ListType(T.INT), "Generator": T.GENERATOR, "SymInt": T.INT, "SymFloat": T.FLOAT, "SymBool": T.BOOL,
}  # fmt: skip


def annotation_to_type(annotation: Any, names: Mapping[str, Any] | None = None) -> T.Type:
    """The type that an annotation means; strings are read with the names given. Raises RuntimeError when it has none."""
    found = try_annotation(annotation, names)
    if found is None:
        raise RuntimeError(f"Unknown type annotation: '{annotation}'")
    return found


def try_annotation(annotation: Any, names: Mapping[str, Any] | None = None) -> T.Type | None:
    """As :func:`annotation_to_type`, None for an annotation that has no type in a program."""
    try:
        known = _SIMPLE.get(annotation)
    except TypeError:  # not hashable
        known = None
    if known is not None:
        return known
    if isinstance(annotation, str):
        return _from_text(annotation, names)
    if getattr(annotation, "__name__", "") == "_Await":  # of anything: ``isinstance(x, torch.jit._Await)``
        return T.AwaitType(T.ANY)
    _needs_contained(annotation)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is not None:
        return _generic(annotation, origin, args, names)
    if tensor_class(annotation):
        return T.TENSOR
    if inspect.isclass(annotation):
        return _from_class(annotation)
    return None


_BARE = (typing.List, typing.Tuple, typing.Optional, typing.Union, typing.Dict, Future)  # noqa: UP006


def _needs_contained(annotation: Any) -> None:
    """Raises RuntimeError for ``List``, ``Optional``, ``Dict``… without brackets."""
    name = next((getattr(b, "__name__", getattr(b, "_name", "")) for b in _BARE if annotation is b), None)
    if name is None:
        return
    if name == "Dict":
        raise RuntimeError(
            "Attempted to use Dict without contained types. Please add contained type, e.g. Dict[int, int]"
        )
    raise RuntimeError(
        f"Attempted to use {name} without a contained type. Please add a contained type, e.g. {name}[int]"
    )


def _from_text(text: str, names: Mapping[str, Any] | None) -> T.Type | None:
    from bridge.importers.script import FrontendError, parse_expression, parse_type
    from bridge.jit.resolve import NamesResolver

    try:
        return parse_type(parse_expression(text), NamesResolver(names or {}))
    except FrontendError:
        return None


def _generic(annotation: Any, origin: Any, args: tuple[Any, ...], names: Mapping[str, Any] | None) -> T.Type | None:
    if origin is typing.Final or origin is typing.ClassVar or origin is typing.Annotated:
        return try_annotation(args[0], names) if args else None
    if origin is typing.Union or origin is types.UnionType:
        if set(args) == {int, float, complex}:
            return T.NUMBER
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis and args[0] in (int, float, bool, str):
        return T.ListType(_SIMPLE[args[0]])
    inside: list[T.Type] = []
    for a in args:
        if a == ():
            continue
        if isinstance(a, typing.ForwardRef):
            a = a.__forward_arg__
        t = try_annotation(a, names)
        if t is None:
            raise RuntimeError(
                f"Unsupported annotation {annotation!r} could not be resolved because {a!r} could not be resolved."
            )
        inside.append(t)
    if origin is typing.Union or origin is types.UnionType:
        return T.union(*inside)
    if origin is list:
        return T.ListType(*inside)
    if origin is dict:
        return T.DictType(*inside)
    if origin is tuple:
        return T.TupleType(*inside)
    if getattr(origin, "__name__", "") == "Future":
        return T.FutureType(*inside)
    if getattr(origin, "__name__", "") == "_Await":
        return T.AwaitType(*inside)
    return None


def _from_class(cls: type) -> T.Type | None:
    from bridge.jit import script_classes
    from bridge.tensor import Tensor
    from bridge.types import device, layout, memory_format

    if issubclass(cls, Tensor) or getattr(cls, "__tensor_alias__", False):
        return T.TENSOR
    if issubclass(cls, device):
        return T.DEVICE
    if issubclass(cls, layout | memory_format):
        return T.INT
    foreign = value_kind(cls)
    if foreign is not None:
        return _VALUE_KINDS[foreign]
    if cls.__name__ == "Generator" and cls.__module__ == "bridge.random":
        return T.GENERATOR
    if cls.__name__ == "Size" and cls.__module__ == "bridge.types":
        return T.ListType(T.INT)
    if issubclass(cls, tuple):
        return named_tuple_type(cls) if hasattr(cls, "_fields") else None
    interface = script_classes.interface_of(cls)
    if interface is not None:
        return interface
    if issubclass(cls, enum.Enum):
        return fresh_enum_type(cls)
    return script_classes.class_type_of(cls)


#: The Python classes of NamedTuple types, by the names of the types.
named_tuple_classes: dict[str, type] = {}


def named_tuple_type(cls: type) -> T.TupleType:
    """The type of a NamedTuple class; fields without annotations are tensors."""
    from bridge.jit.names import python_cu, qualified_name

    name = qualified_name(cls)
    named_tuple_classes[name] = cls
    known = python_cu.types.get(name)
    annotations = inspect.get_annotations(cls) or inspect.get_annotations(cls.__base__ or cls)
    fields: tuple[str, ...] = cls._fields  # type: ignore[attr-defined]
    module = inspect.getmodule(cls)
    names = vars(module) if module is not None else {}
    found = []
    for f in fields:
        annotation = annotations.get(f, inspect.Signature.empty)
        if isinstance(annotation, typing.ForwardRef):
            annotation = annotation.__forward_arg__
        empty = annotation is inspect.Signature.empty
        try:
            found.append(UNANNOTATED if empty else annotation_to_type(annotation, names))
        except RuntimeError as e:
            if not isinstance(annotation, str):
                raise
            raise raised_as(ValueError, RuntimeError)(
                f"Unknown type annotation: 'ForwardRef('{annotation}')' in NamedTuple {cls.__name__}"
            ) from e
    defaults = getattr(cls, "_field_defaults", {})
    if any(type(d).__name__ == "Tensor" for d in defaults.values()):
        raise RuntimeError(
            "Tensors are not supported as default NamedTuple fields. Their mutability could lead to potential memory aliasing "
            "problems"
        )
    made = T.TupleType(*found, name=name, fields=fields, defaults=[defaults[f] for f in fields if f in defaults])
    if isinstance(known, T.TupleType):
        if not known.is_subtype_of(made):
            raise RuntimeError(f"Can't redefine NamedTuple: {made.annotation()}")
        return known
    python_cu.add_type(name, made)
    return made


def fresh_enum_type(cls: type[enum.Enum]) -> T.EnumType:
    """The type of an enum as an object of its own: torch makes one at each use, and the exit pass tells them apart."""
    from bridge.jit.inference import enum_type

    t = enum_type(cls)
    return T.EnumType(t.name, t.value, t.members, t.python)


def matches_type(obj: Any, target: Any) -> bool:
    """Whether a Python value is of an annotation's type, containers looked into (``jit.isinstance``)."""
    if isinstance(target, tuple):
        return any(matches_type(obj, t) for t in target)
    _needs_contained(target)
    origin, args = typing.get_origin(target), typing.get_args(target)
    if origin is None:
        if target in (list, dict, tuple):
            raise RuntimeError(
                "The second argument to isinstance needs the types inside the container, e.g. List[int] instead of list"
            )
        if target is not Any and not isinstance(target, type):
            raise RuntimeError("The second argument to `torch.jit.isinstance` must be a type or a tuple of types")
        return target is Any or isinstance(obj, target)
    if origin is typing.Union or origin is types.UnionType:
        return any(matches_type(obj, a if a is not None else type(None)) for a in args)
    if origin is list:
        return isinstance(obj, list) and all(matches_type(v, args[0]) for v in obj)
    if origin is dict:
        return isinstance(obj, dict) and all(
            matches_type(k, args[0]) and matches_type(v, args[1]) for k, v in obj.items()
        )
    if origin is tuple:
        wanted = [] if args == ((),) else list(args)
        return isinstance(obj, tuple) and len(obj) == len(wanted) and all(map(matches_type, obj, wanted))
    return False


def __getattr__(name: str) -> Any:
    """``BroadcastingList1``… live with the layers that take them, which load when something needs them."""
    from bridge.nn.modules import utils

    if name not in utils.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(utils, name)
