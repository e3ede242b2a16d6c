"""Whether programs are compiled at all: ``PYTORCH_JIT=0`` in the environment leaves everything to Python, for debugging."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["disable", "enable", "is_enabled"]

_enabled = os.environ.get("PYTORCH_JIT", "1") != "0"


def is_enabled() -> bool:
    """Whether ``script`` and ``trace`` compile; otherwise they give back what they are given."""
    return _enabled


def enable() -> None:
    """Compile from here on."""
    global _enabled
    _enabled = True


def disable() -> None:
    """Leave everything to Python from here on."""
    global _enabled
    _enabled = False


def _hide_source_ranges() -> AbstractContextManager[None]:
    """For a ``with`` block, texts of graphs do not say where in the source nodes come from."""
    from bridge.ir.printer import hidden_places

    return hidden_places()


def __getattr__(name: str) -> Any:
    """The compiled functions by Python function, and the unit that owns them, under PyTorch's names."""
    if name == "_jit_caching_layer":
        from bridge.jit.script import _functions

        return _functions
    if name == "_python_cu":
        from bridge.jit.names import python_cu

        return python_cu
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
