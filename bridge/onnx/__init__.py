"""Programs as ONNX models: :func:`export` writes one, :func:`load` reads any."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "export": "bridge.onnx.exporting",
    "load": "bridge.onnx.loading",
    "error_of": "bridge.onnx.errors",
    "OnnxProgram": "bridge.onnx.program",
    "ExportError": "bridge.exporters.onnx.report",
    "Report": "bridge.exporters.onnx.report",
    "write_python": "bridge.onnx.python_file",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'bridge.onnx' has no attribute '{name}'")
    found = globals()[name] = getattr(importlib.import_module(home), name)
    return found


def __dir__() -> list[str]:
    return [*__all__, *globals()]
