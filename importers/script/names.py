"""Which names of a function are variables of its own, by Python's rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from types import NoneType

__all__ = ["assigned_names", "own_statements"]

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def own_statements(function: ast.FunctionDef | ast.Lambda) -> Iterator[ast.AST]:
    """The nodes of the body that belong to the function itself, not to one inside it."""
    stack: list[ast.AST] = [function.body] if isinstance(function, ast.Lambda) else list(function.body)
    while stack:
        n = stack.pop()
        yield n
        if not isinstance(n, _SCOPES):
            stack += ast.iter_child_nodes(n)


def stray_exit(body: Sequence[ast.stmt]) -> ast.Break | ast.Continue | None:
    """A ``break`` or ``continue`` that is in no loop of this body."""
    for s in body:
        if isinstance(s, ast.Break | ast.Continue):
            return s
        inside: list[list[ast.stmt]] = []
        if isinstance(s, ast.For | ast.While):
            inside = [s.orelse]
        elif isinstance(s, ast.If | ast.With):
            inside = [s.body, getattr(s, "orelse", [])]
        for part in inside:
            found = stray_exit(part)
            if found is not None:
                return found
    return None


def assigned_names(function: ast.FunctionDef | ast.Lambda, text: str | None = None) -> frozenset[str]:
    """The names that the function assigns: its parameters, and what is stored, deleted, imported or defined in its body.

    Names declared ``global`` are not its own; the variables of comprehensions are theirs. Where its source ``text`` is given
    and has no ``:=``, expressions that are only read assign nothing, and are not looked into.
    """
    skip_reads = text is not None and ":=" not in text
    a = function.args
    found = {p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg)))}
    outside: set[str] = set()
    stack: list[tuple[ast.AST, frozenset[str]]] = []
    body: list[ast.AST] = [function.body] if isinstance(function, ast.Lambda) else list(function.body)
    stack = [(n, frozenset()) for n in body]
    while stack:
        n, hidden = stack.pop()
        if skip_reads and isinstance(n, ast.expr) and type(getattr(n, "ctx", None)) in (NoneType, ast.Load):
            continue
        if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load) and n.id not in hidden:
            found.add(n.id)
        elif isinstance(n, ast.NamedExpr):
            found.add(n.target.id)
        elif isinstance(n, ast.alias):
            found.add(n.asname or n.name.split(".")[0])
        elif isinstance(n, ast.Global):
            outside.update(n.names)
        elif isinstance(n, ast.MatchAs | ast.MatchStar | ast.FunctionDef | ast.ClassDef):
            found.update([n.name] if n.name is not None else [])
        if isinstance(n, _COMPREHENSIONS):
            targets = (t for g in n.generators for t in ast.walk(g.target))
            hidden |= {t.id for t in targets if isinstance(t, ast.Name)}
        if not isinstance(n, _SCOPES):
            stack += [(c, hidden) for c in ast.iter_child_nodes(n)]
    return frozenset(found - outside)
