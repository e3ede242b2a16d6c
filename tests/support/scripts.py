"""Script every function and module of a program file, with torch or with bridge, and give the texts.

The files are ``tests/script_programs/*.py``: each function that is defined at the top is a subject, and what ``subjects()``
yields as (name, module). ``import torch`` in them means the library that is asked for.
"""

import contextlib
import importlib
import importlib.util
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

PROGRAMS = Path(__file__).parent.parent / "script_programs"
RECORDED = Path(__file__).parent.parent / "goldens" / "script"

_MODULES = ("", ".jit", ".nn", ".nn.functional", ".nn.modules")


@contextlib.contextmanager
def imported_as_torch(library: str) -> Iterator[Any]:
    """Inside, ``import torch`` gives the library."""
    if library == "torch":
        yield importlib.import_module("torch")
        return
    names = [f"torch{n}" for n in _MODULES]
    before = {n: sys.modules.get(n) for n in names}
    try:
        for n in names:
            sys.modules[n] = importlib.import_module(n.replace("torch", library, 1))
        yield sys.modules["torch"]
    finally:
        for n, module in before.items():
            if module is None:
                sys.modules.pop(n, None)
            else:
                sys.modules[n] = module


def load(path: Path, name: str | None = None) -> ModuleType:
    """Execute a program file as a module that ``inspect`` can find."""
    name = name or f"script_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def subjects(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """(name, what to script)."""
    if hasattr(module, "subjects"):
        yield from module.subjects()
        return
    for name, value in vars(module).items():
        if callable(value) and not isinstance(value, type) and getattr(value, "__module__", "") == module.__name__:
            yield name, value


def normalised(text: str, path: Path) -> str:
    """File names without folders, mangling numbers in order of appearance, places inside the libraries left out."""
    numbers: dict[str, str] = {}
    text = text.replace(str(path), path.name)
    text = re.sub(r"(?<=# )/[^\s:]+:\d+:\d+", "<library>", text)
    return re.sub(r"torch_mangle_\d+", lambda m: numbers.setdefault(m.group(), f"torch_mangle_{len(numbers)}"), text)


def comparable(text: str | None) -> str | None:
    """Without the numbers of classes of one name: they depend on what was compiled before."""
    return text and re.sub(r"___torch_mangle_\d+\.", "", text)


def texts_of(scripted: Any, path: Path) -> dict[str, str]:
    """The graph and code of a function, or of every method of a module and of its submodules."""
    result = {}
    if hasattr(scripted, "_c") and hasattr(scripted, "named_modules"):
        for name, module in scripted.named_modules():
            for method in ("forward", "inverse", "double", "both"):
                found = getattr(module, method, None)
                if found is not None and hasattr(found, "graph"):
                    prefix = f"{name}.{method}" if name else method
                    result[f"graph {prefix}"] = str(found.graph)
                    result[f"code {prefix}"] = str(found.code)
    else:
        result = {"graph": str(scripted.graph), "code": str(scripted.code)}
    return {k: normalised(v, path) for k, v in result.items()}


def collect(path: Path, library: str) -> dict[str, dict[str, str]]:
    """The texts of every subject of a file; what cannot be scripted has one text, ``error``."""
    result: dict[str, dict[str, str]] = {}
    with warnings.catch_warnings(), imported_as_torch(library) as torch:
        warnings.simplefilter("ignore")
        for name, subject in subjects(load(path)):
            try:
                result[name] = texts_of(torch.jit.script(subject), path)
            except Exception as e:
                result[name] = {"error": f"{type(e).__name__}: {e}"}
    return result
