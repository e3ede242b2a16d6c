"""Switches of how things are computed, as in ``torch.backends``."""

from __future__ import annotations

from bridge.backends import mha

__all__ = ["mha"]
