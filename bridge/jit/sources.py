"""The source text of live functions and classes, as trees for the compiler."""

from __future__ import annotations

import ast
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from bridge.importers.script import FrontendError, parse_def
from bridge.importers.script import tree as X
from bridge.importers.script.frontend import parse_lambda
from bridge.importers.script.type_comments import type_comment, with_type_comment
from bridge.jit.decorators import Modifier, get_modifier, should_drop

__all__ = ["default_values", "definition_of", "lambda_definition", "source_lines", "undecorated"]


def undecorated(fn: Any) -> Any:
    """The function behind the decorators of this library and of PyTorch (``no_grad``…), which programs leave out.

    A user's own wrapper is the function: leaving it out would change what the program does.
    """
    while hasattr(fn, "__wrapped__"):
        code = getattr(fn, "__code__", None)
        if code is not None and not code.co_filename.startswith(_library_folders()):
            break
        fn = fn.__wrapped__
    return fn


def _library_folders() -> tuple[str, ...]:
    modules = [sys.modules[n] for n in ("bridge", "torch") if n in sys.modules]
    return tuple(os.path.dirname(m.__file__) + os.sep for m in modules if m.__file__)


def source_lines(obj: Any) -> tuple[list[str], str, int]:
    """(lines, file name, number of the first line). Raises OSError when there is no source to read."""
    try:
        filename = inspect.getsourcefile(obj)
        # ``inspect`` goes behind wrappers; the code object is the wrapper's own.
        wrapper = getattr(obj, "__code__", None) if hasattr(obj, "__wrapped__") else None
        found = obj if wrapper is None else wrapper
        whole, start = inspect.findsource(found)
        lines, first = _block(whole, start), start + 1
        if lines is None:
            lines, first = inspect.getsourcelines(found)
    except (OSError, TypeError) as e:
        raise OSError(
            f"Can't get source for {obj}. TorchScript requires source access in order to carry out compilation, make sure "
            "original .py files are available."
        ) from e
    return lines, filename or "", max(first, 1)


def _block(lines: list[str], start: int) -> list[str] | None:
    """The lines of the function that begins there, as ``inspect.getblock`` gives them, which takes them apart into tokens; None where
    that is to say it.
    """
    head = lines[start] if start < len(lines) else ""
    indent = len(head) - len(head.lstrip(" "))
    if not head[indent:].startswith("def "):
        return None
    end = start + 1
    while end < len(lines):
        text = lines[end].lstrip(" ")
        inside = len(lines[end]) - len(text) > indent or text.startswith((")", "]", "}"))
        if not inside and text.strip() and not text.startswith("#"):
            break
        end += 1
    try:
        parsed = ast.parse("".join(line[indent:] if line.strip() else "\n" for line in lines[start:end])).body
    except SyntaxError:
        return None  # a text or a bracket goes on over a line that looks like the end
    if len(parsed) != 1 or not isinstance(parsed[0], ast.FunctionDef) or parsed[0].body[0].lineno == 1:
        return None
    margin = " " * (indent + parsed[0].body[0].col_offset)
    while not (text := lines[end - 1].strip()) or (text.startswith("#") and not lines[end - 1].startswith(margin)):
        end -= 1
    return lines[start:end]


def definition_of(fn: Callable[..., Any], name: str | None = None) -> X.Def:
    """The definition of a function, with type comments applied and the body of unused functions replaced."""
    fn = undecorated(fn)
    lines, filename, first = source_lines(fn)
    d = parse_def(lines, filename, first, name or fn.__name__, body=not should_drop(fn))
    line = type_comment(lines)
    if line is not None:
        d = with_type_comment(d, line)
    return _dropped(d, get_modifier(fn) == Modifier.DROP) if should_drop(fn) else d


def _dropped(d: X.Def, entirely: bool) -> X.Def:
    r = d.name_range
    error = X.Apply(r, X.Var(r, "RuntimeError"), [X.StringLit(r, "Cannot call @unused methods")], [])
    params = [p.typed(X.Var(p.range, "Any")) for p in d.params]
    return X.Def(r, d.name, params, None if entirely else d.returns, [X.Raise(r, error)])


def lambda_definition(fn: Any) -> X.Def:
    """The definition of a lambda, found in its file by the places of its code."""
    code = fn.__code__
    try:
        filename = inspect.getsourcefile(fn) or ""
        text = "".join(inspect.findsource(fn)[0])
    except (OSError, TypeError) as e:
        raise FrontendError(f"the source of a lambda cannot be read: {e}", None) from None
    places = {
        (p[0], p[2])
        for p in code.co_positions()
        if p[0] is not None and p[2] is not None and (p[0], p[2]) != (code.co_firstlineno, 0)
    }
    return parse_lambda(text, filename, code.co_firstlineno, places)


def default_values(fn: Callable[..., Any]) -> dict[str, Any]:
    """Default values of a function's parameters."""
    parameters = inspect.signature(undecorated(fn), follow_wrapped=False).parameters.items()
    return {name: p.default for name, p in parameters if p.default is not inspect.Parameter.empty}
