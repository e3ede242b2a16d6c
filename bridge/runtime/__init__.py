"""Running programs on onnxruntime: one session per kind of arguments, weights shared, the interpreter for the rest.

:func:`providers` lists the execution providers, :func:`using` chooses them, :func:`open_session` opens a model with providers
that really take part.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "call_method": "bridge.runtime.executor",
    "execute": "bridge.runtime.executor",
    "InterpreterWarning": "bridge.runtime.executor",
    "ProviderError": "bridge.runtime.sessions",
    "open_session": "bridge.runtime.sessions",
    "providers": "bridge.runtime.sessions",
    "using": "bridge.runtime.sessions",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'bridge.runtime' has no attribute '{name}'")
    found = globals()[name] = getattr(importlib.import_module(home), name)
    return found


def __dir__() -> list[str]:
    return [*__all__, *globals()]
