"""The source text of live functions and classes, as trees for the compiler."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from bridge.importers.script import FrontendError, parse_def, parse_expression
from bridge.importers.script import tree as X
from bridge.jit.decorators import Modifier, get_modifier, should_drop

__all__ = ["default_values", "definition_of", "source_lines"]

_IGNORED = re.compile(r"# type: ignore(\[[a-zA-Z-]+\])?$")
_MISSPELT = re.compile(r"#[\t ]*type[\t ]*(?!: ignore(\[.*\])?$):")


def source_lines(obj: Any) -> tuple[list[str], str, int]:
    """(lines, file name, number of the first line). Raises OSError when there is no source to read."""
    try:
        filename = inspect.getsourcefile(obj)
        lines, first = inspect.getsourcelines(obj)
    except (OSError, TypeError) as e:
        raise OSError(
            f"Can't get source for {obj}. TorchScript requires source access in order to carry out compilation, make sure "
            "original .py files are available."
        ) from e
    return lines, filename or "", max(first, 1)


def definition_of(fn: Callable[..., Any], name: str | None = None) -> X.Def:
    """The definition of a function, with type comments applied and the body of unused functions replaced."""
    fn = inspect.unwrap(fn)
    lines, filename, first = source_lines(fn)
    d = parse_def(lines, filename, first, name or fn.__name__, body=not should_drop(fn))
    line = type_comment(lines)
    if line is not None:
        d = _with_comment(d, line)
    return _dropped(d, get_modifier(fn) == Modifier.DROP) if should_drop(fn) else d


def _dropped(d: X.Def, entirely: bool) -> X.Def:
    r = d.name_range
    error = X.Apply(r, X.Var(r, "RuntimeError"), [X.StringLit(r, "Cannot call @unused methods")], [])
    params = [X.Param(p.range, p.name, X.Var(p.range, "Any"), p.default, p.kwarg_only, p.gathers) for p in d.params]
    return X.Def(r, d.name, params, None if entirely else d.returns, [X.Raise(r, error)])


def type_comment(lines: list[str]) -> str | None:
    """The ``# type: (…) -> …`` comment of a function, put together when it is spread over the parameters."""
    marked = [text.rstrip("\n") for text in lines if "# type:" in text]
    marked = [text for text in marked if not _IGNORED.search(text.strip())]
    if not marked:
        for i, text in enumerate(lines):
            if _MISSPELT.search(text):
                raise RuntimeError(
                    f"The annotation prefix in line {i} is probably invalid.\nIt must be '# type:'\nSee PEP 484 "
                    "(https://www.python.org/dev/peps/pep-0484/#suggested-syntax-for-python-2-7-and-straddling-code)\n"
                    "for examples"
                )
        return None
    if len(marked) == 1:
        return marked[0].strip()
    types: list[str] = []
    for text in marked:
        if "# type: (...) -> " in text:
            return text.strip().replace("...", ", ".join(types))
        types.append(text[text.index("# type:") + len("# type:") :].strip())
    raise RuntimeError(
        "Return type line '# type: (...) -> ...' not found on multiline type annotation\nfor type lines:\n"
        + "\n".join(marked)
    )


def _with_comment(d: X.Def, line: str) -> X.Def:
    text = line[line.index("# type:") + len("# type:") :].strip()
    arguments, arrow, result = text.partition("->")
    if not arrow:
        raise FrontendError("Syntax error in type annotation (couldn't find `->`)", d.name_range)
    parsed = parse_expression(arguments.strip())
    types = parsed.elements if isinstance(parsed, X.TupleLit) else [parsed]
    skip = len(d.params) - len(types)
    if skip not in (0, 1):
        raise FrontendError(
            f"Number of type annotations for function parameters ({len(types)}) does not match the number of parameters on "
            f"the function ({len(d.params)})!",
            d.name_range,
        )
    params = list(d.params[:skip])
    for p, t in zip(d.params[skip:], types, strict=True):
        params.append(X.Param(p.range, p.name, t, p.default, p.kwarg_only, p.gathers))
    return d.with_signature(params, parse_expression(result.strip()))


def default_values(fn: Callable[..., Any]) -> dict[str, Any]:
    """Default values of a function's parameters."""
    parameters = inspect.signature(fn).parameters.items()
    return {name: p.default for name, p in parameters if p.default is not inspect.Parameter.empty}
