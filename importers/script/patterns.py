"""``match`` as branches: each case a test, then the names that its pattern binds.

A pattern is tested piece by piece in Python's order. The kind of the subject (a tuple, an object of a class) is decided
while compiling; the length of a list is tested when the program runs.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from typing import TypeVar

__all__ = ["match_as_branches"]

_S = TypeVar("_S", bound=ast.AST)
_CASTS = frozenset({"int", "float", "str", "bool"})


def _at(new: _S, place: ast.AST) -> _S:
    return ast.fix_missing_locations(ast.copy_location(new, place))


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


class _Unsupported(Exception):
    """A pattern that is left, to be refused."""


def match_as_branches(node: ast.Match, fresh: Callable[[str], str]) -> ast.AST | list[ast.stmt]:
    """The statements that ``match`` stands for; the node itself when a pattern has no plain meaning."""
    first: list[ast.stmt] = []
    if isinstance(node.subject, ast.Name):
        subject: ast.expr = node.subject
    elif isinstance(node.subject, ast.Tuple) and _patterns_are_tuples(node, len(node.subject.elts)):
        names = [fresh("subject") for _ in node.subject.elts]
        for n, e in zip(names, node.subject.elts, strict=True):
            first.append(_at(ast.Assign([ast.Name(n, ast.Store())], e), node.subject))
        subject = ast.Tuple([ast.Name(n, ast.Load()) for n in names], ast.Load())
    else:
        name = fresh("subject")
        first.append(_at(ast.Assign([ast.Name(name, ast.Store())], node.subject), node.subject))
        subject = ast.Name(name, ast.Load())
    cases = [one for c in node.cases for one in _each_alternative(c)]
    try:
        return [*first, *_cases(cases, subject, fresh)]
    except _Unsupported:
        return node


def _patterns_are_tuples(node: ast.Match, size: int) -> bool:
    def fits(p: ast.pattern) -> bool:
        if isinstance(p, ast.MatchSequence):
            return len(p.patterns) == size and not any(isinstance(x, ast.MatchStar) for x in p.patterns)
        if isinstance(p, ast.MatchOr):
            return all(map(fits, p.patterns))
        return isinstance(p, ast.MatchAs) and p.pattern is None and p.name is None

    return all(fits(c.pattern) for c in node.cases)


def _each_alternative(case: ast.match_case) -> list[ast.match_case]:
    """A case for each alternative of a pattern whose alternatives bind names."""
    p = case.pattern
    binds = any(isinstance(x, ast.MatchAs | ast.MatchStar) and x.name is not None for x in ast.walk(p))
    if not isinstance(p, ast.MatchOr) or not binds or case.guard is not None:
        return [case]
    return [ast.match_case(one, None, copy.deepcopy(case.body)) for one in p.patterns]


def _cases(cases: list[ast.match_case], subject: ast.expr, fresh: Callable[[str], str]) -> list[ast.stmt]:
    if not cases:
        return []
    case, rest = cases[0], cases[1:]
    tests, bound = _pieces(case.pattern, subject)
    body = [_at(ast.Assign([ast.Name(n, ast.Store())], e), case.pattern) for n, e in bound] + case.body
    if case.guard is not None and bound:
        # The names are bound before the guard is asked, and what follows depends on its answer.
        if not rest:
            inner: list[ast.stmt] = [_at(ast.If(case.guard, case.body, []), case.guard)]
            return _branch(tests, [*body[: len(bound)], *inner], [], case.pattern)
        done = fresh("matched")
        flag = ast.Name(done, ast.Store())
        chosen = _at(ast.If(case.guard, [_set(flag, True, case.guard), *case.body], []), case.guard)
        tried = _branch(tests, [*body[: len(bound)], chosen], [], case.pattern)
        go_on = ast.If(ast.UnaryOp(ast.Not(), ast.Name(done, ast.Load())), _cases(rest, subject, fresh), [])
        return [_set(flag, False, case.pattern), *tried, _at(go_on, case.pattern)]
    if case.guard is not None:
        tests = [*tests, case.guard]
    return _branch(tests, body, _cases(rest, subject, fresh), case.pattern)


def _set(flag: ast.Name, value: bool, place: ast.AST) -> ast.Assign:
    return _at(ast.Assign([flag], ast.Constant(value)), place)


def _branch(tests: list[ast.expr], body: list[ast.stmt], other: list[ast.stmt], place: ast.AST) -> list[ast.stmt]:
    if not tests:
        return body
    test = tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)
    return [_at(ast.If(_at(test, place), body, other), place)]


_Pieces = tuple[list[ast.expr], list[tuple[str, ast.expr]]]


def _pieces(p: ast.pattern, subject: ast.expr) -> _Pieces:
    """(what must be true, the names and what they are bound to)."""
    if isinstance(p, ast.MatchValue):
        return [_at(ast.Compare(subject, [ast.Eq()], [p.value]), p)], []
    if isinstance(p, ast.MatchSingleton):
        return [_at(ast.Compare(subject, [ast.Is()], [ast.Constant(p.value)]), p)], []
    if isinstance(p, ast.MatchAs):
        tests, bound = _pieces(p.pattern, subject) if p.pattern is not None else ([], [])
        return tests, bound if p.name is None else [*bound, (p.name, subject)]
    if isinstance(p, ast.MatchOr):
        return _alternatives(p, subject)
    if isinstance(p, ast.MatchSequence):
        return _sequence(p, subject)
    if isinstance(p, ast.MatchClass):
        return _of_class(p, subject)
    if isinstance(p, ast.MatchMapping) and p.rest is None:
        return _mapping(p, subject)
    raise _Unsupported


def _alternatives(p: ast.MatchOr, subject: ast.expr) -> _Pieces:
    found: list[ast.expr] = []
    for one in p.patterns:
        tests, bound = _pieces(one, subject)
        if bound:
            raise _Unsupported
        if not tests:
            return [], []
        found.append(tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests))
    return [_at(ast.BoolOp(ast.Or(), found), p)], []


def _sequence(p: ast.MatchSequence, subject: ast.expr) -> _Pieces:
    size = len(p.patterns)
    star = next((i for i, x in enumerate(p.patterns) if isinstance(x, ast.MatchStar)), None)
    known = len(subject.elts) if isinstance(subject, ast.Tuple) else None
    tests: list[ast.expr] = []
    bound: list[tuple[str, ast.expr]] = []
    if known is None:
        least = size if star is None else size - 1
        compare: ast.cmpop = ast.Eq() if star is None else ast.GtE()
        if star is None or least:
            tests.append(_at(ast.Compare(_call("$length", subject), [compare], [ast.Constant(least)]), p))
    for i, x in enumerate(p.patterns):
        if isinstance(x, ast.MatchStar):
            behind = size - i - 1
            end = ast.UnaryOp(ast.USub(), ast.Constant(behind)) if behind else None
            part: ast.expr = ast.Subscript(subject, ast.Slice(ast.Constant(i), end), ast.Load())
            if x.name is not None:
                bound.append((x.name, _call("list", _at(part, x))))
            continue
        at: ast.expr = ast.Constant(i)
        if star is not None and i > star:
            at = ast.UnaryOp(ast.USub(), ast.Constant(size - i))
        element = subject.elts[i] if isinstance(subject, ast.Tuple) else ast.Subscript(subject, at, ast.Load())
        more, names = _pieces(x, _at(element, x))
        tests += more
        bound += names
    return tests, bound


def _mapping(p: ast.MatchMapping, subject: ast.expr) -> _Pieces:
    tests: list[ast.expr] = []
    bound: list[tuple[str, ast.expr]] = []
    for key, x in zip(p.keys, p.patterns, strict=True):
        tests.append(_at(ast.Compare(key, [ast.In()], [subject]), x))
        more, names = _pieces(x, _at(ast.Subscript(subject, key, ast.Load()), x))
        tests += more
        bound += names
    return tests, bound


def _of_class(p: ast.MatchClass, subject: ast.expr) -> _Pieces:
    tests: list[ast.expr] = [_at(_call("isinstance", subject, p.cls), p)]
    bound: list[tuple[str, ast.expr]] = []
    if p.patterns:
        if isinstance(p.cls, ast.Name) and p.cls.id in _CASTS and len(p.patterns) == 1:
            more, names = _pieces(p.patterns[0], subject)
            return [*tests, *more], names
        for i, x in enumerate(p.patterns):
            more, names = _pieces(x, _at(_call("$field", subject, p.cls, ast.Constant(i)), x))
            tests += more
            bound += names
    for name, x in zip(p.kwd_attrs, p.kwd_patterns, strict=True):
        more, names = _pieces(x, _at(ast.Attribute(subject, name, ast.Load()), x))
        tests += more
        bound += names
    return tests, bound
