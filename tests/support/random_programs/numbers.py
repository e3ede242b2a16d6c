"""Random expressions of numbers."""

from __future__ import annotations

from support.random_programs.kinds import APPROX, BOOL, FLOAT, INT, LIMIT, Expr, ListOf, Num, Opt
from support.random_programs.scope import Scope

__all__ = ["Numbers"]

_BIG = 10**6


class Numbers(Scope):
    """Expressions of ints, floats and bools; what a program keeps is brought back below the limit (``small``)."""

    def number(self, kind: Num, depth: int = 2) -> Expr:
        if kind.name == "int":
            return self.int_(depth)
        return self.bool_(depth) if kind.name == "bool" else self.float_(depth, kind.exact)

    def small(self, e: Expr) -> Expr:
        """The expression, brought below the limit."""
        if e.bound <= LIMIT:
            return e
        if e.kind == INT:
            text = self.r.choice([f"({e.text} % 17)", f"min(max({e.text}, -9), 9)", f"({e.text} % -13)"])
        else:
            text = self.r.choice([f"min(max({e.text}, -50.0), 50.0)", f"max(-7.0, min(7.0, {e.text}))"])
        return Expr(text, e.kind, LIMIT)

    def _capped(self, e: Expr) -> Expr:
        return e if e.bound <= _BIG else self.small(e)

    def _known(self, kind: Num) -> Expr | None:
        v = self.choose(lambda v: v.kind == kind or (kind == APPROX and v.kind == FLOAT))
        return Expr(v.name, kind) if v is not None else None

    # -- ints ------------------------------------------------------------------------------------------------------

    def int_(self, depth: int = 2) -> Expr:
        if depth <= 0 or self.chance(0.3):
            found = self.one_of((4, lambda: self._known(INT)), (1, self._int_constant), (0.7, self._length))
        else:
            found = self.one_of(
                (4, lambda: self._int_binary(depth)),
                (1, lambda: self._int_divided(depth)),
                (0.6, lambda: self._bitwise(depth)),
                (0.7, lambda: self._extreme(INT, depth)),
                (0.7, lambda: self._ternary(INT, depth)),
                (0.5, lambda: Expr(f"int({self.bool_(depth - 1).text})", INT, 1)),
                (0.5, lambda: self._rounded_down(depth)),
                (0.6, lambda: self._of_tensor(INT)),
                (0.5, self._of_list),
                (0.3, lambda: self._negated(INT, depth)),
                (0.4, self._length),
            )
        return self._capped(found or self._int_constant())

    def _int_constant(self) -> Expr:
        return Expr(str(self.r.choice([0, 1, 2, 3, -1, 5, -2, 7])), INT, 7)

    def _int_binary(self, depth: int) -> Expr:
        a, b = self.int_(depth - 1), self.int_(depth - 1)
        op = self.r.choice("++--*")
        return Expr(f"({a.text} {op} {b.text})", INT, a.bound * b.bound if op == "*" else a.bound + b.bound)

    def _int_divided(self, depth: int) -> Expr:
        a = self.int_(depth - 1)
        by = self.r.choice(["2", "3", "-2", "7", f"(abs({self.int_(0).text}) + 1)"])
        return Expr(f"({a.text} {self.r.choice(['//', '%'])} {by})", INT, max(a.bound, 61))

    def _bitwise(self, depth: int) -> Expr:
        a = self.int_(depth - 1)
        if self.chance(0.4):
            n = self.r.randint(0, 3)
            op = self.r.choice(["<<", ">>"])
            return Expr(f"({a.text} {op} {n})", INT, a.bound * 2**n)
        b = self.int_(0)
        return Expr(f"({a.text} {self.r.choice('&|^')} {b.text})", INT, 2 * max(a.bound, b.bound))

    def _rounded_down(self, depth: int) -> Expr:
        a = self.float_(depth - 1)
        return Expr(f"int({a.text})", INT, a.bound)

    # -- both ------------------------------------------------------------------------------------------------------

    def _extreme(self, kind: Num, depth: int) -> Expr:
        a, b = self.number(kind, depth - 1), self.number(kind, depth - 1)
        if self.chance(0.3):
            return Expr(f"abs({a.text})", kind, a.bound)
        return Expr(f"{self.r.choice(['min', 'max'])}({a.text}, {b.text})", kind, max(a.bound, b.bound))

    def _ternary(self, kind: Num, depth: int) -> Expr:
        a, b, c = self.number(kind, depth - 1), self.number(kind, depth - 1), self.bool_(depth - 1)
        return Expr(f"({a.text} if {c.text} else {b.text})", kind, max(a.bound, b.bound))

    def _negated(self, kind: Num, depth: int) -> Expr:
        a = self.number(kind, depth - 1)
        text = "1.0" if a.text == "0.0" else a.text  # torch.jit takes -0.0 and 0.0 for one constant
        return Expr(f"(-{text})", kind, max(a.bound, 1))

    def _of_tensor(self, kind: Num) -> Expr | None:
        """A number out of a tensor."""
        found = [(v, t) for v, t in self.tensors() if t.exact or kind == APPROX]
        if not found:
            return None
        v, t = self.r.choice(found)
        name, bound = v.name, self.read(v).bound
        if t.dtype == "float16":
            name = f"{name}.float()"
        if t.shape:
            whole = [f"{name}.sum()"]
            whole += [f"{name}.amax()", f"{name}.min()"] if all(self.least(d) for d in t.shape) else []
            at = [self.index_text(d) for d in t.shape]
            whole += [f"{name}[{', '.join(map(str, at))}]"] * 2 if all(at) else []
            name, bound = self.r.choice(whole), bound * 6 ** len(t.shape)
        form = self.r.choice(["{k}({n})", "{k}({n}.item())"] if kind != BOOL else ["{k}({n})"])
        return Expr(form.format(k=kind.name, n=name), kind, bound if kind != BOOL else 1)

    # -- lists -----------------------------------------------------------------------------------------------------

    def _length(self) -> Expr | None:
        options = [f"len({v.name})" for v in self.variables(lambda v: isinstance(v.kind, ListOf))]
        sizes = [f"{v.name}.size({i})" for v, t in self.tensors() for i in range(len(t.shape))]
        options += self.r.sample(sizes, min(2, len(sizes)))
        return Expr(self.r.choice(options), INT, 50) if options else None

    def _of_list(self) -> Expr | None:
        lists = self.list_of(INT)
        if not lists:
            return None
        v = self.r.choice(lists)
        forms = [(f"sum({v.name})", 3000), (f"{v.name}.count({self.int_(0).text})", 50)]
        if v.least:
            forms += [(f"max({v.name})", LIMIT), (f"{v.name}[{self.r.randint(-v.least, v.least - 1)}]", LIMIT)]
            forms += [(f"min({v.name})", LIMIT), (f"{v.name}[{self.int_(0).text} % len({v.name})]", LIMIT)]
        text, bound = self.r.choice(forms)
        return Expr(text, INT, bound)

    # -- floats ----------------------------------------------------------------------------------------------------

    def float_(self, depth: int = 2, exact: bool = True) -> Expr:
        kind = FLOAT if exact else APPROX
        if depth <= 0 or self.chance(0.3):
            found = self.one_of((4, lambda: self._known(kind)), (1, lambda: self._float_constant(exact)))
        else:
            found = self.one_of(
                (4, lambda: self._float_binary(kind, depth)),
                (0.7, lambda: self._float_divided(kind, depth)),
                (0.7, lambda: self._extreme(kind, depth)),
                (0.7, lambda: self._ternary(kind, depth)),
                (0.8, lambda: self._float_of_int(kind, depth)),
                (0.8, lambda: self._of_tensor(kind)),
                (0.3, lambda: self._negated(kind, depth)),
                (0.0 if exact else 2.0, lambda: self._irrational(depth)),
            )
        return self._capped(found or self._float_constant(exact))

    def _float_constant(self, exact: bool) -> Expr:
        values = ["0.0", "1.0", "2.0", "-3.0", "4.0"] if exact else ["0.5", "0.1", "-1.25", "3.0"]
        return Expr(self.r.choice(values), FLOAT if exact else APPROX, 4)

    def _float_binary(self, kind: Num, depth: int) -> Expr:
        a = self.float_(depth - 1, kind.exact)
        b = self.float_(depth - 1, kind.exact) if self.chance(0.7) else self.int_(depth - 1)
        op = self.r.choice("++--*")
        x, y = (a, b) if self.chance(0.7) else (b, a)
        return Expr(f"({x.text} {op} {y.text})", kind, a.bound * b.bound if op == "*" else a.bound + b.bound)

    def _float_divided(self, kind: Num, depth: int) -> Expr:
        a = self.float_(depth - 1, kind.exact)
        if kind.exact:
            by = self.r.choice(["2", "3.0", "-4.0", "5"])
            return Expr(f"({a.text} {self.r.choice(['//', '%'])} {by})", kind, a.bound + 5)
        by = self.r.choice(
            ["2", "3.0", f"(abs({self.int_(0).text}) + 1)", f"(abs({self.float_(0, False).text}) + 0.5)"]
        )
        return Expr(f"({a.text} / {by})", kind, a.bound * 2)

    def _float_of_int(self, kind: Num, depth: int) -> Expr:
        a = self.int_(depth - 1)
        if kind.exact or self.chance(0.5):
            return Expr(f"float({a.text})", kind, a.bound)
        return Expr(f"({a.text} / {self.r.choice(['2', '4', '3'])})", kind, a.bound)

    def _irrational(self, depth: int) -> Expr:
        a = self.float_(depth - 1, False)
        form = self.r.choice(["math.sqrt(abs({0}))", "math.tanh({0})", "math.sin({0})", "math.exp(-abs({0}))"])
        return Expr(form.format(a.text), APPROX, a.bound + 1)

    # -- bools -----------------------------------------------------------------------------------------------------

    def bool_(self, depth: int = 2) -> Expr:
        if depth <= 0 or self.chance(0.2):
            found = self.one_of(
                (2, lambda: self._known(BOOL)), (2, lambda: self._compared(0)), (0.1, self._bool_constant)
            )
        else:
            found = self.one_of(
                (4, lambda: self._compared(depth - 1)),
                (1.5, lambda: self._logical(depth)),
                (0.5, lambda: Expr(f"(not {self.bool_(depth - 1).text})", BOOL, 1)),
                (0.5, lambda: self._chained(depth)),
                (0.7, lambda: self._of_tensor_test(depth)),
                (0.4, self._contained),
                (0.5, self._is_none),
                (0.2, lambda: self._ternary(BOOL, depth)),
                (0.2, lambda: Expr(f"bool({self.int_(0).text})", BOOL, 1)),
            )
        return found or self._bool_constant()

    def _bool_constant(self) -> Expr:
        return Expr(self.r.choice(["True", "False"]), BOOL, 1)

    def _compared(self, depth: int) -> Expr:
        a = self.int_(depth) if self.chance(0.7) else self.float_(depth)
        b = self.int_(depth) if self.chance(0.7) else self.float_(depth)
        return Expr(f"({a.text} {self.r.choice(['<', '<=', '>', '>=', '==', '!='])} {b.text})", BOOL, 1)

    def _chained(self, depth: int) -> Expr:
        a, b, c = (self.int_(0 if i == 1 else depth - 1).text for i in range(3))
        return Expr(f"({a} {self.r.choice(['<', '<='])} {b} {self.r.choice(['<', '<='])} {c})", BOOL, 1)

    def _logical(self, depth: int) -> Expr:
        op = self.r.choice(["and", "or"])
        return Expr(f"({self.bool_(depth - 1).text} {op} {self.bool_(depth - 1).text})", BOOL, 1)

    def _of_tensor_test(self, depth: int) -> Expr | None:
        found = [(v, t) for v, t in self.tensors() if t.exact]
        if not found:
            return None
        v, t = self.r.choice(found)
        if t.dtype == "bool":
            text = f"bool({v.name}.{self.r.choice(['any', 'all'])}())"
        else:
            text = f"bool(({v.name} {self.r.choice(['<', '>', '=='])} {self.int_(depth - 1).text}).{self.r.choice(['any', 'all'])}())"
        return Expr(text, BOOL, 1)

    def _contained(self) -> Expr | None:
        lists = [v.name for v in self.list_of(INT)] + ["[1, 2, 3]", "(0, 4)"]
        if self.chance(0.3):
            return Expr(f"({self.int_(0).text} {self.r.choice(['in', 'not in'])} {self.r.choice(lists[:-1])})", BOOL, 1)
        return None

    def _is_none(self) -> Expr | None:
        v = self.choose(lambda v: isinstance(v.kind, Opt))
        return Expr(f"({v.name} is {self.r.choice(['', 'not '])}None)", BOOL, 1) if v is not None else None

    def condition(self, depth: int = 2) -> str:
        """What an ``if`` or ``while`` may test: a bool, a number, or a tensor of one element."""
        if self.chance(0.25):
            found = [(v, t) for v, t in self.tensors(lambda t: t.exact and t.dtype != "float16")]
            if found:
                v, t = self.r.choice(found)
                if t.dtype == "bool":
                    return v.name + (self.r.choice([".any()", ".all()"]) if t.shape else "")
                whole = f"{v.name}.sum()" if t.shape else v.name
                return f"{whole} {self.r.choice(['<', '>', '=='])} {self.int_(0).text}"
        if self.chance(0.1):
            return self.int_(1).text
        return self.bool_(depth).text
