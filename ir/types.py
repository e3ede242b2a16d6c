"""The types of values: TorchScript's, with its two spellings.

``str(type)`` is the spelling of graph texts (``int[]``, ``Tensor?``, ``Float(3, 4, strides=[4, 1], …)``),
``type.annotation()`` the one of printed Python (``List[int]``, ``Optional[Tensor]``, ``Tensor``).
Types are immutable and compared by structure; classes and interfaces by identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from bridge.ir.dtypes import DType
from bridge.ir.inspection import CallableTuple, TypeNames

__all__ = [
    "ANY",
    "BOOL",
    "COMPLEX",
    "DEVICE",
    "FLOAT",
    "GENERATOR",
    "INT",
    "NONE",
    "NUMBER",
    "STR",
    "TENSOR",
    "AwaitType",
    "DictType",
    "Dim",
    "EnumType",
    "FutureType",
    "ListType",
    "OptionalType",
    "SimpleType",
    "TensorType",
    "TupleType",
    "Type",
    "UnionType",
    "VarType",
    "alternatives",
    "optional",
    "unify",
    "unify_all",
    "union",
]  # fmt: skip

#: A dimension: its size, the name of a free size, or None when nothing is known.
Dim = int | str | None


class Type(TypeNames):
    """Base of all types."""

    __slots__ = ()

    def annotation(self) -> str:
        """The spelling in printed Python."""
        return str(self)

    def contained(self) -> Sequence[Type]:
        """The types inside (element types of a list, a tuple…)."""
        return ()

    def is_subtype_of(self, other: Type) -> bool:
        """Whether every value of this type is a value of ``other`` (TorchScript's rules: int is no float)."""
        if self == other or other is ANY:
            return True
        if isinstance(other, OptionalType):
            if isinstance(self, OptionalType):
                return self.element.is_subtype_of(other.element)
            return self is NONE or self.is_subtype_of(other.element)
        if isinstance(other, UnionType):
            return all(any(m.is_subtype_of(o) for o in other.members) for m in members_of(self))
        if isinstance(self, UnionType):
            return all(m.is_subtype_of(other) for m in self.members)
        if isinstance(self, OptionalType):
            return False
        if isinstance(other, VarType):  # AnyList, AnyTuple, AnyEnum, AnyClass: every type of that shape
            return other.name == _ANY_OF_SHAPE.get(type(self).__name__)
        return self._subtype(other)

    def _subtype(self, other: Type) -> bool:
        return False

    def walk(self) -> Iterator[Type]:
        """This type and all types inside it."""
        yield self
        for t in self.contained():
            yield from t.walk()


_ANY_OF_SHAPE = {"ListType": "AnyList", "TupleType": "AnyTuple", "EnumType": "AnyEnum", "ClassType": "AnyClass"}


#: What a list and a tuple of anything are called in texts.
_ANY_NAMES = {"AnyList": "list", "AnyTuple": "tuple"}


class SimpleType(Type):
    """A type with nothing inside: int, float, bool, complex, str, None, Device, Generator, number, Any."""

    __slots__ = ("name", "python")

    def __init__(self, name: str, python: str | None = None) -> None:
        self.name, self.python = name, python or name

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__

    def annotation(self) -> str:
        return self.python

    def _subtype(self, other: Type) -> bool:
        return other is NUMBER and self in (INT, FLOAT, COMPLEX)

    def __reduce__(self) -> str:
        return {"number": "NUMBER", "NoneType": "NONE"}.get(self.name, self.name.upper())


INT = SimpleType("int")
FLOAT = SimpleType("float")
BOOL = SimpleType("bool")
COMPLEX = SimpleType("complex")
STR = SimpleType("str")
NONE = SimpleType("NoneType")
DEVICE = SimpleType("Device")
GENERATOR = SimpleType("Generator")
NUMBER = SimpleType("Scalar", "number")
ANY = SimpleType("Any")


class TensorType(Type):
    """A tensor; what is not known is None.

    ``dims`` has one entry per dimension: a size, the name of a free size, or None; ``dims is None`` means that the
    rank is unknown. ``TENSOR`` (nothing known) is the type that annotations mean.
    """

    __slots__ = ("device", "dims", "dtype", "requires_grad", "strides")

    def __init__(
        self,
        dtype: DType | None = None,
        dims: Sequence[Dim] | None = None,
        strides: Sequence[int] | None = None,
        requires_grad: bool | None = None,
        device: str | None = None,
    ) -> None:
        self.dtype, self.requires_grad, self.device = dtype, requires_grad, device
        self.dims = None if dims is None else tuple(dims)
        self.strides = None if strides is None else CallableTuple(strides)

    @property
    def rank(self) -> int | None:
        """Number of dimensions, or None."""
        return None if self.dims is None else len(self.dims)

    def _key(self) -> tuple[Any, ...]:
        return self.dtype, self.dims, self.strides, self.requires_grad, self.device

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorType) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        if self.dtype is None and self.dims is None and self.requires_grad is None:
            return "Tensor"
        label = self.dtype.label if self.dtype is not None else "Tensor"
        if self.dims is None:
            parts = ["*"] if self.dtype is not None else []
        else:
            parts = ["*" if d is None else str(d) for d in self.dims]
        if self.strides is not None:
            parts.append(f"strides=[{', '.join(map(str, self.strides))}]")
        if self.requires_grad is not None:
            parts.append(f"requires_grad={int(self.requires_grad)}")
        if self.device is not None:
            parts.append(f"device={self.device}")
        return f"{label}({', '.join(parts)})"

    __repr__ = __str__

    def annotation(self) -> str:
        return "Tensor"

    def _subtype(self, other: Type) -> bool:
        if not isinstance(other, TensorType):
            return False
        if other.dims is not None:
            if self.dims is None or len(self.dims) != len(other.dims):
                return False
            if any(o is not None and o != d for d, o in zip(self.dims, other.dims, strict=True)):
                return False
        return (
            other.dtype in (None, self.dtype)
            and other.strides in (None, self.strides)
            and other.requires_grad in (None, self.requires_grad)
            and other.device in (None, self.device)
        )

    def merge(self, other: TensorType) -> TensorType:
        """The most that is true of both."""
        if self == other:
            return self
        dims: tuple[Dim, ...] | None = None
        if self.dims is not None and other.dims is not None and len(self.dims) == len(other.dims):
            dims = tuple(a if a == b else None for a, b in zip(self.dims, other.dims, strict=True))
        return TensorType(
            self.dtype if self.dtype is other.dtype else None,
            dims,
            self.strides if self.strides == other.strides else None,
            self.requires_grad if self.requires_grad == other.requires_grad else None,
            self.device if self.device == other.device else None,
        )


