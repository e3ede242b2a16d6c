"""``break`` and ``continue`` in loops that are unrolled: as branches, because there is no loop to leave."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.importers.script import tree as X
from bridge.ir.source import SourceRange

__all__ = ["always_exits", "has_exit", "without_exits"]


def has_exit(body: Sequence[X.Stmt], kinds: tuple[type[X.Stmt], ...] = (X.Break, X.Continue)) -> bool:
    """Whether a ``break`` or ``continue`` of this loop stands in its body."""
    for s in body:
        if isinstance(s, kinds):
            return True
        if isinstance(s, X.If) and (has_exit(s.body, kinds) or has_exit(s.orelse, kinds)):
            return True
        if isinstance(s, X.With) and has_exit(s.body, kinds):
            return True
    return False


def always_exits(body: Sequence[X.Stmt]) -> bool:
    """Whether statements end with ``break``, ``continue``, ``return`` or ``raise``, on every path."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, X.If):
        return always_exits(last.body) and always_exits(last.orelse)
    return isinstance(last, X.Break | X.Continue | X.Return | X.Raise)


def _set(name: str, value: bool, range: SourceRange) -> X.Stmt:
    return X.Assign(range, [X.Var(range, name)], X.Literal(range, value))


def without_exits(body: Sequence[X.Stmt], broke: str, skip: str) -> list[X.Stmt]:
    """The body with its exits written as branches; ``broke`` is set where it would ``break``.

    ``skip`` is the variable that says so where neither branch of an ``if`` always exits. An exit inside ``with`` is left, to
    be refused.
    """
    done: list[X.Stmt] = []
    for i, s in enumerate(body):
        if isinstance(s, X.Break):
            return [*done, _set(broke, True, s.range)]
        if isinstance(s, X.Continue):
            return done
        if not isinstance(s, X.If) or not has_exit([s]):
            done.append(s)
            continue
        rest = list(body[i + 1 :])

        def inside(part: Sequence[X.Stmt]) -> list[X.Stmt]:
            return without_exits(part, broke, skip)

        if always_exits(s.body):
            return [*done, X.If(s.range, s.cond, inside(s.body), inside([*s.orelse, *rest]))]
        if always_exits(s.orelse):
            return [*done, X.If(s.range, s.cond, inside([*s.body, *rest]), inside(s.orelse))]
        marked = X.If(s.range, s.cond, _marked(s.body, skip), _marked(s.orelse, skip))
        branch = X.If(s.range, s.cond, inside(marked.body), inside(marked.orelse))
        go_on = X.If(s.range, X.UnaryOp(s.range, "not", X.Var(s.range, skip)), inside(rest), [])
        return [*done, _set(skip, False, s.range), branch, *([go_on] if rest else [])]
    return done


def _marked(body: Sequence[X.Stmt], skip: str) -> list[X.Stmt]:
    """The statements with ``skip`` set before every exit."""
    found: list[X.Stmt] = []
    for s in body:
        if isinstance(s, X.Break | X.Continue):
            found.append(_set(skip, True, s.range))
        elif isinstance(s, X.If) and has_exit([s]):
            s = X.If(s.range, s.cond, _marked(s.body, skip), _marked(s.orelse, skip))
        found.append(s)
    return found
