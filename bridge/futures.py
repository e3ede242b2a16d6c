"""Results that are there later."""

from bridge.jit.futures import Future, collect_all, wait_all

__all__ = ["Future", "collect_all", "wait_all"]
