"""Ordinary Python that TorchScript refuses and whose meaning is clear: compiled, it does what Python does.

Each program runs on inputs that take every path; the expected results are those of the plain Python function, with eager
tensors. The printed code is plain TorchScript: with torch installed, its loader compiles what is saved and agrees.
"""

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import bridge

PRELUDE = """\
import math
from typing import List, Optional, Tuple

import bridge
import bridge.nn as nn
from bridge import Tensor

K = 3
LISTED = [1, 2]
PAIR = (4, 5)
WEIGHT = bridge.tensor([1.0, -2.0])
NAME = "a"

"""


class Program(NamedTuple):
    source: str
    inputs: list[tuple[Any, ...]]
    exports: bool = True


def t(*values: float) -> Any:
    return bridge.from_numpy(np.array(values, np.float32))


def rows(*values: list[float]) -> Any:
    return bridge.from_numpy(np.array(values, np.float32))


PROGRAMS = {
    "comprehension with if": Program(
        "def f(l: List[int]):\n    return [x * 2 for x in l if x > 1 if x < 5]", [([1, 2, 3, 7],), ([0],)], False
    ),
    "comprehension with if over rows": Program(
        "def f(x):\n    return len([x[i] for i in range(x.size(0)) if x[i].sum() > 0])",
        [(rows([1.0, 2.0], [-3.0, 1.0]),), (rows([-1.0, 0.0]),)],
        False,
    ),
    "two generators": Program(
        "def f(l: List[int]):\n    return [i * j for i in l for j in range(i) if j != 1]", [([1, 3],), ([0],)], False
    ),
    "nested lists": Program(
        "def f(l: List[List[int]]):\n    return [y for x in l for y in x]", [([[1, 2], [], [3]],)], False
    ),
    "dict comprehension with if": Program(
        "def f(l: List[int]):\n    return len({i: i * 2 for i in l if i > 1})", [([1, 2, 3],), ([0],)], False
    ),
    "for else": Program(
        "def f(x, n: int):\n    for i in range(n):\n        if i == 3:\n            break\n        x = x + i\n"
        "    else:\n        x = -x\n    return x",
        [(t(1.0), 2), (t(1.0), 5), (t(1.0), 0)],
    ),
    "for else without break": Program(
        "def f(n: int):\n    for i in range(n):\n        pass\n    else:\n        n = -n\n    return n", [(2,), (0,)]
    ),
    "while else": Program(
        "def f(x):\n    k = 0\n    while k < 5:\n        if x.sum() > 10:\n            break\n        x = x * 2 + 1\n"
        "        k += 1\n    else:\n        x = -x\n    return x",
        [(t(1.0, 2.0),), (t(-99.0, -99.0),)],
    ),
    "for else in for else": Program(
        "def f(n: int, m: int):\n    s = 0\n    for i in range(n):\n        for j in range(m):\n            if j > i:\n"
        "                break\n        else:\n            s += 1\n            if s > 2:\n                break\n"
        "            continue\n        s += 10\n    else:\n        s = -s\n    return s",
        [(4, 2), (9, 1), (0, 0), (2, 5)],
    ),
    "None first": Program(
        "def f(x):\n    best = None\n    for i in range(x.size(0)):\n        row = x[i]\n"
        "        if best is None or row.sum() > best.sum():\n            best = row\n    return best",
        [(rows([1.0, 2.0], [3.0, 1.0]),), (rows([3.0], [2.0]),)],
        False,
    ),
    "None first, an int": Program(
        "def f(n: int):\n    last = None\n    for i in range(n):\n        if last is None or last < i:\n"
        "            last = i\n    return last",
        [(3,), (0,)],
        False,
    ),
    "None first, set in a branch": Program(
        "def f(x, c: bool):\n    y = None\n    if c:\n        y = x\n    if y is None:\n        return x + 1\n"
        "    return y * 2",
        [(t(1.0), True), (t(1.0), False)],
        False,
    ),
    "walrus": Program("def f(a: int):\n    if (b := a + 1) > 2:\n        return b\n    return -b", [(3,), (0,)]),
    "walrus in while": Program(
        "def f(n: int):\n    while (m := n * 2) < 20:\n        n += 1\n        if m == 16:\n            break\n"
        "    else:\n        n = -n\n    return n",
        [(1,), (9,), (30,)],
    ),
    "floor division": Program(
        "def f(a: int, x):\n    a //= 2\n    y = x + 0\n    y //= 2\n    return y * a",
        [(7, t(5.0, -3.0)), (-7, t(1.0, 2.0))],
    ),
    "matrix product": Program("def f(x):\n    x @= x\n    return x", [(rows([1.0, 2.0], [3.0, 4.0]),)]),
    "inversion": Program("def f(a: int):\n    return ~a, ~5", [(3,), (-4,)]),
    "match": Program(
        "def f(a: int):\n    match a:\n        case 1:\n            return 2\n        case 2 | 3:\n            return 7\n"
        "        case _ if a > 10:\n            return 9\n        case b:\n            return b",
        [(1,), (2,), (3,), (11,), (5,)],
    ),
    "match on an expression": Program(
        "def f(x):\n    match x.dim():\n        case 1:\n            return x + 1\n    return x",
        [(t(1.0),), (rows([1.0]),)],
    ),
    "set": Program("def f(a: int):\n    s = {1, 2}\n    return a in s or a not in {7, 8}", [(1,), (7,), (9,)]),
    "import": Program(
        "def f(x):\n    import math\n    from math import pi as p\n    return x * math.sqrt(4.0) + p", [(t(1.0),)]
    ),
    "module constants": Program(
        "def f(x):\n    return x * K + LISTED[0] + PAIR[1] + WEIGHT if NAME == 'a' else x", [(t(1.0, 2.0),)]
    ),
    "closed over": Program(
        "def make(k):\n    def g(x):\n        return x * k\n    return g\nf = make(5)", [(t(1.0, 2.0),)]
    ),
    "global that is read": Program("def f(a: int):\n    global K\n    return a + K", [(1,)]),
    "reversed": Program(
        "def f(x, n: int):\n    s = 0\n    for v in reversed(range(1, n, 2)):\n        s = s * 10 + v\n"
        "    for row in reversed(x):\n        s = s * 10 + int(row)\n    for v in reversed((1, 2)):\n"
        "        s = s * 10 + v\n    return s",
        [(t(1.0, 2.0), 6), (t(3.0), 1)],
    ),
    "reversed list": Program(
        "def f(l: List[int]):\n    return [x for x in reversed(l)], list(reversed(l))", [([1, 2, 3],)], False
    ),
    "sum of tensors": Program(
        "def f(x):\n    return sum([x[i] for i in range(x.size(0))]), sum([x, x], 2), sum([x, x], x), sum([1, 2])",
        [(rows([1.0, 2.0], [-3.0, 1.0]),)],
        False,
    ),
    "keyword-only default": Program(
        "def g(x, *, k: int = 2):\n    return x * k\ndef f(x):\n    return g(x) + g(x, k=5)", [(t(1.0),)]
    ),
    "any number of arguments": Program(
        "def g(x, *rest, scale: float = 2.0):\n    for r in rest:\n        x = x + r * scale\n    return x\n"
        "def f(x):\n    return g(x), g(x, x), g(x, x, x + 1, scale=3.0), g(x, *(x, x))",
        [(t(1.0),)],
    ),
    "any number of ints": Program(
        "def g(*ns: int):\n    return len(ns) + ns[0]\ndef f(n: int):\n    return g(n) + g(n, 2)", [(5,)]
    ),
    "super": Program(
        "class Base(nn.Module):\n    def forward(self, x):\n        if x.sum() > 0:\n            return x + 1\n"
        "        return x\nclass Middle(Base):\n    def forward(self, x):\n        return super().forward(x) * 3\n"
        "class Top(Middle):\n    def forward(self, x, *, scale: float = 2.0):\n"
        "        return super().forward(x) * scale\nf = Top()",
        [(t(1.0),), (t(-1.0),)],
    ),
    "super of a layer": Program(
        "class Scaled(nn.Linear):\n    def forward(self, x):\n        return super().forward(x) * 2\nf = Scaled(2, 3)",
        [(rows([1.0, 2.0]),)],
    ),
}
CASES = [pytest.param(name, id=name) for name in PROGRAMS]


