"""Random statements as people write them: searches and running sums, dicts that count, small classes, optional arguments, f-strings."""

from __future__ import annotations

from collections.abc import Callable

from support.random_programs.further import Further
from support.random_programs.kinds import FLOAT, INT, Dic, ListOf, Num, Ten, Var
from support.random_programs.scope import bare

__all__ = ["CLASSES", "Everyday", "layer"]

#: Classes that a program may use, by name.
CLASSES = {
    "Counter": """
class Counter:
    def __init__(self, start: int) -> None:
        self.total = start
        self.seen: List[int] = []

    def add(self, n: int) -> int:
        self.total = min(max(self.total + n, -20), 20)
        self.seen.append(n)
        return self.total

    def most(self) -> int:
        best = self.total
        for n in self.seen:
            if n > best:
                best = n
        return best
""",
    "Span": """
@dataclass
class Span:
    start: int
    stop: int = 3

    def length(self) -> int:
        return max(self.stop - self.start, 0)

    def holds(self, n: int) -> bool:
        return self.start <= n < self.stop
""",
    "scaled": """
def scaled(n: int, by: Optional[int] = None, low: int = -30, *, up: bool = False) -> int:
    if by is None:
        by = 2
    if up and n > 0:
        n += by
    return max(min(n * by, 30), low)
""",
    "shifted": """
def shifted(x: Tensor, by: Optional[Tensor] = None, most: float = 9.0) -> Tensor:
    x = x.float()
    if by is not None:
        x = x + by.float().sum()
    return x.clamp(-most, most)
""",
}


def layer(kind: Num | Ten) -> str:
    """A module that counts its calls, for lists of modules."""
    t = kind.annotation()
    by = "min(max({}, -9), 9)" if isinstance(kind, Num) else "({}).clamp(-9, 9)"
    return f"""
class Layer(nn.Module):
    def __init__(self, by: int) -> None:
        super().__init__()
        self.by = by
        self.register_buffer('calls', torch.zeros((), dtype=torch.int64))

    def forward(self, a: {t}) -> {t}:
        self.calls += 1
        if self.by > 2:
            return {by.format("a + self.by")}
        return {by.format("a * self.by - 1")}
"""


