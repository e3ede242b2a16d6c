"""Text that remembers which source range each part came from, and the types' Python spelling with given names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.ir import types as T
from bridge.ir.classes import ClassType, FunctionType, InterfaceType
from bridge.ir.source import SourceRange

__all__ = ["Ranges", "TaggedText", "TypeNames", "annotation"]

#: Gives another name to a named type (archives rename classes that clash), or None to keep its own.
TypeNames = Callable[[T.Type], "str | None"]

#: The ranges of the nodes being printed, innermost last. One list, shared by all texts of a printer.
Ranges = list["SourceRange | None"]


class TaggedText:
    """Appends text; notes the byte offset at which another range than before begins.

    ``raw`` pieces (separators and the like, in torch C strings) note the range even when they are empty, ``add`` pieces
    do not: that is where two ranges may begin at one offset.
    """

    __slots__ = ("current", "parts", "ranges", "size")

    def __init__(self, current: Ranges) -> None:
        self.current = current
        self.parts: list[str] = []
        self.ranges: list[tuple[int, SourceRange | None]] = []
        self.size = 0

    def add(self, text: str) -> TaggedText:
        """Append a string; an empty one leaves no trace."""
        return self.raw(text) if text else self

    def raw(self, text: str) -> TaggedText:
        """Append a fixed piece of text."""
        top = self.current[-1]
        if not self.ranges or self.ranges[-1][1] != top:
            self.ranges.append((self.size, top))
        self.parts.append(text)
        self.size += len(text) if text.isascii() else len(text.encode())
        return self

    def join(self, other: TaggedText) -> TaggedText:
        """Append another tagged text with its own ranges."""
        for offset, range in other.ranges:
            if not self.ranges or self.ranges[-1][1] != range:
                self.ranges.append((self.size + offset, range))
        self.parts.extend(other.parts)
        self.size += other.size
        return self

    def joined(self, others: Sequence[TaggedText], begin: str = "", end: str = "") -> TaggedText:
        """Append texts with commas between them."""
        self.raw(begin)
        delimiter = ""
        for o in others:
            self.raw(delimiter).join(o)
            delimiter = ", "
        return self.raw(end)

    def __str__(self) -> str:
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""


def annotation(t: T.Type, names: TypeNames | None = None) -> str:
    """``type.annotation()`` with the names of classes, NamedTuples, enums and interfaces that ``names`` gives."""
    if names is None:
        return t.annotation()
    if isinstance(t, ClassType | InterfaceType | T.EnumType | FunctionType) or (isinstance(t, T.TupleType) and t.name):
        return names(t) or t.annotation()
    if isinstance(t, T.UnionType) or not t.contained():
        return t.annotation() if not any(_is_named(i) for i in t.walk()) else _union(t, names)
    inside = ", ".join(annotation(i, names) for i in t.contained())
    return f"{t.annotation().partition('[')[0]}[{inside}]"


def _is_named(t: T.Type) -> bool:
    return isinstance(t, ClassType | InterfaceType | T.EnumType) or (isinstance(t, T.TupleType) and bool(t.name))


def _union(t: T.Type, names: TypeNames) -> str:
    return f"Union[{', '.join(annotation(i, names) for i in t.contained())}]"
