"""Text made by ``%``: of TorchScript's bare specifiers, and of everything else that Python formats.

TorchScript has ``%s``, ``%d``, ``%f`` and few more; it refuses the others at run time, so they mean here what they mean in
Python. ``%{…}`` is a field of ``str.format`` (``%{:>8.3f}``, ``%{!r}``): that is what f-strings become.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.ops._declare import declare
from bridge.ir.registry import unsupported
from bridge.ir.value_text import value_text

_SPECIFIER = re.compile(r"%(?:(?P<field>\{)|(?P<spec>[-+ #0]*\d*(?:\.\d+)?)(?P<kind>.?))", re.DOTALL)
_KINDS = frozenset("sdifeEFgGuxXocra")


def _plain(value: Any) -> Any:
    """A tensor of one element as the number that it is."""
    if isinstance(value, np.ndarray) or hasattr(value, "_array"):
        return value.item()
    return value


def _field_end(text: str, start: int) -> int:
    """Where the field that opens at ``start`` ends."""
    depth = 0
    for i in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    raise BridgeError(f"a field is not closed in the format string: {text}")


def _take(given: list[Any], count: int) -> list[Any]:
    if len(given) < count:
        raise BridgeError("Too few arguments for format string")
    taken = given[:count]
    del given[:count]
    return taken


def specifiers(text: str) -> Iterator[tuple[str, str, int]]:
    """(text before it, specifier, how many values it takes) of each; the last is ``""``, behind which there is nothing."""
    at = 0
    while (m := _SPECIFIER.search(text, at)) is not None:
        before, at = text[at : m.start()], m.end()
        if m["field"]:
            at = _field_end(text, m.end() - 1)
        found = text[m.start() : at]
        yield before, found, found.count("{") if m["field"] else int(found != "%%")
    yield text[at:], "", 0


def percent_format(text: str, *values: Any) -> str:
    """``"%s of %d" % (a, b)``. Raises BridgeError for the wrong number of values and unknown specifiers."""
    given = list(values[0]) if len(values) == 1 and isinstance(values[0], tuple) else list(values)
    out: list[str] = []
    for before, found, count in specifiers(text):
        out.append(before)
        if found.startswith("%{"):
            out.append(found[1:].format(*map(_plain, _take(given, count))))
        elif found:
            out.append(_one(found[1:-1], found[-1], given) if len(found) > 1 else _one("", "", given))
    if given:
        raise BridgeError("Too many arguments for format string")
    return "".join(out)


def _one(spec: str, kind: str, given: list[Any]) -> str:
    if kind == "%" and not spec:
        return "%"
    if not kind and not spec:
        raise BridgeError("Incomplete format specifier")
    if kind not in _KINDS:
        raise BridgeError(f"The specifier %{spec}{kind} is not supported in TorchScript format strings")
    value = _take(given, 1)[0]
    if kind == "s" and not spec:
        return value_text(value)
    try:
        return f"%{spec}{kind}" % (_plain(value),)
    except (TypeError, ValueError) as e:
        if isinstance(value, str):
            wanted = "an int or char" if kind == "c" else "a number"
            raise BridgeError(f"%{kind} requires {wanted} for formatting, but got String") from None
        raise BridgeError(f"{type(e).__name__}: {e}") from None


declare(
    "aten::percentFormat(str self, ...) -> str",
    percent_format,
    onnx=unsupported("ONNX programs have no strings that are made at run time"),
)
