"""What is being compiled right now, and from where: functions compile when the program that calls them is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bridge.ir.source import SourceRange

__all__ = ["compiling", "looking_at", "trail"]


class _Compiled:
    """A definition that is being compiled; ``range`` is the expression in it that the compiler looks at."""

    __slots__ = ("name", "range")

    def __init__(self, name: str, range: SourceRange | None) -> None:
        self.name, self.range = name, range


_stack: list[_Compiled] = []


def looking_at(range: SourceRange) -> None:
    """What is compiled from here on is compiled because of this expression."""
    if _stack:
        _stack[-1].range = range


@contextmanager
def compiling(name: str, range: SourceRange | None = None, *, called_only: bool = False) -> Iterator[None]:
    """Errors inside say that ``name`` is compiled, and from where. ``called_only``: not if nobody called it."""
    if called_only and not _stack:
        yield
        return
    _stack.append(_Compiled(name, range))
    try:
        yield
    finally:
        _stack.pop()


def trail() -> str:
    """Lines that say how the compiler came here, the definition that is compiled last first; empty when it was called directly."""
    lines = []
    for callee, caller in zip(_stack[:0:-1], _stack[-2::-1], strict=True):
        lines.append(f"'{callee.name}' is being compiled since it was called from '{caller.name}'")
        if caller.range is not None and (place := caller.range.highlight()):
            lines.append(place)
    return "\n".join(lines)
