"""Makes a failing program small: statements go, blocks are flattened, as long as it fails in the same way."""

from __future__ import annotations

import ast
import copy
import time
from collections.abc import Callable, Iterator

__all__ = ["reduced"]


def reduced(text: str, fails: Callable[[str], bool], rounds: int = 150, seconds: float = 120.0) -> str:
    """The smallest text found, in that time, for which ``fails`` is still true."""
    best = text
    end = time.monotonic() + seconds
    tree = ast.parse(text)
    progress = True
    while progress and rounds > 0:
        progress = False
        for change in list(_changes(tree)):
            if rounds <= 0 or time.monotonic() > end:
                return best
            again = _changed(tree, change)
            if again is None:
                continue
            rounds -= 1
            tried = ast.unparse(again) + "\n"
            if fails(tried):
                best, tree, progress = tried, again, True
                break
    return best


_Change = tuple[list[int], str]


def _changes(tree: ast.AST) -> Iterator[_Change]:
    """Every change to try, the largest first: positions of statements, counted in ``ast.walk`` order, and what to do."""
    bodies = [(i, n) for i, n in enumerate(ast.walk(tree)) if isinstance(n, ast.stmt)]
    sizes = sorted(bodies, key=lambda pair: -len(ast.unparse(pair[1])))
    for i, n in sizes:
        if not isinstance(n, ast.Import | ast.ImportFrom | ast.Return | ast.FunctionDef) or (
            isinstance(n, ast.FunctionDef) and n.name not in ("forward", "Program", "__init__")
        ):
            yield [i], "remove"
    for i, n in sizes:
        if isinstance(n, ast.If | ast.For | ast.While):
            yield [i], "flatten"
        if isinstance(n, ast.If) and n.orelse:
            yield [i], "else"
    for i, n in sizes:
        for k, _ in enumerate(_operands(n)):
            yield [i, k], "operand"


def _operands(n: ast.stmt) -> list[ast.expr]:
    """The expressions of a statement that might stand in for the expression that they are in."""
    found = [
        x for x in ast.walk(n) if isinstance(x, ast.BinOp | ast.Call | ast.IfExp | ast.BoolOp | ast.UnaryOp | ast.Tuple)
    ]
    return found if not isinstance(n, ast.If | ast.For | ast.While | ast.FunctionDef | ast.ClassDef) else []


def _changed(tree: ast.AST, change: _Change) -> ast.AST | None:
    again = copy.deepcopy(tree)
    nodes = list(ast.walk(again))
    target = nodes[change[0][0]]
    if change[1] == "operand":
        assert isinstance(target, ast.stmt)
        return again if _simplify(target, change[0][1]) else None
    for n in nodes:
        for name in ("body", "orelse"):
            block = getattr(n, name, None)
            if isinstance(block, list) and target in block:
                at = block.index(target)
                block[at : at + 1] = _instead(target, change[1])
                if not block and name == "body":
                    block.append(ast.Pass())
                return again
    return None


def _instead(n: ast.AST, what: str) -> list[ast.stmt]:
    if what == "flatten":
        return n.body  # type: ignore[attr-defined, no-any-return]
    return n.orelse if what == "else" else []  # type: ignore[attr-defined]


def _simplify(statement: ast.stmt, k: int) -> bool:
    """Put one operand in place of the whole expression."""
    expression = _operands(statement)[k]
    if isinstance(expression, ast.BinOp):
        instead: ast.expr = expression.left
    elif isinstance(expression, ast.IfExp):
        instead = expression.body
    elif isinstance(expression, ast.BoolOp):
        instead = expression.values[0]
    elif isinstance(expression, ast.UnaryOp):
        instead = expression.operand
    elif isinstance(expression, ast.Tuple):
        if len(expression.elts) < 2:
            return False
        del expression.elts[-1]
        return True
    elif isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):
        instead = expression.func.value
        if isinstance(instead, ast.Name) and instead.id in ("torch", "math"):
            if not expression.args:
                return False
            instead = expression.args[0]
    else:
        return False
    for parent in ast.walk(statement):
        for name, value in ast.iter_fields(parent):
            if value is expression:
                setattr(parent, name, instead)
                return True
            if isinstance(value, list) and any(v is expression for v in value):
                value[[v is expression for v in value].index(True)] = instead
                return True
    return False
