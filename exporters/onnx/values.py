"""What an IR value is while a program is lowered.

Lowering runs the program on *abstract values*. What is known now is a plain Python value: None, bool, int, float, str,
``numpy.ndarray`` for a tensor, tuple for a tuple. What is only known at run time is a :class:`Run`, an ONNX value. Lists
and dicts are :class:`Cell` s, whose content lives in the interpreter's heap, because several names may stand for one list.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.dtypes import DType, by_name, by_numpy
from bridge.ir.errors import LoweringError
from bridge.ir.types import Dim, Type

if TYPE_CHECKING:
    from bridge.ir.classes import ScriptObject

__all__ = [
    "BOOL",
    "DOUBLE",
    "INT64",
    "Abstract",
    "Appended",
    "Cell",
    "Choice",
    "Columns",
    "Element",
    "Filling",
    "Growing",
    "Home",
    "Maybe",
    "ObjectRef",
    "Poison",
    "Run",
    "RunList",
    "Stacked",
    "Text",
    "Unset",
    "View",
    "code_of",
    "element_dtype_of",
    "is_code",
    "is_run",
    "leaves",
    "map_content",
    "merge_dims",
    "number_dtype_of",
    "number_kind",
    "number_type",
    "runtime_type",
    "same_static",
    "type_of",
]  # fmt: skip

INT64, DOUBLE, BOOL = by_name("int64"), by_name("float64"), by_name("bool")

Abstract = Any


@dataclass(slots=True, eq=False, frozen=True)
class View:
    """How a tensor shares memory with another: ``reapply(new base)`` makes it anew from the base's present value.

    ``seen`` is what had been written to that memory when the view was made: until more is, the view is up to date.
    ``row`` is the position in the first dimension that it is, where it is one; ``part`` the dimension that it is a part of, and
    the start, end and step of a slice, or the position of a single row or column.
    """

    base: Run
    operator: str
    reapply: Callable[[Any], Any]
    write: Callable[[Any, Any, Any], Any] | None
    seen: Run | None
    row: Any = None
    part: tuple[int, tuple[Any, ...]] | None = None


@dataclass(slots=True, eq=False, frozen=True)
class Choice:
    """How a result of a branch is, depending on ``test``, one of two tensors that exist outside: it is read from them and
    written to them. A side that the branch made is None: that is ``own``, which has the value at first in any case.

    ``seen`` is what had been written to them when the branch ended.
    """

    test: Run
    sides: tuple[Run | None, Run | None]
    own: Run
    seen: Any


@dataclass(slots=True, eq=False, frozen=True)
class Element:
    """How a tensor is one of a list whose tensors the lowering does not tell apart: it is read from there again where the list
    changed, and written back. ``at`` counts from the front; ``seen`` is what the list held."""

    cell: Cell
    at: Any
    seen: Any


_born = itertools.count()


class Run:
    """An ONNX value (``Lowered`` in bridge.ir.lowering): a tensor, or a number that only run time knows.

    ``number`` is the IR type of a number (INT, FLOAT, BOOL; STR for one that stands for a string) and None for tensors. ``symbol`` names the free size that an int
    equals. ``constant`` is the value where it is a constant that no node makes yet. ``name`` is given when the model is
    written: ``hint`` is what it is called if that is free. ``fixed`` names are inputs and initializers.
    ``same_as`` is the value that this one is another view of (a number seen as a tensor): they share the ONNX value.
    ``joined``: it comes out of a branch, a loop or a list, so that it may be the same tensor as another value. ``viewed``: others
    are views of it.
    ``blank`` values are constants at which nobody looks. Of the root of an int (``ints``): ``sum_of`` is another int and a constant
    whose sum it is, ``least`` the least value it may have (of what a loop stacked: the least length), ``below`` a free size (or None) and a constant whose sum it is less than,
    ``count_of`` what it is where that is not negative. ``parts`` are the real and the imaginary part that it was joined of. ``padding`` says which
    steps of a batch of sequences count, where it stands for sequences of lengths of their own. ``born`` counts the values that were made before.
    """

    __slots__ = (
        "below", "blank", "born", "constant", "count_of", "dims", "dtype", "fixed", "hint", "joined", "least", "name", "named", "number",
        "padding", "parts", "same_as", "sum_of", "symbol", "view", "viewed",
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
        self.view: View | Choice | Element | None = None
        self.viewed = False
        self.born = next(_born)
        self.blank = False
        self.padding: Run | None = None
        self.sum_of: tuple[Run, int] | None = None
        self.least: int | None = None
        self.below: tuple[str | None, int] | None = None
        self.count_of: Run | None = None
        self.parts: tuple[Run, Run] | None = None

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
        v.same_as, v.constant, v.named, v.padding = self.root, self.constant, True, self.padding
        return v

    def __bool__(self) -> bool:
        if self.dtype.kind == "b" and self.dims == ():  # a flag of an operator, taken for what it would be now
            raise LoweringError("a flag of an operator here must be known when the model is exported")
        return True

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
    a :class:`Run` of rank 1 (a list of numbers whose length is not known), :class:`Stacked`, :class:`Columns` or :class:`Growing`.
    ``sample`` is a content that it had, which tells types only.
    """

    __slots__ = ("home", "sample", "type")

    def __init__(self, type: Type, sample: Any = None) -> None:
        self.type, self.sample = type, sample
        self.home: Home | None = None

    def __repr__(self) -> str:
        return f"<Cell {self.type}>"


