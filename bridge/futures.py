"""Results that are there later: :class:`Future`, and the functions that make and await them. Here work is done at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

__all__ = ["Future", "collect_all", "fork", "wait", "wait_all"]

_T = TypeVar("_T")
_S = TypeVar("_S")


class Future(Generic[_T]):
    """A result that :func:`fork` gives, or that ``set_result`` sets; :func:`wait` gives it back."""

    def __init__(self, *, devices: Any = None) -> None:
        self._result: _T | None = None
        self._error: Exception | None = None
        self._done = False
        self._callbacks: list[Callable[[], None]] = []

    def done(self) -> bool:
        """Whether there is a result, or an exception."""
        return self._done

    def wait(self) -> _T:
        """The result. Raises what the computation raised, RuntimeError when nothing was set."""
        if self._error is not None:
            raise self._error
        if not self._done:
            raise RuntimeError("this Future has no result and nothing is under way that could set it")
        return cast(_T, self._result)

    value = wait

    def set_result(self, result: _T) -> None:
        """Complete the future. Raises RuntimeError when it is complete."""
        self._complete(result, None)

    def set_exception(self, error: Exception) -> None:
        """Complete the future with an exception, which :meth:`wait` raises."""
        self._complete(None, error)

    def _complete(self, result: Any, error: Exception | None) -> None:
        if self._done:
            raise RuntimeError(
                "Attempting to mark a completed Future as complete again. Note that a Future can only be marked completed "
                "once."
            )
        self._result, self._error, self._done = result, error, True
        for callback in self._callbacks:
            callback()

    def then(self, callback: Callable[[Future[_T]], _S]) -> Future[_S]:
        """A future of what ``callback(self)`` gives, called when this one is complete."""
        after: Future[_S] = Future()
        self._when_done(lambda: _fill(after, callback, self))
        return after

    def add_done_callback(self, callback: Callable[[Future[_T]], None]) -> None:
        """Call ``callback(self)`` when this one is complete."""
        self._when_done(lambda: callback(self))

    def _when_done(self, callback: Callable[[], None]) -> None:
        if self._done:
            callback()
        else:
            self._callbacks.append(callback)


def _fill(future: Future[Any], func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    try:
        result = func(*args, **kwargs)
    except Exception as e:  # noqa: BLE001 (raised where it is waited for)
        future.set_exception(e)
    else:
        future.set_result(result)


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Start ``func(*args, **kwargs)``; :func:`wait` gives its result. Here the call is made at once."""
    made: Future[Any] = Future()
    _fill(made, func, *args, **kwargs)
    return made


def wait(future: Any) -> Any:
    """The result of a :func:`fork`."""
    return future.wait()


_fork, _wait = fork, wait


def wait_all(futures: list[Any]) -> list[Any]:
    """The results of several futures."""
    return [f.wait() for f in futures]


def collect_all(futures: list[Any]) -> Future[list[Any]]:
    """A future of the list of these futures, complete when all of them are."""
    made: Future[list[Any]] = Future()
    left = [f for f in futures if not f.done()]

    def one_less() -> None:
        left.pop()
        if not left:
            made.set_result(futures)

    if not left:
        made.set_result(futures)
    for f in list(left):
        f._when_done(one_less)
    return made
