"""Switches of the gradient tape: ``no_grad``, ``enable_grad``, ``set_grad_enabled``, ``inference_mode``; per thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = [
    "enable_grad", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled", "no_grad", "set_grad_enabled", "state",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


class _State(threading.local):
    """Whether operations are recorded, and whether inference mode is on, in this thread."""

    enabled = True
    inference = False


#: The flag of a generator function's code (``inspect.CO_GENERATOR``; that module is slow to import).
_GENERATOR = 0x20

state = _State()


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require grad are recorded now."""
    return state.enabled


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on."""
    return state.inference


class _Switch:
    """A context manager that sets the switches, usable as a decorator (of functions and generators) as well."""

    def __init__(self, enabled: bool, inference: bool | None = None) -> None:
        self._wanted = enabled, inference
        self._before: list[tuple[bool, bool]] = []

    def _fresh(self) -> _Switch:
        return _Switch(*self._wanted)

    def __enter__(self) -> None:
        self._before.append((state.enabled, state.inference))
        enabled, inference = self._wanted
        state.enabled = enabled
        if inference is not None:
            state.inference = inference

    def __exit__(self, *error: object) -> None:
        state.enabled, state.inference = self._before.pop()

    def __call__(self, function: F) -> F:
        make = self._fresh
        if getattr(getattr(function, "__code__", None), "co_flags", 0) & _GENERATOR:

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Any:
                inner = function(*args, **kwargs)
                sent: Any = None
                while True:
                    with make():
                        try:
                            item = inner.send(sent)
                        except StopIteration as done:
                            return done.value
                    sent = yield item

            return generator  # type: ignore[return-value]

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with make():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def _decorates(cls: type) -> Callable[..., Any]:
    """``@no_grad`` without parentheses decorates too."""

    def new(cls: Any, function: Any = None) -> Any:
        self = object.__new__(cls)
        if function is None:
            return self
        cls.__init__(self)
        return _Switch.__call__(self, function)

    return new


class no_grad(_Switch):
    """Operations inside are not recorded. ``with no_grad():``, ``@no_grad()`` or ``@no_grad``."""

    def __init__(self) -> None:
        super().__init__(False)

    __new__ = _decorates(_Switch)


class enable_grad(_Switch):
    """Operations inside are recorded, also within :class:`no_grad`."""

    def __init__(self) -> None:
        super().__init__(True)

    __new__ = _decorates(_Switch)


class inference_mode(_Switch):
    """As :class:`no_grad`; with ``mode=False`` it does nothing."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode and state.enabled, mode)

    def __new__(cls, mode: Any = True) -> Any:
        self = object.__new__(cls)
        if isinstance(mode, bool):
            return self
        cls.__init__(self)
        return _Switch.__call__(self, mode)


class set_grad_enabled(_Switch):
    """Turn recording on or off now; as a context manager, the old state comes back at the end."""

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        self._before.append((state.enabled, state.inference))
        state.enabled = bool(mode)

    def __enter__(self) -> None:
        state.enabled = self._wanted[0]

    def __call__(self, function: F) -> F:
        self.__exit__()  # as a decorator it acts in the calls only
        return super().__call__(function)
