"""Calls that are made when their results are asked for: ``torch.jit._Await``, and the functions that make and ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["_Await", "_awaitable", "_awaitable_nowait", "_awaitable_wait"]

_W = TypeVar("_W")


class _Await(Generic[_W]):
    """A call that :func:`_awaitable` keeps for later. To look at an attribute of it is to look at its result's."""

    def __init__(self, fn: Callable[..., _W] | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._fn, self._args, self._kwargs = fn, args, kwargs
        self._made: tuple[_W] | None = None if fn is not None else args

    def wait(self) -> _W:
        """The result; the first time, the call is made."""
        if self._made is None:
            assert self._fn is not None
            self._made = (self._fn(*self._args, **self._kwargs),)
        return self._made[0]

    def fn(self) -> Callable[..., _W]:
        """What is to be called. Raises RuntimeError when there was a result from the beginning."""
        if self._fn is None:
            raise RuntimeError("Await constructed as awaitable_nowait does not have fn")
        return self._fn

    def args(self) -> tuple[Any, ...]:
        """The arguments of the call, or the result that was there from the beginning, as the only one."""
        return self._args

    def is_nowait(self) -> bool:
        """Whether there was a result from the beginning."""
        return self._fn is None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copying and pickling ask for what is not there
            raise AttributeError(name)
        return getattr(self.wait(), name)


def _awaitable(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Keep the call ``func(*args, **kwargs)`` for when :func:`_awaitable_wait` asks for its result."""
    return _Await(func, args, kwargs)


def _awaitable_wait(aw: Any) -> Any:
    """The result of an :func:`_awaitable`. Raises TypeError for anything else."""
    if not hasattr(type(aw), "wait"):
        raise TypeError(f"_awaitable_wait() takes what _awaitable() gives, not {type(aw).__name__!r}")
    return aw.wait()


def _awaitable_nowait(o: Any) -> Any:
    """An awaitable that has its result already."""
    return _Await(None, (o,), {})
