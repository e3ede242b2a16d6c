"""What programs ask about ``torch.compile``, which this library does not have."""

from __future__ import annotations

import bridge as torch

__all__ = ["is_compiling"]


def is_compiling() -> bool:
    """Whether the program is being captured by a compiler of frames: never."""
    if torch.jit.is_scripting():
        return False
    else:
        return False
