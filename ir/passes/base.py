"""What all passes share: the verifier runs after each when the environment variable BRIDGE_VERIFY is set to 1."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar, cast

from bridge.ir.errors import VerifyError
from bridge.ir.graph import Graph

__all__ = ["graph_pass"]

P = ParamSpec("P")
R = TypeVar("R")


def graph_pass(run: Callable[Concatenate[Graph, P], R]) -> Callable[Concatenate[Graph, P], R]:
    """Mark a function as a pass; a broken graph is reported with the pass that broke it."""

    @functools.wraps(run)
    def checked(graph: Graph, *args: P.args, **kwargs: P.kwargs) -> R:
        result = run(graph, *args, **kwargs)
        if os.environ.get("BRIDGE_VERIFY") == "1":
            from bridge.ir.verifier import verify

            try:
                verify(graph)
            except VerifyError as e:
                raise VerifyError(f"after the pass {run.__name__}: {e.message}", e.range) from e
        return result

    return cast("Callable[Concatenate[Graph, P], R]", checked)
