"""Modules: models made of parts with parameters, as in ``torch.nn``."""

from __future__ import annotations

import importlib
from typing import Any

from bridge.nn import init as init
from bridge.nn import modules
from bridge.nn import parameter as parameter
from bridge.nn.modules import *
from bridge.nn.parameter import Buffer as Buffer
from bridge.nn.parameter import Parameter as Parameter
from bridge.nn.parameter import UninitializedBuffer as UninitializedBuffer
from bridge.nn.parameter import UninitializedParameter as UninitializedParameter

__all__ = [
    "Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "functional", "init", "modules", "parameter",
]  # fmt: skip
__all__ += modules.__all__


def __getattr__(name: str) -> Any:
    if name in ("functional", "utils"):
        return importlib.import_module(f"bridge.nn.{name}")
    raise AttributeError(f"module 'bridge.nn' has no attribute '{name}'")
