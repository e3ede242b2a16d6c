"""What the values of random programs are: more than a type, enough to write only what cannot go wrong.

Numbers in variables stay small (``LIMIT``), so that nothing overflows however often a loop runs. Float values are *exact*
(whole numbers, which every runtime adds up alike) or not; only exact ones decide branches or become ints.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "APPROX", "BOOL", "DTYPES", "FLOAT", "INT", "LIMIT", "Dic", "Expr", "Kind", "ListOf", "Named", "Num", "Opt", "Ten", "Tup", "Var",
    "broadcast", "promote",
]  # fmt: skip

#: The largest magnitude of a number in a variable.
LIMIT = 60

#: Element types, the weaker first.
DTYPES = ("bool", "uint8", "int32", "int64", "float16", "float32", "float64")
_SCALAR_DTYPES = {"bool": "bool", "int": "int64", "float": "float32"}


class Kind:
    """What a value is."""

    def annotation(self) -> str:
        """The type as a program writes it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Num(Kind):
    """int, float or bool."""

    name: str
    exact: bool = True

    def annotation(self) -> str:
        return self.name


INT, FLOAT, BOOL, APPROX = Num("int"), Num("float"), Num("bool"), Num("float", exact=False)


@dataclass(frozen=True)
class Ten(Kind):
    """A tensor; dims are numbers or names of free sizes."""

    dtype: str
    shape: tuple[int | str, ...]
    exact: bool = True

    def annotation(self) -> str:
        return "Tensor"

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("float")


@dataclass(frozen=True)
class ListOf(Kind):
    """A list, of numbers or tensors of one kind."""

    element: Kind

    def annotation(self) -> str:
        return f"List[{self.element.annotation()}]"


@dataclass(frozen=True)
class Tup(Kind):
    """A tuple."""

    elements: tuple[Kind, ...]

    def annotation(self) -> str:
        return f"Tuple[{', '.join(e.annotation() for e in self.elements)}]"


@dataclass(frozen=True)
class Named(Kind):
    """A NamedTuple class of the program."""

    name: str
    fields: tuple[tuple[str, Kind], ...]

    def annotation(self) -> str:
        return self.name


@dataclass(frozen=True)
class Opt(Kind):
    """An Optional."""

    element: Kind

    def annotation(self) -> str:
        return f"Optional[{self.element.annotation()}]"


@dataclass(frozen=True)
class Dic(Kind):
    """A dict with these keys."""

    keys: tuple[str, ...]
    element: Kind

    def annotation(self) -> str:
        return f"Dict[str, {self.element.annotation()}]"


@dataclass
class Var:
    """A variable. ``groups`` names the memory that it may share: variables that have one in common may be one tensor or list.

    ``fixed`` variables (loop counters) are not assigned; ``shown`` ones (a list that a loop runs over, memory with
    overlaps) are not written to in place. ``index`` is the size that an int is an index of; ``least`` the smallest length of
    a list that is never shortened. ``dense`` memory is in row order for certain, so that it can be seen in another shape.
    """

    name: str
    kind: Kind
    groups: set[int] = field(default_factory=set)
    fixed: bool = False
    shown: bool = False
    index: int | str | None = None
    least: int | None = None
    dense: bool = False


@dataclass
class Expr:
    """Text, its kind, the largest magnitude that its numbers can have, and the memory that it may be (empty: a new value)."""

    text: str
    kind: Kind
    bound: float = LIMIT
    groups: frozenset[int] = frozenset()
    shown: bool = False


def _combined(higher: str | None, lower: str | None) -> str | None:
    if higher is None or lower is None:
        return higher or lower
    if higher.startswith("float"):
        return higher
    return max(higher, lower, key=DTYPES.index) if higher == "bool" or lower.startswith("float") else higher


def promote(*kinds: Kind) -> str:
    """The element type of an operation on tensors and numbers: dimensions rank before none, and these before numbers."""
    levels: list[str | None] = [None, None, None]
    for k in kinds:
        dtype = k.dtype if isinstance(k, Ten) else _SCALAR_DTYPES[k.annotation()]
        at = 2 if isinstance(k, Num) else (0 if isinstance(k, Ten) and k.shape else 1)
        now = levels[at]
        levels[at] = dtype if now is None else max(now, dtype, key=DTYPES.index)
    found = _combined(_combined(levels[0], levels[1]), levels[2])
    assert found is not None
    return found


def broadcast(shape: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    """Whether ``other`` broadcasts to ``shape``."""
    if len(other) > len(shape):
        return False
    return all(b in (a, 1) for a, b in zip(reversed(shape), reversed(other), strict=False))