class Home:
    """Where a list is that was taken out of another one at a position that only run time knows: ``write`` puts its new content
    back there. ``seen`` are the lists in which it is, with their contents when it was taken or written."""

    __slots__ = ("seen", "write")

    def __init__(self, write: Callable[[Any], None], seen: dict[Cell, Any]) -> None:
        self.write, self.seen = write, seen

    def holds(self, heap: Mapping[Any, Any]) -> bool:
        """Whether the lists are still what they were: nothing but ``write`` changed them."""
        return all(heap.get(c) is then for c, then in self.seen.items())


class Stacked:
    """A list of tensors of one shape, as one tensor with the list along dimension 0. ``run`` has rank 1 + the elements'."""

    __slots__ = ("run",)

    def __init__(self, run: Run) -> None:
        self.run = run


class Columns:
    """A list of tuples, objects or optionals whose length is not known: for each of their ``places``, the content of a list."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts


class Filling:
    """A list that a loop is assumed to append to only: ``read`` when it is read meanwhile, and ``samples`` of what it gets."""

    __slots__ = ("cell", "read", "samples")

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.read = False
        self.samples: list[Abstract] = []


class Appended:
    """What a loop body appends to a list in one iteration: an element, if ``when`` (True, or a run-time bool) holds.

    With ``rows`` it is the content of a list instead, all of whose elements are appended; as many in each iteration.
    """

    __slots__ = ("rows", "value", "when")

    def __init__(self, value: Abstract, when: Abstract = True, rows: bool = False) -> None:
        self.value, self.when, self.rows = value, when, rows


class Growing:
    """A list in a loop body that is only appended to: what this iteration appended so far."""

    __slots__ = ("appended", "token")

    def __init__(self, token: Filling, appended: tuple[Appended, ...] = ()) -> None:
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
    if isinstance(a, bool | int | str | complex | T.EnumValue):
        return bool(a == b)
    return False


def type_of(v: Abstract) -> Type:
    """The IR type, with dtype and dims of tensors."""
    if isinstance(v, RunList):
        return T.ListType(T.TensorType(v.dtype, v.dims))
    if isinstance(v, Run):
        return v.number if v.number is not None else T.TensorType(v.dtype, v.dims)
    if isinstance(v, T.EnumValue):
        return v.type
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


_DTYPES: dict[Type, DType] = {T.INT: INT64, T.FLOAT: DOUBLE, T.BOOL: BOOL}


def number_dtype_of(t: Type | None) -> DType | None:
    """The element type of the tensor that stands for a number, or for a list of numbers; None for other types."""
    return _DTYPES.get(t)  # type: ignore[arg-type]


def element_dtype_of(t: Type | None) -> DType | None:
    """The element type of a list of such values: numbers, and strings that depend on data, which are numbers that stand for them."""
    return INT64 if is_code(t) else number_dtype_of(t)


def is_code(t: Type | None) -> bool:
    """Whether values of a type that depend on data are numbers that stand for them: strings, and members of an enum."""
    return t is T.STR or isinstance(t, T.EnumType)


#: The strings that numbers stand for.
_coded: dict[int, str] = {}


def code_of(text: str | T.EnumValue) -> int:
    """The number that stands for a string where data says which one it is; they are compared only. Of an enum's member, its position.

    Raises LoweringError for a string whose number stands for another one already.
    """
    if isinstance(text, T.EnumValue):
        return [name for name, _ in text.type.members].index(text.name)
    code = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
    if _coded.setdefault(code, text) != text:
        raise LoweringError(f"the strings {text!r} and {_coded[code]!r} cannot be told apart in a model")
    return code


def merge_dims(a: tuple[Dim, ...] | None, b: tuple[Dim, ...] | None) -> tuple[Dim, ...] | None:
    """What is true of both shapes."""
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple(x if x == y else None for x, y in zip(a, b, strict=True))


def number_kind(v: Abstract) -> Type | None:
    """INT, FLOAT or BOOL of a number; None for tensors and the rest."""
    if isinstance(v, Run):
        return v.number
    return {bool: T.BOOL, int: T.INT, float: T.FLOAT}.get(type(v))


def runtime_type(v: Abstract) -> tuple[DType, tuple[Dim, ...] | None, Type | None] | None:
    """(dtype, dims, number type) of what can be an ONNX value; None for what cannot."""
    if isinstance(v, Run) and not isinstance(v, RunList):
        return v.dtype, v.dims, v.number
    if isinstance(v, np.ndarray):
        return by_numpy(v.dtype), v.shape, None
    if isinstance(v, str):
        return INT64, (), T.STR
    if isinstance(v, T.EnumValue):
        return INT64, (), v.type
    kind = number_kind(v)
    return None if kind is None else (_DTYPES[kind], (), kind)


def map_content(content: Any, f: Callable[[Any], Any]) -> Any:
    """The content of a list or dict with ``f`` of each element, or of each ONNX value that stands for many."""
    if isinstance(content, tuple):
        return tuple(map(f, content))
    if isinstance(content, dict):
        return {k: f(x) for k, x in content.items()}
    if isinstance(content, Stacked):
        return Stacked(f(content.run))
    if isinstance(content, Columns):
        return Columns(tuple(map_content(p, f) for p in content.parts))
    return f(content)
