"""``try`` as branches, where what may be raised in it can be told: ``raise`` and ``assert`` in the block itself, reading what
may not be there (``d[k]``, ``items[i]``), dividing by zero.

What raises is turned into a test before it, and what handles it stands in the branch. A block in which something else may
raise what a handler catches is left, to be refused with the reason.
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Callable, Iterator
from typing import TypeVar

__all__ = ["try_as_branches"]

_S = TypeVar("_S", bound=ast.AST)
_LOOPS = (ast.For, ast.While)
_SAFE = frozenset(
    "len range abs str bool print isinstance enumerate zip list tuple dict set sum sorted reversed round ord chr".split()
)
_OPAQUE = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)
_EVERYTHING = frozenset({"Exception", "BaseException", "RuntimeError", "TypeError", "AttributeError", "StandardError"})


class _Cannot(Exception):
    """The block is left as it is; the reason."""


def _at(new: _S, place: ast.AST) -> _S:
    return ast.fix_missing_locations(ast.copy_location(new, place))


def try_as_branches(node: ast.Try, fresh: Callable[[str], str]) -> ast.AST | list[ast.stmt]:
    """The statements that ``try`` stands for; the node itself, with the reason, where that cannot be told."""
    try:
        made = _Block(node, fresh).run(node.body, node.orelse)
        return _with_finally(made, node.finalbody, fresh) if node.finalbody else made
    except _Cannot as e:
        node.reason = str(e)  # type: ignore[attr-defined]
        return node


def _named(e: ast.expr | None) -> str | None:
    """The name of an exception class, or of that of an exception that is made."""
    e = e.func if isinstance(e, ast.Call) else e
    return e.id if isinstance(e, ast.Name) else e.attr if isinstance(e, ast.Attribute) else None


class _Handler:
    """``except names as name: body``"""

    def __init__(self, node: ast.ExceptHandler) -> None:
        given = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        self.names = ["BaseException"] if node.type is None else [_named(e) or "" for e in given]
        self.name, self.body = node.name, node.body

    def catches(self, error: str) -> bool:
        for name in self.names:
            if name in ("Exception", "BaseException") or name == error:
                return True
            a, b = getattr(builtins, error, None), getattr(builtins, name, None)
            if isinstance(a, type) and isinstance(b, type) and issubclass(a, b):
                return True
        return False


def _exits(body: list[ast.stmt]) -> bool:
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.If):
        return _exits(last.body) and _exits(last.orelse)
    return isinstance(last, ast.Return | ast.Raise | ast.Break | ast.Continue)


def _set(name: str, value: bool, place: ast.AST) -> ast.stmt:
    return _at(ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value)), place)


class _Block:
    """One ``try``. ``flags`` are variables that say that something was raised, of the statements around."""

    def __init__(self, node: ast.Try, fresh: Callable[[str], str]) -> None:
        self.node, self.fresh = node, fresh
        self.handlers = [_Handler(h) for h in node.handlers]
        self.flags: list[str] = []

    def handler(self, *errors: str) -> _Handler | None:
        return next((h for h in self.handlers for e in errors if h.catches(e)), None)

    @property
    def catches_all(self) -> bool:
        return any(n in _EVERYTHING for h in self.handlers for n in h.names)

    # -- statements --------------------------------------------------------------------------------------------

    def run(self, body: list[ast.stmt], tail: list[ast.stmt]) -> list[ast.stmt]:
        """The statements, what may raise in branches; ``tail`` follows where nothing was raised."""
        done: list[ast.stmt] = []
        for i, s in enumerate(body):
            rest = body[i + 1 :]
            if isinstance(s, ast.Raise):
                return [*done, *self.handled(s)]
            s = _as_branch(s)
            tests = self.tests(s)
            if tests:
                inside = self.run_one(s, rest, tail)
                return [*done, _at(ast.If(_all(tests), inside, self.missing(s)), s)]
            if self.may_raise(s):
                return [*done, *self.run_one(s, rest, tail)]
            done.append(s)
        return [*done, *tail]

    def run_one(self, s: ast.stmt, rest: list[ast.stmt], tail: list[ast.stmt]) -> list[ast.stmt]:
        """A statement that raises in one of its branches or rounds, and what follows."""
        if isinstance(s, _LOOPS):
            return self.loop(s, rest, tail)
        if not isinstance(s, ast.If) or not self.may_raise(s):
            return [s, *self.run(rest, tail)]
        if _exits(s.body):
            return [_at(ast.If(s.test, self.run(s.body, []), self.run([*s.orelse, *rest], tail)), s)]
        if _exits(s.orelse):
            return [_at(ast.If(s.test, self.run([*s.body, *rest], tail), self.run(s.orelse, [])), s)]
        flag = self.fresh("raised")
        self.flags.append(flag)
        branch = _at(ast.If(s.test, self.run(s.body, []) or [ast.Pass()], self.run(s.orelse, [])), s)
        self.flags.pop()
        after = self.run(rest, tail)
        go_on = [_at(ast.If(ast.UnaryOp(ast.Not(), ast.Name(flag, ast.Load())), after, []), s)] if after else []
        return [_set(flag, False, s), branch, *go_on]

    def loop(self, s: ast.For | ast.While, rest: list[ast.stmt], tail: list[ast.stmt]) -> list[ast.stmt]:
        """A loop in which something is raised: it is left, and a flag tells."""
        flag = self.fresh("raised")
        found: list[_Handler] = []
        s.body = self.leaving(s.body, flag, found)
        if len({id(h) for h in found}) != 1 or (found[0].name is not None and _reads(found[0])):
            raise _Cannot("a loop in it raises, which several handlers or the text of the exception would have to tell")
        handled = [*(_set(f, True, s) for f in self.flags), *copy.deepcopy(found[0].body)]
        return [_set(flag, False, s), s, _at(ast.If(ast.Name(flag, ast.Load()), handled, self.run(rest, tail)), s)]

    def leaving(self, body: list[ast.stmt], flag: str, found: list[_Handler]) -> list[ast.stmt]:
        """A loop's body that sets the flag and leaves the loop where it raised."""
        done: list[ast.stmt] = []
        for i, s in enumerate(body):
            leave = [_set(flag, True, s), _at(ast.Break(), s)]
            if isinstance(s, ast.Raise):
                handler = self.handler(_named(s.exc) or "")
                if handler is None:
                    return [*done, s]
                found.append(handler)
                return [*done, *leave]
            s = _as_branch(s)
            tests = self.tests(s)
            if tests:
                found.append(self.missing_handler(s))
                inside = self.leaving_one(s, flag, found)
                return [*done, _at(ast.If(_all(tests), [*inside, *self.leaving(body[i + 1 :], flag, found)], leave), s)]
            done += self.leaving_one(s, flag, found)
        return done

    def leaving_one(self, s: ast.stmt, flag: str, found: list[_Handler]) -> list[ast.stmt]:
        if not self.may_raise(s):
            return [s]
        if isinstance(s, ast.If):
            return [_at(ast.If(s.test, self.leaving(s.body, flag, found), self.leaving(s.orelse, flag, found)), s)]
        assert isinstance(s, _LOOPS)
        s.body = self.leaving(s.body, flag, found)
        return [s, _at(ast.If(ast.Name(flag, ast.Load()), [ast.Break()], []), s)]

    # -- what raises -------------------------------------------------------------------------------------------

    def may_raise(self, s: ast.stmt) -> bool:
        """Whether a part of a statement raises, or is tested; the parts that a statement holds are looked at."""
        if isinstance(s, ast.Raise | ast.Assert):
            return True
        if isinstance(s, ast.If | ast.For | ast.While):
            return any(self.may_raise(x) or bool(self.tests(x)) for x in (*s.body, *s.orelse))
        if isinstance(s, ast.With | ast.Try):
            raise _Cannot("a block inside it may raise, too")
        return False

    def tests(self, s: ast.stmt) -> list[ast.expr]:
        """What must be true for the statement's own expressions not to raise what is caught.

        Raises _Cannot where that is not known.
        """
        parts: list[ast.AST] = (
            [s.test] if isinstance(s, ast.If | ast.While) else [s.iter] if isinstance(s, ast.For) else [s]
        )
        # What is inside first: d[k] must be there before d[k][i] is asked for.
        found = [t for p in parts for n in reversed(list(ast.walk(p))) for t in self._tests_of(n, p)]
        if found and isinstance(s, ast.While):
            raise _Cannot("the condition of a while in it may raise")
        return found

    def _tests_of(self, n: ast.AST, whole: ast.AST) -> Iterator[ast.expr]:
        if isinstance(n, ast.Call):
            yield from self._call(n)
        elif isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and self.catches_all:
            yield _test("$no_tensor", n, n)
        elif isinstance(n, ast.Subscript) and not isinstance(n.slice, ast.Slice):
            key, index = self.handler("KeyError") is not None, self.handler("IndexError") is not None
            if key or index:
                self._must_be_plain(n, whole)
                flags = (ast.Constant(key), ast.Constant(index), ast.Constant(not isinstance(n.ctx, ast.Load)))
                yield _test("$can_get", n, n.value, n.slice, *flags)
        elif isinstance(n, ast.BinOp | ast.AugAssign) and isinstance(n.op, ast.Div | ast.FloorDiv | ast.Mod):
            if self.handler("ZeroDivisionError") is not None:
                divisor = n.right if isinstance(n, ast.BinOp) else n.value
                self._must_be_plain(divisor, whole)
                yield _test("$can_divide", n, divisor)

    def _must_be_plain(self, e: ast.AST, whole: ast.AST) -> None:
        inside = [x for o in ast.walk(whole) if isinstance(o, _OPAQUE) for x in ast.walk(o)]
        if any(isinstance(x, ast.Call | ast.NamedExpr | ast.Await) for x in ast.walk(e)) or e in inside:
            raise _Cannot("what may raise is part of a larger expression: give it a line of its own")

    def _call(self, n: ast.Call) -> Iterator[ast.expr]:
        """Whether a call may raise what is caught."""
        f = n.func
        if isinstance(f, ast.Name):
            casts = f.id in ("int", "float")
            if casts and self.handler("ValueError") is not None and n.args:
                yield _test("$no_text", n, n.args[0])
            elif f.id in ("min", "max") and len(n.args) < 2 and self.handler("ValueError") is not None:
                raise _Cannot(f"{f.id}() of nothing raises")
            elif f.id not in _SAFE and f.id not in ("min", "max") and not casts:
                raise _Cannot(f"{f.id}() may raise, too")
            return
        root = f
        while isinstance(root, ast.Attribute):
            root = root.value
        name = root.id if isinstance(root, ast.Name) else ""
        what = ast.unparse(f)
        if name == "self" or self.catches_all or (name in ("F", "math") and self.handler("ValueError") is not None):
            raise _Cannot(f"{what}() may raise, too")
        if name == "torch":
            if self.handler("IndexError") is not None:
                raise _Cannot(f"{what}() may raise, too")
            return
        assert isinstance(f, ast.Attribute)
        error = {"pop": ("IndexError", "KeyError"), "index": ("ValueError",), "remove": ("ValueError", "KeyError")}
        if self.handler(*error.get(f.attr, ("IndexError",))) is not None and f.attr not in ("append", "get", "items"):
            raise _Cannot(f"{what}() may raise, too")
        yield _test("$no_object", n, f.value)

    # -- what handles ------------------------------------------------------------------------------------------

    def missing_handler(self, s: ast.stmt) -> _Handler:
        handlers = {id(h): h for e in ("KeyError", "IndexError", "ZeroDivisionError") if (h := self.handler(e))}
        if not handlers:  # the tests are of types only: what is caught is never raised
            return _Handler(ast.ExceptHandler(None, None, [_at(ast.Pass(), s)]))
        if len(handlers) > 1:
            raise _Cannot("which of several handlers is meant is not known")
        return next(iter(handlers.values()))

    def missing(self, s: ast.stmt) -> list[ast.stmt]:
        """What handles that something is not there."""
        handler = self.missing_handler(s)
        if handler.name is not None and _reads(handler):
            raise _Cannot("the text of the exception is not known")
        if any(isinstance(n, ast.Raise) and n.exc is None for b in handler.body for n in ast.walk(b)):
            raise _Cannot("what is raised again is not known")
        return [*(_set(f, True, s) for f in self.flags), *copy.deepcopy(handler.body)]

    def handled(self, s: ast.Raise) -> list[ast.stmt]:
        """What handles a ``raise``, in its place."""
        handler = self.handler(_named(s.exc) or "")
        if handler is None:
            return [s]
        body = copy.deepcopy(handler.body)
        first: list[ast.stmt] = []
        text: ast.expr = ast.Constant("")
        given = s.exc.args if isinstance(s.exc, ast.Call) else []
        if handler.name is not None and _reads(handler):
            if len(given) > 1:
                raise _Cannot("an exception of several values")
            name = self.fresh("message")
            first = [_at(ast.Assign([ast.Name(name, ast.Store())], given[0] if given else text), s)]
            body = [_Messages(handler.name, name).visit(b) for b in body]
        body = [_Again(s).visit(b) for b in body]
        return [*first, *(_set(f, True, s) for f in self.flags), *body]