def load(name: str, folder: Path) -> Any:
    path = folder / "beyond_program.py"
    path.write_text(PRELUDE + PROGRAMS[name].source + "\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("beyond_program", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["beyond_program"] = module
    spec.loader.exec_module(module)
    return module.f


def fresh(args: tuple[Any, ...]) -> list[Any]:
    return [a.clone() if isinstance(a, bridge.Tensor) else a for a in args]


def plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value.detach().numpy() if hasattr(value, "detach") else value


def agree(found: Any, expected: Any) -> None:
    if isinstance(expected, list):
        assert isinstance(found, list)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            agree(a, b)
    elif expected is None:
        assert found is None
    else:
        assert np.asarray(found).dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::bridge.runtime.InterpreterWarning")
def test_does_what_python_does(name: str, tmp_path: Path) -> None:
    f = load(name, tmp_path)
    scripted = bridge.jit.script(f)
    for args in PROGRAMS[name].inputs:
        agree(plain(scripted(*fresh(args))), plain(f(*fresh(args))))


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::bridge.runtime.InterpreterWarning")
def test_torch_compiles_what_is_saved(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    f = load(name, tmp_path)
    bridge.jit.save(bridge.jit.script(f), str(tmp_path / "f.pt"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = torch.jit.load(str(tmp_path / "f.pt"))

    def given(a: Any) -> Any:
        return torch.from_numpy(a.detach().numpy().copy()) if isinstance(a, bridge.Tensor) else a

    for args in PROGRAMS[name].inputs:
        agree(plain(loaded(*map(given, args))), plain(f(*fresh(args))))


@pytest.mark.parametrize("name", [pytest.param(n, id=n) for n, p in PROGRAMS.items() if p.exports])
def test_exports(name: str, tmp_path: Path) -> None:
    f = load(name, tmp_path)
    scripted = bridge.jit.script(f)
    for args in PROGRAMS[name].inputs:  # without the interpreter: its warning would be an error here
        agree(plain(scripted(*fresh(args))), plain(f(*fresh(args))))
    assert bridge.onnx.export(scripted, tuple(fresh(PROGRAMS[name].inputs[0])), str(tmp_path / "f.onnx")) is not None
