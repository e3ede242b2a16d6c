"""Tensors made of lists: of an empty list the program's type says what the elements would be, not the value."""

from __future__ import annotations

from typing import Any

from bridge.ir import types as T

__all__ = ["empty_list_code"]

_CODES: dict[T.Type, int] = {T.INT: 4, T.BOOL: 11}


def empty_list_code(declared: T.Type, data: Any) -> int | None:
    """The number of the element type of ``tensor(data)`` if ``data`` holds nothing and is declared to hold ints or bools."""
    if not isinstance(declared, T.ListType) or not _is_empty(data):
        return None
    element: T.Type = declared
    while isinstance(element, T.ListType):
        element = element.element
    return _CODES.get(element)


def _is_empty(nested: Any) -> bool:
    return isinstance(nested, list | tuple) and all(map(_is_empty, nested))