def _as_branch(s: ast.stmt) -> ast.stmt:
    """``assert`` as the ``raise`` in a branch that it is."""
    if not isinstance(s, ast.Assert):
        return s
    error = ast.Call(ast.Name("AssertionError", ast.Load()), [s.msg] if s.msg is not None else [], [])
    return _at(ast.If(ast.UnaryOp(ast.Not(), s.test), [ast.Raise(error, None)], []), s)


def _test(name: str, place: ast.AST, *args: ast.expr) -> ast.expr:
    given = [copy.deepcopy(a) for a in args]
    for g in given:
        for n in ast.walk(g):
            if hasattr(n, "ctx"):
                n.ctx = ast.Load()
    return _at(ast.Call(ast.Name(name, ast.Load()), given, []), place)


def _all(tests: list[ast.expr]) -> ast.expr:
    return tests[0] if len(tests) == 1 else _at(ast.BoolOp(ast.And(), tests), tests[0])


def _reads(handler: _Handler) -> bool:
    """Whether a handler asks the exception for anything."""
    return any(isinstance(n, ast.Name) and n.id == handler.name for b in handler.body for n in ast.walk(b))


class _Messages(ast.NodeTransformer):
    """``str(e)``, ``{e}``, ``print(e)`` and ``e.args[0]`` as the text of the exception."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text

    def _is(self, e: ast.AST) -> bool:
        return isinstance(e, ast.Name) and e.id == self.name

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in ("str", "print"):
            node.args = [_at(ast.Name(self.text, ast.Load()), a) if self._is(a) else a for a in node.args]
        self.generic_visit(node)
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        if self._is(node.value):
            node.value = _at(ast.Name(self.text, ast.Load()), node.value)
        self.generic_visit(node)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        v, i = node.value, node.slice
        if isinstance(v, ast.Attribute) and v.attr == "args" and self._is(v.value) and isinstance(i, ast.Constant):
            return _at(ast.Name(self.text, ast.Load()), node)
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == self.name:
            raise _Cannot(f"of an exception only its text is known: use str({node.id})")
        return node


class _Again(ast.NodeTransformer):
    """A bare ``raise`` in a handler: the exception that it handles."""

    def __init__(self, raised: ast.Raise) -> None:
        self.raised = raised

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return node if node.exc is not None else _at(copy.deepcopy(self.raised), node)


# -- finally -----------------------------------------------------------------------------------------------------------


def _with_finally(body: list[ast.stmt], last: list[ast.stmt], fresh: Callable[[str], str]) -> list[ast.stmt]:
    """The statements with what ``finally`` says at their end, and before everything that leaves them."""
    for s in last:
        named = isinstance(s, ast.Pass) or (
            isinstance(s, ast.Assign | ast.AugAssign)
            and all(isinstance(t, ast.Name) for t in (s.targets if isinstance(s, ast.Assign) else [s.target]))
        )
        if not named:
            raise _Cannot("what finally does beside assigning variables would not be done after an exception")
    found = [x for s in body for x in _leaving(s, last, fresh, in_loop=False)]
    return found if _exits(found) else [*found, *copy.deepcopy(last)]


def _leaving(s: ast.stmt, last: list[ast.stmt], fresh: Callable[[str], str], in_loop: bool) -> list[ast.stmt]:
    if isinstance(s, ast.Return):
        name = fresh("result")
        value = s.value if s.value is not None else ast.Constant(None)
        first = _at(ast.Assign([ast.Name(name, ast.Store())], value), s)
        return [first, *copy.deepcopy(last), _at(ast.Return(ast.Name(name, ast.Load())), s)]
    if isinstance(s, ast.Break | ast.Continue) and not in_loop:
        return [*copy.deepcopy(last), s]
    if isinstance(s, ast.If | ast.With | ast.For | ast.While):
        inside = in_loop or isinstance(s, _LOOPS)
        s.body = [x for b in s.body for x in _leaving(b, last, fresh, inside)]
        if not isinstance(s, ast.With):
            s.orelse = [x for b in s.orelse for x in _leaving(b, last, fresh, inside)]
    return [s]
