"""Random expressions of tensors, by shape."""

from __future__ import annotations

from collections.abc import Callable

from support.random_programs.kinds import (
    APPROX,
    DTYPES,
    FLOAT,
    INT,
    LIMIT,
    Expr,
    Kind,
    ListOf,
    Num,
    Ten,
    Var,
    broadcast,
    promote,
)
from support.random_programs.numbers import Numbers

__all__ = ["Tensors"]

Shape = tuple[int | str, ...]
_SHORT = {"int64": "long", "int32": "int", "float32": "float", "float64": "double", "float16": "half"}
_HALF = 1500


def _ten(e: Expr) -> Ten:
    assert isinstance(e.kind, Ten)
    return e.kind


class Tensors(Numbers):
    """Expressions of tensors. ``tensor(shape)`` gives any element type, ``of_kind`` a certain one."""

    def of_kind(self, kind: Ten, depth: int = 2) -> Expr | None:
        """A tensor of exactly this kind, with numbers below the limit."""
        e = self.tensor(kind.shape, depth, kind.exact, None if self.chance(0.7) else kind.dtype)
        return self.kept(self.cast(e, kind.dtype)) if e is not None else None

    def kept(self, e: Expr) -> Expr:
        """The tensor, brought below the limit."""
        t = _ten(e)
        if e.bound <= LIMIT or t.dtype in ("bool", "uint8"):
            return e
        forms = ["{0}.clamp(-60, 60)", "torch.clamp({0}, min=-9, max=9)", "{0}.clamp(min=-5).clamp(max=11)"]
        if t.exact and t.dtype != "float16":
            forms += ["({0} % 17)", "torch.remainder({0}, 13)", "torch.fmod({0}, 19)", "{0}.remainder(-7)"]
        return Expr(self.r.choice(forms).format(e.text), t, LIMIT)

    def cast(self, e: Expr, dtype: str) -> Expr:
        t = _ten(e)
        if t.dtype == dtype:
            return e
        if dtype == "float16" and e.bound > _HALF:
            e = self.kept(e)
        text, bound = e.text, e.bound
        if dtype == "uint8":
            text, bound = (f"{text}.abs()" if t.is_float else text), 255
        elif dtype == "bool":
            bound = 1
        forms = [f"{text}.to(torch.{dtype})", f"{text}.to(dtype=torch.{dtype})"]
        forms += [f"{text}.{_SHORT[dtype]}()"] * 2 if dtype in _SHORT else []
        if dtype == "uint8" and e.bound > 255 and t.is_float:
            forms = [f"{e.text}.abs().clamp(max=60).to(torch.uint8)"]
        return Expr(self.r.choice(forms), Ten(dtype, t.shape, t.exact or dtype == "bool"), bound)

    def tensor(self, shape: Shape, depth: int = 2, exact: bool = True, dtype: str | None = None) -> Expr | None:
        """A tensor of this shape, or None where nothing of that size is at hand."""
        if depth <= 0 or self.chance(0.15):
            return self.one_of((3, lambda: self._variable(shape, exact, dtype)), (1, lambda: self.made(shape)),
                               (1, lambda: self.view_of_shape(shape, exact)))  # fmt: skip
        return self.one_of(
            (5, lambda: self._binary(shape, depth, exact)),
            (2, lambda: self._unary(shape, depth, exact)),
            (1.5, lambda: self.view_of_shape(shape, exact)),
            (1.2, lambda: self._reduced(shape, exact)),
            (0.8, lambda: self._selected(shape, depth, exact)),
            (0.5, lambda: self._joined(shape, depth, exact)),
            (0.5, lambda: self._picked(shape, exact)),
            (0.5, lambda: self._reordered(shape, depth, exact)),
            (0.5, lambda: self._product(shape)),
            (0.4, lambda: self.made(shape)),
            (1, lambda: self._variable(shape, exact, dtype)),
        )

    # -- leaves ----------------------------------------------------------------------------------------------------

    def _variable(self, shape: Shape, exact: bool, dtype: str | None = None) -> Expr | None:
        found = [v for v, t in self.tensors(lambda t: t.shape == shape and (t.exact or not exact))]
        same = [v for v in found if isinstance(v.kind, Ten) and v.kind.dtype == dtype]
        return self.read(self.r.choice(same or found)) if found else None

    def made(self, shape: Shape) -> Expr | None:
        """A new tensor."""
        if shape == ():
            kind = self.r.choice((INT, FLOAT))
            e = self.small(self.number(kind, 1))
            return Expr(f"torch.tensor({e.text})", Ten(promote(kind), ()))
        sizes = self.shape_text(shape)
        if sizes is None:
            return None
        dtype = self.r.choice(["float32", "float32", "int64", "int32", "float64", "bool", "uint8"])
        given = "" if dtype == "float32" and self.chance(0.7) else f", dtype=torch.{dtype}"
        forms = [f"torch.zeros({sizes}{given})", f"torch.ones({sizes}{given})", f"torch.zeros([{sizes}]{given})"]
        c = self.r.randint(0, 1) if dtype == "bool" else self.r.randint(0, 5)
        forms.append(f"torch.full(({sizes},), {c}, dtype=torch.{dtype})")
        if len(shape) == 1 and shape[0] != 1:
            if dtype in ("int64", "int32", "float64"):
                forms += [f"torch.arange({sizes}{given})", f"torch.arange({sizes}).to(torch.{dtype})"]
        like = [v for v, t in self.tensors(lambda t: t.shape == shape)]
        if like:
            name = self.r.choice(like).name
            forms += [
                f"torch.zeros_like({name}, dtype=torch.{dtype})",
                f"torch.full_like({name}, 3, dtype=torch.{dtype})",
            ]
        if dtype == "bool":
            forms = [f for f in forms if "full" not in f]
        return Expr(self.r.choice(forms), Ten(dtype, shape), 6)

    # -- views -----------------------------------------------------------------------------------------------------

    def view_of_shape(self, shape: Shape, exact: bool = True) -> Expr | None:
        """A view of a variable that has this shape."""
        found: list[Callable[[], Expr | None]] = []
        for v, t in self.tensors(lambda t: t.exact or not exact):
            if len(t.shape) == len(shape) + 1:
                found += [
                    lambda v=v, a=a: self._select(v, a) for a in range(len(t.shape)) if _without(t.shape, a) == shape
                ]  # type: ignore[misc]
            if len(t.shape) == len(shape) >= 2 and t.shape[::-1] == shape and len(shape) == 2:
                found.append(
                    lambda v=v: self._viewed(v, self.r.choice(["t()", "transpose(0, 1)", "permute(1, 0)"]), shape)
                )  # type: ignore[misc]
            if (
                len(t.shape) == len(shape) >= 1
                and shape[0] == 2
                and t.shape[1:] == shape[1:]
                and self.least(t.shape[0]) >= 2
            ):
                found.append(lambda v=v: self._subscript(v, self.r.choice([":2", "-2:", "0:2"]), shape))  # type: ignore[misc]
            if len(shape) == len(t.shape) + 1:
                axes = [a for a in range(len(shape)) if shape[a] == 1 and _without(shape, a) == t.shape]
                found += [lambda v=v, a=a: self._viewed(v, f"unsqueeze({a})", shape) for a in axes]  # type: ignore[misc]
            if t.shape != shape and broadcast(shape, t.shape) and self.chance(0.3):
                found.append(lambda v=v: self._expanded(v, shape))  # type: ignore[misc]
            if t.shape == shape and self.chance(0.3):
                form = self.r.choice(
                    [
                        "detach()",
                        "view_as({0})",
                        "contiguous()" if self.chance(0.1) else "detach()",
                        "squeeze(0)" if shape == () else "detach()",
                    ]
                )
                found.append(lambda v=v, form=form: self._viewed(v, form.format(v.name), shape))  # type: ignore[misc]
            if len(t.shape) == len(shape) and self.chance(0.2) and len(shape) > 0:
                same = [a for a in range(len(shape)) if shape[:a] == t.shape[:a] and shape[a + 1 :] == t.shape[a + 1 :]]
                found += [
                    lambda v=v, a=a, shape=shape: self._narrowed(v, a, shape) for a in same if shape[a] != t.shape[a]
                ]  # type: ignore[misc]
        return self.r.choice(found)() if found else None

    def _viewed(self, v: Var, call: str, shape: Shape) -> Expr:
        t = v.kind
        assert isinstance(t, Ten)
        e = self.read(v)
        return Expr(f"{v.name}.{call}", Ten(t.dtype, shape, t.exact), e.bound, e.groups, v.shown)

    def _subscript(self, v: Var, index: str, shape: Shape) -> Expr:
        e = self._viewed(v, "", shape)
        e.text = f"{v.name}[{index}]"
        return e

    def _select(self, v: Var, axis: int) -> Expr | None:
        assert isinstance(v.kind, Ten)
        shape = v.kind.shape
        at = self.index_text(shape[axis])
        if at is None:
            return None
        rest = _without(shape, axis)
        if self.chance(0.3):
            return self._viewed(v, f"select({axis}, {at})", rest)
        if axis == len(shape) - 1 and axis > 0 and self.chance(0.3):
            return self._subscript(v, f"..., {at}", rest)
        return self._subscript(v, ":, " * axis + at, rest)

    def _narrowed(self, v: Var, axis: int, shape: Shape) -> Expr | None:
        assert isinstance(v.kind, Ten)
        least, size = self.least(v.kind.shape[axis]), shape[axis]
        if not isinstance(size, int) or least < size:
            return None
        start = self.r.randint(0, least - size)
        if self.chance(0.4):
            return self._viewed(v, f"narrow({axis}, {start}, {size})", shape)
        return self._subscript(v, ":, " * axis + f"{start}:{start + size}", shape)

    def _expanded(self, v: Var, shape: Shape) -> Expr | None:
        sizes = self.shape_text(shape)
        if sizes is None:
            return None
        e = self._viewed(v, f"expand({sizes})", shape)
        e.shown = True
        return e

    # -- elementwise -----------------------------------------------------------------------------------------------

    def _unary(self, shape: Shape, depth: int, exact: bool) -> Expr | None:
        e = self.tensor(shape, depth - 1, exact)
        if e is None:
            return None
        t, b = _ten(e), e.bound
        if not exact and t.is_float and t.dtype != "float16" and self.chance(0.6):
            form = self.r.choice(
                [
                    "torch.tanh({0})",
                    "torch.sigmoid({0})",
                    "({0}.abs() + 1).sqrt()",
                    "torch.exp(-{0}.abs())",
                    "({0} / 3)",
                ]
            )
            return Expr(form.format(e.text), Ten(t.dtype, shape, False), b + 1)
        if t.dtype == "bool":
            return Expr(self.r.choice(["(~{0})", "torch.logical_not({0})"]).format(e.text), t, 1)
        forms = [
            "{0}.abs()",
            "torch.relu({0})",
            "torch.sign({0})",
            "{0}.clamp(min=0)",
            "{0}.clamp(max=5)",
            "torch.clamp({0}, 0, 7)",
        ]
        forms += ["(-{0})", "torch.neg({0})"]
        if b < 40 or t.dtype not in ("float16",):
            forms.append("({0} ** 2)")
        if t.is_float and t.exact:
            forms += ["torch.floor({0})", "torch.round({0})", "torch.trunc({0})"]
        if self.chance(0.2):
            return Expr(f"torch.logical_not({e.text})", Ten("bool", shape, True), 1) if t.exact else None
        form = self.r.choice(forms)
        if "**" in form:
            e = self._room(e)
            return Expr(form.format(e.text), t, e.bound**2)
        return Expr(form.format(e.text), t, max(b, 7) if t.dtype != "uint8" else 255)

    def _room(self, e: Expr) -> Expr:
        """What may be multiplied without growing beyond what is exact."""
        t = _ten(e)
        return self.kept(e) if e.bound > (30 if t.dtype == "float16" else 1000) and e.bound > LIMIT else e

    def _operand(self, shape: Shape, depth: int, exact: bool) -> Expr | None:
        """A tensor that broadcasts to the shape, or a number."""
        if self.chance(0.25):
            kind: Num = self.r.choice((INT, INT, FLOAT if exact else APPROX))
            return self.small(self.number(kind, 1))
        k = self.r.random()
        if k < 0.65 or not shape:
            return self.tensor(shape, depth, exact)
        return self.tensor(() if k < 0.75 else shape[self.r.randint(1, len(shape)) :], depth, exact)

    def _binary(self, shape: Shape, depth: int, exact: bool) -> Expr | None:
        a, b = self.tensor(shape, depth - 1, exact), self._operand(shape, depth - 1, exact)
        if a is None or b is None:
            return None
        dtype = promote(a.kind, b.kind)
        kept = isinstance(b.kind, Ten)
        if self.chance(0.12):
            return self._comparison(a, b, shape)
        if dtype == "bool":
            return Expr(f"({a.text} {self.r.choice(['&', '|', '^', '==', '!='])} {b.text})", Ten("bool", shape), 1)
        both = [a.kind, b.kind]
        is_exact = all(k.exact for k in both if isinstance(k, Ten | Num))
        if dtype == "float16" and max(a.bound, b.bound) > 30:
            a = self.cast(self.kept(a), "float32")
            dtype = promote(a.kind, b.kind)
        op = self.r.choice(["+", "+", "-", "*", "max", "div", "bits"])
        x, y = (a, b) if self.chance(0.7) else (b, a)
        kind = Ten(dtype, shape, is_exact)
        limit = 255 if dtype == "uint8" else 10**9
        if op == "div":
            return self._divided(a, shape, is_exact)
        if op == "bits" and not dtype.startswith("float"):
            return self._bits(a, b, kind)
        if op == "max" and kept:
            name = self.r.choice(["torch.maximum", "torch.minimum", "torch.max", "torch.min"])
            return Expr(f"{name}({a.text}, {b.text})", kind, max(a.bound, b.bound))
        if op == "*":
            x, y = (self._room(e) if isinstance(e.kind, Ten) else e for e in (x, y))
            if dtype == "float16":
                return None
            forms = ["({0} * {1})"] + (["torch.mul({0}, {1})", "{0}.mul({1})"] if isinstance(x.kind, Ten) else [])
            return Expr(self.r.choice(forms).format(x.text, y.text), kind, min(x.bound * y.bound, limit))
        if op != "+" and (_is_bool(x.kind) | _is_bool(y.kind) or (isinstance(x.kind, Num) and dtype_of(y) == "uint8")):
            return None  # TorchScript negates the bytes first
        return self._summed(x, y, kind, "+" if op == "+" else "-", limit)

    def _summed(self, x: Expr, y: Expr, kind: Ten, op: str, limit: float) -> Expr:
        forms = [f"({{0}} {op} {{1}})"] * 3
        bound = x.bound + y.bound
        if isinstance(x.kind, Ten):
            name = "add" if op == "+" else "sub"
            forms += [f"torch.{name}({{0}}, {{1}})", f"{{0}}.{name}({{1}})"]
            if isinstance(y.kind, Ten) and kind.dtype not in ("bool", "float16") and self.chance(0.2):
                forms, bound = [f"torch.{name}({{0}}, {{1}}, alpha=2)"], x.bound + 2 * y.bound
        return Expr(self.r.choice(forms).format(x.text, y.text), kind, min(bound, limit))

    def _divided(self, a: Expr, shape: Shape, exact: bool) -> Expr | None:
        t = _ten(a)
        if t.dtype in ("bool", "float16"):
            return None
        if not exact:
            if not t.is_float:
                return Expr(f"({a.text} / {self.r.choice(['3', '2.0', '-4'])})", Ten("float32", shape, False), a.bound)
            return Expr(f"({a.text} / ({a.text}.abs() + 1))", Ten(t.dtype, shape, False), 1)
        if not t.exact:
            return None
        by = self.r.choice(["2", "3", "5"] + ([] if t.dtype == "uint8" else ["-2", "-7"]))
        forms = ["({0} // {1})", "({0} % {1})", "torch.remainder({0}, {1})", "torch.fmod({0}, {1})",
                 "torch.div({0}, {1}, rounding_mode='floor')", "torch.div({0}, {1}, rounding_mode='trunc')", "torch.floor_divide({0}, {1})"]  # fmt: skip
        return Expr(self.r.choice(forms).format(a.text, by), Ten(t.dtype, shape), max(a.bound, 7))

    def _bits(self, a: Expr, b: Expr, kind: Ten) -> Expr | None:
        if self.chance(0.4) and not _is_bool(a.kind):
            n = self.r.randint(0, 3)
            t = _ten(a)
            bound = 255 if t.dtype == "uint8" else a.bound * 8
            return Expr(f"({a.text} {self.r.choice(['<<', '>>'])} {n})", t, bound)
        if isinstance(b.kind, Num) and b.kind.name == "float":
            return None
        return Expr(
            f"({a.text} {self.r.choice('&|^')} {b.text})",
            kind,
            255 if kind.dtype == "uint8" else 2 * max(a.bound, b.bound),
        )

    def _comparison(self, a: Expr, b: Expr, shape: Shape) -> Expr | None:
        if not all(k.exact for k in (a.kind, b.kind) if isinstance(k, Ten | Num)):
            return None
        return Expr(f"({a.text} {self.r.choice(['<', '<=', '>', '>=', '==', '!='])} {b.text})", Ten("bool", shape), 1)

    def _selected(self, shape: Shape, depth: int, exact: bool) -> Expr | None:
        mask = self.tensor(shape, depth - 1, True, "bool")
        a, b = self.tensor(shape, depth - 1, exact), self._operand(shape, 0, exact)
        if mask is None or a is None or b is None:
            return None
        m = self.cast(mask, "bool").text
        is_exact = all(k.exact for k in (a.kind, b.kind) if isinstance(k, Ten | Num))
        if isinstance(b.kind, Num):
            t = _ten(a)
            if b.kind.name == "float" and not t.is_float:
                return None
            value = self.r.choice(["2", "0", "5"])
            return Expr(f"{a.text}.masked_fill({m}, {value})", t, max(a.bound, 5)) if t.dtype != "bool" else None
        return Expr(
            f"torch.where({m}, {a.text}, {b.text})",
            Ten(promote(a.kind, b.kind), shape, is_exact),
            max(a.bound, b.bound),
        )

    # -- other shapes ----------------------------------------------------------------------------------------------

    def _reduced(self, shape: Shape, exact: bool) -> Expr | None:
        """A reduction of a variable to this shape."""
        found = [(v, t, a) for v, t in self.tensors(lambda t: (t.exact or not exact) and len(t.shape) == len(shape) + 1)
                 for a in range(len(t.shape)) if _without(t.shape, a) == shape]  # fmt: skip
        if not shape:
            found += [(v, t, -9) for v, t in self.tensors(lambda t: (t.exact or not exact) and len(t.shape) == 2)]
        if not found:
            return None
        v, t, a = self.r.choice(found)
        e, at = self.read(v), "" if a == -9 else str(a)
        if t.dtype == "bool":
            name = self.r.choice(["any", "all"])
            return Expr(f"{v.name}.{name}({at})", Ten("bool", shape), 1)
        forms = [("sum", 36 if a == -9 else 6)]
        if all(self.least(d) for d in (t.shape if a == -9 else [t.shape[a]])):
            forms += [("amax", 1), ("amin", 1)]
        if not exact and t.is_float:
            forms.append(("mean", 1))
        if t.dtype == "float16":
            forms = forms[1:3]
        if not forms:
            return None
        name, times = self.r.choice(forms)
        dtype = "int64" if name == "sum" and not t.is_float else t.dtype
        return Expr(f"{v.name}.{name}({at})", Ten(dtype, shape, t.exact and name != "mean"), e.bound * times)

    def _joined(self, shape: Shape, depth: int, exact: bool) -> Expr | None:
        if not shape or shape[0] != 2:
            return None
        if self.chance(0.4):
            pieces = [self.tensor((1, *shape[1:]), 0, exact) for _ in range(2)]
            form = "torch.cat([{0}, {1}])"
        else:
            pieces = [self.tensor(shape[1:], depth - 1, exact) for _ in range(2)]
            form = "torch.stack([{0}, {1}])"
        a, b = pieces
        if a is None or b is None:
            return None
        b = self.cast(b, _ten(a).dtype)
        return Expr(
            form.format(a.text, b.text),
            Ten(_ten(a).dtype, shape, _ten(a).exact and _ten(b).exact),
            max(a.bound, b.bound),
        )

    def _picked(self, shape: Shape, exact: bool) -> Expr | None:
        """Rows of a variable by computed indices, kept inside by a modulo."""
        if not shape:
            return None
        found = [(v, t) for v, t in self.tensors(lambda t: (t.exact or not exact) and len(t.shape) == len(shape)
                 and t.shape[1:] == shape[1:] and self.least(t.shape[0]) > 0)]  # fmt: skip
        index = self.tensor(shape[:1], 0, True, "int64")
        if not found or index is None:
            return None
        v, t = self.r.choice(found)
        at = f"({self.cast(index, 'int64').text} % {v.name}.size(0))"
        form = self.r.choice(["{0}[{1}]", "{0}.index_select(0, {1})"])
        return Expr(form.format(v.name, at), Ten(t.dtype, shape, t.exact), self.read(v).bound)

    def _reordered(self, shape: Shape, depth: int, exact: bool) -> Expr | None:
        e = self.tensor(shape, depth - 1, exact)
        if e is None or not shape:
            return None
        t = _ten(e)
        a = self.r.randrange(len(shape))
        forms = [
            (f"{{0}}.flip({a})", t.dtype, 1),
            ("{0}.clone()", t.dtype, 1),
            (f"torch.roll({{0}}, 1, {a})", t.dtype, 1),
        ]
        if t.dtype not in ("float16", "bool"):
            forms.append((f"{{0}}.cumsum({a})", t.dtype if t.is_float else "int64", 6))
            forms.append((f"torch.sort({{0}}, {a})[0]", t.dtype, 1))
        form, dtype, times = self.r.choice(forms)
        return Expr(form.format(e.text), Ten(dtype, shape, t.exact), e.bound * times)

    def _product(self, shape: Shape) -> Expr | None:
        if len(shape) != 2:
            return None
        pairs = [(v, w) for v, t in self.tensors(_multiplies) for w, u in self.tensors(_multiplies)
                 if t.dtype == u.dtype and t.shape[0] == shape[0] and u.shape[1] == shape[1] and t.shape[1] == u.shape[0]]  # fmt: skip
        if not pairs:
            return None
        v, w = self.r.choice(pairs)
        kind = v.kind
        assert isinstance(kind, Ten)
        form = self.r.choice(["({0} @ {1})", "torch.mm({0}, {1})", "torch.matmul({0}, {1})"])
        return Expr(form.format(v.name, w.name), Ten(kind.dtype, shape), 5 * LIMIT**2)

    def opaque(self) -> Expr | None:
        """A tensor of a size that only running tells."""
        found = [(v, t) for v, t in self.tensors(lambda t: t.exact and len(t.shape) in (1, 2) and t.dtype != "bool")]
        if not found:
            return None
        v, t = self.r.choice(found)
        size = self.new_size()
        bound = self.read(v).bound
        if self.chance(0.4) and t.dtype != "uint8":
            k = self.small(self.int_(1)).text
            index = self.r.choice([f":{k}", f"{k}:", "::2", "1:"])
            return Expr(f"{v.name}[{index}]", Ten(t.dtype, (size, *t.shape[1:])), bound, self.read(v).groups)
        if self.chance(0.2):
            return Expr(f"torch.nonzero({v.name})", Ten("int64", (size, len(t.shape))), 5)
        mask = f"{v.name} {self.r.choice(['>', '<', '!='])} {self.int_(0).text}"
        return Expr(f"{v.name}[{mask}]", Ten(t.dtype, (size,)), bound)

    def listed(self, kind: Kind) -> Expr | None:
        """What a list of tensors gives as one tensor."""
        lists = self.variables(
            lambda v: isinstance(v.kind, ListOf) and isinstance(v.kind.element, Ten) and bool(v.least)
        )
        lists = [v for v in lists if isinstance(v.kind, ListOf) and v.kind.element == kind]
        return Expr(f"{self.r.choice(lists).name}[0]", kind) if lists else None


def _multiplies(t: Ten) -> bool:
    return len(t.shape) == 2 and t.exact and t.dtype in ("float32", "float64")


def dtype_of(e: Expr) -> str:
    return e.kind.dtype if isinstance(e.kind, Ten) else ""


def _is_bool(k: Kind) -> bool:
    return isinstance(k, Ten) and k.dtype == "bool"


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


assert set(_SHORT) < set(DTYPES)
