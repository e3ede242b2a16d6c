"""Functions of :mod:`bridge.nn.functional` that stand in files of their own."""

from __future__ import annotations

from typing import TypeVar

from bridge.jit.decorators import _overload

__all__ = ["overload"]

_F = TypeVar("_F")


def overload(fn: _F) -> _F:
    """Declare one signature of a function that programs know as ``torch.nn.functional``'s."""
    fn.__module__ = "bridge.nn.functional"
    return _overload(fn)  # type: ignore[return-value, arg-type]
