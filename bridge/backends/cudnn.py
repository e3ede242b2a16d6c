"""Switches of a library that there is none of here: they can be set, and change nothing."""

from __future__ import annotations

__all__ = ["is_available", "version"]

enabled = True
benchmark = deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """False: everything runs through onnxruntime."""
    return False


def version() -> None:
    """None: there is none."""
