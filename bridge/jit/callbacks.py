"""Python functions that a program calls back: their signatures, and what runs them."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from bridge.importers.script import (
    CompileError,
)
from bridge.ir import types as T
from bridge.ir.schema import Argument, Schema
from bridge.ir.source import SourceRange
from bridge.jit.annotations import (
    annotation_to_type,
)
from bridge.jit.values import CastError, into, out_of
from bridge.pytorch.names import written_for_torch


def closure_names(fn: Any) -> dict[str, Any]:
    """Names that a function can see: its globals and what it closes over."""
    from bridge.jit.sources import undecorated

    fn = undecorated(fn)
    fn = getattr(fn, "__func__", fn)
    names = dict(fn.__globals__)
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    for name, value in _annotations_of(fn):
        names.setdefault(name, value)
    return names


def _annotations_of(fn: Any) -> list[tuple[str, Any]]:
    """The names that the annotations of an inner function are written with, which it need not close over."""
    from bridge.importers.script import tree as X
    from bridge.jit.sources import definition_of

    found = {k: v for k, v in getattr(fn, "__annotations__", {}).items() if inspect.isclass(v)}
    if not found or "<locals>" not in fn.__qualname__:
        return []
    try:
        d = definition_of(fn)
    except (OSError, TypeError, CompileError):
        return []  # without its text
    written = [(p.name, p.type) for p in d.params] + [("return", d.returns)]
    return [(t.name, found[n]) for n, t in written if n in found and isinstance(t, X.Var)]


def is_module(value: Any) -> bool:
    from bridge.nn import Module

    return isinstance(value, Module)


class Callback:
    """A Python function inside a node."""

    __slots__ = ("arguments", "function", "result")

    def __init__(self, function: Callable[..., Any], arguments: Sequence[T.Type], result: T.Type) -> None:
        self.function, self.arguments, self.result = function, arguments, result

    def __call__(self, *args: Any) -> Any:
        if written_for_torch(self.function):
            from bridge.pytorch.calls import call_back

            result = call_back(self.function, args, self.arguments)
        else:
            result = self.function(*(out_of(a, t) for a, t in zip(args, self.arguments, strict=True)))
        try:
            return into(result, self.result)
        except (CastError, TypeError, ValueError) as e:
            raise RuntimeError(
                f"expected value of type {self.result.annotation()} for return value but instead got value of type "
                f"{type(result).__name__}.\nValue: {result!r}\nCast error details: {e}"
            ) from None

    def __repr__(self) -> str:
        return f"<python {self.function.__name__}>"


def python_schema(fn: Any, count: int, binders: int, range: SourceRange, this: Any) -> Schema:
    """The signature of a Python function: as annotated, or all tensors."""
    from bridge.importers.script.type_comments import type_comment
    from bridge.jit.sources import source_lines

    if is_module(fn):
        fn = fn.forward
    parameters = list(inspect.signature(fn).parameters.values())
    names = closure_names(fn)
    annotated = [p.annotation for p in parameters] + [inspect.signature(fn).return_annotation]
    arguments: list[Argument] = []
    is_vararg = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    parameters = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if this is not None:
        if not parameters:
            raise CompileError("Non-static method does not have a self argument", range)
        arguments.append(Argument(parameters[0].name, this.type))
        parameters = parameters[1:]
    if all(a is inspect.Parameter.empty for a in annotated):
        comment = None
        with contextlib.suppress(OSError):
            comment = type_comment(source_lines(fn)[0])
        if comment is not None:
            return _schema_of_comment(fn, comment, arguments, parameters, names)
        arguments += [Argument(p.name, T.TENSOR) for p in parameters]
        result: T.Type = T.TENSOR if binders == 1 else T.NONE if binders == 0 else T.TupleType(*[T.TENSOR] * binders)
    else:
        arguments += [Argument(p.name, annotation_to_type(p.annotation, names)) for p in parameters]
        result = annotation_to_type(inspect.signature(fn).return_annotation, names)
    return Schema(getattr(fn, "__name__", "forward"), "", arguments, [Argument("0", result)], is_vararg)


def _schema_of_comment(
    fn: Any, comment: str, arguments: list[Argument], parameters: Sequence[inspect.Parameter], names: dict[str, Any]
) -> Schema:
    given, _, result = comment[comment.index("# type:") + len("# type:") :].partition("->")
    inner = annotation_to_type(f"Tuple[{given.strip()[1:-1] or '()'}]", names)
    assert isinstance(inner, T.TupleType)
    both = zip(parameters, inner.elements, strict=True)
    return Schema(
        fn.__name__,
        "",
        [*arguments, *(Argument(p.name, t) for p, t in both)],
        [Argument("0", annotation_to_type(result.strip(), names))],
    )
