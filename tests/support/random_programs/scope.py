"""The variables that a place of a program sees, and choosing among possibilities."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from support.random_programs.kinds import LIMIT, Expr, Kind, ListOf, Ten, Var

__all__ = ["Scope", "bare"]

Option = tuple[float, Callable[[], Expr | None]]
_BOUNDS = {"bool": 1, "uint8": 255}


def bare(text: str) -> str:
    """The text without parentheses around all of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for i, c in enumerate(text):
        depth += (c in "([{") - (c in ")]}")
        if depth == 0 and i < len(text) - 1:
            return text
    inner = text[1:-1]
    return text if _is_tuple(inner) else inner


def _is_tuple(text: str) -> bool:
    depth = 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            return True
    return False


class Scope:
    """Variables by name in nested blocks. ``sizes`` has the least value of each free size."""

    def __init__(self, r: random.Random, sizes: dict[str, int]) -> None:
        self.r, self.sizes = r, sizes
        self.scopes: list[dict[str, Var]] = [{}]
        self.counts: dict[str, int] = {}
        self.group = 0
        self.unknown = 0

    # -- choosing --------------------------------------------------------------------------------------------------

    def chance(self, p: float) -> bool:
        return self.r.random() < p

    def one_of(self, *options: Option) -> Expr | None:
        """What the first possible option gives, in a weighted random order."""
        left = list(options)
        while left:
            at = self.r.random() * sum(w for w, _ in left)
            for i, (w, make) in enumerate(left):
                at -= w
                if at <= 0 or i == len(left) - 1:
                    made = make()
                    if made is not None:
                        return made
                    left.pop(i)
                    break
        return None

    # -- variables -------------------------------------------------------------------------------------------------

    def variables(self, test: Callable[[Var], bool] = lambda v: True) -> list[Var]:
        return [v for s in self.scopes for v in s.values() if test(v)]

    def choose(self, test: Callable[[Var], bool]) -> Var | None:
        found = self.variables(test)
        return self.r.choice(found) if found else None

    def tensors(self, test: Callable[[Ten], bool] = lambda t: True) -> Iterator[tuple[Var, Ten]]:
        for v in self.variables():
            if isinstance(v.kind, Ten) and test(v.kind):
                yield v, v.kind

    def fresh(self, stem: str) -> str:
        """A name that is not used yet."""
        n = self.counts[stem] = self.counts.get(stem, -1) + 1
        return f"{stem}{n}"

    def new_group(self) -> int:
        self.group += 1
        return self.group

    def declare(self, name: str, kind: Kind, groups: frozenset[int] | set[int] = frozenset(), **more: object) -> Var:
        """A new variable in the innermost block."""
        v = self.scopes[-1][name] = Var(name, kind, set(groups) or {self.new_group()}, **more)  # type: ignore[arg-type]
        return v

    def link(self, v: Var, groups: frozenset[int] | set[int]) -> None:
        """``v`` may be what has these groups from now on: all of them become one, as far as they are known."""
        joined = v.groups | groups
        for other in self.variables(lambda o: not o.groups.isdisjoint(joined)):
            other.groups |= joined
        v.groups |= joined

    def is_shown(self, v: Var) -> bool:
        """Whether a loop runs over something that may be the variable, or its memory overlaps."""
        return bool(self.variables(lambda o: o.shown and not o.groups.isdisjoint(v.groups)))

    def read(self, v: Var) -> Expr:
        bound = _BOUNDS.get(v.kind.dtype, LIMIT) if isinstance(v.kind, Ten) else LIMIT
        return Expr(v.name, v.kind, bound, frozenset(v.groups), v.shown)

    # -- sizes -----------------------------------------------------------------------------------------------------

    def least(self, d: int | str) -> int:
        return d if isinstance(d, int) else self.sizes.get(d, 0)

    def new_size(self) -> str:
        """A size that only running tells."""
        self.unknown += 1
        return f"?{self.unknown}"

    def size_text(self, d: int | str) -> str | None:
        """An expression for a size."""
        if isinstance(d, int):
            return str(d)
        places = [(v, i) for v, t in self.tensors() for i, x in enumerate(t.shape) if x == d]
        if not places:
            return None
        v, i = self.r.choice(places)
        return self.r.choice([f"{v.name}.size({i})", f"{v.name}.shape[{i}]", f"{v.name}.size({i - _rank(v)})"])

    def shape_text(self, shape: tuple[int | str, ...]) -> str | None:
        """The arguments of zeros, expand and so on."""
        parts = [self.size_text(d) for d in shape]
        if any(p is None for p in parts):
            return None
        return ", ".join(map(str, parts))

    def index_text(self, d: int | str) -> str | None:
        """An index into something of that size, or None where there may be nothing."""
        found = [v.name for v in self.variables(lambda v: v.index == d)]
        if self.least(d) > 0:
            found += [str(i) for i in range(-self.least(d), self.least(d))]
            small = self.variables(lambda v: v.kind.annotation() == "int" and v.index is None)
            if small and self.chance(0.15):
                size = self.size_text(d)
                if size is not None:
                    return f"{self.r.choice(small).name} % {size}"
        return self.r.choice(found) if found else None

    def list_of(self, element: Kind) -> list[Var]:
        return self.variables(lambda v: v.kind == ListOf(element))


def _rank(v: Var) -> int:
    assert isinstance(v.kind, Ten)
    return len(v.kind.shape)
