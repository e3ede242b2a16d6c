"""Programs that fail while they run, and what each library says then: ``told("bridge")``, ``told("torch")``."""

from __future__ import annotations

import importlib
import importlib.util
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

PROGRAM = """
import torch
from typing import Dict, List, Optional


class OutOfPaper(ValueError):
    pass


class Tray:
    def __init__(self, sheets: int):
        self.sheets = sheets

    def take(self, n: int) -> int:
        if n > self.sheets:
            raise OutOfPaper("only {} left".format(self.sheets))
        self.sheets -= n
        return self.sheets


def product(x):
    # what is before the line
    y = x + 1
    z = torch.mm(y,
                 y[0:2])
    w = z + 1
    v = w * 2
    return v


def doubled(x):
    a = x + 1

    return product(a)


def checked(x):
    assert x.sum() < 0, "too large: {}".format(x.size(0))
    return x


def unchecked(x):
    assert x.sum() < 0
    return x


def long_statement(x):
    for i in range(3):
        while True:
            if i == 2:
                raise IndexError(
                    f"i is {i}"
                )
            break
    return x


def tray(x):
    t = Tray(3)
    t.take(2)
    return t.take(2)


def nothing(x):
    if x.sum() > 0:
        raise NotImplementedError
    return x


def item(x):
    values = [1, 2]
    return values[x.size(0) + 4]


def key(x):
    known: Dict[str, int] = {"a": 1}
    return known["b"]


def whole(x):
    return 5 // (x.size(0) - 3)


def shape(x):
    y = x.view(7)
    return y


def place(x):
    return torch.zeros(2)[x.size(0)]


def truth(x):
    if bool(x):
        return 1
    return 2


def absent(x):
    y: Optional[List[int]] = None
    if x.sum() < 0:
        y = [1]
    z = torch.jit._unwrap_optional(y)
    return z


def unpacked(x):
    a, b = torch.chunk(x, 3)
    return a + b


class Inner(torch.nn.Module):
    def forward(self, x):
        return product(x)


class Outer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def helper(self, x):
        return self.inner(x)

    def forward(self, x):
        return self.helper(x)
"""

FUNCTIONS = (
    "product doubled checked unchecked long_statement tray nothing item key whole shape place truth absent unpacked"
).split()


def told(library: str) -> dict[str, str]:
    """The text of each program's error. The program's file is called program.py."""
    torch = importlib.import_module(library)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program.py")
        path.write_text(PROGRAM.replace("import torch\n", f"import {library} as torch\n"), encoding="utf-8")
        spec = importlib.util.spec_from_file_location("failing_program", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["failing_program"] = module
        try:
            spec.loader.exec_module(module)
            texts = {name: _text(torch, torch.jit.script(getattr(module, name))) for name in FUNCTIONS}
            outer = torch.jit.script(module.Outer())
            texts["methods"] = _text(torch, outer)
            file = io.BytesIO()
            torch.jit.save(outer, file)
            file.seek(0)
            texts["archive"] = _text(torch, torch.jit.load(file))
        finally:
            del sys.modules["failing_program"]
        return {name: text.replace(str(path), "program.py") for name, text in texts.items()}


def _text(torch: Any, f: Any) -> str:
    try:
        f(torch.ones(3, 3))
    except Exception as e:
        return f"{'Error' if isinstance(e, torch.jit.Error) else 'RuntimeError'}\n{e}"
    return "nothing raised"
