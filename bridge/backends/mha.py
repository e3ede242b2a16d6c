"""Whether attention layers may be computed as one operator when no gradients are recorded."""

from __future__ import annotations

import bridge as torch

__all__ = ["get_fastpath_enabled", "set_fastpath_enabled"]

_enabled = True


def get_fastpath_enabled() -> bool:
    """Whether attention layers may be one operator; compiled programs always allow it."""
    if not torch.jit.is_scripting():
        return _enabled
    return True


def set_fastpath_enabled(value: bool) -> None:
    """Allow or forbid it."""
    global _enabled
    _enabled = value
