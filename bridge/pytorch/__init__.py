"""Live PyTorch objects: their tensors share memory with ours, their names mean the same operators.

PyTorch is optional. Nothing here imports it: an object can only come from it when somebody else has. :func:`library` is
PyTorch where that is so, and every other function of this package is asked only then.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["library"]


def library() -> Any:
    """PyTorch, if this process has imported it (as itself: a program may call this package ``torch``); else None."""
    found = sys.modules.get("torch")
    return found if found is not None and getattr(found, "_C", None) is not None else None
