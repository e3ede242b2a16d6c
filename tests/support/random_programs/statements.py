"""Random statements: containers, branches, loops and exits."""

from __future__ import annotations

from collections.abc import Callable

from support.random_programs.assignments import Assignments
from support.random_programs.kinds import (
    APPROX,
    BOOL,
    FLOAT,
    INT,
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

__all__ = ["Helper", "Statements", "Stuck"]


class Stuck(Exception):
    """The program that was begun cannot be finished; begin another one."""


class Helper:
    """A function of the program: its parameters, each with whether it writes to it, and what it gives."""

    def __init__(self, name: str, parameters: list[tuple[str, Kind, bool]], result: Kind) -> None:
        self.name, self.parameters, self.result = name, parameters, result


class Statements(Assignments):
    """The statements of one function."""

    loops = 0
    budget = 0
    returns: Kind | None = None
    helpers: list[Helper]
    named: list[Named]

    # -- blocks ------------------------------------------------------------------------------------------------------

    def block(self, count: int) -> bool:
        """So many statements; whether the last one jumps away."""
        for _ in range(count):
            if self.budget <= 0:
                return False
            self.budget -= 1
            for _ in range(5):
                if self._statement():
                    break
        return False

    def more(self) -> list[tuple[float, Callable[[], bool]]]:
        """Further statements, with how often they come."""
        return []

    def _statement(self) -> bool:
        nested = self.depth < 3
        choices: list[tuple[float, Callable[[], bool]]] = [
            (3, self.assign), (3, self.write), (1.5, self.alias), (1.2, self.rebind), (0.8, self.augment),
            (1.6, self.list_statement), (0.5, self.tuple_statement), (0.4, self.optional_statement), (0.4, self.dict_statement),
            (0.5, self.call), (0.4, self.opaque_statement), (0.25, self.check), *self.more(),
        ]  # fmt: skip
        if nested:
            choices += [(1.8, self.branch), (1.3, self.for_loop), (0.7, self.while_loop)]
        if self.loops:
            choices += [(0.8, self.jump)]
        if self.returns is not None:
            choices += [(0.35, self.early_return)]
        weights = [w for w, _ in choices]
        at = self.r.random() * sum(weights)
        for w, make in choices:
            at -= w
            if at <= 0:
                return make()
        return False

    # -- containers --------------------------------------------------------------------------------------------------

    def list_statement(self) -> bool:
        lists = self.variables(lambda v: isinstance(v.kind, ListOf))
        if not lists or self.chance(0.25):
            return self._new_list()
        v = self.r.choice(lists)
        assert isinstance(v.kind, ListOf)
        return self._change_list(v, v.kind.element)

    def _new_list(self) -> bool:
        element = self.r.choice([INT, INT, FLOAT, self.some_kind()])
        if element in (APPROX, BOOL):
            element = INT
        kind = ListOf(element)
        k = self.r.random()
        name = self.fresh("l")
        if k < 0.3:
            self.emit(f"{name}: {kind.annotation()} = []")
            self.declare(name, kind, least=0 if self.chance(0.6) else None)
            return True
        if k < 0.45 and isinstance(element, Num):
            i = self.fresh("i")
            self.scopes.append({})
            self.declare(i, INT, fixed=True)
            e = self.small(self.number(element, 1))
            self.scopes.pop()
            self.emit(f"{name} = [{bare(e.text)} for {i} in range({self.small(self.int_(0)).text})]")
            self.declare(name, kind)
            return True
        e = self._built(kind)
        if e is None:
            return False
        self.keep(name, e, least=1 if self.chance(0.6) else None)
        return True

    def _change_list(self, v: Var, element: Kind) -> bool:
        if self.is_shown(v):
            return self._read_list(v, element)
        e = self.value(element, 1)
        if e is None:
            return False
        e = self.seldom_shared(e) if self.loops or self.depth else e
        text, name = bare(e.text), v.name
        forms = [f"{name}.append({text})"] * 5
        others = [o.name for o in self.list_of(element) if o.name != name]
        if not self.loops and others:
            forms += [f"{name}.extend({self.r.choice(others)})", f"{name} += {self.r.choice(others)}"]
        forms += [f"{name}.insert({self.r.choice(['0', '1', '-1', self.int_(0).text])}, {text})", f"{name}.reverse()"]
        if v.least:
            forms += [
                f"{name}[{self.r.choice(['0', '-1'])}] = {text}",
                f"{name}[{self.int_(0).text} % len({name})] = {text}",
            ]
        if v.least is None:
            forms += [
                f"{name}.clear()",
                f"{name}.pop()?",
                f"{name}.pop(0)?",
                f"{name}[-1] = {text}?",
                f"del {name}[0]?",
            ]
        if element == INT:
            forms += [f"{name}[0] += 1?" if v.least is None else f"{name}.sort()"]
        form = self.r.choice(forms)
        if form.endswith("?"):
            self.emit(
                f"if len({name}) > 0:" if self.chance(0.7) else f"if {name}:" if False else f"if len({name}) >= 1:"
            )
            self.indent += 1
            self.emit(form[:-1])
            self.indent -= 1
            return True
        self.emit(form)
        self.link(v, e.groups)
        return True

    def _read_list(self, v: Var, element: Kind) -> bool:
        """A value out of a list, or a list made of it."""
        kind, name = ListOf(element), v.name
        options: list[tuple[str, Kind, bool]] = [(f"{name}[1:]", kind, False), (f"{name}[::-1]", kind, False), (f"{name}[:2]", kind, False),
                                                 (name, kind, True), (f"{name} + {name}", kind, False), (f"{name}.copy()", kind, False)]  # fmt: skip
        if v.least:
            options += [(f"{name}[0]", element, True), (f"{name}[-1]", element, True)] * 2
            if isinstance(element, Ten):
                size = self.new_size()
                options += [
                    (f"torch.stack({name})", Ten(element.dtype, (size, *element.shape), element.exact), False)
                ] * 3
        if isinstance(element, Num):
            options += [(f"[x * 2 for x in {name}]", kind, False), (f"sorted({name})", kind, False)]
            options = [o for o in options if not o[0].startswith("[x") or self.loops == 0]
        text, made, same = self.r.choice(options)
        groups = set(v.groups) if same or (isinstance(element, Ten) and isinstance(made, ListOf)) else set()
        if not same and isinstance(made, ListOf) and not isinstance(element, Ten):
            groups = set()
        self.emit(f"{self.fresh('v')} = {text}")
        new = f"v{self.counts['v']}"
        self.declare(new, made, groups, least=v.least if text == name else None)
        return True

    def tuple_statement(self) -> bool:
        tuples = self.variables(lambda v: isinstance(v.kind, Tup | Named))
        if tuples and self.chance(0.6):
            return self._unpack(self.r.choice(tuples))
        pairs = [(a, b) for a in self.variables(self._may_rebind) for b in self.variables(self._may_rebind)
                 if a.name < b.name and a.kind == b.kind and isinstance(a.kind, Num | Ten)]  # fmt: skip
        if pairs and self.chance(0.4):
            a, b = self.r.choice(pairs)
            if isinstance(a.kind, Ten) and (self.loops or self.depth) and self.chance(0.85):
                return False
            self.emit(f"{a.name}, {b.name} = {b.name}, {a.name}")
            if isinstance(a.kind, Ten):
                self.link(a, b.groups)
                a.dense = b.dense = False
            return True
        kind: Kind = (
            self.r.choice(self.named) if self.named and self.chance(0.4) else Tup((self.some_kind(), self.some_kind()))
        )
        if self.chance(0.15):
            kind = Tup((self.some_kind(), Tup((INT, self.some_kind()))))
        e = self._built(kind)
        if e is None:
            return False
        self.keep(self.fresh("p"), e)
        return True

    def _unpack(self, v: Var) -> bool:
        kind = v.kind
        elements = (
            kind.elements if isinstance(kind, Tup) else [k for _, k in kind.fields] if isinstance(kind, Named) else []
        )
        groups = set(v.groups)
        if isinstance(kind, Named) and self.chance(0.6):
            i = self.r.randrange(len(elements))
            name = self.fresh("u")
            self.emit(f"{name} = {v.name}.{kind.fields[i][0]}")
            self.declare(name, elements[i], groups)
            return True
        if self.chance(0.5):
            i = self.r.randrange(len(elements))
            name = self.fresh("u")
            self.emit(f"{name} = {v.name}[{i}]")
            self.declare(name, elements[i], groups)
            return True
        names = [self.fresh("u") for _ in elements]
        self.emit(f"{', '.join(names)} = {v.name}")
        for n, k in zip(names, elements, strict=True):
            self.declare(n, k, groups)
        return True

    def optional_statement(self) -> bool:
        found = self.variables(lambda v: isinstance(v.kind, Opt))
        if not found or self.chance(0.3):
            element = self.some_kind()
            if element in (BOOL, APPROX):
                element = INT
            kind = Opt(element)
            e = self._built(kind)
            if e is None:
                return False
            name = self.fresh("o")
            self.emit(f"{name}: {kind.annotation()} = {bare(e.text)}")
            self.declare(name, kind, e.groups)
            return True
        v = self.r.choice(found)
        assert isinstance(v.kind, Opt)
        if self.chance(0.4):
            e = self._built(v.kind)
            if e is None or v.fixed:
                return False
            self.emit(f"{v.name} = {bare(e.text)}")
            self.link(v, e.groups)
            return True
        self.emit(f"if {v.name} is not None:")
        name = self.fresh("q")
        with self.inner():
            self.emit(f"{name} = {v.name}")
            self.declare(name, v.kind.element, set(v.groups))
            held, v.fixed = v.fixed, True
            self.block(self.r.randint(1, 2))
            v.fixed = held
        return True

    def dict_statement(self) -> bool:
        found = self.variables(lambda v: isinstance(v.kind, Dic))
        if not found or self.chance(0.3):
            element = self.some_kind()
            if element in (BOOL, APPROX):
                element = INT
            kind = Dic(tuple(self.r.sample(["a", "b", "key"], self.r.randint(1, 3))), element)
            e = self._built(kind)
            if e is None:
                return False
            self.keep(self.fresh("d"), e)
            return True
        v = self.r.choice(found)
        assert isinstance(v.kind, Dic)
        key = self.r.choice(v.kind.keys)
        if self.chance(0.4):
            e = self.value(v.kind.element, 1)
            if e is None:
                return False
            self.emit(f'{v.name}["{key}"] = {bare(e.text)}')
            self.link(v, e.groups)
            return True
        name = self.fresh("u")
        self.emit(f'{name} = {v.name}["{key}"]')
        self.declare(name, v.kind.element, set(v.groups))
        return True

    # -- calls and checks --------------------------------------------------------------------------------------------

    def call(self) -> bool:
        """Call a function of the program with variables that fit."""
        if not self.helpers:
            return False
        h = self.r.choice(self.helpers)
        given: list[str] = []
        taken: set[int] = set()
        touched: list[Var] = []
        for _, kind, writes in h.parameters:
            if isinstance(kind, Num):
                given.append(bare(self.small(self.number(kind, 1)).text))
                continue
            found = [v for v in self.variables() if self._fits(v, kind, writes) and v.groups.isdisjoint(taken)]
            if not found:
                return False
            v = self.r.choice(found)
            given.append(v.name)
            taken |= v.groups
            touched.append(v)
        name = self.fresh("c")
        self.emit(f"{name} = {h.name}({', '.join(given)})")
        self.declare(name, h.result, taken if not isinstance(h.result, Num) else set())
        for v in touched:
            self.link(v, taken)
        return True

    def _fits(self, v: Var, kind: Kind, writes: bool) -> bool:
        return v.kind == kind and not (writes and (self.is_shown(v) or v.least is not None))

    def check(self) -> bool:
        """An assertion or an exception, which most inputs do not meet."""
        e = self.int_(1)
        if self.chance(0.5):
            self.emit(f'assert {e.text} != {self.r.randint(5, 30)}, "{self.r.choice(["too many", "not this one"])}"')
            return True
        self.emit(f"if {e.text} == {self.r.randint(5, 40)}:")
        self.indent += 1
        self.emit(f'raise {self.r.choice(["ValueError", "RuntimeError"])}("{self.r.choice(["no", "out of reach"])}")')
        self.indent -= 1
        return True

    # -- branches and exits --------------------------------------------------------------------------------------------

    def branch(self) -> bool:
        join = self.some_kind() if self.chance(0.4) else None
        name = self.fresh("j") if join is not None else ""
        kinds = (
            ["if"]
            + (["elif"] if self.chance(0.25) else [])
            + (["else"] if join is not None or self.chance(0.6) else [])
        )
        if join is not None and self.value(join) is None:
            return False
        groups: set[int] = set()
        shown = False
        for k in kinds:
            self.emit(f"{k}:" if k == "else" else f"{k} {bare(self.condition())}:")
            with self.inner():
                self.block(self.r.randint(1, 3))
                if join is not None:
                    e = self.value(join)
                    if e is None:
                        e = Expr(name, join)
                    e = self.seldom_shared(e)
                    self.emit(f"{name} = {bare(e.text)}")
                    groups |= e.groups
                    shown = shown or e.shown
        if join is not None:
            self.declare(name, join, groups, shown=shown)
        return True

    def jump(self) -> bool:
        self.emit(f"if {bare(self.condition(1))}:")
        with self.inner():
            self.block(self.r.randint(0, 1))
            self.emit(self.r.choice(["break", "break", "continue"]))
        return True

    def early_return(self) -> bool:
        assert self.returns is not None
        self.emit(f"if {bare(self.condition(1))}:")
        with self.inner():
            self.block(self.r.randint(0, 1))
            self.give_back()
        return True

    def give_back(self) -> None:
        """``return`` something. Raises Stuck where nothing fits."""
        assert self.returns is not None
        for _ in range(20):
            e = self.value(self.returns)
            if e is not None:
                self.emit(f"return {bare(e.text)}")
                return
        raise Stuck

    # -- loops -----------------------------------------------------------------------------------------------------------

    def for_loop(self) -> bool:
        header = self.r.choice([self._over_range, self._over_range, self._over_list, self._over_tensor])()
        if header is None:
            return False
        text, shown, declare = header
        self.emit(f"for {text}:")
        before = shown.shown if shown is not None else False
        if shown is not None:
            shown.shown = True
        self._body(declare)
        if shown is not None:
            shown.shown = before
        return True

    def _body(self, declare: Callable[[], None]) -> None:
        self.loops += 1
        with self.inner():
            declare()
            self.block(self.r.randint(1, 4 if self.loops < 2 else 2))
        self.loops -= 1

    def _over_range(self) -> tuple[str, Var | None, Callable[[], None]] | None:
        i = self.fresh("i")
        sizes = [(v, a, d) for v, t in self.tensors() for a, d in enumerate(t.shape) if d != 1]
        if sizes and self.chance(0.5):
            v, a, d = self.r.choice(sizes)
            return f"{i} in range({v.name}.size({a}))", None, lambda: self._index_variable(i, d)
        k = self.r.random()
        n = self.int_(0)
        if k < 0.5:
            text = f"range({n.text if n.bound <= 8 else f'min({n.text}, 4)'})"
        elif k < 0.75:
            text = f"range({self.r.randint(-2, 1)}, min({n.text}, 4))"
        else:
            text = self.r.choice(
                [f"range(0, {n.text}, 2)", f"range({n.text}, -1, -3)", "range(3)", f"range(min({n.text}, 5), 0, -1)"]
            )
        if k >= 0.75 and n.bound > 10:
            text = text.replace(n.text, f"({n.text} % 5)")
        return f"{i} in {text}", None, lambda: self._index_variable(i, None)

    def _index_variable(self, name: str, d: int | str | None) -> None:
        self.declare(name, INT, fixed=True, index=d)

    def _over_list(self) -> tuple[str, Var | None, Callable[[], None]] | None:
        lists = self.variables(lambda v: isinstance(v.kind, ListOf))
        if not lists or self.loops > 1:
            return None
        v = self.r.choice(lists)
        assert isinstance(v.kind, ListOf)
        x, element, groups = self.fresh("e"), v.kind.element, set(v.groups)
        if self.chance(0.3):
            i = self.fresh("i")
            return f"{i}, {x} in enumerate({v.name})", v, lambda: self._pair(i, INT, set(), x, element, groups)
        return f"{x} in {v.name}", v, lambda: self._element(x, element, groups)

    def _element(self, name: str, kind: Kind, groups: set[int]) -> None:
        self.declare(name, kind, set() if isinstance(kind, Num) else groups, fixed=True)

    def _pair(self, a: str, ka: Kind, ga: set[int], b: str, kb: Kind, gb: set[int]) -> None:
        self._element(a, ka, ga)
        self._element(b, kb, gb)

    def _over_tensor(self) -> tuple[str, Var | None, Callable[[], None]] | None:
        found = [(v, t) for v, t in self.tensors(lambda t: bool(t.shape))]
        if not found:
            return None
        v, t = self.r.choice(found)
        x, row, groups = self.fresh("e"), Ten(t.dtype, t.shape[1:], t.exact), set(v.groups)
        if self.chance(0.3):
            i = self.fresh("i")
            return f"{i}, {x} in enumerate({v.name})", None, lambda: self._pair(i, INT, set(), x, row, groups)
        same = [(w, u) for w, u in found if u.shape[0] == t.shape[0]]
        if self.chance(0.2) and same:
            w, u = self.r.choice(same)
            y = self.fresh("e")
            other = Ten(u.dtype, u.shape[1:], u.exact)
            return (
                f"{x}, {y} in zip({v.name}, {w.name})",
                None,
                lambda: self._pair(x, row, groups, y, other, set(w.groups)),
            )
        return f"{x} in {v.name}", None, lambda: self._element(x, row, groups)

    def while_loop(self) -> bool:
        k = self.fresh("k")
        self.emit(f"{k} = 0")
        v = self.declare(k, INT, fixed=True)
        most = self.r.randint(1, 4)
        test = f"{k} < {most}"
        if self.chance(0.6):
            test = self.r.choice(["{0} and {1}", "{1} and {0}"]).format(test, self.bool_(1).text)
        self.emit(f"while {test}:")
        self._body(lambda: self.emit(f"{k} += 1"))
        v.fixed = True
        return True
