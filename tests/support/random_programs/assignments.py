"""Random values of any kind, and the statements that give them names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from support.random_programs.kinds import (
    APPROX,
    BOOL,
    FLOAT,
    INT,
    LIMIT,
    Dic,
    Expr,
    Kind,
    ListOf,
    Named,
    Num,
    Opt,
    Ten,
    Tup,
    Var,
)  # fmt: skip
from support.random_programs.scope import bare
from support.random_programs.writes import Writes

__all__ = ["Assignments"]


class Assignments(Writes):
    """What the statements of one function are made of: lines, nested blocks, values and names."""

    lines: list[str]
    indent: int
    depth = 0

    def emit(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    # -- values of any kind ------------------------------------------------------------------------------------------

    def value(self, kind: Kind, depth: int = 1) -> Expr | None:
        """An expression of exactly this kind."""
        same = self.variables(lambda v: v.kind == kind)
        if same and (self.chance(0.4) or not isinstance(kind, Num | Ten)):
            return self.read(self.r.choice(same))
        if isinstance(kind, Num):
            return self.small(self.number(kind, depth))
        if isinstance(kind, Ten):
            return self.of_kind(kind, depth)
        return self._built(kind)

    def _built(self, kind: Kind) -> Expr | None:
        """A new container of this kind."""
        parts: list[Expr | None]
        if isinstance(kind, Opt):
            return self.value(kind.element) if self.chance(0.6) else Expr("None", kind)
        if isinstance(kind, ListOf):
            parts = [self.value(kind.element) for _ in range(self.r.randint(1, 3))]
            form = "[{0}]"
        elif isinstance(kind, Tup):
            parts = [self.value(e) for e in kind.elements]
            form = "({0})" if len(parts) > 1 else "({0},)"
        elif isinstance(kind, Named):
            parts = [self.value(e) for _, e in kind.fields]
            form = kind.name + "({0})"
        elif isinstance(kind, Dic):
            parts = [self.value(kind.element) for _ in kind.keys]
            inside = ", ".join(f'"{k}": {bare(p.text)}' for k, p in zip(kind.keys, parts, strict=True) if p is not None)
            form = "{{" + inside.replace("{", "{{").replace("}", "}}") + "}}"
        else:
            return None
        if any(p is None for p in parts):
            return None
        known = [p for p in parts if p is not None]
        groups = frozenset().union(*(p.groups for p in known))
        return Expr(form.format(", ".join(bare(p.text) for p in known)), kind, LIMIT, groups)

    def seldom_shared(self, e: Expr) -> Expr:
        """The value, most often as one of its own: which of two tensors a name is, is seldom left to data."""
        if not e.groups or not isinstance(e.kind, Ten) or self.chance(0.15):
            return e
        return Expr(f"{e.text}.clone()", e.kind, e.bound)

    def some_kind(self) -> Kind:
        """The kind of a value that a program may keep."""
        k = self.r.random()
        if k < 0.2:
            return self.r.choice([INT, INT, FLOAT, BOOL, APPROX])
        found = [t for _, t in self.tensors()]
        if k < 0.7 and found:
            return self.r.choice(found)
        shapes = [t.shape for t in found] or [(2,)]
        shape = self.r.choice(shapes)
        if self.chance(0.5) and shape:
            shape = shape[self.r.randint(0, 1) :]
        return Ten(
            self.r.choice(["float32", "float32", "int64", "bool", "float64", "int32", "uint8", "float16"]),
            shape,
            self.chance(0.8),
        )

    # -- blocks ------------------------------------------------------------------------------------------------------

    @contextmanager
    def inner(self) -> Iterator[None]:
        """For a ``with`` block, write a nested block."""
        self.scopes.append({})
        self.indent += 1
        self.depth += 1
        start = len(self.lines)
        yield
        if len(self.lines) == start:
            self.emit("pass")
        self.depth -= 1
        self.indent -= 1
        self.scopes.pop()

    # -- assignments -------------------------------------------------------------------------------------------------

    def keep(self, name: str, e: Expr, **more: object) -> None:
        """Write ``name = e`` and declare it."""
        self.emit(f"{name} = {bare(e.text)}")
        dense = e.text.startswith(("torch.zeros(", "torch.ones(", "torch.full("))
        self.declare(name, e.kind, e.groups, shown=e.shown, dense=dense, **more)

    def assign(self) -> bool:
        kind = self.some_kind()
        e = self.value(kind, 2) if isinstance(kind, Num) else None
        if isinstance(kind, Ten):
            e = self.tensor(kind.shape, 2, kind.exact)
            e = self.kept(e) if e is not None else None
            if e is not None and self.chance(0.3):
                e = self.kept(self.cast(e, kind.dtype))
        if e is None:
            return False
        self.keep(self.fresh({"int": "n", "float": "f", "bool": "b"}.get(e.kind.annotation(), "t")), e)
        return True

    def _may_rebind(self, v: Var) -> bool:
        return not v.fixed and not v.shown and v.index is None

    def rebind(self) -> bool:
        """Give a variable another value of its kind; in its own block a tensor may change shape and type."""
        v = self.choose(lambda v: self._may_rebind(v) and isinstance(v.kind, Ten | Num | Tup))
        if v is None:
            return False
        own = v.name in self.scopes[-1]
        e = (
            self.tensor(self.r.choice([t.shape for _, t in self.tensors()]), 2)
            if own and isinstance(v.kind, Ten) and self.chance(0.2)
            else None
        )
        e = self.kept(e) if e is not None else self.value(v.kind, 2)
        if e is None or e.text == v.name:
            return False
        if e.shown and not own:
            return False
        self._rebound(v, e if own else self.seldom_shared(e))
        return True

    def _rebound(self, v: Var, e: Expr) -> None:
        self.emit(f"{v.name} = {bare(e.text)}")
        if v.name in self.scopes[-1]:
            v.kind, v.groups, v.shown = e.kind, set(e.groups) or {self.new_group()}, e.shown
        else:
            self.link(v, e.groups)
        v.dense = False

    def augment(self) -> bool:
        """``n += e`` for numbers."""
        v = self.choose(lambda v: self._may_rebind(v) and v.kind in (INT, FLOAT))
        if v is None:
            return False
        assert isinstance(v.kind, Num)
        e = self.small(self.number(v.kind, 1))
        self.emit(f"{v.name} {self.r.choice(['+=', '-=', '*='])} {bare(e.text)}")
        limit = self.r.choice(
            ["min(max({0}, -20), 20)", "{0} % 11"] if v.kind == INT else ["min(max({0}, -20.0), 20.0)", "{0} % 11"]
        )
        self.emit(f"{v.name} = {limit.format(v.name)}")
        return True

    def opaque_statement(self) -> bool:
        e = self.opaque()
        if e is None:
            return False
        self.keep(self.fresh("s"), e)
        return True
