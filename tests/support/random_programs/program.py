"""Whole random programs: text and inputs."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from support.random_programs.everyday import CLASSES, Everyday, layer
from support.random_programs.kinds import FLOAT, INT, Kind, ListOf, Named, Num, Ten, Tup, Var
from support.random_programs.statements import Helper, Stuck

__all__ = ["RandomProgram", "generate", "inputs_of"]

_HEAD = """import math
from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn
"""


@dataclass
class RandomProgram:
    """The text of a program, whose subject is the class or function ``Program``, and the inputs of several calls.

    An input is a number, a list, or (element type, nested lists) for a tensor; the first call is the example.
    """

    text: str
    calls: list[list[Any]] = field(default_factory=list)
    is_module: bool = False

    def __repr__(self) -> str:
        return f"{self.text}\nCALLS = {self.calls!r}\n"


class _Function(Everyday):
    """One function being written."""

    def __init__(
        self, r: random.Random, sizes: dict[str, int], helpers: list[Helper], named: list[Named], used: set[str]
    ) -> None:
        super().__init__(r, sizes)
        self.used = used
        self.lines = []
        self.indent = 1
        self.helpers, self.named = helpers, named


def _tensor_kind(r: random.Random, sizes: list[str]) -> Ten:
    dims: list[Any] = [*sizes, *sizes, 2, 3]
    rank = r.choice([1, 1, 2, 2, 2, 3, 0])
    dtype = r.choice(["float32"] * 5 + ["int64", "int64", "float64", "int32", "bool", "uint8", "float16"])
    return Ten(dtype, tuple(r.choice(dims) for _ in range(rank)))


def _helper(r: random.Random, sizes: dict[str, int], name: str, kinds: list[Kind], helpers: list[Helper], named: list[Named],
            used: set[str], method: bool, buffers: dict[str, Ten] | None = None) -> tuple[Helper, list[str]]:  # fmt: skip
    f = _Function(r, sizes, helpers if not method else [], named, used)
    for b, t in (buffers or {}).items():
        f.declare(b, t, dense=True, fixed=True)
    f.scopes.append({})
    parameters = []
    for _ in range(r.randint(1, 3)):
        kind = r.choice(kinds) if r.random() < 0.7 else INT
        writes = not isinstance(kind, Num) and r.random() < 0.6
        parameters.append((f"a{len(parameters)}", kind, writes))
        v = f.declare(parameters[-1][0], kind)
        v.shown = not writes and not isinstance(kind, Num)
    results = [k for _, k, _ in parameters if isinstance(k, Num | Ten)]
    result: Kind = (
        r.choice(results)
        if results and r.random() < 0.7
        else r.choice([INT, *[k for k in kinds if isinstance(k, Ten)]])
    )
    if f.value(result) is None:
        result = INT
    f.returns = result if r.random() < 0.5 else None
    f.budget = r.randint(2, 6)
    f.indent = 2 if method else 1
    f.block(f.budget)
    f.returns = result
    f.give_back()
    signature = ", ".join(f"{n}: {k.annotation()}" for n, k, _ in parameters)
    head = (
        f"    def {name}(self, {signature}) -> {result.annotation()}:"
        if method
        else f"def {name}({signature}) -> {result.annotation()}:"
    )
    return Helper(("self." if method else "") + name, parameters, result), [head, *f.lines, ""]


def generate(r: random.Random, size: int = 12) -> RandomProgram:
    """A random program of about so many statements."""
    while True:
        try:
            return _generate(r, size)
        except Stuck:
            continue


def _generate(r: random.Random, size: int) -> RandomProgram:
    sizes = {"n": r.choice([0, 1, 1, 2]), "m": r.choice([1, 2])}
    names = ["n"] if r.random() < 0.5 else ["n", "m"]
    kinds: list[Kind] = [_tensor_kind(r, names) for _ in range(r.randint(1, 3))]
    extra: list[Kind] = [INT] * r.randint(0, 2) + [FLOAT] * r.randint(0, 1) + [Num("bool")] * r.randint(0, 1)
    if r.random() < 0.15:
        extra.append(ListOf(INT))
    if r.random() < 0.1 and kinds:
        extra.append(ListOf(kinds[0]))
    named = [Named("Pair", (("first", kinds[0]), ("second", r.choice([INT, kinds[-1]]))))] if r.random() < 0.3 else []
    is_module = r.random() < 0.6
    lines = [_HEAD]
    for k in named:
        lines += ["", f"class {k.name}(NamedTuple):", *(f"    {n}: {t.annotation()}" for n, t in k.fields), ""]
    helpers: list[Helper] = []
    used: set[str] = set()
    functions: list[str] = []
    for i in range(r.choice([0, 0, 1, 2])):
        h, text = _helper(r, sizes, f"helper{i}", kinds, list(helpers), named, used, method=False)
        helpers.append(h)
        functions += ["", *text]
    functions += _subject(r, sizes, kinds + extra, helpers, named, used, is_module, size)
    lines += [*(CLASSES[u] for u in sorted(used)), *functions]
    program = RandomProgram("\n".join(lines) + "\n", [], is_module)
    program.calls = inputs_of(r, sizes, kinds + extra)
    return program


def _subject(r: random.Random, sizes: dict[str, int], kinds: list[Kind], helpers: list[Helper], named: list[Named],
             used: set[str], is_module: bool, size: int) -> list[str]:  # fmt: skip
    f = _Function(r, sizes, helpers, named, used)
    parameters = [f"{'x' if isinstance(k, Ten) else 'y'}{i}" for i, k in enumerate(kinds)]
    head: list[str] = []
    before: list[str] = []
    if is_module:
        head = ["", "class Program(nn.Module):", "    def __init__(self) -> None:", "        super().__init__()"]
        f.indent = 2
        f.scopes.insert(0, {})
        for i in range(r.choice([0, 1, 1, 2])):
            shape = r.choice([(3,), (2, 3), (), (2, 2)])
            dtype = r.choice(["float32", "float32", "int64", "bool"])
            head.append(
                f"        self.register_buffer('b{i}', torch.{r.choice(['zeros', 'ones'])}({', '.join(map(str, shape)) if shape else '()'}, dtype=torch.{dtype}))"
            )
            v = f.declare(f"self.b{i}", Ten(dtype, shape), dense=True, fixed=True)
            f.scopes[0][v.name] = f.scopes[1].pop(v.name)
        if f.scopes[0] and r.random() < 0.01:  # one tensor under two names
            v = r.choice(list(f.scopes[0].values()))
            head.append(f"        self.register_buffer('tied', {v.name})")
            f.scopes[0]["self.tied"] = Var("self.tied", v.kind, v.groups, dense=True, fixed=True)
        if r.random() < 0.25:
            h, text = _part(r, sizes, kinds, named, used)
            before += text
            head.append("        self.sub = Part()")
            f.helpers = [*helpers, h]
            if r.random() < 0.3:
                head.append("        self.again = self.sub")
                f.helpers.append(Helper("self.again", h.parameters, h.result))
        if r.random() < 0.2:
            usable = [
                k for k in kinds if k == INT or (isinstance(k, Ten) and k.dtype in ("float32", "int64", "float64"))
            ]
            chosen = r.choice(usable or [INT])
            assert isinstance(chosen, Num | Ten)
            f.layer_kind = chosen
            before.append(layer(chosen))
            made = r.choice(["Layer(i) for i in range(4)", "Layer(2), Layer(3), Layer(-1)", "Layer(1), Layer(3)"])
            head.append(f"        self.layers = nn.ModuleList([{made}])")
        if r.random() < 0.3:
            h, text = _helper(
                r, sizes, "part", [k for k in kinds if isinstance(k, Ten)] or [INT], [], named, used, method=True
            )
            head += ["", *text]
            f.helpers = [*f.helpers, h]
    for p, k in zip(parameters, kinds, strict=True):
        f.declare(p, k, dense=True, fixed=False)
    signature = ", ".join(f"{p}: {k.annotation()}" for p, k in zip(parameters, kinds, strict=True))
    f.budget = size
    early = r.random() < 0.35
    if early:
        f.returns = Tup(tuple(r.sample(kinds, min(len(kinds), 2)))) if len(kinds) > 1 else kinds[0]
    f.block(size)
    if early:
        f.give_back()
    else:
        _everything(f)
    start = f"    def forward(self, {signature})" if is_module else f"def Program({signature})"
    result = f" -> {f.returns.annotation()}:" if early and f.returns is not None else ":"
    return [*before, *head, "", start + result, *f.lines]


def _part(
    r: random.Random, sizes: dict[str, int], kinds: list[Kind], named: list[Named], used: set[str]
) -> tuple[Helper, list[str]]:
    """A module inside the program, which has a buffer of its own and may write to it."""
    kind = Ten(r.choice(["float32", "int64"]), r.choice([(), (2,), (3,)]))
    sizes_text = ", ".join(map(str, kind.shape)) if kind.shape else "()"
    usable = [k for k in kinds if isinstance(k, Ten)] or [INT]
    h, text = _helper(r, sizes, "forward", usable, [], named, used, method=True, buffers={"self.c0": kind})
    head = ["", "class Part(nn.Module):", "    def __init__(self) -> None:", "        super().__init__()"]
    head.append(f"        self.register_buffer('c0', torch.ones({sizes_text}, dtype=torch.{kind.dtype}))")
    return Helper("self.sub", h.parameters, h.result), [*head, "", *text, ""]


def _everything(f: _Function) -> None:
    """Return what was made, so that whatever went wrong shows."""
    names = [v.name for s in f.scopes for v in s.values() if not isinstance(v.kind, Num | Named) or v.index is None]
    kept = [n for n in names if not n.startswith("o")]
    shown = kept if len(kept) <= 7 else sorted(f.r.sample(kept, 7), key=kept.index)
    f.emit(f"return {', '.join(shown)}" if shown else "return 0")


# -- inputs --------------------------------------------------------------------------------------------------------------


def inputs_of(r: random.Random, sizes: dict[str, int], kinds: list[Kind], count: int = 4) -> list[list[Any]]:
    """Inputs of several calls, of other sizes and values; lists keep their lengths."""
    lengths = [r.randint(1, 3) for _ in kinds]
    found = []
    for c in range(count):
        now = {d: max(least, r.randint(least, 4) if c else r.randint(2, 3)) for d, least in sizes.items()}
        if c == 1:
            now = dict(sizes)
        found.append([_input(r, k, now, n) for k, n in zip(kinds, lengths, strict=True)])
    return found


def _input(r: random.Random, kind: Kind, sizes: dict[str, int], length: int) -> Any:
    if isinstance(kind, Ten):
        shape = [sizes[d] if isinstance(d, str) else d for d in kind.shape]
        return (kind.dtype, _filled(r, kind, shape), shape)
    if isinstance(kind, ListOf):
        return [_input(r, kind.element, sizes, length) for _ in range(length)]
    if kind == INT:
        return r.randint(-2, 6)
    if kind == FLOAT:
        return float(r.randint(-4, 4))
    return r.random() < 0.5


def _filled(r: random.Random, kind: Ten, shape: list[int]) -> Any:
    if shape:
        return [_filled(r, kind, shape[1:]) for _ in range(shape[0])]
    if kind.dtype == "bool":
        return r.random() < 0.5
    value = r.randint(0 if kind.dtype == "uint8" else -4, 5)
    return float(value) if kind.is_float else value
