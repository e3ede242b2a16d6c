"""Capturing programs: ``script`` compiles source code, ``trace`` records a run, ``save`` and ``load`` keep them.

Everything loads on first use.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_HOMES = {
    "bridge.jit._state": "_hide_source_ranges",
    "bridge.importers.torchscript.errors": "ArchiveError",
    "bridge.ir.errors": "Error",
    "bridge.jit.archive": "load save",
    "bridge.jit.class_modules": "CompilationUnit script_method",
    "bridge.jit.decorators": "enable_onednn_fusion onednn_fusion_enabled set_fusion_strategy",
    "bridge.jit.frozen": "export_opnames freeze optimize_for_inference run_frozen_optimizations",
    "bridge.jit.functions": "ScriptFunction",
    "bridge._awaits": "_Await _awaitable _awaitable_nowait _awaitable_wait",
    "bridge.futures": "Future fork wait _fork _wait",
    "bridge.jit.objects": "RecursiveScriptClass",
    "bridge.jit.modules": "RecursiveScriptModule ScriptModule _unique_state_dict",
    "bridge.jit.script": (
        "Attribute Final annotate export ignore interface is_scripting isinstance script unused _drop _overload "
        "_overload_method _unwrap_optional optimized_execution strict_fusion fuser CompileError FrontendError NotSupportedError"
    ),
    "bridge.jit.trace": "is_tracing script_if_tracing trace trace_module",
    "bridge.jit.trace_check": "TracingCheckError",
    "bridge.jit.trace_warnings": "TracerWarning",
    "bridge.jit.traced_modules": "TopLevelTracedModule TracedModule",
}

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [n for n in _HOME_OF if not n.startswith("_")]


def __getattr__(name: str) -> Any:
    if name == "_state":
        return importlib.import_module("bridge.jit._state")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'torch.jit' has no attribute '{name}'")
    found = globals()[name] = getattr(importlib.import_module(home), name)
    return found


class _Package(ModuleType):
    """Keeps ``jit.trace`` and ``jit.script`` the functions when the modules of these names are imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return [*__all__, *globals()]