class Everyday(Further):
    """Patterns of several statements."""

    used: set[str]
    layer_kind: Num | Ten | None = None

    def more(self) -> list[tuple[float, Callable[[], bool]]]:
        nested = self.depth < 3
        return [
            *super().more(), (0.4, self.sliced), (0.3, self.shift), (0.25, self.whole_numbers), (0.3, self.positions),
            (0.2, self.told_in_words), (0.2, self.method_of_class), (0.2, self.span), (0.25, self.optional_argument),
            (0.2, self.chosen_by_name),
            *([(0.3, self.best), (0.3, self.running), (0.3, self.until), (0.3, self.collected), (0.3, self.keyed),
               (0.25, self.found_in_rows), (0.25, self.together), (0.2, self.layers)] if nested else []),
        ]  # fmt: skip

    def _int(self, depth: int = 1) -> str:
        return bare(self.small(self.int_(depth)).text)

    def _tensor(self, test: Callable[[Ten], bool]) -> tuple[Var, Ten] | None:
        found = list(self.tensors(test))
        return self.r.choice(found) if found else None

    # -- slices --------------------------------------------------------------------------------------------------------

    def sliced(self) -> bool:
        """A part with a step or negative bounds, of a tensor or list."""
        lists = self.variables(lambda v: isinstance(v.kind, ListOf))
        step = self.r.choice(["::2", "1::2", ":-1", "-2:", "-3:-1", ":", "::3", f"{self.r.randint(-3, 3)}::2"])
        if lists and self.chance(0.4):
            v = self.r.choice(lists)
            name = self.fresh("l")
            step = self.r.choice([step, "::-1", "-1::-1", "::-2", "-1:-3:-1"])
            self.emit(f"{name} = {v.name}[{step}]")
            self.declare(name, v.kind, set(v.groups))
            return True
        found = self._tensor(lambda t: bool(t.shape))
        if found is None:
            return False
        v, t = found
        axis = self.r.randrange(len(t.shape))
        at = self.r.choice([":, " * axis + step, "..., " + step if axis == len(t.shape) - 1 else ":, " * axis + step])
        name = self.fresh("s")
        shape = (*t.shape[:axis], self.new_size(), *t.shape[axis + 1 :])
        self.emit(f"{name} = {v.name}[{at}]")
        self.declare(name, Ten(t.dtype, shape, t.exact), set(v.groups), shown=v.shown)
        return True

    def shift(self) -> bool:
        """Elements one place on, or added to their neighbours."""
        v = self.target()
        if v is None or not isinstance(v.kind, Ten) or not v.kind.shape or v.kind.dtype in ("bool", "uint8"):
            return False
        axis = self.r.randrange(len(v.kind.shape))
        first, last = ":, " * axis + "1:", ":, " * axis + ":-1"
        form = self.r.choice(
            [
                "{v}[{a}] = {v}[{b}].clone()",
                "{v}[{a}] -= {v}[{b}].clone()",
                "{v}[{a}] = {v}[{a}] + {v}[{b}]",
                "{v}[{b}].copy_({v}[{a}].clone())",
                "{v}[{c}] = -{v}[{c}]",
            ]
        )
        self.emit(form.format(v=v.name, a=first, b=last, c=":, " * axis + "::2"))
        self.emit(f"{v.name}.clamp_(-60, 60)")
        return True

    # -- numbers -------------------------------------------------------------------------------------------------------

    def whole_numbers(self) -> bool:
        """Division, remainders and powers with negative numbers, of ints and floats."""
        a, b, f = self._int(), self._int(0), self.small(self.float_(1)).text
        by = self.r.choice(["3", "-3", "2", f"(abs({b}) + 1)", f"(-abs({b}) - 1)"])
        k = self.r.random()
        if k < 0.25:
            q, m = self.fresh("n"), self.fresh("n")
            self.emit(
                f"{q}, {m} = divmod({a}, {by})" if self.chance(0.5) else f"{q}, {m} = ({a}) // {by}, ({a}) % {by}"
            )
            self.declare(q, INT)
            self.declare(m, INT)
            return True
        if k < 0.7:
            text = self.r.choice(
                [f"(({a}) // {by})", f"(({a}) % {by})", f"int(({a}) / {by})", f"math.floor({f} / 3)",
                 f"math.ceil(({a}) / {by})", f"int({f} // 2)", f"min(({a}) * ({a}), 50)", f"int(({a}) > {b}) + 1", f"abs({a}) % 5",
                 f"(-7 // {by})", f"(7 % {by})", f"int(round({f}))"]
            )  # fmt: skip
            name = self.fresh("n")
            self.emit(f"{name} = {bare(text)}")
            self.declare(name, INT)
            return True
        text = self.r.choice(
            [f"({f} % -4)", f"({f} // {by})", f"(({a}) % 2.0)", f"float(({a}) // {by})", f"(({a}) + {f})", f"max({f}, float({b}))",
             f"({f} * (2 if ({a}) > 0 else -1))", f"float(-({a}) % 4)"]
        )  # fmt: skip
        name = self.fresh("f")
        self.emit(f"{name} = min(max({bare(text)}, -30.0), 30.0)")
        self.declare(name, FLOAT)
        return True

    # -- data decide the size ------------------------------------------------------------------------------------------

    def positions(self) -> bool:
        """Where something holds: indices, used to read, write or count."""
        found = self._tensor(lambda t: len(t.shape) == 1 and t.exact)
        if found is None:
            return False
        v, t = found
        test = v.name if t.dtype == "bool" else f"{v.name} {self.r.choice(['>', '<=', '!='])} {self._int(0)}"
        name, size = self.fresh("s"), self.new_size()
        form = self.r.choice(
            [
                "torch.nonzero({0}).squeeze(1)",
                "({0}).nonzero().flatten()",
                "torch.where({0})[0]",
                "({0}).nonzero()[:, 0]",
            ]
        )
        self.emit(f"{name} = {form.format(test)}")
        self.declare(name, Ten("int64", (size,)))
        k = self.r.random()
        if k < 0.3:
            n = self.fresh("n")
            self.emit(f"{n} = min({name}.numel(), 9)")
            self.declare(n, INT)
        elif k < 0.5 and not self.is_shown(v) and t.dtype not in ("bool", "uint8"):
            self.emit(self.r.choice([f"{v.name}[{name}] = {self.r.randint(0, 5)}", f"{v.name}[{name}] += 1"]))
            self.emit(f"{v.name}.clamp_(-60, 60)")
        elif k < 0.75:
            made = self.fresh("t")
            self.emit(
                f"{made} = {self.r.choice(['{0}[{1}]', '{0}.index_select(0, {1})', 'torch.gather({0}, 0, {1})']).format(v.name, name)}"
            )
            self.declare(made, Ten(t.dtype, (size,), t.exact))
        elif k < 0.9:
            n = self.fresh("n")
            self.emit(f"{n} = {self.r.randint(-1, 1)}")
            self.emit(f"if {name}.numel() > 0:" if self.chance(0.5) else f"if len({name}) > 0:")
            self.emit(f"    {n} = int({name}[{self.r.choice(['0', '-1'])}])")
            self.declare(n, INT)
        return True

    # -- loops that look for something ---------------------------------------------------------------------------------

    def best(self) -> bool:
        """The largest row, and which it is."""
        found = self._tensor(lambda t: len(t.shape) in (1, 2) and t.exact and t.dtype not in ("bool", "float16"))
        if found is None:
            return False
        v, t = found
        f, n, i, s = self.fresh("f"), self.fresh("n"), self.fresh("i"), self.fresh("f")
        is_float = t.is_float and self.chance(0.7)
        self.emit(f"{f} = {'-60.0' if is_float else '-60'}")
        self.emit(f"{n} = -1")
        self.emit(f"for {i} in range({v.name}.size(0)):")
        row = f"{v.name}[{i}]" + (".sum()" if len(t.shape) == 2 else "")
        kind = "float" if is_float else "int"
        limit = "50.0" if is_float else "50"
        self.emit(f"    {s} = min({kind}({row}), {limit})")
        self.emit(f"    if {s} > {f}:")
        if self.chance(0.5):
            self.emit(f"        {f}, {n} = {s}, {i}")
        else:
            self.emit(f"        {f} = {s}")
            self.emit(f"        {n} = {i}")
        if self.chance(0.3):
            self.emit(f"    elif {s} == {f} and {i} % 2 == 0:")
            self.emit(f"        {self.r.choice(['break', 'continue', f'{n} -= 1'])}")
        self.declare(f, FLOAT if is_float else INT)
        self.declare(n, INT)
        return True

    def running(self) -> bool:
        """Each row from the one before."""
        v = self.target()
        if v is None or not isinstance(v.kind, Ten) or not v.kind.shape or v.kind.dtype in ("bool", "uint8", "float16"):
            return False
        i, name = self.fresh("i"), v.name
        header = self.r.choice(["range(1, {0}.size(0))", "range({0}.shape[0] - 2, -1, -1)", "range(1, len({0}))"])
        before = f"{i} + 1" if "-1" in header else f"{i} - 1"
        self.emit(f"for {i} in {header.format(name)}:")
        form = self.r.choice(
            ["{v}[{i}] = {v}[{i}] + {v}[{b}]", "{v}[{i}] += {v}[{b}]", "{v}[{i}] = torch.maximum({v}[{i}], {v}[{b}])",
             "{v}[{i}].sub_({v}[{b}])", "if {v}[{b}].sum() > {v}[{i}].sum():\n{s}    {v}[{i}] = {v}[{b}]"]
        )  # fmt: skip
        spaces = "    " * (self.indent + 1)
        self.emit("    " + form.format(v=name, i=i, b=before, s=spaces))
        self.emit(f"    {name}[{i}].clamp_(-60, 60)" if self.chance(0.5) else f"    {name}.clamp_(-60, 60)")
        return True

    def until(self) -> bool:
        """A loop that data end."""
        found = self._tensor(lambda t: t.exact and t.dtype in ("float32", "int64", "float64"))
        if found is None:
            return False
        v, t = found
        name, k = self.fresh("t"), self.fresh("k")
        step = self.r.choice(
            ["{0} = {0} - 1", "{0} = torch.relu({0} - 2)", "{0} = ({0} / 2).floor()", "{0} = {0}.abs() - 3"]
        )
        if "floor" in step and not t.is_float:
            step = "{0} = {0} // 2"
        test = self.r.choice(["({0} > 0).any()", "{0}.sum() > 1", "torch.any({0} > 2)", "int({0}.abs().sum()) > 3"])
        self.emit(f"{name} = {v.name}" + (".clone()" if self.chance(0.5) else " * 1"))
        self.emit(f"{k} = 0")
        if self.chance(0.5):
            self.emit(f"while {k} < 5:")
            self.emit(f"    if not ({test.format(name)}):")
            self.emit("        break")
        else:
            self.emit(f"while {test.format(name)} and {k} < 6:")
        self.emit("    " + step.format(name))
        self.emit(f"    {k} += 1")
        self.declare(name, t)
        self.declare(k, INT)
        return True

    def found_in_rows(self) -> bool:
        """A place in two dimensions, with a way out of both loops."""
        found = self._tensor(lambda t: len(t.shape) == 2 and t.exact and t.dtype != "float16")
        if found is None:
            return False
        v, t = found
        a, b, i, j = self.fresh("n"), self.fresh("n"), self.fresh("i"), self.fresh("i")
        self.emit(f"{a}, {b} = -1, {self.r.randint(-1, 0)}")
        self.emit(f"for {i} in range({v.name}.size(0)):")
        self.emit(f"    for {j} in range({v.name}.size(1)):")
        test = f"{v.name}[{i}, {j}]" if t.dtype == "bool" else f"{v.name}[{i}, {j}] > {self.r.randint(0, 4)}"
        if self.chance(0.3):
            self.emit(f"        if {i} == {j}:")
            self.emit("            continue")
        self.emit(f"        if {test}:")
        if self.returns is not None and self.chance(0.3):
            e = self.value(self.returns)
            if e is not None:
                self.emit(f"            return {bare(e.text)}")
        else:
            self.emit(f"            {a}, {b} = {i}, {j}")
            self.emit("            break")
        if self.chance(0.6):
            self.emit(f"    if {a} >= 0:")
            self.emit("        break")
        self.declare(a, INT)
        self.declare(b, INT)
        return True

    # -- loops that collect --------------------------------------------------------------------------------------------

    def collected(self) -> bool:
        """A state that a loop carries, and what it was after each step."""
        found = self._tensor(
            lambda t: (
                len(t.shape) in (2, 3) and t.dtype in ("float32", "int64", "float64") and self.least(t.shape[0]) > 0
            )
        )
        if found is None:
            return False
        v, t = found
        h, outs, made, i = self.fresh("t"), self.fresh("l"), self.fresh("t"), self.fresh("i")
        row = Ten(t.dtype, t.shape[1:], t.exact)
        self.emit(
            f"{h} = {self.r.choice(['torch.zeros_like({0}[0])', '{0}[0] * 0', '{0}[-1].clone()']).format(v.name)}"
        )
        self.emit(f"{outs} = []" if self.chance(0.6) else f"{outs}: List[Tensor] = []")
        by_index = self.chance(0.6)
        e = f"{v.name}[{i}]" if by_index else self.fresh("e")
        self.emit(f"for {i} in range({v.name}.size(0)):" if by_index else f"for {e} in {v.name}:")
        form = self.r.choice(
            ["{h} = ({h} + {e}).clamp(-9, 9)", "{h} = torch.maximum({h}, {e}) - 1", "{h} = {e} - {h}.clamp(0, 5)"]
        )
        self.emit("    " + form.format(h=h, e=e))
        if self.chance(0.3):
            self.emit(f"    if {h}.sum() > {self.r.randint(3, 30)}:")
            self.emit(f"        {h} = {h} * 0")
        whole = self.r.choice(["stack", "stack", "cat", "stack_last"])
        kept = f"{h}.unsqueeze(0)" if whole == "cat" else h
        self.emit(f"    {outs}.append({kept})")
        size = t.shape[0]
        if whole == "stack_last":
            self.emit(f"{made} = torch.stack({outs}, dim=-1)")
            shape = (*row.shape, size)
        else:
            self.emit(
                f"{made} = torch.{whole}({outs})" if self.chance(0.5) else f"{made} = torch.{whole}({outs}, dim=0)"
            )
            shape = (size, *row.shape)
        self.emit(f"{made} = {made}.clamp(-60, 60)")
        self.declare(made, Ten(t.dtype, shape, t.exact))
        return True

    def keyed(self) -> bool:
        """A dict that is filled in a loop, with known keys."""
        name, total, i = self.fresh("d"), self.fresh("n"), self.fresh("i")
        self.emit(f'{name} = {{"even": 0, "odd": 0}}')
        self.emit(f"for {i} in range({self.r.choice(['4', f'min({self._int(0)}, 4)'])}):")
        test = self.r.choice([f"{i} % 2 == 0", f"({i} + {self._int(0)}) % 2 == 0"])
        if self.chance(0.5):
            self.emit(f"    if {test}:")
            self.emit(f'        {name}["even"] += 1')
            self.emit("    else:")
            self.emit(f'        {name}["odd"] = {name}["odd"] + {i}')
        else:
            self.emit(f'    {name}["even"] += int({test})')
            self.emit(f'    {name}["odd"] = {name}.get("odd", 0) + 1')
        self.emit(f"{total} = 0")
        loop = self.r.choice(["for key, value in {0}.items():", "for value in {0}.values():", "for key in {0}:"])
        if loop.endswith("{0}:"):
            self.emit(f"for key in list({name}.keys()):")
            self.emit(f"    {total} += {name}[key]")
        else:
            self.emit(loop.format(name))
            self.emit(f"    {total} += value")
        self.declare(name, Dic(("even", "odd"), INT))
        self.declare(total, INT)
        return True

    def together(self) -> bool:
        """A loop over two lists at once, or over a list with its places."""
        lists = self.list_of(INT) + self.list_of(FLOAT)
        if not lists or self.loops > 1:
            return False
        a, b = self.r.choice(lists), self.r.choice(lists)
        n, i, x, y = self.fresh("f"), self.fresh("i"), self.fresh("e"), self.fresh("e")
        self.emit(f"{n} = 0.0")
        k = self.r.random()
        if k < 0.5:
            self.emit(f"for {x}, {y} in zip({a.name}, {b.name}):")
            self.emit(f"    {n} += float({x} * {y})")
        elif k < 0.8:
            self.emit(f"for {i}, ({x}, {y}) in enumerate(zip({a.name}, {b.name})):")
            self.emit(f"    {n} += float({x} - {y} * {i})")
        else:
            self.emit(f"for {i}, {x} in enumerate({a.name}{self.r.choice(['', '[1:]', '[::-1]'])}):")
            self.emit(f"    if {i} == {self.r.randint(1, 3)}:")
            self.emit("        continue")
            self.emit(f"    {n} += float({x})")
        self.emit(f"{n} = min(max({n}, -30.0), 30.0)")
        self.declare(n, FLOAT)
        return True

    # -- classes, functions, texts -------------------------------------------------------------------------------------

    def method_of_class(self) -> bool:
        """An object that keeps numbers."""
        self.used.add("Counter")
        c, n = self.fresh("obj"), self.fresh("n")
        self.emit(f"{c} = Counter({self._int(0)})")
        if self.depth < 3 and self.chance(0.7):
            i = self.fresh("i")
            self.emit(f"for {i} in range({self.r.choice(['3', f'min({self._int(0)}, 4)'])}):")
            if self.chance(0.4):
                self.emit(f"    if {c}.total > {self.r.randint(2, 9)}:")
                self.emit("        break")
            self.emit(f"    {c}.add({i} + {self._int(0)})")
        else:
            self.emit(f"{c}.add({self._int(1)})")
        self.emit(f"{n} = {self.r.choice(['{0}.total', '{0}.most()', '{0}.add(1)', 'len({0}.seen)']).format(c)}")
        self.declare(n, INT)
        return True

    def span(self) -> bool:
        """An object of a dataclass."""
        self.used.add("Span")
        s, n = self.fresh("span"), self.fresh("n")
        given = self.r.choice([self._int(0), f"{self._int(0)}, {self._int(0)}", f"start={self._int(0)}, stop=4"])
        self.emit(f"{s} = Span({given})")
        if self.chance(0.4):
            self.emit(f"{s}.stop += {self.r.randint(1, 3)}")
        if self.chance(0.4):
            self.emit(f"if {s}.holds({self._int(0)}):")
            self.emit(f"    {s} = Span({s}.stop, {s}.stop + 2)" if self.chance(0.4) else f"    {s}.start -= 1")
        self.emit(f"{n} = min({self.r.choice(['{0}.length()', '{0}.stop - {0}.start', '{0}.start']).format(s)}, 30)")
        self.declare(n, INT)
        return True

    def optional_argument(self) -> bool:
        """A call with some of the arguments."""
        if self.chance(0.5):
            self.used.add("scaled")
            n = self.fresh("n")
            more = self.r.choice(
                [
                    "",
                    f", {self._int(0)}",
                    ", None",
                    f", by={self._int(0)}",
                    ", None, 0",
                    ", up=True",
                    ", low=-3, up=False",
                ]
            )
            self.emit(f"{n} = scaled({self._int()}{more})")
            self.declare(n, INT)
            return True
        found, other = self._tensor(lambda t: t.exact), self._tensor(lambda t: t.exact)
        if found is None or other is None:
            return False
        self.used.add("shifted")
        t = self.fresh("t")
        more = self.r.choice(["", f", {other[0].name}", ", None", ", most=5.0", f", by={other[0].name}, most=20.0"])
        self.emit(f"{t} = shifted({found[0].name}{more})")
        dtype = found[1].dtype if found[1].dtype == "float32" else "float32"
        self.declare(t, Ten(dtype, found[1].shape))
        return True

    def told_in_words(self) -> bool:
        """An exception whose message says what is the matter, with shapes or numbers in formats."""
        found = self._tensor(lambda t: bool(t.shape))
        if found is None:
            return False
        v, t = found
        n, f = self._int(0), self.small(self.float_(0)).text
        message = self.r.choice(
            [f'f"{{{v.name}.size(0)}} rows, {{{n}}} out of reach"', f'f"{{{f}:.2f}} out of reach"', f'f"{{{v.name}.shape}} out of reach"',
             f'"%d of %d out of reach" % ({v.name}.size(0), {n})', f'"{{}} of {{}} out of reach".format({n}, {f})',
             f'"at " + str({n}) + " out of reach"']
        )  # fmt: skip
        if self.chance(0.5):
            self.emit(f"if {v.name}.size({self.r.randrange(len(t.shape))}) > {self.r.randint(3, 6)}:")
            self.emit(f"    raise {self.r.choice(['ValueError', 'RuntimeError', 'IndexError'])}({message})")
        else:
            self.emit(f"assert {v.name}.size({self.r.randrange(len(t.shape))}) <= {self.r.randint(3, 6)}, {message}")
        return True

    def chosen_by_name(self) -> bool:
        """A string that says what to do."""
        mode, n = self.fresh("mode"), self.fresh("n")
        first = self.r.choice(["add", "mul"])
        self.emit(f'{mode} = "{first}"')
        if self.chance(0.5):
            self.emit(f"if {bare(self.bool_(1).text)}:")
            self.emit(f'    {mode} = "{self.r.choice(["mul", "none"])}"')
        a = self._int(0)
        self.emit(f"{n} = {self._int(0)}")
        self.declare(n, INT)
        self.emit(f'if {mode} == "add":')
        self.emit(f"    {n} = ({n} + {a}) % 17")
        self.emit(f'elif {mode} in ("mul", "other"):')
        self.emit(f"    {n} = ({n} * {a}) % 13")
        if self.chance(0.4):
            self.emit("else:")
            self.emit(f'    raise ValueError(f"{{{mode}}} out of reach")')
        return True

    def layers(self) -> bool:
        """What a list of modules does one after the other."""
        kind = self.layer_kind
        if kind is None:
            return False
        if isinstance(kind, Num):
            t = self.fresh("n")
            self.emit(f"{t} = {self._int(0)}")
        else:
            e = self.value(kind)
            if e is None:
                return False
            t = self.fresh("t")
            self.emit(f"{t} = {bare(e.text)}" + (".clone()" if e.groups else ""))
        layer, i = self.fresh("layer"), self.fresh("i")
        numbered = self.chance(0.4)
        self.emit(f"for {i}, {layer} in enumerate(self.layers):" if numbered else f"for {layer} in self.layers:")
        if numbered and self.chance(0.5):
            self.emit(f"    if {i} == {self.r.randint(0, 1)} and {bare(self.bool_(0).text)}:")
            self.emit("        continue")
        self.emit(f"    {t} = {layer}({t})")
        self.declare(t, kind)
        return True
