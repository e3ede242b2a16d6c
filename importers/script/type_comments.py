"""Signatures written as comments: ``# type: (int, Tensor) -> Tensor``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bridge.importers.script import tree as X
from bridge.importers.script.errors import FrontendError
from bridge.importers.script.frontend import parse_expression

__all__ = ["type_comment", "with_type_comment"]

_IGNORED = re.compile(r"# type: ignore(\[[a-zA-Z-]+\])?$")
_MISSPELT = re.compile(r"#[\t ]*type[\t ]*(?!: ignore(\[.*\])?$):")


def type_comment(lines: Sequence[str]) -> str | None:
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
        + "\n(See PEP 484 https://www.python.org/dev/peps/pep-0484/#suggested-syntax-for-python-2-7-and-straddling-code)"
    )


def with_type_comment(d: X.Def, line: str) -> X.Def:
    """The definition with the signature that a comment gives. Raises FrontendError when they do not fit."""
    text = line[line.index("# type:") + len("# type:") :].strip()
    arguments, arrow, result = text.partition("->")
    parsed = parse_expression(arguments.strip())
    types = parsed.elements if isinstance(parsed, X.TupleLit) else [parsed]
    skip = len(d.params) - len(types)
    method = bool(d.params) and d.params[0].name in ("self", "cls", "this")
    if skip != 0 and not (skip == 1 and method):
        raise FrontendError(
            f"Number of type annotations ({len(types)}) did not match the number of function parameters ({len(d.params)}):",
            d.name_range,
        )
    params = list(d.params[:skip])
    for p, t in zip(d.params[skip:], types, strict=True):
        params.append(p.typed(t))
    return d.with_signature(params, parse_expression(result.strip()) if arrow else d.returns)
