"""Random statements that write to tensors in place, through names, views and indices."""

from __future__ import annotations

from support.random_programs.kinds import DTYPES, FLOAT, INT, LIMIT, Expr, Num, Ten, Var
from support.random_programs.scope import bare
from support.random_programs.tensors import Tensors

__all__ = ["Writes"]

_CATEGORY = {d: (0 if d == "bool" else 2 if d.startswith("float") else 1) for d in DTYPES}


class Writes(Tensors):
    """In-place statements. A subclass gives ``emit``; ``buffers`` are tensors of the module, as ``self.…``."""

    loops = 0

    def emit(self, text: str) -> None:
        raise NotImplementedError

    def target(self) -> Var | None:
        """A tensor that may be written to."""
        return self.choose(lambda v: isinstance(v.kind, Ten) and not self.is_shown(v))

    def apart(self, e: Expr, v: Var) -> str:
        """The value, as memory of its own where it may be part of what is written to."""
        if e.groups.isdisjoint(v.groups):
            return bare(e.text)
        return f"{e.text}.clone()"

    def fitting(self, t: Ten, shape: tuple[int | str, ...], depth: int = 1, same: bool = False) -> Expr | None:
        """A tensor or number that may be combined in place with one of this kind."""
        if t.dtype != "bool" and not same and self.chance(0.3):
            kind: Num = FLOAT if t.is_float and self.chance(0.4) else INT
            return self.small(self.number(kind, 1))
        if t.dtype == "float16" and not same:
            return self.small(self.int_(1))
        given = shape if self.chance(0.75) else shape[self.r.randint(0, len(shape)) :]
        e = self.tensor(given, depth, t.exact)
        if e is None:
            return None
        e = self.kept(e)
        kind_ = e.kind
        assert isinstance(kind_, Ten)
        if _CATEGORY[kind_.dtype] > _CATEGORY[t.dtype] or (same and kind_.dtype != t.dtype):
            e = self.cast(e, t.dtype)
        return e

    # -- statements ------------------------------------------------------------------------------------------------

    def write(self) -> bool:
        """One in-place statement."""
        v = self.target()
        if v is None:
            return False
        assert isinstance(v.kind, Ten)
        if v.kind.shape and self.chance(0.5):
            return self.item_write(v, v.kind)
        return self.whole_write(v, v.kind, v.name)

    def whole_write(self, v: Var, t: Ten, name: str) -> bool:
        """Write to all of a tensor that is called ``name``."""
        if self.chance(0.25) or (t.dtype == "bool" and self.chance(0.6)):
            return self._filled(v, t, name)
        e = self.fitting(t, t.shape)
        if e is None:
            return False
        value = self.apart(e, v)
        if t.dtype == "bool":
            self.emit(f"{name}.logical_{self.r.choice(['and', 'or', 'xor'])}_({value})")
            return True
        op = self.r.choice(["add", "add", "sub", "mul"])
        if op == "sub" and isinstance(e.kind, Ten) and e.kind.dtype == "bool":
            op = "add"
        if op == "mul" and t.dtype == "float16":
            return False
        sign = {"add": "+=", "sub": "-=", "mul": "*="}[op]
        form = self.r.choice([f"{{0}}.{op}_({{1}})", f"{{0}} {sign} {{1}}"])
        self.emit(form.format(name, value))
        if t.dtype != "uint8":
            self.emit(
                self.r.choice(
                    [f"{name}.clamp_(-60, 60)", f"{name}.clamp_(-9, 9)", f"{name}.clamp_(max=20).clamp_(min=-20)"]
                )
            )
        return True

    def _filled(self, v: Var, t: Ten, name: str) -> bool:
        forms = [f"{name}.zero_()", f"{name}.fill_({self.r.randint(0, 1)})"]
        if t.dtype not in ("bool", "uint8"):
            forms += [
                f"{name}.fill_({self.small(self.int_(1)).text})",
                f"{name}.neg_()",
                f"{name}.abs_()",
                f"{name}.clamp_(-3, 3)",
            ]
        mask = self.tensor(t.shape, 1, True, "bool")
        if mask is not None and t.dtype != "bool":
            forms += [f"{name}.masked_fill_({bare(self.cast(mask, 'bool').text)}, {self.r.randint(0, 5)})"]
        copied = (
            self.of_kind(Ten(self.r.choice([t.dtype, t.dtype, "int32"]), t.shape, t.exact), 1)
            if t.dtype not in ("uint8", "bool")
            else None
        )
        if copied is not None:
            forms += [f"{name}.copy_({self.apart(copied, v)})"] * 3
        self.emit(self.r.choice(forms))
        return True

    def item_write(self, v: Var, t: Ten) -> bool:
        """Write through a subscript."""
        index, shape = self._index(t)
        if index is None:
            return False
        place = f"{v.name}[{index}]"
        if self.chance(0.5):
            if shape is None:
                value = "True" if t.dtype == "bool" else str(self.r.randint(0, 9))
            else:
                e = self.fitting(t, shape)
                if e is None or (t.dtype == "float16" and self.chance(0.5)):
                    return False
                value = self.apart(e, v)
            self.emit(f"{place} = {value}")
            return True
        if t.dtype in ("bool", "float16"):
            return False
        if shape is None or self.chance(0.3):
            self.emit(f"{place} {self.r.choice(['+=', '*=', '-='])} {self.r.randint(0, 3)}")
        elif self.chance(0.4):
            return self.whole_write(v, Ten(t.dtype, shape, t.exact), place) if shape != t.shape else False
        else:
            e = self.fitting(t, shape)
            if e is None:
                return False
            sign = "+=" if _is_bool(e) else self.r.choice(["+=", "-="])
            self.emit(f"{place} {sign} {self.apart(e, v)}")
        if t.dtype != "uint8":
            self.emit(f"{v.name}.clamp_(-60, 60)")
        return True

    def _index(self, t: Ten) -> tuple[str | None, tuple[int | str, ...] | None]:
        """An index and the shape of what it selects (None: only running tells)."""
        axis = self.r.randrange(len(t.shape))
        at = self.index_text(t.shape[axis])
        before = ":, " * axis
        k = self.r.random()
        if k < 0.4 and at is not None:
            rest = t.shape[:axis] + t.shape[axis + 1 :]
            if axis == len(t.shape) - 1 and axis > 0 and self.chance(0.3):
                return f"..., {at}", rest
            return before + at, rest
        if k < 0.55:
            ats = [self.index_text(d) for d in t.shape]
            return (", ".join(map(str, ats)), ()) if all(ats) else (None, None)
        if k < 0.75:
            i = self.small(self.int_(1)).text
            return before + self.r.choice([f"{i}:", f":{i}", "1:", ":-1", "::2", ":2", "-2:"]), None
        mask = self.tensor(t.shape, 1, True, "bool")
        if k < 0.9 and mask is not None:
            return bare(self.cast(mask, "bool").text), None
        if self.least(t.shape[0]) > 0:
            index = self.tensor((self.r.choice([2, 3]),), 0, True, "int64")
            if index is not None:
                size = self.size_text(t.shape[0])
                return f"{self.cast(index, 'int64').text} % {size}", None
        return "...", None

    # -- names for parts -------------------------------------------------------------------------------------------

    def alias(self) -> bool:
        """A new name for a tensor or for a part of it."""
        found = [v for v, t in self.tensors()]
        if not found:
            return False
        v = self.r.choice(found)
        t = v.kind
        assert isinstance(t, Ten)
        if self.chance(0.25):
            return self._several(v, t)
        if self.chance(0.2):
            self._bind(self.fresh("w"), Expr(v.name, t, LIMIT, frozenset(v.groups), v.shown))
            return True
        e = self._part(v, t)
        if e is None:
            return False
        self._bind(self.fresh("w"), e)
        return True

    def _bind(self, name: str, e: Expr) -> None:
        self.emit(f"{name} = {bare(e.text)}")
        self.declare(name, e.kind, e.groups, shown=e.shown)

    def _part(self, v: Var, t: Ten) -> Expr | None:
        shape = t.shape
        if not shape:
            return None
        axis = self.r.randrange(len(shape))
        rest = shape[:axis] + shape[axis + 1 :]
        at = self.index_text(shape[axis])
        options: list[tuple[str, tuple[int | str, ...]]] = [
            (f"unsqueeze({axis})", (*shape[:axis], 1, *shape[axis:])),
            ("detach()", shape),
        ]
        if at is not None:
            options += [(f"select({axis}, {at})", rest)] * 2
        if len(shape) == 2:
            options += [("t()", shape[::-1]), ("transpose(0, 1)", shape[::-1]), ("permute(1, 0)", shape[::-1])]
            if shape[0] == shape[1]:
                options += [("diagonal()", shape[:1])] * 2
        if v.dense and not self.loops:
            options += [
                ("view(-1)", (self.new_size(),) if len(shape) != 1 else shape),
                (f"view(1, {', '.join(['-1'] * 1)})", (1, self.new_size()) if len(shape) != 1 else (1, *shape)),
            ]
        if self.least(shape[axis]) >= 2:
            options.append(
                (
                    f"narrow({axis}, {self.r.randint(0, self.least(shape[axis]) - 2)}, 2)",
                    (*shape[:axis], 2, *shape[axis + 1 :]),
                )
            )
        if self.chance(0.1):
            options = [("reshape(-1)", (self.new_size(),))]
        if shape[axis] == 1:
            options.append((f"squeeze({axis})", rest))
        call, made = self.r.choice(options)
        e = self._viewed(v, call, made)
        if self.chance(0.2) and self.least(shape[0]) >= 2:
            return self._subscript(v, self.r.choice([":2", "0:2", "-2:"]), (2, *shape[1:]))
        return e

    def _several(self, v: Var, t: Ten) -> bool:
        """Parts by chunk, split and unbind."""
        axes = [(a, d) for a, d in enumerate(t.shape) if d in (2, 3)]
        if not axes:
            return False
        axis, size = self.r.choice(axes)
        assert isinstance(size, int)
        rest = t.shape[:axis] + t.shape[axis + 1 :]
        one, two = ((*t.shape[:axis], n, *t.shape[axis + 1 :]) for n in (1, 2))
        options = [(f"unbind({axis})", [rest] * size), (f"split(1, {axis})", [one] * size)]
        options.append((f"chunk(2, {axis})", [one, one] if size == 2 else [two, one]))
        if size == 3:
            options.append((f"split([1, 2], {axis})", [one, two]))
        call, shapes = self.r.choice(options)
        names = [self.fresh("w") for _ in shapes]
        self.emit(f"{', '.join(names)} = {v.name}.{call}")
        for name, shape in zip(names, shapes, strict=True):
            self.declare(name, Ten(t.dtype, shape, t.exact), set(v.groups), shown=v.shown)
        return True


def _is_bool(e: Expr) -> bool:
    return isinstance(e.kind, Ten) and e.kind.dtype == "bool"
