"""Types of values as short texts: ``float32[batch, 3]``, what annotations and reports say beyond ``Tensor``.

========================  =======================================================================
``float32[batch, 3, ?]``  a tensor: a free size with a name, a fixed size, a free size
``int64[]``               a tensor without dimensions
``float32[...]``          a tensor whose number of dimensions is not known
``?[2]``                  a tensor whose element type is not known
``seq(T)``                a list
``optional(T)``           None or a T
``map(int, T)``           a dict; keys are ``int`` or ``str``
========================  =======================================================================
"""

from __future__ import annotations

from bridge.ir import dtypes
from bridge.ir.types import FLOAT, INT, STR, DictType, Dim, ListType, OptionalType, TensorType, Type, optional

__all__ = ["hint_text", "parse_hint"]


def hint_text(t: Type) -> str | None:
    """The text of a type; None when it says no more than the Python annotation does, or has no such text."""
    return _text(t) if _says_something(t) else None


def _says_something(t: Type) -> bool:
    return any(isinstance(i, TensorType) and (i.dtype is not None or i.dims is not None) for i in t.walk())


def _text(t: Type) -> str | None:
    if isinstance(t, TensorType):
        dims = "..." if t.dims is None else ", ".join(map(_dim, t.dims))
        return f"{t.dtype.name if t.dtype is not None else '?'}[{dims}]"
    if isinstance(t, ListType | OptionalType):
        inside = _text(t.element)
        return inside and f"{'seq' if isinstance(t, ListType) else 'optional'}({inside})"
    if isinstance(t, DictType):
        inside = _text(t.value)
        return inside and f"map({t.key}, {inside})"
    return str(t) if t in (INT, FLOAT, STR) else None


def _dim(d: Dim) -> str:
    """A size, the name of a free size if it is a plain identifier, else ``?``."""
    if isinstance(d, str):
        return d if d.isidentifier() and d.isascii() else "?"
    return "?" if d is None else str(d)


def parse_hint(text: str) -> Type:
    """The type that a text of this form means. Raises ValueError with the text and what is wrong with it."""
    t, rest = _parse(text.strip(), text)
    if rest:
        raise ValueError(f"{text!r} is no type: '{rest}' is left over")
    return t


def _parse(s: str, whole: str) -> tuple[Type, str]:
    for word in ("seq(", "optional(", "map("):
        if s.startswith(word):
            rest = s[len(word) :].strip()
            key, separator = "", ""
            if word == "map(":
                key, separator, rest = rest.partition(",")
                if not separator or key.strip() not in ("int", "str"):
                    raise ValueError(f"{whole!r} is no type: the keys of a map are int or str")
            inside, rest = _parse(rest.strip(), whole)
            if not rest.startswith(")"):
                raise ValueError(f"{whole!r} is no type: ')' is missing")
            made = {
                "seq(": ListType(inside),
                "optional(": optional(inside),
                "map(": DictType(STR if key.strip() == "str" else INT, inside),
            }[word]
            return made, rest[1:].strip()
    return _parse_tensor(s, whole)


def _parse_tensor(s: str, whole: str) -> tuple[Type, str]:
    for name, simple in (("int", INT), ("float", FLOAT), ("str", STR)):
        if s == name or s.startswith(f"{name})"):
            return simple, s[len(name) :].strip()
    name, bracket, rest = s.partition("[")
    dims, closing, rest = rest.partition("]")
    if not bracket or not closing:
        raise ValueError(f"{whole!r} is no type: write it as float32[batch, 3], int64[] or float32[...]")
    try:
        dtype = None if name.strip() == "?" else dtypes.by_name(name.strip())
    except KeyError:
        raise ValueError(f"{whole!r} is no type: there is no element type '{name.strip()}'") from None
    if dims.strip() == "...":
        return TensorType(dtype), rest.strip()
    parts = [p.strip() for p in dims.split(",")] if dims.strip() else []
    return TensorType(dtype, [_parse_dim(p, whole) for p in parts]), rest.strip()


def _parse_dim(s: str, whole: str) -> Dim:
    if s == "?":
        return None
    if s.isdigit():
        return int(s)
    if s.isidentifier():
        return s
    raise ValueError(f"{whole!r} is no type: '{s}' is no size (a number, a name or ?)")
