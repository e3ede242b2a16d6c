"""What the elements of a list are made of: the places of a tuple, the attributes of an object, whether an optional is there."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.values import Abstract, Cell, Maybe, Unset
from bridge.ir import types as T
from bridge.ir.classes import ClassType

__all__ = ["PUT", "as_row", "built", "flat", "has_objects", "places", "split"]

#: Why a list or an object that became part of a list is not changed under its old name.
PUT = "it was put into another list, whose length is not known"


def places(t: T.Type) -> Sequence[T.Type]:
    """The types of the parts that elements of this type have; none where an element is one value."""
    if isinstance(t, ClassType):
        return [a.type for a in t.attributes.values()]
    if isinstance(t, T.OptionalType):
        return (T.BOOL, t.element)
    return t.contained() if isinstance(t, T.TupleType) else ()


def as_row(t: T.Type, sample: Abstract) -> tuple[Abstract, ...] | None:
    """The parts of a sample of an element, which tell types only; None where it tells nothing."""
    if isinstance(t, T.OptionalType) and not isinstance(sample, tuple | Unset):
        return _optional(t, sample)
    if isinstance(sample, Cell) and isinstance(t, ClassType):
        content = sample.sample
        return (
            tuple(content.get(n, Unset(a.type)) for n, a in t.attributes.items()) if isinstance(content, dict) else None
        )
    return sample if isinstance(sample, tuple) else None


def split(m: Machine, t: T.Type, x: Abstract) -> tuple[Abstract, ...]:
    """The parts of an element. An object does not change under another name from then on."""
    if isinstance(x, Unset):
        return tuple(map(Unset, places(t)))
    if isinstance(t, T.OptionalType):
        return _optional(t, x)
    if isinstance(x, Cell) and isinstance(t, ClassType):
        content = m.read(x)
        m.frozen.setdefault(x, PUT)
        return tuple(content.get(n, Unset(a.type)) for n, a in t.attributes.items())
    assert isinstance(x, tuple)
    return x


def built(m: Machine, t: T.Type, parts: tuple[Abstract, ...]) -> Abstract:
    """The element that has these parts."""
    if isinstance(t, ClassType):
        return m.new_cell(t, dict(zip(t.attributes, parts, strict=True)))
    return Maybe(*parts) if isinstance(t, T.OptionalType) else parts


def flat(m: Machine, t: T.Type, x: Abstract) -> Abstract:
    """An element as the values that it is made of, where those tell all there is to know of it."""
    if has_objects(t) and (isinstance(x, tuple) or (isinstance(x, Cell) and isinstance(t, ClassType))):
        return tuple(flat(m, p, v) for p, v in zip(places(t), split(m, t, x), strict=True))
    return x


def has_objects(t: T.Type) -> bool:
    """Whether values of this type are, or hold, objects that a program makes."""
    return any(isinstance(x, ClassType) for x in t.walk())


def _optional(t: T.OptionalType, x: Abstract) -> tuple[Abstract, ...]:
    if isinstance(x, Maybe):
        return x.present, x.value
    return (False, Unset(t.element)) if x is None else (True, x)
