"""Traces small programs with torch or bridge and writes down what came out: graphs, code, repr, warnings, errors.

``FUNCTIONS`` are bodies of a function of two 3×4 tensors ``x`` and ``y``; ``MODULES`` and ``CALLS`` are whole programs that leave
the captured thing in ``subject``. Mangling depends on what a process captured before, so it is left out (``support.programs``
compares it, a process for each program); library places become ``<library>``.
"""

import contextlib
import importlib
import linecache
import re
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.trace_calls import CALLS
from support.trace_functions import FUNCTIONS
from support.trace_modules import MODULES

__all__ = ["CASES", "describe", "run", "run_source"]

_FUNCTION = """import torch
import torch.nn.functional as F

def f(x, y):
{body}

torch.manual_seed(0)
subject = torch.jit.trace(f, (torch.rand(3, 4), torch.rand(3, 4)), check_trace=False)
"""


def _indented(body: str) -> str:
    return "\n".join("    " + line for line in body.strip("\n").split("\n"))


CASES: dict[str, str] = {body: _FUNCTION.format(body=_indented(body)) for body in FUNCTIONS} | MODULES | CALLS


def run(case: str, module: str) -> str:
    """Everything that a case shows when ``module`` (``torch`` or ``bridge``) is its torch."""
    return run_source(CASES[case], module)


def run_source(source: str, module: str) -> str:
    """As :func:`run`, for a program's text."""
    name = "case.py"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    main = types.ModuleType("__main__")
    main.__file__ = name
    before = sys.modules["__main__"], {k: v for k, v in sys.modules.items() if k == "torch" or k.startswith("torch.")}
    sys.modules["__main__"] = main
    library = importlib.import_module(module)
    if module != "torch":
        sys.modules["torch"] = library
        sys.modules["torch.nn"] = importlib.import_module(f"{module}.nn")
        sys.modules["torch.nn.functional"] = importlib.import_module(f"{module}.nn.functional")
    try:
        with _names_free(library), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            try:
                exec(compile(source, name, "exec"), main.__dict__)
                text = describe(main.__dict__["subject"])
            except Exception as e:
                text = f"!! {type(e).__name__}: {_plain(str(e))}\n"
    finally:
        sys.modules["__main__"] = before[0]
        if module != "torch":
            for key in ("torch", "torch.nn", "torch.nn.functional"):
                sys.modules.pop(key, None)
            sys.modules.update(before[1])
    for w in caught:
        if w.category.__name__ == "TracerWarning":
            message = _plain(str(w.message))
            # What torch says in a file of its own is said at the user's line here.
            if message.startswith(("Encountering a list", "Output nr", "Trace had")):
                text += f"warning: {message}\n"
            elif Path(w.filename).name == name:
                text += f"warning at {w.lineno}: {message}\n"
    # Places are call stacks there, the user's line with a caret here.
    text = re.sub(r"(?i)(source location:\n)(\t\t.*\n)+", r"\1", text)
    return _unmangled(re.sub(r"(?<=\nTensor:\n).*", "", text, flags=re.DOTALL))  # printed in C++ there


@contextlib.contextmanager
def _names_free(library: types.ModuleType) -> Iterator[None]:
    """No name is taken, as in a new process: how long a mangled name is decides where printed code breaks its lines."""
    if library.__name__ == "torch":  # keeps the names of traced functions: the programs give theirs names of their own
        yield
        return
    unit = importlib.import_module("bridge.jit.names").python_cu
    before = {slot: getattr(unit, slot) for slot in unit.__slots__}
    for slot, value in before.items():
        setattr(unit, slot, type(value)())
    try:
        yield
    finally:
        for slot, value in before.items():
            setattr(unit, slot, value)


def describe(subject: Any) -> str:
    """repr, graphs and code of a captured function, or of a module and all modules in it; any other value as text."""
    if isinstance(subject, str):
        return _plain(subject) + "\n"
    if not hasattr(subject, "named_modules"):
        return f"{_plain(str(subject.graph))}{subject.code}{_plain(str(subject.inlined_graph))}"
    text = f"{subject!r}\n"
    for path, part in subject.named_modules():
        for method in ("forward", "forward1", "forward2", "helper"):
            try:
                found = getattr(part._actual_script_module if "_actual_script_module" in vars(part) else part, method)
                graph = found.graph
            except (AttributeError, RuntimeError, NotImplementedError):
                continue
            text += f"--- {path or 'top'} {method}\n{_plain(str(graph))}{found.code}"
    return text + f"--- inlined\n{_plain(str(subject.inlined_graph))}"


def _plain(text: str) -> str:
    text = re.sub(r"(?<=# )/[^\s:]+:\d+:\d+", "<library>", text)
    text = re.sub(r" object at 0x\w+", " object", text)
    return re.sub(r"/[^\s:]+\.py", "<file>", text)


def _unmangled(text: str) -> str:
    return re.sub(r"___torch_mangle_\d+\.", "", text)
