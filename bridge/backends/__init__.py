"""Switches of how things are computed, as in ``torch.backends``."""

from __future__ import annotations

from bridge.backends import cudnn, mha

__all__ = ["cudnn", "mha"]
