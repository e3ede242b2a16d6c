"""Calls of programs: on the executor when there is one for the program, in the IR interpreter otherwise."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.ir.classes import Function, ScriptObject
from bridge.ir.errors import BridgeError, Error
from bridge.ir.tracebacks import left, told
from bridge.jit.values import match_arguments, out_of
from bridge.pytorch.tensors import holds_torch

__all__ = ["MISS", "call", "interpret", "interpret_raw", "interpreted", "set_executor"]

Executor = Callable[[Function, "ScriptObject | None", Sequence[Any], Mapping[str, Any]], Any]


#: What a program that runs as a Python function gives for arguments that it was not made for.
MISS: Any = type("Miss", (), {"__repr__": lambda self: "MISS"})()


def _load_executor(
    function: Function, owner: ScriptObject | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """The first call brings onnxruntime in."""
    from bridge.runtime.executor import execute

    set_executor(execute)
    return execute(function, owner, args, kwargs)


_executor: Executor | None = _load_executor


def set_executor(executor: Executor | None) -> None:
    """Send calls through ``executor(function, owner, args, kwargs)``; None: the interpreter runs everything."""
    global _executor
    _executor = executor


def call(function: Function, owner: ScriptObject | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a function (or a method of ``owner``) on Python arguments; the result as Python sees it.

    Raises RuntimeError, with torch's text, for arguments that the schema does not take.
    """
    entry = function.runtime if owner is None else owner.runtime.get(function)
    if entry is not None and entry.quick is not None and not kwargs:
        found = entry.quick(args)
        if found is not MISS:
            return found
    if holds_torch((args, kwargs) if kwargs else args):
        from bridge.pytorch.calls import call as call_with_torch

        return call_with_torch(_run, function, owner, args, kwargs)
    return _run(function, owner, args, kwargs)


def _run(function: Function, owner: ScriptObject | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if _executor is not None:
        return _executor(function, owner, args, kwargs)
    return interpret(function, match_arguments(function.schema, args, kwargs, owner))


def interpret(function: Function, arguments: list[Any]) -> Any:
    """Run a function on complete, converted arguments in the interpreter, with the eager operators.

    Gradients follow, because every operator goes through the eager dispatch.
    """
    return out_of(interpret_raw(function, arguments), function.schema.returns[0].type)


def interpret_raw(function: Function, arguments: list[Any]) -> Any:
    """:func:`interpret` with the result as programs hold it."""
    from bridge import _dispatch
    from bridge.ir.interpreter import run
    from bridge.tensor import Tensor

    _know_the_tape()
    tracer, _dispatch.tracer = _dispatch.tracer, None
    try:
        results = run(function.graph, arguments, _dispatch.call, Tensor._wrap)
    except Exception as e:
        if isinstance(e, BridgeError) and type(e) is not BridgeError:
            raise  # not the program's doing; it has its own place and words
        left(e, function.name)
        raise _as_runtime_error(e) from None
    finally:
        _dispatch.tracer = tracer
    return results[0]


@functools.cache
def _know_the_tape() -> None:
    """The operators that speak of the gradient mode, which the IR does not know, mean ours from here on."""
    from bridge.autograd.grad_mode import state
    from bridge.ir.registry import find

    def switch(enabled: bool) -> None:
        state.enabled = enabled

    for name, kernel in (("aten::set_grad_enabled", switch), ("aten::is_grad_enabled", lambda: state.enabled)):
        operator = find(name)
        if operator is not None:
            operator.kernel = kernel


def _as_runtime_error(error: Exception) -> Exception:
    """What a program or an operator raised, with the text that TorchScript gives to it: a RuntimeError, which is still of its
    own class, too. In ``message`` is what was raised, alone."""
    if hasattr(error, "__bridge_told__"):  # by a program that this one called through Python
        return error
    from bridge.ir.interpreter_steps import raised_as

    plain, label = str(error.args[0]) if error.args else "", "RuntimeError"
    message = plain
    if type(error) is KeyError:
        plain = f"KeyError: {plain}"
    elif type(error) is ZeroDivisionError:
        plain = "division by 0"
    label, plain = getattr(error, "__bridge_raised__", (label, plain))
    made = error
    if not isinstance(error, Error) and type(error) not in (RuntimeError, BridgeError):
        made = raised_as(type(error), RuntimeError)().with_traceback(error.__traceback__)
    made.args = (told(error, f"{label}: {plain}"),)
    made.__dict__.update(message=message, __bridge_told__=True)
    made.__dict__.pop("__notes__", None)  # the place is in the text
    return made


def interpreted(what: Any) -> Callable[..., Any]:
    """A ScriptFunction or ScriptMethod as a Python function that runs in the interpreter, whatever the executor."""

    def run(*args: Any, **kwargs: Any) -> Any:
        function: Function = what._function
        return interpret(function, match_arguments(function.schema, args, kwargs, getattr(what, "owner", None)))

    return run
