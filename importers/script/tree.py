"""The syntax trees that the compiler works on: Python's ``ast`` reduced to what a script may say.

Every node carries the :class:`~bridge.ir.source.SourceRange` that graphs and errors show. A range covers the token that
starts the construct and everything inside it, which is how TorchScript measures it (so a call starts at its callee
and ends with its last argument).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bridge.ir.source import SourceRange

__all__ = [
    "Apply", "Assert", "Assign", "AugAssign", "BinOp", "Break", "ClassDef", "Clause", "Const", "Continue", "Def",
    "Delete", "DictComp", "DictLit", "Dots", "Emit", "Expr", "ExprStmt", "Field", "For", "Formatted", "If", "Import", "Inner", "Keyword",
    "ListComp", "ListLit", "Literal", "Param", "Pass", "Raise", "Return", "Select", "SliceExpr", "Starred", "Stmt", "StringLit", "Subscript", "Ternary",
    "Tree", "TupleLit", "UnaryOp", "Var", "Walrus", "While", "With", "merged",
]  # fmt: skip


def merged(range: SourceRange, parts: Iterable[Tree]) -> SourceRange:
    """The smallest range that covers ``range`` and all ``parts``."""
    start, end = range.start, range.end
    for p in parts:
        start, end = min(start, p.range.start), max(end, p.range.end)
    if start == range.start and end == range.end:
        return range
    return SourceRange(range.source, start, end)


class Tree:
    """Base of all nodes."""

    __slots__ = ("range",)

    def __init__(self, range: SourceRange, *parts: Tree) -> None:
        self.range = merged(range, parts) if parts else range


class Expr(Tree):
    """An expression."""

    __slots__ = ()


class Stmt(Tree):
    """A statement."""

    __slots__ = ()


# -- expressions -----------------------------------------------------------------------------------------------------


class Var(Expr):
    """A name."""

    __slots__ = ("name",)

    def __init__(self, range: SourceRange, name: str) -> None:
        super().__init__(range)
        self.name = name


class Const(Expr):
    """A number: int, float or complex."""

    __slots__ = ("value",)

    def __init__(self, range: SourceRange, value: complex) -> None:
        super().__init__(range)
        self.value = value


class Literal(Expr):
    """``True``, ``False`` or ``None``."""

    __slots__ = ("value",)

    def __init__(self, range: SourceRange, value: bool | None) -> None:
        super().__init__(range)
        self.value = value


class StringLit(Expr):
    """A string."""

    __slots__ = ("value",)

    def __init__(self, range: SourceRange, value: str) -> None:
        super().__init__(range)
        self.value = value


class Dots(Expr):
    """``...``"""

    __slots__ = ()


class Select(Expr):
    """``value.name``"""

    __slots__ = ("name", "value")

    def __init__(self, range: SourceRange, value: Expr, name: str) -> None:
        super().__init__(range, value)
        self.value, self.name = value, name


class Keyword(Tree):
    """``name=value`` of a call."""

    __slots__ = ("name", "value")

    def __init__(self, range: SourceRange, name: str, value: Expr) -> None:
        super().__init__(range, value)
        self.name, self.value = name, value


class Apply(Expr):
    """A call."""

    __slots__ = ("callee", "inputs", "keywords")

    def __init__(self, range: SourceRange, callee: Expr, inputs: list[Expr], keywords: list[Keyword]) -> None:
        super().__init__(range, callee, *inputs, *keywords)
        self.callee, self.inputs, self.keywords = callee, inputs, keywords


class Subscript(Expr):
    """``value[indices]``; one entry per dimension."""

    __slots__ = ("indices", "value")

    def __init__(self, range: SourceRange, value: Expr, indices: list[Expr]) -> None:
        super().__init__(range, value, *indices)
        self.value, self.indices = value, indices

    @property
    def indices_range(self) -> SourceRange:
        return merged(self.indices[0].range, self.indices)


class SliceExpr(Expr):
    """``start:end:step``"""

    __slots__ = ("end", "start", "step")

    def __init__(self, range: SourceRange, start: Expr | None, end: Expr | None, step: Expr | None) -> None:
        super().__init__(range, *(p for p in (start, end, step) if p is not None))
        self.start, self.end, self.step = start, end, step


class BinOp(Expr):
    """A binary operator, comparison, ``and`` or ``or``; ``op`` is its spelling."""

    __slots__ = ("lhs", "op", "rhs")

    def __init__(self, range: SourceRange, op: str, lhs: Expr, rhs: Expr) -> None:
        super().__init__(range, lhs, rhs)
        self.op, self.lhs, self.rhs = op, lhs, rhs


class UnaryOp(Expr):
    """``-x``, ``~x``, ``not x``."""

    __slots__ = ("op", "operand")

    def __init__(self, range: SourceRange, op: str, operand: Expr) -> None:
        super().__init__(range, operand)
        self.op, self.operand = op, operand


class Ternary(Expr):
    """``then if cond else other``"""

    __slots__ = ("cond", "other", "then")

    def __init__(self, range: SourceRange, cond: Expr, then: Expr, other: Expr) -> None:
        super().__init__(range, cond, then, other)
        self.cond, self.then, self.other = cond, then, other


class ListLit(Expr):
    """``[a, b]``"""

    __slots__ = ("elements",)

    def __init__(self, range: SourceRange, elements: list[Expr]) -> None:
        super().__init__(range, *elements)
        self.elements = elements


class TupleLit(Expr):
    """``a, b``"""

    __slots__ = ("elements",)

    def __init__(self, range: SourceRange, elements: list[Expr]) -> None:
        super().__init__(range, *elements)
        self.elements = elements


class DictLit(Expr):
    """``{k: v}``"""

    __slots__ = ("is_static", "keys", "values")

    def __init__(self, range: SourceRange, keys: list[Expr], values: list[Expr], is_static: bool = False) -> None:
        super().__init__(range, *keys, *values)
        #: ``is_static``: the program only ever passes it on with ``**``.
        self.keys, self.values, self.is_static = keys, values, is_static


class Clause(Tree):
    """``for target in iter if condition`` of a comprehension; ``condition`` is None without an ``if``."""

    __slots__ = ("condition", "iter", "target")

    def __init__(self, range: SourceRange, target: Expr, iter: Expr, condition: Expr | None = None) -> None:
        super().__init__(range, target, iter)
        self.target, self.iter, self.condition = target, iter, condition


class ListComp(Expr):
    """``[element for target in iter …]``"""

    __slots__ = ("clauses", "element")

    def __init__(self, range: SourceRange, element: Expr, clauses: list[Clause]) -> None:
        super().__init__(range, element, *clauses)
        self.element, self.clauses = element, clauses


class Walrus(Expr):
    """``name := value``; ``is_local``: in a comprehension, and named nowhere else."""

    __slots__ = ("is_local", "target", "value")

    def __init__(self, range: SourceRange, target: Var, value: Expr, is_local: bool = False) -> None:
        super().__init__(range, target, value)
        self.target, self.value, self.is_local = target, value, is_local


class DictComp(Expr):
    """``{key: value for target in iter …}``"""

    __slots__ = ("clauses", "key", "value")

    def __init__(self, range: SourceRange, key: Expr, value: Expr, clauses: list[Clause]) -> None:
        super().__init__(range, key, value, *clauses)
        self.key, self.value, self.clauses = key, value, clauses


class Field(Tree):
    """One replaced part of a formatted text: ``{value!conversion:spec}``; a spec is text and fields of its own."""

    __slots__ = ("conversion", "spec", "value")

    def __init__(self, range: SourceRange, value: Expr, conversion: str, spec: list[str | Field]) -> None:
        super().__init__(range, value)
        self.value, self.conversion, self.spec = value, conversion, spec


class Formatted(Expr):
    """An f-string that says more of its values than that they are text."""

    __slots__ = ("parts",)

    def __init__(self, range: SourceRange, parts: list[str | Field]) -> None:
        super().__init__(range)
        self.parts = parts


class Starred(Expr):
    """``*value``"""

    __slots__ = ("value",)

    def __init__(self, range: SourceRange, value: Expr) -> None:
        super().__init__(range, value)
        self.value = value


# -- statements ------------------------------------------------------------------------------------------------------


class If(Stmt):
    """``if cond: body else: orelse``"""

    __slots__ = ("body", "cond", "orelse")

    def __init__(self, range: SourceRange, cond: Expr, body: list[Stmt], orelse: list[Stmt]) -> None:
        super().__init__(range, cond, *body, *orelse)
        self.cond, self.body, self.orelse = cond, body, orelse

    def branch_range(self, branch: list[Stmt]) -> SourceRange:
        """The range of one branch (of the whole statement when it is empty)."""
        return merged(branch[0].range, branch) if branch else self.range


class While(Stmt):
    """``while cond: body``; ``assured`` are variables that have a value behind the loop and its ``else``, whatever happens."""

    __slots__ = ("assured", "body", "cond")

    def __init__(self, range: SourceRange, cond: Expr, body: list[Stmt], assured: frozenset[str] = frozenset()) -> None:
        super().__init__(range, cond, *body)
        self.cond, self.body, self.assured = cond, body, assured


class For(Stmt):
    """``for target in iter: body``; ``assured`` as for :class:`While`."""

    __slots__ = ("assured", "body", "iter", "target")

    def __init__(
        self, range: SourceRange, target: Expr, iter: Expr, body: list[Stmt], assured: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(range, target, iter, *body)
        self.target, self.iter, self.body, self.assured = target, iter, body, assured


class Assign(Stmt):
    """``a = b = value``, or ``a: type = value``; ``value`` is None for a bare declaration in a class body."""

    __slots__ = ("targets", "type", "value")

    def __init__(self, range: SourceRange, targets: list[Expr], value: Expr | None, type: Expr | None = None) -> None:
        super().__init__(range, *targets, *(p for p in (value, type) if p is not None))
        self.targets, self.value, self.type = targets, value, type


class AugAssign(Stmt):
    """``target op= value``"""

    __slots__ = ("op", "target", "value")

    def __init__(self, range: SourceRange, target: Expr, op: str, value: Expr) -> None:
        super().__init__(range, target, value)
        self.target, self.op, self.value = target, op, value


class Return(Stmt):
    """``return value``"""

    __slots__ = ("value",)

    def __init__(self, range: SourceRange, value: Expr) -> None:
        super().__init__(range, value)
        self.value = value


class Raise(Stmt):
    """``raise value``"""

    __slots__ = ("value",)

    def __init__(self, range: SourceRange, value: Expr) -> None:
        super().__init__(range, value)
        self.value = value


class Assert(Stmt):
    """``assert test, message``"""

    __slots__ = ("message", "test")

    def __init__(self, range: SourceRange, test: Expr, message: Expr | None) -> None:
        super().__init__(range, test, *(p for p in (message,) if p is not None))
        self.test, self.message = test, message


class ExprStmt(Stmt):
    """An expression for its effect."""

    __slots__ = ("value",)

    def __init__(self, range: SourceRange, value: Expr) -> None:
        super().__init__(range, value)
        self.value = value


class Pass(Stmt):
    """``pass``"""

    __slots__ = ()


class Emit(Stmt):
    """A statement that the compiler puts in: what it emits is up to ``action``."""

    __slots__ = ("action",)

    def __init__(self, range: SourceRange, action: Callable[[], None]) -> None:
        super().__init__(range)
        self.action = action


class Import(Stmt):
    """``import module as name`` or ``from module import member as name``, one name."""

    __slots__ = ("member", "module", "name")

    def __init__(self, range: SourceRange, name: str, module: str, member: str | None) -> None:
        super().__init__(range)
        self.name, self.module, self.member = name, module, member


class Break(Stmt):
    """``break``"""

    __slots__ = ()


class Continue(Stmt):
    """``continue``"""

    __slots__ = ()


class Delete(Stmt):
    """``del a, b[0]``"""

    __slots__ = ("targets",)

    def __init__(self, range: SourceRange, targets: list[Expr]) -> None:
        super().__init__(range, *targets)
        self.targets = targets


class With(Stmt):
    """``with value as var, …: body``"""

    __slots__ = ("body", "items")

    def __init__(self, range: SourceRange, items: list[tuple[Expr, Expr | None]], body: list[Stmt]) -> None:
        super().__init__(range, *(p for pair in items for p in pair if p is not None), *body)
        self.items, self.body = items, body


class Param(Tree):
    """A parameter; ``type`` and ``default`` as written, None when absent.

    ``gathers``: it is ``*name``; ``keywords``: it is ``**name``.
    """

    __slots__ = ("default", "gathers", "keywords", "kwarg_only", "name", "type")

    def __init__(
        self,
        range: SourceRange,
        name: str,
        type: Expr | None,
        default: Expr | None = None,
        kwarg_only: bool = False,
        gathers: bool = False,
        keywords: bool = False,
    ) -> None:
        super().__init__(range)
        self.name, self.type, self.default = name, type, default
        self.kwarg_only, self.gathers, self.keywords = kwarg_only, gathers, keywords

    def typed(self, type: Expr | None) -> Param:
        """The same parameter with another annotation."""
        return Param(self.range, self.name, type, self.default, self.kwarg_only, self.gathers, self.keywords)


class Def(Stmt):
    """A function definition.

    ``locals`` are the names that its body assigns (none are known of a printed program); ``nonlocals`` those of them that
    are variables of the function around it.
    """

    __slots__ = ("body", "locals", "name", "name_range", "nonlocals", "params", "returns")

    def __init__(
        self,
        range: SourceRange,
        name: str,
        params: list[Param],
        returns: Expr | None,
        body: list[Stmt],
        locals: frozenset[str] = frozenset(),
        nonlocals: Sequence[str] = (),
    ) -> None:
        super().__init__(range, *params, *body)
        self.name, self.name_range = name, range
        self.params, self.returns, self.body = params, returns, body
        self.locals, self.nonlocals = locals, tuple(nonlocals)

    def renamed(self, name: str) -> Def:
        """The same definition under another name."""
        return Def(self.name_range, name, self.params, self.returns, self.body, self.locals, self.nonlocals)

    def with_signature(self, params: list[Param], returns: Expr | None) -> Def:
        """The same body with another declaration."""
        return Def(self.name_range, self.name, params, returns, self.body, self.locals, self.nonlocals)


class Inner(Expr):
    """A function defined inside another (as the value of its name), or a lambda."""

    __slots__ = ("definition",)

    def __init__(self, range: SourceRange, definition: Def) -> None:
        super().__init__(range)
        self.definition = definition


class ClassDef(Stmt):
    """A class: name, base names as written, body (:class:`Def`, :class:`Assign`, :class:`Pass`)."""

    __slots__ = ("bases", "body", "name", "properties")

    def __init__(
        self,
        range: SourceRange,
        name: str,
        bases: list[str],
        body: list[Stmt],
        properties: dict[str, tuple[Def, Def | None]] | None = None,
    ) -> None:
        super().__init__(range, *body)
        self.name, self.bases, self.body = name, bases, body
        self.properties: dict[str, tuple[Def, Def | None]] = properties or {}

    def methods(self) -> list[Def]:
        """The function definitions of the body."""
        return [s for s in self.body if isinstance(s, Def)]