TENSOR = TensorType()


class _Container(Type):
    """Shared by the types with types inside: structural equality."""

    __slots__ = ("_inside",)

    def __init__(self, *inside: Type) -> None:
        self._inside = CallableTuple(inside)

    def contained(self) -> Sequence[Type]:
        return self._inside

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._inside == other._inside

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._inside))

    def __repr__(self) -> str:
        return str(self)


class ListType(_Container):
    """``List[T]``; invariant in its element."""

    __slots__ = ()

    @property
    def element(self) -> Type:
        return self._inside[0]

    def __str__(self) -> str:
        return f"{self.element}[]"

    def annotation(self) -> str:
        return f"List[{self.element.annotation()}]"


class OptionalType(_Container):
    """``Optional[T]``. Build it with :func:`optional`, which flattens."""

    __slots__ = ()

    @property
    def element(self) -> Type:
        return self._inside[0]

    def __str__(self) -> str:
        return f"{self.element}?"

    def annotation(self) -> str:
        return f"Optional[{self.element.annotation()}]"


class _Pending(_Container):
    """A type of values that are there later."""

    __slots__ = ()
    word: ClassVar[str]

    @property
    def element(self) -> Type:
        return self._inside[0]

    def __str__(self) -> str:
        return f"{self.word}({self.element})"

    def annotation(self) -> str:
        return f"{self.word}[{self.element.annotation()}]"

    def _subtype(self, other: Type) -> bool:
        return isinstance(other, _Pending) and other.word == self.word and self.element.is_subtype_of(other.element)


class FutureType(_Pending):
    """``Future[T]``, the result of ``fork``."""

    __slots__ = ()
    word = "Future"


class AwaitType(_Pending):
    """``Await[T]``, a call that is made when its result is asked for."""

    __slots__ = ()
    word = "Await"


class DictType(_Container):
    """``Dict[K, V]``; invariant."""

    __slots__ = ()

    @property
    def key(self) -> Type:
        return self._inside[0]

    @property
    def value(self) -> Type:
        return self._inside[1]

    def __str__(self) -> str:
        return f"Dict({self.key}, {self.value})"

    def annotation(self) -> str:
        return f"Dict[{self.key.annotation()}, {self.value.annotation()}]"


