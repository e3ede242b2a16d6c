"""Python source → :mod:`trees <bridge.importers.script.tree>`.

The text is parsed with ``ast`` (which executes nothing) and reduced to what a script may say; everything else is refused
here with its place. Ranges follow ``torch/jit/frontend.py``: see :mod:`bridge.importers.script.tree`.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from bridge.importers.script import tree as T
from bridge.importers.script.errors import VARIADIC, FrontendError, NotSupportedError
from bridge.importers.script.names import assigned_names, own_statements, stray_exit
from bridge.importers.script.rewrite import rewritten
from bridge.ir.source import Source, SourceRange

__all__ = ["Builder", "parse_def", "parse_expression", "parse_lambda", "parse_source"]

_BINARY: dict[type, str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.Mod: "%", ast.FloorDiv: "//",
    ast.BitAnd: "&", ast.BitXor: "^", ast.BitOr: "|", ast.LShift: "<<", ast.RShift: ">>", ast.MatMult: "@",
}  # fmt: skip
_UNARY: dict[type, str] = {ast.Not: "not", ast.USub: "-", ast.Invert: "~", ast.UAdd: "+"}
_COMPARE: dict[type, str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.LtE: "<=", ast.Lt: "<", ast.GtE: ">=", ast.Gt: ">", ast.Is: "is",
    ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip

#: What a construct is called in errors, the token that the caret marks, and what to write instead.
_REFUSED: dict[type, tuple[str, str, str]] = {
    ast.FunctionDef: ("decorated functions inside functions", "@", "define the function outside and call it"),
    ast.AsyncFunctionDef: ("async function definitions", "async def", "write a plain function"),
    ast.AsyncFor: ("async for loops", "async for", "write a plain for loop"),
    ast.AsyncWith: ("async with statements", "async with", "write a plain with statement"),
    ast.ClassDef: ("class definitions", "class", "define the class outside"),
    ast.Try: ("try blocks", "try", "test the condition with if before"),
    ast.Global: ("global variables", "global", "pass the value as an argument and return the new one"),
    ast.Nonlocal: ("nonlocal variables", "nonlocal", "pass the value as an argument and return the new one"),
    ast.Import: ("import statements", "import", "import at the top of the file"),
    ast.ImportFrom: ("import statements", "from", "import at the top of the file"),
    ast.Match: ("Match", "match", "write if and elif"),
    ast.Lambda: ("Lambda", "lambda", "write a function with def"),
    ast.NamedExpr: ("NamedExpr", "", "assign on a line of its own"),
    ast.Set: ("Set", "{", "write a list"),
    ast.SetComp: ("SetComp", "{", "write a list comprehension"),
    ast.Yield: ("Yield", "yield", "collect the values in a list and return it"),
    ast.YieldFrom: ("YieldFrom", "yield", "collect the values in a list and return it"),
    ast.Await: ("Await", "await", "use jit.fork and jit.wait"),
}

_IMPORTS = (ast.Import, ast.ImportFrom)


class Builder:
    """Builds trees over one :class:`Source` whose lines may be indented by ``indent`` columns more than what was parsed."""

    def __init__(self, source: Source, indent: int = 0, printed: bool = False) -> None:
        self.source, self.indent = source, indent
        #: Printed programs are read as TorchScript's own parser reads them: ``-1`` is one number.
        self.printed = printed
        self._byte_lines: dict[int, bytes] = {}
        self._ascii = source.text.isascii()

    # -- ranges ------------------------------------------------------------------------------------------------

    def offset(self, line: int, column: int) -> int:
        """Offset of a position as ``ast`` gives it (1-based line, column in UTF-8 bytes of the parsed text)."""
        if not self._ascii:
            starts = self.source.line_starts()
            start = starts[line - 1] + self.indent
            end = starts[line] if line < len(starts) else len(self.source.text)
            column = len(self.source.text[start:end].encode()[:column].decode(errors="ignore"))
        return self.source.offset(line, column + self.indent)

    def token(self, node: Any, length: int) -> SourceRange:
        """``length`` characters from where the node starts."""
        start = self.offset(node.lineno, node.col_offset)
        return SourceRange(self.source, start, start + length)

    def raw(self, start: int, end: int) -> SourceRange:
        return SourceRange(self.source, start, end)

    def refuse(self, node: Any, reason: str = "") -> NotSupportedError:
        """The error for a construct that is not script."""
        name, token, fix = _REFUSED.get(type(node), (type(node).__name__, " ", ""))
        why = getattr(node, "reason", "")
        if why:
            return NotSupportedError(f"{name} aren't supported here: {why}; {fix}", self.token(node, len(token) or 1))
        text = f"{name} {reason + ' ' if reason else ''}aren't supported"
        return NotSupportedError(f"{text}: {fix}" if fix else text, self.token(node, len(token) or 1))

    # -- definitions -------------------------------------------------------------------------------------------

    def definition(self, node: ast.FunctionDef, name: str | None = None, body: bool = True) -> T.Def:
        """A function definition, under another name when one is given; its signature only without ``body``."""
        range = self.token(node, len("def"))
        if not body:  # the function will not be compiled, so it may take anything
            node.args.vararg = node.args.kwarg = None
            node.args.kw_defaults = [None] * len(node.args.kwonlyargs)
        params = self.parameters(node.args)
        returns = self.expr(node.returns) if node.returns is not None else None
        own = frozenset() if self.printed else assigned_names(node, self.source.text)
        return T.Def(range, name or node.name, params, returns, self.body(node.body) if body else [], own)

    def inner(self, node: ast.FunctionDef | ast.Lambda) -> T.Expr:
        """A lambda, or a function defined inside another."""
        if getattr(node, "decorator_list", None):
            raise self.refuse(node)
        own = assigned_names(node)
        if isinstance(node, ast.Lambda):
            range = self.token(node, len("lambda"))
            value = self.expr(node.body)
            d = T.Def(range, "lambda", self.parameters(node.args), None, [T.Return(value.range, value)], own)
            return T.Inner(range, d)
        nonlocals = [name for s in own_statements(node) if isinstance(s, ast.Nonlocal) for name in s.names]
        stray = stray_exit(node.body)
        if stray is not None:
            what = type(stray).__name__.lower()
            raise FrontendError(f"SyntaxError: '{what}' outside loop", self.token(stray, len(what)))
        range = self.token(node, len("def"))
        returns = self.expr(node.returns) if node.returns is not None else None
        body = self.body([s for s in node.body if not isinstance(s, ast.Nonlocal)])
        return T.Inner(range, T.Def(range, node.name, self.parameters(node.args), returns, body, own, nonlocals))

    def inner_definition(self, node: ast.FunctionDef) -> T.Stmt:
        value = self.inner(node)
        return T.Assign(value.range, [T.Var(value.range, node.name)], value)

    def parameters(self, args: ast.arguments) -> list[T.Param]:
        if self.printed and (args.kwarg is not None or args.vararg is not None):
            extra = args.kwarg or args.vararg
            assert extra is not None
            at = self.token(extra, len(extra.arg))
            raise NotSupportedError(VARIADIC, self.raw(at.start - 1, at.end))
        positional = [*args.posonlyargs, *args.args]
        defaults: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults))
        result = [self.parameter(a, d) for a, d in zip(positional, [*defaults, *args.defaults], strict=True)]
        if args.vararg is not None:
            rest = self.parameter(args.vararg, None)
            result.append(T.Param(rest.range, rest.name, rest.type, None, False, gathers=True))
        result += [
            self.parameter(a, d, kwarg_only=True) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)
        ]
        if args.kwarg is not None:
            rest = self.parameter(args.kwarg, None)
            at = self.raw(rest.range.start - 1, rest.range.end)
            result.append(T.Param(at, rest.name, rest.type, None, keywords=True))
        return result

    def parameter(self, arg: ast.arg, default: ast.expr | None, kwarg_only: bool = False) -> T.Param:
        range = self.token(arg, len(arg.arg))
        annotation = self.expr(arg.annotation) if arg.annotation is not None else None
        value = self._default(default) if default is not None else None
        return T.Param(range, arg.arg, annotation, value, kwarg_only)

    def _default(self, node: ast.expr) -> T.Expr | None:
        # Defaults of live functions come from the function object; only text without one needs the expression.
        try:
            return self.expr(node)
        except FrontendError:
            return None

    def class_definition(self, node: ast.ClassDef) -> T.ClassDef:
        """A class as printed programs have it: assignments, declarations and methods."""
        range = self.token(node, len("class"))
        bases = [ast.unparse(b) for b in node.bases]
        return T.ClassDef(range, node.name, bases, [s for n in node.body if (s := self.class_item(n)) is not None])

    def class_item(self, node: ast.stmt) -> T.Stmt | None:
        if isinstance(node, ast.FunctionDef):
            return self.definition(node)
        if isinstance(node, ast.AnnAssign):
            value = self.expr(node.value) if node.value is not None else None
            target, annotation = self.expr(node.target), self.expr(node.annotation)
            return T.Assign(target.range, [target], value, annotation)
        if isinstance(node, ast.Assign | ast.Pass):
            return self.stmt(node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return None
        raise self.refuse(node)

    # -- statements --------------------------------------------------------------------------------------------

    def body(self, nodes: Sequence[ast.stmt]) -> list[T.Stmt]:
        return [s for n in nodes for s in (self.imports(n) if isinstance(n, _IMPORTS) else [self.stmt(n)])]

    def imports(self, node: ast.Import | ast.ImportFrom) -> list[T.Stmt]:
        """Imports inside a function: its names stand for what is imported while compiling."""
        if self.printed:
            raise self.refuse(node)
        result: list[T.Stmt] = []
        for a in node.names:
            range = self.token(a, len(a.name))
            if isinstance(node, ast.ImportFrom):
                if node.level or a.name == "*" or node.module is None:
                    raise self.refuse(node)
                result.append(T.Import(range, a.asname or a.name, node.module, a.name))
            else:
                first = a.name.split(".")[0]
                result.append(T.Import(range, a.asname or first, a.name if a.asname else first, None))
        return result

    def stmt(self, node: ast.stmt) -> T.Stmt:
        build = _STATEMENTS.get(type(node))
        if build is None:
            raise self.refuse(node)
        return build(self, node)

    def expr_stmt(self, node: ast.Expr) -> T.Stmt:
        if isinstance(node.value, ast.Constant) and node.value.value is Ellipsis:
            return T.Pass(self.token(node, 3))
        value = self.expr(node.value)
        return T.ExprStmt(value.range, value)

    def assign(self, node: ast.Assign) -> T.Stmt:
        value = self.expr(node.value)
        targets = [self.expr(t) for t in node.targets]
        return T.Assign(targets[0].range, targets, value)

    def ann_assign(self, node: ast.AnnAssign) -> T.Stmt:
        if node.value is None:
            raise NotSupportedError(
                "annotated assignments without assigned value aren't supported", self.token(node, 1)
            )
        value, target = self.expr(node.value), self.expr(node.target)
        return T.Assign(target.range, [target], value, self.expr(node.annotation))

    def aug_assign(self, node: ast.AugAssign) -> T.Stmt:
        target, value = self.expr(node.target), self.expr(node.value)
        op = _BINARY.get(type(node.op))
        if op is None or op == "@":
            at = self.source.text.rindex("=", 0, value.range.start)
            range = self.raw(at - 1, at + 1)
            name = type(node.op).__name__
            raise NotSupportedError(f"unsupported kind of augmented assignment: {name}; write x = x {op} y", range)
        return T.AugAssign(target.range, target, op, value)

    def delete(self, node: ast.Delete) -> T.Stmt:
        return T.Delete(self.token(node, len("del")), [self.expr(t) for t in node.targets])

    def return_(self, node: ast.Return) -> T.Stmt:
        range = self.token(node, len("return"))
        return T.Return(range, T.Literal(range, None) if node.value is None else self.expr(node.value))

    def raise_(self, node: ast.Raise) -> T.Stmt:
        range = self.token(node, len("raise"))
        if node.exc is None:
            raise NotSupportedError("raise without an exception isn't supported: name the exception", range)
        return T.Raise(range, self.expr(node.exc))

    def assert_(self, node: ast.Assert) -> T.Stmt:
        range = self.token(node, len("assert"))
        test = self.expr(node.test)
        return T.Assert(range, test, self.expr(node.msg) if node.msg is not None else None)

    def while_(self, node: ast.While) -> T.Stmt:
        range = self.token(node, len("while"))
        if node.orelse:
            raise NotSupportedError("else branches of while loops aren't supported: set a flag before break", range)
        return T.While(range, self.expr(node.test), self.body(node.body), getattr(node, "assured", frozenset()))

    def for_(self, node: ast.For) -> T.Stmt:
        range = self.token(node, len("for"))
        if node.orelse:
            raise NotSupportedError("else branches of for loops aren't supported: set a flag before break", range)
        assured: frozenset[str] = getattr(node, "assured", frozenset())
        return T.For(range, self.expr(node.target), self.expr(node.iter), self.body(node.body), assured)

    def if_(self, node: ast.If) -> T.Stmt:
        return T.If(self.token(node, len("if")), self.expr(node.test), self.body(node.body), self.body(node.orelse))

    def with_(self, node: ast.With) -> T.Stmt:
        items = [
            (self.expr(i.context_expr), self.expr(i.optional_vars) if i.optional_vars is not None else None)
            for i in node.items
        ]
        return T.With(self.token(node, len("with")), items, self.body(node.body))

    def pass_(self, node: ast.Pass) -> T.Stmt:
        return T.Pass(self.token(node, len("pass")))

    def break_(self, node: ast.Break) -> T.Stmt:
        return T.Break(self.token(node, len("break")))

    def continue_(self, node: ast.Continue) -> T.Stmt:
        return T.Continue(self.token(node, len("continue")))

    # -- expressions -------------------------------------------------------------------------------------------

    def expr(self, node: ast.expr) -> T.Expr:
        build = _EXPRESSIONS.get(type(node))
        if build is None:
            raise self.refuse(node)
        return build(self, node)

    def exprs(self, nodes: Sequence[ast.expr]) -> list[T.Expr]:
        return [self.expr(n) for n in nodes]

    def name(self, node: ast.Name) -> T.Expr:
        range = self.token(node, len(node.id))
        if node.id.startswith("__jit"):
            raise NotSupportedError("names of variables used in JIT-ed functions can't start with __jit", range)
        return T.Dots(range) if node.id == "Ellipsis" else T.Var(range, node.id)

    def constant(self, node: ast.Constant) -> T.Expr:
        value = node.value
        if value is None or isinstance(value, bool):
            return T.Literal(self.token(node, len(str(value))), value)
        if isinstance(value, int | float | complex):
            range = self.token(node, len(str(value)))
            if isinstance(value, int) and value > (1 << 63) - 1:
                raise FrontendError("Integer constant out of range (must fit in a signed 64 bit integer)", range)
            return T.Const(range, value)
        if isinstance(value, str):
            return T.StringLit(self.token(node, len(value) + 1), value)
        if value is Ellipsis:
            return T.Dots(self.token(node, 3))
        raise FrontendError(f"{type(value).__name__} constants aren't supported", self.token(node, len(str(value))))

    def attribute(self, node: ast.Attribute) -> T.Expr:
        value = self.expr(node.value)
        text, start = self.source.text, value.range.end + 1
        # A call's range stops before its closing bracket, so the name is looked for where ``ast`` ends it.
        if node.end_lineno is not None and node.end_col_offset is not None:
            end = self.offset(node.end_lineno, node.end_col_offset)
            start = end - len(node.attr)
        else:
            while start < len(text) and text[start].isspace():
                start += 1
        return T.Select(self.raw(value.range.start, start + len(node.attr)), value, node.attr)

    def call(self, node: ast.Call) -> T.Expr:
        callee = self.expr(node.func)
        inputs = self.exprs(node.args)
        keywords = []
        for k in node.keywords:
            value = self.expr(k.value)
            keywords.append(T.Keyword(value.range, k.arg if k.arg is not None else "**", value))
        return T.Apply(callee.range, callee, inputs, keywords)

    def subscript(self, node: ast.Subscript) -> T.Expr:
        base = self.expr(node.value)
        if isinstance(node.slice, ast.Tuple):
            indices = [self.index(base, e) for e in node.slice.elts]
            if not indices:
                indices = [T.TupleLit(self.token(node.slice, 2), [])]
        else:
            indices = [self.index(base, node.slice)]
        # torch's rule: up to what follows the last index, mostly the bracket
        range = SourceRange(self.source, base.range.start, indices[-1].range.end + 1)
        return T.Subscript(range, base, indices)

    def index(self, base: T.Expr, node: ast.expr) -> T.Expr:
        if not isinstance(node, ast.Slice):
            return self.expr(node)
        lower, upper, step = (None if p is None else self.expr(p) for p in (node.lower, node.upper, node.step))
        return T.SliceExpr(base.range, lower, upper, step)

    def binary(self, node: ast.BinOp) -> T.Expr:
        lhs, rhs = self.expr(node.left), self.expr(node.right)
        return T.BinOp(lhs.range, _BINARY[type(node.op)], lhs, rhs)

    def unary(self, node: ast.UnaryOp) -> T.Expr:
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and node.operand.value == 1 << 63:
            return T.Const(self.token(node, 20), -(1 << 63))  # its positive is no int64
        operand = self.expr(node.operand)
        op = _UNARY.get(type(node.op))
        if op is None:
            raise NotSupportedError(f"unsupported unary operator: {type(node.op).__name__}", self.token(node, 1))
        if self.printed and op == "-" and isinstance(operand, T.Const):
            return T.Const(operand.range, -operand.value)
        return T.UnaryOp(self.token(node, len(op)), op, operand)

    def boolean(self, node: ast.BoolOp) -> T.Expr:
        op = "and" if isinstance(node.op, ast.And) else "or"
        result, *rest = self.exprs(node.values)
        for e in rest:
            result = T.BinOp(result.range, op, result, e)
        return result

    def compare(self, node: ast.Compare) -> T.Expr:
        operands = self.exprs([node.left, *node.comparators])
        result: T.Expr | None = None
        for lhs, op, rhs in zip(operands, node.ops, operands[1:], strict=False):
            token = _COMPARE[type(op)]
            if token == "not in":
                inner = T.BinOp(lhs.range, "in", lhs, rhs)
                one: T.Expr = T.UnaryOp(self.raw(lhs.range.end, rhs.range.start), "not", inner)
            else:
                one = T.BinOp(lhs.range, token, lhs, rhs)
            result = one if result is None else T.BinOp(result.range, "and", result, one)
        assert result is not None
        return result

    def ternary(self, node: ast.IfExp) -> T.Expr:
        cond, then, other = self.expr(node.test), self.expr(node.body), self.expr(node.orelse)
        return T.Ternary(cond.range, cond, then, other)

    def list_lit(self, node: ast.List) -> T.Expr:
        return T.ListLit(self.token(node, 1), self.exprs(node.elts))

    def tuple_lit(self, node: ast.Tuple) -> T.Expr:
        return T.TupleLit(self.token(node, 1), self.exprs(node.elts))

    def dict_lit(self, node: ast.Dict) -> T.Expr:
        range = self.token(node, 1)
        keys = [k for k in node.keys if k is not None]
        if len(keys) != len(node.keys):
            if self.printed:
                raise NotSupportedError("Dict expansion (e.g. `{**dict}`) is not supported: use update()", range)
            return self._merged_dict(node, range)
        return T.DictLit(range, self.exprs(keys), self.exprs(node.values), getattr(node, "is_static", False))

    def _merged_dict(self, node: ast.Dict, range: SourceRange) -> T.Expr:
        """``{**a, "k": v}``: dicts joined by ``|``, the later entries winning."""
        parts: list[T.Expr] = []
        keys: list[T.Expr] = []
        values: list[T.Expr] = []
        for k, v in [*zip(node.keys, node.values, strict=True), (None, None)]:
            if k is not None and v is not None:
                keys.append(self.expr(k))
                values.append(self.expr(v))
                continue
            if keys:
                parts.append(T.DictLit(range, keys, values))
                keys, values = [], []
            if v is not None:
                parts.append(self.expr(v))
        result = parts[0]
        if len(parts) == 1:
            return T.Apply(range, T.Var(range, "dict"), [result], [])
        for p in parts[1:]:
            result = T.BinOp(range, "|", result, p)
        return result

    def generators(self, node: Any) -> tuple[SourceRange, list[T.Clause]]:
        """Range and clauses of a comprehension."""
        range = self.token(node, 0)
        clauses = []
        for g in node.generators:
            target, iter = self.expr(g.target), self.expr(g.iter)
            condition: T.Expr | None = None
            for e in self.exprs(g.ifs):
                condition = e if condition is None else T.BinOp(condition.range, "and", condition, e)
            clauses.append(T.Clause(range, target, iter, condition))
        return range, clauses

    def list_comp(self, node: Any) -> T.Expr:
        range, clauses = self.generators(node)
        return T.ListComp(range, self.expr(node.elt), clauses)

    def dict_comp(self, node: ast.DictComp) -> T.Expr:
        range, clauses = self.generators(node)
        return T.DictComp(range, self.expr(node.key), self.expr(node.value), clauses)

    def walrus(self, node: ast.NamedExpr) -> T.Expr:
        target = T.Var(self.token(node.target, len(node.target.id)), node.target.id)
        return T.Walrus(target.range, target, self.expr(node.value), getattr(node, "is_local", False))

    def set_(self, node: ast.Set | ast.SetComp) -> T.Expr:
        if self.printed:
            raise self.refuse(node)
        range = self.token(node, 1)
        items = T.ListLit(range, self.exprs(node.elts)) if isinstance(node, ast.Set) else self.list_comp(node)
        return T.Apply(range, T.Var(range, "set"), [items], [])

    def starred(self, node: ast.Starred) -> T.Expr:
        return T.Starred(self.token(node, 1), self.expr(node.value))

    def joined_str(self, node: ast.JoinedStr) -> T.Expr:
        if not self.printed and not all(map(_is_plain_part, node.values)):
            return T.Formatted(self.token(node, 1), self.fields(node))
        text = ""
        args: list[T.Expr] = []
        for part in node.values:
            range = self.token(part, 1)
            if isinstance(part, ast.FormattedValue):
                if part.conversion == ord("s"):
                    at = self.token(part.value, 1)
                    args.append(T.Apply(at, T.Var(at, "str"), [self.expr(part.value)], []))
                    text += "{}"
                    continue
                if part.conversion != -1:
                    raise NotSupportedError("conversions in f-strings aren't supported: call str()", range)
                if part.format_spec is not None:
                    raise NotSupportedError("format specs in f-strings aren't supported: use '%' formatting", range)
                text += "{}"
                args.append(self.expr(part.value))
            elif isinstance(part, ast.Constant):
                text += str(part.value)
        range = self.token(node, 1)
        return T.Apply(range, T.Select(range, T.StringLit(range, text), "format"), args, [])

    def fields(self, node: ast.JoinedStr) -> list[str | T.Field]:
        """The parts of an f-string, or of a format spec that has fields itself."""
        parts: list[str | T.Field] = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                spec = self.fields(part.format_spec) if isinstance(part.format_spec, ast.JoinedStr) else []
                conversion = chr(part.conversion) if part.conversion != -1 else ""
                parts.append(T.Field(self.token(part.value, 1), self.expr(part.value), conversion, spec))
            elif isinstance(part, ast.Constant):
                parts.append(str(part.value))
        return parts


def _is_plain_part(part: ast.expr) -> bool:
    """Whether TorchScript has this part of an f-string: plain text, ``{x}``, ``{x!s}``."""
    if isinstance(part, ast.FormattedValue):
        return part.format_spec is None and part.conversion in (-1, ord("s"))
    return isinstance(part, ast.Constant) and "{}" not in str(part.value)


_STATEMENTS: dict[type, Callable[[Builder, Any], T.Stmt]] = {
    ast.Expr: Builder.expr_stmt, ast.Assign: Builder.assign, ast.AnnAssign: Builder.ann_assign,
    ast.AugAssign: Builder.aug_assign, ast.Delete: Builder.delete, ast.Return: Builder.return_,
    ast.Raise: Builder.raise_, ast.Assert: Builder.assert_, ast.While: Builder.while_, ast.For: Builder.for_,
    ast.If: Builder.if_, ast.With: Builder.with_, ast.Pass: Builder.pass_, ast.Break: Builder.break_,
    ast.Continue: Builder.continue_, ast.FunctionDef: Builder.inner_definition,
}  # fmt: skip
_EXPRESSIONS: dict[type, Callable[[Builder, Any], T.Expr]] = {
    ast.Name: Builder.name, ast.Constant: Builder.constant, ast.Attribute: Builder.attribute, ast.Call: Builder.call,
    ast.Subscript: Builder.subscript, ast.BinOp: Builder.binary, ast.UnaryOp: Builder.unary,
    ast.BoolOp: Builder.boolean, ast.Compare: Builder.compare, ast.IfExp: Builder.ternary, ast.List: Builder.list_lit,
    ast.Tuple: Builder.tuple_lit, ast.Dict: Builder.dict_lit, ast.ListComp: Builder.list_comp,
    ast.GeneratorExp: Builder.list_comp, ast.DictComp: Builder.dict_comp, ast.Starred: Builder.starred,
    ast.JoinedStr: Builder.joined_str, ast.NamedExpr: Builder.walrus, ast.Lambda: Builder.inner,
    ast.Set: Builder.set_, ast.SetComp: Builder.set_,
}  # fmt: skip


#: What TorchScript's own parser says of what Python's refuses, by the start of Python's message.
_SYNTAX = {
    "'tuple' is an illegal expression for augmented": "augmented assignment can only have one LHS expression",
    "cannot assign to": "unexpected expression on the left of an assignment",
    "invalid syntax. Perhaps you forgot a comma": "expected ] or ) or a comma",
    "unterminated": "expected a valid token",
}


def _parse(source: Source, text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as e:
        message = next(
            (f"{e.msg} ({ours})" for python, ours in _SYNTAX.items() if str(e.msg).startswith(python)), e.msg
        )
        line = min(e.lineno or 1, len(source.line_starts()))
        start = source.offset(line, (e.offset or 1) - 1)
        raise FrontendError(f"not valid Python: {message}", SourceRange(source, start, start + 1)) from None


def parse_source(text: str, filename: str = "", first_line: int = 1, indent: int = 0) -> list[T.Stmt]:
    """The definitions, classes and assignments of a text (Python, or TorchScript as printed).

    Raises FrontendError with the place for what is no Python, NotSupportedError for what is no script.
    """
    source = Source(text, filename, first_line)
    builder = Builder(source, indent, printed=True)
    result: list[T.Stmt] = []
    for node in _parse(source, textwrap.dedent(text) if indent else text).body:
        if isinstance(node, ast.FunctionDef):
            result.append(builder.definition(node))
        elif isinstance(node, ast.ClassDef):
            result.append(builder.class_definition(node))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            continue
        else:
            result.append(builder.stmt(node))
    return result


def parse_def(
    lines: Sequence[str], filename: str, first_line: int, name: str | None = None, body: bool = True
) -> T.Def:
    """The one function whose source lines these are (decorators included), as ``inspect`` gives them.

    ``name`` renames it; without ``body`` only its signature is read.
    """
    text = "".join(_aligned(lines))
    stripped = textwrap.dedent(text)
    indent = len(text.split("\n", 1)[0]) - len(stripped.split("\n", 1)[0])
    source = Source(text, filename, first_line)
    nodes = _parse(source, stripped).body
    if len(nodes) != 1 or not isinstance(nodes[0], ast.FunctionDef):
        what = "a lambda has no name to compile: write a function with def" if "lambda" in text else ""
        raise FrontendError(
            f"Expected a single top-level function{': ' + what if what else ''}", SourceRange(source, 0, 1)
        )
    function = rewritten(nodes[0], text) if body else nodes[0]
    return Builder(source, indent).definition(function, name, body)


def parse_lambda(text: str, filename: str, line: int, columns: set[tuple[int, int]]) -> T.Def:
    """The lambda of a file that starts in a line, as a definition; ``columns`` are places (line, column) of its code.

    Raises FrontendError when it cannot be told from others there.
    """
    source = Source(text, filename, 1)
    found = []
    for n in ast.walk(_parse(source, text)):
        if isinstance(n, ast.Lambda) and n.lineno <= line <= (n.end_lineno or n.lineno):
            body = n.body
            start, end = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
            if columns and all(start <= at < end for at in columns):
                found.append((end[0] - start[0], end[1] - start[1], n))
    if not found:
        at = source.offset(line, 0)
        raise FrontendError(
            "the source of this lambda cannot be found: write a function with def", SourceRange(source, at, at + 1)
        )
    inner = Builder(source).inner(min(found, key=lambda f: f[:2])[2])
    assert isinstance(inner, T.Inner)
    return inner.definition


def _aligned(lines: Sequence[str]) -> list[str]:
    """The lines, none indented less than the ``def`` (comments and continued strings may be)."""
    at = next((i for i, line in enumerate(lines) if line.lstrip().startswith("def")), None)
    if at is None:
        return list(lines)
    space = lines[at].split("def")[0]
    return [line if i == at else space + line.removeprefix(space) for i, line in enumerate(lines)]


def parse_expression(text: str) -> T.Expr:
    """One expression, e.g. a type as text."""
    source = Source(text)
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as e:
        raise FrontendError(f"not a valid expression: {e.msg}", SourceRange(source, 0, len(text))) from None
    return Builder(source, len(text) - len(text.lstrip())).expr(node)
