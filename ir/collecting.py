"""Pauses of Python's garbage collector, for work that makes many objects which stay."""

from __future__ import annotations

import gc
from contextlib import ContextDecorator

__all__ = ["uncollected"]


class uncollected(ContextDecorator):
    """While a program is compiled or exported nothing is collected: it would look at all objects of the process again and
    again, which takes most of the time where there are many (those of PyTorch, say), and find nothing."""

    def __init__(self) -> None:
        self._before: list[bool] = []

    def _recreate_cm(self) -> uncollected:
        return uncollected()

    def __enter__(self) -> None:
        self._before.append(gc.isenabled())
        gc.disable()

    def __exit__(self, *error: object) -> None:
        if self._before.pop():
            gc.enable()