class TupleType(_Container):
    """``Tuple[A, B]``, or a NamedTuple when ``name`` and ``fields`` are given. Covariant."""

    __slots__ = ("defaults", "fields", "name")

    def __init__(
        self, *inside: Type, name: str | None = None, fields: Sequence[str] = (), defaults: Sequence[Any] = ()
    ) -> None:
        super().__init__(*inside)
        self.name, self.fields, self.defaults = name, tuple(fields), tuple(defaults)

    @property
    def elements(self) -> Sequence[Type]:
        return self._inside

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TupleType):
            return False
        return self._inside == other._inside and self.name == other.name and self.fields == other.fields

    def __hash__(self) -> int:
        return hash(("TupleType", self._inside, self.name))

    def __str__(self) -> str:
        inside = ", ".join(map(str, self._inside))
        if self.name:
            return self.name
        return f"({inside})"

    def annotation(self) -> str:
        if self.name:
            return self.name
        return f"Tuple[{', '.join(t.annotation() for t in self._inside) or '()'}]"

    def _subtype(self, other: Type) -> bool:
        if not isinstance(other, TupleType) or len(self._inside) != len(other._inside):
            return False
        if other.name is not None and self.name != other.name:
            return False
        return all(a.is_subtype_of(b) for a, b in zip(self._inside, other._inside, strict=True))


class UnionType(_Container):
    """``Union[A, B, …]`` of at least two members. Build it with :func:`union`, which flattens and sorts."""

    __slots__ = ()

    @property
    def members(self) -> Sequence[Type]:
        return self._inside

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnionType) and set(self._inside) == set(other._inside)

    def __hash__(self) -> int:
        return hash(("UnionType", frozenset(self._inside)))

    def __str__(self) -> str:
        return f"Union({', '.join(map(str, self._inside))})"

    def annotation(self) -> str:
        return f"Union[{', '.join(t.annotation() for t in self._inside)}]"


class EnumType(Type):
    """A Python enum; ``members`` are (name, value) pairs, ``value`` the type of the values."""

    __slots__ = ("members", "name", "python", "value")

    def __init__(self, name: str, value: Type, members: Sequence[tuple[str, Any]], python: Any = None) -> None:
        self.name, self.value, self.members, self.python = name, value, tuple(members), python

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EnumType) and self.name == other.name and self.members == other.members

    def __hash__(self) -> int:
        return hash(("EnumType", self.name))

    def __str__(self) -> str:
        return f"Enum<{self.name}>"

    __repr__ = __str__

    def annotation(self) -> str:
        return self.name


class EnumValue:
    """A member of an enum, as the value of a constant: its type and its name."""

    __slots__ = ("name", "type")

    def __init__(self, type: EnumType, name: str) -> None:
        self.type, self.name = type, name

    @property
    def value(self) -> Any:
        """The member's value. Raises KeyError when the type does not list it."""
        for name, value in self.type.members:
            if name == self.name:
                return value
        raise KeyError(self.name)

    @property
    def member(self) -> Any:
        """The member of the Python enum, where there is one; else this."""
        return self if self.type.python is None else self.type.python[self.name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EnumValue) and self.name == other.name and self.type == other.type

    def __hash__(self) -> int:
        return hash((self.type.name, self.name))

    def __repr__(self) -> str:
        return f"{self.type.name}.{self.name}"


