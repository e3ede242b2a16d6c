"""Memory while many objects are built at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector_paused"]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the cyclic garbage collector out while a graph is built.

    A graph's nodes point at each other and all of them live on, so that each of the collector's many passes over the growing
    graph would find nothing: they cost more than half of the time of building a large one. What was built goes to the oldest
    generation, as it would after two of these passes.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():  # nobody keeps objects there
                gc.freeze()
                gc.unfreeze()
            gc.enable()
