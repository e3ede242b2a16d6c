"""Python that TorchScript does not have, said in the Python that it has: rewriting of ``ast`` trees before they are read.

Only what TorchScript refuses is touched, so programs that it takes keep every byte of their graphs. New nodes stand at
the place of what they replace, so errors point there.
"""

from __future__ import annotations

import ast
import copy
import re
from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from bridge.importers.script.patterns import match_as_branches
from bridge.importers.script.tries import try_as_branches

__all__ = ["rewritten"]

_S = TypeVar("_S", bound=ast.AST)
#: The largest ``else`` (in parts of the tree) that is written twice, for a walrus behind ``and``.
_COPIED = 100
_LOOPS = (ast.For, ast.While, ast.AsyncFor)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def rewritten(function: ast.FunctionDef, text: str | None = None) -> ast.FunctionDef:
    """The function with ``else`` of loops, ``match`` on constants, sets that are only asked for membership, walrus in
    ``while``, ``@=`` and ``global`` that only reads written as plain statements. What cannot be is left, to be refused.

    ``text`` is its source: one in which no such thing can be is not walked.
    """
    if text is not None and len(_WORDS.findall(text)) < 2:  # its own def
        return function
    parts = list(ast.walk(function))
    if not any(isinstance(n, _REWRITTEN) and n is not function and not _is_plain(n) for n in parts):
        return function
    rewriter = _Rewriter(parts)
    body = [rewriter.visit(s) for s in function.body]
    function.body = _flat(body) or [_at(ast.Pass(), function)]
    return function


#: One of these is in the text of whatever may have to be written otherwise.
_WORDS = re.compile(r"for\b|while\b|match\b|try\b|def\b|global\b|@=|\{|:=|\*\*")
#: What may have to be written otherwise.
_REWRITTEN = (
    ast.For, ast.While, ast.Match, ast.Try, ast.FunctionDef, ast.Global, ast.AugAssign, ast.Set, ast.NamedExpr, ast.keyword,
)  # fmt: skip


def _is_plain(n: ast.AST) -> bool:
    """Whether a loop, an assignment or an argument is one of those that stay."""
    if isinstance(n, ast.For | ast.While):
        return not n.orelse
    if isinstance(n, ast.AugAssign):
        return not isinstance(n.op, ast.MatMult)
    return isinstance(n, ast.keyword) and n.arg is not None


def _at(new: _S, place: ast.AST) -> _S:
    return ast.fix_missing_locations(ast.copy_location(new, place))


def _flat(parts: list[ast.stmt | list[ast.stmt] | None]) -> list[ast.stmt]:
    return [s for p in parts if p is not None for s in (p if isinstance(p, list) else [p])]


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a loop's body that its own ``break`` may stand among (inner loops left out)."""
    for s in body:
        yield s
        if not isinstance(s, (*_LOOPS, *_SCOPES)):
            for field in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(s, field, []))


def _bound(s: ast.stmt) -> set[str]:
    """The names that an assignment gives a value."""
    targets = s.targets if isinstance(s, ast.Assign) else [s.target] if isinstance(s, ast.AnnAssign) else []
    return {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _assured(loop: ast.For | ast.While, orelse: list[ast.stmt]) -> frozenset[str]:
    """The variables that have a value at every ``break`` of a loop, and behind its ``else``."""
    at_breaks: list[set[str]] = []

    def walk(body: list[ast.stmt], known: set[str]) -> None:
        for s in body:
            if isinstance(s, ast.Break):
                at_breaks.append(known)
            known = known | _bound(s)
            if isinstance(s, ast.If | ast.With):
                walk(s.body, known)
                walk(getattr(s, "orelse", []), known)

    targets = {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)} if isinstance(loop, ast.For) else set()
    walk(loop.body, targets)
    after = set().union(*map(_bound, orelse))
    return frozenset(after.intersection(*at_breaks))


def _has_walrus(e: ast.AST) -> bool:
    return any(isinstance(n, ast.NamedExpr) for n in ast.walk(e))


