"""Loading a random program under torch or bridge, and its values in a form that compares."""

from __future__ import annotations

import linecache
import math
import sys
import types
from typing import Any

import numpy as np

__all__ = ["MESSAGES", "difference", "load", "outcome", "plain"]

#: What programs raise on purpose.
MESSAGES = ("no", "out of reach", "too many", "not this one")


def load(text: str, name: str, library: str) -> types.ModuleType:
    """The program as a module called ``name``, written against ``torch`` or ``bridge``."""
    if library == "bridge":
        text = text.replace("import torch\nfrom torch import", "import bridge as torch\nfrom bridge import")
    path = f"<{library} {name}>"
    linecache.cache[path] = (len(text), None, text.splitlines(True), path)
    module = types.ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    exec(compile(text, path, "exec"), module.__dict__)
    return module


def tensors(value: Any, library: Any) -> Any:
    """The input of a call as tensors of a library."""
    if isinstance(value, tuple):
        dtype, items, shape = value
        return library.tensor(items, dtype=getattr(library, dtype)).reshape(shape)
    if isinstance(value, list):
        return [tensors(v, library) for v in value]
    return value


def plain(value: Any) -> Any:
    """A result without tensors: arrays, numbers, lists, tuples, dicts."""
    if hasattr(value, "detach"):
        return np.array(value.detach().numpy())
    if isinstance(value, tuple):
        return tuple(plain(v) for v in value)
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def outcome(call: Any, *arguments: Any) -> Any:
    """What a call gives, or the exception."""
    try:
        return plain(call(*arguments))
    except Exception as error:
        return error


def difference(a: Any, b: Any) -> str | None:
    """Where two outcomes differ, in words; None where they do not."""
    if isinstance(a, Exception) or isinstance(b, Exception):
        return _raised(a, b)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return _arrays(a, b)
    if type(a).__name__ != type(b).__name__ and not (isinstance(a, tuple) and isinstance(b, tuple)):
        return f"{a!r} is no {type(b).__name__} {b!r}"
    if isinstance(a, list | tuple):
        if len(a) != len(b):
            return f"lengths {len(a)} and {len(b)}: {a!r} {b!r}"
        found = [(i, difference(x, y)) for i, (x, y) in enumerate(zip(a, b, strict=True))]
        return next((f"[{i}] {d}" for i, d in found if d is not None), None)
    if isinstance(a, dict):
        return difference(list(a.items()), list(b.items()))
    if isinstance(a, float):
        return None if math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-4) else f"{a!r} and {b!r}"
    return None if a == b else f"{a!r} and {b!r}"


def _raised(a: Any, b: Any) -> str | None:
    if not (isinstance(a, Exception) and isinstance(b, Exception)):
        return f"{_short(a)} and {_short(b)}"
    return None


def _short(v: Any) -> str:
    return f"{type(v).__name__}: {str(v)[:300]}" if isinstance(v, Exception) else f"{v!r}"


def _arrays(a: Any, b: Any) -> str | None:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return f"{a!r} and {b!r}"
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{a.dtype}{a.shape} and {b.dtype}{b.shape}"
    tolerance = 2e-2 if a.dtype == np.float16 else 1e-4
    return None if np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True) else f"{a!r} and {b!r}"
