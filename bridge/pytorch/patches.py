"""What PyTorch itself must be told for the time of a trace, because its Python code asks whether one is going on.

Replaced, and put back: the questions ``torch.jit.is_tracing()`` and its like, the map of module names and the calls that
open and close a module's scope, the class of tracing warnings, and the checks by which functions written in Python hand
themselves over to a function mode. Other threads are answered as before.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

from bridge.ir.errors import UnsupportedError
from bridge.jit.frames import calling_torch
from bridge.jit.trace_warnings import FrozenWarning, TracerWarning
from bridge.pytorch import library

__all__ = ["Answers", "asked", "continues", "continuing", "recomputes_sizes", "warning_classes"]

_HERE = os.path.join("pytorch", "recording.py")
_CHECKS = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """For a ``with`` block, another value of an attribute."""
    old = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, old)


def here(mine: Callable[..., Any], others: Callable[..., Any]) -> Callable[..., Any]:
    """One function for this thread, another for all others."""
    thread = threading.get_ident()

    def choose(*args: Any, **kwargs: Any) -> Any:
        return (mine if threading.get_ident() == thread else others)(*args, **kwargs)

    return choose


@contextmanager
def continuing(function: Any) -> Iterator[None]:
    """Functions of the module that defines ``function`` do not hand themselves over to the active mode."""
    with ExitStack() as stack:
        _let_continue(stack, function.__globals__)
        yield


def _never(*_: Any) -> bool:
    """Whether functions hand themselves over: only one that makes sizes of tensors, which PyTorch takes in its own traces alone."""
    frame = sys._getframe(2)
    return frame.f_code is library().nn.functional.interpolate.__code__ and recomputes_sizes(**frame.f_locals)


def recomputes_sizes(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: Any = None,
    recompute_scale_factor: Any = None, antialias: bool = False, **_: Any,
) -> bool:  # fmt: skip
    """Whether ``interpolate`` computes sizes from factors in Python, for these arguments."""
    return size is None and scale_factor is not None and bool(recompute_scale_factor or mode == "area")


def continues(function: Any) -> bool:
    """Whether the functions of the module that defines ``function`` go on at present."""
    return any(hasattr(function.__globals__.get(name), "continues") for name in _CHECKS)


def _let_continue(stack: ExitStack, names: dict[str, Any]) -> None:
    for name in _CHECKS:
        old = names.get(name)
        if old is not None:
            names[name] = here(_never, old)
            names[name].continues = True
            stack.callback(names.__setitem__, name, old)


def _unseen(*_: Any) -> Any:
    raise UnsupportedError(
        "tracing cannot record set_: it makes a tensor stand for another one's memory; give the other tensor the name instead"
    )


class Answers:
    """What PyTorch's Python code is told while it is traced, and whom it tells.

    ``paths``        module → path, of the modules whose calls have a scope.
    ``scope``        gives the context manager of a path, entered around the module's forward.
    ``from_numpy``   is told of each tensor that ``torch.from_numpy`` made.
    ``program``      runs a captured function or method: ``program(it, run, args, kwargs)``, ``run`` calls it.
    """

    def __init__(
        self,
        paths: Mapping[Any, str],
        scope: Callable[[str], Any],
        from_numpy: Callable[[Any], None],
        program: Callable[..., Any],
    ) -> None:
        self.paths, self.scope, self.from_numpy, self.program = paths, scope, from_numpy, program
        self._open: list[Any] = []

    # Called by ``torch.nn.Module.__call__``, which takes this for the native tracing state.
    def push_scope(self, path: str) -> None:
        manager = self.scope(path)
        manager.__enter__()
        self._open.append(manager)

    def pop_scope(self) -> None:
        self._open.pop().__exit__(None, None, None)


@contextmanager
def asked(answers: Answers) -> Iterator[None]:
    """For a ``with`` block PyTorch believes that it is traced."""
    torch = library()
    c = torch._C
    with ExitStack() as stack:

        def put(owner: Any, name: str, value: Callable[..., Any]) -> None:
            stack.enter_context(replaced(owner, name, here(value, getattr(owner, name))))

        put(c, "_get_tracing_state", lambda: answers)
        put(c, "_is_tracing", lambda: True)
        put(torch.Tensor, "set_", _unseen)  # which PyTorch offers to no mode
        put(torch, "from_numpy", _telling(torch.from_numpy, answers.from_numpy))
        for kind in (c.ScriptFunction, c.ScriptMethod):
            put(kind, "__call__", _passing(kind.__call__, answers.program))
        put(warnings, "showwarning", _at_the_users_line(warnings.showwarning))
        stack.enter_context(replaced(torch.jit._trace, "_trace_module_map", answers.paths))
        stack.enter_context(replaced(torch.jit, "TracerWarning", warning_classes()[0]))
        for module in (torch.overrides, torch.nn.functional, torch.functional, torch._tensor):
            _let_continue(stack, vars(module))
        yield


def _telling(make: Callable[..., Any], told: Callable[[Any], None]) -> Callable[..., Any]:
    def made(*args: Any, **kwargs: Any) -> Any:
        result = make(*args, **kwargs)
        c = library()._C
        if c._len_torch_function_stack() and not c._is_torch_function_all_disabled():  # else our own code made it
            told(result)
        return result

    return made


def _at_the_users_line(show: Callable[..., None]) -> Callable[..., None]:
    """PyTorch's native warnings are said where it was called, which is here while a trace goes on."""

    def shown(message: Any, category: Any, filename: str, lineno: int, *rest: Any) -> None:
        if filename.endswith(_HERE):
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and frame.f_code.co_filename != filename:
                frame = frame.f_back
            user = calling_torch(frame).frame
            filename, lineno = user.f_code.co_filename, user.f_lineno
        show(message, category, filename, lineno, *rest)

    return shown


def _passing(run: Callable[..., Any], program: Callable[..., Any]) -> Callable[..., Any]:
    def call(it: Any, *args: Any, **kwargs: Any) -> Any:
        return program(it, functools.partial(run, it), args, kwargs)

    return call


_classes: list[type[Warning]] = []


def warning_classes() -> tuple[type[Warning], type[Warning]]:
    """Our tracing warnings as subclasses of PyTorch's too, which programs written for it filter."""
    if not _classes:
        theirs = library().jit.TracerWarning
        plain = type("TracerWarning", (TracerWarning, theirs), {"__module__": TracerWarning.__module__})
        frozen = type("FrozenWarning", (FrozenWarning, theirs), {"__module__": FrozenWarning.__module__})
        _classes.extend((plain, frozen))
    return _classes[0], _classes[1]