class _Rewriter(ast.NodeTransformer):
    """One function; statements are visited from the inside out."""

    def __init__(self, parts: list[ast.AST]) -> None:
        """``parts`` are all of the function's."""
        self.names = {n.id for n in parts if isinstance(n, ast.Name)} | {n.arg for n in parts if isinstance(n, ast.arg)}
        self.stored = {n.id for n in parts if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
        self.sets = _membership_sets(parts)
        self.expanded = _expanded_only(parts)
        _mark_local_walruses(parts)

    def fresh(self, base: str) -> str:
        name, i = base, 0
        while name in self.names:
            i += 1
            name = f"{base}_{i}"
        self.names.add(name)
        return name

    # -- loops -------------------------------------------------------------------------------------------------

    def visit_For(self, node: ast.For) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return self._with_else(node) if node.orelse else node

    def visit_While(self, node: ast.While) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        orelse = node.orelse
        own = self._flagged(node) if orelse else None
        if _has_walrus(node.test):
            # The variable must be one of the body: the condition of a loop has a scope of its own.
            leave = ast.If(ast.UnaryOp(ast.Not(), node.test), [ast.Break()], [])
            node.body = [_at(leave, node.test), *node.body]
            node.test = _at(ast.Constant(True), node.test)
        return node if not orelse else self._then(node, own, orelse)

    def _with_else(self, node: ast.For) -> list[ast.stmt]:
        orelse = node.orelse
        return self._then(node, self._flagged(node), orelse)

    def _flagged(self, node: ast.For | ast.While) -> str | None:
        """Set a flag before every ``break`` of a loop; its name, or None when nothing breaks."""
        node.orelse = []
        if not any(isinstance(s, ast.Break) for s in _statements(node.body)):
            return None
        flag = self.fresh("broke")
        _before_breaks(node.body, flag)
        return flag

    def _then(self, node: ast.For | ast.While, flag: str | None, orelse: list[ast.stmt]) -> list[ast.stmt]:
        if flag is None:
            return [node, *orelse]
        node.assured = _assured(node, orelse)  # type: ignore[union-attr]
        after = ast.If(ast.UnaryOp(ast.Not(), ast.Name(flag, ast.Load())), orelse, [])
        return [_assign(flag, ast.Constant(False), node), node, _at(after, orelse[0])]

    # -- match -------------------------------------------------------------------------------------------------

    def visit_Match(self, node: ast.Match) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return match_as_branches(node, self.fresh)

    def visit_If(self, node: ast.If) -> ast.AST:
        test = node.test
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and any(map(_has_walrus, test.values[1:])):
            first, *rest = test.values
            then = rest[0] if len(rest) == 1 else _at(ast.BoolOp(ast.And(), rest), test)
            if sum(1 for s in node.orelse for _ in ast.walk(s)) < _COPIED:
                inner = _at(ast.If(then, node.body, copy.deepcopy(node.orelse)), node)
                return self.visit_If(_at(ast.If(first, [inner], node.orelse), node))
        self.generic_visit(node)
        return node

    def visit_Try(self, node: ast.Try) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return try_as_branches(node, self.fresh)

    # -- functions inside --------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return rewritten(node)

    # -- the rest ----------------------------------------------------------------------------------------------

    def visit_Global(self, node: ast.Global) -> ast.AST:
        return node if set(node.names) & self.stored else _at(ast.Pass(), node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.MatMult) or not isinstance(node.target, ast.Name):
            return node
        value = ast.BinOp(ast.Name(node.target.id, ast.Load()), ast.MatMult(), node.value)
        return _assign(node.target.id, value, node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        for i, (op, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
            if isinstance(op, ast.In | ast.NotIn) and isinstance(right, ast.Set):
                node.comparators[i] = _at(ast.List(right.elts, ast.Load()), right)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        if all(isinstance(t, ast.Name) and t.id in self.expanded for t in node.targets):
            node.value = _static_dict(node.value)
        if isinstance(node.value, ast.Set) and all(isinstance(t, ast.Name) and t.id in self.sets for t in node.targets):
            node.value = _at(ast.List(node.value.elts, ast.Load()), node.value)
        return node


def _membership_sets(parts: list[ast.AST]) -> set[str]:
    """Variables that are only ever asked what is ``in`` them: there a list does what a set does."""
    asked: dict[str, int] = {}
    used: dict[str, int] = {}
    for n in parts:
        if isinstance(n, ast.Compare):
            for op, right in zip(n.ops, n.comparators, strict=True):
                if isinstance(op, ast.In | ast.NotIn) and isinstance(right, ast.Name):
                    asked[right.id] = asked.get(right.id, 0) + 1
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load):
            used[n.id] = used.get(n.id, 0) + 1
    return {name for name, count in asked.items() if used[name] == count}


def _mark_local_walruses(parts: list[ast.AST]) -> None:
    """Those in comprehensions whose names stand nowhere else: then it does not matter that they are the function's."""
    counts = _name_counts(parts)
    for n in parts:
        if isinstance(n, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            own = list(ast.walk(n))
            inside = _name_counts(own)
            for w in own:
                if isinstance(w, ast.NamedExpr):
                    w.is_local = inside[w.target.id] == counts[w.target.id]  # type: ignore[attr-defined]


def _name_counts(parts: list[ast.AST]) -> Counter[str]:
    return Counter(n.id for n in parts if isinstance(n, ast.Name))


def _expanded_only(parts: list[ast.AST]) -> set[str]:
    """Variables assigned once that are only ever passed on with ``**``."""
    expanded: dict[str, int] = {}
    used: dict[str, int] = {}
    stored: dict[str, int] = {}
    for n in parts:
        if isinstance(n, ast.Call):
            for k in n.keywords:
                if k.arg is None and isinstance(k.value, ast.Name):
                    expanded[k.value.id] = expanded.get(k.value.id, 0) + 1
        if isinstance(n, ast.Name):
            counts = used if isinstance(n.ctx, ast.Load) else stored
            counts[n.id] = counts.get(n.id, 0) + 1
    return {name for name, count in expanded.items() if used[name] == count and stored.get(name) == 1}


def _static_dict(value: ast.expr) -> ast.expr:
    """A dict that is written out, marked as one whose keys are known; other expressions as they are."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict" and not value.args:
        keys = [_at(ast.Constant(k.arg), value) for k in value.keywords if k.arg is not None]
        if len(keys) < len(value.keywords):
            return value
        value = _at(ast.Dict(list(keys), [k.value for k in value.keywords]), value)
    if isinstance(value, ast.Dict):
        value.is_static = True  # type: ignore[attr-defined]
    return value


def _assign(name: str, value: ast.expr, place: ast.AST) -> ast.Assign:
    return _at(ast.Assign([ast.Name(name, ast.Store())], value), place)


def _before_breaks(body: list[ast.stmt], flag: str) -> None:
    for i in reversed(range(len(body))):
        s = body[i]
        if isinstance(s, ast.Break):
            body.insert(i, _assign(flag, ast.Constant(True), s))
        elif not isinstance(s, (*_LOOPS, *_SCOPES)):
            for field in ("body", "orelse", "finalbody"):
                _before_breaks(getattr(s, field, []), flag)
