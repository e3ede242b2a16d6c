"""Random statements that are rarer: closures, exits of loops with ``else``, indexed accumulation, lists of tuples and of lists."""

from __future__ import annotations

from collections.abc import Callable

from support.random_programs.kinds import FLOAT, INT, LIMIT, Expr, Kind, ListOf, Num, Opt, Ten, Tup, Var
from support.random_programs.scope import bare
from support.random_programs.statements import Statements

__all__ = ["Further"]


class Further(Statements):
    """What the statements of a function may be beside the usual ones."""

    def more(self) -> list[tuple[float, Callable[[], bool]]]:
        return [
            (0.4, self.accumulate), (0.25, self.into), (0.3, self.closure), (0.25, self.nested_list), (0.3, self.filtered),
            (0.2, self.late), (0.2, self.told), (0.2, self.counted_out), (0.15, self.named_test),
            (0.25 if self.depth < 3 else 0, self.search),
        ]  # fmt: skip

    # -- writes ------------------------------------------------------------------------------------------------------

    def _rows(self, size: int) -> str | None:
        """An index tensor of so many numbers."""
        if self.chance(0.5):
            return f"torch.tensor([{', '.join(str(self.r.randint(0, 5)) for _ in range(size))}])"
        e = self.tensor((size,), 0, True, "int64")
        return self.cast(e, "int64").text if e is not None else None

    def accumulate(self) -> bool:
        """Add to or fill rows that an index tensor names, some of them more than once."""
        v = self.target()
        if v is None or not isinstance(v.kind, Ten) or not v.kind.shape or v.kind.dtype in ("bool", "uint8", "float16"):
            return False
        t = v.kind
        axis = self.r.randrange(len(t.shape))
        if self.least(t.shape[axis]) < 1:
            return False
        n = self.r.choice([2, 3])
        rows = self._rows(n)
        if rows is None:
            return False
        at = f"({rows} % {v.name}.size({axis}))"
        shape = (*t.shape[:axis], n, *t.shape[axis + 1 :])
        k = self.r.random()
        if k < 0.25:
            self.emit(f"{v.name}.index_fill_({axis}, {at}, {self.r.randint(-3, 5)})")
            return True
        e = self.tensor(shape, 1, t.exact)
        if e is None:
            return False
        value = self.apart(self.cast(self.kept(e), t.dtype), v)
        if k < 0.6:
            self.emit(f"{v.name}.index_add_({axis}, {at}, {value})")
        elif axis == 0:
            self.emit(f"{v.name}.index_put_(({at},), {value}, accumulate=True)")
        else:
            self.emit(f"{v.name}.scatter_add_({axis}, {at}.expand({self._shaped(v, shape)}), {value})")
            if len(t.shape) > axis + 1:
                self.lines.pop()
                return False
        self.emit(f"{v.name}.clamp_(-60, 60)")
        return True

    def _shaped(self, v: Var, shape: tuple[int | str, ...]) -> str:
        return ", ".join(str(d) if isinstance(d, int) else f"{v.name}.size({i})" for i, d in enumerate(shape))

    def into(self) -> bool:
        """``out=`` a tensor that is there."""
        v = self.target()
        if v is None or not isinstance(v.kind, Ten) or v.kind.dtype in ("bool", "uint8", "float16") or v.shown:
            return False
        e = self.fitting(v.kind, v.kind.shape, same=True)
        if e is None or not isinstance(e.kind, Ten) or e.kind.shape != v.kind.shape:
            return False
        name = self.r.choice(["add", "sub", "maximum"])
        self.emit(f"torch.{name}({v.name}, {self.apart(e, v)}, out={v.name})")
        self.emit(f"{v.name}.clamp_(-60, 60)")
        return True

    # -- functions -----------------------------------------------------------------------------------------------------

    def closure(self) -> bool:
        """A nested function or lambda that sees the variables around it, called with two arguments."""
        kind: Num = self.r.choice([INT, FLOAT])
        name = self.fresh("g")
        self.scopes.append({})
        self.declare("z", kind)
        e = self.small(self.number(kind, 2))
        self.scopes.pop()
        if self.chance(0.5) and kind == INT:
            # What a lambda is given is a tensor where nothing says otherwise, in torch and here.
            self.emit(f"def {name}(z: int) -> int:")
            self.indent += 1
        else:
            self.emit(f"def {name}(z: {kind.name}) -> {kind.name}:")
            self.indent += 1
            if self.chance(0.3):
                self.emit(f"if {bare(self.bool_(1).text)}:")
                self.emit(f"    return {bare(self.small(self.number(kind, 1)).text)}")
        self.emit(f"return {bare(e.text)}")
        self.indent -= 1
        given = [self.small(self.number(kind, 0)).text for _ in range(2)]
        made = self.fresh("n" if kind == INT else "f")
        total = self.small(Expr(f"({name}({bare(given[0])}) - {name}({bare(given[1])}))", kind, 3 * LIMIT))
        self.emit(f"{made} = {bare(total.text)}")
        self.declare(made, kind)
        return True

    # -- lists -----------------------------------------------------------------------------------------------------------

    def nested_list(self) -> bool:
        """A list of tuples, or of lists."""
        found = self.variables(lambda v: isinstance(v.kind, ListOf) and isinstance(v.kind.element, Tup | ListOf))
        if found and self.chance(0.5):
            return self._use_nested(self.r.choice(found))
        element: Kind = ListOf(INT) if self.chance(0.3) else Tup((self.r.choice([INT, FLOAT]), self.some_kind()))
        kind = ListOf(element)
        name = self.fresh("l")
        if self.chance(0.4):
            self.emit(f"{name}: {kind.annotation()} = []")
            self.declare(name, kind, least=0)
            return True
        e = self._built(kind)
        if e is None:
            return False
        self.keep(name, e, least=1)
        return True

    def _use_nested(self, v: Var) -> bool:
        assert isinstance(v.kind, ListOf)
        element = v.kind.element
        if self.chance(0.5) and not self.is_shown(v):
            e = self.value(element)
            if e is None:
                e = self._built(element)
            if e is None:
                return False
            self.emit(f"{v.name}.append({e.text})")
            self.link(v, e.groups)
            return True
        if isinstance(element, ListOf) and v.least and self.chance(0.5) and not self.is_shown(v):
            self.emit(f"{v.name}[{self.r.choice(['0', '-1'])}].append({bare(self.small(self.int_(1)).text)})")
            return True
        if isinstance(element, Tup) and self.loops < 2 and self.depth < 3:
            names = [self.fresh("e") for _ in element.elements]
            self.emit(f"for {', '.join(names)} in {v.name}:")
            before, v.shown = v.shown, True
            groups = set(v.groups)
            self._body(
                lambda: [self._element(n, k, groups) for n, k in zip(names, element.elements, strict=True)] and None
            )
            v.shown = before
            return True
        return False

    def filtered(self) -> bool:
        """A comprehension with a condition or two loops, or over a list."""
        name, i, j = self.fresh("l"), self.fresh("i"), self.fresh("i")
        lists = [v for v in self.list_of(INT) if not v.shown]
        source = self.r.choice(lists).name if lists and self.chance(0.5) else f"range({self.small(self.int_(0)).text})"
        if source.startswith("range") and self.chance(0.4):
            source = f"range({self.r.randint(0, 4)})"
        self.scopes.append({})
        self.declare(i, INT, fixed=True)
        kind = self.r.random()
        if kind < 0.3:
            self.declare(j, INT, fixed=True)
        e = self.small(self.number(INT, 1))
        test = self.bool_(1).text
        self.scopes.pop()
        if kind < 0.3:
            self.emit(f"{name} = [{bare(e.text)} for {i} in {source} for {j} in range({self.r.randint(1, 2)})]")
        elif kind < 0.7:
            self.emit(f"{name} = [{bare(e.text)} for {i} in {source} if {test}]")
        else:
            self.emit(f"{name} = [{bare(e.text)} for {i} in {source}]")
        self.declare(name, ListOf(INT))
        return True

    # -- names and exits ---------------------------------------------------------------------------------------------------

    def late(self) -> bool:
        """A variable that is None at first and a value later, on some paths."""
        kind = self.some_kind()
        if kind.annotation() in ("bool", "float"):
            kind = INT
        e = self.value(kind)
        if e is None:
            return False
        name = self.fresh("o")
        self.emit(
            f"{name} = None"
            if isinstance(kind, Ten) and self.chance(0.5)
            else f"{name}: {Opt(kind).annotation()} = None"
        )
        self.emit(f"if {bare(self.condition(1))}:")
        self.emit(f"    {name} = {bare(e.text)}")
        self.declare(name, Opt(kind), e.groups)
        return True

    def told(self) -> bool:
        """An exception that says what was wrong with which number."""
        e = self.int_(1)
        name = self.fresh("n")
        self.emit(f"{name} = {bare(self.small(e).text)}")
        self.declare(name, INT)
        self.emit(f"if {name} > {self.r.randint(8, 60)}:")
        self.emit(f'    raise ValueError(f"{{{name}}} of {{{name} + 1}} out of reach")')
        return True

    def named_test(self) -> bool:
        """An assignment in a condition."""
        name = self.fresh("n")
        self.emit(
            f"if ({name} := {bare(self.small(self.int_(1)).text)}) {self.r.choice('<>')} {self.r.randint(-2, 6)}:"
        )
        self.declare(name, INT)
        with self.inner():
            self.block(1)
        return True

    def counted_out(self) -> bool:
        """``while True`` that a ``break`` leaves."""
        if self.depth >= 3:
            return False
        k = self.fresh("k")
        self.emit(f"{k} = 0")
        v = self.declare(k, INT, fixed=True)
        most = self.r.randint(1, 4)

        def first() -> None:
            self.emit(f"{k} += 1")
            self.emit(f"if {k} > {most}:")
            self.emit("    break")

        self.emit("while True:")
        self._body(first)
        v.fixed = True
        return True

    def search(self) -> bool:
        """A loop with ``else``, which runs where no ``break`` left it."""
        i, name = self.fresh("i"), self.fresh("n")
        self.emit(f"{name} = {self.r.randint(-1, 3)}")
        self.declare(name, INT)
        n = self.int_(0)
        self.emit(f"for {i} in range({n.text if n.bound <= 8 else f'min({n.text}, 4)'}):")

        def first() -> None:
            self.declare(i, INT, fixed=True)
            self.emit(f"if {bare(self.bool_(1).text)}:")
            self.emit(f"    {name} = {i}")
            self.emit("    break")

        self._body(first)
        self.emit("else:")
        with self.inner():
            self.block(self.r.randint(1, 2))
        return True
