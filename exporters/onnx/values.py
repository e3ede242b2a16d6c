"""What an IR value is while a program is lowered.

Lowering runs the program on *abstract values*. What is known now is a plain Python value: None, bool, int, float, str,
``numpy.ndarray`` for a tensor, tuple for a tuple. What is only known at run time is a :class:`Run`, an ONNX value. Lists
and dicts are :class:`Cell` s, whose content lives in the interpreter's heap, because several names may stand for one list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.dtypes import DType, by_name, by_numpy
from bridge.ir.types import Dim, Type

if TYPE_CHECKING:
    from bridge.ir.classes import ScriptObject

__all__ = [
    "BOOL", "DOUBLE", "INT64", "Abstract", "Cell", "Growing", "Maybe", "ObjectRef", "Poison", "Run", "RunList", "Stacked", "Text",
    "Unset", "View", "is_run", "leaves", "number_type", "same_static", "type_of",
]  # fmt: skip

INT64, DOUBLE, BOOL = by_name("int64"), by_name("float64"), by_name("bool")

Abstract = Any


@dataclass(slots=True, eq=False, frozen=True)
class View:
    """How a tensor shares memory with another: ``reapply(new base)`` makes it anew from the base's present value."""

    base: Run
    operator: str
    reapply: Callable[[Any], Any]
    write: Callable[[Any, Any, Any], Any] | None


class Run:
    """An ONNX value (``Lowered`` in bridge.ir.lowering): a tensor, or a number that only run time knows.

    ``number`` is the IR type of a number (INT, FLOAT, BOOL) and None for tensors. ``symbol`` names the free size that an int
    equals. ``constant`` is the value where it is a constant that no node makes yet. ``name`` is given when the model is
    written: ``hint`` is what it is called if that is free. ``fixed`` names are inputs and initializers.
    ``same_as`` is the value that this one is another view of (a number seen as a tensor): they share the ONNX value.
    ``joined``: it comes out of a branch, a loop or a list, so that it may be the same tensor as another value.
    """

    __slots__ = (
        "constant", "dims", "dtype", "fixed", "hint", "joined", "name", "named", "number", "same_as", "symbol", "view",
    )  # fmt: skip

    def __init__(
        self,
        dtype: DType,
        dims: tuple[Dim, ...] | None,
        hint: str = "",
        *,
        number: Type | None = None,
        symbol: str | None = None,
        fixed: bool = False,
    ) -> None:
        self.dtype, self.dims, self.hint, self.number, self.symbol = dtype, dims, hint, number, symbol
        self.name = hint if fixed else ""
        self.fixed = self.named = fixed
        self.joined = False
        self.same_as: Run | None = None
        self.constant: np.ndarray[Any, Any] | None = None
        self.view: View | None = None

    @property
    def rank(self) -> int | None:
        """Number of dimensions, or None."""
        return None if self.dims is None else len(self.dims)

    @property
    def is_list(self) -> bool:
        return False

    @property
    def root(self) -> Run:
        """The value that carries the ONNX name."""
        v = self
        while v.same_as is not None:
            v = v.same_as
        return v

    def like(self, hint: str = "") -> Run:
        """A new value of the same type."""
        return Run(self.dtype, self.dims, hint, number=self.number)

    def seen_as(self, number: Type | None) -> Run:
        """The same ONNX value as a number of that type, or (None) as a tensor."""
        if self.number is number:
            return self
        v = self.another()
        v.number = number
        return v

    def another(self) -> Run:
        """The same ONNX value as a tensor of its own."""
        v = Run(self.dtype, self.dims, self.hint, number=self.number, symbol=self.symbol)
        v.same_as, v.constant, v.named = self.root, self.constant, True
        return v

    def __repr__(self) -> str:
        return f"<Run {self.name or self.hint} {self.dtype.label}{self.dims}>"


class RunList(Run):
    """A ``List[Tensor]`` as an ONNX sequence; dtype and dims are the elements'."""

    __slots__ = ()

    @property
    def is_list(self) -> bool:
        return True

    def like(self, hint: str = "") -> RunList:
        return RunList(self.dtype, self.dims, hint)