class VarType(Type):
    """A free type in an operator's schema: the ``t`` of ``aten::append.t(t[](a!) self, t el)``."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VarType) and self.name == other.name

    def __hash__(self) -> int:
        return hash(("VarType", self.name))

    def __str__(self) -> str:
        return _ANY_NAMES.get(self.name, self.name)

    __repr__ = __str__


def members_of(t: Type) -> Sequence[Type]:
    """The alternatives of a type: of an Optional its element and None, of a Union its members, else itself."""
    if isinstance(t, OptionalType):
        return (*members_of(t.element), NONE)
    if isinstance(t, UnionType):
        return t.members
    return (t,)


def optional(t: Type) -> Type:
    """``Optional[t]``; an Optional, None or Any stays what it is."""
    if isinstance(t, OptionalType) or t in (NONE, ANY):
        return t
    if isinstance(t, UnionType):
        return union(*t.members, NONE)
    return OptionalType(t)


#: The order of a Union's members: by kind, then by text.
_KIND_ORDER = (
    "Any", "EnumType", "TensorType", "TupleType", "ListType", "DictType", "Scalar", "float", "complex", "FutureType", "AwaitType", "int",
    "NoneType", "str", "Generator", "bool", "OptionalType", "VarType", "Device", "ClassType", "InterfaceType",
)  # fmt: skip


def _order(t: Type) -> tuple[int, str]:
    kind = t.name if isinstance(t, SimpleType) else type(t).__name__
    return (_KIND_ORDER.index(kind) if kind in _KIND_ORDER else len(_KIND_ORDER)), str(t)


def alternatives(*types: Type) -> list[Type]:
    """The members of a Union of the types: flattened, those that unify merged (None apart), sorted."""
    flat = [m for t in types for m in members_of(t)]
    end = len(flat) - 1
    for i in range(len(flat) - 1, 0, -1):
        for j in range(min(i - 1, end), -1, -1):
            merged = None if (flat[i] is NONE) != (flat[j] is NONE) else unify(flat[i], flat[j])
            if merged is not None:
                flat[j], flat[i] = merged, flat[end]
                end -= 1
                break
    return sorted(flat[: end + 1], key=_order)


def union(*types: Type) -> Type:
    """``Union[…]`` of the :func:`alternatives`; one alternative is that type, with None an Optional."""
    flat = alternatives(*types)
    if len(flat) == 1:
        return flat[0]
    if NONE in flat:
        rest = [t for t in flat if t is not NONE]
        if len(rest) == 1:
            return OptionalType(rest[0])
        if set(rest) == {INT, FLOAT, COMPLEX}:
            return OptionalType(NUMBER)
    if set(flat) == {INT, FLOAT, COMPLEX}:
        return NUMBER
    return UnionType(*flat)


def unify(a: Type, b: Type, to_union: bool = False, hint: Type | None = None) -> Type | None:
    """The type of a value that is an ``a`` or a ``b``; None when there is none (with ``to_union``, then a Union).

    TorchScript's rule for the two branches of an ``if`` and the elements of a list. ``hint`` is a common parent that the
    program names, e.g. an interface.
    """
    found = _unify(a, b, to_union)
    if found is None and hint is not None and a.is_subtype_of(hint) and b.is_subtype_of(hint):
        return hint
    return union(a, b) if found is None and to_union else found


def _unify(a: Type, b: Type, to_union: bool) -> Type | None:
    if a.is_subtype_of(b):
        return b
    if b.is_subtype_of(a):
        return a
    if isinstance(a, TensorType) and isinstance(b, TensorType):
        return a.merge(b)
    if a is NONE:
        return optional(b)
    if b is NONE:
        return optional(a)
    if isinstance(a, OptionalType):
        inner = unify(a.element, b)
        if inner is not None:
            return optional(inner)
    elif isinstance(b, OptionalType):
        inner = unify(b.element, a)
        if inner is not None:
            return optional(inner)
    if isinstance(a, TupleType) and isinstance(b, TupleType):
        if len(a.elements) != len(b.elements):
            return None
        both = [unify(x, y, to_union) for x, y in zip(a.elements, b.elements, strict=True)]
        return None if any(t is None for t in both) else TupleType(*[t for t in both if t])
    if isinstance(a, _Pending) and isinstance(b, _Pending) and a.word == b.word:
        inner = unify(a.element, b.element)
        return None if inner is None else type(a)(inner)
    ua, ub = unshaped(a), unshaped(b)
    if (ua, ub) != (a, b):
        return ub if ua.is_subtype_of(ub) else ua if ub.is_subtype_of(ua) else None
    return None


def unify_all(types: Sequence[Type], to_union: bool = False, hint: Type | None = None) -> Type | None:
    """:func:`unify` of one or more types, from left to right."""
    result: Type | None = types[0]
    for t in types[1:]:
        assert result is not None
        result = unify(result, t, to_union, hint)
        if result is None:
            return None
    return result


def is_class(t: Type) -> bool:
    """Whether the type is a class or module type."""
    from bridge.ir.classes import ClassType

    return isinstance(t, ClassType)


def unshaped(t: Type) -> Type:
    """The type without what is known of its tensors' shapes and dtypes (torch's ``unshapedType``)."""
    if isinstance(t, TensorType):
        return TENSOR
    if isinstance(t, TupleType):
        return TupleType(*map(unshaped, t.elements), name=t.name, fields=t.fields, defaults=t.defaults)
    if isinstance(t, ListType | OptionalType | DictType | _Pending | UnionType):
        return type(t)(*map(unshaped, t.contained()))
    return t
