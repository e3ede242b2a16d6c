"""Functions that are one of two others, by an argument that a compiler must know (``boolean_dispatch`` of torch)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["choose"]


def choose(
    name: str, argument: str, index: int, if_true: Callable[..., Any], if_false: Callable[..., Any]
) -> Callable[..., Any]:
    """One of two functions, by the bool ``argument`` at that index; a compiler decides when it compiles."""

    def run(*args: Any, **kwargs: Any) -> Any:
        flag = kwargs.get(argument, args[index] if index < len(args) else False)
        return (if_true if flag else if_false)(*args, **kwargs)

    if_false.__doc__ = if_true.__doc__
    run.__name__ = run.__qualname__ = name
    run.__doc__ = if_true.__doc__
    run.__boolean_dispatch__ = {  # type: ignore[attr-defined]
        "if_true": if_true, "if_false": if_false, "index": index, "default": False, "arg_name": argument,
    }  # fmt: skip
    return run