class Cell:
    """A list or dict by identity; the heap holds its content.

    Content is never changed, only replaced: a Python tuple where the length of a list is known, a dict, a :class:`RunList`,
    a :class:`Run` of rank 1 (a list of numbers whose length is not known), :class:`Stacked` or :class:`Growing`.
    """

    __slots__ = ("type",)

    def __init__(self, type: Type) -> None:
        self.type = type

    def __repr__(self) -> str:
        return f"<Cell {self.type}>"


class Stacked:
    """A list of tensors of one shape, as one tensor with the list along dimension 0. ``run`` has rank 1 + the elements'."""

    __slots__ = ("run",)

    def __init__(self, run: Run) -> None:
        self.run = run


class Growing:
    """A list in a loop body that is only appended to: what this iteration appended. ``token`` tells which list it is."""

    __slots__ = ("appended", "token")

    def __init__(self, token: object, appended: tuple[Abstract, ...] = ()) -> None:
        self.token, self.appended = token, appended


class ObjectRef:
    """A module or object of the program and its path from the module being exported."""

    __slots__ = ("object", "path")

    def __init__(self, object: ScriptObject, path: str) -> None:
        self.object, self.path = object, path

    def __repr__(self) -> str:
        return f"<ObjectRef {self.path or '.'}>"


class Poison:
    """The value of a statement that could not be lowered; statements that use it are skipped, not reported."""

    def __repr__(self) -> str:
        return "POISON"


class Text:
    """A string with run-time values in it: literal pieces and values, in order. Only what is raised may be one."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: list[Any]) -> None:
        self.pieces = pieces


class Maybe:
    """An optional whose presence depends on data: a run-time bool, and the value, which is empty where there is none."""

    __slots__ = ("present", "value")

    def __init__(self, present: Abstract, value: Abstract) -> None:
        self.present, self.value = present, value


class Unset:
    """A value that ``prim::Uninitialized`` made: whatever is there, nobody looks."""

    __slots__ = ("type",)

    def __init__(self, type: Type) -> None:
        self.type = type


def is_run(v: Abstract) -> bool:
    """Whether the value is only known at run time."""
    return isinstance(v, Run)


def number_type(dtype: DType) -> Type:
    """The IR number type of a 0-d tensor's element type."""
    return {"b": T.BOOL, "i": T.INT, "f": T.FLOAT, "c": T.COMPLEX}[dtype.kind]


def leaves(v: Abstract) -> Iterator[Abstract]:
    """The value itself, or what a tuple holds, depth first."""
    if isinstance(v, tuple):
        for x in v:
            yield from leaves(x)
    else:
        yield v


def same_static(a: Abstract, b: Abstract) -> bool:
    """Whether two values known now are the same value (of the same type; a NaN equals itself)."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if isinstance(a, float):
        return str(a) == str(b)  # tells -0.0 from 0.0, and NaN is NaN
    if isinstance(a, ObjectRef):
        return a.object is b.object
    if isinstance(a, bool | int | str | complex):
        return bool(a == b)
    return False


def type_of(v: Abstract) -> Type:
    """The IR type, with dtype and dims of tensors."""
    if isinstance(v, RunList):
        return T.ListType(T.TensorType(v.dtype, v.dims))
    if isinstance(v, Run):
        return v.number if v.number is not None else T.TensorType(v.dtype, v.dims)
    if isinstance(v, np.ndarray):
        return T.TensorType(by_numpy(v.dtype), v.shape)
    if isinstance(v, tuple):
        return T.TupleType(*map(type_of, v))
    if isinstance(v, Cell | Unset):
        return v.type
    if isinstance(v, ObjectRef):
        return v.object.type
    simple: dict[type, Type] = {
        bool: T.BOOL,
        int: T.INT,
        float: T.FLOAT,
        complex: T.COMPLEX,
        str: T.STR,
        type(None): T.NONE,
    }
    return simple.get(type(v), T.ANY)
