"""Looking at models and comparing them: what ``bridge inspect``, ``diff``, ``verify`` and ``extract`` do, as functions."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Difference": "bridge.tools.differences",
    "Inspection": "bridge.tools.inspection",
    "Verification": "bridge.tools.verification",
    "diff": "bridge.tools.differences",
    "extract": "bridge.tools.extraction",
    "inspect": "bridge.tools.inspection",
    "verify": "bridge.tools.verification",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'bridge.tools' has no attribute '{name}'")
    found = globals()[name] = getattr(importlib.import_module(home), name)
    return found


def __dir__() -> list[str]:
    return [*__all__, *globals()]
